#define _GNU_SOURCE
#include "app/bench/live_takers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/bench/live_sum.h"
#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/live_keys.h"

static uint64_t longer(const tw_live_stage *s) {
  uint64_t a = tw_live_chunks(s, 0), b = tw_live_chunks(s, 1);
  return a > b ? a : b;
}

uint32_t *tw_live_sums(const tw_live_stage *s, int run, int party) {
  return s->sums + (uint64_t)(2 * run + party) * longer(s);
}

tw_live_ring *tw_live_ring_of(const tw_live_stage *s, int run, int party, int stream) {
  return &s->rings[(2 * run + party) * s->streams + stream];
}

bool tw_live_wait_for(sem_t *semaphore) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 200000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  for (;;) {
    if (sem_timedwait(semaphore, &until) == 0) return true;
    if (errno != EINTR) return false;
  }
}

// ---- one taker

// A stream of a run, and its thread.
typedef struct {
  tw_live_stage *stage;
  int party, run, stream;
  int turn;                   // of TW_LIVE_ROW
  const tw_key_store *store;  // by TLS
  pthread_t thread;
  tw_status status;
  char message[300];
} taker;

// A number that both parties' runs have: nothing here is a secret.
static void number_of(const taker *t, uint8_t number[TW_LIVE_RUN_BYTES]) {
  memset(number, 0, TW_LIVE_RUN_BYTES);
  memcpy(number, &t->stage->round->round, sizeof t->stage->round->round);
  number[TW_LIVE_RUN_BYTES - 1] = (uint8_t)t->run;
  number[TW_LIVE_RUN_BYTES - 2] = (uint8_t)t->turn;
}

static tw_status take_by_tls(const taker *t, uint64_t at, uint8_t *data, size_t bytes) {
  int i = (int)(at % (uint64_t)t->stage->batch);
  uint64_t number = at / (uint64_t)t->stage->batch;
  TW_TRY(t->store->chunk(t->store->state, i, number, data));
  tw_live_sums(t->stage, t->run, t->party)[at] = tw_live_sum(data, bytes);
  return TW_OK;
}

static tw_status take_from_memory(const taker *t, uint64_t at, size_t bytes) {
  const tw_live_stage *s = t->stage;
  tw_live_ring *ring = tw_live_ring_of(s, t->run, t->party, t->stream);
  for (int waits = 0; !tw_live_wait_for(&ring->full); waits++)
    if (waits > 5 * TW_LIVE_PATIENCE) return tw_fail(TW_ERR_PEER, "no piece comes");
  const tw_live_piece *p = &ring->piece[ring->taken++ % TW_LIVE_DEPTH];
  const tw_live_head *head = &p->sent.head;
  if (head->sequence != at % (uint64_t)s->batch || head->number != at / (uint64_t)s->batch || head->bytes != bytes)
    return tw_fail(TW_ERR_CHECK, "another chunk than the next one came through memory");
  tw_live_sums(s, t->run, t->party)[at] = tw_live_sum(p->sent.data, bytes);
  sem_post(&ring->empty);
  return TW_OK;
}

static tw_status take_stream(const taker *t, uint8_t *data) {
  const tw_live_stage *s = t->stage;
  uint64_t streams = (uint64_t)s->streams, all = tw_live_chunks(s, t->party);
  for (uint64_t at = (uint64_t)t->stream; at < all; at += streams) {
    uint64_t left = s->plan->program.slot_bytes[t->party] - at / (uint64_t)s->batch * TW_KEY_CHUNK;
    size_t bytes = left < TW_KEY_CHUNK ? (size_t)left : TW_KEY_CHUNK;
    TW_TRY(s->tls ? take_by_tls(t, at, data, bytes) : take_from_memory(t, at, bytes));
  }
  return TW_OK;
}

static void *stream_thread(void *state) {
  taker *t = state;
  void *data;
  t->status = tw_alloc(TW_KEY_CHUNK, &data);
  if (t->status == TW_OK) t->status = take_stream(t, data);
  tw_free(data);
  if (t->status != TW_OK) snprintf(t->message, sizeof t->message, "%.299s", tw_error_message());
  return NULL;
}

static tw_status take_streams(const taker *run, const tw_key_store *store) {
  taker streams[TW_LIVE_STREAMS];
  int count = run->stage->streams, started = 0;
  tw_status status = TW_OK;
  for (; started < count; started++) {
    taker *t = &streams[started];
    *t = (taker){.stage = run->stage, .party = run->party, .run = run->run, .stream = started, .store = store};
    if (pthread_create(&t->thread, NULL, stream_thread, t) != 0) break;
  }
  if (started < count) status = tw_fail(TW_ERR_MEMORY, "no thread");
  for (int i = 0; i < started; i++) {
    pthread_join(streams[i].thread, NULL);
    if (status == TW_OK && streams[i].status != TW_OK) status = tw_fail(streams[i].status, "%s", streams[i].message);
  }
  return status;
}

static tw_status take_slots(const taker *t, const tw_key_store *store) {
  tw_live_round *round = t->stage->round;
  uint8_t number[TW_LIVE_RUN_BYTES];
  uint64_t first, slots[TW_LIVE_MOST_BATCH];
  number_of(t, number);
  TW_TRY(store->reserve(store->state, number, t->stage->batch, &first));
  for (int i = 0; i < t->stage->batch; i++) {
    slots[i] = first + (uint64_t)i;
    TW_TRY(store->seed(store->state, slots[i], round->seeds[t->run][t->party][i].key));
  }
  if (t->party == 0) round->first[t->run] = first;
  return store->take(store->state, slots, (size_t)t->stage->batch);
}

