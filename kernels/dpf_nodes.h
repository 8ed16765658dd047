// Up to 64 nodes side by side, and a step from nodes to their children: what dealer and parties share.
#ifndef TW_DPF_NODES_H
#define TW_DPF_NODES_H

#include "kernels/dpf.h"
#include "kernels/node_blocks.h"

typedef struct {
  uint32_t seed[4][TW_NODES];
  uint64_t control;
} tw_nodes;

typedef uint32_t tw_blocks[TW_NODE_BLOCK_WORDS][TW_NODES];

enum { TW_BLOCK_CONTROL = 8, TW_BLOCK_VALUE = 10 };  // words of a block

// What the nodes expand to. A seed that is read as a leaf word must never be expanded, so the process ends.
void tw_nodes_expand(const tw_dpf_shape *shape, const tw_node_name *name, const tw_nodes *nodes, size_t count,
                     tw_blocks block);

// A word's seed and control bits, of up to 64 keys. Not there: zeros.
typedef struct {
  const uint64_t *low, *high, *control;
  size_t stride;  // 1: key after key; 0: all nodes are of one key
} tw_level_word;
tw_level_word tw_dpf_level_word(const tw_dpf_words *words, size_t n, int level, size_t first, size_t stride);

// Nodes with these control bits and blocks become their left children, or their right ones where a bit of `right` is 1.
// Returns the control bits of the left children. What lies past `count` is undefined.
uint64_t tw_nodes_step(uint64_t control, const tw_blocks block, size_t count, tw_level_word word, uint64_t right,
                       tw_nodes *children);

// Root seeds [count][halves] of a party; stride 0: all nodes are of the first key.
void tw_nodes_root(const uint64_t *root, int halves, size_t stride, size_t count, int party, tw_nodes *nodes);
// Bits of alpha that a leaf word stands for.
static inline int tw_dpf_leaf_bits(const tw_dpf_shape *s) {
  return s->bits < TW_DPF_LEAF_BITS ? s->bits : TW_DPF_LEAF_BITS;
}
// Value v of a node's block.
static inline uint64_t tw_block_value(const tw_blocks block, int v, size_t j) {
  return block[TW_BLOCK_VALUE + 2 * v][j] | (uint64_t)block[TW_BLOCK_VALUE + 2 * v + 1][j] << 32;
}

#endif
