// Bounds and rings of a plan's layers as tables, in which layers that are alike share a line.
#ifndef TW_APP_LAYERS_H
#define TW_APP_LAYERS_H

#include "jobs/plan/plan.h"

void tw_layers_print_rings(const tw_plan *plan);
// measured: what a calibration saw, beside the bounds; NULL without one.
void tw_layers_print_bounds(const tw_plan *plan, const tw_model_bounds *measured);
// The head's bounds with their rings, if the plan has any.
void tw_layers_print_head(const tw_plan *plan, const tw_model_bounds *measured);

#endif
