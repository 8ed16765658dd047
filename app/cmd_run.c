#include <mpi.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/files.h"
#include "app/hardware.h"
#include "app/ledger_folder.h"
#include "app/party_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/run_report.h"
#include "app/two_ranks.h"
#include "base/memory.h"
#include "comm/channel.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/run.h"
#include "kernels/isa.h"

typedef struct {
  const char *ledger, *device, *transport, *bind, *link, *overlap, *prepare;
  int64_t budget_words, budget_jobs;
  int64_t slot;
  double timeout, time_limit;
  bool allow_test_keys, allow_unlocked, json, verbose, force, trace;
} settings;

static const tw_option options[] = {
    {.name = "slot",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, slot),
     .value = "N",
     .help = "key slot of the first sequence, the others follow in a row (default: the first slots that are free on "
             "both parties, wherever they lie)",
     .low = 0,
     .high = 1e9},
    {.name = "ledger",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, ledger),
     .value = "DIR",
     .help = "ledger of used slots, made once by `twain ledger --new`, on durable storage (default "
             "$XDG_STATE_HOME/twain/ledger or ~/.local/state/twain/ledger)"},
    {.name = "timeout",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, timeout),
     .value = "SECONDS",
     .fallback = "60",
     .help = "give up when the other party is silent for so long",
     .low = 0.1,
     .high = 1e6},
    {.name = "time-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, time_limit),
     .value = "SECONDS",
     .fallback = "0",
     .help = "give up when the whole run takes longer, from the start of this party to its end, whatever it waits for "
             "(0: no limit)",
     .low = 0,
     .high = 1e8},
    {.name = "device",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, device),
     .value = "WHICH",
     .fallback = "auto",
     .help = "cpu, cuda (one GPU a party), or auto: a GPU when there is one"},
    {.name = "transport",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, transport),
     .value = "WHICH",
     .fallback = "auto",
     .help =
         "between GPUs: peer (they write into each other's memory), nccl, mpi (a window of host memory, or messages), "
         "mpi-p2p (messages), mpi-cuda (from GPU memory), or auto: the first of peer, nccl, mpi that works"},
    {.name = "bind",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, bind),
     .value = "WHICH",
     .fallback = "auto",
     .help =
         "auto: to cores and memory near the party's GPU, parties of one host apart, always inside what the launcher "
         "gave; none"},
    TW_PARTY_OPTIONS(settings, "", "", "auto"),
    {.name = "trace",
     .field = offsetof(settings, trace),
     .help = "record when each gate, opening and key was at work, for `twain report --trace`"},
    {.name = "allow-test-keys",
     .field = offsetof(settings, allow_test_keys),
     .help = "accept TEST keys, with which nothing is private"},
    TW_SECRETS_OPTION(settings),
    {.name = "verbose", .letter = 'v', .field = offsetof(settings, verbose), .help = "costs of every layer"},
    {.name = "json", .field = offsetof(settings, json), .help = "print JSON instead of tables (party 0)"},
    {.name = "force", .field = offsetof(settings, force), .help = "replace result files that are there"},
};

// What one party opens: nothing of the other's.
typedef struct {
  tw_plan plan;
  tw_model_share model;
  tw_keys *keys;
  tw_input_share input;
  tw_result_claim *result;
  tw_ledger ledger;
  bool has_plan, has_model, has_input;
} party_files;

static tw_path result_path(const char *name, int party) {
  return tw_path_of(name, party ? "result.p1.h5" : "result.p0.h5");
}

// A result that cannot be written must be known before any slot is marked: its room is taken here.
static tw_status claim_result(const char *name, const settings *s, int party, party_files *f) {
  tw_result_share shape = {.count = f->input.count, .row_count = f->plan.program.step_count};
  tw_path path = result_path(name, party);
  tw_plan_output_shape(&f->plan, &shape.rows, &shape.cols);
  if (s->trace) shape.span_count = tw_engine_trace_most(&f->plan.program, party, f->input.count);
  TW_TRY(tw_result_share_claim(path.text, &shape, s->force, &f->result));
  return TW_OK;
}

