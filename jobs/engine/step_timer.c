#include "jobs/engine/step_timer.h"

#ifdef TWAIN_CUDA
#include <nvtx3/nvToolsExt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "kernels/device.h"

struct tw_step_timer {
  const tw_program *program;
  void *stream;
  bool timed, in_range;
  void **timers;  // one a stretch of work, and the end
  int *steps;
  int count, room, current;
};

tw_status tw_step_timer_create(const tw_program *program, void *stream, bool timed, tw_step_timer **out) {
  tw_step_timer *t = calloc(1, sizeof *t);
  if (!t) return tw_fail(TW_ERR_MEMORY, "out of memory for timers");
  *t = (tw_step_timer){.program = program, .stream = stream, .timed = timed, .current = -2};
  *out = t;
  if (!timed) return TW_OK;
  t->room = program->op_count + program->levels + 1;
  void *memory;
  tw_status status = tw_alloc(sizeof(void *) * (size_t)t->room, &memory);
  t->timers = memory;
  if (status == TW_OK) status = tw_alloc(sizeof(int) * (size_t)t->room, &memory);
  if (status == TW_OK) t->steps = memory;
  if (status != TW_OK) tw_step_timer_destroy(t);
  return status;
}

void tw_step_timer_destroy(tw_step_timer *t) {
  if (!t) return;
  for (int i = 0; t->timers && i < t->room; i++) tw_device_event_destroy(t->timers[i]);
  tw_free(t->timers);
  tw_free(t->steps);
  free(t);
}

void tw_step_timer_restart(tw_step_timer *t) {
  t->count = 0;
  t->current = -2;
}

static tw_status record(tw_step_timer *t, int step) {
  if (t->count == t->room) return tw_fail(TW_ERR_INTERNAL, "more stretches of work than gates");
  if (!t->timers[t->count]) TW_TRY(tw_device_timer_create(&t->timers[t->count]));
  t->steps[t->count] = step;
  return tw_device_timer_record(t->timers[t->count++], t->stream);
}

static void begin_range(tw_step_timer *t, int step) {
  char name[64];
  if (t->in_range) nvtxRangePop();
  if (step >= 0)
    snprintf(name, sizeof name, "layer %d %s", t->program->steps[step].layer, t->program->steps[step].name);
  else
    snprintf(name, sizeof name, "open");
  nvtxRangePushA(name);
  t->in_range = true;
}

tw_status tw_step_timer_mark(void *timer, int step) {
  tw_step_timer *t = timer;
  if (step == t->current) return TW_OK;
  t->current = step;
  begin_range(t, step);
  return t->timed ? record(t, step) : TW_OK;
}

tw_status tw_step_timer_end(tw_step_timer *t) {
  if (t->in_range) nvtxRangePop();
  t->in_range = false;
  return t->timed ? record(t, -1) : TW_OK;
}

tw_status tw_step_timer_read(tw_step_timer *t, double *step_seconds) {
  for (int i = 0; i < t->program->step_count; i++) step_seconds[i] = 0;
  for (int i = 0; i + 1 < t->count; i++) {
    double seconds;
    if (t->steps[i] < 0) continue;  // a flush
    TW_TRY(tw_device_timer_between(t->timers[i], t->timers[i + 1], &seconds));
    step_seconds[t->steps[i]] += seconds;
  }
  return TW_OK;
}

tw_status tw_step_timer_spans(const tw_step_timer *t, void *origin, tw_trace_track track, int half, tw_trace *trace) {
  uint64_t begin = 0, end;
  for (int i = 0; i < t->count; i++, begin = end) {
    double seconds;
    TW_TRY(tw_device_timer_between(origin, t->timers[i], &seconds));
    end = (uint64_t)(1e9 * seconds);
    if (i > 0 && t->steps[i - 1] >= 0) tw_trace_add(trace, (tw_span){(int)track, half, t->steps[i - 1], begin, end});
  }
  return TW_OK;
}
#endif
