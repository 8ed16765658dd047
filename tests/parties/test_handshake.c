// The parties' first words to each other: what a peer may say of itself, and what it may not.
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "comm/channels.h"
#include "jobs/parties/handshake.h"
#include "tests/common/suite.h"

typedef struct {
  tw_status status;
  char message[2048];
} outcome;

typedef struct {
  tw_channel *channel;
  tw_status found;
  const char *words;
  const tw_terms *terms;
  outcome out;
} party_state;

static void *agree(void *argument) {
  party_state *r = argument;
  if (r->found != TW_OK) (void)tw_fail(r->found, "%s", r->words);
  r->out.status = tw_agree(r->channel, r->found, r->terms);
  snprintf(r->out.message, sizeof r->out.message, "%s", r->out.status == TW_OK ? "" : tw_error_message());
  return NULL;
}

static tw_terms fresh_terms(void) {
  tw_terms t;
  memset(&t, 0, sizeof t);
  tw_id_random(&t.model_id);
  tw_id_random(&t.key_id);
  tw_id_random(&t.input_id);
  tw_digest_of(&t, sizeof t, &t.plan);
  tw_digest_of(&t.plan, sizeof t.plan, &t.lengths);
  t.count = 2;
  t.seq = 16 + randombytes_uniform(100);
  tw_id_random(&t.ledgers[0]);
  tw_id_random(&t.ledgers[1]);
  tw_digest_of(&t.lengths, sizeof t.lengths, &t.slots);
  tw_id_random(&t.run_id);
  tw_digest_of(&t.slots, sizeof t.slots, &t.transcript);
  t.overlap = 1;
  strcpy(t.transport, "auto");
  strcpy(t.link, "none");
  return t;
}

// Two honest parties.
static void both(const tw_terms *a, const tw_terms *b, tw_status found, outcome out[2]) {
  tw_channel *ends[2];
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(5, ends), TW_OK);
  party_state parties[2] = {{.channel = ends[0], .terms = a},
                            {.channel = ends[1], .terms = b, .found = found, .words = "n.keys.p1.h5: no such file"}};
  pthread_create(&thread, NULL, agree, &parties[1]);
  agree(&parties[0]);
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++) {
    out[i] = parties[i].out;
    tw_channel_destroy(ends[i]);
  }
}

// Party 0's answer to `bytes` of a greeting that party 1 made by hand.
static outcome answer(const tw_terms *terms, const void *greeting, size_t bytes) {
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(5, ends), TW_OK);
  tw_exchange x = {.send = greeting, .bytes = bytes};
  CU_ASSERT_EQUAL(ends[1]->start(ends[1], &x), TW_OK);
  party_state honest = {.channel = ends[0], .terms = terms};
  agree(&honest);
  tw_channel_destroy(ends[0]);
  tw_channel_destroy(ends[1]);
  return honest.out;
}

static tw_greeting good_greeting(const tw_terms *terms) {
  tw_greeting g;
  memset(&g, 0, sizeof g);
  g.version = TW_PROTOCOL_VERSION;
  g.party = 1;
  g.terms = *terms;
  return g;
}

static void same_terms(void) {
  outcome out[2];
  tw_terms t = fresh_terms();
  both(&t, &t, TW_OK, out);
  CU_ASSERT_EQUAL(out[0].status, TW_OK);
  CU_ASSERT_EQUAL(out[1].status, TW_OK);
  tw_greeting g = good_greeting(&t);
  CU_ASSERT_EQUAL(answer(&t, &g, sizeof g).status, TW_OK);
}

static void trouble_of_one_party(void) {
  outcome out[2];
  tw_terms t = fresh_terms();
  for (int code = TW_ERR_INTERNAL; code <= TW_ERR_CHECK; code++) {
    both(&t, &t, (tw_status)code, out);
    for (int i = 0; i < 2; i++) {
      CU_ASSERT_EQUAL((int)out[i].status, code);
      CU_ASSERT_PTR_NOT_NULL(strstr(out[i].message, "n.keys.p1.h5: no such file"));
    }
  }
}

// Both values, on both parties.
static void expect_difference(const tw_terms *a, const tw_terms *b, const char *what, const char *of_a,
                              const char *of_b) {
  outcome out[2];
  both(a, b, TW_OK, out);
  for (int i = 0; i < 2; i++) {
    const char *m = out[i].message;
    CU_ASSERT_EQUAL(out[i].status, TW_ERR_MISMATCH);
    bool said = strstr(m, what) && strstr(m, of_a) && strstr(m, of_b);
    CU_ASSERT_TRUE(said);
    if (!said) printf("\n  %s: %s\n", what, m);
  }
}

