// Leaves of comparisons on the device. Planes are taken as 32-bit words, one a group of 32 elements (little-endian: the
// low half of a 64-bit word first). A block makes the public digits' bit planes of its elements by transposing them, 32
// x 32 bits a warp; planes of a second offset come from them by subtraction, bit by bit. Then a thread reads up to 16
// one-hot planes of one group and evaluates all leaves on them; parts of wider digits meet in shared memory.
#include "kernels/cuda/gates/transpose.h"
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

enum {
  THREADS = 256,
  WARPS = THREADS / 32,
  GROUPS = 32,                // of a block at once
  PLANE_STRIDE = GROUPS + 1,  // of a plane's words in shared memory
  MAX_LEAVES = 32,            // of a block, one a lane
  SETS = 2,                   // offsets at once
  PART_BITS = 4,              // of a digit that one thread looks at
  PART = 1 << PART_BITS,
  ENOUGH_BLOCKS = 2 * 132,  // of an H100 or H200
  MOST_BLOCKS = 4 * 132     // about what runs at once
};

typedef struct {
  tw_leaves_args a;
  int block_leaves;
  uint32_t chunks, sequence_chunks;  // of GROUPS groups
} leaves_call;

typedef struct {
  uint64_t offset;
  int low, width, kind;  // width 0: the sign bit's plane alone
  uint32_t first_plane;
} leaf;

// A digit of a round's offsets; member[set][kind]: the leaf that is its [lt, eq], -1: none.
typedef struct {
  signed char member[SETS][2];
  int low, width;  // width 0: the sign bit's plane alone
  uint32_t first_plane;
} leaf_digit;

// Leaves from..to of a block that are evaluated together: those of SETS offsets. A digit has a part for every 16
// one-hot planes, or one.
typedef struct {
  int to, sets;
  uint32_t parts;
  uint64_t offset[SETS];
  leaf_digit digit[MAX_LEAVES];
  uint32_t end[MAX_LEAVES];  // parts of the digits up to this one
} leaf_round;

// The entry that the bits c number.
template <int width>
static __device__ __forceinline__ uint32_t pick(const uint32_t *entry, const uint32_t *c) {
  if constexpr (width == 0) {
    return entry[0];
  } else {
    const uint32_t low = pick<width - 1>(entry, c), high = pick<width - 1>(entry + (1 << (width - 1)), c);
    return low ^ (c[width - 1] & (low ^ high));
  }
}

// Shares, in 16 neighbouring one-hot entries, of [entry = c] and [entry > c]; after[c]: the sum of the entries behind
// c, `any` of all; digit: bit planes of the public digit, of which c is the last four or fewer.
static __device__ __forceinline__ uint2 evaluate_part(const uint32_t entry[PART], const uint32_t after[PART], int width,
                                                      uint32_t part, const uint32_t *digit) {
  uint32_t c[PART_BITS], equal = ~0u, less = 0;  // the digit's high bits against the part's number
#pragma unroll
  for (int i = 0; i < PART_BITS; i++) c[i] = i < width ? digit[i * PLANE_STRIDE] : 0;
#pragma unroll 1
  for (int i = width - 1; i >= PART_BITS; i--) {
    const uint32_t bit = 0 - (part >> (i - PART_BITS) & 1), plane = digit[i * PLANE_STRIDE];
    less |= equal & ~plane & bit;
    equal &= ~(plane ^ bit);
  }
  const uint32_t any = entry[0] ^ after[0];
  return make_uint2((pick<PART_BITS>(after, c) & equal) ^ (any & less), pick<PART_BITS>(entry, c) & equal);
}

// Bit planes of (X - offset) mod ring, 32 or 64 of them; elements past the last have 0.
template <class word>
static __device__ __forceinline__ void load_planes(const tw_leaves_args &a, const tw_transposer &transposer,
                                                   const uint64_t *X, word offset, size_t first_group,
                                                   uint32_t (*planes)[PLANE_STRIDE]) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const word ring = (word)tw_ring_mask(a.ring);
  word x[GROUPS / WARPS];
#pragma unroll
  for (uint32_t i = 0; i < GROUPS / WARPS; i++) {
    const size_t j = 32 * (first_group + WARPS * i + warp) + lane;
    x[i] = j < a.n ? ((word)X[j] - offset) & ring : 0;
  }
#pragma unroll
  for (uint32_t i = 0; i < GROUPS / WARPS; i++) {
    planes[lane][WARPS * i + warp] = transpose_bits(transposer, (uint32_t)x[i]);
    if constexpr (sizeof(word) == 8)
      planes[32 + lane][WARPS * i + warp] = transpose_bits(transposer, (uint32_t)(x[i] >> 32));
  }
}

