// What a peer may send: the handshake, then openings. A channel answers each message with this party's own, as an
// honest twin would, changed as the input says: (offset, byte) pairs up to a zero offset and byte, or another length.
#include <stdlib.h>
#include <string.h>

#include "comm/opens.h"
#include "comm/opens_header.h"
#include "jobs/parties/handshake.h"
#include "tests/fuzz/fuzz.h"

typedef struct {
  fuzz_bytes input;
} peer;

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  fuzz_seed("honest", "\0", 1);
  fuzz_seed("other status", "\1\0\x08\7\0\x0c\x41\0\0\0", 10);
  fuzz_seed("payload", "\1\0\0\0\1\0\0\0\5\0\x45\1\0\x50\2\0\0\0", 18);
  fuzz_seed("bits past the end", "\0\3\0\xc0\xff\0\0\0", 8);
  fuzz_seed("short", "\2\3", 2);
}

// 1: changes; 2: another length; 3: changes of the content behind a header, whose checksums are made right again.
static tw_status answer(tw_channel *channel, tw_exchange *x) {
  peer *p = channel->state;
  uint8_t kind = fuzz_take(&p->input) % 4;
  uint8_t *message = x->recv;
  if (x->bytes) memcpy(message, x->send, x->bytes);
  if (kind == 2) {
    size_t theirs = fuzz_take(&p->input);
    if (theirs < x->bytes) memset(message + theirs, 0, x->bytes - theirs);
    if (theirs != x->bytes) return tw_fail(TW_ERR_PEER, "the other party's message has %zu bytes", theirs);
  }
  while (kind & 1 && p->input.left > 0) {
    size_t offset = (size_t)fuzz_take(&p->input) << 8 | fuzz_take(&p->input);
    uint8_t byte = fuzz_take(&p->input);
    if (offset == 0 && byte == 0) break;
    if (x->bytes) message[offset % x->bytes] = byte;
  }
  if (kind == 3 && x->bytes >= TW_OPENS_HEADER_BYTES) {
    tw_opens_header header;
    memcpy(&header, message, sizeof header);
    header.payload_crc = tw_opens_crc32c(message + sizeof header, x->bytes - sizeof header);
    tw_opens_header_seal(&header);
    memcpy(message, &header, sizeof header);
  }
  return TW_OK;
}

static tw_status start(tw_channel *channel, tw_exchange *x) {
  (void)channel;
  x->handle = x;
  return TW_OK;
}

static tw_status wait(tw_channel *channel, tw_exchange *x) {
  x->handle = NULL;
  return answer(channel, x);
}

static bool arrived(tw_channel *channel, tw_exchange *x) {
  (void)channel, (void)x;
  return true;
}

static void leave(tw_channel *channel) { (void)channel; }

static tw_terms own_terms(void) {
  tw_terms t;
  memset(&t, 0, sizeof t);
  memset(t.model_id.hex, 'a', 32);
  memset(t.key_id.hex, 'b', 32);
  memset(t.input_id.hex, 'c', 32);
  memset(t.plan.hex, 'd', 64);
  memset(t.lengths.hex, 'e', 64);
  t.count = 2;
  t.seq = 7;
  return t;
}

static void open_some(tw_channel *channel) {
  enum { N = 70 };
  uint64_t ring[N], bits[3 * 2];
  uint8_t digest[32];
  tw_opens *opens;
  fuzz_must(tw_opens_create(channel, &opens) == TW_OK, "a collector");
  for (uint32_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < N; i++) ring[i] = i * 0x9e3779b97f4a7c15u >> (64 - 13 - round);
    memset(bits, 0x5a, sizeof bits);
    if (tw_opens_ring(opens, round, 1, 13 + (int)round, N, ring) != TW_OK) break;
    if (tw_opens_bits(opens, 10 + round, 1, 3, N, bits) != TW_OK) break;
    if (tw_opens_flush(opens) != TW_OK) break;
    for (size_t i = 0; i < N; i++) fuzz_must(ring[i] >> (13 + round) == 0, "an opened value is in its ring");
    for (int i = 0; i < 3; i++) fuzz_must(bits[2 * i + 1] >> (N - 64) == 0, "no bit past the end");
  }
  tw_opens_transcript(opens, digest);
  tw_opens_destroy(opens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  peer p = {{data, bytes}};
  tw_terms terms = own_terms();
  tw_channel channel = {.party = 0,
                        .name = "fuzz",
                        .timeout_seconds = 1,
                        .start = start,
                        .wait = wait,
                        .arrived = arrived,
                        .close = leave,
                        .state = &p};
  tw_status status = tw_agree(&channel, TW_OK, &terms);
  (void)status;
  open_some(&channel);
  return 0;
}
