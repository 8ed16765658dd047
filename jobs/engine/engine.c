#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/keys.h"
#include "jobs/engine/engine_state.h"
#include "jobs/program/halves.h"
#include "jobs/program/host_opener.h"

enum { MESSAGE_WORDS = 128 << 20 };  // most in one message: a GiB

// Seeds and the input's share: locked where host memory holds them.
static tw_status allocate_secrets(tw_engine *e) {
  size_t seeds = sizeof(tw_seed) * (size_t)e->o.batch, input = tw_engine_input_bytes(e);
  void *memory;
  TW_TRY(e->device ? e->k->alloc(seeds, &memory) : tw_seed_alloc(seeds, &memory));
  e->seeds = memory;
  TW_TRY(e->device ? e->k->alloc(input, &memory) : tw_share_alloc(input, &memory));
  e->input = memory;
  return TW_OK;
}

static void release_secrets(tw_engine *e) {
  size_t seeds = sizeof(tw_seed) * (size_t)e->o.batch, input = tw_engine_input_bytes(e);
  if (!e->device) {
    tw_seed_free(e->seeds, seeds);
    tw_share_free(e->input, input);
    return;
  }
  if (e->seeds) e->k->release(e->seeds, seeds);
  if (e->input) e->k->release(e->input, input);
}

tw_status tw_engine_allocate_job(tw_engine *e) {
  size_t batch = (size_t)e->o.batch;
  void *memory;
  TW_TRY(e->k->alloc(8 * batch, &memory));
  e->slots = memory;
  TW_TRY(e->k->alloc(TW_COUNTS * sizeof(int) * batch, &memory));
  e->lengths = memory;
  TW_TRY(tw_alloc(TW_COUNTS * sizeof(int) * batch, &memory));
  e->host_lengths = memory;
  return allocate_secrets(e);
}

void tw_engine_divide(tw_engine *e) {
  e->count = e->o.overlap && e->o.batch > 1 ? TW_HALVES : 1;
  for (int i = 0, first = 0; i < e->count; i++) {
    e->parts[i].first = first;
    e->parts[i].batch = (e->o.batch - first) / (e->count - i);
    first += e->parts[i].batch;
  }
}

static const int *counts_of(const tw_engine *e, tw_counted which, size_t first) {
  return e->lengths ? e->lengths + (size_t)which * (size_t)e->o.batch + first : NULL;
}

// The session of `batch` sequences from `first` on.
static tw_session_config configure(const tw_engine *e, int first, int batch) {
  const tw_model_share *m = e->o.model;
  size_t at = (size_t)first;
  tw_session_config c = {.program = &e->o.plan->program,
                         .role = TW_PARTY,
                         .party = e->party,
                         .batch = batch,
                         .backend = e->k,
                         .stream = e->stream,
                         .place = {.first_sequence = first, .total_batch = e->o.batch},
                         .sequences = {.slots = e->host_slots + at,
                                       .backend_slots = e->slots ? e->slots + at : NULL,
                                       .lengths = counts_of(e, TW_COUNT_COLUMNS, at),
                                       .earlier = counts_of(e, TW_COUNT_EARLIER, at),
                                       .tokens = counts_of(e, TW_COUNT_TOKENS, at)},
                         .copies = {.pool = e->pool, .tables = e->tables},
                         .keep_masks = e->kept};
  c.sequences.seeds[e->party] = e->seeds ? e->seeds + at : NULL;
  for (int i = 0; e->input && i < e->o.plan->program.input_count; i++) {
    size_t before = tw_engine_input_words(e, i), own = tw_engine_input_words(e, i + 1) - before;
    c.sequences.inputs[i] = e->input + (size_t)e->o.batch * before + at * own;
  }
  c.weights = (tw_weights){.count = m->count,
                           .rows = m->rows,
                           .cols = m->cols,
                           .masked = e->device ? e->masked : m->masked,
                           .masked_operand = e->masked_operand,
                           .share_operand = e->share_operand};
  c.weights.mask[e->party] = e->vector_mask;
  return c;
}

// Where gates are timed one by one, or other streams' work comes between them, they stay on one stream. So they do
// beside chains whose keys are on their way: a chain's stream is ahead of what the gates' own has waited for.
static bool uses_lanes(const tw_engine *e) {
  return e->device && e->count == 1 && !e->o.prepare_beside && !e->o.time_gates && !e->o.trace &&
         (e->chains.count == 0 || e->o.keys == TW_KEYS_RESIDENT);
}

