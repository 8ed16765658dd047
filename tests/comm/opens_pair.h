// For the tests of the collector: random opens with their plain sums, and two parties over a loopback pair.
#ifndef OPENS_PAIR_H
#define OPENS_PAIR_H

#include <CUnit/Basic.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/channels.h"
#include "comm/opens.h"

enum { HEADER = 64, MAX_ITEMS = 160 };

// One open: both parties' shares (with random bits above the ring and past the last half) and their plain sum.
typedef struct {
  int bits;  // planes, not ring elements
  int width;
  size_t n, words;
  uint32_t use;
  uint64_t slot;
  uint64_t *share[2], *kept[2], *sum;
} item;

static inline item make_item(int bits, int width, size_t n) {
  size_t row = n / 64 + (n % 64 != 0);  // words of a plane
  item t = {.bits = bits, .width = width, .n = n, .words = bits ? (size_t)width * row : n};
  t.use = randombytes_random();
  randombytes_buf(&t.slot, sizeof t.slot);
  t.sum = calloc(t.words + 8, 8);
  for (int r = 0; r < 2; r++) {
    t.share[r] = calloc(t.words + 8, 8);
    t.kept[r] = calloc(t.words + 8, 8);
    randombytes_buf(t.share[r], t.words * 8);
    memcpy(t.kept[r], t.share[r], t.words * 8);
  }
  for (size_t j = 0; !bits && j < n; j++) {
    t.sum[j] = t.share[0][j] + t.share[1][j];
    if (width < 64) t.sum[j] %= 1ull << width;
  }
  for (size_t half = 0; bits && half < n; half++)
    for (size_t w = half / 64; w < t.words; w += row)
      t.sum[w] |= ((t.share[0][w] ^ t.share[1][w]) >> half % 64 & 1) << half % 64;
  return t;
}

static inline item random_item(void) {
  int bits = (int)randombytes_uniform(2);
  size_t n = randombytes_uniform(8) ? randombytes_uniform(300) : 0;
  return make_item(bits, bits ? 1 + (int)randombytes_uniform(20) : 1 + (int)randombytes_uniform(64), n);
}

static inline void free_items(item *t, int count) {
  for (int i = 0; i < count; i++) {
    free(t[i].sum);
    for (int r = 0; r < 2; r++) {
      free(t[i].share[r]);
      free(t[i].kept[r]);
    }
  }
}

static inline tw_status queue_item(tw_opens *o, item *t, int party) {
  return t->bits ? tw_opens_bits(o, t->use, t->slot, t->width, t->n, t->share[party])
                 : tw_opens_ring(o, t->use, t->slot, t->width, t->n, t->share[party]);
}

static inline int opened(const item *t, int party) { return memcmp(t->share[party], t->sum, t->words * 8) == 0; }

static inline int untouched(const item *t, int party) {
  return memcmp(t->share[party], t->kept[party], t->words * 8) == 0;
}

// A channel around a channel: keeps the last message sent, and can flip one bit of what arrives.
typedef struct {
  tw_channel outer, *inner;
  uint8_t *message;
  size_t message_bytes;
  long flip;  // bit of the next message received; -1: none
} tap;

static inline tw_status tap_start(tw_channel *c, tw_exchange *x) {
  tap *t = c->state;
  free(t->message);
  t->message = malloc(x->bytes);
  t->message_bytes = x->bytes;
  memcpy(t->message, x->send, x->bytes);
  return t->inner->start(t->inner, x);
}

static inline tw_status tap_wait(tw_channel *c, tw_exchange *x) {
  tap *t = c->state;
  tw_status status = t->inner->wait(t->inner, x);
  if (t->flip >= 0) ((uint8_t *)x->recv)[t->flip / 8] ^= (uint8_t)(1 << t->flip % 8);
  t->flip = -1;
  return status;
}

// One party: its collector, its own list of opens (usually the common one), and what it found.
typedef struct party {
  int party;
  tap channel;
  tw_opens *opens;
  item *items;
  int count;
  int rounds;
  tw_status status;
  char message[2048];
  int wrong;
  uint8_t transcript[32];
  tw_opens_stats stats;
} party;

static inline size_t pending(const tw_opens *o) {
  size_t words, jobs;
  tw_opens_queued(o, &words, &jobs);
  return jobs;
}

static inline tw_status one_flush(party *p) {
  for (int i = 0; i < p->count; i++) TW_TRY(queue_item(p->opens, &p->items[i], p->party));
  if (pending(p->opens) != (size_t)p->count) p->wrong++;
  TW_TRY(tw_opens_flush(p->opens));
  if (pending(p->opens) != 0) p->wrong++;
  for (int i = 0; i < p->count; i++) p->wrong += !opened(&p->items[i], p->party);
  return TW_OK;
}

typedef struct {
  party *p;
  tw_status (*role)(party *);
} job;

static inline void *run_job(void *arg) {
  job *j = arg;
  j->p->status = j->role(j->p);
  snprintf(j->p->message, sizeof j->p->message, "%s", tw_error_message());
  tw_opens_transcript(j->p->opens, j->p->transcript);
  tw_opens_get_stats(j->p->opens, &j->p->stats);
  return NULL;
}

static inline void pair_open(party parties[2], item *items, int count) {
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(20, ends), TW_OK);
  for (int r = 0; r < 2; r++) {
    parties[r] = (party){.party = r, .items = items, .count = count};
    tap *t = &parties[r].channel;
    t->inner = ends[r];
    t->flip = -1;
    t->outer = *ends[r];
    t->outer.start = tap_start;
    t->outer.wait = tap_wait;
    t->outer.state = t;
    CU_ASSERT_EQUAL_FATAL(tw_opens_create(&t->outer, &parties[r].opens), TW_OK);
  }
}

static inline void pair_run(party parties[2], tw_status (*role0)(party *), tw_status (*role1)(party *)) {
  job jobs[2] = {{&parties[0], role0}, {&parties[1], role1}};
  pthread_t threads[2];
  for (int r = 0; r < 2; r++) pthread_create(&threads[r], NULL, run_job, &jobs[r]);
  for (int r = 0; r < 2; r++) pthread_join(threads[r], NULL);
}

static inline void pair_close(party parties[2]) {
  for (int r = 0; r < 2; r++) {
    tw_opens_destroy(parties[r].opens);
    if (parties[r].channel.inner) tw_channel_destroy(parties[r].channel.inner);
    free(parties[r].channel.message);
  }
}

static inline void both_ok(const party parties[2]) {
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_EQUAL(parties[r].status, TW_OK);
    if (parties[r].status != TW_OK) fprintf(stderr, "%s\n", parties[r].message);
    CU_ASSERT_EQUAL(parties[r].wrong, 0);
  }
}

#endif
