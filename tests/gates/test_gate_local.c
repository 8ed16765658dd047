// Gates without keys or messages, on wires and on shares, against plain integer arithmetic.
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static int64_t in_ring(uint64_t x, int ring) { return tw_signed(x & tw_mask(ring), ring); }
static uint64_t ux(const trial *t, int b, size_t j) { return (uint64_t)trial_x(t, b, j); }

// Every gate below runs twice: on the opened input, whose result is a wire, and on the shared one, opened afterwards.
static int start(trial *t, bool share, int ring, size_t n, int batch) {
  int x = trial_start(t, ring, n, batch);
  return share ? x : tw_open(&t->b, x);
}
static void finish(trial *t, bool share, int y) { trial_run(t, share ? tw_open(&t->b, y) : y); }

static void views(void) {
  // [2][3][5][4] read as [4][2][5][3] from a larger tensor, and a broadcast of a vector over rows
  enum { OFFSET = 9, N = OFFSET + 120 + 3 };
  for (int share = 0; share < 2; share++)
    for (int batch = 1; batch <= 3; batch += 2) {
      trial t;
      int x = start(&t, share, 37, N, batch);
      finish(&t, share, tw_view(&t.b, x, (tw_view_map){{4, 2, 5, 3}, {1, 60, 4, 20}, OFFSET}));
      size_t wrong = 0, at = 0;
      for (int b = 0; b < batch; b++, at = 0)
        for (size_t i = 0; i < 4; i++)
          for (size_t j = 0; j < 2; j++)
            for (size_t k = 0; k < 5; k++)
              for (size_t l = 0; l < 3; l++)
                wrong += trial_y(&t, b, at++) != trial_x(&t, b, OFFSET + ((j * 3 + l) * 5 + k) * 4 + i);
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
      x = start(&t, share, 64, 65, batch);
      finish(&t, share, tw_view(&t.b, x, (tw_view_map){{1, 1, 3, 65}, {0, 0, 0, 1}, 0}));
      for (int b = 0; b < batch; b++)
        for (size_t j = 0; j < 195; j++) wrong += trial_y(&t, b, j) != trial_x(&t, b, j % 65);
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
    }
  trial t;
  trial_start(&t, 8, 10, 1);
  trial_refused(&t, trial_slice(&t, t.program.inputs[0], 5, 6), "past the end");
  trial_end(&t);
}

static void concatenation(void) {
  static const size_t shapes[][3] = {{1, 1, 1}, {5, 3, 8}, {64, 1, 2}, {13, 65, 7}};
  for (int share = 0; share < 2; share++)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
      for (int batch = 1; batch <= 3; batch += 2) {
        trial t;
        size_t rows = shapes[i][0], cx = shapes[i][1], cy = shapes[i][2], cols = cx + cy, wrong = 0;
        int input = start(&t, share, 22, rows * cols, batch);
        int x = trial_slice(&t, input, 0, rows * cx), y = trial_slice(&t, input, rows * cx, rows * cy);
        finish(&t, share, tw_concat(&t.b, x, y, rows));
        for (int b = 0; b < batch; b++)
          for (size_t j = 0; j < rows * cols; j++) {
            size_t row = j / cols, c = j % cols;
            wrong += trial_y(&t, b, j) != trial_x(&t, b, c < cx ? row * cx + c : rows * cx + row * cy + c - cx);
          }
        CU_ASSERT_EQUAL(wrong, 0);
        trial_end(&t);
      }
}

