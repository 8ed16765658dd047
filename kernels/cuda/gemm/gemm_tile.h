// What the ring product kernels are built of: 64-bit elements from global to shared memory, limbs from shared memory to
// registers, limb products, and sums put together again.
#ifndef TW_CUDA_GEMM_TILE_H
#define TW_CUDA_GEMM_TILE_H

#include "kernels/cuda/exchange/ptx.h"

enum {
  WARP_ROWS = 16,          // rows of the result a warp computes
  STEP = 32,               // inner elements of one step
  X_ROW_BYTES = STEP * 8,  // a row of X in shared memory
  X_WARP_BYTES = WARP_ROWS * X_ROW_BYTES
};

// Word i: limb i of four elements. Adding 128 to every byte, with carries, and taking it off again byte by byte makes
// the bytes signed digits: byte - 128 is byte ^ 128 read as int8.
template <int limbs>
static __device__ __forceinline__ void split_four(const uint64_t element[4], uint32_t word[limbs]) {
  uint64_t u[4];
#pragma unroll
  for (int e = 0; e < 4; e++) u[e] = element[e] + 0x8080808080808080u;
#pragma unroll
  for (int half = 0; half < (limbs + 3) / 4; half++) {
    const uint32_t a = (uint32_t)(u[0] >> (32 * half)), b = (uint32_t)(u[1] >> (32 * half));
    const uint32_t c = (uint32_t)(u[2] >> (32 * half)), d = (uint32_t)(u[3] >> (32 * half));
    const uint32_t low_ab = pick_bytes(a, b, 0x5140), low_cd = pick_bytes(c, d, 0x5140);
    const uint32_t high_ab = pick_bytes(a, b, 0x7362), high_cd = pick_bytes(c, d, 0x7362);
    const uint32_t limb[4] = {pick_bytes(low_ab, low_cd, 0x5410), pick_bytes(low_ab, low_cd, 0x7632),
                              pick_bytes(high_ab, high_cd, 0x5410), pick_bytes(high_ab, high_cd, 0x7632)};
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (4 * half + i < limbs) word[4 * half + i] = limb[i] ^ 0x80808080u;
  }
}

// Two neighbouring elements, of which the first `valid` (0..2) exist and the others become 0. `pairs`: both or none
// exist, and `from` is 16-byte aligned.
static __device__ __forceinline__ void copy_pair(unsigned char *to, const uint64_t *from, int valid, bool pairs) {
  if (pairs) {
    copy_async_16(to, from, valid > 0);
  } else {
    copy_async_8(to, from, valid > 0);
    copy_async_8(to + 8, from + 1, valid > 1);
  }
}

static __device__ __forceinline__ int between(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

// A warp's 16 rows of X, inner elements k.. of one step, into its part of a stage. Odd rows have the two halves of each
// 32 bytes exchanged, so that the reads of x_limbs hit all banks. pairs: inner is even.
static __device__ __forceinline__ void load_x(unsigned char *to, const uint64_t *x, int row, int m, int k, int inner,
                                              bool pairs) {
  const int lane = (int)(threadIdx.x % 32), odd = lane / 16, chunk = lane % 16, column = k + 2 * chunk;
  const int valid = between(inner - column, 0, 2), rows = m - row - odd;
  const uint64_t *from = x + (size_t)(row + odd) * inner + column;
  to += odd * X_ROW_BYTES + (chunk ^ odd) * 16;
#pragma unroll
  for (int i = 0; i < WARP_ROWS; i += 2, from += 2 * (size_t)inner)
    copy_pair(to + i * X_ROW_BYTES, from, i < rows ? valid : 0, pairs);
}

// A lane's operand of multiply_limbs for each limb of the warp's rows.
template <int limbs>
static __device__ __forceinline__ void x_limbs(uint32_t a[limbs][4], const unsigned char *from) {
  const int lane = (int)(threadIdx.x % 32);
#pragma unroll
  for (int part = 0; part < 4; part++) {
    const int row = lane / 4 + 8 * (part % 2), quad = lane % 4 + 4 * (part / 2);
    const unsigned char *at = from + row * X_ROW_BYTES + quad * 32;
    const ulonglong2 low = *(const ulonglong2 *)(at + 16 * (row & 1));
    const ulonglong2 high = *(const ulonglong2 *)(at + 16 * (~row & 1));
    const uint64_t element[4] = {low.x, low.y, high.x, high.y};
    uint32_t word[limbs];
    split_four<limbs>(element, word);
#pragma unroll
    for (int i = 0; i < limbs; i++) a[i][part] = word[i];
  }
}

// Sums of the weights 256^t, put together to a ring element.
template <int limbs>
static __device__ __forceinline__ uint64_t join_weights(const int32_t *sum, int stride) {
  uint64_t value = 0;
#pragma unroll
  for (int t = 0; t < limbs; t++) value += (uint64_t)(int64_t)sum[t * stride] << (8 * t);
  return value;
}

#endif
