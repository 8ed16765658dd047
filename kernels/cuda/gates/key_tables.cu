// The CUDA twin of tables that are read from keys of point functions (kernels/key_ops.h). Of windows a thread reads one
// element, or one arc of it. Of a segment table a block reads one element: it goes down level by level, a thread a
// node, so that a node above several steps is expanded once and a level takes as long as one node.
#include "kernels/cuda/gates/key_nodes.h"
#include "kernels/cuda/runtime/launch.h"

enum { THREADS = 128, MOST_LEVELS = 61 };  // nodes of a path, the root among them

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

// What a block has for its element in shared memory. Nodes of one level are neighbours; their numbers go on past the
// end of the level, as in kernels/dpf_read.c.
enum { MOST_NODES = 256, PATHS = 32 };  // PATHS: threads behind the others, of which two walk to the table's ends
typedef struct {
  key_node node[2][MOST_NODES];
  int64_t list[TW_SEGMENT_WORDS * (TW_SEGMENT_MOST_RUNS + 1)];
  uint64_t upper[TW_SEGMENT_MOST_RUNS], own[TW_SEGMENT_MOST_RUNS];  // of run i: where it ends; its first node
  uint32_t steps[TW_SEGMENT_MOST_RUNS];
  uint64_t first[MOST_LEVELS];  // node that is wanted: of a run of this level, or above one that is
  uint32_t count[MOST_LEVELS];
  unsigned long long sum;
} segments_shared;

// Threads find the runs, a thread each; the first one then which nodes are wanted, from the lowest level up.
static __device__ void find_nodes(const tw_key_segments_args &a, uint64_t X, segments_shared *s) {
  const int levels = a.ring - a.first_step;
  for (int i = (int)threadIdx.x; i < TW_SEGMENT_WORDS * (a.runs + 1); i += (int)blockDim.x) s->list[i] = a.list[i];
  __syncthreads();
  const uint64_t end = tw_segment_border(s->list, a.runs, X), place = (X - end) & tw_ring_mask(a.ring);
  for (int i = (int)threadIdx.x; i < a.runs; i += (int)blockDim.x) {
    const int m = (int)s->list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP];
    const uint64_t lower = tw_segment_border(s->list, i, X), upper = tw_segment_border(s->list, i + 1, X);
    s->upper[i] = upper;
    s->own[i] = (place + (end - upper)) >> m;
    s->steps[i] = (uint32_t)((upper - lower) >> m);
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  uint64_t low = 0, high = 0;
  bool any = false;
  for (int level = levels; level >= 0; level--, low >>= 1, high >>= 1) {
    const int run = levels - level;  // runs' steps rise by one
    if (run < a.runs && s->steps[run] > 0) {
      const uint64_t last = s->own[run] + s->steps[run] - 1;
      low = any && low < s->own[run] ? low : s->own[run];
      high = any && high > last ? high : last;
      any = true;
    }
    s->first[level] = low;
    s->count[level] = any ? (uint32_t)(high - low) + 1 : 0;
    if (s->count[level] > MOST_NODES) __trap();
  }
}

// What a node's values are multiplied by, and its words.
typedef struct {
  uint64_t constant, slope, word[2];
} step_entry;

// Of node `number` of `level`; all 0 where it is in no run.
static __device__ __forceinline__ step_entry entry_of(const tw_key_segments_args &a, const segments_shared *s,
                                                      const uint64_t *values, int level, uint64_t number) {
  const int run = a.ring - a.first_step - level;
  if (run >= a.runs || number - s->own[run] >= s->steps[run]) return {0, 0, {0, 0}};
  const uint64_t hi = s->upper[run] - ((number - s->own[run]) << (a.first_step + run)),
                 *words = values + 2 * (size_t)(a.runs - 1 - run) * a.n;
  const tw_segment_place place = tw_segment_at(s->list + TW_SEGMENT_WORDS * run, hi);
  const uint64_t slope = a.slope[place.entry];
  return {a.base[place.entry] - a.base[0] - slope * place.delta, slope, {words[0], words[a.n]}};
}