// p x + q y with y as long as x, repeated by rows, or repeated by columns; the smaller ring counts.
static void combinations(void) {
  static const size_t shapes[][2] = {{1, 1}, {7, 9}, {64, 2}, {3, 43}};
  static const int64_t factors[][2] = {{1, 1}, {1, -1}, {-1, 1}, {-5, 12345678901}};
  for (int share = 0; share < 2; share++)
    for (int form = 0; form < 3; form++)
      for (size_t i = 0; i < 4; i++)
        for (int batch = 1; batch <= 3; batch += 2) {
          trial t;
          size_t rows = shapes[i][0], cols = shapes[i][1], n = rows * cols, wrong = 0;
          size_t y_n = form == 0 ? n : form == 1 ? rows : cols;
          int64_t p = factors[i][0], q = factors[i][1];
          int input = start(&t, share, 44, n + y_n, batch), ring = i % 2 ? 44 : 31;
          int x = trial_slice(&t, input, 0, n), y = tw_reduce(&t.b, trial_slice(&t, input, n, y_n), ring);
          finish(&t, share, tw_combine(&t.b, p, x, q, y, form == 1));
          for (int b = 0; b < batch; b++)
            for (size_t j = 0; j < n; j++) {
              size_t other = form == 0 ? j : form == 1 ? j / cols : j % cols;
              wrong +=
                  trial_y(&t, b, j) != in_ring((uint64_t)p * ux(&t, b, j) + (uint64_t)q * ux(&t, b, n + other), ring);
            }
          CU_ASSERT_EQUAL(wrong, 0);
          trial_end(&t);
        }
}

static void constants(void) {
  for (int share = 0; share < 2; share++) TRIAL_FOR(n, batch) {
      trial t;
      int x = start(&t, share, 35, n, batch);
      int y = tw_add_constant(&t.b, tw_multiply_constant(&t.b, x, -37, 5), -123456789);
      finish(&t, share, tw_reduce(&t.b, tw_shift_left(&t.b, tw_rescale(&t.b, y, 3), 6), 39));
      size_t wrong = 0;
      for (int b = 0; b < batch; b++)
        for (size_t j = 0; j < n; j++) {
          uint64_t sum = (uint64_t)in_ring(ux(&t, b, j) * -37 - 123456789, 35);
          wrong += trial_y(&t, b, j) != in_ring(sum << 6, 39);
        }
      CU_ASSERT_EQUAL(wrong, 0);
      CU_ASSERT_EQUAL(tw_look(&t.b, t.program.outputs[0]).scale, 9);
      trial_end(&t);
    }
}

static void row_sums(void) {
  static const size_t shapes[][2] = {{1, 1}, {1, 129}, {65, 3}, {10, 64}};
  for (int share = 0; share < 2; share++)
    for (size_t i = 0; i < 4; i++)
      for (int batch = 1; batch <= 3; batch += 2) {
        trial t;
        size_t rows = shapes[i][0], cols = shapes[i][1], wrong = 0;
        int x = start(&t, share, 26, rows * cols, batch);
        finish(&t, share, tw_row_sum(&t.b, x, cols));
        for (int b = 0; b < batch; b++)
          for (size_t r = 0; r < rows; r++) {
            uint64_t sum = 0;
            for (size_t j = 0; j < cols; j++) sum += ux(&t, b, r * cols + j);
            wrong += trial_y(&t, b, r) != in_ring(sum, 26);
          }
        CU_ASSERT_EQUAL(wrong, 0);
        trial_end(&t);
      }
}

// Against a product of the sum with the rounded quotient, in the ring.
static void means(void) {
  enum { ROWS = 17, COLS = 5, BITS = 20 };
  static const int lengths[3] = {1, 17, 9};
  trial t;
  size_t wrong = 0;
  int x = tw_open(&t.b, trial_start(&t, 60, ROWS * COLS, 3));
  t.w.lengths = lengths;
  int mean = tw_mean_live(&t.b, x, (tw_tokens){ROWS, ROWS, 0, false}, COLS, BITS);
  CU_ASSERT_EQUAL(tw_look(&t.b, mean).scale, tw_look(&t.b, x).scale + BITS);
  trial_run(&t, tw_open(&t.b, tw_as_share(&t.b, mean)));
  for (int b = 0; b < 3; b++)
    for (size_t j = 0; j < COLS; j++) {
      uint64_t sum = 0, factor = (uint64_t)llrint(ldexp(1, BITS) / lengths[b]);
      for (size_t i = 0; i < (size_t)lengths[b]; i++) sum += ux(&t, b, i * COLS + j);
      wrong += trial_y(&t, b, j) != in_ring(sum * factor, 60);
    }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
  x = tw_open(&t.b, trial_start(&t, 60, ROWS * COLS, 1));  // and it is not truncated as it is
  trial_refused(&t,
                tw_truncate_dithered(&t.b, tw_mean_live(&t.b, x, (tw_tokens){ROWS, ROWS, 0, false}, COLS, BITS), BITS),
                "mask");
  trial_end(&t);
}

