// One party's whole run, from its files to its result file: what `twain run` and the library do.
#ifndef TW_PARTY_H
#define TW_PARTY_H

#include "jobs/parties/forecast.h"
#include "jobs/parties/hardware.h"
#include "jobs/parties/live_keys.h"
#include "jobs/parties/machine.h"
#include "jobs/parties/run.h"
#include "jobs/parties/service.h"
#include "jobs/parties/warnings.h"

enum { TW_BATCH = 32 };  // sequences at once, unless told otherwise

// How a run went, which its result file does not tell.
typedef struct {
  tw_machine machine;
  char spent[TW_SLOTS_TEXT];  // key slots that were used up, also by a run that failed: "3", "0-7", "1, 4 and 6 more";
                              // ""
  bool goes_on;               // a cache was left for a later turn
  bool elsewhere;             // the result was written by another process of this party, or
  bool before;                // by an earlier run
  bool split_batch, prepare_during;  // halves of the batch took turns; preparation went on during the online phase
} tw_circumstances;

typedef struct {
  const char *name;    // party R reads NAME.input.pR.h5 and writes NAME.result.pR.h5; NAME is checked
  const char *model;   // whose .plan.json and .model.pR.h5 it reads; NULL: name
  const char *plan;    // whose .plan.json; NULL: model's
  const char *keys;    // whose .keys.pR.h5; NULL: model's (tw_length_keys)
  const char *input;   // whose .input.pR.h5; NULL: name
  const char *output;  // whose .result.pR.h5; NULL: name
  const char *ledger;  // folder; NULL: the default one
  const char *after;   // the NAME of the turn that a conversation goes on behind; NULL: none
  tw_party_words words;
  int64_t first_slot;            // of a row; -1: the first that are free on both parties
  const tw_live_dealer *dealer;  // in the place of .keys.pR.h5; NULL: none
  bool allow_test_keys, trace, time_steps;
  bool allow_less_memory;  // a forecast that finds too little memory is a warning
  // Whose rates the forecast at the start takes, and, unless both parties are on one host or the link is emulated,
  // whose link; it is given to foretell, with progress_state. NULL: none is made.
  const tw_place *place;
  void (*foretell)(void *progress_state, const tw_run_forecast *forecast, const tw_place *place);
  bool two_jobs;                                   // each party is told what else the first one is told for both
  bool force;                                      // a result file that is there is replaced
  tw_listener listener;                            // for warnings
  void (*progress)(void *state, double fraction);  // may be NULL
  void *progress_state;
  tw_circumstances *how;              // filled in; may be NULL
  int batch;                          // most sequences at once; 0: TW_BATCH
  int process, processes;             // of this party's several, which share the input; 0 and 0 or 1: it has one
  bool resume;                        // goes on with the rows that an earlier run has left
  const struct tw_party_files *like;  // whose model is this one's, too, and stays as long; NULL: none
  // Instead of one input of `name` those that come to a queue; first_slot is -1, trace and force are not said. NULL:
  // one input.
  const tw_service_options *service;
} tw_party_options;

// What one party opens: nothing of the other's.
typedef struct tw_party_files tw_party_files;
// Before the other party is there: opens all of one's own files and checks what one can see alone. They belong
// together, slots are left, and the result has its name and room from here on. No slot is marked, nothing is used.
tw_status tw_party_open(const tw_party_options *options, int party, tw_party_files **out);
void tw_party_close(tw_party_files *files);  // NULL: nothing
// Both parties, each with its own: whether these belong together. No slot is marked. TW_ERR_MISMATCH on both.
tw_status tw_party_compare(tw_party_files *files, tw_channel *channel);

// Both parties call it, whatever they find: a failure of one is a failure of both, each with both messages. Writes
// NAME.result.pR.h5, or serves (*out: nothing). A signal that asks for an end (tw_interrupts_asked) makes it TW_STOPPED
// where sequences are left. files: of tw_party_open, with the same options, and used once; NULL:
// opened here, while the other party waits. *out: what the result holds; free with tw_result_share_free.
tw_status tw_party(const tw_party_options *options, tw_party_files *files, tw_channel *channel, tw_result_share *out);

#endif
