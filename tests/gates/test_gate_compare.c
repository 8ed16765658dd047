// Digits, leaves, comparisons with thresholds, the window test and Boolean products: against plain comparisons of
// values.
#include <stdlib.h>

#include "jobs/gates/digit.h"
#include "jobs/models/spec.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

// ---- leaves of digits, from the masks themselves ----

typedef struct {
  uint64_t wire, mask;
} opened;

static opened opened_of(const trial *t, int x, int b, size_t j) {
  uint64_t r = (trial_mask(t, x, 0, b, j) + trial_mask(t, x, 1, b, j)) & tw_mask(t->ring);
  return (opened){((uint64_t)trial_x(t, b, j) + r) & tw_mask(t->ring), r};
}

static int leaf_value(opened w, int ring, const tw_digits *d, tw_leaf leaf) {
  uint64_t u = (w.wire - leaf.offset) & tw_mask(ring);
  int low = d->low_bit;
  for (int i = 0; i < leaf.digit; i++) low += d->width[i];
  uint64_t c = u >> low & tw_mask(d->width[leaf.digit]), a = w.mask >> low & tw_mask(d->width[leaf.digit]);
  if (leaf.kind == TW_LEAF_SIGN) return !((u ^ w.mask) >> (ring - 1) & 1);
  return leaf.kind == TW_LEAF_LT ? c < a : c == a;
}

static void check_leaves(int ring, int low_bit, const int *widths, int count, size_t n, int batch) {
  trial t;
  tw_leaf leaf[3 * TW_MAX_DIGITS];
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch)), leaves = 0;
  tw_digits d = tw_deal_digits(&t.b, x, low_bit, widths, count, true, -1);
  for (int i = 0; i < count; i++)
    for (int kind = TW_LEAF_LT; kind <= TW_LEAF_SIGN; kind++)
      leaf[leaves++] = (tw_leaf){walk_random() & tw_mask(ring), i, (tw_leaf_kind)kind};
  trial_run(&t, tw_open(&t.b, tw_leaves(&t.b, &d, leaf, leaves)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++)
      for (int i = 0; i < leaves; i++)
        wrong += trial_bit(&t, b, i, j) != leaf_value(opened_of(&t, x, b, j), ring, &d, leaf[i]);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void leaves(void) {
  static const int four[] = {4, 4, 4, 4}, mixed[] = {1, 7, 2, 3, 5}, wide[] = {11, 1};
  TRIAL_FOR(n, batch) {
    check_leaves(17, 0, four, 4, n, batch);
    check_leaves(24, 6, mixed, 5, n, batch);
  }
  check_leaves(64, 52, wide, 2, 300, 1);
  check_leaves(16, 0, four, 4, 300, 3);
}

// The looked-up entries leave with one sign: +-table[piece] for both tables, and both signs occur.
static void lookup(void) {
  enum { RING = 20, LOW = 6, WIDTH = 5, SUB = 2, ENTRIES = 1 << (WIDTH + SUB), N = 500, OUT_RING = 33 };
  uint64_t values[2][ENTRIES];
  tw_table tables[2] = {{"f.A", ENTRIES, values[0]}, {"f.B", ENTRIES, values[1]}};
  for (size_t j = 0; j < 2 * ENTRIES; j++) values[j / ENTRIES][j % ENTRIES] = walk_random() & tw_mask(OUT_RING);
  const uint64_t offset = walk_random() & tw_mask(RING);
  const int widths[3] = {4, 2, WIDTH}, index[2] = {0, 1}, scale[2] = {0, 0};
  for (int batch = 1; batch <= 3; batch += 2) {
    trial t;
    int out[2], x = trial_start(&t, RING, N, batch);
    t.program.tables = tables;
    t.program.table_count = 2;
    x = tw_open(&t.b, x);
    tw_digits d = tw_deal_digits(&t.b, x, 0, widths, 3, false, 2);
    tw_lookup(&t.b, tw_compared_by(&d), SUB, offset, index, OUT_RING, scale, out);
    int each[2] = {tw_view(&t.b, out[0], (tw_view_map){{1, 1, N, 1}, {0, 0, 1, 0}, 0}), out[1]};
    trial_run(&t, tw_open(&t.b, tw_concat(&t.b, each[0], each[1], 1)));
    size_t wrong = 0, minus = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < N; j++) {
        opened w = opened_of(&t, x, b, j);
        uint64_t fine = (w.wire - offset) >> (LOW - SUB) & (ENTRIES - 1), a = w.mask >> LOW & tw_mask(WIDTH);
        uint64_t piece = (fine - (a << SUB)) % ENTRIES, got[2];
        for (size_t i = 0; i < 2; i++) got[i] = (uint64_t)trial_y(&t, b, i * N + j) & tw_mask(OUT_RING);
        bool negative = got[0] != values[0][piece];
        minus += negative;
        for (int i = 0; i < 2; i++)
          wrong += got[i] != ((negative ? 0 - values[i][piece] : values[i][piece]) & tw_mask(OUT_RING));
      }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(minus > N / 4 && minus < (size_t)batch * N - N / 4);
    trial_end(&t);
  }
}

