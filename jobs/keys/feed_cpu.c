#include "jobs/keys/feed_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/key_ring.h"

enum { READERS = 1, DEPTH = 4, LANES_IN_DEPTH = 32 };  // gates need the cores; many sequences are many feeds

typedef struct {
  tw_host_feed *feed;
  int first;  // sequence
} part;

struct tw_host_feed {
  part parts[TW_HALVES];
  uint64_t slot_bytes;
  int batch;
  tw_key_location place;
  tw_key_source source;
  uint64_t *at;  // bytes handed out, of each sequence
  tw_key_ring_options o;
  tw_key_ring *ring;
  uint8_t *buffers;
  uint64_t *words;
};

static tw_key_ring_options ring_options(uint64_t slot_bytes, int batch) {
  return (tw_key_ring_options){.slot_bytes = slot_bytes,
                               .batch = batch,
                               .block_bytes = TW_KEY_CHUNK,
                               .feeds = batch,
                               .depth = batch > LANES_IN_DEPTH ? 2 : DEPTH,
                               .readers = READERS};
}

uint64_t tw_host_feed_bytes(uint64_t slot_bytes, int batch) {
  const tw_key_ring_options o = ring_options(slot_bytes, batch);
  return tw_key_ring_buffer_bytes(&o) + tw_key_ring_word_bytes(&o);
}

static tw_status create_ring(tw_host_feed *f) {
  void *memory;
  f->o = ring_options(f->slot_bytes, f->batch);
  TW_TRY(tw_secret_alloc(tw_key_ring_buffer_bytes(&f->o), &memory));
  f->buffers = memory;
  TW_TRY(tw_alloc(tw_key_ring_word_bytes(&f->o), &memory));
  f->words = memory;
  return tw_key_ring_create(&f->o, f->buffers, f->words, &f->ring);
}

tw_status tw_host_feed_create(uint64_t slot_bytes, int batch, tw_key_location place, tw_host_feed **out) {
  *out = NULL;
  if (place == TW_KEYS_RESIDENT)
    return tw_fail(TW_ERR_USAGE, "keys that lie in a GPU's memory need --device cuda; use keys from memory or a file");
  tw_host_feed *f = calloc(1, sizeof *f);
  if (!f) return tw_fail(TW_ERR_MEMORY, "out of memory for a key feed");
  *f = (tw_host_feed){.slot_bytes = slot_bytes, .batch = batch, .place = place};
  void *memory;
  tw_status status = tw_alloc(8 * (size_t)batch, &memory);
  f->at = memory;
  if (status == TW_OK && place == TW_KEYS_FILE) status = create_ring(f);
  if (status != TW_OK) {
    tw_host_feed_destroy(f);
    return status;
  }
  *out = f;
  return TW_OK;
}

void tw_host_feed_destroy(tw_host_feed *f) {
  if (!f) return;
  tw_key_ring_destroy(f->ring);
  if (f->buffers) tw_secret_free(f->buffers, tw_key_ring_buffer_bytes(&f->o));
  tw_free(f->words);
  tw_free(f->at);
  free(f);
}

tw_status tw_host_feed_load(tw_host_feed *f, const tw_key_source *source) {
  f->source = *source;
  memset(f->at, 0, 8 * (size_t)f->batch);
  return f->ring ? tw_key_ring_start(f->ring, source) : TW_OK;
}

static tw_status check_end(const tw_host_feed *f, int b, size_t bytes) {
  if (bytes <= f->slot_bytes - f->at[b]) return TW_OK;
  return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
}

// A block is a chunk here. It is given back with its last byte.
static tw_status read(void *state, int of_part, void *dst, size_t bytes) {
  const part *p = state;
  tw_host_feed *f = p->feed;
  int b = p->first + of_part;
  uint8_t *to = dst;
  TW_TRY(check_end(f, b, bytes));
  while (bytes > 0) {
    const uint8_t *data;
    uint64_t block = f->at[b] / TW_KEY_CHUNK, inside = f->at[b] % TW_KEY_CHUNK;
    size_t part = TW_KEY_CHUNK - inside < bytes ? TW_KEY_CHUNK - inside : bytes;
    TW_TRY(tw_key_ring_wait(f->ring, b, block, &data));
    memcpy(to, data + inside, part);
    to += part;
    bytes -= part;
    f->at[b] += part;
    if (f->at[b] / TW_KEY_CHUNK != block) tw_key_ring_release(f->ring, b, block + 1);
  }
  return TW_OK;
}

static tw_status window(void *state, int of_part, size_t bytes, const uint8_t **packed) {
  const part *p = state;
  tw_host_feed *f = p->feed;
  int b = p->first + of_part;
  TW_TRY(check_end(f, b, bytes));
  *packed = f->source.slot(f->source.state, b) + f->at[b];
  f->at[b] += bytes;
  return TW_OK;
}

static tw_status window_at(void *state, int of_part, uint64_t offset, size_t bytes, bool aside,
                           const uint8_t **packed) {
  (void)aside;
  const part *p = state;
  const tw_host_feed *f = p->feed;
  if (offset > f->slot_bytes || bytes > f->slot_bytes - offset)
    return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  *packed = f->source.slot(f->source.state, p->first + of_part) + offset;
  return TW_OK;
}

tw_correction_reader tw_host_feed_source(tw_host_feed *f, int first) {
  part *p = &f->parts[first > 0];
  *p = (part){f, first};
  if (f->place != TW_KEYS_MEMORY) return (tw_correction_reader){.read = read, .state = p};
  return (tw_correction_reader){.state = p, .window = window, .window_at = window_at};
}

uint64_t tw_host_feed_wait_ns(const tw_host_feed *f) { return f->ring ? tw_key_ring_wait_ns(f->ring) : 0; }
