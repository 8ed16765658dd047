#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/check_exact.h"
#include "app/check_source.h"
#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/check.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "io/new_files.h"
#include "jobs/models/prefix.h"

typedef struct {
  const char *model;
  int64_t test_seed;
  double tolerance;
  bool exact, emulate, json, csv, show_texts;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "emulate",
     .field = offsetof(settings, emulate),
     .help =
         "in the place of a result: what two parties would compute by NAME.plan.json, by the emulator on TEST keys. It "
         "needs no keys and no run"},
    {.name = "exact",
     .field = offsetof(settings, exact),
     .help = "run the emulator as well and compare bit for bit; needs TEST keys and --test-seed"},
    {.name = "test-seed",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, test_seed),
     .value = "N",
     .help = "the number that the keys were dealt with; with --emulate any number (not given: 0)",
     .low = 0,
     .high = 0x1p53},
    {.name = "tolerance",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, tolerance),
     .value = "X",
     .fallback = "0.05",
     .help = "largest relative error of a sequence against the float model; beyond it the exit code is 10",
     .low = 0,
     .high = 1e6},
    {.common = &tw_option_json, .field = offsetof(settings, json), .help = "print JSON instead of tables"},
    {.common = &tw_option_csv, .field = offsetof(settings, csv), .help = "print CSV, a row for each sequence"},
    {.common = &tw_option_show_texts, .field = offsetof(settings, show_texts)},
};

// ---- beside the plan

// What the float model says of the plan's bounds; nothing where the plan file is not there or another one.
typedef struct {
  bool known;
  tw_excess first;
} bounds_verdict;

static tw_status look_at_bounds(const char *name, const tw_comparison *c, const tw_model *model, bounds_verdict *v) {
  tw_path path = tw_path_of(name, "plan.json");
  tw_plan plan;
  *v = (bounds_verdict){.known = false};
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read(path.text, &plan));
  v->known = plan.shape.config.layers == model->config.layers && plan.shape.config.hidden == model->config.hidden;
  if (v->known) v->first = tw_comparison_excess(c, &plan);
  tw_plan_free(&plan);
  return TW_OK;
}

// At which the plan beside it draws a next token.
static tw_status temperature_of(const char *name, double *out) {
  tw_path path = tw_path_of(name, "plan.json");
  tw_plan plan;
  *out = 0;
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read(path.text, &plan));
  *out = plan.shape.temperature;
  tw_plan_free(&plan);
  return TW_OK;
}

static bool beyond(const bounds_verdict *b) { return b->known && b->first.layer >= 0; }

static const char *beyond_text(const bounds_verdict *b, char *text, size_t size) {
  snprintf(text, size, "the float model leaves the plan's bounds: layer %d, %s is %.4g, planned %.4g", b->first.layer,
           b->first.name, b->first.value, b->first.bound);
  return text;
}

static tw_status judge(const tw_comparison *c, const tw_exact_verdict *v, const bounds_verdict *b, double tolerance) {
  char more[160];
  int far = tw_comparison_far(c, tolerance);
  if (c->not_finite >= 0)
    return tw_fail(TW_ERR_CHECK, "check failed: the output of sequence %d holds NaN or Inf", c->not_finite + 1);
  if (v) TW_TRY(tw_exact_judge(v));
  if (far >= 0)
    return tw_fail(TW_ERR_CHECK,
                   "check failed: sequence %d differs from the float model by %.3g of its length, more than %g%s%s",
                   far + 1, c->sequences[far].relative_error, tolerance, beyond(b) ? "; " : "",
                   beyond(b) ? beyond_text(b, more, sizeof more) : "");
  return TW_OK;
}

// ---- what is shown

// Of the program that compared, and of the plan where it is certain.
static void put_program(json_t *json, const tw_plan *plan) {
  static const char *const fields[] = {"twain_version", "git_commit", "git_dirty", "command",    "command_line",
                                       "date",          "host",       "user",      "cpu",        "isa",
                                       "model",         "layers",     "hidden",    "tokens",     "result",
                                       "rounding",      "choices",    "guard",     "plan_digest"};
  json_t *record = tw_record_create("check");
  if (plan) tw_record_plan(record, plan);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    json_object_set(json, fields[i], json_object_get(record, fields[i]));
  json_decref(record);
}

static tw_status print_json(const settings *s, const tw_check_source *source, const tw_comparison *c,
                            const tw_exact_verdict *v, const bounds_verdict *b, const tw_check_view *view) {
  json_t *json;
  TW_TRY(tw_comparison_json(c, view, &json));
  put_program(json, source->has_plan ? &source->plan : NULL);
  json_object_set_new(json, "tolerance", json_real(s->tolerance));
  json_object_set_new(json, "within_tolerance", json_boolean(tw_comparison_far(c, s->tolerance) < 0));
  if (beyond(b))
    json_object_set_new(json, "beyond_bounds",
                        json_pack("{s:i, s:s, s:f, s:f}", "layer", b->first.layer, "bound", b->first.name, "value",
                                  b->first.value, "planned", b->first.bound));
  if (s->exact) json_object_set_new(json, "exact", tw_exact_json(v));
  return tw_json_print(json);
}

static tw_status print_all(const settings *s, const tw_check_source *source, const tw_comparison *c,
                           const tw_exact_verdict *v, const bounds_verdict *b, const tw_check_view *view,
                           const tw_client *client) {
  char more[160];
  double largest = 0;
  TW_TRY(tw_comparison_print(c, view));
  if (client) TW_TRY(tw_comparison_print_texts(c, client, &source->input));
  if (s->exact) tw_exact_print(v);
  for (int i = 0; i < c->count; i++) largest = fmax(largest, c->sequences[i].relative_error);
  printf("\nlargest relative error %.3g of %g allowed\n", largest, s->tolerance);
  if (beyond(b)) printf("\n%s\n", beyond_text(b, more, sizeof more));
  return TW_OK;
}

