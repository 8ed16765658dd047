#include "jobs/keys/feed_gpu.h"

#ifdef TWAIN_CUDA
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/key_ring.h"
#include "kernels/backend.h"
#include "kernels/device.h"

enum { BLOCK = 8 << 20, DEPTH = 48, MOST_READERS = 14, PATIENCE = 10 };  // the ring: 384 MiB
// Bytes of a slot that are copied ahead of the gates: two layers of BERT-large. All at once, they would be in the way
// of openings through host memory.
enum { LEAD = 96 << 20 };

typedef struct {
  tw_key_feed *feed;
  void *stream;
  int first;   // sequence
  int waited;  // blocks the stream has waited for
} part;

struct tw_key_feed {
  tw_key_feed_options o;
  part parts[TW_HALVES];
  uint64_t *starts;            // of a slot's blocks
  int blocks;                  // of a slot
  void *copies;                // the copies' stream
  void *begun, **taken;        // taken: one a block, of all sequences
  void **asked;                // one a block: gates have come to it
  int copied;                  // blocks whose copies are enqueued
  void **first, **last;        // traced: timers, of a block's beginning and of its end
  uint8_t *device;             // [batch][slot_bytes]
  const uint8_t **from;        // [batch], MEMORY and RESIDENT: this job's slots
  uint64_t *read;              // [batch] bytes handed out
  int *stop;                   // device memory
  uint64_t *wanted, *arrived;  // device memory, [blocks] each: when gates asked for a block, and when it was there
  tw_key_ring_options ring_options;
  tw_key_ring *ring;  // FILE
  uint8_t *buffers;   // pinned
  uint64_t *words;    // pinned
};

static const tw_backend *const k = &tw_cuda_backend;

static size_t all_bytes(const tw_key_feed *f) { return f->o.slot_bytes * (size_t)f->o.batch; }

static tw_status create_ring(tw_key_feed *f) {
  void *memory;
  int all = f->blocks * f->o.batch;
  f->ring_options = (tw_key_ring_options){.slot_bytes = f->o.slot_bytes,
                                          .batch = f->o.batch,
                                          .block_bytes = BLOCK,
                                          .depth = all < DEPTH ? all : DEPTH,
                                          .in_order = true,
                                          .polled = true,
                                          .readers = tw_key_readers(MOST_READERS)};
  TW_TRY(tw_pinned_alloc(tw_key_ring_buffer_bytes(&f->ring_options), &memory));
  f->buffers = memory;
  TW_TRY(tw_pinned_alloc(tw_key_ring_word_bytes(&f->ring_options), &memory));
  f->words = memory;
  return tw_key_ring_create(&f->ring_options, f->buffers, f->words, &f->ring);
}

static tw_status create_lists(tw_key_feed *f) {
  void *memory;
  TW_TRY(tw_key_blocks(f->o.slot_bytes, BLOCK, &f->starts, &f->blocks));
  TW_TRY(tw_alloc(8 * (size_t)f->o.batch, &memory));
  f->read = memory;
  TW_TRY(tw_alloc(sizeof(uint8_t *) * (size_t)f->o.batch, &memory));
  f->from = memory;
  void ***events[] = {&f->taken, &f->asked, &f->first, &f->last};
  for (int list = 0; list < 4; list++) {
    TW_TRY(tw_alloc(sizeof(void *) * (size_t)f->blocks, &memory));
    *events[list] = memory;
  }
  return TW_OK;
}

static tw_status create_copies(tw_key_feed *f) {
  void *memory;
  TW_TRY(tw_device_stream_create(&f->copies));
  TW_TRY(tw_device_event_create(&f->begun));
  for (int i = 0; i < f->blocks; i++) {
    TW_TRY(tw_device_event_create(&f->taken[i]));
    TW_TRY(tw_device_event_create(&f->asked[i]));
  }
  for (int i = 0; i < f->blocks && f->o.traced; i++) {
    TW_TRY(tw_device_timer_create(&f->first[i]));
    TW_TRY(tw_device_timer_create(&f->last[i]));
  }
  TW_TRY(k->alloc(all_bytes(f), &memory));
  f->device = memory;
  if (f->o.timed) {
    TW_TRY(k->alloc(16 * (size_t)f->blocks, &memory));
    f->wanted = memory;
    f->arrived = f->wanted + f->blocks;
    TW_TRY(k->fill(f->wanted, 0, 16 * (size_t)f->blocks, f->parts[0].stream));
  }
  return f->o.place == TW_KEYS_FILE ? create_ring(f) : TW_OK;
}

