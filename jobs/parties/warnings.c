#include "jobs/parties/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/memory.h"

void tw_warn(const tw_listener *to, const char *format, ...) {
  char text[4400];
  va_list arguments;
  if (!to->show) return;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  to->show(to->state, text);
}

void tw_warn_of_ledger(const tw_listener *to, const tw_ledger *ledger) {
  const char *kind = tw_ledger_forgets(ledger);
  if (kind)
    tw_warn(to,
            "WARNING: the ledger %s lies on %s, which may not survive a restart: whoever loses the ledger must delete "
            "the keys; keep it on durable storage",
            ledger->dir, kind);
}

void tw_warn_of_memory(const tw_listener *to) {
  static bool said;
  struct rlimit limit = {0, 0};
  tw_unlocked u = tw_memory_unlocked();
  if (said || u.seeds + u.shares == 0) return;
  said = true;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  tw_warn(to,
          "WARNING: %s%s%s (%zu kB) are not locked in memory and may reach swap: the limit (`ulimit -l`) is %llu kB; "
          "raise it, or see that swap is off or encrypted",
          u.seeds ? "seeds" : "", u.seeds && u.shares ? " and " : "", u.shares ? "shares of the input" : "",
          (u.seeds + u.shares + 1023) / 1024, (unsigned long long)limit.rlim_cur / 1024);
}
