#define _GNU_SOURCE
#include "app/show/result_table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/labels.h"
#include "base/memory.h"
#include "io/csv.h"
#include "io/file.h"
#include "jobs/models/words.h"

typedef enum { VALUES, LABELS, WORDS } content;

typedef struct {
  const tw_result_table *from;
  const tw_result *r;
  const tw_client *client;
  content content;
  tw_words *words;
  double *values;  // of a row's labels
  char **columns;  // their names
  FILE *out;
} table;

// ---- what there is to write

static tw_status choose(table *t) {
  const tw_result *r = t->r;
  bool logits = strcmp(r->output, "logits") == 0;
  bool words = strcmp(r->output, "next-token") == 0 || strcmp(r->output, "text") == 0;
  if (logits || words) {
    if (!t->client)
      return tw_fail(TW_ERR_IO,
                     "%s: no such file, and --csv of %s takes the names of labels and words from it; put it there",
                     t->from->client_file, r->output);
    bool decoder = t->client->config.head.kind == TW_HEAD_WORDS;
    if (decoder && logits)
      return tw_fail(TW_ERR_USAGE, "a decoder's logits are %d numbers a text: take --npy, or plan --result next-token",
                     r->cols);
    if (!decoder && t->client->labels.count != r->cols)
      return tw_fail(TW_ERR_MISMATCH, "the result has %d logits a row, the client's file names %d labels", r->cols,
                     t->client->labels.count);
  }
  if (strcmp(r->output, "all-logits") == 0)
    return tw_fail(TW_ERR_USAGE, "a decoder's logits are %d numbers a token: take --npy", r->cols);
  t->content = words ? WORDS : logits ? LABELS : VALUES;
  if (words) return tw_words_new(t->client, &t->words);
  return logits ? tw_alloc((size_t)r->cols * sizeof *t->values, (void **)&t->values) : TW_OK;
}

// ---- lines

// A column's name stands once, so that programs find it.
static bool named_twice(const tw_labels *l, int label) {
  static const char *const others[] = {"id", "line", "tokens", "token", "label"};
  bool twice = false;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) twice |= strcmp(l->names[label], others[i]) == 0;
  for (int i = 0; i < l->count; i++) twice |= i != label && strcmp(l->names[label], l->names[i]) == 0;
  return twice;
}

static tw_status name_columns(table *t) {
  const tw_labels *l = &t->client->labels;
  TW_TRY(tw_alloc((size_t)l->count * sizeof *t->columns, (void **)&t->columns));
  for (int i = 0; i < l->count; i++) {
    int written = named_twice(l, i) ? asprintf(&t->columns[i], "%s #%d", l->names[i], i)
                                    : asprintf(&t->columns[i], "%s", l->names[i]);
    if (written < 0) {
      t->columns[i] = NULL;
      return tw_fail(TW_ERR_MEMORY, "out of memory");
    }
  }
  return TW_OK;
}

static void free_columns(table *t) {
  for (int i = 0; t->columns && i < t->client->labels.count; i++) free(t->columns[i]);
  tw_free(t->columns);
}

static void put_header(const table *t) {
  const tw_result *r = t->r;
  if (r->origins.ids) fputs("id,", t->out);
  if (r->origins.lines) fputs("line,", t->out);
  fputs(t->content == WORDS ? "tokens,text" : r->rows > 1 ? "tokens,token" : "tokens", t->out);
  if (t->content == LABELS && t->client->labels.problem == TW_SINGLE_LABEL) fputs(",label", t->out);
  for (int i = 0; t->content == LABELS && i < r->cols; i++) {
    putc(',', t->out);
    tw_csv_put(t->out, t->columns[i]);
  }
  for (int i = 0; t->content == VALUES && i < r->cols; i++) fprintf(t->out, ",e%d", i);
  fputs("\r\n", t->out);
}

static void put_origin(const table *t, int text) {
  const tw_origins *o = &t->r->origins;
  if (o->ids) {
    tw_csv_put(t->out, o->ids[text]);
    putc(',', t->out);
  }
  if (o->lines) fprintf(t->out, "%d,", o->lines[text]);
  fprintf(t->out, "%d", t->r->lengths[text]);
}

static void put_labels(const table *t, const double *logits) {
  const tw_labels *l = &t->client->labels;
  int best = 0;
  tw_label_values(l, logits, t->values);
  for (int i = 1; i < l->count; i++)
    if (t->values[i] > t->values[best]) best = i;
  if (l->problem == TW_SINGLE_LABEL) {
    putc(',', t->out);
    tw_csv_put(t->out, t->columns[best]);
  }
  for (int i = 0; i < l->count; i++) fprintf(t->out, ",%.9g", t->values[i]);
}

static void put_row(const table *t, int text, int row) {
  const tw_result *r = t->r;
  const double *values = r->values + ((size_t)text * r->rows + row) * r->cols;
  put_origin(t, text);
  if (r->rows > 1) fprintf(t->out, ",%d", row + 1);
  if (t->content == LABELS)
    put_labels(t, values);
  else
    for (int i = 0; i < r->cols; i++) fprintf(t->out, ",%.9g", values[i]);
  fputs("\r\n", t->out);
}

