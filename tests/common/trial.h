// One gate under test: a small program on random input, walked by dealer, emulator and both parties. Whatever the
// gate, the program must build, the walk must run, and no opened value may differ from the emulator's.
#ifndef TW_TEST_TRIAL_H
#define TW_TEST_TRIAL_H

#include "tests/common/walk.h"

typedef struct {
  tw_program program;
  tw_builder b;
  walk w;
  int ring;         // of the input
  size_t n;         // input elements of one sequence
  uint64_t *input;  // [batch][n]
  tw_seed *seeds[2];
  uint64_t *slots;
} trial;

// Starts a program whose input has random values mod 2^ring; returns the input (SHARE, scale 0).
int trial_start(trial *t, int ring, size_t n, int batch);
// Other random values for input elements [first, first + n) of every sequence: low .. high.
void trial_fill(trial *t, size_t first, size_t n, int64_t low, int64_t high);
// All values low .. high in turn.
void trial_count(trial *t, int64_t low, int64_t high);
// Elements [first, first + n) of a tensor.
int trial_slice(trial *t, int x, size_t first, size_t n);
// Bits [x >= 0] of planes * n input elements of ring 8, as planes; the input is filled for it.
int trial_bits(trial *t, int x, int planes, size_t n);
// Finishes the program and walks it; asserts success and no mismatch.
void trial_run(trial *t, int output);
// The builder must have refused, with a message that holds `text`.
void trial_refused(trial *t, int output, const char *text);
void trial_end(trial *t);

// Element j of sequence b: input, output wire, bit of an output plane; mask share of an opened wire.
int64_t trial_x(const trial *t, int b, size_t j);
int64_t trial_y(const trial *t, int b, size_t j);
int trial_bit(const trial *t, int b, int plane, size_t j);
uint64_t trial_mask(const trial *t, int wire, int party, int b, size_t j);

// Sizes around the word boundaries, and batches.
extern const size_t trial_sizes[];
enum { TRIAL_SIZES = 7 };

#define TRIAL_FOR(n, batch)                                          \
  for (int size_ = 0; size_ < TRIAL_SIZES; size_++)                  \
    for (size_t n = trial_sizes[size_], once_ = 1; once_; once_ = 0) \
      for (int batch = 1; batch <= 3; batch += 2)

#endif
