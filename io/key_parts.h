// Keys that were dealt later for the same NAME (`deal --append`). A key file cannot grow: each later dealing is a pair
// of files of its own, NAME.moreTIME.keys.p0.h5 and .p1.h5, with a key id and seeds of its own.
#ifndef TW_KEY_PARTS_H
#define TW_KEY_PARTS_H

#include <stddef.h>

#include "io/new_files.h"

enum { TW_MOST_KEY_PARTS = 256 };

// NAME.moreTIME of each, by age; TIME is UTC, YYYYMMDDhhmmss.
typedef struct {
  tw_path *names;
  size_t room;
  int count;
} tw_key_parts;

// Those of which some file NAME.moreTIME.* is there; NAME itself is none. TW_ERR_IO for a folder that cannot be read,
// TW_ERR_RANGE for more than TW_MOST_KEY_PARTS.
tw_status tw_key_parts_find(const char *name, tw_key_parts *out);
void tw_key_parts_free(tw_key_parts *parts);
// Whether one more can be appended: TW_ERR_RANGE where TW_MOST_KEY_PARTS are there.
tw_status tw_key_parts_check_room(const char *name);
// A name for the next one, by the clock.
tw_path tw_key_part_new(const char *name);

#endif
