#include "jobs/engine/device_opener.h"

#ifdef TWAIN_CUDA
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/nccl.h"
#include "jobs/engine/device_mailbox.h"
#include "kernels/backend.h"

// Words of a round, so that packing, the way and unpacking overlap in large messages: 4 MiB between GPUs, and for MPI
// what stays in a core's cache.
enum { ROUND_WORDS = 512 << 10, RELAY_ROUND_WORDS = 16 << 10 };

typedef struct {
  void *stream;
  void *ready, *done;  // events: this half's shares are there; its exchange has ended
  uint64_t number;     // of its mailbox's next message in this run
} half;

struct tw_device_opener {
  tw_device_opener_options o;
  half halves[TW_HALVES];
  tw_mailboxes boxes;  // unless by NCCL
  char name[112];
  tw_nccl *nccl;
  uint64_t *sent, *received;  // device: whole messages, for NCCL's send and receive
  int last_half;              // of the exchange before by NCCL, which serves one half at a time; -1: none
  tw_relay *relay;
  tw_relay_message *relayed;  // of the recorded run
  size_t relayed_count, relayed_room;
  tw_device_message queue;
  unsigned queued_halves;  // bit l: half l waits for the queue
  int turns;               // messages of this run that have taken a turn
  int first_half;
  uint64_t *digests;     // device, one an open; all that a run counts up from zero
  uint64_t *times;       // device, behind them: two of every message
  const int *stop_flag;  // device; may be NULL: once not 0, nothing new is sent
  int8_t *half_of;       // of every message of the run
  size_t half_of_room;
  tw_device_opener_counts counts;
};

void tw_device_opener_room(const tw_program *p, int batch, tw_device_opener_options *o) {
  size_t words = 0;
  int level = -1;
  o->message_words = 0;
  o->opens = 0;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens) continue;
    if (p->ops[i].level != level) words = 0;
    level = p->ops[i].level;
    words += (size_t)batch * tw_program_open_bytes(&p->tensors[p->ops[i].out[0]]) / 8;
    o->opens += (uint32_t)batch;
    if (words > o->message_words) o->message_words = words;
  }
}

static tw_status open_nccl(tw_device_opener *o) {
#ifdef TWAIN_NCCL
  return tw_nccl_create(o->o.channel, &o->nccl);
#else
  (void)o;
  return tw_fail(TW_ERR_USAGE, "this twain was built without NCCL; use --transport host-window");
#endif
}

static size_t buffer_bytes(const tw_device_opener *o) { return 8 * (o->o.message_words + 1); }

static tw_status open_buffer(const tw_device_opener *o, uint64_t **buffer) {
  void *memory;
  TW_TRY(tw_cuda_backend.alloc(buffer_bytes(o), &memory));
  *buffer = memory;
  return TW_OK;
}

static tw_status open_buffers(tw_device_opener *o) {
  TW_TRY(open_buffer(o, &o->sent));
  return open_buffer(o, &o->received);
}

static tw_status open_mailboxes(tw_device_opener *o) {
  return tw_mailboxes_create(o->o.channel, o->o.transport, o->nccl, o->o.halves, o->o.message_words, o->o.chain_bytes,
                             &o->boxes);
}

// Through NCCL's windows where they are; otherwise its send and receive.
static tw_status open_transport(tw_device_opener *o) {
  if (o->o.transport == TW_TRANSPORT_NCCL) {
    TW_TRY(open_nccl(o));
    tw_status status = open_mailboxes(o);
    return status == TW_ERR_USAGE ? open_buffers(o) : status;
  }
  TW_TRY(open_mailboxes(o));
  return o->boxes.relayed ? tw_relay_create(o->o.channel, o->boxes.host, o->o.halves, &o->relay) : TW_OK;
}

// Relayed messages go by the channel: which one, and over which emulated link, is part of the name.
static void name_transport(tw_device_opener *o) {
  const char *name = o->boxes.count ? o->boxes.name : "nccl, send and receive";
  snprintf(o->name, sizeof o->name, "%s%s%s", name, o->boxes.relayed ? " by " : "",
           o->boxes.relayed ? o->o.channel->name : "");
}

// A message has an open at least; a probe has one a message.
static size_t most_messages(const tw_device_opener *o) { return o->o.opens + TW_PROBE_MESSAGES; }
static size_t digests_bytes(const tw_device_opener *o) { return 8 * (size_t)(o->o.opens + 1); }
static size_t counted_bytes(const tw_device_opener *o) { return digests_bytes(o) + 16 * most_messages(o); }

