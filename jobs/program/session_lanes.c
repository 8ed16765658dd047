// Small gates of one level on several streams: those that do not wait for each other run side by side.
#include <string.h>

#include "jobs/program/session_parts.h"

// Beyond these a level's gates fill a GPU one by one, take memory, or wait for many keys.
enum { MOST_GATES = TW_LANE_EVENTS - 1, MOST_WORDS = 1 << 17, MOST_KEYS = 4 << 20, START = TW_LANE_EVENTS - 1 };

// Times in launches of a small kernel: a gate with corrections that are expanded first, and what another stream waits.
static const double expanded = 1.5, handed_over = 0.5;

typedef struct {
  int lane;
  double end;
} gate_place;

typedef struct {
  int from, to;  // the level's gates
  gate_place at[MOST_GATES];
} level_lanes;

static bool is_small(const tw_session *s, int from, int to) {
  const tw_program *p = s->program;
  size_t words = 0;
  uint64_t keys = 0;
  for (int i = from; i < to; i++) {
    const tw_op *op = &p->ops[i];
    for (int j = 0; j < op->out_count; j++) words += (size_t)s->batch * tw_words_of(s, op->out[j]);
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      words += (size_t)s->batch * tw_correction_words(c);
      keys += (uint64_t)s->batch * c->bytes[s->party];
    }
  }
  return to - from <= MOST_GATES && words <= MOST_WORDS && keys <= MOST_KEYS;
}

// The gate of this level that makes one of the inputs; -1: it is there before.
static int maker_of(const tw_session *s, const level_lanes *l, int tensor) {
  int first = tw_t(s, tensor)->first_op;
  return first >= l->from && first < l->to ? first : -1;
}

// When the gate could begin on a lane that is free from `free` on.
static double start_on(const tw_session *s, const level_lanes *l, const tw_op *op, int lane, double free) {
  double start = lane > 0 && free == 0 ? handed_over : free;
  for (int j = 0; j < op->in_count; j++) {
    int maker = maker_of(s, l, op->in[j]);
    if (maker < 0) continue;
    const gate_place *m = &l->at[maker - l->from];
    double there = m->end + (m->lane == lane ? 0 : handed_over);
    if (there > start) start = there;
  }
  return start;
}

// Openings are only noted, and products may need memory that only the session's own stream has.
static bool stays(const tw_op *op) { return op->opens || op->gate->prepare; }

// A place for every gate, in their order; whether that is shorter than one after another.
static bool place_gates(const tw_session *s, level_lanes *l) {
  double free[TW_LANES] = {0}, serial = 0, longest = 0;
  for (int i = l->from; i < l->to; i++) {
    const tw_op *op = &s->program->ops[i];
    double cost = op->opens ? 0 : op->correction_count > 0 ? expanded : 1, best = 0;
    gate_place *at = &l->at[i - l->from];
    at->lane = -1;
    for (int lane = 0; lane < (stays(op) ? 1 : TW_LANES); lane++) {
      double start = start_on(s, l, op, lane, free[lane]);
      if (at->lane >= 0 && start >= best) continue;
      at->lane = lane;
      best = start;
    }
    serial += cost;
    at->end = free[at->lane] = best + cost;
  }
  for (int lane = 0; lane < TW_LANES; lane++) {
    double end = free[lane] + (lane > 0 && free[lane] > 0 ? handed_over : 0);
    if (end > longest) longest = end;
  }
  return longest + 1 <= serial;
}

static tw_status await_makers(tw_session *s, const level_lanes *l, const tw_op *op, int lane) {
  for (int j = 0; j < op->in_count; j++) {
    int maker = maker_of(s, l, op->in[j]);
    if (maker >= 0 && l->at[maker - l->from].lane != lane)
      TW_TRY(s->lanes->wait(s->lanes->state, maker - l->from, lane));
  }
  return TW_OK;
}

static tw_status run_on_lanes(tw_session *s, const level_lanes *l) {
  const tw_lanes *lanes = s->lanes;
  int last[TW_LANES] = {0};
  bool begun[TW_LANES] = {true};
  void *stream = s->stream;
  tw_status status = lanes->record(lanes->state, START, 0);
  for (int i = l->from; i < l->to && status == TW_OK; i++) {
    int lane = l->at[i - l->from].lane;
    if (!begun[lane]) status = lanes->wait(lanes->state, START, lane);
    begun[lane] = true;
    last[lane] = i - l->from;
    if (status == TW_OK) status = await_makers(s, l, &s->program->ops[i], lane);
    s->stream = lane ? lanes->stream[lane] : stream;
    if (status == TW_OK) status = tw_session_run_op(s, i);
    s->stream = stream;
    if (status == TW_OK) status = lanes->record(lanes->state, i - l->from, lane);
  }
  for (int lane = 1; lane < TW_LANES && status == TW_OK; lane++)
    if (begun[lane]) status = lanes->wait(lanes->state, last[lane], 0);
  return status;
}

static tw_status run_in_order(tw_session *s, int from, int to) {
  for (int i = from; i < to; i++) TW_TRY(tw_session_run_op(s, i));
  return TW_OK;
}

// Whether all keys of the gates are waited for now, by the session's own stream.
static tw_status reach_keys(tw_session *s, int from, int to, bool *there) {
  const tw_correction_reader *r = &s->corrections.source;
  size_t bytes = 0;
  *there = true;
  for (int i = from; i < to; i++)
    for (int j = 0; j < s->program->ops[i].correction_count; j++)
      bytes += s->program->corrections[s->program->ops[i].correction + j].bytes[s->party];
  return r->reach && bytes ? r->reach(r->state, bytes, there) : TW_OK;
}

tw_status tw_session_run_gates(tw_session *s, int from, int to) {
  level_lanes l = {.from = from, .to = to};
  if (!s->lanes || !is_small(s, from, to) || !place_gates(s, &l)) return run_in_order(s, from, to);
  bool there;
  TW_TRY(reach_keys(s, from, to, &there));
  s->keeps = true;  // memory is not given to another gate of the level, on whichever lanes they are
  tw_status status = there ? run_on_lanes(s, &l) : run_in_order(s, from, to);
  s->keeps = false;
  tw_session_release_scratch(s);
  for (int i = from; i < to; i++) tw_session_release_after(s, i);
  return status;
}
