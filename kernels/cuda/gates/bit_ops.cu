// Gates on bit planes on the device: products of opened bits, XORs, reshaping, dead keys. Planes are taken as 32-bit
// words, one a group of 32 elements (little-endian: the low half of a 64-bit word first).
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

enum { THREADS = 256, MAX_LITERALS = 8 };

// ---- products ----

enum { FEW = 5, FEW_SETS = 1 << FEW, MOST_HELPERS = 8, ENOUGH_THREADS = 132 * 1024 };

// A warp's lanes: words of a plane, then helpers that share its products, then planes.
typedef struct {
  tw_products_args a;
  uint32_t planes, block_words, helpers, block_planes;  // the latter three's product: THREADS
} products_call;

// One product at one word: literal i has value[i]; the shares of the subsets' products are read as the fold needs them.
typedef struct {
  const tw_products_args *a;
  const int64_t *literals, *planes;
  const uint32_t *dealt;
  size_t sequence, word;
  uint32_t one, value[MAX_LITERALS];
} product;

static __device__ __forceinline__ uint32_t plane_word(const product &p, const uint64_t *const *operands,
                                                      uint32_t operand, size_t plane) {
  const uint64_t *from = operands[operand] + p.sequence * p.a->operand_words[operand] + plane * p.a->words;
  return ((const uint32_t *)from)[p.word];
}

static __device__ __forceinline__ uint32_t literal_word(const product &p, const uint64_t *const *operands,
                                                        int literal) {
  const int64_t *l = p.literals + 3 * literal;
  return plane_word(p, operands, (uint32_t)l[0], (size_t)l[1]);
}

static __device__ __forceinline__ uint32_t dealt_word(const product &p, int64_t plane) {
  return p.dealt[2 * (size_t)plane * p.a->words];
}

template <int operand_set>
static __device__ __forceinline__ uint32_t subset_share(const product &p) {
  constexpr bool single = operand_set && (operand_set & (operand_set - 1)) == 0;
  if constexpr (operand_set == 0) {
    return p.one;
  } else if constexpr (single) {
    constexpr int literal = operand_set == 1    ? 0
                            : operand_set == 2  ? 1
                            : operand_set == 4  ? 2
                            : operand_set == 8  ? 3
                            : operand_set == 16 ? 4
                            : operand_set == 32 ? 5
                            : operand_set == 64 ? 6
                                                : 7;
    return literal_word(p, p.a->mask, literal);
  } else {
    return dealt_word(p, p.planes[operand_set]);
  }
}

// Share of the product of literals 0..level-1 times what `set` says of the others: with or without literal level-1,
// folded by its opened value.
template <int level, int set>
static __device__ __forceinline__ uint32_t fold(const product &p) {
  if constexpr (level == 0) {
    return subset_share<set>(p);
  } else {
    const uint32_t without = fold<level - 1, set>(p), with = fold<level - 1, set | 1 << (level - 1)>(p);
    return with ^ (p.value[level - 1] & without);
  }
}

// Of any number of literals, or with `many` of more than FEW.
template <bool many>
static __device__ uint32_t fold_any(product &p, const int64_t *at) {
  const int count = (int)at[1];
  p.literals = at + 2;
  p.planes = p.literals + 3 * count;
#pragma unroll
  for (int i = 0; i < MAX_LITERALS; i++)
    p.value[i] = i < count ? literal_word(p, p.a->value, i) ^ (p.literals[3 * i + 2] ? ~0u : 0) : 0;
  if constexpr (!many) switch (count) {
      case 0:
        return p.one;
      case 1:
        return fold<1, 0>(p);
      case 2:
        return fold<2, 0>(p);
      case 3:
        return fold<3, 0>(p);
      case 4:
        return fold<4, 0>(p);
      case 5:
        return fold<5, 0>(p);
    }
  switch (count) {
    case 6:
      return fold<6, 0>(p);
    case 7:
      return fold<7, 0>(p);
    default:
      return fold<8, 0>(p);
  }
}

// What the list says of a product of at most FEW literals, read before its bits are there. A literal is its plane, its
// operand and whether it is negated; a set has its plane of `dealt`, -1: none.
typedef struct {
  const int64_t *at;
  int count;
  uint32_t plane[FEW], operand[FEW];
  bool negate[FEW];
  int32_t set[FEW_SETS];
} few_literals;

