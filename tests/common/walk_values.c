// Numbers for a walk: random ones, and its results as values.
#include <math.h>
#include <sodium.h>

#include "tests/common/walk.h"

uint64_t walk_random(void) {
  uint64_t x;
  randombytes_buf(&x, sizeof x);
  return x;
}

int64_t walk_random_range(int64_t low, int64_t high) {
  return low + (int64_t)(walk_random() % ((uint64_t)(high - low) + 1));
}

int64_t walk_signed(const walk *w, size_t i) {
  return tw_signed(w->output[i], w->program->tensors[w->program->outputs[0]].ring);
}

double walk_real(const walk *w, size_t i) {
  return ldexp((double)walk_signed(w, i), -w->program->tensors[w->program->outputs[0]].scale);
}
