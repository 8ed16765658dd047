// One party's session of a plan, alone and in random memory, whose kernels are timed: keys, model, input and the other
// party's messages are random numbers. Gates see what they see in a real run, but for the values.
#ifndef TW_RANDOM_SESSION_H
#define TW_RANDOM_SESSION_H

#include "jobs/plan/plan.h"
#include "jobs/program/timed_backend.h"

typedef struct {
  const tw_plan *plan;
  const tw_model_config *config;
  int batch;
  const tw_backend *backend;
  bool on_device;
  void *stream;
  const uint8_t *random;  // host memory with which all is filled, over and over
  size_t random_bytes;
  // Of tw_timing. Calls of preparation are none of them.
  bool (*wanted)(void *state, const char *kernel, const tw_kernel_cost *cost);
  tw_status (*time)(void *state, const tw_timed_call *call, void *stream);
  tw_status (*gate)(void *state, int op);  // gate number `op` of the program follows; its op_count: the end
  // In the place of `wanted` and `time`: the whole session so many times, as it goes on a CPU. Gates read their keys
  // from memory that no cache holds. Openings take what their masks take. `prepared` hears how long the preparation
  // took.
  int walks;
  void (*prepared)(void *state, double seconds);
  void *state;
} tw_random_session;

tw_status tw_random_session_run(const tw_random_session *r);

#endif
