// Elements start at any bit. Up to 56 bits an element, with the up to 7 bits in front of it, fits one unaligned
// u64, which gives loops without branches; wider rings gather whole words. Host order is little-endian (x86-64).
#include "kernels/pack.h"

#include <stdbool.h>
#include <string.h>

enum { NARROW_BITS = 56 };

size_t tw_packed_bytes(size_t n, int ring_bits) {
  size_t bits = (size_t)ring_bits;
  return n / 8 * bits + (n % 8 * bits + 7) / 8;
}

static uint64_t load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}

static void store64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

static uint64_t load_bytes(const uint8_t *p, size_t bytes) {
  uint64_t v = 0;
  memcpy(&v, p, bytes);
  return v;
}

// Elements that can be moved by whole 8-byte accesses at their first byte without passing the end.
static size_t whole_access_elements(size_t n, int ring_bits) {
  size_t bytes = tw_packed_bytes(n, ring_bits);
  if (bytes < 8) return 0;
  size_t count = (bytes - 8) * 8 / (size_t)ring_bits + 1;
  return count < n ? count : n;
}

// Packs elements [from, n), whose bits start at out: the slow and general way.
static void pack_any(const uint64_t *in, size_t n, int ring_bits, uint64_t acc, int fill, uint8_t *out) {
  uint64_t mask = tw_mask(ring_bits);
  for (size_t j = 0; j < n; j++) {
    uint64_t v = in[j] & mask;
    acc |= v << fill;
    fill += ring_bits;
    if (fill >= 64) {
      store64(out, acc);
      out += 8;
      fill -= 64;
      acc = fill ? v >> (ring_bits - fill) : 0;
    }
  }
  memcpy(out, &acc, ((size_t)fill + 7) / 8);
}

static void pack_narrow(const uint64_t *in, size_t n, int ring_bits, uint8_t *out) {
  size_t fast = whole_access_elements(n, ring_bits);
  uint64_t mask = tw_mask(ring_bits), acc = 0;
  unsigned fill = 0;
  for (size_t j = 0; j < fast; j++) {
    acc |= (in[j] & mask) << fill;
    store64(out, acc);
    fill += (unsigned)ring_bits;
    out += fill >> 3;
    acc >>= fill & ~7u;
    fill &= 7;
  }
  pack_any(in + fast, n - fast, ring_bits, acc, (int)fill, out);
}

void tw_pack(const uint64_t *in, size_t n, int ring_bits, uint8_t *out) {
  switch (ring_bits) {
    case 8:
      for (size_t j = 0; j < n; j++) out[j] = (uint8_t)in[j];
      return;
    case 16:
      for (size_t j = 0; j < n; j++) {
        uint16_t v = (uint16_t)in[j];
        memcpy(out + 2 * j, &v, 2);
      }
      return;
    case 32:
      for (size_t j = 0; j < n; j++) {
        uint32_t v = (uint32_t)in[j];
        memcpy(out + 4 * j, &v, 4);
      }
      return;
    case 64:
      if (n) memcpy(out, in, 8 * n);
      return;
    default:
      if (ring_bits <= NARROW_BITS)
        pack_narrow(in, n, ring_bits, out);
      else
        pack_any(in, n, ring_bits, 0, 0, out);
  }
}

// One element at bit `bit`, reading only the bytes it touches.
static uint64_t element_at(const uint8_t *in, size_t bit, int ring_bits) {
  const uint8_t *p = in + bit / 8;
  size_t shift = bit % 8, bytes = (shift + (size_t)ring_bits + 7) / 8;
  uint64_t low = load_bytes(p, bytes < 8 ? bytes : 8) >> shift;
  uint64_t high = bytes > 8 ? (uint64_t)p[8] << (64 - shift) : 0;
  return (low | high) & tw_mask(ring_bits);
}

// sum: add to out, else overwrite it.
static inline __attribute__((always_inline)) void unpack(const uint8_t *in, size_t n, int ring_bits, bool sum,
                                                         uint64_t *out) {
  uint64_t mask = tw_mask(ring_bits);
  size_t j = 0, bit = 0, step = (size_t)ring_bits;
  if (ring_bits <= NARROW_BITS) {
    size_t fast = whole_access_elements(n, ring_bits);
    for (; j < fast; j++, bit += step) {
      uint64_t v = load64(in + bit / 8) >> (bit % 8);
      out[j] = ((sum ? out[j] : 0) + v) & mask;
    }
  }
  for (; j < n; j++, bit += step) out[j] = ((sum ? out[j] : 0) + element_at(in, bit, ring_bits)) & mask;
}

// Whole-word rings: element j is the j-th word of `bytes` bytes.
static inline __attribute__((always_inline)) void unpack_words(const uint8_t *in, size_t n, size_t bytes, bool sum,
                                                               uint64_t *out) {
  uint64_t mask = tw_mask((int)(8 * bytes));
  for (size_t j = 0; j < n; j++) out[j] = ((sum ? out[j] : 0) + load_bytes(in + bytes * j, bytes)) & mask;
}

static inline __attribute__((always_inline)) void unpack_ring(const uint8_t *in, size_t n, int ring_bits, bool sum,
                                                              uint64_t *out) {
  switch (ring_bits) {
    case 8:
      unpack_words(in, n, 1, sum, out);
      return;
    case 16:
      unpack_words(in, n, 2, sum, out);
      return;
    case 32:
      unpack_words(in, n, 4, sum, out);
      return;
    case 64:
      unpack_words(in, n, 8, sum, out);
      return;
    default:
      unpack(in, n, ring_bits, sum, out);
  }
}

void tw_unpack(const uint8_t *in, size_t n, int ring_bits, uint64_t *out) { unpack_ring(in, n, ring_bits, false, out); }

void tw_unpack_add(const uint8_t *in, size_t n, int ring_bits, uint64_t *inout) {
  unpack_ring(in, n, ring_bits, true, inout);
}