static void different_files(void) {
  tw_terms a = fresh_terms(), other = fresh_terms(), b;
  b = a, b.model_id = other.model_id;
  expect_difference(&a, &b, "in model", a.model_id.hex, b.model_id.hex);
  b = a, b.plan = other.plan;
  expect_difference(&a, &b, "in plan", a.plan.hex, b.plan.hex);
  b = a, b.key_id = other.key_id;
  expect_difference(&a, &b, "in keys", a.key_id.hex, b.key_id.hex);
  b = a, b.input_id = other.input_id;
  expect_difference(&a, &b, "in input", a.input_id.hex, b.input_id.hex);
  b = a, b.after = other.input_id;
  expect_difference(&a, &b, "the turn to go on behind", "has none", b.after.hex);
  b = a, b.run_id = other.input_id;
  expect_difference(&a, &b, "the run that is done", a.run_id.hex, b.run_id.hex);
  b = a, b.transcript = other.lengths;
  expect_difference(&a, &b, "what they opened", a.transcript.hex, b.transcript.hex);
  b = a, b.lengths = other.lengths;
  expect_difference(&a, &b, "lengths", a.lengths.hex, b.lengths.hex);
  b = a, b.count = 77777;
  expect_difference(&a, &b, "number of sequences", "has 2", "77777");
  b = a, b.seq = 88888;
  expect_difference(&a, &b, "sequence length", "party 0 has", "88888");
}

static void different_options(void) {
  tw_terms a = fresh_terms(), b;
  tw_terms other = fresh_terms();
  b = a, b.slots = other.slots;
  expect_difference(&a, &b, "list of key slots", a.slots.hex, b.slots.hex);
  b = a, b.ledgers[1] = other.ledgers[1];
  expect_difference(&a, &b, "party 1's ledger", a.ledgers[1].hex, b.ledgers[1].hex);
  b = a, b.test_keys = 1;
  expect_difference(&a, &b, "TEST keys", "party 0 has 0", "has 1");
  b = a, strcpy(b.transport, "host-relay");
  expect_difference(&a, &b, "transport", "has auto", "has host-relay");
  b = a, strcpy(b.link, "100 us, 10 Gbit/s");
  expect_difference(&a, &b, "--link-latency", "has none", "100 us, 10 Gbit/s");
  b = a, b.overlap = 0;
  expect_difference(&a, &b, "--split-batch", "halves that take turns", "the whole batch at once");
  b = a, b.live_keys = 1;
  expect_difference(&a, &b, "--dealer", "has a key file", "has a live dealer");
}

static void expect_refusal(const tw_terms *mine, const tw_greeting *g, const char *what) {
  outcome o = answer(mine, g, sizeof *g);
  CU_ASSERT_EQUAL(o.status, TW_ERR_PEER);
  bool said = strstr(o.message, "that no twain sends") && strstr(o.message, what);
  CU_ASSERT_TRUE(said);
  if (!said) printf("\n  %s: status %d: %s\n", what, (int)o.status, o.message);
}

static void lies_about_status(void) {
  static const int lies[] = {256, 512, 1 << 30, -1, -256, 13, 14, 255, INT32_MIN, INT32_MAX};
  tw_terms t = fresh_terms();
  tw_greeting g = good_greeting(&t);
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    g.found = lies[i];
    expect_refusal(&t, &g, "status");
  }
  g.found = (int)(13 + randombytes_uniform(1u << 30));
  expect_refusal(&t, &g, "status");
}

