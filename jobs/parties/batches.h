// A run in batches: an input is walked through, so many sequences at once, by one or several processes of each party.
// What a batch finishes is on both parties' disks before the next one begins (io/parts.h). A signal that asks for an
// end is heard between two batches, by both parties, and a later run goes on with the rows that are missing.
#ifndef TW_BATCHES_H
#define TW_BATCHES_H

#include "io/parts.h"
#include "jobs/parties/live_keys.h"
#include "jobs/parties/run.h"
#include "jobs/parties/warnings.h"

typedef struct {
  const char *name;  // of the result
  int batch;         // most sequences at once
  int index, processes;
  bool resume;    // goes on with what is there; else there must be nothing, or with `force` it is dropped
  bool force;     // a result that is there is replaced
  tw_id known;    // the run whose result was there when this process looked; "": none was
  bool two_jobs;  // who calls says of failures which slots were used up
  tw_listener listener;
} tw_batches_options;

// The failure of a run that ends before its first batch.
tw_status tw_batches_not_begun(int count);

// run: of the whole input, without engine, wished slots and rows; first_slot is of the first row that is missing. keys
// are a key file's, or a live dealer's that were opened for the first batch. e: for results. *out: the whole result
// where this process has written it, else empty. *made: other processes had done all before this one began. TW_STOPPED
// where a signal asked for an end, with what is missing.
tw_status tw_batches(const tw_batches_options *options, const tw_live_dealer *dealer, tw_key_store *keys,
                     const tw_run_options *run, const tw_environment *e, tw_result_share *out, bool *made);

#endif
