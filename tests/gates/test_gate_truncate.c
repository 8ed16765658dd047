// Truncation: the dithered shift against its exact statement, its error and bias, and the faithful mode against floor.
#include <math.h>

#include "jobs/gates/digit.h"
#include "jobs/gates/guard.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static int64_t ceil_shift(__int128 x, int bits) { return (int64_t)(-((-x) >> bits)); }

// 2^f y - x, modulo the input's ring: that ring shrinks with the value, so nothing wraps.
static int64_t error_of(const trial *t, int b, size_t j, int f) {
  uint64_t y = (uint64_t)trial_y(t, b, j) << f, x = (uint64_t)trial_x(t, b, j);
  return tw_signed((y - x) & tw_mask(t->ring), t->ring);
}

// y = ceil((x - h + p_b - t) / 2^f) for both parties b, from the masks themselves; |error| < 1.5 units.
static void check_exact(int ring, int f, size_t n, int batch, bool every_value) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch));
  if (every_value) trial_count(&t, -(1 << (ring - 1)), (1 << (ring - 1)) - 1);
  trial_run(&t, tw_truncate_dithered(&t.b, x, f));
  uint64_t half = 1ull << (f - 1), low = tw_mask(f);
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++) {
      uint64_t r[2] = {trial_mask(&t, x, 0, b, j), trial_mask(&t, x, 1, b, j)};
      uint64_t wire = ((uint64_t)trial_x(&t, b, j) + r[0] + r[1]) & tw_mask(ring);
      for (int party = 0; party < 2; party++) {
        __int128 offset = (__int128)(r[party] & low) - (__int128)((wire - half) & low);
        int64_t y = ceil_shift((__int128)trial_x(&t, b, j) - (__int128)half + offset, f);
        wrong += tw_signed((uint64_t)y & tw_mask(ring - f), ring - f) != trial_y(&t, b, j);
      }
      wrong += !(fabs(ldexp((double)error_of(&t, b, j, f), -f)) < 1.5);
    }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void truncation_small_rings(void) {
  for (int ring = 4; ring <= 6; ring++)
    for (int f = 1; f <= ring - 2; f++) check_exact(ring, f, (size_t)400 << ring, 1, true);
}

static void truncation_large_rings(void) {
  static const int cases[][2] = {{24, 1},  {24, 12}, {26, 12}, {36, 12}, {38, 12},
                                 {54, 16}, {62, 12}, {63, 30}, {64, 16}, {64, 61}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    TRIAL_FOR(n, batch) check_exact(cases[i][0], cases[i][1], n, batch, false);
}

// Mean error -2^-(f+1) units, standard deviation 1/2 or a little more (f small).
static void truncation_bias(void) {
  for (int f = 1; f <= 5; f++) {
    enum { N = 200000 };
    trial t;
    int x = tw_open(&t.b, trial_start(&t, 24, N, 1));
    trial_run(&t, tw_truncate_dithered(&t.b, x, f));
    double sum = 0, squares = 0;
    for (size_t j = 0; j < N; j++) {
      double error = ldexp((double)error_of(&t, 0, j, f), -f);
      sum += error;
      squares += error * error;
    }
    double deviation = sqrt(squares / N);
    CU_ASSERT(fabs(sum / N + ldexp(1, -f - 1)) < 6 * deviation / sqrt(N));
    CU_ASSERT(deviation > 0.45 && deviation < 0.65);
    trial_end(&t);
  }
}

static void truncation_refused(void) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 24, 4, 1));
  trial_refused(&t, tw_truncate_dithered(&t.b, tw_shift_left(&t.b, x, 3), 2), "biased");
  trial_end(&t);
  x = tw_open(&t.b, trial_start(&t, 24, 4, 1));
  trial_refused(&t, tw_truncate_dithered(&t.b, tw_multiply_constant(&t.b, x, 12, 0), 2), "biased");
  trial_end(&t);
  x = trial_start(&t, 24, 4, 1);
  trial_refused(&t, tw_open(&t.b, tw_truncate_dithered(&t.b, x, 2)), "only wires");
  trial_end(&t);
}

