// `plan --fit` and `plan --lengths`: programs of one plan for texts of several lengths.
#ifndef TW_FIT_H
#define TW_FIT_H

#include "app/options.h"
#include "jobs/plan/plan.h"

// As they are typed.
typedef struct {
  const char *lengths;  // a list
  const char *fit, *text_column;
  bool chunk;       // of the sample's texts
  int64_t overlap;  // tokens; -1: not given
} tw_fit_words;
extern const tw_option tw_option_lengths, tw_option_fit, tw_option_fit_column;

// The sequences that `encode` makes of a sample: its texts, or their chunks; count 0: there is no sample.
typedef struct {
  int count, texts;
  int *tokens;  // [count] of each, special ones too
  int longest;  // of a text's, and at most what the model's own software leaves of it
} tw_sample;

tw_status tw_fit_check(const tw_fit_words *words, bool shape);
// Of NAME's tokenizer. seq: of the plan, where chunks end; -1: the longest text's. Free with tw_sample_free, also after
// a failure.
tw_status tw_sample_read(const tw_fit_words *words, const char *name, int64_t seq, tw_sample *out);
void tw_sample_free(tw_sample *sample);
// Sets the plan's lengths. Nothing where none were asked for, or one is as good.
tw_status tw_fit_lengths(const tw_fit_words *words, const tw_sample *sample, tw_plan *plan);
// What they are, and what they save of the sample's keys.
tw_status tw_fit_print(const tw_sample *sample, const tw_plan *plan);

#endif
