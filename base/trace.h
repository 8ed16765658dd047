// A recorder of what happened when in an online phase: spans of work, of openings and of keys on their way. Memory is
// bounded from the start; spans past it are counted and dropped. Any thread may add.
#ifndef TW_TRACE_H
#define TW_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum { TW_TRACE_COMPUTE, TW_TRACE_OPEN, TW_TRACE_KEYS, TW_TRACE_PREPARE, TW_TRACE_TRACKS } tw_trace_track;

typedef struct {
  int track;  // tw_trace_track
  int half;   // of the batch: 0 or 1; -1: both
  int step;   // of the program: what is computed, or the first thing a message opens; -1: none
  uint64_t begin_ns, end_ns;
} tw_span;

typedef struct tw_trace tw_trace;

tw_status tw_trace_create(size_t room, tw_trace **out);
void tw_trace_destroy(tw_trace *t);
// Forget all spans. Nobody adds meanwhile.
void tw_trace_clear(tw_trace *t);
// Times count from here: what ends before is left out, what begins before is cut.
void tw_trace_origin(tw_trace *t, uint64_t ns);
void tw_trace_add(tw_trace *t, tw_span span);  // in the clock of the origin

// The spans in order of beginning, from the origin on; free with tw_free. Whoever adds has ended.
tw_status tw_trace_collect(const tw_trace *t, tw_span **spans, int *count, uint64_t *dropped);

#endif
