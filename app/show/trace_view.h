// A run's trace for people and for Perfetto: PREFIX.svg, a timeline, and PREFIX.json, Chrome's trace event format.
#ifndef TW_TRACE_VIEW_H
#define TW_TRACE_VIEW_H

#include "io/result.h"

// Result files of one run, party 0's first where both are there; count 1 or 2.
typedef struct {
  const tw_result_share *const *runs;
  int count;
} tw_trace_runs;

tw_status tw_trace_write(const char *prefix, const tw_trace_runs *t, bool force);

// ---- the two texts; free with free
tw_status tw_trace_json(const tw_trace_runs *t, char **text, size_t *bytes);
tw_status tw_trace_svg(const tw_trace_runs *t, char **text, size_t *bytes);

// ---- rows of a trace: a track, and a half of the batch where a track has both
enum { TW_TRACE_ROWS = 2 * TW_TRACE_TRACKS };
typedef struct {
  int track, half;
  const char *name;
} tw_trace_row;
// Rows that a run has spans for, and the row of a span.
int tw_trace_rows(const tw_result_share *r, tw_trace_row rows[TW_TRACE_ROWS]);
bool tw_trace_in_row(const tw_trace_row *row, const tw_span *s);
// "layer 3 ffn-up", "open for layer 3 ffn-up", "keys"
void tw_trace_name(const tw_result_share *r, const tw_span *s, char *text, size_t size);

#endif
