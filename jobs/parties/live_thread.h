// The thread that deals one run's keys, and how it ends: a walk (live_walk.h) and slots as a whole (live_deal.h) have
// one alike.
#ifndef TW_LIVE_THREAD_H
#define TW_LIVE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/status.h"
#include "jobs/parties/live_words.h"

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;  // of what the lock guards, the owner's too
  tw_status status;        // other than TW_OK: it has ended, or is to end soon; guarded
  char message[TW_LIVE_MESSAGE];
  tw_status (*deal)(void *state);
  void *state;
  pthread_t thread;
  bool started;
} tw_live_thread;

void tw_live_thread_init(tw_live_thread *t);
// deal: ends early once the status is no longer TW_OK. The thread's stack is hidden. TW_ERR_MEMORY: no thread.
tw_status tw_live_thread_start(tw_live_thread *t, tw_status (*deal)(void *state), void *state);
// The first reason stays.
void tw_live_thread_stop(tw_live_thread *t, tw_status status, const char *message);
// With the lock held, after the status was set: the same as this thread's own failure.
tw_status tw_live_thread_failure(const tw_live_thread *t);
// With the lock held. Waits for a change; false: a tenth of a second after `begin_ns` (tw_clock_ns) has passed, so that
// the caller can look around, or the status is set.
bool tw_live_thread_wait(tw_live_thread *t, uint64_t begin_ns);
void tw_live_thread_join(tw_live_thread *t);  // stops
void tw_live_thread_free(tw_live_thread *t);  // after tw_live_thread_join

#endif
