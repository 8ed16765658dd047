// Truncation: the dithered shift against its exact statement, its error and bias, and the faithful mode against floor.
#include <math.h>

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
           {"bias", truncation_bias}, {"refused", truncation_refused}, {"faithful, small rings", faithful_small_rings},
           {"faithful, large rings", faithful_large_rings})
