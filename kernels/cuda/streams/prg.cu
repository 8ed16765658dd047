// ChaCha20 (RFC 8439) on the device, as kernels/prg.h lays its streams out, and the corrections made from them: a warp
// either draws 32 blocks of a stream or unpacks 128 elements of the party's half, and one launch holds all corrections
// of a gate for all sequences. Blocks of a stream are drawn while the kernel before still runs.
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/cuda/streams/chacha20.h"

enum {
  WARPS = 2,  // a small block: few blocks of a stream still spread over the multiprocessors
  THREADS = 32 * WARPS,
  COPIES = 4,  // elements a lane unpacks
  MAX_JOBS = 8
};

// Stream words are 32 or 64 bits; word i of the stream is element i of `out`. The words wanted lie in `lines`: line i
// has line_count words from i line_stride + line_first on, drawn by line_warps warps. With a period, only words whose
// place in it is one of own_count from own_first on are wanted: short lines of one tensor share blocks.
typedef struct {
  const uint32_t *keys;   // [sequences][8]
  const uint64_t *slots;  // [sequences]
  uint64_t *out;
  uint64_t mask;
  size_t out_words;  // of one sequence
  uint32_t use, wide;
  uint32_t line_stride, line_first, line_count, line_warps;
  uint32_t period, own_first, own_count;
  // the other part comes packed: elements of `width` bits, or (width 0) lines of packed_line whole words
  const uint64_t *packed;
  size_t packed_words;  // from one sequence's to the next one's
  uint32_t width, packed_count, packed_line, packed_first, out_line;
  uint32_t stream_warps, warps;
} stream_job;

typedef struct {
  stream_job job[MAX_JOBS];
  int count;
} job_list;

static __device__ __forceinline__ bool is_wanted(const stream_job &g, uint32_t word) {
  return g.period == 0 || word % g.period - g.own_first < g.own_count;
}

// Of the 32 per words from `first` on those of [low, high) that are wanted (all: every one is), neighbouring lanes'
// side by side.
template <bool wide, bool all>
static __device__ __forceinline__ void write_drawn(const stream_job &g, uint32_t first, uint32_t low, uint32_t high,
                                                   const uint32_t *words, uint64_t *out) {
  constexpr uint32_t per = wide ? BLOCK_WORDS / 2 : BLOCK_WORDS;
  const uint32_t lane = threadIdx.x % 32;
  const uint64_t mask = g.mask;
#pragma unroll
  for (uint32_t i = 0; i < per; i++) {
    const uint32_t source = (32 * i + lane) / per, place = (32 * i + lane) % per, word = first + 32 * i + lane;
    if (!all && (word < low || word >= high || !is_wanted(g, word))) continue;
    const uint32_t *at = words + LANE_WORDS * source + (wide ? 2 : 1) * place;
    out[word] = (wide ? (uint64_t)at[1] << 32 | at[0] : at[0]) & mask;
  }
}

// 32 neighbouring blocks, through shared memory so that neighbouring lanes write neighbouring elements.
template <bool wide>
static __device__ __forceinline__ void draw_blocks(const stream_job &g, size_t sequence, uint32_t warp,
                                                   uint32_t *words) {
  constexpr uint32_t per = wide ? BLOCK_WORDS / 2 : BLOCK_WORDS;
  const uint32_t lane = threadIdx.x % 32, low = warp / g.line_warps * g.line_stride + g.line_first,
                 high = low + g.line_count;
  const uint32_t first_block = low / per + warp % g.line_warps * 32, first = first_block * per;
  if ((first_block + lane) * per < high)
    chacha20_block(g.keys + 8 * sequence, g.use, g.slots[sequence], first_block + lane, words + LANE_WORDS * lane);
  __syncwarp();
  tw_await_earlier();
  uint64_t *const out = g.out + sequence * g.out_words;
  if (g.period == 0 && first >= low && first + 32 * per <= high)
    write_drawn<wide, true>(g, first, low, high, words, out);
  else
    write_drawn<wide, false>(g, first, low, high, words, out);
}

// Words of planes, as they lie; all are read before the first is written.
static __device__ __forceinline__ void copy_planes(const stream_job &g, const uint64_t *packed, uint64_t *out,
                                                   uint32_t first) {
  uint64_t word[COPIES];
#pragma unroll
  for (uint32_t i = 0; i < COPIES; i++) {
    const uint32_t e = first + 32 * i;
    word[i] = e < g.packed_count ? packed[e] : 0;
  }
#pragma unroll
  for (uint32_t i = 0; i < COPIES; i++) {
    const uint32_t e = first + 32 * i, line = e / g.packed_line;
    if (e < g.packed_count) out[(size_t)line * g.out_line + g.packed_first + e % g.packed_line] = word[i];
  }
}

