// Elementwise gates that expand their corrections on the way: a block takes a segment of one sequence, draws and
// unpacks its elements of every correction into shared memory while the kernel before still runs, and applies the
// formula of kernels/ring_ops.h to them there. What a correction expands to, eight bytes an element, is never in the
// GPU's memory.
#include <string.h>

#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/cuda/streams/chacha20.h"

enum {
  THREADS = 128,
  WARPS = THREADS / 32,
  SEGMENT = 512,  // elements of a block
  MOST_CORRECTIONS = 8
};

// A correction with an element for each of the gate's; the others are expanded beforehand.
typedef struct {
  const uint32_t *keys;
  const uint64_t *slots, *packed;
  size_t packed_words;  // from one sequence's to the next one's
  uint64_t mask;
  uint32_t use, width;
  uint32_t own_first, own_end;          // drawn elements
  uint32_t packed_first, packed_count;  // the others
  uint32_t place;                       // of its pointer among the 8-byte words of the gate's arguments
} correction;

typedef struct {
  correction each[MOST_CORRECTIONS];
  int count;
  uint32_t n;  // elements of a sequence
} correction_list;

template <class type>
struct corrected_call {
  type a;
  correction_list corrections;
};

// Elements [low, low + 32 per) of a correction, from the warp's blocks of its stream, as far as they are drawn (all:
// they all are); values: those of the segment from `begin` on.
template <uint32_t per, bool all>
static __device__ __forceinline__ void keep_drawn(const correction &p, uint32_t low, uint32_t begin,
                                                  const uint32_t *words, uint64_t *values) {
  const uint32_t lane = threadIdx.x % 32;
  const uint64_t mask = p.mask;
#pragma unroll
  for (uint32_t i = 0; i < per; i++) {
    const uint32_t place = 32 * i + lane, e = low + place;
    const uint32_t *at = words + LANE_WORDS * (place / per) + (BLOCK_WORDS / per) * (place % per);
    if (all || (e >= p.own_first && e < p.own_end))
      values[e - begin] = (per == BLOCK_WORDS ? at[0] : (uint64_t)at[1] << 32 | at[0]) & mask;
  }
}

template <uint32_t per>
static __device__ __forceinline__ void draw_elements(const correction &p, uint32_t sequence, uint32_t low,
                                                     uint32_t begin, uint32_t *words, uint64_t *values) {
  const uint32_t lane = threadIdx.x % 32, mine = low + per * lane, high = low + 32 * per;
  if (high <= p.own_first || low >= p.own_end) return;
  if (mine + per > p.own_first && mine < p.own_end)
    chacha20_block(p.keys + 8 * sequence, p.use, p.slots[sequence], mine / per, words + LANE_WORDS * lane);
  __syncwarp();
  if (low >= p.own_first && high <= p.own_end)
    keep_drawn<per, true>(p, low, begin, words, values);
  else
    keep_drawn<per, false>(p, low, begin, words, values);
  __syncwarp();
}

// The warps share out the streams: a warp draws 512 elements of up to 32 bits, or 256 wider ones.
static __device__ __forceinline__ void draw_corrections(const correction_list &corrections, uint32_t sequence,
                                                        uint32_t begin, uint32_t *words, uint64_t *values) {
  const uint32_t warp = threadIdx.x / 32;
  uint32_t at_warp = 0;
  for (int i = 0; i < corrections.count; i++, values += SEGMENT) {
    const correction &p = corrections.each[i];
    if (p.width <= 32) {
      if (at_warp++ % WARPS == warp) draw_elements<BLOCK_WORDS>(p, sequence, begin, begin, words, values);
    } else {
      for (uint32_t low = begin; low < begin + SEGMENT; low += SEGMENT / 2)
        if (at_warp++ % WARPS == warp) draw_elements<BLOCK_WORDS / 2>(p, sequence, low, begin, words, values);
    }
  }
}

// A thread's elements are all read before the first is stored.
static __device__ __forceinline__ void unpack_correction(const correction &p, uint32_t sequence, uint32_t begin,
                                                         uint64_t *values) {
  constexpr uint32_t each = SEGMENT / THREADS;
  if (begin + SEGMENT <= p.packed_first || begin >= p.packed_first + p.packed_count) return;
  const uint64_t *const packed = p.packed + sequence * p.packed_words;
  uint64_t low[each], high[each];
#pragma unroll
  for (uint32_t i = 0; i < each; i++) {
    const uint32_t k = begin + THREADS * i + threadIdx.x - p.packed_first;  // wraps around ahead of the first
    const uint64_t bit = (uint64_t)k * p.width, *const at = packed + bit / 64;
    low[i] = high[i] = 0;
    if (k < p.packed_count) {
      low[i] = at[0];
      if (bit % 64 + p.width > 64) high[i] = at[1];
    }
  }
#pragma unroll
  for (uint32_t i = 0; i < each; i++) {
    const uint32_t e = THREADS * i + threadIdx.x, k = begin + e - p.packed_first, shift = k * p.width % 64;
    if (k < p.packed_count) values[e] = (low[i] >> shift | high[i] << 1 << (63 - shift)) & p.mask;
  }
}

