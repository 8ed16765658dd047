// Times of gates on a GPU: a timer wherever the stream goes on to another label's work. Also names the ranges that
// profilers show (NVTX). Built with CUDA only.
#ifndef TW_GATE_TIMER_H
#define TW_GATE_TIMER_H

#include "base/trace.h"
#include "jobs/program/program.h"

typedef struct tw_gate_timer tw_gate_timer;

// timed: record timers; else only ranges.
tw_status tw_gate_timer_create(const tw_program *program, void *stream, bool timed, tw_gate_timer **out);
void tw_gate_timer_destroy(tw_gate_timer *t);
void tw_gate_timer_restart(tw_gate_timer *t);
tw_status tw_gate_timer_mark(void *timer, int label);  // a session's mark
tw_status tw_gate_timer_end(tw_gate_timer *t);         // after the last gate, on the stream
// Seconds of each label, once the stream has finished.
tw_status tw_gate_timer_read(tw_gate_timer *t, double *label_seconds);
// The stretches of work as spans of a lane, timed from `origin` (a timer that passed before them); flushes are left
// out.
tw_status tw_gate_timer_spans(const tw_gate_timer *t, void *origin, tw_trace_lane lane, int half, tw_trace *trace);

#endif
