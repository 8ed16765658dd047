// Several messages of the collector in flight: random schedules over two halves against the serial order, messages
// finished in any order, hard maxima, and a party that leaves while messages are under way.
#include "tests/comm/opens_pair.h"
#include "tests/common/suite.h"

enum { SCHEDULES = 1000, MOST = 24 };

// What both parties do, drawn once: which open is queued when, when a message starts, in which order they are finished.
typedef struct {
  int count;
  int order[MOST];  // of queueing
  int start[MOST];  // 1: a message starts behind this open
  uint32_t finish_seed;
  size_t most_words, most_jobs;
} schedule;

static schedule plan;
static uint8_t serial[32];

static schedule draw_schedule(int count) {
  schedule s = {.count = count, .finish_seed = randombytes_random()};
  int halves[2] = {0, count / 2}, ends[2] = {count / 2, count};  // each half's opens stay in their order
  uint32_t together = 1 + randombytes_uniform(4);                // opens of a message, about
  for (int i = 0; i < count; i++) {
    int half = (int)randombytes_uniform(2);
    if (halves[half] == ends[half]) half = 1 - half;
    s.order[i] = halves[half]++;
    s.start[i] = randombytes_uniform(together) == 0;
  }
  if (randombytes_uniform(3) == 0) s.most_words = 1 + randombytes_uniform(2000);
  if (randombytes_uniform(3) == 0) s.most_jobs = 1 + randombytes_uniform(6);
  return s;
}

typedef struct {
  uint64_t list[MOST + 1];
  int count;
} flying;

// One of those in flight, the same choice on both parties.
static tw_status finish_one(party *p, flying *f, uint32_t *choice) {
  *choice = *choice * 1664525u + 1013904223u;
  int i = (int)((*choice >> 8) % (uint32_t)f->count);
  TW_TRY(tw_opens_finish(p->opens, f->list[i]));
  f->list[i] = f->list[--f->count];
  return TW_OK;
}

static tw_status follow(party *p) {
  flying f = {.count = 0};
  uint32_t choice = plan.finish_seed;
  // At a hard maximum the collector starts messages by itself: room for these.
  int most = plan.most_words || plan.most_jobs ? TW_OPENS_IN_FLIGHT / 2 : TW_OPENS_IN_FLIGHT;
  tw_opens_limit(p->opens, plan.most_words, plan.most_jobs);
  for (int i = 0; i < plan.count; i++) {
    item *it = &p->items[plan.order[i]];
    size_t place = 0;  // among opens that have elements, in serial order
    for (int j = 0; j < plan.order[i]; j++) place += p->items[j].words > 0;
    tw_opens_next_index(p->opens, place);
    TW_TRY(queue_item(p->opens, it, p->party));
    if (!plan.start[i] && i + 1 < plan.count) continue;
    while (f.count >= most) TW_TRY(finish_one(p, &f, &choice));
    TW_TRY(tw_opens_start(p->opens, &f.list[f.count++]));
  }
  while (f.count > 0) TW_TRY(finish_one(p, &f, &choice));
  for (int i = 0; i < p->count; i++) p->wrong += !opened(&p->items[i], p->party);
  return TW_OK;
}

static tw_status one_after_the_other(party *p) {
  for (int i = 0; i < p->count; i++) {
    TW_TRY(queue_item(p->opens, &p->items[i], p->party));
    TW_TRY(tw_opens_flush(p->opens));
    p->wrong += !opened(&p->items[i], p->party);
  }
  return TW_OK;
}

static void restore(item *items, int count) {
  for (int i = 0; i < count; i++)
    for (int r = 0; r < 2; r++) memcpy(items[i].share[r], items[i].kept[r], 8 * items[i].words);
}

static void random_schedules(void) {
  for (int s = 0; s < SCHEDULES; s++) {
    item items[MOST];
    party parties[2];
    int count = 1 + (int)randombytes_uniform(MOST);
    for (int i = 0; i < count; i++) items[i] = random_item();
    pair_open(parties, items, count);
    pair_run(parties, one_after_the_other, one_after_the_other);
    both_ok(parties);
    memcpy(serial, parties[0].transcript, 32);
    pair_close(parties);
    restore(items, count);
    plan = draw_schedule(count);
    pair_open(parties, items, count);
    pair_run(parties, follow, follow);
    both_ok(parties);
    for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL(memcmp(parties[r].transcript, serial, 32), 0);
    pair_close(parties);
    free_items(items, count);
  }
}

