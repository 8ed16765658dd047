// Every kernel that the gates of one layer run, at the sizes of the model's plan, beside what bounds it.
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench.h"
#include "app/bench/key_evaluations.h"
#include "app/bench/peak.h"
#include "app/bench/random_session.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "jobs/models/import.h"
#include "jobs/parties/machine.h"
#include "kernels/device.h"

enum { RANDOM_BYTES = 4 << 20, COPY_WORDS = 32 << 20, REPLAYED = 50 };
#define LEAST_SECONDS 5e-3
// Dense int8 multiply-adds a second of an H100 or H200 SXM: NVIDIA's datasheet says 1979e12 operations.
#define DATASHEET_INT8_MACS (1979e12 / 2)

typedef struct {
  const tw_bench_settings *s;
  const tw_backend *backend;
  bool on_device;
  void *stream;
  char device_name[64];
  uint8_t *random;
  double *times;
  double copy_rate;  // bytes read and written a second
  void *timer[2];
  tw_machine machine;
  tw_format format;
  tw_grid grid;
  json_t *list;
  // of the plan whose kernels run now
  const tw_program *program;
  const char *only;  // this gate alone; NULL: those of layer 0
  const tw_op *op;   // NULL: not to be timed
  const char *part;  // of the layer, to which it belongs
} bench;

// ---- time ----

static tw_status measure_host(bench *w, const tw_timed_call *call, double *seconds) {
  double start = tw_seconds();
  TW_TRY(call->run(call->args, NULL));
  double once = tw_seconds() - start;
  int inside = once < LEAST_SECONDS ? (int)(LEAST_SECONDS / (once + 1e-8)) + 1 : 1;
  for (int64_t r = 0; r < w->s->repeat; r++) {
    start = tw_seconds();
    for (int i = 0; i < inside; i++) TW_TRY(call->run(call->args, NULL));
    w->times[r] = (tw_seconds() - start) / inside;
  }
  *seconds = tw_spread_of(w->times, (int)w->s->repeat).median;
  return TW_OK;
}

#ifdef TWAIN_CUDA
static tw_status replay(bench *w, void *graph) {
  TW_TRY(tw_device_graph_launch(graph, w->stream));
  TW_TRY(tw_device_wait(w->stream));
  for (int64_t r = 0; r < w->s->repeat; r++) {
    TW_TRY(tw_device_timer_record(w->timer[0], w->stream));
    TW_TRY(tw_device_graph_launch(graph, w->stream));
    TW_TRY(tw_device_timer_record(w->timer[1], w->stream));
    TW_TRY(tw_device_wait(w->stream));
    TW_TRY(tw_device_timer_between(w->timer[0], w->timer[1], &w->times[r]));
    w->times[r] /= REPLAYED;
  }
  return TW_OK;
}

static tw_status measure_device(bench *w, const tw_timed_call *call, double *seconds) {
  void *graph = NULL;
  TW_TRY(call->run(call->args, w->stream));  // what it allocates on its first use
  TW_TRY(tw_device_wait(w->stream));
  TW_TRY(tw_device_capture_begin(w->stream));
  tw_status status = TW_OK;
  for (int i = 0; i < REPLAYED && status == TW_OK; i++) status = call->run(call->args, w->stream);
  status = tw_device_capture_end(w->stream, status, &graph);
  if (status == TW_OK) status = replay(w, graph);
  if (graph) tw_device_graph_destroy(graph);
  if (status == TW_OK) *seconds = tw_spread_of(w->times, (int)w->s->repeat).median;
  return status;
}
#endif

static tw_status measure(bench *w, const tw_timed_call *call, double *seconds) {
#ifdef TWAIN_CUDA
  if (w->on_device) return measure_device(w, call, seconds);
#endif
  return measure_host(w, call, seconds);
}

// ---- limits and rows ----

// Ring multiply-adds a second; a ring of L bytes takes L (L + 1) / 2 products of int8 limbs on a GPU.
static double peak_of(const bench *w, int ring) {
  double limbs = (ring + 7) / 8;
  if (w->on_device) return DATASHEET_INT8_MACS / (limbs * (limbs + 1) / 2);
  return tw_peak_macs(tw_isa_active(), ring);
}

