// The relay between two GPUs' mailboxes, with threads in the GPUs' place: they pack rounds, raise flags block by block,
// wait for the other side's and compare. A header that differs, a peer that goes, a run that is given up.
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "comm/channels.h"
#include "comm/relay.h"
#include "tests/common/suite.h"

enum { BOXES = 2, MESSAGES = 60, STREAMS = 3, SLOT_WORDS = 4000, PATIENCE_MS = 5000 };

typedef struct {
  int party;
  tw_relay *relay;
  tw_relay_box box[BOXES];
  uint64_t *memory[BOXES][2];  // sent, received
  _Atomic uint64_t *flags[BOXES][2];
  _Atomic int stop;
  const tw_relay_message *messages;
  int count;
  int wrong;
} side;

static uint64_t word_of(int party, int message, size_t i) {
  return (uint64_t)(party + 1) * 0x9e3779b97f4a7c15u + (uint64_t)message * 1000003 + i;
}

static void make_side(side *s, int party, tw_channel *channel) {
  memset(s, 0, sizeof *s);
  s->party = party;
  for (int b = 0; b < BOXES; b++) {
    for (int way = 0; way < 2; way++) {
      s->memory[b][way] = calloc(2 * SLOT_WORDS, 8);
      s->flags[b][way] = calloc(TW_FLAG_STRIDE * TW_EXCHANGE_BLOCKS, 8);
    }
    s->box[b] = (tw_relay_box){.sent = s->memory[b][0],
                               .received = s->memory[b][1],
                               .sent_flags = s->flags[b][0],
                               .received_flags = s->flags[b][1],
                               .slot_words = SLOT_WORDS,
                               .headed = true,
                               .stop = &s->stop};
  }
  CU_ASSERT_EQUAL_FATAL(tw_relay_create(channel, s->box, BOXES, &s->relay), TW_OK);
}

static void free_side(side *s) {
  tw_relay_destroy(s->relay);
  for (int b = 0; b < BOXES; b++)
    for (int way = 0; way < 2; way++) {
      free(s->memory[b][way]);
      free((void *)s->flags[b][way]);
    }
}

// Random messages; both sides have the same.
static void draw_messages(tw_relay_message *m, int count) {
  for (int i = 0; i < count; i++) {
    m[i].box = (int)randombytes_uniform(BOXES);
    m[i].blocks = 1 + (int)randombytes_uniform(40);
    m[i].rounds = 1 + (int)randombytes_uniform(TW_EXCHANGE_ROUNDS);
    m[i].round[0] = 0;
    for (int r = 0; r < m[i].rounds; r++) m[i].round[r + 1] = m[i].round[r] + 1 + randombytes_uniform(200);
  }
}

static bool await(side *s, const _Atomic uint64_t *flag, uint64_t wanted) {
  for (uint64_t end = tw_clock_ns() + PATIENCE_MS * 1000000ull; tw_clock_ns() < end;) {
    if (atomic_load(flag) >= wanted) return true;
    if (atomic_load(&s->stop)) return false;
  }
  s->wrong++;
  return false;
}

// What the exchange kernel does, message after message.
static void *play_gpu(void *argument) {
  side *s = argument;
  uint64_t number[BOXES] = {0};
  for (int i = 0; i < s->count; i++) {
    const tw_relay_message *m = &s->messages[i];
    uint64_t k = number[m->box]++;
    uint64_t *sent = s->memory[m->box][0] + k % 2 * SLOT_WORDS, *got = s->memory[m->box][1] + k % 2 * SLOT_WORDS;
    for (int r = 0; r < m->rounds; r++) {
      for (size_t w = m->round[r] + 1; w < m->round[r + 1]; w++) sent[w] = word_of(s->party, i, w);
      for (int b = 0; b < m->blocks; b++)
        atomic_store(&s->flags[m->box][0][TW_FLAG_STRIDE * b], tw_exchange_flag(k, r));
    }
    for (int r = 0; r < m->rounds; r++) {
      for (int b = 0; b < m->blocks; b++)
        if (!await(s, &s->flags[m->box][1][TW_FLAG_STRIDE * b], tw_exchange_flag(k, r))) return NULL;
      for (size_t w = m->round[r] + 1; w < m->round[r + 1]; w++) s->wrong += got[w] != word_of(1 - s->party, i, w);
    }
  }
  return NULL;
}

