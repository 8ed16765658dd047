#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "app/show/run_report.h"
#include "app/show/trace_view.h"
#include "io/new_files.h"
#include "jobs/parties/beside.h"
#include "jobs/plan/plan.h"

typedef struct {
  const char *model, *timeline;
  bool json, csv, verbose, force;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.common = &tw_option_verbose, .field = offsetof(settings, verbose)},
    {.name = "timeline",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, timeline),
     .value = "PREFIX",
     .help = "of a run recorded with `run --trace`: write PREFIX.svg, a drawing, and PREFIX.json, for "
             "https://ui.perfetto.dev or chrome://tracing"},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

static const char *model_of(const tw_call *call, int i) {
  const settings *s = call->settings;
  return s->model ? s->model : call->arguments[i];
}

// A party's own result is enough; party 0's is taken where both are there.
static tw_status read_run(const char *name, tw_result_share *out) {
  TW_TRY(tw_name_check(name));
  tw_path first = tw_path_of(name, "result.p0.h5"), second = tw_path_of(name, "result.p1.h5");
  bool only_second = !tw_path_exists(&first) && tw_path_exists(&second);
  return tw_result_share_read(only_second ? second.text : first.text, only_second, out);
}

// ---- one run

// Party 1's file beside party 0's; *found: it is there.
static tw_status read_other(const char *name, const tw_result_share *first, tw_result_share *other, bool *found) {
  tw_path path = tw_path_of(name, "result.p1.h5");
  *found = first->party == 0 && tw_path_exists(&path);
  if (!*found) return TW_OK;
  TW_TRY(tw_result_share_read(path.text, 1, other));
  if (strcmp(other->run_id.hex, first->run_id.hex) == 0) return TW_OK;
  tw_status status = tw_fail(TW_ERR_MISMATCH, "%s: of run %s, not of run %s as party 0's; take both files of one run",
                             path.text, other->run_id.hex, first->run_id.hex);
  tw_result_share_free(other);
  *found = false;
  return status;
}

static void print_other_party(const tw_result_share *other) {
  const tw_environment *e = &other->environment;
  printf("party 1 on %s, user %s, %s (%s): online %s, messages under way %s; keys %s, sent %s\nparty 1: %s\n", e->host,
         e->user, e->cpu, e->isa, tw_text_seconds(other->online_seconds), tw_text_seconds(other->comm_seconds),
         tw_text_bytes((double)other->correction_bytes), tw_text_bytes((double)other->sent_bytes), e->placement);
}

// The costs are those of the run, whatever it computed; but what it computed may not be what lies beside it now.
static void note_stale(const char *name, const char *model, const tw_result_share *r) {
  bool with_input;
  if (tw_beside_check(name, model, &r->input_id, &r->model_id, &r->plan, &with_input) != TW_OK)
    tw_say("note: %s", tw_error_message());
}

static void print_identity(const tw_result_share *r) {
  printf("run %s of model %s\nkey %s, slots", r->run_id.hex, r->model_id.hex, r->key_id.hex);
  for (int i = 0; i < r->count; i++) printf(" %llu", (unsigned long long)r->slots[i]);
  printf("\ninput %s, output %s, lengths", r->input_id.hex, r->output);
  for (int i = 0; i < r->count; i++) printf(" %d", r->lengths[i]);
  puts("\n");
}

// ---- several runs

static void compare_runs(char *const *names, const tw_result_share *runs, int count) {
  tw_grid grid = {0};
  tw_grid_row(&grid, "run\tsequences\tkeys/party\tsent/party\trounds\tset-up\tpreparation\tonline\tcommunication\tisa");
  tw_grid_rule(&grid);
  for (int i = 0; i < count; i++)
    tw_grid_row(&grid, "%s\t%d\t%s\t%s\t%llu\t%s\t%s\t%s\t%s\t%s", names[i], runs[i].count,
                tw_text_bytes((double)runs[i].correction_bytes), tw_text_bytes((double)runs[i].sent_bytes),
                (unsigned long long)runs[i].rounds, tw_text_seconds(runs[i].setup_seconds),
                tw_text_seconds(runs[i].preparation_seconds), tw_text_seconds(runs[i].online_seconds),
                tw_text_seconds(runs[i].comm_seconds), runs[i].environment.isa);
  tw_grid_print(&grid);
}

