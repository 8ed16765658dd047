#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/check.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/beside.h"
#include "jobs/parties/emulate_turns.h"
#include "jobs/parties/input_lengths.h"
#include "jobs/parties/reveal.h"
#include "jobs/plan/lengths.h"

typedef struct {
  const char *model;
  int64_t test_seed;
  double tolerance;
  bool exact, json, show_texts;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "exact",
     .field = offsetof(settings, exact),
     .help = "run the emulator as well and compare bit for bit; needs TEST keys and --test-seed"},
    {.name = "test-seed",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, test_seed),
     .value = "N",
     .help = "the number that the keys were dealt with",
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
    {.common = &tw_option_show_texts, .field = offsetof(settings, show_texts)},
};

// ---- --exact

typedef struct {
  size_t values, differ, first;
  int64_t first_private, first_emulated;
  bool told;                   // every batch has a transcript
  int transcripts, different;  // compared, and of these
  int guard;                   // first sequence whose count of values out of bound differs, -1: none
  uint64_t out_of_bound;
  char where[96];
} exact_verdict;

// A batch of a run: rows[i] of the run is sequence i of it, by this key slot.
typedef struct {
  int count, *rows;
  uint64_t *slots;
  const char *transcript;
} batch;

static void compare_row(const tw_result_share pair[2], int row, const int64_t *emulated, size_t before,
                        exact_verdict *v) {
  size_t each = (size_t)pair[0].rows * pair[0].cols;
  for (size_t i = 0; i < each; i++) {
    size_t at = (size_t)row * each + i;
    int64_t y = tw_result_integer(pair, at);
    if (y == emulated[i]) continue;
    if (v->differ++ && before + at > v->first) continue;
    v->first = before + at;
    v->first_private = y;
    v->first_emulated = emulated[i];
  }
  v->values += each;
}

// before: sequences of the runs before, from which elements and sequences are counted on. A row that an earlier batch
// has finished, too, has its values from there.
static void compare_batch(const tw_result_share pair[2], const batch *b, const tw_emulation *e, int before,
                          exact_verdict *v) {
  size_t each = (size_t)pair[0].rows * pair[0].cols;
  if (e->out_of_bound && !v->out_of_bound) memcpy(v->where, e->first_out_of_bound, sizeof v->where);
  v->out_of_bound += e->out_of_bound;
  v->transcripts++;
  v->different += strcmp(b->transcript, e->transcript) != 0;
  for (int i = 0; i < b->count; i++) {
    int row = b->rows[i];
    if (b->slots[i] != pair[0].slots[row]) continue;
    if (pair[0].guard && v->guard < 0 && tw_result_guard(pair, row) != e->guard[i]) v->guard = before + row;
    compare_row(pair, row, e->output + (size_t)i * each, (size_t)before * each, v);
  }
}

