// Keys on their way to gates: reader threads, ring and host feed hand out what the source holds, in bounds, job after
// job; a chunk that is damaged, cut off or late is never handed out as keys, and whoever waits for it is told.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/feed_cpu.h"
#include "jobs/keys/key_ring.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { BATCH = 3, CHUNKS = 23 };
static const uint64_t slot_bytes = (CHUNKS - 1) * (uint64_t)TW_KEY_CHUNK + 4321 * 64;

// ---- a source in memory that watches its readers

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

static uint64_t chunk_size(uint64_t number) {
  uint64_t left = slot_bytes - number * TW_KEY_CHUNK;
  return left < TW_KEY_CHUNK ? left : TW_KEY_CHUNK;
}

static void note_furthest(memory_source *s, int b, uint64_t number) {
  uint64_t seen = __atomic_load_n(&s->furthest[b], __ATOMIC_SEQ_CST);
  while (seen < number + 1 &&
         !__atomic_compare_exchange_n(&s->furthest[b], &seen, number + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    continue;
}

static uint64_t begun(memory_source *s, int b) { return __atomic_load_n(&s->furthest[b], __ATOMIC_SEQ_CST); }

static tw_status memory_chunk(void *state, int b, uint64_t number, void *dst) {
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

static const uint8_t *memory_slot(void *state, int b) { return ((memory_source *)state)->slot[b]; }

// Fast: the system's own random bytes are not.
static void fill_randomly(uint8_t *data) {
  uint8_t seed[randombytes_SEEDBYTES];
  randombytes_buf(seed, sizeof seed);
  randombytes_buf_deterministic(data, slot_bytes, seed);
}

static void fresh_source(memory_source *s, int batch) {
  *s = (memory_source){.batch = batch, .bad_sequence = -1};
  for (int b = 0; b < batch; b++) {
    void *memory;
    CU_ASSERT_EQUAL_FATAL(tw_alloc(slot_bytes, &memory), TW_OK);
    s->slot[b] = memory;
    fill_randomly(s->slot[b]);
  }
}

static void new_bytes(memory_source *s) {
  for (int b = 0; b < s->batch; b++) {
    fill_randomly(s->slot[b]);
    s->furthest[b] = 0;
  }
}

static void free_source(memory_source *s) {
  for (int b = 0; b < s->batch; b++) tw_free(s->slot[b]);
}

static tw_key_source as_source(memory_source *s) {
  return (tw_key_source){.state = s, .chunk = memory_chunk, .slot = memory_slot};
}

// ---- a ring with the memory it works on

typedef struct {
  tw_key_ring_options o;
  tw_key_ring *ring;
  void *buffers, *words;
  uint64_t *starts;
  int blocks;
} ring_case;

static void open_ring(ring_case *c, int batch, size_t block_bytes, int depth, bool in_order, bool polled, int readers) {
  c->o = (tw_key_ring_options){.slot_bytes = slot_bytes,
                               .batch = batch,
                               .block_bytes = block_bytes,
                               .depth = depth,
                               .in_order = in_order,
                               .polled = polled,
                               .readers = readers};
  CU_ASSERT_EQUAL_FATAL(tw_alloc(tw_key_ring_buffer_bytes(&c->o), &c->buffers), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_alloc(tw_key_ring_word_bytes(&c->o), &c->words), TW_OK);
  memset(c->words, 0xEE, tw_key_ring_word_bytes(&c->o));  // page-locked memory comes with anything
  CU_ASSERT_EQUAL_FATAL(tw_key_ring_create(&c->o, c->buffers, c->words, &c->ring), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_key_blocks(slot_bytes, block_bytes, &c->starts, &c->blocks), TW_OK);
}

static void close_ring(ring_case *c) {
  tw_key_ring_destroy(c->ring);
  tw_free(c->buffers);
  tw_free(c->words);
  tw_free(c->starts);
}

static void test_blocks(void) {
  for (uint64_t bytes = 64; bytes < 70 * (uint64_t)TW_KEY_CHUNK; bytes += 64 * (1 + randombytes_uniform(40000)))
    for (size_t block = TW_KEY_CHUNK; block <= 8 * TW_KEY_CHUNK; block *= 2) {
      uint64_t *starts;
      int count;
      CU_ASSERT_EQUAL_FATAL(tw_key_blocks(bytes, block, &starts, &count), TW_OK);
      bool sound = count > 0 && starts[0] == 0 && starts[count] == bytes;
      for (int i = 0; i < count; i++)
        sound &= starts[i] % TW_KEY_CHUNK == 0 && starts[i] < starts[i + 1] && starts[i + 1] - starts[i] <= block;
      CU_ASSERT(sound);
      CU_ASSERT(starts[1] <= TW_KEY_CHUNK);  // the first gates do not wait for a large block
      tw_free(starts);
    }
}

// ---- host consumers

static bool block_is(const ring_case *c, const memory_source *s, int b, int i, const uint8_t *data) {
  return memcmp(data, s->slot[b] + c->starts[i], c->starts[i + 1] - c->starts[i]) == 0;
}

static void consume_in_order(ring_case *c, memory_source *s) {
  for (int i = 0; i < c->blocks; i++)
    for (int b = 0; b < s->batch; b++) {
      const uint8_t *data;
      uint64_t block = (uint64_t)(i * s->batch + b);
      CU_ASSERT_EQUAL_FATAL(tw_key_ring_wait(c->ring, 0, block, &data), TW_OK);
      CU_ASSERT(block_is(c, s, b, i, data));
      int last = (int)((block + (uint64_t)c->o.depth - 1) / (uint64_t)s->batch);  // slot block that may be begun now
      if (last < c->blocks) CU_ASSERT(begun(s, 0) * TW_KEY_CHUNK <= c->starts[last + 1] + TW_KEY_CHUNK - 1);
      tw_key_ring_release(c->ring, 0, block + 1);
    }
}

static void test_order_and_bounds(void) {
  memory_source s;
  fresh_source(&s, BATCH);
  for (int readers = 1; readers <= 5; readers += 2)
    for (int depth = 1; depth <= 4; depth++) {
      ring_case c;
      open_ring(&c, BATCH, 4 * TW_KEY_CHUNK, depth, true, false, readers);
      for (int job = 0; job < 3; job++) {
        tw_key_source source = as_source(&s);
        new_bytes(&s);
        CU_ASSERT_EQUAL_FATAL(tw_key_ring_start(c.ring, &source), TW_OK);
        consume_in_order(&c, &s);
        CU_ASSERT_EQUAL(tw_key_ring_status(c.ring), TW_OK);
      }
      close_ring(&c);
    }
  free_source(&s);
}

// Lanes go on by themselves: one sequence may be read to its end while others stand still.
static void test_feeds(void) {
  memory_source s;
  ring_case c;
  fresh_source(&s, BATCH);
  open_ring(&c, BATCH, TW_KEY_CHUNK, 2, false, false, 2);
  tw_key_source source = as_source(&s);
  CU_ASSERT_EQUAL_FATAL(tw_key_ring_start(c.ring, &source), TW_OK);
  for (int b = BATCH - 1; b >= 0; b--)
    for (int i = 0; i < c.blocks; i++) {
      const uint8_t *data;
      CU_ASSERT_EQUAL_FATAL(tw_key_ring_wait(c.ring, b, (uint64_t)i, &data), TW_OK);
      CU_ASSERT(block_is(&c, &s, b, i, data));
      tw_key_ring_release(c.ring, b, (uint64_t)i + 1);
      if (b > 0) CU_ASSERT(begun(&s, 0) <= 2);
    }
  close_ring(&c);
  free_source(&s);
}

static bool is_ready(const ring_case *c, uint64_t block) {
  return __atomic_load_n(tw_key_ring_ready(c->ring, 0, block), __ATOMIC_ACQUIRE) == 2 * *tw_key_ring_epoch(c->ring);
}

// Filled: all that there is room for is there, or the failure is told, however slow the reading is.
static void test_fill(void) {
  memory_source s;
  fresh_source(&s, 2);
  s.slow = true;
  for (int depth = 1; depth <= 40; depth += 13) {
    ring_case c;
    open_ring(&c, 2, 2 * TW_KEY_CHUNK, depth, true, true, 3);
    int all = 2 * c.blocks, first = all < depth ? all : depth;
    for (int job = 0; job < 3; job++) {
      tw_key_source source = as_source(&s);
      new_bytes(&s);
      s.bad_sequence = job == 1 ? 0 : -1;
      s.bad_chunk = 0;
      CU_ASSERT_EQUAL_FATAL(tw_key_ring_start(c.ring, &source), TW_OK);
      CU_ASSERT_EQUAL(tw_key_ring_fill(c.ring), job == 1 ? TW_ERR_FORMAT : TW_OK);
      if (job == 1) CU_ASSERT(message_has("slot 0, chunk 0: bad"));
      for (int i = 0; i < first && job != 1; i++)
        CU_ASSERT(is_ready(&c, (uint64_t)i) &&
                  block_is(&c, &s, i % 2, i / 2, tw_key_ring_buffer(c.ring, 0, (uint64_t)i)));
      if (job != 1 && first < all) CU_ASSERT_FALSE(is_ready(&c, (uint64_t)first));
      tw_key_ring_stop(c.ring);
    }
    close_ring(&c);
  }
  free_source(&s);
}

// ---- a consumer that only polls and writes words, as a GPU does

typedef struct {
  ring_case *c;
  memory_source *s;
  int jobs, good, stopped;  // blocks
  bool wrong;
  pthread_barrier_t *launched, *ended;
} device;

// Whether the block came.
static bool poll_block(ring_case *c, uint64_t block) {
  uint64_t epoch = __atomic_load_n(tw_key_ring_epoch(c->ring), __ATOMIC_ACQUIRE), word;
  const uint64_t *ready = tw_key_ring_ready(c->ring, 0, block);
  while ((word = __atomic_load_n(ready, __ATOMIC_ACQUIRE)) >> 1 != epoch) usleep(20);
  return !(word & 1);
}

static void *run_device(void *state) {
  device *d = state;
  for (int job = 0; job < d->jobs; job++) {
    pthread_barrier_wait(d->launched);
    for (int i = 0; i < d->c->blocks; i++)
      for (int b = 0; b < d->s->batch; b++) {
        uint64_t block = (uint64_t)(i * d->s->batch + b);
        uint64_t epoch = __atomic_load_n(tw_key_ring_epoch(d->c->ring), __ATOMIC_ACQUIRE);
        if (block) __atomic_store_n(tw_key_ring_released(d->c->ring, 0), epoch << 32 | block, __ATOMIC_RELEASE);
        if (!poll_block(d->c, block)) {
          d->stopped++;
          continue;
        }
        d->good++;
        if (!block_is(d->c, d->s, b, i, tw_key_ring_buffer(d->c->ring, 0, block))) d->wrong = true;
      }
    pthread_barrier_wait(d->ended);
  }
  return NULL;
}

static void begin_device(device *d, pthread_t *thread, pthread_barrier_t barrier[2]) {
  for (int i = 0; i < 2; i++) pthread_barrier_init(&barrier[i], NULL, 2);
  d->launched = &barrier[0];
  d->ended = &barrier[1];
  CU_ASSERT_EQUAL_FATAL(pthread_create(thread, NULL, run_device, d), 0);
}

static void end_device(pthread_t thread, pthread_barrier_t barrier[2]) {
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++) pthread_barrier_destroy(&barrier[i]);
}

static void test_polled(void) {
  memory_source s;
  ring_case c;
  pthread_t thread;
  pthread_barrier_t barrier[2];
  fresh_source(&s, 2);
  open_ring(&c, 2, 4 * TW_KEY_CHUNK, 3, true, true, 3);
  device d = {.c = &c, .s = &s, .jobs = 6};
  begin_device(&d, &thread, barrier);
  for (int job = 0; job < d.jobs; job++) {
    tw_key_source source = as_source(&s);
    new_bytes(&s);
    s.slow = job % 2;
    CU_ASSERT_EQUAL(tw_key_ring_start(c.ring, &source), TW_OK);
    if (job % 3 == 0) usleep(5000);  // the ring is full when the graph is launched
    pthread_barrier_wait(&barrier[0]);
    pthread_barrier_wait(&barrier[1]);
    CU_ASSERT_EQUAL(d.good, (job + 1) * c.blocks * 2);
  }
  end_device(thread, barrier);
  CU_ASSERT_FALSE(d.wrong);
  CU_ASSERT_EQUAL(d.stopped, 0);
  close_ring(&c);
  free_source(&s);
}

// A chunk fails: its block and all that did not come are called off, nothing of them counts as keys, and the next job
// is sound. The words of the failed job do not survive into it.
static void test_polled_failure(void) {
  memory_source s;
  ring_case c;
  pthread_t thread;
  pthread_barrier_t barrier[2];
  fresh_source(&s, 2);
  open_ring(&c, 2, 4 * TW_KEY_CHUNK, 3, true, true, 3);
  device d = {.c = &c, .s = &s, .jobs = 5};
  begin_device(&d, &thread, barrier);
  for (int job = 0; job < d.jobs; job++) {
    tw_key_source source = as_source(&s);
    new_bytes(&s);
    s.bad_sequence = job % 2 ? 1 : -1;
    s.bad_chunk = job == 1 ? 0 : CHUNKS / 2;
    d.good = d.stopped = 0;
    CU_ASSERT_EQUAL(tw_key_ring_start(c.ring, &source), TW_OK);
    pthread_barrier_wait(&barrier[0]);
    pthread_barrier_wait(&barrier[1]);
    CU_ASSERT_EQUAL(d.good + d.stopped, c.blocks * 2);
    tw_status status = tw_key_ring_status(c.ring);
    CU_ASSERT_EQUAL(status, job % 2 ? TW_ERR_FORMAT : TW_OK);
    if (job % 2) {
      char expected[64];
      snprintf(expected, sizeof expected, "slot 1, chunk %d: bad", (int)s.bad_chunk);
      CU_ASSERT(message_has(expected));
      CU_ASSERT(d.stopped > 0);
      CU_ASSERT_EQUAL(poll_block(&c, (uint64_t)(c.blocks * 2 - 1)), false);
      for (int i = 0; i < c.blocks; i++)  // the block of the bad chunk
        if (c.starts[i] / TW_KEY_CHUNK <= s.bad_chunk && s.bad_chunk * TW_KEY_CHUNK < c.starts[i + 1])
          CU_ASSERT_FALSE(poll_block(&c, (uint64_t)(i * 2 + 1)));
    } else {
      CU_ASSERT_EQUAL(d.stopped, 0);
    }
    tw_key_ring_stop(c.ring);  // a reader may still be at another chunk
  }
  end_device(thread, barrier);
  CU_ASSERT_FALSE(d.wrong);
  close_ring(&c);
  free_source(&s);
}

// Stopped in the middle: nobody is left polling, and the source may be closed at once.
static void test_stop(void) {
  memory_source s;
  pthread_t thread;
  pthread_barrier_t barrier[2];
  fresh_source(&s, 2);
  for (int round = 0; round < 10; round++) {
    ring_case c;
    tw_key_source source = as_source(&s);
    open_ring(&c, 2, 2 * TW_KEY_CHUNK, 2, true, true, 3);
    device d = {.c = &c, .s = &s, .jobs = 1};
    begin_device(&d, &thread, barrier);
    s.slow = true;
    s.closed = false;
    CU_ASSERT_EQUAL(tw_key_ring_start(c.ring, &source), TW_OK);
    pthread_barrier_wait(&barrier[0]);
    usleep(randombytes_uniform(6000));
    tw_key_ring_stop(c.ring);
    CU_ASSERT_EQUAL(s.reading, 0);
    s.closed = true;
    pthread_barrier_wait(&barrier[1]);
    CU_ASSERT_EQUAL(d.good + d.stopped, c.blocks * 2);
    CU_ASSERT_FALSE(d.wrong);
    end_device(thread, barrier);
    const uint8_t *data;
    if (d.stopped) CU_ASSERT_EQUAL(tw_key_ring_wait(c.ring, 0, (uint64_t)(c.blocks * 2 - 1), &data), TW_ERR_INTERNAL);
    close_ring(&c);
  }
  CU_ASSERT_FALSE(s.read_when_closed);
  free_source(&s);
}

// Asked before any job: an error, not zeros, and no wait for ever.
static void test_idle(void) {
  ring_case c;
  const uint8_t *data;
  open_ring(&c, 1, TW_KEY_CHUNK, 2, true, false, 1);
  CU_ASSERT_EQUAL(tw_key_ring_wait(c.ring, 0, 0, &data), TW_ERR_INTERNAL);
  close_ring(&c);
}

// ---- the host's feed, from a key file

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
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("key feed", scratch_open, scratch_close);
  if (!suite || !CU_add_test(suite, "blocks of a slot", test_blocks) ||
      !CU_add_test(suite, "in order and in bounds, job after job", test_order_and_bounds) ||
      !CU_add_test(suite, "feeds", test_feeds) || !CU_add_test(suite, "filled", test_fill) ||
      !CU_add_test(suite, "polled, job after job", test_polled) ||
      !CU_add_test(suite, "polled, a chunk fails", test_polled_failure) ||
      !CU_add_test(suite, "stopped in the middle", test_stop) || !CU_add_test(suite, "no job", test_idle) ||
      !CU_add_test(suite, "host feed", test_host_feed) ||
      !CU_add_test(suite, "damaged and cut off key files", test_files) ||
      !CU_add_test(suite, "chunks in any order", test_chunks))
    return 2;
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