typedef struct {
  tw_channel *channel[2];
  side sides[2];
} pair;

static void not_interrupted(void *state) { (void)state; }

// Several loopbacks as the streams of one channel.
static void open_streams(pair *p, int streams) {
  tw_channel *ends[2][STREAMS];
  for (int i = 0; i < streams; i++) {
    CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(2, p->channel), TW_OK);
    for (int r = 0; r < 2; r++) ends[r][i] = p->channel[r];
  }
  for (int r = 0; r < 2 && streams > 1; r++)
    CU_ASSERT_EQUAL_FATAL(tw_channel_striped(ends[r], streams, not_interrupted, NULL, &p->channel[r]), TW_OK);
}

static void open_pair(pair *p, const tw_relay_message *messages, int count, int streams) {
  open_streams(p, streams);
  for (int r = 0; r < 2; r++) {
    make_side(&p->sides[r], r, p->channel[r]);
    p->sides[r].messages = messages;
    p->sides[r].count = count;
  }
}

static void close_pair(pair *p) {
  for (int r = 0; r < 2; r++) {
    free_side(&p->sides[r]);
    tw_channel_destroy(p->channel[r]);
  }
}

static void random_messages(int streams) {
  pair p;
  tw_relay_message messages[MESSAGES];
  pthread_t gpu[2];
  draw_messages(messages, MESSAGES);
  open_pair(&p, messages, MESSAGES, streams);
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_EQUAL(tw_relay_begin(p.sides[r].relay, messages, MESSAGES), TW_OK);
    pthread_create(&gpu[r], NULL, play_gpu, &p.sides[r]);
  }
  for (int r = 0; r < 2; r++) {
    pthread_join(gpu[r], NULL);
    CU_ASSERT_EQUAL(tw_relay_end(p.sides[r].relay, 0), TW_OK);
    CU_ASSERT_EQUAL(p.sides[r].wrong, 0);
  }
  close_pair(&p);
}

static void by_one_stream(void) { random_messages(1); }
static void by_streams(void) { random_messages(STREAMS); }

// The second message is mailbox 0's second on one side and its first on the other: sizes agree, headers do not.
static void headers_that_differ(void) {
  pair p;
  const tw_relay_message zero = {.box = 0, .blocks = 1, .rounds = 1, .round = {0, 50}};
  const tw_relay_message one = {.box = 1, .blocks = 1, .rounds = 1, .round = {0, 50}};
  const tw_relay_message lists[2][2] = {{zero, zero}, {one, zero}};
  int refused = 0;
  open_pair(&p, NULL, 0, 1);
  for (int r = 0; r < 2; r++) {
    for (int b = 0; b < BOXES; b++) atomic_store(p.sides[r].flags[b][0], tw_exchange_flag(1, 0));  // all is packed
    CU_ASSERT_EQUAL(tw_relay_begin(p.sides[r].relay, lists[r], 2), TW_OK);
  }
  for (int r = 0; r < 2; r++) {
    refused += tw_relay_end(p.sides[r].relay, 0) == TW_ERR_PEER;
    CU_ASSERT_EQUAL(atomic_load(&p.sides[r].stop), 1);
  }
  CU_ASSERT_EQUAL(refused, 2);
  close_pair(&p);
}

