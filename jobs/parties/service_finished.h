// Results that both parties have, or neither. A party delivers a result when it knows that the other one has finished
// its own, on the disk; until then it lies in OUT under a name that no client takes. A party that dies in between finds
// it there when it begins again, and both settle what becomes of it.
#ifndef TW_SERVICE_FINISHED_H
#define TW_SERVICE_FINISHED_H

#include "comm/channel.h"
#include "io/ledger.h"
#include "io/queue.h"
#include "io/result.h"
#include "jobs/parties/conversation_files.h"

typedef struct {
  tw_queue *queue;
  tw_channel *channel;
  void (*say)(void *state, const char *text);  // of each result that is settled; may be NULL
  void *state;
} tw_service_finished;

// One result of a run.
typedef struct {
  const char *name;
  tw_conversation_files *conversation;  // kept before the result is delivered
  char reason[TW_QUEUE_REASON];         // why it is refused, or ""
  bool delivered, refused;
} tw_service_result;

// Both parties: one run's results are finished (TW_OK in `found`), of the same run with the same transcript and key
// slots (`all`); then they are delivered, but for what either cannot seal to its client, which is refused on both. A
// failure of one before that is a failure of both: what is finished waits for the next service, or, where the parties
// differ (TW_ERR_MISMATCH), is removed. After TW_ERR_PEER the other one may have delivered. A result that cannot be
// delivered leaves the others theirs; the first such failure is returned, and what it concerns is finished still.
tw_status tw_service_finished_deliver(const tw_service_finished *f, const tw_ledger *ledger, tw_status found,
                                      const tw_result_share *all, tw_service_result *results, int count);

// Both parties, before anything is served: what either finished and did not deliver is delivered if the other one has
// its part, finished or delivered. What the other one still has to compute is removed here and is computed again by
// both. What the other one refused, or finished of another run, is refused; so is, on both, what either cannot seal to
// its client. What the other one knows nothing of is delivered: its result was there, and was taken away. Uses no key
// slot. A failure of one is a failure of both.
tw_status tw_service_finished_settle(const tw_service_finished *f);

#endif
