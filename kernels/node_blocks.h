// ChaCha20 blocks (RFC 8439) of many keys side by side: what nodes of DPF keys expand to (kernels/dpf.h). libsodium's
// ChaCha20 has one key a call.
//
// A node's key is its seed and its name, 4 + 4 words: slot (2), use id, level. The nonce is a zero word and the number
// of the element (2). The block counter is 0: a node has one block.
#ifndef TW_NODE_BLOCKS_H
#define TW_NODE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum {
  TW_NODES = 64,            // nodes side by side: bits of a word
  TW_NODE_BLOCK_WORDS = 14  // of a block's sixteen: left seed (4), right seed (4), control bits, unused, two values (4)
};

typedef struct {
  uint64_t slot;
  uint32_t use, level;
  uint64_t element;  // of the first node; the next has the next, or all have the same
  int step;          // 1 or 0
} tw_node_name;

// Blocks of the first `count` nodes; those of further nodes, up to a whole vector, are undefined.
typedef void tw_node_blocks(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                            uint32_t (*block)[TW_NODES]);
tw_node_blocks tw_node_blocks_portable, tw_node_blocks_avx2, tw_node_blocks_avx512;
// By the best of these (kernels/isa.h).
tw_node_blocks tw_node_blocks_best;

#endif
