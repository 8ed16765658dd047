#include "jobs/program/halves.h"

#include "base/clock.h"

typedef struct {
  tw_session *session;
  bool done, waiting;  // waiting: its last level's openings are queued, or in `message`
  bool queued;
  bool in_flight;  // nobody has waited for `message` yet
  uint64_t message, rounds;
} half;

typedef struct {
  half halves[TW_HALVES];
  int count;
  size_t coalesce;
  tw_open_counters *counters;
  unsigned turn;  // whose preparation goes on in the next wait
} race;

static tw_opener *opener_of(race *r) { return &r->halves[0].session->opener; }

static tw_status send(race *r, tw_flush_reason reason) {
  uint64_t message;
  tw_opener *o = opener_of(r);
  TW_TRY(o->start(o->state, reason, &message));
  for (int i = 0; i < r->count; i++) {
    if (!r->halves[i].queued) continue;
    r->halves[i].queued = false;
    r->halves[i].in_flight = true;
    r->halves[i].message = message;
  }
  uint64_t *count = reason == TW_FLUSH_BUDGET ? &r->counters->open_flushes_budget : &r->counters->open_flushes_demand;
  ++*count;
  return TW_OK;
}

static bool enough_is_queued(race *r) {
  size_t words, jobs;
  tw_opener *o = opener_of(r);
  if (r->count == 1) return false;
  o->queued(o->state, &words, &jobs);
  return jobs > 0 && r->coalesce && words >= r->coalesce;
}

// The halves that share a message have it at the same time, whoever waited for it.
static void note_arrival(race *r, uint64_t message) {
  for (int i = 0; i < r->count; i++)
    if (r->halves[i].message == message) r->halves[i].in_flight = false;
}

// Has it come, or does it within microseconds? Then nothing is begun that it would have to wait for.
static bool near(race *r, uint64_t message) {
  enum { NEAR_NS = 50000 };
  tw_opener *o = opener_of(r);
  uint64_t begin = tw_clock_ns();
  while (!o->arrived(o->state, message))
    if (tw_clock_ns() - begin > NEAR_NS) return false;
  return true;
}

// Both halves' preparation goes on evenly while a message is awaited.
static tw_status use_wait(race *r, uint64_t message) {
  tw_opener *o = opener_of(r);
  bool any = false;
  for (int i = 0; i < r->count; i++) any = any || r->halves[i].session->preparer.idle;
  if (!any || !o->arrived || near(r, message)) return TW_OK;
  for (int left = r->count; left > 0 && !o->arrived(o->state, message);) {
    tw_session *s = r->halves[r->turn++ % (unsigned)r->count].session;
    bool more = false;
    if (s->preparer.idle) TW_TRY(s->preparer.idle(s->preparer.state, &more));
    left = more ? r->count : left - 1;
  }
  return TW_OK;
}

static tw_status receive(race *r, half *l) {
  tw_opener *o = opener_of(r);
  if (l->session->observers.mark) TW_TRY(l->session->observers.mark(l->session->observers.mark_state, -1));
  if (l->queued) TW_TRY(send(r, TW_FLUSH_DEMAND));
  TW_TRY(use_wait(r, l->message));
  TW_TRY(o->finish(o->state, l->session->place.half, l->message));
  note_arrival(r, l->message);
  tw_session_opened(l->session);
  l->waiting = false;
  l->rounds++;
  return TW_OK;
}

static bool in_flight(const race *r) {
  for (int i = 0; i < r->count; i++)
    if (r->halves[i].in_flight) return true;
  return false;
}

static tw_status advance(race *r, half *l) {
  if (l->waiting) TW_TRY(receive(r, l));
  bool gates = l->session->walk.next_op < l->session->program->op_count;  // the step after a last opening has none
  if (gates && in_flight(r)) r->counters->flushes_overlapped++;
  uint64_t begin = tw_clock_ns();
  TW_TRY(tw_session_level(l->session, &l->done));
  r->counters->gate_ns += tw_clock_ns() - begin;
  l->waiting = l->queued = l->session->walk.opening;
  return enough_is_queued(r) ? send(r, TW_FLUSH_BUDGET) : TW_OK;
}

static double fraction_done(const race *r) {
  double sum = 0;
  for (int i = 0; i < r->count; i++)
    sum += (double)r->halves[i].session->walk.next_op / r->halves[i].session->program->op_count;
  return sum / r->count;
}

tw_status tw_halves_run(tw_session *const *halves, int count, size_t coalesce, tw_open_counters *counters,
                        void (*progress)(void *state, double fraction), void *progress_state) {
  race r = {.count = count, .coalesce = coalesce, .counters = counters};
  if (count < 1 || count > TW_HALVES) return tw_fail(TW_ERR_INTERNAL, "a run of %d halves", count);
  for (int i = 0; i < count; i++) r.halves[i].session = halves[i];
  for (bool running = true; running;) {
    running = false;
    for (int i = 0; i < count; i++) {
      if (r.halves[i].done) continue;
      TW_TRY(advance(&r, &r.halves[i]));
      running = running || !r.halves[i].done;
    }
    if (progress) progress(progress_state, fraction_done(&r));
  }
  for (int i = 0; i < count; i++) {
    const tw_chain_counts *chained = &halves[i]->chained;
    uint64_t rounds = r.halves[i].rounds + chained->rounds;
    if (rounds > counters->rounds) counters->rounds = rounds;
    if (chained->rounds > counters->chain_rounds) counters->chain_rounds = chained->rounds;
    counters->chains += chained->chains;
  }
  return TW_OK;
}
