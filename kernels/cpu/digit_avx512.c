// Masked sums, eight table entries an instruction: a byte of the element's bits is the mask.
#include <immintrin.h>

#include "base/memory.h"
#include "kernels/digit_lookup.h"

static uint64_t lane_sum(__m512i v) {
  __m256i half = _mm256_add_epi64(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i quarter = _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(quarter, _mm_unpackhi_epi64(quarter, quarter)));
}

// Two chains a table keep the adder busy. Both tables of a pair share the masks; `pair` is a constant at every call.
static inline __attribute__((always_inline)) void masked_sums(const uint64_t *turned, size_t entries,
                                                              const uint64_t *first, const uint64_t *second, int pair,
                                                              uint64_t *first_out, uint64_t *second_out) {
  __m512i a[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, b[2] = {a[0], a[0]};
  if (entries < 64) {
    for (size_t m = 0; m < entries; m += 8) {
      __mmask8 hot = (__mmask8)(turned[0] >> m);
      a[0] = _mm512_mask_add_epi64(a[0], hot, a[0], _mm512_load_si512(first + m));
      if (pair) b[0] = _mm512_mask_add_epi64(b[0], hot, b[0], _mm512_load_si512(second + m));
    }
  } else {
    for (size_t w = 0; w < entries / 64; w++)
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) {
        __mmask8 hot = (__mmask8)(turned[w] >> (8 * i));
        size_t m = 64 * w + 8 * (size_t)i;
        a[i % 2] = _mm512_mask_add_epi64(a[i % 2], hot, a[i % 2], _mm512_load_si512(first + m));
        if (pair) b[i % 2] = _mm512_mask_add_epi64(b[i % 2], hot, b[i % 2], _mm512_load_si512(second + m));
      }
  }
  *first_out = lane_sum(_mm512_add_epi64(a[0], a[1]));
  if (pair) *second_out = lane_sum(_mm512_add_epi64(b[0], b[1]));
}

void tw_lookup_block_avx512(const tw_lookup_block *block) {
  uint64_t turned[TW_LOOKUP_MAX_WORDS];
  for (size_t j = 0; j < block->count; j++) {
    size_t at = tw_lookup_turn(block, j, turned) * block->entries, i = 0;
    for (; i + 2 <= block->table_count; i += 2)
      masked_sums(turned, block->entries, block->tables[i] + at, block->tables[i + 1] + at, 1, &block->out[i][j],
                  &block->out[i + 1][j]);
    if (i < block->table_count)
      masked_sums(turned, block->entries, block->tables[i] + at, NULL, 0, &block->out[i][j], NULL);
  }
  tw_wipe(turned, block->hot_words * sizeof turned[0]);
}
