#include "jobs/parties/live_thread.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"

static const uint64_t look_ns = 100000000;

void tw_live_thread_init(tw_live_thread *t) {
  *t = (tw_live_thread){.status = TW_OK};
  pthread_mutex_init(&t->lock, NULL);
  tw_condition_init(&t->changed);
}

static void *run(void *argument) {
  tw_live_thread *t = argument;
  tw_status status = tw_thread_stack_hide();
  if (status == TW_OK) status = t->deal(t->state);
  tw_thread_stack_forget();
  if (status != TW_OK) tw_live_thread_stop(t, status, tw_error_message());
  return NULL;
}

tw_status tw_live_thread_start(tw_live_thread *t, tw_status (*deal)(void *state), void *state) {
  t->deal = deal;
  t->state = state;
  t->started = pthread_create(&t->thread, NULL, run, t) == 0;
  return t->started ? TW_OK : tw_fail(TW_ERR_MEMORY, "no thread can be started");
}

void tw_live_thread_stop(tw_live_thread *t, tw_status status, const char *message) {
  pthread_mutex_lock(&t->lock);
  if (t->status == TW_OK) {
    t->status = status;
    snprintf(t->message, sizeof t->message, "%s", message);
  }
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->lock);
}

tw_status tw_live_thread_failure(const tw_live_thread *t) { return tw_fail(t->status, "%s", t->message); }

bool tw_live_thread_wait(tw_live_thread *t, uint64_t begin_ns) {
  struct timespec until = tw_clock_timespec(begin_ns + look_ns);
  return t->status == TW_OK && pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0;
}

void tw_live_thread_join(tw_live_thread *t) {
  tw_live_thread_stop(t, TW_ERR_PEER, "the run has ended");
  if (t->started) pthread_join(t->thread, NULL);
  t->started = false;
}

void tw_live_thread_free(tw_live_thread *t) {
  pthread_cond_destroy(&t->changed);
  pthread_mutex_destroy(&t->lock);
}
