// node_blocks, the body of tw_node_blocks for every instruction set. LANES: how many 32-bit words a vector has.
#ifndef TW_NODE_LANES_H
#define TW_NODE_LANES_H

#include "kernels/node_blocks.h"

typedef uint32_t lane_words __attribute__((vector_size(4 * LANES)));

static inline __attribute__((always_inline)) lane_words rotated(lane_words x, int n) { return x << n | x >> (32 - n); }

static inline __attribute__((always_inline)) void quarter_round(lane_words *x, int a, int b, int c, int d) {
  x[a] += x[b], x[d] = rotated(x[d] ^ x[a], 16);
  x[c] += x[d], x[b] = rotated(x[b] ^ x[c], 12);
  x[a] += x[b], x[d] = rotated(x[d] ^ x[a], 8);
  x[c] += x[d], x[b] = rotated(x[b] ^ x[c], 7);
}

static inline __attribute__((always_inline)) lane_words all_lanes(uint32_t word) { return word - (lane_words){0}; }

static inline __attribute__((always_inline)) void first_state(const tw_node_name *name,
                                                              const uint32_t (*seed)[TW_NODES], size_t at,
                                                              lane_words *state) {
  const uint32_t known[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int i = 0; i < 4; i++) state[i] = all_lanes(known[i]);
  for (int i = 0; i < 4; i++) __builtin_memcpy(&state[4 + i], &seed[i][at], sizeof state[0]);
  state[8] = all_lanes((uint32_t)name->slot);
  state[9] = all_lanes((uint32_t)(name->slot >> 32));
  state[10] = all_lanes(name->use);
  state[11] = all_lanes(name->level);
  state[12] = state[13] = all_lanes(0);
  for (int i = 0; i < LANES; i++) {
    uint64_t element = name->element + (uint64_t)name->step * (at + (size_t)i);
    state[14][i] = (uint32_t)element;
    state[15][i] = (uint32_t)(element >> 32);
  }
}

static inline __attribute__((always_inline)) void node_blocks(const tw_node_name *name,
                                                              const uint32_t (*seed)[TW_NODES], size_t count,
                                                              uint32_t (*block)[TW_NODES]) {
  for (size_t at = 0; at < count; at += LANES) {
    lane_words first[16], x[16];
    first_state(name, seed, at, first);
    __builtin_memcpy(x, first, sizeof x);
    for (int round = 0; round < 10; round++) {
      for (int i = 0; i < 4; i++) quarter_round(x, i, 4 + i, 8 + i, 12 + i);
      for (int i = 0; i < 4; i++) quarter_round(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (int i = 0; i < TW_NODE_BLOCK_WORDS; i++) {
      x[i] += first[i];
      __builtin_memcpy(&block[i][at], &x[i], sizeof x[i]);
    }
  }
}

#endif
