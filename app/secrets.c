#include "app/secrets.h"

#include <sys/resource.h>

#include "app/show/print.h"
#include "base/memory.h"

void tw_secrets_warn(void) {
  static bool said;
  struct rlimit limit = {0, 0};
  tw_unlocked u = tw_memory_unlocked();
  if (said || u.seeds + u.shares == 0) return;
  said = true;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  tw_say(
      "WARNING: %s%s%s (%s) are not locked in memory and may reach swap: the limit (`ulimit -l`) is %llu kB; raise "
      "it, or see that swap is off or encrypted",
      u.seeds ? "seeds" : "", u.seeds && u.shares ? " and " : "", u.shares ? "shares of the input" : "",
      tw_text_bytes((double)(u.seeds + u.shares)), (unsigned long long)limit.rlim_cur / 1024);
}
