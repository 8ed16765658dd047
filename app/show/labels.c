#include "app/show/labels.h"

#include <math.h>
#include <stdio.h>

#include "app/show/print.h"
#include "base/memory.h"

void tw_label_values(const tw_labels *labels, const double *logits, double *out) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < labels->count; i++) top = fmax(top, logits[i]);
  for (int i = 0; i < labels->count; i++) {
    if (labels->problem == TW_REGRESSION) out[i] = logits[i];
    if (labels->problem == TW_MULTI_LABEL) out[i] = 1 / (1 + exp(-logits[i]));
    if (labels->problem == TW_SINGLE_LABEL) sum += out[i] = exp(logits[i] - top);
  }
  for (int i = 0; labels->problem == TW_SINGLE_LABEL && i < labels->count; i++) out[i] /= sum;
}

// The labels of a row, the largest first; of single labels the five most likely.
static int describe(const tw_labels *l, double *values, char *text, size_t size) {
  enum { MOST = 5 };
  size_t used = 0;
  for (int shown = 0; shown < l->count && shown < MOST; shown++) {
    int best = 0;
    for (int i = 1; i < l->count; i++)
      if (values[i] > values[best]) best = i;
    int n = snprintf(text + used, size - used, "%s%s %.4f", shown ? ", " : "", l->names[best], values[best]);
    if (n < 0 || (size_t)n >= size - used) break;
    used += (size_t)n;
    values[best] = -INFINITY;
  }
  return (int)used;
}

int tw_text_number(const tw_result *r, int s) { return 1 + (r->origins.texts ? r->origins.texts[s] : s); }

static void print_row(const tw_result *r, const tw_client *client, const tw_input *input, int s, int row,
                      double *values) {
  char text[512];
  tw_label_values(&client->labels, r->values + ((size_t)s * r->rows + row) * r->cols, values);
  describe(&client->labels, values, text, sizeof text);
  if (client->config.head.kind == TW_HEAD_SEQUENCE) {
    char chunk[32] = "";
    int number = r->origins.chunks ? r->origins.chunks[s] : 0;
    if (number) snprintf(chunk, sizeof chunk, " chunk %d", number);
    tw_print_line("%d%s: %s%s%s", tw_text_number(r, s), chunk, text, input ? "  " : "", input ? input->texts[s] : "");
    return;
  }
  int token = input ? input->tokens[(size_t)s * input->seq + row] : -1;
  const char *piece = token >= 0 && client->vocabulary ? client->vocabulary[token] : "";
  tw_print_line("%d.%d: %s  %s", tw_text_number(r, s), row + 1, text, piece);
}

void tw_rows_left_print(const tw_result *r, int sequence, int rows, const char *path) {
  int left = rows - TW_ROWS_SHOWN;
  if (left > 0)
    tw_print_line("%d: %d more row%s, in %s (values[%d])", tw_text_number(r, sequence), left, left == 1 ? "" : "s",
                  path, sequence);
}

tw_status tw_labels_print(const tw_result *r, const tw_client *client, const tw_input *input, const char *path) {
  double *values;
  if (client->config.head.kind == TW_HEAD_WORDS) return TW_OK;  // no labels, but words
  if (client->labels.count != r->cols)
    return tw_fail(TW_ERR_MISMATCH,
                   "the result has %d logits a row, the client's file names %d labels; take the files "
                   "of one model",
                   r->cols, client->labels.count);
  TW_TRY(tw_alloc((size_t)r->cols * sizeof *values, (void **)&values));
  for (int s = 0; s < r->count; s++) {
    int rows = r->rows == 1 ? 1 : r->lengths[s];
    for (int row = 0; row < rows && row < TW_ROWS_SHOWN; row++) print_row(r, client, input, s, row, values);
    tw_rows_left_print(r, s, rows, path);
  }
  tw_free(values);
  return TW_OK;
}
