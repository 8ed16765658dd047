// The channel over a caller's stream: sockets with small buffers, a stream that takes and gives a few bytes at a time,
// sizes that differ, ends, silence, and lengths that no twain sends.
#include <CUnit/Basic.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comm/channels.h"
#include "tests/comm/many_messages.h"
#include "tests/common/suite.h"

enum { MOST = 1 << 18, ROUNDS = 200 };

// An end of a socket pair. crumbs: at most a random few bytes at a time, and often none.
typedef struct {
  int fd;
  bool crumbs;
} endpoint;

static size_t portion(const endpoint *e, size_t bytes) {
  if (!e->crumbs) return bytes;
  size_t few = randombytes_uniform(3000);
  return few < bytes ? few : bytes;
}

static ptrdiff_t verdict(ptrdiff_t n, size_t bytes) {
  if (n > 0 || bytes == 0) return n;
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static ptrdiff_t give(void *state, const void *data, size_t bytes) {
  const endpoint *e = state;
  bytes = portion(e, bytes);
  return bytes ? verdict(send(e->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL), bytes) : 0;
}

static ptrdiff_t take(void *state, void *data, size_t bytes) {
  const endpoint *e = state;
  bytes = portion(e, bytes);
  return bytes ? verdict(recv(e->fd, data, bytes, MSG_DONTWAIT), bytes) : 0;
}

static void connect_pair(endpoint ends[2], tw_channel *channels[2], double timeout, bool crumbs) {
  int fds[2], small = 4096;
  CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  for (int party = 0; party < 2; party++) {
    setsockopt(fds[party], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ends[party] = (endpoint){fds[party], crumbs};
    CU_ASSERT_EQUAL_FATAL(
        tw_channel_stream(&(tw_stream){give, take, &ends[party], NULL}, party, timeout, &channels[party]), TW_OK);
  }
}

static void hang_up(endpoint *e, tw_channel *c) {
  tw_channel_destroy(c);
  close(e->fd);
}

static void exchange_much(bool crumbs) {
  static const size_t sizes[MANY_SIZES] = {0, 1, 7, 8, 65527, 65528, 65529, MOST - 8};
  endpoint ends[2];
  tw_channel *channels[2];
  connect_pair(ends, channels, 20, crumbs);
  many_messages(channels, ROUNDS, MOST, sizes);
  for (int party = 0; party < 2; party++) hang_up(&ends[party], channels[party]);
}

static void much_by_sockets(void) { exchange_much(false); }
static void much_by_crumbs(void) { exchange_much(true); }

// ---- what goes wrong

static void sizes_that_differ(void) {
  uint8_t a[100], b[40], from_b[100], from_a[40];
  endpoint ends[2];
  tw_channel *c[2];
  randombytes_buf(a, sizeof a);
  randombytes_buf(b, sizeof b);
  connect_pair(ends, c, 20, false);
  tw_exchange x = {a, from_b, sizeof a, NULL, 0}, y = {b, from_a, sizeof b, NULL, 0};
  CU_ASSERT_EQUAL(c[0]->start(c[0], &x), TW_OK);
  CU_ASSERT_EQUAL(c[1]->start(c[1], &y), TW_OK);
  CU_ASSERT_EQUAL(c[0]->wait(c[0], &x), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "100 bytes"));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "one of 40"));
  CU_ASSERT_EQUAL(c[1]->wait(c[1], &y), TW_ERR_PEER);
  CU_ASSERT_EQUAL(memcmp(from_b, b, sizeof b), 0);
  CU_ASSERT_EQUAL(memcmp(from_a, a, sizeof from_a), 0);
  CU_ASSERT_EQUAL(tw_channel_exchange(c[0], a, from_b, 4), TW_ERR_PEER);  // broken from here on
  for (int party = 0; party < 2; party++) hang_up(&ends[party], c[party]);
}

static void silent_peer(void) {
  uint8_t byte = 1, got;
  endpoint ends[2];
  tw_channel *c[2];
  connect_pair(ends, c, 0.2, false);
  CU_ASSERT_EQUAL(tw_channel_exchange(c[1], &byte, &got, 1), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "nothing moved for 0.2 s"));
  for (int party = 0; party < 2; party++) hang_up(&ends[party], c[party]);
}

// What was sent before the end is taken; then the end is told.
static void parting_message(void) {
  uint8_t a = (uint8_t)randombytes_random(), b = (uint8_t)~a, got = b;
  endpoint ends[2];
  tw_channel *c[2];
  connect_pair(ends, c, 60, false);
  tw_exchange x = {&a, &(uint8_t){0}, 1, NULL, 0}, y = {&b, &got, 1, NULL, 0};
  CU_ASSERT_EQUAL(c[1]->start(c[1], &y), TW_OK);
  CU_ASSERT_FALSE(c[1]->arrived(c[1], &y));
  CU_ASSERT_EQUAL(c[0]->start(c[0], &x), TW_OK);
  hang_up(&ends[0], c[0]);
  CU_ASSERT_TRUE(c[1]->arrived(c[1], &y));
  CU_ASSERT_EQUAL(c[1]->wait(c[1], &y), TW_OK);
  CU_ASSERT_EQUAL(got, a);
  CU_ASSERT_EQUAL(tw_channel_exchange(c[1], &b, &got, 1), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "has ended"));
  hang_up(&ends[1], c[1]);
}

static void nonsense_for_a_length(void) {
  uint64_t huge = UINT64_MAX, mine = 5, got = 0;
  endpoint ends[2];
  tw_channel *c[2];
  connect_pair(ends, c, 20, false);
  CU_ASSERT_EQUAL(send(ends[0].fd, &huge, sizeof huge, 0), sizeof huge);
  CU_ASSERT_EQUAL(send(ends[0].fd, &mine, sizeof mine, 0), sizeof mine);
  CU_ASSERT_EQUAL(tw_channel_exchange(c[1], &mine, &got, sizeof mine), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "sent one of 18446744073709551615"));
  CU_ASSERT_EQUAL(got, mine);
  for (int party = 0; party < 2; party++) hang_up(&ends[party], c[party]);
}

static void impossible_arguments(void) {
  tw_channel *c;
  CU_ASSERT_EQUAL(tw_channel_stream(&(tw_stream){give, take, NULL, NULL}, 2, 1, &c), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_channel_stream(&(tw_stream){give, take, NULL, NULL}, 0, 0, &c), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_channel_stream(&(tw_stream){give, take, NULL, NULL}, 0, 0.0 / 0.0, &c), TW_ERR_USAGE);
  CU_ASSERT_PTR_NULL(c);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("stream", NULL, NULL);
  CU_ADD_TEST(suite, much_by_sockets);
  CU_ADD_TEST(suite, much_by_crumbs);
  CU_ADD_TEST(suite, sizes_that_differ);
  CU_ADD_TEST(suite, silent_peer);
  CU_ADD_TEST(suite, parting_message);
  CU_ADD_TEST(suite, nonsense_for_a_length);
  CU_ADD_TEST(suite, impossible_arguments);
  return suite_end();
}
