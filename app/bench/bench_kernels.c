// Every kernel that the gates of one layer run, at the sizes of the model's plan, beside what bounds it.
#include "app/bench/bench_kernels.h"

#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/peak.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "base/clock.h"
#include "base/median.h"
#include "base/memory.h"
#include "jobs/models/import.h"
#include "kernels/device.h"

enum { RANDOM_BYTES = 4 << 20, COPY_WORDS = 32 << 20, REPLAYED = 50 };
#define LEAST_SECONDS 5e-3
// Dense int8 multiply-adds a second of an H100 or H200 SXM: NVIDIA's datasheet says 1979e12 operations.
#define DATASHEET_INT8_MACS (1979e12 / 2)

typedef struct {
  tw_kernel_bench b;
  const tw_bench_settings *s;
  char device_name[64];
  uint8_t *random;
  double *times;
  double copy_rate;  // bytes read and written a second
  void *timer[2];
  tw_grid grid;
  json_t *list;
} bench;

// ---- memory ----

static void fill(tw_kernel_bench *b, void *memory, size_t bytes) {
  bench *w = b->state;
  for (size_t at = 0; at < bytes && b->status == TW_OK; at += RANDOM_BYTES) {
    size_t part = bytes - at < RANDOM_BYTES ? bytes - at : RANDOM_BYTES;
    b->status = b->backend->upload((uint8_t *)memory + at, w->random, part, b->stream);
  }
}

uint64_t *tw_bench_room(tw_kernel_bench *b, size_t n) {
  void *memory;
  if (b->status == TW_OK && b->piece_count == TW_BENCH_PIECES)
    b->status = tw_fail(TW_ERR_INTERNAL, "a kernel with more than %d arrays", TW_BENCH_PIECES);
  if (b->status != TW_OK) return NULL;
  b->status = b->backend->alloc(8 * n, &memory);
  if (b->status != TW_OK) return NULL;
  b->pieces[b->piece_count].memory = memory;
  b->pieces[b->piece_count++].bytes = 8 * n;
  fill(b, memory, 8 * n);
  return memory;
}

static uint64_t *counted(tw_kernel_bench *b, size_t n) {
  b->bytes += 8 * (double)n;
  return tw_bench_room(b, n);
}
uint64_t *tw_bench_in(tw_kernel_bench *b, size_t n) { return counted(b, n); }
uint64_t *tw_bench_out(tw_kernel_bench *b, size_t n) { return counted(b, n); }

const int64_t *tw_bench_list(tw_kernel_bench *b, const int64_t *list, size_t count) {
  uint64_t *memory = tw_bench_in(b, count);
  if (b->status == TW_OK && count > 0) b->status = b->backend->upload(memory, list, 8 * count, b->stream);
  return (const int64_t *)memory;
}

static void release(tw_kernel_bench *b) {
  for (int i = 0; i < b->piece_count; i++) b->backend->release(b->pieces[i].memory, b->pieces[i].bytes);
  b->piece_count = 0;
  b->bytes = 0;
}

// ---- time ----

static tw_status measure_host(bench *w, tw_kernel_call *call, const void *args, double *seconds) {
  double start = tw_seconds();
  TW_TRY(call(w->b.backend, args, NULL));
  double once = tw_seconds() - start;
  int inside = once < LEAST_SECONDS ? (int)(LEAST_SECONDS / (once + 1e-8)) + 1 : 1;
  for (int64_t r = 0; r < w->s->repeat; r++) {
    start = tw_seconds();
    for (int i = 0; i < inside; i++) TW_TRY(call(w->b.backend, args, NULL));
    w->times[r] = (tw_seconds() - start) / inside;
  }
  *seconds = tw_median(w->times, (int)w->s->repeat);
  return TW_OK;
}

#ifdef TWAIN_CUDA
static tw_status replay(bench *w, void *graph) {
  TW_TRY(tw_device_graph_launch(graph, w->b.stream));
  TW_TRY(tw_device_wait(w->b.stream));
  for (int64_t r = 0; r < w->s->repeat; r++) {
    TW_TRY(tw_device_timer_record(w->timer[0], w->b.stream));
    TW_TRY(tw_device_graph_launch(graph, w->b.stream));
    TW_TRY(tw_device_timer_record(w->timer[1], w->b.stream));
    TW_TRY(tw_device_wait(w->b.stream));
    TW_TRY(tw_device_timer_between(w->timer[0], w->timer[1], &w->times[r]));
    w->times[r] /= REPLAYED;
  }
  return TW_OK;
}

