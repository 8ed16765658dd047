#include "jobs/engine/engine_trace.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/device.h"

// A moment: of the clock, or a timer on a stream.
typedef struct {
  uint64_t ns;
  void *timer;
} moment;

typedef struct {
  int half, step;
  int from, to;  // moments
} message;

// A part's openings: queued since the last message, or on their way.
typedef struct {
  bool queued, under_way;
  int step, sent;  // sent: moment
} opening;

// Of a part's gates, or of their preparation.
typedef struct {
  tw_engine_trace *trace;
  tw_trace_track track;
  int half;
} marker;

// What is being computed.
typedef struct {
  int half, step;  // step -1: nothing
  uint64_t begun;
} stretch;

struct tw_engine_trace {
  const tw_program *program;
  tw_trace *spans;
  void *streams[TW_HALVES];
  bool device;
  tw_opener opener;
  marker gates[TW_HALVES], preparation;
  opening openings[TW_HALVES];
  int last_track;    // that queued an opening
  int *step_of_use;  // of openings
  moment *moments;
  message *messages;
  int moment_count, moment_room, message_count, message_room;
  void *origin;
  // CPU
  stretch stretches[TW_TRACE_TRACKS];  // of gates, and of preparation
  tw_key_source keys;
  int first_of_second_part;
};

static tw_status allocate(tw_engine_trace *t, size_t room, size_t messages) {
  const tw_program *p = t->program;
  void *memory;
  t->message_room = (int)messages;
  t->moment_room = 2 * t->message_room;
  TW_TRY(tw_alloc(sizeof(message) * (size_t)t->message_room, &memory));
  t->messages = memory;
  TW_TRY(tw_alloc(sizeof(moment) * (size_t)t->moment_room, &memory));
  t->moments = memory;
  TW_TRY(tw_alloc(sizeof(int) * (p->use_count + 1), &memory));
  t->step_of_use = memory;
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].opens) t->step_of_use[p->ops[i].mask_use] = p->ops[i].step;
#ifdef TWAIN_CUDA
  if (t->device) TW_TRY(tw_device_timer_create(&t->origin));
#endif
  return tw_trace_create(room + (size_t)t->message_room, &t->spans);
}

tw_status tw_engine_trace_create(const tw_program *program, int parts, void *const *streams, size_t room,
                                 size_t messages, tw_engine_trace **out) {
  *out = NULL;
  tw_engine_trace *t = calloc(1, sizeof *t);
  if (!t) return tw_fail(TW_ERR_MEMORY, "out of memory for a trace");
  t->program = program;
  t->device = streams != NULL;
  for (int i = 0; i < parts && streams; i++) t->streams[i] = streams[i];
  for (int i = 0; i < TW_HALVES; i++) t->gates[i] = (marker){t, TW_TRACE_COMPUTE, i};
  t->preparation = (marker){t, TW_TRACE_PREPARE, -1};
  tw_status status = allocate(t, room, messages);
  if (status != TW_OK) {
    tw_engine_trace_destroy(t);
    return status;
  }
  *out = t;
  return TW_OK;
}

void tw_engine_trace_destroy(tw_engine_trace *t) {
  if (!t) return;
#ifdef TWAIN_CUDA
  for (int i = 0; t->moments && i < t->moment_room; i++) tw_device_event_destroy(t->moments[i].timer);
  tw_device_event_destroy(t->origin);
#endif
  tw_trace_destroy(t->spans);
  tw_free(t->moments);
  tw_free(t->messages);
  tw_free(t->step_of_use);
  free(t);
}

tw_trace *tw_engine_trace_spans(tw_engine_trace *t) { return t->spans; }
void *tw_engine_trace_origin(const tw_engine_trace *t) { return t->origin; }

// ---- moments

// *index: -1 when there is no room for it.
static tw_status take_moment(tw_engine_trace *t, int track, int *index) {
  *index = -1;
  if (t->moment_count == t->moment_room) return TW_OK;
  moment *m = &t->moments[t->moment_count];
#ifdef TWAIN_CUDA
  if (t->device) {
    if (!m->timer) TW_TRY(tw_device_timer_create(&m->timer));
    TW_TRY(tw_device_timer_record(m->timer, t->streams[track]));
  }
#else
  (void)track;
#endif
  if (!t->device) m->ns = tw_clock_ns();
  *index = t->moment_count++;
  return TW_OK;
}

static tw_status read_moment(const tw_engine_trace *t, int index, uint64_t *ns) {
  const moment *m = &t->moments[index];
  *ns = m->ns;
#ifdef TWAIN_CUDA
  double seconds;
  if (!t->device) return TW_OK;
  TW_TRY(tw_device_timer_between(t->origin, m->timer, &seconds));
  *ns = (uint64_t)(1e9 * seconds);
#endif
  return TW_OK;
}

