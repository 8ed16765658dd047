// Random streams that take the place of kernels/prg.c: the honest party's run through all values, lane by lane, the
// other's are constant. Defines tw_prg_ring and its neighbours, so one source file of an executable includes it.
#ifndef TW_TEST_ENUMERATED_STREAMS_H
#define TW_TEST_ENUMERATED_STREAMS_H

#include <stdbool.h>
#include <stdlib.h>

#include "kernels/digit.h"
#include "kernels/pack.h"
#include "kernels/prg.h"

enum { MAX_USES = 64 };

typedef struct {
  int honest;
  uint64_t key;  // picks the corrupted party's own values
  size_t lanes;  // a power of two, at least 128
  int lane_bits;
  int bits;              // honest randomness of one lane
  bool rows;             // tensors are [lane][position], else [position][lane]
  int offset[MAX_USES];  // first bit of a use's part in the lane's number
  size_t n[MAX_USES];    // its elements
  int width[MAX_USES];
  uint64_t model;  // the honest party's masks of the model's elements, `model_bits` each
  int model_bits;
} enumeration;

static enumeration tape;

static uint64_t mixed(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

typedef struct {
  size_t lane, position;
} place;

static place place_of(size_t n, size_t j) {
  if (!tape.rows) return (place){j & (tape.lanes - 1), j >> tape.lane_bits};
  size_t inner = n >> tape.lane_bits;
  return (place){j / inner, j % inner};
}

static uint64_t element(int side, uint32_t use, size_t j) {
  place p = place_of(tape.n[use], j);
  int width = tape.width[use];
  if (side != tape.honest) return mixed(tape.key ^ mixed((uint64_t)use << 32 | p.position)) & tw_mask(width);
  uint64_t number = p.lane & tw_mask(tape.bits);
  return number >> (tape.offset[use] + (int)p.position * width) & tw_mask(width);
}

static uint64_t model_element(int side, uint32_t index, size_t j) {
  if (side != tape.honest) return mixed(tape.key ^ mixed(~((uint64_t)index << 32 | j)));
  return tape.model >> ((int)index * tape.model_bits) & tw_mask(tape.model_bits);
}

static tw_seed tagged_seed(int side, bool model) { return (tw_seed){{(uint8_t)side, model}}; }

void tw_prg_ring(const tw_seed *seed, uint32_t use, uint64_t slot, int ring_bits, uint64_t first, size_t n,
                 uint64_t *out) {
  (void)slot;
  for (size_t i = 0; i < n; i++)
    out[i] = (seed->key[1] ? model_element(seed->key[0], use, first + i) : element(seed->key[0], use, first + i)) &
             tw_mask(ring_bits);
}

// One plane's bits of elements 64 word .. 64 word + 63.
static uint64_t plane_word(int side, uint32_t use, size_t plane, size_t word) {
  uint64_t out = 0;
  if (!tape.rows &&
      (side != tape.honest || tape.offset[use] + (int)plane >= 6))  // 64 neighbours have the same high bits
    return element(side, use, 64 * word) >> plane & 1 ? ~0ull : 0;
  for (size_t bit = 0; bit < 64 && word * 64 + bit < tape.n[use]; bit++)
    out |= (element(side, use, word * 64 + bit) >> plane & 1) << bit;
  return out;
}

void tw_prg_words(const tw_seed *seed, uint32_t use, uint64_t slot, uint64_t first_word, size_t n, uint64_t *out) {
  (void)slot;
  size_t words = tw_words(tape.n[use]);
  for (size_t i = 0; i < n; i++)
    out[i] = plane_word(seed->key[0], use, (first_word + i) / words, (first_word + i) % words);
}

void tw_seed_random(tw_seed *seed) {
  (void)seed;
  abort();  // every seed is given
}

void tw_seed_test(tw_seed *seed, uint64_t number, const char *label, uint64_t index) {
  (void)seed, (void)number, (void)label, (void)index;
  abort();
}

#endif
