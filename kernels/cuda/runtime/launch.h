// Launching of kernels whose only argument is a plain structure.
//
// A kernel may start while the one before it still runs (programmatic dependent launch, compute capability 9.0 on), so
// that its start-up is hidden. Every thread of every kernel launched here must therefore call tw_await_earlier,
// directly or by tw_begin, before it writes to global memory, before it reads what enqueued work wrote, and before it
// returns. Ahead of that call a kernel may read only what is uploaded before a job and stays: seeds, slots, lists,
// tables.
#ifndef TW_CUDA_LAUNCH_H
#define TW_CUDA_LAUNCH_H

#include <stdint.h>

#include "kernels/cuda/runtime/check.h"

// Whether kernels of this build on this device wait by tw_await_earlier, and so may be started early.
bool tw_cuda_starts_early(void);
// Whether the driver knows a launch's wish for a division of shared memory and cache.
bool tw_cuda_takes_division(void);

// All work enqueued before this kernel is done, and what it wrote can be read.
static __device__ __forceinline__ void tw_await_earlier(void) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may take the places that this one leaves free; it waits by itself for this one's end.
static __device__ __forceinline__ void tw_let_next_start(void) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

static __device__ __forceinline__ void tw_begin(void) {
  tw_let_next_start();
  tw_await_earlier();
}

// A multiprocessor divides its memory between shared memory and cache anew only while it is empty. All kernels launched
// here ask for the same division, so that one of another half, or of preparation, need not wait for that.
static inline void tw_share_places(cudaLaunchConfig_t *config, cudaLaunchAttribute *attributes) {
#if CUDART_VERSION >= 12080
  if (!tw_cuda_takes_division()) return;
  cudaLaunchAttribute *const a = &attributes[config->numAttrs++];
  a->id = cudaLaunchAttributePreferredSharedMemoryCarveout;
  a->val.sharedMemCarveout = cudaSharedmemCarveoutMaxShared;
#else
  (void)config, (void)attributes;
#endif
}

// kernel(arguments...) on stream, in clusters of `cluster` blocks along x.
template <class... formal, class... actual>
static tw_status tw_launch(void (*kernel)(formal...), dim3 grid, unsigned threads, size_t shared_bytes,
                           unsigned cluster, cudaStream_t stream, const actual &...arguments) {
  cudaLaunchConfig_t config = {};
  cudaLaunchAttribute attributes[3] = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  tw_share_places(&config, attributes);
  if (cluster > 1) {
    cudaLaunchAttribute *const a = &attributes[config.numAttrs++];
    a->id = cudaLaunchAttributeClusterDimension;
    a->val.clusterDim.x = cluster;
    a->val.clusterDim.y = a->val.clusterDim.z = 1;
  }
  if (tw_cuda_starts_early()) {
    cudaLaunchAttribute *const a = &attributes[config.numAttrs++];
    a->id = cudaLaunchAttributeProgrammaticStreamSerialization;
    a->val.programmaticStreamSerializationAllowed = 1;
  }
  TW_CUDA(cudaLaunchKernelEx(&config, kernel, static_cast<formal>(arguments)...));
  return TW_OK;
}

// kernel(argument) by `grid` blocks of `threads`, enqueued on stream (a cudaStream_t). Nothing is launched for an empty
// grid.
template <class type>
static tw_status tw_enqueue(void (*kernel)(const type), dim3 grid, unsigned threads, size_t shared_bytes, void *stream,
                            const type &argument) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return TW_OK;
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
    return tw_fail(TW_ERR_RANGE, "a kernel of %u x %u x %u blocks; use a smaller batch", grid.x, grid.y, grid.z);
  return tw_launch(kernel, grid, threads, shared_bytes, 1, (cudaStream_t)stream, argument);
}

enum { TW_MOST_ELEMENTS = 1 << 30 };  // of a tensor of a batch

static inline size_t tw_ceil_div(size_t value, size_t unit) { return (value + unit - 1) / unit; }

// `each` elements a thread; so few that places in what a gate reads and writes are 32-bit numbers (tw_at).
template <class type>
static tw_status tw_enqueue_elements(void (*kernel)(const type), size_t elements, unsigned threads, unsigned each,
                                     void *stream, const type &argument) {
  if (elements > TW_MOST_ELEMENTS)
    return tw_fail(TW_ERR_RANGE, "a kernel on %zu elements; use a smaller batch", elements);
  return tw_enqueue(kernel, dim3((unsigned)tw_ceil_div(elements, threads * each)), threads, 0, stream, argument);
}

#endif
