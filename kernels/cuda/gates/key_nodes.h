// Nodes of keys of point functions (kernels/dpf.h) in a thread's registers: what kernels share that read or make keys.
#ifndef TW_CUDA_KEY_NODES_H
#define TW_CUDA_KEY_NODES_H

#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/streams/chacha20.h"

enum { NODE_CONTROL = 8, NODE_VALUE = 10 };  // a block's words

typedef struct {
  uint32_t seed[4], control;  // control: all ones or 0
} key_node;

typedef struct {
  uint64_t slot, element;
  uint32_t use;
} key_name;

static __device__ __forceinline__ void expand(const key_node &at, const key_name &name, uint32_t level,
                                              uint32_t *block) {
  const uint32_t key[8] = {
      at.seed[0], at.seed[1], at.seed[2], at.seed[3], (uint32_t)name.slot, (uint32_t)(name.slot >> 32),
      name.use,   level};
  chacha20_block(key, 0, name.element, 0, block);
}

// root: of one key.
static __device__ __forceinline__ key_node root_of(const uint64_t *root, int halves, int party) {
  const uint64_t low = root[0], high = halves > 1 ? root[1] : 0;
  return {{(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}, party ? ~0u : 0};
}

// The node becomes its child. Returns the left child's control bit.
static __device__ __forceinline__ uint32_t step(key_node &at, const uint32_t *block, uint64_t low, uint64_t high,
                                                uint32_t control, uint32_t right) {
  const uint32_t word[4] = {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)},
                 turn = 0 - right, bits = block[NODE_CONTROL] ^ (at.control & control);
#pragma unroll
  for (int i = 0; i < 4; i++) at.seed[i] = block[i] ^ (turn & (block[i] ^ block[4 + i])) ^ (at.control & word[i]);
  at.control = 0 - (bits >> right & 1);
  return bits & 1;
}

static __device__ __forceinline__ uint64_t half_of(const key_node &at, int half) {
  return at.seed[2 * half] | (uint64_t)at.seed[2 * half + 1] << 32;
}

static __device__ __forceinline__ uint64_t value_of(const uint32_t *block, int v) {
  return block[NODE_VALUE + 2 * v] | (uint64_t)block[NODE_VALUE + 2 * v + 1] << 32;
}

// One key of n: its words stand n apart.
typedef struct {
  const uint64_t *seed, *control;
  size_t n;
} key_words;

// One level down, to the child that `right` says. Returns the left child's control bit.
static __device__ __forceinline__ uint32_t descend(key_node &at, const key_words &words, const key_name &name,
                                                   uint32_t level, uint32_t right) {
  uint32_t block[BLOCK_WORDS];
  expand(at, name, level, block);
  return step(at, block, words.seed[2 * level * words.n], words.seed[(2 * level + 1) * words.n],
              (uint32_t)words.control[level * words.n], right);
}

// From the root to node c of level `levels`. Returns the parity of left siblings' control bits.
static __device__ __forceinline__ uint32_t walk(key_node &at, const key_words &words, const key_name &name, int levels,
                                                uint64_t c) {
  uint32_t parity = 0;
  for (int level = 0; level < levels; level++) {
    const uint32_t right = (uint32_t)(c >> (levels - 1 - level)) & 1;
    parity ^= right & descend(at, words, name, (uint32_t)level, right);
  }
  return parity;
}

// The words of one level and both parties' children. block: of their nodes.
static __device__ __forceinline__ void deal_level(key_node at[2], const uint32_t block[2][BLOCK_WORDS], uint32_t right,
                                                  uint64_t *seed, uint64_t *control, size_t n) {
  uint32_t lost[4];
#pragma unroll
  for (int i = 0; i < 4; i++) lost[i] = right ? block[0][i] ^ block[1][i] : block[0][4 + i] ^ block[1][4 + i];
  const uint64_t low = lost[0] | (uint64_t)lost[1] << 32, high = lost[2] | (uint64_t)lost[3] << 32;
  const uint32_t bits = ((block[0][NODE_CONTROL] ^ block[1][NODE_CONTROL]) & 3) ^ (1 + right);
  seed[0] = low;
  seed[n] = high;
  control[0] = bits;
#pragma unroll
  for (int b = 0; b < 2; b++) step(at[b], block[b], low, high, bits, right);
}

#endif
