// How 1/sqrt(d_head) enters the logits. Its power of two goes into the logits' scale; what is left (1, or 2^-1/2 and
// 2^1/2) is folded into W_Q and b_Q before they are rounded. Both the parties' model and the float model use this.
#ifndef TW_FOLD_H
#define TW_FOLD_H

#include "io/tensors.h"

// f = 2^(*shift) / sqrt(head_dim), *shift = round(log2(sqrt(head_dim))), halves to even:
// q k / sqrt(head_dim) = (f q) k / 2^(*shift). 1 and 0 where the model does not scale its logits.
double tw_query_fold(const tw_model_config *config, int *shift);

// What a tensor's first *columns columns are multiplied with before they are rounded; none where it makes no queries.
double tw_tensor_fold(const tw_model_config *config, const tw_tensor_entry *entry, size_t *columns);

#endif
