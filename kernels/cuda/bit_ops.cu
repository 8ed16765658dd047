// Gates on bit planes on the device: products of opened bits, XORs, reshaping, dead keys. Planes are taken as 32-bit
// words, one a group of 32 elements (little-endian: the low half of a 64-bit word first).
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/launch.h"

enum { THREADS = 256, MAX_LITERALS = 8, LIST_LIMIT = 96 << 10 };

// ---- products ----

typedef struct {
  tw_products_args a;
  uint32_t block_words, block_products;  // their product: THREADS
} products_call;

// One product at one word: literal i has value[i]; the shares of the subsets' products are read as the fold needs them.
typedef struct {
  const tw_products_args *a;
  const uint16_t *literals, *planes;
  const uint32_t *dealt;
  size_t sequence, word;
  uint32_t one, value[MAX_LITERALS];
} product;

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
    const uint16_t *l = p.literals + 3 * literal;
    const uint64_t *mask = p.a->mask[l[0]] + p.sequence * p.a->operand_words[l[0]] + l[1] * p.a->words;
    return ((const uint32_t *)mask)[p.word];
  } else {
    return p.dealt[2 * (size_t)p.planes[operand_set] * p.a->words];
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

static __device__ uint32_t fold_all(const product &p, int count) {
  switch (count) {
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
    case 6:
      return fold<6, 0>(p);
    case 7:
      return fold<7, 0>(p);
    default:
      return fold<8, 0>(p);
  }
}

// The list as 16-bit numbers in shared memory; a place only tells its product's length, so one thread walks it.
static __global__ void __launch_bounds__(THREADS) products_kernel(const __grid_constant__ products_call call) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ uint32_t starts[THREADS];
  uint16_t *const list = (uint16_t *)memory;
  const tw_products_args &a = call.a;
  const uint32_t first = blockIdx.y * call.block_products, last = first + call.block_products;
  for (size_t i = threadIdx.x; i < a.list_count; i += THREADS) list[i] = (uint16_t)a.list[i];
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < last && i < (uint32_t)a.products; i++) {
      if (i >= first) starts[i - first] = at;
      at += 2 + 3 * list[at + 1] + (1u << list[at + 1]);
    }
  }
  __syncthreads();
  const uint32_t number = threadIdx.x / call.block_words;
  product p;
  p.word = (size_t)blockIdx.x * call.block_words + threadIdx.x % call.block_words;
  if (first + number >= (uint32_t)a.products || p.word >= 2 * a.words) return;
  const uint16_t *at = list + starts[number];
  const int count = at[1];
  p.a = &a;
  p.literals = at + 2;
  p.planes = p.literals + 3 * count;
  p.sequence = blockIdx.z;
  p.dealt = (const uint32_t *)(a.dealt + p.sequence * a.dealt_words) + p.word;
  p.one = a.rank ? 0 : ~0u;
#pragma unroll
  for (int i = 0; i < MAX_LITERALS; i++) {
    p.value[i] = 0;
    if (i >= count) continue;
    const uint16_t *l = p.literals + 3 * i;
    const uint64_t *value = a.value[l[0]] + p.sequence * a.operand_words[l[0]] + l[1] * a.words;
    p.value[i] = ((const uint32_t *)value)[p.word] ^ (l[2] ? ~0u : 0);
  }
  // Products of one out plane meet there.
  atomicXor((uint32_t *)(a.out + p.sequence * a.out_words + at[0] * a.words) + p.word, fold_all(p, count));
}

tw_status tw_cuda_products(const tw_products_args *args, void *stream) {
  static size_t allowed = 40 << 10;
  if (args->words == 0 || args->products == 0) return TW_OK;
  const size_t bytes = sizeof(uint16_t) * args->list_count;
  bool narrow = args->dealt_words / args->words < 0xffff && args->out_words / args->words < 0xffff;
  for (int i = 0; i < args->operands; i++) narrow = narrow && args->operand_words[i] / args->words < 0xffff;
  if (bytes > LIST_LIMIT || !narrow)
    return tw_fail(TW_ERR_RANGE, "bit products: a list of %zu numbers is more than a GPU's block holds",
                   args->list_count);
  if (bytes > allowed) {
    TW_CUDA(
        cudaFuncSetAttribute((const void *)products_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, LIST_LIMIT));
    allowed = LIST_LIMIT;
  }
  products_call call = {*args, THREADS, 1};
  while (call.block_words > 4 && call.block_words >= 4 * args->words) {  // at least half of the threads have a word
    call.block_words /= 2;
    call.block_products *= 2;
  }
  const dim3 grid((unsigned)tw_ceil_div(2 * args->words, call.block_words),
                  (unsigned)tw_ceil_div((size_t)args->products, call.block_products), (unsigned)args->sequences);
  return tw_enqueue(products_kernel, grid, THREADS, bytes, stream, call);
}

