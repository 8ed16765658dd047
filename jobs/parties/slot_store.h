// Slots dealt whole: into the memory of a GPU, from where the connections of both parties take them in chunks, each at
// its own pace. What a party has not taken costs GPU memory alone, and holds up nobody. The CPU can do the same in host
// memory.
//
// In a place: both halves of one slot. On the way out: a few pieces in page-locked memory for each connection.
#ifndef TW_SLOT_STORE_H
#define TW_SLOT_STORE_H

#include "jobs/engine/engine.h"
#include "jobs/parties/live_piece.h"
#include "jobs/parties/model_masks.h"
#include "jobs/plan/plan.h"

enum { TW_STAGING_MOST = 16 };

typedef struct tw_slot_store tw_slot_store;
typedef struct tw_slot_place tw_slot_place;
typedef struct tw_slot_staging tw_slot_staging;

// masks: the CPU's. room: most slots at once; 0: as many as half of the GPU's free memory holds. The GPU was selected
// by the caller. plan, dealer and masks stay as long as it.
tw_status tw_slot_store_create(const tw_plan *plan, const tw_model_dealer *dealer, const tw_model_masks *masks,
                               tw_device_kind device, int room, tw_slot_store **out);
void tw_slot_store_destroy(tw_slot_store *s);  // when all was given back; wipes
int tw_slot_store_room(const tw_slot_store *s);

// Places for `count` slots, all of them or none. False: there is no room now; nobody waits for it.
bool tw_slot_store_take(tw_slot_store *s, int count, tw_slot_place **places);
void tw_slot_store_give_back(tw_slot_store *s, int count, tw_slot_place **places);  // wipes; NULLs among them or not
// Any thread; one slot after the other, in the order of the calls.
tw_status tw_slot_store_deal(tw_slot_store *s, const tw_seed *const seed[2], uint64_t slot, tw_slot_place *place);

// Pieces of one connection. memory: the caller's, `depth` pieces, page-locked and known to the GPU; NULL: the store's.
tw_status tw_slot_staging_take(tw_slot_store *s, tw_live_piece *const *memory, int depth, tw_slot_staging **out);
void tw_slot_staging_give_back(tw_slot_store *s, tw_slot_staging *g);  // wipes what is the store's
int tw_slot_staging_depth(const tw_slot_staging *g);
// Begins to copy a chunk of a party's half into piece `at`; waits until it is there.
tw_status tw_slot_copy_begin(tw_slot_staging *g, int at, const tw_slot_place *place, int party, uint64_t number);
tw_status tw_slot_copy_end(tw_slot_staging *g, int at, tw_live_piece **piece);

#endif