// A wanted node of `level`: what its step brings, and those of its children that are wanted.
static __device__ uint64_t at_node(const tw_key_segments_args &a, const key_words &words, const key_name &name,
                                   const uint64_t *values, int level, uint32_t place, segments_shared *s) {
  const int levels = a.ring - a.first_step;
  const key_node node = s->node[level % 2][place];
  const uint64_t number = s->first[level] + place, on = 0 - (uint64_t)(node.control & 1);
  uint32_t block[BLOCK_WORDS];
  uint64_t low = 0, high = 0;
  uint32_t control = 0;
  if (level < levels) {  // all that is read comes while the block is computed
    low = words.seed[2 * level * words.n];
    high = words.seed[(2 * level + 1) * words.n];
    control = (uint32_t)words.control[level * words.n];
  }
  const step_entry entry = entry_of(a, s, values, level, number);
  expand(node, name, (uint32_t)level, block);
  const uint64_t sum = (value_of(block, 0) + (on & entry.word[0])) * entry.constant +
                       (value_of(block, 1) + (on & entry.word[1])) * entry.slope;
#pragma unroll
  for (uint32_t right = 0; right < 2; right++) {
    if (level == levels) break;
    const uint64_t child = 2 * number + right - s->first[level + 1];
    key_node next = node;
    step(next, block, low, high, control, right);
    if (child < s->count[level + 1]) s->node[(level + 1) % 2][child] = next;
  }
  return a.party ? 0 - sum : sum;
}

// Both ends of the table: XOR shares of [alpha < place] of each, a thread an end, level by level beside the others.
static __device__ __forceinline__ uint64_t table_end(const tw_key_segments_args &a, uint64_t X, int which) {
  return ((X - tw_segment_border(a.list, which ? 0 : a.runs, X)) & tw_ring_mask(a.ring)) >> a.first_step;
}

// A block for one element, a thread for every node of a level; with a.outside PATHS threads more.
static __global__ void segments_kernel(const __grid_constant__ tw_key_segments_args a) {
  __shared__ segments_shared s;
  const size_t j = blockIdx.x, sequence = blockIdx.y, levels = (size_t)(a.ring - a.first_step);
  const uint32_t sweepers = blockDim.x - (a.outside ? PATHS : 0), thread = threadIdx.x;
  tw_begin();
  const uint64_t X = a.X[sequence * a.n + j], *values = a.value + sequence * (size_t)a.runs * 2 * a.n + j;
  const key_words words = words_of(a.seed, a.control, sequence, levels, a.n, j);
  const key_name name = {a.slots[sequence], j, a.use};
  const key_node root = root_of(a.root + sequence * a.root_stride + 2 * j, 2, a.party);
  if (thread == 0) s.sum = a.party ? 0 : a.base[0];
  for (uint32_t i = thread; i < 2; i += blockDim.x) s.node[0][i] = root;  // node 1 of the first level is node 0
  find_nodes(a, X, &s);
  __syncthreads();
  const bool walks = thread >= sweepers && thread < sweepers + 2;
  const uint64_t to = walks ? table_end(a, X, (int)(thread - sweepers)) : 0;
  key_node at = root;
  uint32_t parity = 0;
  uint64_t own = 0;
  for (int level = 0; level <= (int)levels; level++) {
    if (thread < sweepers)
      for (uint32_t place = thread; place < s.count[level]; place += sweepers)
        own += at_node(a, words, name, values, level, place, &s);
    if (walks && level < (int)levels) {
      const uint32_t right = (uint32_t)(to >> ((int)levels - 1 - level)) & 1;
      parity ^= right & descend(at, words, name, (uint32_t)level, right);
    }
    __syncthreads();
  }
  atomicAdd(&s.sum, (unsigned long long)own);
  if (walks) {
    uint32_t bit = parity;
    if (a.party == 0 && thread == sweepers) bit ^= (uint32_t)(table_end(a, X, 1) >= to);
    atomicXor((uint32_t *)(a.outside + sequence * a.words) + j / 32, bit << j % 32);
  }
  __syncthreads();
  if (thread == 0) a.out[sequence * a.n + j] = s.sum & tw_ring_mask(a.ring_out);
}

tw_status tw_cuda_key_segments(const tw_key_segments_args *a, void *stream) {
  enum { SWEEPERS = 96 };  // of 32 steps a run a level has up to 68 nodes
  if (a->n == 0) return TW_OK;
  if (a->outside) TW_CUDA(cudaMemsetAsync(a->outside, 0, 8 * a->sequences * a->words, (cudaStream_t)stream));
  return tw_enqueue(segments_kernel, dim3((unsigned)a->n, (unsigned)a->sequences), SWEEPERS + (a->outside ? PATHS : 0),
                    0, stream, *a);
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
