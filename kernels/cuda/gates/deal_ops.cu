// The CUDA twin of the dealer's operations: one thread an element, and gates on bit planes by ballots (32-bit words,
// one a group of 32 elements; little-endian: the low half of a 64-bit word first).
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

enum { THREADS = 128 };

#define DEAL_OP(op)                                                                                         \
  static __global__ void __launch_bounds__(THREADS) op##_kernel(const __grid_constant__ tw_##op##_args a) { \
    const uint32_t j = blockIdx.x * THREADS + threadIdx.x;                                                  \
    tw_begin();                                                                                             \
    if (j < (uint32_t)(a.rows * a.cols)) tw_##op##_at(&a, tw_over(j, a.cols), tw_rest(j, a.cols));          \
  }                                                                                                         \
  tw_status tw_cuda_##op(const tw_##op##_args *a, void *stream) {                                           \
    return tw_enqueue_elements(op##_kernel, a->rows * a->cols, THREADS, 1, stream, *a);                     \
  }
TW_DEAL_OPS(DEAL_OP)

// ---- one-hot planes: a block takes 32 elements a warp; the planes of a digit are shared out among the warp's lanes
// ----

static __global__ void __launch_bounds__(THREADS) deal_digits_kernel(const __grid_constant__ tw_deal_digits_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, words = 2 * a.words;
  const uint32_t lane = threadIdx.x % 32;
  tw_begin();
  if (group >= words) return;
  uint32_t *const planes = (uint32_t *)a.planes;
  const bool live = j < a.n;
  const uint64_t r = live ? (a.r0[j] + a.r1[j]) & tw_ring_mask(a.ring) : 0;
  size_t first = 0;
  int low = a.low;
  for (int i = 0; i < a.count; i++) {
    const int width = (int)a.widths[i];
    const uint32_t digit = live ? (uint32_t)(r >> low & tw_ring_mask(width)) : ~0u;
    for (uint32_t from = 0; from < 1u << width; from += 32) {
      uint32_t mine = 0;
#pragma unroll 8
      for (uint32_t p = 0; p < 32; p++) {
        const uint32_t set = __ballot_sync(~0u, digit == from + p);
        if (p == lane) mine = set;
      }
      if (from + lane < 1u << width) planes[(first + from + lane) * words + group] = mine;
    }
    first += (size_t)1 << width;
    low += width;
  }
  if (!a.sign_bit) return;
  const uint32_t top = __ballot_sync(~0u, live && (r >> (a.ring - 1) & 1));
  if (lane == 0) planes[first * words + group] = top;
}

tw_status tw_cuda_deal_digits(const tw_deal_digits_args *args, void *stream) {
  return tw_enqueue(deal_digits_kernel, dim3((unsigned)tw_ceil_div(64 * args->words, THREADS)), THREADS, 0, stream,
                    *args);
}

static __global__ void __launch_bounds__(THREADS) deal_sign_kernel(const __grid_constant__ tw_deal_sign_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, words = (a.n + 63) / 64;
  tw_begin();
  if (group >= 2 * words) return;
  const size_t words0 = (a.half + 63) / 64, words1 = words - words0;
  bool plus = false;
  if (j < a.n) {
    const size_t digit = ((a.r0[j] + a.r1[j]) & tw_ring_mask(a.ring)) >> a.low & tw_ring_mask(a.width);
    plus =
        j < a.half ? tw_plane_bit(a.slot0 + digit * words0, j) : 1 ^ tw_plane_bit(a.slot1 + digit * words1, j - a.half);
  }
  const uint32_t set = __ballot_sync(~0u, plus);
  if (threadIdx.x % 32 == 0) ((uint32_t *)a.out)[group] = set;
}

tw_status tw_cuda_deal_sign(const tw_deal_sign_args *args, void *stream) {
  return tw_enqueue(deal_sign_kernel, dim3((unsigned)tw_ceil_div(64 * tw_ceil_div(args->n, 64), THREADS)), THREADS, 0,
                    stream, *args);
}

// ---- products of masks ----

typedef struct {
  tw_deal_subsets_args a;
  uint32_t block_words, block_products;  // their product: THREADS
} subsets_call;

static __global__ void __launch_bounds__(THREADS) deal_subsets_kernel(const __grid_constant__ subsets_call call) {
  const tw_deal_subsets_args &a = call.a;
  const uint32_t number = blockIdx.y * call.block_products + threadIdx.x / call.block_words;
  const size_t word = (size_t)blockIdx.x * call.block_words + threadIdx.x % call.block_words;
  const bool inside = number < (uint32_t)a.products && word < a.words;
  tw_let_next_start();
  const int64_t *const at = a.list + (inside ? a.starts[number] : 0), *const literals = at + 2;
  const int count = inside ? (int)at[1] : 0;
  const int64_t *const planes = literals + 3 * count;
  tw_await_earlier();
  if (!inside) return;
  uint64_t mask[8];
#pragma unroll
  for (int i = 0; i < 8; i++)
    mask[i] = i < count ? a.mask[literals[3 * i]][(size_t)literals[3 * i + 1] * a.words + word] : ~0ull;
  for (int set = 1; set < 1 << count; set++) {
    if (planes[set] < 0) continue;
    uint64_t product = ~0ull;
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (set >> i & 1) product &= mask[i];
    a.out[(size_t)planes[set] * a.words + word] = product;  // products that share a subset write the same
  }
}

tw_status tw_cuda_deal_subsets(const tw_deal_subsets_args *args, void *stream) {
  if (args->words == 0 || args->products == 0) return TW_OK;
  subsets_call call = {*args, THREADS, 1};
  while (call.block_words > 2 && call.block_words >= 2 * args->words) {  // at least half of the threads have a word
    call.block_words /= 2;
    call.block_products *= 2;
  }
  const dim3 grid((unsigned)tw_ceil_div(args->words, call.block_words),
                  (unsigned)tw_ceil_div((size_t)args->products, call.block_products));
  return tw_enqueue(deal_subsets_kernel, grid, THREADS, 0, stream, call);
}
