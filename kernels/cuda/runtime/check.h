// Checked CUDA calls: TW_CUDA(call) returns from the calling function (of type tw_status) when the call fails, with a
// message that names call, file and line.
#ifndef TW_CUDA_CHECK_H
#define TW_CUDA_CHECK_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "base/status.h"
#ifdef __cplusplus
}
#endif

static inline tw_status tw_cuda_status(cudaError_t error, const char *call, const char *file, int line) {
  if (error == cudaSuccess) return TW_OK;
  if (error == cudaErrorMemoryAllocation)
    return tw_fail(TW_ERR_MEMORY, "%s:%d: %s: out of GPU memory; use a smaller batch or sequence, or another GPU", file,
                   line, call);
  return tw_fail(TW_ERR_INTERNAL, "%s:%d: %s: %s (%s)", file, line, call, cudaGetErrorName(error),
                 cudaGetErrorString(error));
}

#define TW_CUDA(call) TW_TRY(tw_cuda_status((call), #call, __FILE__, __LINE__))

// After a kernel launch: a configuration the device refuses shows here, a fault inside the kernel at a later call.
#define TW_CUDA_LAUNCHED() TW_TRY(tw_cuda_status(cudaGetLastError(), "kernel launch", __FILE__, __LINE__))

#endif
