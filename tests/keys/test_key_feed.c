// The host's feed from a key file hands out what the file holds; a chunk that is damaged or cut off is never handed out
// as keys, and whoever waits for it is told.
#define _GNU_SOURCE
#include <stdio.h>

#include "jobs/keys/feed_cpu.h"
#include "tests/common/scratch.h"
#include "tests/keys/watched_source.h"

typedef struct {
  tw_keys *keys;
  tw_key_stream *stream[BATCH];
} file_source;

static tw_status file_chunk(void *state, int b, uint64_t number, void *dst) {
  return tw_key_stream_chunk(((file_source *)state)->stream[b], number, dst);
}

static void write_file(const char *path, memory_source *s) {
  tw_key_index_entry entry = {0};
  tw_keys_info info = {.count = BATCH, .slot_bytes = slot_bytes, .index_count = 1, .index = &entry};
  tw_keys_writer *w;
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(&info, sizeof info, &info.plan);
  CU_ASSERT_EQUAL_FATAL(tw_keys_create(path, &info, &w), TW_OK);
  for (uint64_t b = 0; b < BATCH; b++) {
    uint8_t seed[32];
    randombytes_buf(seed, sizeof seed);
    CU_ASSERT_EQUAL(tw_keys_begin_slot(w, b, seed), TW_OK);
    CU_ASSERT_EQUAL(tw_keys_append(w, s->slot[b], slot_bytes), TW_OK);
    CU_ASSERT_EQUAL(tw_keys_end_slot(w), TW_OK);
  }
  CU_ASSERT_EQUAL_FATAL(tw_keys_commit(w), TW_OK);
}

static void open_file(const char *path, file_source *f) {
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &f->keys), TW_OK);
  for (int b = 0; b < BATCH; b++)
    CU_ASSERT_EQUAL_FATAL(tw_key_stream_create(f->keys, (uint64_t)b, &f->stream[b]), TW_OK);
}

static void close_file(file_source *f) {
  for (int b = 0; b < BATCH; b++) tw_key_stream_destroy(f->stream[b]);
  tw_keys_close(f->keys);
}

// As gates take keys: some bytes of every sequence, again and again. The first failure, or whether all bytes were as
// written; *good: bytes of the first sequence that were.
static tw_status take_all(tw_correction_reader source, memory_source *s, uint64_t *good) {
  static uint8_t block[5 * TW_KEY_CHUNK];
  for (*good = 0; *good < slot_bytes;) {
    uint64_t bytes = randombytes_uniform(3) ? 64 * (uint64_t)randombytes_uniform(3000) : sizeof block, at = *good;
    if (bytes > slot_bytes - at) bytes = slot_bytes - at;
    for (int b = 0; b < BATCH; b++) {
      const uint8_t *data = block;
      if (source.window)
        TW_TRY(source.window(source.state, b, bytes, &data));
      else
        TW_TRY(source.read(source.state, b, block, bytes));
      if (memcmp(data, s->slot[b] + at, bytes)) return tw_fail(TW_ERR_CHECK, "other bytes than were written");
    }
    *good += bytes;
  }
  return TW_OK;
}

static void test_host_feed(void) {
  memory_source s;
  uint64_t good;
  fresh_source(&s, BATCH);
  for (int place = TW_KEYS_FILE; place <= TW_KEYS_MEMORY; place++) {
    tw_host_feed *feed;
    CU_ASSERT_EQUAL_FATAL(tw_host_feed_create(slot_bytes, BATCH, (tw_key_location)place, &feed), TW_OK);
    for (int job = 0; job < 4; job++) {
      tw_key_source source = as_source(&s);
      new_bytes(&s);
      s.slow = job == 3;
      CU_ASSERT_EQUAL(tw_host_feed_load(feed, &source), TW_OK);
      tw_correction_reader taken = tw_host_feed_source(feed, 0);
      CU_ASSERT_EQUAL(take_all(taken, &s, &good), TW_OK);
      if (s.slow && place == TW_KEYS_FILE) CU_ASSERT(tw_host_feed_wait_ns(feed) > 0);
      uint8_t byte;
      const uint8_t *data;
      CU_ASSERT_EQUAL(taken.window ? taken.window(taken.state, 0, 1, &data) : taken.read(taken.state, 0, &byte, 1),
                      TW_ERR_INTERNAL);
    }
    tw_host_feed_destroy(feed);
  }
  tw_host_feed *feed;
  CU_ASSERT_EQUAL(tw_host_feed_create(slot_bytes, BATCH, TW_KEYS_RESIDENT, &feed), TW_ERR_USAGE);
  free_source(&s);
}

