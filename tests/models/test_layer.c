// Whole encoder layers through dealer, parties and emulator, against the float64 model with the same rounded weights.
#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/models/float_model.h"
#include "jobs/models/import.h"
#include "jobs/parties/share.h"
#include "jobs/parties/share_input.h"
#include "jobs/plan/plan.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

static double normal(void) {
  double u = ((double)(walk_random() >> 11) + 1) * 0x1p-53, v = (double)(walk_random() >> 11) * 0x1p-53;
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

// Activations as a trained encoder has them: a common offset and one outlier column.
static void draw_input(double *x, uint64_t *fixed, int batch, int seq, int hidden) {
  for (int i = 0; i < batch * seq; i++)
    for (int j = 0; j < hidden; j++) {
      double v = normal() * 0.8 + 0.2 * sin(j);
      if (j == 5) v *= 8;
      size_t at = (size_t)(i * hidden + j);
      int64_t rounded = tw_fixed_value(v);
      x[at] = ldexp((double)rounded, -12);
      fixed[at] = (uint64_t)rounded & tw_mask(TW_INPUT_RING);
    }
}

typedef struct {
  const char *shape, *activation;  // NULL: the shape's own
  int seq, batch;
  const int *lengths;
  bool pre_norm, causal, centred, keep_masks, repeat_kernels;
  tw_rounding rounding;
  tw_read_by engine;
  double limit;
  tw_head head;  // and then the result is its
} layer_case;

static tw_output output_of(const layer_case *c) {
  if (c->head.kind == TW_HEAD_NONE) return TW_OUTPUT_TOKENS;
  return c->head.kind == TW_HEAD_DENSE ? TW_OUTPUT_DENSE : TW_OUTPUT_LOGITS;
}

// The model with random tensors of a head behind its own.
static void add_head(const tw_head *head, tw_model *model) {
  tw_model with;
  tw_model_config config = model->config;
  config.head = *head;
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&config, &with), TW_OK);
  for (int i = 0; i < with.count; i++) {
    tw_model_tensor *t = &with.tensors[i];
    size_t n = t->rows * t->cols;
    for (size_t j = 0; j < n; j++)
      t->values[j] = i < model->count ? model->tensors[i].values[j] : (float)(0.1 * normal());
  }
  tw_model_free(model);
  *model = with;
}

static double relative_error(const layer_case *c, const tw_model *model, const walk *w, const double *x) {
  int hidden = model->config.hidden, outputs = c->head.kind ? c->head.outputs : hidden;
  size_t n = (size_t)c->seq * (size_t)hidden, by_row = tw_config_by_row(&model->config, output_of(c));
  size_t each = (by_row ? (size_t)c->seq : 1) * (size_t)outputs;
  double *rows = calloc(n, sizeof *rows), *reference = calloc(each, sizeof *reference), error = 0, length = 0;
  for (int b = 0; b < c->batch; b++) {
    int live = c->lengths ? c->lengths[b] : c->seq;
    CU_ASSERT_EQUAL_FATAL(tw_float_forward(model, x + (size_t)b * n, c->seq, live, 1, rows, NULL), TW_OK);
    if (c->head.kind)
      CU_ASSERT_EQUAL_FATAL(tw_float_output(model, output_of(c), rows, live, 1, reference, NULL), TW_OK);
    const double *wanted = c->head.kind ? reference : rows;
    for (size_t j = 0; j < (by_row ? (size_t)live : 1) * (size_t)outputs; j++) {
      error += pow(walk_real(w, (size_t)b * each + j) - wanted[j], 2);
      length += wanted[j] * wanted[j];
    }
  }
  free(rows);
  free(reference);
  return sqrt(error / length);
}

static void make_plan(const layer_case *c, const tw_model *model, tw_plan *plan) {
  tw_plan_request request = {.seq = c->seq,
                             .rounding = c->rounding,
                             .output = output_of(c),
                             .guard = c->head.kind != TW_HEAD_NONE,
                             .choices = {.centred = c->centred, .engine = c->engine}};
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&model->config, &request, NULL, plan), TW_OK);
}

