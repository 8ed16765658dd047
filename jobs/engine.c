#include "jobs/engine.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/keys.h"
#include "jobs/ahead.h"
#include "jobs/device_opener.h"
#include "jobs/engine_trace.h"
#include "jobs/gate_timer.h"
#include "jobs/host_feed.h"
#include "jobs/key_feed.h"
#include "jobs/lanes.h"
#include "kernels/device.h"

// A part of the batch with all it works with: the whole, or one of two halves that take turns.
typedef struct {
  tw_session session;
  int first, batch;  // sequences
  bool open;
  void *stream;
  void *arena;  // all of the session's memory
  size_t arena_bytes;
  tw_ahead ahead;                      // its preparation
  tw_gate_timer *timer, *ahead_timer;  // GPU; ahead_timer: of preparation beside, when traced
  void *event;                         // GPU: joins the part's stream with the first one's
  const uint64_t *output;              // where the recorded work leaves its result
} part;

enum { MESSAGE_WORDS = 128 << 20 };  // most in one message: a GiB

struct tw_engine {
  tw_engine_options o;
  int rank;
  bool device;
  char device_name[64];
  const tw_backend *k;
  void *stream;   // of set-up and of the first part
  void *uploads;  // GPU: of the input, while preparation runs
  void *beside;   // GPU, prepare_beside: of preparation
  void *forked;   // event
  // set-up: by model tensor, backend memory
  uint64_t **masked, **values;  // vectors' W^; V_b where the operands read values
  uint64_t **vector_mask;
  void **masked_operand, **share_operand;
  // the job, backend memory
  tw_seed *seeds;
  uint64_t *slots, *host_slots, *input;
  int *lengths;
  part parts[TW_LANES];
  int count;  // parts
  tw_engine_trace *trace;
  tw_open_counters counters;
  // CPU
  tw_host_feed *host_feed;
  tw_opens *opens;
  tw_opens_stats before;
  // GPU
  const int64_t *pool;  // the program's lists and tables
  const uint64_t **tables;
  tw_device_opener *opener;
  tw_key_feed *feed;
  void *preparation, *graph;  // recorded work
  double *label_seconds, flush_seconds;
  char transport_why[160];
  double probe_latency, probe_bandwidth;
  bool ready;  // GPU: memory has been taken
  bool lost;   // an online phase failed: the other rank may be gone
};

#ifndef TWAIN_CUDA
tw_status tw_device_choose(tw_device_kind wanted, int local_rank, tw_device_kind *chosen, int *index) {
  (void)local_rank;
  *chosen = TW_DEVICE_CPU;
  *index = 0;
  if (wanted == TW_DEVICE_CUDA)
    return tw_fail(TW_ERR_USAGE,
                   "--device cuda: this twain was built without CUDA (no nvcc was found); use --device cpu, or build "
                   "where nvcc is");
  return TW_OK;
}
#else
tw_status tw_device_choose(tw_device_kind wanted, int local_rank, tw_device_kind *chosen, int *index) {
  int count = wanted == TW_DEVICE_CPU ? 0 : tw_device_count();
  *chosen = count > 0 ? TW_DEVICE_CUDA : TW_DEVICE_CPU;
  *index = count > 0 ? local_rank % count : 0;
  if (wanted == TW_DEVICE_CUDA && count == 0)
    return tw_fail(TW_ERR_USAGE,
                   "--device cuda: no GPU answers; ask the scheduler for one a rank, or use --device cpu");
  return TW_OK;
}
#endif

static size_t elements(const tw_model_share *m, int i) { return m->rows[i] * m->cols[i]; }

// Host values where the backend can read them: themselves on the CPU.
static tw_status to_backend(tw_engine *e, const void *host, size_t bytes, void **out) {
  if (!e->device) {
    *out = (void *)host;
    return TW_OK;
  }
  TW_TRY(e->k->alloc(bytes, out));
  return e->k->upload(*out, host, bytes, e->stream);
}

static void drop(tw_engine *e, void *memory, size_t bytes) {
  if (e->device && memory) e->k->release(memory, bytes);
}

// p_b of a tensor, drawn in backend memory.
static tw_status draw_model_mask(tw_engine *e, const tw_seed *seed, const uint64_t *zero_slot, int i, uint64_t **out) {
  void *memory;
  TW_TRY(e->k->alloc(8 * elements(e->o.model, i), &memory));
  *out = memory;
  tw_draw_args a = {.sequences = 1,
                    .seeds = seed,
                    .slots = zero_slot,
                    .use = (uint32_t)i,
                    .ring = 64,
                    .n = elements(e->o.model, i),
                    .out = *out};
  return e->k->draw(&a, e->stream);
}

