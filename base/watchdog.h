// Ends a process that is stuck where nothing else would end it: in a call of MPI or of the system that knows no time
// limit.
#ifndef TW_WATCHDOG_H
#define TW_WATCHDOG_H

#include <stdint.h>

#include "base/status.h"

// Starts the thread. expire: called on it, with the reason; it must end the process.
tw_status tw_watchdog_start(void (*expire)(const char *reason));
// The process may live until `at_ns` (tw_clock_ns).
void tw_watchdog_limit(uint64_t at_ns, const char *reason);
// What follows, up to tw_watchdog_release, may take so long; one guard at a time. Nothing without tw_watchdog_start.
void tw_watchdog_guard(double seconds, const char *reason);
void tw_watchdog_release(void);

#endif
