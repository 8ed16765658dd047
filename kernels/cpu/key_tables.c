// The CPU twin of tables that are read from keys of point functions: loops around kernels/dpf.h.
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/digit.h"
#include "kernels/dpf.h"
#include "kernels/pack.h"

// ---- windows ----

static tw_dpf_shape window_shape(int ring, int low) { return (tw_dpf_shape){.bits = ring - low, .leaves = true}; }

static tw_dpf_keys window_keys(const tw_key_window_args *a, size_t sequence) {
  int bits = a->ring - a->low;
  size_t n = a->n, levels = (size_t)tw_leaf_key_levels(bits), halves = (size_t)tw_leaf_key_halves(bits);
  tw_dpf_words words = {.seed = (uint64_t *)a->keys.seed + sequence * 2 * levels * n,
                        .control = (uint64_t *)a->keys.control + sequence * levels * n,
                        .leaf = (uint64_t *)a->keys.leaf + sequence * halves * n};
  return (tw_dpf_keys){.shape = window_shape(a->ring, a->low),
                       .name = {a->keys.slots[sequence], a->keys.use, 0},
                       .party = a->party,
                       .n = n,
                       .root = a->keys.root + sequence * halves * n,
                       .words = words};
}

// All memory of a call.
typedef struct {
  uint64_t *at, *leaf;      // [n]; [2][n]
  uint64_t *table[2];       // sub-table by sub-table, last piece first: [2^sub_bits][count]
  uint64_t *first, *share;  // an arc's first end [n], a plane
} window_room;

// The 64 leaves of one half of a leaf word; leaf i of it is piece last - i. table: of the element's sub-table.
static void add_half(uint64_t word, int64_t last, int64_t leaves, int64_t count, uint64_t *const table[2],
                     uint64_t sum[2]) {
  int64_t from = last - (count - 1) > 0 ? last - (count - 1) : 0, to = last < leaves - 1 ? last : leaves - 1;
  const uint64_t *base = table[0] + (count - 1 - last), *slope = table[1] + (count - 1 - last);
  uint64_t a = 0, b = 0;
  for (int64_t i = from; i <= to; i++) {
    uint64_t on = 0 - (word >> i & 1);
    a += on & base[i];
    b += on & slope[i];
  }
  sum[0] += a;
  sum[1] += b;
}

// Adds what the pieces bring whose leaves are `block` words before that of the window's first one.
static void add_pieces(const tw_key_window_args *a, const window_room *r, const uint64_t *X, size_t block,
                       uint64_t *out[2]) {
  int bits = a->ring - a->low, leaf_bits = tw_leaf_key_bits(bits);
  int64_t size = (int64_t)1 << leaf_bits, leaves = size < 64 ? size : 64, count = a->count;
  for (size_t j = 0; j < a->n; j++) {
    uint64_t u = (X[j] - a->lo) & tw_mask(a->ring), sub = (u & tw_mask(a->low)) >> (a->low - a->sub_bits);
    uint64_t *table[2] = {r->table[0] + sub * (uint64_t)count, r->table[1] + sub * (uint64_t)count}, sum[2] = {0, 0};
    int64_t last = (int64_t)(u >> a->low) % size + (int64_t)block * size;
    for (int half = 0; half < tw_leaf_key_halves(bits); half++)
      add_half(r->leaf[(size_t)half * a->n + j], last - 64 * half, leaves, count, table, sum);
    for (int t = 0; t < 2; t++) out[t][j] = (out[t][j] + (a->party ? 0 - sum[t] : sum[t])) & a->ring_out;
  }
}

static void sequence_pieces(const tw_key_window_args *a, size_t sequence, const window_room *r) {
  tw_dpf_keys keys = window_keys(a, sequence);
  int bits = a->ring - a->low, leaf_bits = tw_leaf_key_bits(bits);
  const uint64_t *X = a->X + sequence * a->n;
  uint64_t *out[2] = {a->out[0] + sequence * a->n, a->out[1] + sequence * a->n};
  size_t blocks = ((size_t)a->count - 1 + ((size_t)1 << leaf_bits) - 1) / ((size_t)1 << leaf_bits) + 1;
  for (int t = 0; t < 2; t++) memset(out[t], 0, 8 * a->n);
  for (size_t block = 0; block < blocks; block++) {
    for (size_t j = 0; j < a->n; j++)
      r->at[j] = ((((X[j] - a->lo) & tw_mask(a->ring)) >> (a->low + leaf_bits)) - block) & tw_mask(bits - leaf_bits);
    tw_dpf_leaf(&keys, r->at, r->leaf);
    add_pieces(a, r, X, block, out);
  }
}

