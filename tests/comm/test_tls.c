// The channel between two sites: messages of all sizes over one stream and several, keys that change on the way, ends
// and last words, silence.
#include <CUnit/Basic.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/comm/many_messages.h"
#include "tests/comm/two_sites.h"
#include "tests/common/suite.h"

enum { MOST = 1 << 20, ROUNDS = 60 };

static void exchange_much(uint32_t streams, uint64_t rekey_bytes) {
  static const size_t sizes[MANY_SIZES] = {0, 1, 8, 16384, 65529, (1 << 18) - 1, 1 << 18, MOST - 8};
  site_end ends[2];
  two_ends(ends, streams);
  ends[0].rekey_bytes = ends[1].rekey_bytes = rekey_bytes;
  meet_ends(ends);
  CU_ASSERT_EQUAL_FATAL(ends[0].status | ends[1].status, TW_OK);
  many_messages((tw_channel *[]){ends[0].channel, ends[1].channel}, ROUNDS, MOST, sizes);
  part_ends(ends);
}

static void one_stream(void) { exchange_much(1, 0); }
static void several_streams(void) { exchange_much(3, 0); }
static void keys_that_change(void) { exchange_much(2, 20000); }

// ---- one connection

typedef struct {
  tw_tls *tls;
  int fd;
  const tw_tls_identity *who;
  bool answers;
  uint8_t exported[TW_EXPORTER_BYTES];
} line_end;

static void *open_line(void *argument) {
  line_end *e = argument;
  tw_tls_context *c;
  uint64_t until = tw_clock_ns() + 20000000000u;
  CU_ASSERT_EQUAL_FATAL(tw_tls_context_create(e->who, e->answers, 1000, &c), TW_OK);
  CU_ASSERT_EQUAL(tw_tls_open(c, e->fd, until, &e->tls, NULL), TW_OK);
  CU_ASSERT_EQUAL(tw_tls_exporter(e->tls, "EXPORTER-test", e->exported), TW_OK);
  uint8_t sent[3000], got[3000];
  memset(sent, 7, sizeof sent);
  for (int i = 0; i < 5; i++) {
    CU_ASSERT_EQUAL(tw_tls_put(e->tls, sent, sizeof sent, until), TW_OK);
    CU_ASSERT_EQUAL(tw_tls_get(e->tls, got, sizeof got, until), TW_OK);
    CU_ASSERT_EQUAL(memcmp(sent, got, sizeof got), 0);
  }
  CU_ASSERT_EQUAL(tw_tls_rekeyed(e->tls), 4);
  tw_tls_close(&e->tls, 1);
  tw_tls_context_destroy(c);
  return NULL;
}

// Both ends of a connection have one exporter, two connections have two; keys change as often as they should.
static void connections_of_their_own(void) {
  site_end ends[2];
  line_end lines[4];
  pthread_t threads[4];
  two_ends(ends, 1);
  for (int i = 0; i < 4; i++) {
    lines[i] = (line_end){.fd = ends[i % 2].fds[i / 2], .who = &ends[i % 2].who, .answers = i % 2 == 0};
    pthread_create(&threads[i], NULL, open_line, &lines[i]);
  }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CU_ASSERT_EQUAL(memcmp(lines[0].exported, lines[1].exported, TW_EXPORTER_BYTES), 0);
  CU_ASSERT_EQUAL(memcmp(lines[2].exported, lines[3].exported, TW_EXPORTER_BYTES), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(lines[0].exported, lines[2].exported, TW_EXPORTER_BYTES), 0);
}

// ---- what goes wrong

static double seconds_of(void (*act)(void *), void *argument) {
  uint64_t begin = tw_clock_ns();
  act(argument);
  return 1e-9 * (double)(tw_clock_ns() - begin);
}

static void destroy(void *channel) { tw_channel_destroy(channel); }

// A party that gives up says why, also to one that is in the middle of a large message; and does not wait for it.
static void last_words(void) {
  for (uint32_t streams = 1; streams < 4; streams += 2) {
    site_end ends[2];
    uint8_t *out = calloc(1, MOST), *in = malloc(MOST);
    two_ends(ends, streams);
    meet_ends(ends);
    CU_ASSERT_EQUAL_FATAL(ends[0].status | ends[1].status, TW_OK);
    tw_channel *c = ends[1].channel;
    tw_exchange x = {out, in, MOST, NULL, 0};
    CU_ASSERT_EQUAL(c->start(c, &x), TW_OK);
    tw_channel_tell(ends[0].channel, TW_ERR_IO, "the disk is full");
    CU_ASSERT(seconds_of(destroy, ends[0].channel) < 3);
    CU_ASSERT_EQUAL(c->wait(c, &x), TW_ERR_IO);
    CU_ASSERT(message_has("the other party (0) stopped: the disk is full"));
    CU_ASSERT_PTR_NULL(x.handle);
    CU_ASSERT_EQUAL(tw_channel_exchange(c, out, in, 1), TW_ERR_PEER);
    tw_channel_destroy(c);
    free(out);
    free(in);
  }
}