tw_session_config tw_engine_part_config(const tw_engine *e, const tw_engine_part *p) {
  tw_session_config c = configure(e, p->first, p->batch);
  if (uses_lanes(e)) c.lanes = &e->lanes;
  if (e->chains.count) c.chains = tw_tiles_reserver((tw_tiles_reserve *)&e->reserve);
  c.place.half = (int)(p - e->parts);
  c.stream = p->stream;
  c.arena = p->arena;
  return c;
}

tw_session_config tw_engine_whole_config(const tw_engine *e) { return configure(e, 0, e->o.batch); }

// No model tensor is read.
static tw_status pretend_model(const tw_engine *e, tw_session_config *c, void **nothing) {
  TW_TRY(tw_alloc(sizeof(void *) * (size_t)e->o.model->count, nothing));
  c->weights.mask[e->party] = c->weights.masked = *nothing;
  c->weights.masked_operand = c->weights.share_operand = *nothing;
  return TW_OK;
}

tw_status tw_engine_forecast(tw_engine *e, tw_engine_part *p, tw_correction_reader source) {
  void *nothing;
  tw_session_config config = tw_engine_part_config(e, p);
  config.source = source;
  TW_TRY(pretend_model(e, &config, &nothing));
  tw_session_room room = {0};
  tw_status status = tw_session_forecast(&config, TW_FORECAST_ONLINE, &room);
  p->arena.bytes = room.arena;
  p->product_bytes = room.products;
  tw_free(nothing);
  return status;
}

tw_status tw_engine_forecast_preparation(tw_engine *e) {
  void *nothing;
  tw_session_config whole = tw_engine_whole_config(e);
  TW_TRY(pretend_model(e, &whole, &nothing));
  tw_status status = tw_preparation_forecast(&e->preparation, &whole);
  tw_free(nothing);
  return status;
}

tw_status tw_engine_run_halves(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state) {
  tw_session *halves[TW_HALVES];
  for (int i = 0; i < e->count; i++) halves[i] = &e->parts[i].session;
  memset(&e->counters, 0, sizeof e->counters);
  return tw_halves_run(halves, e->count, e->o.coalesce, &e->counters, progress, progress_state);
}

// Every stretch of gates and every chunk of keys may be a span.
static size_t trace_room(const tw_program *p, int party, int halves, int batch) {
  size_t chunks = p->slot_bytes[party] / TW_KEY_CHUNK + 2;
  return (size_t)(2 * p->op_count + p->levels + 1) * (size_t)halves + chunks * (size_t)batch;
}

int tw_engine_trace_most(const tw_program *p, int party, int batch) {
  size_t most = trace_room(p, party, TW_HALVES, batch) + tw_engine_trace_messages(p);
  return most < INT_MAX ? (int)most : INT_MAX;
}

tw_status tw_engine_create_trace(tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  void *streams[TW_HALVES];
  size_t room = trace_room(p, e->party, e->count, e->o.batch) + tw_engine_chain_spans(e, e->o.batch);
  size_t messages = tw_engine_trace_messages(p) + tw_engine_chain_messages(e, e->o.batch);
  for (int i = 0; i < e->count; i++) streams[i] = e->parts[i].stream;
  return e->o.trace ? tw_engine_trace_create(p, e->count, e->device ? streams : NULL, room, messages, &e->trace)
                    : TW_OK;
}

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
  if (e->probe_bandwidth > 0) return TW_OK;  // taken over
  TW_TRY(tw_alloc(2 * LARGE, &data));
  randombytes_buf(data, 2 * LARGE);
  tw_status status = time_open(e, SMALL, 10, data, &e->probe_latency);
  if (status == TW_OK) status = time_open(e, LARGE, 2, data, &large);
  if (status == TW_OK) e->probe_bandwidth = LARGE / large;
  tw_free(data);
  return status;
}

static tw_status set_up(tw_engine *e) {
#ifdef TWAIN_CUDA
  if (e->device) return tw_engine_device_create(e);
#endif
  const tw_engine_options *o = &e->o;
  TW_TRY(tw_host_feed_create(o->plan->program.slot_bytes[e->party], o->batch, o->keys, &e->host_feed));
  TW_TRY(tw_engine_set_up_model(e));
  TW_TRY(tw_engine_allocate_job(e));
  TW_TRY(tw_opens_create(o->channel, &e->opens));
  tw_opens_limit(e->opens, MESSAGE_WORDS, 0);
  TW_TRY(probe_channel(e));
  return tw_engine_create_trace(e);
}