tw_status tw_key_feed_create(const tw_key_feed_options *options, tw_key_feed **out) {
  *out = NULL;
  tw_key_feed *f = calloc(1, sizeof *f);
  if (!f) return tw_fail(TW_ERR_MEMORY, "out of memory for a key feed");
  f->o = *options;
  for (int i = 0; i < options->halves; i++) f->parts[i] = (part){f, options->streams[i], options->first[i], 0};
  void *memory;
  tw_status status = k->alloc(sizeof(int), &memory);
  if (status == TW_OK) f->stop = memory;
  if (status == TW_OK) status = k->fill(f->stop, 0, sizeof(int), f->parts[0].stream);
  if (status == TW_OK) status = create_lists(f);
  if (status == TW_OK && f->o.place != TW_KEYS_RESIDENT) status = create_copies(f);
  if (status != TW_OK) {
    tw_key_feed_destroy(f);
    return status;
  }
  *out = f;
  return TW_OK;
}

void tw_key_feed_end(tw_key_feed *f) {
  if (f && f->ring) tw_key_ring_stop(f->ring);
}

void tw_key_feed_destroy(tw_key_feed *f) {
  if (!f) return;
  tw_key_feed_end(f);
  if (f->copies) (void)tw_device_wait_for(f->copies, PATIENCE);
  for (int i = 0; i < f->o.halves; i++) (void)tw_device_wait_for(f->parts[i].stream, PATIENCE);
  tw_key_ring_destroy(f->ring);
  void **events[] = {f->taken, f->asked, f->first, f->last};
  for (int list = 0; list < 4; list++)
    for (int i = 0; events[list] && i < f->blocks; i++) tw_device_event_destroy(events[list][i]);
  tw_device_event_destroy(f->begun);
  tw_device_stream_destroy(f->copies);
  if (f->buffers) tw_pinned_free(f->buffers, tw_key_ring_buffer_bytes(&f->ring_options));
  if (f->words) tw_pinned_free(f->words, tw_key_ring_word_bytes(&f->ring_options));
  if (f->device) k->release(f->device, all_bytes(f));
  if (f->wanted) k->release(f->wanted, 16 * (size_t)f->blocks);
  if (f->stop) k->release(f->stop, sizeof(int));
  for (int list = 0; list < 4; list++) tw_free(events[list]);
  tw_free(f->from);
  tw_free(f->read);
  tw_free(f->starts);
  free(f);
}

tw_status tw_key_feed_load(tw_key_feed *f, const tw_key_source *source, bool *moved) {
  *moved = false;
  if (f->ring) return tw_key_ring_start(f->ring, source);
  for (int b = 0; b < f->o.batch; b++) {
    const uint8_t *slot = source->slot(source->state, b);
    *moved |= slot != f->from[b];
    f->from[b] = slot;
  }
  return TW_OK;
}

tw_status tw_key_feed_fill(tw_key_feed *f) { return f->ring ? tw_key_ring_fill(f->ring) : TW_OK; }

// Before the copy number `copy` (all are copied when it is f->blocks * batch); `block`: the slot's, of the last copy.
static tw_status hand_over(tw_key_feed *f, int copy, int block, bool arrived) {
  tw_device_hand_over_args a = {.arrived = f->o.timed && arrived ? &f->arrived[block] : NULL};
  if (f->ring) {
    a.epoch = tw_key_ring_epoch(f->ring);
    a.released = copy > 0 ? tw_key_ring_released(f->ring, 0) : NULL;
    a.count = (uint64_t)copy;
    a.ready = copy < f->blocks * f->o.batch ? tw_key_ring_ready(f->ring, 0, (uint64_t)copy) : NULL;
    a.stop = f->stop;
  }
  return a.arrived || a.epoch ? tw_device_hand_over(&a, f->copies) : TW_OK;
}

static tw_status copy_block(tw_key_feed *f, int i) {
  uint64_t at = f->starts[i], bytes = f->starts[i + 1] - at;
  if (f->o.traced) TW_TRY(tw_device_timer_record(f->first[i], f->copies));
  for (int b = 0; b < f->o.batch; b++) {
    int copy = i * f->o.batch + b;
    TW_TRY(hand_over(f, copy, i - 1, b == 0 && i > 0));
    const uint8_t *from = f->ring ? tw_key_ring_buffer(f->ring, 0, (uint64_t)copy) : f->from[b] + at;
    TW_TRY(tw_device_copy_in(f->device + (uint64_t)b * f->o.slot_bytes + at, from, bytes, f->copies));
  }
  if (i + 1 == f->blocks) TW_TRY(hand_over(f, f->blocks * f->o.batch, i, true));
  if (f->o.traced) TW_TRY(tw_device_timer_record(f->last[i], f->copies));
  return tw_device_event_record(f->taken[i], f->copies);
}

