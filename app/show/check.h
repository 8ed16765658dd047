// A revealed result beside the float model's.
#ifndef TW_APP_CHECK_H
#define TW_APP_CHECK_H

#include <jansson.h>

#include "io/client.h"
#include "io/model.h"
#include "io/prefix.h"
#include "io/result.h"
#include "jobs/plan/plan.h"

typedef struct {
  const char *text;
  int number, chunk, line;  // of the text, from 1 on; of its chunk, of its file, 0: none
  double cosine;
  // |y - f| / |f| against the model, and against its rounded weights; of logits / max(|f|, 1), as they may well be 0;
  // of a next token: by what part of the largest logit's distance from the mean (1 where that is less) its own is below
  // it
  double relative_error, relative_error_rounded;
  double largest_error;
  double probability;  // of a drawn token, in the float model
  int written, same;   // of a text: tokens as far as it goes, and how many are the float model's before the first other
} tw_sequence_error;

typedef struct {
  bool one_row;                    // pooled, cls, dense: sequences have one vector
  bool logits;                     // of two labels or more, or a token: rows have a largest one
  bool words;                      // a decoder's: what is largest is the next token
  int decided, decided_otherwise;  // rows with a label, and those whose private one is not the float model's
  double widest_gap;               // of those, between the two labels in the float model
  double temperature;              // at which next tokens were drawn; 0: they were not
  int count, not_finite;           // first sequence with NaN or Inf, or -1
  tw_sequence_error *sequences;
  int *texts, rows;       // of texts: [count][rows], the float model's own, up to its first other token
  double *similarity[2];  // private, float: [count][count] cosines between sequences; one_row only
  double largest_difference;
  tw_bounds *bounds;    // [layers] the float model's largest values on these sequences
  tw_head_bounds head;  // and its head's
} tw_comparison;

// A value of the float model beyond what the plan declares.
typedef struct {
  int layer;         // -1: none; the number of layers: the head
  const char *name;  // of the bound
  double value, bound;
} tw_excess;
// The first of them, by layer.
tw_excess tw_comparison_excess(const tw_comparison *c, const tw_plan *plan);
// First sequence whose output is further from the float model's than `tolerance` times its length, -1: none.
int tw_comparison_far(const tw_comparison *c, double tolerance);

// Live rows only, behind the prefix, which may be NULL. Free with tw_comparison_free; texts stay the input's.
// temperature: at which a next token was drawn; its error is then what no noise explains.
tw_status tw_compare(const tw_model *model, const tw_prefix *prefix, const tw_input *input, const tw_result *result,
                     double temperature, void (*progress)(void *state, double fraction), void *progress_state,
                     tw_comparison *out);
void tw_comparison_free(tw_comparison *c);

// show_texts: the texts stand beside their numbers, in JSON as "text"; else they are numbered.
void tw_comparison_print(const tw_comparison *c, bool show_texts);
// Texts that the float model writes behind the same inputs, as far as they are known.
tw_status tw_comparison_print_texts(const tw_comparison *c, const tw_client *client, const tw_input *input);
json_t *tw_comparison_json(const tw_comparison *c, bool show_texts);

#endif