static __device__ __forceinline__ few_literals read_ahead(const int64_t *at) {
  few_literals f;
  f.at = at;
  f.count = (int)at[1];
  const int64_t *const literal = at + 2, *const planes = literal + 3 * f.count;
#pragma unroll
  for (int i = 0; i < FEW; i++) {
    const bool is = i < f.count && f.count <= FEW;
    f.operand[i] = is ? (uint32_t)literal[3 * i] : 0;
    f.plane[i] = is ? (uint32_t)literal[3 * i + 1] : 0;
    f.negate[i] = is && literal[3 * i + 2] != 0;
  }
#pragma unroll
  for (int set = 0; set < FEW_SETS; set++)
    f.set[set] = f.count <= FEW && set >> f.count == 0 ? (int32_t)planes[set] : -1;
  return f;
}

// A literal that is not there is the public 1: its value is 1, and it is in no set with a share.
static __device__ __forceinline__ uint32_t fold_few(const product &p, const few_literals &f) {
  uint32_t share[FEW_SETS], value[FEW];
#pragma unroll
  for (int i = 0; i < FEW; i++)
    value[i] = i < f.count ? plane_word(p, p.a->value, f.operand[i], f.plane[i]) ^ (f.negate[i] ? ~0u : 0) : ~0u;
#pragma unroll
  for (int set = 1; set < FEW_SETS; set++) share[set] = f.set[set] >= 0 ? dealt_word(p, f.set[set]) : 0;
#pragma unroll
  for (int i = 0; i < FEW; i++)
    if (i < f.count) share[1 << i] = plane_word(p, p.a->mask, f.operand[i], f.plane[i]);
  share[0] = p.one;
#pragma unroll
  for (int level = 0; level < FEW; level++)
#pragma unroll
    for (int set = 0; set < FEW_SETS; set += 2 << level)
      share[set] = share[set | 1 << level] ^ (value[level] & share[set]);
  return share[0];
}

// A thread computes one word of one out plane: the sum of the products that go there, or of its part of them. ahead:
// few threads, whose time is what reading takes: lists are read before the bits are there.
template <bool ahead>
static __global__ void __launch_bounds__(THREADS) products_kernel(const __grid_constant__ products_call call) {
  const tw_products_args &a = call.a;
  const uint32_t of_plane = call.block_words * call.helpers,
                 plane = blockIdx.y * call.block_planes + threadIdx.x / of_plane,
                 helper = threadIdx.x % of_plane / call.block_words;
  product p;
  p.a = &a;
  p.word = (size_t)blockIdx.x * call.block_words + threadIdx.x % call.block_words;
  p.sequence = blockIdx.z;
  p.dealt = (const uint32_t *)(a.dealt + p.sequence * a.dealt_words) + p.word;
  p.one = a.party ? 0 : ~0u;
  tw_let_next_start();
  const bool inside = plane < call.planes && p.word < 2 * a.words;
  const int64_t *const starts = a.outline + call.planes + 1;
  int64_t number = 0, to = 0;
  if (inside) number = a.outline[plane] + helper, to = a.outline[plane + 1];
  uint32_t sum = 0;
  if constexpr (ahead) {
    few_literals f;
    if (number < to) f = read_ahead(a.list + starts[number]);
    tw_await_earlier();
    while (number < to) {
      sum ^= f.count <= FEW ? fold_few(p, f) : fold_any<true>(p, f.at);
      number += call.helpers;
      if (number < to) f = read_ahead(a.list + starts[number]);
    }
  } else {
    tw_await_earlier();
    for (; number < to; number += call.helpers) sum ^= fold_any<false>(p, a.list + starts[number]);
  }
  for (uint32_t by = call.block_words; by < of_plane; by *= 2) sum ^= __shfl_xor_sync(~0u, sum, by);
  if (inside && helper == 0) ((uint32_t *)(a.out + p.sequence * a.out_words + plane * a.words))[p.word] = sum;
}

// Few words leave lanes for helpers: as many as keep what runs at once busy, and as an average plane has products.
static uint32_t helpers_for(const tw_products_args *a, uint32_t planes, uint32_t block_words) {
  const size_t words = tw_ceil_div(2 * a->words, block_words) * block_words * planes * a->sequences;
  uint32_t helpers = 1;
  while (2 * helpers <= MOST_HELPERS && 2 * helpers * block_words <= 32 && 2 * helpers * words <= ENOUGH_THREADS &&
         2 * helpers * planes <= (size_t)a->products + planes)
    helpers *= 2;
  return helpers;
}

