// The results of an input: one run's, or one for each length that the input has.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/input_lengths.h"
#include "jobs/parties/reveal.h"
#include "jobs/parties/reveal_one.h"
#include "jobs/plan/lengths.h"

static tw_status check_alike(const tw_result *a, const tw_result *b) {
  if (strcmp(a->model_id.hex, b->model_id.hex) == 0 && strcmp(a->output, b->output) == 0 && a->cols == b->cols &&
      a->normalised == b->normalised && !a->out_of_bound == !b->out_of_bound)
    return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "results of two lengths are of two models or outputs; take the files of one input");
}

static tw_status allocate(const tw_result *parts, int count, tw_result *out) {
  *out = parts[0];
  out->origins = (tw_origins){NULL};
  out->lengths = NULL;
  out->values = NULL;
  out->out_of_bound = NULL;
  for (int k = 1; k < count; k++) {
    TW_TRY(check_alike(&parts[0], &parts[k]));
    out->count += parts[k].count;
    if (parts[k].rows > out->rows) out->rows = parts[k].rows;
  }
  size_t n = (size_t)out->count;
  const tw_origins *o = &parts[0].origins;
  TW_TRY(tw_alloc(sizeof *out->lengths * n, (void **)&out->lengths));
  TW_TRY(tw_alloc(sizeof *out->values * n * out->rows * out->cols, (void **)&out->values));
  TW_TRY(tw_alloc(sizeof *out->origins.texts * n, (void **)&out->origins.texts));
  if (o->chunks) TW_TRY(tw_alloc(sizeof *o->chunks * n, (void **)&out->origins.chunks));
  if (o->lines) TW_TRY(tw_alloc(sizeof *o->lines * n, (void **)&out->origins.lines));
  if (o->ids) TW_TRY(tw_alloc(sizeof *o->ids * n, (void **)&out->origins.ids));
  return parts[0].out_of_bound ? tw_alloc(sizeof *out->out_of_bound * n, (void **)&out->out_of_bound) : TW_OK;
}

// Sequence s of `part` as sequence `at`. Rows that a shorter program has not are zeros.
static void put(tw_result *part, int s, tw_result *out, int at) {
  size_t own = (size_t)part->rows * part->cols, each = (size_t)out->rows * out->cols;
  out->lengths[at] = part->lengths[s];
  memcpy(out->values + (size_t)at * each, part->values + (size_t)s * own, own * sizeof *out->values);
  out->origins.texts[at] = part->origins.texts[s];
  if (out->origins.chunks) out->origins.chunks[at] = part->origins.chunks[s];
  if (out->origins.lines) out->origins.lines[at] = part->origins.lines[s];
  if (out->out_of_bound) out->out_of_bound[at] = part->out_of_bound[s];
  if (out->origins.ids) {
    out->origins.ids[at] = part->origins.ids[s];
    part->origins.ids[s] = NULL;
  }
}

// The runs' ids as one.
static void name_runs(const tw_result *parts, int count, tw_id *out) {
  char text[TW_MOST_LENGTHS * sizeof out->hex] = "";
  tw_digest all;
  if (count == 1) return;
  for (int k = 0, used = 0; k < count; k++)
    used += snprintf(text + used, sizeof text - (size_t)used, "%s", parts[k].run_id.hex);
  tw_digest_of(text, strlen(text), &all);
  memcpy(out->hex, all.hex, sizeof out->hex - 1);
}

static tw_status join(tw_result *parts, int count, tw_result *out) {
  tw_status status = allocate(parts, count, out);
  for (int k = 0, at = 0; k < count && status == TW_OK; k++)
    for (int s = 0; s < parts[k].count; s++) put(&parts[k], s, out, at++);
  name_runs(parts, count, &out->run_id);
  if (status != TW_OK) tw_result_free(out);
  return status;
}

static tw_status reveal_length(const char *name, const char *model, const tw_input *input, int seq, tw_result *out) {
  tw_input own;
  bool with_input;
  TW_TRY(tw_input_of_length(input, seq, &own));
  tw_status status = tw_reveal_one(tw_length_name(name, seq).text, name, model, &own, out, &with_input);
  tw_input_free(&own);
  return status;
}

static tw_status reveal_lengths(const char *name, const char *model, const tw_input *input, tw_result *out) {
  tw_result parts[TW_MOST_LENGTHS] = {{.count = 0}};
  int count = 0;
  tw_status status = TW_OK;
  for (int s = 0; s < input->count && status == TW_OK; s++) {
    if (s && input->seqs[s] == input->seqs[s - 1]) continue;
    if (count == TW_MOST_LENGTHS)
      status = tw_fail(TW_ERR_FORMAT, "%s.input.h5: more than %d lengths, or not in their order", name, count);
    else if ((status = reveal_length(name, model, input, input->seqs[s], &parts[count])) == TW_OK)
      count++;
  }
  if (status == TW_OK) status = join(parts, count, out);
  for (int k = 0; k < count; k++) tw_result_free(&parts[k]);
  return status;
}

tw_status tw_reveal(const char *name, const char *model, tw_result *out, bool *with_input) {
  tw_path path = tw_path_of(name, "input.h5");
  tw_input input = {.count = 0};
  *out = (tw_result){.count = 0};
  if (tw_path_exists(&path)) TW_TRY(tw_input_read(path.text, &input));
  *with_input = input.seqs != NULL;
  tw_status status =
      input.seqs ? reveal_lengths(name, model, &input, out) : tw_reveal_one(name, name, model, NULL, out, with_input);
  tw_input_free(&input);
  return status;
}
