// Halves of corrections for the parties' key slots: values less the other party's pad, packed. A warp draws 32 blocks
// of the pad, ahead of the kernels before it; what they cover ends at a whole word of the packed half. One launch holds
// all corrections of a gate, for both parties.
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/cuda/streams/chacha20.h"

enum { WARPS = 2, THREADS = 32 * WARPS, MOST_ELEMENTS = 32 * BLOCK_WORDS };

typedef struct {
  const uint32_t *key;
  const uint64_t *slot, *values;
  uint64_t *packed;
  uint64_t mask;
  uint32_t use, width;                // 0: planes
  uint32_t first, count;              // ring elements of the half; planes: words of one plane's half
  uint32_t packed_words, data_words;  // the latter of planes; zeros behind
  uint32_t plane_words;
  uint32_t lines, line_stride, line_first, line_count,
      line_blocks;  // stretches of the pad's words in which the half lies
  uint32_t warps;
  uint32_t plain;  // no pad
} give_job;

typedef struct {
  give_job job[TW_GIVE_MOST];
  int count;
} job_list;

typedef struct {
  uint32_t pad[32 * LANE_WORDS];
  uint64_t difference[MOST_ELEMENTS];
} warp_memory;

// 32 blocks of the pad, `per` elements each.
template <uint32_t per>
static __device__ __forceinline__ void give_ring(const give_job &g, uint32_t warp, warp_memory &m) {
  const uint32_t lane = threadIdx.x % 32, base = warp * 32 * per;
  if (!g.plain && base + lane * per < g.count)
    chacha20_block(g.key, g.use, *g.slot, (g.first + base) / per + lane, m.pad + LANE_WORDS * lane);
  __syncwarp();
  tw_await_earlier();
#pragma unroll
  for (uint32_t i = 0; i < per; i++) {
    const uint32_t e = 32 * i + lane;
    const uint32_t *at = m.pad + LANE_WORDS * (e / per) + (per == BLOCK_WORDS ? 1 : 2) * (e % per);
    uint64_t difference = 0;
    if (base + e < g.count) {
      const uint64_t pad = g.plain ? 0 : per == BLOCK_WORDS ? at[0] : (uint64_t)at[1] << 32 | at[0];
      difference = g.values[(size_t)g.first + base + e] - pad;
    }
    m.difference[e] = difference & g.mask;
  }
  __syncwarp();
  const uint32_t words = per * g.width / 2;
  for (uint32_t w = lane; w < words && warp * words + w < g.packed_words; w += 32) {
    uint32_t e = 64 * w / g.width, skip = 64 * w - e * g.width, filled = g.width - skip;
    uint64_t word = m.difference[e] >> skip;
    for (; filled < 64; filled += g.width) word |= m.difference[++e] << filled;
    g.packed[(size_t)warp * words + w] = word;
  }
}

static __device__ __forceinline__ void give_planes(const give_job &g, uint32_t warp, warp_memory &m) {
  const uint32_t per = BLOCK_WORDS / 2, lane = threadIdx.x % 32, item = 32 * warp + lane, line = item / g.line_blocks;
  uint32_t low = line * g.line_stride + g.line_first, high = low + g.line_count;
  const uint32_t block = low / per + item % g.line_blocks;
  if (line >= g.lines || block * per >= high) low = high = 0;
  if (high) chacha20_block(g.key, g.use, *g.slot, block, m.pad + LANE_WORDS * lane);
  __syncwarp();
  tw_await_earlier();
#pragma unroll
  for (uint32_t i = 0; i < per; i++) {
    const uint32_t source = (32 * i + lane) / per, place = lane % per;
    const uint32_t word = __shfl_sync(~0u, block, (int)source) * per + place;
    const uint32_t from = __shfl_sync(~0u, low, (int)source), to = __shfl_sync(~0u, high, (int)source);
    const uint32_t plane = word / g.plane_words, in_half = word % g.plane_words - g.first;
    if (word < from || word >= to || in_half >= g.count) continue;
    const uint32_t *at = m.pad + LANE_WORDS * source + 2 * place;
    g.packed[(size_t)plane * g.count + in_half] = g.values[word] ^ ((uint64_t)at[1] << 32 | at[0]);
  }
  if (warp == 0 && g.data_words + lane < g.packed_words) g.packed[g.data_words + lane] = 0;
}