tw_status tw_device_opener_create(const tw_device_opener_options *options, tw_device_opener **out) {
  *out = NULL;
  tw_device_opener *o = calloc(1, sizeof *o);
  if (!o) return tw_fail(TW_ERR_MEMORY, "out of memory for a collector");
  o->o = *options;
  tw_status status = TW_OK;
  for (int i = 0; i < options->halves && status == TW_OK; i++) {
    o->halves[i].stream = options->streams[i];
    status = tw_device_event_create(&o->halves[i].ready);
    if (status == TW_OK) status = tw_device_event_create(&o->halves[i].done);
  }
  void *memory;
  if (status == TW_OK) status = tw_cuda_backend.alloc(counted_bytes(o), &memory);
  if (status == TW_OK) o->digests = memory;
  if (status == TW_OK) o->times = o->digests + digests_bytes(o) / 8;
  if (status == TW_OK) status = open_transport(o);
  if (status == TW_OK) name_transport(o);
  if (status != TW_OK) {
    tw_device_opener_destroy(o, true);
    return status;
  }
  *out = o;
  return TW_OK;
}

tw_status tw_device_opener_choose(tw_device_opener_options *options, const tw_ways *ways, tw_device_opener **out,
                                  char *why, size_t why_size) {
  tw_status status = TW_OK;
  snprintf(why, why_size, "%s", ways->count > 1 ? "the best of those at hand" : "asked for");
  for (int i = 0; i < ways->count; i++) {
    options->transport = ways->way[i];
    status = tw_device_opener_create(options, out);
    if (status != TW_ERR_USAGE) return status;
    snprintf(why, why_size, "no %s: %s", tw_transport_word(ways->way[i]), tw_error_message());
  }
  return status;
}

void tw_device_opener_destroy(tw_device_opener *o, bool abort) {
  if (!o) return;
  bool held = !tw_relay_destroy(o->relay);
  if (o->sent) tw_cuda_backend.release(o->sent, buffer_bytes(o));
  if (o->received) tw_cuda_backend.release(o->received, buffer_bytes(o));
  tw_mailboxes_free(&o->boxes, abort, held);
#ifdef TWAIN_NCCL
  tw_nccl_destroy(o->nccl, abort);
#endif
  if (o->digests) tw_cuda_backend.release(o->digests, counted_bytes(o));
  for (int i = 0; i < TW_HALVES; i++) {
    tw_device_event_destroy(o->halves[i].ready);
    tw_device_event_destroy(o->halves[i].done);
  }
  free(o->relayed);
  free(o->half_of);
  free(o);
}

const char *tw_device_opener_name(const tw_device_opener *o) { return o->name; }
const tw_device_opener_options *tw_device_opener_get_options(const tw_device_opener *o) { return &o->o; }

bool tw_device_opener_chain_box(const tw_device_opener *o, tw_device_chain_box *out) {
  const tw_mailbox *box = &o->boxes.box[0];
  if (!o->boxes.chain_sent) return false;
  *out = (tw_device_chain_box){.sent = o->boxes.chain_sent,
                               .received = o->boxes.chain_received,
                               .digests = o->digests,
                               .failed = box->failed,
                               .stop = box->stop,
                               .patience_ns = box->patience_ns};
  return true;
}

void tw_device_opener_stop_flag(tw_device_opener *o, const int *stop) {
  o->stop_flag = stop;
  for (int i = 0; i < o->boxes.count; i++) o->boxes.box[i].stop_flag = stop;
}

// ---- recording ----

tw_status tw_device_opener_record_begin(tw_device_opener *o) {
  memset(&o->counts, 0, sizeof o->counts);
  memset(&o->queue, 0, sizeof o->queue);
  o->queued_halves = 0;
  o->relayed_count = 0;
  o->last_half = -1;
  o->turns = 0;
  for (int i = 0; i < o->o.halves; i++) o->halves[i].number = 0;
  uint32_t *turns = o->boxes.box[0].turns;
  if (turns) TW_TRY(tw_cuda_backend.fill(turns, 0, sizeof *turns, o->halves[0].stream));
  return tw_cuda_backend.fill(o->digests, 0, counted_bytes(o), o->halves[0].stream);
}

tw_status tw_device_opener_record_end(tw_device_opener *o) {
  for (int i = 0; i < o->boxes.count; i++)
    TW_TRY(tw_device_exchange_advance(&o->boxes.box[i], o->halves[i].number, o->halves[i].stream));
  return TW_OK;
}

