// The emulated link: messages arrive when a link of that latency and bandwidth would deliver them, one after the other
// in each direction, in whatever order they are waited for; what arrives is what was sent.
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "comm/channels.h"
#include "tests/common/suite.h"

enum { BURST = 4 };

typedef struct {
  tw_channel *channel;
  size_t bytes;
  int times, burst;
  const int *order;  // of waiting
  tw_status status;
  int wrong;
  double seconds;
} end;

static uint8_t content(int party, int message, size_t i) {
  return (uint8_t)(7 * i + 31 * (size_t)message + 101 * (size_t)party);
}

static tw_status exchange_burst(end *e, uint8_t *const *mine, uint8_t *const *theirs) {
  tw_exchange x[BURST];
  for (int k = 0; k < e->burst; k++) {
    x[k] = (tw_exchange){mine[k], theirs[k], e->bytes, NULL, 0};
    TW_TRY(e->channel->start(e->channel, &x[k]));
  }
  for (int k = 0; k < e->burst; k++) TW_TRY(e->channel->wait(e->channel, &x[e->order[k]]));
  return TW_OK;
}

static void *run_end(void *argument) {
  end *e = argument;
  int party = e->channel->party;
  uint8_t *mine[BURST], *theirs[BURST];
  for (int k = 0; k < BURST; k++) {
    mine[k] = malloc(e->bytes);
    theirs[k] = calloc(1, e->bytes);
    for (size_t i = 0; i < e->bytes; i++) mine[k][i] = content(party, k, i);
  }
  double start = tw_seconds();
  for (int t = 0; t < e->times && e->status == TW_OK; t++) e->status = exchange_burst(e, mine, theirs);
  e->seconds = tw_seconds() - start;
  for (int k = 0; k < BURST; k++) {
    for (size_t i = 0; k < e->burst && i < e->bytes; i++) e->wrong += theirs[k][i] != content(1 - party, k, i);
    free(mine[k]);
    free(theirs[k]);
  }
  return NULL;
}

typedef struct {
  tw_channel *inner;
  tw_link_profile profile;
  tw_channel *outer;
  tw_status status;
} opening;

static void *open_end(void *argument) {
  opening *o = argument;
  o->status = tw_channel_link(o->inner, &o->profile, &o->outer);
  return NULL;
}

// Both ends of a loopback, each over its profile.
static void open_ends(double timeout, tw_link_profile first, tw_link_profile second, opening o[2]) {
  tw_channel *inner[2];
  pthread_t thread[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(timeout, inner), TW_OK);
  for (int r = 0; r < 2; r++) {
    o[r] = (opening){inner[r], r == 0 ? first : second, NULL, TW_OK};
    pthread_create(&thread[r], NULL, open_end, &o[r]);
  }
  for (int r = 0; r < 2; r++) pthread_join(thread[r], NULL);
}

// Seconds that `times` bursts take over such a link, the slower end's.
static double measure(tw_link_profile profile, size_t bytes, int times, int burst, const int *order) {
  opening o[2];
  pthread_t thread[2];
  open_ends(20, profile, profile, o);
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL_FATAL(o[r].status, TW_OK);
  end ends[2];
  for (int r = 0; r < 2; r++) {
    ends[r] = (end){o[r].outer, bytes, times, burst, order, TW_OK, 0, 0};
    pthread_create(&thread[r], NULL, run_end, &ends[r]);
  }
  for (int r = 0; r < 2; r++) pthread_join(thread[r], NULL);
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_EQUAL(ends[r].status, TW_OK);
    CU_ASSERT_EQUAL(ends[r].wrong, 0);
  }
  for (int r = 0; r < 2; r++) tw_channel_destroy(o[r].outer);
  for (int r = 0; r < 2; r++) tw_channel_destroy(o[r].inner);
  return ends[0].seconds > ends[1].seconds ? ends[0].seconds : ends[1].seconds;
}

static const int in_order[BURST] = {0, 1, 2, 3}, mixed[BURST] = {2, 0, 3, 1};