static uint64_t run_case(const layer_case *c) {
  tw_model model;
  tw_client client;
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic(c->shape, &model, &client), TW_OK);
  tw_client_free(&client);
  model.config.pre_norm = c->pre_norm;
  if (c->activation) snprintf(model.config.activation, sizeof model.config.activation, "%s", c->activation);
  model.config.causal = c->causal;
  if (c->head.kind) add_head(&c->head, &model);
  make_plan(c, &model, &plan);
  size_t n = (size_t)c->batch * (size_t)c->seq * (size_t)model.config.hidden;
  double *x = calloc(n, sizeof *x);
  uint64_t *fixed = calloc(n, sizeof *fixed), **weights;
  draw_input(x, fixed, c->batch, c->seq, model.config.hidden);
  CU_ASSERT_EQUAL_FATAL(tw_fixed_tensors(&model, &weights), TW_OK);
  size_t *rows = calloc((size_t)model.count, sizeof *rows), *cols = calloc((size_t)model.count, sizeof *cols);
  for (int i = 0; i < model.count; i++) {
    rows[i] = model.tensors[i].rows;
    cols[i] = model.tensors[i].cols;
  }
  walk w = {.program = &plan.program,
            .batch = c->batch,
            .lengths = c->lengths,
            .input = fixed,
            .weight_count = model.count,
            .weight_rows = rows,
            .weight_cols = cols,
            .weight_values = weights,
            .keep_masks = c->keep_masks,
            .repeat_kernels = c->repeat_kernels};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  double error = relative_error(c, &model, &w, x);
  tw_cost total, *costs = calloc((size_t)plan.program.step_count, sizeof *costs);
  tw_program_costs(&plan.program, costs, &total);
  printf("\n    %s, %s, seq %d, batch %d%s%s%s, %s, %s: relative error %.2e, %.3f MB of keys, %.3f MB sent, %lu rounds",
         c->shape, model.config.activation, c->seq, c->batch, c->pre_norm ? ", pre-norm" : "",
         c->causal ? ", causal" : "", c->centred ? ", centred" : "", tw_rounding_name(c->rounding),
         tw_read_by_name(c->engine), error, 1e-6 * (double)(total.correction_bytes[0] * (uint64_t)c->batch),
         1e-6 * (double)w.payload_bytes, w.rounds);
  CU_ASSERT(error <= c->limit);
  CU_ASSERT_EQUAL(w.mismatches, 0);
  CU_ASSERT_EQUAL(w.repeated > 0, c->repeat_kernels);
  CU_ASSERT_EQUAL(w.rounds, total.rounds);
  CU_ASSERT_EQUAL(w.payload_bytes, total.sent_bytes * (uint64_t)c->batch);
  uint64_t rounds = w.rounds;
  walk_free(&w);
  free(costs);
  free(rows);
  free(cols);
  free(x);
  free(fixed);
  tw_fixed_free(weights, model.count);
  tw_model_free(&model);
  tw_plan_free(&plan);
  return rounds;
}

// A few logits are small now and then, so that errors are large beside them: one of 400 cases has 2.6e-3.
#define FEW_LOGITS 1e-2

// A norm that takes no mean is a round less, and its rows' means are taken beside what else reads them.
static void centred_layers(void) {
  static const int lengths[] = {24, 11};
  layer_case c = {.shape = "1x768x12x3072", .seq = 128, .batch = 1, .limit = 1e-3};
  uint64_t with = run_case(&c);
  c.centred = true;
  CU_ASSERT_EQUAL(run_case(&c), with - 2);
  for (int rounding = 0; rounding < 3; rounding++) {
    c = (layer_case){.shape = rounding ? "2x128x4x256" : "2x96x3x160",
                     .seq = 24,
                     .batch = 2,
                     .lengths = lengths,
                     .causal = rounding == 1,
                     .keep_masks = rounding == 2,
                     .repeat_kernels = rounding == 1,
                     .rounding = (tw_rounding)rounding,
                     .limit = 2e-3};
    with = run_case(&c);
    c.centred = true;
    CU_ASSERT_EQUAL(run_case(&c), with - 4);
  }
  run_case(&(layer_case){.shape = "1x128x2x256",
                         .seq = 16,
                         .batch = 2,
                         .lengths = (const int[]){16, 5},
                         .centred = true,
                         .limit = FEW_LOGITS,
                         .head = {TW_HEAD_SEQUENCE, 2, "tanh", TW_OUTPUT_CLS}});
}

