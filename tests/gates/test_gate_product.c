// Extension and products against plain integer arithmetic: every value on small rings, random ones on large rings.
#include <stdlib.h>

#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static int64_t in_ring(uint64_t x, int ring) { return tw_signed(x & tw_mask(ring), ring); }
static int64_t limit(int ring) { return (int64_t)1 << (ring - 2); }  // what can be extended: |x| < 2^(ring - 2)
static uint64_t ux(const trial *t, int b, size_t j) { return (uint64_t)trial_x(t, b, j); }

// ---- extension ----

static void check_extend(int from, int to, size_t n, int batch, bool every_value) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, from, n, batch));
  trial_fill(&t, 0, n, -limit(from), limit(from) - 1);
  if (every_value) trial_count(&t, -limit(from), limit(from) - 1);
  trial_run(&t, tw_open(&t.b, tw_extend(&t.b, x, to)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++) wrong += trial_y(&t, b, j) != trial_x(&t, b, j);
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t.w.out_of_bound, 0);
  trial_end(&t);
}

static void extension(void) {
  for (int from = 3; from <= 8; from++)
    for (int more = 1; more <= 41; more += 8) check_extend(from, from + more, (size_t)200 << from, 1, true);
  static const int cases[][2] = {{24, 38}, {26, 46}, {36, 64}, {54, 64}, {62, 64}, {63, 64}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    TRIAL_FOR(n, batch) check_extend(cases[i][0], cases[i][1], n, batch, false);
}

// The emulator counts what no extension can hold, so that `check` can name it.
static void extension_out_of_bound(void) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 12, 100, 1));
  trial_fill(&t, 0, 93, -limit(12), limit(12) - 1);
  trial_fill(&t, 93, 7, limit(12), 2 * limit(12) - 1);
  int y = tw_open(&t.b, tw_extend(&t.b, x, 20));
  tw_build_output(&t.b, y);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&t.b), TW_OK);
  t.w.program = &t.program;
  CU_ASSERT_EQUAL(walk_run(&t.w), TW_OK);
  CU_ASSERT_EQUAL(t.w.out_of_bound, 7);
  trial_end(&t);
}

// ---- products of two wires ----

static size_t partner(tw_repeat repeat, size_t j, size_t cols, size_t y_n) {
  return repeat == TW_PER_ROW ? j / cols : repeat == TW_PER_COLUMN ? j % y_n : j;
}

