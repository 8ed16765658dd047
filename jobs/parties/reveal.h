// The client's last step: both parties' result files together.
#ifndef TW_REVEAL_H
#define TW_REVEAL_H

#include "io/result.h"

// NAME.result.p0.h5 and .p1.h5; TW_ERR_MISMATCH unless they come from one run and agree. Free with tw_result_pair_free.
tw_status tw_result_pair_read(const char *name, tw_result_share pair[2]);
void tw_result_pair_free(tw_result_share pair[2]);

// Element i as an integer at the output's scale: Y^ - r_0 - r_1, signed mod 2^ring.
int64_t tw_result_integer(const tw_result_share pair[2], size_t i);
// Values out of bound that the guard counted in a sequence; of a run with a guard.
uint64_t tw_result_guard(const tw_result_share pair[2], int sequence);

// Reads, compares and joins NAME's two files, which must be of NAME's input and of MODEL's model and plan as far as
// these files are there (jobs/parties/beside.h). *with_input: the input was. Free with tw_result_free.
tw_status tw_reveal(const char *name, const char *model, tw_result *out, bool *with_input);
// First sequence with values out of bound; -1: none was counted.
int tw_result_first_bad(const tw_result *r);
// TW_ERR_RANGE for a result with values out of bound. name: what the message calls it, a file.
tw_status tw_result_judge(const tw_result *r, const char *name);

#endif
