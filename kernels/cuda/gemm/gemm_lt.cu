// Weight products by cuBLASLt: the library multiplies column-major int8 matrices whose inner dimension is contiguous.
// Limbs lie one behind the other along that dimension, X's ascending and V's descending, so that the sum of weight
// 256^t is a single product: the first t + 1 limbs of a row of X with the last t + 1 limbs of a column of V. These
// products go two ways side by side, so that the last blocks of one leave no multiprocessor idle.
#include <stdlib.h>

#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"

enum { LIBRARY_WORKSPACE = 32 << 20, WAYS = 2, ROW_ALIGN = 16, PASS_THREADS = 256 };

typedef struct {
  const int32_t *sums;  // [limbs][rows][padded_n]
  size_t weight_stride, n, padded_n, elements;
  const uint64_t *addend;
  uint64_t *out;
  uint64_t ring;
} join_args;

template <int limbs>
static __global__ void join_sums(const join_args g) {
  const size_t at = (size_t)blockIdx.x * PASS_THREADS + threadIdx.x;
  tw_begin();
  if (at >= g.elements) return;
  const int32_t *const from = g.sums + at / g.n * g.padded_n + at % g.n;
  int32_t sum[limbs];
#pragma unroll
  for (int t = 0; t < limbs; t++) sum[t] = from[t * g.weight_stride];
  g.out[at] = (join_weights<limbs>(sum, 1) + (g.addend ? g.addend[at] : 0)) & g.ring;
}

static void (*join_kernel(int limbs))(join_args) {
  switch (limbs) {
    case 1:
      return join_sums<1>;
    case 2:
      return join_sums<2>;
    case 3:
      return join_sums<3>;
    case 4:
      return join_sums<4>;
    case 5:
      return join_sums<5>;
    case 6:
      return join_sums<6>;
    case 7:
      return join_sums<7>;
    default:
      return join_sums<8>;
  }
}

