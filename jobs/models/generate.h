// Text that a decoder writes (protocols, section 8): the largest logit's word is the next row's, all in one program.
#ifndef TW_GENERATE_H
#define TW_GENERATE_H

#include "jobs/models/head.h"

// From the opened numbers of a sequence's words on: `shape->generated` words more, numbers [generated] of the
// vocabulary, a SHARE of scale 0. Behind a word that ends the text (the model's config) all are that word.
// Each layer's K and V of all rows stay wires; a word's row takes part in the products with them alone.
// TW_ERR_USAGE: a layer's window is shorter than the text.
int tw_build_generated(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, const tw_head_rings *head,
                       int x);

#endif
