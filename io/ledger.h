// The ledger of used key slots: DIR/pRANK/KEY_ID/SLOT, one empty-but-for-a-note file a slot, made with O_EXCL and
// fsynced (file and folder) before the first masked byte leaves. Outside the key file, so that a copy stays burned.
#ifndef TW_LEDGER_H
#define TW_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

// $XDG_STATE_HOME/twain/ledger, or $HOME/.local/state/twain/ledger.
tw_status tw_ledger_default(char *dir, size_t size);
// TW_ERR_USED when the slot is marked; fails closed (any doubt is an error).
tw_status tw_ledger_check(const char *dir, int rank, const tw_id *key_id, uint64_t slot);
// Mark durably; TW_ERR_USED when it was marked already (also by a run racing with this one).
tw_status tw_ledger_mark(const char *dir, int rank, const tw_id *key_id, uint64_t slot, const char *note);
// First unmarked slot in [0, count); TW_ERR_USED when none is left.
tw_status tw_ledger_first_free(const char *dir, int rank, const tw_id *key_id, uint64_t count, uint64_t *slot);

#endif
