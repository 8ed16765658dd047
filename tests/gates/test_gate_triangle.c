// Packed pairs of causal attention against plain integers: products, sums, maxima, windows, heads that share keys; and
// rotary turns, elements by places, the last live row.
#include <stdlib.h>

#include "jobs/gates/guard.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

enum { RING = 40 };

static int64_t in_ring(uint64_t x, int ring) { return tw_signed(x & tw_mask(ring), ring); }
static size_t first_key(tw_triangle t, size_t query) {
  size_t all = t.before + query + 1;
  return all > t.widest ? all - t.widest : 0;
}

static const tw_triangle shapes[] = {{1, 1, 0},  {2, 2, 0}, {5, 5, 0}, {9, 4, 0}, {13, 13, 0}, {18, 1, 0},
                                     {23, 7, 0}, {1, 4, 3}, {5, 9, 4}, {6, 8, 5}, {7, 3, 5},   {4, 5, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void pairs_are_counted(void) {
  for (size_t i = 0; i < SHAPES; i++) {
    size_t pairs = 0;
    for (size_t q = 0; q < shapes[i].n; q++) {
      CU_ASSERT_EQUAL(tw_triangle_begin(shapes[i], q), pairs);
      pairs += shapes[i].before + q + 1 - first_key(shapes[i], q);
    }
    CU_ASSERT_EQUAL(tw_triangle_pairs(shapes[i]), pairs);
  }
}

// Two groups of heads; the keys of a group are one.
static void logits(void) {
  enum { HEADS = 4, GROUP = 2, DIM = 3 };
  for (size_t i = 0; i < SHAPES; i++)
    for (int batch = 1; batch <= 3; batch += 2) {
      trial t;
      tw_triangle shape = shapes[i];
      size_t n = shape.n, keys = shape.before + n, nq = HEADS * n * DIM, nk = HEADS / GROUP * DIM * keys, wrong = 0, at;
      int x = tw_open(&t.b, trial_start(&t, RING, nq + nk, batch));
      int z =
          tw_triangle_logits(&t.b, trial_slice(&t, x, 0, nq), trial_slice(&t, x, nq, nk), HEADS, GROUP, DIM, shape, 33);
      trial_run(&t, tw_open(&t.b, z));
      CU_ASSERT_EQUAL(tw_look(&t.b, z).n, HEADS * tw_triangle_pairs(shape));
      for (int b = 0; b < batch; b++) {
        at = 0;
        for (size_t h = 0; h < HEADS; h++)
          for (size_t q = 0; q < n; q++)
            for (size_t k = first_key(shape, q); k <= shape.before + q; k++) {
              uint64_t dot = 0;
              for (size_t d = 0; d < DIM; d++)
                dot += (uint64_t)trial_x(&t, b, (h * n + q) * DIM + d) *
                       (uint64_t)trial_x(&t, b, nq + (h / GROUP * DIM + d) * keys + k);
              wrong += trial_y(&t, b, at++) != in_ring(dot, 33);
            }
      }
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
    }
}

static void values(void) {
  enum { HEADS = 4, GROUP = 2, DIM = 3 };
  for (size_t i = 0; i < SHAPES; i++)
    for (int batch = 1; batch <= 3; batch += 2) {
      trial t;
      tw_triangle shape = shapes[i];
      size_t n = shape.n, keys = shape.before + n, pairs = tw_triangle_pairs(shape), ne = HEADS * pairs,
             nv = HEADS / GROUP * keys * DIM, wrong = 0;
      int x = tw_open(&t.b, trial_start(&t, RING, ne + nv, batch));
      int z = tw_triangle_values(&t.b, trial_slice(&t, x, 0, ne), trial_slice(&t, x, ne, nv), HEADS, GROUP, DIM, shape,
                                 RING);
      trial_run(&t, tw_open(&t.b, z));
      for (int b = 0; b < batch; b++)
        for (size_t h = 0; h < HEADS; h++)
          for (size_t q = 0; q < n; q++)
            for (size_t d = 0; d < DIM; d++) {
              uint64_t sum = 0;
              for (size_t k = first_key(shape, q); k <= shape.before + q; k++)
                sum += (uint64_t)trial_x(&t, b, h * pairs + tw_triangle_begin(shape, q) + k - first_key(shape, q)) *
                       (uint64_t)trial_x(&t, b, ne + (h / GROUP * keys + k) * DIM + d);
              wrong += trial_y(&t, b, (h * n + q) * DIM + d) != in_ring(sum, RING);
            }
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
    }
}

// Sums of shares and of wires, and maxima by several choices of groups, spread over the pairs again.
static void rows(void) {
  enum { HEADS = 3 };
  static const tw_choices choices[] = {{0},
                                       {.maximum = {2, 5, 13}},
                                       {.maximum = {26}},
                                       {.maximum = {3, 2, 2, 2}},
                                       {.maximum = {4, 32}, .early_groups = true}};
  for (size_t i = 0; i < SHAPES; i++)
    for (size_t c = 0; c < sizeof choices / sizeof *choices; c++) {
      trial t;
      tw_triangle shape = shapes[i];
      size_t n = shape.n, pairs = tw_triangle_pairs(shape), wrong = 0;
      int share = trial_start(&t, 14, HEADS * pairs, 2), x = tw_open(&t.b, share);
      trial_fill(&t, 0, HEADS * pairs, -4, 4);  // ties
      if (c % 2) trial_fill(&t, 0, HEADS * pairs, -4000, 4000);
      t.b.choices = choices[c];
      int most = tw_triangle_spread(&t.b, tw_triangle_maximum(&t.b, x, HEADS, shape), HEADS, shape);
      int sums = tw_triangle_sums(&t.b, c % 2 ? share : tw_as_share(&t.b, x), HEADS, shape);
      int wide = tw_as_share(&t.b, tw_triangle_sums(&t.b, x, HEADS, shape));
      int y = tw_concat(&t.b, tw_concat(&t.b, tw_as_share(&t.b, most), sums, HEADS), wide, HEADS);
      trial_run(&t, tw_open(&t.b, y));
      for (int b = 0; b < 2; b++)
        for (size_t h = 0; h < HEADS; h++)
          for (size_t q = 0; q < n; q++) {
            size_t begin = tw_triangle_begin(shape, q), length = tw_triangle_length(shape, q), each = pairs + 2 * n;
            int64_t sum = 0, top = INT64_MIN;
            for (size_t k = 0; k < length; k++) {
              int64_t v = trial_x(&t, b, h * pairs + begin + k);
              sum += v;
              if (v > top) top = v;
            }
            for (size_t k = 0; k < length; k++) wrong += trial_y(&t, b, h * each + begin + k) != top;
            wrong += trial_y(&t, b, h * each + pairs + q) != in_ring((uint64_t)sum, 14);
            wrong += trial_y(&t, b, h * each + pairs + n + q) != in_ring((uint64_t)sum, 14);
          }
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
    }
}

// Packed rows of live queries only are counted, by the guard and by the emulator.
static void guarded_after(size_t before) {
  enum { HEADS = 2 };
  int first = (int)before, lengths[3] = {first + 5, first + 23, first + 1};
  tw_triangle shape = {23, 7, before};
  size_t n = HEADS * tw_triangle_pairs(shape);
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 20, n, 3));
  trial_fill(&t, 0, n, 3 << 10, 3 << 10);
  t.w.lengths = lengths;
  t.b.guard = true;
  tw_declare(&t.b, x, "all out of bound", 10, TW_BY_PACKED, HEADS, (tw_tokens){shape.n, shape.widest, before, true});
  int y = tw_open(&t.b, tw_as_share(&t.b, x));
  tw_guard_finish(&t.b);
  trial_run(&t, y);
  uint64_t all = 0;
  for (int b = 0; b < 3; b++) {
    uint64_t wanted = HEADS * tw_triangle_begin(shape, (size_t)lengths[b] - before);
    CU_ASSERT_EQUAL(t.w.guard[b], wanted);
    all += wanted;
  }
  CU_ASSERT_EQUAL(t.w.out_of_bound, all);
  trial_end(&t);
}

