#include "jobs/rehearsal.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/deal.h"
#include "jobs/device_dealer.h"
#include "jobs/emulate.h"
#include "jobs/encode.h"
#include "jobs/import.h"
#include "jobs/share.h"
#include "kernels/pack.h"

struct tw_rehearsal {
  tw_rehearsal_options o;
  tw_model model;
  tw_client client;
  tw_plan plan;
  tw_model_share shares[2];
  tw_model_dealer dealer;
  tw_model_masks masks;
  tw_input input;
  uint64_t *input_share;
  int *lengths;
  uint8_t **slots;  // own corrections of each slot
  tw_seed *seeds;   // own, of each slot
  uint64_t *slot_numbers;
  uint64_t *read;  // bytes read of each sequence's slot in the running repetition
  int repetition, next_slot, slot_count;
  pthread_mutex_t lock;
  tw_status dealt;
  char message[256];
};

static uint64_t random_word(const tw_rehearsal *r, const char *label, uint64_t index) {
  tw_seed seed;
  uint64_t word;
  tw_seed_test(&seed, r->o.number, label, index);
  memcpy(&word, seed.key, sizeof word);
  return word;
}

// Tokens drawn from the number, embedded by the synthetic client; every sequence fills its length.
static tw_status make_input(tw_rehearsal *r) {
  size_t n = (size_t)r->o.batch * (size_t)r->o.seq;
  void *memory;
  TW_TRY(tw_alloc(sizeof(int) * n, &memory));
  int *ids = memory;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)r->o.batch, &memory));
  r->lengths = memory;
  for (int b = 0; b < r->o.batch; b++) r->lengths[b] = r->o.seq;
  for (size_t i = 0; i < n; i++) ids[i] = (int)(random_word(r, "token", i) % (uint64_t)r->client.config.vocab);
  TW_TRY(tw_alloc(sizeof(int *) * (size_t)r->o.batch, &memory));
  const int **rows = memory;
  for (int b = 0; b < r->o.batch; b++) rows[b] = ids + (size_t)b * (size_t)r->o.seq;
  tw_status status = tw_encode_ids(&r->client, rows, r->lengths, r->o.batch, r->o.seq, &r->input);
  tw_free(rows);
  tw_free(ids);
  return status;
}

static tw_status share_input(tw_rehearsal *r) {
  size_t n = (size_t)r->o.batch * (size_t)r->o.seq * (size_t)r->input.hidden;
  void *memory;
  tw_seed seed;
  TW_TRY(tw_alloc(8 * n, &memory));
  r->input_share = memory;
  tw_seed_test(&seed, r->o.number, "input", 0);
  tw_prg_ring(&seed, 0, 0, TW_INPUT_RING, 0, n, r->input_share);
  for (size_t j = 0; r->o.rank == 1 && j < n; j++)
    r->input_share[j] =
        ((uint64_t)tw_fixed_value((double)r->input.values[j]) - r->input_share[j]) & tw_mask(TW_INPUT_RING);
  return TW_OK;
}

static tw_status make_model(tw_rehearsal *r) {
  tw_seed seeds[2];
  TW_TRY(tw_import_synthetic(r->o.shape, &r->model, &r->client));
  if (r->o.layers > 0 && r->o.layers < r->model.config.layers) {  // the first layers of the shape
    int keep = r->o.layers * TW_TENSORS_PER_LAYER;
    for (int i = keep; i < r->model.count; i++) tw_free(r->model.tensors[i].values);
    r->model.count = keep;
    r->model.config.layers = r->o.layers;
  }
  TW_TRY(tw_plan_make(&r->model.config, r->o.seq, TW_DITHERED, TW_OUTPUT_TOKENS, NULL, &r->plan));
  for (int rank = 0; rank < 2; rank++) tw_seed_test(&seeds[rank], r->o.number, "model mask", (uint64_t)rank);
  TW_TRY(tw_share_model_with(&r->model, seeds, r->shares, &r->dealer));
  tw_model_share_free(&r->shares[1 - r->o.rank]);
  return r->o.device == TW_DEVICE_CUDA ? TW_OK : tw_model_masks_draw(&r->dealer, &tw_cpu_backend, NULL, &r->masks);
}

