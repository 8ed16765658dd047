// The float model against PyTorch's outputs (tests/vectors, made by tools/make_reference.py) and against a naive twin.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <math.h>
#include <sodium.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/encode.h"
#include "jobs/models/float_matmul.h"
#include "jobs/models/float_model.h"
#include "jobs/models/fold.h"
#include "jobs/models/import.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static double uniform(void) { return (double)randombytes_random() / 0x1p31 - 1; }

static double *random_values(size_t n, double size) {
  double *out = malloc(n * sizeof *out);
  for (size_t i = 0; i < n; i++) out[i] = size * uniform();
  return out;
}

static double worst_difference(const double *a, const double *b, size_t n) {
  double worst = 0;
  for (size_t i = 0; i < n; i++) worst = isfinite(a[i]) ? fmax(worst, fabs(a[i] - b[i])) : INFINITY;
  return worst;
}

// ---- PyTorch

static double against_list(const double *values, const json_t *list) {
  double worst = 0;
  for (size_t i = 0; i < json_array_size(list); i++)
    worst = fmax(worst, fabs(values[i] - json_number_value(json_array_get(list, i))));
  return worst;
}

static void widen(const float *from, size_t n, double *to) {
  for (size_t i = 0; i < n; i++) to[i] = from[i];
}

// Embedding and forward pass of the tiny model in one storage type, padded by random ids that must not matter.
static void check_tiny(const char *kind, double tolerance) {
  json_t *json = vector_load("tiny-bert/outputs.json"), *outputs = json_object_get(json, kind);
  char folder[64];
  snprintf(folder, sizeof folder, "tiny-bert/%s", kind);
  tw_model model;
  tw_client client;
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(vector_path(folder), &model, &client), TW_OK);
  double x[24 * 32], y[24 * 32];
  for (size_t s = 0; s < json_array_size(outputs); s++) {
    int length, *ids = vector_ints(json_array_get(json_object_get(json, "ids"), s), &length);
    tw_input input;
    CU_ASSERT_EQUAL_FATAL(tw_encode_ids(&client, NULL, (const int *const *)&ids, &length, 1, 24, &input), TW_OK);
    CU_ASSERT_EQUAL_FATAL(tw_encode_rows(&client, &input), TW_OK);
    widen(input.values, 24 * 32, x);
    if (strcmp(kind, "f32") == 0)
      CU_ASSERT_TRUE(against_list(x, json_array_get(json_object_get(json, "embedded"), s)) < 3e-6);
    CU_ASSERT_EQUAL(tw_float_forward(&model, x, 24, length, 0, y, NULL), TW_OK);
    double worst = against_list(y, json_array_get(outputs, s));
    CU_ASSERT_TRUE(worst < tolerance);
    // Dead rows hold anything.
    for (int i = 32 * length; i < 24 * 32; i++) x[i] = 3 * uniform();
    CU_ASSERT_EQUAL(tw_float_forward(&model, x, 24, length, 0, y, NULL), TW_OK);
    CU_ASSERT_EQUAL(against_list(y, json_array_get(outputs, s)), worst);
    tw_input_free(&input);
    free(ids);
  }
  tw_model_free(&model);
  tw_client_free(&client);
  json_decref(json);
}

static void tiny_f32(void) { check_tiny("f32", 5e-6); }
static void tiny_f16(void) { check_tiny("f16", 5e-6); }
static void tiny_bf16(void) { check_tiny("bf16", 5e-6); }

