#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench.h"
#include "app/bench/limits.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/device_dealer.h"
#include "jobs/parties/machine.h"
#include "kernels/device.h"

enum { LIMIT_BYTES = 256 << 20, LIMIT_REPEATS = 5 };

typedef struct {
  const tw_bench_settings *s;
  tw_device_kind device;
  char device_name[64];
  tw_plan plan;
  tw_model_dealer dealer;
  tw_seed seed[2];
  uint8_t *half[2];  // of the CPU's slot
  double setup, *seconds;
  tw_machine machine;
  double copy_rate, stream_rate;  // bytes a second; 0: unknown
  bool verified;
} bench;

static tw_status prepare(bench *b) {
  void *memory;
  TW_TRY(tw_hardware_alone(b->s->party.device, &b->device));
  TW_TRY(tw_bench_dealer(b->s, &b->plan, &b->dealer));
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_alloc(b->plan.program.slot_bytes[party], &memory));
    b->half[party] = memory;
  }
  TW_TRY(tw_alloc(sizeof(double) * (size_t)b->s->repeat, &memory));
  b->seconds = memory;
  snprintf(b->device_name, sizeof b->device_name, "cpu");
  TW_TRY(tw_machine_look(NULL, NULL, 1, &b->machine));
  tw_machine_warn(&tw_speaker, &b->machine);
  return b->device == TW_DEVICE_CUDA ? tw_machine_look_at_gpu(&b->machine) : TW_OK;
}

// ---- the CPU's slot ----

static tw_status deal_on_host(bench *b, const tw_model_masks *masks, uint64_t slot) {
  uint8_t *at[2] = {b->half[0], b->half[1]};
  tw_sink sink[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
  return tw_deal_slot(&b->plan, masks, b->seed, slot, sink, NULL, NULL);
}

static void draw_seeds(bench *b) {
  for (int party = 0; party < 2; party++) tw_seed_random(&b->seed[party]);
}

static tw_status measure_host(bench *b) {
  tw_model_masks masks;
  double start = tw_seconds();
  tw_status status = tw_model_masks_draw(&b->dealer, &b->plan.program, &tw_cpu_backend, NULL, &masks);
  b->setup = tw_seconds() - start;
  for (int i = 0; i < b->s->repeat && status == TW_OK; i++) {
    draw_seeds(b);
    start = tw_seconds();
    status = deal_on_host(b, &masks, (uint64_t)i);
    b->seconds[i] = tw_seconds() - start;
  }
  tw_model_masks_free(&masks);
  return status;
}

#ifdef TWAIN_CUDA
// ---- what bounds a GPU: copies to pinned memory (limits.h), and ChaCha20 ----

static tw_status best_stream(bench *b, void *stream, uint64_t *device) {
  tw_draw_args a = {.sequences = 1,
                    .seeds = (const tw_seed *)(const void *)device,
                    .slots = device + 4,
                    .n = LIMIT_BYTES / 8 - 8,
                    .out = device + 8};
  for (int i = 0; i < LIMIT_REPEATS; i++) {
    double start = tw_seconds();
    TW_TRY(tw_cuda_backend.draw(&a, stream));
    TW_TRY(tw_device_wait(stream));
    double rate = LIMIT_BYTES / (tw_seconds() - start);
    if (rate > b->stream_rate) b->stream_rate = rate;
  }
  return TW_OK;
}

static tw_status measure_limits(bench *b) {
  void *stream = NULL, *device = NULL;
  TW_TRY(tw_bench_copy_rate(&b->copy_rate));
  tw_status status = tw_device_stream_create(&stream);
  if (status == TW_OK) status = tw_cuda_backend.alloc(LIMIT_BYTES, &device);
  if (status == TW_OK) status = best_stream(b, stream, device);
  if (device) tw_cuda_backend.release(device, LIMIT_BYTES);
  tw_device_stream_destroy(stream);
  return status;
}

static tw_status repeat_on_device(bench *b, tw_device_dealer *d) {
  for (int i = 0; i < b->s->repeat; i++) {
    draw_seeds(b);
    double start = tw_seconds();
    TW_TRY(tw_device_dealer_begin(d, 0, b->seed, (uint64_t)i));
    TW_TRY(tw_device_dealer_wait(d));
    b->seconds[i] = tw_seconds() - start;
  }
  return TW_OK;
}

// The last slot again on the CPU.
static tw_status verify(bench *b, const tw_device_dealer *d) {
  tw_model_masks masks;
  int last = (int)b->s->repeat - 1;
  tw_status status = tw_model_masks_draw(&b->dealer, &b->plan.program, &tw_cpu_backend, NULL, &masks);
  if (status == TW_OK) status = deal_on_host(b, &masks, (uint64_t)last);
  tw_model_masks_free(&masks);
  TW_TRY(status);
  b->verified = true;
  for (int party = 0; party < 2; party++)
    if (memcmp(b->half[party], tw_device_dealer_half(d, 0, party), b->plan.program.slot_bytes[party]) != 0)
      b->verified = false;
  return b->verified ? TW_OK : tw_fail(TW_ERR_CHECK, "a slot dealt on the GPU differs from the CPU's");
}

static tw_status measure_device(bench *b) {
  tw_device_dealer *d;
  uint64_t left;
  TW_TRY(tw_device_describe(b->device_name, sizeof b->device_name, &left));
  TW_TRY(measure_limits(b));
  double start = tw_seconds();
  TW_TRY(tw_device_dealer_create(&b->plan, &b->dealer, (const bool[2]){true, true}, 1, &d));
  b->setup = tw_seconds() - start;
  tw_status status = repeat_on_device(b, d);
  if (status == TW_OK) status = verify(b, d);
  tw_device_dealer_destroy(d);
  return status;
}
#endif

// ---- what was found ----

// Random bytes behind one slot: both parties' masks, and each correction's pads on the other party's half.
static double stream_bytes(const tw_program *p) {
  double bytes = 0;
  for (int i = 0; i < p->correction_count; i++) {
    const tw_correction *c = &p->corrections[i];
    bytes += c->kind == TW_DEALT_BITS ? (double)c->n / 8 * c->width : (double)c->n * (c->width <= 32 ? 4 : 8);
  }
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens) continue;
    const tw_tensor *t = &p->tensors[p->ops[i].out[0]];
    bytes += 2 * (t->kind == TW_BITWIRE ? (double)t->n / 8 * t->planes : (double)t->n * (t->ring <= 32 ? 4 : 8));
  }
  return bytes;
}

