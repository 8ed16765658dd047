// Leaves of comparisons on the device. Planes are taken as 32-bit words, one a group of 32 elements (little-endian: the low half
// of a 64-bit word first). A block makes the public digits' bit planes of its elements by ballots, then a thread evaluates up
// to 16 one-hot planes of one group; parts of wider digits meet in shared memory.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/launch.h"

enum {
  THREADS = 256,
  WARPS = THREADS / 32,
  GROUPS = 32,          // of a block
  MAX_LEAVES = 8,       // of a block
  MAX_DIGIT_BITS = 13,
  PART_BITS = 4,        // of a digit that one thread looks at
  ENOUGH_BLOCKS = 264   // two a multiprocessor of an H200
};

typedef struct {
  tw_leaves_args a;
  int block_leaves;
} leaves_call;

typedef struct {
  uint64_t offset;
  int low, width, kind, digit;  // digit: the block's leaf whose bit planes this one uses
  uint32_t first_plane, first_part;
} leaf;

// Shares, in a run of neighbouring one-hot entries, of [entry picked by c], [entry > picked], [any entry].
typedef struct {
  uint32_t eq, lt, any;
} leaf_run;

template <int width>
static __device__ __forceinline__ leaf_run evaluate(const uint32_t *planes, size_t stride, const uint32_t *c) {
  leaf_run run;
  if constexpr (width == 0) {
    run.eq = run.any = planes[0];
    run.lt = 0;
  } else {
    const leaf_run left = evaluate<width - 1>(planes, stride, c);
    const leaf_run right = evaluate<width - 1>(planes + (stride << (width - 1)), stride, c);
    const uint32_t bit = c[width - 1], above = left.lt ^ right.any;
    run.eq = left.eq ^ (bit & (left.eq ^ right.eq));
    run.lt = above ^ (bit & (above ^ right.lt));
    run.any = left.any ^ right.any;
  }
  return run;
}

// Shares of [c == a] or [c < a] as far as entries part * 16.. go; c: bit planes of the public digit.
static __device__ uint32_t evaluate_part(const leaf &l, uint32_t part, const uint32_t *planes, size_t stride, const uint32_t *c) {
  leaf_run run;
  planes += ((size_t)part << PART_BITS) * stride;
  switch (l.width) {
    case 1: run = evaluate<1>(planes, stride, c); break;
    case 2: run = evaluate<2>(planes, stride, c); break;
    case 3: run = evaluate<3>(planes, stride, c); break;
    default: run = evaluate<4>(planes, stride, c);
  }
  uint32_t equal = ~0u, less = 0;  // the digit's high bits against the part's number
  for (int i = l.width - 1; i >= PART_BITS; i--) {
    const uint32_t bit = 0 - (part >> (i - PART_BITS) & 1);
    less |= equal & ~c[i] & bit;
    equal &= ~(c[i] ^ bit);
  }
  return l.kind == TW_LEAF_LT ? (run.lt & equal) ^ (run.any & less) : run.eq & equal;
}

static __device__ leaf leaf_at(const tw_leaves_args &a, size_t i) {
  const int64_t *at = a.leaves + 3 * i;
  leaf l;
  l.offset = (uint64_t)at[0];
  l.kind = (int)(at[2] >> 8 & 0xff);
  l.low = l.kind == TW_LEAF_SIGN ? a.ring - 1 : (int)at[1];
  l.width = l.kind == TW_LEAF_SIGN ? 1 : (int)(at[2] & 0xff);
  l.first_plane = (uint32_t)(at[2] >> 16);
  return l;
}

static __device__ bool same_digit(const leaf &a, const leaf &b) {
  return a.offset == b.offset && a.low == b.low && a.width == b.width;
}

