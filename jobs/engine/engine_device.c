// The engine on a GPU: everything between input and output is recorded once, as a graph, and launched for every batch.
// Long because set-up, recording and run of a GPU are one order of calls.
#include "jobs/engine/engine_state.h"

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
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/keys.h"
#include "jobs/engine/device_probe.h"
#include "kernels/device.h"

tw_status tw_device_choose(tw_device_kind wanted, int local_rank, tw_device_kind *chosen, int *index) {
  int count = wanted == TW_DEVICE_CPU ? 0 : tw_device_count();
  *chosen = count > 0 ? TW_DEVICE_CUDA : TW_DEVICE_CPU;
  *index = count > 0 ? local_rank % count : 0;
  if (wanted == TW_DEVICE_CUDA && count == 0)
    return tw_fail(TW_ERR_USAGE,
                   "--device cuda: no GPU answers; ask the scheduler for one a party, or use --device cpu");
  return TW_OK;
}

// The program's lists and tables, where kernels can read them.
static tw_status upload_program(tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  void *memory;
  TW_TRY(tw_engine_to_backend(e, p->pool, sizeof(int64_t) * p->pool_count, &memory));
  e->pool = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(p->table_count + 1), &memory));
  e->tables = memory;
  for (int i = 0; i < p->table_count; i++) {
    TW_TRY(tw_engine_to_backend(e, p->tables[i].values, 8 * p->tables[i].n, &memory));
    e->tables[i] = memory;
  }
  return TW_OK;
}

// Limbs of W^ and V_b; of a vector its values and its mask.
static size_t weight_bytes(const tw_engine *e, int i) {
  bool matrix = tw_shared_is_matrix(&e->o.model->config, i);
  size_t limbs = matrix ? ((size_t)tw_weight_ring(&e->o.plan->program, i) + 7) / 8 : 8;
  return 2 * limbs * tw_engine_elements(e->o.model, i);
}

static tw_key_feed_options key_options(tw_engine *e) {
  tw_key_feed_options o = {.windows = &e->windows,
                           .most = e->o.key_most,
                           .batch = e->o.batch,
                           .place = e->o.keys,
                           .halves = e->count,
                           .timed = e->o.time_gates,
                           .traced = e->o.trace};
  for (int i = 0; i < e->count; i++) {
    o.streams[i] = e->parts[i].stream;
    o.first[i] = e->parts[i].first;
  }
  return o;
}

typedef struct {
  size_t weights, arenas, products, keys, all;
} memory_parts;

// A matrix becomes limbs while W^ and V_b are there as elements, too: so set-up may need more than it leaves.
static size_t foresee_weights(const tw_engine *e, size_t *set_up) {
  size_t sum = 0;
  *set_up = 0;
  if (tw_engine_has_model(e)) return 0;  // it is there already
  for (int i = 0; i < e->o.model->count; i++) {
    bool matrix = tw_shared_is_matrix(&e->o.model->config, i);
    size_t bytes = weight_bytes(e, i), beside = matrix && bytes ? 16 * tw_engine_elements(e->o.model, i) : 0;
    sum += bytes;
    if (sum + beside > *set_up) *set_up = sum + beside;
  }
  return sum;
}

// Those of many rows fill the GPU one by one.
static bool spread_products(const tw_engine *e) {
  enum { FEW_ROWS = 511 };
  return e->o.batch * e->o.plan->shape.seq <= FEW_ROWS;
}

// Weight products run on streams of preparation and on those of parts, of which the first has preparation's, too.
static size_t foresee_products(const tw_engine *e) {
  size_t streams = (e->kept && spread_products(e) ? TW_FAN : 1) + (e->o.prepare_beside ? 1 : 0);
  size_t sum = streams * e->preparation.product_bytes;
  for (int i = 1; i < e->count; i++) sum += e->parts[i].product_bytes;
  return sum;
}

// Largest messages that the probe sends.
enum { PROBE_LARGE = 1 << 20 };

