// ChaCha20 (RFC 8439) on the device, as kernels/prg.h lays its streams out, and the corrections made from them: a warp
// either draws 32 blocks of a stream or unpacks 128 elements of the rank's half, and one launch holds all corrections
// of a gate.
#include "kernels/cuda/chacha20.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/launch.h"

enum {
  WARPS = 2,  // a small block: few blocks of a stream still spread over the multiprocessors
  THREADS = 32 * WARPS,
  LANE_WORDS = 17,  // between two lanes' blocks in shared memory: lanes hit all banks
  COPIES = 4,       // elements a lane unpacks
  MAX_JOBS = 8
};

// Stream words are 32 or 64 bits; word i of the stream is element i of `out`. The words wanted lie in `lines`: line i
// has line_count words from i line_stride + line_first on, drawn by line_warps warps. With a period, only words whose
// place in it is one of own_count from own_first on are wanted: short lines of one tensor share blocks.
typedef struct {
  const uint32_t *key;
  const uint64_t *slot;
  uint64_t *out;
  uint64_t mask;
  uint32_t use, wide;
  uint32_t line_stride, line_first, line_count, line_warps;
  uint32_t period, own_first, own_count;
  // the other part comes packed: elements of `width` bits, or (width 0) lines of packed_line whole words
  const uint64_t *packed;
  size_t packed_bytes;
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

// 32 neighbouring blocks, through shared memory so that neighbouring lanes write neighbouring elements.
template <bool wide>
static __device__ __forceinline__ void draw_blocks(const stream_job &g, uint32_t warp, uint32_t *words) {
  constexpr uint32_t per = wide ? BLOCK_WORDS / 2 : BLOCK_WORDS;
  const uint32_t lane = threadIdx.x % 32, low = warp / g.line_warps * g.line_stride + g.line_first,
                 high = low + g.line_count;
  const uint32_t first_block = low / per + warp % g.line_warps * 32;
  if ((first_block + lane) * per < high)
    chacha20_block(g.key, g.use, *g.slot, first_block + lane, words + LANE_WORDS * lane);
  __syncwarp();
#pragma unroll
  for (uint32_t i = 0; i < per; i++) {
    const uint32_t source = (32 * i + lane) / per, place = (32 * i + lane) % per,
                   word = first_block * per + 32 * i + lane;
    if (word < low || word >= high || !is_wanted(g, word)) continue;
    const uint32_t *at = words + LANE_WORDS * source + (wide ? 2 : 1) * place;
    g.out[word] = (wide ? (uint64_t)at[1] << 32 | at[0] : at[0]) & g.mask;
  }
}

// Word i of the packed data; bytes past its end are not read and count as 0.
static __device__ __forceinline__ uint64_t packed_word(const stream_job &g, size_t i) {
  if (8 * i + 8 <= g.packed_bytes) return g.packed[i];
  uint64_t word = 0;
  for (size_t at = 8 * i; at < g.packed_bytes; at++) word |= (uint64_t)((const uint8_t *)g.packed)[at] << (at % 8 * 8);
  return word;
}

static __device__ __forceinline__ void copy_packed(const stream_job &g, uint32_t warp) {
#pragma unroll
  for (uint32_t i = 0; i < COPIES; i++) {
    const uint32_t e = 32 * (COPIES * warp + i) + threadIdx.x % 32;
    if (e >= g.packed_count) return;
    if (g.width == 0) {
      const uint32_t line = e / g.packed_line;
      g.out[(size_t)line * g.out_line + g.packed_first + e % g.packed_line] = g.packed[e];
    } else {
      const size_t bit = (size_t)e * g.width, word = bit / 64, shift = bit % 64;
      uint64_t value = packed_word(g, word) >> shift;
      if (shift + g.width > 64) value |= packed_word(g, word + 1) << (64 - shift);
      g.out[(size_t)g.packed_first + e] = value & g.mask;
    }
  }
}

static __global__ void __launch_bounds__(THREADS) corrections_kernel(const __grid_constant__ job_list list) {
  __shared__ uint32_t words[WARPS][32 * LANE_WORDS];
  uint32_t warp = blockIdx.x * WARPS + threadIdx.x / 32;
  int i = 0;
  while (i < list.count && warp >= list.job[i].warps) warp -= list.job[i++].warps;
  if (i == list.count) return;
  const stream_job &g = list.job[i];
  if (warp >= g.stream_warps)
    copy_packed(g, warp - g.stream_warps);
  else if (g.wide)
    draw_blocks<true>(g, warp, words[threadIdx.x / 32]);
  else
    draw_blocks<false>(g, warp, words[threadIdx.x / 32]);
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
  g->packed_bytes = (a->count * (size_t)a->width + 7) / 8;
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
  if ((uintptr_t)a->seed % 4 || (uintptr_t)a->slot % 8 || (uintptr_t)a->packed % 8)
    return tw_fail(TW_ERR_INTERNAL, "seed, slot or packed half of a correction is not aligned");
  *g = {};
  g->key = (const uint32_t *)a->seed;
  g->slot = a->slot;
  g->use = a->use;
  g->packed = (const uint64_t *)a->packed;
  g->out = a->out;
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
    TW_TRY(make_job(&args[i], &list.job[i]));
    warps += list.job[i].warps;
  }
  return tw_enqueue(corrections_kernel, dim3((unsigned)tw_ceil_div(warps, WARPS)), THREADS, 0, stream, list);
}

tw_status tw_cuda_draw(const tw_seed *seed, const uint64_t *slot, uint32_t use, int ring, size_t n, uint64_t *out,
                       void *stream) {
  tw_correction_args a = {};
  a.seed = seed;
  a.slot = slot;
  a.use = use;
  a.width = ring ? ring : 64;
  a.n = n;
  a.out = out;
  return tw_cuda_corrections(&a, 1, stream);
}