// A matrix: operands of W^ and of V_b = b W^ - p_b.
static tw_status set_up_matrix(tw_engine *e, int i, const uint64_t *masked, uint64_t *mask) {
  const tw_model_share *m = e->o.model;
  size_t n = elements(m, i);
  TW_TRY(e->k->operand(m->rows[i], m->cols[i], masked, e->stream, &e->masked_operand[i]));
  tw_share_args a = {.rows = 1,
                     .cols = n,
                     .X = masked,
                     .r = mask,
                     .out = mask,
                     .one = e->rank ? ~0ull : 0,
                     .ring = ~0ull,
                     .pair = {1, n, 0, 1}};
  TW_TRY(e->k->share(&a, e->stream));
  return e->k->operand(m->rows[i], m->cols[i], mask, e->stream, &e->share_operand[i]);
}

static tw_status set_up_tensor(tw_engine *e, const tw_seed *seed, const uint64_t *zero_slot, int i) {
  size_t bytes = 8 * elements(e->o.model, i);
  void *masked;
  uint64_t *mask;
  TW_TRY(to_backend(e, e->o.model->masked[i], bytes, &masked));
  TW_TRY(draw_model_mask(e, seed, zero_slot, i, &mask));
  if (e->o.model->rows[i] == 1) {
    e->masked[i] = masked;
    e->vector_mask[i] = mask;
    return TW_OK;
  }
  tw_status status = set_up_matrix(e, i, masked, mask);
  if (e->k->operand_is_values) {
    e->values[i] = mask;
    return status;
  }
  drop(e, masked, bytes);
  e->k->release(mask, bytes);
  return status;
}

static tw_status set_up_model(tw_engine *e) {
  const tw_model_share *m = e->o.model;
  void **lists[] = {(void **)&e->masked, (void **)&e->values, (void **)&e->vector_mask, (void **)&e->masked_operand,
                    (void **)&e->share_operand};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    TW_TRY(tw_alloc(sizeof(void *) * (size_t)m->count, lists[i]));
  tw_seed seed;
  uint64_t zero = 0;
  void *backend_seed, *zero_slot;
  memcpy(seed.key, m->mask_seed, 32);
  TW_TRY(to_backend(e, &seed, sizeof seed, &backend_seed));
  TW_TRY(to_backend(e, &zero, sizeof zero, &zero_slot));
  tw_status status = TW_OK;
  for (int i = 0; i < m->count && status == TW_OK; i++) status = set_up_tensor(e, backend_seed, zero_slot, i);
  drop(e, backend_seed, sizeof seed);
  drop(e, zero_slot, sizeof zero);
  tw_wipe(&seed, sizeof seed);
  return status;
}

static void release_model(tw_engine *e) {
  const tw_model_share *m = e->o.model;
  for (int i = 0; i < m->count; i++) {
    size_t bytes = 8 * elements(m, i);
    if (e->masked) drop(e, e->masked[i], bytes);
    if (e->vector_mask && e->vector_mask[i]) e->k->release(e->vector_mask[i], bytes);
    if (e->values && e->values[i]) e->k->release(e->values[i], bytes);
    if (e->masked_operand && e->masked_operand[i]) e->k->operand_free(e->masked_operand[i]);
    if (e->share_operand && e->share_operand[i]) e->k->operand_free(e->share_operand[i]);
  }
  tw_free(e->masked);
  tw_free(e->vector_mask);
  tw_free(e->values);
  tw_free(e->masked_operand);
  tw_free(e->share_operand);
}

static size_t input_bytes(const tw_engine *e) {
  return 8 * (size_t)e->o.batch * e->o.plan->program.tensors[e->o.plan->program.input].n;
}

static size_t key_bytes(const tw_engine *e) { return e->o.plan->program.slot_bytes[e->rank] * (size_t)e->o.batch; }

static tw_status allocate_job(tw_engine *e) {
  size_t batch = (size_t)e->o.batch;
  void *memory;
  TW_TRY(e->k->alloc(sizeof(tw_seed) * batch, &memory));
  e->seeds = memory;
  TW_TRY(e->k->alloc(8 * batch, &memory));
  e->slots = memory;
  TW_TRY(e->k->alloc(sizeof(int) * batch, &memory));
  e->lengths = memory;
  TW_TRY(e->k->alloc(input_bytes(e), &memory));
  e->input = memory;
  return TW_OK;
}

static size_t input_words(const tw_engine *e) { return e->o.plan->program.tensors[e->o.plan->program.input].n; }

static void divide_batch(tw_engine *e) {
  e->count = e->o.overlap && e->o.batch > 1 ? TW_LANES : 1;
  for (int i = 0, first = 0; i < e->count; i++) {
    e->parts[i].first = first;
    e->parts[i].batch = (e->o.batch - first) / (e->count - i);
    first += e->parts[i].batch;
  }
}

