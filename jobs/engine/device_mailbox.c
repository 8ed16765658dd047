#include "jobs/engine/device_mailbox.h"

#ifdef TWAIN_CUDA
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#ifdef OPEN_MPI
#include <mpi-ext.h>
#endif

#include "base/memory.h"
#include "comm/nccl.h"
#include "kernels/backend.h"

// A part: flags, two slots for small messages, two for others; or strands. One is written and one is read.
enum {
  PAGE = 4096,
  FLAG_WORDS = TW_FLAG_STRIDE * TW_EXCHANGE_BLOCKS,
  FLAG_BYTES = 8 * FLAG_WORDS,
  SMALL_BYTES = 2 * TW_PACKET_BYTES * TW_SMALL_PACKETS,
  RELAYED_BLOCKS = 32,
  WINDOW_WORDS = TW_STRANDS * TW_STRAND_WORDS,
  // lines of strands, bases of messages, turns, when `stop` was looked at, and the failed flag
  STATE_WORDS = TW_HALVES * (TW_STRANDS + 1) + 3
};

static void place(tw_mailboxes *m, int i, void *sent, void *received, void *sent_flags, void *received_flags) {
  tw_mailbox *b = &m->box[i];
  b->small_sent = (uint64_t *)(void *)((char *)sent + FLAG_BYTES);
  b->small_received = (uint64_t *)(void *)((char *)received + FLAG_BYTES);
  b->sent = b->small_sent + SMALL_BYTES / 8;
  b->received = b->small_received + SMALL_BYTES / 8;
  b->sent_flags = sent_flags;
  b->received_flags = received_flags;
}

// Both parties learn whether both could.
static tw_status agree(tw_channel *channel, tw_status status) {
  uint8_t mine = status == TW_OK, theirs = 0;
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, 1));
  if (mine && !theirs)
    return tw_fail(TW_ERR_USAGE, "party %d cannot use this transport; see its message, or choose another --transport",
                   1 - channel->party);
  return status;
}

static void place_near(tw_mailboxes *m, void *own, void *theirs) {
  for (int i = 0; i < m->count; i++) {
    void *in = (char *)own + m->bytes * (size_t)i, *out = (char *)theirs + m->bytes * (size_t)i;
    place(m, i, out, in, out, in);
    m->box[i].small_packets = TW_SMALL_PACKETS;
  }
  if (m->chain_bytes == 0) return;
  m->chain_sent = (uint64_t *)(void *)((char *)theirs + m->bytes * (size_t)m->count);
  m->chain_received = (const uint64_t *)(void *)((char *)own + m->bytes * (size_t)m->count);
}

// Of all mailboxes, and of chains behind them.
static size_t near_bytes(const tw_mailboxes *m) { return m->bytes * (size_t)m->count + m->chain_bytes; }

// NCCL's windows: each GPU's mailbox mapped into the other.
static tw_status open_nccl(tw_channel *channel, tw_mailboxes *m) {
  void *own = NULL, *theirs = NULL;
  tw_status status = tw_fail(TW_ERR_USAGE, "this twain was built without NCCL");
#ifdef TWAIN_NCCL
  TW_TRY(agree(channel, tw_nccl_window_possible()));
  status = tw_nccl_window(m->nccl, near_bytes(m), &own, &theirs);
#endif
  TW_TRY(agree(channel, status));
  place_near(m, own, theirs);
  m->name = "nccl, by the GPUs themselves in its window";
  return TW_OK;
}

static tw_status open_peer(tw_channel *channel, tw_mailboxes *m) {
  struct {
    tw_device_handle handle;
    int shared;
  } mine = {{{0}}, 0}, theirs;
  tw_status status = tw_device_share(near_bytes(m), &m->own, &mine.handle);
  mine.shared = status == TW_OK;
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (status == TW_OK && theirs.shared) status = tw_device_map(&theirs.handle, &m->theirs);
  if (status == TW_OK && !theirs.shared) status = tw_fail(TW_ERR_USAGE, "the other GPU's memory cannot be reached");
  TW_TRY(agree(channel, status));
  place_near(m, m->own, m->theirs);
  m->name = "peer, by the GPUs themselves";
  return TW_OK;
}

