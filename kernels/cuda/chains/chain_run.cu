// A chain in one launch: a block takes a tile through all steps, and exchanges packets with its twin by itself. A
// packet says which round of which tile it is of, so that nothing is fenced. A kernel that interprets a list has the
// code of an operation once, however often chains need it.
#include "kernels/chain_steps.h"
#include "kernels/cuda/exchange/opens.h"

namespace {

enum { THREADS = 384 };

struct tile_state {
  uint32_t tile;
  uint64_t count;  // of the tile's round 0
};

// ---- between a tile and whole tensors

__device__ size_t whole_place(const tw_step_move &m, uint32_t tile, uint32_t j) {
  uint32_t run = m.rows * m.inner, o = j / run, rest = j % run;
  return ((size_t)o * m.all + (size_t)(m.all > m.rows ? tile * m.rows : 0)) * m.inner + rest;
}

__device__ void gather(const tw_step_move &m, uint32_t tile) {
  uint32_t n = m.outer * m.rows * m.inner, words = (n + 63) / 64;
  if (m.planes == 0) {
    for (uint32_t j = threadIdx.x; j < n; j += THREADS)
      copy_async_8(&m.tile[j], &m.whole[whole_place(m, tile, j)], true);
    copy_async_commit();
    return;
  }
  for (uint32_t i = threadIdx.x; i < m.planes * words; i += THREADS) {
    const uint64_t *plane = m.whole + i / words * m.whole_words;
    uint32_t first = 64 * (i % words), last = first + 64 < n ? first + 64 : n;
    uint64_t word = 0;
#pragma unroll 4
    for (uint32_t j = first; j < last; j++) word |= tw_plane_bit(plane, whole_place(m, tile, j)) << (j - first);
    m.tile[i] = word;
  }
}

__device__ void scatter(const tw_step_move &m, uint32_t tile) {
  uint32_t n = m.outer * m.rows * m.inner, words = (n + 63) / 64;
  for (uint32_t j = threadIdx.x; j < n * (m.planes ? m.planes : 1); j += THREADS) {
    size_t at = whole_place(m, tile, j % n);
    if (m.planes == 0) {
      m.whole[at] = m.tile[j];
      continue;
    }
    uint32_t plane = j / n;
    unsigned long long *to = (unsigned long long *)m.whole + plane * m.whole_words + at / 64, bit = 1ull << at % 64;
    if (tw_plane_bit(m.tile + plane * words, j % n))
      atomicOr(to, bit);
    else
      atomicAnd(to, ~bit);
  }
}

// ---- openings

__device__ uint64_t *packet_of(uint64_t *slots, const tw_chain_launch &a, uint32_t round, uint32_t packet) {
  uint32_t slot = blockIdx.x * TW_CHAIN_SLOTS + round % TW_CHAIN_SLOTS;
  return slots + 2 * ((size_t)slot * a.packets + packet);
}

__device__ uint64_t masked_word(const tw_step_open &o, uint32_t j) {
  if (!o.bits) return (o.share[j] + o.mask[j]) & o.ring;
  uint32_t words = (o.live + 63) / 64, left = o.live - 64 * (j % words);
  uint64_t v = o.share[j] ^ o.mask[j];
  return left < 64 ? v & ((1ull << left) - 1) : v;
}

// Elements of a packet: 64 bits, or twice 48; behind them the lower half of the count.
__device__ packet fill_packet(uint64_t first, uint64_t second, uint32_t paired, uint64_t count) {
  packet p = {first, count << 32};
  if (!paired) return p;
  p.low |= second << TW_CHAIN_PAIRED_BITS;
  p.high |= second >> (64 - TW_CHAIN_PAIRED_BITS);
  return p;
}

__device__ uint64_t element_of(packet p, uint32_t paired, uint32_t i) {
  if (!paired) return p.low;
  uint64_t v = i ? p.low >> TW_CHAIN_PAIRED_BITS | p.high << (64 - TW_CHAIN_PAIRED_BITS) : p.low;
  return v & ((1ull << TW_CHAIN_PAIRED_BITS) - 1);
}

// Element j is thread j's in every step; of two that share a packet the even one's thread sends and waits.
__device__ void send(const tw_step_open &o, const tw_chain_launch &a, const tile_state &t) {
  uint32_t round = (uint32_t)t.count + o.round;
  for (uint32_t first = 0; first < o.words; first += THREADS) {
    uint32_t j = first + threadIdx.x;
    uint64_t v = j < o.words ? masked_word(o, j) : 0, next = __shfl_down_sync(~0u, v, 1);
    if (j >= o.words) continue;
    o.out[j] = v;
    if (o.paired && j % 2) continue;
    uint64_t *to = packet_of(a.sent, a, round, o.packet + (o.paired ? j / 2 : j));
    store_packet(to, fill_packet(v, next, o.paired, t.count + o.round));
  }
}

__device__ bool gives_up_waiting(const tw_chain_launch &a, uint64_t *start) {
  uint64_t now = now_ns();
  if (!*start) *start = now;
  if (*(volatile int *)a.failed) return true;
  if (threadIdx.x == 0 && a.stop && *(volatile const int *)a.stop) return true;
  return now - *start > a.patience_ns;
}

// Ahead of the wanted count is a twin out of step; behind it is what came before.
__device__ bool await_packet(const uint64_t *from, const tw_chain_launch &a, uint64_t count, packet *got) {
  enum { LOOKS = 1024 };
  uint64_t start = 0;
  for (uint32_t looks = 1;; looks++) {
    *got = load_packet(from);
    int32_t ahead = (int32_t)((uint32_t)(got->high >> 32) - (uint32_t)count);
    if (ahead == 0) return true;
    if (ahead > 0 || (looks % LOOKS == 0 && gives_up_waiting(a, &start))) return false;
  }
}

__device__ bool receive(const tw_step_open &o, const tw_chain_launch &a, const tile_state &t) {
  uint32_t round = (uint32_t)t.count + o.round;
  for (uint32_t first = 0; first < o.words; first += THREADS) {
    uint32_t j = first + threadIdx.x;
    bool there = true;
    packet p = {};
    if (j < o.words && !(o.paired && j % 2))
      there = await_packet(packet_of((uint64_t *)a.received, a, round, o.packet + (o.paired ? j / 2 : j)), a,
                           t.count + o.round, &p);
    if (__any_sync(~0u, !there)) return false;
    if (o.paired) {
      p.low = __shfl_sync(~0u, p.low, threadIdx.x % 32 & ~1);
      p.high = __shfl_sync(~0u, p.high, threadIdx.x % 32 & ~1);
    }
    if (j >= o.words) continue;
    uint64_t v = element_of(p, o.paired, j % 2);
    o.out[j] = o.bits ? o.out[j] ^ v : (o.out[j] + v) & o.ring;
  }
  return true;
}

// ---- bits: few words, so that parts of a word are worked on side by side and added up

__device__ void add_bits(uint64_t *word, uint64_t bits) { atomicXor((unsigned long long *)word, bits); }

__device__ void clear_words(uint64_t *at, uint32_t words) {
  for (uint32_t i = threadIdx.x; i < words; i += THREADS) at[i] = 0;
  __syncthreads();
}

// One element's share of [c < a], [c == a] or of the sign: the digit is public, and every entry above it is read.
__device__ uint64_t leaf_bit(const tw_leaves_args &a, const int64_t *leaf, uint32_t j) {
  uint64_t u = (a.X[j] - (uint64_t)leaf[0]) & tw_ring_mask(a.ring);
  uint32_t width = leaf[2] & 0xff, kind = leaf[2] >> 8 & 0xff, first = (uint32_t)(leaf[2] >> 16);
  const uint64_t *onehot = a.onehot + (size_t)first * a.words;
  if (kind == TW_LEAF_SIGN) return tw_plane_bit(onehot, j) ^ (a.party ? 0 : u >> (a.ring - 1) ^ 1);
  uint32_t c = (uint32_t)(u >> leaf[1]) & ((1u << width) - 1);
  if (kind == TW_LEAF_EQ) return tw_plane_bit(onehot + c * a.words, j);
  uint64_t bit = 0;
  for (uint32_t p = c + 1; p < 1u << width; p++) bit ^= tw_plane_bit(onehot + p * a.words, j);
  return bit;
}

__device__ void leaves(const tw_leaves_args &a) {
  uint32_t n = (uint32_t)a.n, words = (uint32_t)a.words;
  clear_words(a.out, a.count * words);
  for (uint32_t i = threadIdx.x; i < a.count * n; i += THREADS) {
    uint32_t leaf = i / n, j = i % n;
    add_bits(&a.out[leaf * words + j / 64], leaf_bit(a, a.leaves + 3 * leaf, j) << j % 64);
  }
}

// Literals that are not in the set, times the set's share.
__device__ uint64_t subset_term(const tw_products_args &a, const int64_t *product, uint32_t set, uint32_t w) {
  uint32_t count = (uint32_t)product[1], words = (uint32_t)a.words;
  const int64_t *literal = product + 2, *dealt = literal + 3 * count;
  uint64_t term = set ? 0 : a.party ? 0 : ~0ull;
  if (set && (set & (set - 1)) == 0) {
    const int64_t *l = literal + 3 * (31 - __clz(set));
    term = a.mask[l[0]][l[1] * words + w];
  } else if (set) {
    term = a.dealt[dealt[set] * words + w];
  }
  for (uint32_t i = 0; i < count; i++) {
    const int64_t *l = literal + 3 * i;
    uint64_t v = a.value[l[0]][l[1] * words + w] ^ (l[2] ? ~0ull : 0);
    term &= set >> i & 1 ? ~0ull : v;
  }
  return term;
}

__device__ void products(const tw_products_args &a) {
  uint32_t words = (uint32_t)a.words;
  const int64_t *end = a.list + a.list_count;
  clear_words(a.out, (uint32_t)a.out_words);
  for (uint32_t i = threadIdx.x;; i += THREADS) {
    const int64_t *p = a.list;
    uint32_t at = i;
    for (; p < end && at >= words << p[1]; p += 2 + 3 * p[1] + (1 << p[1])) at -= words << p[1];
    if (p >= end) return;
    add_bits(&a.out[p[0] * words + at % words], subset_term(a, p, at / words, at % words));
  }
}

__device__ void parity(const tw_parity_args &a) {
  uint32_t words = (uint32_t)a.words;
  for (uint32_t i = threadIdx.x; i < a.planes * words; i += THREADS)
    a.out[i] = a.mine && a.list[3 * a.terms + i / words] ? ~0ull : 0;
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < a.terms * words; i += THREADS) {
    const int64_t *term = a.list + 3 * (i / words);
    add_bits(&a.out[term[0] * words + i % words], a.value[term[1]][term[2] * words + i % words]);
  }
}

