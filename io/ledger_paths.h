// What the files of the ledger share. Internal to io/.
#ifndef TW_LEDGER_PATHS_H
#define TW_LEDGER_PATHS_H

#include <limits.h>

#include "io/ledger.h"

typedef struct {
  char text[PATH_MAX];
} tw_ledger_path;

// DIR/pPARTY/KEY_ID, or DIR/pPARTY/KEY_ID/NAME.
tw_status tw_ledger_key_path(const tw_ledger *ledger, int party, const tw_id *key_id, const char *name,
                             tw_ledger_path *out);

// TW_ERR_IO unless DIR, DIR/pPARTY and the key's folder, as far as they are there, pass tw_ledger_check_own. *there:
// the key's folder is.
tw_status tw_ledger_check_key_folder(const tw_ledger *ledger, int party, const tw_id *key_id, bool *there);
// Makes DIR/pPARTY/KEY_ID where it is missing, and fsyncs it and the folders above up to DIR. Also a folder that is
// there is synced: who made it may have been killed before that.
tw_status tw_ledger_make_key_folder(const tw_ledger *ledger, int party, const tw_id *key_id);

// TW_ERR_IO unless the folder (or regular file) is this user's and closed to others' writing. *there false: nothing of
// that name. follow: a symbolic link is looked through, else it is refused.
tw_status tw_ledger_check_own(const char *path, bool folder, bool follow, bool *there);

// Is `name` a slot, as marks are named?
bool tw_ledger_slot_of(const char *name, uint64_t *slot);

// A note of this process: "time=...", host, pid, job and "note=...", a line each; its length.
size_t tw_ledger_write_note(char *text, size_t size, const char *note);

// The note of a mark, "" when it cannot be read: then the error, else 0. And the value of a line "name=..." of it, or
// "unknown".
int tw_ledger_read_note(const char *path, char *note, size_t size);
void tw_ledger_note_line(const char *note, const char *name, char *value, size_t size);

#endif
