// The scalar functions that twain computes: data for the gates of jobs/models/spec.c.
#include <math.h>
#include <string.h>

#include "jobs/models/spec.h"
#include "kernels/digit.h"

static double gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2.0))); }
// The three that take tanh for erf: transformers' NewGELUActivation, FastGELUActivation and torch's approximation.
static double gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}
static double gelu_fast(double x) { return 0.5 * x * (1 + tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))); }
static double relu(double x) { return fmax(x, 0); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double quick_gelu(double x) { return x * sigmoid(1.702 * x); }
static double silu(double x) { return x * sigmoid(x); }
static double exp_minus(double x) { return exp(-x); }
static double reciprocal(double x) { return 1 / fmax(x, 0.25); }
static double rsqrt(double x) { return 1 / sqrt(x); }

// The forms of GeLU have one table each of the same shape. GeLU itself is fitted, not its difference from ReLU, which
// has a kink inside a piece.
#define GELU_TABLE                                                                                      \
  .region = TW_SIDES, .lo = -4, .width = 7, .low_bits = 8, .sub_bits = 2, .slope_scale = 8, .ring = 24, \
  .argument_scale = TW_SCALE, .out_scale = TW_SCALE, .right = {0, 1}
const tw_spec tw_spec_gelu = {.name = "gelu", .f = gelu, GELU_TABLE};
// Up to 1.9 units of 2^-12 from gelu; on -4 all of them are within 0.6 units of zero.
const tw_spec tw_spec_gelu_new = {.name = "gelu_new", .f = gelu_tanh, GELU_TABLE};
const tw_spec tw_spec_gelu_fast = {.name = "gelu_fast", .f = gelu_fast, GELU_TABLE};
const tw_spec tw_spec_gelu_pytorch_tanh = {.name = "gelu_pytorch_tanh", .f = gelu_tanh, GELU_TABLE};
// quick_gelu(-4) is still 18 units below zero.
const tw_spec tw_spec_quick_gelu = {.name = "quick_gelu",
                                    .f = quick_gelu,
                                    .region = TW_SIDES,
                                    .lo = -8,
                                    .width = 8,
                                    .low_bits = 8,
                                    .sub_bits = 2,
                                    .slope_scale = 8,
                                    .ring = 26,
                                    .argument_scale = TW_SCALE,
                                    .out_scale = TW_SCALE,
                                    .right = {0, 1}};
const tw_spec tw_spec_relu = {
    .name = "relu", .f = relu, .region = TW_POSITIVE_PART, .argument_scale = TW_SCALE, .out_scale = TW_SCALE};
// silu(-8) is still 11 units of 2^-12 below zero, hence the wide window.
const tw_spec tw_spec_silu = {.name = "silu",
                              .f = silu,
                              .region = TW_SIDES,
                              .lo = -16,
                              .width = 9,
                              .low_bits = 8,
                              .sub_bits = 2,
                              .slope_scale = 8,
                              .ring = 28,
                              .argument_scale = TW_SCALE,
                              .out_scale = TW_SCALE,
                              .right = {0, 1}};
const tw_spec tw_spec_silu_gate = {.name = "silu_gate",
                                   .f = silu,
                                   .region = TW_SIDES,
                                   .lo = -16,
                                   .width = 8,
                                   .low_bits = 9,
                                   .sub_bits = 3,
                                   .slope_scale = 8,
                                   .ring = 28,
                                   .argument_scale = TW_SCALE,
                                   .out_scale = TW_SCALE,
                                   .right = {0, 1}};
const tw_spec tw_spec_sigmoid = {.name = "sigmoid",
                                 .f = sigmoid,
                                 .region = TW_SIDES,
                                 .lo = -8,
                                 .width = 7,
                                 .low_bits = 9,
                                 .sub_bits = 2,
                                 .slope_scale = 8,
                                 .ring = 24,
                                 .argument_scale = TW_SCALE,
                                 .out_scale = TW_SCALE,
                                 .right = {1, 0}};
const tw_spec tw_spec_tanh = {.name = "tanh",
                              .f = tanh,
                              .region = TW_SIDES,
                              .lo = -8,
                              .width = 8,
                              .low_bits = 8,
                              .sub_bits = 2,
                              .slope_scale = 8,
                              .ring = 24,
                              .argument_scale = TW_SCALE,
                              .out_scale = TW_SCALE,
                              .left = {-1, 0},
                              .right = {1, 0}};
// lo = -D: arguments in [0, 16 - D) are right, later ones give 0.
const tw_spec tw_spec_exp = {.name = "exp",
                             .f = exp_minus,
                             .region = TW_ZERO_OUTSIDE,
                             .lo = -0.0625,
                             .width = 8,
                             .low_bits = 8,
                             .sub_bits = 2,
                             .slope_scale = 6,
                             .ring = 22,
                             .argument_scale = TW_SCALE,
                             .out_scale = TW_SCALE};
// arguments in [1, 2], a little dithered
const tw_spec tw_spec_rsqrt = {.name = "rsqrt",
                               .f = rsqrt,
                               .region = TW_EVERYWHERE,
                               .lo = 1 - 1.0 / 32,
                               .width = 7,
                               .low_bits = 14,
                               .sub_bits = 3,
                               .slope_scale = 10,
                               .ring = 36,
                               .argument_scale = 20,
                               .out_scale = 13};

// From 128 on a sixteenth is finer than needed: pieces of 4.
static const tw_spec reciprocal_far = {.name = "reciprocal_far",
                                       .f = reciprocal,
                                       .region = TW_EVERYWHERE,
                                       .lo = 0,
                                       .width = 10,
                                       .low_bits = 14,
                                       .sub_bits = 3,
                                       .slope_scale = 24,
                                       .ring = 64,
                                       .argument_scale = TW_SCALE,
                                       .out_scale = 21};

tw_spec tw_spec_reciprocal(double largest) {
  tw_spec spec = {.name = "reciprocal",
                  .f = reciprocal,
                  .region = TW_EVERYWHERE,
                  .lo = 0,
                  .width = 11,
                  .low_bits = 8,
                  .sub_bits = 3,
                  .slope_scale = 14,
                  .ring = 64,
                  .argument_scale = TW_SCALE,
                  .out_scale = 18};
  if (largest > 512) {
    spec.region = TW_ZERO_OUTSIDE;
    spec.beyond = &reciprocal_far;
    spec.slope_scale += reciprocal_far.out_scale - spec.out_scale;
    spec.out_scale = reciprocal_far.out_scale;
    return spec;
  }
  // small results need finer units: 0.1 percent of 1/largest
  while (spec.width < TW_DIGIT_MAX_BITS && ldexp(1, spec.width + spec.low_bits - spec.argument_scale) < largest) {
    spec.width++;
    spec.slope_scale++;
    spec.out_scale++;
  }
  return spec;
}

bool tw_spec_has_tables(const tw_spec *spec) { return spec->region != TW_POSITIVE_PART; }

const tw_spec *tw_spec_by_name(const char *name) {
#define ROW(name) &tw_spec_##name,
  static const tw_spec *const all[] = {&tw_spec_exp, &tw_spec_rsqrt, TW_ACTIVATIONS(ROW)};
#undef ROW
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i]->name, name) == 0) return all[i];
  return NULL;
}