static __global__ void __launch_bounds__(THREADS) give_kernel(const __grid_constant__ job_list list) {
  __shared__ warp_memory memory[WARPS];
  uint32_t warp = blockIdx.x * WARPS + threadIdx.x / 32;
  int i = 0;
  tw_let_next_start();
  while (i < list.count && warp >= list.job[i].warps) warp -= list.job[i++].warps;
  if (i == list.count) {
    tw_await_earlier();
    return;
  }
  const give_job &g = list.job[i];
  warp_memory &m = memory[threadIdx.x / 32];
  if (g.width == 0)
    give_planes(g, warp, m);
  else if (g.width <= 32)
    give_ring<BLOCK_WORDS>(g, warp, m);
  else
    give_ring<BLOCK_WORDS / 2>(g, warp, m);
}

static void ring_job(const tw_give_args *a, give_job *g) {
  const uint32_t per = a->width <= 32 ? BLOCK_WORDS : BLOCK_WORDS / 2;
  g->width = (uint32_t)a->width;
  g->mask = tw_ring_mask(a->width);
  g->first = (uint32_t)a->first;
  g->count = (uint32_t)a->count;
  g->warps = (uint32_t)tw_ceil_div(g->packed_words, per * g->width / 2);
}

// Either the half of each plane by itself, or (neighbouring short lines share blocks) the whole pad.
static void planes_job(const tw_give_args *a, give_job *g) {
  const size_t words = (a->n + 63) / 64, first = (a->first + 63) / 64, mine = (a->count + 63) / 64,
               planes = (size_t)a->width;
  const size_t per = BLOCK_WORDS / 2, touched = (mine + 2 * per - 2) / per;  // wherever a line starts
  const bool whole = planes * touched > tw_ceil_div(planes * words, per);
  g->plane_words = (uint32_t)words;
  g->first = (uint32_t)first;
  g->count = (uint32_t)mine;
  g->data_words = (uint32_t)(planes * mine);
  g->lines = whole ? 1 : (uint32_t)planes;
  g->line_stride = (uint32_t)words;
  g->line_first = whole ? 0 : (uint32_t)first;
  g->line_count = whole ? (uint32_t)(planes * words) : (uint32_t)mine;
  g->line_blocks = (uint32_t)(whole ? tw_ceil_div(planes * words, per) : touched);
  g->warps = (uint32_t)tw_ceil_div((size_t)g->lines * g->line_blocks, 32);
}

static tw_status make_job(const tw_give_args *a, give_job *g) {
  const size_t words = a->bits ? (a->n + 63) / 64 * (size_t)a->width : a->n;
  if (words > 0x3fffffff || a->bytes / 8 > 0x3fffffff)
    return tw_fail(TW_ERR_RANGE, "a correction of %zu words; use a smaller sequence", words);
  *g = {};
  if (a->bytes == 0) return TW_OK;
  if ((uintptr_t)a->seed % 4 || (uintptr_t)a->slot % 8 || (uintptr_t)a->packed % 8 || a->bytes % 8 || a->first % 64)
    return tw_fail(TW_ERR_INTERNAL, "seed, slot or packed half of a correction is not aligned");
  g->key = (const uint32_t *)a->seed;
  g->slot = a->slot;
  g->values = a->values;
  g->packed = (uint64_t *)a->packed;
  g->packed_words = (uint32_t)(a->bytes / 8);
  g->use = a->use;
  g->plain = a->plain && !a->bits;
  if (a->bits)
    planes_job(a, g);
  else
    ring_job(a, g);
  return TW_OK;
}

tw_status tw_cuda_give(const tw_give_args *args, int count, void *stream) {
  job_list list;
  size_t warps = 0;
  if (count > TW_GIVE_MOST) return tw_fail(TW_ERR_INTERNAL, "%d halves of corrections at once", count);
  list.count = count;
  for (int i = 0; i < count; i++) {
    TW_TRY(make_job(&args[i], &list.job[i]));
    warps += list.job[i].warps;
  }
  return tw_enqueue(give_kernel, dim3((unsigned)tw_ceil_div(warps, WARPS)), THREADS, 0, stream, list);
}
