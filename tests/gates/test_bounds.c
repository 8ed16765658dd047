// Declared bounds and what follows from them: every gate at the extremes of its declared bounds, at every sequence
// length, equals the emulator and comes near exact arithmetic; the guard counts what lies beyond, and nothing else.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/models/bert.h"
#include "jobs/models/import.h"
#include "jobs/parties/share.h"
#include "jobs/plan/plan.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { SCALE = 12, UNIT = 1 << SCALE };
static const int lengths_tried[] = {1, 2, 127, 128, 384, 512};
#define EACH_LENGTH(seq) for (size_t at_ = 0, seq = 0; at_ < 6 && (seq = (size_t)lengths_tried[at_], 1); at_++)

static int64_t one_of(int64_t a, int64_t b) { return walk_random() & 1 ? a : b; }

// ---- rows of attention: logits and values

typedef struct {
  tw_layer_shape shape;
  tw_bounds bounds;
  tw_rings rings;
  tw_table tables[4];
  tw_program program;
} attention;

enum { DIM = 2 };

static double measured_value = 63;  // V's bound

static void build_attention(attention *a, int seq, bool guard) {
  *a = (attention){
      .shape = {.seq = seq, .guard = guard, .activation = &tw_spec_gelu, .reciprocal = tw_spec_reciprocal(seq)},
      .bounds = tw_bert_bounds()};
  a->bounds.value = measured_value;
  a->shape.config = (tw_model_config){.layers = 1, .hidden = 768, .heads = 12, .intermediate = 3072};
  CU_ASSERT_EQUAL_FATAL(tw_bert_rings(&a->shape, &a->bounds, &a->rings), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_exp, a->tables), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&a->shape.reciprocal, a->tables + 2), TW_OK);
  a->program = (tw_program){.tables = a->tables, .table_count = 4};
  tw_builder b;
  size_t n = (size_t)seq, logits = n * n, values = n * DIM;
  tw_builder_start(&b, &a->program);
  b.guard = guard;
  int narrow = a->rings.qkv - SCALE < a->rings.v ? a->rings.qkv - SCALE : a->rings.v;
  int x = tw_open(&b, tw_build_input(&b, narrow, SCALE, logits + values));
  int s = tw_reduce(&b, tw_view(&b, x, (tw_view_map){{1, 1, 1, logits}, {0, 0, 0, 1}, 0}), a->rings.logit);
  int v = tw_view(&b, x, (tw_view_map){{1, 1, 1, values}, {0, 0, 0, 1}, logits});
  tw_tokens tokens = {n, n, 0, false};
  tw_declare(&b, s, "logit", 0, TW_BY_PAIR, 1, tokens);
  tw_declare(&b, v, "value", a->rings.value_limit, TW_BY_HEAD, 1, tokens);
  int c = tw_open(&b, tw_build_softmax_values(&b, &(tw_layer){.shape = &a->shape, .rings = &a->rings, .tokens = tokens},
                                              s, v, 1, 1, DIM));
  c = tw_truncate(&b, c, a->shape.reciprocal.out_scale);
  tw_guard_finish(&b);
  tw_build_output(&b, c);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

static void drop_attention(attention *a) {
  tw_program_free(&a->program);
  tw_tables_free(a->tables, 4);
}

typedef enum { SAME_HIGH, SAME_LOW, ENDS, ONE_HIGH, LOGITS } logit_kind;

static int64_t draw_logit(logit_kind kind, size_t j, int64_t most) {
  if (kind == SAME_HIGH) return most;
  if (kind == SAME_LOW) return -most;
  if (kind == ENDS) return one_of(most, -most);
  return j == 0 ? most : -most;
}

static double exact_context(const int64_t *s, const int64_t *v, size_t seq, size_t d) {
  double top = -INFINITY, sum = 0, context = 0;
  for (size_t j = 0; j < seq; j++) top = fmax(top, (double)s[j] / UNIT);
  for (size_t j = 0; j < seq; j++) sum += exp((double)s[j] / UNIT - top);
  for (size_t j = 0; j < seq; j++) context += exp((double)s[j] / UNIT - top) / sum * (double)v[j * DIM + d] / UNIT;
  return context;
}

