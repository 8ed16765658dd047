// A backend that lets a party's kernels be timed where a session calls them, with the arguments that it gives them.
// Every call is first handed to `time`, which may run it again and again, and then runs once, for good: what the
// session computes stays the same. A kernel that adds to what is there is timed on a copy.
#ifndef TW_TIMED_BACKEND_H
#define TW_TIMED_BACKEND_H

#include "jobs/program/program.h"
#include "kernels/costs.h"

typedef struct {
  const char *kernel;
  tw_kernel_cost cost;
  tw_status (*run)(const void *args, void *stream);  // enqueues it; may be repeated
  const void *args;
} tw_timed_call;

typedef struct {
  const tw_backend *real;
  const int64_t *pool, *host_pool;  // the program's lists: in backend memory, and in host memory
  bool (*wanted)(void *state, const char *kernel, const tw_kernel_cost *cost);
  tw_status (*time)(void *state, const tw_timed_call *call, void *stream);
  void *state;
} tw_timing;

// For one session of the calling thread; `timing` outlives it. The dealer's kernels, copies and memory are the real
// backend's.
tw_backend tw_timed_backend(const tw_timing *timing);

// Any other call is timed, if it is wanted, and not run for good.
tw_status tw_timing_of(const tw_timing *timing, const tw_timed_call *call, void *stream);

#endif
