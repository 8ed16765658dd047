// Opened bits times wires and constants, and the row maximum built on them, against plain arithmetic on values.
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static int64_t in_ring(uint64_t x, int ring) { return tw_signed(x & tw_mask(ring), ring); }

// Input: `planes` * n values whose signs are the bits, then the values that are selected.
typedef struct {
  int k, ring, planes, first, count;
  bool shared;
} select_case;

static void check_select(select_case c, size_t n, int batch) {
  trial t;
  size_t bits_n = (size_t)c.planes * n, x_n = c.shared ? n : (size_t)c.count * n;
  int input = trial_start(&t, c.k > 8 ? c.k : 8, bits_n + x_n, batch);
  int bits = tw_open(&t.b, trial_bits(&t, input, c.planes, n));
  if (c.k < c.ring) trial_fill(&t, bits_n, x_n, -((int64_t)1 << (c.k - 2)), ((int64_t)1 << (c.k - 2)) - 1);
  int x = tw_open(&t.b, tw_reduce(&t.b, trial_slice(&t, input, bits_n, x_n), c.k));
  trial_run(&t, tw_open(&t.b, tw_select(&t.b, bits, c.first, c.count, x, c.ring)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t at = 0; at < (size_t)c.count * n; at++) {
      bool d = trial_x(&t, b, (size_t)c.first * n + at) >= 0;
      int64_t value = trial_x(&t, b, bits_n + (c.shared ? at % n : at));
      wrong += trial_y(&t, b, at) != (d ? in_ring((uint64_t)in_ring((uint64_t)value, c.k), c.ring) : 0);
    }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t.w.out_of_bound, 0);
  trial_end(&t);
}

static void select_small_rings(void) {
  for (int k = 3; k <= 6; k++)
    for (int ring = 3; ring <= 9; ring++)
      for (int shared = 0; shared < 2; shared++) check_select((select_case){k, ring, 3, 1, 2, shared}, 4000, 1);
}