static json_t *record_of(const bench *w, const char *kernel, const tw_kernel_cost *c, double limit,
                         const char *limited_by) {
  json_t *r = tw_record_create("bench kernels");
  tw_record_machine(r, &w->machine);
  tw_record_text(r, "device", w->on_device ? "cuda" : "cpu");
  tw_record_text(r, "model", w->s->model);
  tw_record_integer(r, "tokens", w->s->seq);
  tw_record_integer(r, "batch", w->s->batch);
  tw_record_text(r, "part", w->part);
  tw_record_text(r, "kernel", kernel);
  tw_record_text(r, "size", c->size);
  if (c->ring) tw_record_integer(r, "ring_bits", c->ring);
  tw_record_integer(r, "moved_bytes", (int64_t)c->bytes);
  tw_record_real(r, "work", c->work);
  tw_record_text(r, "work_unit", c->ring ? "multiply-adds" : "elements");
  tw_record_integer(r, "repeats", w->s->repeat);
  tw_record_times(r, "time", w->times, (int)w->s->repeat);
  tw_record_ns(r, "limit_ns", limit);
  tw_record_text(r, "limited_by", limited_by);
  tw_record_real(r, "copy_bytes_per_second", w->copy_rate);
  return r;
}

static void add_row(bench *w, const char *kernel, const tw_kernel_cost *c, double seconds) {
  double memory = c->bytes / w->copy_rate, arithmetic = c->ring ? c->work / peak_of(w, c->ring) : 0;
  double limit = memory > arithmetic ? memory : arithmetic;
  if (w->format == TW_AS_TABLE)
    tw_grid_row(&w->grid, "%s\t%s\t%s\t%.2f\t%.1f\t%.2f%s\t%.2f%s\t%.0f %%", kernel, w->part, c->size, 1e6 * seconds,
                1e-9 * c->bytes / seconds, 1e-9 * c->work / seconds, c->ring ? " MAC" : "", 1e6 * limit,
                memory > arithmetic ? "" : " MAC", 100 * limit / seconds);
  json_array_append_new(w->list, record_of(w, kernel, c, limit, memory > arithmetic ? "memory" : "arithmetic"));
}

// Two parts of a layer may run the same kernel at one size.
static bool has_row(const bench *w, const char *kernel, const char *size) {
  size_t i;
  json_t *row;
  json_array_foreach(w->list, i, row) {
    if (strcmp(json_string_value(json_object_get(row, "kernel")), kernel) == 0 &&
        strcmp(json_string_value(json_object_get(row, "size")), size) == 0)
      return true;
  }
  return false;
}

static bool wanted(void *state, const char *kernel, const tw_kernel_cost *cost) {
  const bench *w = state;
  return w->op && !has_row(w, kernel, cost->size);
}

static tw_status time_call(void *state, const tw_timed_call *call, void *stream) {
  bench *w = state;
  double seconds;
  (void)stream;
  TW_TRY(measure(w, call, &seconds));
  add_row(w, call->kernel, &call->cost, seconds);
  return TW_OK;
}

typedef struct {
  const tw_backend *backend;
  void *to, *from;
} copy_args;

static tw_status run_copy(const void *args, void *stream) {
  const copy_args *a = args;
  return a->backend->copy(a->to, a->from, 8 * (size_t)COPY_WORDS, stream);
}

static tw_status measure_copy(bench *w) {
  copy_args a = {.backend = w->backend};
  tw_timed_call call = {.kernel = "copy", .run = run_copy, .args = &a};
  size_t bytes = 8 * (size_t)COPY_WORDS;
  double seconds = 0;
  TW_TRY(w->backend->alloc(bytes, &a.to));
  tw_status status = w->backend->alloc(bytes, &a.from);
  if (status == TW_OK) status = w->backend->fill(a.from, 0x5a, bytes, w->stream);
  if (status == TW_OK) status = measure(w, &call, &seconds);
  if (a.from) w->backend->release(a.from, bytes);
  w->backend->release(a.to, bytes);
  if (status == TW_OK) w->copy_rate = 2 * (double)bytes / seconds;
  return status;
}

