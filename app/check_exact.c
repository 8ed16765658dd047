#include "app/check_exact.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/emulate_turns.h"
#include "jobs/parties/input_lengths.h"
#include "jobs/parties/reveal.h"
#include "jobs/plan/lengths.h"

// A batch of a run: rows[i] of the run is sequence i of it, by this key slot.
typedef struct {
  int count, *rows;
  uint64_t *slots;
  const char *transcript;
} batch;

static void compare_row(const tw_result_share pair[2], int row, const int64_t *emulated, size_t before,
                        tw_exact_verdict *v) {
  size_t each = (size_t)pair[0].rows * pair[0].cols;
  for (size_t i = 0; i < each; i++) {
    size_t at = (size_t)row * each + i;
    int64_t y = tw_result_integer(pair, at);
    if (y == emulated[i]) continue;
    if (v->differ++ && before + at > v->first) continue;
    v->first = before + at;
    v->first_private = y;
    v->first_emulated = emulated[i];
  }
  v->values += each;
}

// before: sequences of the runs before, from which elements and sequences are counted on. A row that an earlier batch
// has finished, too, has its values from there.
static void compare_batch(const tw_result_share pair[2], const batch *b, const tw_emulation *e, int before,
                          tw_exact_verdict *v) {
  size_t each = (size_t)pair[0].rows * pair[0].cols;
  if (e->out_of_bound && !v->out_of_bound) memcpy(v->where, e->first_out_of_bound, sizeof v->where);
  v->out_of_bound += e->out_of_bound;
  v->transcripts++;
  v->different += strcmp(b->transcript, e->transcript) != 0;
  for (int i = 0; i < b->count; i++) {
    int row = b->rows[i];
    if (b->slots[i] != pair[0].slots[row]) continue;
    if (pair[0].guard && v->guard < 0 && tw_result_guard(pair, row) != e->guard[i]) v->guard = before + row;
    compare_row(pair, row, e->output + (size_t)i * each, (size_t)before * each, v);
  }
}

