#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "comm/channels.h"

// One stream: what this party sends goes over one connection, what it receives comes over the other. Each thus has a
// way back that is free: there a party that gives up says why.
typedef struct {
  tw_tls *out, *in;
  struct link_state *link;
} pair;

typedef struct link_state {
  tw_channel channel;
  tw_channel *inner;
  tw_tls_context *context;
  tw_hello hello;
  pair pairs[TW_MOST_STREAMS];
  int streams;
  bool asked, heard;               // the other party's last words were looked for, found
  atomic_bool ended, interrupted;  // a stream of another thread: by itself, by this party
} link_state;

// Connection 2 i carries what the end that speaks first sends in stream i, connection 2 i + 1 what it receives.
static tw_tls **place_of(link_state *s, int k) {
  pair *p = &s->pairs[k / 2];
  return (k % 2 == 0) != s->hello.answers ? &p->out : &p->in;
}

// ---- last words

typedef union {
  struct {
    char magic[16];
    int32_t status;
    char message[440];
  } says;
  uint8_t bytes[512];
} note;
static const char note_magic[16] = "twain stops";
static const uint64_t pause_ns = 500000000;      // before a connection is tried again
static const uint64_t patience_ns = 2000000000;  // for the other party's last words, which take another connection

static void say_last_words(tw_tls *t, tw_status status, const char *message) {
  note n;
  memset(&n, 0, sizeof n);
  memcpy(n.says.magic, note_magic, sizeof n.says.magic);
  n.says.status = (int32_t)status;
  snprintf(n.says.message, sizeof n.says.message, "%.*s", (int)sizeof n.says.message - 1, message);
  (void)tw_tls_send(t, n.bytes, sizeof n.bytes);
}

// False, and *status unchanged: there are none.
static bool hear_last_words(link_state *s, tw_tls *t, uint64_t until_ns, tw_status *status) {
  note n;
  s->heard = tw_tls_last_words(t, n.bytes, sizeof n.bytes, until_ns) == TW_OK;
  if (!s->heard || memcmp(n.says.magic, note_magic, sizeof n.says.magic) != 0 || n.says.status == TW_OK ||
      !tw_status_known(n.says.status) || !memchr(n.says.message, '\0', sizeof n.says.message))
    return false;
  *status = tw_fail((tw_status)n.says.status, "the other party (%d) stopped: %s", 1 - s->channel.party, n.says.message);
  return true;
}

static void tls_tell(tw_channel *c, tw_status status, const char *message) {
  link_state *s = c->state;
  if (s->pairs[0].in && !s->heard) say_last_words(s->pairs[0].in, status, message);
}

// A stream has ended. Whoever gave up has said why, unless the line itself is gone. False: nothing was said.
static bool hear(link_state *s, tw_status *status) {
  if (s->asked) return false;
  s->asked = true;
  return hear_last_words(s, s->pairs[0].out, tw_clock_ns() + patience_ns, status);
}

static tw_status broken(const pair *p) {
  const char *reason = *tw_tls_reason(p->in) ? tw_tls_reason(p->in) : tw_tls_reason(p->out);
  int party = p->link->channel.party;
  return tw_fail(TW_ERR_PEER, "party %d: the line to party %d broke: %s; look at the log of party %d", party, 1 - party,
                 reason, 1 - party);
}

// ---- the streams

static ptrdiff_t pair_send(void *state, const void *data, size_t bytes) {
  return tw_tls_send(((pair *)state)->out, data, bytes);
}
static ptrdiff_t pair_receive(void *state, void *data, size_t bytes) {
  return tw_tls_receive(((pair *)state)->in, data, bytes);
}
static tw_status first_failure(void *state) {
  pair *p = state;
  char message[600];
  tw_status status = broken(p);
  snprintf(message, sizeof message, "%s", tw_error_message());
  return hear(p->link, &status) ? status : tw_fail(status, "%s", message);
}
// On another thread, so the caller's listens for last words.
static tw_status other_failure(void *state) {
  pair *p = state;
  if (!atomic_load(&p->link->interrupted)) atomic_store(&p->link->ended, true);
  return broken(p);
}

