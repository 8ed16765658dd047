#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "base/memory.h"
#include "io/model_id.h"
#include "io/new_files.h"
#include "jobs/parties/share.h"
#include "jobs/parties/share_input.h"

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

static tw_status write_model(tw_new_files *secret, tw_new_files *public, const tw_model_share shares[2],
                             const tw_model_dealer *dealer) {
  TW_TRY(tw_new_files_begin(secret));
  TW_TRY(tw_new_files_begin(public));
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_model_share_write(secret->path[party].text, &shares[party]));
    secret->written[party] = true;
  }
  TW_TRY(tw_model_dealer_write(secret->path[2].text, dealer));
  secret->written[2] = true;
  return tw_model_id_write(public->path[0].text, &dealer->model_id, &dealer->config);
}

static tw_status share_model(const char *name, bool force, bool quiet) {
  static const char *const suffixes[] = {"model.p0.h5", "model.p1.h5", "model.dealer.h5"}, *const id_suffix[] = {
                                                                                               "model.json"};
  tw_new_files secret, public;
  tw_model model;
  tw_model_share shares[2];
  tw_model_dealer dealer;
  TW_TRY(tw_new_files_check(&secret, name, suffixes, 3, force));
  TW_TRY(tw_new_files_check(&public, name, id_suffix, 1, force));
  TW_TRY(tw_model_read(tw_path_of(name, "model.h5").text, &model));
  tw_status status = tw_share_model(&model, shares, &dealer);
  tw_model_free(&model);
  TW_TRY(status);
  status = write_model(&secret, &public, shares, &dealer);
  tw_new_files_end(&secret, status);
  tw_new_files_end(&public, status);
  if (status == TW_OK && !quiet)
    printf("model %s\nfor party 0: %s\nfor party 1: %s\nfor the dealer: %s\nfor everybody: %s\n", dealer.model_id.hex,
           secret.path[0].text, secret.path[1].text, secret.path[2].text, public.path[0].text);
  for (int party = 0; party < 2; party++) tw_model_share_free(&shares[party]);
  tw_model_dealer_free(&dealer);
  return status;
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
