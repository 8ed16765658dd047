#include "jobs/models/ring_widths.h"

#include <math.h>
#include <stdio.h>

int tw_bits_for(double bound) { return bound < 1 ? 0 : (int)floor(log2(bound)) + 1; }
double tw_below(int bits) { return ldexp(1, bits) - ldexp(1, -TW_SCALE); }
int tw_wire_room(const tw_layer_shape *shape) { return shape->guard ? TW_GUARD_BITS : 2; }

void tw_raise_to(double *bound, int bits) { *bound = fmax(*bound, tw_below(bits)); }

void tw_raise_layer(const tw_layer_shape *shape, const tw_rings *r,
                    int (*residual_ring)(const tw_layer_shape *shape, const tw_bounds *b), tw_bounds *b) {
  int extra = tw_wire_room(shape), residual = r->out - TW_SCALE, bits = residual - TW_SCALE - extra;
  tw_raise_to(&b->value, r->value_limit - TW_SCALE);
  tw_raise_to(&b->input, r->input_limit - TW_SCALE);
  tw_raise_to(&b->query, r->qk - r->query_scale - extra);
  tw_raise_to(&b->key, r->qk - r->query_scale - extra);
  if (shape->guard)
    tw_raise_to(&b->logit, r->logit - TW_SCALE - TW_GUARD_BITS);
  else
    b->logit = fmax(b->logit, ldexp(1, r->logit - TW_SCALE - 2) - 0.25);
  tw_raise_to(&b->attention, bits);
  tw_raise_to(&b->feed_forward, bits);
  for (tw_bounds more = *b; bits > 0; bits--) {
    more.residual = fmax(b->residual, tw_below(bits));
    if (residual_ring(shape, &more) > residual) continue;  // of twice the bound, less the mean
    b->residual = more.residual;
    break;
  }
}

tw_status tw_refuse_ring(int layer, const char *tensor, int ring, int most, double bound) {
  char where[32] = "the norm behind the layers";
  if (layer >= 0) snprintf(where, sizeof where, "layer %d", layer);
  return tw_fail(
      TW_ERR_RANGE,
      "plan refused: %s, tensor %s: bound %.4g needs a ring of %d bits, at most %d fit; lower the bound "
      "(`twain plan --calibrate` measures it, a smaller --margin widens it less) or use a model with smaller "
      "activations",
      where, tensor, bound, ring, most);
}