static void guarded(void) {
  guarded_after(0);
  guarded_after(4);
}

static void turns(void) {
  enum { TOKENS = 5, BLOCKS = 3, HALF = 2, WIDTH = 2 * HALF * BLOCKS, SCALE = 12 };
  uint64_t angle[2][TOKENS * HALF];
  const tw_table tables[2] = {{"cosine", TOKENS * HALF, angle[0]}, {"sine", TOKENS * HALF, angle[1]}};
  for (size_t i = 0; i < TOKENS * HALF; i++)
    for (int j = 0; j < 2; j++) angle[j][i] = (uint64_t)walk_random_range(-4096, 4096);
  for (int batch = 1; batch <= 3; batch += 2) {
    trial t;
    size_t wrong = 0;
    int x = trial_start(&t, 37, TOKENS * WIDTH, batch);
    t.program.tables = tables;
    t.program.table_count = 2;
    int y = tw_turn(&t.b, x, (const int[]){0, 1}, HALF, SCALE, TOKENS);
    CU_ASSERT_EQUAL(tw_look(&t.b, y).scale, SCALE);
    trial_run(&t, tw_open(&t.b, y));
    for (int b = 0; b < batch; b++)
      for (size_t token = 0; token < TOKENS; token++)
        for (size_t block = 0; block < BLOCKS; block++)
          for (size_t p = 0; p < HALF; p++) {
            size_t at = token * WIDTH + block * 2 * HALF + p;
            uint64_t c = angle[0][token * HALF + p], s = angle[1][token * HALF + p];
            uint64_t u = (uint64_t)trial_x(&t, b, at), v = (uint64_t)trial_x(&t, b, at + HALF);
            wrong += trial_y(&t, b, at) != in_ring(c * u - s * v, 37);
            wrong += trial_y(&t, b, at + HALF) != in_ring(c * v + s * u, 37);
          }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

// One row, by the place of its sequence's last live token, two of which stand ahead of the sequence.
static void turns_last(void) {
  enum { TOKENS = 9, HALF = 3, AHEAD = 2, SCALE = 12 };
  static const int lengths[3] = {7, 1, 4};
  uint64_t angle[2][TOKENS * HALF];
  const tw_table tables[2] = {{"cosine", TOKENS * HALF, angle[0]}, {"sine", TOKENS * HALF, angle[1]}};
  for (size_t i = 0; i < TOKENS * HALF; i++)
    for (int j = 0; j < 2; j++) angle[j][i] = (uint64_t)walk_random_range(-4096, 4096);
  for (int with_lengths = 0; with_lengths < 2; with_lengths++) {
    trial t;
    int x = trial_start(&t, 37, 2 * HALF, 3);
    t.w.lengths = with_lengths ? lengths : NULL;
    t.program.tables = tables;
    t.program.table_count = 2;
    int y = tw_turn_last(&t.b, x, (const int[]){0, 1}, HALF, SCALE, 1, (tw_tokens){1, TOKENS, 0, false, AHEAD});
    trial_run(&t, tw_open(&t.b, y));
    for (int b = 0; b < 3; b++)
      for (size_t p = 0; p < HALF; p++) {
        size_t at = (size_t)(with_lengths ? lengths[b] + AHEAD - 1 : TOKENS - 1) * HALF + p;
        uint64_t u = (uint64_t)trial_x(&t, b, p), v = (uint64_t)trial_x(&t, b, p + HALF);
        CU_ASSERT_EQUAL(trial_y(&t, b, p), in_ring(angle[0][at] * u - angle[1][at] * v, 37));
        CU_ASSERT_EQUAL(trial_y(&t, b, p + HALF), in_ring(angle[0][at] * v + angle[1][at] * u, 37));
      }
    trial_end(&t);
  }
}

// Rows that follow the count of earlier turns, or of all tokens: angles, and rows of a table.
static void rows_from_a_place(void) {
  enum { TOKENS = 9, HALF = 3, ROWS = 4, SCALE = 12, WIDTH = 5 };
  static const int earlier[3] = {5, 0, 2};
  uint64_t angle[2][TOKENS * HALF];
  const tw_table tables[2] = {{"cosine", TOKENS * HALF, angle[0]}, {"sine", TOKENS * HALF, angle[1]}};
  for (size_t i = 0; i < TOKENS * HALF; i++)
    for (int j = 0; j < 2; j++) angle[j][i] = (uint64_t)walk_random_range(-4096, 4096);
  for (int counted = TW_COUNT_EARLIER; counted <= TW_COUNT_TOKENS; counted++) {
    trial t;
    size_t wrong = 0;
    int x = trial_start(&t, 37, ROWS * 2 * HALF + TOKENS * WIDTH, 3);
    t.w.earlier = earlier;
    t.program.tables = tables;
    t.program.table_count = 2;
    tw_tokens first = {1, TOKENS - ROWS + 1, 0, false, 1, (tw_counted)counted};
    int turned =
        tw_turn_last(&t.b, trial_slice(&t, x, 0, ROWS * 2 * HALF), (const int[]){0, 1}, HALF, SCALE, ROWS, first);
    first.queries = TOKENS;
    int rows = tw_rows_from_last(&t.b, trial_slice(&t, x, ROWS * 2 * HALF, TOKENS * WIDTH), ROWS, first);
    trial_run(&t, tw_open(&t.b, tw_concat(&t.b, tw_rescale(&t.b, turned, 0), tw_rescale(&t.b, rows, 0), 1)));
    for (int b = 0; b < 3; b++) {
      for (size_t i = 0; i < ROWS; i++)
        for (size_t p = 0; p < HALF; p++) {
          size_t at = ((size_t)earlier[b] + i) * HALF + p, j = i * 2 * HALF + p;
          uint64_t u = (uint64_t)trial_x(&t, b, j), v = (uint64_t)trial_x(&t, b, j + HALF);
          wrong += trial_y(&t, b, j) != in_ring(angle[0][at] * u - angle[1][at] * v, 37);
          wrong += trial_y(&t, b, j + HALF) != in_ring(angle[0][at] * v + angle[1][at] * u, 37);
        }
      for (size_t j = 0; j < ROWS * WIDTH; j++)
        wrong +=
            trial_y(&t, b, ROWS * 2 * HALF + j) != trial_x(&t, b, ROWS * 2 * HALF + (size_t)earlier[b] * WIDTH + j);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
  trial t;
  int x = trial_start(&t, 37, TOKENS * WIDTH, 1);
  trial_refused(&t, tw_rows_from_last(&t.b, x, ROWS + 1, (tw_tokens){TOKENS, TOKENS - ROWS + 1, 0, false, 1}),
                "another shape");
  trial_end(&t);
}

// Rows of earlier turns that do not live become one number, in rows of all keys and in packed pairs.
static void dead_rows_of_earlier_turns(void) {
  enum { HEADS = 3, FIRST = 2, COUNT = 5 };
  static const int earlier[3] = {3, 0, 5};
  static const int64_t values[] = {0, -77, 12345};
  const tw_triangle shape = {4, FIRST + COUNT + 5, FIRST + COUNT + 1};
  for (size_t k = 0; k < 3; k++)
    for (int packed = 0; packed < 2; packed++)
      for (int at_the_ends = 0; at_the_ends < 2; at_the_ends++) {
        trial t;
        size_t wrong = 0, first = at_the_ends ? 0 : FIRST, wide = at_the_ends && !packed ? COUNT : 9, at = 0;
        size_t rows = packed ? shape.n : 1, n = packed ? tw_triangle_pairs(shape) : wide;
        int x = trial_start(&t, 36, HEADS * n, 3);
        t.w.earlier = earlier;
        int y = packed ? tw_triangle_fill_dead_earlier(&t.b, x, HEADS, shape, first, COUNT, values[k])
                       : tw_fill_dead_earlier(&t.b, x, HEADS, first, COUNT, values[k]);
        trial_run(&t, tw_open(&t.b, y));
        for (int b = 0; b < 3; b++, at = 0)
          for (size_t row = 0; row < HEADS * rows; row++)
            for (size_t j = 0; j < (packed ? tw_triangle_length(shape, row % rows) : wide); j++, at++) {
              bool dead = j >= first + (size_t)earlier[b] && j < first + COUNT;
              wrong += trial_y(&t, b, at) != (dead ? values[k] : trial_x(&t, b, at));
            }
        CU_ASSERT_EQUAL(wrong, 0);
        trial_end(&t);
      }
  trial t;
  int x = trial_start(&t, 36, HEADS * tw_triangle_pairs((tw_triangle){4, 3, 3}), 1);
  trial_refused(&t, tw_triangle_fill_dead_earlier(&t.b, x, HEADS, (tw_triangle){4, 3, 3}, 0, 2, 0), "another shape");
  trial_end(&t);
}

// What a window has left behind becomes one number: of each sequence all but its last live tokens.
static void tokens_before_a_window(void) {
  enum { HEADS = 3, COUNT = 9 };
  static const int lengths[3] = {9, 1, 4};
  static const int64_t values[] = {0, -77};
  for (int with_lengths = 0; with_lengths < 2; with_lengths++)
    for (size_t first = 0; first < 3; first++)
      for (size_t most = 1; most < COUNT; most++) {
        trial t;
        size_t wrong = 0, all = first + COUNT;
        int x = trial_start(&t, 36, HEADS * all, 3);
        t.w.lengths = with_lengths ? lengths : NULL;
        int64_t value = values[most % 2];
        trial_run(&t, tw_open(&t.b, tw_fill_before_last(&t.b, x, HEADS, first, most, value)));
        for (int b = 0; b < 3; b++)
          for (size_t j = 0; j < HEADS * all; j++) {
            size_t live = with_lengths ? (size_t)lengths[b] : COUNT, column = j % all;
            bool left = column >= first && column - first + most < live;
            wrong += trial_y(&t, b, j) != (left ? value : trial_x(&t, b, j));
          }
        CU_ASSERT_EQUAL(wrong, 0);
        trial_end(&t);
      }
  trial t;
  int x = trial_start(&t, 36, HEADS * COUNT, 1);
  trial_refused(&t, tw_fill_before_last(&t.b, x, HEADS, 2, COUNT - 2, 0), "another shape");
  trial_end(&t);
}

static void places(void) {
  static const int64_t place[] = {4, 0, 0, 3, 4};
  for (int share = 0; share < 2; share++) {
    trial t;
    size_t wrong = 0;
    int x = trial_start(&t, 30, 3 * 5, 3);
    int y = tw_gather(&t.b, share ? x : tw_open(&t.b, x), 3, place, 5);
    trial_run(&t, share ? tw_open(&t.b, y) : y);
    for (int b = 0; b < 3; b++)
      for (size_t block = 0; block < 3; block++)
        for (size_t i = 0; i < 5; i++)
          wrong += trial_y(&t, b, block * 5 + i) != trial_x(&t, b, block * 5 + (size_t)place[i]);
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
  trial t;  // a sum that counts an element twice has an even mask
  int x = tw_open(&t.b, trial_start(&t, 30, 5, 1));
  trial_refused(&t, tw_truncate_dithered(&t.b, tw_row_sum(&t.b, tw_gather(&t.b, x, 1, place, 5), 5), 3), "biased");
  trial_end(&t);
}

// What is extended behind it needs the dealer's word for its mask, and the dealer knows no lengths.
static void last_rows(void) {
  enum { ROWS = 9, COLS = 5 };
  static const int lengths[3] = {9, 1, 4};
  for (int given = 0; given < 2; given++) {
    trial t;
    size_t wrong = 0;
    int x = tw_open(&t.b, trial_start(&t, 30, ROWS * COLS, 3));
    if (given) t.w.lengths = lengths;
    trial_fill(&t, 0, ROWS * COLS, -(1 << 26), 1 << 26);
    int row = tw_open(&t.b, tw_last_live_row(&t.b, tw_as_share(&t.b, x), (tw_tokens){ROWS, ROWS, 0, true}));
    trial_run(&t, tw_open(&t.b, tw_extend(&t.b, row, 40)));
    for (int b = 0; b < 3; b++)
      for (size_t c = 0; c < COLS; c++)
        wrong += trial_y(&t, b, c) != trial_x(&t, b, (size_t)((given ? lengths[b] : ROWS) - 1) * COLS + c);
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
  trial t;
  int x = tw_open(&t.b, trial_start(&t, 30, ROWS * COLS, 1));
  trial_refused(&t, tw_last_live_row(&t.b, x, (tw_tokens){ROWS, ROWS, 0, true}), "no share");
  trial_end(&t);
}

SUITE_MAIN("triangle", {"pairs are counted", pairs_are_counted}, {"logits", logits}, {"values", values}, {"rows", rows},
           {"guarded", guarded}, {"turns", turns}, {"one row turns by its last live token", turns_last},
           {"rows from a place on", rows_from_a_place}, {"dead rows of earlier turns", dead_rows_of_earlier_turns},
           {"tokens before a window", tokens_before_a_window}, {"places", places}, {"last rows", last_rows})
