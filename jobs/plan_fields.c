#include "jobs/plan_fields.h"

#define BOUND(field) \
  { #field, offsetof(tw_bounds, field) }
#define RING(field) \
  { #field, offsetof(tw_rings, field) }

const tw_field tw_bound_fields[TW_BOUND_FIELDS] = {
    BOUND(logit), BOUND(context),   BOUND(residual),         BOUND(row_mean),
    BOUND(up),    BOUND(centred),   BOUND(variance_sum_min), BOUND(variance_sum_max),
    BOUND(qkv),   BOUND(attention), BOUND(activation)};
const tw_field tw_ring_fields[TW_RING_FIELDS] = {RING(input), RING(qkv),        RING(qk),    RING(logit),
                                                 RING(v),     RING(context),    RING(out),   RING(down),
                                                 RING(up),    RING(activation), RING(norm1), RING(norm2)};

_Static_assert(sizeof(tw_bounds) == TW_BOUND_FIELDS * sizeof(double), "a bound is missing here");
_Static_assert(sizeof(tw_rings) == TW_RING_FIELDS * sizeof(int), "a ring is missing here");
