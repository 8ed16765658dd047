#include "comm/opens.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/opens_header.h"
#include "kernels/digest.h"
#include "kernels/pack.h"

enum { KIND_RING = 0, KIND_BITS = 1 };

// What both parties must agree on, hashed as it lies in memory.
typedef struct {
  uint32_t use;
  uint16_t kind;
  uint16_t width;  // ring_bits, or planes
  uint64_t slot;
  uint64_t n;
} layout_entry;
_Static_assert(sizeof(layout_entry) == 24, "layout entries without gaps");

// One message each way: its list of opens and its buffers (header, then every open's packed data from an 8-byte
// boundary). `sent` and `received` hold only masked shares and, after the combination, opened values.
typedef struct {
  layout_entry *layout;
  uint64_t **data;
  size_t *index;  // in the transcript
  size_t count, capacity;
  bool in_flight, leads;  // leads: left because it was full, in the middle of what its queue was to hold
  uint64_t number;
  uint64_t begin_ns;
  tw_exchange exchange;
  size_t payload;  // bytes
  uint8_t *sent, *received;
  size_t buffer_bytes;  // of each
} batch;

enum { BATCHES = TW_OPENS_IN_FLIGHT + 1 };

struct tw_opens {
  tw_channel *channel;
  batch batches[BATCHES];
  int queue;  // batch that takes new opens; others may be in flight
  bool broken;
  uint64_t failed;    // the message that broke it
  uint64_t sequence;  // number of the next message
  size_t most_words, most_jobs;
  uint64_t *digests;  // by index in the transcript
  size_t digest_count, digest_room, next_index;
  tw_opens_stats stats;
};

static size_t words_for(size_t n) { return n / 64 + (n % 64 != 0); }

// Bytes of an open's packed data, without padding.
static size_t entry_bytes(const layout_entry *e) {
  return e->kind == KIND_RING ? tw_packed_bytes(e->n, e->width) : e->width * words_for(e->n) * 8;
}

static size_t padded(size_t bytes) { return (bytes + 7) / 8 * 8; }

static uint64_t live_halves(size_t n) { return n % 64 ? (1ull << n % 64) - 1 : ~0ull; }

tw_status tw_opens_create(tw_channel *channel, tw_opens **out) {
  *out = NULL;
  tw_opens *o;
  TW_TRY(tw_alloc(sizeof *o, (void **)&o));
  o->channel = channel;
  tw_opens_limit(o, 0, 0);
  *out = o;
  return TW_OK;
}

void tw_opens_destroy(tw_opens *o) {
  if (!o) return;
  tw_free(o->digests);
  for (int i = 0; i < BATCHES; i++) {
    batch *b = &o->batches[i];
    tw_free(b->layout);
    tw_free(b->data);
    tw_free(b->index);
    // A transport that could not be stopped may still read or write its buffers; the process is about to end then.
    if (b->exchange.handle) continue;
    tw_free(b->sent);
    tw_free(b->received);
  }
  tw_free(o);
}

// Three lists of one length.
static tw_status grow_lists(batch *b, size_t need) {
  size_t data_room = b->capacity, index_room = b->capacity, room = b->capacity;
  TW_TRY(tw_grow((void **)&b->data, &data_room, need, sizeof *b->data));
  TW_TRY(tw_grow((void **)&b->index, &index_room, need, sizeof *b->index));
  TW_TRY(tw_grow((void **)&b->layout, &room, need, sizeof *b->layout));
  b->capacity = room;
  return TW_OK;
}

// The buffers of a batch that is being queued hold nothing yet: no need to copy.
static tw_status grow_buffers(batch *b, size_t bytes) {
  size_t target = 2 * b->buffer_bytes > bytes ? 2 * b->buffer_bytes : bytes;
  tw_free(b->sent);
  tw_free(b->received);
  b->sent = b->received = NULL;
  b->buffer_bytes = 0;
  TW_TRY(tw_alloc(target, (void **)&b->sent));
  TW_TRY(tw_alloc(target, (void **)&b->received));
  b->buffer_bytes = target;
  return TW_OK;
}

static tw_status usable(const tw_opens *o) {
  if (!o->broken) return TW_OK;
  return tw_fail(TW_ERR_PEER, "party %d: no further opens after the failure of message %" PRIu64, o->channel->party,
                 o->failed);
}

