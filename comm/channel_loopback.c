#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/channels.h"

typedef struct message {
  struct message *next;
  uint64_t number;  // among the sender's
  size_t bytes;
  uint8_t content[];
} message;

// What both ends share. A start leaves a copy of its message in the other end's queue, so a sender's buffer is its own
// again at once and an end may go away at any time.
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  message *first[2], *last[2];  // queue towards end 0 and end 1
  bool closed[2];
} pair;

typedef struct {
  tw_channel channel;
  pair *shared;
  uint64_t started;  // exchanges
  bool broken;
} end;

static void push(pair *p, int to, message *m) {
  if (p->last[to])
    p->last[to]->next = m;
  else
    p->first[to] = m;
  p->last[to] = m;
  pthread_cond_broadcast(&p->changed);
}

// Message `number`, or NULL: it is not there yet.
static message *take(pair *p, int to, uint64_t number) {
  message *before = NULL, *m = p->first[to];
  for (; m && m->number != number; m = m->next) before = m;
  if (!m) return NULL;
  if (before)
    before->next = m->next;
  else
    p->first[to] = m->next;
  if (!m->next) p->last[to] = before;
  return m;
}

static tw_status broken_end(end *e, tw_status status) {
  e->broken = true;
  return status;
}

static tw_status loopback_start(tw_channel *c, tw_exchange *x) {
  end *e = c->state;
  pair *p = e->shared;
  x->handle = NULL;
  if (e->broken)
    return tw_fail(TW_ERR_PEER, "party %d: no further exchange: an earlier one with party %d failed", c->party,
                   1 - c->party);
  message *m = malloc(sizeof *m + x->bytes);
  if (!m)
    return broken_end(
        e, tw_fail(TW_ERR_MEMORY, "party %d: out of memory for a message of %zu bytes; use a smaller batch", c->party,
                   x->bytes));
  m->next = NULL;
  m->number = e->started++;
  m->bytes = x->bytes;
  if (x->bytes) memcpy(m->content, x->send, x->bytes);

  pthread_mutex_lock(&p->lock);
  bool gone = p->closed[1 - c->party];
  if (!gone) push(p, 1 - c->party, m);
  pthread_mutex_unlock(&p->lock);
  if (!gone) {
    x->number = e->started - 1;
    return TW_OK;
  }
  free(m);
  return broken_end(
      e, tw_fail(TW_ERR_PEER, "party %d: party %d has closed the channel: %zu bytes not sent; look for its error",
                 c->party, 1 - c->party, x->bytes));
}

static struct timespec deadline_after(double seconds) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  time_t whole = (time_t)seconds;
  t.tv_sec += whole;
  t.tv_nsec += (long)((seconds - (double)whole) * 1e9);
  if (t.tv_nsec >= 1000000000L) {
    t.tv_nsec -= 1000000000L;
    t.tv_sec++;
  }
  return t;
}

static tw_status loopback_wait(tw_channel *c, tw_exchange *x) {
  end *e = c->state;
  pair *p = e->shared;
  if (e->broken)
    return tw_fail(TW_ERR_PEER, "party %d: no exchange to wait for: an earlier one with party %d failed", c->party,
                   1 - c->party);
  tw_status in_time = tw_channel_in_time(c);
  if (in_time != TW_OK) return broken_end(e, in_time);
  struct timespec deadline = deadline_after(tw_channel_patience(c));
  pthread_mutex_lock(&p->lock);
  int rc = 0;
  message *m;
  while (!(m = take(p, c->party, x->number)) && !p->closed[1 - c->party] && rc != ETIMEDOUT)
    rc = pthread_cond_timedwait(&p->changed, &p->lock, &deadline);
  bool gone = p->closed[1 - c->party];
  pthread_mutex_unlock(&p->lock);

  if (!m && gone)
    return broken_end(
        e,
        tw_fail(TW_ERR_PEER, "party %d: party %d closed the channel, %zu bytes were still to come; look for its error",
                c->party, 1 - c->party, x->bytes));
  if (!m && (in_time = tw_channel_in_time(c)) != TW_OK) return broken_end(e, in_time);
  if (!m)
    return broken_end(e, tw_fail(TW_ERR_PEER,
                                 "party %d: waited %g s for %zu bytes from party %d; look at the log of party %d, "
                                 "or raise --silence-limit if it is only slow",
                                 c->party, c->timeout_seconds, x->bytes, 1 - c->party, 1 - c->party));
  size_t got = m->bytes;
  size_t common = got < x->bytes ? got : x->bytes;
  if (common) memcpy(x->recv, m->content, common);
  free(m);
  if (got == x->bytes) return TW_OK;
  return broken_end(e, tw_fail(TW_ERR_PEER,
                               "party %d: expected a message of %zu bytes, party %d sent one of %zu; "
                               "both parties must run the same plan and the same version of twain",
                               c->party, x->bytes, 1 - c->party, got));
}

static bool loopback_arrived(tw_channel *c, tw_exchange *x) {
  end *e = c->state;
  pair *p = e->shared;
  pthread_mutex_lock(&p->lock);
  bool there = e->broken || p->closed[1 - c->party];
  for (const message *m = p->first[c->party]; m; m = m->next) there = there || m->number == x->number;
  pthread_mutex_unlock(&p->lock);
  return there;
}

static void loopback_close(tw_channel *c) {
  end *e = c->state;
  pair *p = e->shared;
  pthread_mutex_lock(&p->lock);
  p->closed[c->party] = true;
  for (message *m; (m = p->first[c->party]);) free(take(p, c->party, m->number));
  bool last = p->closed[1 - c->party];
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
  tw_free(e);
  if (!last) return;
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  tw_free(p);
}

static tw_status pair_create(pair **out) {
  TW_TRY(tw_alloc(sizeof **out, (void **)out));
  tw_condition_init(&(*out)->changed);
  pthread_mutex_init(&(*out)->lock, NULL);
  return TW_OK;
}

tw_status tw_channel_loopback(double timeout_seconds, tw_channel *out[2]) {
  out[0] = out[1] = NULL;
  if (!(timeout_seconds > 0 && timeout_seconds <= 1e9))
    return tw_fail(TW_ERR_USAGE, "a timeout of %g s: give a number of seconds above 0, at most 1e9", timeout_seconds);
  pair *shared = NULL;
  end *ends[2] = {NULL, NULL};
  tw_status status = pair_create(&shared);
  for (int party = 0; party < 2 && status == TW_OK; party++) status = tw_alloc(sizeof **ends, (void **)&ends[party]);
  if (status != TW_OK) {
    tw_free(ends[0]);
    tw_free(ends[1]);
    tw_free(shared);
    return status;
  }
  for (int party = 0; party < 2; party++) {
    *ends[party] = (end){.channel = {.party = party,
                                     .name = "loopback",
                                     .timeout_seconds = timeout_seconds,
                                     .start = loopback_start,
                                     .wait = loopback_wait,
                                     .arrived = loopback_arrived,
                                     .close = loopback_close,
                                     .state = ends[party]},
                         .shared = shared};
    out[party] = &ends[party]->channel;
  }
  return TW_OK;
}