// Element e: bits [width e, width (e + 1)), in one word or two.
static __device__ __forceinline__ void copy_elements(const stream_job &g, const uint64_t *packed, uint64_t *out,
                                                     uint32_t first) {
  uint64_t value[COPIES];
#pragma unroll
  for (uint32_t i = 0; i < COPIES; i++) {
    const uint32_t e = first + 32 * i;
    const size_t bit = (size_t)e * g.width, word = bit / 64;
    const uint32_t shift = (uint32_t)bit % 64;
    uint64_t low = 0, high = 0;
    if (e < g.packed_count) {
      low = packed[word];
      if (shift + g.width > 64) high = packed[word + 1];
    }
    value[i] = low >> shift | high << 1 << (63 - shift);
  }
#pragma unroll
  for (uint32_t i = 0; i < COPIES; i++) {
    const uint32_t e = first + 32 * i;
    if (e < g.packed_count) out[(size_t)g.packed_first + e] = value[i] & g.mask;
  }
}

static __device__ __forceinline__ void copy_packed(const stream_job &g, size_t sequence, uint32_t warp) {
  const uint64_t *const packed = g.packed + sequence * g.packed_words;
  uint64_t *const out = g.out + sequence * g.out_words;
  const uint32_t first = 32 * COPIES * warp + threadIdx.x % 32;
  tw_await_earlier();
  if (g.width == 0)
    copy_planes(g, packed, out, first);
  else
    copy_elements(g, packed, out, first);
}

static __global__ void __launch_bounds__(THREADS) corrections_kernel(const __grid_constant__ job_list list) {
  __shared__ uint32_t words[WARPS][32 * LANE_WORDS];
  uint32_t warp = blockIdx.x * WARPS + threadIdx.x / 32;
  int i = 0;
  tw_let_next_start();
  while (i < list.count && warp >= list.job[i].warps) warp -= list.job[i++].warps;
  if (i == list.count) {
    tw_await_earlier();
    return;
  }
  const stream_job &g = list.job[i];
  if (warp >= g.stream_warps)
    copy_packed(g, blockIdx.y, warp - g.stream_warps);
  else if (g.wide)
    draw_blocks<true>(g, blockIdx.y, warp, words[threadIdx.x / 32]);
  else
    draw_blocks<false>(g, blockIdx.y, warp, words[threadIdx.x / 32]);
}

// Warps for `count` words of a stream, `per` a block, wherever they start.
static size_t line_warps(size_t count, size_t per) { return count ? tw_ceil_div((count + 2 * per - 2) / per, 32) : 0; }

static void set_lines(stream_job *g, size_t lines, size_t stride, size_t first, size_t count, size_t warps) {
  g->line_stride = (uint32_t)stride;
  g->line_first = (uint32_t)first;
  g->line_count = (uint32_t)count;
  g->line_warps = (uint32_t)warps;
  g->stream_warps = (uint32_t)(lines * warps);
}

static void ring_job(const tw_correction_args *a, stream_job *g) {
  const size_t own = a->n - a->count;
  g->wide = a->width > 32;
  g->mask = tw_ring_mask(a->width);
  set_lines(g, 1, 0, a->first == 0 ? a->count : 0, own, line_warps(own, g->wide ? 8 : 16));
  g->width = (uint32_t)a->width;
  g->packed_count = (uint32_t)a->count;
  g->packed_first = (uint32_t)a->first;
}

static void bits_job(const tw_correction_args *a, stream_job *g) {
  const size_t words = (a->n + 63) / 64, first = (a->first + 63) / 64, mine = (a->count + 63) / 64, own = words - mine;
  const size_t planes = (size_t)a->width, own_first = first == 0 ? mine : 0;
  const size_t by_line = line_warps(own, 8), whole = line_warps(planes * words, 8);
  g->wide = 1;
  g->mask = ~0ull;
  if (own == 0 || planes * by_line <= whole) {
    set_lines(g, planes, words, own_first, own, by_line);
  } else {
    set_lines(g, 1, 0, 0, planes * words, whole);
    g->period = (uint32_t)words;
    g->own_first = (uint32_t)own_first;
    g->own_count = (uint32_t)own;
  }
  g->packed_count = (uint32_t)(planes * mine);
  g->packed_line = (uint32_t)mine;
  g->packed_first = (uint32_t)first;
  g->out_line = (uint32_t)words;
}

static tw_status make_job(const tw_correction_args *a, stream_job *g) {
  const size_t words = a->bits ? (a->n + 63) / 64 * (size_t)a->width : a->n;
  if (words > 0x7fffffff) return tw_fail(TW_ERR_RANGE, "a correction of %zu words; use a smaller sequence", words);
  if ((uintptr_t)a->seeds % 4 || (uintptr_t)a->slots % 8 || (uintptr_t)a->packed % 8 || a->packed_stride % 8)
    return tw_fail(TW_ERR_INTERNAL, "seed, slot or packed half of a correction is not aligned");
  *g = {};
  g->keys = (const uint32_t *)a->seeds;
  g->slots = a->slots;
  g->use = a->use;
  g->packed = (const uint64_t *)a->packed;
  g->packed_words = a->packed_stride / 8;
  g->out = a->out;
  g->out_words = words;
  if (a->bits)
    bits_job(a, g);
  else
    ring_job(a, g);
  g->warps = g->stream_warps + (uint32_t)tw_ceil_div(g->packed_count, 32 * COPIES);
  return TW_OK;
}

