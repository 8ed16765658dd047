// Every spec over its whole domain against libm: the dense range around its window at every representable argument, and
// random arguments up to the bound of its ring.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/pack.h"
#include "tests/common/spec_check.h"
#include "tests/common/suite.h"

static double gelu(double x) { return 0.5 * x * erfc(-x * M_SQRT1_2); }
static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))); }
static double relu(double x) { return x > 0 ? x : 0; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double quick_gelu(double x) { return x * sigmoid(1.702 * x); }
static double exp_minus(double x) { return exp(-x); }
static double reciprocal(double x) { return 1 / x; }
static double rsqrt(double x) { return 1 / sqrt(x); }

enum { UNITS = 4 };  // of 2^-12
static const double PERMILLE = 1e-3;

static void activation_gelu(void) {
  spec_check((spec_case){&tw_spec_gelu, gelu, 24, 38, -12, 12, 1, 1024, false}, UNITS, 0);
}
// Of tanh in place of erf. The two functions differ by 1.9 units at most, so that one table would not do for both.
static void activation_gelu_tanh(void) {
  static const tw_spec *const specs[] = {&tw_spec_gelu_new, &tw_spec_gelu_fast, &tw_spec_gelu_pytorch_tanh};
  for (int i = 0; i < 3; i++) spec_check((spec_case){specs[i], gelu_tanh, 24, 38, -12, 12, 1, 1024, false}, UNITS, 0);
  double widest = 0;
  for (double x = -12; x < 12; x += 0x1p-12) widest = fmax(widest, fabs(gelu(x) - gelu_tanh(x)));
  CU_ASSERT(widest > ldexp(1.9, -12) && widest < ldexp(2, -12));
}
static void activation_quick_gelu(void) {
  spec_check((spec_case){&tw_spec_quick_gelu, quick_gelu, 26, 38, -12, 12, 1, 1024, false}, UNITS, 0);
}
// Exact, and without a table.
static void activation_relu(void) {
  CU_ASSERT_FALSE(tw_spec_has_tables(&tw_spec_relu));
  spec_check((spec_case){&tw_spec_relu, relu, 24, 38, -12, 12, 1, 1024, false}, 0x1p-20, 0);
  spec_check((spec_case){&tw_spec_relu, relu, 20, 20, -12, 12, 1, 120, false}, 0x1p-20, 0);
}
static void activation_silu(void) {
  spec_check((spec_case){&tw_spec_silu, silu, 28, 40, -20, 20, 1, 16384, false}, UNITS, 0);
}
static void activation_sigmoid(void) {
  spec_check((spec_case){&tw_spec_sigmoid, sigmoid, 24, 30, -12, 12, 1, 1024, false}, UNITS, 0);
}
static void activation_tanh(void) {
  spec_check((spec_case){&tw_spec_tanh, tanh, 24, 30, -12, 12, 1, 1024, false}, UNITS, 0);
}
static void activation_wide_ring(void) {
  spec_check((spec_case){&tw_spec_gelu, gelu, 36, 48, -5, 5, 3, 1 << 21, false}, UNITS, 0);
}

// Distances from the maximum.
static void exponential(void) {
  spec_check((spec_case){&tw_spec_exp, exp_minus, 22, 36, 0, 17, 1, 512, true}, UNITS, 0);
  spec_check((spec_case){&tw_spec_exp, exp_minus, 26, 40, 0, 17, 1, 8192, true}, UNITS, 0);
}

static double zero(double x) {
  (void)x;
  return 0;
}

// Outside the window [-1/16, 16 - 1/16) the result is exactly zero, on the whole ring.
static void exponential_outside(void) {
  tw_table tables[SPEC_TABLES];
  spec_case c = {&tw_spec_exp, zero, 22, 36, 16, 511.9, 7, 512, true};
  trial t;
  spec_apply(&t, &c, tables);
  size_t wrong = 0;
  for (size_t j = 0; j < t.n; j++) wrong += trial_y(&t, 0, j) != 0;
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
  tw_tables_free(tables, 2);
  c.dense_from = -512;
  c.dense_to = -0.063;
  spec_apply(&t, &c, tables);
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
  spec_check((spec_case){&spec, reciprocal, 36, 0, 0.8, 128 - 0.07, 13, 128 - 0.07, true}, 0, PERMILLE);
  spec_check((spec_case){&spec, reciprocal, 36, 0, 0.8, 4, 1, 4, true}, 0, PERMILLE);
  spec_check((spec_case){&wide, reciprocal, 36, 0, 0.8, 512 - 0.07, 97, 512 - 0.07, true}, 0, PERMILLE);
  spec_check((spec_case){&wide, reciprocal, 36, 0, 0.8, 2, 1, 2, true}, 0, PERMILLE);
}

// Of long rows: two tables, which meet at 128. The mean of a row's exponentials is below exp(-0.03). For the largest
// sums a unit of the output is 0.09 percent.
static void reciprocal_of_long_rows(void) {
  tw_spec spec = tw_spec_reciprocal(513), longest = tw_spec_reciprocal(TW_MOST_TOKENS);
  CU_ASSERT(spec.beyond && spec.beyond == longest.beyond);
  double most = 0.97 * TW_MOST_TOKENS;
  spec_check((spec_case){&longest, reciprocal, 43, 0, 0.8, 1300, 97, 1300, true}, 0, PERMILLE);
  spec_check((spec_case){&longest, reciprocal, 43, 0, 1300, most, 13, most, true}, 0, 1.7 * PERMILLE);
  spec_check((spec_case){&longest, reciprocal, 43, 0, 127, 129, 1, 129, true}, 0, PERMILLE);
  spec_check((spec_case){&longest, reciprocal, 26, 0, 0.8, 2, 1, 2, true}, 0, PERMILLE);
}

// What LayerNorm hands over: [1, 2), a rounding step more on either side.
static void rsqrt_of_mantissas(void) {
  spec_check((spec_case){&tw_spec_rsqrt, rsqrt, 36, 0, 1 - 0x1p-19, 2 + 0x1p-19, 5, 2, true}, 0, PERMILLE);
  spec_check((spec_case){&tw_spec_rsqrt, rsqrt, 26, 0, 1 - 0x1p-19, 2 + 0x1p-19, 5, 2, true}, 0, PERMILLE);
}

static void lookup_by_name(void) {
  static const tw_spec *const all[] = {
      &tw_spec_gelu,       &tw_spec_gelu_new, &tw_spec_gelu_fast, &tw_spec_gelu_pytorch_tanh,
      &tw_spec_quick_gelu, &tw_spec_relu,     &tw_spec_silu,      &tw_spec_sigmoid,
      &tw_spec_tanh,       &tw_spec_exp,      &tw_spec_rsqrt};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CU_ASSERT_PTR_EQUAL(tw_spec_by_name(all[i]->name), all[i]);
  CU_ASSERT_PTR_NULL(tw_spec_by_name("relu6"));
}

// A plan without the spec's tables, or an argument ring that the window does not fit, is refused by name.
static void refusals(void) {
  trial t;
  int x = trial_start(&t, 24, 10, 1);
  x = tw_open(&t.b, tw_rescale(&t.b, x, 12));
  trial_refused(&t, tw_open(&t.b, tw_apply_spec(&t.b, x, &tw_spec_gelu, 38)), "gelu.base");
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

SUITE_MAIN("spec", {"gelu", activation_gelu}, {"gelu by tanh", activation_gelu_tanh},
           {"quick_gelu", activation_quick_gelu}, {"relu", activation_relu}, {"silu", activation_silu},
           {"sigmoid", activation_sigmoid}, {"tanh", activation_tanh}, {"gelu in a wide ring", activation_wide_ring},
           {"exp", exponential}, {"exp outside", exponential_outside}, {"reciprocal", reciprocal_of_sums},
           {"reciprocal of long rows", reciprocal_of_long_rows}, {"rsqrt", rsqrt_of_mantissas},
           {"by name", lookup_by_name}, {"refusals", refusals})
