// A chunk of a slot's keys with its head, as it goes over the line.
#ifndef TW_LIVE_PIECE_H
#define TW_LIVE_PIECE_H

#include <stddef.h>

#include "jobs/parties/live_words.h"

typedef struct tw_live_piece tw_live_piece;
struct tw_live_piece {
  tw_live_piece *next;
  size_t bytes;  // of head and data together
  struct {
    tw_live_head head;
    uint8_t data[TW_KEY_CHUNK];
  } sent;
};

#endif
