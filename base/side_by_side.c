#define _GNU_SOURCE
#include "base/side_by_side.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { MOST = 64 };

typedef struct {
  size_t next, count;
  tw_status (*piece)(void *state, size_t number);
  void *state;
  pthread_mutex_t lock;
  tw_status failed;
  char message[512];
} work;

static size_t own_cores(void) {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (size_t)CPU_COUNT(&cores) : 1;
}

// The next piece's number, or count.
static size_t take(work *w) {
  pthread_mutex_lock(&w->lock);
  size_t number = w->failed == TW_OK && w->next < w->count ? w->next++ : w->count;
  pthread_mutex_unlock(&w->lock);
  return number;
}

static void *run(void *argument) {
  work *w = argument;
  for (size_t number; (number = take(w)) < w->count;) {
    tw_status status = w->piece(w->state, number);
    if (status == TW_OK) continue;
    pthread_mutex_lock(&w->lock);
    if (w->failed == TW_OK) snprintf(w->message, sizeof w->message, "%s", tw_error_message());
    if (w->failed == TW_OK) w->failed = status;
    pthread_mutex_unlock(&w->lock);
  }
  return NULL;
}

// Threads that cannot be had are missed by nobody: the caller's works, too.
tw_status tw_side_by_side(size_t count, int threads, tw_status (*piece)(void *state, size_t number), void *state) {
  pthread_t thread[MOST];
  work w = {.count = count, .piece = piece, .state = state, .lock = PTHREAD_MUTEX_INITIALIZER};
  size_t most = threads > 0 ? (size_t)threads : own_cores(), started = 0;
  if (most > count) most = count;
  if (most > MOST) most = MOST;
  while (started + 1 < most && pthread_create(&thread[started], NULL, run, &w) == 0) started++;
  run(&w);
  for (size_t i = 0; i < started; i++) pthread_join(thread[i], NULL);
  pthread_mutex_destroy(&w.lock);
  return w.failed == TW_OK ? TW_OK : tw_fail(w.failed, "%s", w.message);
}