// What was sent before the end is taken; then the end is told.
static void parting_message(void) {
  uint8_t a = (uint8_t)randombytes_random(), b = (uint8_t)~a, got = b;
  site_end ends[2];
  two_ends(ends, 1);
  meet_ends(ends);
  CU_ASSERT_EQUAL_FATAL(ends[0].status | ends[1].status, TW_OK);
  tw_channel *c[2] = {ends[0].channel, ends[1].channel};
  tw_exchange x = {&a, &(uint8_t){0}, 1, NULL, 0}, y = {&b, &got, 1, NULL, 0};
  CU_ASSERT_EQUAL(c[1]->start(c[1], &y), TW_OK);
  CU_ASSERT_EQUAL(c[0]->start(c[0], &x), TW_OK);
  tw_channel_destroy(c[0]);
  CU_ASSERT_EQUAL(c[1]->wait(c[1], &y), TW_OK);
  CU_ASSERT_EQUAL(got, a);
  CU_ASSERT_EQUAL(tw_channel_exchange(c[1], &b, &got, 1), TW_ERR_PEER);
  CU_ASSERT(message_has("the line to party 0 broke: the other end has closed the connection"));
  tw_channel_destroy(c[1]);
}

// Silence in a message of all streams: the time limit of all of them, and no thread that stays.
static void silence(void) {
  site_end ends[2];
  uint8_t *out = calloc(1, MOST), *in = malloc(MOST);
  two_ends(ends, 3);
  ends[0].silence = ends[1].silence = 5;
  meet_ends(ends);
  CU_ASSERT_EQUAL_FATAL(ends[0].status | ends[1].status, TW_OK);
  tw_channel *c = ends[1].channel;
  c->timeout_seconds = 0.3;
  uint64_t begin = tw_clock_ns();
  CU_ASSERT_EQUAL(tw_channel_exchange(c, out, in, MOST), TW_ERR_PEER);
  CU_ASSERT(message_has("nothing moved for 0.3 s"));
  CU_ASSERT(tw_clock_ns() - begin < 4000000000u);
  tw_exchange x = {out, in, MOST, NULL, 0};
  c = ends[0].channel;  // closed with a message under way
  CU_ASSERT_EQUAL(c->start(c, &x), TW_OK);
  part_ends(ends);
  free(out);
  free(in);
}

static void sizes_that_differ(void) {
  uint8_t a[100], b[40], from_b[100], from_a[40];
  site_end ends[2];
  two_ends(ends, 1);
  randombytes_buf(a, sizeof a);
  randombytes_buf(b, sizeof b);
  meet_ends(ends);
  CU_ASSERT_EQUAL_FATAL(ends[0].status | ends[1].status, TW_OK);
  tw_channel *c[2] = {ends[0].channel, ends[1].channel};
  tw_exchange x = {a, from_b, sizeof a, NULL, 0}, y = {b, from_a, sizeof b, NULL, 0};
  CU_ASSERT_EQUAL(c[0]->start(c[0], &x), TW_OK);
  CU_ASSERT_EQUAL(c[1]->start(c[1], &y), TW_OK);
  CU_ASSERT_EQUAL(c[0]->wait(c[0], &x), TW_ERR_PEER);
  CU_ASSERT(message_has("one of 40"));
  CU_ASSERT_EQUAL(c[1]->wait(c[1], &y), TW_ERR_PEER);
  CU_ASSERT_EQUAL(memcmp(from_b, b, sizeof b), 0);
  CU_ASSERT_EQUAL(memcmp(from_a, a, sizeof from_a), 0);
  part_ends(ends);
}

static int open_suite(void) { return sodium_init() < 0 ? 1 : scratch_open(); }

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("tls", open_suite, two_sites_close);
  CU_ADD_TEST(suite, one_stream);
  CU_ADD_TEST(suite, several_streams);
  CU_ADD_TEST(suite, keys_that_change);
  CU_ADD_TEST(suite, connections_of_their_own);
  CU_ADD_TEST(suite, last_words);
  CU_ADD_TEST(suite, parting_message);
  CU_ADD_TEST(suite, silence);
  CU_ADD_TEST(suite, sizes_that_differ);
  return suite_end();
}