static void print_table(const bench *b, double bytes) {
  tw_spread time = tw_spread_of(b->seconds, (int)b->s->repeat);
  tw_grid grid = {0};
  tw_grid_row(&grid, "keys for %s, %d tokens\t%s", b->s->model, (int)b->s->seq, "");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "device\t%s", b->device_name);
  tw_grid_row(&grid, "set-up, once a model and plan\t%.1f ms", 1e3 * b->setup);
  tw_grid_row(&grid, "a slot, both parties' halves\t%.1f MB", 1e-6 * bytes);
  tw_grid_row(&grid, "time a slot, median of %d\t%.2f ms", (int)b->s->repeat, 1e3 * time.median);
  tw_grid_row(&grid, "  shortest, longest\t%.2f ms, %.2f ms", 1e3 * time.least, 1e3 * time.most);
  tw_grid_row(&grid, "rate\t%.2f GB/s", 1e-9 * bytes / time.median);
  if (b->copy_rate > 0)
    tw_grid_row(&grid, "limit by copies to pinned memory\t%.2f ms (%.1f GB/s)", 1e3 * bytes / b->copy_rate,
                1e-9 * b->copy_rate);
  if (b->stream_rate > 0)
    tw_grid_row(&grid, "limit by ChaCha20\t%.2f ms (%.1f MB at %.0f GB/s)",
                1e3 * stream_bytes(&b->plan.program) / b->stream_rate, 1e-6 * stream_bytes(&b->plan.program),
                1e-9 * b->stream_rate);
  if (b->verified) tw_grid_row(&grid, "a slot against the CPU's\t%s", "equal, byte for byte");
  tw_grid_print(&grid);
}

static json_t *record_of(const bench *b) {
  json_t *r = tw_record_create("bench deal");
  tw_record_machine(r, &b->machine);
  tw_record_text(r, "device", b->device == TW_DEVICE_CUDA ? "cuda" : "cpu");
  tw_record_plan(r, &b->plan);
  tw_record_integer(r, "batch", 1);
  tw_record_integer(r, "key_bytes", (int64_t)b->plan.program.slot_bytes[0]);
  tw_record_integer(r, "repeats", b->s->repeat);
  tw_record_ns(r, "setup_ns", b->setup);
  tw_record_times(r, "time", b->seconds, (int)b->s->repeat);
  tw_record_integer(r, "stream_bytes", (int64_t)stream_bytes(&b->plan.program));
  if (b->copy_rate > 0) tw_record_real(r, "copy_bytes_per_second", b->copy_rate);
  if (b->stream_rate > 0) tw_record_real(r, "stream_bytes_per_second", b->stream_rate);
  if (b->verified) tw_record_flag(r, "verified", true);  // what was not is a failure, or was dealt on the CPU
  return r;
}

static tw_status print(const bench *b) {
  tw_format format;
  TW_TRY(tw_format_of(b->s->json, b->s->csv, &format));
  if (format != TW_AS_TABLE) return tw_record_print(record_of(b), format);
  print_table(b, (double)(b->plan.program.slot_bytes[0] + b->plan.program.slot_bytes[1]));
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  bench b = {.s = call->settings};
  tw_status status = prepare(&b);
#ifdef TWAIN_CUDA
  if (status == TW_OK && b.device == TW_DEVICE_CUDA)
    status = measure_device(&b);
  else
#endif
      if (status == TW_OK)
    status = measure_host(&b);
  if (status == TW_OK) status = print(&b);
  for (int party = 0; party < 2; party++) tw_free(b.half[party]);
  tw_free(b.seconds);
  tw_model_dealer_free(&b.dealer);
  tw_plan_free(&b.plan);
  return status;
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
    {.common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_bench_layers, .field = offsetof(settings, layers)},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.common = &tw_bench_repeat, .field = offsetof(settings, repeat), .help = "slots; the median counts"},
    {.common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_deal = {.name = "bench deal",
                                  .arguments = "",
                                  .summary = "one-time keys of both parties into memory, in one process",
                                  .about = "A slot that was dealt on a GPU is compared with the CPU's, byte for byte.",
                                  .options = options,
                                  .option_count = sizeof options / sizeof *options,
                                  .settings_size = sizeof(settings),
                                  .run = run};
