// Keys from a live dealer, in one process: what both parties read, in any order and by several threads, are the bytes
// that the dealer of files makes of the same seeds; dealt level by level, and whole into memory as a GPU deals. And a
// store keeps its rules: a seed once, a chunk once.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "jobs/models/import.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/live_keys.h"
#include "jobs/parties/live_words.h"
#include "jobs/parties/serve.h"
#include "jobs/parties/share.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { BATCH = 3, READERS = 3, STREAMS = 3, DAY = 86400 };

static tw_model model;
static tw_client client;
static tw_plan plan;
static tw_model_share shares[2];
static tw_model_dealer dealer;
static tw_site sites[3];  // party 0, party 1, dealer
static tw_peer dealer_file;
static tw_site_pairs pairs;
static tw_serve *serve;
static pthread_t thread;
static tw_status worked;
static int stop[2], room;
static char where[64];

static void stay_silent(void *state, const char *text) {
  (void)state;
  (void)text;
}

static void *work(void *state) {
  (void)state;
  worked = tw_serve_work(serve, stop[0]);
  return NULL;
}

static bool make_model(void) {
  tw_seed seeds[2];
  for (int p = 0; p < 2; p++) tw_seed_random(&seeds[p]);
  return tw_import_synthetic("1x128x2x512", &model, &client) == TW_OK &&
         tw_plan_make(&model.config, &(tw_plan_request){.seq = 64}, NULL, &plan) == TW_OK &&
         tw_share_model_with(&model, seeds, shares, &dealer) == TW_OK;
}

static bool make_sites(void) {
  static const tw_site_role roles[3] = {TW_SITE_PARTY_0, TW_SITE_PARTY_1, TW_SITE_DEALER};
  int64_t now = (int64_t)time(NULL);
  char name[16];
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "s%d", i);
    if (tw_site_create(in_folder(name), roles[i], now - DAY, now + DAY) != TW_OK) return false;
    if (tw_site_load(in_folder(name), &sites[i]) != TW_OK) return false;
  }
  if (tw_peer_load(in_folder("s2/site.pem"), &dealer_file) != TW_OK) return false;
  if (tw_alloc(sizeof *pairs.pair, (void **)&pairs.pair) != TW_OK) return false;
  pairs.count = 1;
  pairs.file = strdup("pairs.json");
  *pairs.pair = (tw_site_pair){.most_sequences = 8, .most_runs = 2, .most_streams = 4};
  for (int party = 0; party < 2; party++) memcpy(pairs.pair->pin[party], sites[party].self.pin, TW_PIN_BYTES);
  return true;
}

static int open_all(void) {
  tw_seeds_may_be_unlocked();
  tw_serve_options o = {.plan = &plan,
                        .dealer = &dealer,
                        .pairs = &pairs,
                        .own = &sites[2],
                        .option = "--serve",
                        .connections = 32,
                        .room = room,
                        .silence_seconds = 60,
                        .note = stay_silent};
  if (scratch_open() != 0 || !make_model() || !make_sites() || pipe2(stop, O_CLOEXEC) != 0) return 1;
  if (tw_place_parse("--serve", "127.0.0.1:0", false, &o.place) != TW_OK) return 1;
  if (tw_serve_create(&o, &serve) != TW_OK) return 1;
  snprintf(where, sizeof where, "127.0.0.1:%d", tw_serve_port(serve));
  return pthread_create(&thread, NULL, work, NULL);
}

static int open_with_memory(void) {
  room = BATCH;
  return open_all();
}

static int close_all(void) {
  bool told = write(stop[1], "x", 1) == 1;
  pthread_join(thread, NULL);
  tw_serve_destroy(serve);
  for (int i = 0; i < 2; i++) close(stop[i]);
  for (int i = 0; i < 3; i++) tw_site_free(&sites[i]);
  for (int i = 0; i < 2; i++) tw_model_share_free(&shares[i]);
  tw_peer_free(&dealer_file);
  tw_site_pairs_free(&pairs);
  tw_model_dealer_free(&dealer);
  tw_plan_free(&plan);
  tw_client_free(&client);
  tw_model_free(&model);
  serve = NULL;
  return scratch_close() || !told || worked != TW_OK;
}

// ---- one party

typedef struct {
  int party, streams;
  const uint8_t *run;
  tw_key_store store;
  tw_id key_id;
  uint64_t first;
  tw_seed seeds[BATCH];
  uint8_t *keys;    // [BATCH][slot_bytes]
  uint32_t *order;  // of all chunks
  uint32_t chunks, taken;
  pthread_mutex_t lock;
  unsigned failures;
} reader;

static tw_status open_store(int party, int streams, tw_key_store *out) {
  tw_live_dealer d = {.who = {.own = &sites[party], .peer = &dealer_file, .secret = true},
                      .route = {.connect = where, .option = "--dealer"},
                      .streams = streams,
                      .silence_seconds = 60};
  return tw_live_keys_open(&d, &plan, &dealer.model_id, party, out);
}

