// Results that both parties have, or neither. A party delivers a result when it knows that the other one has finished
// its own, on the disk; until then it lies in OUT under a name that no client takes. A party that dies in between finds
// it there when it begins again, and both settle what becomes of it.
#ifndef TW_SERVICE_FINISHED_H
#define TW_SERVICE_FINISHED_H

#include "comm/channel.h"
#include "io/queue.h"
#include "io/result.h"

typedef struct {
  tw_queue *queue;
  tw_channel *channel;
  void (*say)(void *state, const char *text);  // of each result that is settled; may be NULL
  void *state;
} tw_service_finished;

// Both parties: one run's results are finished (TW_OK in `found`), of the same run with the same transcript and key
// slots. A failure of one is a failure of both; after TW_ERR_PEER the other one may have delivered.
tw_status tw_service_finished_agree(tw_channel *channel, tw_status found, const tw_result_share *all);

// Both parties, before anything is served: what either finished and did not deliver is delivered if the other one has
// its part, finished or delivered. What the other one still has to compute is removed here and is computed again by
// both. What the other one refused, or finished of another run, is refused. Uses no key slot. A failure of one is a
// failure of both.
tw_status tw_service_finished_settle(const tw_service_finished *f);

#endif
