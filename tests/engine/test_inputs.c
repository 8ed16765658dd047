// Engines of two parties on a program with two inputs, word numbers and rows: each session reads its own sequences of
// both, also where halves of the batch take turns. What comes out is the rows of the words plus those that came in.
#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/channels.h"
#include "io/client.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/embed.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/share.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { SEQ = 7, HIDDEN = 8, VOCAB = 90, N = SEQ * HIDDEN, BATCH = 3, RING = 28, MOST = 1 << 20 };

typedef struct {
  tw_model model;
  tw_plan plan;
  tw_model_share share[2];
  tw_model_dealer dealer;
  tw_seed seeds[2][BATCH];
  uint64_t slots[BATCH];
  int lengths[BATCH], ids[BATCH * SEQ];
  int64_t rows[BATCH * N];
  uint64_t *input[2];          // numbers [BATCH][SEQ], then rows [BATCH][N]
  uint8_t *keys[2];            // [BATCH][MOST]
  uint64_t *masked, *mask[2];  // results
} job;

typedef struct {
  job *j;
  tw_channel *channel;
  bool overlap;
  tw_status status;
  char message[200];
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
  CU_ASSERT_FATAL(j->plan.program.slot_bytes[0] <= MOST && j->plan.program.slot_bytes[1] <= MOST);
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

static void deal(job *j) {
  tw_model_masks masks;
  CU_ASSERT_EQUAL_FATAL(tw_model_masks_draw(&j->dealer, &j->plan.program, &tw_cpu_backend, NULL, &masks), TW_OK);
  for (int p = 0; p < 2; p++) j->keys[p] = room(BATCH * MOST);
  for (int s = 0; s < BATCH; s++) {
    uint8_t *at[2] = {j->keys[0] + (size_t)s * MOST, j->keys[1] + (size_t)s * MOST};
    tw_sink sink[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
    tw_seed pair[2];
    for (int p = 0; p < 2; p++) tw_seed_random(&pair[p]), j->seeds[p][s] = pair[p];
    j->slots[s] = (uint64_t)s;
    j->lengths[s] = SEQ;
    CU_ASSERT_EQUAL_FATAL(tw_deal_slot(&j->plan, &masks, pair, j->slots[s], sink, NULL, NULL), TW_OK);
  }
  tw_model_masks_free(&masks);
}

typedef struct {
  const job *j;
  int party;
} own_keys;

static const uint8_t *slot_of(void *state, int b) {
  const own_keys *k = state;
  return k->j->keys[k->party] + (size_t)b * MOST;
}

static tw_status infer(party *p, tw_engine **engine) {
  job *j = p->j;
  int me = p->channel->party;
  own_keys keys = {j, me};
  tw_engine_options o = {.plan = &j->plan,
                         .model = &j->share[me],
                         .channel = p->channel,
                         .batch = BATCH,
                         .device = TW_DEVICE_CPU,
                         .overlap = p->overlap,
                         .coalesce = 1,
                         .keys = TW_KEYS_MEMORY,
                         .input = j->input[me]};
  tw_engine_job work = {.seeds = j->seeds[me],
                        .slots = j->slots,
                        .lengths = j->lengths,
                        .input = j->input[me],
                        .source = {.state = &keys, .slot = slot_of}};
  TW_TRY(tw_engine_create(&o, engine));
  TW_TRY(tw_engine_prepare(*engine, &work));
  TW_TRY(tw_engine_online(*engine, NULL, NULL));
  uint64_t *again = room(8 * BATCH * N);  // what is opened is known to both
  tw_status status = tw_engine_output(*engine, 0, me ? again : j->masked, j->mask[me]);
  tw_free(again);
  return status;
}

static void *run_party(void *argument) {
  party *p = argument;
  tw_engine *engine = NULL;
  p->status = infer(p, &engine);
  if (p->status != TW_OK) snprintf(p->message, sizeof p->message, "%s", tw_error_message());
  tw_engine_destroy(engine);
  return NULL;
}

static void run(job *j, bool overlap) {
  tw_channel *ends[2];
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(60, ends), TW_OK);
  party p[2] = {{.j = j, .channel = ends[0], .overlap = overlap}, {.j = j, .channel = ends[1], .overlap = overlap}};
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_party, &p[1]), 0);
  run_party(&p[0]);
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(p[i].status, TW_OK);
    if (p[i].status != TW_OK) printf("\n  party %d: %s\n", i, p[i].message);
    tw_channel_destroy(ends[i]);
  }
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
  deal(j);
  j->masked = room(8 * BATCH * N);
  for (int p = 0; p < 2; p++) j->mask[p] = room(8 * BATCH * N);
  run(j, overlap);
  check(j);
  for (int p = 0; p < 2; p++) {
    tw_free(j->input[p]);
    tw_free(j->keys[p]);
    tw_free(j->mask[p]);
    tw_model_share_free(&j->share[p]);
  }
  tw_free(j->masked);
  tw_model_dealer_free(&j->dealer);
  tw_program_free(&j->plan.program);
  tw_model_free(&j->model);
  free(j);
}

static void whole_batch(void) { two_inputs(false); }
static void halves(void) { two_inputs(true); }

SUITE_MAIN("inputs of an engine", {"whole batch", whole_batch}, {"halves in turn", halves})