// Opens of 10 words under a maximum of 25: two travel together; one of 100 words travels alone.
static tw_status under_a_maximum(party *p) {
  uint64_t message;
  size_t words, jobs;
  tw_opens_limit(p->opens, 25, 0);
  for (int i = 0; i < 3; i++) TW_TRY(queue_item(p->opens, &p->items[i], p->party));
  tw_opens_queued(p->opens, &words, &jobs);
  p->wrong += words != 10 || jobs != 1;  // the first two have left
  TW_TRY(queue_item(p->opens, &p->items[3], p->party));
  tw_opens_queued(p->opens, &words, &jobs);
  p->wrong += words != 100 || jobs != 1;
  TW_TRY(tw_opens_start(p->opens, &message));
  TW_TRY(tw_opens_finish(p->opens, message));  // and what had to leave before it
  for (int i = 0; i < 4; i++) p->wrong += !opened(&p->items[i], p->party);
  tw_opens_limit(p->opens, 0, 2);
  for (int i = 4; i < 9; i++) TW_TRY(queue_item(p->opens, &p->items[i], p->party));
  TW_TRY(tw_opens_flush(p->opens));
  for (int i = 4; i < 9; i++) p->wrong += !opened(&p->items[i], p->party);
  return TW_OK;
}

static void hard_maxima(void) {
  item items[9];
  party parties[2];
  for (int i = 0; i < 9; i++) items[i] = make_item(0, 64, i == 3 ? 100 : 10);
  pair_open(parties, items, 9);
  pair_run(parties, under_a_maximum, under_a_maximum);
  both_ok(parties);
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL(parties[r].stats.flushes, 3 + 3);
  pair_close(parties);
  free_items(items, 9);
}

// All places taken: one more is refused, nothing is lost.
static tw_status one_too_many(party *p) {
  uint64_t message[TW_OPENS_IN_FLIGHT], more;
  for (int i = 0; i < TW_OPENS_IN_FLIGHT; i++) {
    TW_TRY(queue_item(p->opens, &p->items[i], p->party));
    TW_TRY(tw_opens_start(p->opens, &message[i]));
  }
  TW_TRY(queue_item(p->opens, &p->items[TW_OPENS_IN_FLIGHT], p->party));
  p->wrong += tw_opens_start(p->opens, &more) != TW_ERR_INTERNAL;
  for (int i = TW_OPENS_IN_FLIGHT - 1; i >= 0; i--) {
    for (int j = 0; j < i; j++) p->wrong += !untouched(&p->items[j], p->party);
    TW_TRY(tw_opens_finish(p->opens, message[i]));
    TW_TRY(tw_opens_finish(p->opens, message[i]));  // again: nothing
    p->wrong += !opened(&p->items[i], p->party);
  }
  TW_TRY(tw_opens_flush(p->opens));
  p->wrong += !opened(&p->items[TW_OPENS_IN_FLIGHT], p->party);
  return TW_OK;
}

static void as_many_as_fit(void) {
  item items[TW_OPENS_IN_FLIGHT + 1];
  party parties[2];
  for (int i = 0; i <= TW_OPENS_IN_FLIGHT; i++) items[i] = make_item(i % 2, 3 + i, 70);
  pair_open(parties, items, TW_OPENS_IN_FLIGHT + 1);
  pair_run(parties, one_too_many, one_too_many);
  both_ok(parties);
  pair_close(parties);
  free_items(items, TW_OPENS_IN_FLIGHT + 1);
}

// Party 1 sends one of three messages and goes.
static tw_status leave(party *p) {
  uint64_t message;
  TW_TRY(queue_item(p->opens, &p->items[0], p->party));
  TW_TRY(tw_opens_start(p->opens, &message));
  tw_channel_destroy(p->channel.inner);
  p->channel.inner = NULL;
  return TW_OK;
}

static tw_status stay(party *p) {
  uint64_t message[3];
  tw_status status = TW_OK;
  for (int i = 0; i < 3 && status == TW_OK; i++) {
    status = queue_item(p->opens, &p->items[i], p->party);
    if (status == TW_OK) status = tw_opens_start(p->opens, &message[i]);
  }
  for (int i = 2; i >= 0 && status == TW_OK; i--) status = tw_opens_finish(p->opens, message[i]);
  for (int i = 1; i < 3; i++) p->wrong += !untouched(&p->items[i], p->party);
  p->wrong += tw_opens_flush(p->opens) != TW_ERR_PEER;  // nothing more is sent
  return status;
}

static void peer_gone(void) {
  for (int trial = 0; trial < 50; trial++) {
    item items[3];
    party parties[2];
    for (int i = 0; i < 3; i++) items[i] = make_item(i % 2, 5, 100);
    pair_open(parties, items, 3);
    pair_run(parties, stay, leave);
    CU_ASSERT_EQUAL(parties[0].status, TW_ERR_PEER);
    CU_ASSERT_EQUAL(parties[0].wrong, 0);
    CU_ASSERT_EQUAL(parties[1].status, TW_OK);
    pair_close(parties);
    free_items(items, 3);
  }
}

SUITE_MAIN("opens in flight", {"random schedules", random_schedules}, {"hard maxima", hard_maxima},
           {"as many as fit", as_many_as_fit}, {"peer gone", peer_gone})