// Digests up to this one's are there, zeros at first.
static tw_status reach_index(tw_opens *o, size_t index) {
  TW_TRY(tw_grow((void **)&o->digests, &o->digest_room, index + 1, sizeof *o->digests));
  while (o->digest_count <= index) o->digests[o->digest_count++] = 0;
  return TW_OK;
}

static tw_status take_index(tw_opens *o, const layout_entry *e, size_t *index) {
  *index = o->next_index;
  if (*index == TW_NO_INDEX || !entry_bytes(e)) return TW_OK;  // takes none
  o->next_index++;
  return reach_index(o, *index);
}

static tw_status start_full(tw_opens *o, size_t payload);

static tw_status enqueue(tw_opens *o, layout_entry e, uint64_t *data) {
  TW_TRY(usable(o));
  if (!data && e.n) return tw_fail(TW_ERR_INTERNAL, "open of use %u: %" PRIu64 " elements and no data", e.use, e.n);
  if (e.n > SIZE_MAX / 8 / e.width / 2 || o->batches[o->queue].count >= UINT32_MAX)
    return tw_fail(TW_ERR_INTERNAL, "open of use %u: %" PRIu64 " elements are too many", e.use, e.n);
  TW_TRY(start_full(o, padded(entry_bytes(&e))));
  batch *b = &o->batches[o->queue];
  size_t payload = b->payload + padded(entry_bytes(&e));
  tw_status status = grow_lists(b, b->count + 1);
  if (status == TW_OK) status = take_index(o, &e, &b->index[b->count]);
  if (status == TW_OK && TW_OPENS_HEADER_BYTES + payload > b->buffer_bytes)
    status = grow_buffers(b, TW_OPENS_HEADER_BYTES + payload);
  if (status != TW_OK) {
    o->broken = true;
    return tw_fail_in(status, "open of use %u", e.use);
  }
  b->layout[b->count] = e;
  b->data[b->count++] = data;
  b->payload = payload;
  return TW_OK;
}

tw_status tw_opens_ring(tw_opens *o, uint32_t use, uint64_t slot, int ring_bits, size_t n, uint64_t *data) {
  if (ring_bits < 1 || ring_bits > 64)
    return tw_fail(TW_ERR_INTERNAL, "open of use %u: a ring of %d bits; 1 to 64 are possible", use, ring_bits);
  return enqueue(o, (layout_entry){use, KIND_RING, (uint16_t)ring_bits, slot, n}, data);
}

tw_status tw_opens_bits(tw_opens *o, uint32_t use, uint64_t slot, int planes, size_t n, uint64_t *data) {
  if (planes < 1 || planes > UINT16_MAX)
    return tw_fail(TW_ERR_INTERNAL, "open of use %u: %d bit planes; 1 to 65535 are possible", use, planes);
  return enqueue(o, (layout_entry){use, KIND_BITS, (uint16_t)planes, slot, n}, data);
}

static void pack_entry(const layout_entry *e, const uint64_t *data, uint8_t *out) {
  size_t bytes = entry_bytes(e);
  if (!bytes) return;
  if (e->kind == KIND_RING) {
    memset(out + padded(bytes) - 8, 0, 8);  // the padding; a buffer is used many times
    tw_pack(data, e->n, e->width, out);
    return;
  }
  size_t words = words_for(e->n);
  uint64_t *to = (uint64_t *)(void *)out;
  memcpy(to, data, bytes);
  for (size_t plane = 0; plane < e->width; plane++) to[(plane + 1) * words - 1] &= live_halves(e->n);
}

static void pack_batch(batch *b) {
  uint8_t *at = b->sent + TW_OPENS_HEADER_BYTES;
  for (size_t i = 0; i < b->count; i++) {
    pack_entry(&b->layout[i], b->data[i], at);
    at += padded(entry_bytes(&b->layout[i]));
  }
}

static void write_header(const tw_opens *o, batch *b) {
  tw_opens_header h = {.party = (uint16_t)o->channel->party,
                       .sequence = o->sequence,
                       .payload_bytes = b->payload,
                       .opens = (uint32_t)b->count,
                       .first_use = b->layout[0].use,
                       .first_slot = b->layout[0].slot,
                       .payload_crc = tw_opens_crc32c(b->sent + TW_OPENS_HEADER_BYTES, b->payload)};
  crypto_generichash_blake2b(h.layout, sizeof h.layout, (const uint8_t *)b->layout, b->count * sizeof *b->layout, NULL,
                             0);
  tw_opens_header_seal(&h);
  memcpy(b->sent, &h, sizeof h);
}

