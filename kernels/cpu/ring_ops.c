// The CPU twin of the elementwise gates: plain loops over kernels/ring_ops.h.
#include "kernels/cpu/cpu_ops.h"

#define TW_CPU_RING_OP(op)                                                                              \
  tw_status tw_cpu_##op(const tw_##op##_args *args, void *stream) {                                     \
    (void)stream;                                                                                       \
    const tw_##op##_args a = *args;                                                                     \
    for (size_t row = 0; row < a.rows; row++)                                                           \
      for (size_t col = 0; col < a.cols; col++) a.out[row * a.cols + col] = tw_##op##_at(&a, row, col); \
    return TW_OK;                                                                                       \
  }
TW_RING_OPS(TW_CPU_RING_OP)

tw_status tw_cpu_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                          uint64_t *out, void *stream) {
  (void)stream;
  for (size_t i = 0; i < rows; i++) {
    uint64_t sum = addend ? addend[i] : 0;
    for (size_t j = 0; j < cols; j++) sum += x[i * cols + j];
    out[i] = sum & ring;
  }
  return TW_OK;
}