__device__ void reshape(const tw_reshape_args &a) {
  uint32_t n = (uint32_t)a.n, words = (n + 63) / 64, from = (uint32_t)a.from, from_words = (from + 63) / 64;
  clear_words(a.out, (uint32_t)a.planes * words);
  for (uint32_t i = threadIdx.x; i < a.planes * n; i += THREADS) {
    uint64_t bit = tw_plane_bit(a.x + i / from * from_words, i % from);
    add_bits(&a.out[i / n * words + i % n / 64], bit << i % n % 64);
  }
}

// A warp an element and table: every entry is read.
__device__ void lookup(const tw_lookup_args &a) {
  uint32_t lane = threadIdx.x % 32, entries = 1u << a.width;
  for (uint32_t i = threadIdx.x / 32; i < 2 * (uint32_t)a.n; i += THREADS / 32) {
    uint32_t j = i / 2, table = i % 2;
    uint64_t sum = 0, places = tw_ring_mask(a.width + a.sub_bits);
    uint64_t fine = ((a.X[j] - a.offset) & tw_ring_mask(a.ring)) >> (a.low_bit - a.sub_bits) & places;
    for (uint32_t e = lane; e < entries; e += 32)
      sum += a.table[table][(fine - ((uint64_t)e << a.sub_bits)) & places] &
             tw_all_ones(tw_plane_bit(a.onehot + e * a.words, j));
    for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
    if (lane == 0) a.out[table][j] = (a.party ? 0 - sum : sum) & a.ring_out;
  }
}

