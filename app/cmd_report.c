#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "app/show/run_report.h"
#include "app/show/trace_view.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/beside.h"
#include "jobs/plan/lengths.h"
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

static bool ends_with(const char *text, const char *ending) {
  size_t n = strlen(text), m = strlen(ending);
  return n > m && strcmp(text + n - m, ending) == 0;
}

// Records that another command printed, and no NAME; a plan's file is none of them.
static bool is_records(const char *argument) {
  return ends_with(argument, ".json") && !ends_with(argument, ".plan.json") && !ends_with(argument, ".model.json");
}

// A result's file stands for its NAME, so that a shell can list them.
static tw_path name_of(const char *argument) {
  tw_path name;
  size_t n = strlen(argument), m = strlen(".result.p0.h5");
  snprintf(name.text, sizeof name.text, "%s", argument);
  if (ends_with(argument, ".result.p0.h5") || ends_with(argument, ".result.p1.h5"))
    snprintf(name.text, sizeof name.text, "%.*s", (int)(n - m), argument);
  return name;
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

// What printed the report is not what ran, and a result does not say where its keys came from.
static json_t *record_of(const char *name, const tw_result_share *run, const tw_plan *plan) {
  json_t *record = tw_run_report_record("report", name, run, plan);
  tw_record_text(record, "git_commit", NULL);
  tw_record_json(record, "git_dirty", NULL);
  tw_record_json(record, "keys", NULL);
  return record;
}

// A record of the run; with `both` of each party's file that is there.
static tw_status add_run(json_t *records, const char *name, const char *model, bool both) {
  tw_result_share run, other;
  tw_plan plan;
  bool found = false;
  TW_TRY(read_run(name, &run));
  tw_status status = both ? read_other(name, &run, &other, &found) : TW_OK;
  if (status == TW_OK) {
    bool planned = tw_run_report_plan(model ? model : name, &run, &plan);
    json_array_append_new(records, record_of(name, &run, planned ? &plan : NULL));
    if (found) json_array_append_new(records, record_of(name, &other, planned ? &plan : NULL));
    if (planned) tw_plan_free(&plan);
    if (found) tw_result_share_free(&other);
  }
  tw_result_share_free(&run);
  return status;
}

static bool has_result(const char *name) {
  tw_path first = tw_path_of(name, "result.p0.h5"), second = tw_path_of(name, "result.p1.h5");
  return tw_path_exists(&first) || tw_path_exists(&second);
}

// Of a plan with several lengths NAME's runs are those of NAME.seqS. seen: [TW_MOST_TOKENS + 1]; *count: how many.
static tw_status lengths_of(const char *name, bool *seen, int *count) {
  *count = 0;
  if (has_result(name)) return TW_OK;
  TW_TRY(tw_lengths_beside(name, seen));
  for (int seq = 1; seq <= TW_MOST_TOKENS; seq++) {
    seen[seq] = seen[seq] && has_result(tw_length_name(name, seq).text);
    *count += seen[seq];
  }
  return TW_OK;
}

static tw_status has_lengths(const char *name, bool *found) {
  bool *seen;
  int count;
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = lengths_of(name, seen, &count);
  *found = count > 0;
  tw_free(seen);
  return status;
}

static tw_status add_length(json_t *records, const char *name, int seq, const char *model, bool both) {
  tw_path length = tw_length_name(name, seq);
  tw_result_share run;
  TW_TRY(read_run(length.text, &run));
  note_stale(name, model, &run);
  tw_result_share_free(&run);
  return add_run(records, length.text, model, both);
}

static tw_status add_name(json_t *records, const char *name, const char *model, bool both) {
  bool *seen;
  int count;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = lengths_of(name, seen, &count);
  if (status == TW_OK && count == 0) status = add_run(records, name, model, both);
  for (int seq = 1; status == TW_OK && count > 0 && seq <= TW_MOST_TOKENS; seq++)
    if (seen[seq]) status = add_length(records, name, seq, model ? model : name, both);
  tw_free(seen);
  return status;
}

static tw_status show_many(const tw_call *call, tw_format format) {
  const settings *s = call->settings;
  json_t *records = json_array();
  tw_status status = records ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for records");
  for (int i = 0; i < call->count && status == TW_OK; i++)
    status = is_records(call->arguments[i])
                 ? tw_records_read(call->arguments[i], records)
                 : add_name(records, name_of(call->arguments[i]).text, s->model, format != TW_AS_TABLE);
  if (status == TW_OK && format != TW_AS_TABLE) return tw_records_print(records, format);
  if (status == TW_OK) tw_records_table(records);
  json_decref(records);
  return status;
}

static tw_status show_one(const tw_call *call, const char *name, const tw_result_share *run) {
  tw_result_share other;
  bool found;
  const settings *s = call->settings;
  TW_TRY(read_other(name, run, &other, &found));
  tw_status status = TW_OK;
  if (s->timeline) {
    const tw_result_share *parties[] = {run, &other};
    status = tw_trace_write(s->timeline, &(tw_trace_runs){parties, 1 + found}, s->force);
    if (status == TW_OK && !call->quiet) printf("written: %s.svg, %s.json\n", s->timeline, s->timeline);
  } else {
    note_stale(name, s->model ? s->model : name, run);
    print_identity(run);
    tw_run_report_print(run, s->verbose);
    if (found) print_other_party(&other);
    putchar('\n');
    tw_run_report_counters(run, found ? &other : NULL);
  }
  if (found) tw_result_share_free(&other);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  tw_result_share one;
  tw_format format;
  bool lengths;
  if (s->model) TW_TRY(tw_name_check(s->model));
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  if (s->timeline && (format != TW_AS_TABLE || call->count > 1 || is_records(call->arguments[0])))
    return tw_fail(TW_ERR_USAGE, "--timeline draws one run; leave out %s",
                   s->json           ? "--json"
                   : s->csv          ? "--csv"
                   : call->count > 1 ? "the other names"
                                     : "records, which have no trace");
  if (format != TW_AS_TABLE || call->count > 1 || is_records(call->arguments[0])) return show_many(call, format);
  tw_path name = name_of(call->arguments[0]);
  TW_TRY(has_lengths(name.text, &lengths));
  if (lengths && s->timeline)
    return tw_fail(TW_ERR_USAGE, "--timeline draws one run, and %s has one for each length: name it, as %s.seqS",
                   name.text, name.text);
  if (lengths) return show_many(call, format);
  TW_TRY(read_run(name.text, &one));
  tw_status status = show_one(call, name.text, &one);
  tw_result_share_free(&one);
  return status;
}

const tw_command tw_command_report = {.name = "report",
                                      .arguments = "NAME|FILE...",
                                      .summary = "tables of a run, or several runs side by side",
                                      .about =
                                          "Reads NAME.result.p0.h5 and .p1.h5 (one is enough; FILE may be one of "
                                          "them; of a plan with several lengths all NAME.seqS), or FILE.json: records "
                                          "that plan, run or bench printed with --json. "
                                          "Of several it prints a row each; --csv prints all that is known of each, "
                                          "and examples/plots.py draws it.",
                                      .options = options,
                                      .option_count = sizeof options / sizeof *options,
                                      .settings_size = sizeof(settings),
                                      .least = 1,
                                      .most = -1,
                                      .run = run};
