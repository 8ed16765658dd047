// What an earlier run has left of an input, on both parties: its result, or parts of it (io/parts.h), and what to do
// where they have not the same.
#ifndef TW_EARLIER_H
#define TW_EARLIER_H

#include "comm/channel.h"
#include "io/parts.h"
#include "jobs/parties/warnings.h"

typedef struct {
  bool result;   // of this input and plan
  tw_id run_id;  // of that result, or ""
  bool of_job;   // tw_earlier_result: of this batch job
  bool later;    // there are parts that this result was not made of: a later run's
  int missing;   // rows that are in no part
} tw_earlier;

// Reads what this party has. TW_ERR_IO for a result of something else, unless it is to be replaced.
tw_status tw_earlier_find(const char *name, int party, const tw_id *input_id, const tw_digest *plan, int rows,
                          bool replace, tw_earlier *out);

// The result alone, whatever parts there are; none where it is of something else or cannot be read.
void tw_earlier_result(const char *name, int party, const tw_id *input_id, const tw_digest *plan, tw_earlier *out);

// What both parties must say alike before they begin, in batches or not, and what either may wish or have.
typedef struct {
  uint32_t batch;    // 0: the whole input at once
  uint32_t resume;   // 0, 1
  uint32_t stopped;  // 0, 1: asked to end
  tw_earlier earlier;
} tw_beginning;
// TW_ERR_MISMATCH on a difference, and where one party's result would be lost. *stopped: either party was asked to end.
// *done: both have the same run's result.
tw_status tw_beginning_agree(tw_channel *channel, const tw_beginning *mine, bool *stopped, bool *done);

// Whether both have a result of this input that was not there when they looked first, of one run: other processes have
// made it since. known: the run that was there then, or "". TW_ERR_MISMATCH where only one has, unless the run may
// replace it.
tw_status tw_earlier_made(tw_channel *channel, const tw_earlier *now, const tw_id *known, bool replace, bool *made);

// TW_ERR_IO where a run is at work on these parts. Party 0 alone knows that, and tells the other one.
tw_status tw_earlier_idle(const char *name, int party, const tw_id *input_id, const tw_digest *plan, int rows);
// Parts that nobody needs any more; a folder that stays is told of.
void tw_earlier_remove(const char *name, int party, const tw_listener *listener);
// Of a run that does not begin with what is there. TW_ERR_IO: there are parts.
tw_status tw_earlier_refuse(const char *name, int party);

#endif