// The published model, when TWAIN_MINILM names its folder (90 MB, not part of the source).
static void minilm(void) {
  const char *folder = getenv("TWAIN_MINILM");
  if (!folder) {
    printf(" [left out: set TWAIN_MINILM to the folder of all-MiniLM-L6-v2] ");
    return;
  }
  tw_model model;
  tw_client client;
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(folder, &model, &client), TW_OK);
  CU_ASSERT_TRUE(model.config.normalise_output);
  json_t *json = vector_load("minilm.json"), *list = json_object_get(json, "sentences");
  double *x = malloc(128 * 384 * sizeof *x), *y = malloc(128 * 384 * sizeof *y), pooled[384], wanted[384], lowest = 1;
  for (size_t s = 0; s < json_array_size(list); s++) {
    const json_t *item = json_array_get(list, s);
    const char *text = json_string_value(json_object_get(item, "text"));
    tw_input input;
    CU_ASSERT_EQUAL_FATAL(tw_encode(&client, &text, 1, 128, &input), TW_OK);
    int length, *ids = vector_ints(json_object_get(item, "ids"), &length);
    CU_ASSERT_EQUAL_FATAL(input.lengths[0], length);
    CU_ASSERT_EQUAL(memcmp(ids, input.tokens, (size_t)length * sizeof *ids), 0);
    widen(input.values, 128 * 384, x);
    CU_ASSERT_EQUAL(tw_float_forward(&model, x, 128, length, 0, y, NULL), TW_OK);
    tw_pool_mean(y, length, 384, pooled);
    for (size_t i = 0; i < 384; i++)
      wanted[i] = json_number_value(json_array_get(json_object_get(item, "embedding"), i));
    lowest = fmin(lowest, tw_cosine(pooled, wanted, 384));
    tw_unit_length(pooled, 384);
    CU_ASSERT_TRUE(worst_difference(pooled, wanted, 384) < 1e-6);
    tw_input_free(&input);
    free(ids);
  }
  printf(" [lowest cosine: 1 - %.1e] ", 1 - lowest);
  CU_ASSERT_TRUE(lowest > 0.999999);
  free(x);
  free(y);
  tw_model_free(&model);
  tw_client_free(&client);
  json_decref(json);
}

// ---- a naive twin: one layer, one value at a time, from the formulas

typedef struct {
  const tw_model *model;
  int seq, length;
  tw_bounds bounds;
} naive;

static void track(double *bound, double value) { *bound = fmax(*bound, fabs(value)); }

static double weight(const naive *n, int part, size_t row, size_t col) {
  const tw_model_tensor *t = &n->model->tensors[part];
  return t->values[row * t->cols + col];
}

static double *naive_linear(const naive *n, int part, const double *x) {
  const tw_model_tensor *t = &n->model->tensors[part];
  double *y = malloc((size_t)n->seq * t->cols * sizeof *y);
  for (int i = 0; i < n->seq; i++)
    for (size_t c = 0; c < t->cols; c++) {
      double sum = weight(n, part + 1, 0, c);
      for (size_t r = 0; r < t->rows; r++) sum += x[(size_t)i * t->rows + r] * weight(n, part, r, c);
      y[(size_t)i * t->cols + c] = sum;
    }
  return y;
}

static double *naive_norm(naive *n, int part, const double *x) {
  int d = n->model->config.hidden;
  double *y = malloc((size_t)n->seq * d * sizeof *y);
  for (int i = 0; i < n->seq; i++) {
    double mean = 0, sum = 0;
    for (int c = 0; c < d; c++) mean += x[i * d + c] / d;
    for (int c = 0; c < d; c++) sum += pow(x[i * d + c] - mean, 2);
    for (int c = 0; c < d; c++)
      y[i * d + c] =
          (x[i * d + c] - mean) / sqrt(sum / d + n->model->config.norm_epsilon) * weight(n, part, 0, (size_t)c) +
          weight(n, part + 1, 0, (size_t)c);
    if (i >= n->length) continue;
    n->bounds.variance_sum_min = fmin(n->bounds.variance_sum_min, sum);
    n->bounds.variance_sum_max = fmax(n->bounds.variance_sum_max, sum);
  }
  return y;
}

static double *naive_attention(naive *n, const double *x) {
  const tw_model_config *config = &n->model->config;
  int d = config->hidden, dh = d / config->heads, shift;
  double *qkv = naive_linear(n, 0, x), *context = malloc((size_t)n->seq * d * sizeof *context), p[64];
  double fold = tw_query_fold(config, &shift);
  for (int i = 0; i < n->seq * d; i++) {
    bool live = i / d < n->length;
    int h = i % d / dh, keys = config->causal && live ? i / d + 1 : n->length;
    double top = -INFINITY, sum = 0, value = 0;
    for (int j = 0; j < keys; j++) {
      p[j] = 0;
      for (int c = 0; c < dh; c++) p[j] += qkv[i / d * 3 * d + h * dh + c] * qkv[j * 3 * d + d + h * dh + c] / sqrt(dh);
      top = fmax(top, p[j]);
      if (live) track(&n->bounds.logit, p[j]);
    }
    for (int j = 0; j < keys; j++) sum += exp(p[j] - top), value += exp(p[j] - top) * qkv[j * 3 * d + 2 * d + i % d];
    context[i] = value / sum;
  }
  for (int i = 0; i < n->length * 3 * d; i++) {
    int part = i % (3 * d) / d;
    track(part == 0 ? &n->bounds.query : part == 1 ? &n->bounds.key : &n->bounds.value, qkv[i] * (part ? 1 : fold));
  }
  double *out = naive_linear(n, 2, context);
  for (int i = 0; i < n->length * d; i++) track(&n->bounds.attention, out[i]);
  free(qkv);
  free(context);
  return out;
}

