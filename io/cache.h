// NAME.cache.pR.h5: a party's shares of the keys and values of all rows that a conversation has so far, which a later
// turn reads once. What it holds is as secret as the party's other shares.
#ifndef TW_CACHE_H
#define TW_CACHE_H

#include "io/ledger.h"

typedef struct {
  tw_conversation_turn turn;  // that left it
  tw_id model_id, input_id;
  tw_digest plan;
  int party, count;  // sequences
  size_t each;       // elements of a sequence
  int *rows;         // [count] that live
  uint64_t *share;   // [count][each], each mod the ring that the plan has for it; NULL: not read yet
} tw_cache;

// A file's name and room, taken before the run that makes it, from count and each; TW_ERR_IO where it is there.
typedef struct tw_cache_claim tw_cache_claim;
tw_status tw_cache_begin(const char *path, const tw_cache *shape, bool replace, tw_cache_claim **out);
tw_status tw_cache_fill(tw_cache_claim *place, const tw_cache *cache);  // after a failure, release
tw_status tw_cache_commit(tw_cache_claim *place);                       // ends `place`
void tw_cache_release(tw_cache_claim *place);                           // nothing of it remains; may be NULL

// All but the shares. Free with tw_cache_free.
tw_status tw_cache_look(const char *path, int party, tw_cache *cache);
// The shares, into tw_share_alloc's memory [count][each] of the caller.
tw_status tw_cache_read(const char *path, const tw_cache *cache, uint64_t *share);
void tw_cache_free(tw_cache *cache);  // wipes

#endif
