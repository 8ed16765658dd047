// The two ways to look up on the device: by products of int8 matrices for the digits of 5 to 9 bits with few sub-tables
// that most tables have, by sums over planes for the others.
#ifndef TW_CUDA_LOOKUP_H
#define TW_CUDA_LOOKUP_H

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/launch.h"

bool tw_cuda_lookup_has_limbs(const tw_lookup_args *args);
tw_status tw_cuda_lookup_limbs(const tw_lookup_args *args, void *stream);

#endif
