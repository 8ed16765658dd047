// Splitting a model between the two parties and the dealer. Done by its owner, never by a party.
#ifndef TW_SHARE_H
#define TW_SHARE_H

#include "io/model_file.h"
#include "jobs/plan/plan.h"
#include "kernels/prg.h"

// A model between two parties in memory, with given seeds (benchmarks and tests, which agree on TEST seeds; owners'
// files: jobs/parties/share_model.h). W^ = W + p_0 + p_1 mod 2^64; 1/sqrt(head_dim)'s odd part is folded into W_Q and
// b_Q; rows of matrices in front of norms lose their means (jobs/models/fold.h).
tw_status tw_share_model_with(const tw_model *model, const tw_seed seeds[2], tw_model_share out[2],
                              tw_model_dealer *dealer);

// One party's share alone of a model that comes as a stream, and the dealer's part: no more of the model is in memory.
// All cores work on it, on stacks that are not hidden: TEST seeds.
tw_status tw_share_stream_with(const tw_model_stream *model, const tw_seed seeds[2], int party, tw_model_share *out,
                               tw_model_dealer *dealer);

// The integer tensors a share encodes, before masking: count arrays, each rows * cols (emulator, tests). Free with
// tw_fixed_free.
tw_status tw_fixed_tensors(const tw_model *model, uint64_t ***out);
void tw_fixed_free(uint64_t **tensors, int count);

// Parts of the above: integers of elements first .. first + n of tensor `number`, whole rows (TW_ERR_RANGE names the
// element that has none); both parties' masks of the same elements added to them, by way of room for n words; powers of
// two that hold gamma and beta of all norms, whose tensors are all that must have values.
tw_status tw_fix_values(const tw_model_config *config, int number, size_t first, size_t n, const float *values,
                        uint64_t *out);
void tw_mask_values(const tw_seed seeds[2], int number, size_t first, size_t n, uint64_t *mask, uint64_t *values);
void tw_bounds_of_norms(const tw_model *model, double *weight, double *bias);

#endif
