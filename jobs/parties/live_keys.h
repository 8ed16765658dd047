// A party's keys from a live dealer (jobs/parties/serve.h), as a key store: seeds when slots are given, corrections as
// they are used. What is read out of turn waits in memory.
#ifndef TW_LIVE_KEYS_H
#define TW_LIVE_KEYS_H

#include "comm/sockets.h"
#include "comm/tls.h"
#include "io/key_store.h"
#include "jobs/plan/plan.h"

typedef struct {
  tw_tls_identity who;                          // this party and the dealer; borrowed until the store is closed
  tw_route route;                               // to the dealer
  int streams;                                  // connections that carry keys, if the dealer allows as many; 0: one
  double silence_seconds;                       // in which nothing comes from the dealer
  void (*note)(void *state, const char *text);  // once: how the connection is protected
  void *state;
} tw_live_dealer;

// Connects, and hears whether the dealer has this model and plan. The key's id is known once slots are reserved (the
// store's `reserve`). TW_ERR_IDENTITY for another dealer, TW_ERR_PEER where it is not there, or ends.
tw_status tw_live_keys_open(const tw_live_dealer *dealer, const tw_plan *plan, const tw_id *model_id, int party,
                            tw_key_store *out);

#endif
