#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/channels.h"

// Handing a part to another thread takes about as long as encrypting a hundred kilobytes: what is smaller goes whole.
enum { MOST_PARTS = 16, LEAST_STRIPED = 1 << 18, ALIGNMENT = 64 };
// For as long as it takes to wake a thread, one that has nothing to do looks for its next part before it sleeps.
static const uint64_t linger_ns = 50000;

// One exchange in parts, and how each of them went.
typedef struct flight {
  struct flight *next;  // of all that are not waited for
  tw_exchange part[MOST_PARTS];
  int first, end;  // its parts, each of the stream of that number; part 0 is the caller's thread's
  double timeout_seconds;
  uint64_t deadline_ns;
  struct {
    struct flight *next;  // in the queue of this part's thread
    tw_status status;
    char message[256];
    atomic_bool done;
  } by[MOST_PARTS];
} flight;

typedef struct {
  tw_channel *channel;
  pthread_t thread;
  bool running;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  flight *first, *last;
  atomic_bool called;  // there is a part, or the end has come
  bool end;
  int index;
} worker;

typedef struct {
  tw_channel channel;
  tw_channel *own;
  worker workers[MOST_PARTS];  // from 1 on
  int count;
  flight *flights;
  void (*interrupt)(void *state);
  void *state;
  bool broken;
} link_state;

// ---- a thread a part

static flight *take(worker *w) {
  uint64_t until_ns = tw_clock_ns() + linger_ns;
  while (!atomic_load_explicit(&w->called, memory_order_relaxed) && tw_clock_ns() < until_ns) sched_yield();
  pthread_mutex_lock(&w->lock);
  while (!w->first && !w->end) pthread_cond_wait(&w->changed, &w->lock);
  flight *f = w->first;
  if (f) w->first = f->by[w->index].next;
  if (!w->first) w->last = NULL;
  atomic_store_explicit(&w->called, w->first || w->end, memory_order_relaxed);
  pthread_mutex_unlock(&w->lock);
  return f;
}

static void *work(void *argument) {
  worker *w = argument;
  for (flight *f; (f = take(w)) != NULL;) {
    tw_exchange *x = &f->part[w->index];
    w->channel->timeout_seconds = f->timeout_seconds;
    w->channel->deadline_ns = f->deadline_ns;
    tw_status status = w->channel->start(w->channel, x);
    if (status == TW_OK) status = w->channel->wait(w->channel, x);
    f->by[w->index].status = status;
    if (status != TW_OK) snprintf(f->by[w->index].message, sizeof f->by[w->index].message, "%s", tw_error_message());
    atomic_store_explicit(&f->by[w->index].done, true, memory_order_release);
  }
  return NULL;
}

