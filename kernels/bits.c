// Copies and products of opened bits, on planes of 64 elements a word.
#include <string.h>

#include "base/memory.h"
#include "kernels/digit.h"

// Words of a plane that one pass over many planes handles: two cache lines, enough to vectorise.
enum { BLOCK_WORDS = 16, MAX_LITERALS = 8 };

// The 64 bits from bit `first` on; words from `words` on read as zero.
static uint64_t word_at(const uint64_t *plane, size_t first, size_t words) {
  size_t w = first / 64, shift = first % 64;
  uint64_t low = plane[w] >> shift;
  return shift && w + 1 < words ? low | plane[w + 1] << (64 - shift) : low;
}

void tw_bits_copy(const uint64_t *src, size_t src_first, size_t n, uint64_t *dst) {
  size_t words = tw_words(src_first + n);
  for (size_t j = 0; j < n; j += 64) {
    uint64_t keep = n - j >= 64 ? ~0ull : (1ull << (n - j)) - 1;
    dst[j / 64] = word_at(src, src_first + j, words) & keep;
  }
}

typedef uint64_t plane_block[BLOCK_WORDS];

// Folds the literals one by one, highest first: with value v of literal i,
//   folded[S] = c[S with i] ^ (v & c[S])   for every S without i,
// which halves the subsets each time and ends with the product's share in folded[0].
static inline __attribute__((always_inline)) void product_block(const tw_bit_product *p, size_t first, size_t count,
                                                                uint64_t one, plane_block *folded, uint64_t *out) {
  int top = p->count - 1;
  for (int i = top; i >= 0; i--) {
    uint64_t flip = p->negate[i] ? ~0ull : 0;
    const uint64_t *value = p->value[i] + first;
    size_t half = (size_t)1 << i;
    for (size_t s = 0; s < half; s++) {
      uint64_t *to = folded[s];
      if (i < top)
        // NOLINTNEXTLINE: the literal before this one has filled twice as many
        for (size_t w = 0; w < count; w++) to[w] = folded[s + half][w] ^ ((value[w] ^ flip) & to[w]);
      else if (s == 0)
        for (size_t w = 0; w < count; w++) to[w] = p->subset[half][first + w] ^ ((value[w] ^ flip) & one);
      else
        for (size_t w = 0; w < count; w++)
          to[w] = p->subset[s + half][first + w] ^ ((value[w] ^ flip) & p->subset[s][first + w]);
    }
  }
  for (size_t w = 0; w < count; w++) out[w] ^= folded[0][w];  // NOLINT: a product has a literal
}

void tw_bits_product(const tw_bit_product *p, size_t words, uint64_t one, uint64_t *out) {
  plane_block folded[1 << (MAX_LITERALS - 1)];
  if (p->count == 0) {
    for (size_t w = 0; w < words; w++) out[w] ^= one;
    return;
  }
  size_t first = 0;
  for (; first + BLOCK_WORDS <= words; first += BLOCK_WORDS)
    product_block(p, first, BLOCK_WORDS, one, folded, out + first);
  if (first < words) product_block(p, first, words - first, one, folded, out + first);
  tw_wipe(folded, (sizeof folded[0]) << (p->count - 1));
}

static size_t product_length(const int64_t *product) { return 2 + 3 * (size_t)product[1] + ((size_t)1 << product[1]); }

void tw_products_outline(const int64_t *list, int products, int planes, int64_t *outline) {
  int64_t *first = outline, *starts = outline + planes + 1;
  size_t at = 0;
  for (int p = 0; p <= planes; p++) first[p] = 0;
  for (int i = 0; i < products; i++, at += product_length(list + at)) first[list[at] + 1]++;
  for (int p = 0; p < planes; p++) first[p + 1] += first[p];
  at = 0;
  for (int i = 0; i < products; i++, at += product_length(list + at)) starts[first[list[at]]++] = (int64_t)at;
  for (int p = planes; p > 0; p--) first[p] = first[p - 1];  // moved on by what was placed
  first[0] = 0;
}
