// What the files of the GPU's ring products share; kernels/device_gemm.h is what others call.
#ifndef TW_CUDA_GEMM_H
#define TW_CUDA_GEMM_H

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "kernels/cuda/runtime/launch.h"
#include "kernels/device_gemm.h"
#include "kernels/ring_ops.h"

enum { TW_MAX_LIMBS = 8, TW_LIMB_ALIGN = 32 };

// Library calls for one number of rows and one ring.
typedef struct tw_lt_plan tw_lt_plan;
struct tw_lt_plan {
  size_t rows;  // of X, rounded up
  int limbs;
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t v[TW_MAX_LIMBS], x[TW_MAX_LIMBS], sums;
  cublasLtMatmulAlgo_t algorithm[TW_MAX_LIMBS];
  tw_lt_plan *next;
};

// data: int8 [padded_n][limbs][padded_inner], for each column of V its limbs from the highest down to the lowest;
// padding is 0. So the last (t+1) * padded_inner bytes of a column are V_t .. V_0, what X_0 .. X_t is multiplied with.
struct tw_limbs {
  size_t inner, n, padded_inner, padded_n;
  int limbs;
  int8_t *data;
  cublasLtHandle_t library;
  mutable tw_lt_plan *plans;
};

typedef struct {
  const tw_limbs *v;
  size_t m;
  const uint64_t *x, *addend;
  int ring_bits;
  uint64_t *out;
} tw_gemm_call;

static inline int tw_ring_limbs(int ring_bits) { return (ring_bits + 7) / 8; }
static inline size_t tw_round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// X's limbs: out, int8 [rows][limbs][padded_inner], limbs from the lowest up; rows m.. and columns inner.. become 0.
tw_status tw_gemm_split_rows(const uint64_t *x, size_t m, size_t inner, size_t rows, size_t padded_inner, int limbs,
                             int8_t *out, cudaStream_t stream);

// By cuBLASLt: X is split, one product for each weight, then the weights are put together.
size_t tw_gemm_lt_workspace(size_t m, size_t n, size_t inner, int ring_bits);
tw_status tw_gemm_lt(const tw_gemm_call *call, void *workspace, cudaStream_t stream);
tw_status tw_gemm_lt_reserve(cudaStream_t stream);  // a second stream beside it,
void tw_gemm_lt_forget(cudaStream_t stream);        // which goes with it
void tw_gemm_lt_release(tw_limbs *v);               // the plans

// By one kernel: tiles of `columns` columns of the result (32, 48 or 64), each by `splits` (1..8) blocks that share the
// inner dimension. tw_gemm_fused_choose finds the pair the cost model likes best, and the cycles it expects; false: no
// such kernel on this device.
typedef struct {
  int columns, splits;
  double cycles;
} tw_gemm_tiling;
bool tw_gemm_fused_choose(size_t m, size_t n, size_t inner, int ring_bits, tw_gemm_tiling *out);
tw_status tw_gemm_fused(const tw_gemm_call *call, tw_gemm_tiling tiling, cudaStream_t stream);

// By one kernel that reads V at the memory's rate: 1..TW_PRODUCT_ROWS rows, which may lie apart. takes: whether this
// device has memory for it.
bool tw_gemm_rows_takes(int m, int ring_bits);
tw_status tw_gemm_rows(const tw_limbs *v, int m, const tw_product_row *row, int ring_bits, cudaStream_t stream);
tw_status tw_gemm_rows_together(const tw_gemm_call *call, cudaStream_t stream);

// By one kernel on X's limbs, Hopper only. takes: whether there is such a kernel for this product on this device;
// cycles: what its cost model expects then.
bool tw_gemm_wide_takes(size_t inner, int ring_bits);
double tw_gemm_wide_cycles(size_t m, size_t n, size_t inner, int ring_bits);
size_t tw_gemm_wide_workspace(size_t m, size_t inner, int ring_bits);
tw_status tw_gemm_wide(const tw_gemm_call *call, void *workspace, cudaStream_t stream);

#endif
