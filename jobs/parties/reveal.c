#include "jobs/parties/reveal.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/client.h"
#include "io/new_files.h"
#include "jobs/models/float_model.h"
#include "jobs/parties/beside.h"
#include "jobs/parties/reveal_one.h"
#include "jobs/plan/plan.h"

static tw_status differ(const char *what, const char *a, const char *b) {
  return tw_fail(TW_ERR_MISMATCH, "the two result files differ in %s: %s and %s; take both files of one run", what, a,
                 b);
}

static tw_status compare_ids(const tw_result_share *a, const tw_result_share *b) {
  if (strcmp(a->run_id.hex, b->run_id.hex) != 0) return differ("run_id", a->run_id.hex, b->run_id.hex);
  if (strcmp(a->model_id.hex, b->model_id.hex) != 0) return differ("model_id", a->model_id.hex, b->model_id.hex);
  if (strcmp(a->key_id.hex, b->key_id.hex) != 0) return differ("key_id", a->key_id.hex, b->key_id.hex);
  if (strcmp(a->input_id.hex, b->input_id.hex) != 0) return differ("input_id", a->input_id.hex, b->input_id.hex);
  if (strcmp(a->plan.hex, b->plan.hex) != 0) return differ("plan", a->plan.hex, b->plan.hex);
  if (strcmp(a->output, b->output) != 0) return differ("output", a->output, b->output);
  if (a->normalise != b->normalise) return differ("normalise", a->normalise ? "1" : "0", b->normalise ? "1" : "0");
  if (strcmp(a->transcript, b->transcript) != 0) return differ("transcript", a->transcript, b->transcript);
  return TW_OK;
}

static bool same_batches(const tw_batch_list *a, const tw_batch_list *b) {
  if (a->count != b->count || a->row_count != b->row_count) return false;
  for (int i = 0; i < a->row_count; i++)
    if (a->rows[i].batch != b->rows[i].batch || a->rows[i].row != b->rows[i].row || a->rows[i].slot != b->rows[i].slot)
      return false;
  return true;
}

static tw_status compare(const tw_result_share *a, const tw_result_share *b) {
  TW_TRY(compare_ids(a, b));
  if (a->count != b->count || a->rows != b->rows || a->cols != b->cols || a->ring_bits != b->ring_bits ||
      a->scale != b->scale)
    return tw_fail(TW_ERR_MISMATCH,
                   "the two result files differ in shape: [%d][%d][%d] mod 2^%d at scale %d, and [%d][%d][%d] mod 2^%d "
                   "at scale %d",
                   a->count, a->rows, a->cols, a->ring_bits, a->scale, b->count, b->rows, b->cols, b->ring_bits,
                   b->scale);
  size_t n = (size_t)a->count * a->rows * a->cols;
  if (memcmp(a->lengths, b->lengths, sizeof(int) * (size_t)a->count) != 0 ||
      memcmp(a->slots, b->slots, 8 * (size_t)a->count) != 0)
    return tw_fail(TW_ERR_MISMATCH, "the two result files differ in lengths or key slots; take both files of one run");
  if (!same_batches(&a->batches, &b->batches))
    return tw_fail(TW_ERR_MISMATCH, "the two result files differ in batches; take both files of one run");
  if (a->guard != b->guard || memcmp(a->masked, b->masked, 8 * n) != 0 ||
      (a->guard && memcmp(a->guard_masked, b->guard_masked, 8 * (size_t)a->count) != 0))
    return tw_fail(TW_ERR_MISMATCH,
                   "the two result files hold different masked values: one of them was changed, or a party's memory or "
                   "network failed");
  return TW_OK;
}

tw_status tw_result_pair_read(const char *name, tw_result_share pair[2]) {
  for (int party = 0; party < 2; party++) {
    tw_path path = tw_path_of(name, party ? "result.p1.h5" : "result.p0.h5");
    tw_status status = tw_result_share_read(path.text, party, &pair[party]);
    if (status != TW_OK) {
      if (party) tw_result_share_free(&pair[0]);
      return status;
    }
  }
  tw_status status = compare(&pair[0], &pair[1]);
  if (status != TW_OK) tw_result_pair_free(pair);
  return status;
}

void tw_result_pair_free(tw_result_share pair[2]) {
  tw_result_share_free(&pair[0]);
  tw_result_share_free(&pair[1]);
}

int64_t tw_result_integer(const tw_result_share pair[2], size_t i) {
  int unused = 64 - pair[0].ring_bits;
  uint64_t y = pair[0].masked[i] - pair[0].mask[i] - pair[1].mask[i];
  return (int64_t)(y << unused) >> unused;
}

uint64_t tw_result_guard(const tw_result_share pair[2], int sequence) {
  return (pair[0].guard_masked[sequence] - pair[0].guard_mask[sequence] - pair[1].guard_mask[sequence]) & 0xffffffff;
}

