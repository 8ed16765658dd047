// Where a run's one-time keys come from: a key file (tw_key_store_open), or a live dealer (jobs/parties/live_keys.h).
// Whoever else can tell what it holds, hand out a slot's seed once, forget it durably and deliver a slot's chunks can
// stand here, too.
//
// In order: reserve, where there is one; info, check_ledger, survey; then, under the ledger's lock, record_ledger,
// seed, take, erase; then chunk, from any thread. The rules about slots and ledgers (docs/security.md) are kept by who
// calls (jobs/parties/slots.h).
#ifndef TW_KEY_STORE_H
#define TW_KEY_STORE_H

#include "io/keys.h"

typedef struct {
  void *state;
  const char *path;  // of a key file, for messages; NULL: of no file
  // NULL: the parties choose among the slots that are left. Else the store does, for a run by whose number (32 bytes)
  // both parties' stores know it: `count` slots from *first on. Before it info has no key id.
  tw_status (*reserve)(void *state, const uint8_t run[32], int count, uint64_t *first);
  const tw_keys_info *(*info)(void *state);
  // Bit s of live[s / 64]: something is left of slot s's seed. [ceil(count / 64)]
  tw_status (*survey)(void *state, uint64_t *live);
  // As tw_keys_check_ledger and tw_keys_record_ledger.
  tw_status (*check_ledger)(void *state, const tw_id *ledger, bool *recorded);
  tw_status (*record_ledger)(void *state, const tw_id *ledger);
  // TW_ERR_USED when it has been erased.
  tw_status (*seed)(void *state, uint64_t slot, uint8_t seed[32]);
  // Durably.
  tw_status (*erase)(void *state, const uint64_t *slots, size_t n);
  // The slots whose corrections this run reads, once. Those of a run before are let go: it must have ended.
  tw_status (*take)(void *state, const uint64_t *slots, size_t n);
  // Chunk `number` (TW_KEY_CHUNK bytes, the slot's last one fewer) of the i-th slot taken, checked before it is handed
  // over; any thread, several at once, any order.
  tw_status (*chunk)(void *state, int i, uint64_t number, void *dst);
  void (*close)(void *state);
} tw_key_store;

// A key file (io/keys.h).
tw_status tw_key_store_open(const char *path, int party, tw_key_store *out);
// Also of a store that was never opened (all zeros).
static inline void tw_key_store_close(tw_key_store *s) {
  if (s->close) s->close(s->state);
  *s = (tw_key_store){0};
}
static inline const tw_keys_info *tw_key_store_info(const tw_key_store *s) { return s->info(s->state); }

#endif
