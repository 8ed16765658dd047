#include "comm/relay.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_BOXES = 2 };
static const double grace_seconds = 1;  // for what is in flight when a run fails

struct tw_relay {
  tw_channel *channel;
  tw_relay_box box[MOST_BOXES];
  int box_count;
  uint64_t number[MOST_BOXES];  // of each mailbox's next message
  const tw_relay_message *messages;
  int count;
  pthread_t thread;
  bool running;
  _Atomic int cancelled;
  tw_exchange exchange[TW_EXCHANGE_ROUNDS];  // of the message under way
  int started, waited;                       // of its rounds
  bool held;                                 // the transport may still touch mailboxes
  tw_status status;
  char message[256];  // the thread's error, for the caller's thread
};

tw_status tw_relay_create(tw_channel *channel, const tw_relay_box *boxes, int count, tw_relay **out) {
  *out = NULL;
  if (count < 1 || count > MOST_BOXES) return tw_fail(TW_ERR_INTERNAL, "a relay for %d mailboxes", count);
  tw_relay *r = calloc(1, sizeof *r);
  if (!r) return tw_fail(TW_ERR_MEMORY, "out of memory for a relay");
  r->channel = channel;
  memcpy(r->box, boxes, sizeof *boxes * (size_t)count);
  r->box_count = count;
  *out = r;
  return TW_OK;
}

bool tw_relay_destroy(tw_relay *r) {
  if (!r) return true;
  if (r->running) (void)tw_relay_end(r, 1);
  bool held = r->held;
  if (!held) free(r);
  return !held;
}

// True when every block of the GPU's kernel has packed the round.
static bool packed(const tw_relay_box *b, int blocks, uint64_t flag) {
  for (int i = 0; i < blocks; i++)
    if (atomic_load_explicit(&b->sent_flags[TW_FLAG_STRIDE * i], memory_order_acquire) < flag) return false;
  return true;
}

static void raise_flags(const tw_relay_box *b, int blocks, uint64_t flag) {
  for (int i = 0; i < blocks; i++)
    atomic_store_explicit(&b->received_flags[TW_FLAG_STRIDE * i], flag, memory_order_release);
}

static tw_status check_header(const tw_relay *r, uint64_t here, uint64_t there) {
  if (here == there) return TW_OK;
  return tw_fail(
      TW_ERR_PEER,
      "party %d: expected round %d of message %llu, party %d sent round %d of message %llu; both must run the "
      "same plan and version of twain",
      r->channel->party, (int)((here - 1) % TW_EXCHANGE_ROUNDS), (unsigned long long)((here - 1) / TW_EXCHANGE_ROUNDS),
      1 - r->channel->party, (int)((there - 1) % TW_EXCHANGE_ROUNDS),
      (unsigned long long)((there - 1) / TW_EXCHANGE_ROUNDS));
}

static tw_status start_round(tw_relay *r, const tw_relay_message *m, uint64_t number) {
  const tw_relay_box *b = &r->box[m->box];
  int round = r->started;
  size_t at = number % 2 * b->slot_words + m->round[round];
  if (b->headed) b->sent[at] = tw_exchange_flag(number, round);
  r->exchange[round] = (tw_exchange){.send = b->sent + at,
                                     .recv = b->received + at,
                                     .bytes = 8 * (m->round[round + 1] - m->round[round]),
                                     .stream = m->rounds > 1 ? round + 1 : 0};
  r->started++;
  return r->channel->start(r->channel, &r->exchange[round]);
}

static tw_status finish_round(tw_relay *r, const tw_relay_message *m, uint64_t number) {
  const tw_relay_box *b = &r->box[m->box];
  int round = r->waited;
  TW_TRY(r->channel->wait(r->channel, &r->exchange[round]));
  r->waited++;
  if (b->headed)
    TW_TRY(check_header(r, tw_exchange_flag(number, round), b->received[number % 2 * b->slot_words + m->round[round]]));
  raise_flags(b, m->blocks, tw_exchange_flag(number, round));
  return TW_OK;
}

// The oldest round that is under way is there, or nothing else is left to do than to wait for it.
static bool due(tw_relay *r, const tw_relay_message *m) {
  if (r->waited == r->started) return false;
  return r->started == m->rounds || r->channel->arrived(r->channel, &r->exchange[r->waited]);
}

// All rounds that are packed are on their way at once, each by its own stream where the channel has several. A GPU that
// has not packed is computing, so patience has no limit here but the caller's, who cancels.
static tw_status carry(tw_relay *r, const tw_relay_message *m) {
  uint64_t number = r->number[m->box]++;
  r->started = r->waited = 0;
  for (uint32_t polls = 1; r->waited < m->rounds; polls++) {
    if (r->started < m->rounds && packed(&r->box[m->box], m->blocks, tw_exchange_flag(number, r->started)))
      TW_TRY(start_round(r, m, number));
    else if (due(r, m))
      TW_TRY(finish_round(r, m, number));
    else if (atomic_load(&r->cancelled))
      return tw_fail(TW_ERR_PEER, "party %d: the run was given up", r->channel->party);
    else if (polls % 4096 == 0)
      sched_yield();
  }
  return TW_OK;
}

// After a failure: rounds in flight are waited for or taken back, so that nobody writes into mailboxes that are gone.
static bool recall(tw_relay *r) {
  tw_channel *c = r->channel;
  double timeout = c->timeout_seconds;
  bool back = true;
  if (timeout > grace_seconds) c->timeout_seconds = grace_seconds;
  for (int i = r->waited; i < r->started; i++) {
    if (r->exchange[i].handle) (void)c->wait(c, &r->exchange[i]);
    back = back && !r->exchange[i].handle;
  }
  c->timeout_seconds = timeout;
  return back;
}

static void *work(void *argument) {
  tw_relay *r = argument;
  for (int i = 0; i < r->count && r->status == TW_OK; i++) r->status = carry(r, &r->messages[i]);
  if (r->status == TW_OK) return NULL;
  snprintf(r->message, sizeof r->message, "%s", tw_error_message());
  for (int i = 0; i < r->box_count; i++) atomic_store(r->box[i].stop, 1);
  r->held = !recall(r) || r->held;
  return NULL;
}

tw_status tw_relay_begin(tw_relay *r, const tw_relay_message *messages, int count) {
  r->messages = messages;
  r->count = count;
  r->status = TW_OK;
  atomic_store(&r->cancelled, 0);
  if (pthread_create(&r->thread, NULL, work, r) != 0)
    return tw_fail(TW_ERR_MEMORY, "party %d: no thread for the relay could be started", r->channel->party);
  r->running = true;
  return TW_OK;
}

tw_status tw_relay_end(tw_relay *r, int cancel) {
  if (!r->running) return TW_OK;
  if (cancel) atomic_store(&r->cancelled, 1);
  pthread_join(r->thread, NULL);
  r->running = false;
  return r->status == TW_OK ? TW_OK : tw_fail(r->status, "%s", r->message);
}
