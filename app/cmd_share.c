#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/share_input.h"
#include "jobs/parties/share_model.h"

typedef struct {
  bool input, allow_unlocked, force;
} settings;

static const tw_option options[] = {
    {.name = "input",
     .field = offsetof(settings, input),
     .help = "split NAME.input.h5 (the client's step) instead of the model"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// ---- the model

static tw_status share_model(const char *name, bool force, bool quiet) {
  tw_id id;
  TW_TRY(tw_share_model_files(name, force, &id));
  if (!quiet)
    printf("model %s\nfor party 0: %s\nfor party 1: %s\nfor the dealer: %s\nfor everybody: %s\n", id.hex,
           tw_path_of(name, "model.p0.h5").text, tw_path_of(name, "model.p1.h5").text,
           tw_path_of(name, "model.dealer.h5").text, tw_path_of(name, "model.json").text);
  return TW_OK;
}

// ---- an input

static tw_status share_input(const char *name, bool force, bool quiet) {
  tw_input input;
  tw_id id;
  TW_TRY(tw_input_read(tw_path_of(name, "input.h5").text, &input));
  int count = input.count;
  tw_status status = tw_share_input_files(name, &input, force, &id);
  tw_input_free(&input);
  if (status == TW_OK && !quiet)
    printf("input %s, %d sequence%s\nfor party 0: %s\nfor party 1: %s\n", id.hex, count, count == 1 ? "" : "s",
           tw_path_of(name, "input.p0.h5").text, tw_path_of(name, "input.p1.h5").text);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  TW_TRY(tw_name_check(name));
  tw_status status = s->input ? share_input(name, s->force, call->quiet) : share_model(name, s->force, call->quiet);
  tw_secrets_warn();
  return status;
}

const tw_command tw_command_share = {
    .name = "share",
    .arguments = "NAME [--input]",
    .summary = "split a model, or an input, between the two parties",
    .about =
        "Reads NAME.model.h5; writes NAME.model.p0.h5 and .p1.h5 (one for each party), NAME.model.dealer.h5 (mask "
        "seeds, no weights) and NAME.model.json (the model's public id). One sharing serves every plan.\n"
        "With --input: reads NAME.input.h5, NAME.plan.json and NAME.model.json; writes NAME.input.p0.h5 and .p1.h5.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