// ---- masks without an odd factor: what the builder counts, against the bias that a truncation has ----

enum { ELEMENTS = 8, SEQUENCES = 64 };

// Two openings of zeros.
static void start_zeros(trial *t, int wire[2]) {
  int input = trial_start(t, 24, 2 * ELEMENTS, SEQUENCES);
  trial_fill(t, 0, 2 * ELEMENTS, 0, 0);
  for (int i = 0; i < 2; i++) {
    wire[i] = tw_open(&t->b, trial_slice(t, input, (size_t)i * ELEMENTS, ELEMENTS));
    tw_as_share(&t->b, wire[i]);  // so that somebody reads it
  }
}

static int sum(tw_builder *b, int64_t p, int x, int64_t q, int y) { return tw_combine(b, p, x, q, y, false); }

// Sums of `cols` elements, each again in `cols` places; stride 0: of one element taken `cols` times.
static int row_sums(tw_builder *b, int x, size_t cols, size_t stride) {
  size_t rows = ELEMENTS / cols;
  x = tw_view(b, x, (tw_view_map){{1, 1, rows, cols}, {0, 0, cols, stride}, 0});
  return tw_view(b, tw_row_sum(b, x, cols), (tw_view_map){{1, 1, rows, cols}, {0, 0, 1, 0}, 0});
}

static int differences(tw_builder *b, int x) {
  int d = tw_pair_differences(b, x, 1, ELEMENTS, 0, 4, 2);  // 12 of them
  return tw_view(b, d, (tw_view_map){{1, 1, 1, ELEMENTS}, {0, 0, 0, 1}, 0});
}

static int two_sums(tw_builder *b, int x, int y, int64_t factor) {
  int both = tw_concat(b, sum(b, 1, x, 1, y), tw_multiply_constant(b, x, factor, 0), 1);
  return tw_view(b, both, (tw_view_map){{1, 1, 1, ELEMENTS}, {0, 0, 0, 2}, 0});
}

// Pairs of elements of x and y, one of each.
static int pair_sums(tw_builder *b, int x, int y) {
  int both = tw_concat(b, x, y, 1);
  return tw_row_sum(b, tw_view(b, both, (tw_view_map){{1, 1, ELEMENTS, 2}, {0, 0, 1, ELEMENTS}, 0}), 2);
}

// p x + q y, the first two elements of y each for four of x.
static int spread_sum(tw_builder *b, int64_t p, int x, int64_t q, int y) {
  return tw_combine(b, p, x, q, tw_view(b, y, (tw_view_map){{1, 1, 1, 2}, {0, 0, 0, 1}, 0}), true);
}

// (x_0 - x_1) + (x_0 - x_2) + (x_1 - x_2) of two groups, each in four places.
static int sum_of_differences(tw_builder *b, int x) {
  int d = tw_view(b, tw_pair_differences(b, x, 1, ELEMENTS, 0, 3, 2), (tw_view_map){{1, 1, 2, 3}, {0, 0, 1, 2}, 0});
  return tw_view(b, tw_row_sum(b, d, 3), (tw_view_map){{1, 1, 2, 4}, {0, 0, 1, 0}, 0});
}

