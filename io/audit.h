// The audit log of a site: who used which keys on which model, and what came of it. One line of JSON an event, appended
// to the file that TWAIN_AUDIT names, or handed to the system's log (TWAIN_AUDIT=syslog). It holds ids and digests;
// neither texts nor names of files. Fields: docs/operating.md.
#ifndef TW_AUDIT_H
#define TW_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Appends an event with `fields` (taken over; NULL after a failure of jansson is TW_ERR_MEMORY), on the disk when it
// returns. Without TWAIN_AUDIT nothing. TW_ERR_IO when the log cannot be written, or when another process holds it
// locked for ten seconds: whoever is about to use something up then does not.
tw_status tw_audit(const char *event, json_t *fields);

// Whether TWAIN_AUDIT names a log: for what is only computed for it.
bool tw_audit_wanted(void);

// Slots as text, neighbours joined: "3-7, 9". NULL: out of memory. The caller frees it.
char *tw_audit_slots(const uint64_t *slots, size_t count);

#endif
