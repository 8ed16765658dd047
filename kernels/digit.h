// Bit-sliced digit kernels (docs/design/protocols.md, digits and comparison). Bits of n elements live in
// planes of words = ceil(n/64) u64; bit j%64 of word j/64 belongs to element j. Nothing here branches on, or
// addresses by, anything but public values: one-hots and masks are shares.
#ifndef TW_DIGIT_H
#define TW_DIGIT_H

#include <stddef.h>
#include <stdint.h>

#define TW_DIGIT_MAX_BITS 13   // width of a digit
#define TW_LOOKUP_MAX_BITS 16  // max(width, 3) + sub_bits of a lookup

static inline size_t tw_words(size_t n) { return (n + 63) / 64; }

// Bit planes of digit d_j = (((x[j] - offset) mod 2^ring_bits) >> low_bit) mod 2^width:
// planes[i*words + w] = bit i of d_j. Tail bits of the last word are zero.
void tw_digit_planes(const uint64_t *x, size_t n, uint64_t offset, int ring_bits, int low_bit, int width,
                     uint64_t *planes);

// Shares of [c < a] and [c == a] from a one-hot share of a (2^width planes, plane stride onehot_words words)
// and the public digit's bit planes c. lt or eq may be NULL.
void tw_digit_leaf(const uint64_t *onehot, size_t words, int width, const uint64_t *c_planes, uint64_t *lt,
                   uint64_t *eq);

// Table lookup with sub-tables: for every element j and table i
//   out[i][j] = sum over a of e_a * T_i[(fine[j] - (a << sub_bits)) mod 2^(width+sub_bits)]   (mod 2^64)
// where e_a is the element's bit in one-hot plane a. Masked sum over all 2^width entries.
// onehot planes have stride `words`; fine[j] < 2^(width+sub_bits) is public.
void tw_digit_lookup(const uint64_t *onehot, size_t words, int width, int sub_bits, const uint64_t *fine, size_t n,
                     const uint64_t *const *tables, int table_count, uint64_t *const *out);

// Copy n bits from src starting at bit src_first to dst starting at bit 0; tail of the last dst word zero.
void tw_bits_copy(const uint64_t *src, size_t src_first, size_t n, uint64_t *dst);

// Product of opened masked bits: for every product p with literals i = 0..k-1 (k <= 8):
//   AND_i (v_i ^ negate_i ^ m_i), shared, = XOR over subsets T of AND_{i not in T} v_i * [AND_{i in T} m_i].
// v: opened planes; shares of subset products are planes too. subset[s] for s = bit mask of literals gives the plane
// with that product's share (s = 0 unused; one-literal subsets point at the mask share itself).
typedef struct {
  int count;                      // literals
  const uint64_t *value[8];       // opened plane of each literal
  uint8_t negate[8];              // complement the opened bit
  const uint64_t *const *subset;  // 2^count pointers, as above
} tw_bit_product;

// out ^= product share, for `words` words; `one` is ~0 on party 0 and 0 on party 1 (share of the empty product).
void tw_bits_product(const tw_bit_product *p, size_t words, uint64_t one, uint64_t *out);

#endif
