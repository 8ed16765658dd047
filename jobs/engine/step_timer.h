// Times of gates on a GPU: a timer wherever the stream goes on to another step's work. Also names the ranges that
// profilers show (NVTX). Built with CUDA only.
#ifndef TW_GATE_TIMER_H
#define TW_GATE_TIMER_H

#include "base/trace.h"
#include "jobs/program/program.h"

typedef struct tw_step_timer tw_step_timer;

// timed: record timers; else only ranges.
tw_status tw_step_timer_create(const tw_program *program, void *stream, bool timed, tw_step_timer **out);
void tw_step_timer_destroy(tw_step_timer *t);
void tw_step_timer_restart(tw_step_timer *t);
tw_status tw_step_timer_mark(void *timer, int step);  // a session's mark
tw_status tw_step_timer_end(tw_step_timer *t);        // after the last gate, on the stream
// Seconds of each step, once the stream has finished.
tw_status tw_step_timer_read(tw_step_timer *t, double *step_seconds);
// The stretches of work as spans of a half, timed from `origin` (a timer that passed before them); flushes are left
// out.
tw_status tw_step_timer_spans(const tw_step_timer *t, void *origin, tw_trace_track track, int half, tw_trace *trace);

#endif