// [alpha < b] ^ [alpha < a] ^ [b < a].
static void sequence_arcs(const tw_key_window_args *a, size_t sequence, const window_room *r) {
  tw_dpf_keys keys = window_keys(a, sequence);
  const uint64_t *X = a->X + sequence * a->n;
  uint64_t *out = a->bits + sequence * (size_t)a->arc_count * a->words;
  for (int i = 0; i < a->arc_count; i++, out += a->words) {
    const int64_t *arc = a->arcs + TW_ARC_WORDS * i;
    for (size_t j = 0; j < a->n; j++) r->first[j] = tw_arc_end(arc, TW_ARC_FROM, X[j], a->ring, a->low);
    for (size_t j = 0; j < a->n; j++) r->at[j] = tw_arc_end(arc, TW_ARC_TO, X[j], a->ring, a->low);
    tw_dpf_below(&keys, r->first, false, r->share);
    tw_dpf_below(&keys, r->at, false, out);
    for (size_t w = 0; w < a->words; w++) out[w] ^= r->share[w];
    for (size_t j = 0; j < a->n && a->party == 0; j++)
      out[j / 64] ^= (uint64_t)((r->at[j] < r->first[j]) ^ (int)arc[TW_ARC_NEGATE]) << j % 64;
  }
}

tw_status tw_cpu_key_window(const tw_key_window_args *a, void *stream) {
  (void)stream;
  size_t entries = (size_t)a->count << a->sub_bits, words = 4 * a->n + a->words + 2 * entries;
  void *memory;
  window_room r;
  TW_TRY(tw_secret_alloc(8 * words, &memory));
  r.at = memory;
  r.leaf = r.at + a->n;
  r.first = r.leaf + 2 * a->n;
  r.share = r.first + a->n;
  for (int t = 0; t < 2; t++) {
    r.table[t] = r.share + a->words + (size_t)t * entries;
    for (size_t g = 0; g < entries; g++)
      r.table[t][(g & tw_mask(a->sub_bits)) * (size_t)a->count + (size_t)a->count - 1 - (g >> a->sub_bits)] =
          a->table[t][g];
  }
  for (size_t s = 0; s < a->sequences; s++) {
    sequence_pieces(a, s, &r);
    sequence_arcs(a, s, &r);
  }
  tw_secret_free(memory, 8 * words);
  return TW_OK;
}

tw_status tw_cpu_deal_window(const tw_deal_window_args *a, void *stream) {
  (void)stream;
  void *memory;
  TW_TRY(tw_secret_alloc(8 * a->n, &memory));
  uint64_t *alpha = memory;
  for (size_t j = 0; j < a->n; j++) alpha[j] = ((a->r0[j] + a->r1[j]) & tw_mask(a->ring)) >> a->low;
  tw_dpf_shape shape = window_shape(a->ring, a->low);
  tw_dpf_words words = {.seed = a->seed, .control = a->control, .leaf = a->leaf};
  tw_dpf_deal(&shape, &(tw_dpf_name){*a->slot, a->use, 0}, a->root, alpha, NULL, a->n, &words, a->sign);
  tw_secret_free(memory, 8 * a->n);
  return TW_OK;
}

// ---- segment tables ----

static uint64_t value_levels(int ring, const int64_t *list, int runs) {
  uint64_t levels = 0;
  for (int i = 0; i < runs; i++) levels |= (uint64_t)1 << (ring - (int)list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP]);
  return levels;
}

static tw_dpf_shape segments_shape(int ring, int ring_out, int first_step, const int64_t *list, int runs) {
  return (tw_dpf_shape){
      .bits = ring - first_step, .value_levels = value_levels(ring, list, runs), .values = 2, .ring_bits = ring_out};
}

static tw_dpf_keys segments_keys(const tw_key_segments_args *a, size_t sequence) {
  size_t n = a->n, levels = (size_t)(a->ring - a->first_step);
  tw_dpf_words words = {.seed = (uint64_t *)a->seed + sequence * 2 * levels * n,
                        .control = (uint64_t *)a->control + sequence * levels * n,
                        .value = (uint64_t *)a->value + sequence * 2 * (size_t)a->runs * n};
  return (tw_dpf_keys){.shape = segments_shape(a->ring, a->ring_out, a->first_step, a->list, a->runs),
                       .name = {a->slots[sequence], a->use, 0},
                       .party = a->party,
                       .n = n,
                       .root = a->root + sequence * a->root_stride,
                       .words = words};
}

// Nodes of all runs, in the order of their numbers: the last run first, x falling.
enum { MOST_STEPS = TW_DPF_MOST_RUN * TW_SEGMENT_MOST_RUNS };
typedef struct {
  tw_dpf_run run[TW_SEGMENT_MOST_RUNS];
  size_t steps;
} run_list;

