// Which key slots a run has used up, as people are told.
#ifndef TW_USED_SLOTS_H
#define TW_USED_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/ids.h"

enum { TW_SLOTS_TEXT = 320 };

typedef struct {
  tw_id key_id;
  uint64_t slot;
} tw_used_slot;

// Of one key file "3", "0-7", "1, 4 and 6 more"; with `keys`, for a NAME that has several, "0 and 1 of key ID, 0 of key
// ID": each has a slot 0. Keys that find no place are counted. Orders the list.
void tw_used_slots_say(tw_used_slot *list, size_t count, bool keys, char text[TW_SLOTS_TEXT]);

#endif
