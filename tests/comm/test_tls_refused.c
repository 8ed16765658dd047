// Who is not let in between two sites: another key, another role, a certificate out of its time, each alone and at
// either end; programs that are no twain, or another one; connections of another run. Whatever it is, both ends say so.
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/comm/two_sites.h"
#include "tests/common/suite.h"

static bool says(const site_end *e, const char *text) {
  if (strstr(e->message, text)) return true;
  fprintf(stderr, "  party %d (status %d) does not say \"%s\": %s\n", e->party, e->status, text, e->message);
  return false;
}

// ---- certificates

// The end `which` does not take the other one, which learns it.
static void expect_refusal(site_end ends[2], int which, const char *here, const char *there) {
  meet_ends(ends);
  CU_ASSERT_EQUAL(ends[which].status, TW_ERR_IDENTITY);
  CU_ASSERT_EQUAL(ends[1 - which].status, TW_ERR_IDENTITY);
  CU_ASSERT(says(&ends[which], here));
  CU_ASSERT(says(&ends[1 - which], there));
  CU_ASSERT(says(&ends[1 - which], which ? "party 1 refuses this party" : "party 0 refuses this party"));
  CU_ASSERT_PTR_NULL(ends[0].channel);
  CU_ASSERT_PTR_NULL(ends[1].channel);
}

static void another_key(void) {
  site_end ends[2];
  tw_site stranger = make_site("stranger", TW_SITE_PARTY_0, -60, 60);
  tw_peer file = file_of("stranger");
  for (int which = 0; which < 2; which++) {
    two_ends(ends, 1);
    ends[which].who.peer = &file;
    expect_refusal(ends, which, "has another key", "does not know this party's public key");
  }
  tw_peer_free(&file);
  tw_site_free(&stranger);
}

// The right key in a certificate of the right time, whose role is not the one that is expected.
static void another_role(void) {
  site_end ends[2];
  for (int which = 0; which < 2; which++) {
    two_ends(ends, 1);
    tw_peer expected = *ends[which].who.peer;
    expected.role = TW_SITE_DEALER;
    ends[which].who.peer = &expected;
    meet_ends(ends);
    for (int party = 0; party < 2; party++) CU_ASSERT_EQUAL(ends[party].status, TW_ERR_IDENTITY);
    CU_ASSERT(says(&ends[which], "not the dealer"));
    CU_ASSERT(says(&ends[1 - which], "this party's certificate is of another role"));
  }
}

// The right key and role.
static void another_time(void) {
  static const int64_t times[2][2] = {{-7200, -3600}, {3600, 7200}};
  static const char *const names[2] = {"past", "future"};
  for (int when = 0; when < 2; when++) {
    site_end ends[2];
    tw_site site = make_site(names[when], TW_SITE_PARTY_1, times[when][0], times[when][1]);
    tw_peer file = file_of(names[when]);
    two_ends(ends, 1);
    ends[1].who.own = &site;
    ends[0].who.peer = &file;
    expect_refusal(ends, 0, when ? "is valid from" : "was valid until", "is not valid at this time");
    two_ends(ends, 1);  // the end that answers is the one whose time it is not
    ends[1].answers = true;
    ends[0].answers = false;
    ends[1].who.own = &site;
    ends[0].who.peer = &file;
    expect_refusal(ends, 0, when ? "is valid from" : "was valid until", "is not valid at this time");
    tw_peer_free(&file);
    tw_site_free(&site);
  }
}

// ---- other programs

typedef struct {
  int fd;
  bool server, certificate;
  int version;
  const tw_tls_identity *who;
} program;

// OpenSSL as it comes, with the right key where it has one.
static void *run_program(void *argument) {
  const program *p = argument;
  char byte;
  SSL_CTX *c = SSL_CTX_new(p->server ? TLS_server_method() : TLS_client_method());
  SSL_CTX_set_max_proto_version(c, p->version);
  if (p->certificate) {
    SSL_CTX_use_certificate(c, p->who->own->self.certificate);
    SSL_CTX_use_PrivateKey(c, p->who->own->signing);
  }
  SSL *s = SSL_new(c);
  SSL_set_fd(s, p->fd);
  if ((p->server ? SSL_accept(s) : SSL_connect(s)) == 1) SSL_read(s, &byte, 1);
  SSL_free(s);
  SSL_CTX_free(c);
  close(p->fd);
  return NULL;
}