// ---- a layer ----

static double size_of(const tw_program *p, const tw_op *op) {
  const tw_tensor *t = &p->tensors[op->out[0]];
  return t->kind == TW_WIRE || t->kind == TW_SHARE ? 64 * (double)t->n : (double)t->planes * (double)t->n;
}
static bool opens_bits(const tw_program *p, const tw_op *op) {
  return op->opens && p->tensors[op->out[0]].kind == TW_BITWIRE;
}
static bool alike(const tw_program *p, const tw_op *a, const tw_op *b) {
  const tw_step *x = &p->steps[a->step], *y = &p->steps[b->step];
  return a->gate == b->gate && opens_bits(p, a) == opens_bits(p, b) && x->layer == y->layer &&
         strcmp(x->name, y->name) == 0;
}

// The largest of its gates in its part of the layer.
static bool stands_for_its_kind(const tw_program *p, int index) {
  const tw_op *op = &p->ops[index];
  for (int i = 0; i < p->op_count; i++)
    if (i != index && alike(p, &p->ops[i], op)) {
      double other = size_of(p, &p->ops[i]), own = size_of(p, op);
      if (other > own || (other == own && i < index)) return false;
    }
  return true;
}

static tw_status choose(void *state, int index) {
  bench *w = state;
  const tw_op *op = &w->program->ops[index];
  bool here = w->only ? strcmp(op->gate->name, w->only) == 0 : w->program->steps[op->step].layer == 0;
  w->op = here && stands_for_its_kind(w->program, index) ? op : NULL;
  w->part = w->program->steps[op->step].name;
  return TW_OK;
}

// Gates of layer 0; `only`: this gate alone.
static tw_status time_plan(bench *w, const tw_model_config *config, tw_rounding rounding, tw_output output,
                           const char *engine, const char *only) {
  tw_plan plan;
  tw_plan_request request = {.seq = (int)w->s->seq, .rounding = rounding, .output = output};
  tw_choice_words words = nothing_chosen;
  words.engine = engine;
  TW_TRY(tw_choices_of(&words, config, &request));
  TW_TRY(tw_plan_make(config, &request, NULL, &plan));
  w->program = &plan.program;
  w->only = only;
  w->op = NULL;
  tw_random_session r = {.plan = &plan,
                         .config = config,
                         .batch = (int)w->s->batch,
                         .backend = w->backend,
                         .on_device = w->on_device,
                         .stream = w->stream,
                         .random = w->random,
                         .random_bytes = RANDOM_BYTES,
                         .wanted = wanted,
                         .time = time_call,
                         .gate = choose,
                         .state = w};
  tw_status status = tw_random_session_run(&r);
  tw_plan_free(&plan);
  return status;
}

// Comparisons by keys of 20 bits, of which no layer has any: what is usually told of other software.
static tw_status time_evaluations(bench *w) {
  tw_key_evaluations *e = NULL;
  tw_timed_call call[TW_EVALUATION_CALLS];
  double seconds;
  int count = 0;
  w->part = "keys of 20 bits";
  tw_status status = tw_key_evaluations_make(w->backend, w->on_device, w->stream, w->random, RANDOM_BYTES, &e);
  if (status == TW_OK) count = tw_key_evaluations_calls(e, call);
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = measure(w, &call[i], &seconds);
    if (status == TW_OK) add_row(w, call[i].kernel, &call[i].cost, seconds);
  }
  tw_key_evaluations_free(e);
  return status;
}

