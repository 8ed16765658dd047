#include "jobs/device_opener.h"

#ifdef TWAIN_CUDA
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/nccl.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

struct tw_device_opener {
  tw_channel *channel;
  void *stream;
  tw_nccl *nccl;
  tw_device_open *pending;
  int count, room;
  size_t message_words, message_room;
  uint64_t *sent, *received;            // device
  uint64_t *host_sent, *host_received;  // pinned, staged transport: a header word and the message
  uint64_t *digests;                    // device, one an open
  uint32_t opens, opens_room;
  uint64_t flushes, payload_bytes;
  double comm_seconds;
};

static size_t packed_words(const tw_tensor *t) {
  if (t->kind == TW_BITWIRE) return (size_t)t->planes * tw_words(t->n);
  return (tw_packed_bytes(t->n, t->ring) + 7) / 8;
}

// Most opens and words of one level, and opens of the whole program, for the batch.
static void measure(const tw_program *p, int batch, tw_device_opener *o) {
  size_t words = 0;
  int count = 0, level = -1;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens) continue;
    if (p->ops[i].level != level) words = 0, count = 0;
    level = p->ops[i].level;
    words += (size_t)batch * packed_words(&p->tensors[p->ops[i].out[0]]);
    count += batch;
    o->opens_room += (uint32_t)batch;
    if (words > o->message_room) o->message_room = words;
    if (count > o->room) o->room = count;
  }
}

tw_status tw_device_opener_create(const tw_program *program, int batch, tw_channel *channel, bool use_nccl,
                                  void *stream, tw_device_opener **out) {
  tw_device_opener *o = calloc(1, sizeof *o);
  if (!o) return tw_fail(TW_ERR_MEMORY, "out of memory for a collector");
  o->channel = channel;
  o->stream = stream;
  measure(program, batch, o);
  void *memory;
  tw_status status = tw_alloc(sizeof(tw_device_open) * (size_t)o->room, &memory);
  if (status == TW_OK) o->pending = memory;
  uint64_t **device[] = {&o->sent, &o->received};
  for (int i = 0; i < 2 && status == TW_OK; i++) {
    status = tw_cuda_backend.alloc(8 * (o->message_room + 1), &memory);
    *device[i] = memory;
  }
  if (status == TW_OK) status = tw_cuda_backend.alloc(8 * (size_t)(o->opens_room + 1), &memory);
  if (status == TW_OK) o->digests = memory;
#ifdef TWAIN_NCCL
  if (use_nccl && status == TW_OK) status = tw_nccl_open(channel, &o->nccl);
#else
  if (use_nccl && status == TW_OK)
    status = tw_fail(TW_ERR_USAGE, "this twain was built without NCCL; use --transport mpi");
#endif
  uint64_t **pinned[] = {&o->host_sent, &o->host_received};
  for (int i = 0; i < 2 && status == TW_OK && !use_nccl; i++) {
    status = tw_pinned_alloc(8 * (o->message_room + 1), &memory);
    *pinned[i] = memory;
  }
  *out = o;
  if (status != TW_OK) {
    tw_device_opener_destroy(o, true);
    *out = NULL;
  }
  return status;
}

void tw_device_opener_destroy(tw_device_opener *o, bool abort) {
  if (!o) return;
#ifdef TWAIN_NCCL
  tw_nccl_close(o->nccl, abort);
#else
  (void)abort;
#endif
  size_t bytes = 8 * (o->message_room + 1);
  if (o->sent) tw_cuda_backend.release(o->sent, bytes);
  if (o->received) tw_cuda_backend.release(o->received, bytes);
  if (o->digests) tw_cuda_backend.release(o->digests, 8 * (size_t)(o->opens_room + 1));
  if (o->host_sent) tw_pinned_free(o->host_sent, bytes);
  if (o->host_received) tw_pinned_free(o->host_received, bytes);
  tw_free(o->pending);
  free(o);
}

tw_status tw_device_opener_restart(tw_device_opener *o) {
  o->count = 0;
  o->message_words = 0;
  o->opens = 0;
  o->flushes = o->payload_bytes = 0;
  o->comm_seconds = 0;
  return tw_cuda_backend.fill(o->digests, 0, 8 * (size_t)(o->opens_room + 1), o->stream);
}

