// Register tiles for 16 vector registers of 256 bits.
#include <immintrin.h>

#include "kernels/gemm_kernel.h"

enum { ROWS_U32 = 4, ROWS_U64 = 4 };

static void multiply_u32(size_t k, const void *a, const void *b, void *tile) {
  const uint32_t *x = a;
  const __m256i *y = b;
  __m256i sum[ROWS_U32][2], *out = tile;
#pragma GCC unroll 4
  for (int i = 0; i < ROWS_U32; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
  for (size_t p = 0; p < k; p++, x += ROWS_U32, y += 2) {
    __m256i left = _mm256_load_si256(y), right = _mm256_load_si256(y + 1);
#pragma GCC unroll 4
    for (int i = 0; i < ROWS_U32; i++) {
      __m256i factor = _mm256_set1_epi32((int)x[i]);
      sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_mullo_epi32(factor, left));
      sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_mullo_epi32(factor, right));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < ROWS_U32; i++) {
    _mm256_store_si256(out + 2 * i, sum[i][0]);
    _mm256_store_si256(out + 2 * i + 1, sum[i][1]);
  }
}

// There is no 64-bit multiplication: x y = x0 y0 + 2^32 (x0 y1 + x1 y0). With y's halves swapped, one 32-bit
// multiplication gives both cross products; they are summed side by side and added up at the end.
static void multiply_u64(size_t k, const void *a, const void *b, void *tile) {
  const uint64_t *x = a;
  const __m256i *y = b;
  __m256i low[ROWS_U64], cross[ROWS_U64], *out = tile;
#pragma GCC unroll 4
  for (int i = 0; i < ROWS_U64; i++) low[i] = cross[i] = _mm256_setzero_si256();
  for (size_t p = 0; p < k; p++, x += ROWS_U64, y++) {
    __m256i straight = _mm256_load_si256(y), swapped = _mm256_shuffle_epi32(straight, 0xb1);
#pragma GCC unroll 4
    for (int i = 0; i < ROWS_U64; i++) {
      __m256i factor = _mm256_set1_epi64x((long long)x[i]);
      low[i] = _mm256_add_epi64(low[i], _mm256_mul_epu32(factor, straight));
      cross[i] = _mm256_add_epi32(cross[i], _mm256_mullo_epi32(factor, swapped));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < ROWS_U64; i++) {
    __m256i sum = _mm256_add_epi32(cross[i], _mm256_srli_epi64(cross[i], 32));
    _mm256_store_si256(out + i, _mm256_add_epi64(low[i], _mm256_slli_epi64(sum, 32)));
  }
}

const tw_gemm_kernel tw_gemm_avx2_u32 = {ROWS_U32, 16, 4, 32, multiply_u32};
const tw_gemm_kernel tw_gemm_avx2_u64 = {ROWS_U64, 4, 8, 64, multiply_u64};
