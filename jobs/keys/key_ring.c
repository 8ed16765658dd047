#define _GNU_SOURCE
#include "jobs/keys/key_ring.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/keys.h"

enum { MOST_READERS = 64, LINE_WORDS = 8, POLL_NS = 50000 };  // a word that is polled has a cache line to itself

typedef struct {
  uint64_t block, chunk;  // next to be read
} cursor;

struct tw_key_ring {
  tw_key_ring_options o;
  tw_key_source source;
  uint64_t *starts;                    // of a slot's blocks
  int blocks;                          // of a slot
  uint8_t *buffers;                    // [feeds][depth][block_bytes]
  uint64_t *epoch, *released, *ready;  // [1], [feeds * LINE_WORDS], [batch * blocks], feed behind feed
  cursor *next;                        // [feeds]
  uint64_t *left;                      // [feeds][depth] chunks that a buffer's block still lacks
  pthread_mutex_t lock;
  pthread_cond_t work, there, idle;
  pthread_t thread[MOST_READERS];
  int threads, busy;
  bool running, quit, polling;
  uint64_t wait_ns;
  tw_status status;
  char message[512];
};

// One chunk of a block.
typedef struct {
  int feed, sequence;
  uint64_t block, chunk;  // chunk: of the slot
  uint8_t *to;
} task;

int tw_key_readers(int most) {
  cpu_set_t cores;
  int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) - 1 : 1;
  return count < 1 ? 1 : count > most ? most : count;
}

tw_status tw_key_blocks(uint64_t slot_bytes, size_t block_bytes, uint64_t **starts, int *count) {
  uint64_t most = slot_bytes / TW_KEY_CHUNK + 2, bytes = TW_KEY_CHUNK, at = 0;
  void *memory;
  TW_TRY(tw_alloc(8 * (most + 1), &memory));
  *starts = memory;
  for (*count = 0; at < slot_bytes; at += bytes) {
    if (*count > 1 && bytes < block_bytes) bytes = 2 * bytes < block_bytes ? 2 * bytes : block_bytes;
    (*starts)[(*count)++] = at;
  }
  (*starts)[*count] = slot_bytes;
  return TW_OK;
}

// Upper bound: one block a chunk.
static uint64_t most_blocks(const tw_key_ring_options *o) { return o->slot_bytes / TW_KEY_CHUNK + 1; }

size_t tw_key_ring_buffer_bytes(const tw_key_ring_options *o) {
  return o->block_bytes * (size_t)o->depth * (size_t)o->feeds;
}

size_t tw_key_ring_word_bytes(const tw_key_ring_options *o) {
  return 8 * (LINE_WORDS * (1 + (size_t)o->feeds) + (size_t)o->batch * most_blocks(o));
}

// ---- words that the consumer may see from elsewhere

static uint64_t load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static int first_of(const tw_key_ring *r, int feed) { return tw_key_feed_first(r->o.batch, r->o.feeds, feed); }
static uint64_t sequences_of(const tw_key_ring *r, int feed) {
  return (uint64_t)(first_of(r, feed + 1) - first_of(r, feed));
}
static uint64_t blocks_of(const tw_key_ring *r, int feed) { return (uint64_t)r->blocks * sequences_of(r, feed); }

static uint64_t *ready_word(const tw_key_ring *r, int feed, uint64_t block) {
  return &r->ready[(uint64_t)first_of(r, feed) * (uint64_t)r->blocks + block];
}

uint8_t *tw_key_ring_buffer(const tw_key_ring *r, int feed, uint64_t block) {
  size_t index = (size_t)feed * (size_t)r->o.depth + (size_t)(block % (uint64_t)r->o.depth);
  return r->buffers + index * r->o.block_bytes;
}
const uint64_t *tw_key_ring_epoch(const tw_key_ring *r) { return r->epoch; }
const uint64_t *tw_key_ring_ready(const tw_key_ring *r, int feed, uint64_t block) { return ready_word(r, feed, block); }
uint64_t *tw_key_ring_released(const tw_key_ring *r, int feed) { return &r->released[LINE_WORDS * feed]; }

static uint64_t released(const tw_key_ring *r, int feed) {
  uint64_t word = load(tw_key_ring_released(r, feed));
  return word >> 32 == *r->epoch ? word & UINT32_MAX : 0;
}

// ---- readers; all of these hold the lock

static void slot_block(const tw_key_ring *r, int feed, uint64_t block, int *sequence, int *index) {
  uint64_t sequences = sequences_of(r, feed);
  *sequence = first_of(r, feed) + (int)(block % sequences);
  *index = (int)(block / sequences);
}

// Chunks of a slot's block.
static uint64_t chunks_of(const tw_key_ring *r, int index) {
  return (r->starts[index + 1] - r->starts[index] + TW_KEY_CHUNK - 1) / TW_KEY_CHUNK;
}