static void select_large_rings(void) {
  static const select_case cases[] = {{16, 38, 1, 0, 1, false}, {22, 36, 1, 0, 1, false}, {24, 24, 1, 0, 1, false},
                                      {54, 54, 5, 0, 5, true},  {14, 14, 8, 0, 8, false}, {62, 64, 3, 1, 2, false},
                                      {20, 48, 4, 0, 4, true},  {64, 20, 2, 1, 1, false}, {64, 64, 2, 0, 2, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) TRIAL_FOR(n, batch) check_select(cases[i], n, batch);
}

static void bit_constants(void) {
  enum { PLANES = 5, FIRST = 1, COUNT = 4, RING = 48 };
  static const int64_t constants[COUNT] = {1, -77, (int64_t)1 << 46, 987654321};
  TRIAL_FOR(n, batch) {
    trial t;
    int input = trial_start(&t, 8, PLANES * n, batch), bits = tw_open(&t.b, trial_bits(&t, input, PLANES, n));
    trial_run(&t, tw_open(&t.b, tw_bit_constants(&t.b, bits, FIRST, COUNT, constants, RING, 18)));
    size_t wrong = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < n; j++) {
        uint64_t sum = 0;
        for (size_t p = 0; p < COUNT; p++)
          if (trial_x(&t, b, (FIRST + p) * n + j) >= 0) sum += (uint64_t)constants[p];
        wrong += trial_y(&t, b, j) != in_ring(sum, RING);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

static void plane_sums(void) {
  enum { PLANES = 6, RING = 54, OUT_RING = 40 };
  static const int64_t shifts[PLANES] = {0, 28, 3, 39, 11, 1};
  TRIAL_FOR(n, batch) {
    trial t;
    int x = trial_start(&t, RING, PLANES * n, batch);
    trial_run(&t, tw_open(&t.b, tw_sum_planes(&t.b, x, PLANES, shifts, OUT_RING, 7)));
    size_t wrong = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < n; j++) {
        uint64_t sum = 0;
        for (size_t p = 0; p < PLANES; p++) sum += (uint64_t)trial_x(&t, b, p * n + j) << shifts[p];
        wrong += trial_y(&t, b, j) != in_ring(sum, OUT_RING);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

// ---- row maximum ----

typedef struct {
  int ring, heads, rows, cols;  // rows of one head
  bool causal, few_values;      // few: ties
  const int *lengths;
  int groups[TW_MOST_LEVELS];  // none: the usual ones
  bool early;
} max_case;

static int live_keys(const max_case *c, int b, int row) {
  int live = c->lengths ? c->lengths[b] : c->cols;
  return c->causal && row % c->cols + 1 < live ? row % c->cols + 1 : live;
}

static int64_t live_maximum(const trial *t, const max_case *c, int b, int row) {
  int64_t most = INT64_MIN;
  for (int j = 0; j < live_keys(c, b, row); j++) {
    int64_t x = trial_x(t, b, (size_t)(row * c->cols + j));
    if (x > most) most = x;
  }
  return most;
}

static void check_maximum(max_case c, int batch) {
  trial t;
  size_t rows = (size_t)(c.heads * c.rows), cols = (size_t)c.cols, wrong = 0;
  int x = tw_open(&t.b, trial_start(&t, c.ring, rows * cols, batch));
  int64_t half = (int64_t)1 << (c.ring - 2);
  trial_fill(&t, 0, rows * cols, c.few_values ? -1 : -half, c.few_values ? 1 : half - 1);
  for (int b = 0; b < batch; b++)
    for (size_t i = 0; i < rows; i++)
      for (size_t j = (size_t)live_keys(&c, b, (int)i); j < cols; j++)
        t.input[(size_t)b * rows * cols + i * cols + j] = walk_random() & tw_mask(c.ring);
  t.w.lengths = c.lengths;
  memcpy(t.b.choices.maximum, c.groups, sizeof c.groups);
  t.b.choices.early_groups = c.early;
  int m = tw_row_maximum(&t.b, x, rows, (tw_tokens){(size_t)c.rows, cols, 0, c.causal});
  trial_run(&t, tw_open(&t.b, tw_as_share(&t.b, m)));
  for (int b = 0; b < batch; b++)
    for (size_t i = 0; i < rows; i++) wrong += trial_y(&t, b, i) != live_maximum(&t, &c, b, (int)i);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void maximum_ragged(void) {
  for (int cols = 1; cols <= 40; cols++) {
    check_maximum((max_case){14, 1, 23, cols, false, false, NULL, {0}}, 1);
    check_maximum((max_case){14, 1, 40, cols, false, true, NULL, {0}}, cols % 7 == 0 ? 3 : 1);
  }
  check_maximum((max_case){14, 1, 9, 64, false, false, NULL, {0}}, 3);
  check_maximum((max_case){14, 1, 9, 65, false, true, NULL, {0}}, 1);
  check_maximum((max_case){14, 1, 9, 128, false, false, NULL, {0}}, 1);
  check_maximum((max_case){20, 1, 3, 513, false, false, NULL, {0}}, 1);
}

// Dead keys hold values of the whole ring: they must not count, whatever they are.
static void maximum_dead_keys(void) {
  for (int causal = 0; causal < 2; causal++)
    for (int cols = 1; cols <= 40; cols += cols < 20 ? 1 : 7) {
      int lengths[3] = {1, cols, (int)walk_random_range(1, cols)};
      check_maximum((max_case){12, 2, cols, cols, causal, false, lengths, {0}}, 3);
      check_maximum((max_case){12, 2, cols, cols, causal, true, lengths, {0}}, 3);
    }
  static const int lengths[3] = {77, 64, 9};
  check_maximum((max_case){14, 1, 128, 128, true, false, lengths, {0}}, 3);
}

// Groups of other sizes, whose last product of wins is the selection's.
static void maximum_groups(void) {
  static const int groups[][TW_MOST_LEVELS] = {{7, 19}, {2, 5, 13}, {3, 2, 22}, {9}, {16, 26}, {26, 3, 2}, {15, 2, 2}};
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (int causal = 0; causal < 2; causal++)
      for (int cols = 2; cols <= 128; cols = cols * 7 / 5 + 3) {
        int lengths[3] = {1, cols, (int)walk_random_range(1, cols)};
        max_case c = {14, 1, causal ? cols : 5, cols, causal, g % 2 == 1, lengths, {0}};
        memcpy(c.groups, groups[g], sizeof c.groups);
        if (cols > 60 && causal) continue;
        check_maximum(c, 3);
      }
  static const int rows[3] = {77, 128, 9};
  check_maximum((max_case){14, 1, 12, 128, false, false, rows, {7, 19}}, 3);
  check_maximum((max_case){14, 1, 12, 128, false, true, rows, {2, 5, 13}}, 3);
}

// Groups that choose by their comparisons, and large ones, with members beside each other.
static void maximum_early(void) {
  static const int groups[][TW_MOST_LEVELS] = {{4, 32}, {5, 26}, {3, 4, 5}, {2, 48}, {6, 7}, {0}};
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (int cols = 1; cols <= 128; cols = cols * 7 / 5 + 3) {
      int lengths[3] = {1, cols, (int)walk_random_range(1, cols)};
      max_case c = {14, 1, 5, cols, false, g % 2 == 1, lengths, {0}, true};
      memcpy(c.groups, groups[g], sizeof c.groups);
      check_maximum(c, 3);
    }
  static const int rows[3] = {77, 128, 9};
  check_maximum((max_case){14, 1, 9, 128, false, true, rows, {4, 32}, true}, 3);
  check_maximum((max_case){14, 1, 1, 144, false, false, NULL, {3, 48}, true}, 1);
}

// A group of more than 26 has too many products of wins where members stand in planes of their own.
static void maximum_refused(void) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 14, 48, 1));
  t.b.choices.maximum[0] = 27;
  trial_refused(&t, tw_row_maximum(&t.b, x, 1, (tw_tokens){1, 48, 0, false}), "has at most 26");
  trial_end(&t);
}

SUITE_MAIN("select", {"small rings", select_small_rings}, {"large rings", select_large_rings},
           {"bit constants", bit_constants}, {"plane sums", plane_sums}, {"maximum, ragged rows", maximum_ragged},
           {"maximum, dead keys", maximum_dead_keys}, {"maximum, other groups", maximum_groups},
           {"maximum, early groups", maximum_early}, {"maximum, refused", maximum_refused})
