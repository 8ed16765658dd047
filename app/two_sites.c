#include "app/two_sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/print.h"
#include "app/two_ranks.h"
#include "base/site.h"
#include "comm/link.h"
#include "comm/sockets.h"

const tw_option tw_option_party = {.name = "party",
                                   .kind = TW_OPTION_INTEGER,
                                   .value = "N",
                                   .help =
                                       "0 or 1: this process is that party, the other one a job elsewhere; with "
                                       "--site, --peer, and --listen, --connect "
                                       "or --relay (not given: both parties are ranks of one MPI job)",
                                   .low = 0,
                                   .high = 1};
const tw_option tw_option_listen = {
    .name = "listen",
    .kind = TW_OPTION_TEXT,
    .value = "WHERE",
    .help =
        "wait for the other party at this port, PORT or ADDR:PORT; port 0: one that is free, and is said. fd:N: at an "
        "inherited socket"};
const tw_option tw_option_connect = {.name = "connect",
                                     .kind = TW_OPTION_TEXT,
                                     .value = "WHERE",
                                     .help =
                                         "go to the other party, HOST:PORT; an IPv6 address stands in brackets. "
                                         "fd:N,N: inherited connections, two for each of --streams"};
const tw_option tw_option_relay = {
    .name = "relay",
    .kind = TW_OPTION_TEXT,
    .value = "WHERE",
    .help =
        "meet the other party at a line relay (`twain relay`), HOST:PORT; each party names its own of the two ports"};
const tw_option tw_option_proxy = {.name = "proxy",
                                   .kind = TW_OPTION_TEXT,
                                   .value = "URL",
                                   .help =
                                       "go to --connect or --relay through this HTTP proxy, http://HOST:PORT, which "
                                       "must not ask for a password"};
const tw_option tw_option_proxy_command = {
    .name = "proxy-command",
    .kind = TW_OPTION_TEXT,
    .value = "COMMAND",
    .help =
        "go to --connect or --relay through this command, whose standard input and output are a connection: 'ssh -W "
        "%h:%p login'; %h and %p are host and port"};
const tw_option tw_option_peer = {
    .name = "peer",
    .kind = TW_OPTION_TEXT,
    .value = "FILE",
    .help = "the other party's site file, as it came from there; nobody else is talked to"};
const tw_option tw_option_dealer = {
    .name = "dealer",
    .kind = TW_OPTION_TEXT,
    .value = "WHERE",
    .help =
        "keys come from a live dealer at HOST:PORT (`twain deal --serve`) in the place of a key file; both parties say "
        "it. --proxy and --proxy-command lead there, too"};
const tw_option tw_option_dealer_peer = {
    .name = "dealer-peer",
    .kind = TW_OPTION_TEXT,
    .value = "FILE",
    .help = "the dealer's site file, as it came from there; nobody else's keys are taken"};
const tw_option tw_option_streams = {
    .name = "streams",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .fallback = "1",
    .help = "connections each way; large messages are split among them, with a thread each",
    .low = 1,
    .high = TW_MOST_STREAMS};

tw_status tw_two_sites_check(tw_site_words *w) {
  const tw_route *ways = &w->ways;
  bool some_way = ways->listen || ways->connect || ways->relay;
  bool some = w->site || w->peer || some_way || ways->proxy || ways->command || w->dealer || w->dealer_peer;
  if (w->party < 0 && some)
    return tw_fail(
        TW_ERR_USAGE,
        "--site, --peer, --listen, --connect, --relay, --dealer and ways to them are for a party of its own: "
        "say --party 0 or 1");
  if (w->party >= 0 && !(w->site && w->peer && some_way))
    return tw_fail(TW_ERR_USAGE, "--party %d needs --site FOLDER, --peer FILE, and --listen, --connect or --relay",
                   (int)w->party);
  if (!w->dealer != !w->dealer_peer)
    return tw_fail(TW_ERR_USAGE, "--dealer HOST:PORT and --dealer-peer FILE: both or neither");
  if (w->party >= 0) {
    tw_route route = *ways;
    if (w->dealer && route.listen) route.proxy = route.command = NULL;  // to the dealer alone
    TW_TRY(tw_route_check(&route));
  }
  w->processes = w->party < 0 ? (tw_processes){0, 1, 0, tw_processes_find().here} : tw_processes_find();
  return TW_OK;
}

// Process i's place: the port plus i. What is no place is refused where it is read.
static tw_status place_of_process(const char **place, int index, char *out, size_t size) {
  char *end;
  const char *where = *place;
  if (!where || index == 0) return TW_OK;
  if (strncmp(where, "fd:", 3) == 0)
    return tw_fail(TW_ERR_USAGE, "%s: a party of several processes inherits no sockets", where);
  const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
  long number = strtol(port, &end, 10);
  if (*end || end == port) return TW_OK;
  if (number < 1 || number + index > 65535)
    return tw_fail(TW_ERR_USAGE, "%s: process %d takes the port that is %d more, and there is none", where, index,
                   index);
  snprintf(out, size, "%.*s%ld", (int)(port - where), where, number + index);
  *place = out;
  return TW_OK;
}

// ---- who meets whom

