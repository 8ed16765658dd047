// What float models of all architectures are made of: products with a model's tensors, norms, largest values.
#ifndef TW_FLOAT_PARTS_H
#define TW_FLOAT_PARTS_H

#include "io/model.h"
#include "jobs/models/float_model.h"

// Tensor `number` with its columns of Q folded; when quantised, as the parties share it (tw_tensor_columns). Columns
// first .. first + count of each row, side by side into out [rows][count].
void tw_float_columns(const tw_model *model, int number, int quantised, size_t first, size_t count, double *out);

// z [count][cols] = x [count][rows] W + b, with W tensor `weight` and b the next; some columns at a time.
tw_status tw_float_linear(const tw_model *model, int weight, int quantised, const double *x, size_t count, double *z);

// LayerNorm of rows x [count][hidden] into y, which may be x: tensor `gamma`, with beta the next; rms: RMSNorm,
// without. Sums of squares of the first `live` rows go into *least and *most, which may be NULL together.
tw_status tw_float_norm(const tw_model *model, int gamma, bool rms, int quantised, const double *x, size_t count,
                        size_t live, double *y, double *least, double *most);

// *bound becomes the largest magnitude of itself and n values.
void tw_observe(double *bound, const double *values, size_t n);
// The same of rows [count][n] less their means.
void tw_observe_centred(double *bound, const double *rows, size_t count, size_t n);

#endif
