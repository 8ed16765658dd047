#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/channels.h"

enum { IN_FLIGHT = 64, CLOCK_TRIES = 200 };

// One exchange: the data, and before it the time of sending.
typedef struct {
  uint64_t mine, theirs;  // times of sending
  tw_exchange stamp, data;
  uint64_t due;  // the other's message arrives, in this party's clock
  bool active;
} flight;

typedef struct {
  tw_channel channel;
  tw_channel *inner;
  tw_link_profile profile;
  int64_t clock_offset;                // the other party's clock less this one's
  uint64_t started, stamped, free_at;  // exchanges; those whose due time is known; when the link is free again
  flight flights[IN_FLIGHT];
  char name[64];
} link_state;

// After a failure: as long as the inner channel may touch the caller's buffers, so may this one.
static tw_status failed(tw_exchange *x, flight *f, tw_status status) {
  x->handle = f->data.handle ? f : NULL;
  return status;
}

static tw_status link_start(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = &s->flights[s->started % IN_FLIGHT];
  x->handle = NULL;
  if (f->active)
    return tw_fail(TW_ERR_INTERNAL, "party %d: more than %d exchanges over an emulated link", c->party, IN_FLIGHT);
  *f = (flight){.mine = tw_clock_ns(), .active = true};
  f->stamp = (tw_exchange){.send = &f->mine, .recv = &f->theirs, .bytes = sizeof f->mine};
  f->data = (tw_exchange){.send = x->send, .recv = x->recv, .bytes = x->bytes, .stream = x->stream};
  tw_status status = s->inner->start(s->inner, &f->stamp);
  if (status == TW_OK) status = s->inner->start(s->inner, &f->data);
  if (status != TW_OK) return failed(x, f, status);
  x->number = s->started++;
  x->handle = f;
  return TW_OK;
}

// What has come was sent before, as far as the clocks agree.
static tw_status check_stamp(const tw_channel *inner, uint64_t sent) {
  double ahead = 1e-9 * ((double)sent - (double)tw_clock_ns());
  if (ahead <= inner->timeout_seconds) return TW_OK;
  return tw_fail(TW_ERR_PEER, "party %d: party %d's message says that it was sent %g s from now", inner->party,
                 1 - inner->party, ahead);
}

// Due times follow from one another, in order of sending.
static tw_status read_stamp(link_state *s) {
  flight *f = &s->flights[s->stamped % IN_FLIGHT];
  TW_TRY(s->inner->wait(s->inner, &f->stamp));
  uint64_t sent = f->theirs - (uint64_t)s->clock_offset;
  TW_TRY(check_stamp(s->inner, sent));
  double on_link = s->profile.bytes_per_second > 0 ? (double)f->data.bytes / s->profile.bytes_per_second : 0;
  if (sent > s->free_at) s->free_at = sent;
  s->free_at += (uint64_t)(1e9 * on_link);
  f->due = s->free_at + (uint64_t)(1e9 * s->profile.latency_seconds);
  s->stamped++;
  return TW_OK;
}

static void wait_until(uint64_t due) {
  const uint64_t near = 200000;
  for (uint64_t now; (now = tw_clock_ns()) < due;) {
    if (due - now <= near) {
      sched_yield();
      continue;
    }
    uint64_t nap = due - now - near;
    nanosleep(&(struct timespec){(time_t)(nap / 1000000000), (long)(nap % 1000000000)}, NULL);
  }
}

static tw_status link_wait(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  if (!f) return tw_fail(TW_ERR_INTERNAL, "party %d: waiting for an exchange that was not started", c->party);
  tw_status status = TW_OK;
  while (status == TW_OK && s->stamped <= x->number) status = read_stamp(s);
  if (status == TW_OK) status = s->inner->wait(s->inner, &f->data);
  if (status != TW_OK) return failed(x, f, status);
  wait_until(f->due);
  f->active = false;
  x->handle = NULL;
  return TW_OK;
}

static bool link_arrived(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  while (f && s->stamped <= x->number) {
    if (!s->inner->arrived(s->inner, &s->flights[s->stamped % IN_FLIGHT].stamp)) return false;
    if (read_stamp(s) != TW_OK) return true;  // the inner channel is broken, and says so again
  }
  return !f || (s->inner->arrived(s->inner, &f->data) && tw_clock_ns() >= f->due);
}

static tw_status link_poll(tw_channel *c) {
  link_state *s = c->state;
  return s->inner->poll ? s->inner->poll(s->inner) : TW_OK;
}

// The inner channel may still write into flights that a failure left behind: they stay; the process is about to end
// then.
static void link_close(tw_channel *c) {
  link_state *s = c->state;
  for (int i = 0; i < IN_FLIGHT; i++)
    if (s->flights[i].stamp.handle || s->flights[i].data.handle) return;
  tw_free(s);
}

static tw_status compare_profiles(const link_state *s) {
  tw_link_profile theirs;
  TW_TRY(tw_channel_exchange(s->inner, &s->profile, &theirs, sizeof theirs));
  if (memcmp(&theirs, &s->profile, sizeof theirs) == 0) return TW_OK;
  return tw_fail(
      TW_ERR_MISMATCH,
      "party %d emulates a link of %g us and %g bytes/s, party %d one of %g us and %g bytes/s; give both parties "
      "the same --link-latency and --link-rate",
      s->inner->party, 1e6 * s->profile.latency_seconds, s->profile.bytes_per_second, 1 - s->inner->party,
      1e6 * theirs.latency_seconds, theirs.bytes_per_second);
}

// Each way the shortest of many passages, by the sender's clock and the receiver's, is delay plus or minus the clocks'
// difference; the delay is taken to be the same both ways.
static tw_status compare_clocks(link_state *s) {
  int64_t shortest = INT64_MAX, theirs;
  for (int i = 0; i < CLOCK_TRIES; i++) {
    uint64_t mine = tw_clock_ns(), sent;
    TW_TRY(tw_channel_exchange(s->inner, &mine, &sent, sizeof mine));
    int64_t passage = (int64_t)(tw_clock_ns() - sent);
    if (passage < shortest) shortest = passage;
  }
  TW_TRY(tw_channel_exchange(s->inner, &shortest, &theirs, sizeof shortest));
  s->clock_offset = (int64_t)((uint64_t)theirs - (uint64_t)shortest) / 2;
  return TW_OK;
}

tw_status tw_channel_link(tw_channel *inner, const tw_link_profile *profile, tw_channel **out) {
  link_state *s;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->inner = inner;
  s->profile = *profile;
  tw_status status = compare_profiles(s);
  if (status == TW_OK) status = compare_clocks(s);
  if (status != TW_OK) {
    tw_free(s);
    return status;
  }
  if (profile->bytes_per_second > 0)
    snprintf(s->name, sizeof s->name, "%s, link of %g us, %g Gbit/s", inner->name, 1e6 * profile->latency_seconds,
             8e-9 * profile->bytes_per_second);
  else
    snprintf(s->name, sizeof s->name, "%s, link of %g us", inner->name, 1e6 * profile->latency_seconds);
  s->channel = (tw_channel){.party = inner->party,
                            .name = s->name,
                            .timeout_seconds = inner->timeout_seconds,
                            .deadline_ns = inner->deadline_ns,
                            .start = link_start,
                            .wait = link_wait,
                            .arrived = link_arrived,
                            .poll = link_poll,
                            .close = link_close,
                            .state = s};
  *out = &s->channel;
  return TW_OK;
}
