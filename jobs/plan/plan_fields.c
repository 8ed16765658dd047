#include "jobs/plan/plan_fields.h"

#define BOUND(field) \
  { #field, offsetof(tw_bounds, field) }
#define RING(field) \
  { #field, offsetof(tw_rings, field) }

const tw_field tw_bound_fields[TW_BOUND_FIELDS] = {BOUND(input),
                                                   BOUND(query),
                                                   BOUND(key),
                                                   BOUND(value),
                                                   BOUND(logit),
                                                   BOUND(attention),
                                                   BOUND(up),
                                                   BOUND(feed_forward),
                                                   BOUND(residual),
                                                   BOUND(variance_sum_min),
                                                   BOUND(variance_sum_max),
                                                   BOUND(norm_weight),
                                                   BOUND(norm_bias)};
const tw_field tw_ring_fields[TW_RING_FIELDS] = {RING(input), RING(qkv),   RING(query_scale), RING(qk),
                                                 RING(logit), RING(v),     RING(context),     RING(out),
                                                 RING(down),  RING(up),    RING(activation),  RING(product),
                                                 RING(norm1), RING(norm2), RING(input_limit), RING(value_limit)};

_Static_assert(sizeof(tw_bounds) == TW_BOUND_FIELDS * sizeof(double), "a bound is missing here");
_Static_assert(sizeof(tw_rings) == TW_RING_FIELDS * sizeof(int), "a ring is missing here");
