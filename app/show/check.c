#include "app/show/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/differences.h"
#include "app/show/print.h"
#include "io/csv.h"
#include "jobs/models/words.h"

enum { WORST_SHOWN = 10, BAR = 48, OTHERS_KEPT = 1000 };

// ---- names

// "text 17, chunk 2 (line 17)", and its id where texts may be shown: ids may well name people.
static const char *name_of(const tw_sequence_error *e, const tw_check_view *view, char *name, size_t size) {
  int used = snprintf(name, size, "text %d", e->number);
  if (e->chunk) used += snprintf(name + used, size - (size_t)used, ", chunk %d", e->chunk);
  if (e->line) used += snprintf(name + used, size - (size_t)used, " (line %d)", e->line);
  if (e->id && view->show_texts) snprintf(name + used, size - (size_t)used, " %.80s", e->id);
  return name;
}

// A label's name, or its number, or that of a word.
static const char *label_of(const tw_check_view *view, int label, char *name, size_t size) {
  if (label >= 0 && label < view->labels.count)
    snprintf(name, size, "%s", view->labels.names[label]);
  else
    snprintf(name, size, "%d", label);
  return name;
}

static const char *computed_by(const tw_check_view *view) { return view->emulated ? "emulator" : "private"; }

// ---- a few sequences

