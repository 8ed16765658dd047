#include "app/bench/key_evaluations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

// Of a mask with one bit more, whose top bit a comparison is dealt apart.
enum { RING = 21, LEVELS = RING - 8, HALVES = 2 };
enum { ON_CPU = 1 << 14, ON_DEVICE = 1 << 19, BUFFERS = 2, TURNS = 8 };
enum { LEAF, SEED, CONTROL, PARTS };  // as a gate by keys has its corrections

typedef struct {
  void *memory;
  size_t bytes;
} room;

struct tw_key_evaluations {
  const tw_backend *backend;
  bool on_device;
  void *stream;
  size_t n;
  room unpacked, rest, packed[BUFFERS];
  tw_thresholds_args thresholds;
  tw_correction_args part[PARTS];
  size_t offset[PARTS], key_bytes;  // of all keys, packed
  void *pinned, *copies, *copied[BUFFERS], *freed[BUFFERS];
};

static const int width[PARTS] = {64, 64, 2};
static size_t part_count(const tw_key_evaluations *e, int part) {
  static const size_t each[PARTS] = {HALVES, HALVES * LEVELS, LEVELS};
  return each[part] * e->n;
}

static tw_status take_room(tw_key_evaluations *e, size_t words, room *out) {
  out->bytes = 8 * words;
  return e->backend->alloc(out->bytes, &out->memory);
}

static tw_status fill(const tw_key_evaluations *e, const room *to, const uint8_t *random, size_t random_bytes) {
  for (size_t at = 0; at < to->bytes; at += random_bytes) {
    size_t bytes = to->bytes - at < random_bytes ? to->bytes - at : random_bytes;
    TW_TRY(e->backend->upload((uint8_t *)to->memory + at, random, bytes, e->stream));
  }
  return TW_OK;
}

// Words as kernels read them; control bits are two of each 64-bit word.
static tw_status make_arrays(tw_key_evaluations *e, const uint8_t *random, size_t random_bytes) {
  size_t n = e->n, words = tw_words(n), all = 0;
  for (int i = 0; i < PARTS; i++) all += part_count(e, i);
  TW_TRY(take_room(e, all, &e->unpacked));
  TW_TRY(take_room(e, n + 2 + HALVES * n + 2 * words, &e->rest));
  TW_TRY(fill(e, &e->unpacked, random, random_bytes));
  TW_TRY(fill(e, &e->rest, random, random_bytes));
  uint64_t *at = e->unpacked.memory, *rest = e->rest.memory;
  for (int i = 0; i < PARTS; at += part_count(e, i), i++) {
    e->part[i] = (tw_correction_args){.sequences = 1,
                                      .slots = rest + n,
                                      .width = width[i],
                                      .n = part_count(e, i),
                                      .count = part_count(e, i),
                                      .out = at};
    e->offset[i] = e->key_bytes;
    e->key_bytes += tw_packed_bytes(part_count(e, i), width[i]);
  }
  e->thresholds = (tw_thresholds_args){.sequences = 1,
                                       .n = n,
                                       .words = words,
                                       .X = rest,
                                       .thresholds = (const int64_t *)rest + n + 1,
                                       .root = rest + n + 2,
                                       .seed = e->part[SEED].out,
                                       .control = e->part[CONTROL].out,
                                       .leaf = e->part[LEAF].out,
                                       .top = rest + n + 2 + HALVES * n,
                                       .slots = rest + n,
                                       .out = rest + n + 2 + HALVES * n + words,
                                       .count = 1,
                                       .ring = RING};
  return TW_OK;
}

static tw_status run_thresholds(const void *args, void *stream) {
  const tw_key_evaluations *e = args;
  return e->backend->thresholds(&e->thresholds, stream);
}

#ifdef TWAIN_CUDA
static tw_status make_stream(tw_key_evaluations *e) {
  TW_TRY(tw_pinned_alloc(e->key_bytes, &e->pinned));
  memset(e->pinned, 0x5a, e->key_bytes);
  TW_TRY(tw_device_stream_create(&e->copies));
  for (int i = 0; i < BUFFERS; i++) {
    TW_TRY(take_room(e, e->key_bytes / 8 + 1, &e->packed[i]));
    TW_TRY(tw_device_event_create(&e->copied[i]));
    TW_TRY(tw_device_event_create(&e->freed[i]));
  }
  return TW_OK;
}

