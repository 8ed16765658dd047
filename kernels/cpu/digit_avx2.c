// Masked sums, four table entries an instruction; the masks come from bringing each lane's bit to its sign.
#include <immintrin.h>

#include "base/memory.h"
#include "kernels/digit_lookup.h"

static uint64_t lane_sum(__m256i v) {
  __m128i half = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  return (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half)));
}

// All ones in the lanes whose bit i..i+3 of the word is set: the bit is brought to the top, where a comparison sees it.
static inline __attribute__((always_inline)) __m256i lane_mask(__m256i word, __m256i to_top) {
  return _mm256_cmpgt_epi64(_mm256_setzero_si256(), _mm256_sllv_epi64(word, to_top));
}

// Both tables of a pair share the masks; `pair` is a constant at every call.
static inline __attribute__((always_inline)) void masked_sums(const uint64_t *turned, size_t entries,
                                                              const uint64_t *first, const uint64_t *second, int pair,
                                                              uint64_t *first_out, uint64_t *second_out) {
  const __m256i lanes = _mm256_set_epi64x(60, 61, 62, 63), four = _mm256_set1_epi64x(4);
  __m256i a = _mm256_setzero_si256(), b = a;
  for (size_t w = 0; 64 * w < entries; w++) {
    size_t in_word = entries - 64 * w < 64 ? entries - 64 * w : 64;
    __m256i word = _mm256_set1_epi64x((long long)turned[w]), to_top = lanes;
    for (size_t m = 0; m < in_word; m += 4) {
      __m256i hot = lane_mask(word, to_top);
      to_top = _mm256_sub_epi64(to_top, four);
      a = _mm256_add_epi64(a, _mm256_and_si256(hot, _mm256_load_si256((const __m256i *)(first + 64 * w + m))));
      if (pair)
        b = _mm256_add_epi64(b, _mm256_and_si256(hot, _mm256_load_si256((const __m256i *)(second + 64 * w + m))));
    }
  }
  *first_out = lane_sum(a);
  if (pair) *second_out = lane_sum(b);
}

void tw_lookup_block_avx2(const tw_lookup_block *block) {
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
