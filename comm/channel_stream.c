#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "comm/channels.h"

enum { HEADER = 8, STAGE = 1 << 16 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lengths are little-endian");

// One exchange; both counts include the header.
typedef struct flight {
  struct flight *next;
  const uint8_t *send;
  uint8_t *recv;
  uint64_t bytes, theirs;  // lengths of the two messages; theirs: once the header is there
  uint64_t sent, received;
} flight;

typedef struct {
  tw_channel channel;
  tw_stream stream;
  flight *first, *last;         // in order of start, as long as they are not waited for
  flight *sending, *receiving;  // NULL: everything that was started has gone, or come
  uint64_t moved;               // when something last did
  uint64_t staged;              // bytes of `stage`: header and content of `sending`, so that they leave together
  bool broken, mute, deaf;      // mute, deaf: the stream takes, gives nothing any more
  uint8_t stage[STAGE];
} link_state;

// Where lengths differ both ends send and take what both have room for, so that a header may say why.
static uint64_t content(const flight *f) {
  return f->received >= HEADER && f->theirs < f->bytes ? f->theirs : f->bytes;
}
static bool all_sent(const flight *f) { return f->sent >= HEADER + content(f); }
static bool all_received(const flight *f) { return f->received >= HEADER && f->received == HEADER + content(f); }

// ---- moving bytes

// False: the stream takes no more just now.
static bool send_some(link_state *s) {
  flight *f = s->sending;
  if (f->sent == 0) {
    uint64_t fits = f->bytes < STAGE - HEADER ? f->bytes : STAGE - HEADER;
    memcpy(s->stage, &f->bytes, HEADER);
    if (fits) memcpy(s->stage + HEADER, f->send, fits);
    s->staged = HEADER + fits;
  }
  const uint8_t *from = f->sent < s->staged ? s->stage + f->sent : f->send + (f->sent - HEADER);
  uint64_t end = f->sent < s->staged ? s->staged : HEADER + content(f);
  ptrdiff_t went = s->stream.send(s->stream.state, from, (size_t)(end - f->sent));
  s->mute = went < 0 || (uint64_t)went > end - f->sent;
  if (s->mute || went == 0) return false;
  f->sent += (uint64_t)went;
  if (all_sent(f)) s->sending = f->next;
  return true;
}

static bool receive_some(link_state *s) {
  flight *f = s->receiving;
  bool header = f->received < HEADER;
  uint8_t *to = header ? (uint8_t *)&f->theirs + f->received : f->recv + (f->received - HEADER);
  uint64_t end = header ? HEADER : HEADER + content(f);
  ptrdiff_t came = s->stream.receive(s->stream.state, to, (size_t)(end - f->received));
  s->deaf = came < 0 || (uint64_t)came > end - f->received;
  if (s->deaf || came == 0) return false;
  f->received += (uint64_t)came;
  if (s->sending == f && all_sent(f)) s->sending = f->next;  // less is wanted than was to go
  if (all_received(f)) s->receiving = f->next;
  return true;
}

// As far as it goes without waiting. What has come counts although nothing can be sent any more.
static void advance(link_state *s) {
  for (bool moving = !s->broken; moving;) {
    moving = s->receiving && !s->deaf && receive_some(s);
    if (s->sending && !s->mute && send_some(s)) moving = true;
    if (moving) s->moved = tw_clock_ns();
  }
}

// ---- the channel

static tw_status failed(link_state *s, tw_exchange *x, tw_status status) {
  s->broken = true;
  x->handle = NULL;
  return status;
}

static tw_status earlier_failure(const tw_channel *c) {
  return tw_fail(TW_ERR_PEER, "party %d: no further exchange: an earlier one with party %d failed", c->party,
                 1 - c->party);
}

static tw_status stream_start(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f;
  x->handle = NULL;
  if (s->broken) return earlier_failure(c);
  TW_TRY(tw_alloc(sizeof *f, (void **)&f));
  *f = (flight){.send = x->send, .recv = x->recv, .bytes = x->bytes};
  if (s->last)
    s->last->next = f;
  else
    s->first = f;
  s->last = f;
  if (!s->sending) s->sending = f;
  if (!s->receiving) s->receiving = f;
  x->handle = f;
  s->moved = tw_clock_ns();
  advance(s);
  return TW_OK;
}

static bool complete(const flight *f) { return all_sent(f) && all_received(f); }

static bool stream_arrived(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  advance(s);
  return !x->handle || s->broken || s->mute || s->deaf || complete(x->handle);
}

static tw_status stream_poll(tw_channel *c) {
  link_state *s = c->state;
  advance(s);
  return TW_OK;
}

static void forget(link_state *s, flight *f) {
  flight **at = &s->first, *before = NULL;
  for (; *at != f; at = &(*at)->next) before = *at;
  *at = f->next;
  if (s->last == f) s->last = before;
  tw_free(f);
}

// Waits for a moment, longer the longer nothing has moved: both parties may share few cores.
static void idle(uint64_t idle_ns) {
  if (idle_ns < 50000) return;
  if (idle_ns < 250000000)
    sched_yield();
  else
    nanosleep(&(struct timespec){0, 50000}, NULL);
}

static tw_status keep_waiting(const tw_channel *c, const link_state *s, const flight *f) {
  double idle_seconds = 1e-9 * (double)(tw_clock_ns() - s->moved);
  TW_TRY(tw_channel_in_time(c));
  if ((s->mute || s->deaf) && s->stream.failure) return s->stream.failure(s->stream.state);
  if (s->mute || s->deaf)
    return tw_fail(TW_ERR_PEER, "party %d: the connection to party %d has ended; look at the log of party %d", c->party,
                   1 - c->party, 1 - c->party);
  if (idle_seconds <= c->timeout_seconds) return TW_OK;
  return tw_fail(
      TW_ERR_PEER,
      "party %d: nothing moved for %g s in an exchange of %llu bytes with party %d; look at the log of party "
      "%d, or raise the limit of silence if it is only slow",
      c->party, c->timeout_seconds, (unsigned long long)f->bytes, 1 - c->party, 1 - c->party);
}

static tw_status stream_wait(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  if (!f) return tw_fail(TW_ERR_INTERNAL, "party %d: waiting for an exchange that was not started", c->party);
  if (s->broken) return failed(s, x, earlier_failure(c));
  s->moved = tw_clock_ns();
  for (;;) {
    advance(s);
    if (complete(f)) break;
    tw_status status = keep_waiting(c, s, f);
    if (status != TW_OK) return failed(s, x, status);
    idle(tw_clock_ns() - s->moved);
  }
  if (f->theirs != f->bytes)
    return failed(
        s, x,
        tw_fail(TW_ERR_PEER,
                "party %d: expected a message of %llu bytes, party %d sent one of %llu; both parties must run "
                "the same plan and the same version of twain",
                c->party, (unsigned long long)f->bytes, 1 - c->party, (unsigned long long)f->theirs));
  forget(s, f);
  x->handle = NULL;
  return TW_OK;
}

static void stream_close(tw_channel *c) {
  link_state *s = c->state;
  for (flight *f = s->first, *next; f; f = next) {
    next = f->next;
    tw_free(f);
  }
  tw_wipe(s->stage, sizeof s->stage);
  tw_free(s);
}

tw_status tw_channel_stream(const tw_stream *stream, int party, double timeout_seconds, tw_channel **out) {
  link_state *s;
  *out = NULL;
  if (party != 0 && party != 1) return tw_fail(TW_ERR_USAGE, "party %d: there are parties 0 and 1", party);
  if (!(timeout_seconds > 0 && timeout_seconds <= 1e9))
    return tw_fail(TW_ERR_USAGE, "a timeout of %g s: give a number of seconds above 0, at most 1e9", timeout_seconds);
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->stream = *stream;
  s->channel = (tw_channel){.party = party,
                            .name = "stream",
                            .timeout_seconds = timeout_seconds,
                            .start = stream_start,
                            .wait = stream_wait,
                            .arrived = stream_arrived,
                            .poll = stream_poll,
                            .close = stream_close,
                            .state = s};
  *out = &s->channel;
  return TW_OK;
}
