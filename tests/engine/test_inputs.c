// Engines of two parties on a program with two inputs, word numbers and rows: each session reads its own sequences of
// both, also where halves of the batch take turns. What comes out is the rows of the words plus those that came in.
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/client.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/embed.h"
#include "jobs/parties/share.h"
#include "kernels/pack.h"
#include "tests/common/engine_pair.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { SEQ = 7, HIDDEN = 8, VOCAB = 90, N = SEQ * HIDDEN, BATCH = 3, RING = 28 };

typedef struct {
  tw_model model;
  tw_plan plan;
  tw_model_share share[2];
  tw_model_dealer dealer;
  dealt_keys keys;
  int lengths[BATCH], ids[BATCH * SEQ];
  int64_t rows[BATCH * N];
  uint64_t *input[2];          // numbers [BATCH][SEQ], then rows [BATCH][N]
  uint64_t *masked, *mask[2];  // results
} job;

typedef struct {
  job *j;
  bool overlap;
} party;

static void *room(size_t bytes) {
  void *p;
  if (tw_alloc(bytes, &p) != TW_OK) abort();
  return p;
}

static void make_model(job *j) {
  tw_model_config c = {.name = "g",
                       .architecture = "gpt2",
                       .activation = "gelu",
                       .layers = 1,
                       .hidden = HIDDEN,
                       .heads = 1,
                       .intermediate = 8,
                       .max_positions = 20,
                       .vocab = VOCAB,
                       .type_vocab = 1,
                       .norm_epsilon = 1e-5,
                       .pre_norm = true,
                       .causal = true};
  tw_seed seeds[2];
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, &j->model), TW_OK);
  for (int i = 0; i < j->model.count; i++) {
    tw_model_tensor *t = &j->model.tensors[i];
    bool zero = strcmp(t->name, "word.bias") == 0;
    for (size_t k = 0; k < t->rows * t->cols && !zero; k++) t->values[k] = (float)walk_random_range(-9999, 9999) / 4096;
  }
  for (int p = 0; p < 2; p++) tw_seed_random(&seeds[p]);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_with(&j->model, seeds, j->share, &j->dealer), TW_OK);
}

static void make_program(job *j) {
  tw_builder b;
  j->plan.shape = (tw_layer_shape){.config = j->model.config, .seq = SEQ};
  tw_builder_start(&b, &j->plan.program);
  int words = tw_build_embedding(&b, &j->plan.shape, RING);
  int rows = tw_open(&b, tw_reduce(&b, tw_build_input(&b, TW_INPUT_RING, TW_INPUT_SCALE, N), RING));
  tw_build_output(&b, tw_open(&b, tw_as_share(&b, tw_combine(&b, 1, words, 1, rows, false))));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

static void make_input(job *j) {
  size_t numbers = BATCH * SEQ, all = numbers + BATCH * N;
  for (int p = 0; p < 2; p++) j->input[p] = room(8 * all);
  for (size_t i = 0; i < numbers; i++) {
    j->ids[i] = (int)(walk_random() % VOCAB);
    j->input[0][i] = walk_random() & tw_mask(tw_word_number_bits(&j->model.config));
    j->input[1][i] = (uint64_t)j->ids[i] ^ j->input[0][i];
  }
  for (size_t i = 0; i < BATCH * N; i++) {
    j->rows[i] = walk_random_range(-100000, 100000);
    j->input[0][numbers + i] = walk_random() & tw_mask(TW_INPUT_RING);
    j->input[1][numbers + i] = ((uint64_t)j->rows[i] - j->input[0][numbers + i]) & tw_mask(TW_INPUT_RING);
  }
}

static tw_status infer(void *state, tw_channel *channel, tw_engine **engine) {
  const party *p = state;
  job *j = p->j;
  int me = channel->party;
  tw_engine_options o = {.plan = &j->plan,
                         .model = &j->share[me],
                         .channel = channel,
                         .batch = BATCH,
                         .device = TW_DEVICE_CPU,
                         .overlap = p->overlap,
                         .coalesce = 1,
                         .keys = TW_KEYS_MEMORY,
                         .input = j->input[me]};
  tw_engine_job work = {.seeds = j->keys.of[me].seeds,
                        .slots = j->keys.slots,
                        .lengths = j->lengths,
                        .input = j->input[me],
                        .source = dealt_keys_source(&j->keys, me)};
  TW_TRY(tw_engine_create(&o, engine));
  TW_TRY(tw_engine_prepare(*engine, &work));
  TW_TRY(tw_engine_online(*engine, NULL, NULL));
  uint64_t *again = room(8 * BATCH * N);  // what is opened is known to both
  tw_status status = tw_engine_output(*engine, 0, me ? again : j->masked, j->mask[me]);
  tw_free(again);
  return status;
}

static void check(const job *j) {
  double words[N];
  int wrong = 0;
  for (int s = 0; s < BATCH; s++) {
    CU_ASSERT_EQUAL_FATAL(tw_float_embed(&j->model, j->ids + s * SEQ, SEQ, 1, words), TW_OK);
    for (int i = 0; i < N; i++) {
      size_t at = (size_t)(s * N + i);
      int64_t y = tw_signed((j->masked[at] - j->mask[0][at] - j->mask[1][at]) & tw_mask(RING), RING);
      wrong += y != (int64_t)(words[i] * 4096) + j->rows[at];
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

static void two_inputs(bool overlap) {
  job *j = calloc(1, sizeof *j);
  if (!j) abort();
  make_model(j);
  make_program(j);
  make_input(j);
  dealt_keys_make(&j->keys, &j->plan, &j->dealer, BATCH);
  for (int s = 0; s < BATCH; s++) j->lengths[s] = SEQ;
  j->masked = room(8 * BATCH * N);
  for (int p = 0; p < 2; p++) j->mask[p] = room(8 * BATCH * N);
  party p = {j, overlap};
  engine_pair_run_well(infer, (void *[]){&p, &p});
  check(j);
  for (int i = 0; i < 2; i++) {
    tw_free(j->input[i]);
    tw_free(j->mask[i]);
    tw_model_share_free(&j->share[i]);
  }
  dealt_keys_free(&j->keys);
  tw_free(j->masked);
  tw_model_dealer_free(&j->dealer);
  tw_program_free(&j->plan.program);
  tw_model_free(&j->model);
  free(j);
}

static void whole_batch(void) { two_inputs(false); }
static void halves(void) { two_inputs(true); }

SUITE_MAIN("inputs of an engine", {"whole batch", whole_batch}, {"halves in turn", halves})