static void interrupt(void *state) {
  link_state *s = state;
  atomic_store(&s->interrupted, true);
  for (int i = 1; i < s->streams; i++) {
    tw_tls_interrupt(s->pairs[i].out);
    tw_tls_interrupt(s->pairs[i].in);
  }
}

// ---- the channel: the inner one's, with this one's patience

static tw_channel *inner(tw_channel *c) {
  tw_channel *i = ((link_state *)c->state)->inner;
  i->timeout_seconds = c->timeout_seconds;
  i->deadline_ns = c->deadline_ns;
  return i;
}

static tw_status tls_start(tw_channel *c, tw_exchange *x) {
  tw_channel *i = inner(c);
  return i->start(i, x);
}
static tw_status tls_wait(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  tw_channel *i = inner(c);
  char message[600];
  tw_status status = i->wait(i, x);
  if (status == TW_OK || !atomic_load(&s->ended)) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  return hear(s, &status) ? status : tw_fail(status, "%s", message);
}
static bool tls_arrived(tw_channel *c, tw_exchange *x) {
  tw_channel *i = inner(c);
  return i->arrived(i, x);
}
static tw_status tls_poll(tw_channel *c) {
  tw_channel *i = inner(c);
  return i->poll(i);
}

static void tls_close(tw_channel *c) {
  link_state *s = c->state;
  tw_tls *all[TW_MOST_CONNECTIONS];
  tw_channel_destroy(s->inner);
  for (int i = 0; i < TW_MOST_STREAMS; i++) {
    all[2 * i] = s->pairs[i].out;
    all[2 * i + 1] = s->pairs[i].in;
  }
  tw_tls_close(all, TW_MOST_CONNECTIONS);
  tw_tls_context_destroy(s->context);
  tw_free(s);
}

// ---- meeting

static uint64_t in_time(const link_state *s, double seconds) {
  uint64_t until = tw_clock_ns() + (uint64_t)(1e9 * seconds), deadline = s->channel.deadline_ns;
  return deadline && deadline < until ? deadline : until;
}

// A line relay, or a command, takes a connection before the other party is there, and ends it when that does not come.
static tw_status connect_by_detour(link_state *s, const tw_meeting *m, tw_tls **t) {
  uint64_t until_ns = in_time(s, m->wait_seconds);
  for (;;) {
    int fd;
    bool heard;
    TW_TRY(m->next(m->state, until_ns, &fd));
    tw_status status = tw_tls_open(s->context, fd, until_ns, t, &heard);
    if (status != TW_ERR_PEER || heard) return status;
    if (tw_clock_ns() + pause_ns >= until_ns)
      return tw_fail(TW_ERR_PEER, "party %d has not come in time to where this one waits for it (--wait-limit)",
                     1 - s->channel.party);
    nanosleep(&(struct timespec){0, (long)pause_ns}, NULL);
  }
}

// Before the streams are there connection 0 is free both ways: an end that gives up says why on it.
static tw_status other_end_left(link_state *s, uint64_t patience) {
  tw_status status = TW_OK;
  tw_tls *t = *place_of(s, 0);
  if (hear_last_words(s, t, tw_clock_ns() + patience, &status) || !*tw_tls_reason(t)) return status;
  return tw_fail(TW_ERR_PEER, "party %d left before all connections were there: %s; look at the log of party %d",
                 1 - s->channel.party, tw_tls_reason(t), 1 - s->channel.party);
}

// Who listens for a further connection looks now and then whether the other end is still there.
static tw_status next_of(link_state *s, const tw_meeting *m, int k, int *fd) {
  static const uint64_t look_ns = 100000000;
  uint64_t until_ns = in_time(s, k ? s->channel.timeout_seconds : m->wait_seconds);
  if (k == 0 || !m->answers || m->detour) return m->next(m->state, until_ns, fd);
  for (;;) {
    uint64_t soon_ns = tw_clock_ns() + look_ns;
    tw_status status = m->next(m->state, soon_ns < until_ns ? soon_ns : until_ns, fd);
    if (status != TW_ERR_PEER) return status;
    if (soon_ns >= until_ns)
      return tw_fail(TW_ERR_PEER, "connection %d of party %d has not come: silence for %g s", k, 1 - s->channel.party,
                     s->channel.timeout_seconds);
    TW_TRY(other_end_left(s, 0));
  }
}

