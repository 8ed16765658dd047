// Test harness: deal a small program, run the emulator and both parties over a loopback channel, and compare every
// opened value and the output bit for bit. Fresh random seeds, masks and input shares every time, unless the caller
// brings his.
#ifndef TW_TEST_WALK_H
#define TW_TEST_WALK_H

#include "jobs/program/build.h"
#include "jobs/program/tile.h"

typedef struct {
  // in
  const tw_program *program;
  int batch;
  const int *lengths;     // may be NULL: all live
  const int *earlier;     // of a conversation, alike: rows of earlier turns, which count the tokens, too
  const uint64_t *input;  // values of the inputs mod their rings, or numbers; [batch][n], one input behind the other
  int weight_count;       // secret model tensors, values mod 2^64
  const size_t *weight_rows, *weight_cols;
  uint64_t *const *weight_values;
  // in, may be NULL
  const tw_seed *seeds[2];     // of each party, [batch]
  const tw_seed *model_seeds;  // of each party
  const uint64_t *slots;       // [batch]
  // parties prepare as on a GPU: masks are kept, made in waves spread over streams, for stretches of random length
  bool keep_masks;
  // parties walk these chains by tiles of at most so many rows (jobs/program/tile.h); NULL: level by level
  const tw_chains *chains;
  size_t tile_rows;
  const tw_tile_runner *runner[2];  // of each party: who runs the tiles; NULL: the walk itself
  // parties' kernels are run three more times where they are called (jobs/program/timed_backend.h)
  bool repeat_kernels;
  // weights' operands are not read as values, as on a GPU
  bool closed_operands;
  // told before a party starts of all that it must keep secret (true), and of what it hands to the client (false)
  void (*secrecy)(void *data, size_t bytes, bool secret);
  // out; walk_free frees
  // values of the output wires mod their rings, [batch][n], or [batch][planes][words] of bits, one behind the other
  uint64_t *output;
  uint64_t *guard;        // [batch] the guard's count; NULL: the program has none
  uint64_t mismatches;    // opened and output values that differ between parties and emulator (0 wanted)
  uint64_t out_of_bound;  // noted by the emulator
  uint64_t rounds, payload_bytes;
  uint64_t repeated;        // kernels of party 0 that were run again
  uint8_t *corrections[2];  // both parties' corrections as dealt, first sequence
  uint64_t *opened;  // all that the first sequence opened, in order: ring elements, words of planes with zero tails
  size_t opened_count;
  uint8_t transcript[2][32];  // of each party
} walk;

// 0 on success; prints the failure's message and returns its status otherwise.
tw_status walk_run(walk *w);
void walk_free(walk *w);

// Signed value of element i of the first output.
int64_t walk_signed(const walk *w, size_t i);
double walk_real(const walk *w, size_t i);

uint64_t walk_random(void);                            // 64 OS-random bits
int64_t walk_random_range(int64_t low, int64_t high);  // inclusive

#endif
