#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/check.h"
#include "app/commands.h"
#include "app/files.h"
#include "app/print.h"
#include "app/reveal.h"
#include "base/memory.h"
#include "jobs/emulate.h"

typedef struct {
  int64_t test_seed;
  bool exact, json;
} settings;

static const tw_option options[] = {
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
    {.name = "json", .field = offsetof(settings, json), .help = "print JSON instead of tables"},
};

// ---- --exact

typedef struct {
  size_t values, differ, first;
  int64_t first_private, first_emulated;
  bool transcript;  // equal
  uint64_t out_of_bound;
  char where[96];
} exact_verdict;

static void compare_exactly(const tw_result_share pair[2], const tw_emulation *e, exact_verdict *v) {
  *v = (exact_verdict){.values = (size_t)pair[0].count * pair[0].rows * pair[0].cols, .out_of_bound = e->out_of_bound};
  memcpy(v->where, e->first_out_of_bound, sizeof v->where);
  v->transcript = strcmp(pair[0].transcript, e->transcript) == 0;
  for (size_t i = 0; i < v->values; i++) {
    int64_t y = tw_result_integer(pair, i);
    if (y == e->output[i]) continue;
    if (v->differ++ == 0) {
      v->first = i;
      v->first_private = y;
      v->first_emulated = e->output[i];
    }
  }
}

static tw_status match_plan(const tw_plan *plan, const tw_result_share *r) {
  if (strcmp(plan->digest.hex, r->plan.hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "the run was made with plan %s, the plan file is %s; put the run's plan there",
                 r->plan.hex, plan->digest.hex);
}

static tw_status emulate(const char *name, const tw_model *model, const tw_input *input, const tw_result *result,
                         int64_t seed, exact_verdict *verdict) {
  tw_result_share pair[2];
  tw_plan plan;
  tw_emulation e;
  TW_TRY(tw_result_pair_read(name, pair));
  tw_status status = TW_OK;
  if (strcmp(pair[0].run_id.hex, result->run_id.hex) != 0)
    status =
        tw_fail(TW_ERR_MISMATCH, "the result is of run %s, the ranks' files are of run %s; run `twain reveal` again",
                result->run_id.hex, pair[0].run_id.hex);
  else if (!pair[0].test_keys)
    status = tw_fail(TW_ERR_USAGE,
                     "--exact needs a run on TEST keys (`twain deal --test-seed N`); this run's keys were real");
  if (status == TW_OK && (status = tw_plan_read(tw_path_of(name, "plan.json").text, &plan)) == TW_OK) {
    status = match_plan(&plan, &pair[0]);
    if (status == TW_OK) status = tw_emulate(&plan, model, input, pair[0].slots, (uint64_t)seed, &e);
    if (status == TW_OK) {
      compare_exactly(pair, &e, verdict);
      tw_emulation_free(&e);
    }
    tw_plan_free(&plan);
  }
  tw_result_pair_free(pair);
  return status;
}

static tw_status judge(const tw_comparison *c, const exact_verdict *v) {
  if (c->not_finite >= 0)
    return tw_fail(TW_ERR_CHECK, "check failed: the output of sequence %d holds NaN or Inf", c->not_finite + 1);
  if (v && v->differ)
    return tw_fail(
        TW_ERR_CHECK,
        "check failed: %zu of %zu outputs differ from the emulator, the first at element %zu: %lld, not %lld",
        v->differ, v->values, v->first, (long long)v->first_private, (long long)v->first_emulated);
  if (v && !v->transcript)
    return tw_fail(
        TW_ERR_CHECK,
        "check failed: the outputs agree, but what the ranks opened on the way is not what the emulator has");
  return TW_OK;
}

static void print_exact(const exact_verdict *v) {
  printf("\nexact: %zu of %zu outputs equal the emulator's, transcript %s\n", v->values - v->differ, v->values,
         v->transcript ? "equal" : "DIFFERENT");
  if (v->out_of_bound)
    printf("out of bound: %llu values, first in %s; plan with larger bounds (`twain plan --calibrate`)\n",
           (unsigned long long)v->out_of_bound, v->where);
}

static json_t *exact_json(const exact_verdict *v) {
  return json_pack("{s:I, s:I, s:b, s:I, s:s}", "outputs", (json_int_t)v->values, "outputs_that_differ",
                   (json_int_t)v->differ, "transcript_equal", v->transcript, "out_of_bound",
                   (json_int_t)v->out_of_bound, "first_out_of_bound", v->where);
}

// ---- the command

static tw_status check_files(const tw_model *model, const tw_input *input, const tw_result *result) {
  if (strcmp(input->input_id.hex, result->input_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "the result is of input %s, the input file is %s; check a result with its own input",
                   result->input_id.hex, input->input_id.hex);
  if (input->hidden != model->config.hidden || input->hidden != result->cols || input->count != result->count ||
      memcmp(input->lengths, result->lengths, sizeof(int) * (size_t)input->count) != 0 ||
      (result->rows != 1 && result->rows != input->seq))
    return tw_fail(
        TW_ERR_MISMATCH, "model, input and result have different shapes: %d wide; [%d][%d][%d]; [%d][%d][%d]",
        model->config.hidden, input->count, input->seq, input->hidden, result->count, result->rows, result->cols);
  return TW_OK;
}

static tw_status check(const tw_call *call, const tw_model *model, const tw_input *input, const tw_result *result) {
  const settings *s = call->settings;
  tw_comparison c;
  exact_verdict v;
  tw_progress progress;
  TW_TRY(check_files(model, input, result));
  if (s->exact) TW_TRY(emulate(call->arguments[0], model, input, result, s->test_seed, &v));
  tw_progress_start(&progress, "computing the float model", call->quiet);
  tw_status status = tw_compare(model, input, result, tw_progress_show, &progress, &c);
  tw_progress_end(&progress);
  TW_TRY(status);
  if (s->json) {
    json_t *json = tw_comparison_json(&c);
    if (s->exact) json_object_set_new(json, "exact", exact_json(&v));
    status = tw_json_print(json);
  } else if (!call->quiet) {
    tw_comparison_print(&c);
    if (s->exact) print_exact(&v);
  }
  if (status == TW_OK) status = judge(&c, s->exact ? &v : NULL);
  tw_comparison_free(&c);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_model model;
  tw_input input;
  tw_result result;
  TW_TRY(tw_name_check(name));
  if (s->exact != (s->test_seed >= 0)) return tw_fail(TW_ERR_USAGE, "--exact and --test-seed N go together");
  TW_TRY(tw_result_read(tw_path_of(name, "result.h5").text, &result));
  tw_status status = tw_input_read(tw_path_of(name, "input.h5").text, &input);
  if (status == TW_OK) {
    status = tw_model_read(tw_path_of(name, "model.h5").text, &model);
    if (status == TW_OK) {
      status = check(call, &model, &input, &result);
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
        "Reads NAME.model.h5, NAME.input.h5 and NAME.result.h5 (with --exact also NAME.plan.json and both ranks' "
        "results);\n"
        "for the owner of model and input. Exit code 10 when the check comes out negative.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