#define TRY_LIBRARY(call)                                                                                        \
  do {                                                                                                           \
    const cublasStatus_t status_ = (call);                                                                       \
    if (status_ != CUBLAS_STATUS_SUCCESS)                                                                        \
      return tw_fail(TW_ERR_INTERNAL, "%s:%d: %s: cuBLASLt status %d", __FILE__, __LINE__, #call, (int)status_); \
  } while (0)

// Bytes of the parts of the workspace: limbs of X, sums, the library's own.
static size_t limb_part(size_t rows, size_t padded_inner, int limbs) {
  return tw_round_up(rows * limbs * padded_inner, 256);
}
static size_t sum_part(size_t rows, size_t padded_n, int limbs) {
  return tw_round_up(rows * limbs * padded_n * sizeof(int32_t), 256);
}

size_t tw_gemm_lt_workspace(size_t m, size_t n, size_t inner, int ring_bits) {
  const int limbs = tw_ring_limbs(ring_bits);
  const size_t rows = tw_round_up(m, ROW_ALIGN);
  return limb_part(rows, tw_round_up(inner, TW_LIMB_ALIGN), limbs) +
         sum_part(rows, tw_round_up(n, TW_LIMB_ALIGN), limbs) + WAYS * LIBRARY_WORKSPACE;
}

static void free_plan(tw_lt_plan *plan) {
  for (int t = 0; t < plan->limbs; t++) {
    if (plan->v[t]) cublasLtMatrixLayoutDestroy(plan->v[t]);
    if (plan->x[t]) cublasLtMatrixLayoutDestroy(plan->x[t]);
  }
  if (plan->sums) cublasLtMatrixLayoutDestroy(plan->sums);
  if (plan->product) cublasLtMatmulDescDestroy(plan->product);
  free(plan);
}

void tw_gemm_lt_release(tw_limbs *v) {
  while (v->plans) {
    tw_lt_plan *const next = v->plans->next;
    free_plan(v->plans);
    v->plans = next;
  }
}

static tw_status plan_weights(const tw_limbs *v, cublasLtMatmulPreference_t preference, tw_lt_plan *plan) {
  for (int t = 0; t < plan->limbs; t++) {
    const uint64_t inner = (uint64_t)(t + 1) * v->padded_inner;
    TRY_LIBRARY(
        cublasLtMatrixLayoutCreate(&plan->v[t], CUDA_R_8I, inner, v->padded_n, (int64_t)(v->limbs * v->padded_inner)));
    TRY_LIBRARY(cublasLtMatrixLayoutCreate(&plan->x[t], CUDA_R_8I, inner, plan->rows,
                                           (int64_t)(plan->limbs * v->padded_inner)));
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    TRY_LIBRARY(cublasLtMatmulAlgoGetHeuristic(v->library, plan->product, plan->v[t], plan->x[t], plan->sums,
                                               plan->sums, preference, 1, &found, &count));
    if (count == 0)
      return tw_fail(TW_ERR_INTERNAL, "cuBLASLt knows no int8 product of %zu x %llu x %zu", plan->rows,
                     (unsigned long long)inner, v->padded_n);
    plan->algorithm[t] = found.algo;
  }
  return TW_OK;
}

static tw_status fill_plan(const tw_limbs *v, tw_lt_plan *plan) {
  const cublasOperation_t transposed = CUBLAS_OP_T;
  TRY_LIBRARY(cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32I, CUDA_R_32I));
  TRY_LIBRARY(
      cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
  TRY_LIBRARY(cublasLtMatrixLayoutCreate(&plan->sums, CUDA_R_32I, v->padded_n, plan->rows, (int64_t)v->padded_n));
  cublasLtMatmulPreference_t preference;
  TRY_LIBRARY(cublasLtMatmulPreferenceCreate(&preference));
  const uint64_t bytes = LIBRARY_WORKSPACE;
  tw_status status = TW_OK;
  if (cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                           sizeof bytes) != CUBLAS_STATUS_SUCCESS)
    status = tw_fail(TW_ERR_INTERNAL, "cuBLASLt refuses a workspace of %d bytes", LIBRARY_WORKSPACE);
  if (status == TW_OK) status = plan_weights(v, preference, plan);
  cublasLtMatmulPreferenceDestroy(preference);
  return status;
}

static tw_status find_plan(const tw_limbs *v, size_t rows, int limbs, const tw_lt_plan **out) {
  for (const tw_lt_plan *plan = v->plans; plan; plan = plan->next)
    if (plan->rows == rows && plan->limbs == limbs) {
      *out = plan;
      return TW_OK;
    }
  tw_lt_plan *const plan = (tw_lt_plan *)calloc(1, sizeof *plan);
  if (!plan) return tw_fail(TW_ERR_MEMORY, "out of memory for a plan of library products");
  plan->rows = rows;
  plan->limbs = limbs;
  const tw_status status = fill_plan(v, plan);
  if (status != TW_OK) {
    free_plan(plan);
    return status;
  }
  plan->next = v->plans;
  v->plans = plan;
  *out = plan;
  return TW_OK;
}

// A stream's second way.
typedef struct fork_ways fork_ways;
struct fork_ways {
  cudaStream_t stream, side;
  cudaEvent_t forked, joined;
  fork_ways *next;
};
static fork_ways *forks;

static void free_fork(fork_ways *ways) {
  if (ways->forked) cudaEventDestroy(ways->forked);
  if (ways->joined) cudaEventDestroy(ways->joined);
  if (ways->side) cudaStreamDestroy(ways->side);
  free(ways);
}

static tw_status fill_fork(fork_ways *ways) {
  TW_CUDA(cudaEventCreateWithFlags(&ways->forked, cudaEventDisableTiming));
  TW_CUDA(cudaEventCreateWithFlags(&ways->joined, cudaEventDisableTiming));
  TW_CUDA(cudaStreamCreateWithFlags(&ways->side, cudaStreamNonBlocking));
  return TW_OK;
}