tw_status tw_cuda_products(const tw_products_args *args, void *stream) {
  if (args->words == 0) return TW_OK;
  products_call call = {*args, (uint32_t)(args->out_words / args->words), THREADS, 1, 1};
  while (call.block_words > 2 && call.block_words >= 4 * args->words)  // at least half of the threads have a word
    call.block_words /= 2;
  call.helpers = helpers_for(args, call.planes, call.block_words);
  call.block_planes = THREADS / (call.block_words * call.helpers);
  const dim3 grid((unsigned)tw_ceil_div(2 * args->words, call.block_words),
                  (unsigned)tw_ceil_div(call.planes, call.block_planes), (unsigned)args->sequences);
  const size_t threads = (size_t)grid.x * grid.y * grid.z * THREADS;
  return tw_enqueue(threads <= ENOUGH_THREADS ? products_kernel<true> : products_kernel<false>, grid, THREADS, 0,
                    stream, call);
}

// ---- XORs: a block takes one out plane and finds its terms ----

enum { PARITY_THREADS = 128 };

static __global__ void __launch_bounds__(PARITY_THREADS) parity_kernel(const __grid_constant__ tw_parity_args a) {
  __shared__ const uint32_t *terms[PARITY_THREADS];
  __shared__ int found;
  const size_t plane = blockIdx.y, sequence = blockIdx.z, word = (size_t)blockIdx.x * PARITY_THREADS + threadIdx.x;
  uint32_t sum = a.mine && a.list[3 * a.terms + plane] ? ~0u : 0;
  tw_let_next_start();
  for (size_t first = 0; first < a.terms; first += PARITY_THREADS) {
    __syncthreads();
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    const int64_t *term = a.list + 3 * (first + threadIdx.x);
    if (first + threadIdx.x < a.terms && (size_t)term[0] == plane) {
      const uint64_t *from = a.value[term[1]] + sequence * a.operand_words[term[1]] + (size_t)term[2] * a.words;
      terms[atomicAdd(&found, 1)] = (const uint32_t *)from;
    }
    __syncthreads();
    tw_await_earlier();
    if (word < 2 * a.words)
      for (int i = 0; i < found; i++) sum ^= terms[i][word];
  }
  tw_await_earlier();
  if (word < 2 * a.words) ((uint32_t *)a.out)[2 * (sequence * (size_t)a.planes + plane) * a.words + word] = sum;
}

// Planes of a few words: a warp takes a plane, its lanes the terms. Which are the plane's is known before their bits
// are there.
enum { SHORT_WORDS = 2, SHORT_TERMS = 32 * 32, SHORT_WARPS = 4 };

static __global__ void __launch_bounds__(32 * SHORT_WARPS)
    short_parity_kernel(const __grid_constant__ tw_parity_args a) {
  const size_t plane = (size_t)blockIdx.x * SHORT_WARPS + threadIdx.x / 32, sequence = blockIdx.y;
  const uint32_t lane = threadIdx.x % 32;
  const bool inside = plane < (size_t)a.planes;
  uint32_t own = 0;  // bit i: term 32 i + lane
  tw_let_next_start();
  for (size_t t = lane; inside && t < a.terms; t += 32) own |= (uint32_t)((size_t)a.list[3 * t] == plane) << t / 32;
  const bool constant = inside && lane == 0 && a.mine && a.list[3 * a.terms + plane];
  uint64_t sum[SHORT_WORDS];
#pragma unroll
  for (size_t w = 0; w < SHORT_WORDS; w++) sum[w] = constant ? ~0ull : 0;
  tw_await_earlier();
  for (; own; own &= own - 1) {
    const int64_t *const term = a.list + 3 * (32 * (size_t)(__ffs((int)own) - 1) + lane);
    const uint64_t *from = a.value[term[1]] + sequence * a.operand_words[term[1]] + (size_t)term[2] * a.words;
#pragma unroll
    for (size_t w = 0; w < SHORT_WORDS; w++)
      if (w < a.words) sum[w] ^= from[w];
  }
#pragma unroll
  for (size_t w = 0; w < SHORT_WORDS; w++) {
    for (int by = 1; by < 32; by *= 2) sum[w] ^= __shfl_xor_sync(~0u, (unsigned long long)sum[w], by);
    if (inside && lane == 0 && w < a.words) a.out[(sequence * (size_t)a.planes + plane) * a.words + w] = sum[w];
  }
}