static tw_device_opener_options opener_options(const tw_engine *e) {
  tw_device_opener_options o = {e->o.channel, .halves = e->count, .chain_bytes = tw_engine_chain_box_bytes(e)};
  for (int i = 0; i < e->count; i++) o.streams[i] = e->parts[i].stream;
  tw_device_opener_room(&e->o.plan->program, e->o.batch, &o);
  if (o.message_words < PROBE_LARGE / 8) o.message_words = PROBE_LARGE / 8;
  return o;
}

static size_t foresee_program(const tw_program *p) {
  size_t words = p->pool_count;
  for (int i = 0; i < p->table_count; i++) words += p->tables[i].n;
  return 8 * words;
}

bool tw_engine_keys_have_room(tw_engine *e) {
  if (e->o.keys == TW_KEYS_RESIDENT) return true;
  tw_key_windows windows;
  tw_key_feed_options o = key_options(e);
  o.windows = &windows;
  if (tw_key_windows_of(&e->o.plan->program, e->party, &windows) != TW_OK) return false;
  bool whole = tw_key_feed_whole(&o);
  tw_key_windows_free(&windows);
  return whole;
}

static tw_status foresee(tw_engine *e, memory_parts *m) {
  size_t set_up, weights = foresee_weights(e, &set_up);
  tw_key_feed_options key = key_options(e);
  for (int i = 0; i < e->count; i++) TW_TRY(tw_engine_forecast(e, &e->parts[i], tw_key_feed_source(NULL, i)));
  TW_TRY(tw_engine_forecast_preparation(e));
  *m = (memory_parts){.weights = weights,
                      .arenas = e->preparation.arena.bytes,
                      .products = foresee_products(e),
                      .keys = (size_t)tw_key_feed_room(&key)};
  for (int i = 0; i < e->count; i++) m->arenas += e->parts[i].arena.bytes;
  size_t messages = 8 * (size_t)e->count * opener_options(e).message_words;
  m->all = m->arenas + m->products + m->weights + m->keys + messages + tw_engine_input_bytes(e);
  m->all += foresee_program(&e->o.plan->program) + tw_engine_chain_bytes(e);
  if (set_up > m->all) m->all = set_up;
  return TW_OK;
}

// By levels an engine with chains would need so much: whether they have a mailbox is known only when the parties have
// met.
static tw_status foresee_levels(tw_engine *e, memory_parts *m) {
  tw_chains chains = e->chains;
  e->chains = (tw_chains){.count = 0};
  tw_status status = foresee(e, m);
  e->chains = chains;
  return status;
}

// Both ways must have room. *most: of the one that needs more.
static tw_status foresee_ways(tw_engine *e, memory_parts *most) {
  memory_parts levels = {0}, m;
  if (e->chains.count) TW_TRY(foresee_levels(e, &levels));
  TW_TRY(foresee(e, &m));
  uint64_t now = (uint64_t)tw_device_memory_now();
  e->device_bytes = now + m.all;
  e->device_level_bytes = now + levels.all;
  *most = levels.all > m.all ? levels : m;
  return TW_OK;
}

// What the GPU must hold, said before it is asked for. All masks of a long sequence may be more than it has: then only
// products are prepared, before the input, and masks are drawn again.
static tw_status plan_memory(tw_engine *e) {
  uint64_t left;
  memory_parts m;
  TW_TRY(tw_device_describe(e->device_name, sizeof e->device_name, &left));
  if (e->o.device_most && e->o.device_most < left) left = e->o.device_most;
  TW_TRY(tw_key_windows_of(&e->o.plan->program, e->party, &e->windows));
  e->kept = true;
  TW_TRY(foresee_ways(e, &m));
  if (m.all > left) {
    e->kept = e->o.prepare_beside = false;
    TW_TRY(foresee_ways(e, &m));
  }
  e->device_key_bytes = m.keys;
  if (m.all <= left) return TW_OK;
  return tw_fail(
      TW_ERR_MEMORY,
      "%s: %d sequences of %d tokens need %zu bytes of GPU memory (%zu for masks and activations, %zu for weights, "
      "%zu for their products, %zu for keys), %llu are free; use a smaller batch",
      e->device_name, e->o.batch, e->o.plan->shape.seq, m.all, m.arenas, m.weights, m.products, m.keys,
      (unsigned long long)left);
}

