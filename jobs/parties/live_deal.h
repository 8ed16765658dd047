// The slots of one run, dealt while both parties take them. Nothing is written to a disk.
//
// Whole, into the memory of a GPU (slot_store.h), where there is a store and room in it for all of the run's slots;
// else on the CPU, level by level (live_walk.h). The bytes are the same.
#ifndef TW_LIVE_DEAL_H
#define TW_LIVE_DEAL_H

#include "jobs/parties/live_walk.h"
#include "jobs/parties/slot_store.h"

// What makes the slots of all runs; borrowed.
typedef struct {
  const tw_plan *plan;
  const tw_model_masks *masks;  // the CPU's
  tw_slot_store *store;         // NULL: every run is dealt level by level
} tw_live_maker;

typedef struct tw_live_deal tw_live_deal;

// seeds [2][count], by party; they and what the maker has stay until tw_live_deal_destroy.
tw_status tw_live_deal_start(const tw_live_maker *maker, const tw_seed *seeds, uint64_t first, int count,
                             tw_live_deal **out);
// Dealing ends soon, and whoever takes gets this status and message.
void tw_live_deal_stop(tw_live_deal *d, tw_status status, const char *message);
void tw_live_deal_destroy(tw_live_deal *d);  // when all taps are closed; stops; wipes

// Where one connection takes: of the party's chunks - chunk 0 of all slots, chunk 1 of all, ... - every streams-th from
// number `stream` on. One thread.
typedef struct tw_live_tap tw_live_tap;
// memory: `depth` pieces (2 to TW_STAGING_MOST) that are filled in turn; NULL: the tap has its own.
tw_status tw_live_tap_open(tw_live_deal *d, int party, int stream, int streams, tw_live_piece *const *memory, int depth,
                           tw_live_tap **out);
bool tw_live_tap_ended(const tw_live_tap *t);  // all were given
// The next piece, until the call that is `kept` + 1 calls later; *out = NULL after a tenth of a second: so that the
// caller can look around. kept: fewer than depth.
tw_status tw_live_tap_next(tw_live_tap *t, int kept, tw_live_piece **out);
void tw_live_tap_close(tw_live_tap *t);  // or NULL

#endif
