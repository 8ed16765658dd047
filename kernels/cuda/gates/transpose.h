// 32 x 32 bits turned within a warp or a thread.
#ifndef TW_CUDA_TRANSPOSE_H
#define TW_CUDA_TRANSPOSE_H

#include <stdint.h>

// What a lane does at each level of a transposition: made once, kept for many.
typedef struct {
  uint32_t halves, bytes;     // selectors of __byte_perm
  uint32_t keep[3], turn[3];  // for nibbles, pairs and bits
} tw_transposer;

static __device__ __forceinline__ tw_transposer make_transposer(void) {
  const uint32_t lane = threadIdx.x % 32, low[3] = {0x0f0f0f0f, 0x33333333, 0x55555555};
  tw_transposer t;
  t.halves = lane & 16 ? 0x3276 : 0x5410;
  t.bytes = lane & 8 ? 0x3715 : 0x6240;
#pragma unroll
  for (int i = 0; i < 3; i++) {
    const uint32_t half = 4 >> i;
    t.keep[i] = lane & half ? ~low[i] : low[i];
    t.turn[i] = lane & half ? 32 - half : half;
    asm volatile("" : "+r"(t.keep[i]), "+r"(t.turn[i]));  // kept, not made again from the lane each time
  }
  asm volatile("" : "+r"(t.halves), "+r"(t.bytes));
  return t;
}

// Bit i of lane j goes to bit j of lane i.
static __device__ __forceinline__ uint32_t transpose_bits(const tw_transposer &t, uint32_t x) {
  x = __byte_perm(x, __shfl_xor_sync(~0u, x, 16), t.halves);
  x = __byte_perm(x, __shfl_xor_sync(~0u, x, 8), t.bytes);
#pragma unroll
  for (int i = 0; i < 3; i++) {
    const uint32_t other = __shfl_xor_sync(~0u, x, 4 >> i);
    x = (x & t.keep[i]) | (__funnelshift_l(other, other, t.turn[i]) & ~t.keep[i]);
  }
  return x;
}

// Bit i of word j goes to bit j of word i, all in one thread.
static __device__ __forceinline__ void transpose_words(uint32_t word[32]) {
#pragma unroll
  for (int half = 16; half > 0; half /= 2)
#pragma unroll
    for (int i = 0; i < 32; i++) {
      if (i & half) continue;
      const uint32_t a = word[i], b = word[i + half];
      if (half >= 8) {
        word[i] = __byte_perm(a, b, half == 16 ? 0x5410 : 0x6240);
        word[i + half] = __byte_perm(a, b, half == 16 ? 0x7632 : 0x7351);
      } else {
        const uint32_t low = half == 4 ? 0x0f0f0f0f : half == 2 ? 0x33333333 : 0x55555555;
        word[i] = (a & low) | (b << half & ~low);
        word[i + half] = (a >> half & low) | (b & ~low);
      }
    }
}

#endif