tw_status tw_engine_trace_begin(tw_engine_trace *t) {
  t->moment_count = t->message_count = 0;
  for (int i = 0; i < TW_HALVES; i++) t->openings[i] = (opening){.step = -1};
  for (int i = 0; i < TW_TRACE_TRACKS; i++) t->stretches[i].step = -1;
#ifdef TWAIN_CUDA
  if (t->device) return tw_device_timer_record(t->origin, t->streams[0]);
#endif
  tw_trace_origin(t->spans, tw_clock_ns());
  return TW_OK;
}

// ---- gates and preparation, on the CPU: one span for a stretch of one step. One thread does it all, so a stretch
// ends where another begins; what is prepared while a gate waits for it lies within its stretch.

static void end_stretch(tw_engine_trace *t, tw_trace_track track, uint64_t now) {
  stretch *s = &t->stretches[track];
  if (s->step >= 0) tw_trace_add(t->spans, (tw_span){(int)track, s->half, s->step, s->begun, now});
  s->step = -1;
}

static tw_status mark(void *state, int step) {
  const marker *m = state;
  stretch *s = &m->trace->stretches[m->track];
  if (step >= 0 && step == s->step && m->half == s->half) return TW_OK;
  uint64_t now = tw_clock_ns();
  end_stretch(m->trace, m->track, now);
  *s = (stretch){m->half, step, now};
  return TW_OK;
}

tw_observers tw_engine_trace_observers(tw_engine_trace *t, int part) {
  return (tw_observers){.mark = mark, .mark_state = &t->gates[part]};
}

void tw_engine_trace_preparation(tw_engine_trace *t, tw_preparation *a) {
  a->mark = mark;
  a->mark_state = &t->preparation;
}

tw_status tw_engine_trace_end(tw_engine_trace *t) {
  if (!t->device) end_stretch(t, TW_TRACE_COMPUTE, tw_clock_ns());
  for (int i = 0; i < t->message_count; i++) {
    const message *m = &t->messages[i];
    tw_span span = {.track = TW_TRACE_OPEN, .half = m->half, .step = m->step};
    TW_TRY(read_moment(t, m->from, &span.begin_ns));
    TW_TRY(read_moment(t, m->to, &span.end_ns));
    tw_trace_add(t->spans, span);
  }
  return TW_OK;
}

// ---- openings

static tw_status open_one(void *state, int track, const tw_open_request *request) {
  tw_engine_trace *t = state;
  opening *o = &t->openings[track];
  if (!o->queued) o->step = t->step_of_use[request->use];
  o->queued = true;
  t->last_track = track;
  return t->opener.open(t->opener.state, track, request);
}

static void queued(void *state, size_t *words, size_t *jobs) {
  const tw_engine_trace *t = state;
  t->opener.queued(t->opener.state, words, jobs);
}

static tw_status start(void *state, tw_flush_reason reason, uint64_t *number) {
  tw_engine_trace *t = state;
  int now;
  TW_TRY(take_moment(t, t->last_track, &now));
  for (int i = 0; i < TW_HALVES; i++) {
    opening *o = &t->openings[i];
    if (!o->queued) continue;
    o->queued = false;
    o->under_way = now >= 0;
    o->sent = now;
  }
  return t->opener.start(t->opener.state, reason, number);
}

static tw_status finish(void *state, int track, uint64_t number) {
  tw_engine_trace *t = state;
  opening *o = &t->openings[track];
  int now;
  TW_TRY(t->opener.finish(t->opener.state, track, number));
  if (!o->under_way) return TW_OK;
  TW_TRY(take_moment(t, track, &now));
  if (now >= 0 && t->message_count < t->message_room)
    t->messages[t->message_count++] = (message){track, o->step, o->sent, now};
  o->under_way = false;
  return TW_OK;
}

static tw_status poll(void *state) {
  tw_engine_trace *t = state;
  return t->opener.poll ? t->opener.poll(t->opener.state) : TW_OK;
}

static bool arrived(void *state, uint64_t number) {
  const tw_engine_trace *t = state;
  return !t->opener.arrived || t->opener.arrived(t->opener.state, number);
}

static tw_status add_digest(void *state, uint32_t index, uint64_t sum) {
  const tw_engine_trace *t = state;
  return t->opener.add_digest(t->opener.state, index, sum);
}

tw_opener tw_engine_trace_opener(tw_engine_trace *t, tw_opener opener) {
  t->opener = opener;
  return (tw_opener){open_one, queued, start, finish, t, poll, arrived, opener.add_digest ? add_digest : NULL};
}

// ---- keys, on the CPU; readers call it

static tw_status read_chunk(void *state, int b, uint64_t number, void *dst) {
  tw_engine_trace *t = state;
  uint64_t begin = tw_clock_ns();
  TW_TRY(t->keys.chunk(t->keys.state, b, number, dst));
  tw_trace_add(t->spans, (tw_span){TW_TRACE_KEYS, b >= t->first_of_second_part, -1, begin, tw_clock_ns()});
  return TW_OK;
}

tw_key_source tw_engine_trace_keys(tw_engine_trace *t, const tw_key_source *source, int first_of_second_part) {
  t->keys = *source;
  t->first_of_second_part = first_of_second_part;
  tw_key_source traced = *source;
  traced.state = t;
  traced.chunk = read_chunk;
  return traced;
}
