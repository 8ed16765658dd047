// Agreement of the two parties before anything is marked used or sent.
#ifndef TW_HANDSHAKE_H
#define TW_HANDSHAKE_H

#include "comm/channel.h"
#include "io/ids.h"

#define TW_PROTOCOL_VERSION 11

// What must be the same on both parties; a party leaves out (zero) what is not known yet.
typedef struct {
  tw_id model_id, key_id, input_id;
  tw_id after;       // run of the turn behind which a conversation goes on, "" where it does not
  tw_id ledgers[2];  // of both parties, as this party knows them; "" before they are known
  tw_digest plan, lengths;
  tw_digest slots;  // of the list, "" before they are chosen
  // Of a run that is done, before its result is delivered; "" before.
  tw_id run_id;
  tw_digest transcript;
  uint64_t count, seq, test_keys;
  // How openings are exchanged.
  char transport[16], link[64];  // as words: asked for; emulated, or "none"
  uint64_t overlap;
  uint64_t live_keys;  // keys come from a live dealer
} tw_terms;

// On the wire as it is in memory; parties run the same build on the same kind of host. version stays at the beginning.
typedef struct {
  uint32_t version, party;
  int32_t found;      // a tw_status: what the sender found, with its message
  char message[420];  // terminated
  tw_terms terms;
} tw_greeting;

// Exchange what this party found (`found` and its message) and, when both found nothing wrong, its terms. Returns TW_OK
// on both parties or a failure on both: this party's own, the other's (its message quoted), TW_ERR_MISMATCH with both
// values, or TW_ERR_PEER for a greeting that no twain sends.
tw_status tw_agree(tw_channel *channel, tw_status found, const tw_terms *mine);

#endif