// x [rows][cols] of ring k, y of ring `ring`, product mod 2^ring. Values cover all of a small ring.
static void check_multiply(int k, int ring, tw_repeat repeat, size_t rows, size_t cols, int batch) {
  trial t;
  size_t n = rows * cols, y_n = repeat == TW_EACH ? n : repeat == TW_PER_ROW ? rows : cols;
  int widest = k > ring ? k : ring, input = trial_start(&t, widest, n + y_n, batch);
  if (k < ring) trial_fill(&t, 0, n, -limit(k), limit(k) - 1);
  int x = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, 0, n), k));
  int y = tw_open(&t.b, trial_slice(&t, input, n, y_n));
  trial_run(&t, tw_open(&t.b, tw_multiply(&t.b, x, y, ring, repeat)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++)
      wrong += trial_y(&t, b, j) != in_ring(ux(&t, b, j) * ux(&t, b, n + partner(repeat, j, cols, y_n)), ring);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void multiply(void) {
  for (int repeat = TW_EACH; repeat <= TW_PER_COLUMN; repeat++) {
    for (int k = 3; k <= 6; k++)
      for (int ring = 3; ring <= 9; ring++) check_multiply(k, ring, (tw_repeat)repeat, 40, 100, 1);
    static const int cases[][2] = {{24, 24}, {40, 40}, {64, 40}, {26, 40}, {24, 64}, {54, 64}, {62, 64}, {64, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
      for (int batch = 1; batch <= 3; batch += 2) {
        check_multiply(cases[i][0], cases[i][1], (tw_repeat)repeat, 1, 1, batch);
        check_multiply(cases[i][0], cases[i][1], (tw_repeat)repeat, 5, 13, batch);
        check_multiply(cases[i][0], cases[i][1], (tw_repeat)repeat, 127, 3, batch);
        check_multiply(cases[i][0], cases[i][1], (tw_repeat)repeat, 1, 129, batch);
      }
  }
}

// Both operands narrower than the product: x [rows][cols] of ring k, y [rows] of ring l.
static void check_rows(int k, int l, int ring, size_t rows, size_t cols, int batch) {
  trial t;
  size_t n = rows * cols;
  int input = trial_start(&t, ring, n + rows, batch);
  trial_fill(&t, 0, n, -limit(k), limit(k) - 1);
  trial_fill(&t, n, rows, -limit(l), limit(l) - 1);
  int x = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, 0, n), k));
  int y = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, n, rows), l));
  trial_run(&t, tw_open(&t.b, tw_multiply_rows(&t.b, x, y, ring)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++) wrong += trial_y(&t, b, j) != in_ring(ux(&t, b, j) * ux(&t, b, n + j / cols), ring);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void multiply_rows(void) {
  for (int k = 3; k <= 6; k++)
    for (int l = 3; l <= 6; l++)
      for (int ring = (k > l ? k : l) + 1; ring <= k + l + 3; ring++) check_rows(k, l, ring, 80, 50, 1);
  static const int cases[][3] = {{28, 20, 64}, {26, 20, 44}, {24, 24, 48}, {24, 24, 49}, {40, 20, 62}, {62, 62, 64}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int batch = 1; batch <= 3; batch += 2) {
      check_rows(cases[i][0], cases[i][1], cases[i][2], 1, 1, batch);
      check_rows(cases[i][0], cases[i][1], cases[i][2], 13, 5, batch);
      check_rows(cases[i][0], cases[i][1], cases[i][2], 3, 129, batch);
      check_rows(cases[i][0], cases[i][1], cases[i][2], 200, 1, batch);
    }
}

static void check_squares(int k, int ring, size_t rows, size_t cols, int batch) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, k, rows * cols, batch));
  trial_fill(&t, 0, rows * cols, -limit(k), limit(k) - 1);
  trial_run(&t, tw_open(&t.b, tw_sum_of_squares(&t.b, x, cols, ring)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t i = 0; i < rows; i++) {
      uint64_t sum = 0;
      for (size_t j = i * cols; j < (i + 1) * cols; j++) sum += ux(&t, b, j) * ux(&t, b, j);
      wrong += trial_y(&t, b, i) != in_ring(sum, ring);
    }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void sum_of_squares(void) {
  for (int k = 3; k <= 6; k++)
    for (int ring = k + 2; ring <= 2 * k + 4; ring++)
      check_squares(k, ring, 1000, 1, 1), check_squares(k, ring, 700, 3, 1);
  static const int cases[][2] = {{24, 54}, {26, 54}, {28, 56}, {31, 64}, {32, 64}, {40, 64}, {62, 64}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int batch = 1; batch <= 3; batch += 2) {
      check_squares(cases[i][0], cases[i][1], 1, 1, batch);
      check_squares(cases[i][0], cases[i][1], 7, 19, batch);
      check_squares(cases[i][0], cases[i][1], 129, 5, batch);
    }
}

// ---- matrices ----

static void check_linear(int wire_ring, int ring, size_t rows, size_t inner, size_t cols, int batch) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, wire_ring, rows * inner, batch));
  uint64_t *weight[4];
  const size_t weight_rows[4] = {1, 2, inner, 1}, weight_cols[4] = {1, 3, cols, cols};
  for (int i = 0; i < 4; i++) {
    weight[i] = calloc(weight_rows[i] * weight_cols[i], 8);
    if (!weight[i]) abort();
    for (size_t j = 0; j < weight_rows[i] * weight_cols[i]; j++) weight[i][j] = walk_random();
  }
  t.w.weight_count = 4;
  t.w.weight_rows = weight_rows;
  t.w.weight_cols = weight_cols;
  t.w.weight_values = weight;
  trial_run(&t, tw_open(&t.b, tw_linear(&t.b, x, 2, inner, cols, ring, 12)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t i = 0; i < rows; i++)
      for (size_t c = 0; c < cols; c++) {
        uint64_t sum = weight[3][c];
        for (size_t j = 0; j < inner; j++) sum += ux(&t, b, i * inner + j) * weight[2][j * cols + c];
        wrong += trial_y(&t, b, i * cols + c) != in_ring(sum, ring);
      }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
  for (int i = 0; i < 4; i++) free(weight[i]);
}

static void linear(void) {
  static const int rings[][2] = {{4, 4}, {5, 3}, {24, 24}, {48, 36}, {38, 38}, {64, 64}, {64, 26}};
  static const size_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {64, 2, 1}, {1, 65, 129}, {17, 40, 9}};
  for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
    for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
      for (int batch = 1; batch <= 3; batch += 2)
        check_linear(rings[i][0], rings[i][1], shapes[j][0], shapes[j][1], shapes[j][2], batch);
}

static void check_matmul(int x_ring, int y_ring, int ring, size_t count, size_t m, size_t n, size_t k, int batch) {
  trial t;
  size_t nx = count * m * k, ny = count * k * n;
  int input = trial_start(&t, x_ring > y_ring ? x_ring : y_ring, nx + ny, batch);
  int x = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, 0, nx), x_ring));
  int y = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, nx, ny), y_ring));
  trial_run(&t, tw_open(&t.b, tw_matmul(&t.b, x, y, count, m, n, k, ring)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t out = 0; out < count * m * n; out++) {
      size_t c = out / (m * n), i = out / n % m, j = out % n;
      uint64_t sum = 0;
      for (size_t l = 0; l < k; l++) sum += ux(&t, b, c * m * k + i * k + l) * ux(&t, b, nx + c * k * n + l * n + j);
      wrong += trial_y(&t, b, out) != in_ring(sum, ring);
    }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void matmul(void) {
  static const int rings[][3] = {{4, 4, 4}, {6, 5, 3}, {35, 35, 35}, {36, 36, 36}, {48, 36, 22}, {64, 64, 64}};
  static const size_t shapes[][4] = {{1, 1, 1, 1},  {2, 3, 5, 7},   {12, 4, 4, 8},
                                     {1, 65, 3, 2}, {129, 1, 1, 1}, {3, 16, 17, 33}};
  for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
    for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
      for (int batch = 1; batch <= 3; batch += 2)
        check_matmul(rings[i][0], rings[i][1], rings[i][2], shapes[j][0], shapes[j][1], shapes[j][2], shapes[j][3],
                     batch);
}

SUITE_MAIN("product", {"extension", extension}, {"out of bound", extension_out_of_bound}, {"multiply", multiply},
           {"multiply rows", multiply_rows}, {"sum of squares", sum_of_squares}, {"linear", linear}, {"matmul", matmul})
