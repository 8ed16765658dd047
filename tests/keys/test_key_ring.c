// Keys on their way to gates: reader threads and ring hand out what the source holds, in bounds, job after job; a chunk
// that fails or is late is never handed out as keys, and whoever waits for it is told.
#define _GNU_SOURCE
#include "jobs/keys/key_ring.h"
#include "tests/common/scratch.h"
#include "tests/keys/watched_source.h"

// ---- a ring with the memory it works on

typedef struct {
  tw_key_ring_options o;
  tw_key_ring *ring;
  void *buffers, *words;
  uint64_t *starts;
  int blocks;
} ring_case;

static void open_ring(ring_case *c, int batch, size_t block_bytes, int depth, int feeds, bool polled, int readers) {
  c->o = (tw_key_ring_options){.slot_bytes = slot_bytes,
                               .batch = batch,
                               .block_bytes = block_bytes,
                               .depth = depth,
                               .feeds = feeds,
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
      open_ring(&c, BATCH, 4 * TW_KEY_CHUNK, depth, 1, false, readers);
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
  open_ring(&c, BATCH, TW_KEY_CHUNK, 2, BATCH, false, 2);
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

// Two parts of a batch, of one and of two sequences, each in order: whichever goes first, the other's blocks stay.
static void test_parts(void) {
  memory_source s;
  fresh_source(&s, BATCH);
  for (int turn = 0; turn < 2; turn++) {
    ring_case c;
    open_ring(&c, BATCH, 4 * TW_KEY_CHUNK, 3, 2, false, 2);
    tw_key_source source = as_source(&s);
    CU_ASSERT_EQUAL_FATAL(tw_key_ring_start(c.ring, &source), TW_OK);
    CU_ASSERT_EQUAL_FATAL(tw_key_ring_fill(c.ring), TW_OK);
    for (int i = 0; i < 2; i++) {
      int feed = (turn + i) % 2, first = tw_key_feed_first(BATCH, 2, feed),
          sequences = tw_key_feed_first(BATCH, 2, feed + 1) - first;
      CU_ASSERT_EQUAL(sequences, feed ? 2 : 1);
      for (int block = 0; block < c.blocks * sequences; block++) {
        const uint8_t *data;
        CU_ASSERT_EQUAL_FATAL(tw_key_ring_wait(c.ring, feed, (uint64_t)block, &data), TW_OK);
        CU_ASSERT(block_is(&c, &s, first + block % sequences, block / sequences, data));
        tw_key_ring_release(c.ring, feed, (uint64_t)block + 1);
      }
    }
    CU_ASSERT_EQUAL(tw_key_ring_status(c.ring), TW_OK);
    close_ring(&c);
  }
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
    open_ring(&c, 2, 2 * TW_KEY_CHUNK, depth, 1, true, 3);
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
  open_ring(&c, 2, 4 * TW_KEY_CHUNK, 3, 1, true, 3);
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
  open_ring(&c, 2, 4 * TW_KEY_CHUNK, 3, 1, true, 3);
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
    open_ring(&c, 2, 2 * TW_KEY_CHUNK, 2, 1, true, 3);
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
  open_ring(&c, 1, TW_KEY_CHUNK, 2, 1, false, 1);
  CU_ASSERT_EQUAL(tw_key_ring_wait(c.ring, 0, 0, &data), TW_ERR_INTERNAL);
  close_ring(&c);
}

int main(void) {
  if (sodium_init() < 0) return 2;
  static const suite_test tests[] = {{"blocks of a slot", test_blocks},
                                     {"in order and in bounds, job after job", test_order_and_bounds},
                                     {"feeds", test_feeds},
                                     {"parts of a batch", test_parts},
                                     {"filled", test_fill},
                                     {"polled, job after job", test_polled},
                                     {"polled, a chunk fails", test_polled_failure},
                                     {"stopped in the middle", test_stop},
                                     {"no job", test_idle}};
  return suite_run("key ring", tests, sizeof tests / sizeof *tests);
}
