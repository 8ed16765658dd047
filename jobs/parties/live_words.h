// What a live dealer and a party say to each other, in order, on a TLS connection (comm/tls.h), which has said who
// both are. Nothing in a party's words says which party it is: its certificate does.
//
//   party   hello     the plan and the model that it has
//   dealer  offer     fits, or why not
//   party   ask       so many slots for this run; the parties agreed on the run's number between themselves
//   dealer  answer    key id and first slot, then the party's seeds [count][32]
//   party   go        both ledgers are marked: begin
//   dealer            chunks of all slots, chunk 0 of each, then chunk 1 of each, ...: head and data
//
// A run may take its chunks over several connections, streams: of `streams` in all, stream i carries every streams-th
// chunk from number i on. The others come after stream 0's answer and before its go; each says hello and asks for the
// same run, and gets an answer and then its chunks. A connection says of itself, under its own encryption, which run
// and stream it is: nobody in between can exchange two of them.
//
// The dealer ends in the middle with a head that is none, and its words. All structures go as they lie in memory, as
// the parties' own (jobs/parties/handshake.h); magic and version stay where they are.
#ifndef TW_LIVE_WORDS_H
#define TW_LIVE_WORDS_H

#include <stdint.h>

#include "io/ids.h"
#include "io/keys.h"

// Slots of one key id: 0 to TW_LIVE_SLOTS - 1. Then the dealer draws another id, so that no ledger's list grows for
// ever.
enum { TW_LIVE_VERSION = 2, TW_LIVE_SLOTS = 4096, TW_LIVE_RUN_BYTES = 32, TW_LIVE_MESSAGE = 400, TW_LIVE_STREAMS = 16 };

static const char tw_live_magic[16] = "twain live keys";

typedef union {
  struct {
    char magic[16];
    uint32_t version, stream;  // stream: 0, or a further one
    tw_id model_id;
    tw_digest plan;
  } says;
  uint8_t bytes[512];
} tw_live_hello;

typedef union {
  struct {
    char magic[16];
    uint32_t version;
    int32_t found;  // a tw_status, with its message
    char message[TW_LIVE_MESSAGE];
    uint64_t slot_bytes;  // of this party
    uint32_t streams;     // most, of one run
  } says;
  uint8_t bytes[512];
} tw_live_offer;

typedef union {
  struct {
    char magic[16];
    uint8_t run[TW_LIVE_RUN_BYTES];
    uint32_t count, streams, stream;
  } says;
  uint8_t bytes[256];
} tw_live_ask;

typedef union {
  struct {
    char magic[16];
    int32_t found;
    char message[TW_LIVE_MESSAGE];
    tw_id key_id;
    uint64_t first;
  } says;
  uint8_t bytes[512];
} tw_live_answer;

typedef union {
  struct {
    char magic[16];
    uint64_t first;
  } says;
  uint8_t bytes[256];
} tw_live_go;

typedef struct {
  uint32_t sequence, bytes;  // sequence UINT32_MAX: no chunk; an answer with the dealer's last words follows
  uint64_t number;
} tw_live_head;

#endif