template <class type, uint64_t (*element)(const type *, size_t, size_t)>
static __device__ __forceinline__ void apply(const corrected_call<type> &call, type &mine, unsigned char *memory) {
  uint64_t *const values = (uint64_t *)memory;
  uint32_t *const words = (uint32_t *)(values + call.corrections.count * SEGMENT) + threadIdx.x / 32 * 32 * LANE_WORDS;
  const uint32_t begin = blockIdx.x * SEGMENT;
  const uint32_t sequence = blockIdx.y, first = sequence * call.corrections.n;
  tw_let_next_start();
  draw_corrections(call.corrections, sequence, begin, words, values);
  tw_await_earlier();
  for (int i = 0; i < call.corrections.count; i++)
    unpack_correction(call.corrections.each[i], sequence, begin, values + i * SEGMENT);
  // The gate's arguments, with pointers at which element begin of this sequence is the segment's first.
  for (uint32_t i = threadIdx.x; i < sizeof(type) / 8; i += THREADS)
    ((uint64_t *)&mine)[i] = ((const uint64_t *)&call.a)[i];
  __syncthreads();
  if ((int)threadIdx.x < call.corrections.count)
    ((uint64_t *)&mine)[call.corrections.each[threadIdx.x].place] =
        (uint64_t)(uintptr_t)(values + threadIdx.x * SEGMENT) - 8 * (uint64_t)(first + begin);
  __syncthreads();
  const uint32_t at = begin + threadIdx.x, cols = (uint32_t)mine.cols;
  uint64_t value[SEGMENT / THREADS];
#pragma unroll
  for (uint32_t i = 0; i < SEGMENT / THREADS; i++) {
    const uint32_t e = at + THREADS * i < call.corrections.n ? at + THREADS * i : call.corrections.n - 1, j = first + e;
    value[i] = element(&mine, j / cols, j % cols);
  }
  uint64_t *const out = mine.out + first;
#pragma unroll
  for (uint32_t i = 0; i < SEGMENT / THREADS; i++)
    if (at + THREADS * i < call.corrections.n) out[at + THREADS * i] = value[i];
}

static tw_status make_correction(const tw_correction_args *c, uint32_t place, correction *p) {
  if ((uintptr_t)c->seeds % 4 || (uintptr_t)c->slots % 8 || (uintptr_t)c->packed % 8 || c->packed_stride % 8)
    return tw_fail(TW_ERR_INTERNAL, "seed, slot or packed half of a correction is not aligned");
  *p = {};
  p->keys = (const uint32_t *)c->seeds;
  p->slots = c->slots;
  p->packed = (const uint64_t *)c->packed;
  p->packed_words = c->packed_stride / 8;
  p->mask = tw_ring_mask(c->width);
  p->use = c->use;
  p->width = (uint32_t)c->width;
  p->own_first = c->first == 0 ? (uint32_t)c->count : 0;
  p->own_end = (uint32_t)(c->first == 0 ? c->n : c->first);
  p->packed_first = (uint32_t)c->first;
  p->packed_count = (uint32_t)c->count;
  p->place = place;
  return TW_OK;
}

// Where among `count` words the pointer lies; count: nowhere.
static uint32_t place_of(const void *args, size_t count, const void *pointer) {
  for (uint32_t i = 0; i < count; i++)
    if (memcmp((const char *)args + 8 * i, &pointer, sizeof pointer) == 0) return i;
  return (uint32_t)count;
}

// Corrections with n elements go to the kernel, the others' memory is filled now.
static tw_status split_corrections(const void *args, size_t words, const tw_correction_args *taken, int count, size_t n,
                                   correction_list *corrections, void *stream) {
  tw_correction_args others[MOST_CORRECTIONS];
  int other_count = 0;
  if (count > MOST_CORRECTIONS) return tw_fail(TW_ERR_INTERNAL, "%d corrections at once", count);
  *corrections = {};
  corrections->n = (uint32_t)n;
  for (int i = 0; i < count; i++) {
    const uint32_t place = place_of(args, words, taken[i].out);
    if (taken[i].bits || taken[i].n != n || place == words)
      others[other_count++] = taken[i];
    else
      TW_TRY(make_correction(&taken[i], place, &corrections->each[corrections->count++]));
  }
  return other_count > 0 ? tw_cuda_corrections(others, other_count, stream) : TW_OK;
}

// Elements of one sequence that the gate has; 0: its elements are not one for each of a correction.
static size_t elements_of(size_t elements, const tw_correction_args *taken, int count) {
  return count > 0 && taken[0].sequences > 0 && elements % taken[0].sequences == 0 ? elements / taken[0].sequences : 0;
}

static size_t shared_bytes(int corrections) {
  return sizeof(uint64_t) * SEGMENT * corrections + sizeof(uint32_t) * WARPS * 32 * LANE_WORDS;
}

#define CORRECTED_OP(op)                                                                                         \
  static __global__ void __launch_bounds__(THREADS, 8)                                                           \
      op##_corrected_kernel(const __grid_constant__ corrected_call<tw_##op##_args> call) {                       \
    extern __shared__ __align__(16) unsigned char memory[];                                                      \
    __shared__ tw_##op##_args mine;                                                                              \
    apply<tw_##op##_args, tw_##op##_at>(call, mine, memory);                                                     \
  }                                                                                                              \
  tw_status tw_cuda_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count,     \
                                     void *stream) {                                                             \
    const size_t elements = args->rows * args->cols, n = elements_of(elements, taken, count);                    \
    corrected_call<tw_##op##_args> call = {*args, {}};                                                           \
    if (elements > TW_MOST_ELEMENTS)                                                                             \
      return tw_fail(TW_ERR_RANGE, "a kernel on %zu elements; use a smaller batch", elements);                   \
    TW_TRY(split_corrections(args, sizeof *args / 8, taken, count, n, &call.corrections, stream));               \
    if (call.corrections.count == 0) return tw_cuda_##op(args, stream);                                          \
    const dim3 grid((unsigned)tw_ceil_div(n, SEGMENT), (unsigned)taken[0].sequences);                            \
    return tw_enqueue(op##_corrected_kernel, grid, THREADS, shared_bytes(call.corrections.count), stream, call); \
  }
TW_CORRECTED_OPS(CORRECTED_OP)
