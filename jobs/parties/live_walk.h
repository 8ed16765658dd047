// The slots of one run, dealt on the CPU while both parties take them: a thread walks the sequences' sessions level by
// level, side by side, and each party's corrections wait in a queue a sequence, in pieces of a chunk.
//
// The thread goes on while either party has little to take. So a party that is ahead never waits for one that is
// behind; and since the parties are never more than a level apart, neither queue grows much.
#ifndef TW_LIVE_WALK_H
#define TW_LIVE_WALK_H

#include "jobs/parties/live_piece.h"
#include "jobs/parties/model_masks.h"
#include "jobs/plan/plan.h"

typedef struct tw_live_walk tw_live_walk;

// seeds [2][count], by party; they, plan and masks stay until tw_live_walk_destroy.
tw_status tw_live_walk_start(const tw_plan *plan, const tw_model_masks *masks, const tw_seed *seeds, uint64_t first,
                             int count, tw_live_walk **out);
// Piece `number` of this party's queue of this sequence, or *out = NULL after a tenth of a second: so that the caller
// can look around. Several threads may take from one queue, each its own numbers. Free with tw_live_piece_free. Fails
// for both parties once dealing has.
tw_status tw_live_walk_next(tw_live_walk *d, int party, int sequence, uint64_t number, tw_live_piece **out);
void tw_live_piece_free(tw_live_piece *p);  // wipes
// Dealing ends soon, and whoever takes gets this status and message.
void tw_live_walk_stop(tw_live_walk *d, tw_status status, const char *message);
void tw_live_walk_destroy(tw_live_walk *d);  // stops; wipes

#endif
