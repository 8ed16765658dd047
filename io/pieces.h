// A vocabulary: pieces by id, and ids by piece.
#ifndef TW_PIECES_H
#define TW_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
  char **text;  // by id; NULL: none
  int count;    // largest id + 1
  int *names;   // open addressing over text
  size_t mask;
} tw_pieces;

// Room for `count` ids. The caller sets text[id], malloc's each, and then has them indexed; the last of equal pieces
// is found.
tw_status tw_pieces_allocate(tw_pieces *p, int count);
tw_status tw_pieces_index(tw_pieces *p);
void tw_pieces_free(tw_pieces *p);

int tw_pieces_find(const tw_pieces *p, const char *text, size_t bytes);  // -1: none
// The same, with the hash of `text` made bit by bit: from TW_HASH_START, stretch after stretch.
#define TW_HASH_START 0xcbf29ce484222325u
uint64_t tw_hash_more(uint64_t hash, const char *text, size_t bytes);
int tw_pieces_find_hashed(const tw_pieces *p, uint64_t hash, const char *text, size_t bytes);

#endif