static void peer_gone(void) {
  pair p;
  tw_relay_message messages[4];
  pthread_t gpu;
  draw_messages(messages, 4);
  open_pair(&p, messages, 4, 1);
  CU_ASSERT_EQUAL(tw_relay_begin(p.sides[0].relay, messages, 4), TW_OK);
  pthread_create(&gpu, NULL, play_gpu, &p.sides[0]);
  tw_channel_destroy(p.channel[1]);
  pthread_join(gpu, NULL);  // ended by `stop`
  CU_ASSERT_EQUAL(tw_relay_end(p.sides[0].relay, 0), TW_ERR_PEER);
  CU_ASSERT_EQUAL(p.sides[0].wrong, 0);
  CU_ASSERT_EQUAL(atomic_load(&p.sides[0].stop), 1);
  free_side(&p.sides[0]);
  free_side(&p.sides[1]);
  tw_channel_destroy(p.channel[0]);
}

// A GPU that will never pack: whoever started the relay gives the run up.
static void given_up(void) {
  pair p;
  tw_relay_message messages[3];
  draw_messages(messages, 3);
  open_pair(&p, messages, 3, 1);
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL(tw_relay_begin(p.sides[r].relay, messages, 3), TW_OK);
  for (int r = 0; r < 2; r++) CU_ASSERT_EQUAL(tw_relay_end(p.sides[r].relay, 1), TW_ERR_PEER);
  close_pair(&p);
}

// A channel that says, as MPI's does, what it may still touch; and what of it is never given back.
typedef struct {
  tw_channel channel, *inner;
  atomic_int in_flight;
  bool keeps;  // holds what failed for ever
} watched;

static tw_status watched_start(tw_channel *c, tw_exchange *x) {
  watched *w = c->state;
  tw_status status = w->inner->start(w->inner, x);
  x->handle = w;
  w->in_flight++;
  return status;
}
static tw_status watched_wait(tw_channel *c, tw_exchange *x) {
  watched *w = c->state;
  w->inner->timeout_seconds = c->timeout_seconds;
  tw_status status = w->inner->wait(w->inner, x);
  if (status != TW_OK && w->keeps) return status;
  x->handle = NULL;
  w->in_flight--;
  return status;
}

static bool watched_arrived(tw_channel *c, tw_exchange *x) {
  watched *w = c->state;
  return w->inner->arrived(w->inner, x);
}

// Given up while a round is on its way to a party that is silent: the round is taken back before the relay ends, within
// about a second; where the transport does not let go, the owner of the memory is told.
static void given_up_in_a_message(void) {
  const tw_relay_message m = {.box = 0, .blocks = 1, .rounds = 3, .round = {0, 20, 40, 60}};
  for (int keeps = 0; keeps < 2; keeps++) {
    tw_channel *ends[2];
    side s;
    CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(30, ends), TW_OK);
    watched w = {.channel = {.party = 0,
                             .name = "watched",
                             .timeout_seconds = 30,
                             .start = watched_start,
                             .wait = watched_wait,
                             .arrived = watched_arrived,
                             .state = &w},
                 .inner = ends[0],
                 .keeps = keeps};
    make_side(&s, 0, &w.channel);
    atomic_store(s.flags[0][0], tw_exchange_flag(0, 0));  // one round is packed, no more
    CU_ASSERT_EQUAL(tw_relay_begin(s.relay, &m, 1), TW_OK);
    while (atomic_load(&w.in_flight) == 0) sched_yield();
    uint64_t begin = tw_clock_ns();
    CU_ASSERT_EQUAL(tw_relay_end(s.relay, 1), TW_ERR_PEER);
    CU_ASSERT(strstr(tw_error_message(), "given up") != NULL);
    CU_ASSERT(tw_clock_ns() - begin < 10u * 1000000000u);
    CU_ASSERT_EQUAL(w.in_flight, keeps);
    CU_ASSERT_EQUAL(w.channel.timeout_seconds, 30);
    CU_ASSERT_EQUAL(atomic_load(&s.stop), 1);
    tw_relay *relay = s.relay;
    CU_ASSERT_EQUAL(tw_relay_destroy(relay), !keeps);
    if (keeps) free(relay);  // the test's transport is gone now
    s.relay = NULL;
    free_side(&s);
    for (int r = 0; r < 2; r++) tw_channel_destroy(ends[r]);
  }
}

