// Ring matrix products on the GPU, by int8 tensor cores (CUDA twin of kernels/gemm.h).
//
// A ring element is taken as signed 8-bit limbs, value = sum_i l_i 256^i with l_i in [-128, 127], and a product mod 2^k
// is put together from L = ceil(k / 8) int8 products with int32 sums: weight 256^t gets sum_{i+j=t} X_i V_j, and
// products with i + j >= L vanish mod 2^k. A sum stays below 2^31 as long as inner * L < 131072; larger ones are
// refused.
//
// All matrices are row-major, without gaps, in device memory and 16-byte aligned. Functions with a stream (a
// cudaStream_t) only enqueue work on it: no allocation, no wait; they may be captured in a CUDA graph. One GPU a
// process. Errors: TW_ERR_RANGE for shapes outside the bounds above, TW_ERR_MEMORY, TW_ERR_INTERNAL for a failed CUDA
// call (file and line).
#ifndef TW_DEVICE_GEMM_H
#define TW_DEVICE_GEMM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "base/status.h"
#include "kernels/product_rows.h"

enum { TW_MAX_SUM_INNER = 131072 };

// Limbs of a weight matrix V [inner][n], split once per model.
typedef struct tw_limbs tw_limbs;

// limbs: 1..8, those of the largest ring V is used in. device_v may be released once the work enqueued here is done.
// Allocates limbs * n * inner bytes, both sizes rounded up to 32. Set-up only: not for a stream being captured, not
// thread-safe.
tw_status tw_limbs_create(size_t inner, size_t n, int limbs, const uint64_t *device_v, void *stream, tw_limbs **out);
// Overwrites the limbs, then releases them; waits for the device. NULL is allowed.
void tw_limbs_free(tw_limbs *limbs);

// Bytes of workspace (256-byte aligned) that tw_device_gemm needs for this shape; may be 0.
size_t tw_device_gemm_workspace(size_t m, size_t n, size_t inner, int ring_bits);

// What else such a call takes on a stream the first time, which cannot be taken while the stream is captured.
tw_status tw_device_gemm_reserve(size_t m, size_t n, size_t inner, int ring_bits, void *stream);
// Gives back what such calls took for a stream that is about to be destroyed.
void tw_device_gemm_forget(void *stream);

// out [m][n] = (x [m][inner] V + addend [m][n]) mod 2^ring_bits. ring_bits: 1..8 * limbs of V. Bits of x and addend
// above ring_bits are ignored. addend may be NULL, or out itself. Two calls that run at the same time need two
// workspaces. The first call with another m plans library calls (host memory only).
tw_status tw_device_gemm(const tw_limbs *v, size_t m, const uint64_t *x, int ring_bits, const uint64_t *addend,
                         uint64_t *out, void *workspace, void *stream);

// The same of rows that lie apart, without a workspace; m: 1..TW_PRODUCT_ROWS.
tw_status tw_device_gemm_rows(const tw_limbs *v, int m, const tw_product_row *row, int ring_bits, void *stream);

// count products one behind the other, both operands split on the fly: x [count][m][inner], y [count][inner][n],
// out [count][m][n]. accumulate: +1 out += xy, -1 out -= xy, 0 out = xy, each mod 2^ring_bits (1..64).
// Meant for the attention products: inner of a few hundred at most. Needs no workspace (NULL).
tw_status tw_device_gemm_batched(size_t count, size_t m, size_t n, size_t inner, const uint64_t *x, const uint64_t *y,
                                 int ring_bits, int accumulate, uint64_t *out, void *workspace, void *stream);

#ifdef __cplusplus
}
#endif

#endif