// The feed that is behind the others, of those with something to read and room for it; -1: none.
static int next_feed(const tw_key_ring *r) {
  int best = -1;
  for (int feed = 0; feed < r->o.feeds; feed++) {
    uint64_t block = r->next[feed].block;
    if (block == blocks_of(r, feed) || block >= released(r, feed) + (uint64_t)r->o.depth) continue;
    if (best < 0 || block * sequences_of(r, best) < r->next[best].block * sequences_of(r, feed)) best = feed;
  }
  return best;
}

static bool next_task(tw_key_ring *r, task *t) {
  int feed = next_feed(r), index;
  if (feed < 0) return false;
  cursor *c = &r->next[feed];
  *t = (task){.feed = feed, .block = c->block};
  slot_block(r, feed, c->block, &t->sequence, &index);
  uint64_t chunks = chunks_of(r, index);
  if (c->chunk == 0) r->left[(uint64_t)feed * (uint64_t)r->o.depth + c->block % (uint64_t)r->o.depth] = chunks;
  t->chunk = r->starts[index] / TW_KEY_CHUNK + c->chunk;
  t->to = tw_key_ring_buffer(r, feed, c->block) + c->chunk * TW_KEY_CHUNK;
  if (++c->chunk == chunks) *c = (cursor){c->block + 1, 0};
  return true;
}

static bool all_taken(const tw_key_ring *r) {
  for (int feed = 0; feed < r->o.feeds; feed++)
    if (r->next[feed].block < blocks_of(r, feed)) return false;
  return true;
}

// No more blocks come: whoever waits for one is told.
static void end_job(tw_key_ring *r) {
  r->running = false;
  for (uint64_t i = 0; i < (uint64_t)r->o.batch * (uint64_t)r->blocks; i++)
    if (r->ready[i] >> 1 != *r->epoch) store(&r->ready[i], 2 * *r->epoch + 1);
  pthread_cond_broadcast(&r->there);
}

static void finish_task(tw_key_ring *r, const task *t, tw_status status) {
  if (!r->running) return;
  if (status != TW_OK) {
    r->status = status;
    snprintf(r->message, sizeof r->message, "%s", tw_error_message());
    end_job(r);
    return;
  }
  if (--r->left[(uint64_t)t->feed * (uint64_t)r->o.depth + t->block % (uint64_t)r->o.depth] > 0) return;
  store(ready_word(r, t->feed, t->block), 2 * *r->epoch);
  pthread_cond_broadcast(&r->there);
}

// A GPU that releases a buffer wakes nobody: one of the readers looks from time to time, and wakes the others.
static void wait_for_work(tw_key_ring *r) {
  if (!r->o.polled || r->polling || !r->running || all_taken(r)) {
    pthread_cond_wait(&r->work, &r->lock);
    return;
  }
  struct timespec until = tw_clock_timespec(tw_clock_ns() + POLL_NS);
  r->polling = true;
  pthread_cond_timedwait(&r->work, &r->lock, &until);
  r->polling = false;
  if (r->running && (next_feed(r) >= 0 || all_taken(r))) pthread_cond_broadcast(&r->work);
}

static void *read_chunks(void *ring) {
  tw_key_ring *r = ring;
  task t;
  pthread_mutex_lock(&r->lock);
  while (!r->quit) {
    if (!r->running || !next_task(r, &t)) {
      wait_for_work(r);
      continue;
    }
    r->busy++;
    pthread_mutex_unlock(&r->lock);
    tw_status status = r->source.chunk(r->source.state, t.sequence, t.chunk, t.to);
    pthread_mutex_lock(&r->lock);
    finish_task(r, &t, status);
    if (--r->busy == 0) pthread_cond_broadcast(&r->idle);
  }
  pthread_mutex_unlock(&r->lock);
  return NULL;
}

// ---- for the owner

// Signals are the main thread's.
static tw_status start_threads(tw_key_ring *r) {
  sigset_t all, before;
  int wanted = r->o.readers > MOST_READERS ? MOST_READERS : r->o.readers;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  while (r->threads < wanted && pthread_create(&r->thread[r->threads], NULL, read_chunks, r) == 0) r->threads++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return r->threads > 0 ? TW_OK : tw_fail(TW_ERR_MEMORY, "no thread for reading keys can be started");
}

static void init_locks(tw_key_ring *r) {
  pthread_mutex_init(&r->lock, NULL);
  tw_condition_init(&r->work);
  pthread_cond_init(&r->there, NULL);
  pthread_cond_init(&r->idle, NULL);
}

static tw_status allocate(tw_key_ring *r) {
  void *memory;
  TW_TRY(tw_key_blocks(r->o.slot_bytes, r->o.block_bytes, &r->starts, &r->blocks));
  TW_TRY(tw_alloc(sizeof(cursor) * (size_t)r->o.feeds, &memory));
  r->next = memory;
  TW_TRY(tw_alloc(8 * (size_t)r->o.feeds * (size_t)r->o.depth, &memory));
  r->left = memory;
  return TW_OK;
}

