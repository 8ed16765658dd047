#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/party_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/run_report.h"
#include "app/two_ranks.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/parties/party.h"

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

static tw_party_options party_options(const tw_call *call, tw_progress *progress) {
  const settings *s = call->settings;
  return (tw_party_options){.name = call->arguments[0],
                            .ledger = s->ledger,
                            .words = {s->device, s->transport, s->bind, s->link, s->overlap, s->prepare},
                            .budget = {(size_t)s->budget_words, (size_t)s->budget_jobs},
                            .first_slot = s->slot,
                            .allow_test_keys = s->allow_test_keys,
                            .trace = s->trace,
                            .force = s->force,
                            .listener = tw_speaker,
                            .progress = tw_progress_show,
                            .progress_state = progress};
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  const settings *s = call->settings;
  tw_progress progress;
  tw_result_share result;
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  tw_party_options options = party_options(call, &progress);
  tw_progress_start(&progress, "running", call->quiet || channel->party != 0);
  tw_status status = tw_party(&options, channel, &result);
  tw_progress_end(&progress);
  TW_TRY(status);
  if (channel->party == 0 && s->json)
    status = tw_json_print(tw_run_report_json(&result));
  else if (channel->party == 0 && !call->quiet)
    tw_run_report_print(&result, s->verbose);
  tw_result_share_free(&result);
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