// A wire of x and y, by number; even numbers are biased. The first SUMS are sums element by element.
enum { SUMS = 14, WIRES = 30 };
static int numbered_sum(tw_builder *b, int number, int x, int y) {
  switch (number) {
    case 0:
      return sum(b, 2, x, 2, y);
    case 1:
      return sum(b, 2, x, 1, y);
    case 2:
      return sum(b, 6, x, -4, y);
    case 3:
      return sum(b, 3, x, -5, y);
    case 4:
      return sum(b, 0, x, 2, y);
    case 5:
      return sum(b, 0, x, 1, y);
    case 6:
      return sum(b, 12, x, 0, y);
    case 7:
      return sum(b, 1, x, 0, y);
    case 8:
      return sum(b, 1, x, 1, x);
    case 9:
      return sum(b, 1, x, 2, x);
    case 10:
      return sum(b, 1, sum(b, 1, x, 1, y), 1, sum(b, 1, x, -1, y));
    case 11:
      return sum(b, 1, sum(b, 1, x, 1, y), 1, x);
    case 12:
      return sum(b, 1, tw_multiply_constant(b, x, 2, 0), 4, y);
    default:
      return sum(b, 1, tw_multiply_constant(b, x, 2, 0), 3, y);
  }
}

static int numbered(tw_builder *b, int number, int x, int y) {
  if (number < SUMS) return numbered_sum(b, number, x, y);
  switch (number) {
    case 14:
      return row_sums(b, x, 4, 0);
    case 15:
      return row_sums(b, x, 4, 1);
    case 16:
      return row_sums(b, row_sums(b, x, 2, 1), 2, 1);
    case 17:
      return row_sums(b, sum(b, 1, y, 2, row_sums(b, x, 2, 1)), 2, 1);
    case 18:
      return sum(b, 1, tw_view(b, x, (tw_view_map){{1, 1, 1, ELEMENTS}, {0, 0, 0, 1}, 0}), -1, x);
    case 19:
      return differences(b, x);
    case 20:
      return two_sums(b, x, y, 2);
    case 21:
      return two_sums(b, y, x, 3);
    case 22:
      return tw_pool_live(b, tw_view(b, x, (tw_view_map){{1, 1, 2, ELEMENTS}, {0, 0, 0, 1}, 0}),
                          (tw_tokens){2, 2, 0, false}, ELEMENTS);
    case 23:
      return row_sums(b, spread_sum(b, 1, x, 2, y), 4, 1);
    case 24:
      return row_sums(b, spread_sum(b, 2, x, 1, y), 4, 1);
    case 25:
      return spread_sum(b, 2, x, 1, y);
    case 26:
      return pair_sums(b, x, x);
    case 27:
      return pair_sums(b, x, y);
    case 28:
      return sum_of_differences(b, x);
    default:
      return sum(b, 1, tw_reduce(b, tw_shift_left(b, x, 3), 24), 1, tw_rescale(b, y, 3));
  }
}

// Elements whose truncated zeros are not -1/4 in the mean: a mask without an odd factor gives -1.
static size_t biased_elements(const trial *t) {
  size_t biased = 0;
  for (size_t j = 0; j < ELEMENTS; j++) {
    double mean = 0;
    for (int b = 0; b < SEQUENCES; b++) mean += (double)trial_y(t, b, j) / SEQUENCES;
    biased += mean < -0.625;
  }
  return biased;
}

static bool dithers(const trial *t, int wire) {
  tw_mask_form form = tw_look(&t->b, wire).form;
  return form.uniform && form.shift == 0;
}

static void factors_are_counted(void) {
  for (int number = 0; number < WIRES; number++) {
    trial t;
    int x[2];
    start_zeros(&t, x);
    int wire = numbered(&t.b, number, x[0], x[1]), biased = number % 2 == 0;
    CU_ASSERT_EQUAL(dithers(&t, wire), !biased);
    if (biased) {
      trial_refused(&t, tw_truncate_dithered(&t.b, wire, 1), "biased");
      trial_end(&t);
      start_zeros(&t, x);
      wire = numbered(&t.b, number, x[0], x[1]);
      t.program.tensors[wire].form = (tw_mask_form){.uniform = true};  // what a builder that counts nothing would do
    }
    trial_run(&t, tw_truncate_dithered(&t.b, wire, 1));
    CU_ASSERT_EQUAL(biased_elements(&t) > 0, biased);
    trial_end(&t);
  }
}

