#include "jobs/parties/live_deal.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/live_thread.h"

struct tw_live_deal {
  const tw_live_maker *maker;
  const tw_seed *seeds;
  uint64_t first;
  int count;
  tw_live_walk *walk;      // level by level; or, NULL:
  tw_slot_place **places;  // [count]
  int dealt;               // so many of them are full
  tw_live_thread thread;
};

// ---- dealing into places

static bool goes_on(tw_live_deal *d) {
  pthread_mutex_lock(&d->thread.lock);
  bool on = d->thread.status == TW_OK;
  pthread_mutex_unlock(&d->thread.lock);
  return on;
}

static tw_status deal_one(tw_live_deal *d, int i) {
  const tw_seed *const seed[2] = {&d->seeds[i], &d->seeds[d->count + i]};
  TW_TRY(tw_slot_store_deal(d->maker->store, seed, d->first + (uint64_t)i, d->places[i]));
  pthread_mutex_lock(&d->thread.lock);
  d->dealt = i + 1;
  pthread_cond_broadcast(&d->thread.changed);
  pthread_mutex_unlock(&d->thread.lock);
  return TW_OK;
}

static tw_status deal_all(void *state) {
  tw_live_deal *d = state;
  for (int i = 0; i < d->count && goes_on(d); i++) TW_TRY(deal_one(d, i));
  return TW_OK;
}

// ---- begin and end

static tw_status begin(tw_live_deal *d) {
  const tw_live_maker *m = d->maker;
  TW_TRY(tw_alloc(sizeof(tw_slot_place *) * (size_t)d->count, (void **)&d->places));
  if (!m->store || !tw_slot_store_take(m->store, d->count, d->places)) {
    tw_free(d->places);
    d->places = NULL;
    return tw_live_walk_start(m->plan, m->masks, d->seeds, d->first, d->count, &d->walk);
  }
  return tw_live_thread_start(&d->thread, deal_all, d);
}

tw_status tw_live_deal_start(const tw_live_maker *maker, const tw_seed *seeds, uint64_t first, int count,
                             tw_live_deal **out) {
  tw_live_deal *d;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *d, (void **)&d));
  d->maker = maker;
  d->seeds = seeds;
  d->first = first;
  d->count = count;
  tw_live_thread_init(&d->thread);
  tw_status status = begin(d);
  if (status == TW_OK)
    *out = d;
  else
    tw_live_deal_destroy(d);
  return status;
}

void tw_live_deal_stop(tw_live_deal *d, tw_status status, const char *message) {
  tw_live_thread_stop(&d->thread, status, message);
  if (d->walk) tw_live_walk_stop(d->walk, status, message);
}

void tw_live_deal_destroy(tw_live_deal *d) {
  if (!d) return;
  tw_live_thread_join(&d->thread);
  tw_live_walk_destroy(d->walk);
  if (d->places) tw_slot_store_give_back(d->maker->store, d->count, d->places);
  tw_free(d->places);
  tw_live_thread_free(&d->thread);
  tw_free(d);
}

// ---- taps

struct tw_live_tap {
  tw_live_deal *deal;
  int party;
  uint64_t stream, streams, chunks;  // chunks: of this tap
  uint64_t asked, given;             // so many copies were begun, pieces given
  tw_slot_staging *staging;
  // level by level
  tw_live_piece *last;  // the tap's own
  tw_live_piece *const *memory;
  int depth;
};

tw_status tw_live_tap_open(tw_live_deal *d, int party, int stream, int streams, tw_live_piece *const *memory, int depth,
                           tw_live_tap **out) {
  tw_live_tap *t;
  uint64_t bytes = d->maker->plan->program.slot_bytes[party];
  uint64_t all = (bytes + TW_KEY_CHUNK - 1) / TW_KEY_CHUNK * (uint64_t)d->count;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *t, (void **)&t));
  *t = (tw_live_tap){.deal = d,
                     .party = party,
                     .stream = (uint64_t)stream,
                     .streams = (uint64_t)streams,
                     .chunks = (all + (uint64_t)(streams - 1 - stream)) / (uint64_t)streams,
                     .memory = memory,
                     .depth = depth};
  tw_status status = TW_OK;
  if (d->places) status = tw_slot_staging_take(d->maker->store, memory, depth, &t->staging);
  if (d->places && status == TW_OK) t->depth = tw_slot_staging_depth(t->staging);
  if (status == TW_OK)
    *out = t;
  else
    tw_free(t);
  return status;
}

