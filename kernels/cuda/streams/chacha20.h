// One block of ChaCha20 (RFC 8439) in a thread's registers, with the nonce of kernels/prg.h.
#ifndef TW_CUDA_CHACHA20_H
#define TW_CUDA_CHACHA20_H

#include <stdint.h>

enum {
  BLOCK_WORDS = 16,  // 32-bit words of a block
  LANE_WORDS = 17    // between two lanes' blocks in shared memory: lanes hit all banks
};

static __device__ __forceinline__ void quarter_round(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d) {
  a += b, d ^= a, d = __funnelshift_l(d, d, 16);
  c += d, b ^= c, b = __funnelshift_l(b, b, 12);
  a += b, d ^= a, d = __funnelshift_l(d, d, 8);
  c += d, b ^= c, b = __funnelshift_l(b, b, 7);
}

static __device__ __forceinline__ void chacha20_block(const uint32_t *key, uint32_t use, uint64_t slot,
                                                      uint32_t counter, uint32_t *out) {
  uint32_t start[BLOCK_WORDS] = {0x61707865,
                                 0x3320646e,
                                 0x79622d32,
                                 0x6b206574,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 counter,
                                 use,
                                 (uint32_t)slot,
                                 (uint32_t)(slot >> 32)};
#pragma unroll
  for (int i = 0; i < 8; i++) start[4 + i] = key[i];
  uint32_t x[BLOCK_WORDS];
#pragma unroll
  for (int i = 0; i < BLOCK_WORDS; i++) x[i] = start[i];
#pragma unroll 2
  for (int round = 0; round < 10; round++) {
#pragma unroll
    for (int i = 0; i < 4; i++) quarter_round(x[i], x[4 + i], x[8 + i], x[12 + i]);
#pragma unroll
    for (int i = 0; i < 4; i++) quarter_round(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
  }
#pragma unroll
  for (int i = 0; i < BLOCK_WORDS; i++) out[i] = x[i] + start[i];
}

#endif
