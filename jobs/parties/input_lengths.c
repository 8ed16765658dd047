#include "jobs/parties/input_lengths.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/plan/lengths.h"

static tw_status allocate(const tw_input *from, int count, int seq, tw_input *out) {
  size_t rows = (size_t)count * (size_t)seq;
  *out = (tw_input){
      .input_id = from->input_id, .count = count, .seq = seq, .hidden = from->hidden, .prefix = from->prefix};
  TW_TRY(tw_alloc(sizeof *out->lengths * (size_t)count, (void **)&out->lengths));
  TW_TRY(tw_alloc(sizeof *out->tokens * rows, (void **)&out->tokens));
  TW_TRY(tw_alloc(sizeof *out->texts * (size_t)count, (void **)&out->texts));
  TW_TRY(tw_alloc(sizeof *out->origins.texts * (size_t)count, (void **)&out->origins.texts));
  if (from->origins.chunks) TW_TRY(tw_alloc(sizeof(int) * (size_t)count, (void **)&out->origins.chunks));
  if (from->origins.lines) TW_TRY(tw_alloc(sizeof(int) * (size_t)count, (void **)&out->origins.lines));
  if (from->origins.ids) TW_TRY(tw_alloc(sizeof(char *) * (size_t)count, (void **)&out->origins.ids));
  if (from->types) TW_TRY(tw_alloc(sizeof *out->types * rows, (void **)&out->types));
  return from->values ? tw_alloc(sizeof *out->values * rows * (size_t)from->hidden, (void **)&out->values) : TW_OK;
}

static tw_status take_names(const tw_input *from, int s, tw_input *out, int at) {
  out->origins.texts[at] = from->origins.texts ? from->origins.texts[s] : s;
  if (out->origins.chunks) out->origins.chunks[at] = from->origins.chunks[s];
  if (out->origins.lines) out->origins.lines[at] = from->origins.lines[s];
  if (out->origins.ids && !(out->origins.ids[at] = strdup(from->origins.ids[s])))
    return tw_fail(TW_ERR_MEMORY, "out of memory for ids");
  out->texts[at] = strdup(from->texts[s]);
  return out->texts[at] ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for texts");
}

// Sequence which[i] of `from` as sequence i, its first seq tokens.
static tw_status take(const tw_input *from, const int *which, int count, int seq, tw_input *out) {
  TW_TRY(allocate(from, count, seq, out));
  for (int i = 0; i < count; i++) {
    size_t to = (size_t)i * (size_t)seq, at = (size_t)which[i] * (size_t)from->seq, n = (size_t)seq;
    TW_TRY(take_names(from, which[i], out, i));
    out->lengths[i] = from->lengths[which[i]];
    memcpy(out->tokens + to, from->tokens + at, n * sizeof *out->tokens);
    if (out->types) memcpy(out->types + to, from->types + at, n * sizeof *out->types);
    size_t h = (size_t)from->hidden;
    if (from->values) memcpy(out->values + to * h, tw_input_values(from, which[i]), n * h * sizeof *out->values);
  }
  return TW_OK;
}

typedef struct {
  int seq, length, sequence;
} place;

// The last chunk of a text is its shortest: the longest first keeps chunks of one program in their order.
static int compare(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->seq != y->seq) return x->seq < y->seq ? -1 : 1;
  if (x->length != y->length) return x->length > y->length ? -1 : 1;
  return x->sequence - y->sequence;
}

static tw_status arrange(const tw_plan *plan, const tw_input *in, place *places, int *order, tw_input *out) {
  for (int s = 0; s < in->count; s++) places[s] = (place){tw_plan_length_for(plan, in->lengths[s]), in->lengths[s], s};
  qsort(places, (size_t)in->count, sizeof *places, compare);
  for (int s = 0; s < in->count; s++) order[s] = places[s].sequence;
  TW_TRY(take(in, order, in->count, in->seq, out));
  if (!plan->length_count) return TW_OK;
  TW_TRY(tw_alloc(sizeof *out->seqs * (size_t)in->count, (void **)&out->seqs));
  for (int s = 0; s < in->count; s++) out->seqs[s] = places[s].seq;
  return TW_OK;
}

tw_status tw_input_arrange(const tw_plan *plan, tw_input *in) {
  place *places;
  int *order;
  tw_input out = {.count = 0};
  TW_TRY(tw_alloc(sizeof *places * (size_t)in->count, (void **)&places));
  tw_status status = tw_alloc(sizeof *order * (size_t)in->count, (void **)&order);
  if (status == TW_OK) {
    status = arrange(plan, in, places, order, &out);
    tw_free(order);
  }
  tw_free(places);
  tw_input_free(status == TW_OK ? in : &out);
  if (status == TW_OK) *in = out;
  return status;
}

int tw_input_count_of_length(const tw_input *in, int seq) {
  int count = 0;
  for (int s = 0; s < in->count; s++) count += (in->seqs ? in->seqs[s] : in->seq) == seq;
  return count;
}

tw_status tw_input_of_length(const tw_input *in, int seq, tw_input *out) {
  int *which, count = tw_input_count_of_length(in, seq), n = 0;
  *out = (tw_input){.count = 0};
  if (count == 0) return tw_fail(TW_ERR_MISMATCH, "the input has no sequence for the program of %d tokens", seq);
  TW_TRY(tw_alloc(sizeof *which * (size_t)count, (void **)&which));
  for (int s = 0; s < in->count; s++)
    if ((in->seqs ? in->seqs[s] : in->seq) == seq) which[n++] = s;
  tw_status status = take(in, which, count, seq, out);
  tw_free(which);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

tw_status tw_input_of_rows(const tw_input *in, const int *rows, int count, tw_input *out) {
  tw_status status = take(in, rows, count, in->seq, out);
  if (status != TW_OK) tw_input_free(out);
  return status;
}
