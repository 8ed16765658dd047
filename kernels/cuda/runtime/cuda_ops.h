// The functions behind tw_cuda_backend.
#ifndef TW_CUDA_OPS_H
#define TW_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/backend.h"

#define TW_DECLARE_CUDA_OP(op) tw_status tw_cuda_##op(const tw_##op##_args *args, void *stream);
TW_RING_OPS(TW_DECLARE_CUDA_OP)
TW_BIT_OPS(TW_DECLARE_CUDA_OP)
TW_DEAL_OPS(TW_DECLARE_CUDA_OP)
TW_DEAL_BIT_OPS(TW_DECLARE_CUDA_OP)
#undef TW_DECLARE_CUDA_OP
#define TW_DECLARE_CUDA_CORRECTED_OP(op)                                                                     \
  tw_status tw_cuda_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                     void *stream);
TW_CORRECTED_OPS(TW_DECLARE_CUDA_CORRECTED_OP)
#undef TW_DECLARE_CUDA_CORRECTED_OP

tw_status tw_cuda_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                           uint64_t *out, void *stream);
tw_status tw_cuda_draw(const tw_draw_args *args, void *stream);
tw_status tw_cuda_draw_all(const tw_draw_args *args, int count, void *stream);
tw_status tw_cuda_corrections(const tw_correction_args *args, int count, void *stream);
tw_status tw_cuda_give(const tw_give_args *args, int count, void *stream);

// Memory of the GPU, cleared; counted in tw_device_memory_peak.
tw_status tw_cuda_alloc(size_t bytes, void **out);
void tw_cuda_release(void *memory, size_t bytes);  // waits for the device, and wipes

// Weight products.
tw_status tw_cuda_operand(size_t k, size_t n, int ring_bits, const uint64_t *v, void *stream, void **out);
void tw_cuda_operand_free(void *operand);
tw_status tw_cuda_product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                          int ring_bits, uint64_t *out, void *stream);
tw_status tw_cuda_product_rows(const void *operand, int m, size_t n, size_t k, const tw_product_row *row, int ring_bits,
                               void *stream);
tw_status tw_cuda_product_reserve(size_t m, size_t n, size_t k, int ring_bits, void *stream);
// Releases what products took for a stream that is about to be destroyed; what was recorded with it must be gone.
void tw_cuda_product_forget(void *stream);
size_t tw_cuda_product_room(size_t m, size_t n, size_t k, int ring_bits);

// Ring products on the ordinary cores, as gemm of the table: for shapes that the tensor cores' kernels refuse.
tw_status tw_cuda_plain_gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b,
                             uint64_t *c, int ring_bits, int accumulate, void *stream);

#ifdef __cplusplus
}
#endif

#endif
