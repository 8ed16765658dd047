#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/input_shares.h"
#include "app/sealing.h"
#include "app/secrets.h"
#include "app/void_files.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/share_model.h"

typedef struct {
  bool input, allow_unlocked, force;
  const char *site, *model;
  tw_option_texts seal_to;
} settings;

static const tw_option options[] = {
    {.name = "input",
     .field = offsetof(settings, input),
     .help = "split NAME.input.h5 (the client's step) instead of the model"},
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.common = &tw_option_seal_to, .field = offsetof(settings, seal_to)},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// ---- the model

static tw_status share_model(const char *name, const tw_sealing *sealing, bool force, bool quiet) {
  static const char *const names[] = {"model.p0.h5", "model.p1.h5", "model.dealer.h5"};
  static const tw_site_role roles[] = {TW_SITE_PARTY_0, TW_SITE_PARTY_1, TW_SITE_DEALER};
  const char *endings[3];
  tw_path path[3];
  tw_id id;
  for (int i = 0; i < 3; i++) TW_TRY(tw_sealing_place(name, names[i], sealing, roles[i], &path[i], &endings[i]));
  static const char *const made[] = {"keys.p0.h5",   "keys.p1.h5",   "input.p0.h5", "input.p1.h5",
                                     "result.p0.h5", "result.p1.h5", "cache.p0.h5", "cache.p1.h5"};
  tw_path public = tw_path_of(name, "model.json");
  bool again = tw_path_exists(&public);
  TW_TRY(tw_share_model_files(name, force, endings, &id));
  if (!quiet)
    printf("model %s\nfor party 0: %s\nfor party 1: %s\nfor the dealer: %s\nfor everybody: %s\n", id.hex, path[0].text,
           path[1].text, path[2].text, public.text);
  if (again && !quiet)
    tw_say_void(name, made, sizeof made / sizeof *made,
                "of the sharing before, as are shares of the model that went out: `deal`, `share --input` and `run` "
                "come again");
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  TW_TRY(tw_name_check(name));
  if (s->model) TW_TRY(tw_name_check(s->model));
  if (s->model && !s->input) return tw_fail(TW_ERR_USAGE, "--model goes with --input: NAME is the model's own");
  tw_sealing sealing;
  unsigned to = 1u << TW_SITE_PARTY_0 | 1u << TW_SITE_PARTY_1 | (s->input ? 0 : 1u << TW_SITE_DEALER);
  tw_status status = tw_sealing_begin(s->site, &s->seal_to, to, &sealing);
  if (status == TW_OK)
    status = s->input ? tw_input_shares(name, s->model, &sealing, s->force, call->quiet)
                      : share_model(name, &sealing, s->force, call->quiet);
  tw_sealing_end(&sealing);
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
        "With --seal-to and --site what goes to a recipient is written sealed and never lies on the disk in clear; "
        "what has no recipient is written plain, for a role of one's own.\n"
        "With --input: reads NAME.input.h5, NAME.plan.json and NAME.model.json; writes NAME.input.p0.h5 and .p1.h5.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