static tw_status check_result(const char *name, const settings *s, int party) {
  tw_path path = result_path(name, party);
  if (s->force || !tw_path_exists(&path)) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s: exists already; choose another NAME, remove it, or replace it with --force",
                 path.text);
}

static tw_status load(const char *name, const settings *s, int party, party_files *f) {
  TW_TRY(tw_hardware_check(&(tw_hardware_words){s->device, s->transport, s->bind, s->link, s->overlap, s->prepare}));
  TW_TRY(check_result(name, s, party));
  TW_TRY(tw_plan_read(tw_path_of(name, "plan.json").text, &f->plan));
  f->has_plan = true;
  TW_TRY(tw_ledger_find(s->ledger, &f->ledger));
  TW_TRY(tw_input_share_read(tw_path_of(name, party ? "input.p1.h5" : "input.p0.h5").text, party, &f->input));
  f->has_input = true;
  TW_TRY(claim_result(name, s, party, f));
  TW_TRY(tw_keys_open(tw_path_of(name, party ? "keys.p1.h5" : "keys.p0.h5").text, party, &f->keys));
  TW_TRY(tw_model_share_read(tw_path_of(name, party ? "model.p1.h5" : "model.p0.h5").text, party, &f->model));
  f->has_model = true;
  return TW_OK;
}

static void unload(party_files *f) {
  tw_result_claim_release(f->result);
  if (f->has_model) tw_model_share_free(&f->model);
  if (f->keys) tw_keys_close(f->keys);
  if (f->has_input) tw_input_share_free(&f->input);
  if (f->has_plan) tw_plan_free(&f->plan);
}

// ---- warnings, by party 0

typedef struct {
  char host[128], user[64];
} place;

static tw_status meet(tw_channel *channel, tw_environment *e) {
  place mine = {{0}, {0}}, theirs;
  memcpy(mine.host, e->host, sizeof mine.host);
  memcpy(mine.user, e->user, sizeof mine.user);
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  theirs.host[sizeof theirs.host - 1] = theirs.user[sizeof theirs.user - 1] = '\0';
  bool host = strcmp(mine.host, theirs.host) == 0, user = strcmp(mine.user, theirs.user) == 0;
  e->parties_share_host = host;
  if (channel->party == 0 && (host || user))
    tw_say("WARNING: both parties run%s%s%s%s: no protection against %s; a test set-up", host ? " on host " : "",
           host ? mine.host : "", user ? " as user " : "", user ? mine.user : "",
           host && user ? "that host's administrator or that user"
           : host       ? "that host's administrator"
                        : "that user");
  return TW_OK;
}

static void collect(tw_environment *e) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
  int length;
  tw_environment_collect(e);
  MPI_Get_library_version(mpi, &length);
  mpi[strcspn(mpi, ",\n")] = '\0';
  snprintf(e->mpi, sizeof e->mpi, "%.*s", (int)sizeof e->mpi - 1, mpi);
  snprintf(e->isa, sizeof e->isa, "%s", tw_isa_name(tw_isa_active()));
}

static tw_status agree(tw_channel *channel, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(channel, found, &none);
}

// ---- the run