// A pooled output is a sum over live tokens.
static tw_status join(const tw_result_share pair[2], tw_result *out) {
  const tw_result_share *r = &pair[0];
  size_t each = (size_t)r->rows * r->cols;
  *out = (tw_result){.model_id = r->model_id,
                     .input_id = r->input_id,
                     .run_id = r->run_id,
                     .normalised = r->normalise,
                     .count = r->count,
                     .rows = r->rows,
                     .cols = r->cols};
  memcpy(out->output, r->output, sizeof out->output);
  if (r->guard) {
    TW_TRY(tw_alloc(sizeof(int64_t) * (size_t)r->count, (void **)&out->out_of_bound));
    for (int s = 0; s < r->count; s++) out->out_of_bound[s] = (int64_t)tw_result_guard(pair, s);
  }
  TW_TRY(tw_alloc(sizeof(int) * (size_t)r->count, (void **)&out->lengths));
  TW_TRY(tw_alloc(sizeof(double) * (size_t)r->count * each, (void **)&out->values));
  bool pooled = strcmp(r->output, "pooled") == 0;
  for (int s = 0; s < r->count; s++) {
    out->lengths[s] = r->lengths[s];
    double divisor = ldexp(pooled ? r->lengths[s] : 1, r->scale);
    for (size_t i = s * each; i < (s + 1) * each; i++) out->values[i] = (double)tw_result_integer(pair, i) / divisor;
    for (int row = 0; r->normalise && row < r->rows; row++)
      tw_unit_length(out->values + s * each + (size_t)row * r->cols, r->cols);
  }
  return TW_OK;
}

int tw_result_first_bad(const tw_result *r) {
  for (int s = 0; r->out_of_bound && s < r->count; s++)
    if (r->out_of_bound[s] != 0) return s;
  return -1;
}

// What the result files say of themselves is what the plan makes of a run.
static tw_status compare_with_plan(const tw_result_share *r, const tw_plan *plan) {
  const tw_program *p = &plan->program;
  const tw_tensor *t = &p->tensors[p->outputs[0]];
  int rows, cols;
  bool scales = tw_config_scales(&plan->shape.config, plan->output);
  tw_plan_output_shape(plan, &rows, &cols);
  if (r->guard == (p->guard >= 0) && r->rows == rows && r->cols == cols && r->ring_bits == t->ring &&
      r->scale == t->scale && r->normalise == scales && strcmp(r->output, tw_output_name(plan->output)) == 0)
    return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "the result files differ from their plan: output %s [%d][%d] mod 2^%d at scale %d, %s, %s; the plan "
                 "has %s [%d][%d] mod 2^%d at scale %d, %s, %s; take the files as the run wrote them",
                 r->output, r->rows, r->cols, r->ring_bits, r->scale, r->normalise ? "scaled to length 1" : "as it is",
                 r->guard ? "with a guard" : "without a guard", tw_output_name(plan->output), rows, cols, t->ring,
                 t->scale, scales ? "scaled to length 1" : "as it is",
                 p->guard >= 0 ? "with a guard" : "without a guard");
}

// Where the sequences come from is in the input alone.
static tw_status take_origins(const char *name, const tw_result_share *r, const tw_input *input, tw_origins *origins) {
  bool same = input->count == r->count && memcmp(input->lengths, r->lengths, sizeof(int) * (size_t)r->count) == 0;
  if (same) return tw_origins_copy(&input->origins, r->count, origins);
  return tw_fail(TW_ERR_MISMATCH,
                 "%s.input.h5: has other lengths than the result files; take the files as the run wrote them", name);
}

static tw_status take_own_origins(const char *name, const tw_result_share *r, tw_origins *origins) {
  tw_input input;
  TW_TRY(tw_input_read(tw_path_of(name, "input.h5").text, &input));
  tw_status status = take_origins(name, r, &input, origins);
  tw_input_free(&input);
  return status;
}

static tw_status check_plan(const char *name, const char *model, const tw_result_share *r) {
  tw_path path = tw_path_of(model, "plan.json");
  tw_plan plan;
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read_of(model, name, &plan));
  tw_status status = compare_with_plan(r, &plan);
  if (status == TW_OK && strcmp(plan.digest.hex, r->plan.hex) != 0)
    status = tw_fail(TW_ERR_MISMATCH, "%s: is plan %s, but the result is of plan %s; put the run's plan there",
                     path.text, plan.digest.hex, r->plan.hex);
  tw_plan_free(&plan);
  return status;
}

tw_status tw_result_judge(const tw_result *r, const char *name) {
  int worst = tw_result_first_bad(r), sequences = 0;
  if (worst < 0) return TW_OK;
  for (int s = 0; s < r->count; s++) {
    sequences += r->out_of_bound[s] != 0;
    if (r->out_of_bound[s] > r->out_of_bound[worst]) worst = s;
  }
  return tw_fail(TW_ERR_RANGE,
                 "%s: not to be trusted: values out of the plan's bounds in %d of %d sequences (most in sequence %d: "
                 "%lld; all of them: dataset out_of_bound), and arithmetic may have wrapped; plan again with bounds of "
                 "text like this (`twain plan --calibrate FILE`, or a larger --margin), then deal, share --input and "
                 "run again",
                 name, sequences, r->count, worst + 1, (long long)r->out_of_bound[worst]);
}

tw_status tw_reveal_one(const char *name, const char *of, const char *model, const tw_input *own, tw_result *out,
                        bool *with_input) {
  tw_result_share pair[2];
  tw_origins origins = {NULL};
  *out = (tw_result){.count = 0};
  TW_TRY(tw_result_pair_read(name, pair));
  const tw_result_share *r = &pair[0];
  int count = r->count;
  tw_status status = tw_beside_check(of, model, &r->input_id, &r->model_id, own ? NULL : &r->plan, with_input);
  if (status == TW_OK && own)
    status = take_origins(of, r, own, &origins);
  else if (status == TW_OK && *with_input)
    status = take_own_origins(of, r, &origins);
  if (status == TW_OK) status = check_plan(name, model, r);
  if (status == TW_OK) status = join(pair, out);
  tw_result_pair_free(pair);
  if (status != TW_OK) {
    tw_origins_free(&origins, count);
    tw_result_free(out);
  } else {
    out->origins = origins;
  }
  return status;
}
