#include "base/trace.h"

#include <limits.h>
#include <stdlib.h>

#include "base/memory.h"

struct tw_trace {
  size_t room;
  size_t added;  // may exceed room
  uint64_t origin;
  tw_span *spans;
};

tw_status tw_trace_create(size_t room, tw_trace **out) {
  *out = NULL;
  if (room > INT_MAX) room = INT_MAX;
  tw_trace *t = calloc(1, sizeof *t);
  if (!t) return tw_fail(TW_ERR_MEMORY, "out of memory for a trace");
  t->room = room;
  void *memory;
  tw_status status = tw_alloc(room * sizeof *t->spans, &memory);
  t->spans = memory;
  if (status != TW_OK) {
    tw_trace_destroy(t);
    return status;
  }
  *out = t;
  return TW_OK;
}

void tw_trace_destroy(tw_trace *t) {
  if (!t) return;
  tw_free(t->spans);
  free(t);
}

void tw_trace_clear(tw_trace *t) {
  t->added = 0;
  t->origin = 0;
}

void tw_trace_origin(tw_trace *t, uint64_t ns) { t->origin = ns; }

void tw_trace_add(tw_trace *t, tw_span span) {
  size_t at = __atomic_fetch_add(&t->added, 1, __ATOMIC_RELAXED);
  if (at < t->room) t->spans[at] = span;
}

static int by_begin(const void *a, const void *b) {
  const tw_span *x = a, *y = b;
  if (x->begin_ns != y->begin_ns) return x->begin_ns < y->begin_ns ? -1 : 1;
  return (x->end_ns > y->end_ns) - (x->end_ns < y->end_ns);
}

tw_status tw_trace_collect(const tw_trace *t, tw_span **spans, int *count, uint64_t *dropped) {
  size_t kept = t->added < t->room ? t->added : t->room;
  void *memory;
  TW_TRY(tw_alloc(kept * sizeof **spans, &memory));
  *spans = memory;
  *count = 0;
  *dropped = t->added - kept;
  for (size_t i = 0; i < kept; i++) {
    tw_span s = t->spans[i];
    if (s.end_ns <= t->origin) continue;
    s.begin_ns = s.begin_ns > t->origin ? s.begin_ns - t->origin : 0;
    s.end_ns -= t->origin;
    (*spans)[(*count)++] = s;
  }
  qsort(*spans, (size_t)*count, sizeof **spans, by_begin);
  return TW_OK;
}