tw_status tw_engine_device_foresee(tw_engine *e, bool ask_gpu, tw_engine_room *out) {
  memory_parts all_masks = {0}, no_masks = {0};
  TW_TRY(tw_key_windows_of(&e->o.plan->program, e->party, &e->windows));
  tw_key_feed_options key = key_options(e);
  out->keys = tw_key_feed_host_room(&key);
  out->messages = 8 * (uint64_t)e->count * opener_options(e).message_words;
  e->kept = true;
  tw_status status = ask_gpu ? foresee(e, &all_masks) : TW_OK;
  e->kept = e->o.prepare_beside = false;
  if (status == TW_OK && ask_gpu) status = foresee(e, &no_masks);
  out->device = all_masks.all;
  out->device_least = no_masks.all < all_masks.all ? no_masks.all : all_masks.all;
  tw_key_windows_free(&e->windows);
  return status;
}

static tw_status create_preparation(tw_engine *e) {
  tw_session_config whole = tw_engine_whole_config(e);
  whole.fan = &e->fan;
  TW_TRY(tw_preparation_create(&e->preparation, &whole));
  if (e->beside && e->o.trace) {
    TW_TRY(tw_step_timer_create(whole.program, e->beside, true, &e->preparation_timer));
    e->preparation.mark = tw_step_timer_mark;
    e->preparation.mark_state = e->preparation_timer;
  }
  return e->beside ? tw_preparation_cut(&e->preparation, e->beside) : TW_OK;
}

static tw_status open_part(tw_engine *e, tw_engine_part *p) {
  TW_TRY(e->k->alloc(p->arena.bytes, &p->arena.memory));
  tw_session_config config = tw_engine_part_config(e, p);
  config.opener = tw_device_opener_table(e->opener);
  if (e->trace) config.opener = tw_engine_trace_opener(e->trace, config.opener);
  config.source = tw_key_feed_source(e->feed, config.place.half);
  TW_TRY(tw_step_timer_create(config.program, p->stream, e->o.time_gates || e->o.trace, &p->timer));
  config.observers = (tw_observers){.mark = tw_step_timer_mark, .mark_state = p->timer};
  p->open = true;
  TW_TRY(tw_session_create(&config, &p->session));
  return tw_engine_begin_chains(e, p);
}

static tw_status fork_fan(void *state) {
  tw_engine *e = state;
  TW_TRY(tw_device_event_record(e->fan_events[0], e->fan.stream[0]));
  for (int i = 1; i < e->fan.count; i++) TW_TRY(tw_device_event_wait(e->fan_events[0], e->fan.stream[i]));
  return TW_OK;
}

static tw_status join_fan(void *state) {
  tw_engine *e = state;
  for (int i = 1; i < e->fan.count; i++) {
    TW_TRY(tw_device_event_record(e->fan_events[i], e->fan.stream[i]));
    TW_TRY(tw_device_event_wait(e->fan_events[i], e->fan.stream[0]));
  }
  return TW_OK;
}

static tw_status open_fan(tw_engine *e) {
  e->fan = (tw_fan){.stream = {e->stream},
                    .count = TW_FAN,
                    .products = spread_products(e),
                    .fork = fork_fan,
                    .join = join_fan,
                    .state = e};
  for (int i = 0; i < e->fan.count; i++) {
    if (i > 0) TW_TRY(tw_device_stream_create(&e->fan.stream[i]));
    TW_TRY(tw_device_event_create(&e->fan_events[i]));
  }
  return TW_OK;
}