static void other_nonsense(void) {
  tw_terms t = fresh_terms();
  tw_greeting good = good_greeting(&t), g;
  g = good, g.party = 0;
  expect_refusal(&t, &g, "party");
  g = good, g.party = 2 + randombytes_random() / 2;
  expect_refusal(&t, &g, "party");
  g = good, g.found = TW_ERR_IO, memset(g.message, 'x', sizeof g.message);
  expect_refusal(&t, &g, "message without end");
  g = good, g.terms.key_id.hex[7] = '\033';
  expect_refusal(&t, &g, "id");
  g = good, g.terms.input_id.hex[31] = 0;
  expect_refusal(&t, &g, "id");
  g = good, g.terms.after.hex[0] = 'x';
  expect_refusal(&t, &g, "an id is not hexadecimal");
  g = good, g.terms.run_id.hex[0] = 'x';
  expect_refusal(&t, &g, "an id is not hexadecimal");
  g = good, g.terms.transcript.hex[63] = 'x';
  expect_refusal(&t, &g, "digest");
  g = good, g.terms.model_id.hex[32] = 'a';
  expect_refusal(&t, &g, "id");
  g = good, g.terms.ledgers[0].hex[3] = '/';
  expect_refusal(&t, &g, "id");
  g = good, g.terms.slots.hex[63] = 'g';
  expect_refusal(&t, &g, "digest");
  g = good, g.terms.plan.hex[0] = 'G';
  expect_refusal(&t, &g, "digest");
  g = good, memset(g.terms.link, 'x', sizeof g.terms.link);
  expect_refusal(&t, &g, "word without end");
  g = good, memset(g.terms.transport, 'x', sizeof g.terms.transport);
  expect_refusal(&t, &g, "word without end");
  g = good, g.terms.overlap = 2 + randombytes_random();
  expect_refusal(&t, &g, "truth value");
  g = good, g.terms.live_keys = 2;
  expect_refusal(&t, &g, "truth value");
  g = good, g.terms.test_keys = UINT64_MAX;
  expect_refusal(&t, &g, "truth value");
}

// Any bytes at all: never TW_OK, never a status that is none, and no read past the greeting (sanitizers).
static void random_greetings(void) {
  tw_terms t = fresh_terms();
  for (int i = 0; i < 2000; i++) {
    tw_greeting g = good_greeting(&t);
    randombytes_buf((uint8_t *)&g + 4 * randombytes_uniform(sizeof g / 4), 4);
    if (i % 2) randombytes_buf(&g, sizeof g);
    outcome o = answer(&t, &g, sizeof g);
    CU_ASSERT_TRUE(tw_status_known((int)o.status));
    if (i % 2) CU_ASSERT_NOT_EQUAL(o.status, TW_OK);
  }
}

// Versions whose greetings have another length say so all the same.
static void other_versions(void) {
  tw_terms t = fresh_terms();
  tw_greeting g = good_greeting(&t);
  g.version = TW_PROTOCOL_VERSION + 1;
  const size_t lengths[] = {sizeof g, sizeof g - 40, 8};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    outcome o = answer(&t, &g, lengths[i]);
    CU_ASSERT_EQUAL(o.status, TW_ERR_MISMATCH);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.message, "protocol version"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.message, "run the same twain"));
  }
  g.version = TW_PROTOCOL_VERSION;
  CU_ASSERT_EQUAL(answer(&t, &g, sizeof g - 1).status, TW_ERR_PEER);
  CU_ASSERT_EQUAL(answer(&t, &g, 0).status, TW_ERR_PEER);
}

// Each exchange comes in time, and the whole takes longer than it may.
static void a_deadline(void) {
  tw_terms t = fresh_terms();
  tw_greeting g = good_greeting(&t);
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(5, ends), TW_OK);
  ends[0]->deadline_ns = tw_clock_ns() + 300000000;
  tw_status status = TW_OK;
  uint64_t begin = tw_clock_ns();
  for (int i = 0; i < 1000 && status == TW_OK; i++) {
    tw_exchange x = {.send = &g, .bytes = sizeof g};
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    CU_ASSERT_EQUAL(ends[1]->start(ends[1], &x), TW_OK);
    status = tw_agree(ends[0], TW_OK, &t);
  }
  CU_ASSERT_EQUAL(status, TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "--time-limit"));
  CU_ASSERT_TRUE(tw_clock_ns() - begin < 4000000000u);
  tw_channel_destroy(ends[0]);
  tw_channel_destroy(ends[1]);
}

// Nothing comes at all: the deadline is before the timeout.
static void a_deadline_in_silence(void) {
  tw_terms t = fresh_terms();
  tw_channel *ends[2];
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(60, ends), TW_OK);
  ends[0]->deadline_ns = tw_clock_ns() + 200000000;
  CU_ASSERT_EQUAL(tw_agree(ends[0], TW_OK, &t), TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "--time-limit"));
  tw_channel_destroy(ends[0]);
  tw_channel_destroy(ends[1]);
}

SUITE_MAIN("handshake", {"same terms", same_terms}, {"trouble of one party", trouble_of_one_party},
           {"different files", different_files}, {"different options", different_options},
           {"lies about the status", lies_about_status}, {"other nonsense", other_nonsense},
           {"random greetings", random_greetings}, {"other versions", other_versions},
           {"a deadline, messages dripping", a_deadline}, {"a deadline, in silence", a_deadline_in_silence})