// Values of one sign, where they add up most, and of both; as large as the guard lets pass.
static void draw_rows(const attention *a, logit_kind kind, int64_t *x) {
  size_t seq = (size_t)a->shape.seq;
  int64_t most = (int64_t)(a->bounds.logit * UNIT), large = ((int64_t)1 << a->rings.value_limit) - 1;
  for (size_t i = 0; i < seq * seq; i++) x[i] = draw_logit(kind, i % seq, most);
  for (size_t j = 0; j < seq; j++) {
    x[seq * seq + j * DIM] = kind == SAME_LOW ? -large : large;
    x[seq * seq + j * DIM + 1] = one_of(large, -large);
  }
}

static void run_attention(attention *a, logit_kind kind) {
  size_t seq = (size_t)a->shape.seq, n = seq * seq + seq * DIM;
  int64_t *x = calloc(n, sizeof *x);
  uint64_t *input = calloc(n, sizeof *input);
  int ring = a->program.tensors[a->program.inputs[0]].ring;
  draw_rows(a, kind, x);
  for (size_t i = 0; i < n; i++) input[i] = (uint64_t)x[i] & tw_mask(ring);
  walk w = {.program = &a->program, .batch = 1, .input = input};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  CU_ASSERT_EQUAL(w.mismatches, 0);
  CU_ASSERT_EQUAL(w.out_of_bound, 0);
  if (a->shape.guard) CU_ASSERT_EQUAL(w.guard[0], 0);
  double worst = 0;
  for (size_t i = 0; i<seq; i += seq> 16 ? seq / 16 : 1)
    for (size_t d = 0; d < DIM; d++)
      worst = fmax(worst, fabs(walk_real(&w, i * DIM + d) - exact_context(x + i * seq, x + seq * seq, seq, d)));
  double most = 0.005 * fmax(a->bounds.value, 1);
  CU_ASSERT(worst < most);
  if (worst >= most) printf("\n  seq %zu, kind %d: off by %g", seq, kind, worst);
  walk_free(&w);
  free(input);
  free(x);
}

// The longest rows take a while: there the two kinds that fill sums most, and not both with a guard.
static void attention_extremes(void) {
  for (int guard = 0; guard < 2; guard++) EACH_LENGTH(seq) {
      attention a;
      build_attention(&a, (int)seq, guard);
      for (int kind = 0; kind < LOGITS; kind++)
        if (seq < 384 || kind == (guard ? SAME_LOW : SAME_HIGH)) run_attention(&a, (logit_kind)kind);
      drop_attention(&a);
    }
}

// A bound that was measured need not be a power of two, nor a length.
static void measured_values(void) {
  static const double values[] = {0.3, 33, 40, 63};
  static const int lengths[] = {3, 40, 80, 96, 130};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
      attention a;
      measured_value = values[i];
      build_attention(&a, lengths[j], (i + j) % 2);
      run_attention(&a, SAME_HIGH);
      run_attention(&a, SAME_LOW);
      drop_attention(&a);
    }
  measured_value = 63;
}

// ---- rows of a norm

typedef enum { OFFSET, SPIKE, FLAT, ROW_KINDS } row_kind;
enum { ROWS = 2 * ROW_KINDS, HIDDEN = 768 };

// OFFSET: alternating around a mean as far out as the bound lets it; SPIKE: one element has all of the largest sum of
// squares; FLAT: the least sum of squares around such a mean.
static void draw_row(row_kind kind, const tw_bounds *b, int64_t sign, int64_t *row) {
  int64_t far = (int64_t)(b->residual * UNIT);
  double squares = kind == FLAT ? 1.05 * b->variance_sum_min : 0.999 * b->variance_sum_max;
  double step = kind == SPIKE ? sqrt(squares * HIDDEN / (HIDDEN - 1)) : sqrt(squares / HIDDEN);
  for (int j = 0; j < HIDDEN; j++) {
    double z = kind == SPIKE ? (j == 77 ? -step : 0) : (j % 2 ? 0 : -2 * step);
    row[j] = sign * (far + llrint(z * UNIT));
  }
}