static void describe_session(tw_engine *e, part *p) {
  const tw_model_share *m = e->o.model;
  size_t first = (size_t)p->first;
  p->session = (tw_session){.program = &e->o.plan->program,
                            .role = TW_PARTY,
                            .rank = e->rank,
                            .batch = p->batch,
                            .lane = (int)(p - e->parts),
                            .first_sequence = p->first,
                            .total_batch = e->o.batch,
                            .slots = e->host_slots + first,
                            .lengths = e->lengths ? e->lengths + first : NULL,
                            .input = e->input ? e->input + first * input_words(e) : NULL,
                            .opens = e->opens,
                            .backend = e->k,
                            .stream = p->stream,
                            .arena = p->arena,
                            .arena_bytes = p->arena_bytes,
                            .keep_masks = e->device};
  p->session.seeds[e->rank] = e->seeds ? e->seeds + first : NULL;
  p->session.weights = (tw_weights){.count = m->count,
                                    .rows = m->rows,
                                    .cols = m->cols,
                                    .masked = e->device ? e->masked : m->masked,
                                    .masked_operand = e->masked_operand,
                                    .share_operand = e->share_operand};
  p->session.weights.mask[e->rank] = e->vector_mask;
}

// Bytes of the arenas that a part with corrections from such a source needs; before or after set-up.
static tw_status forecast_arenas(tw_engine *e, part *p, tw_source source) {
  void *nothing;  // no model tensor is read
  TW_TRY(tw_alloc(sizeof(void *) * (size_t)e->o.model->count, &nothing));
  describe_session(e, p);
  p->session.source = source;
  p->session.weights.mask[e->rank] = p->session.weights.masked = nothing;
  p->session.weights.masked_operand = p->session.weights.share_operand = nothing;
  tw_status status = tw_session_forecast(&p->session, TW_FORECAST_ONLINE, &p->arena_bytes);
  if (status == TW_OK) status = tw_ahead_forecast(&p->ahead, &p->session);
  tw_free(nothing);
  return status;
}

static tw_status run_lanes(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state) {
  tw_session *lanes[TW_LANES];
  for (int i = 0; i < e->count; i++) lanes[i] = &e->parts[i].session;
  memset(&e->counters, 0, sizeof e->counters);
  return tw_lanes_run(lanes, e->count, &e->o.budget, &e->counters, progress, progress_state);
}

// Every stretch of gates and every chunk of keys may be a span.
static tw_status open_trace(tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  void *streams[TW_LANES];
  size_t chunks = p->slot_bytes[e->rank] / TW_KEY_CHUNK + 2;
  size_t room = (size_t)(2 * p->op_count + p->levels + 1) * (size_t)e->count + chunks * (size_t)e->o.batch;
  for (int i = 0; i < e->count; i++) streams[i] = e->parts[i].stream;
  return e->o.trace ? tw_engine_trace_create(p, e->count, e->device ? streams : NULL, room, &e->trace) : TW_OK;
}

#ifdef TWAIN_CUDA
// The program's lists and tables, where kernels can read them.
static tw_status upload_program(tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  void *memory;
  TW_TRY(to_backend(e, p->pool, sizeof(int64_t) * p->pool_count, &memory));
  e->pool = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(p->table_count + 1), &memory));
  e->tables = memory;
  for (int i = 0; i < p->table_count; i++) {
    TW_TRY(to_backend(e, p->tables[i].values, 8 * p->tables[i].n, &memory));
    e->tables[i] = memory;
  }
  return TW_OK;
}

// What the GPU must hold, said before it is asked for.
static tw_status check_memory(tw_engine *e, uint64_t left) {
  size_t weights = 0, arenas = 0, keys = e->o.keys == TW_KEYS_RESIDENT ? 0 : key_bytes(e);  // resident: there already
  for (int i = 0; i < e->o.model->count; i++) weights += 2 * 8 * elements(e->o.model, i);   // limbs of W^ and V_b
  for (int i = 0; i < e->count; i++) arenas += e->parts[i].arena_bytes + e->parts[i].ahead.arena_bytes;
  uint64_t needed = (uint64_t)arenas + weights + keys + input_bytes(e);
  if (needed <= left) return TW_OK;
  return tw_fail(
      TW_ERR_MEMORY,
      "%s: %d sequences of %d tokens need %llu bytes of GPU memory (%zu for masks and activations, %zu for weights, "
      "%zu for keys), %llu are free; use a smaller batch",
      e->device_name, e->o.batch, e->o.plan->shape.seq, (unsigned long long)needed, arenas, weights, keys,
      (unsigned long long)left);
}

