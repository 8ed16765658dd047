// A fault check over opened (public) values that any number of threads can sum up. Per open, mod 2^64,
//   of ring elements  the sum over elements j of mix(value_j + (j + 1) c);
//   of bit planes     the sum over half words h of value_h k_h, with weights k_h = mix((h + 1) c) | 1.
// mix(x) = fold(c' fold(x)), fold(x) = x ^ x >> 32: few instructions, since an exchange between GPUs spends a good part
// of its own on this. What planes give is a sum over their bits: whoever has some bits of a word adds those, at their
// places. It finds faults, not forgery; both parties are honest about what they opened.
#ifndef TW_OPEN_DIGEST_H
#define TW_OPEN_DIGEST_H

#include <stdbool.h>

#include "kernels/ring_ops.h"

// Finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
TW_ELEMENT uint64_t tw_mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Of ring element j.
TW_ELEMENT uint64_t tw_open_digest_term(uint64_t value, uint64_t j) {
  uint64_t x = value + (j + 1) * 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 32)) * 0xbf58476d1ce4e5b9ull;
  return x ^ (x >> 32);
}

// Of half word h of an open's planes, counted through all of them, or of some of its bits. An odd weight finds every
// fault in a half word: 2^64 divides no such product.
TW_ELEMENT uint64_t tw_half_digest_term(uint64_t half, uint64_t h) { return half * (tw_open_digest_term(0, h) | 1); }

// Of word j.
TW_ELEMENT uint64_t tw_plane_digest_term(uint64_t bits, uint64_t j) {
  return tw_half_digest_term(bits & UINT32_MAX, 2 * j) + tw_half_digest_term(bits >> 32, 2 * j + 1);
}

// Of a whole open: ring elements, or words of bit planes.
static inline uint64_t tw_open_digest(bool bits, const uint64_t *values, size_t words) {
  uint64_t sum = 0;
  for (size_t j = 0; j < words; j++)
    sum += bits ? tw_plane_digest_term(values[j], j) : tw_open_digest_term(values[j], j);
  return sum;
}

#endif
