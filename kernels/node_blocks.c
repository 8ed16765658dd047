// Blocks of nodes for any processor, and the choice among instruction sets.
#include "kernels/isa.h"

#define LANES 4
#include "kernels/node_lanes.h"

void tw_node_blocks_portable(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                             uint32_t (*block)[TW_NODES]) {
  node_blocks(name, seed, count, block);
}

void tw_node_blocks_best(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                         uint32_t (*block)[TW_NODES]) {
  switch (tw_isa_active()) {
#ifdef TWAIN_X86
    case TW_ISA_AVX512:
      tw_node_blocks_avx512(name, seed, count, block);
      return;
    case TW_ISA_AVX2:
      tw_node_blocks_avx2(name, seed, count, block);
      return;
#endif
    default:
      tw_node_blocks_portable(name, seed, count, block);
  }
}
