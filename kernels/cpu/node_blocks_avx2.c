// ChaCha20 of eight nodes an instruction.
#define LANES 8
#include "kernels/node_lanes.h"

void tw_node_blocks_avx2(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                         uint32_t (*block)[TW_NODES]) {
  node_blocks(name, seed, count, block);
}