// client: for names of labels and words of texts, or NULL.
static tw_status show(const tw_call *call, const tw_check_source *source, const tw_comparison *c,
                      const tw_exact_verdict *v, const bounds_verdict *b, const tw_client *client) {
  const settings *s = call->settings;
  tw_check_view view = {.show_texts = s->show_texts, .emulated = s->emulate};
  if (client) view.labels = client->labels;
  if (s->csv) return tw_comparison_csv(c, &view);
  if (s->json) return print_json(s, source, c, v, b, &view);
  return call->quiet ? TW_OK : print_all(s, source, c, v, b, &view, client);
}

// The client's file is looked at where it is here and names something.
static tw_status show_with_client(const tw_call *call, const char *of, const tw_check_source *source,
                                  const tw_comparison *c, const tw_exact_verdict *v, const bounds_verdict *b) {
  tw_client client;
  tw_path path = tw_path_of(of, "client.h5");
  if ((!c->texts && (!c->logits || c->words)) || !tw_path_exists(&path)) return show(call, source, c, v, b, NULL);
  TW_TRY(tw_client_read(path.text, &client));
  tw_status status = show(call, source, c, v, b, &client);
  tw_client_free(&client);
  return status;
}

// ---- the command

static tw_status compare(const tw_call *call, const char *of, const tw_compare_request *what,
                         const tw_exact_verdict *v) {
  const settings *s = call->settings;
  tw_comparison c;
  bounds_verdict b;
  tw_status status = tw_compare(what, &c);
  tw_progress_end(what->progress_state);
  TW_TRY(status);
  status = look_at_bounds(of, &c, what->model, &b);
  if (status == TW_OK) status = show_with_client(call, of, what->state, &c, v, &b);
  if (status == TW_OK) status = judge(&c, v, &b, s->tolerance);
  tw_comparison_free(&c);
  return status;
}

static tw_status check_behind(const tw_call *call, const char *of, tw_check_source *source, const tw_prefix *prefix) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_exact_verdict v;
  tw_compare_request what;
  tw_progress progress;
  TW_TRY(tw_check_request(source, prefix, &what));
  if (s->exact)
    TW_TRY(tw_exact_compare(name, of, source->model, prefix, &source->result.run_id, (uint64_t)s->test_seed, &v));
  if (tw_output_of_tokens(what.output)) TW_TRY(temperature_of(of, &what.temperature));
  tw_progress_start(&progress, s->emulate ? "emulating, and computing the float model" : "computing the float model",
                    call->quiet);
  what.progress = tw_progress_show;
  what.progress_state = &progress;
  return compare(call, of, &what, s->exact ? &v : NULL);
}

static tw_status check(const tw_call *call, const char *of, const tw_model *model) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_check_source source;
  tw_prefix *prefix = NULL;
  uint64_t seed = s->test_seed < 0 ? 0 : (uint64_t)s->test_seed;
  tw_status status = s->emulate ? tw_check_open_emulator(&source, name, of, model, seed)
                                : tw_check_open_result(&source, name, of, model);
  if (status == TW_OK) status = tw_prefix_beside(of, &source.input.prefix, &prefix);
  if (status == TW_OK) {
    status = check_behind(call, of, &source, prefix);
    tw_prefix_drop(prefix);
  }
  tw_check_close(&source);
  return status;
}

// Only who has both the model and the input in clear can compare: one who is owner and client.
static tw_status check_model_here(const char *of) {
  tw_path path = tw_path_of(of, "model.h5");
  if (tw_path_exists(&path)) return TW_OK;
  return tw_fail(TW_ERR_IO,
                 "%s: is not here, and check compares with the model in clear, which its owner alone has (under "
                 "another NAME: --model). A client has `reveal`, which says whether values were out of bound; an owner "
                 "checks a run on a text of the owner's own",
                 path.text);
}

static tw_status check_options(const settings *s) {
  tw_format format;
  if (s->exact && s->emulate)
    return tw_fail(TW_ERR_USAGE, "--exact compares a run, and --emulate takes the place of one: choose one");
  if (s->exact && s->test_seed < 0) return tw_fail(TW_ERR_USAGE, "--exact and --test-seed N go together");
  if (s->test_seed >= 0 && !s->exact && !s->emulate)
    return tw_fail(TW_ERR_USAGE, "--test-seed N goes with --exact or --emulate");
  return tw_format_of(s->json, s->csv, &format);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *of;
  tw_model model;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &of));
  TW_TRY(check_options(s));
  TW_TRY(check_model_here(of));
  TW_TRY(tw_model_read(tw_path_of(of, "model.h5").text, &model));
  tw_status status = check(call, of, &model);
  tw_model_free(&model);
  return status;
}

const tw_command tw_command_check = {
    .name = "check",
    .arguments = "NAME",
    .summary = "compare a result with the float model",
    .about =
        "Reads NAME.model.h5, NAME.input.h5 and NAME.result.h5, of an input behind a prefix NAME.prefix.json (with "
        "--exact also NAME.plan.json and both parties' results; with --emulate the plan in the place of a result). For "
        "the "
        "one who has model and input in clear; a client without the model has no use for it.\n"
        "Of more than 24 sequences it prints how many differ by how much, and which differ most, by number and "
        "line; memory holds one sequence at a time. --csv prints a row for each (docs/records.md).\n"
        "Exit code 10 when a sequence is further from the float model than --tolerance, or --exact finds a difference; "
        "says which of the plan's bounds the float model leaves.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
