#include "io/key_store.h"

#include <stdlib.h>

#include "base/memory.h"
#include "io/keys_layout.h"

typedef struct {
  tw_keys *keys;
  tw_key_stream **streams;
  size_t taken;
} file_store;

static const tw_keys_info *file_info(void *state) { return tw_keys_get_info(((file_store *)state)->keys); }
static tw_status file_survey(void *state, uint64_t *live) { return tw_keys_survey(((file_store *)state)->keys, live); }
static tw_status file_check(void *state, const tw_id *ledger, bool *recorded) {
  return tw_keys_check_ledger(((file_store *)state)->keys, ledger, recorded);
}
static tw_status file_record(void *state, const tw_id *ledger) {
  return tw_keys_record_ledger(((file_store *)state)->keys, ledger);
}
static tw_status file_seed(void *state, uint64_t slot, uint8_t seed[32]) {
  return tw_keys_seed(((file_store *)state)->keys, slot, seed);
}
static tw_status file_erase(void *state, const uint64_t *slots, size_t n) {
  return tw_keys_erase_seeds(((file_store *)state)->keys, slots, n);
}

static void let_go(file_store *f) {
  for (size_t i = 0; i < f->taken; i++) tw_key_stream_destroy(f->streams[i]);
  tw_free(f->streams);
  f->streams = NULL;
  f->taken = 0;
}

static tw_status file_take(void *state, const uint64_t *slots, size_t n) {
  file_store *f = state;
  void *memory;
  let_go(f);
  TW_TRY(tw_alloc(n * sizeof *f->streams, &memory));
  f->streams = memory;
  for (; f->taken < n; f->taken++) TW_TRY(tw_key_stream_create(f->keys, slots[f->taken], &f->streams[f->taken]));
  return TW_OK;
}

static tw_status file_chunk(void *state, int i, uint64_t number, void *dst) {
  return tw_key_stream_chunk(((file_store *)state)->streams[i], number, dst);
}

static void file_close(void *state) {
  file_store *f = state;
  let_go(f);
  tw_keys_close(f->keys);
  free(f);
}

tw_status tw_key_store_open(const char *path, int party, tw_key_store *out) {
  *out = (tw_key_store){0};
  file_store *f = calloc(1, sizeof *f);
  if (!f) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  tw_status status = tw_keys_open(path, party, &f->keys);
  if (status != TW_OK) {
    free(f);
    return status;
  }
  *out = (tw_key_store){.state = f,
                        .path = f->keys->path,
                        .info = file_info,
                        .survey = file_survey,
                        .check_ledger = file_check,
                        .record_ledger = file_record,
                        .seed = file_seed,
                        .erase = file_erase,
                        .take = file_take,
                        .chunk = file_chunk,
                        .close = file_close};
  return TW_OK;
}
