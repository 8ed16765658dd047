#include <stddef.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/doctor.h"
#include "app/show/print.h"

typedef struct {
  const char *ledger, *site, *folder, *listen, *connect;
  tw_option_texts peers;
  bool ranks, json;
} settings;

static const tw_option options[] = {
    {.group = "what is looked at, besides this host",
     .name = "folder",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, folder),
     .value = "DIR",
     .fallback = ".",
     .help = "where files of runs will lie"},
    {.common = &tw_option_ledger, .field = offsetof(settings, ledger)},
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.name = "peer",
     .kind = TW_OPTION_TEXTS,
     .field = offsetof(settings, peers),
     .value = "FILE",
     .help = "site file of another one; may be given several times"},
    {.name = "listen",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, listen),
     .value = "WHERE",
     .help = "a port at which the other party will be waited for, PORT or ADDR:PORT"},
    {.name = "connect",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, connect),
     .value = "WHERE",
     .help = "a place that will be gone to, HOST:PORT: the other party, a line relay, a live dealer"},
#ifndef TWAIN_CLIENT
    {.name = "ranks",
     .field = offsetof(settings, ranks),
     .help = "nothing of this: be one of two ranks, started by mpirun or srun, and say whether they meet"},
#endif
    {.group = "what is told",
     .common = &tw_option_json,
     .field = offsetof(settings, json),
     .help = "print JSON, a row a check"},
};

static void look(tw_doctor *d, const settings *s) {
  tw_doctor_program(d);
#ifndef TWAIN_CLIENT
  tw_doctor_launcher(d);
  tw_doctor_cores(d);
  tw_doctor_gpus(d);
#endif
  tw_doctor_memory(d);
  tw_doctor_files(d, s->folder);
#ifndef TWAIN_CLIENT
  tw_doctor_ledger(d, s->ledger);
#endif
  tw_doctor_audit(d);
  if (s->site) tw_doctor_site(d, s->site);
  for (int i = 0; i < s->peers.count; i++) tw_doctor_peer(d, s->peers.text[i]);
  if (s->listen) tw_doctor_listen(d, s->listen);
  if (s->connect) tw_doctor_connect(d, s->connect);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  tw_doctor d = {.rows = json_array()};
#ifndef TWAIN_CLIENT
  if (s->ranks) return tw_doctor_ranks(call);
#endif
  look(&d, s);
  if (s->json) {
    TW_TRY(tw_json_print(d.rows));
  } else {
    if (!call->quiet) tw_doctor_print(&d);
    json_decref(d.rows);
  }
  if (d.bad) return tw_fail(TW_ERR_CHECK, "%d of these would make a run fail, or leave it unprotected", d.bad);
  return TW_OK;
}

const tw_command tw_command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "is this host fit for runs, and what to do about it",
    .about =
        "One row for each: HDF5, the launcher against MPI (it starts two ranks), cores, GPUs and which reach each "
        "other, locked memory, swap, pages, free memory and disk, the ledger and its locks, the audit log, and, where "
        "they are named, certificates and ports. ok: nothing to do. note: works, with a loss or a risk. BAD: a run "
        "would fail, or not be protected. A remedy stands below. Ends with 10 if a row is BAD.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 0,
    .most = 0,
    .run = run};