static tw_status find_fork(cudaStream_t stream, const fork_ways **out) {
  fork_ways *ways = forks;
  while (ways && ways->stream != stream) ways = ways->next;
  if (!ways) {
    ways = (fork_ways *)calloc(1, sizeof *ways);
    if (!ways) return tw_fail(TW_ERR_MEMORY, "out of memory for a stream's second way");
    const tw_status status = fill_fork(ways);
    if (status != TW_OK) {
      free_fork(ways);
      return status;
    }
    ways->stream = stream;
    ways->next = forks;
    forks = ways;
  }
  *out = ways;
  return TW_OK;
}

void tw_gemm_lt_forget(cudaStream_t stream) {
  for (fork_ways **at = &forks; *at; at = &(*at)->next)
    if ((*at)->stream == stream) {
      fork_ways *const ways = *at;
      *at = ways->next;
      free_fork(ways);
      return;
    }
}

tw_status tw_gemm_lt_reserve(cudaStream_t stream) {
  const fork_ways *ways;
  return find_fork(stream, &ways);
}

// The sums of all weights: the longest products first, both ways about as long.
static tw_status multiply(const tw_limbs *v, const tw_lt_plan *plan, const int8_t *x, int32_t *sums,
                          char *library_workspace, cudaStream_t stream) {
  const fork_ways *ways = nullptr;
  TW_TRY(find_fork(stream, &ways));
  const int32_t one = 1, zero = 0;
  TW_CUDA(cudaEventRecord(ways->forked, stream));
  TW_CUDA(cudaStreamWaitEvent(ways->side, ways->forked, 0));
  for (int i = 0; i < plan->limbs; i++) {
    const int t = plan->limbs - 1 - i, way = i % 4 == 1 || i % 4 == 2;
    int32_t *const sum = sums + t * plan->rows * v->padded_n;
    const int8_t *const weights = v->data + (v->limbs - 1 - t) * v->padded_inner;
    TRY_LIBRARY(cublasLtMatmul(v->library, plan->product, &one, weights, plan->v[t], x, plan->x[t], &zero, sum,
                               plan->sums, sum, plan->sums, &plan->algorithm[t],
                               library_workspace + way * LIBRARY_WORKSPACE, LIBRARY_WORKSPACE,
                               way ? ways->side : stream));
  }
  TW_CUDA(cudaEventRecord(ways->joined, ways->side));
  TW_CUDA(cudaStreamWaitEvent(stream, ways->joined, 0));
  return TW_OK;
}

static unsigned blocks_for(size_t threads) { return (unsigned)((threads + PASS_THREADS - 1) / PASS_THREADS); }

tw_status tw_gemm_lt(const tw_gemm_call *call, void *workspace, cudaStream_t stream) {
  const tw_limbs *const v = call->v;
  const int limbs = tw_ring_limbs(call->ring_bits);
  const size_t rows = tw_round_up(call->m, ROW_ALIGN);
  int8_t *const x = (int8_t *)workspace;
  int32_t *const sums = (int32_t *)(x + limb_part(rows, v->padded_inner, limbs));
  char *const library_workspace = (char *)sums + sum_part(rows, v->padded_n, limbs);
  const tw_lt_plan *plan = NULL;
  TW_TRY(find_plan(v, rows, limbs, &plan));

  TW_TRY(tw_gemm_split_rows(call->x, call->m, v->inner, rows, v->padded_inner, limbs, x, stream));
  TW_TRY(multiply(v, plan, x, sums, library_workspace, stream));
  const join_args join = {sums,           rows * v->padded_n, v->n,      v->padded_n,
                          call->m * v->n, call->addend,       call->out, tw_ring_mask(call->ring_bits)};
  return tw_launch(join_kernel(limbs), dim3(blocks_for(join.elements)), PASS_THREADS, 0, 1, stream, join);
}
