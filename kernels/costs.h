// Work and bytes of a kernel's call, from its arguments: what stands beside a measured time (`twain bench kernels`).
// Bytes: what must be read or written at least once, each word counted once. Arrays of corrections are not counted for
// the kernels of TW_CORRECTED_OPS: what must be read of those are their packed halves (tw_cost_corrected).
#ifndef TW_COSTS_H
#define TW_COSTS_H

#include "kernels/backend.h"

typedef struct {
  double bytes;
  double work;    // elements, or multiply-adds of products
  int ring;       // products: ring bits, else 0
  char size[96];  // for people: "128 x 64", "7 planes of 4096", "32 of 48 bits"
} tw_kernel_cost;

#define TW_DECLARE_COST(op) tw_kernel_cost tw_cost_##op(const tw_##op##_args *args);
TW_RING_OPS(TW_DECLARE_COST)
// Lists of leaves, products and parity are read: they must be in host memory.
TW_BIT_OPS(TW_DECLARE_COST)
#undef TW_DECLARE_COST
tw_kernel_cost tw_cost_row_sums(size_t rows, size_t cols, bool addend);
tw_kernel_cost tw_cost_draw(const tw_draw_args *args);
tw_kernel_cost tw_cost_corrections(const tw_correction_args *args, int count);
// A kernel that applies its corrections: `own`, and their packed halves.
tw_kernel_cost tw_cost_corrected(tw_kernel_cost own, const tw_correction_args *taken, int count);
tw_kernel_cost tw_cost_gemm(size_t count, size_t m, size_t n, size_t k, int ring_bits, bool accumulate);
// entry_bytes: of the operand, as it is stored.
tw_kernel_cost tw_cost_product(size_t m, size_t n, size_t k, int ring_bits, bool addend, int entry_bytes);
// An opened tensor that is packed for its message, or unpacked and added: so many arrays of words, and of packed words,
// are read or written. width: ring bits, or planes of bits.
tw_kernel_cost tw_cost_message(size_t sequences, size_t n, int width, bool bits, int arrays, int messages);

#endif