static void against_program(bool certificate, int version, bool server, const char *text) {
  site_end ends[2];
  pthread_t thread;
  two_ends(ends, 1);
  ends[0].answers = !server;
  int blocking = ends[1].fds[0];
  CU_ASSERT_EQUAL(fcntl(blocking, F_SETFL, 0), 0);
  program p = {blocking, server, certificate, version, &ends[1].who};
  pthread_create(&thread, NULL, run_program, &p);
  meet_alone(&ends[0]);
  pthread_join(thread, NULL);
  close(ends[1].fds[1]);
  CU_ASSERT_EQUAL(ends[0].status, TW_ERR_IDENTITY);
  CU_ASSERT(says(&ends[0], text));
}

static void other_tls(void) {
  against_program(false, TLS1_3_VERSION, false, "what connected has no certificate");
  against_program(true, TLS1_2_VERSION, false, "no TLS 1.3 with party 1");
  against_program(true, TLS1_2_VERSION, true, "no TLS 1.3 with party 1");
}

// Bytes, and then the end or nothing.
static void against_bytes(const void *bytes, size_t count, bool end, tw_status wanted, const char *text) {
  for (int answers = 0; answers < 2; answers++) {
    site_end ends[2];
    two_ends(ends, 1);
    ends[0].answers = answers;
    ends[0].silence = end ? 20 : 0.2;
    CU_ASSERT_EQUAL(send(ends[1].fds[0], bytes, count, MSG_NOSIGNAL), (ssize_t)count);
    if (end) shutdown(ends[1].fds[0], SHUT_WR);
    meet_alone(&ends[0]);
    for (int k = 0; k < 2; k++) close(ends[1].fds[k]);
    CU_ASSERT_EQUAL(ends[0].status, wanted);
    CU_ASSERT(says(&ends[0], text));
  }
}

static void no_tls(void) {
  uint8_t noise[1000];
  randombytes_buf(noise, sizeof noise);
  noise[0] = 0x80;  // no type of a record
  against_bytes("GET / HTTP/1.0\r\n\r\n", 18, true, TW_ERR_IDENTITY, "no TLS 1.3 with party 1");
  against_bytes(noise, sizeof noise, false, TW_ERR_IDENTITY, "no TLS 1.3 with party 1");
  against_bytes("", 0, false, TW_ERR_PEER, "silence");
  against_bytes("", 0, true, TW_ERR_PEER, "the connection was cut");
  against_bytes("\x16\x03\x01", 3, false, TW_ERR_PEER, "silence");  // half a record's head
}

// ---- another twain

typedef struct {
  site_end *end;
  size_t at;  // where the record is changed, and authenticated again; 4096: random bytes, not authenticated
  uint32_t value;
  tw_status heard;
} liar;

// A peer with the right certificate that says other first words.
static void *lie(void *argument) {
  liar *l = argument;
  uint8_t record[TW_HELLO_BYTES] = "twain two sites", key[TW_EXPORTER_BYTES], answer[TW_HELLO_BYTES], who = 0;
  const uint32_t good[] = {1, 1, 0, 1, 1};  // version, party, process, processes, streams
  uint64_t until = tw_clock_ns() + 20000000000u;
  tw_tls_context *c;
  tw_tls *t;
  memcpy(record + 16, good, sizeof good);
  if (l->at < TW_HELLO_BYTES)
    memcpy(record + l->at, &l->value, sizeof l->value);
  else
    randombytes_buf(record, sizeof record);
  CU_ASSERT_EQUAL_FATAL(tw_tls_context_create(&l->end->who, false, 0, &c), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_tls_open(c, l->end->fds[0], until, &t, NULL), TW_OK);
  CU_ASSERT_EQUAL(tw_tls_exporter(t, "EXPORTER-twain hello", key), TW_OK);
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, key, sizeof key);
  crypto_auth_hmacsha256_update(&state, &who, 1);
  crypto_auth_hmacsha256_update(&state, record, sizeof record - 32);
  if (l->at < TW_HELLO_BYTES) crypto_auth_hmacsha256_final(&state, record + sizeof record - 32);
  CU_ASSERT_EQUAL(tw_tls_put(t, record, sizeof record, until), TW_OK);
  l->heard = tw_tls_get(t, answer, sizeof answer, until);
  if (l->heard == TW_OK) memcpy(&l->heard, answer + 36, sizeof l->heard);
  tw_tls_close(&t, 1);
  tw_tls_context_destroy(c);
  close(l->end->fds[1]);
  return NULL;
}

