#include "jobs/engine.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/device_opener.h"
#include "jobs/gate_timer.h"
#include "jobs/key_feed.h"
#include "kernels/device.h"

struct tw_engine {
  tw_engine_options o;
  int rank;
  bool device;
  char device_name[64];
  const tw_backend *k;
  void *stream;
  // set-up: by model tensor, backend memory
  uint64_t **masked, **values;  // vectors' W^; V_b where the operands read values
  uint64_t **vector_mask;
  void **masked_operand, **share_operand;
  // the job, backend memory
  tw_seed *seeds;
  uint64_t *slots, *host_slots, *input;
  int *lengths;
  tw_session session;
  bool open;
  void *arena;  // all of the session's memory
  size_t arena_bytes;
  // CPU
  tw_opens *opens;
  tw_opens_stats before;
  // GPU
  tw_device_opener *opener;
  tw_key_feed *feed;
  tw_gate_timer *timer;
  void *graph;
  double flush_seconds;
  const uint64_t *output;  // where the recorded work leaves its result
  bool nccl, lost;         // lost: an online phase failed, the other rank may be gone
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

static void describe_session(tw_engine *e) {
  const tw_model_share *m = e->o.model;
  e->session = (tw_session){.program = &e->o.plan->program,
                            .role = TW_PARTY,
                            .rank = e->rank,
                            .batch = e->o.batch,
                            .slots = e->host_slots,
                            .lengths = e->lengths,
                            .input = e->input,
                            .opens = e->opens,
                            .backend = e->k,
                            .stream = e->stream,
                            .arena = e->arena,
                            .arena_bytes = e->arena_bytes,
                            .keep_masks = e->device};
  e->session.seeds[e->rank] = e->seeds;
  e->session.weights = (tw_weights){.count = m->count,
                                    .rows = m->rows,
                                    .cols = m->cols,
                                    .masked = e->device ? e->masked : m->masked,
                                    .masked_operand = e->masked_operand,
                                    .share_operand = e->share_operand};
  e->session.weights.mask[e->rank] = e->vector_mask;
}

// Bytes of the arena that a session with corrections from such a source needs; before or after set-up.
static tw_status forecast_arena(tw_engine *e, tw_source source) {
  void *nothing;  // no model tensor is read
  TW_TRY(tw_alloc(sizeof(void *) * (size_t)e->o.model->count, &nothing));
  describe_session(e);
  e->session.source = source;
  e->session.weights.mask[e->rank] = e->session.weights.masked = nothing;
  e->session.weights.masked_operand = e->session.weights.share_operand = nothing;
  tw_status status = tw_session_forecast(&e->session, &e->arena_bytes);
  tw_free(nothing);
  return status;
}

static tw_status allocate_arena(tw_engine *e) { return e->k->alloc(e->arena_bytes, &e->arena); }

#ifdef TWAIN_CUDA
// The program's lists and tables, where kernels can read them.
static tw_status upload_program(tw_engine *e) {
  const tw_program *p = e->session.program;
  void *memory;
  TW_TRY(to_backend(e, p->pool, sizeof(int64_t) * p->pool_count, &memory));
  e->session.pool = memory;
  for (int i = 0; i < p->table_count; i++) {
    TW_TRY(to_backend(e, p->tables[i].values, 8 * p->tables[i].n, &memory));
    e->session.tables[i] = memory;
  }
  e->session.backend_slots = e->slots;
  return TW_OK;
}

// What the GPU must hold, said before it is asked for.
// What the GPU must hold, said before it is asked for.
static tw_status check_memory(tw_engine *e, uint64_t left) {
  size_t weights = 0, keys = e->o.plan->program.slot_bytes[e->rank] * (size_t)e->o.batch;
  for (int i = 0; i < e->o.model->count; i++) weights += 2 * 8 * elements(e->o.model, i);  // limbs of W^ and V_b
  uint64_t needed = (uint64_t)e->arena_bytes + weights + keys + input_bytes(e);
  if (needed <= left) return TW_OK;
  return tw_fail(
      TW_ERR_MEMORY,
      "%s: %d sequences of %d tokens need %llu bytes of GPU memory (%zu for masks and activations, %zu for weights, "
      "%zu for keys), %llu are free; use a smaller batch",
      e->device_name, e->o.batch, e->o.plan->shape.seq, (unsigned long long)needed, e->arena_bytes, weights, keys,
      (unsigned long long)left);
}

static tw_status open_device(tw_engine *e) {
  uint64_t left;
  TW_TRY(tw_device_stream_create(&e->stream));
  TW_TRY(tw_device_describe(e->device_name, sizeof e->device_name, &left));
  TW_TRY(forecast_arena(e, tw_key_feed_source(NULL)));
  TW_TRY(check_memory(e, left));
  TW_TRY(set_up_model(e));
  TW_TRY(allocate_job(e));
  TW_TRY(allocate_arena(e));
  describe_session(e);
  TW_TRY(tw_session_open(&e->session));
  e->open = true;
  TW_TRY(upload_program(e));
  TW_TRY(tw_device_opener_create(e->session.program, e->o.batch, e->o.channel, e->nccl, e->stream, &e->opener));
  e->session.opener = tw_device_opener_table(e->opener);
  TW_TRY(tw_key_feed_create(e->session.program->slot_bytes[e->rank], e->o.batch, e->stream, &e->feed));
  e->session.source = tw_key_feed_source(e->feed);
  TW_TRY(tw_gate_timer_create(e->session.program, e->stream, e->o.time_gates, &e->timer));
  e->session.mark = tw_gate_timer_mark;
  e->session.mark_state = e->timer;
  return tw_device_wait(e->stream);
}

static void close_device(tw_engine *e) {
  // A kernel that waits for a lost rank must end before its memory goes; otherwise the graph goes before what it uses.
  if (!e->lost) tw_device_graph_destroy(e->graph);
  tw_device_opener_destroy(e->opener, e->lost);
  if (e->lost) tw_device_graph_destroy(e->graph);
  tw_key_feed_destroy(e->feed);
  tw_gate_timer_destroy(e->timer);
  const tw_program *p = &e->o.plan->program;
  if (e->open) {
    if (e->session.pool != p->pool) drop(e, (void *)e->session.pool, sizeof(int64_t) * p->pool_count);
    for (int i = 0; i < p->table_count; i++)
      if (e->session.tables[i] != p->tables[i].values) drop(e, (void *)e->session.tables[i], 8 * p->tables[i].n);
  }
}

static tw_status prepare_device(tw_engine *e, const tw_engine_job *job) {
  bool first = e->session.bytes_held == 0;
  TW_TRY(tw_key_feed_load(e->feed, &job->source));
  TW_TRY(tw_session_prepare(&e->session));
  if (first) {
    e->session.mark = NULL;  // nothing is computed
    TW_TRY(tw_session_reserve(&e->session));
    e->session.mark = tw_gate_timer_mark;
  }
  return tw_device_wait(e->stream);
}

// Everything the GPU does between input and output, enqueued; with NCCL nothing in it waits for the host.
static tw_status enqueue(tw_engine *e) {
  TW_TRY(tw_device_opener_restart(e->opener));
  TW_TRY(tw_key_feed_start(e->feed));
  tw_session_rewind(&e->session);
  tw_gate_timer_restart(e->timer);
  TW_TRY(tw_session_run(&e->session));
  TW_TRY(tw_gate_timer_end(e->timer));
  e->output = e->session.buffers[e->session.program->output].value;
  return TW_OK;
}

static tw_status run_device(tw_engine *e) {
  if (e->nccl && !e->graph) {
    TW_TRY(tw_device_capture_begin(e->stream));
    tw_status recorded = enqueue(e);
    tw_status ended = tw_device_capture_end(e->stream, &e->graph);
    TW_TRY(recorded);
    TW_TRY(ended);
  }
  if (e->nccl)
    TW_TRY(tw_device_graph_launch(e->graph, e->stream));
  else
    TW_TRY(enqueue(e));
  TW_TRY(tw_device_wait_for(e->stream, e->o.channel->timeout_seconds));
  return tw_gate_timer_read(e->timer, e->session.label_seconds, &e->flush_seconds);
}

static tw_status online_device(tw_engine *e) {
  tw_status status = run_device(e);
  e->lost = status != TW_OK;
  return status;
}
#endif

tw_status tw_engine_open(const tw_engine_options *o, tw_engine **out) {
  tw_engine *e = calloc(1, sizeof *e);
  if (!e) return tw_fail(TW_ERR_MEMORY, "out of memory for an engine");
  e->o = *o;
  e->rank = o->channel->rank;
  e->device = o->device == TW_DEVICE_CUDA;
  e->nccl = e->device && o->transport == TW_TRANSPORT_NCCL;
  snprintf(e->device_name, sizeof e->device_name, "cpu");
  void *slots;
  tw_status status = tw_alloc(8 * (size_t)o->batch, &slots);
  if (status != TW_OK) {
    free(e);
    return status;
  }
  e->host_slots = slots;
#ifdef TWAIN_CUDA
  e->k = e->device ? &tw_cuda_backend : &tw_cpu_backend;
  if (e->device) {
    status = open_device(e);
  } else
#else
  e->k = &tw_cpu_backend;
#endif
  {
    status = set_up_model(e);
    if (status == TW_OK) status = allocate_job(e);
    if (status == TW_OK) status = tw_opens_create(o->channel, &e->opens);
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
  if (e->open) tw_session_close(&e->session);
  if (e->opens) tw_opens_destroy(e->opens);
  release_model(e);
  size_t batch = (size_t)e->o.batch;
  if (e->seeds) e->k->release(e->seeds, sizeof(tw_seed) * batch);
  if (e->slots) e->k->release(e->slots, 8 * batch);
  if (e->lengths) e->k->release(e->lengths, sizeof(int) * batch);
  if (e->input) e->k->release(e->input, input_bytes(e));
  if (e->arena) e->k->release(e->arena, e->arena_bytes);
  tw_free(e->host_slots);
#ifdef TWAIN_CUDA
  tw_device_stream_destroy(e->stream);
#endif
  free(e);
}

static tw_status prepare_host(tw_engine *e, const tw_engine_job *job) {
  if (e->open) tw_session_close(&e->session);
  e->open = false;
  if (!e->arena) {
    TW_TRY(forecast_arena(e, job->source));
    TW_TRY(allocate_arena(e));
  }
  describe_session(e);
  e->open = true;
  e->session.source = job->source;
  TW_TRY(tw_session_open(&e->session));
  return tw_session_prepare(&e->session);
}

tw_status tw_engine_prepare(tw_engine *e, const tw_engine_job *job) {
  size_t batch = (size_t)e->o.batch;
  memcpy(e->host_slots, job->slots, 8 * batch);
  TW_TRY(e->k->upload(e->seeds, job->seeds, sizeof(tw_seed) * batch, e->stream));
  TW_TRY(e->k->upload(e->slots, job->slots, 8 * batch, e->stream));
  TW_TRY(e->k->upload(e->lengths, job->lengths, sizeof(int) * batch, e->stream));
  TW_TRY(e->k->upload(e->input, job->input, input_bytes(e), e->stream));
#ifdef TWAIN_CUDA
  if (e->device) return prepare_device(e, job);
#endif
  return prepare_host(e, job);
}

tw_status tw_engine_online(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state) {
#ifdef TWAIN_CUDA
  if (e->device) return online_device(e);
#endif
  tw_session *s = &e->session;
  tw_opens_get_stats(e->opens, &e->before);
  tw_opens_restart_transcript(e->opens);
  for (bool done = false; !done;) {
    TW_TRY(tw_session_step(s, &done));
    if (progress) progress(progress_state, (double)s->next_op / s->program->op_count);
    if (tw_session_pending(s)) TW_TRY(tw_session_flush(s));
  }
  return TW_OK;
}

tw_status tw_engine_output(tw_engine *e, uint64_t *masked, uint64_t *mask) {
  const tw_program *p = e->session.program;
  size_t bytes = 8 * (size_t)e->o.batch * p->tensors[p->output].n;
  TW_TRY(e->k->download(masked, e->device ? e->output : e->session.buffers[p->output].value, bytes, e->stream));
  return e->k->download(mask, e->session.buffers[p->output].mask[e->rank], bytes, e->stream);
}

tw_status tw_engine_get_stats(tw_engine *e, tw_engine_stats *s) {
  memset(s, 0, sizeof *s);
#ifdef TWAIN_CUDA
  if (e->device) {
    TW_TRY(tw_device_opener_stats(e->opener, &s->rounds, &s->payload_bytes, &s->comm_seconds, s->transcript));
    s->wire_bytes = s->payload_bytes;
    if (e->o.time_gates) s->comm_seconds = e->flush_seconds;
    return TW_OK;
  }
#endif
  tw_opens_stats now;
  uint8_t digest[32];
  tw_opens_get_stats(e->opens, &now);
  tw_opens_transcript(e->opens, digest);
  sodium_bin2hex(s->transcript, sizeof s->transcript, digest, sizeof digest);
  s->rounds = now.flushes - e->before.flushes;
  s->payload_bytes = now.payload_bytes - e->before.payload_bytes;
  s->wire_bytes = now.wire_bytes - e->before.wire_bytes;
  s->comm_seconds = 1e-9 * (double)(now.comm_ns - e->before.comm_ns);
  return TW_OK;
}

const double *tw_engine_label_seconds(const tw_engine *e) { return e->session.label_seconds; }
const char *tw_engine_device_name(const tw_engine *e) { return e->device_name; }
const char *tw_engine_transport_name(const tw_engine *e) {
  return e->nccl ? "nccl" : e->device ? "mpi, staged" : "mpi";
}