static void note_end(const taker *t) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  t->stage->round->end[t->party] = tw_seconds();
  pthread_mutex_unlock(&lock);
}

static tw_status take_run(const taker *t) {
  const tw_live_stage *s = t->stage;
  char where[64];
  tw_key_store store;
  if (!s->tls) {
    TW_TRY(take_streams(t, NULL));
    note_end(t);
    return TW_OK;
  }
  snprintf(where, sizeof where, "127.0.0.1:%d", s->round->port);
  tw_live_dealer d = {.who = {.own = &s->sites->site[t->party], .peer = &s->sites->file[2], .secret = true},
                      .route = {.connect = where, .option = "bench live"},
                      .streams = s->streams,
                      .silence_seconds = TW_LIVE_PATIENCE};
  TW_TRY(tw_live_keys_open(&d, s->plan, s->model_id, t->party, &store));
  tw_status status = take_slots(t, &store);
  if (status == TW_OK) status = take_streams(t, &store);
  note_end(t);
  tw_key_store_close(&store);
  return status;
}

static void *run_thread(void *state) {
  taker *t = state;
  t->status = TW_OK;
  for (t->turn = 0; t->turn < TW_LIVE_ROW && t->status == TW_OK; t->turn++) t->status = take_run(t);
  if (t->status != TW_OK) snprintf(t->message, sizeof t->message, "%.299s", tw_error_message());
  return NULL;
}

static void one_round(tw_live_stage *s, int party) {
  taker runs[TW_LIVE_RUNS];
  tw_live_round *round = s->round;
  round->status[party] = TW_OK;
  int started = 0;
  for (; started < TW_LIVE_RUNS; started++) {
    runs[started] = (taker){.stage = s, .party = party, .run = started};
    if (pthread_create(&runs[started].thread, NULL, run_thread, &runs[started]) != 0) break;
  }
  if (started < TW_LIVE_RUNS) round->status[party] = TW_ERR_MEMORY;
  for (int i = 0; i < started; i++) {
    pthread_join(runs[i].thread, NULL);
    if (round->status[party] != TW_OK || runs[i].status == TW_OK) continue;
    round->status[party] = runs[i].status;
    memcpy(round->message[party], runs[i].message, sizeof round->message[party]);
  }
}

_Noreturn static void be_taker(tw_live_stage *s, int party, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  for (;;) {
    while (!tw_live_wait_for(&s->round->go[party])) continue;
    if (s->round->quit) _exit(0);
    one_round(s, party);
    sem_post(&s->round->done[party]);
  }
}

// ---- both, from outside

static size_t rounded(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

static tw_status map(tw_live_stage *s) {
  size_t sums = rounded(sizeof *s->sums * 2 * TW_LIVE_RUNS * longer(s)), head = rounded(sizeof *s->round);
  size_t rings = s->tls ? 0 : sizeof *s->rings * 2 * TW_LIVE_RUNS * (size_t)s->streams;
  s->bytes = head + sums + rounded(rings);
  s->memory = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (s->memory == MAP_FAILED) {
    s->memory = NULL;
    return tw_fail(TW_ERR_MEMORY, "%zu bytes that processes share cannot be had: %s", s->bytes, strerror(errno));
  }
  s->round = s->memory;
  s->sums = (uint32_t *)((uint8_t *)s->memory + head);
  s->rings = s->tls ? NULL : (tw_live_ring *)((uint8_t *)s->memory + head + sums);
  for (int party = 0; party < 2; party++) {
    sem_init(&s->round->go[party], 1, 0);
    sem_init(&s->round->done[party], 1, 0);
  }
  for (int i = 0; s->rings && i < 2 * TW_LIVE_RUNS * s->streams; i++) {
    sem_init(&s->rings[i].full, 1, 0);
    sem_init(&s->rings[i].empty, 1, 0);
  }
  return TW_OK;
}

tw_status tw_live_stage_open(tw_live_stage *s) {
  pid_t self = getpid();
  TW_TRY(map(s));
  fflush(NULL);
  for (int party = 0; party < 2; party++) {
    s->process[party] = fork();
    if (s->process[party] < 0) return tw_fail(TW_ERR_MEMORY, "no process can be started: %s", strerror(errno));
    if (s->process[party] == 0) be_taker(s, party, self);
  }
  return TW_OK;
}

void tw_live_stage_go(tw_live_stage *s) {
  s->round->round++;
  for (int party = 0; party < 2; party++) sem_post(&s->round->go[party]);
}

tw_status tw_live_stage_wait(tw_live_stage *s) {
  for (int party = 0; party < 2; party++)
    while (!tw_live_wait_for(&s->round->done[party])) {
      if (waitpid(s->process[party], NULL, WNOHANG) == 0) continue;
      s->process[party] = 0;
      return tw_fail(TW_ERR_INTERNAL, "the process that takes party %d's keys has ended", party);
    }
  for (int party = 0; party < 2; party++)
    if (s->round->status[party] != TW_OK)
      return tw_fail(s->round->status[party], "party %d: %s", party, s->round->message[party]);
  return TW_OK;
}

void tw_live_stage_close(tw_live_stage *s) {
  if (!s->memory) return;
  s->round->quit = true;
  for (int party = 0; party < 2; party++) {
    if (s->process[party] <= 0) continue;
    sem_post(&s->round->go[party]);
    for (int waits = 0; waits < 20 && waitpid(s->process[party], NULL, WNOHANG) == 0; waits++) {
      if (waits == 10) kill(s->process[party], SIGKILL);
      usleep(100000);
    }
  }
  munmap(s->memory, s->bytes);
  s->memory = NULL;
}
