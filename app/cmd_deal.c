#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/sealing.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/stop_signals.h"
#include "app/two_sites.h"
#include "base/memory.h"
#include "io/audit.h"
#include "io/key_parts.h"
#include "io/new_files.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/hardware.h"
#include "jobs/parties/serve.h"
#include "jobs/plan/lengths.h"

typedef struct {
  int64_t count, test_seed, connections;
  const char *model, *device, *site, *counts;
  tw_option_texts seal_to;
  const char *serve, *pairs;
  double silence;
  bool allow_unlocked, force, append;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "count",
     .letter = 'n',
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, count),
     .value = "COUNT",
     .fallback = "1",
     .help = "inferences to deal keys for: one for every sequence",
     .low = 1,
     .high = 1e9},
    {.name = "counts",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, counts),
     .value = "LIST",
     .help =
         "of a plan with several lengths: inferences of each, as 16:60,128:4 (not given: COUNT, divided as the texts "
         "of `plan --fit` were)"},
    {.name = "append",
     .field = offsetof(settings, append),
     .help =
         "more slots for NAME's keys: files of their own, NAME.moreTIME.keys.pR.h5, that `run`, `status`, `handover` "
         "and `destroy` of NAME find by themselves"},
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
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.common = &tw_option_seal_to, .field = offsetof(settings, seal_to)},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.common = &tw_option_force,
     .field = offsetof(settings, force),
     .help = "replace key files that are there; never while a copy of them may still be used"},
    {.group = "a live dealer",
     .name = "serve",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, serve),
     .value = "WHERE",
     .help = "write no file: deal to parties that come to this port, PORT or ADDR:PORT, while their runs go "
             "on, until a signal. Port 0: one that is free, and is said"},
    {.name = "pairs",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, pairs),
     .value = "FILE",
     .help = "with --serve: the pairs of sites that get keys, by their pins (docs/formats.md)"},
    {.common = &tw_option_connections,
     .field = offsetof(settings, connections),
     .help = "with --serve: most at a time, one for each party of a run and each of its --streams"},
    {.common = &tw_option_silence_limit,
     .field = offsetof(settings, silence),
     .fallback = "600",
     .help = "with --serve: give up a party that says or takes nothing for so long"},
};

static void say(void *state, const char *text) {
  (void)state;
  tw_say("%s", text);
}

static void stay_silent(void *state, const char *text) {
  (void)state;
  (void)text;
}

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
  if (p->layers == d->layers && p->hidden == d->hidden && p->heads == d->heads && p->intermediate == d->intermediate) {
    TW_TRY(tw_plan_allows_prefix(plan, &dealer->prefix));
    return tw_plan_allows_norms(plan, dealer->norm_weight, dealer->norm_bias, dealer->centred);
  }
  return tw_fail(
      TW_ERR_MISMATCH,
      "the plan is for %d layers, %d wide, %d heads, %d in the feed-forward part; the shared model has %d, %d, %d, %d; "
      "plan for this model, or share the right one",
      p->layers, p->hidden, p->heads, p->intermediate, d->layers, d->hidden, d->heads, d->intermediate);
}

static tw_status log_keys(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                          const tw_id *key_id) {
  return tw_audit("deal",
                  json_pack("{s:s, s:s, s:s, s:b, s:I}", "model_id", dealer->model_id.hex, "plan", plan->digest.hex,
                            "key_id", key_id->hex, "test_keys", o->test, "slots", (json_int_t)o->count));
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
  for (int party = 0; party < 2; party++) places->written[party] = status == TW_OK;
  if (status == TW_OK) status = log_keys(plan, dealer, &o, &key_id);
  tw_new_files_end(places, status);
  tw_progress_end(&progress);
  tw_secrets_warn();
  TW_TRY(status);
  if (o.test) tw_say("TEST keys: their seeds follow from %lld, nothing is private with them", (long long)s->test_seed);
  if (!quiet) printf("key %s\nfor party 0: %s\nfor party 1: %s\n", key_id.hex, o.path[0], o.path[1]);
  return TW_OK;
}

// ---- serving

// What its memory is bounded by.
static void say_where(const tw_serve_options *o, const tw_serve *serve) {
  int room = tw_serve_room(serve);
  uint64_t slot = o->plan->program.slot_bytes[0] + o->plan->program.slot_bytes[1];
  if (room)
    tw_say(
        "deals on the GPU, in whose memory lie at most %d slots at once, %s; what finds no room there is dealt on the "
        "CPU",
        room, tw_text_bytes((double)slot * room));
  else
    tw_say("deals on the CPU");
}

static tw_status serve_until_told(const tw_call *call, tw_serve_options *o) {
  tw_serve *serve = NULL;
  char at[300];
  int signals;
  TW_TRY(tw_serve_create(o, &serve));
  tw_status status = tw_stop_signals(&signals);
  if (status == TW_OK) {
    say_where(o, serve);
    tw_say("deals to %d pair%s on port %d, %s", o->pairs->count, o->pairs->count == 1 ? "" : "s", tw_serve_port(serve),
           tw_listened_at(((const settings *)call->settings)->serve, at, sizeof at));
    tw_secrets_warn();
    status = tw_serve_work(serve, signals);
    close(signals);
  }
  tw_serve_destroy(serve);
  if (status == TW_OK && !call->quiet) tw_say("stopped");
  return status;
}

