// What becomes of rows of a model's matrices that lose their means before they are shared.
#include <math.h>
#include <sodium.h>
#include <stdio.h>

#include "io/tensors.h"
#include "jobs/models/fold.h"
#include "tests/common/suite.h"

// A row is off its mean by less than a unit everywhere, and adds up to zero; those not at the nearest whole number are
// as few as can be, and lie no farther off than they must.
static void check_centred(const float *values, const double *out, size_t n, double unit) {
  double mean = 0, sum = 0, moved = 0, farthest_kept = 0, nearest_moved = 1;
  for (size_t c = 0; c < n; c++) mean += values[c] * unit;
  mean /= (double)n;
  for (size_t c = 0; c < n; c++) {
    double off = out[c] - (values[c] * unit - mean);
    CU_ASSERT_EQUAL(out[c], nearbyint(out[c]));
    CU_ASSERT(fabs(off) < 1);
    sum += out[c];
    if (out[c] != nearbyint(values[c] * unit - mean)) {
      CU_ASSERT(fabs(off) >= 0.5);
      moved += off > 0 ? 1 : -1;
      nearest_moved = fmin(nearest_moved, fabs(off));
    }
  }
  CU_ASSERT_EQUAL(sum, 0);
  double before = 0;
  for (size_t c = 0; c < n; c++) before += nearbyint(values[c] * unit - mean);
  CU_ASSERT_EQUAL(before + moved, 0);
  for (size_t c = 0; c < n; c++) {  // of those rounded the way that the moved ones were at first
    double off = out[c] - (values[c] * unit - mean);
    if (out[c] == nearbyint(values[c] * unit - mean) && off * moved < 0) farthest_kept = fmax(farthest_kept, fabs(off));
  }
  CU_ASSERT(moved == 0 || farthest_kept <= 1 - nearest_moved + 1e-9);
}

// Any columns alone are those of the whole row.
static void check_columns(const tw_model_config *c, const tw_tensor_entry *e, const float *values, const double *row) {
  size_t n = e->cols(c), first = randombytes_uniform((uint32_t)n),
         count = 1 + randombytes_uniform((uint32_t)(n - first));
  double part[96];
  tw_tensor_columns(c, e, true, values, first, count, part);
  for (size_t i = 0; i < count; i++) CU_ASSERT_EQUAL(part[i], row[first + i]);
}

static void random_model(int hidden, int intermediate, tw_model *model) {
  tw_model_config config = {.name = "random",
                            .layers = 1,
                            .hidden = hidden,
                            .heads = 4,
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
      model->tensors[i].values[j] = (float)(randombytes_random() / 0x1p31 - 1);
}

static void rows_of_models(void) {
  tw_model model;
  for (int round = 0; round < 20; round++) {
    int shape[2] = {round == 4 ? 96 : 8 * (1 + (int)randombytes_uniform(12)), 1 + (int)randombytes_uniform(40)};
    random_model(shape[0], shape[1], &model);
    double row[96];
    for (int i = 0; i < model.count; i++) {
      const tw_tensor_entry *e = tw_model_tensor_entry(&model.config, i);
      CU_ASSERT_EQUAL(e->centred, i == 2 || i == 3 || i == 8 || i == 9);
      for (size_t r = 0; e->centred && r < model.tensors[i].rows; r++) {
        float *values = model.tensors[i].values + r * (size_t)shape[0];
        if (round == 1) values[0] = 3e4f;                                                   // a row with an outlier,
        for (int c = 0; round == 2 && c < shape[0]; c++) values[c] = c % 2 ? 0.5f : 0.25f;  // of two values,
        for (int c = 0; round == 3 && c < shape[0]; c++) values[c] = 0.7f;                  // of one,
        for (int c = 0; round == 4 && c < 96; c++)  // and one of which 40 elements go the other way
          values[c] = (float)ldexp(c < 8 ? -4.95 : 0.45, -e->scale);
        tw_tensor_columns(&model.config, e, true, values, 0, (size_t)shape[0], row);
        check_centred(values, row, (size_t)shape[0], ldexp(1, e->scale));
        check_columns(&model.config, e, values, row);
      }
    }
    model.config.pre_norm = true;  // a residual stream that comes out keeps its means
    CU_ASSERT(!tw_model_centres(&model.config));
    tw_tensor_columns(&model.config, tw_model_tensor_entry(&model.config, 3), true, model.tensors[3].values, 0,
                      (size_t)shape[0], row);
    for (int c = 0; c < shape[0]; c++) CU_ASSERT_EQUAL(row[c], nearbyint((double)model.tensors[3].values[c] * 0x1p24));
    tw_model_free(&model);
  }
}

// A decoder's: what is added to its residual stream, and of the table of words each word by itself.
static void rows_of_decoders(void) {
  static const char *const families[] = {"gpt2", "gpt_neo", "llama"};
  for (int i = 0; i < 9; i++) {
    tw_model_config c = {.name = "random",
                         .layers = 1,
                         .hidden = 32,
                         .heads = 4,
                         .intermediate = 40,
                         .max_positions = 64,
                         .vocab = 300,
                         .norm_epsilon = 1e-3,
                         .activation = "gelu_new",
                         .client_embeds = i / 3 == 1,
                         .head = {.kind = i / 3 == 2 ? TW_HEAD_WORDS : TW_HEAD_NONE, .outputs = 300}};
    snprintf(c.architecture, sizeof c.architecture, "%s", families[i % 3]);
    CU_ASSERT_EQUAL_FATAL(tw_model_centres(&c), i % 3 < 2 && !c.client_embeds);
    int centred = 0;
    for (int number = 0; number < tw_model_tensor_count(&c); number++) {
      const tw_tensor_entry *e = tw_model_tensor_entry(&c, number);
      size_t n = e->cols(&c), each = e->in_lines ? 32 : n;
      static float values[1 << 14];
      static double row[1 << 14], part[1 << 14];
      CU_ASSERT_FATAL(n <= sizeof row / sizeof *row);
      if (!tw_model_centres(&c) || !e->centred) continue;
      centred++;
      for (size_t j = 0; j < n; j++) values[j] = (float)(randombytes_random() / 0x1p31 - 1);
      tw_tensor_columns(&c, e, true, values, 0, n, row);
      CU_ASSERT_EQUAL(n % each, 0);
      for (size_t j = 0; j < n; j += each) check_centred(values + j, row + j, each, ldexp(1, e->scale));
      size_t first = randombytes_uniform((uint32_t)n), count = 1 + randombytes_uniform((uint32_t)(n - first));
      tw_tensor_columns(&c, e, true, values, first, count, part);
      for (size_t j = 0; j < count; j++) CU_ASSERT_EQUAL(part[j], row[first + j]);
    }
    CU_ASSERT_EQUAL(centred, tw_model_centres(&c) ? 6 : 0);
  }
}

SUITE_MAIN("folds", {"rows without their means", rows_of_models}, {"rows of decoders", rows_of_decoders})