// Rounds cover the message without gaps, whatever it holds.
static void rounds_of_messages(void) {
  for (int trial = 0; trial < 300; trial++) {
    tw_device_message m = {.count = 0};
    tw_device_open before;
    uint64_t words = 0;
    int count = 1 + (int)randombytes_uniform(6);
    for (int i = 0; i < count; i++) {
      bool bits = randombytes_uniform(2);
      uint16_t width = (uint16_t)(1 + randombytes_uniform(bits ? 12 : 64));
      uint64_t n = 1 + randombytes_uniform(3000), row = (n + 63) / 64;
      tw_device_open o = {.n = n,
                          .words = bits ? width * row : n,
                          .sequences = 1 + randombytes_uniform(4),
                          .width = width,
                          .bits = bits};
      tw_device_open_place(&o, i ? &before : NULL);
      CU_ASSERT_EQUAL(o.first_word, words);
      words += o.sequences * (bits ? width * row : (n * width + 63) / 64);
      tw_device_message_add(&m, &o);
      before = o;
    }
    CU_ASSERT_EQUAL(tw_device_message_words(&m), words);
    int rounds = tw_exchange_rounds(&m, 1 + randombytes_uniform(2000));
    CU_ASSERT(rounds >= 1 && rounds <= TW_EXCHANGE_ROUNDS && rounds <= (int)m.units);
    CU_ASSERT_EQUAL(tw_exchange_word_of_round(&m, rounds, 0), 0);
    CU_ASSERT_EQUAL(tw_exchange_word_of_round(&m, rounds, rounds), words + (size_t)rounds);
    for (int r = 0; r < rounds; r++)
      CU_ASSERT(tw_exchange_word_of_round(&m, rounds, r) < tw_exchange_word_of_round(&m, rounds, r + 1));
  }
}

// A kernel has a block for as many units as warps pack, at least one and at most its mailbox's; small is what fits in
// the small slots.
static void blocks_and_small(void) {
  for (int trial = 0; trial < 300; trial++) {
    tw_device_message m = {.count = 0};
    tw_mailbox box = {.blocks = 1 + (int)randombytes_uniform(TW_EXCHANGE_BLOCKS),
                      .warps = TW_EXCHANGE_WARPS >> randombytes_uniform(2)};
    uint64_t n = randombytes_uniform(200000), units = 0;
    tw_device_open o = {.n = n, .words = n, .sequences = 1 + randombytes_uniform(3), .width = 33};
    tw_device_open_place(&o, NULL);
    tw_device_message_add(&m, &o);
    for (uint64_t at = 0; at < n; at += 64) units += o.sequences;
    CU_ASSERT_EQUAL(m.units, units);
    int blocks = tw_exchange_blocks(&m, &box);
    CU_ASSERT(blocks >= 1 && blocks <= box.blocks);
    CU_ASSERT(blocks == box.blocks || (uint64_t)blocks * (uint64_t)box.warps >= units);
    CU_ASSERT(blocks == 1 || (uint64_t)(blocks - 1) * (uint64_t)box.warps < units);
    box.small_packets = 2 * tw_device_message_words(&m) / 3 + m.units;
    CU_ASSERT_FALSE(tw_exchange_is_small(&m, &box));
    box.small_packets++;
    CU_ASSERT_TRUE(tw_exchange_is_small(&m, &box));
  }
}

SUITE_MAIN("relay", {"random messages", by_one_stream}, {"by several streams", by_streams},
           {"headers that differ", headers_that_differ}, {"peer gone", peer_gone}, {"given up", given_up},
           {"given up in a message", given_up_in_a_message}, {"rounds of messages", rounds_of_messages},
           {"blocks and small messages", blocks_and_small})
