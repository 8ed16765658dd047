// A party as a job of its own, under its own user, on its own machines: a site. The other party's job is reached by
// TLS.
#ifndef TW_TWO_SITES_H
#define TW_TWO_SITES_H

#include "app/options.h"
#include "app/processes.h"
#include "app/time_limits.h"
#include "comm/channel.h"
#include "comm/sockets.h"
#include "jobs/parties/live_keys.h"

// As they are typed.
typedef struct {
  int64_t party;  // -1: both parties are ranks of one MPI job
  tw_route ways;
  const char *site, *peer;  // this party's folder, the other's file
  int64_t streams;
  double wait;                       // seconds for the other party to come
  const char *dealer, *dealer_peer;  // HOST:PORT and file of a live dealer; NULL: keys come from a key file
  tw_live_dealer live;               // no word: filled in for body, where a dealer is named
  tw_processes processes;            // no word: of this party, as the launcher says
} tw_site_words;

extern const tw_option tw_option_party, tw_option_streams;  // int64_t
// const char *
extern const tw_option tw_option_listen, tw_option_connect, tw_option_relay, tw_option_proxy, tw_option_proxy_command,
    tw_option_peer, tw_option_dealer, tw_option_dealer_peer;

// TW_ERR_USAGE unless the words say all of what they need, in their form, or nothing. Finds the party's processes:
// process i talks to the other party's process i, at the named port plus i.
tw_status tw_two_sites_check(tw_site_words *words);
// What a command does as a party.
typedef struct {
  tw_status (*alone)(const tw_call *call);  // of a job of its own: before anybody is waited for; or NULL
  tw_status (*both)(const tw_call *call, tw_channel *channel);
  int pairs;          // of ranks, that there may be at most in one MPI job; 0: one
  const char *spent;  // where `both` writes which key slots it has used up; "": none; NULL: it uses no slots of anybody
} tw_party_work;

// WHERE of a place that is listened at, in words, "at all addresses of this host". out: for an address.
const char *tw_listened_at(const char *where, char *out, size_t size);
// Calls work->alone, then work->both with a channel to the other party. After a failure both know why, as far as the
// line goes.
tw_status tw_two_sites(const tw_call *call, tw_site_words *words, const tw_limits *limits, const tw_party_work *work);
// After tw_two_sites_check: the same, by tw_two_ranks where the words say nothing.
tw_status tw_two_parties(const tw_call *call, tw_site_words *words, const tw_limits *limits, const tw_party_work *work);

#endif
