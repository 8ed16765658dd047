#include "app/choices.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/models/fold.h"
#include "jobs/plan/choices.h"

const tw_option tw_option_maximum_groups = {
    .name = "maximum-groups",
    .kind = TW_OPTION_TEXT,
    .value = "GROUPS",
    .help =
        "members of a group at every level of a row maximum: 7,19 for few rounds, 2,5,13 for few keys; what is left "
        "counts in groups of 8 (not given: what takes least)"};
const tw_option tw_option_node_arity = {
    .name = "node-arity",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .help =
        "digits that one node of a comparison joins at most: 4, or 8, which saves a round of 17 to 32 bits and takes "
        "more keys (not given: what takes least)",
    .low = 4,
    .high = 8};
const tw_option tw_option_window_levels = {
    .name = "window-levels",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .help =
        "levels of a window's test: 2, or 1, which takes a round less and more keys (not given: what takes "
        "least)",
    .low = 1,
    .high = 2};

const tw_option tw_option_norm_means = {
    .name = "norm-means",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .help =
        "means of a row that a norm takes: 1, or 0, which takes a round less and fewer keys; weights are centred when "
        "they are shared (not given: 0 where model and rounding allow it)",
    .low = 0,
    .high = 1};

const tw_option tw_option_norm_levels = {.name = "norm-levels",
                                         .kind = TW_OPTION_INTEGER,
                                         .value = "N",
                                         .help =
                                             "levels of nodes in a norm's comparison: 2, or 1, which takes a round "
                                             "less, and fewer keys only where one row is "
                                             "compared (not given: 2, and for a text what takes least)",
                                         .low = 1,
                                         .high = 2};

const tw_option tw_option_group_rounds = {
    .name = "group-rounds",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .help =
        "rounds of a small group of a row maximum: 4, or 3, where groups have up to 48 members, too (not given: 4, and "
        "for a text what takes least)",
    .low = 3,
    .high = 4};

const tw_option tw_option_argmax_rounds = {.name = "argmax-rounds",
                                           .kind = TW_OPTION_INTEGER,
                                           .value = "N",
                                           .help =
                                               "rounds in which the largest logit is found, at most: about 13 for "
                                               "50,000 words; more take fewer keys (not given: "
                                               "what takes least)",
                                           .low = 1,
                                           .high = TW_ARGMAX_MOST_ROUNDS};

const tw_option tw_option_word_lookup = {
    .name = "word-lookup",
    .kind = TW_OPTION_TEXT,
    .value = "WHERE",
    .words = "behind beside",
    .help =
        "of a text: where the next word's row is looked up. Behind the search for the largest "
        "logit it takes three rounds more, beside the search's end more keys (not "
        "given: behind, and for a place what takes least)"};

tw_status tw_output_of(const char *result, int64_t generate, tw_output *output) {
  if (result) TW_TRY(tw_output_parse(result, output));
  if (generate > 0 && result && *output != TW_OUTPUT_TEXT)
    return tw_fail(TW_ERR_USAGE, "--generate gives a text, not %s; leave --result out", result);
  if (generate > 0) *output = TW_OUTPUT_TEXT;
  return TW_OK;
}

const tw_option tw_option_engine = {
    .name = "engine",
    .kind = TW_OPTION_TEXT,
    .value = "NAME",
    .words = "digit pfss-rows pfss",
    .help =
        "what functions are read from: digit, or keys of point functions, for fewer rounds. pfss-rows: 1/x and "
        "1/sqrt(x) of rows; pfss: exp and activations, too; or pfss- and some of norms, reciprocal, exp, activation "
        "with + between. auto: what takes least, of a plan at its place, of bench on one host (not given: digit, and "
        "auto in a plan for a place)"};

static tw_status parse_groups(const char *text, int groups[TW_MOST_LEVELS]) {
  const char *at = text;
  for (int i = 0; i < TW_MOST_LEVELS; i++) {
    char *end;
    long group = strtol(at, &end, 10);
    if (end == at || group < 2 || group > TW_LARGEST_GROUP || (*end && *end != ',')) break;
    groups[i] = (int)group;
    if (!*end) return TW_OK;
    at = end + 1;
  }
  return tw_fail(TW_ERR_USAGE, "--maximum-groups %s: give up to %d numbers from 2 to %d with commas between", text,
                 TW_MOST_LEVELS, TW_LARGEST_GROUP);
}

static tw_status parse_lookup(const char *lookup, tw_plan_request *request) {
  if (!lookup) return TW_OK;
  request->choices.lookup_beside = strcmp(lookup, "beside") == 0;
  if (!request->choices.lookup_beside && strcmp(lookup, "behind") != 0)
    return tw_fail(TW_ERR_USAGE, "--word-lookup is behind or beside, not %s", lookup);
  if (request->generated >= 2) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "--word-lookup goes with --generate 2 or more: no row follows the last word");
}

tw_status tw_choices_said(const tw_choice_words *words, const tw_model_config *config, bool by_one_host,
                          tw_plan_request *request, tw_made *made) {
  bool auto_engine = words->engine ? strcmp(words->engine, "auto") == 0 : !by_one_host;
  *made = (tw_made){{[TW_FORM_MAXIMUM] = words->maximum != NULL,
                     [TW_FORM_ENGINE] = !auto_engine,
                     [TW_FORM_NODES] = words->arity >= 0,
                     [TW_FORM_WINDOWS] = words->levels >= 0,
                     [TW_FORM_MEANS] = words->means >= 0,
                     [TW_FORM_NORMS] = words->norms > 0,
                     [TW_FORM_GROUPS] = words->groups > 0,
                     [TW_FORM_ARGMAX] = words->argmax > 0},
                    .lookup = words->lookup != NULL};
  if (words->arity >= 0 && words->arity != 4 && words->arity != 8)
    return tw_fail(TW_ERR_USAGE, "--node-arity is 4 or 8, not %d", (int)words->arity);
  if (words->engine && !auto_engine) TW_TRY(tw_read_by_parse(words->engine, &request->choices.engine));
  TW_TRY(tw_read_by_check(request->choices.engine, config));
  if (words->maximum) TW_TRY(parse_groups(words->maximum, request->choices.maximum));
  request->choices.wide_nodes = words->arity == 8;
  request->choices.flat_windows = words->levels == 1;
  request->choices.flat_norms = words->norms == 1;
  request->choices.early_groups = words->groups == 3;
  request->choices.centred = words->means < 0 ? tw_model_centres(config) : words->means == 0;
  if (words->argmax > 0 && !tw_output_of_tokens(request->output))
    return tw_fail(TW_ERR_USAGE, "--argmax-rounds goes with --result next-token and --generate");
  if (words->argmax > 0) request->choices.argmax_rounds = (int)words->argmax;
  return parse_lookup(words->lookup, request);
}

tw_status tw_choices_of(const tw_choice_words *words, const tw_model_config *config, tw_plan_request *request) {
  tw_made made;
  TW_TRY(tw_choices_said(words, config, true, request, &made));
  return tw_choices_find(config, request, &made, &tw_place_one_host, 0, &request->choices, NULL);
}
