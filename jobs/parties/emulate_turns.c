#include "jobs/parties/emulate_turns.h"

#include <string.h>

#include "io/new_files.h"
#include "jobs/parties/reveal.h"

static tw_status check(const char *name, const tw_plan *plan, const tw_input *later, const tw_input *input,
                       const tw_result_share *r) {
  if (strcmp(input->input_id.hex, later->after.hex) != 0 || strcmp(r->input_id.hex, later->after.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s: input or result is not of the turn that this one goes on behind (input %s)",
                   name, later->after.hex);
  if (strcmp(r->plan.hex, plan->digest.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s: was run with plan %s, this turn with %s", name, r->plan.hex, plan->digest.hex);
  if (input->count == later->count) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "%s: %d sequences, this turn has %d", name, input->count, later->count);
}

static tw_status emulate_before(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix,
                                const tw_input *later, uint64_t test_seed, tw_emulation *out) {
  const char *name = later->after_name;
  tw_input input;
  tw_result_share pair[2];
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_input_read(tw_path_of(name, "input.h5").text, &input));
  tw_status status = tw_result_pair_read(name, pair);
  if (status == TW_OK) {
    status = check(name, plan, later, &input, &pair[0]);
    if (status == TW_OK) status = tw_emulate_turns(plan, model, prefix, &input, pair[0].slots, test_seed, out);
    tw_result_pair_free(pair);
  }
  tw_input_free(&input);
  return status;
}

tw_status tw_emulate_turns(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                           const uint64_t *slots, uint64_t test_seed, tw_emulation *out) {
  tw_emulation before;
  if (!input->after.hex[0]) return tw_emulate(plan, model, prefix, input, slots, test_seed, out);
  TW_TRY(emulate_before(plan, model, prefix, input, test_seed, &before));
  tw_status status = TW_OK;
  if (!before.kept) status = tw_fail(TW_ERR_MISMATCH, "%s: its conversation ended with that turn", input->after_name);
  if (status == TW_OK) status = tw_emulate_turn(plan, model, prefix, input, &before, slots, test_seed, out);
  tw_emulation_free(&before);
  return status;
}
