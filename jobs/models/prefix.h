// A fixed prefix (docs/design/protocols.md, section 8): the first tokens of all sequences. Under a causal mask the keys
// and values of their rows are constants of the model: they are shared with it, as cached wires, and no run computes
// them.
#ifndef TW_MODELS_PREFIX_H
#define TW_MODELS_PREFIX_H

#include "io/client.h"
#include "io/prefix.h"
#include "jobs/models/blocks.h"

// Integers of a prefix's cached tensors (io/tensors.h: tw_shared_count), layer by layer keys and values, each
// [rows][kv_heads * head_dim], from the float model with its own weights: keys at the rings' query_scale, values at
// TW_SCALE, mod 2^64. TW_ERR_RANGE: a key or value beyond the layer's bounds; the model's words do not hold an id.
// *out: TW_CACHED_TENSORS * layers arrays, free with tw_cached_free.
tw_status tw_cached_integers(const tw_model *model, const tw_prefix *prefix, const tw_bounds *bounds,
                             const tw_rings *rings, uint64_t ***out);
void tw_cached_free(uint64_t **tensors, int count);

// What a share of the model holds of a plan's prefix: the plan's digest of it, and the scales of its keys.
tw_prefix_facts tw_cached_facts(const tw_prefix_facts *plan, const tw_rings *rings, int layers);

// Sequence `s` of an input in the float model, behind the prefix, which may be NULL, and the tokens of earlier turns:
// tw_float_forward of its live rows. x: room for the rows of all of them; the live rows' results come to its beginning.
tw_status tw_float_sequence(const tw_model *model, const tw_prefix *prefix, const tw_input *input, int s, int quantised,
                            double *x, tw_bounds *bounds);

#endif