static double *naive_ffn(naive *n, const double *x) {
  int width = n->model->config.intermediate;
  bool gelu = strcmp(n->model->config.activation, "gelu") == 0;
  double *u = naive_linear(n, 6, x);
  for (int i = 0; i < n->seq * width; i++) {
    if (i < n->length * width) track(&n->bounds.up, u[i]);
    u[i] = gelu ? u[i] * 0.5 * erfc(-u[i] / sqrt(2)) : u[i] / (1 + exp(-u[i]));
  }
  double *out = naive_linear(n, 8, u);
  for (int i = 0; i < n->length * n->model->config.hidden; i++) track(&n->bounds.feed_forward, out[i]);
  free(u);
  return out;
}

static void naive_residual(naive *n, const double *x) {
  int d = n->model->config.hidden;
  for (int i = 0; i < n->length; i++) {
    double mean = 0;
    for (int c = 0; c < d; c++) mean += x[i * d + c] / d;
    if (n->model->config.pre_norm) mean = 0;  // no norm follows that would take it off
    for (int c = 0; c < d; c++) {
      track(&n->bounds.residual, x[i * d + c]);
      track(&n->bounds.residual, x[i * d + c] - mean);
    }
  }
}

// x += f(x), or x = LN(x + f(x)), or x += f(LN(x)).
static void naive_layer(naive *n, double *x) {
  size_t size = (size_t)n->seq * n->model->config.hidden;
  for (size_t i = 0; i < (size_t)n->length * n->model->config.hidden; i++) track(&n->bounds.input, x[i]);
  for (int half = 0; half < 2; half++) {
    bool pre = n->model->config.pre_norm;
    double *input = pre ? naive_norm(n, half ? 10 : 4, x) : memcpy(malloc(size * sizeof *x), x, size * sizeof *x);
    double *delta = half ? naive_ffn(n, input) : naive_attention(n, input);
    for (size_t i = 0; i < size; i++) x[i] += delta[i];
    naive_residual(n, x);
    double *after = pre ? NULL : naive_norm(n, half ? 10 : 4, x);
    if (after) memcpy(x, after, size * sizeof *x);
    free(after);
    free(delta);
    free(input);
  }
}

static void random_model(int hidden, int heads, int intermediate, tw_model *model) {
  tw_model_config config = {.name = "random",
                            .layers = 1,
                            .hidden = hidden,
                            .heads = heads,
                            .intermediate = intermediate,
                            .max_positions = 64,
                            .vocab = 10,
                            .type_vocab = 1,
                            .norm_epsilon = 1e-3,
                            .architecture = "bert",
                            .activation = "gelu"};
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&config, model), TW_OK);
  for (int i = 0; i < model->count; i++)
    for (size_t j = 0; j < model->tensors[i].rows * model->tensors[i].cols; j++)
      model->tensors[i].values[j] = (float)((i % 12 == 4 || i % 12 == 10) + 0.6 * uniform());
}

static void compare_bounds(const tw_bounds *a, const tw_bounds *b) {
  const double *x = (const double *)a, *y = (const double *)b;
  for (size_t i = 0; i < offsetof(tw_bounds, norm_weight) / sizeof *x; i++) {
    bool gated = &x[i] == &a->gate || &x[i] == &a->product;
    CU_ASSERT_EQUAL(x[i] > 0, !gated);
    CU_ASSERT_TRUE(fabs(x[i] - y[i]) <= 1e-10 * y[i]);
  }
}

// Powers of two, so that a plan tells no more of them.
static void weights_bounds(void) {
  tw_model model;
  tw_bounds bounds;
  random_model(12, 3, 20, &model);
  tw_bounds_reset(&bounds, 1);
  model.tensors[10].values[7] = -5.5f;  // gamma of the second norm
  model.tensors[5].values[3] = 16.0f;   // beta of the first
  tw_bounds_of_weights(&model, &bounds);
  CU_ASSERT_EQUAL(bounds.norm_weight, 8);
  CU_ASSERT_EQUAL(bounds.norm_bias, 16);
  CU_ASSERT_EQUAL(bounds.residual, 0);
  tw_model_free(&model);
}

