// Text that a decoder writes (protocols, section 8): the largest logit's word is the next row's, all in one program.
#ifndef TW_GENERATE_H
#define TW_GENERATE_H

#include "jobs/models/head.h"

// From the rows x of a sequence's words on: `shape->generated` words more, numbers [generated] of the vocabulary at
// scale 0, the program's first result. Behind a word that ends the text (the model's config) all are that word. Each
// layer's K and V of all rows stay wires; a word's row takes part in the products with them alone. Of a conversation
// (shape->earlier) the program has one input more, shares of K and V of earlier turns' rows, layer by layer K
// [kv_heads][head_dim][earlier] and V [kv_heads][earlier][head_dim], mod 2^64 but valid in the ring of their result;
// and 2 results a layer more, K and V of all rows, [..][columns] in the order of tw_kept: words that were written but
// the last, newest first; prefix; earlier rows; the sequence's own. TW_ERR_USAGE: a layer's window is shorter than what
// a conversation's turn reads.
void tw_build_generated(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, const tw_head_rings *head,
                        int x);
// Elements of one layer's K, or V, of earlier turns: rows times width.
size_t tw_conversation_elements(const tw_layer_shape *shape);

#endif
