// The slots of one run, dealt while both parties take them: a thread walks the sequences' sessions level by level, side
// by side, and each party's corrections wait in a queue a sequence, in pieces of a chunk. Nothing is written to a disk.
//
// The thread goes on while either party has little to take. So a party that is ahead never waits for one that is
// behind; and since the parties are never more than a level apart, neither queue grows much.
#ifndef TW_LIVE_DEAL_H
#define TW_LIVE_DEAL_H

#include "jobs/parties/live_words.h"
#include "jobs/parties/model_masks.h"
#include "jobs/plan/plan.h"

typedef struct tw_live_deal tw_live_deal;

// A chunk with its head, as it goes over the line; bytes: of both together.
typedef struct tw_live_piece tw_live_piece;
struct tw_live_piece {
  tw_live_piece *next;
  size_t bytes;
  struct {
    tw_live_head head;
    uint8_t data[TW_KEY_CHUNK];
  } sent;
};

// seeds [2][count], by party; they, plan and masks stay until tw_live_deal_destroy.
tw_status tw_live_deal_start(const tw_plan *plan, const tw_model_masks *masks, const tw_seed *seeds, uint64_t first,
                             int count, tw_live_deal **out);
// The next piece of this party's queue of this sequence, or *out = NULL after a tenth of a second: so that the caller
// can look around. Free with tw_live_piece_free. Fails for both parties once dealing has.
tw_status tw_live_deal_next(tw_live_deal *d, int party, int sequence, tw_live_piece **out);
void tw_live_piece_free(tw_live_piece *p);  // wipes
// Dealing ends soon, and whoever takes gets this status and message.
void tw_live_deal_stop(tw_live_deal *d, tw_status status, const char *message);
void tw_live_deal_destroy(tw_live_deal *d);  // stops; wipes

#endif