static size_t copies_bytes(const tw_mailboxes *m) { return 8 * (size_t)m->count * m->box[0].slot_words; }

static tw_status time_copies(const tw_mailboxes *m, void *to, void *stream, void *first, void *last, double *best) {
  enum { TIMES = 4, COPIES = 8 };
  size_t words = copies_bytes(m) / 8 < WINDOW_WORDS ? copies_bytes(m) / 8 : WINDOW_WORDS;
  for (int i = 0; i < TIMES; i++) {
    double seconds;
    TW_TRY(tw_device_timer_record(first, stream));
    for (int j = 0; j < COPIES; j++) TW_TRY(tw_device_copy_out(to, m->copies, 8 * words, stream));
    TW_TRY(tw_device_timer_record(last, stream));
    TW_TRY(tw_device_wait(stream));
    TW_TRY(tw_device_timer_between(first, last, &seconds));
    double rate = COPIES * 1e-6 * (double)words / seconds;
    if (rate > *best) *best = rate;
  }
  return TW_OK;
}

// Words a microsecond that a copy engine brings into the window, the other direction being idle.
static tw_status measure_way(const tw_mailboxes *m, void *to, double *words_per_us) {
  void *stream = NULL, *first = NULL, *last = NULL;
  *words_per_us = 0;
  tw_status status = tw_device_stream_create(&stream);
  if (status == TW_OK) status = tw_device_timer_create(&first);
  if (status == TW_OK) status = tw_device_timer_create(&last);
  if (status == TW_OK) status = time_copies(m, to, stream, first, last, words_per_us);
  tw_device_event_destroy(first);
  tw_device_event_destroy(last);
  tw_device_stream_destroy(stream);
  return status;
}

// The pace of writing, of what one direction moves alone: what both move at once. Faster writes keep reads waiting.
static const double BOTH_WAYS = 0.855;

static tw_status open_window(tw_channel *channel, tw_mailboxes *m) {
  void *parts[2];
  double words_per_us = 0;
  tw_status status = TW_OK;
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    status = tw_host_map(tw_shared_window_part(m->window, party), tw_shared_window_bytes(m->window), &parts[party]);
    if (status == TW_OK) m->mapped[party] = tw_shared_window_part(m->window, party);
  }
  if (status == TW_OK) status = measure_way(m, tw_shared_window_part(m->window, channel->party), &words_per_us);
  memset(tw_shared_window_part(m->window, channel->party), 0,
         tw_shared_window_bytes(m->window));  // no word is there yet
  TW_TRY(agree(channel, status));
  for (int i = 0; i < m->count; i++) {
    tw_mailbox *b = &m->box[i];
    b->sent = (uint64_t *)parts[channel->party] + (size_t)WINDOW_WORDS * (size_t)i;
    b->received = (uint64_t *)parts[1 - channel->party] + (size_t)WINDOW_WORDS * (size_t)i;
    b->lines = (uint64_t *)m->state + i * TW_STRANDS;
    if (m->count > 1) b->turns = (uint32_t *)((uint64_t *)m->state + STATE_WORDS - 3);
    b->words_per_us = BOTH_WAYS * words_per_us;
  }
  m->name = "host-window";
  return TW_OK;
}

