#include "jobs/parties/live_runs.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

static const long look_ns = 100000000;

struct tw_live_run {
  tw_live_run *next;
  int pair, count;
  uint8_t number[TW_LIVE_RUN_BYTES];
  tw_id key_id;
  uint64_t first;
  tw_seed *seeds;  // [2][count]
  bool asked[2], goes[2];
  uint32_t streams[2], joined[2], there[2];  // there: connections; joined: bit i: stream i has come
  tw_live_deal *deal;
  tw_status status;
  char message[TW_LIVE_MESSAGE];
};

// Where a pair's numbering is.
typedef struct {
  tw_id key_id;
  uint64_t next, given;
  uint32_t runs, there[2], all[2];  // runs under way, connections of each party: first ones, all
} account;

struct tw_live_runs {
  const tw_live_maker *maker;
  const tw_site_pairs *pairs;
  account *accounts;
  tw_live_run *first;
  bool stopping;
  pthread_mutex_t lock;
  pthread_cond_t changed;
};

tw_status tw_live_runs_create(const tw_live_maker *maker, const tw_site_pairs *pairs, tw_live_runs **out) {
  tw_live_runs *r;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *r, (void **)&r));
  tw_status status = tw_alloc(sizeof *r->accounts * (size_t)pairs->count, (void **)&r->accounts);
  if (status != TW_OK) {
    tw_free(r);
    return status;
  }
  r->maker = maker;
  r->pairs = pairs;
  for (int i = 0; i < pairs->count; i++) tw_id_random(&r->accounts[i].key_id);
  pthread_mutex_init(&r->lock, NULL);
  tw_condition_init(&r->changed);
  *out = r;
  return TW_OK;
}

void tw_live_runs_destroy(tw_live_runs *r) {
  if (!r) return;
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->lock);
  tw_free(r->accounts);
  tw_free(r);
}

static void fail_run(tw_live_run *run, tw_status status, const char *message) {
  if (run->status == TW_OK) {
    run->status = status;
    snprintf(run->message, sizeof run->message, "%s", message);
  }
  if (run->deal) tw_live_deal_stop(run->deal, status, message);
}

void tw_live_runs_stop(tw_live_runs *r, bool at_once) {
  pthread_mutex_lock(&r->lock);
  r->stopping = true;
  for (tw_live_run *run = r->first; run && at_once; run = run->next)
    fail_run(run, TW_ERR_PEER, "the dealer was told to stop");
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->lock);
}

int tw_live_runs_count(tw_live_runs *r) {
  int count = 0;
  pthread_mutex_lock(&r->lock);
  for (const tw_live_run *run = r->first; run; run = run->next) count++;
  pthread_mutex_unlock(&r->lock);
  return count;
}

// ---- connections

// Further streams count when they join a run.
tw_status tw_live_runs_come_in(tw_live_runs *r, int pair, int party, int stream) {
  const uint32_t spare = 2;  // of runs that have just ended, and of the one that asks in vain
  const tw_site_pair *limits = &r->pairs->pair[pair];
  account *a = &r->accounts[pair];
  if (stream > 0) return TW_OK;
  uint32_t *there = stream < 0 ? &a->all[party] : &a->there[party];
  uint32_t most = (limits->most_runs + spare) * (stream < 0 ? limits->most_streams : 1);
  pthread_mutex_lock(&r->lock);
  uint32_t before = *there;
  if (before < most) ++*there;
  pthread_mutex_unlock(&r->lock);
  if (before < most) return TW_OK;
  return tw_fail(TW_ERR_PEER, "%u connections of this party are there already, for %u runs", before, limits->most_runs);
}

void tw_live_runs_go_out(tw_live_runs *r, int pair, int party, int stream) {
  account *a = &r->accounts[pair];
  if (stream > 0) return;
  pthread_mutex_lock(&r->lock);
  --*(stream < 0 ? &a->all[party] : &a->there[party]);
  pthread_mutex_unlock(&r->lock);
}

// ---- asking; all of these hold the lock

