// Whole files: sealed, unsealed, looked through.
#ifndef TW_SEAL_FILES_H
#define TW_SEAL_FILES_H

#include "io/ledger.h"
#include "io/seal.h"

// What a plain file is. about->format is "" for one that is not HDF5 of twain's. TW_ERR_FORMAT for HDF5 of another
// version.
tw_status tw_plain_about(const char *path, tw_seal_about *about);

// `path`, which stays, as a new file `out`.
tw_status tw_seal_file(const char *path, const tw_site *site, const tw_peer *recipient, const char *out);

// For keys: whose they become. site: the folder of the site that unseals.
typedef struct {
  const tw_ledger *ledger;
  const char *site;
  bool again;
} tw_unseal_keys;

// A new file `out`, mode 0600, whole or not at all. Keys need `keys`, else NULL: the ledger records that this sealed
// file was unsealed, and TW_ERR_USED refuses a second time, unless `again`. The key file belongs to that ledger from
// here on, and has no seed of a slot that the ledger lists. Another ledger than the first time's is TW_ERR_MISMATCH
// (io/site_unsealed.h).
tw_status tw_unseal_file(tw_sealed *sealed, const char *out, const tw_unseal_keys *keys);
bool tw_is_keys(const tw_seal_about *about);

// Reads every chunk, and keeps none.
tw_status tw_sealed_check(tw_sealed *sealed);
// Reads a file of a party, the dealer or the client whole, with all the checks of its reader; of keys every chunk.
// about: of tw_plain_about.
tw_status tw_plain_check(const char *path, const tw_seal_about *about);

// SHA-256 of a file as `sha256sum` prints it.
tw_status tw_file_sha256(const char *path, char hex[65]);

#endif