static double norm_error(const int64_t *row, const uint64_t *gamma, const uint64_t *beta, const walk *w, size_t at) {
  double mean = 0, squares = 0, error = 0, length = 0;
  for (int j = 0; j < HIDDEN; j++) mean += (double)row[j] / UNIT / HIDDEN;
  for (int j = 0; j < HIDDEN; j++) squares += pow((double)row[j] / UNIT - mean, 2);
  for (int j = 0; j < HIDDEN; j++) {
    double z = ((double)row[j] / UNIT - mean) / sqrt(squares / HIDDEN) * (double)(int64_t)gamma[j] / UNIT;
    error += pow(walk_real(w, at + (size_t)j) - z - (double)(int64_t)beta[j] / UNIT, 2);
    length += z * z;
  }
  return sqrt(error / length);
}

static void norm_extremes(void) {
  for (int guard = 0; guard < 2; guard++) {
    attention a;
    build_attention(&a, ROWS, guard);
    tw_rings *r = &a.rings;
    static int64_t x[ROWS * HIDDEN];
    static uint64_t input[ROWS * HIDDEN], gamma[HIDDEN], beta[HIDDEN];
    for (int i = 0; i < ROWS; i++) draw_row((row_kind)(i / 2), &a.bounds, i % 2 ? 1 : -1, x + i * HIDDEN);
    for (int i = 0; i < ROWS * HIDDEN; i++) input[i] = (uint64_t)x[i] & tw_mask(r->out - SCALE);
    for (int j = 0; j < HIDDEN; j++) {
      gamma[j] = (uint64_t)one_of(63 * UNIT, -63 * UNIT);
      beta[j] = (uint64_t)one_of(1023 * UNIT, -1023 * UNIT);
    }
    tw_table tables[2];
    CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_rsqrt, tables), TW_OK);
    tw_program program = {.tables = tables, .table_count = 2};
    tw_builder b;
    tw_builder_start(&b, &program);
    b.guard = guard;
    int wire = tw_open(&b, tw_build_input(&b, r->out - SCALE, SCALE, ROWS * HIDDEN));
    tw_tokens tokens = {ROWS, ROWS, 0, false};
    tw_declare(&b, wire, "residual", 0, TW_BY_ROW, 1, tokens);
    int gamma_wire = tw_weight_wire(&b, 0, SCALE, HIDDEN), beta_wire = tw_weight_wire(&b, 1, SCALE, HIDDEN);
    int y = tw_build_norm(&b, tokens, wire, true, gamma_wire, beta_wire, HIDDEN,
                          (tw_norm_rings){r->product, r->squares, r->exponents, r->highest}, r->norm1, 1e-12);
    tw_guard_finish(&b);
    tw_build_output(&b, y);
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    size_t rows[2] = {1, 1}, cols[2] = {HIDDEN, HIDDEN};
    uint64_t *weights[2] = {gamma, beta};
    walk w = {.program = &program,
              .batch = 1,
              .input = input,
              .weight_count = 2,
              .weight_rows = rows,
              .weight_cols = cols,
              .weight_values = weights};
    CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
    CU_ASSERT_EQUAL(w.mismatches, 0);
    CU_ASSERT_EQUAL(w.out_of_bound, 0);
    if (guard) CU_ASSERT_EQUAL(w.guard[0], 0);
    for (int i = 0; i < ROWS; i++) {
      double error = norm_error(x + i * HIDDEN, gamma, beta, &w, (size_t)i * HIDDEN);
      // the mean, 16 000 here, is taken with a factor of 16 bits; a flat row's deviation is 38 units of 2^-12
      double most = i / 2 == FLAT ? 60 : 0.004;
      CU_ASSERT(error < most);
      if (error >= most) printf("\n  row kind %d, guard %d: relative error %g", i / 2, guard, error);
    }
    walk_free(&w);
    tw_program_free(&program);
    tw_tables_free(tables, 2);
    drop_attention(&a);
  }
}

// ---- whole plans

typedef struct {
  double value, logit, attention, up, forward, input;  // what the biases make of every element
  bool flat;                                           // rows without any variance
} made;

typedef struct {
  tw_model model;
  tw_plan plan;
  uint64_t **weights, *input;
  double *x;
  size_t *rows, *cols;
  walk w;
} whole;

enum { WIDE = 8, QKV = 1, OUT = 3, UP = 7, DOWN = 9 };  // tensors of biases; those of weights come before