static tw_status measure_device(bench *w, tw_kernel_call *call, const void *args, double *seconds) {
  void *graph = NULL;
  TW_TRY(call(w->b.backend, args, w->b.stream));  // what it allocates on its first use
  TW_TRY(tw_device_wait(w->b.stream));
  TW_TRY(tw_device_capture_begin(w->b.stream));
  tw_status status = TW_OK;
  for (int i = 0; i < REPLAYED && status == TW_OK; i++) status = call(w->b.backend, args, w->b.stream);
  status = tw_device_capture_end(w->b.stream, status, &graph);
  if (status == TW_OK) status = replay(w, graph);
  if (graph) tw_device_graph_destroy(graph);
  if (status == TW_OK) *seconds = tw_median(w->times, (int)w->s->repeat);
  return status;
}
#endif

static tw_status measure(bench *w, tw_kernel_call *call, const void *args, double *seconds) {
#ifdef TWAIN_CUDA
  if (w->b.on_device) return measure_device(w, call, args, seconds);
#endif
  return measure_host(w, call, args, seconds);
}

// ---- limits and rows ----

// Ring multiply-adds a second; a ring of L bytes takes L (L + 1) / 2 products of int8 limbs on a GPU.
static double peak_of(const bench *w, int ring) {
  double limbs = (ring + 7) / 8;
  if (w->b.on_device) return DATASHEET_INT8_MACS / (limbs * (limbs + 1) / 2);
  return tw_peak_macs(tw_isa_active(), ring);
}

static void add_row(bench *w, const tw_kernel_case *c, double seconds) {
  double memory = w->b.bytes / w->copy_rate, arithmetic = c->ring ? c->work / peak_of(w, c->ring) : 0;
  double limit = memory > arithmetic ? memory : arithmetic;
  if (!w->s->json)
    tw_grid_row(&w->grid, "%s\t%s\t%s\t%.2f\t%.1f\t%.2f%s\t%.2f%s\t%.0f %%", c->kernel, c->part, c->size, 1e6 * seconds,
                1e-9 * w->b.bytes / seconds, 1e-9 * c->work / seconds, c->ring ? " MAC" : "", 1e6 * limit,
                memory > arithmetic ? "" : " MAC", 100 * limit / seconds);
  json_array_append_new(
      w->list, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:s}", "kernel", c->kernel, "part",
                         c->part, "size", c->size, "seconds", seconds, "bytes", w->b.bytes, "work", c->work, "unit",
                         c->ring ? "multiply-adds" : "elements", "bytes_per_second", w->b.bytes / seconds,
                         "work_per_second", c->work / seconds, "limit_seconds", limit, "limited_by",
                         memory > arithmetic ? "memory" : "arithmetic"));
}

// Two parts of a layer may run the same kernel at one size.
static bool has_row(const bench *w, const tw_kernel_case *c) {
  size_t i;
  json_t *row;
  json_array_foreach(w->list, i, row) {
    if (strcmp(json_string_value(json_object_get(row, "kernel")), c->kernel) == 0 &&
        strcmp(json_string_value(json_object_get(row, "size")), c->size) == 0)
      return true;
  }
  return false;
}

void tw_bench_time(tw_kernel_bench *b, const tw_kernel_case *c, tw_kernel_call *call, const void *args) {
  double seconds = 0;
  if (b->status == TW_OK && !has_row(b->state, c)) {
    b->status = measure(b->state, call, args, &seconds);
    if (b->status == TW_OK) add_row(b->state, c, seconds);
  }
  release(b);
}

