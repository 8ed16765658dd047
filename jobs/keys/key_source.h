// Where a batch's keys (corrections) lie before they are used. The caller of an engine brings them; the engine's feed
// (jobs/keys/feed_cpu.h, jobs/keys/feed_gpu.h) moves them to the gates.
#ifndef TW_KEY_SOURCE_H
#define TW_KEY_SOURCE_H

#include <stdint.h>

#include "base/status.h"

typedef enum {
  TW_KEYS_FILE,     // read and checked in chunks, by reader threads, while gates run
  TW_KEYS_MEMORY,   // whole slots in host memory, page-locked for a GPU: read in place
  TW_KEYS_RESIDENT  // whole slots in the GPU's memory
} tw_key_location;

// Must stay until the online phase has ended.
typedef struct {
  void *state;
  // FILE: chunk `number` (TW_KEY_CHUNK bytes, the slot's last one fewer) of sequence b, complete and verified, into
  // `dst`; any thread, several at once, any order.
  tw_status (*chunk)(void *state, int b, uint64_t number, void *dst);
  // MEMORY, RESIDENT: the slot of sequence b, 64-byte aligned.
  const uint8_t *(*slot)(void *state, int b);
} tw_key_source;

#endif
