#include "app/comparison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/noise.h"
#include "jobs/models/prefix.h"
#include "jobs/models/words.h"
#include "jobs/plan/plan_fields.h"

typedef struct {
  const tw_compare_request *from;
  tw_input one;        // the sequence in hand
  bool by_row;         // a row of the output a token
  int words;           // of the result, where it is a next token or a text; else 0
  int cols;            // of what is compared: of logits where there are words
  float *rows;         // [seq][hidden] of one sequence
  double *y;           // [rows][cols] what was computed
  double *x;           // embedded input of one sequence
  double *rounded;     // output with rounded weights
  double *reference;   // and with those of the model
  double *vectors[2];  // one_row: [similar][cols] computed, float
  tw_bounds *bounds;
  tw_head_bounds *head_bounds;
} work;

// Output rows of the sequence in hand in the result's shape; returns their number.
static tw_status forward(const work *w, int rounded, double *out, int *rows) {
  const tw_compare_request *from = w->from;
  int length = w->one.lengths[0];
  TW_TRY(tw_float_sequence(from->model, from->prefix, &w->one, 0, rounded, w->x, rounded ? w->bounds : NULL));
  *rows = w->by_row ? length : 1;
  TW_TRY(tw_float_output(from->model, from->output, w->x, length, rounded, out, rounded ? w->head_bounds : NULL));
  if (from->normalised) tw_unit_length(out, from->cols);
  return TW_OK;
}

// least: of the length that the difference is set against.
static double relative(const double *a, const double *b, size_t n, double least) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < n; i++) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return sqrt(difference) / fmax(sqrt(norm), least);
}

static int largest_of(const double *row, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (row[i] > row[best]) best = i;
  return best;
}

static void note_label(tw_sequence_error *e, int label, int wanted, double gap, bool only) {
  e->decided++;
  e->decided_otherwise += label != wanted;
  if (!only && (label == wanted || (e->decided_otherwise > 1 && gap <= e->widest_gap))) return;
  e->widest_gap = gap;
  e->label = label;
  e->float_label = wanted;
}

static void compare_labels(const work *w, int rows, tw_sequence_error *e) {
  for (int i = 0; i < rows; i++) {
    const double *f = w->reference + (size_t)i * (size_t)w->cols;
    int label = largest_of(w->y + (size_t)i * (size_t)w->cols, w->cols), wanted = largest_of(f, w->cols);
    note_label(e, label, wanted, f[wanted] - f[label], rows == 1);
  }
}

// How likely each of the text's own tokens was behind those before it.
static void compare_likelihoods(const work *w, int rows, tw_sequence_error *e) {
  for (int i = 0; i + 1 < rows; i++) {
    size_t row = (size_t)i * (size_t)w->cols;
    int following = w->one.tokens[i + 1];
    if (following >= w->cols) continue;
    e->predicted++;
    e->log_probability += tw_words_log_probability(w->y + row, w->cols, following);
    e->float_log_probability += tw_words_log_probability(w->reference + row, w->cols, following);
  }
}

// How far the token's logit is below the largest one, and what noise may add, as a part of what that one stands above
// the mean.
static double shortfall(const double *logits, int words, int token, double temperature) {
  int best = largest_of(logits, words);
  double mean = 0;
  for (int i = 0; i < words; i++) mean += logits[i] / words;
  double gap = logits[best] - logits[token] - (TW_NOISE_LARGEST + TW_NOISE_LEAST) * temperature;
  return fmax(gap, 0) / fmax(logits[best] - mean, 1);
}

// Logits of the last `words` rows of an input's one sequence, to out [words][cols].
static tw_status last_logits(const work *w, const tw_input *in, int words, int rounded, double *out) {
  const tw_compare_request *from = w->from;
  size_t before = (size_t)(in->lengths[0] - words) * (size_t)from->model->config.hidden;
  TW_TRY(tw_float_sequence(from->model, from->prefix, in, 0, rounded, w->x, rounded ? w->bounds : NULL));
  return tw_float_output(from->model, TW_OUTPUT_ALL_LOGITS, w->x + before, words, rounded, out,
                         rounded ? w->head_bounds : NULL);
}

