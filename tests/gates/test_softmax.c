// Softmax-weighted values against exact softmax: with V = identity the context is the probabilities themselves.
#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/models/bert.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { HEADS = 2, SCALE = 12 };

typedef struct {
  tw_layer_shape shape;
  tw_rings rings;
  tw_table tables[6];  // the last two of sums of long rows
  tw_program program;
} softmax_program;

static tw_choices choices;

static void build(softmax_program *p, tw_tokens tokens) {
  int seq = (int)tokens.keys;
  *p = (softmax_program){.shape = {.seq = seq, .activation = &tw_spec_gelu, .reciprocal = tw_spec_reciprocal(seq)}};
  p->shape.config = (tw_model_config){.layers = 1, .hidden = 768, .heads = 12, .intermediate = 3072};
  tw_bounds bounds = tw_bert_bounds();
  CU_ASSERT_EQUAL_FATAL(tw_bert_rings(&p->shape, &bounds, &p->rings), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_exp, p->tables), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&p->shape.reciprocal, p->tables + 2), TW_OK);
  const tw_spec *beyond = p->shape.reciprocal.beyond;
  if (beyond) CU_ASSERT_EQUAL_FATAL(tw_spec_fit(beyond, p->tables + 4), TW_OK);
  p->program = (tw_program){.tables = p->tables, .table_count = beyond ? 6 : 4};
  tw_builder b;
  size_t n = tokens.keys, logits = HEADS * tokens.queries * n, values = HEADS * n * n;
  tw_builder_start(&b, &p->program);
  b.choices = choices;
  int x = tw_open(&b, tw_build_input(&b, p->rings.v, SCALE, logits + values));
  int s = tw_reduce(&b, tw_view(&b, x, (tw_view_map){{1, 1, 1, logits}, {0, 0, 0, 1}, 0}), p->rings.logit);
  int v = tw_view(&b, x, (tw_view_map){{1, 1, 1, values}, {0, 0, 0, 1}, logits});
  tw_layer layer = {.shape = &p->shape, .rings = &p->rings, .tokens = tokens};
  int c = tw_open(&b, tw_build_softmax_values(&b, &layer, s, v, HEADS, 1, n));
  tw_build_output(&b, tw_truncate(&b, c, p->shape.reciprocal.out_scale));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

static void drop(softmax_program *p) {
  tw_program_free(&p->program);
  tw_tables_free(p->tables, 6);
}

// Largest error of a probability; logits [HEADS * queries][keys] in units of 2^-12.
static double largest_error(const walk *w, const int64_t *logits, tw_tokens tokens, int length) {
  double worst = 0;
  int seq = (int)tokens.keys, queries = (int)tokens.queries;
  for (int row = 0; row < HEADS * queries; row++) {
    int token = (int)tokens.first + row % queries, live = tokens.causal && token + 1 < length ? token + 1 : length;
    double sum = 0, top = -INFINITY;
    for (int j = 0; j < live; j++) top = fmax(top, ldexp((double)logits[row * seq + j], -SCALE));
    for (int j = 0; j < live; j++) sum += exp(ldexp((double)logits[row * seq + j], -SCALE) - top);
    for (int j = 0; j < seq; j++) {
      double exact = j < live ? exp(ldexp((double)logits[row * seq + j], -SCALE) - top) / sum : 0;
      worst = fmax(worst, fabs(walk_real(w, (size_t)(row * seq + j)) - exact));
    }
  }
  return worst;
}

static double run_case(const softmax_program *p, const int64_t *logits, tw_tokens tokens, int length) {
  int seq = (int)tokens.keys;
  size_t n = HEADS * tokens.queries * tokens.keys;
  uint64_t *input = calloc(n + HEADS * tokens.keys * tokens.keys, sizeof *input);
  for (size_t i = 0; i < n; i++) input[i] = (uint64_t)logits[i] & tw_mask(p->rings.v);
  for (int h = 0; h < HEADS; h++)
    for (int i = 0; i < seq; i++) input[n + (size_t)((h * seq + i) * seq + i)] = 1 << SCALE;
  walk w = {.program = &p->program, .batch = 1, .lengths = &length, .input = input};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  CU_ASSERT_EQUAL(w.mismatches, 0);
  double worst = largest_error(&w, logits, tokens, length);
  walk_free(&w);
  free(input);
  return worst;
}

