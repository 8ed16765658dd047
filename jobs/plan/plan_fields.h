// Bounds and rings by name, for the plan's file and for tables.
#ifndef TW_PLAN_FIELDS_H
#define TW_PLAN_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/models/blocks.h"

typedef struct {
  const char *name;
  size_t offset;  // in tw_bounds (double) or tw_rings (int)
  bool gated;     // of models whose feed-forward part has a gate
} tw_field;

enum { TW_BOUND_FIELDS = 15, TW_RING_FIELDS = 19 };
extern const tw_field tw_bound_fields[TW_BOUND_FIELDS], tw_ring_fields[TW_RING_FIELDS];

// Whether a model has it.
bool tw_field_applies(const tw_field *field, const tw_model_config *config);

static inline double *tw_bound_at(const tw_bounds *bounds, int field) {
  return (double *)((char *)bounds + tw_bound_fields[field].offset);
}
static inline int *tw_ring_at(const tw_rings *rings, int field) {
  return (int *)((char *)rings + tw_ring_fields[field].offset);
}

#endif