static void set_biases(tw_model *model, const made *m) {
  static const int parts[] = {QKV, OUT, UP, DOWN};
  for (int i = 0; i < 4; i++) {
    tw_model_tensor *weight = &model->tensors[parts[i] - 1];
    for (size_t j = 0; j < weight->rows * weight->cols; j++) weight->values[j] = 0;
  }
  double query = sqrt(m->logit / sqrt(WIDE));
  for (int j = 0; j < WIDE; j++) {
    double sign = j % 2 ? 1 : -1;
    model->tensors[QKV].values[j] = model->tensors[QKV].values[WIDE + j] = (float)query;
    model->tensors[QKV].values[2 * WIDE + j] = (float)m->value;
    model->tensors[OUT].values[j] = (float)(sign * m->attention);  // no mean, which centring takes off
    model->tensors[UP].values[j] = (float)(sign * m->up);
    model->tensors[DOWN].values[j] = (float)(sign * m->forward);
  }
}

static void start_whole(whole *t, int seq, bool guard, bool centred, const made *m) {
  tw_client client;
  memset(t, 0, sizeof *t);
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("1x8x1x8", &t->model, &client), TW_OK);
  tw_client_free(&client);
  t->model.config.max_positions = 512;
  set_biases(&t->model, m);
  tw_plan_request request = {.seq = seq, .guard = guard, .choices = {.centred = centred}};
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&t->model.config, &request, NULL, &t->plan), TW_OK);
  size_t n = (size_t)seq * WIDE;
  t->x = calloc(n, sizeof *t->x);
  t->input = calloc(n, sizeof *t->input);
  for (size_t j = 0; j < n; j++) {
    int64_t v = m->flat ? UNIT : walk_random_range(-3 * UNIT, 3 * UNIT) + (int64_t)(m->input * UNIT);
    t->x[j] = (double)v / UNIT;
    t->input[j] = (uint64_t)v & tw_mask(TW_INPUT_RING);
  }
  CU_ASSERT_EQUAL_FATAL(tw_fixed_tensors(&t->model, &t->weights), TW_OK);
  t->rows = calloc((size_t)t->model.count, sizeof *t->rows);
  t->cols = calloc((size_t)t->model.count, sizeof *t->cols);
  for (int i = 0; i < t->model.count; i++) t->rows[i] = t->model.tensors[i].rows, t->cols[i] = t->model.tensors[i].cols;
  t->w = (walk){.program = &t->plan.program,
                .batch = 1,
                .input = t->input,
                .weight_count = t->model.count,
                .weight_rows = t->rows,
                .weight_cols = t->cols,
                .weight_values = t->weights};
}

static void end_whole(whole *t) {
  walk_free(&t->w);
  tw_fixed_free(t->weights, t->model.count);
  tw_model_free(&t->model);
  tw_plan_free(&t->plan);
  free(t->x);
  free(t->input);
  free(t->rows);
  free(t->cols);
}

static double whole_error(const whole *t, int seq) {
  size_t n = (size_t)seq * WIDE;
  double *y = calloc(n, sizeof *y), error = 0, length = 0;
  CU_ASSERT_EQUAL_FATAL(tw_float_forward(&t->model, t->x, seq, seq, 1, y, NULL), TW_OK);
  for (size_t j = 0; j < n; j++) error += pow(walk_real(&t->w, j) - y[j], 2), length += y[j] * y[j];
  free(y);
  return sqrt(error / length);
}

// Uniform attention over values of one sign is where sums over keys are largest.
static void plan_extremes(void) {
  static const made ends = {.value = 63, .logit = 254, .attention = 2000, .up = 1022, .forward = 2000, .input = 1019};
  EACH_LENGTH(seq) {
    bool guard = walk_random() & 1, centred = walk_random() & 1;
    whole t;
    start_whole(&t, (int)seq, guard, centred, &ends);
    CU_ASSERT_EQUAL_FATAL(walk_run(&t.w), TW_OK);
    CU_ASSERT_EQUAL(t.w.mismatches, 0);
    CU_ASSERT_EQUAL(t.w.out_of_bound, 0);
    if (guard) CU_ASSERT_EQUAL(t.w.guard[0], 0);
    double error = whole_error(&t, (int)seq);
    CU_ASSERT(error < 0.01);
    if (error >= 0.01 || t.w.mismatches)
      printf("\n  seq %zu, guard %d, centred %d: relative error %g", seq, guard, centred, error);
    end_whole(&t);
  }
}