static tw_status match_plan(const tw_plan *plan, const tw_result_share *r) {
  if (strcmp(plan->digest.hex, r->plan.hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "the run was made with plan %s, the plan file is %s; put the run's plan there",
                 r->plan.hex, plan->digest.hex);
}

typedef struct {
  const char *name, *of;
  const tw_model *model;
  const tw_prefix *prefix;
  const tw_result *result;
  uint64_t seed;
  int sequences;  // of the runs before
} emulated;

static tw_status emulate_batch(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                               const batch *b, exact_verdict *verdict) {
  tw_emulation e;
  TW_TRY(tw_emulate_turns(plan, w->model, w->prefix, input, b->slots, w->seed, &e));
  compare_batch(pair, b, &e, w->sequences, verdict);
  tw_emulation_free(&e);
  return TW_OK;
}

static tw_status emulate_part(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                              const batch *b, exact_verdict *verdict) {
  tw_input own;
  TW_TRY(tw_input_of_rows(input, b->rows, b->count, &own));
  tw_status status = emulate_batch(w, plan, &own, pair, b, verdict);
  tw_input_free(&own);
  return status;
}

// As they ran: each batch for itself.
static tw_status emulate_batches(emulated *w, const tw_plan *plan, const tw_input *input, const tw_result_share pair[2],
                                 exact_verdict *verdict) {
  const tw_result_share *r = &pair[0];
  const tw_batch_list *list = &r->batches;
  int most = list->count ? list->row_count : r->count, at = 0;
  batch b = {.transcript = r->transcript};
  TW_TRY(tw_alloc(sizeof *b.rows * (size_t)most, (void **)&b.rows));
  tw_status status = tw_alloc(sizeof *b.slots * (size_t)most, (void **)&b.slots);
  if (status == TW_OK && !list->count) {
    b.count = r->count;
    for (int i = 0; i < r->count; i++) b.rows[i] = i;
    memcpy(b.slots, r->slots, sizeof *b.slots * (size_t)r->count);
    status = emulate_batch(w, plan, input, pair, &b, verdict);
  }
  for (int n = 0; n < list->count && status == TW_OK; n++) {
    b.transcript = list->transcripts[n];
    for (b.count = 0; at < list->row_count && list->rows[at].batch == n; at++) {
      b.rows[b.count] = list->rows[at].row;
      b.slots[b.count++] = list->rows[at].slot;
    }
    status = emulate_part(w, plan, input, pair, &b, verdict);
  }
  tw_free(b.rows);
  tw_free(b.slots);
  return status;
}

// The run whose files have this NAME, and its input.
static tw_status emulate_run(emulated *w, const char *name, const tw_input *input, exact_verdict *verdict) {
  tw_result_share pair[2];
  tw_plan plan;
  TW_TRY(tw_result_pair_read(name, pair));
  tw_status status = TW_OK;
  if (strcmp(name, w->name) == 0 && strcmp(pair[0].run_id.hex, w->result->run_id.hex) != 0)
    status =
        tw_fail(TW_ERR_MISMATCH, "the result is of run %s, the parties' files are of run %s; run `twain reveal` again",
                w->result->run_id.hex, pair[0].run_id.hex);
  else if (!pair[0].test_keys)
    status = tw_fail(TW_ERR_USAGE,
                     "--exact needs a run on TEST keys (`twain deal --test-seed N`); this run's keys were real");
  if (status == TW_OK && (status = tw_plan_read_of(w->of, name, &plan)) == TW_OK) {
    status = match_plan(&plan, &pair[0]);
    verdict->told &= tw_result_has_transcript(&pair[0]);
    if (status == TW_OK) status = emulate_batches(w, &plan, input, pair, verdict);
    w->sequences += pair[0].count;
    tw_plan_free(&plan);
  }
  tw_result_pair_free(pair);
  return status;
}

// Every run of it, where it has several lengths.
static tw_status emulate(emulated *w, const tw_input *input, exact_verdict *verdict) {
  *verdict = (exact_verdict){.told = true, .guard = -1};
  if (!input->seqs) return emulate_run(w, w->name, input, verdict);
  for (int s = 0; s < input->count; s++) {
    tw_input own;
    if (s && input->seqs[s] == input->seqs[s - 1]) continue;
    TW_TRY(tw_input_of_length(input, input->seqs[s], &own));
    tw_status status = emulate_run(w, tw_length_name(w->name, input->seqs[s]).text, &own, verdict);
    tw_input_free(&own);
    TW_TRY(status);
  }
  return TW_OK;
}

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

static tw_status judge(const tw_comparison *c, const exact_verdict *v, const bounds_verdict *b, double tolerance) {
  char more[160];
  int far = tw_comparison_far(c, tolerance);
  if (c->not_finite >= 0)
    return tw_fail(TW_ERR_CHECK, "check failed: the output of sequence %d holds NaN or Inf", c->not_finite + 1);
  if (v && v->differ)
    return tw_fail(
        TW_ERR_CHECK,
        "check failed: %zu of %zu outputs differ from the emulator, the first at element %zu: %lld, not %lld (if "
        "nearly all do: is --test-seed the number that the keys were dealt with?)",
        v->differ, v->values, v->first, (long long)v->first_private, (long long)v->first_emulated);
  if (v && v->told && v->different)
    return tw_fail(TW_ERR_CHECK,
                   "check failed: the outputs agree, but what the parties opened on the way is not what the emulator "
                   "has: %d of %d transcripts differ",
                   v->different, v->transcripts);
  if (v && v->guard >= 0)
    return tw_fail(TW_ERR_CHECK, "check failed: sequence %d counts other values out of bound than the emulator",
                   v->guard + 1);
  if (far >= 0)
    return tw_fail(TW_ERR_CHECK,
                   "check failed: sequence %d differs from the float model by %.3g of its length, more than %g%s%s",
                   far + 1, c->sequences[far].relative_error, tolerance, beyond(b) ? "; " : "",
                   beyond(b) ? beyond_text(b, more, sizeof more) : "");
  return TW_OK;
}

static void print_exact(const exact_verdict *v) {
  char of[48] = "";
  if (v->transcripts > 1) snprintf(of, sizeof of, ", of %d batches", v->transcripts);
  printf("\nexact: %zu of %zu outputs equal the emulator's, transcript %s%s\n", v->values - v->differ, v->values,
         !v->told       ? "of several inputs, or of batches by an earlier twain, not compared"
         : v->different ? "DIFFERENT"
                        : "equal",
         v->told ? of : "");
  if (v->out_of_bound)
    printf("out of bound: %llu values, first in %s; plan with larger bounds (`twain plan --calibrate`)\n",
           (unsigned long long)v->out_of_bound, v->where);
}

static json_t *exact_json(const exact_verdict *v) {
  return json_pack("{s:I, s:I, s:o, s:i, s:I, s:s}", "outputs", (json_int_t)v->values, "outputs_that_differ",
                   (json_int_t)v->differ, "transcript_equal", v->told ? json_boolean(!v->different) : json_null(),
                   "transcripts", v->told ? v->transcripts : 0, "out_of_bound", (json_int_t)v->out_of_bound,
                   "first_out_of_bound", v->where);
}

// ---- the command

static tw_status check_files(const tw_model *model, const tw_input *input, const tw_result *result) {
  if (strcmp(input->input_id.hex, result->input_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "the result is of input %s, the input file is %s; check a result with its own input",
                   result->input_id.hex, input->input_id.hex);
  const tw_model_config *c = &model->config;
  tw_model_output output;
  TW_TRY(tw_output_parse(result->output, &output));
  TW_TRY(tw_config_allows_output(c, output));
  int hidden = tw_config_parties_embed(c) ? 0 : c->hidden;
  if (input->hidden != hidden || result->cols != tw_config_output_cols(c, output) || input->count != result->count ||
      memcmp(input->lengths, result->lengths, sizeof(int) * (size_t)input->count) != 0 ||
      (output != TW_OUTPUT_TEXT && result->rows != (tw_config_by_row(c, output) ? input->seq : 1)) ||
      (output == TW_OUTPUT_TEXT && (result->rows < 1 || result->rows > TW_MOST_TOKENS)))
    return tw_fail(TW_ERR_MISMATCH,
                   "model, input and result have different shapes: %d wide; [%d][%d][%d]; [%d][%d][%d]", hidden,
                   input->count, input->seq, input->hidden, result->count, result->rows, result->cols);
  return TW_OK;
}

// With the words of the client's file, where it is here.
static tw_status print_texts(const char *of, const tw_comparison *c, const tw_input *input) {
  tw_client client;
  tw_path path = tw_path_of(of, "client.h5");
  if (!c->texts || !tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_client_read(path.text, &client));
  tw_status status = tw_comparison_print_texts(c, &client, input);
  tw_client_free(&client);
  return status;
}

static tw_status check_with(const tw_call *call, const char *of, const tw_model *model, const tw_prefix *prefix,
                            const tw_input *input, const tw_result *result) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_comparison c;
  exact_verdict v;
  bounds_verdict b;
  char more[160];
  tw_progress progress;
  double temperature = 0;
  TW_TRY(check_files(model, input, result));
  TW_TRY(tw_beside_check(name, of, &result->input_id, &result->model_id, NULL, &(bool){false}));
  emulated runs = {name, of, model, prefix, result, (uint64_t)s->test_seed, 0};
  if (s->exact) TW_TRY(emulate(&runs, input, &v));
  if (strcmp(result->output, tw_output_name(TW_OUTPUT_NEXT_TOKEN)) == 0 ||
      strcmp(result->output, tw_output_name(TW_OUTPUT_TEXT)) == 0)
    TW_TRY(temperature_of(of, &temperature));
  tw_progress_start(&progress, "computing the float model", call->quiet);
  tw_status status = tw_compare(model, prefix, input, result, temperature, tw_progress_show, &progress, &c);
  tw_progress_end(&progress);
  TW_TRY(status);
  status = look_at_bounds(of, &c, model, &b);
  if (status != TW_OK) {
    tw_comparison_free(&c);
    return status;
  }
  if (s->json) {
    json_t *json = tw_comparison_json(&c, s->show_texts);
    json_object_set_new(json, "tolerance", json_real(s->tolerance));
    json_object_set_new(json, "within_tolerance", json_boolean(tw_comparison_far(&c, s->tolerance) < 0));
    if (beyond(&b))
      json_object_set_new(json, "beyond_bounds",
                          json_pack("{s:i, s:s, s:f, s:f}", "layer", b.first.layer, "bound", b.first.name, "value",
                                    b.first.value, "planned", b.first.bound));
    if (s->exact) json_object_set_new(json, "exact", exact_json(&v));
    status = tw_json_print(json);
  } else if (!call->quiet) {
    tw_comparison_print(&c, s->show_texts);
    status = print_texts(of, &c, input);
    if (s->exact) print_exact(&v);
    double largest = 0;
    for (int i = 0; i < c.count; i++) largest = fmax(largest, c.sequences[i].relative_error);
    printf("\nlargest relative error %.3g of %g allowed\n", largest, s->tolerance);
    if (beyond(&b)) printf("\n%s\n", beyond_text(&b, more, sizeof more));
  }
  if (status == TW_OK) status = judge(&c, s->exact ? &v : NULL, &b, s->tolerance);
  tw_comparison_free(&c);
  return status;
}

static tw_status check(const tw_call *call, const char *of, const tw_model *model, const tw_input *input,
                       const tw_result *result) {
  tw_prefix *prefix;
  TW_TRY(tw_prefix_beside(of, &input->prefix, &prefix));
  tw_status status = check_with(call, of, model, prefix, input, result);
  tw_prefix_drop(prefix);
  return status;
}

static bool counted(const tw_result *r) {
  for (int s = 0; r->out_of_bound && s < r->count; s++)
    if (r->out_of_bound[s] != 0) return true;
  return false;
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

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *of;
  tw_model model;
  tw_input input;
  tw_result result;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &of));
  if (s->exact != (s->test_seed >= 0)) return tw_fail(TW_ERR_USAGE, "--exact and --test-seed N go together");
  TW_TRY(check_model_here(of));
  tw_path path = tw_path_of(name, "result.h5"), untrusted = tw_path_of(name, "result.untrusted.h5");
  if (!tw_path_exists(&path) && tw_path_exists(&untrusted)) path = untrusted;
  TW_TRY(tw_result_read(path.text, &result));
  if (counted(&result)) tw_say("warning: %s: values out of the plan's bounds were counted in it", path.text);
  tw_status status = tw_input_read(tw_path_of(name, "input.h5").text, &input);
  if (status == TW_OK) {
    status = tw_model_read(tw_path_of(of, "model.h5").text, &model);
    if (status == TW_OK) {
      status = check(call, of, &model, &input, &result);
      tw_model_free(&model);
    }
    tw_input_free(&input);
  }
  tw_result_free(&result);
  return status;
}

const tw_command tw_command_check = {
    .name = "check",
    .arguments = "NAME",
    .summary = "compare a result with the float model",
    .about =
        "Reads NAME.model.h5, NAME.input.h5 and NAME.result.h5, of an input behind a prefix NAME.prefix.json (with "
        "--exact also NAME.plan.json and both parties' results); for the one who has model and input in clear. A "
        "client "
        "without the model has no use for it.\n"
        "Exit code 10 when a sequence is further from the float model than --tolerance, or --exact finds a difference; "
        "says which of the plan's bounds the float model leaves.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