// Never earlier than the link (but for the clock's comparison). Not much later either: on a busy machine, where other
// work comes between, that is asked of the best of twenty attempts.
static void expect_time(tw_link_profile profile, size_t bytes, int count, int burst, const int *order, double link) {
  double seconds = INFINITY;
  for (int attempt = 0; attempt < 20 && seconds > 1.6 * link; attempt++) {
    seconds = measure(profile, bytes, count, burst, order);
    CU_ASSERT(seconds >= 0.98 * link - 1e-4);
    if (seconds < 0.98 * link - 1e-4 || seconds > 1.6 * link)
      fprintf(stderr, "%.2f ms where the link takes %.2f ms\n", 1e3 * seconds, 1e3 * link);
  }
  CU_ASSERT(seconds <= 1.6 * link + 0.1);
}

static void latency(void) { expect_time((tw_link_profile){5e-3, 0}, 8, 20, 1, in_order, 20 * 5e-3); }

static void bandwidth(void) {
  expect_time((tw_link_profile){1e-3, 20e6}, 1000000, 3, 1, in_order, 3 * (1e-3 + 1e6 / 20e6));
}

// Four in flight share the link: the latency counts once, the bytes all.
static void several_in_flight(void) {
  double link = 1e-3 + 4 * 250000 / 20e6;
  expect_time((tw_link_profile){1e-3, 20e6}, 250000, 1, BURST, in_order, link);
  expect_time((tw_link_profile){1e-3, 20e6}, 250000, 1, BURST, mixed, link);
}

static void profiles_that_differ(void) {
  opening o[2];
  open_ends(5, (tw_link_profile){1e-3, 0}, (tw_link_profile){2e-3, 0}, o);
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_EQUAL(o[r].status, TW_ERR_MISMATCH);
    CU_ASSERT_PTR_NULL(o[r].outer);
  }
  for (int r = 0; r < 2; r++) tw_channel_destroy(o[r].inner);
}

// The other end goes with messages in flight: an error, and nothing is held any more.
static void peer_gone(void) {
  opening o[2];
  const tw_link_profile profile = {1e-4, 0};
  open_ends(5, profile, profile, o);
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL_FATAL(o[r].status, TW_OK);
  uint64_t mine[2] = {1, 2}, theirs[2];
  tw_exchange x[2];
  for (int k = 0; k < 2; k++) {
    x[k] = (tw_exchange){&mine[k], &theirs[k], sizeof *mine, NULL, 0};
    CU_ASSERT_EQUAL(o[0].outer->start(o[0].outer, &x[k]), TW_OK);
  }
  tw_channel_destroy(o[1].outer);
  tw_channel_destroy(o[1].inner);
  CU_ASSERT_EQUAL(o[0].outer->wait(o[0].outer, &x[1]), TW_ERR_PEER);
  CU_ASSERT_PTR_NULL(x[1].handle);
  CU_ASSERT_NOT_EQUAL(o[0].outer->start(o[0].outer, &x[0]), TW_OK);
  tw_channel_destroy(o[0].outer);
  tw_channel_destroy(o[0].inner);
}

// Sent by both ends of 30 ms: not there at first, there when the link has delivered it, and then for good.
static void asked_for_arrival(void) {
  opening o[2];
  tw_exchange x[2];
  uint8_t byte[2] = {1, 2}, got[2] = {0, 0};
  open_ends(20, (tw_link_profile){30e-3, 0}, (tw_link_profile){30e-3, 0}, o);
  double start = tw_seconds();
  for (int r = 0; r < 2; r++) {
    x[r] = (tw_exchange){&byte[r], &got[r], 1, NULL, 0};
    CU_ASSERT_EQUAL(o[r].outer->start(o[r].outer, &x[r]), TW_OK);
  }
  bool early = o[0].outer->arrived(o[0].outer, &x[0]);
  if (tw_seconds() - start < 25e-3) CU_ASSERT_FALSE(early);
  while (!o[0].outer->arrived(o[0].outer, &x[0])) continue;
  CU_ASSERT(tw_seconds() - start >= 29e-3);
  CU_ASSERT_TRUE(o[0].outer->arrived(o[0].outer, &x[0]));
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL(o[r].outer->wait(o[r].outer, &x[r]), TW_OK);
  CU_ASSERT(got[0] == 2 && got[1] == 1);
  for (int r = 0; r < 2; r++) tw_channel_destroy(o[r].outer);
  for (int r = 0; r < 2; r++) tw_channel_destroy(o[r].inner);
}

SUITE_MAIN("link", {"latency", latency}, {"bandwidth", bandwidth}, {"several in flight", several_in_flight},
           {"asked for arrival", asked_for_arrival}, {"profiles that differ", profiles_that_differ},
           {"peer gone", peer_gone})
