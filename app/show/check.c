#include "app/show/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/print.h"
#include "base/memory.h"
#include "jobs/models/noise.h"
#include "jobs/models/prefix.h"
#include "jobs/models/words.h"
#include "jobs/plan/plan_fields.h"

// ---- computing

typedef struct {
  const tw_model *model;
  const tw_prefix *prefix;  // NULL: there is none
  const tw_input *input;
  const tw_result *result;
  tw_model_output output;
  bool by_row;         // a row of the output a token
  int words;           // of the result, where it is a next token or a text; else 0
  int cols;            // of what is compared: of logits where there are words
  double *x;           // embedded input of one sequence
  double *rounded;     // output with rounded weights
  double *vectors[2];  // one_row: [count][cols] private, float
  tw_bounds *bounds;
  tw_head_bounds *head_bounds;
} work;

// Output rows of sequence s in the result's shape; returns their number.
static tw_status forward(const work *w, int s, int rounded, double *out, int *rows) {
  int length = w->input->lengths[s];
  TW_TRY(tw_float_sequence(w->model, w->prefix, w->input, s, rounded, w->x, rounded ? w->bounds : NULL));
  *rows = w->by_row ? length : 1;
  TW_TRY(tw_float_output(w->model, w->output, w->x, length, rounded, out, rounded ? w->head_bounds : NULL));
  if (w->result->normalised) tw_unit_length(out, w->result->cols);
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

static void compare_labels(const double *y, const double *reference, int rows, int labels, tw_comparison *c) {
  for (int i = 0; i < rows; i++) {
    const double *f = reference + (size_t)i * labels;
    int a = largest_of(y + (size_t)i * labels, labels), b = largest_of(f, labels);
    c->decided++;
    c->decided_otherwise += a != b;
    c->widest_gap = fmax(c->widest_gap, f[b] - f[a]);
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

// Logits of the last `words` rows of a sequence, to out [words][cols].
static tw_status last_logits(const work *w, const tw_input *in, int s, int words, int rounded, double *out) {
  size_t before = (size_t)(in->lengths[s] - words) * (size_t)w->model->config.hidden;
  TW_TRY(tw_float_sequence(w->model, w->prefix, in, s, rounded, w->x, rounded ? w->bounds : NULL));
  return tw_float_output(w->model, TW_OUTPUT_ALL_LOGITS, w->x + before, words, rounded, out,
                         rounded ? w->head_bounds : NULL);
}

// The float model's logits in front of each word of a result, behind the words before it.
static tw_status logits_of_words(const work *w, int s, const double *text, double *reference) {
  const tw_input *in = w->input;
  int length = in->lengths[s], words = w->words, ids[2 * TW_MOST_TOKENS];
  for (int i = 0; i < words; i++)
    if (!(text[i] >= 0 && text[i] < w->cols))
      return tw_fail(TW_ERR_CHECK, "check failed: sequence %d has token %d, and there are %d", s + 1, (int)text[i],
                     w->cols);
  tw_input all = {.count = 1, .seq = length + words - 1, .tokens = ids, .lengths = &(int){length + words - 1}};
  if (in->earlier) {
    all.earlier = in->earlier + (size_t)s * (size_t)in->earlier_seq;
    all.earlier_lengths = &in->earlier_lengths[s];
    all.earlier_seq = in->earlier_seq;
  }
  for (int i = 0; words > 1 && i < all.seq; i++)
    ids[i] = i < length ? in->tokens[(size_t)s * in->seq + i] : (int)text[i - length];
  for (int rounded = 1; rounded >= 0; rounded--) {
    double *out = rounded ? w->rounded : reference;
    TW_TRY(words > 1 ? last_logits(w, &all, 0, words, rounded, out) : last_logits(w, in, s, 1, rounded, out));
  }
  return TW_OK;
}

static int number_of(const work *w, int s) { return 1 + (w->input->origins.texts ? w->input->origins.texts[s] : s); }
static int chunk_of(const work *w, int s) { return w->input->origins.chunks ? w->input->origins.chunks[s] : 0; }
static int line_of(const work *w, int s) { return w->input->origins.lines ? w->input->origins.lines[s] : 0; }

// Each word against the float model's largest, as far as the text goes. A word has no length of its own: its error is
// the shortfall.
static tw_status compare_words(const work *w, int s, double *reference, tw_comparison *c) {
  const tw_model_config *config = &w->model->config;
  const double *text = w->result->values + (size_t)s * w->words, temperature = c->temperature;
  tw_sequence_error *e = &c->sequences[s];
  bool ended = false;
  *e = (tw_sequence_error){
      .text = w->input->texts[s], .number = number_of(w, s), .line = line_of(w, s), .cosine = NAN, .probability = 1};
  TW_TRY(logits_of_words(w, s, text, reference));
  for (int i = 0; i < w->words && !ended; i++) {
    size_t row = (size_t)i * w->cols;
    double *logits = reference + row;
    int word = (int)text[i], best = largest_of(logits, w->cols);
    e->relative_error = fmax(e->relative_error, shortfall(logits, w->cols, word, temperature));
    e->relative_error_rounded =
        fmax(e->relative_error_rounded, shortfall(w->rounded + row, w->cols, word, temperature));
    e->largest_error = fmax(e->largest_error, logits[best] - logits[word]);
    c->decided++;
    c->decided_otherwise += word != best;
    if (c->texts && e->same == e->written)
      c->texts[s * c->rows + e->same] = best;  // behind another token it is no longer its own
    e->same += e->same == e->written++ && word == best;
    for (int j = 0; j < w->cols && temperature > 0; j++) logits[j] /= temperature;
    if (temperature > 0) e->probability *= exp(tw_words_log_probability(logits, w->cols, word));
    for (int k = 0; k < config->end_count; k++) ended |= word == config->ends[k];
  }
  c->widest_gap = fmax(c->widest_gap, e->largest_error);
  return TW_OK;
}

static tw_status compare_sequence(const work *w, int s, double *reference, tw_comparison *c) {
  int rows, cols = w->result->cols;
  if (w->words) return compare_words(w, s, reference, c);
  const double *y = w->result->values + (size_t)s * w->result->rows * cols;
  tw_sequence_error *e = &c->sequences[s];
  TW_TRY(forward(w, s, 1, w->rounded, &rows));
  TW_TRY(forward(w, s, 0, reference, &rows));
  size_t n = (size_t)rows * cols;
  double least = w->output == TW_OUTPUT_LOGITS || w->output == TW_OUTPUT_ALL_LOGITS;
  e->text = w->input->texts[s];
  e->number = number_of(w, s);
  e->chunk = chunk_of(w, s);
  e->line = line_of(w, s);
  e->cosine = tw_cosine(y, reference, (int)n);
  e->relative_error = relative(y, reference, n, least);
  e->relative_error_rounded = relative(y, w->rounded, n, least);
  for (size_t i = 0; i < n; i++) {
    e->largest_error = fmax(e->largest_error, fabs(y[i] - reference[i]));
    if (!isfinite(y[i]) && c->not_finite < 0) c->not_finite = s;
  }
  if (c->logits) compare_labels(y, reference, rows, cols, c);
  if (c->one_row) {
    memcpy(w->vectors[0] + (size_t)s * cols, y, (size_t)cols * sizeof *y);
    memcpy(w->vectors[1] + (size_t)s * cols, reference, (size_t)cols * sizeof *y);
  }
  return TW_OK;
}

static void compare_pairs(const work *w, tw_comparison *c) {
  size_t cols = (size_t)w->result->cols, count = (size_t)c->count;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++) {
      for (int which = 0; which < 2; which++)
        c->similarity[which][i * count + j] =
            tw_cosine(w->vectors[which] + i * cols, w->vectors[which] + j * cols, (int)cols);
      c->largest_difference =
          fmax(c->largest_difference, fabs(c->similarity[0][i * count + j] - c->similarity[1][i * count + j]));
    }
}

static tw_status allocate(work *w, double **reference, tw_comparison *c) {
  size_t count = (size_t)c->count, cols = (size_t)w->cols, seq = (size_t)w->input->seq;
  size_t rows = (w->prefix ? (size_t)w->prefix->count : 0) + (size_t)w->input->earlier_seq + seq + (size_t)w->words;
  size_t hidden = (size_t)w->model->config.hidden, most = (w->words ? (size_t)w->words : seq) * cols;
  TW_TRY(tw_alloc(count * sizeof *c->sequences, (void **)&c->sequences));
  TW_TRY(tw_alloc(rows * hidden * sizeof(double), (void **)&w->x));
  TW_TRY(tw_alloc(most * sizeof(double), (void **)&w->rounded));
  TW_TRY(tw_alloc(most * sizeof(double), (void **)reference));
  if (w->output == TW_OUTPUT_TEXT) TW_TRY(tw_alloc(count * (size_t)c->rows * sizeof *c->texts, (void **)&c->texts));
  for (int which = 0; c->one_row && which < 2; which++) {
    TW_TRY(tw_alloc(count * cols * sizeof(double), (void **)&w->vectors[which]));
    TW_TRY(tw_alloc(count * count * sizeof(double), (void **)&c->similarity[which]));
  }
  return TW_OK;
}

tw_status tw_compare(const tw_model *model, const tw_prefix *prefix, const tw_input *input, const tw_result *result,
                     double temperature, void (*progress)(void *state, double fraction), void *progress_state,
                     tw_comparison *out) {
  tw_model_output output;
  TW_TRY(tw_output_parse(result->output, &output));
  bool of_words = tw_output_of_tokens(output);
  work w = {.model = model,
            .prefix = prefix,
            .input = input,
            .result = result,
            .by_row = tw_config_by_row(&model->config, output),
            .output = output,
            .words = of_words ? result->rows : 0,
            .cols = of_words ? model->config.head.outputs : result->cols,
            .head_bounds = &out->head};
  double *reference = NULL;
  *out = (tw_comparison){
      .one_row = output == TW_OUTPUT_POOLED || output == TW_OUTPUT_CLS || output == TW_OUTPUT_DENSE,
      .logits = tw_output_of_head(output) && output != TW_OUTPUT_DENSE && w.cols > 1 && temperature == 0,
      .words = model->config.head.kind == TW_HEAD_WORDS,
      .temperature = temperature,
      .count = result->count,
      .rows = result->rows,
      .not_finite = -1};
  tw_status status = allocate(&w, &reference, out);
  if (status == TW_OK) status = tw_alloc(sizeof *out->bounds * (size_t)model->config.layers, (void **)&out->bounds);
  if (status == TW_OK) {
    tw_bounds_reset(out->bounds, model->config.layers);
    tw_bounds_of_weights(model, out->bounds);
    w.bounds = out->bounds;
    out->head = tw_head_bounds_start(model);
  }
  for (int s = 0; s < out->count && status == TW_OK; s++) {
    status = compare_sequence(&w, s, reference, out);
    progress(progress_state, (s + 1.0) / out->count);
  }
  if (status == TW_OK && out->one_row) compare_pairs(&w, out);
  tw_free(w.x);
  tw_free(w.rounded);
  tw_free(w.vectors[0]);
  tw_free(w.vectors[1]);
  tw_free(reference);
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

// ---- showing

static void print_similarities(const tw_comparison *c) {
  enum { WIDEST = 24 };
  if (c->count < 2) return;
  if (c->count <= WIDEST) {
    tw_grid grid = {0};
    char row[16 * (WIDEST + 1)];
    puts("\nsimilarity of sentences, above the diagonal private, below it float:");
    int used = 0;
    for (int j = 0; j < c->count; j++) used += snprintf(row + used, sizeof row - (size_t)used, "\t%d", j + 1);
    tw_grid_row(&grid, "%s", row);
    for (int i = 0; i < c->count; i++) {
      used = snprintf(row, sizeof row, "%d", i + 1);
      for (int j = 0; j < c->count; j++)
        used += i == j
                    ? snprintf(row + used, sizeof row - (size_t)used, "\t.")
                    : snprintf(row + used, sizeof row - (size_t)used, "\t%.4f", c->similarity[j < i][i * c->count + j]);
      tw_grid_row(&grid, "%s", row);
    }
    tw_grid_print(&grid);
  }
  printf("largest difference of similarity: %.5f\n", c->largest_difference);
}

static void print_decided(const tw_comparison *c) {
  printf("%s: %d of %d as the float model's", c->words ? "likeliest next tokens" : "labels",
         c->decided - c->decided_otherwise, c->decided);
  if (c->decided_otherwise > 0) printf("; of the others its logits differ by at most %.3g", c->widest_gap);
  putchar('\n');
}

static void print_cosine(const tw_sequence_error *e, bool show_text) {
  char chunk[32] = "";
  if (e->chunk) snprintf(chunk, sizeof chunk, ", chunk %d", e->chunk);
  if (show_text && *e->text)
    tw_print_line("cosine(private, float) = %.5f  %s%s", e->cosine, e->text, chunk);
  else if (e->line)
    printf("cosine(private, float) = %.5f  text %d%s (line %d)\n", e->cosine, e->number, chunk, e->line);
  else
    printf("cosine(private, float) = %.5f  text %d%s\n", e->cosine, e->number, chunk);
}

void tw_comparison_print(const tw_comparison *c, bool show_texts) {
  for (int s = 0; s < c->count && c->one_row; s++) print_cosine(&c->sequences[s], show_texts);
  if (c->one_row) putchar('\n');
  tw_grid grid = {0};
  tw_grid_row(&grid, "sequence\trelative error\twith rounded weights\tlargest error");
  tw_grid_rule(&grid);
  for (int s = 0; s < c->count; s++)
    tw_grid_row(&grid, "%d\t%.2e\t%.2e\t%.5f", s + 1, c->sequences[s].relative_error,
                c->sequences[s].relative_error_rounded, c->sequences[s].largest_error);
  tw_grid_print(&grid);
  if (c->one_row) print_similarities(c);
  for (int s = 0; s < c->count && c->temperature > 0; s++)
    printf("%d: drawn at temperature %g, where the float model gives it a probability of %.4g\n",
           c->sequences[s].number, c->temperature, c->sequences[s].probability);
  if (c->logits) print_decided(c);
}

static tw_status print_float_text(const tw_comparison *c, const tw_words *words, const tw_input *input, int s) {
  const tw_sequence_error *e = &c->sequences[s];
  int before = input->lengths[s], count = e->same + (e->same < e->written), ids[2 * TW_MOST_TOKENS];
  char *text;
  for (int i = 0; i < before; i++) ids[i] = input->tokens[(size_t)s * input->seq + i];
  for (int i = 0; i < count; i++) ids[before + i] = c->texts[s * c->rows + i];
  TW_TRY(tw_words_texts(words, ids, before, count, &text));
  if (e->same == e->written)
    tw_print_line("%d: the float model writes the same %d token%s: %s", e->number, e->same, e->same > 1 ? "s" : "",
                  text);
  else
    tw_print_line("%d: the float model writes the same %d of %d tokens, then another: %s", e->number, e->same,
                  e->written, text);
  free(text);
  return TW_OK;
}

tw_status tw_comparison_print_texts(const tw_comparison *c, const tw_client *client, const tw_input *input) {
  tw_words *words;
  if (!c->texts || c->temperature > 0) return TW_OK;
  TW_TRY(tw_words_new(client, &words));
  tw_status status = TW_OK;
  for (int s = 0; s < c->count && status == TW_OK; s++) status = print_float_text(c, words, input, s);
  tw_words_free(words);
  return status;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *matrix_json(const double *values, int n) {
  json_t *rows = json_array();
  for (int i = 0; i < n; i++) {
    json_t *row = json_array();
    for (int j = 0; j < n; j++) json_array_append_new(row, number(values[i * n + j]));
    json_array_append_new(rows, row);
  }
  return rows;
}

json_t *tw_comparison_json(const tw_comparison *c, bool show_texts) {
  json_t *json = json_object(), *sequences = json_array();
  for (int s = 0; s < c->count; s++) {
    const tw_sequence_error *e = &c->sequences[s];
    json_t *probability = c->temperature > 0 ? number(e->probability) : json_null();
    json_t *text = show_texts ? json_string(e->text) : NULL;
    json_t *chunk = e->chunk ? json_integer(e->chunk) : NULL;
    json_array_append_new(
        sequences, json_pack("{s:o*, s:i, s:o*, s:o, s:o, s:o, s:o, s:o}", "text", text, "number", e->number, "chunk",
                             chunk, "cosine", number(e->cosine), "relative_error", number(e->relative_error),
                             "relative_error_rounded_weights", number(e->relative_error_rounded), "largest_error",
                             number(e->largest_error), "probability", probability));
  }
  json_object_set_new(json, "sequences", sequences);
  if (c->logits)
    json_object_set_new(json, "labels",
                        json_pack("{s:i, s:i, s:o}", "rows", c->decided, "differ", c->decided_otherwise, "widest_gap",
                                  number(c->widest_gap)));
  if (c->one_row) {
    json_object_set_new(json, "similarity_private", matrix_json(c->similarity[0], c->count));
    json_object_set_new(json, "similarity_float", matrix_json(c->similarity[1], c->count));
    json_object_set_new(json, "largest_difference_of_similarity", number(c->largest_difference));
  }
  return json;
}
