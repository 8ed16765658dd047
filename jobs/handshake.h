// Agreement of the two ranks before anything is marked used or sent.
#ifndef TW_HANDSHAKE_H
#define TW_HANDSHAKE_H

#include "comm/channel.h"
#include "io/ids.h"

#define TW_PROTOCOL_VERSION 2

typedef struct {
  tw_id model_id, key_id, input_id;
  tw_id ledgers[2];  // of both ranks, as this rank knows them; "" before they are known
  tw_digest plan, lengths;
  tw_digest slots;  // of the list, "" before they are chosen
  uint64_t count, seq, test_keys;
} tw_terms;

// Exchange what this rank found (`found` and its message) and, when both found nothing wrong, its terms. Returns TW_OK
// on both ranks or a failure on both: this rank's own, the other's (its message quoted), or TW_ERR_MISMATCH with both
// values.
tw_status tw_agree(tw_channel *channel, tw_status found, const tw_terms *mine);

#endif
