// Test harness: deal a small program, run both parties over a loopback channel and the emulator, and compare every opened
// value bit for bit. Fresh random seeds and input shares every time.
#ifndef TW_TEST_WALK_H
#define TW_TEST_WALK_H

#include "jobs/build.h"
#include "jobs/session.h"

typedef struct {
  // in
  const tw_program *program;
  int batch;
  const int *lengths;          // may be NULL: all live
  const uint64_t *input;       // values of the input tensor, [batch][n], mod its ring
  int weight_count;            // secret model tensors, values mod 2^64
  const size_t *weight_rows, *weight_cols;
  uint64_t *const *weight_values;
  // out
  uint64_t *output;            // [batch][n] values of the output tensor (mod its ring), caller frees
  uint64_t mismatches;         // opened values that differ between parties and emulator (0 wanted)
  uint64_t out_of_bound;       // noted by the emulator
  uint64_t rounds, payload_bytes;
  // both ranks' corrections as dealt, for the first sequence; caller frees
  uint8_t *corrections[2];
} walk;

// 0 on success; prints the failure's message and returns its status otherwise.
tw_status walk_run(walk *w);
void walk_free(walk *w);

// Signed value of output element i.
int64_t walk_signed(const walk *w, size_t i);
double walk_real(const walk *w, size_t i);

uint64_t walk_random(void);                          // 64 OS-random bits
int64_t walk_random_range(int64_t low, int64_t high);  // inclusive

#endif
