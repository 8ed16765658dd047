#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/stop_signals.h"
#include "comm/line_relay.h"

typedef struct {
  const char *port[2], *allow[2];
  int64_t connections, byte_limit;
  double complete, silence, whole;
} settings;

static const char *const port_options[2] = {"--port-0", "--port-1"};

static const tw_option options[] = {
    {.group = "the two ports",
     .name = "port-0",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, port[0]),
     .value = "WHERE",
     .help = "party 0 comes here, PORT or ADDR:PORT; port 0: one that is free, and is said; needed"},
    {.name = "port-1",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, port[1]),
     .value = "WHERE",
     .help = "party 1 comes here; needed"},
    {.name = "allow-0",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, allow[0]),
     .value = "LIST",
     .help = "addresses from which party 0 may come, with commas: 192.0.2.7,198.51.100.0/24,2001:db8::/32, or any; "
             "needed"},
    {.name = "allow-1",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, allow[1]),
     .value = "LIST",
     .help = "the same for party 1; needed"},
    {.group = "limits",
     .common = &tw_option_connections,
     .field = offsetof(settings, connections),
     .help = "most that are joined at a time: two for each of --streams"},
    {.name = "complete-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, complete),
     .value = "SECONDS",
     .fallback = "10",
     .help = "a connection to one port waits so long for one to the other; a party then comes again",
     .low = 0.1,
     .high = 3600},
    {.common = &tw_option_silence_limit,
     .field = offsetof(settings, silence),
     .fallback = "600",
     .help = "end a run in which nothing moves for so long"},
    {.name = "time-limit",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, whole),
     .value = "SECONDS",
     .fallback = "86400",
     .help = "end a run that takes longer (0: no limit)",
     .low = 0,
     .high = 1e8},
    {.name = "byte-limit",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, byte_limit),
     .value = "BYTES",
     .fallback = "1000000000000",
     .help = "end a run that sends more, both ways together (0: no limit)",
     .low = 0,
     .high = 1e18},
};

static void say(void *state, const char *text) {
  (void)state;
  tw_say("%s", text);
}

static void stay_silent(void *state, const char *text) {
  (void)state;
  (void)text;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  tw_line_relay *relay = NULL;
  int signals = -1;
  tw_line_relay_options o = {.connections = (int)s->connections,
                             .complete_seconds = s->complete,
                             .silence_seconds = s->silence,
                             .whole_seconds = s->whole,
                             .most_bytes = (uint64_t)s->byte_limit,
                             .note = call->quiet ? stay_silent : say};
  for (int i = 0; i < 2; i++) {
    if (!s->port[i]) return tw_fail(TW_ERR_USAGE, "%s is missing: PORT or ADDR:PORT", port_options[i]);
    if (!s->allow[i]) return tw_fail(TW_ERR_USAGE, "--allow-%d is missing: who may come to %s?", i, port_options[i]);
    o.option[i] = port_options[i];
    TW_TRY(tw_place_parse(port_options[i], s->port[i], false, &o.place[i]));
    TW_TRY(tw_nets_parse(i ? "--allow-1" : "--allow-0", s->allow[i], &o.allow[i]));
  }
  TW_TRY(tw_line_relay_create(&o, &relay));
  tw_status status = tw_stop_signals(&signals);
  if (status == TW_OK) {
    tw_say("party 0 comes to port %d, party 1 to port %d", tw_line_relay_port(relay, 0), tw_line_relay_port(relay, 1));
    status = tw_line_relay_work(relay, signals);
    close(signals);
  }
  tw_line_relay_destroy(relay);
  if (status == TW_OK && !call->quiet) tw_say("stopped");
  return status;
}

const tw_command tw_command_relay = {
    .name = "relay",
    .arguments = "--port-0 WHERE --port-1 WHERE --allow-0 LIST --allow-1 LIST",
    .summary = "pass bytes between two parties that can only dial out",
    .about =
        "Both parties come to this host, each to its own port, and what one sends goes to the other, unread. A line "
        "relay has no keys and needs no files; run it as a user that has none. One pair of ports serves one pair of "
        "parties, one run at a time. docs/security.md says what it sees, docs/firewalls.md which way suits whom.\n"
        "Stop it by a signal: a run that is under way goes on to its end, a second signal ends it.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .run = run};
