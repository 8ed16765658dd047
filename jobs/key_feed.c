#include "jobs/key_feed.h"

#ifdef TWAIN_CUDA
#include <stdlib.h>

#include "base/memory.h"
#include "kernels/backend.h"
#include "kernels/device.h"

enum { CHUNK = 8 << 20 };

struct tw_key_feed {
  uint64_t slot_bytes;
  int batch, chunks;         // chunks of a slot
  void *stream, *copies;     // gates' and copies' streams
  void *begun, **arrived;    // arrived: one a chunk, of all sequences
  uint8_t *pinned, *device;  // [batch][slot_bytes]
  uint64_t *read;            // bytes handed out, of each sequence
  int waited;                // chunks the gates' stream has waited for
};

tw_status tw_key_feed_create(uint64_t slot_bytes, int batch, void *stream, tw_key_feed **out) {
  tw_key_feed *f = calloc(1, sizeof *f);
  if (!f) return tw_fail(TW_ERR_MEMORY, "out of memory for a key feed");
  *f = (tw_key_feed){
      .slot_bytes = slot_bytes, .batch = batch, .chunks = (int)((slot_bytes + CHUNK - 1) / CHUNK), .stream = stream};
  size_t bytes = slot_bytes * (size_t)batch;
  void *memory;
  tw_status status = tw_alloc(8 * (size_t)batch, &memory);
  f->read = memory;
  if (status == TW_OK) status = tw_alloc(sizeof(void *) * (size_t)(f->chunks + 1), &memory);
  if (status == TW_OK) f->arrived = memory;
  if (status == TW_OK) status = tw_device_stream_create(&f->copies);
  if (status == TW_OK) status = tw_device_event_create(&f->begun);
  for (int i = 0; i < f->chunks && status == TW_OK; i++) status = tw_device_event_create(&f->arrived[i]);
  if (status == TW_OK) status = tw_pinned_alloc(bytes, &memory);
  if (status == TW_OK) f->pinned = memory;
  if (status == TW_OK) status = tw_cuda_backend.alloc(bytes, &memory);
  if (status == TW_OK) f->device = memory;
  *out = f;
  if (status != TW_OK) {
    tw_key_feed_destroy(f);
    *out = NULL;
  }
  return status;
}

void tw_key_feed_destroy(tw_key_feed *f) {
  if (!f) return;
  size_t bytes = f->slot_bytes * (size_t)f->batch;
  for (int i = 0; f->arrived && i < f->chunks; i++) tw_device_event_destroy(f->arrived[i]);
  tw_device_event_destroy(f->begun);
  tw_device_stream_destroy(f->copies);
  if (f->pinned) tw_pinned_free(f->pinned, bytes);
  if (f->device) tw_cuda_backend.release(f->device, bytes);
  tw_free(f->arrived);
  tw_free(f->read);
  free(f);
}

tw_status tw_key_feed_load(tw_key_feed *f, const tw_source *source) {
  for (int b = 0; b < f->batch; b++)
    for (uint64_t at = 0; at < f->slot_bytes; at += CHUNK) {
      uint64_t bytes = f->slot_bytes - at < CHUNK ? f->slot_bytes - at : CHUNK;
      TW_TRY(source->read(source->state, b, f->pinned + (uint64_t)b * f->slot_bytes + at, bytes));
    }
  return TW_OK;
}

// The copies' stream starts where the gates' stream is now: so it is part of a graph that is being recorded.
tw_status tw_key_feed_start(tw_key_feed *f) {
  f->waited = 0;
  for (int b = 0; b < f->batch; b++) f->read[b] = 0;
  TW_TRY(tw_device_event_record(f->begun, f->stream));
  TW_TRY(tw_device_event_wait(f->begun, f->copies));
  for (int i = 0; i < f->chunks; i++) {
    uint64_t at = (uint64_t)i * CHUNK, bytes = f->slot_bytes - at < CHUNK ? f->slot_bytes - at : CHUNK;
    for (int b = 0; b < f->batch; b++) {
      uint64_t from = (uint64_t)b * f->slot_bytes + at;
      TW_TRY(tw_device_copy_in(f->device + from, f->pinned + from, bytes, f->copies));
    }
    TW_TRY(tw_device_event_record(f->arrived[i], f->copies));
  }
  return TW_OK;
}

static tw_status window(void *state, int b, size_t bytes, const uint8_t **packed) {
  tw_key_feed *f = state;
  uint64_t end = f->read[b] + bytes;
  if (end > f->slot_bytes) return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  for (; (uint64_t)f->waited * CHUNK < end; f->waited++) TW_TRY(tw_device_event_wait(f->arrived[f->waited], f->stream));
  *packed = f->device + (uint64_t)b * f->slot_bytes + f->read[b];
  f->read[b] = end;
  return TW_OK;
}

tw_source tw_key_feed_source(tw_key_feed *f) { return (tw_source){NULL, f, window}; }
#endif
