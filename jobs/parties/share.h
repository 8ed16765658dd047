// Splitting a model between the two parties and the dealer. Done by its owner, never by a party.
#ifndef TW_SHARE_H
#define TW_SHARE_H

#include "io/model.h"
#include "jobs/plan/plan.h"
#include "kernels/prg.h"

// W^ = W + p_0 + p_1 mod 2^64 with fresh OS-random mask seeds; 1/sqrt(head_dim)'s odd part is folded into W_Q and b_Q.
tw_status tw_share_model(const tw_model *model, tw_model_share out[2], tw_model_dealer *dealer);

// The same with given seeds (benchmarks, which agree on TEST seeds).
tw_status tw_share_model_with(const tw_model *model, const tw_seed seeds[2], tw_model_share out[2],
                              tw_model_dealer *dealer);

// The integer tensors a share encodes, before masking: count arrays, each rows * cols (emulator, tests). Free with
// tw_fixed_free.
tw_status tw_fixed_tensors(const tw_model *model, uint64_t ***out);
void tw_fixed_free(uint64_t **tensors, int count);

#endif