tw_status tw_key_ring_create(const tw_key_ring_options *o, uint8_t *buffers, uint64_t *words, tw_key_ring **out) {
  tw_key_ring *r = calloc(1, sizeof *r);
  *out = NULL;
  if (!r) return tw_fail(TW_ERR_MEMORY, "out of memory for a key ring");
  memset(words, 0, tw_key_ring_word_bytes(o));
  r->o = *o;
  r->buffers = buffers;
  r->epoch = words;
  r->released = words + LINE_WORDS;
  r->ready = r->released + LINE_WORDS * r->o.feeds;
  *r->epoch = 1;  // of no job: words are zero, which would be epoch 0's
  init_locks(r);
  tw_status status = allocate(r);
  if (status == TW_OK) status = start_threads(r);
  if (status != TW_OK) {
    tw_key_ring_destroy(r);
    return status;
  }
  *out = r;
  return TW_OK;
}

void tw_key_ring_destroy(tw_key_ring *r) {
  if (!r) return;
  tw_key_ring_stop(r);
  pthread_mutex_lock(&r->lock);
  r->quit = true;
  pthread_cond_broadcast(&r->work);
  pthread_mutex_unlock(&r->lock);
  for (int i = 0; i < r->threads; i++) pthread_join(r->thread[i], NULL);
  pthread_cond_destroy(&r->work);
  pthread_cond_destroy(&r->there);
  pthread_cond_destroy(&r->idle);
  pthread_mutex_destroy(&r->lock);
  tw_free(r->starts);
  tw_free(r->next);
  tw_free(r->left);
  free(r);
}

void tw_key_ring_stop(tw_key_ring *r) {
  pthread_mutex_lock(&r->lock);
  if (r->running) end_job(r);
  while (r->busy > 0) pthread_cond_wait(&r->idle, &r->lock);
  pthread_mutex_unlock(&r->lock);
}

tw_status tw_key_ring_start(tw_key_ring *r, const tw_key_source *source) {
  tw_key_ring_stop(r);
  pthread_mutex_lock(&r->lock);
  r->source = *source;
  r->status = TW_OK;
  r->wait_ns = 0;
  store(r->epoch, (*r->epoch + 1) & UINT32_MAX);
  for (int feed = 0; feed < r->o.feeds; feed++) {
    r->next[feed] = (cursor){0, 0};
    store(tw_key_ring_released(r, feed), *r->epoch << 32);
  }
  r->running = true;
  pthread_cond_broadcast(&r->work);
  pthread_mutex_unlock(&r->lock);
  return TW_OK;
}

static tw_status failure(const tw_key_ring *r) {
  return r->status == TW_OK ? TW_OK : tw_fail(r->status, "%s", r->message);
}

tw_status tw_key_ring_status(tw_key_ring *r) {
  pthread_mutex_lock(&r->lock);
  tw_status status = failure(r);
  pthread_mutex_unlock(&r->lock);
  return status;
}

static tw_status wait_locked(tw_key_ring *r, const uint64_t *word) {
  pthread_mutex_lock(&r->lock);
  while (r->running && load(word) >> 1 != *r->epoch) pthread_cond_wait(&r->there, &r->lock);
  bool came = load(word) == 2 * *r->epoch;
  tw_status status = came ? TW_OK : failure(r);
  pthread_mutex_unlock(&r->lock);
  return came || status != TW_OK ? status : tw_fail(TW_ERR_INTERNAL, "keys are asked for while none are being read");
}

tw_status tw_key_ring_wait(tw_key_ring *r, int feed, uint64_t block, const uint8_t **data) {
  const uint64_t *word = ready_word(r, feed, block);
  *data = tw_key_ring_buffer(r, feed, block);
  if (load(word) == 2 * *r->epoch) return TW_OK;
  uint64_t start = tw_clock_ns();
  tw_status status = wait_locked(r, word);
  r->wait_ns += tw_clock_ns() - start;
  return status;
}

tw_status tw_key_ring_fill(tw_key_ring *r) {
  for (int feed = 0; feed < r->o.feeds; feed++)
    for (uint64_t block = 0; block < blocks_of(r, feed) && block < (uint64_t)r->o.depth; block++)
      TW_TRY(wait_locked(r, ready_word(r, feed, block)));
  return TW_OK;
}

void tw_key_ring_release(tw_key_ring *r, int feed, uint64_t count) {
  store(tw_key_ring_released(r, feed), *r->epoch << 32 | count);
  pthread_mutex_lock(&r->lock);
  pthread_cond_broadcast(&r->work);
  pthread_mutex_unlock(&r->lock);
}

uint64_t tw_key_ring_wait_ns(const tw_key_ring *r) { return r->wait_ns; }
