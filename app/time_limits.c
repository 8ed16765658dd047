#include "app/time_limits.h"

#include <stdio.h>
#include <unistd.h>

#include "app/show/print.h"
#include "base/clock.h"
#include "base/watchdog.h"
#include "io/unfinished.h"

// On the watchdog's thread, while the party is stuck in something that cannot be called off.
static void end_stuck(const char *reason) {
  tw_say("%s", reason);
  tw_unfinished_remove();
  _exit(TW_ERR_PEER);
}

// Who waits for the other party sees the deadline by itself, and ends in order within seconds; what sees nothing is
// ended after that.
tw_status tw_time_limits_watch(const tw_limits *limits, uint64_t *deadline) {
  const double grace = 5;
  char reason[160];
  *deadline = limits->whole > 0 ? tw_clock_ns() + (uint64_t)(1e9 * limits->whole) : 0;
  TW_TRY(tw_watchdog_start(end_stuck));
  if (!*deadline) return TW_OK;
  snprintf(reason, sizeof reason,
           "the time limit of %g s (--time-limit) has passed, and this party is stuck in a call that does not end",
           limits->whole);
  tw_watchdog_limit(*deadline + (uint64_t)(1e9 * grace), reason);
  return TW_OK;
}
