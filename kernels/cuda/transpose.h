// 32 x 32 bits turned within a warp.
#ifndef TW_CUDA_TRANSPOSE_H
#define TW_CUDA_TRANSPOSE_H

#include <stdint.h>

// Bit i of lane j goes to bit j of lane i.
static __device__ __forceinline__ uint32_t transpose_bits(uint32_t x) {
  const uint32_t low[5] = {0x0000ffff, 0x00ff00ff, 0x0f0f0f0f, 0x33333333, 0x55555555};
#pragma unroll
  for (int i = 0; i < 5; i++) {
    const int half = 16 >> i;
    const bool upper = threadIdx.x & half;
    const uint32_t other = __shfl_xor_sync(~0u, x, half), keep = upper ? ~low[i] : low[i];
    x = (x & keep) | (__funnelshift_l(other, other, upper ? 32 - half : half) & ~keep);
  }
  return x;
}

#endif
