#include "jobs/program/session_memory.h"

#include <stdlib.h>

#include "jobs/program/session_parts.h"
#include "kernels/digit.h"

// Blocks are reused by size and wiped together when the session is destroyed: they hold shares. A text's program has
// thousands of them and many times as many gates, so nothing here walks all of them.
struct tw_memory_block {
  tw_memory_block *next, *in_bucket, *next_unused, *next_scratch;
  uint64_t *data;
  size_t words;
  bool used, scratch, listed;  // listed: among those that a gate gives back
};
enum { BUCKET_BITS = 12, SIZES = 4 * 64 };

// Sizes that differ by a quarter of a power of two.
static int size_of(size_t words) {
  int top = 63 - __builtin_clzll(words);
  return 4 * top + (top >= 2 ? (int)(words >> (top - 2) & 3) : 0);
}

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

static tw_memory_block **bucket_of(const tw_session *s, const uint64_t *data) {
  return &s->memory.by_address[((uintptr_t)data >> 6) * 0x9e3779b97f4a7c15u >> (64 - BUCKET_BITS)];
}

static tw_status block_add(tw_session *s, size_t words, tw_memory_block **out) {
  enum { BUCKETS = 1 << BUCKET_BITS };
  if (!s->memory.by_address) s->memory.by_address = calloc(BUCKETS + SIZES, sizeof *s->memory.by_address);
  if (s->memory.by_address) s->memory.unused = s->memory.by_address + BUCKETS;
  tw_memory_block *b = calloc(1, sizeof *b);
  if (b && !s->memory.by_address) free(b), b = NULL;
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a session's buffer list");
  void *data;
  tw_status status = take_memory(s, words * 8, &data);
  if (status != TW_OK) {
    free(b);
    return status;
  }
  tw_memory_block **bucket = bucket_of(s, data);
  *b = (tw_memory_block){.next = s->memory.blocks, .in_bucket = *bucket, .data = data, .words = words};
  s->memory.bytes_held += words * 8;
  s->memory.blocks = *bucket = b;
  *out = b;
  return TW_OK;
}

// The smallest that fits well, no longer among the unused; NULL: there is none. Of a size, the one released last, or,
// where they are reused late, first.
static tw_memory_block *take_unused(tw_session *s, size_t words) {
  size_t most = words + words / 4 + 64;
  tw_memory_block **best = NULL;
  if (!s->memory.unused) return NULL;
  for (int size = size_of(words); size <= size_of(most) && !best; size++)
    for (tw_memory_block **at = &s->memory.unused[size]; *at; at = &(*at)->next_unused) {
      if ((*at)->words < words || (*at)->words > most) continue;
      if (best && (*at)->words >= (*best)->words + s->memory.arena.late) continue;
      best = at;
      if ((*at)->words == words && !s->memory.arena.late) break;
    }
  if (!best) return NULL;
  tw_memory_block *b = *best;
  *best = b->next_unused;
  return b;
}

// fresh: of its own, so that what it takes does not depend on what has been released when.
typedef enum { VALUE, SCRATCH, FRESH } block_kind;

static tw_status block_take(tw_session *s, size_t words, block_kind kind, uint64_t **out) {
  if (words == 0) words = 1;
  bool fresh = kind == FRESH ||
               (s->memory.arena.late && s->memory.arena.bytes - s->memory.arena_used >= tw_arena_rounded(8 * words));
  tw_memory_block *b = fresh ? NULL : take_unused(s, words);
  if (!b) TW_TRY(block_add(s, words, &b));
  b->used = true;
  b->scratch = kind == SCRATCH;
  if (b->scratch && !b->listed) {
    b->listed = true;
    b->next_scratch = s->memory.scratch;
    s->memory.scratch = b;
  }
  *out = b->data;
  return TW_OK;
}

static void give_back(tw_session *s, tw_memory_block *b) {
  if (!b->used) return;
  b->used = b->scratch = false;
  tw_memory_block **unused = &s->memory.unused[size_of(b->words)];
  b->next_unused = *unused;
  *unused = b;
}

// What is another session's is left alone.
static void block_release(tw_session *s, const uint64_t *data) {
  if (!data || !s->memory.by_address) return;
  for (tw_memory_block *b = *bucket_of(s, data); b; b = b->in_bucket)
    if (b->data == data) give_back(s, b);
}

void tw_session_release_scratch(tw_session *s) {
  while (s->memory.scratch) {
    tw_memory_block *b = s->memory.scratch;
    s->memory.scratch = b->next_scratch;
    b->listed = false;
    if (b->scratch) give_back(s, b);
  }
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
  free(s->memory.by_address);
  s->memory.by_address = NULL;
  s->memory.unused = NULL;
  s->memory.scratch = NULL;
}
