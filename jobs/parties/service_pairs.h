// Which inputs the queues of two services both have. Each party looks into its own; they tell each other by digests of
// names what waits there, and what they have refused. No name comes from the other party.
#ifndef TW_SERVICE_PAIRS_H
#define TW_SERVICE_PAIRS_H

#include "comm/channel.h"
#include "io/queue.h"

enum { TW_SERVICE_PAIRS_REMEMBERED = 256 };  // refusals that are told later, or whose other share may still come

// In place of a name.
typedef struct {
  uint8_t bytes[16];
} tw_service_pairs_tag;

// The last ones; the oldest goes first.
typedef struct {
  tw_service_pairs_tag tags[TW_SERVICE_PAIRS_REMEMBERED];
  uint64_t count;
} tw_service_pairs_list;

typedef struct {
  tw_queue *queue;
  tw_channel *channel;
  double seconds;                       // for which an input waits for its other share
  tw_service_pairs_list refused, told;  // own, zeros at first: by this party; by the other one
  uint64_t sent;                        // own: of `refused`
  bool signalled;                       // found: *stop comes from a signal
} tw_service_pairs;

// The queue has refused `name`: the other party will hear of it.
void tw_service_pairs_refused(tw_service_pairs *p, const char *name);
// Both parties, one turn: looks, and finds at most `most` inputs that both have, oldest first by party 0's order. What
// waits for too long, and what the other party has refused, is refused. *stop: on either party, by its file or by a
// signal that asks for an end. A failure of one is a failure of both; found: one from before.
tw_status tw_service_pairs_meet(tw_service_pairs *p, tw_status found, int most, char (*names)[TW_QUEUE_NAME],
                                int *count, bool *stop);

#endif
