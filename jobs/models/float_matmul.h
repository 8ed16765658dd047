// Dense product in double precision, for the float model.
#ifndef TW_FLOAT_MATMUL_H
#define TW_FLOAT_MATMUL_H

#include <stddef.h>

#include "base/status.h"

// z [m][n] = a [m][k] b [k][n], row-major; z overlaps neither.
tw_status tw_float_matmul(const double *a, const double *b, size_t m, size_t k, size_t n, double *z);

#endif