static void against_naive(void) {
  static const int shapes[][3] = {{8, 1, 5}, {12, 3, 20}, {32, 4, 33}, {30, 5, 64}};
  for (int round = 0; round < 32; round++) {
    const int *shape = shapes[round % 4];
    tw_model model;
    random_model(shape[0], shape[1], shape[2], &model);
    model.config.pre_norm = round & 4;
    model.config.causal = round & 8;
    if (round & 16) strcpy(model.config.activation, "silu");
    int seq = 1 + (int)randombytes_uniform(20), length = 1 + (int)randombytes_uniform((uint32_t)seq);
    size_t size = (size_t)seq * shape[0];
    double *x = random_values(size, 2), *y = malloc(size * sizeof *y);
    tw_bounds bounds;
    tw_bounds_reset(&bounds, 1);
    naive n = {.model = &model, .seq = seq, .length = length};
    n.bounds.variance_sum_min = INFINITY;
    CU_ASSERT_EQUAL(tw_float_forward(&model, x, seq, length, 0, y, &bounds), TW_OK);
    naive_layer(&n, x);
    CU_ASSERT_TRUE(worst_difference(y, x, size) < 1e-10);
    compare_bounds(&bounds, &n.bounds);
    free(x);
    free(y);
    tw_model_free(&model);
  }
}

// A causal row does not see what follows: it is the last row of a shorter sequence.
static void causal_prefix(void) {
  tw_model model;
  random_model(24, 3, 50, &model);
  model.config.causal = true;
  double *x = random_values(10 * 24, 2), full[10 * 24], part[10 * 24];
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 10, 10, 0, full, NULL), TW_OK);
  model.config.causal = false;
  for (int i = 1; i <= 10; i++) {
    CU_ASSERT_EQUAL(tw_float_forward(&model, x, i, i, 0, part, NULL), TW_OK);
    CU_ASSERT_TRUE(worst_difference(part + (i - 1) * 24, full + (i - 1) * 24, 24) < 1e-12);
  }
  free(x);
  tw_model_free(&model);
}

static void round_centred(tw_model *model, int tensor) {
  tw_model_tensor *t = &model->tensors[tensor];
  const tw_tensor_entry *e = tw_model_tensor_entry(&model->config, tensor);
  double *row = malloc(t->cols * sizeof *row);
  for (size_t r = 0; r < t->rows; r++) {
    tw_tensor_columns(&model->config, e, true, t->values + r * t->cols, 0, t->cols, row);
    for (size_t c = 0; c < t->cols; c++) t->values[r * t->cols + c] = (float)ldexp(row[c], -e->scale);
  }
  free(row);
}

// Rounding by hand, then the float model, is the quantised model; and rounding does change something.
static void quantised(void) {
  tw_model model;
  random_model(32, 4, 40, &model);  // head dimension 8: a fold of 2^(1/2)
  double *x = random_values(12 * 32, 2), exact[12 * 32], rounded[12 * 32], by_hand[12 * 32];
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 12, 9, 0, exact, NULL), TW_OK);
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 12, 9, 1, rounded, NULL), TW_OK);
  static const int is_bias[12] = {0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0};
  for (int i = 0; i < model.count; i++) {
    tw_model_tensor *t = &model.tensors[i];
    if (i == 2 || i == 3 || i == 8 || i == 9) {  // centred: see the test of their own
      round_centred(&model, i);
      continue;
    }
    for (size_t j = 0; j < t->rows * t->cols; j++) {
      double unit = is_bias[i] ? 0x1p24 : 0x1p12, f = i < 2 && j % 96 < 32 ? sqrt(2) : 1;
      t->values[j] = (float)(nearbyint(t->values[j] * f * unit) / unit / f);
    }
  }
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 12, 9, 0, by_hand, NULL), TW_OK);
  double change = worst_difference(exact, rounded, 9 * 32);
  CU_ASSERT_TRUE(change > 1e-5 && change < 0.05);
  CU_ASSERT_TRUE(worst_difference(by_hand, rounded, 12 * 32) < 1e-5 &&
                 worst_difference(by_hand, rounded, 9 * 32) < change / 10);
  free(x);
  tw_model_free(&model);
}