static tw_status match_plan(const tw_plan *plan, const tw_result_share *r) {
  if (strcmp(plan->digest.hex, r->plan.hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "the run was made with plan %s, the plan file is %s; put the run's plan there",
                 r->plan.hex, plan->digest.hex);
}

typedef struct {
  const char *name, *of;
  const tw_model *model;
  const tw_prefix *prefix;
  const tw_id *run;
  uint64_t seed;
  int sequences;  // of the runs before
} emulated;

static tw_status emulate_batch(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                               const batch *b, tw_exact_verdict *verdict) {
  tw_emulation e;
  TW_TRY(tw_emulate_turns(plan, w->model, w->prefix, input, b->slots, w->seed, &e));
  compare_batch(pair, b, &e, w->sequences, verdict);
  tw_emulation_free(&e);
  return TW_OK;
}

static tw_status emulate_part(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                              const batch *b, tw_exact_verdict *verdict) {
  tw_input own;
  TW_TRY(tw_input_of_rows(input, b->rows, b->count, &own));
  tw_status status = emulate_batch(w, plan, &own, pair, b, verdict);
  tw_input_free(&own);
  return status;
}

// As they ran: each batch for itself.
static tw_status emulate_batches(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                                 tw_exact_verdict *verdict) {
  const tw_result_share *r = &pair[0];
  const tw_batch_list *list = &r->batches;
  int most = list->count ? list->row_count : r->count, at = 0;
  batch b = {.transcript = r->transcript};
  TW_TRY(tw_alloc(sizeof *b.rows * (size_t)most, (void **)&b.rows));
  tw_status status = tw_alloc(sizeof *b.slots * (size_t)most, (void **)&b.slots);
  if (status == TW_OK && !list->count) {
    b.count = r->count;
    for (int i = 0; i < r->count; i++) b.rows[i] = i;
    memcpy(b.slots, r->slots, sizeof *b.slots * (size_t)r->count);
    status = emulate_batch(w, plan, input, pair, &b, verdict);
  }
  for (int n = 0; n < list->count && status == TW_OK; n++) {
    b.transcript = list->transcripts[n];
    for (b.count = 0; at < list->row_count && list->rows[at].batch == n; at++) {
      b.rows[b.count] = list->rows[at].row;
      b.slots[b.count++] = list->rows[at].slot;
    }
    status = emulate_part(w, plan, input, pair, &b, verdict);
  }
  tw_free(b.rows);
  tw_free(b.slots);
  return status;
}

// The run whose files have this NAME, and its input.
static tw_status emulate_run(emulated *w, const char *name, const tw_input *input, tw_exact_verdict *verdict) {
  tw_result_share pair[2];
  tw_plan plan;
  TW_TRY(tw_result_pair_read(name, pair));
  tw_status status = TW_OK;
  if (strcmp(name, w->name) == 0 && strcmp(pair[0].run_id.hex, w->run->hex) != 0)
    status =
        tw_fail(TW_ERR_MISMATCH, "the result is of run %s, the parties' files are of run %s; run `twain reveal` again",
                w->run->hex, pair[0].run_id.hex);
  else if (!pair[0].test_keys)
    status = tw_fail(TW_ERR_USAGE,
                     "--exact needs a run on TEST keys (`twain deal --test-seed N`); this run's keys were real");
  if (status == TW_OK && (status = tw_plan_read_of(w->of, name, &plan)) == TW_OK) {
    status = match_plan(&plan, &pair[0]);
    verdict->told &= tw_result_has_transcript(&pair[0]);
    if (status == TW_OK) status = emulate_batches(w, &plan, input, pair, verdict);
    w->sequences += pair[0].count;
    tw_plan_free(&plan);
  }
  tw_result_pair_free(pair);
  return status;
}

// Every run of it, where it has several lengths.
static tw_status emulate(emulated *w, const tw_input *input, tw_exact_verdict *verdict) {
  *verdict = (tw_exact_verdict){.told = true, .guard = -1};
  if (!input->seqs) return emulate_run(w, w->name, input, verdict);
  for (int s = 0; s < input->count; s++) {
    tw_input own;
    if (s && input->seqs[s] == input->seqs[s - 1]) continue;
    TW_TRY(tw_input_of_length(input, input->seqs[s], &own));
    tw_status status = emulate_run(w, tw_length_name(w->name, input->seqs[s]).text, &own, verdict);
    tw_input_free(&own);
    TW_TRY(status);
  }
  return TW_OK;
}

tw_status tw_exact_compare(const char *name, const char *of, const tw_model *model, const tw_prefix *prefix,
                           const tw_id *run, uint64_t test_seed, tw_exact_verdict *out) {
  tw_input input;
  emulated work = {name, of, model, prefix, run, test_seed, 0};
  TW_TRY(tw_input_read(tw_path_of(name, "input.h5").text, &input));
  tw_status status = emulate(&work, &input, out);
  tw_input_free(&input);
  return status;
}

tw_status tw_exact_judge(const tw_exact_verdict *v) {
  if (v->differ)
    return tw_fail(
        TW_ERR_CHECK,
        "check failed: %zu of %zu outputs differ from the emulator, the first at element %zu: %lld, not %lld (if "
        "nearly all do: is --test-seed the number that the keys were dealt with?)",
        v->differ, v->values, v->first, (long long)v->first_private, (long long)v->first_emulated);
  if (v->told && v->different)
    return tw_fail(TW_ERR_CHECK,
                   "check failed: the outputs agree, but what the parties opened on the way is not what the emulator "
                   "has: %d of %d transcripts differ",
                   v->different, v->transcripts);
  if (v->guard >= 0)
    return tw_fail(TW_ERR_CHECK, "check failed: sequence %d counts other values out of bound than the emulator",
                   v->guard + 1);
  return TW_OK;
}

void tw_exact_print(const tw_exact_verdict *v) {
  char of[48] = "";
  if (v->transcripts > 1) snprintf(of, sizeof of, ", of %d batches", v->transcripts);
  printf("\nexact: %zu of %zu outputs equal the emulator's, transcript %s%s\n", v->values - v->differ, v->values,
         !v->told       ? "of several inputs, or of batches by an earlier twain, not compared"
         : v->different ? "DIFFERENT"
                        : "equal",
         v->told ? of : "");
  if (v->out_of_bound)
    printf("out of bound: %llu values, first in %s; plan with larger bounds (`twain plan --calibrate`)\n",
           (unsigned long long)v->out_of_bound, v->where);
}

json_t *tw_exact_json(const tw_exact_verdict *v) {
  return json_pack("{s:I, s:I, s:o, s:i, s:I, s:s}", "outputs", (json_int_t)v->values, "outputs_that_differ",
                   (json_int_t)v->differ, "transcript_equal", v->told ? json_boolean(!v->different) : json_null(),
                   "transcripts", v->told ? v->transcripts : 0, "out_of_bound", (json_int_t)v->out_of_bound,
                   "first_out_of_bound", v->where);
}
