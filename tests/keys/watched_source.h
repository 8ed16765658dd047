// Keys in memory, as a source that watches its readers.
#ifndef TW_TEST_WATCHED_SOURCE_H
#define TW_TEST_WATCHED_SOURCE_H

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/key_source.h"
#include "tests/common/suite.h"

enum { BATCH = 3, CHUNKS = 23 };
static const uint64_t slot_bytes = (CHUNKS - 1) * (uint64_t)TW_KEY_CHUNK + 4321 * 64;

typedef struct {
  uint8_t *slot[BATCH];
  int batch;
  int bad_sequence;    // -1: none is bad
  uint64_t bad_chunk;  // fails, after some of it was written
  bool slow;
  int reading;               // calls under way
  uint64_t furthest[BATCH];  // chunks begun
  bool closed, read_when_closed;
} memory_source;

static inline uint64_t chunk_size(uint64_t number) {
  uint64_t left = slot_bytes - number * TW_KEY_CHUNK;
  return left < TW_KEY_CHUNK ? left : TW_KEY_CHUNK;
}

static inline void note_furthest(memory_source *s, int b, uint64_t number) {
  uint64_t seen = __atomic_load_n(&s->furthest[b], __ATOMIC_SEQ_CST);
  while (seen < number + 1 &&
         !__atomic_compare_exchange_n(&s->furthest[b], &seen, number + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    continue;
}

static inline uint64_t begun(memory_source *s, int b) { return __atomic_load_n(&s->furthest[b], __ATOMIC_SEQ_CST); }

static inline tw_status memory_chunk(void *state, int b, uint64_t number, void *dst) {
  memory_source *s = state;
  __atomic_fetch_add(&s->reading, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&s->closed, __ATOMIC_SEQ_CST)) s->read_when_closed = true;
  note_furthest(s, b, number);
  if (s->slow) usleep(200 + randombytes_uniform(2000));
  bool bad = b == s->bad_sequence && number == s->bad_chunk;
  memcpy(dst, s->slot[b] + number * TW_KEY_CHUNK, bad ? 1000 : chunk_size(number));
  __atomic_fetch_sub(&s->reading, 1, __ATOMIC_SEQ_CST);
  return bad ? tw_fail(TW_ERR_FORMAT, "slot %d, chunk %d: bad", b, (int)number) : TW_OK;
}

static inline const uint8_t *memory_slot(void *state, int b) { return ((memory_source *)state)->slot[b]; }

// Fast: the system's own random bytes are not.
static inline void fill_randomly(uint8_t *data) {
  uint8_t seed[randombytes_SEEDBYTES];
  randombytes_buf(seed, sizeof seed);
  randombytes_buf_deterministic(data, slot_bytes, seed);
}

static inline void fresh_source(memory_source *s, int batch) {
  *s = (memory_source){.batch = batch, .bad_sequence = -1};
  for (int b = 0; b < batch; b++) {
    void *memory;
    CU_ASSERT_EQUAL_FATAL(tw_alloc(slot_bytes, &memory), TW_OK);
    s->slot[b] = memory;
    fill_randomly(s->slot[b]);
  }
}

static inline void new_bytes(memory_source *s) {
  for (int b = 0; b < s->batch; b++) {
    fill_randomly(s->slot[b]);
    s->furthest[b] = 0;
  }
}

static inline void free_source(memory_source *s) {
  for (int b = 0; b < s->batch; b++) tw_free(s->slot[b]);
}

static inline tw_key_source as_source(memory_source *s) {
  return (tw_key_source){.state = s, .chunk = memory_chunk, .slot = memory_slot};
}

#endif