// The next sequence of the open that was queued last?
static bool continues(const tw_device_open *last, const tw_device_open *next) {
  return next->share == last->share + last->sequences * last->words &&
         next->mask == last->mask + last->sequences * last->words &&
         next->out == last->out + last->sequences * last->words && next->n == last->n && next->words == last->words &&
         next->width == last->width && next->bits == last->bits && next->digest == last->digest + last->sequences;
}

static tw_status start(void *state, tw_flush_reason reason, uint64_t *message);

static tw_status open_one(void *state, int half_index, const tw_open_request *r) {
  tw_device_opener *o = state;
  tw_device_message *m = &o->queue;
  tw_device_open open = {.share = r->share,
                         .mask = r->mask,
                         .out = r->out,
                         .n = r->n,
                         .words = r->words,
                         .sequences = 1,
                         .digest = r->index,
                         .width = (uint16_t)r->width,
                         .bits = r->bits};
  if (r->index >= o->o.opens) return tw_fail(TW_ERR_INTERNAL, "more opens than the program has");
  if (r->words == 0) return TW_OK;
  uint64_t message;
  tw_device_open alone = open;
  tw_device_open_place(&alone, NULL);
  bool more = m->count && continues(&m->open[m->count - 1], &open);
  if ((m->count == TW_DEVICE_OPENS && !more) || tw_device_message_words(m) + alone.message_words > o->o.message_words)
    TW_TRY(start(o, TW_FLUSH_BUDGET, &message));
  if (m->count == 0) o->first_half = half_index;
  o->queued_halves |= 1u << half_index;
  if (m->count && more) {
    tw_device_open *last = &m->open[m->count - 1];
    last->sequences++;
    m->units += last->units;
    return TW_OK;
  }
  tw_device_open_place(&open, m->count ? &m->open[m->count - 1] : NULL);
  tw_device_message_add(m, &open);
  return TW_OK;
}

static void queued(void *state, size_t *words, size_t *jobs) {
  const tw_device_message *m = &((tw_device_opener *)state)->queue;
  *words = tw_device_message_words(m);
  *jobs = 0;
  for (int i = 0; i < m->count; i++) *jobs += m->open[i].sequences;
}

static tw_status note_for_relay(tw_device_opener *o, int box, int rounds) {
  TW_TRY(tw_grow((void **)&o->relayed, &o->relayed_room, o->relayed_count + 1, sizeof *o->relayed));
  tw_relay_message *m = &o->relayed[o->relayed_count++];
  *m = (tw_relay_message){.box = box, .blocks = tw_exchange_blocks(&o->queue, &o->boxes.box[box]), .rounds = rounds};
  for (int r = 0; r <= rounds; r++) m->round[r] = tw_exchange_word_of_round(&o->queue, rounds, r);
  return TW_OK;
}

static tw_status exchange_by_mailbox(tw_device_opener *o, int l) {
  int rounds = tw_exchange_rounds(&o->queue, o->boxes.relayed ? RELAY_ROUND_WORDS : ROUND_WORDS);
  if (o->relay) TW_TRY(note_for_relay(o, l, rounds));
  int turn = o->o.halves == 1 ? TW_ALONE : TW_NO_TURN;
  if (tw_exchange_takes_turn(&o->queue, &o->boxes.box[l])) turn = o->turns++;
  return tw_device_exchange(&o->queue, &o->boxes.box[l], o->halves[l].number++, rounds, turn, o->digests,
                            o->halves[l].stream);
}

#ifdef TWAIN_NCCL
// NCCL serves both halves, one after the other: this half's exchange comes behind the one before.
static tw_status take_turn(tw_device_opener *o, int l) {
  int last = o->last_half;
  o->last_half = l;
  return last >= 0 && last != l ? tw_device_event_wait(o->halves[last].done, o->halves[l].stream) : TW_OK;
}
#endif

static tw_status exchange_by_nccl(tw_device_opener *o, int l) {
#ifdef TWAIN_NCCL
  void *stream = o->halves[l].stream;
  TW_TRY(take_turn(o, l));
  TW_TRY(tw_device_pack(&o->queue, o->stop_flag, o->sent, stream));
  TW_TRY(tw_nccl_exchange(o->nccl, o->sent, o->received, 8 * tw_device_message_words(&o->queue), stream));
  return tw_device_unpack(&o->queue, o->sent, o->received, o->digests, stream);
#else
  (void)o, (void)l;
  return TW_OK;
#endif
}