// ---- rings

__device__ void sums(const tw_step_sums &a) {
  clear_words(a.out, a.rows);
  for (uint32_t row = 0; row < a.rows; row++) {
    uint64_t sum = 0;
    for (uint32_t j = threadIdx.x; j < a.cols; j += THREADS) sum += a.x[row * a.cols + j];
    for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
    if (threadIdx.x % 32 == 0) atomicAdd((unsigned long long *)&a.out[row], (unsigned long long)sum);
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < a.rows; i += THREADS)
    a.out[i] = (a.out[i] + (a.addend ? a.addend[i] : 0)) & a.ring;
}

template <class type, uint64_t (*element)(const type *, size_t, size_t)>
__device__ void each(const type &a) {
  uint32_t cols = (uint32_t)a.cols, count = (uint32_t)a.rows * cols;
  for (uint32_t j = threadIdx.x; j < count; j += THREADS) a.out[j] = element(&a, j / cols, j % cols);
}

__device__ void compute(const tw_chain_step &s) {
  switch (s.kind) {
#define EACH(op)                                 \
  case TW_STEP_##op:                             \
    each<tw_##op##_args, tw_##op##_at>(s.as.op); \
    return;
    TW_CHAIN_RING_OPS(EACH)
#define WHOLE(op)    \
  case TW_STEP_##op: \
    op(s.as.op);     \
    return;
    TW_CHAIN_BIT_OPS(WHOLE)
    case TW_STEP_SUMS:
      sums(s.as.sums);
      return;
    case TW_STEP_COPY:
      for (uint32_t i = threadIdx.x; i < s.as.copy.words; i += THREADS) s.as.copy.to[i] = s.as.copy.from[i];
      return;
    default:
      return;
  }
}