// The float model's logits in front of each word of a result, behind the words before it.
static tw_status logits_of_words(const work *w, int s) {
  const tw_input *in = &w->one;
  int length = in->lengths[0], words = w->words, ids[2 * TW_MOST_TOKENS];
  for (int i = 0; i < words; i++)
    if (!(w->y[i] >= 0 && w->y[i] < w->cols))
      return tw_fail(TW_ERR_CHECK, "check failed: sequence %d has token %d, and there are %d", s + 1, (int)w->y[i],
                     w->cols);
  tw_input all = {.count = 1,
                  .seq = length + words - 1,
                  .tokens = ids,
                  .lengths = &(int){length + words - 1},
                  .earlier = in->earlier,
                  .earlier_lengths = in->earlier_lengths,
                  .earlier_seq = in->earlier_seq};
  for (int i = 0; words > 1 && i < all.seq; i++) ids[i] = i < length ? in->tokens[i] : (int)w->y[i - length];
  for (int rounded = 1; rounded >= 0; rounded--)
    TW_TRY(last_logits(w, words > 1 ? &all : in, words, rounded, rounded ? w->rounded : w->reference));
  return TW_OK;
}

// Each word against the float model's largest, as far as the text goes. A word has no length of its own: its error is
// the shortfall.
static tw_status compare_words(const work *w, int s, tw_comparison *c) {
  const tw_model_config *config = &w->from->model->config;
  double temperature = c->temperature;
  tw_sequence_error *e = &c->sequences[s];
  bool ended = false;
  e->cosine = NAN;
  e->probability = 1;
  TW_TRY(logits_of_words(w, s));
  for (int i = 0; i < w->words && !ended; i++) {
    size_t row = (size_t)i * (size_t)w->cols;
    double *logits = w->reference + row;
    int word = (int)w->y[i], best = largest_of(logits, w->cols);
    e->relative_error = fmax(e->relative_error, shortfall(logits, w->cols, word, temperature));
    e->relative_error_rounded =
        fmax(e->relative_error_rounded, shortfall(w->rounded + row, w->cols, word, temperature));
    e->largest_error = fmax(e->largest_error, logits[best] - logits[word]);
    note_label(e, word, best, logits[best] - logits[word], w->words == 1);
    if (c->texts && e->same == e->written)
      c->texts[s * c->rows + e->same] = best;  // behind another token it is no longer its own
    e->same += e->same == e->written++ && word == best;
    for (int j = 0; j < w->cols && temperature > 0; j++) logits[j] /= temperature;
    if (temperature > 0) e->probability *= exp(tw_words_log_probability(logits, w->cols, word));
    for (int k = 0; k < config->end_count; k++) ended |= word == config->ends[k];
  }
  return TW_OK;
}

static tw_status compare_vectors(const work *w, int s, tw_comparison *c) {
  int rows, cols = w->cols;
  tw_sequence_error *e = &c->sequences[s];
  TW_TRY(forward(w, 1, w->rounded, &rows));
  TW_TRY(forward(w, 0, w->reference, &rows));
  size_t n = (size_t)rows * (size_t)cols;
  tw_model_output output = w->from->output;
  double least = output == TW_OUTPUT_LOGITS || output == TW_OUTPUT_ALL_LOGITS;
  e->cosine = tw_cosine(w->y, w->reference, (int)n);
  e->relative_error = relative(w->y, w->reference, n, least);
  e->relative_error_rounded = relative(w->y, w->rounded, n, least);
  for (size_t i = 0; i < n; i++) {
    e->largest_error = fmax(e->largest_error, fabs(w->y[i] - w->reference[i]));
    if (!isfinite(w->y[i]) && c->not_finite < 0) c->not_finite = s;
  }
  if (c->logits) compare_labels(w, rows, e);
  if (output == TW_OUTPUT_ALL_LOGITS) compare_likelihoods(w, rows, e);
  for (int which = 0; c->one_row && which < 2 && s < c->similar; which++)
    memcpy(w->vectors[which] + (size_t)s * (size_t)cols, which ? w->reference : w->y, (size_t)cols * sizeof *w->y);
  return TW_OK;
}

