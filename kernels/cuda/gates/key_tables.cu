// The CUDA twin of tables that are read from keys of point functions (kernels/key_ops.h). Of windows a thread reads one
// element, or one arc of it. Of segment tables a thread reads a few neighbouring steps of one element: it goes from
// node to node by what the two paths share, and keeps the nodes above it.
#include "kernels/cuda/gates/key_nodes.h"
#include "kernels/cuda/runtime/launch.h"

enum { THREADS = 128, STEPS = 8, MOST_LEVELS = 61 };  // STEPS: of a thread; nodes of a path, the root among them

// ---- windows

static __device__ __forceinline__ key_words words_of(const uint64_t *seed, const uint64_t *control, size_t sequence,
                                                     size_t levels, size_t n, size_t j) {
  return {seed + sequence * 2 * levels * n + j, control + sequence * levels * n + j, n};
}

// The node above leaf word `at`; and 64 bits of the word.
static __device__ __forceinline__ key_node to_leaf(const tw_key_window_args &a, size_t sequence, size_t j, uint64_t at,
                                                   uint32_t *parity) {
  const int bits = a.ring - a.low, levels = tw_leaf_key_levels(bits), halves = tw_leaf_key_halves(bits);
  const key_name name = {a.keys.slots[sequence], j, a.keys.use};
  key_node node = root_of(a.keys.root + halves * (sequence * a.n + j), halves, a.party);
  *parity = walk(node, words_of(a.keys.seed, a.keys.control, sequence, levels, a.n, j), name, levels, at);
  return node;
}

static __device__ __forceinline__ uint64_t leaf_bits(const tw_key_window_args &a, size_t sequence, size_t j,
                                                     const key_node &node, int half) {
  const int halves = tw_leaf_key_halves(a.ring - a.low);
  if (half >= halves) return 0;
  const uint64_t on = 0 - (uint64_t)(node.control & 1);
  return half_of(node, half) ^ (on & a.keys.leaf[(sequence * halves + half) * a.n + j]);
}

// Leaf i of this half is piece last - i.
static __device__ __forceinline__ void add_half(const tw_key_window_args &a, uint64_t word, int last, int leaves,
                                                uint64_t sub, uint64_t sum[2]) {
  const int from = last - (a.count - 1) > 0 ? last - (a.count - 1) : 0, to = last < leaves - 1 ? last : leaves - 1;
  for (int i = from; i <= to; i++) {
    const uint64_t on = 0 - (word >> i & 1), g = ((uint64_t)(last - i) << a.sub_bits) + sub;
    sum[0] += on & a.table[0][g];
    sum[1] += on & a.table[1][g];
  }
}

static __global__ void __launch_bounds__(THREADS) window_kernel(const __grid_constant__ tw_key_window_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
  tw_begin();
  if (j >= a.n) return;
  const int bits = a.ring - a.low, in_word = tw_leaf_key_bits(bits), size = 1 << in_word,
            leaves = size < 64 ? size : 64, blocks = (a.count - 1 + size - 1) / size + 1;
  const uint64_t u = (a.X[sequence * a.n + j] - a.lo) & tw_ring_mask(a.ring),
                 sub = (u & tw_ring_mask(a.low)) >> (a.low - a.sub_bits), c = u >> a.low;
  uint64_t sum[2] = {0, 0};
  for (int block = 0; block < blocks; block++) {
    uint32_t parity;
    const key_node node =
        to_leaf(a, sequence, j, ((c >> in_word) - (uint64_t)block) & tw_ring_mask(bits - in_word), &parity);
    const int last = (int)(c & tw_ring_mask(in_word)) + block * size;
    for (int half = 0; half < 2; half++)
      if (half < tw_leaf_key_halves(bits))
        add_half(a, leaf_bits(a, sequence, j, node, half), last - 64 * half, leaves, sub, sum);
  }
  for (int t = 0; t < 2; t++) a.out[t][sequence * a.n + j] = (a.party ? 0 - sum[t] : sum[t]) & a.ring_out;
}

// Share of [alpha < c].
static __device__ __forceinline__ uint32_t window_below(const tw_key_window_args &a, size_t sequence, size_t j,
                                                        uint64_t c) {
  const int in_word = tw_leaf_key_bits(a.ring - a.low), count = (int)(c & tw_ring_mask(in_word));
  uint32_t parity;
  const key_node node = to_leaf(a, sequence, j, c >> in_word, &parity);
  const uint64_t low = leaf_bits(a, sequence, j, node, 0) & tw_ring_mask(count < 64 ? count : 64),
                 high = count > 64 ? leaf_bits(a, sequence, j, node, 1) & tw_ring_mask(count - 64) : 0;
  return parity ^ (__popcll(low ^ high) & 1);
}