// Flags and, unless on_device, data in pinned memory: sent parts of all mailboxes, then received ones.
static tw_status open_relayed(tw_channel *channel, tw_mailboxes *m, bool on_device) {
  size_t half = m->bytes * (size_t)m->count;
  void *reach, *data;
  int level = MPI_THREAD_MULTIPLE;
  if (channel->mpi) MPI_Query_thread(&level);
  tw_status status = TW_OK;
  if (level < MPI_THREAD_SERIALIZED)
    status = tw_fail(TW_ERR_USAGE,
                     "this MPI serves one thread only, and the relay is another; use --transport peer, nccl "
                     "or, on one host, host-window");
  if (status == TW_OK) status = tw_pinned_alloc(2 * half, &m->pinned);
  if (status == TW_OK) memset(m->pinned, 0, 2 * half);
  if (status == TW_OK) status = tw_pinned_device(m->pinned, &reach);
  if (status == TW_OK && on_device) status = tw_cuda_backend.alloc(2 * half, &m->device);
  TW_TRY(agree(channel, status));
  data = on_device ? m->device : reach;
  for (int i = 0; i < m->count; i++) {
    size_t out = m->bytes * (size_t)i, in = half + out;
    char *host = on_device ? m->device : m->pinned;
    place(m, i, (char *)data + out, (char *)data + in, (char *)reach + out, (char *)reach + in);
    m->host[i] = (tw_relay_box){.sent = (uint64_t *)(void *)(host + out + FLAG_BYTES + SMALL_BYTES),
                                .received = (uint64_t *)(void *)(host + in + FLAG_BYTES + SMALL_BYTES),
                                .sent_flags = (_Atomic uint64_t *)(void *)((char *)m->pinned + out),
                                .received_flags = (_Atomic uint64_t *)(void *)((char *)m->pinned + in),
                                .slot_words = m->box[i].slot_words,
                                .headed = !on_device,
                                .stop = (_Atomic int *)m->stop};
  }
  m->relayed = true;
  m->name = on_device ? "gpu-relay" : "host-relay";
  return TW_OK;
}

// MPI says that it takes device pointers, and does.
static tw_status cuda_aware(tw_channel *channel) {
  tw_status status = TW_OK;
  uint64_t words[64], got[64];
  void *device = NULL;
#if defined(MPIX_CUDA_AWARE_SUPPORT)
  bool said = MPIX_Query_cuda_support() == 1;
#else
  bool said = false;
#endif
  if (!said)
    status = tw_fail(TW_ERR_USAGE,
                     "this MPI does not take device memory (MPIX_Query_cuda_support); use --transport host-window");
  TW_TRY(agree(channel, status));
  for (uint64_t i = 0; i < 64; i++) words[i] = (i + 1) * 0x9e3779b97f4a7c15ull + (uint64_t)channel->party;
  TW_TRY(tw_cuda_backend.alloc(2 * sizeof words, &device));
  status = tw_cuda_backend.upload(device, words, sizeof words, NULL);
  if (status == TW_OK) status = tw_channel_exchange(channel, device, (char *)device + sizeof words, sizeof words);
  if (status == TW_OK) status = tw_cuda_backend.download(got, (char *)device + sizeof words, sizeof words, NULL);
  tw_cuda_backend.release(device, 2 * sizeof words);
  for (uint64_t i = 0; status == TW_OK && i < 64; i++)
    if (got[i] != words[i] + 1 - 2 * (uint64_t)channel->party)
      status =
          tw_fail(TW_ERR_USAGE,
                  "this MPI says that it takes device memory, but delivers other bytes; use --transport host-window");
  return agree(channel, status);
}

static tw_status open_transport(tw_channel *channel, tw_transport transport, tw_mailboxes *m) {
  if (transport == TW_TRANSPORT_PEER) return open_peer(channel, m);
  if (transport == TW_TRANSPORT_NCCL) return open_nccl(channel, m);
  if (transport == TW_TRANSPORT_GPU_RELAY) {
    TW_TRY(cuda_aware(channel));
    return open_relayed(channel, m, true);
  }
  if (transport == TW_TRANSPORT_HOST_WINDOW)
    TW_TRY(tw_shared_window_create(channel, 8 * WINDOW_WORDS * (size_t)m->count, &m->window));
  return m->window ? open_window(channel, m) : open_relayed(channel, m, false);
}