static tw_status allocate_slots(tw_rehearsal *r) {
  r->slot_count = r->o.batch * r->o.repeat;
  void *memory;
  TW_TRY(tw_alloc(sizeof(uint8_t *) * (size_t)r->slot_count, &memory));
  r->slots = memory;
  TW_TRY(tw_alloc(sizeof(tw_seed) * (size_t)r->slot_count, &memory));
  r->seeds = memory;
  TW_TRY(tw_alloc(8 * (size_t)r->slot_count, &memory));
  r->slot_numbers = memory;
  for (int i = 0; i < r->slot_count; i++) {
    r->slot_numbers[i] = (uint64_t)i;
    tw_deal_test_seed(r->o.number, r->o.rank, (uint64_t)i, &r->seeds[i]);
  }
  TW_TRY(tw_alloc(8 * (size_t)r->o.batch, &memory));
  r->read = memory;
  return TW_OK;
}

tw_status tw_rehearsal_open(const tw_rehearsal_options *options, tw_rehearsal **out) {
  tw_rehearsal *r = calloc(1, sizeof *r);
  if (!r) return tw_fail(TW_ERR_MEMORY, "out of memory for a rehearsal");
  r->o = *options;
  pthread_mutex_init(&r->lock, NULL);
  tw_status status = make_model(r);
  if (status == TW_OK) status = make_input(r);
  if (status == TW_OK) status = share_input(r);
  if (status == TW_OK) status = allocate_slots(r);
  *out = r;
  if (status != TW_OK) {
    tw_rehearsal_close(r);
    *out = NULL;
  }
  return status;
}

