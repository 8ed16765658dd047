// The loopback channel: order, sizes, timeouts and a peer that goes away.
#include <CUnit/Basic.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "comm/channels.h"
#include "tests/common/suite.h"

static double seconds_since(uint64_t begin_ns) { return (double)(tw_clock_ns() - begin_ns) * 1e-9; }

// Both threads know both parties' bytes.
typedef struct {
  tw_channel *channel;
  uint8_t (*content)[1 << 16];
  int rounds;
  int wrong;
  tw_status status;
} player;

static size_t round_bytes(int round) { return round % 5 == 0 ? 0 : (size_t)round * 977 % (1 << 16); }

static void *play(void *arg) {
  player *p = arg;
  int party = p->channel->party;
  static _Thread_local uint8_t received[2][1 << 16];
  for (int round = 0; round < p->rounds && p->status == TW_OK; round += 2) {  // two exchanges in flight
    tw_exchange x[2];
    for (int i = 0; i < 2 && p->status == TW_OK; i++) {
      x[i] = (tw_exchange){p->content[party] + i, received[i], round_bytes(round + i) / 2, NULL, 0};
      p->status = p->channel->start(p->channel, &x[i]);
    }
    for (int i = 0; i < 2 && p->status == TW_OK; i++) {
      p->status = p->channel->wait(p->channel, &x[i]);
      if (memcmp(received[i], p->content[1 - party] + i, x[i].bytes) != 0) p->wrong++;
    }
  }
  return NULL;
}

static void exchanges_in_order(void) {
  static uint8_t content[2][1 << 16];
  randombytes_buf(content, sizeof content);
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(20, ends), TW_OK);
  player players[2];
  pthread_t threads[2];
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_EQUAL(ends[r]->party, r);
    players[r] = (player){.channel = ends[r], .content = content, .rounds = 400};
    pthread_create(&threads[r], NULL, play, &players[r]);
  }
  for (int r = 0; r < 2; r++) {
    pthread_join(threads[r], NULL);
    CU_ASSERT_EQUAL(players[r].status, TW_OK);
    CU_ASSERT_EQUAL(players[r].wrong, 0);
    tw_channel_destroy(ends[r]);
  }
}

// A start leaves its message behind, so one thread can play both ends here.
static void sizes_that_differ(void) {
  uint8_t a[100], b[40], from_b[100], from_a[40];
  randombytes_buf(a, sizeof a);
  randombytes_buf(b, sizeof b);
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(20, ends), TW_OK);
  tw_exchange x = {a, from_b, sizeof a, NULL, 0}, y = {b, from_a, sizeof b, NULL, 0};
  CU_ASSERT_EQUAL(ends[0]->start(ends[0], &x), TW_OK);
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &y), TW_OK);
  CU_ASSERT_EQUAL(ends[0]->wait(ends[0], &x), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "100 bytes"));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "40"));
  CU_ASSERT_EQUAL(ends[1]->wait(ends[1], &y), TW_ERR_PEER);
  CU_ASSERT_EQUAL(memcmp(from_b, b, sizeof b), 0);
  CU_ASSERT_EQUAL(memcmp(from_a, a, sizeof from_a), 0);
  CU_ASSERT_EQUAL(tw_channel_exchange(ends[0], a, from_b, 4), TW_ERR_PEER);  // broken from here on
  for (int r = 0; r < 2; r++) tw_channel_destroy(ends[r]);
}

static void silent_peer(void) {
  uint8_t byte = 1, got;
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(0.3, ends), TW_OK);
  uint64_t begin = tw_clock_ns();
  CU_ASSERT_EQUAL(tw_channel_exchange(ends[1], &byte, &got, 1), TW_ERR_PEER);
  CU_ASSERT(seconds_since(begin) >= 0.3);
  CU_ASSERT(seconds_since(begin) < 5);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "--silence-limit"));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "party 0"));
  for (int r = 0; r < 2; r++) tw_channel_destroy(ends[r]);
}

static void *close_later(void *arg) {
  struct timespec t = {0, 100000000};
  nanosleep(&t, NULL);
  tw_channel_destroy(arg);
  return NULL;
}

