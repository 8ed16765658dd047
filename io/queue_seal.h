// What waits in a queue sealed, and results that are sealed to who sent it: CLIENTS/CLIENT.pem is the site file of a
// client that sends and gets sealed files (io/seal.h).
#ifndef TW_QUEUE_SEAL_H
#define TW_QUEUE_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/site.h"
#include "io/new_files.h"

typedef struct {
  const tw_site *site;  // the party's own
  const char *clients;  // folder; NULL: all files are plain
} tw_queue_seal;

// *seals: the client has a site file there. TW_ERR_IO where that cannot be known: the folder is gone, not this user's
// or written by others, or does not answer. Then nothing may be taken for plain.
tw_status tw_queue_seals(const tw_queue_seal *s, const char *client, bool *seals);
// `path` was sealed by the client to this site: what it holds takes its place. TW_ERR_IDENTITY and TW_ERR_FORMAT as
// tw_sealed_open.
tw_status tw_queue_unseal(const tw_queue_seal *s, const char *client, const char *path);
// Whether a result can be sealed to the client. why: [bytes], "" or what is wrong with the client's site file: it is
// gone, damaged, past its time, or no client's. TW_ERR_USAGE without CLIENTS; TW_ERR_IDENTITY where this party's own
// site is past its time.
tw_status tw_queue_can_seal(const tw_queue_seal *s, const char *client, char *why, size_t bytes);
// The file `plain`, which stays, as the new file `sealed` for the client.
tw_status tw_queue_seal_result(const tw_queue_seal *s, const char *client, const char *plain, const char *sealed);

#endif
