#include "jobs/parties/live_walk.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/live_thread.h"

enum {
  PLENTY = 64 << 20,  // bytes in both queues: dealing waits
  MOST = 1 << 30      // in one of them: dealing waits for a party that takes nothing while the other one takes all
};

// What one party takes of one sequence.
typedef struct {
  tw_live_walk *walk;
  int party, sequence;
  uint64_t made;        // pieces
  tw_live_piece *open;  // not full yet; the dealing thread's
  tw_live_piece *first, **end;
} queue;

struct tw_live_walk {
  const tw_plan *plan;
  const tw_model_masks *masks;
  const tw_seed *seeds;
  int count;
  uint64_t *slots;
  queue *queues;  // [2][count]
  tw_live_thread thread;
  uint64_t waiting[2];  // bytes in the queues
};

static queue *queue_of(tw_live_walk *d, int party, int sequence) { return &d->queues[party * d->count + sequence]; }

void tw_live_piece_free(tw_live_piece *p) { tw_secret_free(p, sizeof *p); }

// ---- the dealing thread

static void push(queue *q) {
  tw_live_walk *d = q->walk;
  tw_live_piece *p = q->open;
  p->sent.head = (tw_live_head){.sequence = (uint32_t)q->sequence, .bytes = (uint32_t)p->bytes, .number = q->made++};
  p->bytes += sizeof p->sent.head;
  q->open = NULL;
  pthread_mutex_lock(&d->thread.lock);
  *q->end = p;
  q->end = &p->next;
  d->waiting[q->party] += p->bytes;
  pthread_cond_broadcast(&d->thread.changed);
  pthread_mutex_unlock(&d->thread.lock);
}

static tw_status append(void *state, const void *data, size_t bytes) {
  queue *q = state;
  for (const uint8_t *from = data; bytes;) {
    if (!q->open) TW_TRY(tw_secret_alloc(sizeof *q->open, (void **)&q->open));
    size_t room = TW_KEY_CHUNK - q->open->bytes, part = bytes < room ? bytes : room;
    memcpy(q->open->sent.data + q->open->bytes, from, part);
    q->open->bytes += part;
    from += part;
    bytes -= part;
    if (q->open->bytes == TW_KEY_CHUNK) push(q);
  }
  return TW_OK;
}

static tw_status await_room(tw_live_walk *d) {
  pthread_mutex_lock(&d->thread.lock);
  while (d->thread.status == TW_OK &&
         ((d->waiting[0] > PLENTY && d->waiting[1] > PLENTY) || d->waiting[0] > MOST || d->waiting[1] > MOST))
    pthread_cond_wait(&d->thread.changed, &d->thread.lock);
  tw_status status = d->thread.status;
  pthread_mutex_unlock(&d->thread.lock);
  return status;
}

// A level of every sequence, then the next: what one party needs first is made first.
static tw_status walk(tw_live_walk *d, tw_session *sessions) {
  for (bool done = false; !done;) {
    TW_TRY(await_room(d));
    for (int i = 0; i < d->count; i++) TW_TRY(tw_session_level(&sessions[i], &done));
  }
  for (int i = 0; i < 2 * d->count; i++)
    if (d->queues[i].open) push(&d->queues[i]);
  return TW_OK;
}

static tw_status deal_all(void *state) {
  tw_live_walk *d = state;
  tw_session *sessions;
  int made = 0;
  TW_TRY(tw_alloc(sizeof *sessions * (size_t)d->count, (void **)&sessions));
  tw_status status = TW_OK;
  for (; made < d->count && status == TW_OK; made++) {
    const tw_seed *seeds[2] = {&d->seeds[made], &d->seeds[d->count + made]};
    tw_sink sinks[2] = {{append, queue_of(d, 0, made)}, {append, queue_of(d, 1, made)}};
    status = tw_deal_session(d->plan, d->masks, seeds, &d->slots[made], sinks, &sessions[made]);
    if (status != TW_OK) break;
  }
  if (status == TW_OK) status = walk(d, sessions);
  while (made--) tw_session_destroy(&sessions[made]);
  tw_free(sessions);
  return status;
}

// ---- for the others

static tw_status prepare(tw_live_walk *d, uint64_t first) {
  TW_TRY(tw_alloc(sizeof *d->slots * (size_t)d->count, (void **)&d->slots));
  TW_TRY(tw_alloc(sizeof *d->queues * 2 * (size_t)d->count, (void **)&d->queues));
  for (int i = 0; i < d->count; i++) {
    d->slots[i] = first + (uint64_t)i;
    for (int party = 0; party < 2; party++) {
      queue *q = queue_of(d, party, i);
      *q = (queue){.walk = d, .party = party, .sequence = i};
      q->end = &q->first;
    }
  }
  return tw_live_thread_start(&d->thread, deal_all, d);
}

tw_status tw_live_walk_start(const tw_plan *plan, const tw_model_masks *masks, const tw_seed *seeds, uint64_t first,
                             int count, tw_live_walk **out) {
  tw_live_walk *d;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *d, (void **)&d));
  d->plan = plan;
  d->masks = masks;
  d->seeds = seeds;
  d->count = count;
  tw_live_thread_init(&d->thread);
  tw_status status = prepare(d, first);
  if (status == TW_OK)
    *out = d;
  else
    tw_live_walk_destroy(d);
  return status;
}

static bool is_next(const queue *q, uint64_t number) { return q->first && q->first->sent.head.number == number; }

tw_status tw_live_walk_next(tw_live_walk *d, int party, int sequence, uint64_t number, tw_live_piece **out) {
  queue *q = queue_of(d, party, sequence);
  *out = NULL;
  uint64_t begin_ns = tw_clock_ns();
  pthread_mutex_lock(&d->thread.lock);
  while (!is_next(q, number) && tw_live_thread_wait(&d->thread, begin_ns)) continue;
  tw_status status = d->thread.status;
  if (status == TW_OK && is_next(q, number)) {
    *out = q->first;
    q->first = q->first->next;
    if (!q->first) q->end = &q->first;
    d->waiting[party] -= (*out)->bytes;
    pthread_cond_broadcast(&d->thread.changed);
  }
  if (status != TW_OK) (void)tw_live_thread_failure(&d->thread);
  pthread_mutex_unlock(&d->thread.lock);
  return status;
}

void tw_live_walk_stop(tw_live_walk *d, tw_status status, const char *message) {
  tw_live_thread_stop(&d->thread, status, message);
}

void tw_live_walk_destroy(tw_live_walk *d) {
  if (!d) return;
  tw_live_thread_join(&d->thread);
  for (int i = 0; d->queues && i < 2 * d->count; i++) {
    queue *q = &d->queues[i];
    for (tw_live_piece *p = q->first, *next; p; p = next) {
      next = p->next;
      tw_live_piece_free(p);
    }
    tw_live_piece_free(q->open);
  }
  tw_live_thread_free(&d->thread);
  tw_free(d->queues);
  tw_free(d->slots);
  tw_free(d);
}