static batch *free_batch(tw_opens *o) {
  for (int i = 0; i < BATCHES; i++)
    if (!o->batches[i].in_flight && i != o->queue) return &o->batches[i];
  return NULL;
}

static tw_status finish(tw_opens *o, batch *b);

// Room for another message: messages that left because they were full may be finished at any time.
static tw_status make_room(tw_opens *o) {
  batch *oldest = NULL;
  if (free_batch(o)) return TW_OK;
  for (batch *b = o->batches; b < o->batches + BATCHES; b++)
    if (b->in_flight && b->leads && (!oldest || b->number < oldest->number)) oldest = b;
  return oldest ? finish(o, oldest) : TW_OK;
}

tw_status tw_opens_start(tw_opens *o, uint64_t *message) {
  TW_TRY(usable(o));
  TW_TRY(make_room(o));
  batch *b = &o->batches[o->queue], *next = free_batch(o);
  *message = o->sequence;
  if (!b->count) return TW_OK;
  if (!next)
    return tw_fail(TW_ERR_INTERNAL, "party %d: %d messages are in flight already", o->channel->party,
                   TW_OPENS_IN_FLIGHT);
  pack_batch(b);
  write_header(o, b);
  memset(b->received, 0, TW_OPENS_HEADER_BYTES);  // so that a header found there after a failure is a new one

  size_t bytes = TW_OPENS_HEADER_BYTES + b->payload;
  b->exchange = (tw_exchange){.send = b->sent, .recv = b->received, .bytes = bytes};
  b->begin_ns = tw_clock_ns();
  tw_status status = o->channel->start(o->channel, &b->exchange);
  if (status != TW_OK) {
    o->broken = true;
    o->failed = o->sequence;
    return tw_fail_in(status, "message %" PRIu64 " (%zu opens)", o->sequence, b->count);
  }
  o->stats.flushes++;
  o->stats.payload_bytes += b->payload;
  o->stats.wire_bytes += bytes;
  b->in_flight = true;
  b->number = o->sequence++;
  o->queue = (int)(next - o->batches);
  return TW_OK;
}

// A message that would grow past its maximum leaves first.
static tw_status start_full(tw_opens *o, size_t payload) {
  uint64_t message;
  batch *b = &o->batches[o->queue];
  if (!b->count || (b->payload + payload <= 8 * o->most_words && b->count < o->most_jobs)) return TW_OK;
  b->leads = true;
  return tw_opens_start(o, &message);
}

// After a failed exchange: sizes that differ have a reason, and the other party's header knows it.
static tw_status explain(const batch *b, tw_status status) {
  tw_opens_header own, theirs;
  memcpy(&own, b->sent, sizeof own);
  memcpy(&theirs, b->received, sizeof theirs);
  if (status == TW_ERR_PEER && tw_opens_header_intact(&theirs) && tw_opens_header_compare(&own, &theirs) != TW_OK)
    return status;
  return tw_fail_in(status, "message %" PRIu64 " (%zu opens)", b->number, b->count);
}

static tw_status check_received(const batch *b) {
  tw_opens_header own, theirs;
  memcpy(&own, b->sent, sizeof own);
  memcpy(&theirs, b->received, sizeof theirs);
  TW_TRY(tw_opens_header_compare(&own, &theirs));
  uint32_t crc = tw_opens_crc32c(b->received + TW_OPENS_HEADER_BYTES, b->payload);
  if (crc == theirs.payload_crc) return TW_OK;
  return tw_fail(TW_ERR_PEER,
                 "party %d: message %" PRIu64
                 ": CRC32C of the payload is %08x here and %08x at party %d: damaged on the "
                 "way; check the network and start again with fresh keys",
                 own.party, own.sequence, crc, theirs.payload_crc, theirs.party);
}

