#include "app/show/trace_view.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/new_files.h"

// ---- rows

static bool has_row(const tw_result_share *r, int track, int half) {
  for (int i = 0; i < r->span_count; i++)
    if (r->spans[i].track == track && (r->spans[i].half > 0) == (half > 0)) return true;
  return false;
}

int tw_trace_rows(const tw_result_share *r, tw_trace_row rows[TW_TRACE_ROWS]) {
  static const char *const names[TW_TRACE_TRACKS][3] = {{"compute", "compute, 1st half", "2nd half"},
                                                        {"openings", "openings, 1st half", "2nd half"},
                                                        {"keys", "keys, 1st half", "2nd half"},
                                                        {"preparation", "preparation, 1st half", "2nd half"}};
  int count = 0;
  for (int track = 0; track < TW_TRACE_TRACKS; track++) {
    bool first = has_row(r, track, 0), second = has_row(r, track, 1);
    if (first) rows[count++] = (tw_trace_row){track, 0, names[track][second ? 1 : 0]};
    if (second) rows[count++] = (tw_trace_row){track, 1, names[track][2]};
  }
  return count;
}

bool tw_trace_in_row(const tw_trace_row *row, const tw_span *s) {
  return s->track == row->track && (s->half > 0) == (row->half > 0);
}

void tw_trace_name(const tw_result_share *r, const tw_span *s, char *text, size_t size) {
  const char *what = s->track == TW_TRACE_OPEN ? "open for " : s->track == TW_TRACE_PREPARE ? "prepare " : "";
  if (s->step < 0)
    snprintf(text, size, "%s", s->track == TW_TRACE_KEYS ? "keys" : s->track == TW_TRACE_OPEN ? "open" : "compute");
  else if (r->rows_table[s->step].layer < 0)
    snprintf(text, size, "%s%s", what, r->rows_table[s->step].step);
  else
    snprintf(text, size, "%slayer %d %s", what, r->rows_table[s->step].layer, r->rows_table[s->step].step);
}

// ---- Chrome's format: microseconds; a process a party, a thread a row

static json_t *metadata(const char *what, int party, int thread, const char *key, json_t *value) {
  return json_pack("{s:s, s:s, s:i, s:i, s:{s:o}}", "ph", "M", "name", what, "pid", party, "tid", thread, "args", key,
                   value);
}

static void add_span(json_t *events, const tw_result_share *r, const tw_trace_row *row, int thread, const tw_span *s) {
  char name[64];
  tw_trace_name(r, s, name, sizeof name);
  json_t *args = json_object();
  if (s->step >= 0) json_object_set_new(args, "layer", json_integer(r->rows_table[s->step].layer));
  if (s->half >= 0) json_object_set_new(args, "half", json_integer(s->half));
  static const char *const tracks[TW_TRACE_TRACKS] = {"compute", "open", "keys", "prepare"};
  json_array_append_new(
      events, json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:o}", "ph", "X", "name", name, "cat", tracks[row->track],
                        "pid", r->party, "tid", thread, "ts", 1e-3 * (double)s->begin_ns, "dur",
                        1e-3 * (double)(s->end_ns - s->begin_ns), "args", args));
}

static void add_party(json_t *events, const tw_result_share *r) {
  char name[256];
  tw_trace_row rows[TW_TRACE_ROWS];
  int count = tw_trace_rows(r, rows);
  snprintf(name, sizeof name, "party %d on %s, %s", r->party, r->environment.host, r->environment.device);
  json_array_append_new(events, metadata("process_name", r->party, 0, "name", json_string(name)));
  json_array_append_new(events, metadata("process_sort_index", r->party, 0, "sort_index", json_integer(r->party)));
  for (int i = 0; i < count; i++) {
    json_array_append_new(events, metadata("thread_name", r->party, i + 1, "name", json_string(rows[i].name)));
    json_array_append_new(events, metadata("thread_sort_index", r->party, i + 1, "sort_index", json_integer(i)));
    for (int j = 0; j < r->span_count; j++)
      if (tw_trace_in_row(&rows[i], &r->spans[j])) add_span(events, r, &rows[i], i + 1, &r->spans[j]);
  }
}

tw_status tw_trace_json(const tw_trace_runs *t, char **text, size_t *bytes) {
  json_t *events = json_array();
  for (int i = 0; i < t->count; i++) add_party(events, t->runs[i]);
  json_t *all =
      json_pack("{s:s, s:{s:s, s:s, s:i}, s:o}", "displayTimeUnit", "ns", "otherData", "run_id", t->runs[0]->run_id.hex,
                "software", t->runs[0]->environment.software, "sequences", t->runs[0]->count, "traceEvents", events);
  *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
  json_decref(all);
  if (!*text) return tw_fail(TW_ERR_MEMORY, "out of memory for a trace");
  *bytes = strlen(*text);
  return TW_OK;
}

// ---- files

static tw_status write_text(const char *path, tw_status made, char *text, size_t bytes) {
  tw_output out;
  tw_status status = made;
  if (status == TW_OK) status = tw_output_begin(&out, path, bytes);
  if (status == TW_OK) {
    status = tw_output_write(&out, "trace", text, bytes, 0);
    if (status == TW_OK)
      status = tw_output_commit(&out);
    else
      tw_output_abort(&out);
  }
  free(text);
  return status;
}

static tw_status write_both(tw_new_files *places, const tw_trace_runs *t) {
  char *text = NULL;
  size_t bytes = 0;
  tw_status made = tw_trace_json(t, &text, &bytes);
  TW_TRY(write_text(places->path[0].text, made, text, bytes));
  places->written[0] = true;
  text = NULL;
  made = tw_trace_svg(t, &text, &bytes);
  TW_TRY(write_text(places->path[1].text, made, text, bytes));
  places->written[1] = true;
  return TW_OK;
}

// --force replaces an earlier drawing, never a plan, a ledger or another's file of that name.
static tw_status check_own(const char *path) {
  if (access(path, F_OK) != 0) return TW_OK;
  json_t *json = json_load_file(path, 0, NULL);
  bool own = json_is_array(json_object_get(json, "traceEvents"));
  json_decref(json);
  return own ? TW_OK : tw_fail(TW_ERR_USAGE, "%s: is no timeline, and is not replaced; choose another PREFIX", path);
}

tw_status tw_trace_write(const char *prefix, const tw_trace_runs *t, bool force) {
  static const char *const suffixes[] = {"json", "svg"};
  tw_new_files places;
  int spans = 0;
  for (int i = 0; i < t->count; i++) spans += t->runs[i]->span_count;
  if (!spans)
    return tw_fail(TW_ERR_USAGE, "run %s recorded no trace; run again with `twain run --trace`",
                   t->runs[0]->run_id.hex);
  TW_TRY(tw_name_check(prefix));
  TW_TRY(tw_new_files_check(&places, prefix, suffixes, 2, force));
  TW_TRY(check_own(places.path[0].text));
  tw_status status = tw_new_files_begin(&places);
  if (status == TW_OK) status = write_both(&places, t);
  return tw_new_files_end(&places, status);
}