static void *read_chunks(void *state) {
  reader *r = state;
  uint64_t bytes = plan.program.slot_bytes[r->party];
  for (;;) {
    pthread_mutex_lock(&r->lock);
    uint32_t at = r->taken < r->chunks ? r->taken++ : UINT32_MAX;
    pthread_mutex_unlock(&r->lock);
    if (at == UINT32_MAX) return NULL;
    uint32_t i = r->order[at] % BATCH, number = r->order[at] / BATCH;
    uint8_t *to = r->keys + i * bytes + (uint64_t)number * TW_KEY_CHUNK;
    if (r->store.chunk(r->store.state, (int)i, number, to) == TW_OK) continue;
    fprintf(stderr, "  party %d, chunk %u of %u: %s\n", r->party, number, i, tw_error_message());
    __atomic_fetch_add(&r->failures, 1, __ATOMIC_RELAXED);
  }
}

static tw_status take_slots(reader *r) {
  uint64_t slots[BATCH];
  TW_TRY(open_store(r->party, r->streams, &r->store));
  TW_TRY(r->store.reserve(r->store.state, r->run, BATCH, &r->first));
  r->key_id = tw_key_store_info(&r->store)->key_id;
  for (int i = 0; i < BATCH; i++) {
    slots[i] = r->first + (uint64_t)i;
    TW_TRY(r->store.seed(r->store.state, slots[i], r->seeds[i].key));
  }
  TW_TRY(r->store.take(r->store.state, slots, BATCH));
  TW_TRY(r->store.erase(r->store.state, slots, BATCH));
  for (int i = 0; i < BATCH; i++) {
    uint8_t again[32];
    CU_ASSERT_EQUAL(r->store.seed(r->store.state, slots[i], again), TW_ERR_USED);
  }
  return TW_OK;
}

static void shuffle(reader *r) {
  for (uint32_t i = 0; i < r->chunks; i++) r->order[i] = i;
  for (uint32_t i = r->chunks - 1; i > 0; i--) {
    uint32_t k = randombytes_uniform(i + 1), kept = r->order[i];
    r->order[i] = r->order[k];
    r->order[k] = kept;
  }
}

static void *take(void *state) {
  reader *r = state;
  uint64_t bytes = plan.program.slot_bytes[r->party];
  r->chunks = BATCH * (uint32_t)((bytes + TW_KEY_CHUNK - 1) / TW_KEY_CHUNK);
  r->keys = malloc(BATCH * bytes);
  r->order = malloc(sizeof *r->order * r->chunks);
  pthread_mutex_init(&r->lock, NULL);
  shuffle(r);
  tw_status status = take_slots(r);
  CU_ASSERT_EQUAL(status, TW_OK);
  if (status == TW_OK) return NULL;
  fprintf(stderr, "  party %d: %s\n", r->party, tw_error_message());
  r->failures++;
  return NULL;
}

static void *read_all(void *state) {
  reader *r = state;
  pthread_t threads[READERS];
  if (!r->keys) take(r);
  if (r->failures) return NULL;
  for (int i = 0; i < READERS; i++) pthread_create(&threads[i], NULL, read_chunks, r);
  for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
  CU_ASSERT_EQUAL(r->store.chunk(r->store.state, 0, 0, r->keys), TW_ERR_INTERNAL);  // twice
  return NULL;
}

static void leave(reader *r) {
  tw_key_store_close(&r->store);
  pthread_mutex_destroy(&r->lock);
  free(r->keys);
  free(r->order);
}

// ---- tests