// ---- XORs: a block takes one out plane and finds its terms ----

enum { PARITY_THREADS = 128 };

static __global__ void __launch_bounds__(PARITY_THREADS) parity_kernel(const __grid_constant__ tw_parity_args a) {
  __shared__ const uint32_t *terms[PARITY_THREADS];
  __shared__ int found;
  const size_t plane = blockIdx.y, sequence = blockIdx.z, word = (size_t)blockIdx.x * PARITY_THREADS + threadIdx.x;
  uint32_t sum = a.mine && a.list[3 * a.terms + plane] ? ~0u : 0;
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
    if (word < 2 * a.words)
      for (int i = 0; i < found; i++) sum ^= terms[i][word];
  }
  if (word < 2 * a.words) ((uint32_t *)a.out)[2 * (sequence * (size_t)a.planes + plane) * a.words + word] = sum;
}

tw_status tw_cuda_parity(const tw_parity_args *args, void *stream) {
  const dim3 grid((unsigned)tw_ceil_div(2 * args->words, PARITY_THREADS), (unsigned)args->planes,
                  (unsigned)args->sequences);
  return tw_enqueue(parity_kernel, grid, PARITY_THREADS, 0, stream, *args);
}

// ---- planes of another length ----

static __global__ void __launch_bounds__(THREADS) reshape_kernel(const __grid_constant__ tw_reshape_args a) {
  const size_t words = (a.n + 63) / 64, from_words = (a.planes * a.n + 63) / 64;
  const size_t t = (size_t)blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
  if (t >= a.planes * words) return;
  const size_t plane = t / words, place = t % words * 64, bit = plane * a.n + place, word = bit / 64, shift = bit % 64;
  const uint64_t *x = a.x + sequence * a.from_words;
  uint64_t bits = x[word] >> shift;
  if (shift && word + 1 < from_words) bits |= x[word + 1] << (64 - shift);
  if (a.n - place < 64) bits &= (1ull << (a.n - place)) - 1;
  a.out[sequence * a.planes * words + t] = bits;
}

tw_status tw_cuda_reshape(const tw_reshape_args *args, void *stream) {
  const dim3 grid((unsigned)tw_ceil_div(args->planes * tw_ceil_div(args->n, 64), THREADS), (unsigned)args->sequences);
  return tw_enqueue(reshape_kernel, grid, THREADS, 0, stream, *args);
}

// ---- dead keys: one thread a comparison bit ----

static __device__ bool second_is_dead(const tw_kill_args &a, size_t sequence, size_t bit) {
  const size_t g = bit % a.groups, row = bit / a.groups % a.rows;
  size_t pair = bit / a.groups / a.rows, first = 0;
  if (pair >= a.group * (a.group - 1) / 2) return false;  // the last word's tail
  while (pair >= a.group - 1 - first) pair -= a.group - 1 - first++;
  const size_t member = a.first + g * a.group + first + 1 + pair;
  return (int)member >= tw_live_members(&a, sequence, row);
}

static __global__ void __launch_bounds__(THREADS) kill_kernel(const __grid_constant__ tw_kill_args a) {
  const size_t bit = (size_t)blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y, word = bit / 32;
  const bool inside = word < 2 * a.words;
  const uint32_t dead = __ballot_sync(~0u, inside && second_is_dead(a, sequence, bit));
  if (!inside || threadIdx.x % 32 != 0) return;
  const uint32_t x = ((const uint32_t *)(a.x + sequence * a.words))[word];
  ((uint32_t *)(a.out + sequence * a.words))[word] = a.mine ? x | dead : x & ~dead;
}

tw_status tw_cuda_kill(const tw_kill_args *args, void *stream) {
  const dim3 grid((unsigned)tw_ceil_div(64 * args->words, THREADS), (unsigned)args->sequences);
  return tw_enqueue(kill_kernel, grid, THREADS, 0, stream, *args);
}
