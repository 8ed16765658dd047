#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/answer.h"
#include "io/new_files.h"
#include "jobs/parties/reveal.h"

typedef struct {
  const char *model;
  bool force;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

enum { TRUSTED, UNTRUSTED, NAMES };

// A result with values out of bound goes under a name of its own; an older one of either name does not stay beside it.
static tw_status write_result(tw_new_files *places, const tw_result *result, int which) {
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_result_write(places->path[which].text, result);
  return tw_new_files_end(places, status);
}

static void print(const tw_result *r, const char *path, bool with_input) {
  printf("run %s: %d sequence%s, output %s [%d][%d]%s\nwritten: %s\n", r->run_id.hex, r->count,
         r->count == 1 ? "" : "s", r->output, r->rows, r->cols, r->normalised ? ", scaled to length 1" : "", path);
  if (!with_input) printf("of input %s, which is not here to compare\n", r->input_id.hex);
  if (!r->out_of_bound)
    puts("values out of the plan's bounds: NOT counted, the plan has no guard");
  else if (tw_result_first_bad(r) < 0)
    puts("values out of the plan's bounds: none counted");
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  static const char *const suffix[] = {"result.h5", "result.untrusted.h5"};
  tw_new_files places;
  tw_result result;
  bool with_input = false;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &model));
  TW_TRY(tw_new_files_check(&places, name, suffix, NAMES, s->force));
  TW_TRY(tw_reveal(name, model, &result, &with_input));
  int which = tw_result_first_bad(&result) >= 0 ? UNTRUSTED : TRUSTED;
  tw_status status = write_result(&places, &result, which);
  if (status == TW_OK && !call->quiet) print(&result, places.path[which].text, with_input);
  if (status == TW_OK && !call->quiet && which == TRUSTED)
    status =
        tw_answer_print(model, &result, with_input ? tw_path_of(name, "input.h5").text : NULL, places.path[which].text);
  if (status == TW_OK) status = tw_result_judge(&result, places.path[which].text);
  tw_result_free(&result);
  return status;
}

const tw_command tw_command_reveal = {
    .name = "reveal",
    .arguments = "NAME",
    .summary = "join the two halves of a result (the client's step)",
    .about =
        "Reads NAME.result.p0.h5 and .p1.h5, which must come from one run, and be of NAME.input.h5, NAME.model.json "
        "and NAME.plan.json where these are there; writes NAME.result.h5. Logits are also shown as labels and "
        "probabilities, a decoder's as the likeliest next tokens, and a next token as its id and text, if "
        "NAME.client.h5 is "
        "there.\n"
        "Where the plan counted values out of bound the result goes to NAME.result.untrusted.h5 instead, and the "
        "exit code is 8.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
