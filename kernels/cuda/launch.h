// Launching of kernels whose only argument is a plain structure.
#ifndef TW_CUDA_LAUNCH_H
#define TW_CUDA_LAUNCH_H

#include "kernels/cuda/check.h"

// kernel(argument) by `grid` blocks of `threads`, enqueued on stream (a cudaStream_t). Nothing is launched for an empty
// grid.
template <class type>
static tw_status tw_enqueue(void (*kernel)(const type), dim3 grid, unsigned threads, size_t shared_bytes, void *stream,
                            const type &argument) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return TW_OK;
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
    return tw_fail(TW_ERR_RANGE, "a kernel of %u x %u x %u blocks; use a smaller batch", grid.x, grid.y, grid.z);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = (cudaStream_t)stream;
  TW_CUDA(cudaLaunchKernelEx(&config, kernel, argument));
  return TW_OK;
}

static inline size_t tw_ceil_div(size_t value, size_t unit) { return (value + unit - 1) / unit; }

#endif
