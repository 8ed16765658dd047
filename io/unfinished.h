// What this process has begun to write: the partial files, and finished ones that belong to a set of which others are
// still to come. A signal that ends the process removes them.
#ifndef TW_UNFINISHED_H
#define TW_UNFINISHED_H

#include <stdbool.h>

// Each but tw_unfinished_keep under tw_interrupts_hold, together with what it tells of. At most 40 files are
// remembered.
void tw_unfinished_add(const char *path);                       // created by this process
void tw_unfinished_rename(const char *path, const char *name);  // finished; NULL: it is gone
void tw_unfinished_keep(void);                                  // what is finished stays: its set is complete
void tw_unfinished_keep_held(void);                             // the same, under tw_interrupts_hold
// A folder that goes with the files in it, one at a time; NULL: none. Files that do not exist yet may be added, too.
void tw_unfinished_folder(const char *path);
// Async-signal-safe.
void tw_unfinished_remove(void);

#endif