static void print_similarities(const tw_comparison *c, const tw_check_view *view) {
  if (c->count < 2) return;
  if (c->count <= TW_SIMILAR_KEPT) {
    tw_grid grid = {0};
    char row[16 * (TW_SIMILAR_KEPT + 1)];
    printf("\nsimilarity of sentences, above the diagonal %s, below it float:\n", computed_by(view));
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
  if (c->similar < c->count) printf("of the first %d sequences the ", c->similar);
  printf("largest difference of similarity: %.5f\n", c->largest_difference);
}

static void print_cosine(const tw_sequence_error *e, const tw_check_view *view) {
  char name[160], chunk[32] = "";
  const char *who = computed_by(view);
  if (e->chunk) snprintf(chunk, sizeof chunk, ", chunk %d", e->chunk);
  if (view->show_texts && *e->text)
    tw_print_line("cosine(%s, float) = %.5f  %s%s", who, e->cosine, e->text, chunk);
  else
    tw_print_line("cosine(%s, float) = %.5f  %s", who, e->cosine, name_of(e, view, name, sizeof name));
}

static void print_one_by_one(const tw_comparison *c, const tw_check_view *view) {
  for (int s = 0; s < c->count && c->one_row; s++) print_cosine(&c->sequences[s], view);
  if (c->one_row) putchar('\n');
  tw_grid grid = {0};
  tw_grid_row(&grid, "sequence\trelative error\twith rounded weights\tlargest error");
  tw_grid_rule(&grid);
  for (int s = 0; s < c->count; s++)
    tw_grid_row(&grid, "%d\t%.2e\t%.2e\t%.5f", s + 1, c->sequences[s].relative_error,
                c->sequences[s].relative_error_rounded, c->sequences[s].largest_error);
  tw_grid_print(&grid);
}

// ---- many

static void print_histogram(const tw_differences *d) {
  int first = 0, last = TW_BINS - 1, most = 0;
  char bar[BAR + 1], from[16], to[16];
  while (!d->bins[first]) first++;
  while (!d->bins[last]) last--;
  for (int i = first; i <= last; i++)
    if (d->bins[i] > most) most = d->bins[i];
  puts("relative error        sequences");
  for (int i = first; i <= last; i++) {
    int width = (int)(((int64_t)BAR * d->bins[i] + most - 1) / most);
    memset(bar, '#', (size_t)width);
    bar[width] = '\0';
    snprintf(from, sizeof from, "%.2e", tw_bin_from(i));
    snprintf(to, sizeof to, "%.2e", tw_bin_to(i));
    printf("%8s .. %-8s  %9d%s%s\n", i ? from : "0", i + 1 < TW_BINS ? to : "", d->bins[i], width ? "  " : "", bar);
  }
  putchar('\n');
}

static void print_spread(tw_grid *grid, const char *what, const tw_error_spread *s) {
  tw_grid_row(grid, "%s\t%.2e\t%.2e\t%.2e", what, s->median, s->most_of_99, s->largest);
}

static void print_worst(const tw_comparison *c, const tw_differences *d, const tw_check_view *view) {
  int shown = c->count < WORST_SHOWN ? c->count : WORST_SHOWN;
  char name[160];
  tw_grid grid = {0};
  tw_grid_row(&grid, "farthest from the float model\ttokens\trelative error\tlargest error\tcosine");
  tw_grid_rule(&grid);
  for (int i = 0; i < shown; i++) {
    const tw_sequence_error *e = &c->sequences[d->by_error[i]];
    char cosine[16] = "";
    if (isfinite(e->cosine)) snprintf(cosine, sizeof cosine, "%.6f", e->cosine);
    tw_grid_row(&grid, "%s\t%d\t%.2e\t%.5f\t%s", name_of(e, view, name, sizeof name), e->tokens, e->relative_error,
                e->largest_error, cosine);
  }
  tw_grid_print(&grid);
  for (int i = 0; i < shown && view->show_texts; i++) {
    const tw_sequence_error *e = &c->sequences[d->by_error[i]];
    if (*e->text) tw_print_line("%d: %s", e->number, e->text);
  }
}

static void print_many(const tw_comparison *c, const tw_differences *d, const tw_check_view *view) {
  tw_grid grid = {0};
  printf("%d sequences, %s beside float\n\n", c->count, computed_by(view));
  print_histogram(d);
  tw_grid_row(&grid, "of all sequences\tmedian\t99 %% below\tlargest");
  tw_grid_rule(&grid);
  print_spread(&grid, "relative error", &d->relative);
  print_spread(&grid, "with rounded weights", &d->rounded);
  print_spread(&grid, "largest error of an element", &d->absolute);
  tw_grid_print(&grid);
  if (isfinite(d->lowest_cosine)) printf("lowest cosine: %.6f\n", d->lowest_cosine);
  putchar('\n');
  print_worst(c, d, view);
}

// ---- labels and likelihoods

static void print_decided(const tw_comparison *c, const tw_differences *d, const tw_check_view *view) {
  char name[160], label[80], wanted[80];
  printf("%s: %d of %d as the float model's", c->words ? "likeliest next tokens" : "labels",
         c->decided - c->decided_otherwise, c->decided);
  if (c->decided_otherwise > 0) printf("; of the others its logits differ by at most %.3g", c->widest_gap);
  putchar('\n');
  for (int i = 0; i < d->others && i < WORST_SHOWN; i++) {
    const tw_sequence_error *e = &c->sequences[d->by_gap[i]];
    tw_print_line("  %s: %s, float %s, whose logit is %.3g higher%s", name_of(e, view, name, sizeof name),
                  label_of(view, e->label, label, sizeof label), label_of(view, e->float_label, wanted, sizeof wanted),
                  e->widest_gap, e->decided_otherwise > 1 ? ", and others" : "");
  }
  if (d->others > WORST_SHOWN) printf("  and %d sequences more (--csv has all)\n", d->others - WORST_SHOWN);
}

static double perplexity(double logarithms, int tokens) { return exp(-logarithms / tokens); }

tw_status tw_comparison_print(const tw_comparison *c, const tw_check_view *view) {
  tw_differences d;
  TW_TRY(tw_differences_of(c, &d));
  if (c->count <= TW_SIMILAR_KEPT)
    print_one_by_one(c, view);
  else
    print_many(c, &d, view);
  if (c->one_row) print_similarities(c, view);
  for (int s = 0; s < c->count && c->temperature > 0; s++)
    printf("%d: drawn at temperature %g, where the float model gives it a probability of %.4g\n",
           c->sequences[s].number, c->temperature, c->sequences[s].probability);
  if (c->logits) print_decided(c, &d, view);
  if (c->predicted)
    printf("perplexity of %d tokens: %s %.6g, float %.6g\n", c->predicted, computed_by(view),
           perplexity(c->log_probability, c->predicted), perplexity(c->float_log_probability, c->predicted));
  if (view->emulated) printf("values out of the plan's bounds: %llu\n", (unsigned long long)d.out_of_bound);
  tw_differences_free(&d);
  return TW_OK;
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

// ---- JSON

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *matrix_json(const double *values, int n) {
  json_t *rows = json_array();
  for (int i = 0; values && i < n; i++) {
    json_t *row = json_array();
    for (int j = 0; j < n; j++) json_array_append_new(row, number(values[i * n + j]));
    json_array_append_new(rows, row);
  }
  return rows;
}

static json_t *sequence_json(const tw_comparison *c, const tw_sequence_error *e, bool show_texts) {
  json_t *probability = c->temperature > 0 ? number(e->probability) : json_null();
  json_t *line = e->line ? json_integer(e->line) : json_null();
  json_t *json = json_pack("{s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "number", e->number, "line", line, "tokens",
                           e->tokens, "cosine", number(e->cosine), "relative_error", number(e->relative_error),
                           "relative_error_rounded_weights", number(e->relative_error_rounded), "largest_error",
                           number(e->largest_error), "probability", probability);
  if (e->chunk) json_object_set_new(json, "chunk", json_integer(e->chunk));
  if (show_texts && e->id) json_object_set_new(json, "id", json_string(e->id));
  if (show_texts) json_object_set_new(json, "text", json_string(e->text));
  return json;
}

static json_t *spread_json(const tw_error_spread *s) {
  return json_pack("{s:o, s:o, s:o}", "median", number(s->median), "most_of_99_percent", number(s->most_of_99),
                   "largest", number(s->largest));
}

static json_t *histogram_json(const tw_differences *d) {
  json_t *bins = json_array();
  for (int i = 0; i < TW_BINS; i++)
    json_array_append_new(bins, json_pack("{s:f, s:o, s:i}", "from", tw_bin_from(i), "to", number(tw_bin_to(i)),
                                          "sequences", d->bins[i]));
  return bins;
}

static json_t *labels_json(const tw_comparison *c, const tw_differences *d, const tw_check_view *view) {
  json_t *others = json_array();
  char label[80], wanted[80];
  for (int i = 0; i < d->others && i < OTHERS_KEPT; i++) {
    const tw_sequence_error *e = &c->sequences[d->by_gap[i]];
    json_array_append_new(
        others, json_pack("{s:i, s:i, s:s, s:s, s:o}", "number", e->number, "rows", e->decided_otherwise, "label",
                          label_of(view, e->label, label, sizeof label), "float_label",
                          label_of(view, e->float_label, wanted, sizeof wanted), "gap", number(e->widest_gap)));
  }
  return json_pack("{s:i, s:i, s:o, s:o}", "rows", c->decided, "differ", c->decided_otherwise, "widest_gap",
                   number(c->widest_gap), "others", others);
}

tw_status tw_comparison_json(const tw_comparison *c, const tw_check_view *view, json_t **out) {
  tw_differences d;
  TW_TRY(tw_differences_of(c, &d));
  json_t *json = json_object(), *sequences = json_array(), *worst = json_array();
  for (int s = 0; s < c->count; s++)
    json_array_append_new(sequences, sequence_json(c, &c->sequences[s], view->show_texts));
  for (int i = 0; i < c->count && i < WORST_SHOWN; i++)
    json_array_append_new(worst, sequence_json(c, &c->sequences[d.by_error[i]], view->show_texts));
  json_object_set_new(json, "count", json_integer(c->count));
  json_object_set_new(json, "computed_by", json_string(view->emulated ? "emulator" : "parties"));
  json_object_set_new(json, "relative_error", spread_json(&d.relative));
  json_object_set_new(json, "relative_error_rounded_weights", spread_json(&d.rounded));
  json_object_set_new(json, "largest_error", spread_json(&d.absolute));
  json_object_set_new(json, "lowest_cosine", number(d.lowest_cosine));
  json_object_set_new(json, "histogram", histogram_json(&d));
  json_object_set_new(json, "farthest", worst);
  json_object_set_new(json, "sequences", sequences);
  json_object_set_new(json, "out_of_bound", json_integer((json_int_t)d.out_of_bound));
  if (c->logits) json_object_set_new(json, "labels", labels_json(c, &d, view));
  if (c->predicted)
    json_object_set_new(json, "perplexity",
                        json_pack("{s:i, s:o, s:o}", "tokens", c->predicted, "computed",
                                  number(perplexity(c->log_probability, c->predicted)), "float",
                                  number(perplexity(c->float_log_probability, c->predicted))));
  if (c->one_row && c->similarity[0]) {
    json_object_set_new(json, "similarity_private", matrix_json(c->similarity[0], c->count));
    json_object_set_new(json, "similarity_float", matrix_json(c->similarity[1], c->count));
  }
  if (c->one_row) {
    json_object_set_new(json, "similar", json_integer(c->similar));
    json_object_set_new(json, "largest_difference_of_similarity", number(c->largest_difference));
  }
  tw_differences_free(&d);
  *out = json;
  return TW_OK;
}

// ---- CSV

static void put_number(double value) {
  if (isfinite(value)) printf("%.9g", value);
  putchar(',');
}

static void put_sequence(const tw_comparison *c, const tw_check_view *view, const tw_sequence_error *e) {
  char label[80];
  bool shown = c->logits && e->label >= 0;
  printf("%d,", e->number);
  if (e->chunk) printf("%d", e->chunk);
  putchar(',');
  if (e->line) printf("%d", e->line);
  putchar(',');
  if (e->id && view->show_texts) tw_csv_put(stdout, e->id);
  printf(",%d,", e->tokens);
  put_number(e->cosine);
  put_number(e->relative_error);
  put_number(e->relative_error_rounded);
  put_number(e->largest_error);
  if (c->logits) printf("%d,%d,%.9g", e->decided, e->decided_otherwise, e->widest_gap);
  fputs(c->logits ? "," : ",,,", stdout);
  if (shown) tw_csv_put(stdout, label_of(view, e->label, label, sizeof label));
  putchar(',');
  if (shown) tw_csv_put(stdout, label_of(view, e->float_label, label, sizeof label));
  putchar(',');
  if (c->predicted) printf("%d,%.9g,%.9g", e->predicted, e->log_probability, e->float_log_probability);
  fputs(c->predicted ? "," : ",,,", stdout);
  printf("%llu", (unsigned long long)e->out_of_bound);
  if (view->show_texts) putchar(',');
  if (view->show_texts) tw_csv_put(stdout, e->text);
  putchar('\n');
}

tw_status tw_comparison_csv(const tw_comparison *c, const tw_check_view *view) {
  printf(
      "number,chunk,line,id,tokens,cosine,relative_error,relative_error_rounded_weights,largest_error,rows,rows_that_"
      "differ,"
      "widest_gap,label,float_label,predicted_tokens,log_probability,float_log_probability,out_of_bound%s\n",
      view->show_texts ? ",text" : "");
  for (int s = 0; s < c->count; s++) put_sequence(c, view, &c->sequences[s]);
  return fflush(stdout) == 0 ? TW_OK : tw_fail(TW_ERR_IO, "cannot write CSV to standard output");
}