static __global__ void __launch_bounds__(THREADS) arcs_kernel(const __grid_constant__ tw_key_window_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, plane = blockIdx.y,
               sequence = plane / (size_t)a.arc_count;
  tw_begin();
  if (group >= 2 * a.words) return;
  uint32_t bit = 0;
  if (j < a.n) {
    const int64_t *arc = a.arcs + TW_ARC_WORDS * (plane - sequence * (size_t)a.arc_count);
    const uint64_t X = a.X[sequence * a.n + j], from = tw_arc_end(arc, TW_ARC_FROM, X, a.ring, a.low),
                   to = tw_arc_end(arc, TW_ARC_TO, X, a.ring, a.low);
    bit = window_below(a, sequence, j, from) ^ window_below(a, sequence, j, to);
    if (a.party == 0) bit ^= (uint32_t)(to < from) ^ (uint32_t)arc[TW_ARC_NEGATE];
  }
  const uint32_t word = __ballot_sync(~0u, bit);
  if (threadIdx.x % 32 == 0) ((uint32_t *)(a.bits + plane * a.words))[group] = word;
}

tw_status tw_cuda_key_window(const tw_key_window_args *a, void *stream) {
  if (a->n == 0) return TW_OK;
  TW_TRY(tw_enqueue(window_kernel, dim3((unsigned)tw_ceil_div(a->n, THREADS), (unsigned)a->sequences), THREADS, 0,
                    stream, *a));
  if (a->arc_count == 0) return TW_OK;
  const dim3 grid((unsigned)tw_ceil_div(64 * a->words, THREADS), (unsigned)(a->sequences * (size_t)a->arc_count));
  return tw_enqueue(arcs_kernel, grid, THREADS, 0, stream, *a);
}

// Returns party 0's bit at alpha.
static __device__ __forceinline__ uint32_t deal_window_key(const tw_deal_window_args &a, size_t j, uint64_t alpha) {
  const int bits = a.ring - a.low, levels = tw_leaf_key_levels(bits), halves = tw_leaf_key_halves(bits),
            in_word = tw_leaf_key_bits(bits), bit = (int)(alpha & tw_ring_mask(in_word));
  const key_name name = {a.slot[0], j, a.use};
  key_node at[2] = {root_of(a.root[0] + halves * j, halves, 0), root_of(a.root[1] + halves * j, halves, 1)};
  uint32_t sign = 0;
  for (int level = 0; level < levels; level++) {
    uint32_t block[2][BLOCK_WORDS];
#pragma unroll
    for (int b = 0; b < 2; b++) expand(at[b], name, (uint32_t)level, block[b]);
    deal_level(at, block, (uint32_t)(alpha >> (bits - 1 - level)) & 1, a.seed + 2 * level * a.n + j,
               a.control + level * a.n + j, a.n);
  }
  for (int half = 0; half < halves; half++) {
    const uint64_t point = bit / 64 == half ? (uint64_t)1 << bit % 64 : 0, own = half_of(at[0], half),
                   word = own ^ half_of(at[1], half) ^ point;
    a.leaf[half * a.n + j] = word;
    sign |= ((own ^ ((0 - (uint64_t)(at[0].control & 1)) & word)) & point) != 0;
  }
  return sign;
}

static __global__ void __launch_bounds__(THREADS) deal_window_kernel(const __grid_constant__ tw_deal_window_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, words = (a.n + 63) / 64;
  tw_begin();
  if (group >= 2 * words) return;
  uint32_t sign = 0;
  if (j < a.n) sign = deal_window_key(a, j, ((a.r0[j] + a.r1[j]) & tw_ring_mask(a.ring)) >> a.low);
  sign = __ballot_sync(~0u, sign);
  if (threadIdx.x % 32 == 0) ((uint32_t *)a.sign)[group] = sign;
}

tw_status tw_cuda_deal_window(const tw_deal_window_args *a, void *stream) {
  if (a->n == 0) return TW_OK;
  return tw_enqueue(deal_window_kernel, dim3((unsigned)tw_ceil_div(64 * ((a->n + 63) / 64), THREADS)), THREADS, 0,
                    stream, *a);
}

// ---- segment tables

