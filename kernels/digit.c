// Digit planes and comparison leaves.
#include "kernels/digit.h"

#include <string.h>

#include "base/memory.h"
#include "kernels/pack.h"
#include "kernels/transpose.h"

enum { BLOCK_WORDS = 16 };

void tw_digit_planes(const uint64_t *x, size_t n, uint64_t offset, int ring_bits, int low_bit, int width,
                     uint64_t *planes) {
  size_t words = tw_words(n);
  uint64_t ring = tw_mask(ring_bits), rows[64];
  for (size_t w = 0; w < words; w++) {
    size_t count = n - 64 * w < 64 ? n - 64 * w : 64;
    for (size_t j = 0; j < count; j++) rows[j] = ((x[64 * w + j] - offset) & ring) >> low_bit;
    memset(rows + count, 0, (64 - count) * sizeof rows[0]);
    tw_transpose64_low16(rows);
    for (int i = 0; i < width; i++) planes[(size_t)i * words + w] = rows[i];
  }
}

// What a run of neighbouring entries a = first..last says about the public digit c and the digit a, once c's low
// bits have picked an entry inside the run: shares of [a = picked], [a in run and a > picked], [a in run].
typedef struct {
  uint64_t eq[BLOCK_WORDS], lt[BLOCK_WORDS], any[BLOCK_WORDS];
} leaf_run;

// Two entries, picked by the lowest bit of c. A share of "a > picked" is e_right where c picks left, else nothing.
static inline __attribute__((always_inline)) void leaf_pair(const uint64_t *left, const uint64_t *right,
                                                            const uint64_t *c, size_t count, leaf_run *run) {
  for (size_t w = 0; w < count; w++) {
    uint64_t both = left[w] ^ right[w];
    run->eq[w] = left[w] ^ (c[w] & both);
    run->lt[w] = right[w] & ~c[w];
    run->any[w] = both;
  }
}

// left = left and its right neighbour of the same length, picked by the next bit of c.
static inline __attribute__((always_inline)) void leaf_merge(leaf_run *left, const leaf_run *right, const uint64_t *c,
                                                             size_t count) {
  for (size_t w = 0; w < count; w++) {
    uint64_t above = left->lt[w] ^ right->any[w];
    left->eq[w] ^= c[w] & (left->eq[w] ^ right->eq[w]);
    left->lt[w] = above ^ (c[w] & (above ^ right->lt[w]));
    left->any[w] ^= right->any[w];
  }
}

// Pairs from left to right, merged as in a binary counter: `runs` holds at most one run of each length.
static inline __attribute__((always_inline)) void leaf_block(const uint64_t *onehot, size_t words, int width,
                                                             const uint64_t *c, size_t count, leaf_run *runs) {
  size_t pairs = (size_t)1 << (width - 1), depth = 0;
  for (size_t p = 0; p < pairs; p++) {
    leaf_pair(onehot + 2 * p * words, onehot + (2 * p + 1) * words, c, count, &runs[depth++]);
    for (size_t bit = 1; (p >> (bit - 1)) & 1; bit++, depth--)
      leaf_merge(&runs[depth - 2], &runs[depth - 1], c + bit * words, count);
  }
}

void tw_digit_leaf(const uint64_t *onehot, size_t words, int width, const uint64_t *c_planes, uint64_t *lt,
                   uint64_t *eq) {
  leaf_run runs[TW_DIGIT_MAX_BITS];
  for (size_t first = 0; first < words; first += BLOCK_WORDS) {
    size_t count = words - first < BLOCK_WORDS ? words - first : BLOCK_WORDS;
    if (count == BLOCK_WORDS)
      leaf_block(onehot + first, words, width, c_planes + first, BLOCK_WORDS, runs);
    else
      leaf_block(onehot + first, words, width, c_planes + first, count, runs);
    if (lt) memcpy(lt + first, runs[0].lt, count * sizeof *lt);
    if (eq) memcpy(eq + first, runs[0].eq, count * sizeof *eq);
  }
  tw_wipe(runs, (size_t)width * sizeof runs[0]);
}
