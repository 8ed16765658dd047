// Register tiles of 8 rows by two vectors: 16 accumulators hide the latency of a multiplication twice over.
#include <immintrin.h>

#include "kernels/gemm_kernel.h"

enum { ROWS = 8, VECTORS = 2 };

typedef __m512i accumulators[ROWS][VECTORS];

static inline __attribute__((always_inline)) void clear(accumulators sum) {
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = _mm512_setzero_si512();
}

static inline __attribute__((always_inline)) void store(accumulators sum, char *tile) {
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) {
    _mm512_store_si512(tile + 128 * i, sum[i][0]);
    _mm512_store_si512(tile + 128 * i + 64, sum[i][1]);
  }
}

static void multiply_u32(size_t k, const void *a, const void *b, void *tile) {
  const uint32_t *x = a;
  const char *y = b;
  accumulators sum;
  clear(sum);
  for (size_t p = 0; p < k; p++, x += ROWS, y += 128) {
    __m512i left = _mm512_load_si512(y), right = _mm512_load_si512(y + 64);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      __m512i factor = _mm512_set1_epi32((int)x[i]);
      sum[i][0] = _mm512_add_epi32(sum[i][0], _mm512_mullo_epi32(factor, left));
      sum[i][1] = _mm512_add_epi32(sum[i][1], _mm512_mullo_epi32(factor, right));
    }
  }
  store(sum, tile);
}

// vpmadd52luq reads the low 52 bits of its factors and adds the low 52 bits of their product: sums are right
// modulo 2^52.
static void multiply_ifma(size_t k, const void *a, const void *b, void *tile) {
  const uint64_t *x = a;
  const char *y = b;
  accumulators sum;
  clear(sum);
  for (size_t p = 0; p < k; p++, x += ROWS, y += 128) {
    __m512i left = _mm512_load_si512(y), right = _mm512_load_si512(y + 64);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      __m512i factor = _mm512_set1_epi64((long long)x[i]);
      sum[i][0] = _mm512_madd52lo_epu64(sum[i][0], factor, left);
      sum[i][1] = _mm512_madd52lo_epu64(sum[i][1], factor, right);
    }
  }
  store(sum, tile);
}

static void multiply_u64(size_t k, const void *a, const void *b, void *tile) {
  const uint64_t *x = a;
  const char *y = b;
  accumulators sum;
  clear(sum);
  for (size_t p = 0; p < k; p++, x += ROWS, y += 128) {
    __m512i left = _mm512_load_si512(y), right = _mm512_load_si512(y + 64);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      __m512i factor = _mm512_set1_epi64((long long)x[i]);
      sum[i][0] = _mm512_add_epi64(sum[i][0], _mm512_mullo_epi64(factor, left));
      sum[i][1] = _mm512_add_epi64(sum[i][1], _mm512_mullo_epi64(factor, right));
    }
  }
  store(sum, tile);
}

const tw_gemm_kernel tw_gemm_avx512_u32 = {ROWS, 16 * VECTORS, 4, 32, multiply_u32};
const tw_gemm_kernel tw_gemm_avx512_ifma = {ROWS, 8 * VECTORS, 8, 52, multiply_ifma};
const tw_gemm_kernel tw_gemm_avx512_u64 = {ROWS, 8 * VECTORS, 8, 64, multiply_u64};