// What printed the report is not what ran, and a result does not say where its keys came from.
static json_t *record_of(const char *name, const tw_result_share *run, const tw_plan *plan) {
  json_t *record = tw_run_report_record("report", name, run, plan);
  tw_record_text(record, "git_commit", NULL);
  tw_record_json(record, "git_dirty", NULL);
  tw_record_json(record, "keys", NULL);
  return record;
}

// A record of each party's file that is there.
static tw_status add_records(json_t *records, const char *name, const char *model, const tw_result_share *run) {
  tw_result_share other;
  tw_plan plan;
  bool found;
  TW_TRY(read_other(name, run, &other, &found));
  bool planned = tw_run_report_plan(model, run, &plan);
  json_array_append_new(records, record_of(name, run, planned ? &plan : NULL));
  if (found) json_array_append_new(records, record_of(name, &other, planned ? &plan : NULL));
  if (planned) tw_plan_free(&plan);
  if (found) tw_result_share_free(&other);
  return TW_OK;
}

static tw_status print_records(const tw_call *call, const tw_result_share *runs, tw_format format) {
  json_t *records = json_array();
  tw_status status = records ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for records");
  for (int i = 0; i < call->count && status == TW_OK; i++)
    status = add_records(records, call->arguments[i], model_of(call, i), &runs[i]);
  if (status == TW_OK) return tw_records_print(records, format);
  json_decref(records);
  return status;
}

static tw_status show_one(const tw_call *call, const tw_result_share *run) {
  tw_result_share other;
  bool found;
  const settings *s = call->settings;
  TW_TRY(read_other(call->arguments[0], run, &other, &found));
  tw_status status = TW_OK;
  if (s->timeline) {
    const tw_result_share *parties[] = {run, &other};
    status = tw_trace_write(s->timeline, &(tw_trace_runs){parties, 1 + found}, s->force);
    if (status == TW_OK && !call->quiet) printf("written: %s.svg, %s.json\n", s->timeline, s->timeline);
  } else {
    note_stale(call->arguments[0], model_of(call, 0), run);
    print_identity(run);
    tw_run_report_print(run, s->verbose);
    if (found) print_other_party(&other);
    putchar('\n');
    tw_run_report_counters(run, found ? &other : NULL);
  }
  if (found) tw_result_share_free(&other);
  return status;
}

static tw_status show(const tw_call *call, const tw_result_share *runs) {
  const settings *s = call->settings;
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  if (s->timeline && (format != TW_AS_TABLE || call->count > 1))
    return tw_fail(TW_ERR_USAGE, "--timeline draws one run; leave out %s",
                   s->json  ? "--json"
                   : s->csv ? "--csv"
                            : "the other names");
  if (format != TW_AS_TABLE) return print_records(call, runs, format);
  if (call->count > 1) {
    compare_runs(call->arguments, runs, call->count);
    return TW_OK;
  }
  return show_one(call, &runs[0]);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  if (s->model) TW_TRY(tw_name_check(s->model));
  tw_result_share *runs = calloc((size_t)call->count, sizeof *runs);
  if (!runs) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = TW_OK;
  int read = 0;
  while (read < call->count && status == TW_OK) {
    status = read_run(call->arguments[read], &runs[read]);
    if (status == TW_OK) read++;
  }
  if (status == TW_OK) status = show(call, runs);
  for (int i = 0; i < read; i++) tw_result_share_free(&runs[i]);
  free(runs);
  return status;
}

const tw_command tw_command_report = {.name = "report",
                                      .arguments = "NAME...",
                                      .summary = "tables of a run, or several runs side by side",
                                      .about = "Reads NAME.result.p0.h5 and .p1.h5 (one is enough).",
                                      .options = options,
                                      .option_count = sizeof options / sizeof *options,
                                      .settings_size = sizeof(settings),
                                      .least = 1,
                                      .most = -1,
                                      .run = run};
