// The open collector: pending opens of any width are packed into one message, exchanged, and combined in place.
#ifndef TW_OPENS_H
#define TW_OPENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/channel.h"

typedef struct tw_opens tw_opens;

// Why a message leaves: what it opens is needed now, or enough is queued.
typedef enum { TW_FLUSH_DEMAND, TW_FLUSH_BUDGET } tw_flush_reason;

// Of an online phase. flushes_overlapped: levels of one half of the batch evaluated while the other half's
// openings were in flight. rounds: openings one behind the other, the most of any half; chain_rounds: those of tiles
// among them. chains: that went by tiles, of all sequences.
typedef struct {
  uint64_t rounds, chains, chain_rounds;
  uint64_t open_flushes_demand, open_flushes_budget, flushes_overlapped, open_comm_ns, gate_ns, open_wire_bytes_sent,
      open_payload_bytes;
} tw_open_counters;

typedef struct {
  uint64_t flushes;        // messages each way = rounds
  uint64_t payload_bytes;  // packed masked data sent, each open rounded up to 8 bytes
  uint64_t wire_bytes;     // payload and headers
  uint64_t comm_ns;        // from start of exchange to its completion
} tw_opens_stats;

// The channel is borrowed and must outlive the collector. After a failed flush nothing has been combined, and the
// collector only accepts tw_opens_destroy, get_stats and transcript: a masked value is never sent a second time.
tw_status tw_opens_create(tw_channel *channel, tw_opens **out);
void tw_opens_destroy(tw_opens *);

// Queue the open of n elements of ring_bits (1..64) each. `data` holds this party's share plus its own mask share;
// after the flush it holds the opened (public) value mod 2^ring_bits. Must stay valid and unchanged until then. use:
// the opening's use id. May be called while a flush is in flight: the open then belongs to the next one. TW_ERR_MEMORY;
// TW_ERR_INTERNAL for arguments out of range.
tw_status tw_opens_ring(tw_opens *, uint32_t use, uint64_t slot, int ring_bits, size_t n, uint64_t *data);

// Queue the open of bit planes (1..65535): planes * ceil(n/64) words, XOR-combined. Elements past n are neither sent
// nor kept: they are zero afterwards.
tw_status tw_opens_bits(tw_opens *, uint32_t use, uint64_t slot, int planes, size_t n, uint64_t *data);

// What is queued for the next flush: words of payload, and opens.
void tw_opens_queued(const tw_opens *, size_t *words, size_t *jobs);

// The next open queued takes this index in the transcript, those after it the following ones: so the transcript does
// not depend on how messages were cut. At first: 0. Opens without elements take none. TW_NO_INDEX: nor do those that
// follow, until another index is said: whoever queues them adds their digests.
#define TW_NO_INDEX SIZE_MAX
void tw_opens_next_index(tw_opens *, size_t index);
// To the digest of an open that comes in parts: what a part gives of it (kernels/digest.h). TW_ERR_MEMORY.
tw_status tw_opens_add_digest(tw_opens *, size_t index, uint64_t sum);

// Exchange everything queued in one message each way. Header: sequence, digest of (use, slot, width, length) list,
// payload length, CRC32C; a difference is TW_ERR_PEER and names both values. Nothing queued: no message.
tw_status tw_opens_flush(tw_opens *);

// The same in two halves, so that work can be done in between; up to TW_OPENS_IN_FLIGHT messages may be in flight (one
// more is TW_ERR_INTERNAL), and they may be finished in any order. *message: what finish takes; finishing a message
// twice does nothing.
enum { TW_OPENS_IN_FLIGHT = 8 };
tw_status tw_opens_start(tw_opens *, uint64_t *message);
tw_status tw_opens_finish(tw_opens *, uint64_t message);

// Whether finish would return at once.
bool tw_opens_arrived(tw_opens *, uint64_t message);

// Between other work: lets messages in flight move on.
tw_status tw_opens_poll(tw_opens *);

// Most 8-byte words of payload and most opens of one message (0: no limit). An open that would not fit starts what is
// queued, and that message is finished with the one that follows it (or earlier, when too many are in flight). A single
// larger open travels alone.
void tw_opens_limit(tw_opens *, size_t words, size_t jobs);

void tw_opens_get_stats(const tw_opens *, tw_opens_stats *);

// BLAKE2b-256 over the digests (kernels/digest.h) of everything opened so far, in order of their indices: public
// values, equal on both parties, whatever messages they travelled in.
void tw_opens_transcript(const tw_opens *, uint8_t digest[32]);
// Begin a new transcript, as of a new inference; nothing may be queued or in flight.
void tw_opens_restart_transcript(tw_opens *);

#endif