// Blocks that begin less than LEAD behind block `asked`'s beginning.
static tw_status copy_ahead(tw_key_feed *f, int asked) {
  for (; f->copied < f->blocks && f->starts[f->copied] < f->starts[asked] + LEAD; f->copied++)
    TW_TRY(copy_block(f, f->copied));
  return TW_OK;
}

// The copies' stream starts where the gates' stream is now: so it is part of a graph that is being recorded.
tw_status tw_key_feed_start(tw_key_feed *f) {
  for (int i = 0; i < f->o.halves; i++) f->parts[i].waited = 0;
  for (int b = 0; b < f->o.batch; b++) f->read[b] = 0;
  TW_TRY(k->fill(f->stop, 0, sizeof(int), f->parts[0].stream));
  if (f->o.place == TW_KEYS_RESIDENT || f->blocks == 0) return TW_OK;  // what forks must join: a last copy
  TW_TRY(tw_device_event_record(f->begun, f->parts[0].stream));
  TW_TRY(tw_device_event_wait(f->begun, f->copies));
  f->copied = 0;
  return copy_ahead(f, 0);
}

// The gates of a stream have come to block i; those that come first let copies go on.
static tw_status ask_for_block(tw_key_feed *f, int i, void *stream) {
  if (f->copied == f->blocks || f->starts[f->copied] >= f->starts[i] + LEAD) return TW_OK;
  TW_TRY(tw_device_event_record(f->asked[i], stream));
  TW_TRY(tw_device_event_wait(f->asked[i], f->copies));
  return copy_ahead(f, i);
}

static tw_status wait_for_block(const part *p, int i) {
  tw_key_feed *f = p->feed;
  tw_device_hand_over_args a = {.arrived = f->o.timed && p == &f->parts[0] ? &f->wanted[i] : NULL};
  if (a.arrived) TW_TRY(tw_device_hand_over(&a, p->stream));
  TW_TRY(ask_for_block(f, i, p->stream));
  return tw_device_event_wait(f->taken[i], p->stream);
}

static tw_status window(void *state, int of_part, size_t bytes, const uint8_t **packed) {
  part *p = state;
  tw_key_feed *f = p->feed;
  int b = p->first + of_part;
  uint64_t end = f->read[b] + bytes;
  if (end > f->o.slot_bytes) return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  bool resident = f->o.place == TW_KEYS_RESIDENT;
  for (; !resident && p->waited < f->blocks && f->starts[p->waited] < end; p->waited++)
    TW_TRY(wait_for_block(p, p->waited));
  *packed = (resident ? f->from[b] : f->device + (uint64_t)b * f->o.slot_bytes) + f->read[b];
  f->read[b] = end;
  return TW_OK;
}

tw_correction_reader tw_key_feed_source(tw_key_feed *f, int half) {
  return (tw_correction_reader){NULL, f ? &f->parts[half] : NULL, window};
}
const int *tw_key_feed_stop(const tw_key_feed *f) { return f->stop; }
tw_status tw_key_feed_status(tw_key_feed *f) { return f->ring ? tw_key_ring_status(f->ring) : TW_OK; }

tw_status tw_key_feed_spans(const tw_key_feed *f, void *origin, tw_trace *trace) {
  if (!f->o.traced || f->o.place == TW_KEYS_RESIDENT) return TW_OK;
  for (int i = 0; i < f->blocks; i++) {
    double begin, end;
    TW_TRY(tw_device_timer_between(origin, f->first[i], &begin));
    TW_TRY(tw_device_timer_between(origin, f->last[i], &end));
    tw_trace_add(trace, (tw_span){TW_TRACE_KEYS, -1, -1, (uint64_t)(1e9 * begin), (uint64_t)(1e9 * end)});
  }
  return TW_OK;
}

// A block that was there before it was wanted cost nothing.
tw_status tw_key_feed_wait_ns(tw_key_feed *f, uint64_t *wait_ns) {
  void *memory;
  *wait_ns = 0;
  if (!f->wanted) return TW_OK;
  TW_TRY(tw_alloc(16 * (size_t)f->blocks, &memory));
  const uint64_t *wanted = memory, *arrived = wanted + f->blocks;
  tw_status status = k->download(memory, f->wanted, 16 * (size_t)f->blocks, f->parts[0].stream);
  for (int i = 0; i < f->blocks && status == TW_OK; i++)
    if (arrived[i] > wanted[i]) *wait_ns += arrived[i] - wanted[i];
  tw_free(memory);
  return status;
}
#endif
