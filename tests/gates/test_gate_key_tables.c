// Tables by keys of point functions: dealer, parties and emulator against libm, borders and ends of rings included.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/models/spec_keys.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

// ---- windows on small rings: every key, every value ----

static int64_t signed_mod(int64_t x, int ring) { return tw_signed((uint64_t)x & tw_mask(ring), ring); }

// Whether piece j of x for public X is in the window, and which.
static int64_t piece_of(const tw_window *w, int64_t x, uint64_t X) {
  uint64_t t = (X - (uint64_t)w->lo) & tw_mask(w->low), u = ((uint64_t)(x - w->lo) - t) & tw_mask(w->ring);
  return (int64_t)(((u + tw_mask(w->low)) & tw_mask(w->ring)) >> w->low);
}

// Tables of random numbers, and two arcs.
static void check_small(int ring, int low, int count, int sub_bits, int64_t lo, int batch) {
  static const int scale[2] = {0, 0};
  enum { K = 40 };
  size_t n = (size_t)4 << ring, entries = (size_t)count << sub_bits;
  tw_table tables[2] = {{"A", entries, calloc(entries, 8)}, {"B", entries, calloc(entries, 8)}};
  for (size_t g = 0; g < entries; g++) tables[0].values[g] = walk_random(), tables[1].values[g] = walk_random();
  trial t;
  int x = trial_start(&t, ring, n, batch);
  trial_count(&t, 0, (int64_t)tw_mask(ring));
  t.program.tables = tables;
  t.program.table_count = 2;
  tw_window w = {ring, low, count, sub_bits, lo};
  int64_t arcs[2 * TW_ARC_WORDS] = {0, 0, 1 - count, 1, 0, 3, 1, -2, 3, 1};
  int wire = tw_open(&t.b, x);
  tw_window_entries e = tw_read_window(&t.b, wire, &w, arcs, 2, (int[]){0, 1}, K, scale);
  int v = tw_open(&t.b, tw_offset(&t.b, e.base, e.slope, wire, lo, low)), slope = tw_open(&t.b, e.slope);
  int p = tw_open(&t.b, tw_signed_piece(&t.b, v, slope, wire, low, e.base));
  int bits = tw_open(&t.b, e.bits);
  int sum = tw_bit_constants(&t.b, bits, 0, 2, (int64_t[]){1, 2}, K, 0);
  trial_run(&t, tw_concat(&t.b, p, tw_open(&t.b, sum), 1));
  size_t wrong = 0;
  for (int s = 0; s < batch; s++)
    for (size_t j = 0; j < n; j++) {
      uint64_t r = trial_mask(&t, wire, 0, s, j) + trial_mask(&t, wire, 1, s, j), X;
      int64_t value = trial_x(&t, s, j);
      X = ((uint64_t)value + r) & tw_mask(ring);
      int64_t piece = piece_of(&w, value, X), want = 0;
      uint64_t c = (X - (uint64_t)lo) & tw_mask(low);
      if (piece < count) {
        size_t g = (size_t)(piece << sub_bits) + (size_t)(c >> (low - sub_bits));
        want = signed_mod((int64_t)(tables[0].values[g] + tables[1].values[g] * (c - (r & tw_mask(low)))), K);
      }
      wrong += tw_signed((uint64_t)trial_y(&t, s, j) & tw_mask(K), K) != want;
      uint64_t alpha = (r & tw_mask(ring)) >> low, N = tw_mask(ring - low);
      bool first = ((alpha - ((X >> low) + 1 - (uint64_t)count)) & N) < (uint64_t)count;
      uint64_t from = ((((X - 3) & tw_mask(ring)) >> low & ~1ull) - 2) & N;
      bool second = !(((alpha - from) & N) < 5);
      wrong += trial_y(&t, s, n + j) != first + 2 * second;
    }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t.w.rounds, 3);  // the input; entries and bits; the piece beside what the bits were made into
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void small_rings(void) {
  for (int ring = 4; ring <= 10; ring++)
    for (int low = 0; low <= 3 && ring - low >= 3; low++)
      for (int count = 1; count <= 1 << (ring - low - 1) && count <= 64; count = 2 * count + 1)
        check_small(ring, low, count, low < 2 ? 0 : 1, -5 + count, 1);
  check_small(10, 1, 200, 1, 17, 3);
  check_small(12, 2, 500, 2, -1000, 1);
}

// ---- functions ----

enum { UNITS = 4 };

typedef struct {
  const tw_spec *spec;
  int ring, out_ring;
  double from, to, bound;
  bool one_sided;
} window_case;

