#include "comm/opens_header.h"

#include <inttypes.h>
#include <isa-l/crc.h>
#include <sodium.h>
#include <stddef.h>
#include <string.h>

static const uint8_t magic[4] = {'T', 'W', 'O', 'P'};
static const char remedy[] = "both parties must run the same plan, keys and version of twain";

uint32_t tw_opens_crc32c(const void *data, uint64_t bytes) {
  // The library counts in int and takes a non-const pointer that it only reads.
  unsigned char *at = (unsigned char *)(uintptr_t)data;
  uint32_t crc = ~0u;
  while (bytes) {
    int step = bytes < 1u << 30 ? (int)bytes : 1 << 30;
    crc = crc32_iscsi(at, step, crc);
    at += step;
    bytes -= (uint64_t)step;
  }
  return ~crc;
}

static uint32_t header_crc(const tw_opens_header *h) {
  return tw_opens_crc32c(h, offsetof(tw_opens_header, header_crc));
}

void tw_opens_header_seal(tw_opens_header *h) {
  memcpy(h->magic, magic, sizeof magic);
  h->version = TW_OPENS_VERSION;
  h->header_crc = header_crc(h);
}

bool tw_opens_header_intact(const tw_opens_header *h) {
  return memcmp(h->magic, magic, sizeof magic) == 0 && h->header_crc == header_crc(h);
}

static tw_status differs(const tw_opens_header *own, const char *what, uint64_t here, uint64_t there) {
  return tw_fail(TW_ERR_PEER, "party %d: message %" PRIu64 ": %s is %" PRIu64 " here and %" PRIu64 " at party %d; %s",
                 own->party, own->sequence, what, here, there, 1 - own->party, remedy);
}

static tw_status layout_differs(const tw_opens_header *own, const tw_opens_header *theirs) {
  char here[33], there[33];
  sodium_bin2hex(here, sizeof here, own->layout, sizeof own->layout);
  sodium_bin2hex(there, sizeof there, theirs->layout, sizeof theirs->layout);
  return tw_fail(TW_ERR_PEER,
                 "party %d: message %" PRIu64
                 ": uses, slots, widths or lengths of its %u opens differ: layout %s here "
                 "and %s at party %d; %s",
                 own->party, own->sequence, own->opens, here, there, 1 - own->party, remedy);
}

tw_status tw_opens_header_compare(const tw_opens_header *own, const tw_opens_header *theirs) {
  if (!tw_opens_header_intact(theirs))
    return tw_fail(TW_ERR_PEER,
                   "party %d: message %" PRIu64
                   " from party %d does not start with an intact header: it was damaged on "
                   "the way, or comes from another program; check the network and start again with fresh keys",
                   own->party, own->sequence, 1 - own->party);
  if (theirs->version != own->version) return differs(own, "the message version", own->version, theirs->version);
  if (theirs->party != 1 - own->party) return differs(own, "the sender's party", 1u - own->party, theirs->party);
  if (theirs->sequence != own->sequence) return differs(own, "the sequence number", own->sequence, theirs->sequence);
  if (theirs->opens != own->opens) return differs(own, "the number of opens", own->opens, theirs->opens);
  if (theirs->first_use != own->first_use)
    return differs(own, "the use id of the first open", own->first_use, theirs->first_use);
  if (theirs->first_slot != own->first_slot)
    return differs(own, "the slot of the first open", own->first_slot, theirs->first_slot);
  if (theirs->payload_bytes != own->payload_bytes)
    return differs(own, "the payload length in bytes", own->payload_bytes, theirs->payload_bytes);
  if (memcmp(theirs->layout, own->layout, sizeof own->layout) != 0) return layout_differs(own, theirs);
  return TW_OK;
}