static void pooling(void) {
  enum { ROWS = 17, COLS = 5 };
  static const int lengths[3] = {1, 17, 9};
  for (int given = 0; given < 2; given++) {
    trial t;
    size_t wrong = 0;
    int x = tw_open(&t.b, trial_start(&t, 40, ROWS * COLS, 3));
    if (given) t.w.lengths = lengths;
    trial_run(&t, tw_pool_live(&t.b, x, (tw_tokens){ROWS, ROWS, 0, false}, COLS));
    for (int b = 0; b < 3; b++)
      for (size_t j = 0; j < COLS; j++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < (given ? (size_t)lengths[b] : ROWS); i++) sum += ux(&t, b, i * COLS + j);
        wrong += trial_y(&t, b, j) != in_ring(sum, 40);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

// Columns of dead keys: past the live length, and past the query in a causal model.
static void dead_columns(void) {
  enum { SEQ = 11, HEADS = 3, ROWS = HEADS * SEQ };
  static const int lengths[3] = {4, 11, 1};
  for (int causal = 0; causal < 2; causal++) {
    trial t;
    size_t wrong = 0;
    int x = trial_start(&t, 36, ROWS * SEQ, 3);
    t.w.lengths = lengths;
    trial_run(&t, tw_open(&t.b, tw_zero_dead(&t.b, x, ROWS, (tw_tokens){SEQ, SEQ, 0, causal})));
    for (int b = 0; b < 3; b++)
      for (size_t j = 0; j < ROWS * SEQ; j++) {
        size_t query = j / SEQ % SEQ, key = j % SEQ;
        bool live = key < (size_t)lengths[b] && (!causal || key <= query);
        wrong += trial_y(&t, b, j) != (live ? trial_x(&t, b, j) : 0);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

static void wires_as_shares(void) {
  TRIAL_FOR(n, batch) {
    trial t;
    size_t wrong = 0;
    int x = tw_open(&t.b, trial_start(&t, 48, n, batch));
    trial_run(&t, tw_open(&t.b, tw_as_share(&t.b, x)));
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < n; j++) wrong += trial_y(&t, b, j) != trial_x(&t, b, j);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(t.w.rounds, 2);
    trial_end(&t);
  }
}

// A secret model vector, added to every row of the input.
static void model_vectors(void) {
  enum { ROWS = 6, COLS = 23 };
  uint64_t values[2][COLS];
  uint64_t *weights[2] = {values[0], values[1]};
  const size_t rows[2] = {1, 1}, cols[2] = {COLS, COLS};
  for (size_t j = 0; j < 2 * COLS; j++) values[j / COLS][j % COLS] = walk_random();
  trial t;
  size_t wrong = 0;
  int x = tw_open(&t.b, trial_start(&t, 30, ROWS * COLS, 3));
  t.w.weight_count = 2;
  t.w.weight_rows = rows;
  t.w.weight_cols = cols;
  t.w.weight_values = weights;
  trial_run(&t, tw_combine(&t.b, 1, x, 1, tw_weight_wire(&t.b, 1, 0, COLS), false));
  for (int b = 0; b < 3; b++)
    for (size_t j = 0; j < ROWS * COLS; j++)
      wrong += trial_y(&t, b, j) != in_ring(ux(&t, b, j) + values[1][j % COLS], 30);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

SUITE_MAIN("local", {"views", views}, {"concatenation", concatenation}, {"combinations", combinations},
           {"constants", constants}, {"row sums", row_sums}, {"pooling", pooling}, {"means", means},
           {"dead columns", dead_columns}, {"wires as shares", wires_as_shares}, {"model vectors", model_vectors})
