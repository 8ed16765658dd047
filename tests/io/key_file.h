// A key file of a test's own, and whether what is read of it is what was written.
#ifndef TW_TEST_KEY_FILE_H
#define TW_TEST_KEY_FILE_H

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/keys.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { SLOTS = 3, INDEX = 5, CHUNKS = 3 };
static const size_t slot_bytes = 2 * TW_KEY_CHUNK + 777 * 64;

static uint8_t *corrections[SLOTS];
static uint8_t seeds[SLOTS][32];
static tw_key_index_entry entries[INDEX];
static tw_keys_info info;

static inline void fresh(int party) {
  info =
      (tw_keys_info){.party = party, .count = SLOTS, .slot_bytes = slot_bytes, .index_count = INDEX, .index = entries};
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(&info, sizeof info, &info.plan);
  randombytes_buf(entries, sizeof entries);
  for (int i = 0; i < INDEX; i++) entries[i].offset = 64 * (uint64_t)randombytes_uniform(1000);
  randombytes_buf(seeds, sizeof seeds);
  for (int i = 0; i < SLOTS; i++) randombytes_buf(corrections[i], slot_bytes);
}

static inline tw_status append_parts(tw_keys_writer *w, const uint8_t *data) {
  for (size_t at = 0; at < slot_bytes;) {
    size_t part = randombytes_uniform(3) ? randombytes_uniform(5000) : randombytes_uniform(2 * TW_KEY_CHUNK);
    if (part > slot_bytes - at) part = slot_bytes - at;
    TW_TRY(tw_keys_append(w, data + at, part));
    at += part;
  }
  return TW_OK;
}

// Slots are written in an order of their own.
static inline tw_status write_file(const char *path) {
  tw_keys_writer *w;
  TW_TRY(tw_keys_create(path, &info, &w));
  static const uint64_t order[SLOTS] = {1, 0, 2};
  for (int i = 0; i < SLOTS; i++) {
    tw_status status = tw_keys_begin_slot(w, order[i], seeds[order[i]]);
    if (status == TW_OK) status = append_parts(w, corrections[order[i]]);
    if (status == TW_OK) status = tw_keys_end_slot(w);
    if (status != TW_OK) {
      tw_keys_abort(w);
      return status;
    }
  }
  return tw_keys_commit(w);
}

static inline bool same_header(const tw_keys_info *a) {
  return a->party == info.party && !strcmp(a->key_id.hex, info.key_id.hex) &&
         !strcmp(a->model_id.hex, info.model_id.hex) && !strcmp(a->plan.hex, info.plan.hex) && a->test == info.test &&
         a->count == info.count && a->slot_bytes == info.slot_bytes && a->index_count == info.index_count &&
         !memcmp(a->index, entries, sizeof entries);
}

static inline bool is_chunk(const uint8_t *block, uint64_t slot, uint64_t number) {
  size_t at = (size_t)number * TW_KEY_CHUNK, part = slot_bytes - at < TW_KEY_CHUNK ? slot_bytes - at : TW_KEY_CHUNK;
  return memcmp(block, corrections[slot] + at, part) == 0;
}

// Reads everything; *same tells whether what was handed out is what was written.
static inline tw_status read_file(const char *path, bool *same) {
  tw_keys *keys;
  static uint8_t block[TW_KEY_CHUNK];
  *same = true;
  TW_TRY(tw_keys_open(path, info.party, &keys));
  *same = same_header(tw_keys_get_info(keys));
  tw_status status = TW_OK;
  for (uint64_t s = 0; s < SLOTS && status == TW_OK; s++) {
    uint8_t seed[32];
    tw_key_stream *stream = NULL;
    status = tw_keys_seed(keys, s, seed);
    if (status == TW_OK && memcmp(seed, seeds[s], 32)) *same = false;
    if (status == TW_OK) status = tw_key_stream_create(keys, s, &stream);
    for (uint64_t c = 0; status == TW_OK && c < CHUNKS; c++) {
      status = tw_key_stream_chunk(stream, c, block);
      if (status == TW_OK && !is_chunk(block, s, c)) *same = false;
    }
    tw_key_stream_destroy(stream);
  }
  tw_keys_close(keys);
  return status;
}

static inline void copy_file(const char *from, const char *to) {
  char command[400];
  snprintf(command, sizeof command, "cp -p %s %s", from, to);
  CU_ASSERT_EQUAL(system(command), 0);
}

static inline int set_up(void) {
  for (int i = 0; i < SLOTS; i++) corrections[i] = malloc(slot_bytes);
  return scratch_open();
}

static inline int tear_down(void) {
  for (int i = 0; i < SLOTS; i++) free(corrections[i]);
  return scratch_close();
}

#endif