static tw_status compare_sequence(work *w, int s, tw_comparison *c) {
  const tw_input *in = w->from->input;
  const tw_origins *origins = &in->origins;
  tw_sequence_error *e = &c->sequences[s];
  *e = (tw_sequence_error){.text = in->texts[s],
                           .id = origins->ids ? origins->ids[s] : NULL,
                           .number = 1 + (origins->texts ? origins->texts[s] : s),
                           .chunk = origins->chunks ? origins->chunks[s] : 0,
                           .line = origins->lines ? origins->lines[s] : 0,
                           .tokens = in->lengths[s],
                           .label = -1,
                           .float_label = -1};
  TW_TRY(w->from->next(w->from->state, s, w->rows, w->y, &e->out_of_bound));
  w->one = tw_input_view(in, s, w->rows);
  TW_TRY(w->words ? compare_words(w, s, c) : compare_vectors(w, s, c));
  if (!e->decided_otherwise) e->widest_gap = 0;
  c->decided += e->decided;
  c->decided_otherwise += e->decided_otherwise;
  c->widest_gap = fmax(c->widest_gap, e->widest_gap);
  c->predicted += e->predicted;
  c->log_probability += e->log_probability;
  c->float_log_probability += e->float_log_probability;
  return TW_OK;
}

// How similar each is to all before it.
static void compare_pairs(const work *w, tw_comparison *c) {
  size_t cols = (size_t)w->cols, count = (size_t)c->similar;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j <= i; j++) {
      double found[2];
      for (int which = 0; which < 2; which++) {
        found[which] = tw_cosine(w->vectors[which] + i * cols, w->vectors[which] + j * cols, (int)cols);
        if (c->similarity[which]) c->similarity[which][i * count + j] = found[which];
        if (c->similarity[which]) c->similarity[which][j * count + i] = found[which];
      }
      c->largest_difference = fmax(c->largest_difference, fabs(found[0] - found[1]));
    }
}

static tw_status allocate(work *w, tw_comparison *c) {
  const tw_compare_request *from = w->from;
  size_t count = (size_t)c->count, cols = (size_t)w->cols, seq = (size_t)from->input->seq, similar = (size_t)c->similar;
  size_t rows = (from->prefix ? (size_t)from->prefix->count : 0) + (size_t)from->input->earlier_seq + seq;
  size_t hidden = (size_t)from->model->config.hidden, most = (w->words ? (size_t)w->words : seq) * cols;
  rows += (size_t)w->words;
  TW_TRY(tw_alloc(count * sizeof *c->sequences, (void **)&c->sequences));
  TW_TRY(tw_alloc(seq * (size_t)from->input->hidden * sizeof *w->rows, (void **)&w->rows));
  TW_TRY(tw_alloc((size_t)from->rows * (size_t)from->cols * sizeof *w->y, (void **)&w->y));
  TW_TRY(tw_alloc(rows * hidden * sizeof *w->x, (void **)&w->x));
  TW_TRY(tw_alloc(most * sizeof *w->rounded, (void **)&w->rounded));
  TW_TRY(tw_alloc(most * sizeof *w->reference, (void **)&w->reference));
  if (from->output == TW_OUTPUT_TEXT) TW_TRY(tw_alloc(count * (size_t)c->rows * sizeof *c->texts, (void **)&c->texts));
  for (int which = 0; c->one_row && which < 2; which++) {
    TW_TRY(tw_alloc(similar * cols * sizeof(double), (void **)&w->vectors[which]));
    if (count <= TW_SIMILAR_KEPT) TW_TRY(tw_alloc(count * count * sizeof(double), (void **)&c->similarity[which]));
  }
  size_t layers = (size_t)from->model->config.layers;
  TW_TRY(tw_alloc(sizeof *c->bounds * layers, (void **)&c->bounds));
  tw_bounds_reset(c->bounds, from->model->config.layers);
  tw_bounds_of_weights(from->model, c->bounds);
  w->bounds = c->bounds;
  c->head = tw_head_bounds_start(from->model);
  return TW_OK;
}