// A path of one key: the nodes from the root to `depth`, of the node with this number there.
typedef struct {
  key_node node[MOST_LEVELS];
  uint64_t number;
  int depth;  // -1: not even the root
} key_path;

// To node `number` of level `depth`, from what both paths share.
static __device__ void go_to(key_path &path, const key_words &words, const key_name &name, int depth, uint64_t number) {
  int shared = path.depth < depth ? path.depth : depth;
  while (shared > 0 && path.number >> (path.depth - shared) != number >> (depth - shared)) shared--;
  for (int level = shared; level < depth; level++) {
    path.node[level + 1] = path.node[level];
    descend(path.node[level + 1], words, name, (uint32_t)level, (uint32_t)(number >> (depth - 1 - level)) & 1);
  }
  path.depth = depth;
  path.number = number;
}

// What the step brings that ends at hi in run i: its node's values times the table's entries.
static __device__ uint64_t step_value(const tw_key_segments_args &a, size_t sequence, size_t j, const key_name &name,
                                      const key_node &node, int i, uint64_t hi) {
  const int64_t *run = a.list + TW_SEGMENT_WORDS * i;
  const int level = a.ring - (int)run[TW_SEGMENT_STEP];
  const uint64_t *words = a.value + ((sequence * (size_t)a.runs + (size_t)(a.runs - 1 - i)) * 2) * a.n + j;
  const uint64_t on = 0 - (uint64_t)(node.control & 1);
  const tw_segment_place place = tw_segment_at(run, hi);
  const uint64_t slope = a.slope[place.entry], constant = a.base[place.entry] - a.base[0] - slope * place.delta;
  uint32_t block[BLOCK_WORDS];
  expand(node, name, (uint32_t)level, block);
  const uint64_t first = value_of(block, 0) + (on & words[0]), second = value_of(block, 1) + (on & words[a.n]),
                 sum = first * constant + second * slope;
  return a.party ? 0 - sum : sum;
}

// Steps first .. first + STEPS - 1 of run i, counted from its end downwards.
static __device__ uint64_t chunk_value(const tw_key_segments_args &a, size_t sequence, size_t j, int i, size_t first) {
  const size_t levels = (size_t)(a.ring - a.first_step);
  const uint64_t X = a.X[sequence * a.n + j], upper = tw_segment_border(a.list, i + 1, X),
                 lower = tw_segment_border(a.list, i, X);
  const int m = (int)a.list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP], depth = a.ring - m;
  const size_t count = (size_t)((upper - lower) >> m), end = first + STEPS < count ? first + STEPS : count;
  const key_words words = words_of(a.seed, a.control, sequence, levels, a.n, j);
  const key_name name = {a.slots[sequence], j, a.use};
  key_path path;
  uint64_t sum = 0;
  path.node[0] = root_of(a.root + sequence * a.root_stride + 2 * j, 2, a.party);
  path.number = 0;
  path.depth = 0;
  for (size_t t = first; t < end; t++) {
    const uint64_t hi = upper - ((uint64_t)t << m);
    go_to(path, words, name, depth, ((X - hi) & tw_ring_mask(a.ring)) >> m);
    sum += step_value(a, sequence, j, name, path.node[depth], i, hi);
  }
  return sum;
}

// The chunk of a thread: run and first step; false behind the last one. A run has a step more or less for some X.
static __device__ bool chunk_of(const tw_key_segments_args &a, uint64_t X, size_t number, int *run, size_t *first) {
  for (int i = 0; i < a.runs; i++) {
    const uint64_t length = tw_segment_border(a.list, i + 1, X) - tw_segment_border(a.list, i, X);
    const size_t chunks = ((size_t)(length >> a.list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP]) + STEPS - 1) / STEPS;
    if (number < chunks) {
      *run = i;
      *first = number * STEPS;
      return true;
    }
    number -= chunks;
  }
  return false;
}

// A block for one element.
static __global__ void __launch_bounds__(THREADS) segments_kernel(const __grid_constant__ tw_key_segments_args a) {
  __shared__ unsigned long long sum;
  const size_t j = blockIdx.x, sequence = blockIdx.y;
  tw_begin();
  if (threadIdx.x == 0) sum = a.party ? 0 : a.base[0];
  __syncthreads();
  int run;
  size_t first;
  uint64_t own = 0;
  for (size_t chunk = threadIdx.x; chunk_of(a, a.X[sequence * a.n + j], chunk, &run, &first); chunk += THREADS)
    own += chunk_value(a, sequence, j, run, first);
  atomicAdd(&sum, (unsigned long long)own);
  __syncthreads();
  if (threadIdx.x == 0) a.out[sequence * a.n + j] = sum & tw_ring_mask(a.ring_out);
}

