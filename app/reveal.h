// Both parties' result files together.
#ifndef TW_APP_REVEAL_H
#define TW_APP_REVEAL_H

#include "io/result.h"

// NAME.result.p0.h5 and .p1.h5; TW_ERR_MISMATCH unless they come from one run and agree. Free with tw_result_pair_free.
tw_status tw_result_pair_read(const char *name, tw_result_share pair[2]);
void tw_result_pair_free(tw_result_share pair[2]);

// Element i as an integer at the output's scale: Y^ - r_0 - r_1, signed mod 2^ring.
int64_t tw_result_integer(const tw_result_share pair[2], size_t i);
// Values out of bound that the guard counted in a sequence; of a run with a guard.
uint64_t tw_result_guard(const tw_result_share pair[2], int sequence);

#endif