tw_status tw_compare(const tw_compare_request *what, tw_comparison *out) {
  const tw_model_config *config = &what->model->config;
  tw_model_output output = what->output;
  bool of_words = tw_output_of_tokens(output);
  work w = {.from = what,
            .by_row = tw_config_by_row(config, output),
            .words = of_words ? what->rows : 0,
            .cols = of_words ? config->head.outputs : what->cols,
            .head_bounds = &out->head};
  int count = what->input->count;
  *out = (tw_comparison){
      .one_row = output == TW_OUTPUT_POOLED || output == TW_OUTPUT_CLS || output == TW_OUTPUT_DENSE,
      .logits = tw_output_of_head(output) && output != TW_OUTPUT_DENSE && w.cols > 1 && what->temperature == 0,
      .words = config->head.kind == TW_HEAD_WORDS,
      .temperature = what->temperature,
      .count = count,
      .rows = what->rows,
      .similar = count < TW_MOST_SIMILAR ? count : TW_MOST_SIMILAR,
      .not_finite = -1};
  tw_status status = allocate(&w, out);
  for (int s = 0; s < count && status == TW_OK; s++) {
    status = compare_sequence(&w, s, out);
    what->progress(what->progress_state, (s + 1.0) / count);
  }
  if (status == TW_OK && out->one_row) compare_pairs(&w, out);
  tw_free(w.rows);
  tw_free(w.y);
  tw_free(w.x);
  tw_free(w.rounded);
  tw_free(w.reference);
  tw_free(w.vectors[0]);
  tw_free(w.vectors[1]);
  if (status != TW_OK) tw_comparison_free(out);
  return status;
}

tw_excess tw_comparison_excess(const tw_comparison *c, const tw_plan *plan) {
  for (int layer = 0; layer < plan->shape.config.layers; layer++)
    for (int k = 0; k < TW_BOUND_FIELDS; k++) {
      double value = *tw_bound_at(&c->bounds[layer], k), bound = *tw_bound_at(&plan->bounds[layer], k);
      bool least = strcmp(tw_bound_fields[k].name, "variance_sum_min") == 0;
      if (least ? value < bound : value > bound) return (tw_excess){layer, tw_bound_fields[k].name, value, bound};
    }
  int layers = plan->shape.config.layers;
  if (tw_output_of_head(plan->output) && c->head.dense > plan->head_bounds.dense)
    return (tw_excess){layers, "head dense", c->head.dense, plan->head_bounds.dense};
  if (tw_output_of_head(plan->output) && c->head.outputs > plan->head_bounds.outputs)
    return (tw_excess){layers, "head out", c->head.outputs, plan->head_bounds.outputs};
  const tw_norm_bounds *seen = &c->head.norm, *norm = &plan->head_bounds.norm;
  if (seen->variance_sum_max > 0 && seen->variance_sum_min < norm->variance_sum_min)
    return (tw_excess){layers, "variance_sum_min", seen->variance_sum_min, norm->variance_sum_min};
  if (seen->variance_sum_max > norm->variance_sum_max)
    return (tw_excess){layers, "variance_sum_max", seen->variance_sum_max, norm->variance_sum_max};
  return (tw_excess){.layer = -1};
}

int tw_comparison_far(const tw_comparison *c, double tolerance) {
  for (int s = 0; s < c->count; s++)
    if (!(c->sequences[s].relative_error <= tolerance)) return s;
  return -1;
}

void tw_comparison_free(tw_comparison *c) {
  tw_free(c->bounds);
  tw_free(c->sequences);
  tw_free(c->texts);
  tw_free(c->similarity[0]);
  tw_free(c->similarity[1]);
  *c = (tw_comparison){0};
}
