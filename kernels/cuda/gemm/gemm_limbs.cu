// Limbs of a weight matrix, and of the rows it is multiplied with.
#include <stdlib.h>

#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"
#include "kernels/cuda/runtime/cuda_ops.h"

typedef struct {
  const uint64_t *v;
  int8_t *data;
  size_t inner, n, padded_inner, padded_n;
} weight_args;

typedef struct {
  const uint64_t *x;
  int8_t *data;  // [rows][limbs][padded_inner]
  size_t m, inner, padded_inner, words;
} row_args;

enum { SPLIT_THREADS = 256, SPLIT_COLUMNS = 32, SPLIT_QUADS = SPLIT_THREADS / SPLIT_COLUMNS };

// A thread splits four inner elements of one column; a warp reads along a row of V, a block fills 32 bytes of each
// limb.
template <int limbs>
static __global__ void split_weights(const weight_args g) {
  const size_t column = (size_t)blockIdx.x * SPLIT_COLUMNS + threadIdx.x % SPLIT_COLUMNS;
  const size_t k = 4 * ((size_t)blockIdx.y * SPLIT_QUADS + threadIdx.x / SPLIT_COLUMNS);
  uint64_t element[4];
  tw_begin();
#pragma unroll
  for (size_t e = 0; e < 4; e++) element[e] = k + e < g.inner && column < g.n ? g.v[(k + e) * g.n + column] : 0;
  uint32_t word[limbs];
  split_four<limbs>(element, word);
#pragma unroll
  for (int i = 0; i < limbs; i++)
    *(uint32_t *)(g.data + (column * limbs + (limbs - 1 - i)) * g.padded_inner + k) = word[i];
}

// A thread splits four neighbouring elements; rows m.. and columns inner.. become 0.
template <int limbs>
static __global__ void split_rows(const row_args g) {
  const size_t word = (size_t)blockIdx.x * SPLIT_THREADS + threadIdx.x, quads = g.padded_inner / 4;
  tw_begin();
  if (word >= g.words) return;
  const size_t row = word / quads, k = word % quads * 4;
  uint64_t element[4];
#pragma unroll
  for (size_t e = 0; e < 4; e++) element[e] = row < g.m && k + e < g.inner ? g.x[row * g.inner + k + e] : 0;
  uint32_t limb[limbs];
  split_four<limbs>(element, limb);
#pragma unroll
  for (int i = 0; i < limbs; i++) *(uint32_t *)(g.data + (row * limbs + i) * g.padded_inner + k) = limb[i];
}

typedef struct {
  void (*weights)(weight_args);
  void (*rows)(row_args);
} split_kernels;

static split_kernels find_split(int limbs) {
  switch (limbs) {
    case 1:
      return {split_weights<1>, split_rows<1>};
    case 2:
      return {split_weights<2>, split_rows<2>};
    case 3:
      return {split_weights<3>, split_rows<3>};
    case 4:
      return {split_weights<4>, split_rows<4>};
    case 5:
      return {split_weights<5>, split_rows<5>};
    case 6:
      return {split_weights<6>, split_rows<6>};
    case 7:
      return {split_weights<7>, split_rows<7>};
    default:
      return {split_weights<8>, split_rows<8>};
  }
}

static size_t data_bytes(const tw_limbs *v) { return v->padded_n * v->limbs * v->padded_inner; }

static tw_status fill_limbs(tw_limbs *v, const uint64_t *device_v, cudaStream_t stream) {
  if (cublasLtCreate(&v->library) != CUBLAS_STATUS_SUCCESS)
    return tw_fail(TW_ERR_INTERNAL, "cuBLASLt cannot be started; check that its version fits the driver");
  void *memory;
  TW_TRY(tw_cuda_alloc(data_bytes(v), &memory));
  v->data = (int8_t *)memory;
  const weight_args g = {device_v, v->data, v->inner, v->n, v->padded_inner, v->padded_n};
  const dim3 grid((unsigned)(v->padded_n / SPLIT_COLUMNS), (unsigned)(v->padded_inner / (4 * SPLIT_QUADS)));
  return tw_launch(find_split(v->limbs).weights, grid, SPLIT_THREADS, 0, 1, stream, g);
}

tw_status tw_limbs_create(size_t inner, size_t n, int limbs, const uint64_t *device_v, void *stream, tw_limbs **out) {
  *out = NULL;
  if (limbs < 1 || limbs > TW_MAX_LIMBS || inner == 0 || n == 0 || n > 1 << 20 || inner * limbs >= TW_MAX_SUM_INNER)
    return tw_fail(TW_ERR_RANGE,
                   "ring product on the GPU: weights of %zu x %zu in %d limbs are out of range (inner * limbs < %d)",
                   inner, n, limbs, TW_MAX_SUM_INNER);
  tw_limbs *const v = (tw_limbs *)calloc(1, sizeof *v);
  if (!v) return tw_fail(TW_ERR_MEMORY, "out of memory for the weights' limbs");
  v->inner = inner;
  v->n = n;
  v->limbs = limbs;
  v->padded_inner = tw_round_up(inner, TW_LIMB_ALIGN);
  v->padded_n = tw_round_up(n, TW_LIMB_ALIGN);
  const tw_status status = fill_limbs(v, device_v, (cudaStream_t)stream);
  if (status != TW_OK) {
    tw_limbs_free(v);
    return status;
  }
  *out = v;
  return TW_OK;
}

void tw_limbs_free(tw_limbs *v) {
  if (!v) return;
  tw_gemm_lt_release(v);
  tw_cuda_release(v->data, data_bytes(v));  // weight shares are secret
  if (v->library) cublasLtDestroy(v->library);
  free(v);
}

tw_status tw_gemm_split_rows(const uint64_t *x, size_t m, size_t inner, size_t rows, size_t padded_inner, int limbs,
                             int8_t *out, cudaStream_t stream) {
  const row_args g = {x, out, m, inner, padded_inner, rows * (padded_inner / 4)};
  const dim3 grid((unsigned)tw_ceil_div(g.words, SPLIT_THREADS));
  return tw_launch(find_split(limbs).rows, grid, SPLIT_THREADS, 0, 1, stream, g);
}
