// Engines of two parties over a loopback channel, each in a thread of its own, and the keys that both read from memory.
#ifndef TW_TEST_ENGINE_PAIR_H
#define TW_TEST_ENGINE_PAIR_H

#include "jobs/parties/deal.h"

// A batch's slots 0, 1, .. as they were dealt, from fresh seeds.
typedef struct {
  tw_seed *seeds;  // [batch]
  uint8_t *keys;   // [batch][slot_bytes]
  size_t slot_bytes;
} dealt_half;
typedef struct {
  uint64_t *slots;   // [batch] their numbers
  dealt_half of[2];  // of each party
} dealt_keys;

// Asserts that it succeeds; free with dealt_keys_free.
void dealt_keys_make(dealt_keys *d, const tw_plan *plan, const tw_model_dealer *dealer, int batch);
tw_key_source dealt_keys_source(dealt_keys *d, int party);
void dealt_keys_free(dealt_keys *d);

// What one party does: makes its engine, which is destroyed afterwards, and has it compute.
typedef tw_status engine_pair_work(void *state, tw_channel *channel, tw_engine **engine);
typedef struct {
  tw_status status;
  char message[300];  // of a failure
} engine_pair_end;

void engine_pair_run(engine_pair_work *work, void *const state[2], engine_pair_end end[2]);
// The same, and asserts that both succeed; a failure is printed.
void engine_pair_run_well(engine_pair_work *work, void *const state[2]);

#endif
