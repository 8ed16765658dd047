// Blocks of a GPU on the CPU: the code that a thread of chain_run.cu runs (kernels/chain_block.h), run here by threads
// that this file makes and takes turns with, in random order. Both parties' blocks run at once, each with memory of its
// own; packets are under way for a while and overtake each other. A thread goes on until it waits for others: so one
// that should wait and does not reads what is not there yet.
#ifndef TW_TEST_BLOCKS_HERE_H
#define TW_TEST_BLOCKS_HERE_H

#include <pthread.h>

#include "jobs/program/tile.h"

enum { BLOCKS_HERE_THREADS = 64, BLOCKS_HERE_MOST = 2 };  // of a block; blocks of a party

// What is wrong on purpose.
typedef enum {
  FAULT_NONE,
  FAULT_BARRIER,    // barrier number `which` of every tile is none
  FAULT_LANES,      // bits of a message: each lane sends its neighbour's
  FAULT_SLOT,       // packets of all rounds lie in one slot
  FAULT_BASE,       // party 1 counts from elsewhere
  FAULT_NO_WAITING  // what is fetched is not waited for
} blocks_fault;

// Both parties' ends; each party's runner has its address as state of one of `sides`.
typedef struct blocks_here blocks_here;
typedef struct {
  blocks_here *both;
  int party;
  const tw_tile_steps *list;
  int64_t *memory;    // where its runner says that a block's memory is; not touched
  uint64_t *digests;  // [BLOCKS_HERE_DIGESTS]; what chains add goes to the session's opener
  uint64_t *packed;
} blocks_side;
enum { BLOCKS_HERE_DIGESTS = 1 << 12 };
struct blocks_here {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  blocks_side sides[2];
  int arrived, left;
  struct blocks_stage *stage;
  tw_status status;
  char message[128];
  // in
  uint32_t blocks;  // of a party, at most; fewer where there are fewer tiles
  blocks_fault fault;
  int which;
  size_t packed;  // words of memory for what is packed before
  // out
  int run, steps, barriers;  // chains of one sequence; of the last one's list; met by a tile of it
  size_t shared_bytes, list_bytes;
  int dead_lanes;  // packets with bits behind a plane's last element
};

void blocks_here_begin(blocks_here *b, uint32_t blocks);
void blocks_here_end(blocks_here *b);
// The party's runner: tables in the CPU's memory.
tw_tile_runner blocks_here_runner(blocks_here *b, int party, size_t shared_bytes, const uint64_t *const *tables);

#endif