static tw_status serve_with(const tw_call *call, const tw_plan *plan, const tw_model_dealer *dealer) {
  const settings *s = call->settings;
  tw_site own = {.signing = NULL};
  tw_site_pairs pairs = {.file = NULL};
  tw_serve_options o = {.plan = plan,
                        .dealer = dealer,
                        .pairs = &pairs,
                        .own = &own,
                        .option = "--serve",
                        .connections = (int)s->connections,
                        .silence_seconds = s->silence,
                        .note = call->quiet ? stay_silent : say};
  tw_status status = tw_hardware_alone(s->device, &o.device);
  if (status == TW_OK) status = check_model(plan, dealer);
  if (status == TW_OK) status = tw_place_parse("--serve", s->serve, false, &o.place);
  if (status == TW_OK) status = tw_private_keys_room((int)s->connections);
  if (status == TW_OK) status = tw_site_load(s->site, &own);
  if (status == TW_OK && own.self.role != TW_SITE_DEALER)
    status = tw_fail(TW_ERR_IDENTITY, "%s: is the site of %s, and --serve needs a dealer's", s->site,
                     tw_site_role_said(own.self.role));
  if (status == TW_OK) status = tw_peer_check_time(&own.self, (int64_t)time(NULL));
  if (status == TW_OK) status = tw_site_pairs_read(s->pairs, &pairs);
  if (status == TW_OK) status = serve_until_told(call, &o);
  tw_site_pairs_free(&pairs);
  tw_site_free(&own);
  return status;
}

static tw_status check_serving(const settings *s) {
  if (!s->serve && !s->pairs) return TW_OK;
  if (!s->serve || !s->site || !s->pairs)
    return tw_fail(TW_ERR_USAGE, "--serve WHERE, --site FOLDER and --pairs FILE: all of them or none");
  if (s->seal_to.count > 0) return tw_fail(TW_ERR_USAGE, "--seal-to is for key files; --serve writes none");
  if (s->append) return tw_fail(TW_ERR_USAGE, "--append is for key files; a live dealer deals as long as it runs");
  if (s->test_seed >= 0)
    return tw_fail(TW_ERR_USAGE, "--test-seed: TEST keys are not served; nothing would be private with them");
  return TW_OK;
}

static tw_status serve(const tw_call *call, const char *name, const char *model) {
  tw_plan plan;
  tw_model_dealer dealer;
  TW_TRY(tw_plan_read_of(((const settings *)call->settings)->model, name, &plan));
  tw_status status = tw_model_dealer_read(tw_path_of(model, "model.dealer.h5").text, &dealer);
  if (status == TW_OK) {
    status = serve_with(call, &plan, &dealer);
    tw_model_dealer_free(&dealer);
  }
  tw_plan_free(&plan);
  return status;
}

// ---- files

// More keys are another dealing, which leaves the slots of the first one alone.
static tw_status check_place(const char *name, const char *model, const char *const suffixes[2], bool force) {
  for (int party = 0; party < 2; party++) {
    tw_path path = tw_path_of(name, suffixes[party]);
    if (force || !tw_path_exists(&path)) continue;
    return tw_fail(
        TW_ERR_IO,
        "%s: exists already; add slots to NAME, --append; or deal more keys under a NAME of their own, `twain "
        "deal NAME2 --model %s`, which both parties name with `run --keys NAME2`; or, where no copy of these is "
        "used any more, --force",
        path.text, model);
  }
  return TW_OK;
}

// Neither party is the dealer: both files are sealed, or none.
static tw_status choose_places(const char *name, const char *model, const settings *s, const tw_sealing *sealing,
                               tw_new_files *places) {
  char room[2][32];
  const char *suffixes[2];
  if (sealing->count == 1)
    return tw_fail(TW_ERR_USAGE, "--seal-to names %s only: both parties' keys are sealed, or none", s->seal_to.text[0]);
  for (int party = 0; party < 2; party++)
    suffixes[party] = tw_sealing_name(sealing, (tw_site_role)party, party ? "keys.p1.h5" : "keys.p0.h5", room[party],
                                      sizeof room[party]);
  TW_TRY(check_place(name, model, suffixes, s->force));
  TW_TRY(tw_new_files_check(places, name, suffixes, 2, s->force));
  for (int party = 0; party < 2; party++)
    TW_TRY(tw_sealing_path(sealing, (tw_site_role)party, places->path[party].text));
  return TW_OK;
}

// Where keys for `name` go.
static tw_status choose_key_places(const char *name, const char *model, const settings *s, const tw_sealing *sealing,
                                   tw_new_files *places) {
  if (!s->append) return choose_places(name, model, s, sealing, places);
  TW_TRY(tw_key_parts_check_room(name));
  return choose_places(tw_key_part_new(name).text, model, s, sealing, places);
}