// ---- thresholds ----

// `count` thresholds at once on the values low .. high (every one of them when they are few, else random ones).
static void check_at_least(int ring, const int64_t *thresholds, int count, int64_t low, int64_t high, size_t n,
                           int batch, const int *widths, int digits) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch));
  if ((uint64_t)high - (uint64_t)low < n)
    trial_count(&t, low, high);
  else
    trial_fill(&t, 0, n, low, high);
  for (size_t j = 0; j < n && j < (size_t)(2 * count); j++) {  // close to the thresholds
    int64_t near = thresholds[j / 2] - (int64_t)(j % 2);
    if (near >= low && near <= high) t.input[j] = (uint64_t)near & tw_mask(ring);
  }
  tw_compared compared;
  if (widths) {
    tw_digits d = tw_deal_digits(&t.b, x, 0, widths, digits, true, -1);
    compared = tw_compared_by(&d);
  } else {
    compared = tw_compare_wire(&t.b, x);
  }
  trial_run(&t, tw_open(&t.b, tw_at_least(&t.b, compared, thresholds, count)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++)
      for (int i = 0; i < count; i++) wrong += trial_bit(&t, b, i, j) != (trial_x(&t, b, j) >= thresholds[i]);
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

// Every threshold t and every x with -2^(k-1) <= x - t < 2^(k-1).
static void thresholds_exhaustive(void) {
  for (int ring = 3; ring <= 8; ring++) {
    int64_t half = (int64_t)1 << (ring - 1);
    for (int64_t t = 1 - half; t < half; t++)
      check_at_least(ring, &t, 1, t > 0 ? t - half : -half, t < 0 ? t + half - 1 : half - 1, (size_t)16 << ring, 1,
                     NULL, 0);
  }
  static const int splits[][4] = {{1, 1, 1, 4}, {7}, {3, 4}, {2, 1, 4}, {1, 6}};
  for (int64_t t = -127; t < 128; t += 5)
    check_at_least(8, &t, 1, t > 0 ? t - 128 : -128, t < 0 ? t + 127 : 127, 2048, 1,
                   splits[t % 5 < 0 ? t % 5 + 5 : t % 5], (const int[]){4, 1, 2, 3, 2}[t % 5 < 0 ? t % 5 + 5 : t % 5]);
}

// As norms compare: all thresholds beside each other, in one level of at most 8 digits.
static void thresholds_beside(void) {
  static const int rings[] = {3, 9, 17, 33, 34, 46, 57, 60, 64};
  for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
    for (int count = 1; count <= 41; count += 10) TRIAL_FOR(n, batch) {
        trial t;
        int64_t most = ((int64_t)1 << (rings[i] - 2)) - 1, thresholds[41];
        int x = tw_open(&t.b, trial_start(&t, rings[i], n, batch));
        trial_fill(&t, 0, n, -most, most);
        t.b.choices.flat_norms = true;
        for (int k = 0; k < count; k++) thresholds[k] = walk_random_range(-most, most);
        trial_run(&t, tw_open(&t.b, tw_at_least(&t.b, tw_compare_wide(&t.b, x), thresholds, count)));
        size_t wrong = 0;
        for (int b = 0; b < batch; b++)
          for (size_t j = 0; j < n; j++)
            for (int k = 0; k < count; k++) wrong += trial_bit(&t, b, k, j) != (trial_x(&t, b, j) >= thresholds[k]);
        CU_ASSERT_EQUAL(wrong, 0);
        if (count > 1) CU_ASSERT_EQUAL(t.w.rounds, 3);  // of x, of leaves, of what comes out
        trial_end(&t);
      }
}

static void thresholds_large_rings(void) {
  static const int rings[] = {14, 16, 17, 18, 22, 24, 33, 54, 63, 64};
  static const int counts[] = {1, 2, 28};
  for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
    for (size_t c = 0; c < 3; c++) TRIAL_FOR(n, batch) {
        int64_t most = ((int64_t)1 << (rings[i] - 2)) - 1, thresholds[28];
        for (int k = 0; k < counts[c]; k++)
          thresholds[k] = k % 3 ? walk_random_range(-most, most) : walk_random_range(-20, 20);
        check_at_least(rings[i], thresholds, counts[c], -most, most, n, batch, NULL, 0);
      }
}

// ---- windows, right on the whole ring ----

static void check_window(int ring, int bits, int64_t lo, size_t n, int batch, bool every_value, const int *top,
                         int top_count) {
  trial t;
  int widths[TW_MAX_DIGITS], count = tw_split_digits(bits, widths);
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch));
  if (every_value) trial_count(&t, -(1 << (ring - 1)), (1 << (ring - 1)) - 1);
  for (int i = 0; i < top_count; i++) widths[count++] = top[i];
  if (!top) count += tw_split_digits(ring - bits, widths + count);
  tw_digits d = tw_deal_digits(&t.b, x, 0, widths, count, false, -1);
  trial_run(&t, tw_open(&t.b, tw_in_window(&t.b, tw_compared_by(&d), lo, bits)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++) {
      uint64_t u = ((uint64_t)trial_x(&t, b, j) - (uint64_t)lo) & tw_mask(ring);
      wrong += trial_bit(&t, b, 0, j) != (u < (1ull << bits));
    }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

static void windows(void) {
  static const int eights[] = {2, 3};
  for (int ring = 8; ring <= 10; ring++)
    for (int bits = 3; bits < ring; bits++)
      for (int64_t lo = -(1 << (ring - 1)); lo < 1 << (ring - 1); lo += 29)
        check_window(ring, bits, lo, (size_t)20 << ring, 1, true, NULL, 0);
  check_window(9, 4, -7, 20 << 9, 3, true, eights, 2);
  TRIAL_FOR(n, batch) {
    check_window(22, 16, -256, n, batch, false, NULL, 0);
    check_window(24, 20, walk_random_range(-5000, 5000), n, batch, false, NULL, 0);
    check_window(48, 46, walk_random_range(-5000, 5000), n, batch, false, NULL, 0);
    check_window(30, 29, 12345, n, batch, false, NULL, 0);
  }
}

// ---- Boolean gates ----

static int sign_of(const trial *t, int b, int plane, size_t n, size_t j) {
  return trial_x(t, b, (size_t)plane * n + j) >= 0;
}

// Random products of 1 to 8 literals from two tensors, several added to one plane.
static void and_products(void) {
  enum { PLANES = 9, PRODUCTS = 14, OUT = 4 };
  TRIAL_FOR(n, batch) {
    trial t;
    int input = trial_start(&t, 8, PLANES * n, batch), bits = trial_bits(&t, input, PLANES, n);
    tw_term upper[3] = {{0, bits, 6}, {1, bits, 7}, {2, bits, 8}};
    int first = tw_open(&t.b, bits), second = tw_open(&t.b, tw_xor_planes(&t.b, upper, 3, 3, NULL));
    tw_product products[PRODUCTS];
    for (int i = 0; i < PRODUCTS; i++) {
      products[i] = (tw_product){.out = i % OUT, .count = i < OUT ? 1 + i : (int)walk_random_range(1, 8)};
      int from = (int)(walk_random() % PLANES);
      for (int l = 0; l < products[i].count; l++) {
        int plane = (from + l) % PLANES;
        products[i].literal[l] =
            (tw_literal){plane < 6 ? first : second, plane < 6 ? plane : plane - 6, walk_random() & 1};
      }
    }
    trial_run(&t, tw_open(&t.b, tw_and_products(&t.b, products, PRODUCTS, OUT)));
    size_t wrong = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < n; j++) {
        int want[OUT] = {0};
        for (int i = 0; i < PRODUCTS; i++) {
          int all = 1;
          for (int l = 0; l < products[i].count; l++) {
            tw_literal from = products[i].literal[l];
            all &= sign_of(&t, b, from.tensor == first ? from.plane : from.plane + 6, n, j) ^ from.negate;
          }
          want[products[i].out] ^= all;
        }
        for (int p = 0; p < OUT; p++) wrong += trial_bit(&t, b, p, j) != want[p];
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

static void xors_and_reshaping(void) {
  TRIAL_FOR(n, batch) {
    trial t;
    int input = trial_start(&t, 8, 3 * n, batch), bits = trial_bits(&t, input, 3, n);
    tw_term terms[6] = {{0, bits, 0}, {0, bits, 1}, {0, bits, 2}, {1, bits, 2}, {3, bits, 1}, {3, bits, 1}};
    static const uint8_t constant[4] = {0, 1, 1, 1};
    trial_run(&t, tw_open(&t.b, tw_xor_planes(&t.b, terms, 6, 4, constant)));
    size_t wrong = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < n; j++) {
        int v[3] = {sign_of(&t, b, 0, n, j), sign_of(&t, b, 1, n, j), sign_of(&t, b, 2, n, j)};
        int want[4] = {v[0] ^ v[1] ^ v[2], !v[2], 1, 1};
        for (int p = 0; p < 4; p++) wrong += trial_bit(&t, b, p, j) != want[p];
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

// Planes of n side by side, three at a time, and back.
static void planes_reshaped(void) {
  enum { PLANES = 6, OF = 2 };
  TRIAL_FOR(n, batch) {
    trial t;
    int input = trial_start(&t, 8, PLANES * n, batch), bits = trial_bits(&t, input, PLANES, n);
    int beside = tw_bits_reshape(&t.b, bits, OF, PLANES / OF * n);
    tw_term terms[PLANES + OF];
    int back = tw_bits_reshape(&t.b, beside, PLANES, n);
    for (int p = 0; p < PLANES; p++) terms[p] = (tw_term){p, back, p};
    trial_run(&t, tw_open(&t.b, tw_bits_reshape(&t.b, tw_xor_planes(&t.b, terms, PLANES, PLANES, NULL), OF, 3 * n)));
    size_t wrong = 0;
    for (int b = 0; b < batch; b++)
      for (size_t j = 0; j < PLANES * n; j++)
        wrong += trial_bit(&t, b, (int)(j / (3 * n)), j % (3 * n)) != sign_of(&t, b, (int)(j / n), n, j % n);
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

// ---- what a wire was not made ready for ----

static void questions_refused(void) {
  static const int64_t zero = 0;
  uint64_t values[64] = {0};
  tw_table tables[1] = {{.n = 64, .values = values}};
  const int table[2] = {0, 0}, scale[2] = {0, 0};
  for (int question = 0; question < 5; question++) {
    trial t;
    int out[2] = {0, 0}, x = tw_open(&t.b, trial_start(&t, 20, 4, 1));
    t.program.tables = tables;
    t.program.table_count = 1;
    tw_pieces pieces = {"a function", 6, 6, question == 1 ? TW_ASK_IN_WINDOW : TW_ASK_AT_LEAST};
    if (question == 4) pieces.low_bits = 14;
    tw_compared compared = question == 0 ? tw_compare_wire(&t.b, x) : tw_compare_pieces(&t.b, x, &pieces);
    if (question == 0) tw_lookup(&t.b, compared, 0, 0, table, 20, scale, out);
    if (question == 1) out[0] = tw_at_least(&t.b, compared, &zero, 1);
    if (question == 2) out[0] = tw_in_window(&t.b, compared, 0, 11);
    if (question == 3) tw_lookup(&t.b, compared, 1, 0, table, 20, scale, out);
    static const char *const refused[] = {"not made ready", "comparison with", "do not break", "does not fit",
                                          "a function needs an argument ring"};
    // whatever is asked after a failure is harmless
    tw_piece(&t.b, out[0], out[0], x, 4, compared);
    tw_in_window(&t.b, compared, 0, 12);
    trial_refused(&t, tw_at_least(&t.b, compared, &zero, 1), refused[question]);
    trial_end(&t);
  }
}

// One wire, made ready once: thresholds, a window that ends with the looked-up piece, and the lookup itself.
static void pieces_answer_all(void) {
  enum { RING = 16, LOW = 5, INDEX = 4, N = 300 };
  static const int64_t thresholds[3] = {-100, 0, 77};
  for (int asked = TW_ASK_IN_WINDOW; asked <= TW_ASK_AT_LEAST; asked++) {
    trial t;
    size_t wrong = 0;
    int x = tw_open(&t.b, trial_start(&t, RING, N, 2));
    trial_fill(&t, 0, N, -12000, 12000);
    tw_compared compared = tw_compare_pieces(&t.b, x, &(tw_pieces){"f", LOW, INDEX, (tw_asked)asked});
    bool window = asked == TW_ASK_IN_WINDOW;
    int bits = window ? tw_in_window(&t.b, compared, -40, LOW + INDEX) : tw_at_least(&t.b, compared, thresholds, 3);
    trial_run(&t, tw_open(&t.b, bits));
    for (int b = 0; b < 2; b++)
      for (size_t j = 0; j < N; j++) {
        int64_t value = trial_x(&t, b, j);
        if (window) wrong += trial_bit(&t, b, 0, j) != (value >= -40 && value < -40 + (1 << (LOW + INDEX)));
        for (int i = 0; i < 3 && !window; i++) wrong += trial_bit(&t, b, i, j) != (value >= thresholds[i]);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

SUITE_MAIN("compare", {"leaves", leaves}, {"lookup", lookup}, {"thresholds, exhaustive", thresholds_exhaustive},
           {"thresholds, large rings", thresholds_large_rings}, {"thresholds beside each other", thresholds_beside},
           {"windows", windows}, {"products of bits", and_products}, {"xor and reshape", xors_and_reshaping},
           {"planes reshaped", planes_reshaped}, {"questions refused", questions_refused},
           {"pieces answer all", pieces_answer_all})
