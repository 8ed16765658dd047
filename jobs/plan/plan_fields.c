#include "jobs/plan/plan_fields.h"

#include "io/decoder_tensors.h"

#define BOUND(field) \
  { #field, offsetof(tw_bounds, field), false }
#define GATED(field) \
  { #field, offsetof(tw_bounds, field), true }
#define RING(field) \
  { #field, offsetof(tw_rings, field), false }

const tw_field tw_bound_fields[TW_BOUND_FIELDS] = {BOUND(input),
                                                   BOUND(query),
                                                   BOUND(key),
                                                   BOUND(value),
                                                   BOUND(logit),
                                                   BOUND(attention),
                                                   BOUND(up),
                                                   GATED(gate),
                                                   GATED(product),
                                                   BOUND(feed_forward),
                                                   BOUND(residual),
                                                   BOUND(variance_sum_min),
                                                   BOUND(variance_sum_max),
                                                   BOUND(norm_weight),
                                                   BOUND(norm_bias)};
const tw_field tw_ring_fields[TW_RING_FIELDS] = {
    RING(input),   RING(qkv),   RING(query_scale), RING(qk),          RING(logit),      RING(v),       RING(context),
    RING(out),     RING(down),  RING(up),          RING(activation),  RING(product),    RING(squares), RING(exponents),
    RING(highest), RING(norm1), RING(norm2),       RING(input_limit), RING(value_limit)};

_Static_assert(sizeof(tw_bounds) == TW_BOUND_FIELDS * sizeof(double), "a bound is missing here");
_Static_assert(sizeof(tw_rings) == TW_RING_FIELDS * sizeof(int), "a ring is missing here");

bool tw_field_applies(const tw_field *field, const tw_model_config *config) {
  const tw_decoder_layout *layout = tw_decoder_layout_of(config);
  return !field->gated || (layout && layout->gated);
}
