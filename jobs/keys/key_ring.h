// Reader threads and a ring of buffers between a key file and whoever consumes the keys, on the host or on a GPU. Keys
// travel in blocks of whole chunks; several threads read the chunks of a block, and a block is handed over when all of
// its chunks were read and checked. Bounded: a buffer is filled again when its block was released.
//
// Hand-over is by words that a GPU can poll as well, in memory that the owner of the ring gives:
//   epoch            number of the running job
//   ready[block]     2 * epoch when the block lies in its buffer; 2 * epoch + 1 when it will never come
//   released[feed]   epoch << 32 | blocks given back
// A word of an earlier job means nothing, so a CUDA graph that polls them may be launched again for every job.
#ifndef TW_KEY_RING_H
#define TW_KEY_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/keys/key_source.h"

typedef struct tw_key_ring tw_key_ring;

typedef struct {
  uint64_t slot_bytes;
  int batch;
  size_t block_bytes;  // most; a multiple of TW_KEY_CHUNK
  int depth;           // buffers of a feed
  int feeds;           // parts of the batch, of about equal size, each read in order: block 0 of every sequence of it,
                       // block 1 of every sequence ..
  bool polled;         // `released` is written by a GPU, which wakes nobody
  int readers;         // threads
} tw_key_ring_options;

// Where a slot is cut: the first blocks are small, so that the first gates need not wait for a large one.
// starts[count] = slot_bytes; free with tw_free.
tw_status tw_key_blocks(uint64_t slot_bytes, size_t block_bytes, uint64_t **starts, int *count);

// The first sequence of a feed; that of feed number `feeds` is the batch.
static inline int tw_key_feed_first(int batch, int feeds, int feed) { return feed * batch / feeds; }

// Sizes of the two memories that the owner gives, keeps and wipes.
size_t tw_key_ring_buffer_bytes(const tw_key_ring_options *o);
size_t tw_key_ring_word_bytes(const tw_key_ring_options *o);

tw_status tw_key_ring_create(const tw_key_ring_options *o, uint8_t *buffers, uint64_t *words, tw_key_ring **out);
void tw_key_ring_destroy(tw_key_ring *r);  // stops

// Begin a job: readers fill the ring from block 0 on. An earlier job is stopped.
tw_status tw_key_ring_start(tw_key_ring *r, const tw_key_source *source);
// No source is read any more when this returns, and whoever polls for a block that did not come is told so.
void tw_key_ring_stop(tw_key_ring *r);
// The first failure of the job's readers, with its message.
tw_status tw_key_ring_status(tw_key_ring *r);

// Until the ring holds as much as it can, before anything is given back.
tw_status tw_key_ring_fill(tw_key_ring *r);

// Host consumers: wait for a block of a feed, and give back all of the feed's first `count`.
tw_status tw_key_ring_wait(tw_key_ring *r, int feed, uint64_t block, const uint8_t **data);
void tw_key_ring_release(tw_key_ring *r, int feed, uint64_t count);
uint64_t tw_key_ring_wait_ns(const tw_key_ring *r);  // spent in tw_key_ring_wait, this job

// Where a feed's block lies, and the words a GPU polls and writes.
uint8_t *tw_key_ring_buffer(const tw_key_ring *r, int feed, uint64_t block);
const uint64_t *tw_key_ring_epoch(const tw_key_ring *r);
const uint64_t *tw_key_ring_ready(const tw_key_ring *r, int feed, uint64_t block);
uint64_t *tw_key_ring_released(const tw_key_ring *r, int feed);

// Threads for reading: the cores this process may use, less one for the caller; 1 .. most.
int tw_key_readers(int most);

#endif
