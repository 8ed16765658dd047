// Ring widths from bounds: what architectures and heads share of it. Capacity is ring - scale >= log2(bound) + 1, and 2
// more before an extension (protocols, section 9).
#ifndef TW_RING_WIDTHS_H
#define TW_RING_WIDTHS_H

#include "jobs/models/blocks.h"
#include "jobs/models/float_model.h"

// The least bits >= 0 with bound < 2^bits.
int tw_bits_for(double bound);
// The largest bound below 2^bits, in units of TW_SCALE or coarser.
double tw_below(int bits);
static inline int tw_larger(int a, int b) { return a > b ? a : b; }
// Above the bits of a declared wire: sign and one for an extension, or what the guard looks at.
int tw_wire_room(const tw_layer_shape *shape);

// A bound as far as a ring holds it that has so many bits for it; one that is larger stays.
void tw_raise_to(double *bound, int bits);
// So all of a layer that do not belong to its activation function, where the residual's ring follows from bounds as
// residual_ring says.
void tw_raise_layer(const tw_layer_shape *shape, const tw_rings *r,
                    int (*residual_ring)(const tw_layer_shape *shape, const tw_bounds *b), tw_bounds *b);

// TW_ERR_RANGE, with what helps. layer -1: the norm behind the layers.
tw_status tw_refuse_ring(int layer, const char *tensor, int ring, int most, double bound);

#endif
