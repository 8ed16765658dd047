// Which kernel computes a weight product.
#include "kernels/cuda/gemm/gemm.h"

// Limbs that stay in the second-level cache of an H100 or H200 while others pass.
enum { CACHED_BYTES = 32 << 20 };

// Up to this many rows the fused kernel is faster than the library, whose passes over limbs and sums in memory, and
// launches, have to pay off first (cuda_gemm bench).
enum { FUSED_ROWS = 1024 };

// Of TW_PRODUCT_ROWS, where a device has too little memory for a block with all.
enum { HALF_ROWS = TW_PRODUCT_ROWS / 2 };

typedef enum { ROWS, FUSED, WIDE, LIBRARY } way;

// The wide kernel goes through all rows for every few columns: where neither operand stays in the cache the library's
// order is the better one (cuda_gemm bench, 4096 cubed).
static bool takes_wide(size_t m, size_t n, size_t inner, int ring_bits) {
  return tw_gemm_wide_takes(inner, ring_bits) && (m < n ? m : n) * inner * tw_ring_limbs(ring_bits) <= CACHED_BYTES;
}

static way choose(size_t m, size_t n, size_t inner, int ring_bits, tw_gemm_tiling *tiling) {
  if (m <= TW_PRODUCT_ROWS && tw_gemm_rows_takes((int)m, ring_bits)) return ROWS;
  const bool fused = tw_gemm_fused_choose(m, n, inner, ring_bits, tiling);
  if (takes_wide(m, n, inner, ring_bits))
    return fused && tiling->cycles <= tw_gemm_wide_cycles(m, n, inner, ring_bits) ? FUSED : WIDE;
  return fused && m <= FUSED_ROWS ? FUSED : LIBRARY;
}

extern "C" size_t tw_device_gemm_workspace(size_t m, size_t n, size_t inner, int ring_bits) {
  tw_gemm_tiling tiling;
  if (m == 0) return 0;
  switch (choose(m, n, inner, ring_bits, &tiling)) {
    case ROWS:
    case FUSED:
      return 0;
    case WIDE:
      return tw_gemm_wide_workspace(m, inner, ring_bits);
    default:
      return tw_gemm_lt_workspace(m, n, inner, ring_bits);
  }
}

extern "C" tw_status tw_device_gemm_reserve(size_t m, size_t n, size_t inner, int ring_bits, void *stream) {
  tw_gemm_tiling tiling;
  const bool library = m > 0 && choose(m, n, inner, ring_bits, &tiling) == LIBRARY;
  return library ? tw_gemm_lt_reserve((cudaStream_t)stream) : TW_OK;
}

extern "C" void tw_device_gemm_forget(void *stream) { tw_gemm_lt_forget((cudaStream_t)stream); }

extern "C" tw_status tw_device_gemm(const tw_limbs *v, size_t m, const uint64_t *x, int ring_bits,
                                    const uint64_t *addend, uint64_t *out, void *workspace, void *stream) {
  if (ring_bits < 1 || ring_bits > 8 * v->limbs || m > 1 << 22)
    return tw_fail(TW_ERR_RANGE, "ring product on the GPU: %zu rows, %d bits with weights of %d limbs are out of range",
                   m, ring_bits, v->limbs);
  if (m == 0) return TW_OK;
  const tw_gemm_call call = {v, m, x, addend, ring_bits, out};
  tw_gemm_tiling tiling;
  switch (choose(m, v->n, v->inner, ring_bits, &tiling)) {
    case ROWS:
      return tw_gemm_rows_together(&call, (cudaStream_t)stream);
    case FUSED:
      return tw_gemm_fused(&call, tiling, (cudaStream_t)stream);
    case WIDE:
      return tw_gemm_wide(&call, workspace, (cudaStream_t)stream);
    default:
      return tw_gemm_lt(&call, workspace, (cudaStream_t)stream);
  }
}

extern "C" tw_status tw_device_gemm_rows(const tw_limbs *v, int m, const tw_product_row *row, int ring_bits,
                                         void *stream) {
  for (int some; m > 0; m -= some, row += some) {
    some = m < HALF_ROWS || tw_gemm_rows_takes(m, ring_bits) ? m : HALF_ROWS;
    TW_TRY(tw_gemm_rows(v, some, row, ring_bits, (cudaStream_t)stream));
  }
  return TW_OK;
}
