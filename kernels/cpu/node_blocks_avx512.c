// ChaCha20 of sixteen nodes an instruction.
#define LANES 16
#include "kernels/node_lanes.h"

void tw_node_blocks_avx512(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                           uint32_t (*block)[TW_NODES]) {
  node_blocks(name, seed, count, block);
}