typedef enum { SOUND, DAMAGED, CUT_OFF } fault;

static void try_file(tw_host_feed *feed, memory_source *s, fault fault) {
  char path[300];
  file_source f;
  uint64_t good, place, bytes, at = (CHUNKS / 2) * (uint64_t)TW_KEY_CHUNK;
  snprintf(path, sizeof path, "%s", in_folder("keys.h5"));
  write_file(path, s);
  place_of(path, "corrections", &place, &bytes);
  open_file(path, &f);
  if (fault == DAMAGED) flip_bit(path, place + slot_bytes + at + randombytes_uniform(TW_KEY_CHUNK), 3);
  if (fault == CUT_OFF) CU_ASSERT_EQUAL(truncate(path, (off_t)(place + slot_bytes + at + 12345)), 0);
  tw_key_source source = {.state = &f, .chunk = file_chunk};
  CU_ASSERT_EQUAL(tw_host_feed_load(feed, &source), TW_OK);
  CU_ASSERT_EQUAL(take_all(tw_host_feed_source(feed, 0), s, &good), fault == SOUND ? TW_OK : TW_ERR_FORMAT);
  CU_ASSERT(good <= (fault == SOUND ? slot_bytes : at));
  if (fault != SOUND) CU_ASSERT(message_has(path));
  if (fault == DAMAGED) {
    char range[64];
    snprintf(range, sizeof range, "slot 1, bytes %llu to %llu", (unsigned long long)at,
             (unsigned long long)(at + TW_KEY_CHUNK));
    CU_ASSERT(message_has(range) && message_has("checksum"));
  }
  if (fault == CUT_OFF) CU_ASSERT(message_has("cut off"));
  tw_host_feed_destroy(fault == SOUND ? NULL : feed);  // also while readers are at work
  close_file(&f);
  CU_ASSERT_EQUAL(unlink(path), 0);
}

static void test_files(void) {
  memory_source s;
  fresh_source(&s, BATCH);
  for (fault bad = DAMAGED; bad <= CUT_OFF; bad++) {
    tw_host_feed *feed;
    CU_ASSERT_EQUAL_FATAL(tw_host_feed_create(slot_bytes, BATCH, TW_KEYS_FILE, &feed), TW_OK);
    for (int job = 0; job < 2; job++) try_file(feed, &s, SOUND);
    try_file(feed, &s, bad);
  }
  free_source(&s);
}

// Chunks in any order, wiped when they are not what was dealt.
static void test_chunks(void) {
  static uint8_t block[TW_KEY_CHUNK];
  memory_source s;
  file_source f;
  uint64_t place, bytes;
  char path[300];
  fresh_source(&s, BATCH);
  snprintf(path, sizeof path, "%s", in_folder("chunks.h5"));
  write_file(path, &s);
  place_of(path, "corrections", &place, &bytes);
  open_file(path, &f);
  for (uint64_t i = 0; i < CHUNKS; i++) {
    uint64_t number = (i * 7) % CHUNKS;
    CU_ASSERT_EQUAL(tw_key_stream_chunk(f.stream[2], number, block), TW_OK);
    CU_ASSERT_EQUAL(memcmp(block, s.slot[2] + number * TW_KEY_CHUNK, chunk_size(number)), 0);
  }
  CU_ASSERT_EQUAL(tw_key_stream_chunk(f.stream[2], CHUNKS, block), TW_ERR_INTERNAL);
  flip_bit(path, place + 2 * slot_bytes + (CHUNKS - 1) * (uint64_t)TW_KEY_CHUNK, 0);
  CU_ASSERT_EQUAL(tw_key_stream_chunk(f.stream[2], CHUNKS - 1, block), TW_ERR_FORMAT);
  CU_ASSERT(sodium_is_zero(block, chunk_size(CHUNKS - 1)));
  close_file(&f);
  free_source(&s);
}

int main(void) {
  static const suite_test tests[] = {{"host feed", test_host_feed},
                                     {"damaged and cut off key files", test_files},
                                     {"chunks in any order", test_chunks}};
  if (sodium_init() < 0 || scratch_open() != 0) return 2;
  int status = suite_run("key feed", tests, sizeof tests / sizeof *tests);
  return scratch_close() != 0 ? 1 : status;
}