static __global__ void __launch_bounds__(THREADS) leaves_kernel(const __grid_constant__ leaves_call call) {
  __shared__ leaf leaves[MAX_LEAVES];
  __shared__ uint32_t parts;  // of all the block's leaves
  __shared__ uint32_t digits[MAX_LEAVES][MAX_DIGIT_BITS][GROUPS], result[MAX_LEAVES][GROUPS];
  const tw_leaves_args &a = call.a;
  const size_t stride = 2 * a.words, first_group = (size_t)blockIdx.x * GROUPS, first_leaf = (size_t)blockIdx.y * call.block_leaves;
  const size_t sequence = blockIdx.z;
  const uint32_t groups = stride - first_group < GROUPS ? (uint32_t)(stride - first_group) : GROUPS;
  const int count = a.count - first_leaf < (size_t)call.block_leaves ? (int)(a.count - first_leaf) : call.block_leaves;
  const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;

  if ((int)threadIdx.x < count) leaves[threadIdx.x] = leaf_at(a, first_leaf + threadIdx.x);
  (&result[0][0])[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t sum = 0;
    for (int i = 0; i < count; i++) {
      leaves[i].digit = i > 0 && same_digit(leaves[i], leaves[i - 1]) ? leaves[i - 1].digit : i;
      leaves[i].first_part = sum;
      sum += leaves[i].width > PART_BITS ? 1u << (leaves[i].width - PART_BITS) : 1;
    }
    parts = sum;
  }
  __syncthreads();

  const uint64_t ring = tw_ring_mask(a.ring);
  for (uint32_t g = (uint32_t)warp; g < groups; g += WARPS) {
    const size_t j = 32 * (first_group + g) + lane;
    const uint64_t x = j < a.n ? a.X[sequence * a.n + j] : 0;
    for (int i = 0; i < count; i++) {
      const leaf &l = leaves[i];
      if (l.digit != i) continue;
      const uint32_t digit = j < a.n ? (uint32_t)(((x - l.offset) & ring) >> l.low) : 0;
      uint32_t plane = 0;
      for (int bit = 0; bit < l.width; bit++) {
        const uint32_t votes = __ballot_sync(~0u, digit >> bit & 1);
        if (lane == bit) plane = votes;
      }
      if (lane < l.width) digits[i][lane][g] = plane;
    }
  }
  __syncthreads();

  const uint32_t *onehot = (const uint32_t *)(a.onehot + sequence * a.onehot_words) + first_group;
  for (uint32_t t = threadIdx.x; t < parts * groups; t += THREADS) {
    const uint32_t g = t % groups, part = t / groups;
    int i = count - 1;
    while (leaves[i].first_part > part) i--;
    const leaf l = leaves[i];
    const uint32_t *planes = onehot + l.first_plane * stride + g;
    uint32_t c[MAX_DIGIT_BITS];
#pragma unroll
    for (int bit = 0; bit < MAX_DIGIT_BITS; bit++) c[bit] = bit < l.width ? digits[l.digit][bit][g] : 0;
    uint32_t share;
    if (l.kind == TW_LEAF_SIGN)
      share = planes[0] ^ (a.rank == 0 ? ~c[0] : 0);
    else
      share = evaluate_part(l, part - l.first_part, planes, stride, c);
    if (l.width <= PART_BITS)
      result[i][g] = share;
    else
      atomicXor(&result[i][g], share);
  }
  __syncthreads();

  uint32_t *out = (uint32_t *)a.out + (sequence * (size_t)a.count + first_leaf) * stride + first_group;
  for (uint32_t t = threadIdx.x; t < (uint32_t)count * GROUPS; t += THREADS)
    if (t % GROUPS < groups) out[t / GROUPS * stride + t % GROUPS] = result[t / GROUPS][t % GROUPS];
}

tw_status tw_cuda_leaves(const tw_leaves_args *args, void *stream) {
  if (args->words == 0 || args->count == 0) return TW_OK;
  leaves_call call = {*args, MAX_LEAVES};
  const size_t chunks = tw_ceil_div(2 * args->words, GROUPS);
  while (call.block_leaves > 1 && chunks * args->sequences * tw_ceil_div((size_t)args->count, (size_t)call.block_leaves) < ENOUGH_BLOCKS)
    call.block_leaves /= 2;
  const dim3 grid((unsigned)chunks, (unsigned)tw_ceil_div((size_t)args->count, (size_t)call.block_leaves), (unsigned)args->sequences);
  return tw_enqueue(leaves_kernel, grid, THREADS, 0, stream, call);
}
