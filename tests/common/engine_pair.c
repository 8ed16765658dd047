#include "tests/common/engine_pair.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "comm/channels.h"

static void *room(size_t bytes) {
  void *p;
  if (tw_alloc(bytes, &p) != TW_OK) abort();
  return p;
}

void dealt_keys_make(dealt_keys *d, const tw_plan *plan, const tw_model_dealer *dealer, int batch) {
  tw_model_masks masks;
  d->slots = room((size_t)batch * sizeof *d->slots);
  for (int party = 0; party < 2; party++) {
    size_t bytes = plan->program.slot_bytes[party];
    d->of[party] = (dealt_half){room((size_t)batch * sizeof(tw_seed)), room((size_t)batch * bytes), bytes};
  }
  CU_ASSERT_EQUAL_FATAL(tw_model_masks_draw(dealer, &plan->program, &tw_cpu_backend, NULL, &masks), TW_OK);
  for (int s = 0; s < batch; s++) {
    uint8_t *at[2];
    tw_seed pair[2];
    for (int party = 0; party < 2; party++) {
      at[party] = d->of[party].keys + (size_t)s * d->of[party].slot_bytes;
      tw_seed_random(&pair[party]);
      d->of[party].seeds[s] = pair[party];
    }
    tw_sink sink[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
    d->slots[s] = (uint64_t)s;
    CU_ASSERT_EQUAL_FATAL(tw_deal_slot(plan, &masks, pair, d->slots[s], sink, NULL, NULL), TW_OK);
  }
  tw_model_masks_free(&masks);
}

static const uint8_t *slot_of(void *state, int b) {
  const dealt_half *half = state;
  return half->keys + (size_t)b * half->slot_bytes;
}

tw_key_source dealt_keys_source(dealt_keys *d, int party) {
  return (tw_key_source){.state = &d->of[party], .slot = slot_of};
}

void dealt_keys_free(dealt_keys *d) {
  for (int party = 0; party < 2; party++) {
    tw_free(d->of[party].seeds);
    tw_free(d->of[party].keys);
  }
  tw_free(d->slots);
}

// ---- both parties

typedef struct {
  engine_pair_work *work;
  void *state;
  tw_channel *channel;
  engine_pair_end *end;
} worker;

static void *run_party(void *argument) {
  const worker *w = argument;
  tw_engine *engine = NULL;
  *w->end = (engine_pair_end){.status = w->work(w->state, w->channel, &engine)};
  if (w->end->status != TW_OK) snprintf(w->end->message, sizeof w->end->message, "%s", tw_error_message());
  tw_engine_destroy(engine);
  return NULL;
}

void engine_pair_run(engine_pair_work *work, void *const state[2], engine_pair_end end[2]) {
  tw_channel *ends[2];
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(60, ends), TW_OK);
  worker w[2] = {{work, state[0], ends[0], &end[0]}, {work, state[1], ends[1], &end[1]}};
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_party, &w[1]), 0);
  run_party(&w[0]);
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++) tw_channel_destroy(ends[i]);
}

void engine_pair_run_well(engine_pair_work *work, void *const state[2]) {
  engine_pair_end end[2];
  engine_pair_run(work, state, end);
  for (int i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(end[i].status, TW_OK);
    if (end[i].status != TW_OK) printf("\n  party %d: %s\n", i, end[i].message);
  }
}
