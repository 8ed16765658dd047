// One party's machinery for a plan and a model, on the CPU or on one GPU: set up once, then for every batch of
// sequences prepared before the input and run online. Three times are kept apart: set-up, preparation, online.
#ifndef TW_ENGINE_H
#define TW_ENGINE_H

#include "base/trace.h"
#include "comm/channel.h"
#include "io/model.h"
#include "jobs/engine/transport.h"
#include "jobs/keys/key_source.h"
#include "jobs/plan/plan.h"
#include "jobs/program/halves.h"
#include "jobs/program/session.h"

typedef enum { TW_DEVICE_AUTO, TW_DEVICE_CPU, TW_DEVICE_CUDA } tw_device_kind;

typedef struct tw_engine tw_engine;

typedef struct {
  const tw_plan *plan;
  const tw_model_share *model;  // must outlive the engine
  tw_channel *channel;
  int batch;
  tw_device_kind device;  // not AUTO: the caller chose (tw_device_choose)
  tw_ways transports;     // between GPUs, best first
  bool overlap;           // halves of a batch of two or more take turns, openings behind each other's work
  size_t coalesce;        // with overlap (tw_halves_run)
  bool prepare_beside;    // preparation runs beside the online work, where that would wait; else before the input
  tw_key_location keys;   // where every job's keys lie; RESIDENT: GPU only
  uint64_t device_most;   // GPU: bytes that the engine may take; 0: what is free
  uint64_t key_most;      // GPU: bytes of its memory for keys on their way (feed_gpu.h); 0: TW_KEY_MOST
  const uint64_t *input;  // where every job's input lies, if that is known: it is page-locked for a GPU
  bool time_gates;        // GPU: time each step's work (costs about a microsecond a stretch)
  // CPU: chains go by tiles of so many rows; 0: level by level, which is faster there. GPU: if not 0, chains that a
  // kernel takes go by it, where a slot of keys has room as a whole, GPUs reach each other, and the batch is not
  // halved.
  size_t chain_rows;
  bool trace;  // record spans (tw_engine_get_trace); on a GPU also times gates
  // An engine with the same plan, model, channel and device, for another batch: its set-up of the model goes over to
  // the new one. *before is destroyed, and is NULL then, also where the new one fails. NULL: none.
  tw_engine **before;
} tw_engine_options;

// What a batch brings. Host memory; read during tw_engine_prepare and, `source` alone, until tw_engine_online has
// returned (by threads of the engine, too) or the engine is closed.
typedef struct {
  const tw_seed *seeds;  // own seed of each slot
  const uint64_t *slots;
  const int *lengths;     // live rows of the input
  const int *earlier;     // of a conversation: rows of earlier turns that live; NULL: none do
  const uint64_t *input;  // own shares of the program's inputs, one behind the other, each [batch][n]
  tw_key_source source;
} tw_engine_job;

typedef struct {
  uint64_t products_prepared_beside;  // K_b computed beside the online work (prepare_beside)
  uint64_t key_bytes, key_wait_ns;    // of the batch; how long gates waited for keys (GPU: with time_gates, else 0)
  // GPU memory: that this process would hold, as foreseen before the engine took any, and of it for keys on their way
  uint64_t device_bytes, device_key_bytes;
  bool masks_again;  // GPU: its memory does not hold the masks of all tensors; each is drawn again where it is used
  tw_open_counters counters;
  double probe_latency_s,
      probe_bandwidth;  // of the transport, measured at set-up: an open of 4 KiB; bytes a second each way
  char transcript[65];
} tw_engine_stats;

// auto takes a GPU when one is there (index local_rank modulo their number); cuda demands one. *index: the GPU.
tw_status tw_device_choose(tw_device_kind wanted, int local_rank, tw_device_kind *chosen, int *index);

tw_status tw_engine_create(const tw_engine_options *options, tw_engine **out);  // set-up
int tw_engine_batch(const tw_engine *e);
void tw_engine_destroy(tw_engine *e);  // wipes
tw_status tw_engine_prepare(tw_engine *e, const tw_engine_job *job);
tw_status tw_engine_online(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state);

// Most spans that a trace of a batch holds, whatever the device and the halves.
int tw_engine_trace_most(const tw_program *program, int party, int batch);
// An opened output of the program, from 0 on, and own mask of it: host memory, batch * its elements.
tw_status tw_engine_output(tw_engine *e, int number, uint64_t *masked, uint64_t *mask);
// The same of the guard's count, batch elements; a program with a guard.
tw_status tw_engine_guard(tw_engine *e, uint64_t *masked, uint64_t *mask);
// Counted over the last online phase.
tw_status tw_engine_get_stats(tw_engine *e, tw_engine_stats *stats);
// With `trace`: the spans of the last online phase, rows as steps of the plan's program; free with tw_free.
tw_status tw_engine_get_trace(const tw_engine *e, tw_span **spans, int *count, uint64_t *dropped);
const double *tw_engine_step_seconds(tw_engine *e);     // of the last online phase; GPU: with time_gates, else zeros
const char *tw_engine_device_name(const tw_engine *e);  // "cpu", or the GPU's name
const char *tw_engine_transport_name(const tw_engine *e);
const char *tw_engine_transport_why(const tw_engine *e);

#endif