static tw_status open_ahead(tw_engine *e, part *p) {
  TW_TRY(tw_ahead_open(&p->ahead, &p->session));
  p->ahead.session.pool = e->pool;
  for (int i = 0; i < p->session.program->table_count; i++) p->ahead.session.tables[i] = e->tables[i];
  p->ahead.session.backend_slots = e->slots + p->first;
  if (e->beside && e->o.trace) {
    TW_TRY(tw_gate_timer_create(p->session.program, e->beside, true, &p->ahead_timer));
    p->ahead.mark = tw_gate_timer_mark;
    p->ahead.mark_state = p->ahead_timer;
  }
  return e->beside ? tw_ahead_cut(&p->ahead, e->beside) : TW_OK;
}

static tw_status open_part(tw_engine *e, part *p) {
  TW_TRY(e->k->alloc(p->arena_bytes, &p->arena));
  describe_session(e, p);
  TW_TRY(tw_session_open(&p->session));
  p->open = true;
  p->session.pool = e->pool;
  for (int i = 0; i < p->session.program->table_count; i++) p->session.tables[i] = e->tables[i];
  p->session.backend_slots = e->slots + p->first;
  p->session.opener = tw_device_opener_table(e->opener);
  if (e->trace) p->session.opener = tw_engine_trace_opener(e->trace, p->session.opener);
  p->session.source = tw_key_feed_source(e->feed, p->session.lane);
  TW_TRY(tw_gate_timer_create(p->session.program, p->stream, e->o.time_gates || e->o.trace, &p->timer));
  p->session.mark = tw_gate_timer_mark;
  p->session.mark_state = p->timer;
  return open_ahead(e, p);
}

// Preparation beside the online work is to fill what that leaves.
static tw_status open_streams(tw_engine *e) {
  tw_status (*create)(void **) = e->o.prepare_beside ? tw_device_stream_create_urgent : tw_device_stream_create;
  TW_TRY(create(&e->stream));
  TW_TRY(tw_device_stream_create(&e->uploads));
  if (e->o.prepare_beside) TW_TRY(tw_device_stream_create(&e->beside));
  TW_TRY(tw_device_event_create(&e->forked));
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    TW_TRY(tw_device_event_create(&p->event));
    p->stream = e->stream;
    if (i > 0) TW_TRY(create(&p->stream));
  }
  return TW_OK;
}

static tw_status open_transport(tw_engine *e) {
  enum { SMALL = 4096, LARGE = 1 << 20, TIMES = 20 };
  double small, large;
  tw_device_opener_options o = {.channel = e->o.channel, .lanes = e->count};
  for (int i = 0; i < e->count; i++) o.streams[i] = e->parts[i].stream;
  tw_device_opener_room(&e->o.plan->program, e->o.batch, &o);
  if (o.message_words < LARGE / 8) o.message_words = LARGE / 8;
  TW_TRY(tw_device_opener_choose(&o, &e->o.transports, &e->opener, e->transport_why, sizeof e->transport_why));
  TW_TRY(tw_device_opener_probe(e->opener, SMALL, true, TIMES, &small));
  TW_TRY(tw_device_opener_probe(e->opener, LARGE, true, TIMES, &large));
  e->probe_latency = small;
  e->probe_bandwidth = LARGE / large;
  return TW_OK;
}

static tw_status open_keys(tw_engine *e) {
  tw_key_feed_options keys = {.slot_bytes = e->o.plan->program.slot_bytes[e->rank],
                              .batch = e->o.batch,
                              .place = e->o.keys,
                              .lanes = e->count,
                              .timed = e->o.time_gates,
                              .traced = e->o.trace};
  for (int i = 0; i < e->count; i++) {
    keys.streams[i] = e->parts[i].stream;
    keys.first[i] = e->parts[i].first;
  }
  TW_TRY(tw_key_feed_create(&keys, &e->feed));
  tw_device_opener_heed(e->opener, tw_key_feed_stop(e->feed));
  return TW_OK;
}

static tw_status open_device(tw_engine *e) {
  uint64_t left;
  void *memory;
  TW_TRY(open_streams(e));
  TW_TRY(tw_device_describe(e->device_name, sizeof e->device_name, &left));
  for (int i = 0; i < e->count; i++) TW_TRY(forecast_arenas(e, &e->parts[i], tw_key_feed_source(NULL, i)));
  TW_TRY(check_memory(e, left));
  TW_TRY(tw_alloc(sizeof(double) * (size_t)(e->o.plan->program.label_count + 1), &memory));
  e->label_seconds = memory;
  TW_TRY(set_up_model(e));
  TW_TRY(allocate_job(e));
  TW_TRY(upload_program(e));
  TW_TRY(open_transport(e));
  TW_TRY(open_keys(e));
  TW_TRY(open_trace(e));
  for (int i = 0; i < e->count; i++) TW_TRY(open_part(e, &e->parts[i]));
  return tw_device_wait(e->stream);
}