// On the stream of the half that queued first; it waits for the other's shares when those go along.
static tw_status start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)reason;
  tw_device_opener *o = state;
  int l = o->first_half;
  *message = o->counts.flushes;
  if (o->queue.count == 0) return TW_OK;
  if (o->counts.flushes >= most_messages(o)) return tw_fail(TW_ERR_INTERNAL, "more messages than opens");
  o->queue.times = o->times + 2 * o->counts.flushes;
  for (int i = 0; i < o->o.halves; i++) {
    if (i == l || !(o->queued_halves & 1u << i)) continue;
    TW_TRY(tw_device_event_record(o->halves[i].ready, o->halves[i].stream));
    TW_TRY(tw_device_event_wait(o->halves[i].ready, o->halves[l].stream));
  }
  TW_TRY(o->boxes.count ? exchange_by_mailbox(o, l) : exchange_by_nccl(o, l));
  if (o->o.halves > 1) TW_TRY(tw_device_event_record(o->halves[l].done, o->halves[l].stream));
  TW_TRY(tw_grow((void **)&o->half_of, &o->half_of_room, o->counts.flushes + 1, sizeof *o->half_of));
  o->half_of[o->counts.flushes++] = (int8_t)l;
  o->counts.payload_bytes += 8 * tw_device_message_words(&o->queue);
  memset(&o->queue, 0, sizeof o->queue);
  o->queued_halves = 0;
  return TW_OK;
}

static tw_status finish(void *state, int l, uint64_t message) {
  tw_device_opener *o = state;
  if (message >= o->counts.flushes) return TW_OK;
  int by = o->half_of[message];
  return by == l ? TW_OK : tw_device_event_wait(o->halves[by].done, o->halves[l].stream);
}

tw_opener tw_device_opener_table(tw_device_opener *o) {
  return (tw_opener){open_one, queued, start, finish, o, NULL, NULL, NULL};
}

// ---- running ----

// Both parties begin a run together: while a kernel waits for a party that still prepares, its patience runs out.
static tw_status meet(tw_device_opener *o) {
  uint8_t here = 1, there;
  return tw_channel_exchange(o->o.channel, &here, &there, 1);
}

tw_status tw_device_opener_run_begin(tw_device_opener *o) {
  if (o->boxes.window) TW_TRY(meet(o));
  return o->relay ? tw_relay_begin(o->relay, o->relayed, (int)o->relayed_count) : TW_OK;
}

static tw_status check_failed_flag(tw_device_opener *o) {
  int failed = 0;
  TW_TRY(tw_cuda_backend.download(&failed, o->boxes.box[0].failed, sizeof failed, o->halves[0].stream));
  if (!failed) return TW_OK;
  return tw_fail(
      TW_ERR_PEER,
      "party %d: an open of party %d did not come, or is not the one of the plan; look at the log of party %d, "
      "or raise --silence-limit (%g s)",
      o->o.channel->party, 1 - o->o.channel->party, 1 - o->o.channel->party, o->o.channel->timeout_seconds);
}

tw_status tw_device_opener_run_end(tw_device_opener *o, bool failed) {
  if (o->boxes.stop && failed) *(volatile int *)o->boxes.stop = 1;
  if (o->relay) TW_TRY(tw_relay_end(o->relay, failed));
  return o->boxes.count && !failed ? check_failed_flag(o) : TW_OK;
}

tw_status tw_device_opener_comm_ns(const tw_device_opener *o, uint64_t *sum) {
  void *memory;
  size_t count = o->counts.flushes;
  *sum = 0;
  TW_TRY(tw_alloc(16 * count + 16, &memory));
  const uint64_t *times = memory;
  tw_status status = tw_cuda_backend.download(memory, o->times, 16 * count, o->halves[0].stream);
  for (size_t i = 0; status == TW_OK && i < count; i++)
    if (times[2 * i + 1] > times[2 * i]) *sum += times[2 * i + 1] - times[2 * i];
  tw_free(memory);
  return status;
}

tw_device_opener_counts tw_device_opener_get_counts(const tw_device_opener *o) { return o->counts; }

tw_status tw_device_opener_transcript(tw_device_opener *o, char transcript[65]) {
  void *memory;
  uint8_t digest[32];
  size_t bytes = 8 * (size_t)o->o.opens;
  TW_TRY(tw_alloc(bytes + 8, &memory));
  tw_status status = tw_cuda_backend.download(memory, o->digests, bytes, o->halves[0].stream);
  crypto_generichash_blake2b(digest, sizeof digest, memory, bytes, NULL, 0);
  sodium_bin2hex(transcript, 65, digest, sizeof digest);
  tw_free(memory);
  return status;
}
#endif