static void closing_peer(void) {
  uint8_t byte = 1, got;
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(60, ends), TW_OK);
  pthread_t closer;
  uint64_t begin = tw_clock_ns();
  pthread_create(&closer, NULL, close_later, ends[1]);
  CU_ASSERT_EQUAL(tw_channel_exchange(ends[0], &byte, &got, 1), TW_ERR_PEER);
  CU_ASSERT(seconds_since(begin) < 20);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "closed"));
  pthread_join(closer, NULL);
  tw_channel_destroy(ends[0]);
}

static void parting_message(void) {
  uint8_t a = (uint8_t)randombytes_random(), b = (uint8_t)~a, got = b;
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(60, ends), TW_OK);
  tw_exchange x = {&a, NULL, 1, NULL, 0}, y = {&b, &got, 1, NULL, 0};
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &y), TW_OK);
  CU_ASSERT_EQUAL(ends[0]->start(ends[0], &x), TW_OK);
  tw_channel_destroy(ends[0]);
  CU_ASSERT_EQUAL(ends[1]->wait(ends[1], &y), TW_OK);
  CU_ASSERT_EQUAL(got, a);
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &y), TW_ERR_PEER);
  tw_channel_destroy(ends[1]);
}

// Asking takes nothing away, and tells of this message, whichever is waited for first.
static void asked_for_arrival(void) {
  uint8_t a[2] = {1, 2}, b[2] = {3, 4}, got_a[2] = {0, 0}, got_b[2] = {0, 0};
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(20, ends), TW_OK);
  tw_exchange x[2], y[2];
  for (int i = 0; i < 2; i++) {
    x[i] = (tw_exchange){&a[i], &got_b[i], 1, NULL, 0};
    y[i] = (tw_exchange){&b[i], &got_a[i], 1, NULL, 0};
    CU_ASSERT_EQUAL(ends[0]->start(ends[0], &x[i]), TW_OK);
  }
  CU_ASSERT_FALSE(ends[0]->arrived(ends[0], &x[0]));
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &y[0]), TW_OK);
  for (int times = 0; times < 3; times++) {
    CU_ASSERT_TRUE(ends[0]->arrived(ends[0], &x[0]));
    CU_ASSERT_FALSE(ends[0]->arrived(ends[0], &x[1]));
  }
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &y[1]), TW_OK);
  CU_ASSERT_TRUE(ends[0]->arrived(ends[0], &x[1]));
  for (int i = 1; i >= 0; i--) CU_ASSERT_EQUAL(ends[0]->wait(ends[0], &x[i]), TW_OK);
  CU_ASSERT_EQUAL(memcmp(got_b, b, 2), 0);
  tw_exchange z = {&a[0], &got_b[0], 1, NULL, 0};
  CU_ASSERT_EQUAL(ends[0]->start(ends[0], &z), TW_OK);
  CU_ASSERT_FALSE(ends[0]->arrived(ends[0], &z));
  tw_channel_destroy(ends[1]);
  CU_ASSERT_TRUE(ends[0]->arrived(ends[0], &z));  // wait has something to say at once
  CU_ASSERT_EQUAL(ends[0]->wait(ends[0], &z), TW_ERR_PEER);
  tw_channel_destroy(ends[0]);
}

static void impossible_timeouts(void) {
  tw_channel *ends[2];
  CU_ASSERT_EQUAL(tw_channel_loopback(0, ends), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_channel_loopback(-1, ends), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_channel_loopback(0.0 / 0.0, ends), TW_ERR_USAGE);
  CU_ASSERT_PTR_NULL(ends[0]);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("channel", NULL, NULL);
  CU_ADD_TEST(suite, exchanges_in_order);
  CU_ADD_TEST(suite, sizes_that_differ);
  CU_ADD_TEST(suite, silent_peer);
  CU_ADD_TEST(suite, closing_peer);
  CU_ADD_TEST(suite, parting_message);
  CU_ADD_TEST(suite, asked_for_arrival);
  CU_ADD_TEST(suite, impossible_timeouts);
  return suite_end();
}
