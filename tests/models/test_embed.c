// A decoder's first rows from shared word numbers, by every family: what dealer, parties and emulator make of them
// equals the float model's embedding with the same rounded weights, element for element; then a norm behind it.
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/embed.h"
#include "jobs/models/float_model.h"
#include "jobs/parties/share.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { RING = 28 };

static float normal(double deviation) {
  double u = ((double)(walk_random() >> 11) + 1) * 0x1p-53, v = (double)(walk_random() >> 11) * 0x1p-53;
  return (float)(deviation * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static tw_model_config family(const char *architecture, int vocab, int hidden) {
  bool llama = strcmp(architecture, "llama") == 0;
  tw_model_config c = {.name = "d",
                       .layers = 1,
                       .hidden = hidden,
                       .heads = 1,
                       .intermediate = 8,
                       .max_positions = 40,
                       .vocab = vocab,
                       .type_vocab = 1,
                       .norm_epsilon = 1e-5,
                       .pre_norm = true,
                       .causal = true,
                       .rotary = {.kind = llama ? TW_ROTARY_PLAIN : TW_ROTARY_NONE, .theta = 1e4}};
  snprintf(c.architecture, sizeof c.architecture, "%s", architecture);
  snprintf(c.activation, sizeof c.activation, "gelu");
  return c;
}

// A decoder without layers that are computed: its first rows, or a norm of them.
typedef struct {
  tw_model model;
  tw_layer_shape shape;
  uint64_t **weights;
  size_t *rows, *cols;
  int batch, *ids;
  uint64_t *numbers;
  tw_program program;
  walk w;
} decoder;

static void *room(size_t count, size_t size) {
  void *p = calloc(count + 1, size);
  if (!p) abort();
  return p;
}

static void decoder_start(decoder *d, const tw_model_config *config, int seq, int batch) {
  size_t count = (size_t)batch * (size_t)seq;
  *d = (decoder){.shape = {.config = *config, .seq = seq}, .batch = batch};
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(config, &d->model), TW_OK);
  const tw_decoder_layout *layout = tw_decoder_layout_of(config);
  int word = tw_tensor_number(tw_tensor_table_of(config), config->layers, 0, layout->word);
  for (int i = 0; i < d->model.count; i++) {
    const tw_model_tensor *t = &d->model.tensors[i];
    // beyond the last word a line is zeros, and so is the bias of what picks them
    size_t n = i == word ? (size_t)config->vocab * (size_t)config->hidden : i == word + 1 ? 0 : t->rows * t->cols;
    for (size_t j = 0; j < n; j++) t->values[j] = normal(1);
  }
  CU_ASSERT_EQUAL_FATAL(tw_fixed_tensors(&d->model, &d->weights), TW_OK);
  d->rows = room((size_t)d->model.count, sizeof *d->rows);
  d->cols = room((size_t)d->model.count, sizeof *d->cols);
  for (int i = 0; i < d->model.count; i++) d->rows[i] = d->model.tensors[i].rows, d->cols[i] = d->model.tensors[i].cols;
  d->ids = room(count, sizeof *d->ids);
  d->numbers = room(count, sizeof *d->numbers);
  for (size_t j = 0; j < count; j++) {
    d->ids[j] = (int)(walk_random() % (uint64_t)config->vocab);
    d->numbers[j] = (uint64_t)d->ids[j];
  }
  d->w = (walk){.program = &d->program,
                .batch = batch,
                .input = d->numbers,
                .weight_count = d->model.count,
                .weight_rows = d->rows,
                .weight_cols = d->cols,
                .weight_values = d->weights};
}

static void decoder_end(decoder *d) {
  walk_free(&d->w);
  tw_program_free(&d->program);
  tw_fixed_free(d->weights, d->model.count);
  tw_model_free(&d->model);
  free(d->rows);
  free(d->cols);
  free(d->ids);
  free(d->numbers);
}

static void decoder_run(decoder *d, uint64_t rounds) {
  CU_ASSERT_EQUAL_FATAL(walk_run(&d->w), TW_OK);
  CU_ASSERT_EQUAL(d->w.mismatches, 0);
  CU_ASSERT_EQUAL(d->w.rounds, rounds);
}

static void rows_of(const char *architecture, int vocab, int hidden, int seq, int batch) {
  decoder d;
  tw_builder b;
  tw_model_config config = family(architecture, vocab, hidden);
  size_t n = (size_t)seq * (size_t)hidden, wrong = 0;
  decoder_start(&d, &config, seq, batch);
  tw_builder_start(&b, &d.program);
  int x = tw_build_embedding(&b, &d.shape, RING);
  CU_ASSERT_EQUAL(tw_look(&b, x).scale, TW_SCALE);
  CU_ASSERT_EQUAL(tw_look(&b, x).ring, RING);
  tw_build_output(&b, x);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  CU_ASSERT_EQUAL(d.program.tensors[d.program.inputs[0]].planes, tw_word_number_bits(&config));
  decoder_run(&d, 4);
  double *wanted = room(n, sizeof *wanted), bound = tw_bound_of_words(&d.model);
  for (int s = 0; s < batch; s++) {
    CU_ASSERT_EQUAL_FATAL(tw_float_embed(&d.model, d.ids + s * seq, seq, 1, wanted), TW_OK);
    for (size_t j = 0; j < n; j++) {
      double y = walk_real(&d.w, (size_t)s * n + j);
      wrong += y != wanted[j] || fabs(y) > bound;
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
  free(wanted);
  decoder_end(&d);
}

static const char *const families[] = {"gpt2", "gpt_neo", "llama"};

static void rows(void) {
  for (int f = 0; f < 3; f++) {
    rows_of(families[f], 50 + (int)(walk_random() % 500), 8 + (int)(walk_random() % 9), 1 + (int)(walk_random() % 40),
            1);
    rows_of(families[f], 1000, 8, 40, 2);
    rows_of(families[f], 4, 12, 5, 3);
  }
}

// Bounds of weights look at nothing but what plans read for them.
static void bounds_of_parts(void) {
  for (int f = 0; f < 3; f++) {
    decoder d;
    tw_model_config config = family(families[f], 77, 12);
    decoder_start(&d, &config, 5, 1);
    double words = tw_bound_of_words(&d.model);
    tw_bounds layer = tw_bounds_of_layer(&d.model, 0);
    tw_norm_bounds top = tw_bounds_of_top(&d.model);
    int kept = 0;
    for (int i = 0; i < d.model.count; i++) {
      if (tw_bounds_look_at(&config, i))
        kept++;
      else
        tw_free(d.model.tensors[i].values), d.model.tensors[i].values = NULL;
    }
    CU_ASSERT(kept > 2 && kept < d.model.count);
    CU_ASSERT_EQUAL(tw_bound_of_words(&d.model), words);
    CU_ASSERT_EQUAL(tw_bounds_of_layer(&d.model, 0).norm_weight, layer.norm_weight);
    CU_ASSERT_EQUAL(tw_bounds_of_layer(&d.model, 0).norm_bias, layer.norm_bias);
    CU_ASSERT_EQUAL(tw_bounds_of_top(&d.model).norm_weight, top.norm_weight);
    CU_ASSERT_EQUAL(tw_bounds_of_top(&d.model).norm_bias, top.norm_bias);
    decoder_end(&d);
  }
}

// What a decoder's first layer reads: the norm of those rows.
static void normed(const char *architecture) {
  enum { VOCAB = 300, HIDDEN = 32, SEQ = 9 };
  decoder d;
  tw_builder b;
  tw_table tables[2];
  tw_model_config config = family(architecture, VOCAB, HIDDEN);
  const tw_decoder_layout *layout = tw_decoder_layout_of(&config);
  double x[SEQ * HIDDEN], wanted[SEQ * HIDDEN], worst = 0;
  decoder_start(&d, &config, SEQ, 1);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_rsqrt, tables), TW_OK);
  d.program.tables = tables;
  d.program.table_count = 2;
  tw_builder_start(&b, &d.program);
  int gamma = tw_tensor_number(tw_tensor_table_of(&config), config.layers, 0, layout->final_norm);
  int rows = tw_build_embedding(&b, &d.shape, RING), beta = -1;
  if (!layout->rms_norm) beta = tw_weight_wire(&b, gamma + 1, TW_SCALE, HIDDEN);
  int weight = tw_weight_wire(&b, gamma, TW_SCALE, HIDDEN);
  tw_build_output(&b, tw_build_norm(&b, (tw_tokens){SEQ, SEQ, 0, true}, rows, beta >= 0, weight, beta, HIDDEN,
                                    (tw_norm_rings){40, 54, 29, 24}, 36, config.norm_epsilon));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  decoder_run(&d, layout->rms_norm ? 12 : 13);
  CU_ASSERT_EQUAL(d.w.out_of_bound, 0);
  CU_ASSERT_EQUAL_FATAL(tw_float_embed(&d.model, d.ids, SEQ, 1, x), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_float_decoder_rows(&d.model, x, SEQ, 1, wanted, NULL), TW_OK);
  for (int i = 0; i < SEQ; i++) {
    double error = 0, length = 0;
    for (int j = i * HIDDEN; j < (i + 1) * HIDDEN; j++) {
      error += pow(walk_real(&d.w, (size_t)j) - wanted[j], 2);
      length += pow(wanted[j], 2);
    }
    worst = fmax(worst, sqrt(error / length));
  }
  printf("\n    %s: norm of %d rows, largest error of a row %.5f", architecture, SEQ, worst);
  CU_ASSERT(worst < 0.004);
  decoder_end(&d);
  tw_tables_free(tables, 2);
}

static void norms(void) {
  for (int f = 0; f < 3; f++) normed(families[f]);
}

// A number that no word has: zeros in its place, and the position still.
static void past_the_words(void) {
  decoder d;
  tw_builder b;
  tw_model_config config = family("gpt2", 37, 8);
  decoder_start(&d, &config, 40, 1);
  int position =
      tw_tensor_number(tw_tensor_table_of(&config), config.layers, 0, tw_decoder_layout_of(&config)->position);
  uint64_t numbers = 1ull << tw_word_number_bits(&config);
  for (size_t j = 0; j < 40; j++) d.numbers[j] = 37 + j % (numbers - 37);
  tw_builder_start(&b, &d.program);
  tw_build_output(&b, tw_build_embedding(&b, &d.shape, RING));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  decoder_run(&d, 4);
  for (size_t j = 0; j < 40 * 8; j++) CU_ASSERT_EQUAL(d.w.output[j], d.weights[position][j] & tw_mask(RING));
  decoder_end(&d);
}

SUITE_MAIN("embed", {"rows", rows}, {"norms", norms}, {"bounds of parts", bounds_of_parts},
           {"past the words", past_the_words})