static void close_device(tw_engine *e) {
  tw_key_feed_end(e->feed);
  // A kernel that waits for a lost rank must end before its memory goes; otherwise the graph goes before what it uses.
  if (!e->lost) tw_device_graph_destroy(e->graph);
  tw_device_opener_destroy(e->opener, e->lost);
  if (e->lost) tw_device_graph_destroy(e->graph);
  tw_device_graph_destroy(e->preparation);
  tw_key_feed_destroy(e->feed);
  for (int i = 0; i < e->count; i++) {
    tw_gate_timer_destroy(e->parts[i].timer);
    tw_gate_timer_destroy(e->parts[i].ahead_timer);
    tw_device_event_destroy(e->parts[i].event);
  }
  const tw_program *p = &e->o.plan->program;
  drop(e, (void *)e->pool, sizeof(int64_t) * p->pool_count);
  for (int i = 0; e->tables && i < p->table_count; i++) drop(e, (void *)e->tables[i], 8 * p->tables[i].n);
  tw_free(e->tables);
  tw_free(e->label_seconds);
}

// Parts' streams begin where the first one is, and it ends when they have.
static tw_status fork_parts(tw_engine *e) {
  TW_TRY(tw_device_event_record(e->parts[0].event, e->stream));
  for (int i = 1; i < e->count; i++) TW_TRY(tw_device_event_wait(e->parts[0].event, e->parts[i].stream));
  return TW_OK;
}

static tw_status join_parts(tw_engine *e) {
  for (int i = 1; i < e->count; i++) {
    TW_TRY(tw_device_event_record(e->parts[i].event, e->parts[i].stream));
    TW_TRY(tw_device_event_wait(e->parts[i].event, e->stream));
  }
  return TW_OK;
}

static tw_status prepare_parts(tw_engine *e) {
  TW_TRY(fork_parts(e));
  for (int i = 0; i < e->count; i++) {
    tw_ahead_rewind(&e->parts[i].ahead);
    TW_TRY(tw_ahead_finish(&e->parts[i].ahead));
  }
  return join_parts(e);
}

// All stretches of all parts, on their own stream, from where the first part's is now.
static tw_status prepare_beside(tw_engine *e) {
  TW_TRY(tw_device_event_record(e->forked, e->stream));
  TW_TRY(tw_device_event_wait(e->forked, e->beside));
  for (int i = 0; i < e->count; i++) {
    tw_ahead_rewind(&e->parts[i].ahead);
    if (e->parts[i].ahead_timer) tw_gate_timer_restart(e->parts[i].ahead_timer);
  }
  for (int stretch = 0; stretch < e->parts[0].ahead.stretches; stretch++)
    for (int i = 0; i < e->count; i++) TW_TRY(tw_ahead_enqueue(&e->parts[i].ahead, stretch));
  return TW_OK;
}

static tw_status record_preparation(tw_engine *e) {
  TW_TRY(tw_device_capture_begin(e->stream));
  return tw_device_capture_end(e->stream, prepare_parts(e), &e->preparation);
}

// The first time memory is taken, also what products need on each stream; from then on all work is the same on the same
// memory, so that graphs can hold it.
static tw_status prepare_first(tw_engine *e) {
  TW_TRY(prepare_parts(e));
  TW_TRY(tw_device_wait(e->stream));
  if (e->beside) {
    TW_TRY(prepare_beside(e));
    TW_TRY(tw_device_wait(e->beside));
  }
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    tw_ahead_attach(&p->ahead, &p->session);
    TW_TRY(tw_session_reserve(&p->session));
  }
  e->ready = true;
  return e->beside ? TW_OK : record_preparation(e);
}

static tw_status prepare_device(tw_engine *e, const tw_engine_job *job) {
  bool moved;
  TW_TRY(tw_key_feed_load(e->feed, &job->source, &moved));
  if (moved) {
    tw_device_graph_destroy(e->graph);
    e->graph = NULL;
  }
  if (!e->ready)
    TW_TRY(prepare_first(e));
  else if (e->preparation)
    TW_TRY(tw_device_graph_launch(e->preparation, e->stream));
  TW_TRY(e->k->upload(e->input, job->input, input_bytes(e), e->uploads));
  TW_TRY(tw_device_wait(e->uploads));
  TW_TRY(tw_device_wait(e->stream));
  return e->beside ? TW_OK : tw_key_feed_fill(e->feed);  // beside: both together are to be short
}

