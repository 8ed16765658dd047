// The CUDA twin of what is done with keys of point functions (kernels/dpf.h): a thread walks one key's path or makes
// one key. Neighbours read neighbouring words; 32 results are one word by a ballot (little-endian: the low half of a
// 64-bit word first).
#include "kernels/cuda/gates/key_nodes.h"
#include "kernels/cuda/runtime/launch.h"

enum { THREADS = 128 };

// Share of [alpha <= c] of key j of n.
static __device__ __forceinline__ uint32_t at_most(const tw_thresholds_args &a, size_t sequence, size_t j, uint64_t c) {
  const int levels = tw_key_levels(a.ring), halves = tw_key_halves(a.ring);
  const uint64_t *leaf = a.leaf + sequence * halves * a.n + j;
  const key_words words = {a.seed + sequence * 2 * levels * a.n + j, a.control + sequence * levels * a.n + j, a.n};
  const key_name name = {a.slots[sequence], j, a.use};
  key_node at = root_of(a.root + halves * (sequence * a.n + j), halves, a.party);
  const uint32_t parity = walk(at, words, name, levels, c >> tw_key_leaf_bits(a.ring));
  const uint64_t on = 0 - (uint64_t)(at.control & 1);
  const int count = (int)(c & tw_ring_mask(tw_key_leaf_bits(a.ring))) + 1;
  const uint64_t low = (half_of(at, 0) ^ (on & leaf[0])) & tw_ring_mask(count < 64 ? count : 64),
                 high = count > 64 ? (half_of(at, 1) ^ (on & leaf[a.n])) & tw_ring_mask(count - 64) : 0;
  return parity ^ (__popcll(low ^ high) & 1);
}

static __global__ void __launch_bounds__(THREADS) thresholds_kernel(const __grid_constant__ tw_thresholds_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, plane = blockIdx.y,
               sequence = plane / a.count;
  tw_begin();
  if (group >= 2 * a.words) return;
  uint32_t bit = 0;
  if (j < a.n) {
    const uint64_t u = a.X[sequence * a.n + j] - (uint64_t)a.thresholds[plane - sequence * a.count];
    bit = at_most(a, sequence, j, u & tw_ring_mask(a.ring - 1));
    if (a.party == 0) bit ^= (uint32_t)(u >> (a.ring - 1) & 1);
  }
  const uint32_t word = __ballot_sync(~0u, bit) ^ ((const uint32_t *)(a.top + sequence * a.words))[group];
  if (threadIdx.x % 32 == 0) ((uint32_t *)(a.out + plane * a.words))[group] = word;
}

tw_status tw_cuda_thresholds(const tw_thresholds_args *a, void *stream) {
  if (a->words == 0) return TW_OK;
  return tw_enqueue(thresholds_kernel,
                    dim3((unsigned)tw_ceil_div(64 * a->words, THREADS), (unsigned)(a->sequences * (size_t)a->count)),
                    THREADS, 0, stream, *a);
}

// ---- the dealer's part

static __device__ __forceinline__ void deal_leaf(const tw_deal_keys_args &a, size_t j, const key_node *at,
                                                 uint64_t alpha) {
  const int bit = (int)(alpha & tw_ring_mask(tw_key_leaf_bits(a.ring)));
  for (int half = 0; half < tw_key_halves(a.ring); half++)
    a.leaf[half * a.n + j] =
        half_of(at[0], half) ^ half_of(at[1], half) ^ (bit / 64 == half ? (uint64_t)1 << bit % 64 : 0);
}

static __device__ __forceinline__ void deal_key(const tw_deal_keys_args &a, size_t j, uint64_t alpha) {
  const int levels = tw_key_levels(a.ring), halves = tw_key_halves(a.ring);
  const key_name name = {a.slot[0], j, a.use};
  key_node at[2] = {root_of(a.root[0] + halves * j, halves, 0), root_of(a.root[1] + halves * j, halves, 1)};
  for (int level = 0; level < levels; level++) {
    uint32_t block[2][BLOCK_WORDS];
#pragma unroll
    for (int b = 0; b < 2; b++) expand(at[b], name, (uint32_t)level, block[b]);
    deal_level(at, block, (uint32_t)(alpha >> (a.ring - 2 - level)) & 1, a.seed + 2 * level * a.n + j,
               a.control + level * a.n + j, a.n);
  }
  deal_leaf(a, j, at, alpha);
}

static __global__ void __launch_bounds__(THREADS) deal_keys_kernel(const __grid_constant__ tw_deal_keys_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32;
  tw_begin();
  if (group >= 2 * a.words) return;
  const uint64_t r = j < a.n ? (a.r0[j] + a.r1[j]) & tw_ring_mask(a.ring) : 0;
  const uint32_t top = __ballot_sync(~0u, (uint32_t)(r >> (a.ring - 1)));
  if (threadIdx.x % 32 == 0) ((uint32_t *)a.top)[group] = top;
  if (j < a.n) deal_key(a, j, r & tw_ring_mask(a.ring - 1));
}

tw_status tw_cuda_deal_keys(const tw_deal_keys_args *a, void *stream) {
  return tw_enqueue(deal_keys_kernel, dim3((unsigned)tw_ceil_div(64 * a->words, THREADS)), THREADS, 0, stream, *a);
}