static tw_status run_copy(const void *args, void *stream) {
  const tw_key_evaluations *e = args;
  return tw_device_copy_in(e->packed[0].memory, e->pinned, e->key_bytes, stream);
}

static tw_status evaluate(const tw_key_evaluations *e, const uint8_t *packed, void *stream) {
  tw_correction_args part[PARTS];
  for (int i = 0; i < PARTS; i++) {
    part[i] = e->part[i];
    part[i].packed = packed + e->offset[i];
  }
  TW_TRY(e->backend->corrections(part, PARTS, stream));
  return e->backend->thresholds(&e->thresholds, stream);
}

// All keys TURNS times: one buffer is evaluated while the other is filled. The copies' stream begins and ends with
// the other, so that this can be recorded.
static tw_status run_stream(const void *args, void *stream) {
  const tw_key_evaluations *e = args;
  TW_TRY(tw_device_event_record(e->freed[0], stream));
  TW_TRY(tw_device_event_record(e->freed[1], stream));
  for (int i = 0; i < TURNS; i++) {
    int buffer = i % BUFFERS;
    TW_TRY(tw_device_event_wait(e->freed[buffer], e->copies));
    TW_TRY(tw_device_copy_in(e->packed[buffer].memory, e->pinned, e->key_bytes, e->copies));
    TW_TRY(tw_device_event_record(e->copied[buffer], e->copies));
    TW_TRY(tw_device_event_wait(e->copied[buffer], stream));
    TW_TRY(evaluate(e, e->packed[buffer].memory, stream));
    TW_TRY(tw_device_event_record(e->freed[buffer], stream));
  }
  return TW_OK;
}

static void free_stream(tw_key_evaluations *e) {
  for (int i = 0; i < BUFFERS; i++) {
    if (e->copied[i]) tw_device_event_destroy(e->copied[i]);
    if (e->freed[i]) tw_device_event_destroy(e->freed[i]);
    if (e->packed[i].memory) e->backend->release(e->packed[i].memory, e->packed[i].bytes);
  }
  if (e->copies) tw_device_stream_destroy(e->copies);
  if (e->pinned) tw_pinned_free(e->pinned, e->key_bytes);
}

static void stream_calls(tw_key_evaluations *e, tw_timed_call calls[2]) {
  tw_kernel_cost cost = {.bytes = (double)e->key_bytes, .work = (double)e->n};
  snprintf(cost.size, sizeof cost.size, "%zu keys, packed", e->n);
  calls[0] = (tw_timed_call){"key copy", cost, run_copy, e};
  cost.bytes *= TURNS;
  cost.work *= TURNS;
  snprintf(cost.size, sizeof cost.size, "%d times %zu keys", TURNS, e->n);
  calls[1] = (tw_timed_call){"key stream", cost, run_stream, e};
}
#endif

tw_status tw_key_evaluations_make(const tw_backend *backend, bool on_device, void *stream, const uint8_t *random,
                                  size_t random_bytes, tw_key_evaluations **out) {
  tw_key_evaluations *e = calloc(1, sizeof *e);
  *out = e;
  if (!e) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  *e = (tw_key_evaluations){
      .backend = backend, .on_device = on_device, .stream = stream, .n = on_device ? ON_DEVICE : ON_CPU};
  TW_TRY(make_arrays(e, random, random_bytes));
#ifdef TWAIN_CUDA
  if (on_device) return make_stream(e);
#endif
  return TW_OK;
}

int tw_key_evaluations_calls(tw_key_evaluations *e, tw_timed_call calls[TW_EVALUATION_CALLS]) {
  calls[0] = (tw_timed_call){"thresholds", tw_cost_thresholds(&e->thresholds), run_thresholds, e};
#ifdef TWAIN_CUDA
  if (e->on_device) stream_calls(e, calls + 1);
#endif
  return e->on_device ? TW_EVALUATION_CALLS : 1;
}

void tw_key_evaluations_free(tw_key_evaluations *e) {
  if (!e) return;
#ifdef TWAIN_CUDA
  free_stream(e);
#endif
  if (e->unpacked.memory) e->backend->release(e->unpacked.memory, e->unpacked.bytes);
  if (e->rest.memory) e->backend->release(e->rest.memory, e->rest.bytes);
  free(e);
}
