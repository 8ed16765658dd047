// The command line's words for what a plan chooses between keys and rounds (jobs/plan/choices.h).
#ifndef TW_APP_CHOICES_H
#define TW_APP_CHOICES_H

#include "app/options.h"
#include "jobs/plan/choose.h"

typedef struct {
  const char *maximum;                                  // "7,19"; NULL: not said
  int64_t arity, levels, means, norms, groups, argmax;  // -1: not said; 0, too, where there is no such option
  const char *engine;                                   // NULL: digit, and at a place as "auto"
  const char *lookup;                                   // NULL: not said
} tw_choice_words;

extern const tw_option tw_option_maximum_groups, tw_option_engine, tw_option_word_lookup;  // const char *
extern const tw_option tw_option_node_arity, tw_option_window_levels, tw_option_norm_means, tw_option_norm_levels,
    tw_option_group_rounds, tw_option_argmax_rounds;  // int64_t

static const tw_choice_words nothing_chosen = {NULL, -1, -1, -1, -1, -1, -1, NULL, NULL};
// What --result and --generate say a run opens; *output: what it is where they say nothing. TW_ERR_USAGE.
tw_status tw_output_of(const char *result, int64_t generate, tw_output *output);
// request->choices from the words, and where they say nothing what takes least on one host. TW_ERR_USAGE.
tw_status tw_choices_of(const tw_choice_words *words, const tw_model_config *config, tw_plan_request *request);
// The same into what tw_plan_choose takes: forms that are said, in *request and *made. by_one_host: nothing is said of
// a place.
tw_status tw_choices_said(const tw_choice_words *words, const tw_model_config *config, bool by_one_host,
                          tw_plan_request *request, tw_made *made);

#endif
