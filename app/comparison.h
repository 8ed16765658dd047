// What was computed in fixed point beside the float model, sequence by sequence: memory holds one sequence at a time,
// and some numbers of each.
#ifndef TW_APP_COMPARISON_H
#define TW_APP_COMPARISON_H

#include "io/client.h"
#include "io/model.h"
#include "io/prefix.h"
#include "jobs/plan/plan.h"

typedef struct {
  const char *text;
  const char *id;           // of the client's table, or NULL
  int number, chunk, line;  // of the text, from 1 on; of its chunk, of its file, 0: none
  int tokens;               // that live
  double cosine;
  // |y - f| / |f| against the model, and against its rounded weights; of logits / max(|f|, 1), as they may well be 0;
  // of a next token: by what part of the largest logit's distance from the mean (1 where that is less) its own is below
  // it
  double relative_error, relative_error_rounded;
  double largest_error;
  double probability;  // of a drawn token, in the float model
  int written, same;   // of a text: tokens as far as it goes, and how many are the float model's before the first other
  // of rows with a largest logit: their number, and that of those whose largest is not the float model's; of these the
  // widest gap between both logits in the float model
  int decided, decided_otherwise;
  double widest_gap;
  int label, float_label;  // of the only row, or of the one with that gap
  // of all rows of a decoder's logits: tokens that have one before them, and the sum of natural logarithms of their
  // probabilities in what was computed, and in the float model
  int predicted;
  double log_probability, float_log_probability;
  uint64_t out_of_bound;  // values, as far as the one who computed can tell (tw_compare_request)
} tw_sequence_error;

// Similarities are compared among the first TW_MOST_SIMILAR sequences; kept are those of TW_SIMILAR_KEPT or fewer.
enum { TW_MOST_SIMILAR = 1000, TW_SIMILAR_KEPT = 24 };

typedef struct {
  bool one_row;                    // pooled, cls, dense: sequences have one vector
  bool logits;                     // of two labels or more, or a token: rows have a largest one
  bool words;                      // a decoder's: what is largest is the next token
  int decided, decided_otherwise;  // sums over the sequences
  double widest_gap;               // the widest of theirs
  int predicted;                   // sums
  double log_probability, float_log_probability;
  double temperature;     // at which next tokens were drawn; 0: they were not
  int count, not_finite;  // first sequence with NaN or Inf, or -1
  tw_sequence_error *sequences;
  int *texts, rows;       // of texts: [count][rows], the float model's own, up to its first other token
  int similar;            // sequences whose similarities were compared
  double *similarity[2];  // computed, float: [count][count] cosines between sequences; NULL where there are too many
  double largest_difference;
  tw_bounds *bounds;    // [layers] the float model's largest values on these sequences
  tw_head_bounds head;  // and its head's
} tw_comparison;

// What is compared.
typedef struct {
  const tw_model *model;
  const tw_prefix *prefix;  // NULL: there is none
  const tw_input *input;    // without its rows; it must outlive the comparison
  tw_model_output output;
  int rows, cols;      // of a sequence's output
  bool normalised;     // each row has length 1
  double temperature;  // at which a next token was drawn: its error is then what no noise explains
  // Called once for each sequence, in order. rows [seq][hidden]: of the input, where the client embeds; values
  // [rows][cols]: what was computed; *out_of_bound: values past the plan's bounds, 0 where that is not known.
  tw_status (*next)(void *state, int sequence, float *rows, double *values, uint64_t *out_of_bound);
  void *state;
  void (*progress)(void *state, double fraction);
  void *progress_state;
} tw_compare_request;

// Live rows only. Free with tw_comparison_free.
tw_status tw_compare(const tw_compare_request *what, tw_comparison *out);
void tw_comparison_free(tw_comparison *c);

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

#endif