// Everything the GPU does between input and output, enqueued; nothing in it waits for the host.
static tw_status enqueue(tw_engine *e) {
  if (e->trace) TW_TRY(tw_engine_trace_begin(e->trace));
  TW_TRY(tw_device_opener_record_begin(e->opener));
  TW_TRY(tw_key_feed_start(e->feed));
  if (e->beside) TW_TRY(prepare_beside(e));
  TW_TRY(fork_parts(e));
  for (int i = 0; i < e->count; i++) {
    tw_session_rewind(&e->parts[i].session);
    tw_gate_timer_restart(e->parts[i].timer);
  }
  TW_TRY(run_lanes(e, NULL, NULL));
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    TW_TRY(tw_gate_timer_end(p->timer));
    p->output = p->session.buffers[p->session.program->output].value;
  }
  TW_TRY(tw_device_opener_record_end(e->opener));
  return join_parts(e);
}

static tw_status record(tw_engine *e) {
  TW_TRY(tw_device_capture_begin(e->stream));
  return tw_device_capture_end(e->stream, enqueue(e), &e->graph);
}

// Of the parts together.
static tw_status read_timers(tw_engine *e) {
  int labels = e->o.plan->program.label_count;
  memset(e->label_seconds, 0, sizeof(double) * (size_t)labels);
  e->flush_seconds = 0;
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    double flushes;
    TW_TRY(tw_gate_timer_read(p->timer, p->session.label_seconds, &flushes));
    for (int j = 0; j < labels; j++) e->label_seconds[j] += p->session.label_seconds[j];
    e->flush_seconds += flushes;
  }
  return TW_OK;
}

static tw_status read_trace(tw_engine *e) {
  if (!e->trace) return TW_OK;
  tw_trace *spans = tw_engine_trace_spans(e->trace);
  void *origin = tw_engine_trace_origin(e->trace);
  tw_trace_clear(spans);
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    TW_TRY(tw_gate_timer_spans(p->timer, origin, TW_TRACE_COMPUTE, i, spans));
    if (p->ahead_timer) TW_TRY(tw_gate_timer_spans(p->ahead_timer, origin, TW_TRACE_PREPARE, i, spans));
  }
  TW_TRY(tw_key_feed_spans(e->feed, origin, spans));
  return tw_engine_trace_end(e->trace);
}

static tw_status launch(tw_engine *e) {
  TW_TRY(tw_device_graph_launch(e->graph, e->stream));
  return tw_device_wait_for(e->stream, e->o.channel->timeout_seconds);
}

static tw_status run_device(tw_engine *e) {
  if (!e->graph) TW_TRY(record(e));
  TW_TRY(tw_device_opener_run_begin(e->opener));
  tw_status status = launch(e);
  if (status == TW_OK) status = tw_key_feed_status(e->feed);  // then openings stopped, and what is relayed must, too
  tw_status ended = tw_device_opener_run_end(e->opener, status != TW_OK);
  TW_TRY(tw_key_feed_status(e->feed));  // the cause
  TW_TRY(ended);                        // knows more
  TW_TRY(status);
  TW_TRY(read_timers(e));
  return read_trace(e);
}

static tw_status online_device(tw_engine *e) {
  tw_status status = run_device(e);
  e->lost = status != TW_OK;
  return status;
}
#endif

// Seconds of one open of `bytes` packed bytes through the collector, random data, after one to meet.
static tw_status time_open(tw_engine *e, size_t bytes, int times, uint64_t *data, double *seconds) {
  enum { RING = 32 };
  size_t n = 8 * bytes / RING;
  double start = 0;
  for (int i = 0; i <= times; i++) {
    if (i == 1) start = tw_seconds();
    TW_TRY(tw_opens_ring(e->opens, 0, 0, RING, n, data));
    TW_TRY(tw_opens_flush(e->opens));
  }
  *seconds = (tw_seconds() - start) / times;
  return TW_OK;
}

// What the channel gives, for the result; a few milliseconds.
static tw_status probe_channel(tw_engine *e) {
  enum { SMALL = 4096, LARGE = 1 << 20 };
  void *data;
  double large = 0;
  TW_TRY(tw_alloc(2 * LARGE, &data));
  randombytes_buf(data, 2 * LARGE);
  tw_status status = time_open(e, SMALL, 10, data, &e->probe_latency);
  if (status == TW_OK) status = time_open(e, LARGE, 2, data, &large);
  if (status == TW_OK) e->probe_bandwidth = LARGE / large;
  tw_free(data);
  return status;
}

