// The dealer: one-time keys for COUNT inferences, half of the corrections to each party, streamed to disk.
#ifndef TW_DEAL_H
#define TW_DEAL_H

#include "io/keys.h"
#include "io/model.h"
#include "jobs/engine/engine.h"
#include "jobs/parties/model_masks.h"

typedef struct {
  const char *path[2];  // key files of party 0 and party 1
  uint64_t count;       // slots
  bool test;            // both seeds derive from test_seed; the files say TEST
  uint64_t test_seed;
  tw_device_kind device;                           // not AUTO: the caller chose (tw_device_choose)
  void (*progress)(void *state, double fraction);  // may be NULL
  void *progress_state;
} tw_deal_options;

// Bytes of both files together, before dealing.
uint64_t tw_deal_bytes(const tw_plan *plan, uint64_t count);

// Seeds come from the OS, one per party and slot. Nothing is left under the final names on failure.
tw_status tw_deal(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *options, tw_id *key_id);

// One slot's corrections on the CPU, handed to the two sinks in order of use. Several threads may share the masks.
tw_status tw_deal_slot(const tw_plan *plan, const tw_model_masks *masks, const tw_seed seed[2], uint64_t slot,
                       const tw_sink sink[2], void (*progress)(void *state, double fraction), void *progress_state);

// The session of one slot, for who walks several side by side (tw_session_level). slot and seeds stay as long as it.
tw_status tw_deal_session(const tw_plan *plan, const tw_model_masks *masks, const tw_seed *const seed[2],
                          const uint64_t *slot, const tw_sink sink[2], tw_session *out);

// A sink's append into memory; state: a `uint8_t *`, which moves on.
tw_status tw_deal_to_memory(void *state, const void *data, size_t bytes);

// TEST keys: the seed of (party, slot) for a test number.
void tw_deal_test_seed(uint64_t number, int party, uint64_t slot, tw_seed *out);

#endif
