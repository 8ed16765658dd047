// Which kernel computes a weight product.
#include "kernels/cuda/gemm.h"

// Up to this many rows one fused kernel takes the product. On large matrices the library's kernels are faster, but its
// passes over limbs and sums in memory, and its launches, have to pay off first: on an H200 at about 2048 rows
// (cuda_gemm bench).
enum { FUSED_ROWS = 1024 };

static bool takes_fused(size_t m, size_t n, size_t inner, int ring_bits, tw_gemm_tiling *tiling) {
  return m <= FUSED_ROWS && tw_gemm_fused_choose(m, n, inner, ring_bits, tiling);
}

extern "C" size_t tw_device_gemm_workspace(size_t m, size_t n, size_t inner, int ring_bits) {
  tw_gemm_tiling tiling;
  if (m == 0 || takes_fused(m, n, inner, ring_bits, &tiling)) return 0;
  return tw_gemm_lt_workspace(m, n, inner, ring_bits);
}

extern "C" tw_status tw_device_gemm(const tw_limbs *v, size_t m, const uint64_t *x, int ring_bits,
                                    const uint64_t *addend, uint64_t *out, void *workspace, void *stream) {
  if (ring_bits < 1 || ring_bits > 8 * v->limbs || m > 1 << 22)
    return tw_fail(TW_ERR_RANGE, "ring product on the GPU: %zu rows, %d bits with weights of %d limbs are out of range",
                   m, ring_bits, v->limbs);
  if (m == 0) return TW_OK;
  const tw_gemm_call call = {v, m, x, addend, ring_bits, out};
  tw_gemm_tiling tiling;
  if (takes_fused(m, v->n, v->inner, ring_bits, &tiling)) return tw_gemm_fused(&call, tiling, (cudaStream_t)stream);
  return tw_gemm_lt(&call, workspace, (cudaStream_t)stream);
}
