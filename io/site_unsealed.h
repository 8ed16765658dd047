// Which keys a site has unsealed, and for which ledger: SITE/unsealed/KEY_ID, a note. The keys' ledger refuses a second
// time by itself; this refuses another ledger, which knows nothing of the first one's marks. It lies beside seal.key,
// without which nothing is unsealed.
#ifndef TW_SITE_UNSEALED_H
#define TW_SITE_UNSEALED_H

#include "io/ledger.h"

// TW_ERR_MISMATCH when these keys were unsealed for another ledger, with its place; TW_ERR_FORMAT when the note does
// not say for which; TW_ERR_IO when it cannot be looked at, or others may write it. Nothing noted: TW_OK.
tw_status tw_site_unsealed_check(const char *site, const tw_id *key_id, const tw_ledger *ledger);
// Notes it durably, unless it is noted already; fails as above. Of two at once with two ledgers one is refused.
tw_status tw_site_unsealed_note(const char *site, const tw_id *key_id, const tw_ledger *ledger);

#endif