static __device__ __forceinline__ uint32_t segments_below(const tw_key_segments_args &a, size_t sequence, size_t j,
                                                          uint64_t c) {
  const int levels = a.ring - a.first_step;
  const key_name name = {a.slots[sequence], j, a.use};
  key_node node = root_of(a.root + sequence * a.root_stride + 2 * j, 2, a.party);
  return walk(node, words_of(a.seed, a.control, sequence, (size_t)levels, a.n, j), name, levels, c);
}

static __global__ void __launch_bounds__(THREADS) outside_kernel(const __grid_constant__ tw_key_segments_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x, group = j / 32, sequence = blockIdx.y;
  tw_begin();
  if (group >= 2 * a.words) return;
  uint32_t bit = 0;
  if (j < a.n) {
    const uint64_t X = a.X[sequence * a.n + j], ring = tw_ring_mask(a.ring),
                   first = ((X - tw_segment_border(a.list, a.runs, X)) & ring) >> a.first_step,
                   last = ((X - tw_segment_border(a.list, 0, X)) & ring) >> a.first_step;
    bit = segments_below(a, sequence, j, first) ^ segments_below(a, sequence, j, last);
    if (a.party == 0) bit ^= (uint32_t)(last >= first);
  }
  bit = __ballot_sync(~0u, bit);
  if (threadIdx.x % 32 == 0) ((uint32_t *)(a.outside + sequence * a.words))[group] = bit;
}

tw_status tw_cuda_key_segments(const tw_key_segments_args *a, void *stream) {
  if (a->n == 0) return TW_OK;
  TW_TRY(tw_enqueue(segments_kernel, dim3((unsigned)a->n, (unsigned)a->sequences), THREADS, 0, stream, *a));
  if (!a->outside) return TW_OK;
  const dim3 grid((unsigned)tw_ceil_div(64 * a->words, THREADS), (unsigned)a->sequences);
  return tw_enqueue(outside_kernel, grid, THREADS, 0, stream, *a);
}

// The value words of run i: both parties' blocks at alpha's node add up to 1 and to rho'.
static __device__ __forceinline__ void deal_values(const tw_deal_segments_args &a, size_t j, const key_node at[2],
                                                   const uint32_t block[2][BLOCK_WORDS], int i, uint64_t r) {
  uint64_t *words = a.value + 2 * (size_t)(a.runs - 1 - i) * a.n + j;
  const uint64_t beta[2] = {1, tw_segment_rest(r, (int)a.list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP])};
#pragma unroll
  for (int v = 0; v < 2; v++) {
    const uint64_t word = beta[v] - value_of(block[0], v) + value_of(block[1], v);
    words[v * a.n] = (at[0].control & 1 ? word : 0 - word) & tw_ring_mask(a.ring_out);
  }
}

static __device__ void deal_segments_key(const tw_deal_segments_args &a, size_t j) {
  const uint64_t r = (a.r0[j] + a.r1[j]) & tw_ring_mask(a.ring), alpha = r >> a.first_step;
  const int levels = a.ring - a.first_step;
  const key_name name = {a.slot[0], j, a.use};
  key_node at[2] = {root_of(a.root[0] + 2 * j, 2, 0), root_of(a.root[1] + 2 * j, 2, 1)};
  for (int level = 0; level <= levels; level++) {
    uint32_t block[2][BLOCK_WORDS];
#pragma unroll
    for (int b = 0; b < 2; b++) expand(at[b], name, (uint32_t)level, block[b]);
    const int run = levels - level;  // runs' steps rise by one
    if (run < a.runs) deal_values(a, j, at, block, run, r);
    if (level < levels)
      deal_level(at, block, (uint32_t)(alpha >> (levels - 1 - level)) & 1, a.seed + 2 * level * a.n + j,
                 a.control + level * a.n + j, a.n);
  }
}

static __global__ void __launch_bounds__(THREADS)
    deal_segments_kernel(const __grid_constant__ tw_deal_segments_args a) {
  const size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x;
  tw_begin();
  if (j < a.n) deal_segments_key(a, j);
}

tw_status tw_cuda_deal_segments(const tw_deal_segments_args *a, void *stream) {
  if (a->n == 0) return TW_OK;
  return tw_enqueue(deal_segments_kernel, dim3((unsigned)tw_ceil_div(a->n, THREADS)), THREADS, 0, stream, *a);
}