static tw_live_run *find(const tw_live_runs *r, int pair, const uint8_t *number) {
  for (tw_live_run *run = r->first; run; run = run->next)
    if (run->pair == pair && sodium_memcmp(run->number, number, TW_LIVE_RUN_BYTES) == 0) return run;
  return NULL;
}

static tw_status check_limits(const tw_live_runs *r, int pair, uint32_t count) {
  const tw_site_pair *limits = &r->pairs->pair[pair];
  const account *a = &r->accounts[pair];
  if (r->stopping) return tw_fail(TW_ERR_PEER, "the dealer is about to stop, and begins no run any more");
  if (count < 1 || count > limits->most_sequences)
    return tw_fail(TW_ERR_MISMATCH, "%u sequences in one run: the dealer gives this pair slots for 1 to %u at once",
                   count, limits->most_sequences);
  if (a->runs >= limits->most_runs)
    return tw_fail(TW_ERR_PEER, "this pair has %u runs under way, and the dealer allows no more; try again later",
                   a->runs);
  if (limits->most_inferences && limits->most_inferences - a->given < count)
    return tw_fail(TW_ERR_USED, "the dealer gives this pair slots for %llu inferences, of which %llu are left",
                   (unsigned long long)limits->most_inferences,
                   (unsigned long long)(limits->most_inferences - a->given));
  return TW_OK;
}

// The next slots in a row; of a new key where the present one has not as many.
static void number_slots(account *a, uint32_t count, tw_live_run *run) {
  if (a->next + count > TW_LIVE_SLOTS) {
    tw_id_random(&a->key_id);
    a->next = 0;
  }
  run->key_id = a->key_id;
  run->first = a->next;
  a->next += count;
  a->given += count;
  a->runs++;
}

static tw_status begin(tw_live_runs *r, int pair, const uint8_t *number, uint32_t count, tw_live_run **out) {
  tw_live_run *run;
  TW_TRY(check_limits(r, pair, count));
  if (count > TW_LIVE_SLOTS) return tw_fail(TW_ERR_MISMATCH, "more than %d sequences in one run", TW_LIVE_SLOTS);
  TW_TRY(tw_alloc(sizeof *run, (void **)&run));
  tw_status status = tw_seed_alloc(2 * sizeof *run->seeds * count, (void **)&run->seeds);
  if (status != TW_OK) {
    tw_free(run);
    return status;
  }
  for (uint32_t i = 0; i < 2 * count; i++) tw_seed_random(&run->seeds[i]);
  memcpy(run->number, number, sizeof run->number);
  run->pair = pair;
  run->count = (int)count;
  number_slots(&r->accounts[pair], count, run);
  run->next = r->first;
  r->first = run;
  *out = run;
  return TW_OK;
}

static tw_status ask(tw_live_runs *r, int pair, int party, const uint8_t *number, uint32_t count, uint32_t streams,
                     tw_live_run **out) {
  if (streams < 1 || streams > r->pairs->pair[pair].most_streams)
    return tw_fail(TW_ERR_MISMATCH, "%u streams for one run: the dealer gives this pair 1 to %u", streams,
                   r->pairs->pair[pair].most_streams);
  tw_live_run *run = find(r, pair, number);
  if (!run) TW_TRY(begin(r, pair, number, count, &run));
  if (run->asked[party])
    return tw_fail(TW_ERR_USED, "the slots of this run were asked for before; every run asks once");
  if (run->status != TW_OK) return tw_fail(run->status, "%s", run->message);
  if (run->count != (int)count)
    return tw_fail(TW_ERR_MISMATCH, "the other party asked for %d slots of this run, this one asks for %u", run->count,
                   count);
  run->asked[party] = true;
  run->there[party] = 1;
  run->streams[party] = streams;
  run->joined[party] = 1;
  *out = run;
  return TW_OK;
}