static int64_t draw(const char *kind, int i, int j) {
  (void)i;
  if (kind[0] == 't') return walk_random_range(-2, 2) * 4096;                              // ties
  if (kind[0] == 'd') return j == 5 ? 60 * 4096 : walk_random_range(-8 * 4096, 8 * 4096);  // one dominant
  if (kind[0] == 'e') return 3 * 4096 + 123;                                               // all equal
  if (kind[0] == 's') return walk_random_range(-100 * 4096, 100 * 4096);                   // spread 200
  return walk_random_range(-6 * 4096, 6 * 4096);
}

static void check_kinds(tw_tokens tokens, int length, const char *const *kinds, size_t count) {
  softmax_program p;
  int seq = (int)tokens.keys, rows = HEADS * (int)tokens.queries;
  build(&p, tokens);
  int64_t *logits = calloc((size_t)(rows * seq), sizeof *logits);
  for (size_t k = 0; k < count; k++) {
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < seq; j++) logits[i * seq + j] = draw(kinds[k], i, j);
    double worst = run_case(&p, logits, tokens, length);
    printf("\n    %zu queries of %d, live %d%s, %s: largest error %.5f", tokens.queries, seq, length,
           tokens.causal ? ", causal" : "", kinds[k], worst);
    CU_ASSERT(worst <= 0.004);
  }
  free(logits);
  drop(&p);
}

static void check_tokens(tw_tokens tokens, int length) {
  static const char *const kinds[] = {"ties", "dominant", "equal", "spread 200", "random"};
  check_kinds(tokens, length, kinds, 5);
}

static void check(int seq, int length, bool causal) {
  check_tokens((tw_tokens){(size_t)seq, (size_t)seq, 0, causal}, length);
}

static void full_rows(void) { check(64, 64, false); }
static void ragged_rows(void) { check(37, 37, false); }
static void dead_keys(void) { check(64, 19, false); }
static void one_live_key(void) { check(24, 1, false); }
static void causal_rows(void) { check(40, 33, true); }
// A next token against those before it, and three of them.
static void one_query(void) { check_tokens((tw_tokens){1, 37, 36, true}, 37); }
static void last_queries(void) { check_tokens((tw_tokens){3, 37, 34, true}, 36); }

// As long as a row can be, and as short as one of two tables for its sum can be.
static void long_rows(void) {
  static const char *const kinds[] = {"equal", "dominant"};  // sums of 1,800 and of 1
  check_kinds((tw_tokens){1, TW_MOST_TOKENS, TW_MOST_TOKENS - 1, true}, TW_MOST_TOKENS, kinds, 2);
  check_kinds((tw_tokens){3, 513, 510, true}, 512, kinds, 2);
}

// As few rounds as can be.
static void few_rounds(void) {
  choices = (tw_choices){.wide_nodes = true, .flat_windows = true, .maximum = {5, 13}};
  check(64, 64, false);
  check(37, 37, false);
  check(64, 19, false);
  check(40, 33, true);
  choices = (tw_choices){0};
}

int main(void) {
  CU_initialize_registry();
  CU_pSuite suite = CU_add_suite("softmax", NULL, NULL);
  CU_ADD_TEST(suite, full_rows);
  CU_ADD_TEST(suite, ragged_rows);
  CU_ADD_TEST(suite, dead_keys);
  CU_ADD_TEST(suite, one_live_key);
  CU_ADD_TEST(suite, causal_rows);
  CU_ADD_TEST(suite, one_query);
  CU_ADD_TEST(suite, last_queries);
  CU_ADD_TEST(suite, long_rows);
  CU_ADD_TEST(suite, few_rounds);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