static void batch_shares_rounds(void) {
  static const int lengths[] = {40, 8, 17};
  uint64_t one = run_case(&(layer_case){.shape = "2x128x4x256", .seq = 40, .batch = 1, .limit = 2e-3});
  uint64_t three =
      run_case(&(layer_case){.shape = "2x128x4x256", .seq = 40, .batch = 3, .lengths = lengths, .limit = 2e-3});
  CU_ASSERT_EQUAL(one, three);
}

static void pre_norm_layer(void) {
  run_case(&(layer_case){.shape = "2x128x2x256", .seq = 24, .batch = 1, .pre_norm = true, .limit = 2e-3});
}

static void causal_layer(void) {
  static const int lengths[] = {24, 11};
  run_case(
      &(layer_case){.shape = "1x128x2x256", .seq = 24, .batch = 2, .lengths = lengths, .causal = true, .limit = 2e-3});
  run_case(
      &(layer_case){.shape = "1x128x2x256", .seq = 24, .batch = 1, .pre_norm = true, .causal = true, .limit = 2e-3});
}

// Each that a model may name.
static void every_activation(void) {
#define NAME(name) #name,
  static const char *const names[] = {TW_ACTIVATIONS(NAME)};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    run_case(&(layer_case){.shape = "1x128x2x256", .activation = names[i], .seq = 16, .batch = 1, .limit = 2e-3});
}

static void kept_masks(void) {
  static const int lengths[] = {24, 11};
  layer_case c = {.shape = "2x128x4x256", .seq = 24, .batch = 2, .lengths = lengths, .keep_masks = true, .limit = 2e-3};
  run_case(&c);
  c.pre_norm = c.causal = true;
  run_case(&c);
}

static void repeated_kernels(void) {
  static const int lengths[] = {24, 11};
  layer_case c = {.shape = "2x128x4x256",
                  .seq = 24,
                  .batch = 2,
                  .lengths = lengths,
                  .repeat_kernels = true,
                  .rounding = TW_FAITHFUL,
                  .limit = 2e-3};
  run_case(&c);
  c.keep_masks = c.causal = true;
  run_case(&c);
}

// Classifiers of the sequence and of tokens, with the guard, every rounding, masks that are kept and lengths that
// differ.
static void heads(void) {
  static const int lengths[] = {16, 5};
  static const tw_head activated[] = {{TW_HEAD_SEQUENCE, 2, "tanh", TW_OUTPUT_CLS},
                                      {TW_HEAD_SEQUENCE, 3, "relu", TW_OUTPUT_CLS},
                                      {TW_HEAD_SEQUENCE, 4, "gelu", TW_OUTPUT_CLS}};
  for (int i = 0; i < 3; i++)
    run_case(&(layer_case){.shape = "1x128x2x256",
                           .seq = 16,
                           .batch = 2,
                           .lengths = lengths,
                           .keep_masks = i == 1,
                           .repeat_kernels = i == 2,
                           .rounding = (tw_rounding)i,
                           .limit = FEW_LOGITS,
                           .head = activated[i]});
  run_case(&(layer_case){.shape = "1x128x2x256",
                         .seq = 16,
                         .batch = 2,
                         .lengths = lengths,
                         .rounding = TW_FAITHFUL_OUTPUT,
                         .limit = FEW_LOGITS,
                         .head = {TW_HEAD_TOKENS, 7, .rows = TW_OUTPUT_TOKENS}});
  static const tw_head dense[] = {{TW_HEAD_DENSE, 24, "tanh", TW_OUTPUT_POOLED},
                                  {TW_HEAD_DENSE, 24, "", TW_OUTPUT_POOLED},
                                  {TW_HEAD_DENSE, 130, "relu", TW_OUTPUT_CLS}};
  for (int i = 0; i < 3; i++)
    run_case(&(layer_case){.shape = "1x128x2x256",
                           .seq = 16,
                           .batch = 2,
                           .lengths = lengths,
                           .keep_masks = i == 2,
                           .rounding = (tw_rounding)i,
                           .limit = FEW_LOGITS,
                           .head = dense[i]});
}