// This party's own files, before anybody else is asked: what is wrong here is not the other's fault.
static tw_status know_both(const tw_site_words *w, tw_site *own, tw_peer *peer) {
  TW_TRY(tw_site_load(w->site, own));
  TW_TRY(tw_peer_load(w->peer, peer));
  const tw_site_role mine = w->party ? TW_SITE_PARTY_1 : TW_SITE_PARTY_0;
  const tw_site_role theirs = w->party ? TW_SITE_PARTY_0 : TW_SITE_PARTY_1;
  if (own->self.role != mine)
    return tw_fail(TW_ERR_IDENTITY, "%s: is the site of %s, and --party %d needs one of %s", w->site,
                   tw_site_role_said(own->self.role), (int)w->party, tw_site_role_said(mine));
  if (peer->role != theirs)
    return tw_fail(TW_ERR_IDENTITY, "%s: is the file of %s, and --party %d needs the one of %s", w->peer,
                   tw_site_role_said(peer->role), (int)w->party, tw_site_role_said(theirs));
  return TW_OK;
}

static void say_of_dealer(void *state, const char *text) {
  (void)state;
  tw_say("%s", text);
}

static tw_status know_dealer(const tw_call *call, tw_site_words *w, const tw_limits *limits, const tw_site *own,
                             tw_peer *dealer) {
  if (!w->dealer) return TW_OK;
  TW_TRY(tw_peer_load(w->dealer_peer, dealer));
  if (dealer->role != TW_SITE_DEALER)
    return tw_fail(TW_ERR_IDENTITY, "%s: is the file of %s, and --dealer-peer needs a dealer's", w->dealer_peer,
                   tw_site_role_said(dealer->role));
  w->live = (tw_live_dealer){
      .who = {.own = own, .peer = dealer, .secret = true},
      .route = {.connect = w->dealer, .proxy = w->ways.proxy, .command = w->ways.command, .option = "--dealer"},
      .streams = (int)w->streams,
      .silence_seconds = limits->silence,
      .note = call->quiet ? NULL : say_of_dealer};
  return TW_OK;
}

static tw_status next_connection(void *state, uint64_t until_ns, int *fd) {
  return tw_sockets_next(state, until_ns, fd);
}

const char *tw_listened_at(const char *where, char *out, size_t size) {
  if (!where || strncmp(where, "fd:", 3) == 0) return "an inherited socket";
  const char *colon = strrchr(where, ':');
  if (!colon) return "at all addresses of this host";
  snprintf(out, size, "at %.*s", (int)(colon - where), where);
  return out;
}

static tw_status connect_sites(const tw_site_words *w, const tw_limits *limits, uint64_t deadline,
                               const tw_tls_identity *who, bool quiet, tw_channel **channel) {
  tw_sockets *sockets = NULL;
  char where[3][512], at[300];
  tw_route ways = w->ways;
  if (w->dealer && ways.listen) ways.proxy = ways.command = NULL;  // to the dealer alone
  TW_TRY(place_of_process(&ways.listen, w->processes.index, where[0], sizeof where[0]));
  TW_TRY(place_of_process(&ways.connect, w->processes.index, where[1], sizeof where[1]));
  TW_TRY(place_of_process(&ways.relay, w->processes.index, where[2], sizeof where[2]));
  TW_TRY(tw_sockets_open(&ways, &sockets));
  if (tw_sockets_port(sockets) && !quiet)
    tw_say("waits for party %d on port %d, %s", 1 - (int)w->party, tw_sockets_port(sockets),
           tw_listened_at(ways.listen, at, sizeof at));
  tw_meeting meeting = {.who = *who,
                        .lines = {.process = (uint32_t)w->processes.index,
                                  .processes = (uint32_t)w->processes.count,
                                  .streams = (uint32_t)w->streams},
                        .answers = w->ways.listen || (w->ways.relay && w->party == 0),
                        .next = next_connection,
                        .state = sockets,
                        .wait_seconds = w->wait,
                        .detour = tw_sockets_detour(sockets)};
  tw_link_spec spec = {
      .carrier = TW_LINK_TLS, .meeting = &meeting, .silence_seconds = limits->silence, .deadline_ns = deadline};
  tw_status status = tw_link_open(&spec, (int)w->party, channel);
  tw_sockets_close(sockets);
  return status;
}

// ---- the run

// What became of the key slots stands behind every reason.
static tw_status with_slots(tw_status status, const char *spent) {
  char message[2048];
  if (status == TW_OK || !spent) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  if (*spent) return tw_fail(status, "%s; used up: key slots %s", message, spent);
  return tw_fail(status, "%s; no key slot was used", message);
}

tw_status tw_two_sites(const tw_call *call, tw_site_words *w, const tw_limits *limits, const tw_party_work *work) {
  tw_site own = {.signing = NULL};
  tw_peer peer = {.file = NULL}, dealer = {.file = NULL};
  tw_channel *channel = NULL;
  uint64_t deadline;
  tw_say_as((int)w->party);
  if (w->processes.count > 1) tw_say_as_process(w->processes.index);
  TW_TRY(tw_time_limits_watch(limits, &deadline));
  tw_status status = know_both(w, &own, &peer);
  tw_tls_identity who = {.own = &own, .peer = &peer};
  if (status == TW_OK) status = know_dealer(call, w, limits, &own, &dealer);
  if (status == TW_OK && work->alone) status = work->alone(call);
  if (status == TW_OK) status = connect_sites(w, limits, deadline, &who, call->quiet, &channel);
  if (status == TW_OK) status = work->both(call, channel);
  tw_channel_tell(channel, status, tw_error_message());
  status = with_slots(status, work->spent);
  tw_channel_destroy(channel);
  tw_peer_free(&dealer);
  tw_peer_free(&peer);
  tw_site_free(&own);
  return status;
}

tw_status tw_two_parties(const tw_call *call, tw_site_words *w, const tw_limits *limits, const tw_party_work *work) {
  return w->party < 0 ? tw_two_ranks(call, limits, work->pairs ? work->pairs : 1, work->both)
                      : tw_two_sites(call, w, limits, work);
}