static void query_fold(void) {
  static const struct {
    int head_dim, shift;
    double fold;
  } known[] = {{64, 3, 1}, {32, 2, M_SQRT1_2}, {16, 2, 1}, {128, 4, M_SQRT2}, {8, 2, M_SQRT2}, {1, 0, 1}, {256, 4, 1}};
  int shift;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    CU_ASSERT_DOUBLE_EQUAL(tw_query_fold(&(tw_model_config){.head_dim = known[i].head_dim}, &shift), known[i].fold,
                           1e-15);
    CU_ASSERT_EQUAL(shift, known[i].shift);
  }
  for (int d = 1; d < 300; d++) {
    double fold = tw_query_fold(&(tw_model_config){.hidden = 2 * d, .heads = 2}, &shift);
    CU_ASSERT_DOUBLE_EQUAL(ldexp(fold, -shift) * sqrt(d), 1, 1e-14);
    CU_ASSERT_TRUE(fold > 0.707 && fold < 1.415);
  }
  CU_ASSERT_EQUAL(tw_query_fold(&(tw_model_config){.head_dim = 50, .unscaled_logits = true}, &shift), 1);
  CU_ASSERT_EQUAL(shift, 0);
}

static void matmul(void) {
  for (int round = 0; round < 60; round++) {
    size_t m = 1 + randombytes_uniform(11), k = 1 + randombytes_uniform(70), n = 1 + randombytes_uniform(40);
    double *a = random_values(m * k, 1), *b = random_values(k * n, 1), *z = random_values(m * n, 1), worst = 0;
    CU_ASSERT_EQUAL(tw_float_matmul(a, b, m, k, n, z), TW_OK);
    for (size_t i = 0; i < m * n; i++) {
      double sum = 0;
      for (size_t j = 0; j < k; j++) sum += a[i / n * k + j] * b[j * n + i % n];
      worst = fmax(worst, fabs(sum - z[i]));
    }
    CU_ASSERT_TRUE(worst < 1e-13 * (double)k);
    free(a);
    free(b);
    free(z);
  }
}

static void helpers(void) {
  const double values[] = {1, 2, 3, 6, 100, 100}, a[] = {3, 4}, b[] = {-4, 3};
  double mean[2], unit[2] = {3, 4}, zero[2] = {0, 0};
  tw_pool_mean(values, 2, 2, mean);
  CU_ASSERT_TRUE(mean[0] == 2 && mean[1] == 4);
  tw_unit_length(unit, 2);
  CU_ASSERT_DOUBLE_EQUAL(unit[0], 0.6, 1e-15);
  tw_unit_length(zero, 2);
  CU_ASSERT_EQUAL(zero[1], 0);
  CU_ASSERT_DOUBLE_EQUAL(tw_cosine(a, a, 2), 1, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(tw_cosine(a, b, 2), 0, 1e-15);
}

static void refusals(void) {
  tw_model model;
  random_model(8, 2, 8, &model);
  double x[4 * 8] = {1}, y[4 * 8];
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 4, 0, 0, y, NULL), TW_ERR_RANGE);
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 4, 5, 0, y, NULL), TW_ERR_RANGE);
  strcpy(model.config.activation, "relu6");
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 4, 4, 0, y, NULL), TW_ERR_FORMAT);
  strcpy(model.config.activation, "gelu");
  strcpy(model.config.architecture, "gpt9");
  CU_ASSERT_EQUAL(tw_float_forward(&model, x, 4, 4, 0, y, NULL), TW_ERR_FORMAT);
  strcpy(model.config.architecture, "bert");
  tw_model_free(&model);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 1;
  CU_pSuite suite = CU_add_suite("float model", NULL, NULL);
  CU_ADD_TEST(suite, tiny_f32);
  CU_ADD_TEST(suite, tiny_f16);
  CU_ADD_TEST(suite, tiny_bf16);
  CU_ADD_TEST(suite, minilm);
  CU_ADD_TEST(suite, weights_bounds);
  CU_ADD_TEST(suite, against_naive);
  CU_ADD_TEST(suite, causal_prefix);
  CU_ADD_TEST(suite, quantised);
  CU_ADD_TEST(suite, query_fold);
  CU_ADD_TEST(suite, matmul);
  CU_ADD_TEST(suite, helpers);
  CU_ADD_TEST(suite, refusals);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