tw_status tw_live_run_ask(tw_live_runs *r, int pair, int party, const uint8_t number[TW_LIVE_RUN_BYTES], uint32_t count,
                          uint32_t streams, tw_live_run **out, tw_id *key_id, uint64_t *first, const tw_seed **seeds) {
  tw_live_run *run = NULL;
  pthread_mutex_lock(&r->lock);
  tw_status status = ask(r, pair, party, number, count, streams, &run);
  pthread_mutex_unlock(&r->lock);
  TW_TRY(status);
  *key_id = run->key_id;
  *first = run->first;
  *seeds = run->seeds + party * run->count;
  *out = run;
  return TW_OK;
}

static tw_status join(tw_live_runs *r, int pair, int party, const tw_live_ask *ask, tw_live_run **out) {
  tw_live_run *run = find(r, pair, ask->says.run);
  uint32_t stream = ask->says.stream;
  if (!run || !run->there[party] || run->goes[party] || ask->says.streams != run->streams[party] ||
      ask->says.count != (uint32_t)run->count || stream < 1 || stream >= run->streams[party] ||
      run->joined[party] >> stream & 1)
    return tw_fail(TW_ERR_IDENTITY, "stream %u belongs to no run that lacks it", stream);
  if (run->status != TW_OK) return tw_fail(run->status, "%s", run->message);
  run->joined[party] |= 1u << stream;
  run->there[party]++;
  *out = run;
  return TW_OK;
}

tw_status tw_live_run_join(tw_live_runs *r, int pair, int party, const tw_live_ask *ask, tw_live_run **out) {
  pthread_mutex_lock(&r->lock);
  tw_status status = join(r, pair, party, ask, out);
  pthread_mutex_unlock(&r->lock);
  return status;
}

// ---- going

static tw_status look(tw_live_runs *r, tw_live_run *run) {
  if (run->status != TW_OK) return tw_fail(run->status, "%s", run->message);
  if (!run->goes[0] || !run->goes[1] || run->deal) return TW_OK;
  return tw_live_deal_start(r->maker, run->seeds, run->first, run->count, &run->deal);
}

static tw_status go(tw_live_run *run, int party) {
  if (run->joined[party] + 1 != 1u << run->streams[party])
    return tw_fail(TW_ERR_IDENTITY, "not all of its %u streams have come", run->streams[party]);
  run->goes[party] = true;
  return TW_OK;
}

tw_status tw_live_run_go(tw_live_runs *r, tw_live_run *run, int party, uint32_t stream, tw_live_deal **deal) {
  struct timespec until = tw_clock_timespec(tw_clock_ns() + look_ns);
  pthread_mutex_lock(&r->lock);
  tw_status status = stream ? TW_OK : go(run, party);
  if (status == TW_OK) status = look(r, run);
  if (status == TW_OK && run->deal) pthread_cond_broadcast(&r->changed);
  if (status == TW_OK && !run->deal) {
    pthread_cond_timedwait(&r->changed, &r->lock, &until);
    status = look(r, run);
  }
  *deal = status == TW_OK ? run->deal : NULL;
  pthread_mutex_unlock(&r->lock);
  return status;
}

// ---- leaving

static void forget(tw_live_runs *r, tw_live_run *run) {
  tw_live_run **at = &r->first;
  while (*at != run) at = &(*at)->next;
  *at = run->next;
  r->accounts[run->pair].runs--;
}

void tw_live_run_leave(tw_live_runs *r, tw_live_run *run, int party, tw_status status, const char *message) {
  char text[TW_LIVE_MESSAGE];
  pthread_mutex_lock(&r->lock);
  run->there[party]--;
  if (status != TW_OK) {
    snprintf(text, sizeof text, "party %d has left the dealer: %.*s", party, (int)sizeof text - 40, message);
    fail_run(run, status, text);
  }
  pthread_cond_broadcast(&r->changed);
  bool last = !run->there[0] && !run->there[1];
  if (last) forget(r, run);
  pthread_mutex_unlock(&r->lock);
  if (!last) return;
  tw_live_deal_destroy(run->deal);
  tw_seed_free(run->seeds, 2 * sizeof *run->seeds * (size_t)run->count);
  tw_free(run);
}