tw_status tw_engine_open(const tw_engine_options *o, tw_engine **out) {
  tw_engine *e = calloc(1, sizeof *e);
  if (!e) return tw_fail(TW_ERR_MEMORY, "out of memory for an engine");
  e->o = *o;
  e->rank = o->channel->rank;
  e->device = o->device == TW_DEVICE_CUDA;
  snprintf(e->transport_why, sizeof e->transport_why, "on the CPU");
  snprintf(e->device_name, sizeof e->device_name, "cpu");
  void *slots;
  tw_status status = tw_alloc(8 * (size_t)o->batch, &slots);
  if (status != TW_OK) {
    free(e);
    return status;
  }
  e->host_slots = slots;
  divide_batch(e);
#ifdef TWAIN_CUDA
  e->k = e->device ? &tw_cuda_backend : &tw_cpu_backend;
  if (e->device) {
    status = open_device(e);
  } else
#else
  e->k = &tw_cpu_backend;
#endif
  {
    status = tw_host_feed_create(o->plan->program.slot_bytes[e->rank], o->batch, o->keys, &e->host_feed);
    if (status == TW_OK) status = set_up_model(e);
    if (status == TW_OK) status = allocate_job(e);
    if (status == TW_OK) status = tw_opens_create(o->channel, &e->opens);
    if (status == TW_OK) tw_opens_limit(e->opens, MESSAGE_WORDS, 0);
    if (status == TW_OK) status = probe_channel(e);
    if (status == TW_OK) status = open_trace(e);
  }
  *out = e;
  if (status != TW_OK) {
    tw_engine_close(e);
    *out = NULL;
  }
  return status;
}

void tw_engine_close(tw_engine *e) {
  if (!e) return;
#ifdef TWAIN_CUDA
  if (e->device) close_device(e);
#endif
  for (int i = 0; i < e->count; i++) {
    if (e->parts[i].open) tw_session_close(&e->parts[i].session);
    tw_ahead_close(&e->parts[i].ahead);
  }
  tw_host_feed_destroy(e->host_feed);
  tw_engine_trace_destroy(e->trace);
  if (e->opens) tw_opens_destroy(e->opens);
  release_model(e);
  size_t batch = (size_t)e->o.batch;
  if (e->seeds) e->k->release(e->seeds, sizeof(tw_seed) * batch);
  if (e->slots) e->k->release(e->slots, 8 * batch);
  if (e->lengths) e->k->release(e->lengths, sizeof(int) * batch);
  if (e->input) e->k->release(e->input, input_bytes(e));
  for (int i = 0; i < e->count; i++) {
    part *p = &e->parts[i];
    if (p->arena) e->k->release(p->arena, p->arena_bytes);
    if (p->ahead.arena) e->k->release(p->ahead.arena, p->ahead.arena_bytes);
  }
  tw_free(e->host_slots);
#ifdef TWAIN_CUDA
  for (int i = 1; i < e->count; i++) tw_device_stream_destroy(e->parts[i].stream);
  tw_device_event_destroy(e->forked);
  tw_device_stream_destroy(e->beside);
  tw_device_stream_destroy(e->uploads);
  tw_device_stream_destroy(e->stream);
#endif
  free(e);
}

static tw_status prepare_host_part(tw_engine *e, part *p) {
  if (p->open) tw_session_close(&p->session);
  p->open = false;
  tw_ahead_close(&p->ahead);
  tw_source source = tw_host_feed_source(e->host_feed, p->first);
  if (!p->arena) {
    TW_TRY(forecast_arenas(e, p, source));
    TW_TRY(e->k->alloc(p->arena_bytes, &p->arena));
  }
  describe_session(e, p);
  p->open = true;
  p->session.source = source;
  TW_TRY(tw_session_open(&p->session));
  if (p == e->parts && e->trace) p->session.opener = tw_engine_trace_opener(e->trace, p->session.opener);
  p->session.opener = e->parts[0].session.opener;  // they share a collector
  if (e->trace) tw_engine_trace_session(e->trace, p->session.lane, &p->session);
  TW_TRY(tw_ahead_open(&p->ahead, &p->session));
  tw_ahead_attach(&p->ahead, &p->session);
  if (e->trace && e->o.prepare_beside) tw_engine_trace_ahead(e->trace, p->session.lane, &p->ahead);
  return e->o.prepare_beside ? TW_OK : tw_ahead_finish(&p->ahead);
}

static tw_status prepare_host(tw_engine *e, const tw_engine_job *job) {
  tw_key_source source = job->source;
  if (e->trace) tw_trace_clear(tw_engine_trace_spans(e->trace));
  if (e->trace && e->o.keys == TW_KEYS_FILE)
    source = tw_engine_trace_keys(e->trace, &job->source, e->count > 1 ? e->parts[1].first : e->o.batch);
  TW_TRY(tw_host_feed_load(e->host_feed, &source));
  for (int i = 0; i < e->count; i++) TW_TRY(prepare_host_part(e, &e->parts[i]));
  return TW_OK;
}

