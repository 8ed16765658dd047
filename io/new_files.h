// Names of files, and putting new ones in the place of old ones.
#ifndef TW_NEW_FILES_H
#define TW_NEW_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { TW_NAME_LONGEST = 3800 };
typedef struct {
  char text[4096];
} tw_path;

// NAME.suffix; NAME has been checked (tw_name_check).
tw_path tw_path_of(const char *name, const char *suffix);
// What stands behind the last slash.
const char *tw_behind_folder(const char *path);
bool tw_path_exists(const tw_path *path);
// TW_ERR_USAGE for a name that is empty, too long, or already has one of twain's suffixes.
tw_status tw_name_check(const char *name);

// Files about to be written, all or none: the ones that are there already are refused, or put aside until the new ones
// are complete.
enum { TW_NEW_FILES = 3 };
typedef struct {
  int count;
  tw_path path[TW_NEW_FILES], aside[TW_NEW_FILES];
  bool moved[TW_NEW_FILES], written[TW_NEW_FILES];
} tw_new_files;

// Before anything expensive: TW_ERR_IO when a file is there and not `force`, or its folder is not writable.
tw_status tw_new_files_check(tw_new_files *p, const char *name, const char *const *suffixes, int count, bool force);
// Right before the first is written: put old files aside.
tw_status tw_new_files_begin(tw_new_files *p);
// Afterwards; from begin to end a signal that ends the process does the same as a failure (tw_new_files_undo). status
// TW_OK: remove the old files. Otherwise remove what was written and put the old files back.
// Returns status.
tw_status tw_new_files_end(tw_new_files *p, tw_status status);

// For tw_interrupts_catch: removes what is being written, puts old files back. Async-signal-safe.
void tw_new_files_undo(void);

// Free bytes where `path` will be.
tw_status tw_disk_free(const char *path, uint64_t *bytes);

#endif
