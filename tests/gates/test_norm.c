// LayerNorm and RMSNorm against double precision, in the rings that BERT-base's plan uses.
#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/gates/guard.h"
#include "jobs/models/blocks.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { ROWS = 20, SCALE = 12, RING = 28, PRODUCT_RING = 40, OUT_RING = 36, KEY_PRODUCT_RING = 45, WIDE_OUT_RING = 48 };

static double normal(void) {
  double u = ((double)(walk_random() >> 11) + 1) * 0x1p-53, v = (double)(walk_random() >> 11) * 0x1p-53;
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

// Of a centred row the mean is taken off before: the norm's input is tw_build_centred's.
typedef enum { LAYER, CENTRED, RMS } norm_kind;
// What 1/sqrt is read from: digits; a key, T in one limb; or in two, as the output is wide.
typedef enum { DIGITS, KEY, KEY_TWO_LIMBS } norm_source;
static const char *const source_names[] = {"", " by key", " by key, two limbs"};
static const char *const kind_names[] = {"LayerNorm", "LayerNorm of a centred row", "RMSNorm"};

typedef struct {
  size_t hidden;
  bool rms;
  uint64_t *x, *gamma, *beta;
} norm_case;

static double real(uint64_t v) { return ldexp((double)(int64_t)v, -SCALE); }

static void draw(norm_case *c, double deviation) {
  for (size_t i = 0; i < ROWS; i++) {
    double shift = c->rms ? 0 : normal() * deviation * 0.3;
    if (fabs(shift) > 4) shift = 4;
    for (size_t j = 0; j < c->hidden; j++)
      c->x[i * c->hidden + j] = (uint64_t)llrint(ldexp(normal() * deviation + shift, SCALE));
  }
  for (size_t j = 0; j < c->hidden; j++) {
    c->gamma[j] = (uint64_t)llrint(ldexp(0.8 + 0.2 * normal(), SCALE));
    c->beta[j] = (uint64_t)llrint(ldexp(0.1 * normal(), SCALE));
  }
}

// Errors of rows, relative to a row's own length.
typedef struct {
  double largest, mean;
} row_errors;

static row_errors measure(const norm_case *c, const walk *w) {
  row_errors e = {0, 0};
  for (size_t i = 0; i < ROWS; i++) {
    double mean = 0, square = 0, error = 0, length = 0;
    for (size_t j = 0; j < c->hidden; j++) mean += c->rms ? 0 : real(c->x[i * c->hidden + j]) / (double)c->hidden;
    for (size_t j = 0; j < c->hidden; j++) square += pow(real(c->x[i * c->hidden + j]) - mean, 2) / (double)c->hidden;
    for (size_t j = 0; j < c->hidden; j++) {
      double y = (real(c->x[i * c->hidden + j]) - mean) / sqrt(square + 1e-12) * real(c->gamma[j]) +
                 (c->rms ? 0 : real(c->beta[j]));
      error += pow(walk_real(w, i * c->hidden + j) - y, 2);
      length += y * y;
    }
    e.largest = fmax(e.largest, sqrt(error / length));
    e.mean += sqrt(error / length) / ROWS;
  }
  return e;
}

static tw_status fit(norm_source from, size_t hidden, tw_table tables[2]) {
  tw_segment_spec root = tw_segments_root(hidden, -4, 24, SCALE);
  return from == DIGITS ? tw_spec_fit(&tw_spec_rsqrt, tables) : tw_segments_fit(&root, tables);
}

static row_errors run_case(size_t hidden, norm_kind kind, norm_source from, double deviation) {
  bool rms = kind == RMS, centred = kind == CENTRED;
  int out_ring = from == KEY_TWO_LIMBS ? WIDE_OUT_RING : OUT_RING;
  norm_case c = {hidden, rms, calloc(ROWS * hidden, 8), calloc(hidden, 8), calloc(hidden, 8)};
  draw(&c, deviation);
  tw_table tables[2];
  CU_ASSERT_EQUAL_FATAL(fit(from, hidden, tables), TW_OK);
  tw_program program = {.tables = tables, .table_count = 2};
  tw_builder b;
  tw_builder_start(&b, &program);
  int x = tw_open(&b, tw_build_input(&b, centred ? OUT_RING : RING, SCALE, ROWS * hidden));
  if (centred) x = tw_build_centred(&b, x, hidden, RING);
  int gamma = tw_weight_wire(&b, 0, SCALE, hidden), beta = rms ? -1 : tw_weight_wire(&b, 1, SCALE, hidden);
  int y = tw_build_norm(&b, (tw_tokens){ROWS, ROWS, 0, false}, x, kind == LAYER, gamma, beta, hidden,
                        (tw_norm_rings){from ? KEY_PRODUCT_RING : PRODUCT_RING, 54, 29, 24, from != DIGITS}, out_ring,
                        1e-12);
  tw_build_output(&b, y);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  size_t rows[2] = {1, 1}, cols[2] = {hidden, hidden};
  uint64_t *weights[2] = {c.gamma, c.beta};
  walk w = {.program = &program,
            .batch = 1,
            .input = c.x,
            .weight_count = 2,
            .weight_rows = rows,
            .weight_cols = cols,
            .weight_values = weights};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  CU_ASSERT_EQUAL(w.mismatches, 0);
  CU_ASSERT_EQUAL(w.out_of_bound, 0);
  CU_ASSERT_EQUAL(w.rounds, (from ? 4 : 9) + !rms);  // one for the input
  row_errors e = measure(&c, &w);
  printf("\n    %s%s %zu, deviation %g: row errors, largest %.5f, mean %.5f", kind_names[kind], source_names[from],
         hidden, deviation, e.largest, e.mean);
  walk_free(&w);
  tw_program_free(&program);
  tw_tables_free(tables, 2);
  free(c.x);
  free(c.gamma);
  free(c.beta);
  return e;
}

// Small deviations are near a unit of the input, 2^-12. By 160 runs the mean of 20 rows is at most 0.0020 +- 0.0003
// (deviation 0.05), 0.0004 +- 0.00005 (0.3) and 0.0002, and the largest 0.0052 +- 0.0009, 0.0009 +- 0.00015 and 0.0003.
static void check(size_t hidden, norm_kind kind, norm_source from) {
  static const struct {
    double deviation;
    row_errors most;
  } cases[] = {{0.05, {0.0145, 0.0045}}, {0.3, {0.002, 0.0008}}, {1, {0.001, 0.0004}},
               {4, {0.001, 0.0003}},     {20, {0.0005, 0.0003}}, {100, {0.0005, 0.0003}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    row_errors e = run_case(hidden, kind, from, cases[i].deviation);
    CU_ASSERT(e.largest <= cases[i].most.largest);
    CU_ASSERT(e.mean <= cases[i].most.mean);
  }
}

// Rows of a decoder's first token: one channel holds nearly all. Powers of two from -4 to 34, and the ring that they
// ask for; the last row is an ordinary one.
static void massive_rows(void) {
  enum { HIDDEN = 576, WIDE = 33, LAST = ROWS - 1 };
  norm_case c = {HIDDEN, true, calloc(ROWS * HIDDEN, 8), calloc(HIDDEN, 8), NULL};
  tw_table tables[2];
  for (size_t i = 0; i < ROWS; i++)
    for (size_t j = 0; j < HIDDEN; j++) c.x[i * HIDDEN + j] = (uint64_t)llrint(ldexp(normal(), SCALE));
  for (size_t i = 0; i < LAST; i++) c.x[i * HIDDEN + 7] = (uint64_t)llrint(ldexp(exp2((double)i - 2) * 0.999, SCALE));
  for (size_t j = 0; j < HIDDEN; j++) c.gamma[j] = (uint64_t)llrint(ldexp(0.8 + 0.2 * normal(), SCALE));
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_rsqrt, tables), TW_OK);
  for (int guard = 0; guard < 2; guard++) {
    tw_program program = {.tables = tables, .table_count = 2};
    tw_builder b;
    tw_builder_start(&b, &program);
    b.guard = guard;
    b.choices.flat_norms = guard;
    int x = tw_open(&b, tw_build_input(&b, WIDE, SCALE, ROWS * HIDDEN)), gamma = tw_weight_wire(&b, 0, SCALE, HIDDEN);
    int y = tw_build_norm(&b, (tw_tokens){ROWS, ROWS, 0, false}, x, false, gamma, -1, HIDDEN,
                          (tw_norm_rings){PRODUCT_RING, 24 + 34 + 2 + 2 * guard, 39, 34}, OUT_RING, 1e-5);
    tw_guard_finish(&b);
    tw_build_output(&b, y);
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    size_t one = 1, cols = HIDDEN;
    walk w = {.program = &program,
              .batch = 1,
              .input = c.x,
              .weight_count = 1,
              .weight_rows = &one,
              .weight_cols = &cols,
              .weight_values = &c.gamma};
    CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
    CU_ASSERT_EQUAL(w.mismatches, 0);
    CU_ASSERT_EQUAL(w.out_of_bound, 0);
    row_errors e = measure(&c, &w);
    printf("\n    one channel to 2^16: row errors, largest %.5f, mean %.5f", e.largest, e.mean);
    CU_ASSERT(e.largest <= 0.001);
    CU_ASSERT(e.mean <= 0.0004);
    walk_free(&w);
    tw_program_free(&program);
  }
  tw_tables_free(tables, 2);
  free(c.x);
  free(c.gamma);
}