static tw_status connect_one(link_state *s, const tw_meeting *m, int k) {
  int fd;
  double silence = s->channel.timeout_seconds;
  tw_tls **t = place_of(s, k);
  if (k == 0 && m->detour) {
    TW_TRY(connect_by_detour(s, m, t));
  } else {
    TW_TRY(next_of(s, m, k, &fd));
    TW_TRY(tw_tls_open(s->context, fd, in_time(s, silence), t, NULL));
  }
  if (k == 0) return tw_hello_meet(&s->hello, *t, in_time(s, silence));
  return tw_hello_line(&s->hello, k, *t, in_time(s, silence));
}

static tw_status open_streams(link_state *s) {
  tw_channel *parts[TW_MOST_STREAMS] = {0};
  for (int i = 0; i < s->streams; i++) {
    pair *p = &s->pairs[i];
    p->link = s;
    tw_stream stream = {
        .send = pair_send, .receive = pair_receive, .state = p, .failure = i ? other_failure : first_failure};
    tw_status status = tw_channel_stream(&stream, s->channel.party, s->channel.timeout_seconds, &parts[i]);
    if (status == TW_OK) continue;
    while (i-- > 0) tw_channel_destroy(parts[i]);
    return status;
  }
  if (s->streams > 1) return tw_channel_striped(parts, s->streams, interrupt, s, &s->inner);
  s->inner = parts[0];
  return TW_OK;
}

// Each end knows why: this one's reason, or the other's.
static tw_status give_up(link_state *s, tw_status status) {
  static const uint64_t moment_ns = 200000000;
  char message[600];
  snprintf(message, sizeof message, "%s", tw_error_message());
  if (status == TW_ERR_PEER && hear_last_words(s, *place_of(s, 0), tw_clock_ns() + moment_ns, &status)) return status;
  if (!s->heard) say_last_words(*place_of(s, 0), status, message);
  return tw_fail(status, "%s", message);
}

static tw_status meet(link_state *s, const tw_meeting *m) {
  TW_TRY(tw_tls_context_create(&m->who, m->answers, m->rekey_bytes, &s->context));
  tw_hello_begin(&s->hello, &m->lines, s->channel.party, m->answers);
  TW_TRY(connect_one(s, m, 0));
  for (int k = 1; k < 2 * s->streams; k++) {
    tw_status status = connect_one(s, m, k);
    if (status != TW_OK) return give_up(s, status);
  }
  return open_streams(s);
}

tw_status tw_channel_tls(const tw_meeting *m, int party, double timeout_seconds, uint64_t deadline_ns,
                         tw_channel **out) {
  link_state *s;
  *out = NULL;
  if (party != 0 && party != 1) return tw_fail(TW_ERR_USAGE, "party %d: there are parties 0 and 1", party);
  if (m->lines.streams < 1 || m->lines.streams > TW_MOST_STREAMS)
    return tw_fail(TW_ERR_USAGE, "%u streams: there are 1 to %d", m->lines.streams, TW_MOST_STREAMS);
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->streams = (int)m->lines.streams;
  s->channel = (tw_channel){.party = party,
                            .name = "tls",
                            .timeout_seconds = timeout_seconds,
                            .deadline_ns = deadline_ns,
                            .start = tls_start,
                            .wait = tls_wait,
                            .arrived = tls_arrived,
                            .poll = tls_poll,
                            .tell = tls_tell,
                            .close = tls_close,
                            .state = s};
  tw_status status = meet(s, m);
  if (status == TW_OK)
    *out = &s->channel;
  else
    tls_close(&s->channel);
  return status;
}