tw_status tw_engine_create(const tw_engine_options *o, tw_engine **out) {
  tw_engine *e = calloc(1, sizeof *e);
  if (!e) return tw_fail(TW_ERR_MEMORY, "out of memory for an engine");
  e->o = *o;
  e->party = o->channel->party;
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
  tw_engine_divide(e);
  if (o->before && *o->before) {
    tw_engine_take_over(e, *o->before);
    tw_engine_destroy(*o->before);
    *o->before = NULL;
  }
  e->o.before = NULL;
#ifdef TWAIN_CUDA
  e->k = e->device ? &tw_cuda_backend : &tw_cpu_backend;
#else
  e->k = &tw_cpu_backend;
#endif
  status = tw_engine_agree_on_chains(e);
  if (status == TW_OK) status = set_up(e);
  *out = e;
  if (status != TW_OK) {
    tw_engine_destroy(e);
    *out = NULL;
  }
  return status;
}

void tw_engine_destroy(tw_engine *e) {
  if (!e) return;
#ifdef TWAIN_CUDA
  if (e->device) tw_engine_device_stop(e);
#endif
  for (int i = 0; i < e->count; i++) {
    tw_engine_end_chains(&e->parts[i]);
    if (e->parts[i].open) tw_session_destroy(&e->parts[i].session);
  }
  tw_chains_free(&e->chains);
  tw_preparation_destroy(&e->preparation);
  tw_host_feed_destroy(e->host_feed);
  tw_engine_trace_destroy(e->trace);
  if (e->opens) tw_opens_destroy(e->opens);
  tw_engine_release_model(e);
  size_t batch = (size_t)e->o.batch;
  release_secrets(e);
  if (e->slots) e->k->release(e->slots, 8 * batch);
  if (e->lengths) e->k->release(e->lengths, TW_COUNTS * sizeof(int) * batch);
  for (int i = 0; i < e->count; i++)
    if (e->parts[i].arena.memory) e->k->release(e->parts[i].arena.memory, e->parts[i].arena.bytes);
  if (e->preparation.arena.memory) e->k->release(e->preparation.arena.memory, e->preparation.arena.bytes);
  tw_free(e->host_slots);
  tw_free(e->host_lengths);
#ifdef TWAIN_CUDA
  if (e->device) tw_engine_device_destroy(e);
#endif
  free(e);
}

int tw_engine_batch(const tw_engine *e) { return e->o.batch; }

static tw_status open_host_part(tw_engine *e, tw_engine_part *p, tw_opener opener) {
  tw_engine_end_chains(p);
  if (p->open) tw_session_destroy(&p->session);
  p->open = false;
  tw_correction_reader source = tw_host_feed_source(e->host_feed, p->first);
  if (!p->arena.memory) {
    TW_TRY(tw_engine_forecast(e, p, source));
    TW_TRY(e->k->alloc(p->arena.bytes, &p->arena.memory));
  }
  tw_session_config config = tw_engine_part_config(e, p);
  config.source = source;
  config.opener = opener;
  if (e->trace) config.observers = tw_engine_trace_observers(e->trace, config.place.half);
  p->open = true;
  TW_TRY(tw_session_create(&config, &p->session));
  return tw_engine_begin_chains(e, p);
}

static tw_status create_host_preparation(tw_engine *e) {
  tw_session_config whole = tw_engine_whole_config(e);
  tw_preparation_destroy(&e->preparation);
  if (!e->preparation.arena.memory) TW_TRY(tw_engine_forecast_preparation(e));
  TW_TRY(tw_preparation_create(&e->preparation, &whole));
  if (!e->o.prepare_beside) TW_TRY(tw_preparation_finish(&e->preparation));
  if (e->trace && e->o.prepare_beside) tw_engine_trace_preparation(e->trace, &e->preparation);
  return TW_OK;
}

static tw_status prepare_host(tw_engine *e, const tw_engine_job *job) {
  tw_key_source source = job->source;
  if (e->trace) tw_trace_clear(tw_engine_trace_spans(e->trace));
  if (e->trace && e->o.keys == TW_KEYS_FILE)
    source = tw_engine_trace_keys(e->trace, &job->source, e->count > 1 ? e->parts[1].first : e->o.batch);
  TW_TRY(tw_host_feed_load(e->host_feed, &source));
  tw_opener opener = tw_host_opener(e->opens);
  if (e->trace) opener = tw_engine_trace_opener(e->trace, opener);
  for (int i = 0; i < e->count; i++) TW_TRY(open_host_part(e, &e->parts[i], opener));
  TW_TRY(create_host_preparation(e));
  for (int i = 0; i < e->count; i++) tw_preparation_attach(&e->preparation, &e->parts[i].session, &e->parts[i].taker);
  return TW_OK;
}