// The ids that a text's words stand behind, then its own; *before, *count: how many. *ids: tw_alloc'd.
static tw_status ids_of(const table *t, int text, int **ids, int *before, int *count) {
  const tw_result *r = t->r;
  const tw_input *input = t->from->input;
  const tw_model_config *c = &t->client->config;
  int sequence = t->from->first[text];
  bool ended = false;
  *before = input ? input->lengths[sequence] : 0;
  *count = 0;
  TW_TRY(tw_alloc((size_t)(*before + r->rows) * sizeof **ids, (void **)ids));
  for (int i = 0; i < *before; i++) (*ids)[i] = input->tokens[(size_t)sequence * input->seq + i];
  while (*count < r->rows && !ended) {
    double value = r->values[(size_t)text * r->rows + *count];
    int id = value >= 0 && value < c->vocab ? (int)value : 0;
    for (int i = 0; i < c->end_count; i++) ended |= id == c->ends[i];
    (*ids)[*before + (*count)++] = id;
  }
  *count -= ended && r->rows > 1;
  return TW_OK;
}

// Words come in quotation marks, as JSON has them.
static tw_status put_words(const table *t, int text) {
  int *ids, before, count;
  char *quoted;
  TW_TRY(ids_of(t, text, &ids, &before, &count));
  tw_status status = tw_words_texts(t->words, ids, before, count, &quoted);
  tw_free(ids);
  TW_TRY(status);
  json_t *plain = json_loads(quoted, JSON_DECODE_ANY, NULL);
  put_origin(t, text);
  putc(',', t->out);
  tw_csv_put(t->out, json_is_string(plain) ? json_string_value(plain) : quoted);
  fputs("\r\n", t->out);
  json_decref(plain);
  free(quoted);
  return TW_OK;
}

static tw_status put_all(table *t) {
  const tw_result *r = t->r;
  TW_TRY(choose(t));
  if (t->content == LABELS) TW_TRY(name_columns(t));
  put_header(t);
  for (int text = 0; text < r->count; text++) {
    if (t->content == WORDS) TW_TRY(put_words(t, text));
    int rows = r->rows > 1 ? r->lengths[text] : 1;
    for (int row = 0; t->content != WORDS && row < rows; row++) put_row(t, text, row);
  }
  return TW_OK;
}

// ---- files

static tw_status write_file(const char *path, bool replace, const char *bytes, size_t count) {
  tw_output out;
  TW_TRY(tw_output_claim(&out, path, count, replace));
  tw_status status = tw_output_write(&out, "its content", bytes, count, 0);
  if (status == TW_OK) return tw_output_commit(&out);
  tw_output_abort(&out);
  return status;
}

// Ends the stream.
static tw_status keep(const char *path, bool replace, FILE *out, char **bytes, size_t *count, tw_status status) {
  bool whole = !ferror(out);
  whole = fclose(out) == 0 && whole;
  if (status == TW_OK && !whole) status = tw_fail(TW_ERR_MEMORY, "%s: out of memory for a table", path);
  if (status == TW_OK) status = write_file(path, replace, *bytes, *count);
  free(*bytes);
  return status;
}

tw_status tw_result_csv(const char *path, bool replace, const tw_result_table *from) {
  char *text = NULL;
  size_t bytes = 0;
  table t = {.from = from, .r = from->result, .client = from->client, .out = open_memstream(&text, &bytes)};
  if (!t.out) return tw_fail(TW_ERR_MEMORY, "%s: out of memory for a table", path);
  tw_status status = put_all(&t);
  tw_words_free(t.words);
  tw_free(t.values);
  free_columns(&t);
  return keep(path, replace, t.out, &text, &bytes, status);
}

tw_status tw_result_npy(const char *path, bool replace, const tw_result *r) {
  enum { ALIGNMENT = 64, BEFORE = 10 };
  char *bytes = NULL, header[192];
  size_t count = 0;
  FILE *out = open_memstream(&bytes, &count);
  if (!out) return tw_fail(TW_ERR_MEMORY, "%s: out of memory for an array", path);
  int n = snprintf(header, sizeof header, "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, ", r->count);
  if (r->rows > 1) n += snprintf(header + n, sizeof header - (size_t)n, "%d, ", r->rows);
  n += snprintf(header + n, sizeof header - (size_t)n, "%d), }", r->cols);
  int whole = (BEFORE + n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - BEFORE;
  fwrite("\x93NUMPY\x01\x00", 1, 8, out);
  putc(whole & 255, out);
  putc(whole >> 8, out);
  fprintf(out, "%-*s\n", whole - 1, header);
  fwrite(r->values, sizeof *r->values, (size_t)r->count * r->rows * r->cols, out);
  return keep(path, replace, out, &bytes, &count, TW_OK);
}