static void layer_norm_768(void) { check(768, LAYER, DIGITS); }
static void layer_norm_384(void) { check(384, LAYER, DIGITS); }
static void layer_norm_128(void) { check(128, LAYER, DIGITS); }
static void layer_norm_1024(void) { check(1024, LAYER, DIGITS); }
static void centred_rows(void) {
  check(768, CENTRED, DIGITS);
  check(384, CENTRED, DIGITS);
  check(1024, CENTRED, DIGITS);
}
static void rms_norm_768(void) { check(768, RMS, DIGITS); }
static void by_key(void) {
  check(768, LAYER, KEY);
  check(128, LAYER, KEY);
  check(1024, CENTRED, KEY);
  check(768, RMS, KEY);
}
static void by_key_in_two_limbs(void) {
  check(768, LAYER, KEY_TWO_LIMBS);
  check(384, CENTRED, KEY_TWO_LIMBS);
  check(768, RMS, KEY_TWO_LIMBS);
}

int main(void) {
  CU_initialize_registry();
  CU_pSuite suite = CU_add_suite("norm", NULL, NULL);
  CU_ADD_TEST(suite, layer_norm_768);
  CU_ADD_TEST(suite, layer_norm_384);
  CU_ADD_TEST(suite, layer_norm_128);
  CU_ADD_TEST(suite, layer_norm_1024);
  CU_ADD_TEST(suite, centred_rows);
  CU_ADD_TEST(suite, rms_norm_768);
  CU_ADD_TEST(suite, massive_rows);
  CU_ADD_TEST(suite, by_key);
  CU_ADD_TEST(suite, by_key_in_two_limbs);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
