#include "jobs/parties/share_input.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/model_id.h"
#include "io/new_files.h"
#include "kernels/pack.h"

int tw_input_bits(const tw_plan *plan) {
  int bits = tw_plan_number_bits(plan);
  return bits ? bits : TW_INPUT_RING;
}

int64_t tw_fixed_value(double value) { return (int64_t)rint(ldexp(value, TW_INPUT_SCALE)); }

void tw_input_integers(const tw_plan *plan, const tw_input *input, uint64_t *out) {
  size_t n = (size_t)input->count * tw_plan_input_elements(plan);
  for (size_t j = 0; j < n; j++)
    out[j] = tw_plan_number_bits(plan) ? (uint64_t)input->tokens[j]
                                       : (uint64_t)tw_fixed_value((double)input->values[j]) & tw_mask(TW_INPUT_RING);
}

void tw_input_split(const tw_plan *plan, size_t n, const uint64_t *of_party_0, uint64_t *x) {
  bool numbers = tw_plan_number_bits(plan) != 0;
  for (size_t j = 0; j < n; j++)
    x[j] = numbers ? x[j] ^ of_party_0[j] : (x[j] - of_party_0[j]) & tw_mask(TW_INPUT_RING);
}

// ---- what a plan takes

static tw_status check_rows(const tw_input *input, const tw_plan *plan) {
  double bound = plan->bounds[0].residual;
  size_t n = (size_t)input->seq * (size_t)input->hidden;
  for (size_t j = 0; j < (size_t)input->count * n; j++)
    if (!(fabs((double)input->values[j]) <= bound))
      return tw_fail(
          TW_ERR_RANGE,
          "sequence %zu, token %zu, element %zu is %g, past the plan's bound of %g; make a plan with a larger bound",
          j / n, j % n / (size_t)input->hidden, j % (size_t)input->hidden, (double)input->values[j], bound);
  return TW_OK;
}

static tw_status check_ids(const tw_input *input, const tw_plan *plan) {
  size_t seq = (size_t)input->seq;
  int vocab = plan->shape.config.vocab;
  for (size_t j = 0; j < (size_t)input->count * seq; j++)
    if (input->tokens[j] < 0 || input->tokens[j] >= vocab)
      return tw_fail(
          TW_ERR_RANGE,
          "sequence %zu, token %zu has id %d, the model's words are 0 .. %d; encode with the client's file of "
          "this model",
          j / seq, j % seq, input->tokens[j], vocab - 1);
  return TW_OK;
}

tw_status tw_input_check(const tw_input *input, const tw_plan *plan) {
  bool embed = tw_config_parties_embed(&plan->shape.config);
  int hidden = embed ? 0 : plan->shape.config.hidden;
  if (embed && (input->hidden || !input->tokens))
    return tw_fail(TW_ERR_MISMATCH,
                   "the input holds embedded rows, but this plan's parties embed tokens themselves; encode again with "
                   "the client's file of this model");
  if (!embed && !input->hidden)
    return tw_fail(
        TW_ERR_MISMATCH,
        "the input holds token ids alone, but this plan's client embeds them; encode again with the client's "
        "file of this model");
  if (input->seqs)
    return tw_fail(TW_ERR_MISMATCH,
                   "the input is for a plan with several lengths, this one has one; encode again with this plan");
  if (input->seq != plan->shape.seq || input->hidden != hidden)
    return tw_fail(TW_ERR_MISMATCH,
                   "the input is [%d tokens][%d wide], the plan wants [%d][%d]; encode again with this plan",
                   input->seq, input->hidden, plan->shape.seq, hidden);
  if (input->prefix.rows != plan->prefix.rows || strcmp(input->prefix.digest.hex, plan->prefix.digest.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "the input was encoded behind %s of %d tokens, the plan has %s of %d; encode again with this plan",
                   input->prefix.rows ? "a prefix" : "no prefix, that is,", input->prefix.rows,
                   plan->prefix.rows ? "one" : "none, that is,", plan->prefix.rows);
  if (input->after.hex[0] && !plan->shape.earlier)
    return tw_fail(TW_ERR_MISMATCH,
                   "the input goes on behind %s, but this plan has no conversations (--conversation); encode with the "
                   "plan of that turn (--model)",
                   input->after_name);
  return embed ? check_ids(input, plan) : check_rows(input, plan);
}

// ---- the split

static tw_status allocate(const tw_input *input, const tw_plan *plan, int party, tw_input_share *share) {
  void *memory;
  *share = (tw_input_share){.count = input->count,
                            .seq = input->seq,
                            .hidden = input->hidden,
                            .number_bits = tw_plan_number_bits(plan),
                            .input_id = input->input_id,
                            .after = input->after,
                            .goes_on = input->goes_on,
                            .party = party,
                            .plan = plan->digest};
  TW_TRY(tw_alloc(sizeof(int) * (size_t)input->count, &memory));
  share->lengths = memory;
  memcpy(share->lengths, input->lengths, sizeof(int) * (size_t)input->count);
  TW_TRY(tw_share_alloc(8 * tw_input_share_elements(share), &memory));
  share->share = memory;
  return TW_OK;
}

tw_status tw_share_input(const tw_input *input, const tw_plan *plan, const tw_id *model_id, tw_input_share out[2]) {
  memset(out, 0, 2 * sizeof *out);
  TW_TRY(tw_input_check(input, plan));
  tw_status status = TW_OK;
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    status = allocate(input, plan, party, &out[party]);
    out[party].model_id = *model_id;
  }
  if (status != TW_OK) {
    tw_input_share_free(&out[0]);
    tw_input_share_free(&out[1]);
    return status;
  }
  size_t n = tw_input_share_elements(&out[0]);
  randombytes_buf(out[0].share, 8 * n);
  for (size_t j = 0; j < n; j++) out[0].share[j] &= tw_mask(tw_input_bits(plan));
  tw_input_integers(plan, input, out[1].share);
  tw_input_split(plan, n, out[0].share, out[1].share);
  tw_wipe_stack();
  return TW_OK;
}

// ---- files

static tw_status write_input(tw_new_files *places, const tw_input_share shares[2]) {
  TW_TRY(tw_new_files_begin(places));
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_input_share_write(places->path[party].text, &shares[party]));
    places->written[party] = true;
  }
  return TW_OK;
}

static tw_status split_input(const char *name, const char *model, const tw_input *input, tw_input_share shares[2]) {
  tw_id model_id;
  tw_plan plan;
  TW_TRY(tw_plan_read_of(model, name, &plan));
  tw_status status = tw_model_id_read(tw_path_of(model ? model : name, "model.json").text, &model_id);
  if (status == TW_OK) status = tw_share_input(input, &plan, &model_id, shares);
  tw_plan_free(&plan);
  return status;
}

tw_status tw_share_input_files(const char *name, const char *model, const tw_input *input, bool force,
                               const char *const endings[2], tw_id *input_id) {
  char suffix[2][32];
  const char *const suffixes[] = {suffix[0], suffix[1]};
  for (int party = 0; party < 2; party++)
    snprintf(suffix[party], sizeof suffix[party], "input.p%d.h5%s", party, endings ? endings[party] : "");
  tw_new_files places;
  tw_input_share shares[2];
  TW_TRY(tw_new_files_check(&places, name, suffixes, 2, force));
  TW_TRY(split_input(name, model, input, shares));
  *input_id = shares[0].input_id;
  tw_status status = tw_new_files_end(&places, write_input(&places, shares));
  for (int party = 0; party < 2; party++) tw_input_share_free(&shares[party]);
  return status;
}
