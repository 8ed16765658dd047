// Monotonic time.
#ifndef TW_CLOCK_H
#define TW_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t tw_clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double tw_seconds(void) { return 1e-9 * (double)tw_clock_ns(); }

// A time of tw_clock_ns for waits that end by this clock.
static inline struct timespec tw_clock_timespec(uint64_t ns) {
  struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  return t;
}

// A condition whose timed waits end by the clock that nobody sets.
static inline void tw_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

#endif