// False: the twin does not come.
__device__ bool walk(const tw_chain_launch &a, const tw_chain_step *steps, const tile_state &t) {
  for (uint32_t i = 0; i < a.count; i++) {
    const tw_chain_step &s = steps[i];
    bool there = true;
    if (a.times && t.tile == 0 && threadIdx.x == 0) a.times[i] = now_ns();
    if (s.kind != TW_STEP_GATHER && s.kind != TW_STEP_RECEIVE) copy_async_wait<0>();
    if (s.kind == TW_STEP_GATHER)
      gather(s.as.move, t.tile);
    else if (s.kind == TW_STEP_SCATTER)
      scatter(s.as.move, t.tile);
    else if (s.kind == TW_STEP_SEND)
      send(s.as.open, a, t);
    else if (s.kind == TW_STEP_RECEIVE)
      there = receive(s.as.open, a, t);
    else
      compute(s);
    if (s.joined && there) continue;
    copy_async_wait<0>();
    if (__syncthreads_or(!there)) return false;
  }
  if (a.times && t.tile == 0 && threadIdx.x == 0) a.times[a.count] = now_ns();
  return true;
}

struct chain_args {
  tw_chain_launch launch;
  uint64_t *base;  // where a block says where its memory lies; else NULL
};

// Shared memory: the tile's, then the steps.
__global__ void __launch_bounds__(THREADS) chain_kernel(const __grid_constant__ chain_args c) {
  const tw_chain_launch &a = c.launch;
  unsigned char *memory = dynamic_shared();
  tw_begin();
  if (c.base) {
    if (threadIdx.x == 0) *c.base = (uint64_t)memory;
    return;
  }
  for (uint32_t i = threadIdx.x; i < a.list_words; i += THREADS) ((int64_t *)memory)[i] = a.lists[i];
  tw_chain_step *steps = (tw_chain_step *)(memory + a.shared_bytes);
  const uint64_t *from = (const uint64_t *)a.steps;
  for (uint32_t i = threadIdx.x; i < a.count * (uint32_t)sizeof *steps / 8; i += THREADS)
    ((uint64_t *)steps)[i] = from[i];
  __syncthreads();
  for (uint32_t tile = blockIdx.x, i = 0; tile < a.tiles; tile += gridDim.x, i++) {
    tile_state t = {tile, a.base + (uint64_t)i * a.rounds + 1};
    if (__syncthreads_or(threadIdx.x == 0 && *(volatile int *)a.failed)) break;  // all threads of a block alike
    if (walk(a, steps, t)) continue;
    if (threadIdx.x == 0) *(volatile int *)a.failed = 1;
    break;
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < a.shared_bytes / 8; i += THREADS) ((uint64_t *)memory)[i] = 0;
}

tw_status launch(const chain_args *a, uint32_t blocks, size_t shared, void *stream) {
  TW_CUDA(cudaFuncSetAttribute(chain_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
  return tw_enqueue(chain_kernel, dim3(blocks), THREADS, shared, stream, *a);
}

tw_status most_shared(size_t *bytes) {
  int device, most;
  TW_CUDA(cudaGetDevice(&device));
  TW_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  *bytes = (size_t)most;
  return TW_OK;
}

}  // namespace

tw_status tw_chain_shared(uint32_t steps, uint64_t *base, size_t *bytes) {
  chain_args a = {};
  size_t most, of_steps = steps * sizeof(tw_chain_step);
  TW_TRY(most_shared(&most));
  *bytes = most > of_steps ? (most - of_steps) / 256 * 256 : 0;
  TW_CUDA(cudaMalloc((void **)&a.base, sizeof *base));
  tw_status status = launch(&a, 1, most, NULL);
  if (status == TW_OK)
    status = tw_cuda_status(cudaMemcpy(base, a.base, sizeof *base, cudaMemcpyDeviceToHost), "cudaMemcpy", __FILE__,
                            __LINE__);
  TW_CUDA(cudaFree(a.base));
  return status;
}

tw_status tw_chain_run(const tw_chain_launch *chain, void *stream) {
  chain_args a = {*chain, NULL};
  size_t most, all = chain->shared_bytes + chain->count * sizeof(tw_chain_step);
  TW_TRY(most_shared(&most));
  if (all > most) return tw_fail(TW_ERR_USAGE, "a chain needs %zu bytes of shared memory, a block has %zu", all, most);
  return launch(&a, chain->blocks, all, stream);
}
