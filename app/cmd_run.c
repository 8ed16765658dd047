#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/launcher.h"
#include "app/run_lengths.h"
#include "app/secrets.h"
#include "app/show/forecast.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "app/show/run_report.h"
#include "app/two_sites.h"
#include "app/where.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/site.h"
#include "comm/mpi_pair.h"
#include "io/new_files.h"
#include "io/row_claims.h"
#include "jobs/parties/party.h"

typedef struct {
  tw_party_words party;
  tw_site_words site;
  char spent[TW_SLOTS_TEXT];  // no option: key slots that this run has used up
  const char *model, *plan, *keys, *input, *output, *after, *ledger;
  tw_run_lengths lengths;  // no option: this party's files, opened before the other one is waited for
  int64_t slot;
  double time_limit;
  bool allow_test_keys, allow_unlocked, allow_less_memory, json, csv, verbose, force, trace, serve, resume;
  const char *queue, *out, *caches, *clients;
  int64_t batch, queue_limit, client_limit, conversation_limit;
  double pair_limit, idle_limit;
  tw_service_options service;  // no option: of a service, from the ten above
  tw_site own;                 // no option: with --clients
  json_t *records;             // no option: of the lengths that are done
  tw_where where;              // no option: by whose rates the forecast goes
} settings;

static const tw_option options[] = {
    {.group = "whose files", .common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "plan",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, plan),
     .value = "NAME",
     .help = "the NAME of the plan, where it is another one than the model's"},
    {.common = &tw_option_keys, .field = offsetof(settings, keys)},
    {.name = "input",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, input),
     .value = "NAME",
     .help = "the NAME whose input is run (not given: NAME)"},
    {.name = "output",
     .letter = 'o',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, output),
     .value = "NAME",
     .help = "the NAME that the result gets (not given: NAME)"},
    {.name = "after",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, after),
     .value = "NAME",
     .help = "go on behind the turn of this NAME: its NAME.cache.pR.h5 is used up"},
    {.group = "keys and secrets",
     .name = "slot",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, slot),
     .value = "N",
     .help = "key slot of the first sequence, the others follow in a row (not given: the first slots that are free on "
             "both parties, wherever they lie)",
     .low = 0,
     .high = 1e9},
    {.common = &tw_option_ledger, .field = offsetof(settings, ledger)},
    {.name = "allow-test-keys",
     .field = offsetof(settings, allow_test_keys),
     .help = "accept TEST keys, with which nothing is private"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.group = "where a party computes", .common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_affinity, .field = offsetof(settings, party.affinity)},
    {.name = "allow-less-memory",
     .field = offsetof(settings, allow_less_memory),
     .help = "go on where the forecast says that memory will not do, with a warning: it may be wrong, or memory may be "
             "free by then"},
    {.group = "a party of its own", .common = &tw_option_party, .field = offsetof(settings, site.party)},
    {.common = &tw_option_listen, .field = offsetof(settings, site.ways.listen)},
    {.common = &tw_option_connect, .field = offsetof(settings, site.ways.connect)},
    {.common = &tw_option_relay, .field = offsetof(settings, site.ways.relay)},
    {.common = &tw_option_proxy, .field = offsetof(settings, site.ways.proxy)},
    {.common = &tw_option_proxy_command, .field = offsetof(settings, site.ways.command)},
    {.common = &tw_option_site, .field = offsetof(settings, site.site)},
    {.common = &tw_option_peer, .field = offsetof(settings, site.peer)},
    {.common = &tw_option_dealer, .field = offsetof(settings, site.dealer)},
    {.common = &tw_option_dealer_peer, .field = offsetof(settings, site.dealer_peer)},
    {.common = &tw_option_streams, .field = offsetof(settings, site.streams)},
    {.common = &tw_option_wait_limit, .field = offsetof(settings, site.wait)},
    {.group = "between the parties", .common = &tw_option_transport, .field = offsetof(settings, party.transport)},
    {.common = &tw_option_split_batch, .field = offsetof(settings, party.split_batch)},
    {.common = &tw_option_prepare, .field = offsetof(settings, party.prepare)},
    {.common = &tw_option_link_latency, .field = offsetof(settings, party.link.latency_seconds)},
    {.common = &tw_option_link_rate, .field = offsetof(settings, party.link.bytes_per_second)},
    {.common = &tw_option_silence_limit, .field = offsetof(settings, party.silence_limit)},
    {.name = "time-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, time_limit),
     .value = "SECONDS",
     .fallback = "0",
     .help = "give up when the whole run takes longer, from the start of this party to its end, whatever it waits for "
             "(0: no limit)",
     .low = 0,
     .high = 1e8},
    {.group = "many sequences",
     .name = "batch",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, batch),
     .value = "N",
     .help =
         "most sequences at once; a larger input is walked through, and what a batch has finished is kept (not given: "
         "32; with --serve 8, which is also the most of one input)",
     .low = 1,
     .high = 4096},
    {.name = "resume",
     .field = offsetof(settings, resume),
     .help = "go on with the rows that an earlier run of this NAME has left, by fresh key slots; where none is left, "
             "all is "
             "done"},
    {.group = "a service",
     .name = "serve",
     .field = offsetof(settings, serve),
     .help = "run inputs as they come into --queue, one set-up for all; NAME is the model's"},
    {.name = "queue",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, queue),
     .value = "DIR",
     .help =
         "with --serve: this party's folder where inputs wait, DIR/ID.input.pR.h5 or DIR/CLIENT/ID.input.pR.h5, put "
         "there by rename. DIR/stop ends the service after the work in hand"},
    {.name = "out",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, out),
     .value = "DIR",
     .help = "with --serve: the folder for results, and for ID.error.pR.txt of inputs that are refused"},
    {.name = "queue-limit",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, queue_limit),
     .value = "N",
     .fallback = "256",
     .help = "with --serve: inputs that may wait; more are refused",
     .low = 1,
     .high = TW_QUEUE_MOST},
    {.name = "client-limit",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, client_limit),
     .value = "N",
     .fallback = "32",
     .help = "with --serve: inputs of one CLIENT that may wait, and of all that name none; more are refused",
     .low = 1,
     .high = TW_QUEUE_MOST},
    {.name = "pair-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, pair_limit),
     .value = "SECONDS",
     .fallback = "300",
     .help = "with --serve: refuse an input whose other share has not come after so long",
     .low = 0.1,
     .high = 1e7},
    {.name = "clients",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, clients),
     .value = "DIR",
     .help = "with --serve: a folder of site files, DIR/CLIENT.pem: inputs of these clients must be sealed by them to "
             "--site, and their results are sealed to them"},
    {.name = "caches",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, caches),
     .value = "DIR",
     .help = "with --serve and a plan with --conversation: this party's folder for what conversations leave between "
             "their turns"},
    {.name = "conversation-limit",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, conversation_limit),
     .value = "N",
     .fallback = "16",
     .help = "with --caches: conversations of one CLIENT that are kept; no more are begun",
     .low = 1,
     .high = 1 << 20},
    {.name = "idle-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, idle_limit),
     .value = "SECONDS",
     .fallback = "3600",
     .help = "with --caches: forget a conversation that has not gone on for so long",
     .low = 0.1,
     .high = 1e8},
    {.group = "what is told and kept",
     .name = "trace",
     .field = offsetof(settings, trace),
     .help = "record when each gate, opening and key was at work, for `twain report --timeline`"},
    {.common = &tw_option_verbose,
     .field = offsetof(settings, verbose),
     .help = "costs of every gate in every layer; time of each gate on a GPU, too (which slows it)"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// Process i's own, where each has one.
static const char *name_of(const tw_call *call) {
  return call->arguments[call->count > 1 ? ((const settings *)call->settings)->site.processes.index : 0];
}

static void foretell(void *state, const tw_run_forecast *forecast, const tw_place *place) {
  (void)state;
  tw_forecast_say(forecast, place);
}

static tw_party_options party_options(const tw_call *call, tw_progress *progress, tw_circumstances *how) {
  const settings *s = call->settings;
  bool share = call->count == 1;  // the input among all processes
  return (tw_party_options){.name = name_of(call),
                            .model = s->model,
                            .plan = s->plan,
                            .keys = s->keys,
                            .input = s->input,
                            .output = s->output,
                            .ledger = s->ledger,
                            .after = s->after,
                            .words = s->party,
                            .first_slot = s->slot,
                            .allow_test_keys = s->allow_test_keys,
                            .allow_less_memory = s->allow_less_memory,
                            .place = s->where.place.rates ? &s->where.place : NULL,
                            .foretell = foretell,
                            .trace = s->trace,
                            .time_steps = s->verbose,
                            .force = s->force,
                            .two_jobs = s->site.party >= 0,
                            .dealer = s->site.dealer ? &s->site.live : NULL,
                            .listener = tw_speaker,
                            .progress = tw_progress_show,
                            .progress_state = progress,
                            .how = how,
                            .batch = s->batch > 0 ? (int)s->batch : 0,
                            .process = share ? s->site.processes.index : 0,
                            .processes = share ? s->site.processes.count : 1,
                            .resume = s->resume,
                            .service = s->serve ? &s->service : NULL};
}

static tw_status keep_record(const tw_call *call, const tw_result_share *result, const tw_circumstances *how) {
  const settings *s = call->settings;
  const tw_link_profile *link = &s->party.link;
  tw_plan plan;
  bool planned = tw_run_report_plan(s->model ? s->model : name_of(call), result, &plan);
  json_t *r = tw_run_report_record("run", name_of(call), result, planned ? &plan : NULL);
  if (planned) tw_plan_free(&plan);
  if (s->site.dealer) tw_record_text(r, "keys", "dealer");
  tw_record_machine(r, &how->machine);
  tw_record_flag(r, "split_batch", how->split_batch);
  tw_record_text(r, "prepare", how->prepare_during ? "during" : "before");
  tw_record_link(r, link->latency_seconds, link->bytes_per_second);
  return json_array_append_new(s->records, r) == 0 ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for a record");
}

static tw_status open_files(const tw_call *call) {
  settings *s = call->settings;
  tw_progress progress;
  tw_circumstances how = {.spent = ""};
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  tw_party_options options = party_options(call, &progress, &how);
  return tw_run_lengths_open(&s->lengths, &options, (int)s->site.party);
}

// The pairs of one MPI job.
static tw_status find_pair(settings *s) {
  tw_mpi_pair pair;
  if (s->site.party >= 0) return TW_OK;
  TW_TRY(tw_mpi_pair_find(1, &pair));
  if (pair.count < 2) return TW_OK;
  s->site.processes = (tw_processes){pair.index, pair.count, 0, s->site.processes.here};
  s->party.processes = pair.count;
  s->party.local_process = pair.index;
  if (strcmp(s->party.affinity, "auto") == 0) s->party.affinity = "none";
  if (s->after) return tw_fail(TW_ERR_USAGE, "--after is one turn's NAME: go on with one process a party");
  return TW_OK;
}

static tw_status report(const tw_call *call, const tw_result_share *result, const tw_circumstances *how,
                        tw_format format) {
  const settings *s = call->settings;
  if (how->before && !call->quiet) tw_say("every row has its result already");
  if (how->before || how->elsewhere) return TW_OK;
  if (format != TW_AS_TABLE) return keep_record(call, result, how);
  if (!call->quiet) tw_run_report_print(result, s->verbose);
  return TW_OK;
}

// Of several lengths, one.
static tw_status run_one(const tw_call *call, tw_channel *channel, const tw_party_options *options,
                         tw_party_files *files, tw_format format) {
  settings *s = call->settings;
  bool speaks = channel->party == 0 || s->site.party >= 0, first = s->site.processes.index == 0;
  tw_result_share result;
  tw_circumstances *how = options->how;
  tw_progress_start(options->progress_state, "running", call->quiet || !speaks || !first);
  if (s->site.party >= 0) tw_say_slots(how->spent);
  tw_status status = tw_party(options, files, channel, &result);
  tw_progress_end(options->progress_state);
  memcpy(s->spent, how->spent, sizeof s->spent);
  if (s->site.party >= 0) tw_say_slots(s->spent);
  TW_TRY(status);
  if (s->serve) return TW_OK;
  if (speaks) status = report(call, &result, how, format);
  tw_result_share_free(&result);
  return status;
}

// One list of all, also where a later length has failed.
static tw_status print_records(settings *s, tw_format format, tw_status status) {
  json_t *records = s->records;
  s->records = NULL;
  if (json_array_size(records)) {
    tw_status printed = tw_records_print(records, format);
    return status == TW_OK ? printed : status;
  }
  json_decref(records);
  return status;
}

// Of two ranks, whose files are not opened yet, all lengths' are before any of them is run, also by the other processes
// of this job: those who mark slots do not take them from under who looks how many are left.
static tw_status find_lengths(const tw_call *call, tw_channel *channel, const tw_party_options *options) {
  settings *s = call->settings;
  if (s->site.party >= 0) return tw_run_lengths_agree(&s->lengths, channel, TW_OK);
  TW_TRY(tw_run_lengths_find(options, channel->party, &s->lengths));
  if (!s->lengths.count) return TW_OK;
  tw_status found = tw_run_lengths_open(&s->lengths, options, channel->party);
  tw_mpi_pairs_meet(channel->timeout_seconds);
  return tw_run_lengths_agree(&s->lengths, channel, found);
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  settings *s = call->settings;
  TW_TRY(find_pair(s));
  tw_run_lengths *lengths = &s->lengths;
  tw_progress progress;
  tw_circumstances how = {.spent = ""};
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  tw_party_options options = party_options(call, &progress, &how);
  tw_interrupts_defer(tw_say_asked, s->site.party < 0 ? tw_launcher_patience() : 0);
  TW_TRY(find_lengths(call, channel, &options));
  tw_status status = TW_OK;
  s->records = json_array();
  for (int i = 0; i < (lengths->count ? lengths->count : 1) && status == TW_OK; i++) {
    how = (tw_circumstances){.spent = ""};
    tw_party_options one = tw_run_lengths_options(lengths, i, &options);
    tw_party_files *files = lengths->list[i].files;
    if (lengths->count && !call->quiet && format == TW_AS_TABLE && channel->party == 0 && s->site.processes.index == 0)
      printf("%sup to %d tokens:\n", i ? "\n" : "", lengths->list[i].seq);
    status = tw_run_lengths_failed(lengths, i, run_one(call, channel, &one, files, format),
                                   i ? "; shorter ones are done, and `run --resume` goes on with these" : "");
  }
  return print_records(s, format, status);
}

// A NAME for each process. Where there are several, their launcher says where they run.
static tw_status check_processes(const tw_call *call) {
  settings *s = call->settings;
  const tw_processes *p = &s->site.processes;
  if (s->site.party < 0 && call->count > 1)
    return tw_fail(TW_ERR_USAGE, "several NAMEs are for the processes of a party of its own: say --party 0 or 1");
  if (call->count != p->count && call->count > 1)
    return tw_fail(TW_ERR_USAGE,
                   "%d NAME%s for %d process%s of this party: name one, which they share, or one for each", call->count,
                   call->count > 1 ? "s" : "", p->count, p->count > 1 ? "es" : "");
  for (int i = 0; i < call->count; i++) TW_TRY(tw_name_check(call->arguments[i]));
  if (s->model) TW_TRY(tw_name_check(s->model));
  if (s->plan) TW_TRY(tw_name_check(s->plan));
  if (s->keys) TW_TRY(tw_name_check(s->keys));
  if (s->input) TW_TRY(tw_name_check(s->input));
  if (s->output) TW_TRY(tw_name_check(s->output));
  if (call->count > 1 && (s->input || s->output))
    return tw_fail(TW_ERR_USAGE, "--input and --output name one input: say one NAME, which the processes share");
  if (s->after) TW_TRY(tw_name_check(s->after));
  if (s->after && p->count > 1)
    return tw_fail(TW_ERR_USAGE, "--after is one turn's NAME: go on with one process a party");
  if (s->keys && s->site.dealer)
    return tw_fail(TW_ERR_USAGE, "--keys names a key file, --dealer needs none: take one of them");
  s->party.local_process = p->local;
  s->party.processes = p->count;
  s->party.here = p->here;
  if (p->count > 1 && strcmp(s->party.affinity, "auto") == 0) s->party.affinity = "none";
  return TW_OK;
}

static void say_served(void *state, const char *text) {
  (void)state;
  tw_say("%s", text);
}

enum { SERVED_AT_ONCE = 8 };

static tw_status check_service(const tw_call *call) {
  settings *s = call->settings;
  if (!s->serve && (s->queue || s->out || s->caches || s->clients))
    return tw_fail(TW_ERR_USAGE, "--queue, --out, --clients and --caches are a service's: say --serve");
  if (!s->serve) return TW_OK;
  if (!s->queue || !s->out) return tw_fail(TW_ERR_USAGE, "--serve needs --queue DIR and --out DIR");
  if (call->count > 1 || s->site.processes.count > 1)
    return tw_fail(TW_ERR_USAGE, "--serve takes one NAME, and one process a party");
  if (s->model || s->input || s->output || s->resume || s->after || s->slot >= 0 || s->trace || s->json || s->csv ||
      s->verbose || s->force)
    return tw_fail(TW_ERR_USAGE,
                   "--model, --input, --output, --resume, --after, --slot, --trace, --json, --csv, --verbose and "
                   "--force are of one run; with --serve NAME is "
                   "the model's, and each result has its own costs (`twain report`)");
  if (s->clients && s->site.party < 0)
    return tw_fail(TW_ERR_USAGE, "--clients needs a party of its own, with a --site: say --party 0 or 1");
  if (s->clients) TW_TRY(tw_site_load(s->site.site, &s->own));
  s->service = (tw_service_options){.folder = s->queue,
                                    .out = s->out,
                                    .batch = s->batch > 0 ? (int)s->batch : SERVED_AT_ONCE,
                                    .most = (int)s->queue_limit,
                                    .client_most = (int)s->client_limit,
                                    .seal = {&s->own, s->clients},
                                    .caches = s->caches,
                                    .conversations = (int)s->conversation_limit,
                                    .idle_seconds = s->idle_limit,
                                    .pair_seconds = s->pair_limit,
                                    .quiet = call->quiet,
                                    .note = say_served};
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  settings *s = call->settings;
  tw_limits limits = {s->party.silence_limit, s->time_limit};
  tw_readers_may_go();
  TW_TRY(tw_two_sites_check(&s->site));
  TW_TRY(check_processes(call));
  if (!call->quiet) TW_TRY(tw_where_guess(strcmp(s->party.device, "cuda") == 0 ? "h200" : NULL, &s->where));
  TW_TRY(check_service(call));
  // a service says itself what became of key slots
  const char *spent = s->serve ? NULL : s->spent;
  if (s->site.party >= 0) tw_say_slots(spent);
  const tw_party_work work = {open_files, body, s->serve ? 1 : TW_MOST_PROCESSES, spent};
  tw_status status = tw_two_parties(call, &s->site, &limits, &work);
  tw_say_slots(NULL);
  tw_run_lengths_close(&s->lengths);
  if (s->clients) tw_site_free(&s->own);
  return status;
}

const tw_command tw_command_run = {
    .name = "run",
    .arguments = "NAME...",
    .apart = "NAME --party R --site FOLDER --peer FILE (--listen PORT | --connect HOST:PORT)",
    .summary = "the inference, by both parties",
    .about =
        "With --party a party is a job of its own, under its own user, and TLS connects the two; without, each of two "
        "MPI ranks is a party, which protects nothing. Party R reads NAME.plan.json, "
        "NAME.model.pR.h5, NAME.keys.pR.h5 and NAME.input.pR.h5, and nothing of the other's; it writes "
        "NAME.result.pR.h5. A second input has a NAME of its own: `run NAME2 --model NAME`. With --party a party looks "
        "at its own files first, and only then for the other party. Every sequence of the input uses one key slot, for "
        "good; the party's ledger says which "
        "are used. Where a party has several processes, one a GPU, started by its own mpirun or srun, each is given "
        "its own NAME, and process i talks to the other party's process i.\n"
        "With --serve it goes on: each input that is in both parties' queues is run, oldest first.\n"
        "Both parties are given the same --transport, --split-batch, --link-latency, --link-rate and --slot.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .launched = true,
    .least = 1,
    .most = -1,
    .run = run};