typedef struct {
  uint64_t *to, *from;
} copy_args;
static tw_status call_copy(const tw_backend *k, const void *args, void *stream) {
  const copy_args *a = args;
  return k->copy(a->to, a->from, 8 * (size_t)COPY_WORDS, stream);
}
static tw_status measure_copy(bench *w) {
  copy_args a = {.to = tw_bench_out(&w->b, COPY_WORDS), .from = tw_bench_in(&w->b, COPY_WORDS)};
  double seconds = 0;
  if (w->b.status == TW_OK) w->b.status = measure(w, call_copy, &a, &seconds);
  if (w->b.status == TW_OK) w->copy_rate = w->b.bytes / seconds;
  release(&w->b);
  return w->b.status;
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

// Gates of layer 0 and of the ends of the plan; `only`: this gate alone.
static tw_status time_plan(bench *w, const tw_model_config *config, tw_rounding rounding, tw_output output,
                           const char *only) {
  tw_plan plan;
  TW_TRY(tw_plan_make(config, (int)w->s->seq, rounding, output, false, NULL, &plan));
  const tw_program *p = &plan.program;
  for (int i = 0; i < p->op_count && w->b.status == TW_OK; i++) {
    const tw_op *op = &p->ops[i];
    if (only ? strcmp(op->gate->name, only) != 0 : p->steps[op->step].layer != 0) continue;
    if (!stands_for_its_kind(p, i)) continue;
    tw_bench_gate(&w->b, p, op);
    if (op->correction_count && !only && !tw_bench_takes(op)) tw_bench_corrections(&w->b, p, op);
  }
  tw_plan_free(&plan);
  return w->b.status;
}

static tw_status time_layer(bench *w) {
  tw_model_config config;
  TW_TRY(tw_shape_config(w->s->model, &config));
  config.layers = 1;
  TW_TRY(measure_copy(w));
  if (!w->s->json) {
    tw_grid_row(&w->grid, "kernel\tpart\tsize\tus\tGB/s\tG/s\tlimit us\tof limit");
    tw_grid_rule(&w->grid);
  }
  TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_TOKENS, NULL));
  // what only other outputs and roundings run
  TW_TRY(time_plan(w, &config, TW_DITHERED, TW_OUTPUT_POOLED, "pool_live"));
  return time_plan(w, &config, TW_FAITHFUL, TW_OUTPUT_TOKENS, "floor");
}

static tw_status prepare(bench *w) {
  tw_device_kind device;
  void *memory;
  TW_TRY(tw_hardware_alone(w->s->party.device, &device));
  TW_TRY(tw_alloc(RANDOM_BYTES, &memory));
  w->random = memory;
  randombytes_buf(w->random, RANDOM_BYTES);
  TW_TRY(tw_alloc(sizeof(double) * (size_t)w->s->repeat, &memory));
  w->times = memory;
  w->b.backend = &tw_cpu_backend;
  w->b.batch = (size_t)w->s->batch;
  snprintf(w->device_name, sizeof w->device_name, "cpu, one core, %s", tw_isa_name(tw_isa_active()));
#ifdef TWAIN_CUDA
  uint64_t left;
  if (device != TW_DEVICE_CUDA) return TW_OK;
  w->b.backend = &tw_cuda_backend;
  w->b.on_device = true;
  TW_TRY(tw_device_describe(w->device_name, sizeof w->device_name, &left));
  TW_TRY(tw_device_stream_create(&w->b.stream));
  TW_TRY(tw_device_timer_create(&w->timer[0]));
  TW_TRY(tw_device_timer_create(&w->timer[1]));
#endif
  return TW_OK;
}

static void clean_up(bench *w) {
#ifdef TWAIN_CUDA
  for (int i = 0; i < 2; i++)
    if (w->timer[i]) tw_device_event_destroy(w->timer[i]);
  if (w->b.stream) tw_device_stream_destroy(w->b.stream);
#endif
  json_decref(w->list);
  tw_free(w->random);
  tw_free(w->times);
}

static tw_status print(bench *w) {
  if (w->s->json)
    return tw_json_print(json_pack("{s:s, s:I, s:I, s:s, s:f, s:O}", "model", w->s->model, "seq", (json_int_t)w->s->seq,
                                   "batch", (json_int_t)w->s->batch, "device", w->device_name, "copy_bytes_per_second",
                                   w->copy_rate, "kernels", w->list));
  tw_grid_print(&w->grid);
  printf("%s; %s, %d tokens, batch %d: the largest of each kind of gate in each part of a layer\n", w->device_name,
         w->s->model, (int)w->s->seq, (int)w->s->batch);
  printf(
      "G/s: elements, or multiply-adds (MAC). limit: the bytes at %.0f GB/s, a copy of %d MB measured here; data\n"
      "that stays in a cache can be faster than that. ",
      1e-9 * w->copy_rate, (int)(8e-6 * COPY_WORDS));
  puts(w->b.on_device ? "MAC: int8 limbs at 1979e12 operations/s, a datasheet's\nnumber (H100, H200 SXM), not measured."
                      : "MAC: measured, the same instructions on registers alone.");
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  bench w = {.s = call->settings, .list = json_array()};
  w.b.state = &w;
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
