// Which key slots a run takes, and that nobody else gets them: the ledger's lock, the choice, marks and erased seeds.
#ifndef TW_SLOTS_H
#define TW_SLOTS_H

#include "comm/channel.h"
#include "io/key_store.h"
#include "io/ledger.h"
#include "kernels/prg.h"

typedef struct {
  // given
  tw_channel *channel;
  const tw_key_store *keys;  // both parties' of one dealing, and plan and input agreed
  const tw_ledger *ledger;
  int count;           // slots needed
  int64_t first_slot;  // of a row; -1: any that are free on both parties
  // [count]: each of these where it is free, and the last free ones in the place of those that are not; the same on
  // both parties, without first_slot. NULL: none is wished for
  const uint64_t *wished;
  // found
  tw_id ledgers[2];  // of parties 0 and 1
  // own
  int party, lock;
  uint64_t *marked, *open;  // bit s: slot s is marked in the ledger; is neither marked nor erased
} tw_slots;

// What party `party` can see alone, before the other one is there: its ledger is the key file's, and `count` slots are
// left, or those from first_slot on. Locks, marks and erases nothing. TW_ERR_USED where too few are left.
tw_status tw_slots_look(const tw_key_store *keys, const tw_ledger *ledger, int party, int count, int64_t first_slot);
// On both parties at once. Takes the ledgers' locks, party 0's first, checks that key files, ledgers and parties belong
// together, erases what a killed run left of marked slots' seeds, and finds the first `count` slots that are free on
// both parties. Fails on both parties or on none; release it in any case.
tw_status tw_slots_choose(tw_slots *s, uint64_t *slots);
// Both parties: the first slots that are free on both, or those from first_slot on, as tw_slots_choose would find them
// now. Without the locks, so another run may take them first. Marks and erases nothing.
tw_status tw_slots_survey(tw_slots *s, uint64_t *slots);
// Both parties: how many are free on both. count is 1, first_slot -1. Without the locks; marks and erases nothing.
tw_status tw_slots_count(tw_slots *s, uint64_t *count);
// The same of this party alone.
tw_status tw_slots_left(const tw_key_store *keys, const tw_ledger *ledger, int party, uint64_t *left);
// This party's part: ledgers recorded (in the key file, and the other party's in this one), seeds into memory, slots
// marked, taken from the store, seeds erased, in this order. To be acknowledged by both parties before anything masked
// is sent.
tw_status tw_slots_burn(tw_slots *s, const uint64_t *slots, const char *note, tw_seed *seeds);
// Ends the lock.
void tw_slots_release(tw_slots *s);

#endif
