#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/hardware.h"

typedef struct {
  int64_t count, test_seed;
  const char *device;
  bool allow_unlocked, force;
} settings;

static const tw_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, count),
     .value = "COUNT",
     .fallback = "1",
     .help = "inferences to deal keys for: one for every sequence",
     .low = 1,
     .high = 1e9},
    {.name = "test-seed",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, test_seed),
     .value = "N",
     .help = "TEST keys whose seeds anyone can derive from N, for `check --exact`; nothing is private with them",
     .low = 0,
     .high = 0x1p53},
    {.common = &tw_option_device,
     .field = offsetof(settings, device),
     .help = "cpu, cuda, or auto: a GPU where there is one; the keys are the same"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.common = &tw_option_force,
     .field = offsetof(settings, force),
     .help = "replace key files that are there; never while a copy of them may still be used"},
};

static tw_status forecast(const tw_plan *plan, const char *path, uint64_t count, bool quiet) {
  uint64_t needed = tw_deal_bytes(plan, count), room;
  TW_TRY(tw_disk_free(path, &room));
  if (!quiet) {
    printf("%llu slot%s of %s and %s: %s on disk for both parties, %s are free\n", (unsigned long long)count,
           count == 1 ? "" : "s", tw_text_bytes((double)plan->program.slot_bytes[0]),
           tw_text_bytes((double)plan->program.slot_bytes[1]), tw_text_bytes((double)needed),
           tw_text_bytes((double)room));
    fflush(stdout);
  }
  if (needed > room)
    return tw_fail(
        TW_ERR_IO,
        "%s: %llu bytes are needed for %llu slots, %llu are free; deal fewer (-n), make room, or deal elsewhere", path,
        (unsigned long long)needed, (unsigned long long)count, (unsigned long long)room);
  return TW_OK;
}

static tw_status check_model(const tw_plan *plan, const tw_model_dealer *dealer) {
  const tw_model_config *p = &plan->shape.config, *d = &dealer->config;
  bool alike = strcmp(p->architecture, d->architecture) == 0 && p->head.kind == d->head.kind &&
               p->head.outputs == d->head.outputs;
  if (!alike)
    return tw_fail(
        TW_ERR_MISMATCH,
        "the plan is for %s with a head %s of %d outputs; the shared model is %s with a head %s of %d; plan for "
        "this model, or share the right one",
        p->architecture, tw_head_name(p->head.kind), p->head.outputs, d->architecture, tw_head_name(d->head.kind),
        d->head.outputs);
  if (p->layers == d->layers && p->hidden == d->hidden && p->heads == d->heads && p->intermediate == d->intermediate)
    return tw_plan_allows_norms(plan, dealer->norm_weight, dealer->norm_bias);
  return tw_fail(
      TW_ERR_MISMATCH,
      "the plan is for %d layers, %d wide, %d heads, %d in the feed-forward part; the shared model has %d, %d, %d, %d; "
      "plan for this model, or share the right one",
      p->layers, p->hidden, p->heads, p->intermediate, d->layers, d->hidden, d->heads, d->intermediate);
}

static tw_status deal(const tw_plan *plan, const tw_model_dealer *dealer, const settings *s, tw_new_files *places,
                      bool quiet) {
  tw_progress progress;
  tw_id key_id;
  tw_deal_options o = {.path = {places->path[0].text, places->path[1].text},
                       .count = (uint64_t)s->count,
                       .test = s->test_seed >= 0,
                       .test_seed = (uint64_t)s->test_seed,
                       .progress = tw_progress_show,
                       .progress_state = &progress};
  TW_TRY(tw_hardware_alone(s->device, &o.device));
  TW_TRY(check_model(plan, dealer));
  TW_TRY(forecast(plan, o.path[0], o.count, quiet));
  tw_progress_start(&progress, "dealing keys", quiet);
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_deal(plan, dealer, &o, &key_id);
  tw_new_files_end(places, status);
  tw_progress_end(&progress);
  tw_secrets_warn();
  TW_TRY(status);
  if (o.test) tw_say("TEST keys: their seeds follow from %lld, nothing is private with them", (long long)s->test_seed);
  if (!quiet) printf("key %s\nfor party 0: %s\nfor party 1: %s\n", key_id.hex, o.path[0], o.path[1]);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  static const char *const suffixes[] = {"keys.p0.h5", "keys.p1.h5"};
  tw_new_files places;
  tw_plan plan;
  tw_model_dealer dealer;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_new_files_check(&places, name, suffixes, 2, s->force));
  TW_TRY(tw_plan_read(tw_path_of(name, "plan.json").text, &plan));
  tw_status status = tw_model_dealer_read(tw_path_of(name, "model.dealer.h5").text, &dealer);
  if (status == TW_OK) {
    status = deal(&plan, &dealer, s, &places, call->quiet);
    tw_model_dealer_free(&dealer);
  }
  tw_plan_free(&plan);
  return status;
}

const tw_command tw_command_deal = {.name = "deal",
                                    .arguments = "NAME [-n COUNT]",
                                    .summary = "make one-time keys for COUNT inferences",
                                    .about =
                                        "Reads NAME.plan.json and NAME.model.dealer.h5; says how much disk the keys "
                                        "need; writes NAME.keys.p0.h5 and .p1.h5, "
                                        "one for each party. Hand them over and delete the dealer's copies.",
                                    .options = options,
                                    .option_count = sizeof options / sizeof *options,
                                    .settings_size = sizeof(settings),
                                    .least = 1,
                                    .most = 1,
                                    .run = run};