// What lies twice beyond a bound is counted without fail; dead tokens are not. The parties and the emulator agree.
// after: how much more may be counted of what a norm makes of sums of squares that wrap.
static void guard_counts(void) {
  enum { SEQ = 20, LIVE = 13, ALL = LIVE * WIDE };
  static const struct {
    const char *what;
    made m;
    uint64_t count, after;
  } cases[] = {{"nothing", {.value = 60, .logit = 200, .attention = 2000, .up = 1000, .forward = 2000}, 0, 0},
               {"value", {.value = 131}, ALL, ALL / 20},
               {"logit", {.logit = 600}, LIVE * LIVE, LIVE * LIVE / 20},
               {"attention and residual", {.attention = 40000}, 2 * ALL, ALL + 2 * LIVE},
               {"up", {.up = 3000}, ALL, ALL / 20},
               {"feed-forward and residual", {.forward = 40000}, 2 * ALL, LIVE},
               {"input", {.input = 3000}, ALL, ALL / 20},
               {"large sum of squares", {.attention = 3000}, LIVE, 0},
               {"small sum of squares", {.flat = true}, 2 * LIVE, LIVE / 10}};
  for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
    const made *m = &cases[i / 2].m;
    uint64_t count = cases[i / 2].count;
    whole t;
    int live = LIVE;
    start_whole(&t, SEQ, true, i % 2, m);
    t.w.lengths = &live;
    CU_ASSERT_EQUAL_FATAL(walk_run(&t.w), TW_OK);
    CU_ASSERT(t.w.guard[0] >= count && t.w.guard[0] <= count + cases[i / 2].after);
    CU_ASSERT_EQUAL(t.w.out_of_bound > 0, count > 0);
    if (count == 0) CU_ASSERT_EQUAL(t.w.mismatches, 0);
    if (t.w.guard[0] < count || t.w.guard[0] > count + cases[i / 2].after)
      printf("\n  %s, centred %d: counted %lu, not %lu", cases[i / 2].what, (int)(i % 2), t.w.guard[0], count);
    end_whole(&t);
  }
}

// Every value of a ring of 6 bits with a bound of 2^3: below it none is counted, from twice the bound to the ring's end
// each is, in between some are.
static void guard_on_small_ring(void) {
  enum { RING = 6, ALL = 1 << RING, BOUND = 8, ROUNDS = 40 };
  int between = 0, counted = 0;
  for (int round = 0; round < ROUNDS; round++)
    for (int x = -ALL / 2; x < ALL / 2; x++) {
      tw_program program = {0};
      tw_builder b;
      uint64_t input = (uint64_t)x & tw_mask(RING);
      tw_builder_start(&b, &program);
      b.guard = true;
      int wire = tw_open(&b, tw_build_input(&b, RING, 0, 1));
      tw_declare(&b, wire, "x", 3, TW_BY_ROW, 1, (tw_tokens){1, 1, 0, false});
      int y = tw_open(&b, tw_as_share(&b, wire));
      tw_guard_finish(&b);
      tw_build_output(&b, y);
      CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
      walk w = {.program = &program, .batch = 1, .input = &input};
      CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
      CU_ASSERT_EQUAL(w.mismatches, 0);
      bool outside = x >= BOUND || x < -BOUND;
      CU_ASSERT_EQUAL(w.out_of_bound, outside);
      if (!outside) CU_ASSERT_EQUAL(w.guard[0], 0);
      if (x >= 2 * BOUND || x < -2 * BOUND) CU_ASSERT_EQUAL(w.guard[0], 1);
      if (outside && x < 2 * BOUND && x >= -2 * BOUND) between++, counted += (int)w.guard[0];
      walk_free(&w);
      tw_program_free(&program);
    }
  CU_ASSERT(counted > between / 4 && counted < 3 * between / 4);
}

SUITE_MAIN("bounds", {"attention at its extremes", attention_extremes},
           {"measured values at their extremes", measured_values}, {"norms at their extremes", norm_extremes},
           {"whole plans at their extremes", plan_extremes}, {"the guard counts", guard_counts},
           {"the guard on a small ring", guard_on_small_ring})