static tw_status open_one(void *state, const tw_open_request *r) {
  tw_device_opener *o = state;
  size_t words = r->bits ? r->words : (tw_packed_bytes(r->n, r->width) + 7) / 8;
  if (o->count == o->room || o->message_words + words > o->message_room || o->opens == o->opens_room)
    return tw_fail(TW_ERR_INTERNAL, "more opens than the program has");
  o->pending[o->count++] = (tw_device_open){.share = r->share,
                                            .mask = r->mask,
                                            .out = r->out,
                                            .n = r->n,
                                            .words = r->words,
                                            .first_word = o->message_words,
                                            .digest = o->opens++,
                                            .width = (uint16_t)r->width,
                                            .bits = r->bits};
  o->message_words += words;
  return TW_OK;
}

static size_t pending(void *state) { return (size_t)((tw_device_opener *)state)->count; }

// Through pinned memory: a header word (sequence and length) and the message.
static tw_status exchange_staged(tw_device_opener *o) {
  size_t bytes = 8 * o->message_words;
  TW_TRY(tw_device_copy_out(o->host_sent + 1, o->sent, bytes, o->stream));
  TW_TRY(tw_device_wait(o->stream));
  o->host_sent[0] = o->flushes << 40 | o->message_words;
  double start = tw_seconds();
  TW_TRY(tw_channel_exchange(o->channel, o->host_sent, o->host_received, bytes + 8));
  o->comm_seconds += tw_seconds() - start;
  if (o->host_received[0] != o->host_sent[0])
    return tw_fail(
        TW_ERR_PEER,
        "message %llu of %zu words: the other rank sent message %llu of %llu words; both must run the same plan",
        (unsigned long long)o->flushes, o->message_words, (unsigned long long)(o->host_received[0] >> 40),
        (unsigned long long)(o->host_received[0] & 0xffffffffff));
  return tw_device_copy_in(o->received, o->host_received + 1, bytes, o->stream);
}

static tw_status exchange(tw_device_opener *o) {
#ifdef TWAIN_NCCL
  if (o->nccl) return tw_nccl_exchange(o->nccl, o->sent, o->received, 8 * o->message_words, o->stream);
#endif
  return exchange_staged(o);
}

static tw_status flush(void *state) {
  tw_device_opener *o = state;
  if (o->count == 0) return TW_OK;
  for (int i = 0; i < o->count; i += TW_DEVICE_OPENS) {
    int part = o->count - i < TW_DEVICE_OPENS ? o->count - i : TW_DEVICE_OPENS;
    TW_TRY(tw_device_pack(o->pending + i, part, o->sent, o->stream));
  }
  TW_TRY(exchange(o));
  for (int i = 0; i < o->count; i += TW_DEVICE_OPENS) {
    int part = o->count - i < TW_DEVICE_OPENS ? o->count - i : TW_DEVICE_OPENS;
    TW_TRY(tw_device_unpack(o->pending + i, part, o->received, o->digests, o->stream));
  }
  o->flushes++;
  o->payload_bytes += 8 * o->message_words;
  o->count = 0;
  o->message_words = 0;
  return TW_OK;
}

tw_opener tw_device_opener_table(tw_device_opener *o) { return (tw_opener){open_one, pending, flush, o}; }

tw_status tw_device_opener_stats(tw_device_opener *o, uint64_t *flushes, uint64_t *payload_bytes, double *comm_seconds,
                                 char transcript[65]) {
  void *memory;
  uint8_t digest[32];
  TW_TRY(tw_alloc(8 * (size_t)(o->opens + 1), &memory));
  tw_status status = tw_cuda_backend.download(memory, o->digests, 8 * (size_t)o->opens, o->stream);
  crypto_generichash_blake2b(digest, sizeof digest, memory, 8 * (size_t)o->opens, NULL, 0);
  sodium_bin2hex(transcript, 65, digest, sizeof digest);
  tw_free(memory);
  *flushes = o->flushes;
  *payload_bytes = o->payload_bytes;
  *comm_seconds = o->comm_seconds;
  return status;
}
#endif