static void count_tokens(tw_engine *e, const tw_engine_job *job) {
  const tw_layer_shape *shape = &e->o.plan->shape;
  int batch = e->o.batch, *columns = e->host_lengths, *earlier = columns + batch, *tokens = earlier + batch;
  for (int i = 0; i < batch; i++) {
    columns[i] = shape->prefix + shape->earlier + job->lengths[i];
    earlier[i] = job->earlier ? job->earlier[i] : 0;
    tokens[i] = shape->prefix + earlier[i] + job->lengths[i];
  }
}

tw_status tw_engine_prepare(tw_engine *e, const tw_engine_job *job) {
  size_t batch = (size_t)e->o.batch;
  memcpy(e->host_slots, job->slots, 8 * batch);
  count_tokens(e, job);
  TW_TRY(e->k->upload(e->seeds, job->seeds, sizeof(tw_seed) * batch, e->stream));
  TW_TRY(e->k->upload(e->slots, job->slots, 8 * batch, e->stream));
  TW_TRY(e->k->upload(e->lengths, e->host_lengths, TW_COUNTS * sizeof(int) * batch, e->stream));
#ifdef TWAIN_CUDA
  if (e->device) return tw_engine_device_prepare(e, job);
#endif
  TW_TRY(e->k->upload(e->input, job->input, tw_engine_input_bytes(e), e->stream));
  return prepare_host(e, job);
}

tw_status tw_engine_online(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state) {
#ifdef TWAIN_CUDA
  if (e->device) return tw_engine_device_online(e);
#endif
  tw_opens_get_stats(e->opens, &e->before);
  tw_opens_restart_transcript(e->opens);
  if (e->trace) TW_TRY(tw_engine_trace_begin(e->trace));
  TW_TRY(tw_engine_run_halves(e, progress, progress_state));
  return e->trace ? tw_engine_trace_end(e->trace) : TW_OK;
}

static tw_status read_wire(tw_engine *e, const tw_engine_part *p, int wire, uint64_t *masked, uint64_t *mask) {
  size_t n = e->o.plan->program.tensors[wire].n, at = (size_t)p->first * n, bytes = 8 * (size_t)p->batch * n;
  const tw_buffer *out = &p->session.memory.buffers[wire];
  TW_TRY(e->k->download(masked + at, out->value, bytes, p->stream));
  return e->k->download(mask + at, out->mask[e->party], bytes, p->stream);
}

tw_status tw_engine_output(tw_engine *e, int number, uint64_t *masked, uint64_t *mask) {
  for (int i = 0; i < e->count; i++)
    TW_TRY(read_wire(e, &e->parts[i], e->o.plan->program.outputs[number], masked, mask));
  return TW_OK;
}

tw_status tw_engine_guard(tw_engine *e, uint64_t *masked, uint64_t *mask) {
  for (int i = 0; i < e->count; i++) TW_TRY(read_wire(e, &e->parts[i], e->o.plan->program.guard, masked, mask));
  return TW_OK;
}

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
  *s = (tw_engine_stats){.key_bytes = tw_engine_key_bytes(e),
                         .counters = e->counters,
                         .probe_latency_s = e->probe_latency,
                         .probe_bandwidth = e->probe_bandwidth,
                         .products_prepared_beside = e->preparation.beside};
#ifdef TWAIN_CUDA
  if (e->device) return tw_engine_device_stats(e, s);
#endif
  return host_stats(e, s);
}

tw_status tw_engine_get_trace(const tw_engine *e, tw_span **spans, int *count, uint64_t *dropped) {
  if (!e->trace) return tw_fail(TW_ERR_INTERNAL, "the trace of an engine that records none");
  return tw_trace_collect(tw_engine_trace_spans(e->trace), spans, count, dropped);
}

const double *tw_engine_step_seconds(tw_engine *e) {
  if (e->device) return e->step_seconds;
  double *sum = e->parts[0].session.step_seconds;
  for (int i = 1; i < e->count; i++)
    for (int j = 0; j < e->o.plan->program.step_count; j++) {
      sum[j] += e->parts[i].session.step_seconds[j];
      e->parts[i].session.step_seconds[j] = 0;
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
