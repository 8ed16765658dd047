#include "jobs/keys/feed_gpu.h"

#ifdef TWAIN_CUDA
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/key_flow.h"
#include "jobs/keys/key_ring.h"
#include "kernels/backend.h"
#include "kernels/device.h"

enum { BLOCK = 8 << 20, DEPTH = 48, MOST_READERS = 14, PATIENCE = 10 };  // the ring of host memory: 384 MiB
// Bytes of a slot that are copied ahead of the gates: two layers of BERT-large, or one more gate's. All at once, they
// would be in the way of openings through host memory.
enum { LEAD = 96 << 20 };
enum { BLOCKS_IN_ROOM = 8 };  // in a small memory blocks are small, too

typedef struct {
  tw_key_feed *feed;
  void *stream;
  int index, first, count;  // sequences
  void **taken;             // one a block, of all the part's sequences
  void *asked;              // gates have come so far
  int waited;               // blocks, by the stream aside
  void **begin, **end;      // traced: timers, of a block's copies
} part;

struct tw_key_feed {
  tw_key_feed_options o;
  part parts[TW_HALVES];
  tw_key_laps laps;
  tw_key_flow flow;
  tw_key_flow_calls calls;
  uint64_t slot_bytes, *starts;  // of a slot's blocks
  int blocks;                    // of a slot
  void *copies;                  // the copies' stream
  void *begun;
  uint8_t *device;  // [batch][laps.room]
  size_t device_bytes;
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

// ---- sizes

static uint64_t most_of(const tw_key_feed_options *o) { return (o->most ? o->most : TW_KEY_MOST) / (uint64_t)o->batch; }

static size_t block_of(const tw_key_feed_options *o) {
  size_t block = (size_t)most_of(o) / BLOCKS_IN_ROOM / TW_KEY_CHUNK * TW_KEY_CHUNK;
  return block < TW_KEY_CHUNK ? TW_KEY_CHUNK : block < BLOCK ? block : BLOCK;
}

static uint64_t room_of(const tw_key_feed_options *o) { return tw_key_room(o->windows, block_of(o), most_of(o)); }

uint64_t tw_key_feed_room(const tw_key_feed_options *o) {
  return o->place == TW_KEYS_RESIDENT ? 0 : room_of(o) * (uint64_t)o->batch;  // resident: there already
}

bool tw_key_feed_whole(const tw_key_feed_options *o) {
  return o->place == TW_KEYS_RESIDENT || room_of(o) >= o->windows->slot_bytes;
}

uint64_t tw_key_feed_host_room(const tw_key_feed_options *o) {
  uint64_t all = o->windows->slot_bytes * (uint64_t)o->batch, ring = (uint64_t)DEPTH * BLOCK;
  return o->place != TW_KEYS_FILE ? 0 : all < ring ? all : ring;
}

// ---- what is enqueued, in the flow's order

static tw_status follow_gates(void *state, int index) {
  tw_key_feed *f = state;
  part *p = &f->parts[index];
  TW_TRY(tw_device_event_record(p->asked, p->stream));
  return tw_device_event_wait(p->asked, f->copies);
}

// Before the part's copy number `copy`, and after its last one.
static tw_status hand_over(tw_key_feed *f, const part *p, int copy) {
  if (!f->ring) return TW_OK;
  tw_device_hand_over_args a = {
      .epoch = tw_key_ring_epoch(f->ring),
      .released = copy > 0 ? tw_key_ring_released(f->ring, p->index) : NULL,
      .count = (uint64_t)copy,
      .ready = copy < f->blocks * p->count ? tw_key_ring_ready(f->ring, p->index, (uint64_t)copy) : NULL,
      .stop = f->stop};
  return tw_device_hand_over(&a, f->copies);
}

// To the end of a lap, and on from the beginning.
static tw_status copy_around(tw_key_feed *f, int b, uint64_t at, uint64_t bytes, const uint8_t *from) {
  while (bytes > 0) {
    uint64_t left = f->laps.starts[tw_key_lap(&f->laps, at) + 1] - at, piece = left < bytes ? left : bytes;
    uint8_t *to = f->device + (uint64_t)b * f->laps.room + tw_key_place(&f->laps, at);
    TW_TRY(tw_device_copy_in(to, from, piece, f->copies));
    at += piece;
    from += piece;
    bytes -= piece;
  }
  return TW_OK;
}

static tw_status note_time(const tw_key_feed *f, const part *p, uint64_t *times, int i, void *stream) {
  if (!f->o.timed || p->index > 0) return TW_OK;
  return tw_device_hand_over(&(tw_device_hand_over_args){.arrived = &times[i]}, stream);
}

static tw_status copy_block(void *state, int index, int i) {
  tw_key_feed *f = state;
  const part *p = &f->parts[index];
  uint64_t at = f->starts[i], bytes = f->starts[i + 1] - at;
  if (f->o.traced) TW_TRY(tw_device_timer_record(p->begin[i], f->copies));
  for (int of_part = 0; of_part < p->count; of_part++) {
    int b = p->first + of_part, copy = i * p->count + of_part;
    TW_TRY(hand_over(f, p, copy));
    const uint8_t *from = f->ring ? tw_key_ring_buffer(f->ring, index, (uint64_t)copy) : f->from[b] + at;
    TW_TRY(copy_around(f, b, at, bytes, from));
  }
  TW_TRY(note_time(f, p, f->arrived, i, f->copies));
  if (i + 1 == f->blocks) TW_TRY(hand_over(f, p, f->blocks * p->count));
  if (f->o.traced) TW_TRY(tw_device_timer_record(p->end[i], f->copies));
  return tw_device_event_record(p->taken[i], f->copies);
}

static tw_status want_block(void *state, int index, int i) {
  tw_key_feed *f = state;
  return note_time(f, &f->parts[index], f->wanted, i, f->parts[index].stream);
}

static tw_status wait_for_block(void *state, int index, int i) {
  const part *p = &((tw_key_feed *)state)->parts[index];
  return tw_device_event_wait(p->taken[i], p->stream);
}

// ---- memory

static tw_status create_ring(tw_key_feed *f) {
  void *memory;
  int all = f->blocks * f->parts[f->o.halves - 1].count, depth = DEPTH / f->o.halves;
  f->ring_options = (tw_key_ring_options){.slot_bytes = f->slot_bytes,
                                          .batch = f->o.batch,
                                          .block_bytes = block_of(&f->o),
                                          .depth = all < depth ? all : depth,
                                          .feeds = f->o.halves,
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
  TW_TRY(tw_key_blocks(f->slot_bytes, block_of(&f->o), &f->starts, &f->blocks));
  TW_TRY(tw_alloc(8 * (size_t)f->o.batch, &memory));
  f->read = memory;
  TW_TRY(tw_alloc(sizeof(uint8_t *) * (size_t)f->o.batch, &memory));
  f->from = memory;
  return TW_OK;
}

static tw_status create_flow(tw_key_feed *f) {
  TW_TRY(tw_key_laps_create(f->o.windows, room_of(&f->o), &f->laps));
  uint64_t gate = tw_key_largest(f->o.windows);
  f->calls = (tw_key_flow_calls){f, follow_gates, copy_block, want_block, wait_for_block};
  f->flow = (tw_key_flow){.laps = &f->laps,
                          .starts = f->starts,
                          .blocks = f->blocks,
                          .parts = f->o.halves,
                          .lead = gate > LEAD ? gate : LEAD,
                          .calls = &f->calls};
  if (f->o.place == TW_KEYS_MEMORY) f->flow.ahead = tw_key_flow_ahead(&f->flow, f->o.ahead);
  return TW_OK;
}

static tw_status create_events(tw_key_feed *f, part *p) {
  void ***lists[] = {&p->taken, &p->begin, &p->end}, *memory;
  TW_TRY(tw_device_event_create(&p->asked));
  for (int list = 0; list < 3; list++) {
    TW_TRY(tw_alloc(sizeof(void *) * (size_t)f->blocks, &memory));
    *lists[list] = memory;
  }
  for (int i = 0; i < f->blocks; i++) TW_TRY(tw_device_event_create(&p->taken[i]));
  for (int i = 0; i < f->blocks && f->o.traced; i++) {
    TW_TRY(tw_device_timer_create(&p->begin[i]));
    TW_TRY(tw_device_timer_create(&p->end[i]));
  }
  return TW_OK;
}

static tw_status create_copies(tw_key_feed *f) {
  void *memory;
  TW_TRY(create_flow(f));
  TW_TRY(tw_device_stream_create(&f->copies));
  TW_TRY(tw_device_event_create(&f->begun));
  for (int i = 0; i < f->o.halves; i++) TW_TRY(create_events(f, &f->parts[i]));
  TW_TRY(k->alloc((size_t)tw_key_feed_room(&f->o), &memory));
  f->device = memory;
  if (f->o.timed) {
    TW_TRY(k->alloc(16 * (size_t)f->blocks, &memory));
    f->wanted = memory;
    f->arrived = f->wanted + f->blocks;
    TW_TRY(k->fill(f->wanted, 0, 16 * (size_t)f->blocks, f->parts[0].stream));
  }
  return f->o.place == TW_KEYS_FILE ? create_ring(f) : TW_OK;
}

static tw_status create_all(tw_key_feed *f) {
  void *memory;
  TW_TRY(k->alloc(sizeof(int), &memory));
  f->stop = memory;
  TW_TRY(k->fill(f->stop, 0, sizeof(int), f->parts[0].stream));
  TW_TRY(create_lists(f));
  return f->o.place == TW_KEYS_RESIDENT ? TW_OK : create_copies(f);
}

tw_status tw_key_feed_create(const tw_key_feed_options *options, tw_key_feed **out) {
  *out = NULL;
  tw_key_feed *f = calloc(1, sizeof *f);
  if (!f) return tw_fail(TW_ERR_MEMORY, "out of memory for a key feed");
  f->o = *options;
  f->slot_bytes = options->windows->slot_bytes;
  for (int i = 0; i < options->halves; i++) {
    int end = i + 1 < options->halves ? options->first[i + 1] : options->batch;
    f->parts[i] = (part){.feed = f,
                         .stream = options->streams[i],
                         .index = i,
                         .first = options->first[i],
                         .count = end - options->first[i]};
  }
  tw_status status = create_all(f);
  f->device_bytes = f->device ? (size_t)tw_key_feed_room(&f->o) : 0;
  f->o.windows = NULL;  // the caller's
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

static void destroy_events(tw_key_feed *f, part *p) {
  void **lists[] = {p->taken, p->begin, p->end};
  for (int list = 0; list < 3; list++) {
    for (int i = 0; lists[list] && i < f->blocks; i++) tw_device_event_destroy(lists[list][i]);
    tw_free(lists[list]);
  }
  tw_device_event_destroy(p->asked);
}

void tw_key_feed_destroy(tw_key_feed *f) {
  if (!f) return;
  tw_key_feed_end(f);
  if (f->copies) (void)tw_device_wait_for(f->copies, PATIENCE);
  for (int i = 0; i < f->o.halves; i++) (void)tw_device_wait_for(f->parts[i].stream, PATIENCE);
  tw_key_ring_destroy(f->ring);
  for (int i = 0; i < f->o.halves; i++) destroy_events(f, &f->parts[i]);
  tw_device_event_destroy(f->begun);
  tw_device_stream_destroy(f->copies);
  if (f->buffers) tw_pinned_free(f->buffers, tw_key_ring_buffer_bytes(&f->ring_options));
  if (f->words) tw_pinned_free(f->words, tw_key_ring_word_bytes(&f->ring_options));
  if (f->device) k->release(f->device, f->device_bytes);
  if (f->wanted) k->release(f->wanted, 16 * (size_t)f->blocks);
  if (f->stop) k->release(f->stop, sizeof(int));
  tw_key_laps_free(&f->laps);
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

tw_status tw_key_feed_lead(tw_key_feed *f) { return tw_key_flow_copy_ahead(&f->flow); }

tw_status tw_key_feed_fill(tw_key_feed *f) {
  if (f->flow.ahead > 0) TW_TRY(tw_device_wait(f->copies));
  return f->ring ? tw_key_ring_fill(f->ring) : TW_OK;
}

// The copies' stream starts where the gates' stream is now: so it is part of a graph that is being recorded.
tw_status tw_key_feed_start(tw_key_feed *f) {
  for (int b = 0; b < f->o.batch; b++) f->read[b] = 0;
  for (int i = 0; i < f->o.halves; i++) f->parts[i].waited = 0;
  TW_TRY(k->fill(f->stop, 0, sizeof(int), f->parts[0].stream));
  if (f->o.place == TW_KEYS_RESIDENT || f->blocks == 0) return TW_OK;
  if (f->flow.ahead == f->blocks) return tw_key_flow_start(&f->flow);  // what forks must join: a last copy
  TW_TRY(tw_device_event_record(f->begun, f->parts[0].stream));
  TW_TRY(tw_device_event_wait(f->begun, f->copies));
  return tw_key_flow_start(&f->flow);
}

static tw_status resident_window(tw_key_feed *f, int b, size_t bytes, const uint8_t **packed) {
  if (bytes > f->slot_bytes - f->read[b]) return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  *packed = f->from[b] + f->read[b];
  f->read[b] += bytes;
  return TW_OK;
}

// A gate takes the same of every sequence, of the part's first one first.
static tw_status window(void *state, int of_part, size_t bytes, const uint8_t **packed) {
  part *p = state;
  tw_key_feed *f = p->feed;
  int b = p->first + of_part;
  uint64_t place = 0;
  if (f->o.place == TW_KEYS_RESIDENT) return resident_window(f, b, bytes, packed);
  if (of_part == 0) TW_TRY(tw_key_flow_take(&f->flow, p->index, bytes, &place));
  if (of_part > 0) place = tw_key_place(&f->laps, f->read[b]);
  *packed = f->device + (uint64_t)b * f->laps.room + place;
  f->read[b] += bytes;
  if (f->read[b] == f->flow.part[p->index].at) return TW_OK;
  return tw_fail(TW_ERR_INTERNAL, "gates take other keys of sequence %d than of the first one", b);
}

static tw_status reach(void *state, size_t bytes, bool *there) {
  const part *p = state;
  *there = true;
  if (p->feed->o.place == TW_KEYS_RESIDENT) return TW_OK;
  return tw_key_flow_reach(&p->feed->flow, p->index, bytes, there);
}

// Without a word to the gates' own stream, which may be behind.
static tw_status wait_aside(tw_key_feed *f, part *p, uint64_t end) {
  TW_TRY(tw_key_flow_copied(&f->flow, p->index, end));
  for (; p->waited < f->blocks && f->starts[p->waited] < end; p->waited++)
    if (p->waited >= f->flow.ahead) TW_TRY(tw_device_event_wait(p->taken[p->waited], f->o.aside));
  return TW_OK;
}

static tw_status window_at(void *state, int of_part, uint64_t offset, size_t bytes, bool aside,
                           const uint8_t **packed) {
  part *p = state;
  tw_key_feed *f = p->feed;
  int b = p->first + of_part;
  if (offset > f->slot_bytes || bytes > f->slot_bytes - offset)
    return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  if (f->o.place == TW_KEYS_RESIDENT) {
    *packed = f->from[b] + offset;
    return TW_OK;
  }
  *packed = f->device + (uint64_t)b * f->laps.room + offset;
  return aside && f->o.aside ? wait_aside(f, p, offset + bytes) : tw_key_flow_to(&f->flow, p->index, offset + bytes);
}

tw_correction_reader tw_key_feed_source(tw_key_feed *f, int half) {
  bool whole = f && (f->o.place == TW_KEYS_RESIDENT || f->laps.count == 1);
  return (tw_correction_reader){
      .state = f ? &f->parts[half] : NULL, .window = window, .reach = reach, .window_at = whole ? window_at : NULL};
}
const int *tw_key_feed_stop(const tw_key_feed *f) { return f->stop; }
tw_status tw_key_feed_status(tw_key_feed *f) { return f->ring ? tw_key_ring_status(f->ring) : TW_OK; }

tw_status tw_key_feed_spans(const tw_key_feed *f, void *origin, tw_trace *trace) {
  if (!f->o.traced || f->o.place == TW_KEYS_RESIDENT) return TW_OK;
  for (int i = 0; i < f->o.halves * f->blocks; i++) {
    const part *p = &f->parts[i % f->o.halves];
    double begin, end;
    TW_TRY(tw_device_timer_between(origin, p->begin[i / f->o.halves], &begin));
    TW_TRY(tw_device_timer_between(origin, p->end[i / f->o.halves], &end));
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
