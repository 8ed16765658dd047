// Steps that were written down for a kernel (kernels/chain_steps.h), done by the CPU's backend in memory of the CPU,
// one tile after the other; packets go by the session's opener.
#ifndef TW_TEST_STEPS_HERE_H
#define TW_TEST_STEPS_HERE_H

#include "jobs/program/tile.h"

typedef struct {
  int run, steps;  // chains of one sequence; steps of the last
  size_t shared_bytes;
  uint64_t *memory;  // of a tile: the place that its runner names
} steps_seen;

// A tw_tile_runner's; its state is a steps_seen.
tw_status steps_here(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles, int sequence);

#endif