// What is prepared beside the online work, also for chains, is to fill what that leaves.
tw_status tw_engine_create_stream(const tw_engine *e, void **stream) {
  return e->o.prepare_beside || e->chains.count ? tw_device_stream_create_urgent(stream)
                                                : tw_device_stream_create(stream);
}

static tw_status open_streams(tw_engine *e) {
  TW_TRY(tw_engine_create_stream(e, &e->stream));
  TW_TRY(tw_device_stream_create(&e->uploads));
  if (e->o.prepare_beside) TW_TRY(tw_device_stream_create(&e->beside));
  TW_TRY(tw_device_event_create(&e->forked));
  TW_TRY(open_fan(e));
  TW_TRY(tw_engine_open_lanes(e));
  for (int i = 0; i < e->count; i++) {
    tw_engine_part *p = &e->parts[i];
    TW_TRY(tw_device_event_create(&p->event));
    p->stream = e->stream;
    if (i > 0) TW_TRY(tw_engine_create_stream(e, &p->stream));
  }
  return TW_OK;
}

static tw_status open_transport(tw_engine *e) {
  enum { SMALL = 4096, TIMES = 20 };
  double small, large;
  tw_device_opener_options o = opener_options(e);
  TW_TRY(tw_device_opener_choose(&o, &e->o.transports, &e->opener, e->transport_why, sizeof e->transport_why));
  TW_TRY(tw_engine_open_chains(e));
  if (e->probe_bandwidth > 0) return TW_OK;  // taken over
  TW_TRY(tw_device_opener_probe(e->opener, SMALL, true, TIMES, &small));
  TW_TRY(tw_device_opener_probe(e->opener, PROBE_LARGE, true, TIMES, &large));
  e->probe_latency = small;
  e->probe_bandwidth = PROBE_LARGE / large;
  return TW_OK;
}

// Keys that are copied while preparation runs: as many as take no longer, at a tenth of the rate at which preparation
// writes. Beside the online work they are copied with the others.
static uint64_t keys_ahead(const tw_engine *e) {
  enum { RATES = 10 };
  uint64_t bytes = e->preparation.arena.bytes / RATES / (uint64_t)e->o.batch;
  return e->o.prepare_beside || e->o.trace ? 0 : bytes < TW_KEY_AHEAD ? bytes : TW_KEY_AHEAD;
}

static tw_status open_keys(tw_engine *e) {
  tw_key_feed_options keys = key_options(e);
  keys.ahead = keys_ahead(e);
  keys.aside = tw_engine_chain_stream(e);
  TW_TRY(tw_key_feed_create(&keys, &e->feed));
  tw_device_opener_stop_flag(e->opener, tw_key_feed_stop(e->feed));
  return TW_OK;
}

// Copies from memory that is not page-locked take several times as long; where none may be locked they do.
static void lock_input(tw_engine *e) {
  void *device;
  if (e->o.input && tw_host_map((void *)e->o.input, tw_engine_input_bytes(e), &device) == TW_OK)
    e->locked_input = (void *)e->o.input;
}

tw_status tw_engine_device_create(tw_engine *e) {
  void *memory;
  TW_TRY(plan_memory(e));
  TW_TRY(open_streams(e));
  TW_TRY(tw_alloc(sizeof(double) * (size_t)(e->o.plan->program.step_count + 1), &memory));
  e->step_seconds = memory;
  TW_TRY(tw_engine_set_up_model(e));
  TW_TRY(tw_engine_allocate_job(e));
  lock_input(e);
  TW_TRY(upload_program(e));
  TW_TRY(open_transport(e));
  TW_TRY(open_keys(e));
  TW_TRY(tw_engine_create_trace(e));
  for (int i = 0; i < e->count; i++) TW_TRY(open_part(e, &e->parts[i]));
  TW_TRY(create_preparation(e));
  return tw_device_wait(e->stream);
}

