// A revealed result by the client's texts: in their order, and of several chunks of a text one row.
#ifndef TW_BY_TEXT_H
#define TW_BY_TEXT_H

#include "io/result.h"

// One sequence for each text. Of several, the mean of their values with the live tokens as weights, scaled to length 1
// again where the result is; lengths: their sum; out_of_bound: their sum. first: [r->count], the sequence that a text
// begins with. TW_ERR_MISMATCH where several rows, or tokens, would have to be one. Free with tw_result_free.
tw_status tw_result_by_text(const tw_result *r, tw_result *out, int *first);

#endif