static void find_runs(const tw_key_segments_args *a, uint64_t X, run_list *out) {
  uint64_t end = tw_segment_border(a->list, a->runs, X), place = (X - end) & tw_mask(a->ring), upper = end;
  out->steps = 0;
  for (int i = a->runs - 1; i >= 0; i--) {
    int m = (int)a->list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP];
    uint64_t lower = tw_segment_border(a->list, i, X);
    size_t count = (size_t)((upper - lower) >> m);
    out->run[a->runs - 1 - i] = (tw_dpf_run){a->ring - m, (place + (end - upper)) >> m, count};
    out->steps += count;
    upper = lower;
  }
}

// values: [2][steps].
static uint64_t table_value(const tw_key_segments_args *a, uint64_t X, const run_list *runs, const uint64_t *values) {
  uint64_t rest = a->base[0], sum = a->party ? 0 : rest, hi = tw_segment_border(a->list, a->runs, X);
  size_t at = 0;
  for (int i = a->runs - 1; i >= 0; i--) {
    const int64_t *run = a->list + TW_SEGMENT_WORDS * i;
    size_t count = runs->run[a->runs - 1 - i].count;
    for (size_t t = 0; t < count; t++, at++, hi -= (uint64_t)1 << run[TW_SEGMENT_STEP]) {
      tw_segment_place place = tw_segment_at(run, hi);
      uint64_t slope = a->slope[place.entry];
      sum += values[at] * (a->base[place.entry] - rest - slope * place.delta) + values[runs->steps + at] * slope;
    }
  }
  return sum & tw_mask(a->ring_out);
}

// x is in a run if alpha is in an arc between two places that are public.
static void sequence_outside(const tw_key_segments_args *a, const tw_dpf_keys *keys, const uint64_t *X, uint64_t *place,
                             uint64_t *out) {
  uint64_t *first = place, *last = place + a->n, *share = place + 2 * a->n;
  for (size_t j = 0; j < a->n; j++) {
    first[j] = ((X[j] - tw_segment_border(a->list, a->runs, X[j])) & tw_mask(a->ring)) >> a->first_step;
    last[j] = ((X[j] - tw_segment_border(a->list, 0, X[j])) & tw_mask(a->ring)) >> a->first_step;
  }
  tw_dpf_below(keys, first, false, share);
  tw_dpf_below(keys, last, false, out);
  for (size_t w = 0; w < a->words; w++) out[w] ^= share[w];
  for (size_t j = 0; j < a->n && a->party == 0; j++) out[j / 64] ^= (uint64_t)(last[j] >= first[j]) << j % 64;
}

tw_status tw_cpu_key_segments(const tw_key_segments_args *a, void *stream) {
  (void)stream;
  void *memory;
  size_t words = 2 * (size_t)MOST_STEPS + 2 * a->n + a->words;
  TW_TRY(tw_secret_alloc(8 * words, &memory));
  uint64_t *values = memory, *place = values + 2 * (size_t)MOST_STEPS;
  for (size_t s = 0; s < a->sequences; s++) {
    tw_dpf_keys keys = segments_keys(a, s);
    const uint64_t *X = a->X + s * a->n;
    for (size_t j = 0; j < a->n; j++) {
      run_list runs;
      find_runs(a, X[j], &runs);
      tw_dpf_runs(&keys, j, runs.run, a->runs, runs.steps, values);
      a->out[s * a->n + j] = table_value(a, X[j], &runs, values);
    }
    if (a->outside) sequence_outside(a, &keys, X, place, a->outside + s * a->words);
  }
  tw_secret_free(memory, 8 * words);
  return TW_OK;
}

tw_status tw_cpu_deal_segments(const tw_deal_segments_args *a, void *stream) {
  (void)stream;
  void *memory;
  size_t bytes = 16 * a->n * (1 + (size_t)a->runs);
  TW_TRY(tw_secret_alloc(bytes, &memory));
  uint64_t *alpha = memory, *r = alpha + a->n, *betas = r + a->n, *beta = betas;
  for (size_t j = 0; j < a->n; j++) {
    r[j] = (a->r0[j] + a->r1[j]) & tw_mask(a->ring);
    alpha[j] = r[j] >> a->first_step;
  }
  for (int i = a->runs - 1; i >= 0; i--, beta += 2 * a->n)
    for (size_t j = 0; j < a->n; j++) {
      beta[j] = 1;
      beta[a->n + j] = tw_segment_rest(r[j], (int)a->list[TW_SEGMENT_WORDS * i + TW_SEGMENT_STEP]);
    }
  tw_dpf_shape shape = segments_shape(a->ring, a->ring_out, a->first_step, a->list, a->runs);
  tw_dpf_words words = {.seed = a->seed, .control = a->control, .value = a->value};
  tw_dpf_deal(&shape, &(tw_dpf_name){*a->slot, a->use, 0}, a->root, alpha, betas, a->n, &words, NULL);
  tw_secret_free(memory, bytes);
  return TW_OK;
}