// Leaves the opened value in data; returns how many words it has.
static size_t combine_entry(const layout_entry *e, const uint8_t *sent, const uint8_t *received, uint64_t *data) {
  if (e->kind == KIND_RING) {
    tw_unpack_add(received, e->n, e->width, data);
    return e->n;
  }
  size_t plane = words_for(e->n), words = e->width * plane;
  const uint64_t *own = (const uint64_t *)(const void *)sent, *theirs = (const uint64_t *)(const void *)received;
  for (size_t w = 0; w < words; w++) data[w] = theirs[w] ^ own[w];
  for (size_t p = 0; p < e->width; p++) data[(p + 1) * plane - 1] &= live_halves(e->n);  // whatever was sent there
  return words;
}

static void combine_batch(tw_opens *o, batch *b) {
  size_t at = TW_OPENS_HEADER_BYTES;
  for (size_t i = 0; i < b->count; i++) {
    const layout_entry *e = &b->layout[i];
    size_t bytes = entry_bytes(e);
    if (!bytes) continue;
    size_t words = combine_entry(e, b->sent + at, b->received + at, b->data[i]);
    if (b->index[i] != TW_NO_INDEX) o->digests[b->index[i]] = tw_open_digest(e->kind == KIND_BITS, b->data[i], words);
    at += padded(bytes);
  }
}

static batch *in_flight(tw_opens *o, uint64_t message) {
  for (int i = 0; i < BATCHES; i++)
    if (o->batches[i].in_flight && o->batches[i].number == message) return &o->batches[i];
  return NULL;
}

static tw_status finish(tw_opens *o, batch *b) {
  tw_status status = o->channel->wait(o->channel, &b->exchange);
  o->stats.comm_ns += tw_clock_ns() - b->begin_ns;
  b->in_flight = false;
  status = status == TW_OK ? check_received(b) : explain(b, status);
  if (status != TW_OK) {
    o->broken = true;
    o->failed = b->number;
    return status;
  }
  combine_batch(o, b);
  b->count = b->payload = 0;
  b->leads = false;
  return TW_OK;
}

tw_status tw_opens_finish(tw_opens *o, uint64_t message) {
  TW_TRY(usable(o));
  for (batch *before; message > 0 && (before = in_flight(o, message - 1)) && before->leads;)
    TW_TRY(tw_opens_finish(o, message - 1));
  batch *b = in_flight(o, message);
  return b ? finish(o, b) : TW_OK;  // finished before, or nothing had been queued
}

bool tw_opens_arrived(tw_opens *o, uint64_t message) {
  batch *b = in_flight(o, message);
  return !b || o->broken || o->channel->arrived(o->channel, &b->exchange);
}

tw_status tw_opens_flush(tw_opens *o) {
  uint64_t message;
  TW_TRY(tw_opens_start(o, &message));
  return tw_opens_finish(o, message);
}

tw_status tw_opens_poll(tw_opens *o) {
  for (int i = 0; i < BATCHES; i++)
    if (o->batches[i].in_flight && o->channel->poll && !o->broken) return o->channel->poll(o->channel);
  return TW_OK;
}

void tw_opens_limit(tw_opens *o, size_t words, size_t jobs) {
  o->most_words = words && words < SIZE_MAX / 8 ? words : SIZE_MAX / 8;
  o->most_jobs = jobs ? jobs : SIZE_MAX;
}

void tw_opens_next_index(tw_opens *o, size_t index) { o->next_index = index; }

tw_status tw_opens_add_digest(tw_opens *o, size_t index, uint64_t sum) {
  TW_TRY(reach_index(o, index));
  o->digests[index] += sum;
  return TW_OK;
}

void tw_opens_queued(const tw_opens *o, size_t *words, size_t *jobs) {
  *words = o->batches[o->queue].payload / 8;
  *jobs = o->batches[o->queue].count;
}

void tw_opens_get_stats(const tw_opens *o, tw_opens_stats *stats) { *stats = o->stats; }

void tw_opens_transcript(const tw_opens *o, uint8_t digest[32]) {
  crypto_generichash_blake2b_state h;
  crypto_generichash_blake2b_init(&h, NULL, 0, 32);
  if (o->digest_count)
    crypto_generichash_blake2b_update(&h, (const uint8_t *)o->digests, o->digest_count * sizeof *o->digests);
  crypto_generichash_blake2b_final(&h, digest, 32);
}

void tw_opens_restart_transcript(tw_opens *o) { o->digest_count = o->next_index = 0; }
