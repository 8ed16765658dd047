// A party that serves: one set-up, then inputs as they come into its queue (io/queue.h). Each party looks into its own
// folder; the two tell each other what waits there, and run what both have, oldest first.
#ifndef TW_SERVICE_H
#define TW_SERVICE_H

#include "io/queue.h"
#include "jobs/parties/live_keys.h"
#include "jobs/parties/run.h"

typedef struct {
  const char *folder, *out;
  int batch;                                    // most sequences that share a run, and most of one input
  int most, client_most;                        // inputs that may wait: in all, of one client
  const char *caches;                           // of conversations; NULL where the plan has none
  int conversations;                            // of one client, that are kept
  double idle_seconds;                          // for which a conversation waits for its next turn
  double pair_seconds;                          // for which an input waits for the other party's share
  tw_queue_seal seal;                           // of clients whose files are sealed
  bool quiet;                                   // refusals are told alone
  void (*note)(void *state, const char *text);  // a line for each run and each refusal; may be NULL
  void *state;
} tw_service_options;

// What a party can see alone: its folders.
tw_status tw_service_look(const tw_service_options *options, const tw_plan *plan, int party);
// Both parties, until QUEUE/stop is on one of them and the work in hand is done: TW_OK; TW_STOPPED where a signal asks
// one of them for the end. run: without input and engine;
// its keys are a key file's, or, with a live dealer, closed, and are opened for each run. e: for results. An input that
// is wrong is refused on both parties and uses no slot. Any other failure ends both, and says what was in hand.
tw_status tw_service(const tw_service_options *options, const tw_live_dealer *dealer, tw_key_store *keys,
                     tw_run_options *run, const tw_environment *e);

#endif
