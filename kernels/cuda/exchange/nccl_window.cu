// NCCL's device API knows where another party's part of a window lies; a kernel asks it once.
#ifdef TWAIN_NCCL
#include <nccl.h>
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
#include <nccl_device.h>

#include "kernels/cuda/runtime/check.h"
#include "kernels/device.h"

static __global__ void window_kernel(ncclWindow_t window, int party, void **part) {
  *part = ncclGetLsaPointer(window, 0, party);
}

extern "C" tw_status tw_nccl_window_of(void *window, int party, void **part) {
  void **found;
  TW_CUDA(cudaMalloc(&found, sizeof *found));
  window_kernel<<<1, 1>>>((ncclWindow_t)window, party, found);
  cudaError_t error = cudaMemcpy(part, found, sizeof *found, cudaMemcpyDeviceToHost);
  cudaFree(found);
  TW_CUDA(error);
  return TW_OK;
}
#endif
#endif
