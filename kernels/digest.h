// A fault check over opened (public) values that any number of threads can sum up: per open the sum over its elements j
// of mix(value_j + (j + 1) c), mix(x) = fold(c' fold(x)), fold(x) = x ^ x >> 32: few instructions, since an exchange
// between GPUs spends a good part of its own on this. It finds faults, not forgery; both parties are honest about what
// they opened.
#ifndef TW_OPEN_DIGEST_H
#define TW_OPEN_DIGEST_H

#include "kernels/ring_ops.h"

// Finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
TW_ELEMENT uint64_t tw_mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

TW_ELEMENT uint64_t tw_open_digest_term(uint64_t value, uint64_t j) {
  uint64_t x = value + (j + 1) * 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 32)) * 0xbf58476d1ce4e5b9ull;
  return x ^ (x >> 32);
}

// words: ring elements, or words of bit planes.
static inline uint64_t tw_open_digest(const uint64_t *values, size_t words) {
  uint64_t sum = 0;
  for (size_t j = 0; j < words; j++) sum += tw_open_digest_term(values[j], j);
  return sum;
}

#endif