// Planes of a number less `by`, of the lane's group; elements that are not `live` have 0.
static __device__ __forceinline__ void subtract_planes(const uint32_t (*planes)[PLANE_STRIDE], uint64_t by, int ring,
                                                       uint32_t live, uint32_t (*less)[PLANE_STRIDE]) {
  const uint32_t g = threadIdx.x % 32;
  uint32_t borrow = 0;
#pragma unroll 8
  for (int i = 0; i < ring; i++) {
    const uint32_t x = planes[i][g], y = 0 - (uint32_t)(by >> i & 1);
    less[i][g] = (x ^ y ^ borrow) & live;
    borrow = (~x & (y | borrow)) | (y & borrow);
  }
}

// Which of the 32 elements from j on are among n.
static __device__ __forceinline__ uint32_t live_elements(size_t n, size_t j) {
  return j + 32 <= n ? ~0u : j < n ? (1u << (n - j)) - 1 : 0;
}

static __device__ leaf leaf_at(const tw_leaves_args &a, size_t i) {
  const int64_t *at = a.leaves + 3 * i;
  leaf l;
  l.offset = (uint64_t)at[0];
  l.kind = (int)(at[2] >> 8 & 0xff);
  l.low = l.kind == TW_LEAF_SIGN ? a.ring - 1 : (int)at[1];
  l.width = l.kind == TW_LEAF_SIGN ? 0 : (int)(at[2] & 0xff);
  l.first_plane = (uint32_t)(at[2] >> 16);
  return l;
}

// The round that begins with leaf `from` of the block's `count`, by one warp. It ends before a leaf that is there
// already.
static __device__ void make_round(const leaf *leaves, int from, int count, leaf_round *round) {
  const int lane = (int)threadIdx.x % 32;
  const leaf mine = leaves[lane];
  const uint32_t before = (1u << lane) - 1, lt = mine.kind == TW_LEAF_LT;
  const uint64_t last_offset = __shfl_up_sync(~0u, (unsigned long long)mine.offset, 1);
  const uint32_t changes = __ballot_sync(~0u, lane > from && mine.offset != last_offset);
  const int set = __popc(changes & (before << 1 | 1));
  uint32_t in = __ballot_sync(~0u, lane >= from && lane < count && set < SETS);
  const uint32_t same = __match_any_sync(~0u, (uint64_t)mine.first_plane << 32 | (uint32_t)set << 1 | lt) & in & before;
  const uint32_t again = __ballot_sync(~0u, in >> lane & 1 && same != 0);
  if (again) in &= (again & (0 - again)) - 1;
  const bool is_in = in >> lane & 1;
  const uint32_t members = __match_any_sync(~0u, mine.first_plane) & in;
  const bool leads = is_in && (members & before) == 0;
  const uint32_t leaders = __ballot_sync(~0u, leads);
  uint32_t end = !leads ? 0 : mine.width > PART_BITS ? 1u << (mine.width - PART_BITS) : 1;
  for (int by = 1; by < 32; by *= 2) {
    const uint32_t earlier = __shfl_up_sync(~0u, end, by);
    if (lane >= by) end += earlier;
  }
  if (leads) {
    const int d = __popc(leaders & before);
    round->digit[d] = {{{-1, -1}, {-1, -1}}, mine.low, mine.width, mine.first_plane};
    round->end[d] = end;
  }
  __syncwarp();
  if (is_in) {
    round->digit[__popc(leaders & ((members & (0 - members)) - 1))].member[set][lt ? 0 : 1] = (signed char)lane;
    round->offset[set] = mine.offset;
  }
  if (lane == 31) round->parts = end;
  if (lane == 0) {
    round->to = 32 - __clz((int)in);
    round->sets = 1 + __popc(changes & in);
  }
}

// One-hot entries of part `task`; *d, a digit at or before the part's, becomes the part's. Entries that a narrow digit
// has not are 0.
static __device__ __forceinline__ uint32_t load_part(const leaf_round &round, uint32_t task, int *d,
                                                     const uint32_t *onehot, size_t stride, uint32_t entry[PART]) {
  while (round.end[*d] <= task) ++*d;
  const leaf_digit &digit = round.digit[*d];
  const uint32_t part = task - (*d ? round.end[*d - 1] : 0);
  const uint32_t *from = onehot + (digit.first_plane + part * PART) * stride;
  if (digit.width >= PART_BITS) {
#pragma unroll
    for (uint32_t i = 0; i < PART; i++, from += stride) entry[i] = *from;
  } else {
#pragma unroll
    for (uint32_t i = 0; i < PART; i++, from += stride) entry[i] = i >> digit.width == 0 ? *from : 0;
  }
  return part;
}