void tw_rehearsal_close(tw_rehearsal *r) {
  if (!r) return;
  for (int i = 0; r->slots && i < r->slot_count; i++) tw_free(r->slots[i]);
  tw_free(r->slots);
  tw_free(r->seeds);
  tw_free(r->slot_numbers);
  tw_free(r->read);
  tw_free(r->lengths);
  tw_free(r->input_share);
  tw_input_free(&r->input);
  if (r->masks.count) tw_model_masks_free(&r->masks);
  if (r->shares[r->o.rank].count) tw_model_share_free(&r->shares[r->o.rank]);
  tw_plan_free(&r->plan);
  tw_client_free(&r->client);
  tw_model_free(&r->model);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

const tw_plan *tw_rehearsal_plan(const tw_rehearsal *r) { return &r->plan; }
const tw_model_share *tw_rehearsal_model(const tw_rehearsal *r) { return &r->shares[r->o.rank]; }

// ---- dealing into memory ----

typedef struct {
  uint8_t *at;
} cursor;

static tw_status keep(void *state, const void *data, size_t bytes) {
  cursor *c = state;
  memcpy(c->at, data, bytes);
  c->at += bytes;
  return TW_OK;
}

static tw_status discard(void *state, const void *data, size_t bytes) {
  (void)state, (void)data, (void)bytes;
  return TW_OK;
}

static tw_status deal_one(tw_rehearsal *r, int i) {
  void *memory;
  tw_seed seed[2];
  tw_sink sink[2];
  TW_TRY(tw_alloc(r->plan.program.slot_bytes[r->o.rank], &memory));
  r->slots[i] = memory;
  cursor c = {memory};
  for (int rank = 0; rank < 2; rank++) {
    tw_deal_test_seed(r->o.number, rank, (uint64_t)i, &seed[rank]);
    sink[rank] = rank == r->o.rank ? (tw_sink){keep, &c} : (tw_sink){discard, NULL};
  }
  return tw_deal_slot(&r->plan, &r->masks, seed, (uint64_t)i, sink, NULL, NULL);
}

static void *deal_some(void *argument) {
  tw_rehearsal *r = argument;
  for (;;) {
    pthread_mutex_lock(&r->lock);
    int i = r->dealt == TW_OK && r->next_slot < r->slot_count ? r->next_slot++ : -1;
    pthread_mutex_unlock(&r->lock);
    if (i < 0) return NULL;
    tw_status status = deal_one(r, i);
    if (status == TW_OK) continue;
    pthread_mutex_lock(&r->lock);
    r->dealt = status;
    strncpy(r->message, tw_error_message(), sizeof r->message - 1);
    pthread_mutex_unlock(&r->lock);
  }
}

#ifdef TWAIN_CUDA
static tw_status deal_slots_on(tw_device_dealer *d, tw_rehearsal *r) {
  size_t bytes = r->plan.program.slot_bytes[r->o.rank];
  for (int i = 0; i < r->slot_count; i++) {
    tw_seed seed[2];
    void *memory;
    for (int rank = 0; rank < 2; rank++) tw_deal_test_seed(r->o.number, rank, (uint64_t)i, &seed[rank]);
    TW_TRY(tw_alloc(bytes, &memory));
    r->slots[i] = memory;
    TW_TRY(tw_device_dealer_begin(d, 0, seed, (uint64_t)i));
    TW_TRY(tw_device_dealer_wait(d));
    memcpy(memory, tw_device_dealer_half(d, 0, r->o.rank), bytes);
  }
  return TW_OK;
}

static tw_status deal_on_device(tw_rehearsal *r) {
  tw_device_dealer *d;
  TW_TRY(tw_device_dealer_open(&r->plan, &r->dealer, (const bool[2]){r->o.rank == 0, r->o.rank == 1}, 1, &d));
  tw_status status = deal_slots_on(d, r);
  tw_device_dealer_close(d);
  return status;
}
#endif

tw_status tw_rehearsal_deal(tw_rehearsal *r, int threads) {
  enum { MOST = 64 };
#ifdef TWAIN_CUDA
  if (r->o.device == TW_DEVICE_CUDA) return deal_on_device(r);
#endif
  pthread_t thread[MOST];
  int count = threads > MOST ? MOST : threads;
  for (int i = 0; i < count; i++)
    if (pthread_create(&thread[i], NULL, deal_some, r) != 0) count = i;
  if (count == 0) deal_some(r);
  for (int i = 0; i < count; i++) pthread_join(thread[i], NULL);
  return r->dealt == TW_OK ? TW_OK : tw_fail(r->dealt, "%s", r->message);
}

// ---- repetitions ----

static tw_status read_slot(void *state, int b, void *dst, size_t bytes) {
  tw_rehearsal *r = state;
  if (r->read[b] + bytes > r->plan.program.slot_bytes[r->o.rank])
    return tw_fail(TW_ERR_INTERNAL, "a rank read past its slot");
  memcpy(dst, r->slots[r->repetition * r->o.batch + b] + r->read[b], bytes);
  r->read[b] += bytes;
  return TW_OK;
}

tw_status tw_rehearsal_job(tw_rehearsal *r, int repetition, tw_engine_job *out) {
  if (repetition >= r->o.repeat) return tw_fail(TW_ERR_INTERNAL, "more repetitions than were dealt for");
  r->repetition = repetition;
  memset(r->read, 0, 8 * (size_t)r->o.batch);
  int first = repetition * r->o.batch;
  *out = (tw_engine_job){.seeds = r->seeds + first,
                         .slots = r->slot_numbers + first,
                         .lengths = r->lengths,
                         .input = r->input_share,
                         .source = {.read = read_slot, .state = r}};
  return TW_OK;
}

tw_status tw_rehearsal_verify(tw_rehearsal *r, int repetition, const uint64_t *masked, const uint64_t *mask0,
                              const uint64_t *mask1, const char *transcript, uint64_t *mismatches) {
  tw_emulation e;
  TW_TRY(tw_emulate(&r->plan, &r->model, &r->input, r->slot_numbers + repetition * r->o.batch, r->o.number, &e));
  const tw_tensor *t = &r->plan.program.tensors[r->plan.program.output];
  *mismatches = strcmp(transcript, e.transcript) != 0;
  for (size_t j = 0; j < (size_t)r->o.batch * t->n; j++)
    *mismatches += tw_signed((masked[j] - mask0[j] - mask1[j]) & tw_mask(t->ring), t->ring) != e.output[j];
  tw_emulation_free(&e);
  return TW_OK;
}
