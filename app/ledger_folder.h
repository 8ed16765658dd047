// The ledger that a command works with.
#ifndef TW_APP_LEDGER_FOLDER_H
#define TW_APP_LEDGER_FOLDER_H

#include "io/ledger.h"

// The folder that was named, or the default one when `named` is NULL; it must be a ledger.
tw_status tw_ledger_find(const char *named, tw_ledger *ledger);
// Says so when the ledger lies where it may be forgotten.
void tw_ledger_warn(const tw_ledger *ledger);

#endif
