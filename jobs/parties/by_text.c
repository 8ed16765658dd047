#include "jobs/parties/by_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/float_model.h"

typedef struct {
  int text, sequence;
} place;

static int compare(const void *a, const void *b) {
  const place *x = a, *y = b;
  int order = (x->text > y->text) - (x->text < y->text);
  return order ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static bool are_tokens(const tw_result *r) {
  return strcmp(r->output, "text") == 0 || strcmp(r->output, "next-token") == 0;
}

static tw_status allocate(const tw_result *r, int count, tw_result *out) {
  out->count = count;
  TW_TRY(tw_alloc(sizeof *out->lengths * (size_t)count, (void **)&out->lengths));
  TW_TRY(tw_alloc(sizeof *out->values * (size_t)count * r->rows * r->cols, (void **)&out->values));
  if (r->out_of_bound) TW_TRY(tw_alloc(sizeof *out->out_of_bound * (size_t)count, (void **)&out->out_of_bound));
  if (r->origins.lines) TW_TRY(tw_alloc(sizeof(int) * (size_t)count, (void **)&out->origins.lines));
  return r->origins.ids ? tw_alloc(sizeof(char *) * (size_t)count, (void **)&out->origins.ids) : TW_OK;
}

static tw_status begin_text(const tw_result *r, int sequence, int text, tw_result *out) {
  if (out->origins.lines) out->origins.lines[text] = r->origins.lines[sequence];
  if (out->origins.ids && !(out->origins.ids[text] = strdup(r->origins.ids[sequence])))
    return tw_fail(TW_ERR_MEMORY, "out of memory for ids");
  return TW_OK;
}

// Sequences at[0 .. count - 1], all of one text.
static tw_status join(const tw_result *r, const place *at, int count, int text, tw_result *out) {
  size_t each = (size_t)r->rows * (size_t)r->cols;
  double *values = out->values + (size_t)text * each;
  if (count > 1 && (r->rows > 1 || are_tokens(r)))
    return tw_fail(TW_ERR_MISMATCH,
                   "%d sequences are of one text, and outputs '%s' of chunks are not made one; the file was changed",
                   count, r->output);
  TW_TRY(begin_text(r, at[0].sequence, text, out));
  for (int k = 0; k < count; k++) {
    int s = at[k].sequence;
    double weight = count > 1 ? r->lengths[s] : 1;
    out->lengths[text] += r->lengths[s];
    if (out->out_of_bound) out->out_of_bound[text] += r->out_of_bound[s];
    for (size_t i = 0; i < each; i++) values[i] += weight * r->values[(size_t)s * each + i];
  }
  for (size_t i = 0; count > 1 && i < each; i++) values[i] /= out->lengths[text];
  if (count > 1 && r->normalised) tw_unit_length(values, r->cols);
  return TW_OK;
}

static tw_status join_all(const tw_result *r, const place *places, int texts, tw_result *out, int *first) {
  TW_TRY(allocate(r, texts, out));
  for (int at = 0, text = 0; at < r->count; text++) {
    int end = at + 1;
    while (end < r->count && places[end].text == places[at].text) end++;
    first[text] = places[at].sequence;
    TW_TRY(join(r, places + at, end - at, text, out));
    at = end;
  }
  return TW_OK;
}

tw_status tw_result_by_text(const tw_result *r, tw_result *out, int *first) {
  place *places;
  int texts = 1;
  *out = *r;
  out->lengths = NULL;
  out->values = NULL;
  out->out_of_bound = NULL;
  out->origins = (tw_origins){NULL};
  TW_TRY(tw_alloc((size_t)r->count * sizeof *places, (void **)&places));
  for (int s = 0; s < r->count; s++) places[s] = (place){r->origins.texts ? r->origins.texts[s] : s, s};
  qsort(places, (size_t)r->count, sizeof *places, compare);
  for (int s = 1; s < r->count; s++) texts += places[s].text != places[s - 1].text;
  tw_status status = join_all(r, places, texts, out, first);
  tw_free(places);
  if (status != TW_OK) tw_result_free(out);
  return status;
}
