// Identities that tie files together.
#ifndef TW_IDS_H
#define TW_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
  char hex[33];
} tw_id;  // 128 random bits, lower-case hex
typedef struct {
  char hex[65];
} tw_digest;  // BLAKE2b-256, lower-case hex

void tw_id_random(tw_id *id);
void tw_digest_of(const void *data, size_t bytes, tw_digest *out);

#endif