bool tw_live_tap_ended(const tw_live_tap *t) { return t->given == t->chunks; }

// The tap's k-th chunk.
static void place_of(const tw_live_tap *t, uint64_t k, int *sequence, uint64_t *number) {
  uint64_t at = t->stream + k * t->streams, count = (uint64_t)t->deal->count;
  *sequence = (int)(at % count);
  *number = at / count;
}

static tw_status next_of_walk(tw_live_tap *t, tw_live_piece **out) {
  int sequence;
  uint64_t number;
  tw_live_piece *came;
  place_of(t, t->given, &sequence, &number);
  tw_live_piece_free(t->last);
  t->last = NULL;
  TW_TRY(tw_live_walk_next(t->deal->walk, t->party, sequence, number, &came));
  if (!came) return TW_OK;
  *out = t->last = came;
  if (t->memory) {
    *out = t->memory[t->given % (uint64_t)t->depth];
    memcpy(*out, came, offsetof(tw_live_piece, sent) + came->bytes);
  }
  t->given++;
  return TW_OK;
}

// Whether the next chunk to be asked for has been dealt; waits for it a moment. Fails once dealing has.
static tw_status is_dealt(const tw_live_tap *t, bool wait, bool *dealt) {
  tw_live_deal *d = t->deal;
  int sequence;
  uint64_t number;
  place_of(t, t->asked, &sequence, &number);
  uint64_t begin_ns = tw_clock_ns();
  pthread_mutex_lock(&d->thread.lock);
  while (wait && d->dealt <= sequence && tw_live_thread_wait(&d->thread, begin_ns)) continue;
  tw_status status = d->thread.status;
  *dealt = status == TW_OK && d->dealt > sequence;
  if (status != TW_OK) (void)tw_live_thread_failure(&d->thread);
  pthread_mutex_unlock(&d->thread.lock);
  return status;
}

static tw_status ask(tw_live_tap *t) {
  int sequence;
  uint64_t number;
  place_of(t, t->asked, &sequence, &number);
  TW_TRY(tw_slot_copy_begin(t->staging, (int)(t->asked % (uint64_t)t->depth), t->deal->places[sequence], t->party,
                            number));
  t->asked++;
  return TW_OK;
}

static tw_status next_of_store(tw_live_tap *t, int kept, tw_live_piece **out) {
  uint64_t most = t->given + (uint64_t)(t->depth - kept);
  for (bool dealt = true; dealt && t->asked < t->chunks && t->asked < most;) {
    TW_TRY(is_dealt(t, t->asked == t->given, &dealt));
    if (dealt) TW_TRY(ask(t));
  }
  if (t->asked == t->given) return TW_OK;
  int sequence;
  uint64_t number;
  place_of(t, t->given, &sequence, &number);
  TW_TRY(tw_slot_copy_end(t->staging, (int)(t->given % (uint64_t)t->depth), out));
  (*out)->sent.head.sequence = (uint32_t)sequence;
  t->given++;
  return TW_OK;
}

tw_status tw_live_tap_next(tw_live_tap *t, int kept, tw_live_piece **out) {
  *out = NULL;
  if (tw_live_tap_ended(t)) return tw_fail(TW_ERR_INTERNAL, "more chunks are asked for than there are");
  return t->deal->walk ? next_of_walk(t, out) : next_of_store(t, kept, out);
}

void tw_live_tap_close(tw_live_tap *t) {
  if (!t) return;
  if (t->staging) tw_slot_staging_give_back(t->deal->maker->store, t->staging);
  tw_live_piece_free(t->last);
  tw_free(t);
}