static void compare(const reader r[2]) {
  tw_model_masks masks;
  CU_ASSERT_EQUAL_FATAL(tw_model_masks_draw(&dealer, &plan.program, &tw_cpu_backend, NULL, &masks), TW_OK);
  for (int i = 0; i < BATCH; i++) {
    uint8_t *made[2], *at[2];
    tw_seed seeds[2] = {r[0].seeds[i], r[1].seeds[i]};
    for (int party = 0; party < 2; party++) at[party] = made[party] = malloc(plan.program.slot_bytes[party]);
    tw_sink sinks[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
    CU_ASSERT_EQUAL_FATAL(tw_deal_slot(&plan, &masks, seeds, r[0].first + (uint64_t)i, sinks, NULL, NULL), TW_OK);
    for (int party = 0; party < 2; party++) {
      uint64_t bytes = plan.program.slot_bytes[party];
      CU_ASSERT_EQUAL((uint64_t)(at[party] - made[party]), bytes);
      CU_ASSERT_EQUAL(memcmp(made[party], r[party].keys + (uint64_t)i * bytes, bytes), 0);
      free(made[party]);
    }
  }
  tw_model_masks_free(&masks);
}

static uint64_t next_slot;

static void begin(reader r[2], uint8_t run[TW_LIVE_RUN_BYTES], int streams) {
  randombytes_buf(run, TW_LIVE_RUN_BYTES);
  for (int party = 0; party < 2; party++)
    r[party] = (reader){.party = party, .run = run, .streams = party ? streams : 1};
}

static void both(reader r[2], void *(*act)(void *)) {
  pthread_t other;
  pthread_create(&other, NULL, act, &r[1]);
  act(&r[0]);
  pthread_join(other, NULL);
}

static void finish(reader r[2]) {
  CU_ASSERT_EQUAL(r[0].failures + r[1].failures, 0);
  CU_ASSERT_STRING_EQUAL(r[0].key_id.hex, r[1].key_id.hex);
  CU_ASSERT_EQUAL(r[0].first, r[1].first);
  CU_ASSERT_EQUAL(r[0].first, next_slot);
  next_slot += BATCH;
  if (r[0].failures + r[1].failures == 0) compare(r);
  for (int party = 0; party < 2; party++) leave(&r[party]);
}

static void as_from_files(void) {
  next_slot = 0;
  CU_ASSERT_EQUAL(tw_serve_room(serve), room);
  CU_ASSERT(plan.program.slot_bytes[0] > 2 * TW_KEY_CHUNK);
  for (int turn = 0; turn < 3; turn++) {
    uint8_t run[TW_LIVE_RUN_BYTES];
    reader r[2];
    begin(r, run, turn == 1 ? STREAMS : turn == 2 ? TW_LIVE_STREAMS : 1);  // the dealer allows 4
    both(r, read_all);
    finish(r);
  }
}

// While one run has its slots and takes nothing, another one takes all of its own: with memory for one run only, that
// is dealt level by level.
static void slow_beside_fast(void) {
  uint8_t run[2][TW_LIVE_RUN_BYTES];
  reader slow[2], fast[2];
  begin(slow, run[0], STREAMS);
  begin(fast, run[1], 1);
  both(slow, take);
  both(fast, take);
  both(fast, read_all);
  both(slow, read_all);
  finish(slow);
  finish(fast);
}

// The other one hears it, and the next run has nothing of it.
static void one_dies(void) {
  uint8_t run[TW_LIVE_RUN_BYTES];
  reader r[2];
  void *chunk = malloc(TW_KEY_CHUNK);
  begin(r, run, STREAMS);
  both(r, take);
  tw_status status = r[0].store.chunk(r[0].store.state, 0, 0, chunk);
  CU_ASSERT_EQUAL(status, TW_OK);
  leave(&r[1]);
  r[0].store.chunk(r[0].store.state, 1, 0, chunk);
  for (uint32_t n = 1; n < r[0].chunks / BATCH && status == TW_OK; n++)
    for (int i = 0; i < BATCH && status == TW_OK; i++) status = r[0].store.chunk(r[0].store.state, i, n, chunk);
  CU_ASSERT(status == TW_OK || status == TW_ERR_PEER);  // what was on its way already comes
  leave(&r[0]);
  free(chunk);
  next_slot += BATCH;
  begin(r, run, STREAMS);
  both(r, read_all);
  finish(r);
}

static void one_alone(void) {
  uint8_t run[TW_LIVE_RUN_BYTES], seed[32];
  tw_key_store store;
  uint64_t first, slots[1];
  randombytes_buf(run, sizeof run);
  CU_ASSERT_EQUAL_FATAL(open_store(0, 1, &store), TW_OK);
  CU_ASSERT_EQUAL(store.reserve(store.state, run, 9, &first), TW_ERR_MISMATCH);
  CU_ASSERT(message_has("1 to 8 at once"));
  tw_key_store_close(&store);
  CU_ASSERT_EQUAL_FATAL(open_store(0, 1, &store), TW_OK);
  CU_ASSERT_EQUAL(store.reserve(store.state, run, 1, &first), TW_OK);
  CU_ASSERT_EQUAL(store.seed(store.state, first + 1, seed), TW_ERR_INTERNAL);
  slots[0] = first + 1;
  CU_ASSERT_EQUAL(store.take(store.state, slots, 1), TW_ERR_INTERNAL);
  tw_key_store_close(&store);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite by_level = CU_add_suite("live keys", open_all, close_all);
  CU_pSuite whole = CU_add_suite("live keys, slots dealt whole", open_with_memory, close_all);
  if (!by_level || !whole || !CU_add_test(by_level, "as from files, in any order", as_from_files) ||
      !CU_add_test(by_level, "one party dies", one_dies) || !CU_add_test(by_level, "one party alone", one_alone) ||
      !CU_add_test(whole, "as from files, in any order", as_from_files) ||
      !CU_add_test(whole, "a slow run beside a fast one", slow_beside_fast) ||
      !CU_add_test(whole, "one party dies", one_dies))
    return 2;
  return suite_end();
}