tw_status tw_cuda_corrections(const tw_correction_args *args, int count, void *stream) {
  job_list list = {};
  size_t warps = 0;
  if (count < 1 || count > MAX_JOBS) return tw_fail(TW_ERR_INTERNAL, "%d corrections at once", count);
  list.count = count;
  for (int i = 0; i < count; i++) {
    if (args[i].sequences != args[0].sequences)
      return tw_fail(TW_ERR_INTERNAL, "corrections of %zu and of %zu sequences at once", args[0].sequences,
                     args[i].sequences);
    TW_TRY(make_job(&args[i], &list.job[i]));
    warps += list.job[i].warps;
  }
  const dim3 grid((unsigned)tw_ceil_div(warps, WARPS), (unsigned)args[0].sequences);
  return tw_enqueue(corrections_kernel, grid, THREADS, 0, stream, list);
}

// ---- many streams at once, each from its beginning: masks, of which most are small ----

typedef struct {
  uint64_t *out;  // [sequences][n]
  uint32_t use, n, ring, first_warp;
} draw_job;

typedef struct {
  const uint32_t *keys;
  const uint64_t *slots;
  uint32_t count, warps;
  draw_job job[TW_DRAWS];
} draw_list;

// The last job that begins at the warp or before it.
static __device__ __forceinline__ const draw_job &job_of(const draw_list &list, uint32_t warp) {
  uint32_t low = 0, high = list.count;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (list.job[middle].first_warp <= warp ? low : high) = middle;
  }
  return list.job[low];
}

static __global__ void __launch_bounds__(THREADS) draws_kernel(const __grid_constant__ draw_list list) {
  __shared__ uint32_t words[WARPS][32 * LANE_WORDS];
  const uint32_t warp = blockIdx.x * WARPS + threadIdx.x / 32;
  tw_let_next_start();
  if (warp >= list.warps) {
    tw_await_earlier();
    return;
  }
  const draw_job &d = job_of(list, warp);
  stream_job g = {};
  g.keys = list.keys;
  g.slots = list.slots;
  g.out = d.out;
  g.mask = tw_ring_mask((int)d.ring);
  g.out_words = g.line_count = d.n;
  g.use = d.use;
  g.line_warps = UINT32_MAX;  // one line
  if (d.ring > 32)
    draw_blocks<true>(g, blockIdx.y, warp - d.first_warp, words[threadIdx.x / 32]);
  else
    draw_blocks<false>(g, blockIdx.y, warp - d.first_warp, words[threadIdx.x / 32]);
}

static tw_status draw_some(const tw_draw_args *args, int count, void *stream) {
  draw_list list = {};
  list.keys = (const uint32_t *)args->seeds;
  list.slots = args->slots;
  list.count = (uint32_t)count;
  for (int i = 0; i < count; i++) {
    const tw_draw_args *a = &args[i];
    const uint32_t ring = a->ring ? (uint32_t)a->ring : 64;
    if (a->n > 0x7fffffff) return tw_fail(TW_ERR_RANGE, "a mask of %zu words; use a smaller sequence", a->n);
    if (a->sequences != args->sequences || a->seeds != args->seeds || a->slots != args->slots)
      return tw_fail(TW_ERR_INTERNAL, "masks of different sequences at once");
    list.job[i] = {a->out, a->use, (uint32_t)a->n, ring, list.warps};
    list.warps += (uint32_t)tw_ceil_div(a->n, 32 * (ring > 32 ? BLOCK_WORDS / 2 : BLOCK_WORDS));
  }
  const dim3 grid((unsigned)tw_ceil_div(list.warps, WARPS), (unsigned)args->sequences);
  return tw_enqueue(draws_kernel, grid, THREADS, 0, stream, list);
}

tw_status tw_cuda_draw_all(const tw_draw_args *args, int count, void *stream) {
  for (int first = 0; first < count; first += TW_DRAWS)
    TW_TRY(draw_some(args + first, count - first < TW_DRAWS ? count - first : TW_DRAWS, stream));
  return TW_OK;
}

tw_status tw_cuda_draw(const tw_draw_args *args, void *stream) {
  tw_correction_args a = {};
  a.sequences = args->sequences;
  a.seeds = args->seeds;
  a.slots = args->slots;
  a.use = args->use;
  a.width = args->ring ? args->ring : 64;
  a.n = args->n;
  a.out = args->out;
  return tw_cuda_corrections(&a, 1, stream);
}
