// A call of the backend that both sides make on the same random memory; included by cuda_kernels.cu alone.
#ifndef TW_TEST_CUDA_TRIALS_H
#define TW_TEST_CUDA_TRIALS_H

#include <cuda_runtime.h>

#include <string>

#include "tests/device/cuda_arena.h"

namespace {

struct trial {
  std::string name;
  std::function<tw_status(const tw_backend *k, bool on_device, void *stream)> run;
  double bytes, elements;  // read and written; what a rate counts
};

void must(tw_status status, const char *what) {
  if (status == TW_OK) return;
  fprintf(stderr, "cuda_kernels: %s: %s\n", what, tw_error_message());
  exit(2);
}
void must(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "cuda_kernels: %s: %s\n", what, cudaGetErrorString(error));
  exit(2);
}

template <class type>
trial make(arena &m, const char *name, tw_status (*tw_backend::*op)(const type *, void *), const type &args,
           double bytes, double elements) {
  return {name,
          [&m, op, args](const tw_backend *k, bool on_device, void *stream) {
            if (!on_device) return (k->*op)(&args, stream);
            const type copy = m.on_device_args(args);
            return (k->*op)(&copy, stream);
          },
          bytes, elements};
}
#define TRIAL(op, args, bytes, elements) make(m, #op, &tw_backend::op, args, bytes, elements)

size_t words_of(size_t n) { return (n + 63) / 64; }
uint64_t ring_of(arena &m) { return tw_ring_mask(m.between(1, 64)); }
uint64_t one_of(arena &m) { return m.below(2) ? ~0ull : 0; }
tw_pairing flat(size_t cols) { return {1, cols, 0, 1}; }

// A second operand: flat, one element a column, or one a row of each sequence. *size: its words.
tw_pairing pairing(arena &m, size_t sequences, size_t rows, size_t cols, size_t *size) {
  switch (m.below(3)) {
    case 0:
      *size = sequences * rows * cols;
      return flat(cols);
    case 1:
      *size = sequences * cols;
      return {rows, cols, 0, 1};
    default:
      *size = sequences * rows;
      return {rows, rows, 1, 0};
  }
}

typedef std::vector<trial> trials;

}  // namespace

#endif