static double far(const tw_spec *s, double x) {
  double width = ldexp((double)(1 << s->width), s->low_bits - s->argument_scale);
  if (s->region == TW_ZERO_OUTSIDE) return x > 20 ? 0 : s->f(x);
  if (x > s->lo + width + 1) return s->right.constant + s->right.slope * x;
  return x < s->lo - 1 ? s->left.constant : s->f(x);
}

static void check_window(window_case c, bool guarded) {
  enum { RANDOM = 20000 };
  tw_table tables[2];
  trial t;
  int64_t from = (int64_t)(c.from * 4096), to = (int64_t)(c.to * 4096), most = (int64_t)(c.bound * 4096) - 1;
  size_t dense = (size_t)(to - from);
  int x = trial_start(&t, c.ring, 2 * dense + RANDOM, 1);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit_by_key(c.spec, tables), TW_OK);
  t.program.tables = tables;
  t.program.table_count = 2;
  for (size_t j = 0; j < 2 * dense; j++) t.input[j] = (uint64_t)(from + (int64_t)(j % dense)) & tw_mask(c.ring);
  trial_fill(&t, 2 * dense, RANDOM, c.one_sided ? 0 : -most, most);
  tw_key_guard guard = {.bits = c.ring - 3};
  int wire = tw_open(&t.b, tw_rescale(&t.b, x, TW_SCALE));
  int y = tw_apply_spec_by_key(&t.b, wire, c.spec, c.out_ring, guarded ? &guard : NULL);
  int64_t one = 1 << 20;
  y = tw_open_at(&t.b, y, TW_SCALE);
  if (guarded) {
    int out = tw_bit_constants(&t.b, guard.bitwire, guard.plane, 1, &one, c.out_ring, TW_SCALE);
    y = tw_open(&t.b, tw_combine(&t.b, 1, tw_as_share(&t.b, y), 1, out, false));
  }
  trial_run(&t, y);
  double worst = 0, at = 0;
  for (size_t j = 0; j < t.n; j++) {
    double argument = ldexp((double)trial_x(&t, 0, j), -12), error = fabs(walk_real(&t.w, j) - far(c.spec, argument));
    if (error > worst || !(error <= worst)) worst = error, at = argument;
  }
  printf("\n    %s: %.2f units of 2^-12 (at %g)", c.spec->name, ldexp(worst, 12), at);
  CU_ASSERT(ldexp(worst, 12) <= UNITS);
  CU_ASSERT_EQUAL(t.w.rounds, guarded ? 4 : 3);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void functions(void) {
  check_window((window_case){&tw_spec_gelu, 24, 40, -12, 12, 1024, false}, false);
  check_window((window_case){&tw_spec_gelu_new, 24, 40, -12, 12, 1024, false}, false);
  check_window((window_case){&tw_spec_quick_gelu, 26, 38, -12, 12, 1024, false}, false);
  check_window((window_case){&tw_spec_silu, 28, 40, -20, 20, 16384, false}, false);
  check_window((window_case){&tw_spec_sigmoid, 24, 30, -12, 12, 1024, false}, false);
  check_window((window_case){&tw_spec_tanh, 24, 30, -12, 12, 1024, false}, false);
  check_window((window_case){&tw_spec_exp, 22, 36, 0, 17, 512, true}, false);
  check_window((window_case){&tw_spec_exp, 26, 40, 0, 17, 8192, true}, false);
  check_window((window_case){&tw_spec_gelu, 24, 40, -12, 12, 512, false}, true);
  check_window((window_case){&tw_spec_exp, 24, 40, 0, 17, 512, true}, true);
}

// ---- segment tables ----