static void hand_over(worker *w, flight *f) {
  pthread_mutex_lock(&w->lock);
  if (w->last)
    w->last->by[w->index].next = f;
  else
    w->first = f;
  w->last = f;
  atomic_store_explicit(&w->called, true, memory_order_relaxed);
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

// ---- the channel

static void adopt(link_state *s) {
  s->own->timeout_seconds = s->channel.timeout_seconds;
  s->own->deadline_ns = s->channel.deadline_ns;
}

static void divide(const link_state *s, const tw_exchange *x, flight *f) {
  bool split = x->stream == 0 && x->bytes >= LEAST_STRIPED;
  size_t each = (x->bytes / (size_t)s->count + ALIGNMENT) / ALIGNMENT * ALIGNMENT, at = 0;
  f->first = x->stream ? (x->stream - 1) % s->count : 0;
  f->end = split ? s->count : f->first + 1;
  f->timeout_seconds = s->channel.timeout_seconds;
  f->deadline_ns = s->channel.deadline_ns;
  for (int i = f->first; i < f->end; i++) {
    size_t bytes = i + 1 < f->end ? each : x->bytes - at;
    f->part[i] = (tw_exchange){.send = (const char *)x->send + at, .recv = (char *)x->recv + at, .bytes = bytes};
    at += bytes;
  }
}

static int first_other(const flight *f) { return f->first ? f->first : 1; }

static bool others_done(flight *f) {
  for (int i = first_other(f); i < f->end; i++)
    if (!atomic_load_explicit(&f->by[i].done, memory_order_acquire)) return false;
  return true;
}

// Each thread gives up by itself when nothing comes, so this ends.
static void await_others(link_state *s, flight *f) {
  while (!others_done(f)) {
    sched_yield();
    if (s->own->poll) (void)s->own->poll(s->own);
  }
}

static void give_up(link_state *s) {
  if (s->broken) return;
  s->broken = true;
  s->interrupt(s->state);
}

static void forget(link_state *s, flight *f) {
  flight **at = &s->flights;
  while (*at != f) at = &(*at)->next;
  *at = f->next;
  tw_free(f);
}

// Nobody touches the caller's memory any more when this returns.
static tw_status fail_start(link_state *s, flight *f, tw_status status) {
  char message[512];
  snprintf(message, sizeof message, "%s", tw_error_message());
  give_up(s);
  await_others(s, f);
  forget(s, f);
  return tw_fail(status, "%s", message);
}

static tw_status striped_start(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f;
  x->handle = NULL;
  if (s->broken)
    return tw_fail(TW_ERR_PEER, "party %d: no further exchange: an earlier one with party %d failed", c->party,
                   1 - c->party);
  adopt(s);
  TW_TRY(tw_alloc(sizeof *f, (void **)&f));
  divide(s, x, f);
  f->next = s->flights;
  s->flights = f;
  // The caller's own part last: starting it means to send as much of it as goes.
  for (int i = first_other(f); i < f->end; i++) hand_over(&s->workers[i], f);
  tw_status status = f->first ? TW_OK : s->own->start(s->own, &f->part[0]);
  if (status != TW_OK) return fail_start(s, f, status);
  x->handle = f;
  return TW_OK;
}

static bool striped_arrived(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  adopt(s);
  return !f || s->broken || ((f->first || s->own->arrived(s->own, &f->part[0])) && others_done(f));
}

static tw_status striped_poll(tw_channel *c) {
  link_state *s = c->state;
  adopt(s);
  return s->own->poll ? s->own->poll(s->own) : TW_OK;
}

static tw_status striped_wait(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  if (!f) return tw_fail(TW_ERR_INTERNAL, "party %d: waiting for an exchange that was not started", c->party);
  adopt(s);
  if (s->broken) s->own->timeout_seconds = 0;  // what is there is taken, and nothing waited for
  tw_status status = f->first ? TW_OK : s->own->wait(s->own, &f->part[0]);
  if (status != TW_OK) give_up(s);
  await_others(s, f);
  for (int i = first_other(f); i < f->end && status == TW_OK; i++)
    if (f->by[i].status != TW_OK) status = tw_fail(f->by[i].status, "%s", f->by[i].message);
  if (status != TW_OK) give_up(s);
  x->handle = NULL;
  forget(s, f);
  return status;
}

static void stop(worker *w) {
  if (!w->running) return;
  pthread_mutex_lock(&w->lock);
  w->end = true;
  atomic_store_explicit(&w->called, true, memory_order_relaxed);
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
}

static void striped_close(tw_channel *c) {
  link_state *s = c->state;
  for (flight *f = s->flights; f; f = f->next)
    if (!others_done(f)) give_up(s);
  for (int i = 1; i < s->count; i++) {
    stop(&s->workers[i]);
    tw_channel_destroy(s->workers[i].channel);
  }
  tw_channel_destroy(s->own);
  for (flight *f = s->flights, *next; f; f = next) {
    next = f->next;
    tw_free(f);
  }
  tw_free(s);
}

static tw_status begin(worker *w, tw_channel *channel, int index) {
  w->channel = channel;
  w->index = index;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, NULL);
  w->running = pthread_create(&w->thread, NULL, work, w) == 0;
  return w->running ? TW_OK : tw_fail(TW_ERR_MEMORY, "no thread for stream %d could be started", index);
}

tw_status tw_channel_striped(tw_channel *parts[], int count, void (*interrupt)(void *state), void *state,
                             tw_channel **out) {
  link_state *s = NULL;
  *out = NULL;
  tw_status status = count > MOST_PARTS ? tw_fail(TW_ERR_INTERNAL, "%d streams", count) : TW_OK;
  if (status == TW_OK) status = tw_alloc(sizeof *s, (void **)&s);
  if (status != TW_OK) {
    for (int i = 0; i < count; i++) tw_channel_destroy(parts[i]);
    return status;
  }
  s->own = parts[0];
  s->count = count;
  s->interrupt = interrupt;
  s->state = state;
  s->channel = (tw_channel){.party = parts[0]->party,
                            .name = "striped",
                            .timeout_seconds = parts[0]->timeout_seconds,
                            .start = striped_start,
                            .wait = striped_wait,
                            .arrived = striped_arrived,
                            .poll = striped_poll,
                            .close = striped_close,
                            .state = s};
  for (int i = 1; i < count; i++) {
    tw_status begun = status == TW_OK ? begin(&s->workers[i], parts[i], i) : status;
    s->workers[i].channel = parts[i];
    status = begun;
  }
  if (status == TW_OK)
    *out = &s->channel;
  else
    striped_close(&s->channel);
  return status;
}
