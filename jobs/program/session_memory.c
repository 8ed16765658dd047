#include "jobs/program/session_memory.h"

#include <stdlib.h>

#include "jobs/program/session_parts.h"
#include "kernels/digit.h"

// Blocks are reused by size and wiped together when the session is destroyed: they hold shares.
struct tw_memory_block {
  tw_memory_block *next;
  uint64_t *data;
  size_t words;
  bool used, scratch;
};

static tw_status take_memory(tw_session *s, size_t bytes, void **out) {
  if (!s->memory.arena.memory) return s->backend->alloc(bytes, out);
  size_t room = tw_arena_rounded(bytes);
  if (s->memory.arena.bytes - s->memory.arena_used < room)
    return tw_fail(TW_ERR_INTERNAL, "the arena of %zu bytes is too small: its forecast is wrong",
                   s->memory.arena.bytes);
  *out = (uint8_t *)s->memory.arena.memory + s->memory.arena_used;
  s->memory.arena_used += room;
  return TW_OK;
}

static tw_status block_add(tw_session *s, size_t words, tw_memory_block **out) {
  tw_memory_block *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a session's buffer list");
  void *data;
  tw_status status = take_memory(s, words * 8, &data);
  if (status != TW_OK) {
    free(b);
    return status;
  }
  *b = (tw_memory_block){s->memory.blocks, data, words, false, false};
  s->memory.bytes_held += words * 8;
  s->memory.blocks = b;
  *out = b;
  return TW_OK;
}

static tw_memory_block *smallest_free(tw_session *s, size_t words) {
  tw_memory_block *best = NULL;
  for (tw_memory_block *b = s->memory.blocks; b; b = b->next)
    if (!b->used && b->words >= words && b->words <= words + words / 4 + 64 && (!best || b->words < best->words))
      best = b;
  return best;
}

// fresh: of its own, so that what it takes does not depend on what has been released when.
typedef enum { VALUE, SCRATCH, FRESH } block_kind;

static tw_status block_take(tw_session *s, size_t words, block_kind kind, uint64_t **out) {
  if (words == 0) words = 1;
  tw_memory_block *b = kind == FRESH ? NULL : smallest_free(s, words);
  if (!b) TW_TRY(block_add(s, words, &b));
  b->used = true;
  b->scratch = kind == SCRATCH;
  *out = b->data;
  return TW_OK;
}

static void block_release(tw_session *s, const uint64_t *data) {
  if (!data) return;
  for (tw_memory_block *b = s->memory.blocks; b; b = b->next)
    if (b->data == data) b->used = false;
}

void tw_session_release_scratch(tw_session *s) {
  for (tw_memory_block *b = s->memory.blocks; b; b = b->next)
    if (b->used && b->scratch) b->used = b->scratch = false;
}

void tw_session_release_tensor(tw_session *s, int id) {
  tw_buffer *b = &s->memory.buffers[id];
  block_release(s, b->value);
  block_release(s, b->sign);
  b->value = b->sign = NULL;
  for (int side = 0; side < 2 && !s->preparation.keep_masks; side++) {
    block_release(s, b->mask[side]);
    b->mask[side] = NULL;
  }
}

size_t tw_words_of(const tw_session *s, int id) {
  const tw_tensor *t = tw_t(s, id);
  if (t->kind == TW_WIRE || t->kind == TW_SHARE) return t->n;
  return (size_t)t->planes * tw_words(t->n);
}

tw_status tw_make_value(tw_session *s, int id) {
  return block_take(s, (size_t)s->batch * tw_words_of(s, id), VALUE, &s->memory.buffers[id].value);
}

tw_status tw_make_mask(tw_session *s, int id, int side) {
  if (s->memory.buffers[id].mask[side]) return TW_OK;  // kept from an earlier preparation
  return block_take(s, (size_t)s->batch * tw_words_of(s, id), s->preparation.keep_masks ? FRESH : VALUE,
                    &s->memory.buffers[id].mask[side]);
}

tw_status tw_scratch(tw_session *s, size_t words, uint64_t **out) { return block_take(s, words, SCRATCH, out); }
tw_status tw_keep(tw_session *s, size_t words, uint64_t **out) { return block_take(s, words, VALUE, out); }

tw_status tw_session_wipe(tw_session *s) {
  for (tw_memory_block *b = s->memory.blocks; b; b = b->next)
    TW_TRY(s->backend->fill(b->data, 0, b->words * 8, s->stream));
  return TW_OK;
}

void tw_session_release_blocks(tw_session *s) {
  while (s->memory.blocks) {
    tw_memory_block *b = s->memory.blocks;
    s->memory.blocks = b->next;
    if (!s->memory.arena.memory) s->backend->release(b->data, b->words * 8);
    free(b);
  }
}
