// Every spec over its whole domain against libm: the dense range around its window at every representable argument, and
// random arguments up to the bound of its ring.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/models/spec.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static double gelu(double x) { return 0.5 * x * erfc(-x * M_SQRT1_2); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double exp_minus(double x) { return exp(-x); }
static double reciprocal(double x) { return 1 / x; }
static double rsqrt(double x) { return 1 / sqrt(x); }

typedef struct {
  const tw_spec *spec;
  double (*exact)(double);
  int ring, out_ring;
  double dense_from, dense_to;  // every `step`-th argument
  int step;
  double bound;  // random arguments in (-bound, bound), or [dense_from, bound) for one-sided domains
  bool one_sided;
} spec_case;

static void apply(trial *t, const spec_case *c, tw_table tables[2]) {
  enum { RANDOM = 20000 };
  int scale = c->spec->argument_scale;
  int64_t from = (int64_t)ceil(ldexp(c->dense_from, scale)), to = (int64_t)floor(ldexp(c->dense_to, scale));
  int64_t most = (int64_t)ldexp(c->bound, scale) - 1;
  size_t dense = (size_t)((to - from) / c->step + 1);
  int x = trial_start(t, c->ring, dense + RANDOM, 1);
  t->program.tables = tables;
  t->program.table_count = 2;
  for (size_t j = 0; j < dense; j++) t->input[j] = (uint64_t)(from + (int64_t)j * c->step) & tw_mask(c->ring);
  trial_fill(t, dense, RANDOM, c->one_sided ? from : -most, most);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(c->spec, tables), TW_OK);
  int y = tw_apply_spec(&t->b, tw_open(&t->b, tw_rescale(&t->b, x, scale)), c->spec, c->out_ring);
  trial_run(t, tw_look(&t->b, y).kind == TW_WIRE ? y : tw_open(&t->b, y));
  CU_ASSERT_EQUAL(t->w.out_of_bound, 0);
}

