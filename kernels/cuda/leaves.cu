// Leaves of comparisons on the device. Planes are taken as 32-bit words, one a group of 32 elements (little-endian: the
// low half of a 64-bit word first). A block makes the public digits' bit planes of its elements by transposing them, 32
// x 32 bits a warp, then a thread evaluates up to 16 one-hot planes of one group; parts of wider digits meet in shared
// memory.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/transpose.h"

enum {
  THREADS = 256,
  WARPS = THREADS / 32,
  GROUPS = 32,         // of a block
  MAX_LEAVES = 32,     // of a block
  PART_BITS = 4,       // of a digit that one thread looks at
  ENOUGH_BLOCKS = 264  // two a multiprocessor of an H200
};

typedef struct {
  tw_leaves_args a;
  int block_leaves;
} leaves_call;

typedef struct {
  uint64_t offset;
  int low, width, kind;
  uint32_t first_plane;
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

// A group's words of neighbouring bit planes of X - offset, in shared memory.
enum { PLANE_STRIDE = GROUPS + 1 };

// Shares of [c == a] or [c < a] as far as entries part * 16.. go; digit: bit planes of the public digit.
static __device__ uint32_t evaluate_part(const leaf &l, uint32_t part, const uint32_t *planes, size_t stride,
                                         const uint32_t *digit) {
  leaf_run run;
  uint32_t c[PART_BITS];
#pragma unroll
  for (int i = 0; i < PART_BITS; i++) c[i] = i < l.width ? digit[i * PLANE_STRIDE] : 0;
  planes += ((size_t)part << PART_BITS) * stride;
  switch (l.width) {
    case 1:
      run = evaluate<1>(planes, stride, c);
      break;
    case 2:
      run = evaluate<2>(planes, stride, c);
      break;
    case 3:
      run = evaluate<3>(planes, stride, c);
      break;
    default:
      run = evaluate<4>(planes, stride, c);
  }
  uint32_t equal = ~0u, less = 0;  // the digit's high bits against the part's number
  for (int i = l.width - 1; i >= PART_BITS; i--) {
    const uint32_t bit = 0 - (part >> (i - PART_BITS) & 1), plane = digit[i * PLANE_STRIDE];
    less |= equal & ~plane & bit;
    equal &= ~(plane ^ bit);
  }
  return l.kind == TW_LEAF_LT ? (run.lt & equal) ^ (run.any & less) : run.eq & equal;
}

// Bit planes of (X - offset) mod ring, which leaves of one offset share; elements past the last have 0.
static __device__ void load_planes(const tw_leaves_args &a, const uint64_t *X, uint64_t offset, size_t first_group,
                                   uint32_t groups, uint32_t (*planes)[PLANE_STRIDE]) {
  const uint32_t lane = threadIdx.x % 32;
  const tw_transposer turn = make_transposer();
  for (uint32_t g = threadIdx.x / 32; g < groups; g += WARPS) {
    const size_t j = 32 * (first_group + g) + lane;
    const uint64_t x = j < a.n ? (X[j] - offset) & tw_ring_mask(a.ring) : 0;
    planes[lane][g] = transpose_bits(turn, (uint32_t)x);
    if (a.ring > 32) planes[32 + lane][g] = transpose_bits(turn, (uint32_t)(x >> 32));
  }
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

static __global__ void __launch_bounds__(THREADS) leaves_kernel(const __grid_constant__ leaves_call call) {
  __shared__ leaf leaves[MAX_LEAVES];
  __shared__ uint32_t parts[MAX_LEAVES + 1], planes[64][PLANE_STRIDE], result[MAX_LEAVES][GROUPS];
  const tw_leaves_args &a = call.a;
  const size_t stride = 2 * a.words, first_group = (size_t)blockIdx.x * GROUPS,
               first_leaf = (size_t)blockIdx.y * call.block_leaves;
  const size_t sequence = blockIdx.z;
  const uint32_t groups = stride - first_group < GROUPS ? (uint32_t)(stride - first_group) : GROUPS;
  const int count = a.count - first_leaf < (size_t)call.block_leaves ? (int)(a.count - first_leaf) : call.block_leaves;
  const uint32_t *const onehot = (const uint32_t *)(a.onehot + sequence * a.onehot_words) + first_group;

  tw_let_next_start();
  if ((int)threadIdx.x < count) leaves[threadIdx.x] = leaf_at(a, first_leaf + threadIdx.x);
  for (int t = (int)threadIdx.x; t < count * GROUPS; t += THREADS) result[t / GROUPS][t % GROUPS] = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    parts[0] = 0;
    for (int i = 0; i < count; i++)
      parts[i + 1] = parts[i] + (leaves[i].width > PART_BITS ? 1u << (leaves[i].width - PART_BITS) : 1);
  }
  tw_await_earlier();
  for (int from = 0, to; from < count; from = to) {  // leaves of one offset
    for (to = from + 1; to < count && leaves[to].offset == leaves[from].offset;) to++;
    load_planes(a, a.X + sequence * a.n, leaves[from].offset, first_group, groups, planes);
    __syncthreads();
    int i = from;
    for (uint32_t t = parts[from] * groups + threadIdx.x; t < parts[to] * groups; t += THREADS) {
      const uint32_t g = t % groups, part = t / groups;
      while (parts[i + 1] <= part) i++;
      const leaf l = leaves[i];
      const uint32_t *mine = onehot + l.first_plane * stride + g, *digit = &planes[l.low][g];
      if (l.kind == TW_LEAF_SIGN)
        result[i][g] = mine[0] ^ (a.rank == 0 ? ~*digit : 0);
      else if (l.width <= PART_BITS)
        result[i][g] = evaluate_part(l, 0, mine, stride, digit);
      else
        atomicXor(&result[i][g], evaluate_part(l, part - parts[i], mine, stride, digit));
    }
    __syncthreads();
  }

  uint32_t *out = (uint32_t *)a.out + (sequence * (size_t)a.count + first_leaf) * stride + first_group;
  for (uint32_t t = threadIdx.x; t < (uint32_t)count * GROUPS; t += THREADS)
    if (t % GROUPS < groups) out[t / GROUPS * stride + t % GROUPS] = result[t / GROUPS][t % GROUPS];
}

tw_status tw_cuda_leaves(const tw_leaves_args *args, void *stream) {
  if (args->words == 0 || args->count == 0) return TW_OK;
  leaves_call call = {*args, MAX_LEAVES};
  const size_t chunks = tw_ceil_div(2 * args->words, GROUPS);
  while (call.block_leaves > 1 &&
         chunks * args->sequences * tw_ceil_div((size_t)args->count, (size_t)call.block_leaves) < ENOUGH_BLOCKS)
    call.block_leaves /= 2;
  const dim3 grid((unsigned)chunks, (unsigned)tw_ceil_div((size_t)args->count, (size_t)call.block_leaves),
                  (unsigned)args->sequences);
  return tw_enqueue(leaves_kernel, grid, THREADS, 0, stream, call);
}