// A part's shares of the digit's leaves, written to `out` (the block's first leaf), or added up in `sums` when the
// digit has several parts.
static __device__ __forceinline__ void evaluate_digit(const leaf_digit &d, int sets, uint32_t part,
                                                      const uint32_t entry[PART],
                                                      const uint32_t (*planes)[64][PLANE_STRIDE], uint32_t one,
                                                      uint32_t (*sums)[GROUPS], uint32_t *out, size_t stride,
                                                      bool valid) {
  const uint32_t lane = threadIdx.x % 32;
  uint32_t after[PART];
  after[PART - 1] = 0;
#pragma unroll
  for (int i = PART - 1; i > 0; i--) after[i - 1] = after[i] ^ entry[i];
#pragma unroll
  for (int set = 0; set < SETS; set++) {
    if (set == sets) break;
    const uint32_t *const digit = &planes[set][d.low][lane];
    uint2 share = evaluate_part(entry, after, d.width, part, digit);
    if (d.width == 0) share.y ^= one & ~*digit;
#pragma unroll
    for (int kind = 0; kind < 2; kind++) {
      const int i = d.member[set][kind];
      const uint32_t value = kind == 0 ? share.x : share.y;
      if (i < 0) continue;
      if (d.width > PART_BITS)
        atomicXor(&sums[i][lane], value);
      else if (valid)
        out[(size_t)i * stride] = value;
    }
  }
}

template <class word>
static __global__ void __launch_bounds__(THREADS, 4) leaves_kernel(const __grid_constant__ leaves_call call) {
  __shared__ leaf leaves[MAX_LEAVES];
  __shared__ leaf_round round;
  __shared__ uint32_t planes[SETS][64][PLANE_STRIDE], sums[MAX_LEAVES][GROUPS];
  const tw_leaves_args &a = call.a;
  const size_t stride = 2 * a.words, first_leaf = (size_t)blockIdx.y * call.block_leaves;
  const int count = a.count - first_leaf < (size_t)call.block_leaves ? (int)(a.count - first_leaf) : call.block_leaves;
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, one = a.party == 0 ? ~0u : 0;
  const tw_transposer transposer = make_transposer();

  tw_let_next_start();
  if (warp == 0) {
    leaves[lane] = (int)lane < count ? leaf_at(a, first_leaf + lane) : leaf{};
    __syncwarp();
    make_round(leaves, 0, count, &round);
  }
  for (uint32_t t = threadIdx.x; t < MAX_LEAVES * GROUPS; t += THREADS) sums[t / GROUPS][t % GROUPS] = 0;
  tw_await_earlier();
  for (int from = 0; from < count; from = round.to) {
    if (from > 0) {
      __syncthreads();
      if (warp == 0) make_round(leaves, from, count, &round);
    }
    __syncthreads();
    for (uint32_t chunk = blockIdx.x; chunk < call.chunks; chunk += gridDim.x) {
      const uint32_t sequence = chunk / call.sequence_chunks,
                     first_group = (chunk - sequence * call.sequence_chunks) * GROUPS;
      const bool valid = first_group + lane < stride;
      const uint32_t *const onehot =
          (const uint32_t *)(a.onehot + sequence * a.onehot_words) + (valid ? first_group + lane : 0);
      uint32_t *const out = (uint32_t *)a.out + (sequence * (size_t)a.count + first_leaf) * stride + first_group + lane;
      uint32_t entry[PART], part = 0;
      int d = 0;
      if (warp < round.parts) part = load_part(round, warp, &d, onehot, stride, entry);
      load_planes<word>(a, transposer, a.X + sequence * a.n, (word)round.offset[0], first_group, planes[0]);
      __syncthreads();
      if (round.sets > 1) {
        if (warp < (uint32_t)round.sets - 1)
          subtract_planes(planes[0], round.offset[warp + 1] - round.offset[0], a.ring,
                          live_elements(a.n, 32 * (size_t)(first_group + lane)), planes[warp + 1]);
        __syncthreads();
      }
      for (uint32_t task = warp; task < round.parts; task += WARPS) {
        evaluate_digit(round.digit[d], round.sets, part, entry, planes, one, sums, out, stride, valid);
        if (task + WARPS < round.parts) part = load_part(round, task + WARPS, &d, onehot, stride, entry);
      }
      __syncthreads();
      for (int i = from + (int)warp; i < round.to; i += WARPS)
        if (leaves[i].width > PART_BITS) {
          if (valid) out[(size_t)i * stride] = sums[i][lane];
          sums[i][lane] = 0;
        }
    }
  }
}

tw_status tw_cuda_leaves(const tw_leaves_args *args, void *stream) {
  if (args->words == 0 || args->count == 0 || args->sequences == 0) return TW_OK;
  leaves_call call = {*args, MAX_LEAVES};
  call.sequence_chunks = (uint32_t)tw_ceil_div(2 * args->words, GROUPS);
  call.chunks = (uint32_t)args->sequences * call.sequence_chunks;
  while (call.block_leaves > 1 &&
         call.chunks * tw_ceil_div((size_t)args->count, (size_t)call.block_leaves) < ENOUGH_BLOCKS)
    call.block_leaves /= 2;
  const dim3 grid(min(call.chunks, (uint32_t)MOST_BLOCKS),
                  (unsigned)tw_ceil_div((size_t)args->count, (size_t)call.block_leaves));
  return args->ring > 32 ? tw_enqueue(leaves_kernel<uint64_t>, grid, THREADS, 0, stream, call)
                         : tw_enqueue(leaves_kernel<uint32_t>, grid, THREADS, 0, stream, call);
}