// Largest error in units of the output's scale, and the largest relative one.
static void check(spec_case c, double most_units, double most_relative) {
  tw_table tables[2];
  trial t;
  apply(&t, &c, tables);
  double units = 0, relative = 0, at = 0;
  for (size_t j = 0; j < t.n; j++) {
    double x = ldexp((double)trial_x(&t, 0, j), -c.spec->argument_scale), exact = c.exact(x);
    double error = fabs(walk_real(&t.w, j) - exact);
    if (error / fabs(exact) > relative) relative = error / fabs(exact);
    if (ldexp(error, c.spec->out_scale) <= units) continue;
    units = ldexp(error, c.spec->out_scale);
    at = x;
  }
  bool passed = most_units > 0 ? units <= most_units : relative <= most_relative;
  printf("\n    %s: %.2f units of its output (at %g), relative error %.3g", c.spec->name, units, at, relative);
  CU_ASSERT(passed);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

enum { UNITS = 4 };  // of 2^-12
static const double PERMILLE = 1e-3;

static void activation_gelu(void) {
  check((spec_case){&tw_spec_gelu, gelu, 24, 38, -12, 12, 1, 1024, false}, UNITS, 0);
}
static void activation_silu(void) {
  check((spec_case){&tw_spec_silu, silu, 28, 40, -20, 20, 1, 16384, false}, UNITS, 0);
}
static void activation_sigmoid(void) {
  check((spec_case){&tw_spec_sigmoid, sigmoid, 24, 30, -12, 12, 1, 1024, false}, UNITS, 0);
}
static void activation_tanh(void) {
  check((spec_case){&tw_spec_tanh, tanh, 24, 30, -12, 12, 1, 1024, false}, UNITS, 0);
}
static void activation_wide_ring(void) {
  check((spec_case){&tw_spec_gelu, gelu, 36, 48, -5, 5, 3, 1 << 21, false}, UNITS, 0);
}

// Distances from the maximum.
static void exponential(void) {
  check((spec_case){&tw_spec_exp, exp_minus, 22, 36, 0, 17, 1, 512, true}, UNITS, 0);
  check((spec_case){&tw_spec_exp, exp_minus, 26, 40, 0, 17, 1, 8192, true}, UNITS, 0);
}

static double zero(double x) {
  (void)x;
  return 0;
}

// Outside the window [-1/16, 16 - 1/16) the result is exactly zero, on the whole ring.
static void exponential_outside(void) {
  tw_table tables[2];
  spec_case c = {&tw_spec_exp, zero, 22, 36, 16, 511.9, 7, 512, true};
  trial t;
  apply(&t, &c, tables);
  size_t wrong = 0;
  for (size_t j = 0; j < t.n; j++) wrong += trial_y(&t, 0, j) != 0;
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
  tw_tables_free(tables, 2);
  c.dense_from = -512;
  c.dense_to = -0.063;
  apply(&t, &c, tables);
  wrong = 0;
  for (size_t j = 0; j < t.n; j++) {
    double x = ldexp((double)trial_x(&t, 0, j), -12);
    wrong += (x < -0.0625 || x >= 16) && trial_y(&t, 0, j) != 0;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
  tw_tables_free(tables, 2);
}

static void reciprocal_of_sums(void) {
  tw_spec spec = tw_spec_reciprocal(128), wide = tw_spec_reciprocal(512);
  check((spec_case){&spec, reciprocal, 36, 0, 0.8, 128 - 0.07, 13, 128 - 0.07, true}, 0, PERMILLE);
  check((spec_case){&spec, reciprocal, 36, 0, 0.8, 4, 1, 4, true}, 0, PERMILLE);
  check((spec_case){&wide, reciprocal, 36, 0, 0.8, 512 - 0.07, 97, 512 - 0.07, true}, 0, PERMILLE);
  check((spec_case){&wide, reciprocal, 36, 0, 0.8, 2, 1, 2, true}, 0, PERMILLE);
}

// What LayerNorm hands over: [1, 2), a rounding step more on either side.
static void rsqrt_of_mantissas(void) {
  check((spec_case){&tw_spec_rsqrt, rsqrt, 36, 0, 1 - 0x1p-19, 2 + 0x1p-19, 5, 2, true}, 0, PERMILLE);
  check((spec_case){&tw_spec_rsqrt, rsqrt, 26, 0, 1 - 0x1p-19, 2 + 0x1p-19, 5, 2, true}, 0, PERMILLE);
}

static void lookup_by_name(void) {
  static const tw_spec *const all[] = {&tw_spec_gelu, &tw_spec_silu, &tw_spec_sigmoid,
                                       &tw_spec_tanh, &tw_spec_exp,  &tw_spec_rsqrt};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CU_ASSERT_PTR_EQUAL(tw_spec_by_name(all[i]->name), all[i]);
  CU_ASSERT_PTR_NULL(tw_spec_by_name("relu6"));
}

// A plan without the spec's tables, or an argument ring that the window does not fit, is refused by name.
static void refusals(void) {
  trial t;
  int x = trial_start(&t, 24, 10, 1);
  x = tw_open(&t.b, tw_rescale(&t.b, x, 12));
  trial_refused(&t, tw_open(&t.b, tw_apply_spec(&t.b, x, &tw_spec_gelu, 38)), "gelu.A");
  trial_end(&t);
  tw_table tables[2];
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_gelu, tables), TW_OK);
  x = trial_start(&t, 15, 10, 1);
  t.program.tables = tables;
  t.program.table_count = 2;
  x = tw_open(&t.b, tw_rescale(&t.b, x, 12));
  trial_refused(&t, tw_open(&t.b, tw_apply_spec(&t.b, x, &tw_spec_gelu, 38)), "raise the bound");
  trial_end(&t);
  tw_tables_free(tables, 2);
}

SUITE_MAIN("spec", {"gelu", activation_gelu}, {"silu", activation_silu}, {"sigmoid", activation_sigmoid},
           {"tanh", activation_tanh}, {"gelu in a wide ring", activation_wide_ring}, {"exp", exponential},
           {"exp outside", exponential_outside}, {"reciprocal", reciprocal_of_sums}, {"rsqrt", rsqrt_of_mantissas},
           {"by name", lookup_by_name}, {"refusals", refusals})
