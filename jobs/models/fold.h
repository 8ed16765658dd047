// What becomes of a model's numbers before they are rounded; the parties' model and the float model both use this.
//
// How 1/sqrt(d_head) enters the logits. Its power of two goes into the logits' scale; what is left (1, or 2^-1/2 and
// 2^1/2) is folded into W_Q and b_Q.
//
// How norms come to take no mean. Rows of a matrix whose outputs are added to what a norm reads, and its bias, lose
// their means, and so do the rows of a decoder's words and positions: then so do the outputs, whatever the inputs are,
// and the norm's own result stays (LN(x + c) = LN(x)).
#ifndef TW_FOLD_H
#define TW_FOLD_H

#include "io/tensors.h"

// f = 2^(*shift) / sqrt(head_dim), *shift = round(log2(sqrt(head_dim))), halves to even:
// q k / sqrt(head_dim) = (f q) k / 2^(*shift). 1 and 0 where the model does not scale its logits.
double tw_query_fold(const tw_model_config *config, int *shift);

// Whether this model's centred tensors lose the means of their rows: its architecture says.
bool tw_model_centres(const tw_model_config *config);

// Columns first .. first + count of one row of a tensor in units of 2^-scale: queries folded; and when rounded, the
// whole numbers that the parties share. Those of a row that is centred add up to zero, for which the ones that were
// rounded farthest go to their other neighbour: it is off by less than a unit, not by half of one. values: the whole
// row, [entry->cols(config)]; out [count].
void tw_tensor_columns(const tw_model_config *config, const tw_tensor_entry *entry, bool rounded, const float *values,
                       size_t first, size_t count, double *out);

#endif