static tw_status open_state(tw_mailboxes *m, double timeout_seconds) {
  void *stop;
  TW_TRY(tw_cuda_backend.alloc(copies_bytes(m), &m->copies));
  TW_TRY(tw_cuda_backend.alloc(8 * STATE_WORDS, &m->state));
  TW_TRY(tw_pinned_alloc(sizeof(int), &m->stop));
  memset(m->stop, 0, sizeof(int));
  TW_TRY(tw_pinned_device(m->stop, &stop));
  for (int i = 0; i < m->count; i++) {
    m->box[i].own = (uint64_t *)m->copies + (size_t)i * m->box[i].slot_words;
    m->box[i].base = (uint64_t *)m->state + TW_HALVES * TW_STRANDS + i;
    m->box[i].failed = (int *)((uint64_t *)m->state + STATE_WORDS - 1);
    m->box[i].stop = stop;
    m->box[i].looked = (uint64_t *)m->state + STATE_WORDS - 2;
    m->box[i].patience_ns = (uint64_t)(1e9 * timeout_seconds);
  }
  return TW_OK;
}

// Exchanges of both halves must be able to run at once on either GPU: a kernel that waits for the other party may hold
// no place that another half's needs. A multiprocessor takes a block of each half
// (kernels/cuda/exchange/opens_exchange.cu, opens_packets.cu). Of strands it takes one block; each of two halves has at
// most half the multiprocessors then (opens_strands.cu).
static tw_status choose_blocks(tw_channel *channel, bool near, tw_mailboxes *m) {
  int mine, theirs;
  TW_TRY(tw_device_multiprocessors(&mine));
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (theirs < 1)
    return tw_fail(TW_ERR_PEER, "party %d says that its GPU has %d multiprocessors: damaged on the way, or not twain",
                   1 - channel->party, theirs);
  int most = TW_EXCHANGE_BLOCKS;
  if (most > mine) most = mine;
  if (most > theirs) most = theirs;
  for (int i = 0; i < m->count; i++) {
    m->box[i].blocks = near || most < RELAYED_BLOCKS ? most : RELAYED_BLOCKS;
    m->box[i].small_blocks = most;
    m->box[i].warps = m->count == 1 ? TW_EXCHANGE_WARPS : TW_EXCHANGE_WARPS / 2;
  }
  return TW_OK;
}

tw_status tw_mailboxes_create(tw_channel *channel, tw_transport transport, struct tw_nccl *nccl, int count,
                              size_t message_words, size_t chain_bytes, tw_mailboxes *m) {
  memset(m, 0, sizeof *m);
  m->chain_bytes = chain_bytes;
  m->nccl = nccl;
  size_t slot_words = (message_words + TW_EXCHANGE_ROUNDS + 15) / 16 * 16;
  bool near = transport == TW_TRANSPORT_PEER || transport == TW_TRANSPORT_NCCL;
  m->count = count;
  m->bytes = (FLAG_BYTES + SMALL_BYTES + 16 * slot_words + PAGE - 1) / PAGE * PAGE;
  for (int i = 0; i < count; i++) m->box[i].slot_words = slot_words;
  tw_status status = choose_blocks(channel, near, m);
  if (status == TW_OK) status = open_state(m, channel->timeout_seconds);
  if (status == TW_OK) status = open_transport(channel, transport, m);
  if (status != TW_OK) tw_mailboxes_free(m, false, false);
  return status;
}

void tw_mailboxes_free(tw_mailboxes *m, bool abort, bool held) {
  // Memory that a dying kernel may still touch goes after what releasing waits for the device.
  if (m->copies) tw_cuda_backend.release(m->copies, copies_bytes(m));
  if (m->state) tw_cuda_backend.release(m->state, 8 * STATE_WORDS);
  tw_device_unmap(m->theirs);
  tw_device_unshare(m->own);
  for (int party = 0; party < 2; party++) tw_host_unmap(m->mapped[party]);
  tw_shared_window_destroy(m->window, abort);
  if (m->pinned && !held) tw_pinned_free(m->pinned, 2 * m->bytes * (size_t)m->count);
  if (m->device && !held) tw_cuda_backend.release(m->device, 2 * m->bytes * (size_t)m->count);
  if (m->stop) tw_pinned_free(m->stop, sizeof(int));
  memset(m, 0, sizeof *m);
}
#endif