static void faithful_layer(void) {
  run_case(&(layer_case){.shape = "1x128x2x256", .seq = 16, .batch = 1, .rounding = TW_FAITHFUL, .limit = 2e-3});
  run_case(&(layer_case){.shape = "1x128x2x256", .seq = 16, .batch = 1, .rounding = TW_FAITHFUL_OUTPUT, .limit = 2e-3});
}

// Functions by keys: fewer rounds, the same values as far as any plan's. Every rounding, activation, kind of mask and
// head; relu is two lines, and a head's activation stays with digits.
static void by_keys(void) {
  static const int lengths[] = {24, 11};
  uint64_t rounds[TW_ALL_BY_KEY + 1];
  static const tw_read_by engines[] = {
      TW_BY_DIGITS,  TW_ROOTS_BY_KEY,       TW_RECIPROCALS_BY_KEY,           TW_ROWS_BY_KEY,
      TW_EXP_BY_KEY, TW_ACTIVATIONS_BY_KEY, TW_ROOTS_BY_KEY | TW_EXP_BY_KEY, TW_ALL_BY_KEY};
  for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
    rounds[engines[i]] = run_case(&(layer_case){
        .shape = "2x128x4x256", .seq = 24, .batch = 2, .lengths = lengths, .engine = engines[i], .limit = 2e-3});
  uint64_t digits = rounds[TW_BY_DIGITS];
  CU_ASSERT_EQUAL(rounds[TW_ROOTS_BY_KEY], digits - 2 * (5 + 5));
  CU_ASSERT_EQUAL(rounds[TW_RECIPROCALS_BY_KEY], digits - 2);
  CU_ASSERT_EQUAL(rounds[TW_ROWS_BY_KEY], digits - 2 * (5 + 5 + 1));
  CU_ASSERT(rounds[TW_EXP_BY_KEY] < digits && rounds[TW_ACTIVATIONS_BY_KEY] < digits);
  CU_ASSERT_EQUAL(rounds[TW_ROOTS_BY_KEY | TW_EXP_BY_KEY], rounds[TW_ROOTS_BY_KEY] + rounds[TW_EXP_BY_KEY] - digits);
  CU_ASSERT(rounds[TW_ALL_BY_KEY] < rounds[TW_ROWS_BY_KEY]);
  static const char *const names[] = {"quick_gelu", "relu", "silu", "sigmoid", "tanh"};
  for (int i = 0; i < 5; i++)
    run_case(&(layer_case){.shape = "1x128x2x256",
                           .activation = names[i],
                           .seq = 24,
                           .batch = 2,
                           .lengths = lengths,
                           .pre_norm = i == 1,
                           .causal = i == 2,
                           .centred = i == 3,
                           .keep_masks = i % 2,
                           .repeat_kernels = i == 4,
                           .rounding = (tw_rounding)(i % 3),
                           .engine = i == 1 ? TW_ROWS_BY_KEY : TW_ALL_BY_KEY,
                           .limit = 2e-3});
  run_case(&(layer_case){.shape = "1x128x2x256",
                         .seq = 24,
                         .batch = 2,
                         .lengths = lengths,
                         .engine = TW_ALL_BY_KEY,
                         .limit = FEW_LOGITS,
                         .head = {TW_HEAD_SEQUENCE, 4, "gelu", TW_OUTPUT_CLS}});
}

int main(void) {
  CU_initialize_registry();
  CU_pSuite suite = CU_add_suite("layer", NULL, NULL);
  CU_ADD_TEST(suite, centred_layers);
  CU_ADD_TEST(suite, batch_shares_rounds);
  CU_ADD_TEST(suite, pre_norm_layer);
  CU_ADD_TEST(suite, causal_layer);
  CU_ADD_TEST(suite, every_activation);
  CU_ADD_TEST(suite, kept_masks);
  CU_ADD_TEST(suite, repeated_kernels);
  CU_ADD_TEST(suite, heads);
  CU_ADD_TEST(suite, faithful_layer);
  CU_ADD_TEST(suite, by_keys);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