tw_status tw_cuda_parity(const tw_parity_args *args, void *stream) {
  if (args->words <= SHORT_WORDS && args->terms <= SHORT_TERMS)
    return tw_enqueue(short_parity_kernel,
                      dim3((unsigned)tw_ceil_div((size_t)args->planes, SHORT_WARPS), (unsigned)args->sequences),
                      32 * SHORT_WARPS, 0, stream, *args);
  const dim3 grid((unsigned)tw_ceil_div(2 * args->words, PARITY_THREADS), (unsigned)args->planes,
                  (unsigned)args->sequences);
  return tw_enqueue(parity_kernel, grid, PARITY_THREADS, 0, stream, *args);
}

// ---- planes of another length ----

static __global__ void __launch_bounds__(THREADS) reshape_kernel(const __grid_constant__ tw_reshape_args a) {
  const size_t words = (a.n + 63) / 64;
  const size_t t = (size_t)blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
  tw_begin();
  if (t >= a.planes * words) return;
  const size_t plane = t / words, place = t % words * 64, left = a.n - place;
  const uint64_t *x = a.x + sequence * a.from_words;
  a.out[sequence * a.planes * words + t] = tw_reshaped_word(&a, x, plane * a.n + place, left < 64 ? left : 64);
}

tw_status tw_cuda_reshape(const tw_reshape_args *args, void *stream) {
  const dim3 grid((unsigned)tw_ceil_div(args->planes * tw_ceil_div(args->n, 64), THREADS), (unsigned)args->sequences);
  return tw_enqueue(reshape_kernel, grid, THREADS, 0, stream, *args);
}

// ---- dead keys: a thread takes a word of comparison bits: [pair][row][group], in step with its bits ----

// Of its pair, the second member in group 0; past the last pair: none.
static __device__ __forceinline__ uint32_t second_member(const tw_kill_args &a, uint32_t pair) {
  const uint32_t group = (uint32_t)a.group;
  uint32_t first = 0;
  if (pair >= group * (group - 1) / 2) return 0;
  while (pair >= group - 1 - first) pair -= group - 1 - first++;
  return (uint32_t)a.first + first + 1 + pair;
}

static __device__ __forceinline__ uint32_t dead_bits(const tw_kill_args &a, uint32_t sequence, uint32_t word) {
  const uint32_t groups = (uint32_t)a.groups, rows = (uint32_t)a.rows, line = 32 * word / groups;
  uint32_t pair = line / rows, row = line % rows, group = 32 * word % groups, dead = 0;
  uint32_t second = second_member(a, pair);
  int live = tw_live_members(&a, sequence, row);
  for (uint32_t bit = 0; bit < 32 && second > 0; bit++) {
    dead |= (uint32_t)((int)(second + group * (uint32_t)a.group) >= live) << bit;
    if (++group < groups) continue;
    group = 0;
    if (++row == rows) {
      row = 0;
      second = second_member(a, ++pair);
    }
    live = tw_live_members(&a, sequence, row);
  }
  return dead;
}

static __global__ void __launch_bounds__(THREADS) kill_kernel(const __grid_constant__ tw_kill_args a) {
  const uint32_t word = blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
  const bool inside = word < 2 * (uint32_t)a.words;
  tw_let_next_start();
  const uint32_t dead = inside ? dead_bits(a, sequence, word) : 0;
  tw_await_earlier();
  if (!inside) return;
  const uint32_t x = ((const uint32_t *)(a.x + sequence * a.words))[word];
  ((uint32_t *)(a.out + sequence * a.words))[word] = a.mine ? x | dead : x & ~dead;
}

tw_status tw_cuda_kill(const tw_kill_args *args, void *stream) {
  if (args->words > UINT32_MAX / 64 - THREADS)
    return tw_fail(TW_ERR_RANGE, "%zu words of comparisons; use a smaller sequence", args->words);
  const dim3 grid((unsigned)tw_ceil_div(2 * args->words, THREADS), (unsigned)args->sequences);
  return tw_enqueue(kill_kernel, grid, THREADS, 0, stream, *args);
}
