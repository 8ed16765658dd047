#include "app/ledger_folder.h"

#include "app/show/print.h"

tw_status tw_ledger_find(const char *named, tw_ledger *ledger) {
  char dir[sizeof ledger->dir];
  if (named) return tw_ledger_open(named, ledger);
  TW_TRY(tw_ledger_default(dir, sizeof dir));
  tw_status status = tw_ledger_open(dir, ledger);
  return status == TW_OK ? TW_OK : tw_fail_in(status, "the default ledger (none was named)");
}

void tw_ledger_warn(const tw_ledger *ledger) {
  const char *kind = tw_ledger_forgets(ledger);
  if (kind)
    tw_say(
        "WARNING: the ledger %s lies on %s, which may not survive a restart: whoever loses the ledger must delete "
        "the keys; keep it on durable storage",
        ledger->dir, kind);
}