// One more wire of ELEMENTS elements from earlier ones.
static int random_step(tw_builder *b, const int *wire, int count) {
  int x = wire[walk_random_range(0, count - 1)], y = wire[walk_random_range(0, count - 1)];
  switch (walk_random_range(0, 7)) {
    case 0:
      return row_sums(b, x, 1u << walk_random_range(1, 3), (size_t)walk_random_range(0, 1));
    case 1:
      return differences(b, x);
    case 2:
      return two_sums(b, x, y, walk_random_range(1, 4));
    case 3:
      return pair_sums(b, x, y);
    case 4:
      return spread_sum(b, walk_random_range(1, 4), x, walk_random_range(1, 4), y);
    case 5:
      return sum_of_differences(b, x);
    default:
      return sum(b, walk_random_range(-4, 4), x, walk_random_range(1, 4), y);
  }
}

// Whatever a wire was made of: where the builder lets it be truncated there is no bias.
static void accepted_has_no_bias(void) {
  int accepted = 0, refused = 0;
  while (accepted < 60 || refused < 20) {
    trial t;
    int wire[8];
    start_zeros(&t, wire);
    for (int i = 2; i < 8; i++) wire[i] = random_step(&t.b, wire, i);
    bool fine = dithers(&t, wire[7]);
    accepted += fine;
    refused += !fine;
    if (fine) {
      trial_run(&t, tw_truncate_dithered(&t.b, wire[7], 1));
      CU_ASSERT_EQUAL(biased_elements(&t), 0);
    }
    trial_end(&t);
  }
}

// The guard's bit and the choice of a piece dither by low bits of the mask, too.
static void guarded_and_looked_up(void) {
  trial t;
  int x[2];
  start_zeros(&t, x);
  t.b.guard = true;
  tw_declare(&t.b, sum(&t.b, 2, x[0], 2, x[1]), "even", 10, TW_BY_ROW, 1, (tw_tokens){2, 2, 0, false});
  trial_refused(&t, x[0], "guarded: biased");
  trial_end(&t);
  start_zeros(&t, x);
  int widths[2] = {4, 4}, table[2] = {0, 0}, scale[2] = {0, 0}, out[2];
  uint64_t values[16] = {0};
  tw_table tables[1] = {{.n = 16, .values = values}};
  t.program.tables = tables;
  t.program.table_count = 1;
  tw_digits d = tw_deal_digits(&t.b, sum(&t.b, 1, x[0], 1, x[0]), 0, widths, 2, false, 1);
  tw_lookup(&t.b, tw_compared_by(&d), 0, 0, table, 20, scale, out);
  trial_refused(&t, x[0], "looked up: biased");
  trial_end(&t);
}

static void check_floor(int ring, int f, size_t n, int batch, bool every_value) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch));
  if (every_value) trial_count(&t, -(1 << (ring - 1)), (1 << (ring - 1)) - 1);
  t.b.faithful = true;
  trial_run(&t, tw_truncate(&t.b, x, f));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++) wrong += trial_y(&t, b, j) != trial_x(&t, b, j) >> f;
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void faithful_small_rings(void) {
  for (int ring = 4; ring <= 6; ring++)
    for (int f = 1; f < ring; f++) check_floor(ring, f, (size_t)400 << ring, 1, true);
}

static void faithful_large_rings(void) {
  static const int cases[][2] = {{24, 12}, {26, 13}, {36, 12}, {48, 16}, {64, 12}, {64, 17}, {64, 63}, {33, 5}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    TRIAL_FOR(n, batch) check_floor(cases[i][0], cases[i][1], n, batch, false);
}

SUITE_MAIN("truncate", {"small rings", truncation_small_rings}, {"large rings", truncation_large_rings},
           {"bias", truncation_bias}, {"refused", truncation_refused}, {"factors are counted", factors_are_counted},
           {"accepted has no bias", accepted_has_no_bias}, {"guarded and looked up", guarded_and_looked_up},
           {"faithful, small rings", faithful_small_rings}, {"faithful, large rings", faithful_large_rings})
