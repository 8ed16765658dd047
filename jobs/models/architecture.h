// What differs between kinds of models: their bounds and rings, and the program that computes them.
#ifndef TW_ARCHITECTURE_H
#define TW_ARCHITECTURE_H

#include "io/tensors.h"
#include "jobs/models/blocks.h"

typedef struct {
  const tw_tensor_table *tensors;  // its name, and what it is made of
  // Bounds of a layer that nobody measured.
  tw_bounds (*default_bounds)(void);
  // Measured bounds of a layer times `margin` (>= 1), and never below what keeps rare inputs safe.
  tw_bounds (*widened)(const tw_bounds *measured, double margin);
  // Ring widths of all layers from their bounds; TW_ERR_RANGE names the tensor that does not fit.
  tw_status (*rings)(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out);
  // Raises a layer's declared bounds to what its rings hold anyway: the rings stay, and what the guard counts is beyond
  // what the plan says.
  void (*raise_bounds)(const tw_layer_shape *shape, const tw_rings *rings, tw_bounds *bounds);
  // The largest magnitude that these bounds allow the layers' output.
  double (*largest_output)(const tw_layer_shape *shape, const tw_bounds *last);
  // Whether all rows that its norms read may lose their means: norms take them off, and nothing else reads them. Then
  // matrices whose outputs are added to such rows are centred when the model is shared (tw_tensor_entry), and a plan
  // may choose norms that take no mean (tw_choices): `emit` leaves it out where shape->centred says so. NULL: never.
  bool (*centres)(const tw_model_config *config);
  // All layers on x [seq][hidden], a WIRE of scale TW_SCALE in ring rings[0].input; rings: one entry a layer. exact:
  // the last rounding is like floor. Returns a WIRE of the same shape and scale.
  int (*emit)(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, bool exact, int x);
  // The same in double precision: tw_float_forward of a checked model.
  tw_status (*reference)(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                         tw_bounds *bounds);
} tw_architecture;

const tw_architecture *tw_architecture_by_name(const char *name);  // NULL when unknown

#endif
