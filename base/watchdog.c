#define _GNU_SOURCE
#include "base/watchdog.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"

// A moment that may not pass.
typedef struct {
  uint64_t at_ns;  // 0: none
  char reason[256];
} moment;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool running;
static moment whole, guarded;
static void (*end_process)(const char *reason);

static const moment *next(void) {
  if (!guarded.at_ns) return whole.at_ns ? &whole : NULL;
  return whole.at_ns && whole.at_ns < guarded.at_ns ? &whole : &guarded;
}

static void *watch(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    const moment *m = next();
    if (m && tw_clock_ns() >= m->at_ns) break;
    if (!m) {
      pthread_cond_wait(&changed, &lock);
      continue;
    }
    struct timespec at = {(time_t)(m->at_ns / 1000000000), (long)(m->at_ns % 1000000000)};
    pthread_cond_timedwait(&changed, &lock, &at);
  }
  char reason[sizeof whole.reason];
  snprintf(reason, sizeof reason, "%s", next()->reason);
  pthread_mutex_unlock(&lock);
  end_process(reason);
  return NULL;
}

tw_status tw_watchdog_start(void (*expire)(const char *reason)) {
  pthread_t thread;
  if (running) return TW_OK;
  end_process = expire;
  tw_condition_init(&changed);
  if (pthread_create(&thread, NULL, watch, NULL) != 0)
    return tw_fail(TW_ERR_MEMORY, "no thread could be started to watch the time limit");
  pthread_detach(thread);
  running = true;
  return TW_OK;
}

static void set(moment *m, uint64_t at_ns, const char *reason) {
  if (!running) return;
  pthread_mutex_lock(&lock);
  m->at_ns = at_ns;
  snprintf(m->reason, sizeof m->reason, "%s", reason);
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

void tw_watchdog_limit(uint64_t at_ns, const char *reason) { set(&whole, at_ns, reason); }

void tw_watchdog_guard(double seconds, const char *reason) {
  set(&guarded, tw_clock_ns() + (uint64_t)(1e9 * seconds), reason);
}

void tw_watchdog_release(void) { set(&guarded, 0, ""); }