static tw_status deal_name(const char *name, const char *model, const settings *s, const tw_sealing *sealing,
                           bool quiet) {
  tw_new_files places;
  tw_plan plan;
  tw_model_dealer dealer;
  TW_TRY(choose_key_places(name, model, s, sealing, &places));
  TW_TRY(tw_plan_read_of(s->model, name, &plan));
  tw_status status = tw_model_dealer_read(tw_path_of(model, "model.dealer.h5").text, &dealer);
  if (status == TW_OK) {
    status = deal(&plan, &dealer, s, &places, quiet);
    tw_model_dealer_free(&dealer);
  }
  tw_plan_free(&plan);
  return status;
}

// ---- several lengths

// How many slots of each length: as typed, or COUNT divided as the sample's texts are, rounded up.
static tw_status divide(const tw_plan *plan, const settings *s, int64_t counts[TW_MOST_LENGTHS]) {
  int64_t all = 0;
  if (s->counts) return tw_length_counts(plan, s->counts, counts);
  for (int i = 0; i < plan->length_count; i++) all += plan->lengths[i].texts;
  if (all == 0)
    return tw_fail(TW_ERR_USAGE,
                   "the plan has %d lengths, and no sample says how many texts each has: say --counts, as in --counts "
                   "%d:%lld,%d:1",
                   plan->length_count, plan->lengths[0].seq, (long long)s->count,
                   plan->lengths[plan->length_count - 1].seq);
  for (int i = 0; i < plan->length_count; i++) counts[i] = (plan->lengths[i].texts * s->count + all - 1) / all;
  return TW_OK;
}

// Key files for each length, under its own NAME.
static tw_status deal_lengths(const char *name, const char *model, const tw_plan *plan, const settings *s,
                              const tw_sealing *sealing, bool quiet) {
  int64_t counts[TW_MOST_LENGTHS] = {0};
  settings own = *s;
  tw_new_files places;
  TW_TRY(divide(plan, s, counts));
  for (int i = 0; i < plan->length_count; i++)
    if (counts[i] > 0)
      TW_TRY(choose_key_places(tw_length_name(name, plan->lengths[i].seq).text, model, s, sealing, &places));
  for (int i = 0; i < plan->length_count; i++) {
    if (counts[i] == 0) continue;
    own.count = counts[i];
    own.model = model;
    if (!quiet) printf("%sup to %d tokens: ", i ? "\n" : "", plan->lengths[i].seq);
    TW_TRY(deal_name(tw_length_name(name, plan->lengths[i].seq).text, model, &own, sealing, quiet));
  }
  return TW_OK;
}

static tw_status deal_all(const char *name, const char *model, const settings *s, const tw_sealing *sealing,
                          bool quiet) {
  tw_plan plan;
  TW_TRY(tw_plan_read_of(s->model, name, &plan));
  tw_status status = TW_OK;
  if (plan.length_count)
    status = deal_lengths(name, model, &plan, s, sealing, quiet);
  else if (s->counts)
    status = tw_fail(TW_ERR_USAGE, "--counts is for a plan with several lengths; this one has %d tokens: say -n",
                     plan.shape.seq);
  bool one = !plan.length_count;
  tw_plan_free(&plan);
  TW_TRY(status);
  return one ? deal_name(name, model, s, sealing, quiet) : TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  tw_sealing sealing;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &model));
  TW_TRY(check_serving(s));
  if (s->append && s->force) return tw_fail(TW_ERR_USAGE, "--append replaces nothing: leave --force out");
  if (s->serve) return serve(call, name, model);
  tw_status status = tw_sealing_begin(s->site, &s->seal_to, 1u << TW_SITE_PARTY_0 | 1u << TW_SITE_PARTY_1, &sealing);
  if (status == TW_OK) status = deal_all(name, model, s, &sealing, call->quiet);
  tw_sealing_end(&sealing);
  return status;
}

const tw_command tw_command_deal = {.name = "deal",
                                    .arguments = "NAME [-n COUNT | --serve WHERE]",
                                    .summary = "make one-time keys, as files or while runs go on",
                                    .about =
                                        "Reads NAME.plan.json and NAME.model.dealer.h5; says how much disk the keys "
                                        "need; writes NAME.keys.p0.h5 and .p1.h5, "
                                        "one for each party. Hand them over and delete the dealer's copies. With "
                                        "--append these are more keys of NAME, beside those that are there.\n"
                                        "With --serve it is a live dealer: parties come with `run --dealer`, "
                                        "prove who they are, and get keys that nobody keeps. A signal stops it: runs "
                                        "that are under way go on to their end, a second signal ends them.\n"
                                        "With --seal-to (twice) and --site both are written sealed, and no key lies on "
                                        "the dealer's disk in clear.",
                                    .options = options,
                                    .option_count = sizeof options / sizeof *options,
                                    .settings_size = sizeof(settings),
                                    .least = 1,
                                    .most = 1,
                                    .run = run};
