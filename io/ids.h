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
// So many lower-case hexadecimal digits and the end; no byte behind it is read.
bool tw_is_hex(const char *text, size_t digits);
bool tw_id_is_hex(const tw_id *id);
void tw_digest_of(const void *data, size_t bytes, tw_digest *out);
// The same from beginning to end in parts of at most 1 MiB; done hears of each that is not needed any more.
void tw_digest_of_parts(const void *data, size_t bytes, void (*done)(const void *, size_t), tw_digest *out);

#endif