static void against_liar(size_t at, uint32_t value, tw_status wanted, const char *text) {
  site_end ends[2];
  pthread_t thread;
  two_ends(ends, 1);
  liar l = {.end = &ends[1], .at = at, .value = value};
  pthread_create(&thread, NULL, lie, &l);
  meet_alone(&ends[0]);
  pthread_join(thread, NULL);
  CU_ASSERT_EQUAL(ends[0].status, wanted);
  CU_ASSERT_EQUAL(l.heard, wanted);  // the refusal is told
  CU_ASSERT(says(&ends[0], text));
}

static void first_words(void) {
  against_liar(16, 2, TW_ERR_MISMATCH, "version of the line between sites: this one has 1, the other 2");
  against_liar(20, 0, TW_ERR_IDENTITY, "no twain says (its party)");
  against_liar(24, 1, TW_ERR_MISMATCH, "process: this one has 0, the other 1");
  against_liar(28, 4, TW_ERR_MISMATCH, "number of processes: this one has 1, the other 4");
  against_liar(32, 2, TW_ERR_MISMATCH, "number of streams: this one has 1, the other 2");
  against_liar(36, 77, TW_ERR_IDENTITY, "no twain says (its status)");
  against_liar(0, 0, TW_ERR_IDENTITY, "no twain says (its name)");
  against_liar(TW_HELLO_BYTES, 0, TW_ERR_IDENTITY, "do not belong to it");
}

static void streams_that_differ(void) {
  site_end ends[2];
  two_ends(ends, 2);
  ends[1].lines.streams = 1;
  meet_ends(ends);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL(ends[party].status, TW_ERR_MISMATCH);
    CU_ASSERT(says(&ends[party], "differ in number of streams"));
  }
}

// ---- two runs of the same sites, and somebody in between

static void *meet_both(void *ends) {
  meet_ends(ends);
  return NULL;
}

static void swap(int *a, int *b) {
  int c = *a;
  *a = *b;
  *b = c;
}

static void connections_of_another_run(void) {
  for (int k = 1; k < 4; k++) {
    site_end runs[2][2];
    pthread_t threads[2];
    for (int run = 0; run < 2; run++) two_ends(runs[run], 2);
    swap(&runs[0][1].fds[k], &runs[1][1].fds[k]);
    for (int run = 0; run < 2; run++) pthread_create(&threads[run], NULL, meet_both, runs[run]);
    for (int run = 0; run < 2; run++) pthread_join(threads[run], NULL);
    for (int i = 0; i < 4; i++) {
      CU_ASSERT_EQUAL(runs[i / 2][i % 2].status, TW_ERR_IDENTITY);
      CU_ASSERT(says(&runs[i / 2][i % 2], "does not belong to this run"));
    }
  }
}

static void connections_of_another_place(void) {
  site_end ends[2];
  two_ends(ends, 2);
  swap(&ends[1].fds[1], &ends[1].fds[2]);
  ends[0].silence = ends[1].silence = 0.5;  // each waits on another one
  meet_ends(ends);
  for (int party = 0; party < 2; party++) CU_ASSERT_NOT_EQUAL(ends[party].status, TW_OK);
}

// The one that dials has a reason of its own; the one that listens for the next connection hears of it at once.
static void one_that_leaves(void) {
  site_end ends[2];
  two_ends(ends, 2);
  close(ends[0].fds[2]);
  close(ends[1].fds[2]);
  ends[0].fds[2] = ends[1].fds[2] = -1;
  uint64_t begin = tw_clock_ns();
  meet_ends(ends);
  CU_ASSERT(tw_clock_ns() - begin < 10000000000u);  // of 20
  for (int party = 0; party < 2; party++) CU_ASSERT_EQUAL(ends[party].status, TW_ERR_PEER);
  CU_ASSERT(says(&ends[1], "no further connection"));
  CU_ASSERT(says(&ends[0], "the other party (1) stopped: no further connection"));
}

static int open_suite(void) { return sodium_init() < 0 ? 1 : scratch_open(); }

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("tls_refused", open_suite, two_sites_close);
  CU_ADD_TEST(suite, another_key);
  CU_ADD_TEST(suite, another_role);
  CU_ADD_TEST(suite, another_time);
  CU_ADD_TEST(suite, other_tls);
  CU_ADD_TEST(suite, no_tls);
  CU_ADD_TEST(suite, first_words);
  CU_ADD_TEST(suite, streams_that_differ);
  CU_ADD_TEST(suite, connections_of_another_run);
  CU_ADD_TEST(suite, connections_of_another_place);
  CU_ADD_TEST(suite, one_that_leaves);
  return suite_end();
}
