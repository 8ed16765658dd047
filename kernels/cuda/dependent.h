// Kernels that are launched while the one before still runs (programmatic dependent launch, sm_90 and later).
#ifndef TW_CUDA_DEPENDENT_H
#define TW_CUDA_DEPENDENT_H

// First statement of every kernel, by every thread: the next kernel may come up now, and this one waits until all
// earlier work is done and visible. Nothing is read or written before it.
static __device__ __forceinline__ void tw_after_earlier_kernels(void) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" ::: "memory");
#endif
}

// The same for a kernel behind which no other may come up early.
static __device__ __forceinline__ void tw_wait_for_earlier_kernels(void) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#endif
