#include "io/pieces.h"

#include <stdlib.h>
#include <string.h>

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

uint64_t tw_hash_more(uint64_t h, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
  return h;
}

static size_t slot_of(const tw_pieces *p, uint64_t h, const char *text, size_t bytes) {
  size_t i = (size_t)(h ^ h >> 29) & p->mask;
  for (; p->names[i] >= 0; i = (i + 1) & p->mask) {
    const char *piece = p->text[p->names[i]];
    if (strncmp(piece, text, bytes) == 0 && piece[bytes] == '\0') break;
  }
  return i;
}

int tw_pieces_find_hashed(const tw_pieces *p, uint64_t hash, const char *text, size_t bytes) {
  return p->names[slot_of(p, hash, text, bytes)];
}

int tw_pieces_find(const tw_pieces *p, const char *text, size_t bytes) {
  return tw_pieces_find_hashed(p, tw_hash_more(TW_HASH_START, text, bytes), text, bytes);
}

tw_status tw_pieces_allocate(tw_pieces *p, int count) {
  p->count = count;
  p->text = calloc((size_t)count + 1, sizeof *p->text);
  return p->text ? TW_OK : out_of_memory();
}

tw_status tw_pieces_index(tw_pieces *p) {
  size_t slots = 16;
  while (slots < 2 * (size_t)p->count) slots *= 2;
  p->mask = slots - 1;
  p->names = malloc(slots * sizeof *p->names);
  if (!p->names) return out_of_memory();
  memset(p->names, -1, slots * sizeof *p->names);
  for (int id = 0; id < p->count; id++) {
    if (!p->text[id]) continue;
    size_t bytes = strlen(p->text[id]);
    p->names[slot_of(p, tw_hash_more(TW_HASH_START, p->text[id], bytes), p->text[id], bytes)] = id;
  }
  return TW_OK;
}

void tw_pieces_free(tw_pieces *p) {
  for (int i = 0; p->text && i < p->count; i++) free(p->text[i]);
  free(p->text);
  free(p->names);
  *p = (tw_pieces){0};
}