tw_status tw_engine_prepare(tw_engine *e, const tw_engine_job *job) {
  size_t batch = (size_t)e->o.batch;
  memcpy(e->host_slots, job->slots, 8 * batch);
  TW_TRY(e->k->upload(e->seeds, job->seeds, sizeof(tw_seed) * batch, e->stream));
  TW_TRY(e->k->upload(e->slots, job->slots, 8 * batch, e->stream));
  TW_TRY(e->k->upload(e->lengths, job->lengths, sizeof(int) * batch, e->stream));
#ifdef TWAIN_CUDA
  if (e->device) return prepare_device(e, job);
#endif
  TW_TRY(e->k->upload(e->input, job->input, input_bytes(e), e->stream));
  return prepare_host(e, job);
}

tw_status tw_engine_online(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state) {
#ifdef TWAIN_CUDA
  if (e->device) return online_device(e);
#endif
  tw_opens_get_stats(e->opens, &e->before);
  tw_opens_restart_transcript(e->opens);
  if (e->trace) TW_TRY(tw_engine_trace_begin(e->trace));
  TW_TRY(run_lanes(e, progress, progress_state));
  return e->trace ? tw_engine_trace_end(e->trace) : TW_OK;
}

tw_status tw_engine_output(tw_engine *e, uint64_t *masked, uint64_t *mask) {
  const tw_program *program = &e->o.plan->program;
  size_t n = program->tensors[program->output].n;
  for (int i = 0; i < e->count; i++) {
    const part *p = &e->parts[i];
    const tw_buffer *out = &p->session.buffers[program->output];
    size_t at = (size_t)p->first * n, bytes = 8 * (size_t)p->batch * n;
    TW_TRY(e->k->download(masked + at, e->device ? p->output : out->value, bytes, p->stream));
    TW_TRY(e->k->download(mask + at, out->mask[e->rank], bytes, p->stream));
  }
  return TW_OK;
}

#ifdef TWAIN_CUDA
static tw_status device_stats(tw_engine *e, tw_engine_stats *s) {
  tw_device_opener_counts counts = tw_device_opener_get_counts(e->opener);
  s->counters.open_payload_bytes = s->counters.open_wire_bytes_sent = counts.payload_bytes;
  s->counters.open_comm_ns = e->o.time_gates ? (uint64_t)(1e9 * e->flush_seconds) : counts.comm_ns;
  TW_TRY(tw_key_feed_wait_ns(e->feed, &s->key_wait_ns));
  return tw_device_opener_transcript(e->opener, s->transcript);
}
#endif

static tw_status host_stats(tw_engine *e, tw_engine_stats *s) {
  tw_opens_stats now;
  uint8_t digest[32];
  s->key_wait_ns = tw_host_feed_wait_ns(e->host_feed);
  tw_opens_get_stats(e->opens, &now);
  tw_opens_transcript(e->opens, digest);
  sodium_bin2hex(s->transcript, sizeof s->transcript, digest, sizeof digest);
  s->counters.open_payload_bytes = now.payload_bytes - e->before.payload_bytes;
  s->counters.open_wire_bytes_sent = now.wire_bytes - e->before.wire_bytes;
  s->counters.open_comm_ns = now.comm_ns - e->before.comm_ns;
  return TW_OK;
}

tw_status tw_engine_get_stats(tw_engine *e, tw_engine_stats *s) {
  *s = (tw_engine_stats){.key_bytes = key_bytes(e),
                         .counters = e->counters,
                         .probe_latency_s = e->probe_latency,
                         .probe_bandwidth = e->probe_bandwidth};
  for (int i = 0; i < e->count; i++) s->products_prepared_beside += e->parts[i].ahead.beside;
#ifdef TWAIN_CUDA
  if (e->device) return device_stats(e, s);
#endif
  return host_stats(e, s);
}

tw_status tw_engine_get_trace(const tw_engine *e, tw_span **spans, int *count, uint64_t *dropped) {
  if (!e->trace) return tw_fail(TW_ERR_INTERNAL, "the trace of an engine that records none");
  return tw_trace_collect(tw_engine_trace_spans(e->trace), spans, count, dropped);
}

const double *tw_engine_label_seconds(tw_engine *e) {
  if (e->device) return e->label_seconds;
  double *sum = e->parts[0].session.label_seconds;
  for (int i = 1; i < e->count; i++)
    for (int j = 0; j < e->o.plan->program.label_count; j++) {
      sum[j] += e->parts[i].session.label_seconds[j];
      e->parts[i].session.label_seconds[j] = 0;
    }
  return sum;
}
const char *tw_engine_device_name(const tw_engine *e) { return e->device_name; }
const char *tw_engine_transport_name(const tw_engine *e) {
#ifdef TWAIN_CUDA
  if (e->device) return tw_device_opener_name(e->opener);
#endif
  return e->o.channel->name;
}
const char *tw_engine_transport_why(const tw_engine *e) { return e->transport_why; }