void tw_engine_device_stop(tw_engine *e) {
  tw_key_feed_end(e->feed);
  // A kernel that waits for a lost party must end before its memory goes; otherwise the graph goes before what it uses.
  if (!e->lost) tw_device_graph_destroy(e->graph);
  tw_device_opener_destroy(e->opener, e->lost);
  if (e->lost) tw_device_graph_destroy(e->graph);
  tw_device_graph_destroy(e->prepared);
  tw_engine_close_chains(e);
  tw_key_feed_destroy(e->feed);
  for (int i = 0; i < e->count; i++) {
    tw_step_timer_destroy(e->parts[i].timer);
    tw_device_event_destroy(e->parts[i].event);
  }
  tw_step_timer_destroy(e->preparation_timer);
  tw_host_unmap(e->locked_input);
  const tw_program *p = &e->o.plan->program;
  tw_engine_drop(e, (void *)e->pool, sizeof(int64_t) * p->pool_count);
  for (int i = 0; e->tables && i < p->table_count; i++) tw_engine_drop(e, (void *)e->tables[i], 8 * p->tables[i].n);
  tw_free(e->tables);
  tw_free(e->step_seconds);
  tw_key_windows_free(&e->windows);
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

static tw_status prepare_whole(tw_engine *e) {
  tw_preparation_rewind(&e->preparation);
  return tw_preparation_finish(&e->preparation);
}

// All stretches, on their own stream, from where the first part's is now.
static tw_status prepare_beside(tw_engine *e) {
  TW_TRY(tw_device_event_record(e->forked, e->stream));
  TW_TRY(tw_device_event_wait(e->forked, e->beside));
  tw_preparation_rewind(&e->preparation);
  if (e->preparation_timer) tw_step_timer_restart(e->preparation_timer);
  for (int i = 0; i < e->preparation.stretches; i++) TW_TRY(tw_preparation_enqueue(&e->preparation, i));
  return TW_OK;
}

static tw_status record_preparation(tw_engine *e) {
  TW_TRY(tw_device_capture_begin(e->stream));
  return tw_device_capture_end(e->stream, prepare_whole(e), &e->prepared);
}

// The first time memory is taken, also what products need on each stream (of the online phase: tw_session_reserve);
// from then on all work is the same on the same memory, so that graphs can hold it.
static tw_status prepare_first(tw_engine *e) {
  TW_TRY(prepare_whole(e));
  TW_TRY(tw_device_wait(e->stream));
  if (e->beside) {
    TW_TRY(prepare_beside(e));
    TW_TRY(tw_device_wait(e->beside));
  }
  for (int i = 0; i < e->count; i++) {
    tw_engine_part *p = &e->parts[i];
    tw_preparation_attach(&e->preparation, &p->session, &p->taker);
    TW_TRY(tw_session_reserve(&p->session));
  }
  e->ready = true;
  return e->beside ? TW_OK : record_preparation(e);
}

tw_status tw_engine_device_prepare(tw_engine *e, const tw_engine_job *job) {
  bool moved;
  TW_TRY(tw_key_feed_load(e->feed, &job->source, &moved));
  if (moved) {
    tw_device_graph_destroy(e->graph);
    e->graph = NULL;
  }
  TW_TRY(tw_key_feed_lead(e->feed));
  if (!e->ready)
    TW_TRY(prepare_first(e));
  else if (e->prepared)
    TW_TRY(tw_device_graph_launch(e->prepared, e->stream));
  TW_TRY(e->k->upload(e->input, job->input, tw_engine_input_bytes(e), e->uploads));
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
  TW_TRY(tw_engine_fork_chains(e));
  for (int i = 0; i < e->count; i++) {
    tw_session_rewind(&e->parts[i].session);
    tw_step_timer_restart(e->parts[i].timer);
  }
  TW_TRY(tw_engine_run_halves(e, NULL, NULL));
  for (int i = 0; i < e->count; i++) TW_TRY(tw_step_timer_end(e->parts[i].timer));
  TW_TRY(tw_engine_advance_chains(e));
  TW_TRY(tw_device_opener_record_end(e->opener));
  return join_parts(e);
}

static tw_status record(tw_engine *e) {
  TW_TRY(tw_device_capture_begin(e->stream));
  TW_TRY(tw_device_capture_end(e->stream, enqueue(e), &e->graph));
  return tw_engine_upload_chains(e);
}

// Of the parts together.
static tw_status read_timers(tw_engine *e) {
  int steps = e->o.plan->program.step_count;
  memset(e->step_seconds, 0, sizeof(double) * (size_t)steps);
  for (int i = 0; i < e->count; i++) {
    tw_engine_part *p = &e->parts[i];
    TW_TRY(tw_step_timer_read(p->timer, p->session.step_seconds));
    for (int j = 0; j < steps; j++) e->step_seconds[j] += p->session.step_seconds[j];
  }
  return TW_OK;
}

static tw_status read_trace(tw_engine *e) {
  if (!e->trace) return TW_OK;
  tw_trace *spans = tw_engine_trace_spans(e->trace);
  void *origin = tw_engine_trace_origin(e->trace);
  tw_trace_clear(spans);
  for (int i = 0; i < e->count; i++) {
    tw_engine_part *p = &e->parts[i];
    TW_TRY(tw_step_timer_spans(p->timer, origin, TW_TRACE_COMPUTE, i, spans));
  }
  if (e->preparation_timer) TW_TRY(tw_step_timer_spans(e->preparation_timer, origin, TW_TRACE_PREPARE, -1, spans));
  TW_TRY(tw_key_feed_spans(e->feed, origin, spans));
  return tw_engine_trace_end(e->trace);
}

static tw_status launch(tw_engine *e) {
  TW_TRY(tw_device_graph_launch(e->graph, e->stream));
  return tw_device_wait_for(e->stream, tw_channel_patience(e->o.channel));
}

static tw_status run_device(tw_engine *e) {
  if (!e->graph) TW_TRY(record(e));
  TW_TRY(tw_device_opener_run_begin(e->opener));
  tw_status status = launch(e);
  if (status == TW_OK) status = tw_key_feed_status(e->feed);  // then openings stopped, and what is relayed must, too
  tw_status ended = tw_device_opener_run_end(e->opener, status != TW_OK);
  TW_TRY(tw_key_feed_status(e->feed));  // the cause
  if (status != TW_OK) TW_TRY(tw_channel_in_time(e->o.channel));
  TW_TRY(ended);  // knows more
  TW_TRY(status);
  TW_TRY(read_timers(e));
  return read_trace(e);
}

tw_status tw_engine_device_online(tw_engine *e) {
  tw_status status = run_device(e);
  e->lost = status != TW_OK;
  return status;
}

tw_status tw_engine_device_stats(tw_engine *e, tw_engine_stats *s) {
  tw_device_opener_counts counts = tw_device_opener_get_counts(e->opener);
  counts.payload_bytes += tw_engine_chain_payload(e);
  s->counters.open_payload_bytes = s->counters.open_wire_bytes_sent = counts.payload_bytes;
  s->device_bytes = e->device_bytes;
  s->device_key_bytes = e->device_key_bytes;
  s->masks_again = !e->kept;
  TW_TRY(tw_device_opener_comm_ns(e->opener, &s->counters.open_comm_ns));
  TW_TRY(tw_key_feed_wait_ns(e->feed, &s->key_wait_ns));
  return tw_device_opener_transcript(e->opener, s->transcript);
}

void tw_engine_device_destroy(tw_engine *e) {
  tw_engine_close_lanes(e);
  for (int i = 1; i < e->count; i++) tw_device_stream_destroy(e->parts[i].stream);
  for (int i = 0; i < e->fan.count; i++) {
    tw_device_event_destroy(e->fan_events[i]);
    if (i > 0) tw_device_stream_destroy(e->fan.stream[i]);
  }
  tw_device_event_destroy(e->forked);
  tw_device_stream_destroy(e->beside);
  tw_device_stream_destroy(e->uploads);
  tw_device_stream_destroy(e->stream);
}
#endif
