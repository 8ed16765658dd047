// The 64 bytes in front of every message of opens: what it is, and that it arrived as it was sent.
#ifndef TW_OPENS_HEADER_H
#define TW_OPENS_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { TW_OPENS_VERSION = 1, TW_OPENS_HEADER_BYTES = 64 };

// On the wire as it is in memory (little-endian, without gaps).
typedef struct {
  uint8_t magic[4];  // "TWOP"
  uint16_t version;
  uint16_t party;  // of the sender
  uint64_t sequence;
  uint64_t payload_bytes;
  uint8_t layout[16];  // BLAKE2b-128 of the list of opens
  uint32_t opens;      // their number
  uint32_t first_use;  // first of the list, for messages to people
  uint64_t first_slot;
  uint32_t payload_crc;  // CRC32C
  uint32_t header_crc;   // CRC32C of the 60 bytes before
} tw_opens_header;

_Static_assert(sizeof(tw_opens_header) == TW_OPENS_HEADER_BYTES, "header without gaps");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");

// CRC32C (Castagnoli; RFC 3720 B.4) of any number of bytes.
uint32_t tw_opens_crc32c(const void *data, uint64_t bytes);

// Fill in magic, version and header_crc.
void tw_opens_header_seal(tw_opens_header *);

// Magic and header_crc are right.
bool tw_opens_header_intact(const tw_opens_header *);

// Compare what came with what this party sent: everything but party and payload_crc must be equal.
// TW_ERR_PEER names the sequence number and the first difference with both values.
tw_status tw_opens_header_compare(const tw_opens_header *own, const tw_opens_header *theirs);

#endif