// Beside a spec that extends no x: |x| < 2^j is never out of bound, 2^(j+1) and more always is, between them any may
// be.
static void check_guard(int ring, int bits) {
  enum { N = 4000 };
  tw_table tables[2];
  trial t;
  int x = trial_start(&t, ring, N, 1);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit_by_key(&tw_spec_tanh, tables), TW_OK);
  t.program.tables = tables;
  t.program.table_count = 2;
  int64_t bound = (int64_t)1 << bits;
  for (size_t j = 0; j < N; j += 4) {  // those in bound, and at both bounds
    t.input[j] = (uint64_t)walk_random_range(1 - bound, bound - 1) & tw_mask(ring);
    t.input[j + 1] = (uint64_t)(j % 8 ? bound - 1 : 1 - bound) & tw_mask(ring);
    t.input[j + 2] = (uint64_t)(j % 8 ? 2 * bound : -2 * bound) & tw_mask(ring);
  }
  tw_key_guard guard = {.bits = bits};
  int y = tw_apply_spec_by_key(&t.b, tw_open(&t.b, tw_rescale(&t.b, x, TW_SCALE)), &tw_spec_tanh, 40, &guard);
  int64_t one = 1;
  int out = tw_open(&t.b, tw_bit_constants(&t.b, guard.bitwire, guard.plane, 1, &one, 20, TW_SCALE));
  trial_run(&t, tw_concat(&t.b, out, tw_reduce(&t.b, tw_open_at(&t.b, y, TW_SCALE), 20), 1));
  size_t wrong = 0, outside = 0;
  for (size_t j = 0; j < N; j++) {
    int64_t size = llabs(trial_x(&t, 0, j)), bit = trial_y(&t, 0, j);
    wrong += (size < bound && bit != 0) || (size >= 2 * bound && bit != 1);
    outside += (size_t)bit;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT(outside > N / 4 && outside < N);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void guards(void) {
  check_guard(24, 21);
  check_guard(24, 18);
  check_guard(30, 20);
}

static void check_segments(const tw_segment_spec *spec, int ring, uint64_t low, uint64_t high, double most) {
  enum { RANDOM = 1500 };
  tw_table tables[2];
  trial t;
  const tw_segments *seg = &spec->segments;
  size_t n = RANDOM + 4 * (size_t)(seg->runs + 1);
  int x = trial_start(&t, ring, n, 2);
  CU_ASSERT_EQUAL_FATAL(tw_segments_fit(spec, tables), TW_OK);
  t.program.tables = tables;
  t.program.table_count = 2;
  for (size_t j = 0; j < 2 * n; j++) {
    double at =
        exp2(log2((double)low) + (log2((double)high) - log2((double)low)) * (double)(walk_random() >> 11) * 0x1p-53);
    uint64_t value = (uint64_t)at;
    if (j % n >= RANDOM) value = seg->border[(j % n - RANDOM) / 4] + (j % 4) - 2;
    t.input[j] = value < low ? low : value >= high ? high - 1 : value;
  }
  int outside, value = tw_apply_segments(&t.b, tw_open(&t.b, x), spec, 40, &outside);
  int64_t big = (int64_t)1 << 50;
  int bad = tw_bit_constants(&t.b, outside, 0, 1, &big, tw_look(&t.b, value).ring, spec->scale + spec->fine);
  trial_run(&t, tw_open(&t.b, tw_combine(&t.b, 1, tw_as_share(&t.b, value), 1, bad, false)));
  double worst = 0;
  for (int s = 0; s < 2; s++)
    for (size_t j = 0; j < n; j++) {
      double ratio = spec->factor / (double)t.input[(size_t)s * n + j], want = spec->root ? sqrt(ratio) : ratio;
      worst = fmax(worst, fabs(ldexp((double)trial_y(&t, s, j), -spec->scale - spec->fine) / want - 1));
    }
  printf("\n    %s of %d runs, %d levels: %.4f %%", spec->name, seg->runs, seg->ring - seg->first_step, 100 * worst);
  CU_ASSERT(100 * worst <= most);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void roots(void) {
  tw_segment_spec bert = tw_segments_root(768, -4, 24, 12), narrow = tw_segments_root(64, 0, 3, 20);
  check_segments(&bert, 54, 1 << 20, (uint64_t)1 << 49, 0.1);
  check_segments(&narrow, 30, 1 << 24, 1 << 28, 0.1);
}

static void reciprocals(void) {
  for (double largest = 1; largest <= 4096; largest *= 2) {
    tw_segment_spec spec = tw_segments_reciprocal(largest);
    check_segments(&spec, spec.segments.ring + 3, 3277, (uint64_t)(largest * 4096), 0.1);
  }
}

// ---- a small table on a small ring: every mask that occurs, every value, outside it, too ----

static double any(uint64_t x) { return (double)(x * 2654435761u % 1009); }

static void check_every(int ring, int first_step, int runs, int batch) {
  enum { K = 30 };
  tw_segments seg = {.ring = ring, .first_step = first_step, .runs = runs};
  uint64_t at = (uint64_t)3 << first_step;
  for (int i = 0; i <= runs; i++) {
    int m = first_step + i, sub = m < TW_SEGMENT_SUB ? m : TW_SEGMENT_SUB;
    seg.border[i] = at;
    seg.entry[i] = seg.entries;
    at += (uint64_t)(2 + i % 2) << (m + (i == 0));
    if (i < runs) seg.entries += (size_t)((at - seg.border[i] + ((uint64_t)2 << m)) >> (m - sub)) + 1;
  }
  tw_table tables[2] = {{"A", seg.entries, calloc(seg.entries, 8)}, {"B", seg.entries, calloc(seg.entries, 8)}};
  for (size_t g = 0; g < seg.entries; g++)
    tables[0].values[g] = (uint64_t)any(g), tables[1].values[g] = (uint64_t)any(g + 500);
  size_t n = (size_t)8 << ring, wrong = 0, inside = 0;
  trial t;
  int x = trial_start(&t, ring, n, batch), wire = tw_open(&t.b, x), outside;
  trial_count(&t, 0, (int64_t)tw_mask(ring));
  t.program.tables = tables;
  t.program.table_count = 2;
  int y = tw_read_segments(&t.b, wire, &seg, (int[]){0, 1}, K, 0, &outside);
  int64_t far_off = 1 << 25;
  y = tw_combine(&t.b, 1, y, 1, tw_bit_constants(&t.b, tw_open(&t.b, outside), 0, 1, &far_off, K, 0), false);
  trial_run(&t, tw_open(&t.b, y));
  for (int s = 0; s < batch; s++)
    for (size_t j = 0; j < n; j++) {
      uint64_t v = (uint64_t)trial_x(&t, s, j) & tw_mask(ring), r, X;
      r = trial_mask(&t, wire, 0, s, j) + trial_mask(&t, wire, 1, s, j);
      X = (v + r) & tw_mask(ring);
      int64_t want = (int64_t)tables[0].values[0] + far_off;
      for (int i = 0; i < runs; i++) {
        int m = first_step + i, next = i + 1 < runs ? m + 1 : m, sub = m < 2 ? m : 2, fine = m < 7 ? m : 7;
        uint64_t begin = seg.border[i], end = seg.border[i + 1];
        while ((X - begin) & tw_mask(m)) begin++;
        while ((X - end) & tw_mask(next)) end++;
        if (v <= begin || v > end) continue;
        uint64_t hi = v;
        while ((X - hi) & tw_mask(m)) hi++;
        uint64_t g = (hi - seg.border[i]) >> (m - sub), rho = ((X - v) & tw_mask(m)) >> (m - fine);
        int64_t delta = (int64_t)(((hi - seg.border[i]) - (g << (m - sub))) >> (m - fine));
        size_t entry = seg.entry[i] + (size_t)g;
        want = (int64_t)tables[0].values[entry] + (int64_t)tables[1].values[entry] * ((int64_t)rho - delta);
        inside++;
      }
      wrong += trial_y(&t, s, j) != want;
    }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT(inside > n / 32);
  CU_ASSERT_EQUAL(t.w.rounds, 3);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void every_value(void) {
  check_every(6, 0, 2, 1);
  check_every(8, 1, 2, 3);
  check_every(9, 0, 3, 1);
  check_every(9, 2, 2, 1);
  check_every(11, 3, 2, 2);
  check_every(11, 1, 4, 1);
}

// ---- refusals ----

static void refusals(void) {
  static const int scale[2] = {0, 0};
  static uint64_t values[2][8];
  static const tw_table tables[2] = {{"A", 8, values[0]}, {"B", 8, values[1]}};
  static const tw_window wrong[] = {{11, 2, 8, 0, 0}, {10, 2, 200, 0, 0}, {10, 2, 4, 0, 0}, {10, 2, 8, 3, 0}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    trial t;
    int x = tw_open(&t.b, trial_start(&t, 10, 5, 1));
    t.program.tables = tables;
    t.program.table_count = 2;
    trial_refused(&t, tw_read_window(&t.b, x, &wrong[i], NULL, 0, (int[]){0, 1}, 20, scale).base, "a window of");
    trial_end(&t);
  }
  tw_segments seg = {.ring = 5, .first_step = 1, .runs = 2, .border = {4, 10, 30}, .entries = 8};
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 10, 5, 1));
  t.program.tables = tables;
  t.program.table_count = 2;
  trial_refused(&t, tw_read_segments(&t.b, x, &seg, (int[]){0, 1}, 20, 0, NULL), "a table of 2 runs");
  trial_end(&t);
}

SUITE_MAIN("tables by key", {"windows on small rings", small_rings}, {"functions", functions},
           {"the guard's bit", guards}, {"roots", roots}, {"reciprocals", reciprocals},
           {"every value of small tables", every_value}, {"refusals", refusals})