static tw_status infer(const settings *s, party_files *f, tw_channel *channel, tw_environment *e, bool quiet,
                       tw_result_share *result) {
  tw_progress progress;
  tw_hardware hardware;
  TW_TRY(agree(channel, tw_hardware_choose(channel, s->device, s->transport, &hardware)));
  TW_TRY(tw_hardware_take(channel, &hardware));
  TW_TRY(tw_hardware_place(channel, &hardware, s->bind, e->placement, sizeof e->placement));
  TW_TRY(agree(channel, tw_hardware_link(&hardware, s->link)));
  if (tw_keys_get_info(f->keys)->test && s->allow_test_keys && channel->party == 0)
    tw_say("WARNING: TEST keys: everybody can derive their seeds; NOTHING IN THIS RUN IS PRIVATE");
  tw_progress_start(&progress, "running", quiet || channel->party != 0);
  tw_run_options o = {.plan = &f->plan,
                      .model = &f->model,
                      .keys = f->keys,
                      .input = &f->input,
                      .channel = hardware.channel,
                      .ledger = &f->ledger,
                      .first_slot = s->slot,
                      .allow_test_keys = s->allow_test_keys,
                      .device = hardware.device,
                      .transports = hardware.ways,
                      .trace = s->trace,
                      .budget = {(size_t)s->budget_words, (size_t)s->budget_jobs},
                      .progress = tw_progress_show,
                      .progress_state = &progress};
  tw_status status = tw_hardware_overlap(&hardware, s->overlap, &o.overlap);
  if (status == TW_OK) status = tw_hardware_prepare(&hardware, s->prepare, &o.prepare_beside);
  if (status == TW_OK) status = tw_run(&o, result);
  tw_secrets_warn();
  tw_progress_end(&progress);
  tw_hardware_release(&hardware);
  if (status != TW_OK) return status;
  memcpy(e->device, result->environment.device, sizeof e->device);
  memcpy(e->transport, result->environment.transport, sizeof e->transport);
  memcpy(e->transport_why, result->environment.transport_why, sizeof e->transport_why);
  result->environment = *e;
  return TW_OK;
}

// Both files are whole on their disks before either has its name.
static tw_status write_result(tw_channel *channel, party_files *f, const tw_result_share *result) {
  TW_TRY(agree(channel, tw_result_share_fill(f->result, result)));
  tw_result_claim *place = f->result;
  f->result = NULL;
  tw_status status = tw_result_claim_commit(place);
  return status;
}

// With the words that both parties must have been given.
static tw_status agree_on_words(tw_channel *channel, const settings *s, tw_status found) {
  tw_terms words;
  memset(&words, 0, sizeof words);
  snprintf(words.transport, sizeof words.transport, "%s", s->transport);
  tw_hardware_link_text(s->link, words.link, sizeof words.link);
  return tw_agree(channel, found, &words);
}

static tw_status run_party(const tw_call *call, tw_channel *channel, party_files *f) {
  const settings *s = call->settings;
  tw_environment e;
  tw_result_share result;
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  collect(&e);
  TW_TRY(agree_on_words(channel, s, load(call->arguments[0], s, channel->party, f)));
  tw_ledger_warn(&f->ledger);
  TW_TRY(meet(channel, &e));
  tw_secrets_warn();
  TW_TRY(infer(s, f, channel, &e, call->quiet, &result));
  tw_status status = write_result(channel, f, &result);
  if (status == TW_OK && channel->party == 0) {
    if (s->json)
      status = tw_json_print(tw_run_report_json(&result));
    else if (!call->quiet)
      tw_run_report_print(&result, s->verbose);
  }
  tw_result_share_free(&result);
  return status;
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  party_files files = {.keys = NULL};
  tw_status status = run_party(call, channel, &files);
  unload(&files);
  return status;
}

static tw_status run(const tw_call *call) {
  TW_TRY(tw_name_check(call->arguments[0]));
  const settings *s = call->settings;
  return tw_two_ranks(call, &(tw_limits){s->timeout, s->time_limit}, body);
}

const tw_command tw_command_run = {
    .name = "run",
    .arguments = "NAME",
    .summary = "the inference; start it with mpirun -np 2",
    .about =
        "usage under MPI: mpirun -np 2 twain run NAME [options]\n\n"
        "Party R reads NAME.plan.json, NAME.model.pR.h5, NAME.keys.pR.h5 and NAME.input.pR.h5, and nothing of the "
        "other's;\n"
        "writes NAME.result.pR.h5. Every sequence of the input uses one key slot, for good; the party's ledger says "
        "which "
        "are used.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
