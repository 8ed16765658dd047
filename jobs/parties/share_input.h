// The client's split of an input between the two parties: embedded rows as additive shares, word numbers by XOR.
#ifndef TW_SHARE_INPUT_H
#define TW_SHARE_INPUT_H

#include "io/client.h"
#include "jobs/plan/plan.h"

// Shares of fresh OS randomness. TW_ERR_MISMATCH: the plan wants an input of another kind or shape. TW_ERR_RANGE names
// sequence and token of a value past the plan's bound on its input, or of an id that is no word of the model's.
tw_status tw_share_input(const tw_input *input, const tw_plan *plan, const tw_id *model_id, tw_input_share out[2]);

// What tw_share_input refuses.
tw_status tw_input_check(const tw_input *input, const tw_plan *plan);

// For MODEL.plan.json and MODEL.model.json (model NULL: NAME's): writes NAME.input.p0.h5 and NAME.input.p1.h5, both or
// none. force: files that are there are replaced, else they are TW_ERR_IO. *input_id: of the shares. endings: what is
// put behind each name, for files that the caller has sealed (tw_seal_path); NULL: nothing.
tw_status tw_share_input_files(const char *name, const char *model, const tw_input *input, bool force,
                               const char *const endings[2], tw_id *input_id);

// What is shared of a checked input: the integers of all its values, or its word numbers; as many as the input of the
// plan's program has elements, for every sequence.
void tw_input_integers(const tw_plan *plan, const tw_input *input, uint64_t *out);
// Party 1's share of integers x, in place, from party 0's: by XOR for word numbers, else mod 2^TW_INPUT_RING.
void tw_input_split(const tw_plan *plan, size_t n, const uint64_t *of_party_0, uint64_t *x);
// Bits of a share's elements.
int tw_input_bits(const tw_plan *plan);
// An element of a row as the integer that is shared.
int64_t tw_fixed_value(double value);

#endif