static tw_status time_layer(bench *w) {
  tw_model_config config;
  TW_TRY(tw_shape_config(w->s->model, &config));
  config.layers = 1;
  TW_TRY(measure_copy(w));
  if (w->format == TW_AS_TABLE) {
    tw_grid_row(&w->grid, "kernel\tpart\tsize\tus\tGB/s\tG/s\tlimit us\tof limit");
    tw_grid_rule(&w->grid);
  }
  TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_TOKENS, NULL, NULL));
  // what only other engines, outputs and roundings run
  TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_TOKENS, "pfss", "segments by key"));
  TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_TOKENS, "pfss", "window by key"));
  if (!tw_decoder_layout_of(&config)) TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_POOLED, NULL, "pool_live"));
  TW_TRY(time_plan(w, &config, TW_FAITHFUL, TW_OUTPUT_TOKENS, NULL, "floor"));
  return time_evaluations(w);
}

static tw_status prepare(bench *w) {
  tw_device_kind device;
  void *memory;
  TW_TRY(tw_format_of(w->s->json, w->s->csv, &w->format));
  TW_TRY(tw_hardware_alone(w->s->party.device, &device));
  TW_TRY(tw_machine_look(NULL, NULL, 1, &w->machine));
  tw_machine_warn(&tw_speaker, &w->machine);
  TW_TRY(tw_alloc(RANDOM_BYTES, &memory));
  w->random = memory;
  randombytes_buf(w->random, RANDOM_BYTES);
  TW_TRY(tw_alloc(sizeof(double) * (size_t)w->s->repeat, &memory));
  w->times = memory;
  w->backend = &tw_cpu_backend;
  snprintf(w->device_name, sizeof w->device_name, "cpu, one core, %s", tw_isa_name(tw_isa_active()));
#ifdef TWAIN_CUDA
  uint64_t left;
  if (device != TW_DEVICE_CUDA) return TW_OK;
  w->backend = &tw_cuda_backend;
  w->on_device = true;
  TW_TRY(tw_device_describe(w->device_name, sizeof w->device_name, &left));
  TW_TRY(tw_machine_look_at_gpu(&w->machine));
  TW_TRY(tw_device_stream_create(&w->stream));
  TW_TRY(tw_device_timer_create(&w->timer[0]));
  TW_TRY(tw_device_timer_create(&w->timer[1]));
#endif
  return TW_OK;
}

static void clean_up(bench *w) {
#ifdef TWAIN_CUDA
  for (int i = 0; i < 2; i++)
    if (w->timer[i]) tw_device_event_destroy(w->timer[i]);
  if (w->stream) tw_device_stream_destroy(w->stream);
#endif
  json_decref(w->list);
  tw_free(w->random);
  tw_free(w->times);
}

static tw_status print(bench *w) {
  if (w->format != TW_AS_TABLE) return tw_records_print(json_incref(w->list), w->format);
  tw_grid_print(&w->grid);
  printf("%s; %s, %d tokens, batch %d: the largest of each kind of gate in each part of a layer\n", w->device_name,
         w->s->model, (int)w->s->seq, (int)w->s->batch);
  printf(
      "G/s: elements, or multiply-adds (MAC). limit: the bytes at %.0f GB/s, a copy of %d MB measured here; data\n"
      "that stays in a cache can be faster than that. ",
      1e-9 * w->copy_rate, (int)(8e-6 * COPY_WORDS));
  puts(w->on_device ? "MAC: int8 limbs at 1979e12 operations/s, a datasheet's\nnumber (H100, H200 SXM), not measured."
                    : "MAC: measured, the same instructions on registers alone.");
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  bench w = {.s = call->settings, .list = json_array()};
  tw_status status = prepare(&w);
  if (status == TW_OK) status = time_layer(&w);
  if (status == TW_OK) status = print(&w);
  clean_up(&w);
  return status;
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
    {.common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.common = &tw_bench_batch, .field = offsetof(settings, batch)},
    {.common = &tw_bench_repeat, .field = offsetof(settings, repeat), .help = "times; the median counts"},
    {.common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_kernels = {
    .name = "bench kernels",
    .arguments = "",
    .summary = "every kernel that a layer's gates run, at the sizes of the model's plan",
    .about = "Each beside the time that its bytes or multiply-adds take at least.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .run = run};
