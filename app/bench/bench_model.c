#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/bench/bench.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/two_ranks.h"
#include "base/clock.h"
#include "base/median.h"
#include "base/memory.h"
#include "jobs/parties/bench_job.h"

enum { WARM_UP = 1, MOST_REPEATS = 1000, PASSES = 2 };

typedef struct {
  const tw_bench_settings *s;
  tw_channel *channel;
  tw_hardware hardware;
  char placement[256];
  tw_key_location keys;
  tw_bench_job *bench_job;
  tw_engine *engine;
  double setup, preparation[MOST_REPEATS], online[MOST_REPEATS];
  int used;  // repetitions of the bench_job: each pass goes on with fresh keys
  double serial_preparation, serial_online, serial_comm;  // --compare-overlap: without, and the opens' time
  tw_engine_stats stats;
  tw_bench_job_verdict verdict;
} bench;

static tw_status meet(bench *b) {
  uint8_t here = 1, there;
  return tw_channel_exchange(b->channel, &here, &there, 1);
}

static tw_status choose_keys(bench *b) {
  static const char *const names[] = {
      [TW_KEYS_FILE] = "file", [TW_KEYS_MEMORY] = "memory", [TW_KEYS_RESIDENT] = "resident"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(b->s->keys, names[i]) != 0) continue;
    b->keys = (tw_key_location)i;
    if (b->keys == TW_KEYS_RESIDENT && b->hardware.device != TW_DEVICE_CUDA)
      return tw_fail(TW_ERR_USAGE, "--keys resident: needs a GPU; use --keys memory or --keys file");
    return TW_OK;
  }
  return tw_fail(TW_ERR_USAGE, "unknown --keys '%s'; use memory, file or resident", b->s->keys);
}

// Party 0 draws the number that everything derives from.
static tw_status create_bench_job(bench *b) {
  uint64_t mine, theirs;
  randombytes_buf(&mine, sizeof mine);
  TW_TRY(tw_channel_exchange(b->channel, &mine, &theirs, sizeof mine));
  tw_bench_job_options o = {.shape = b->s->model,
                            .layers = (int)b->s->layers,
                            .seq = (int)b->s->seq,
                            .batch = (int)b->s->batch,
                            .repeat = (b->s->compare_overlap ? PASSES : 1) * ((int)b->s->repeat + WARM_UP),
                            .party = b->channel->party,
                            .guard = b->s->guard,
                            .device = b->hardware.device,
                            .keys = b->keys,
                            .number = b->channel->party == 0 ? mine : theirs};
  TW_TRY(tw_bench_job_create(&o, &b->bench_job));
  return meet(b);
}

static tw_status repeat_runs(bench *b) {
  int repeats = (int)b->s->repeat + WARM_UP;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 0; i < repeats; i++) {
    tw_engine_job job;
    int repetition = b->used++;
    TW_TRY(tw_bench_job_deal(b->bench_job, repetition, cores > 2 ? (int)cores / 2 : 1));
    TW_TRY(meet(b));
    double start = tw_seconds();
    TW_TRY(tw_bench_job_job(b->bench_job, repetition, &job));
    TW_TRY(tw_engine_prepare(b->engine, &job));
    TW_TRY(meet(b));
    double ready = tw_seconds();
    TW_TRY(tw_engine_online(b->engine, NULL, NULL));
    double end = tw_seconds();
    if (i < WARM_UP) continue;
    b->preparation[i - WARM_UP] = ready - start;
    b->online[i - WARM_UP] = end - ready;
  }
  return tw_engine_get_stats(b->engine, &b->stats);
}

// n elements: masked and this party's mask from the engine, the other party's from it. Free masked.
static tw_status exchange_wire(bench *b, tw_status (*read)(tw_engine *, uint64_t *, uint64_t *), size_t n,
                               tw_bench_job_wire *out) {
  void *memory;
  TW_TRY(tw_alloc(3 * 8 * n, &memory));
  out->masked = memory;
  out->mask[0] = out->masked + n;
  out->mask[1] = out->masked + 2 * n;
  TW_TRY(read(b->engine, out->masked, out->mask[0]));
  return tw_channel_exchange(b->channel, out->mask[0], out->mask[1], 8 * n);
}

// The last repetition's output against the emulator, by party 0.
static tw_status verify(bench *b) {
  const tw_plan *plan = tw_bench_job_plan(b->bench_job);
  bool guarded = plan->program.guard >= 0;
  tw_bench_job_wire output = {0}, guard = {0};
  tw_status status = exchange_wire(b, tw_engine_output,
                                   plan->program.tensors[plan->program.outputs[0]].n * (size_t)b->s->batch, &output);
  if (status == TW_OK && guarded) status = exchange_wire(b, tw_engine_guard, (size_t)b->s->batch, &guard);
  if (status == TW_OK && b->channel->party == 0)
    status = tw_bench_job_verify(b->bench_job, b->used - 1, &output, &guard, b->stats.transcript, &b->verdict);
  tw_free(output.masked);
  tw_free(guard.masked);
  tw_bench_job_verdict mine = b->verdict, theirs;  // party 1 learns it, so that both end alike
  if (status == TW_OK) status = tw_channel_exchange(b->channel, &mine, &theirs, sizeof theirs);
  if (status == TW_OK && b->channel->party == 1) b->verdict = theirs;
  return status;
}

// (wall without overlap - wall with) / sum of the opens' times without.
static double hidden_part(const bench *b, double online, double preparation) {
  double saved = b->serial_preparation + b->serial_online - preparation - online;
  return b->serial_comm > 0 ? saved / b->serial_comm : 0;
}

static void print_table(const bench *b, double online, double preparation) {
  const tw_plan *plan = tw_bench_job_plan(b->bench_job);
  uint64_t keys = plan->program.slot_bytes[0] * (uint64_t)b->s->batch;
  tw_grid grid = {0};
  tw_grid_row(&grid, "%s, %d tokens, batch %d\t%s", b->s->model, (int)b->s->seq, (int)b->s->batch, "");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "device\t%s", tw_engine_device_name(b->engine));
  tw_grid_row(&grid, "placement\t%s", b->placement);
  tw_grid_row(&grid, "transport\t%s (%s)", tw_engine_transport_name(b->engine), tw_engine_transport_why(b->engine));
  tw_grid_row(&grid, "set-up, once a model\t%.2f ms", 1e3 * b->setup);
  tw_grid_row(&grid, "preparation, once an inference\t%.2f ms", 1e3 * preparation);
  tw_grid_row(&grid, "online, median of %d\t%.2f ms", (int)b->s->repeat, 1e3 * online);
  if (b->s->compare_overlap) {
    tw_grid_row(&grid, "without overlap\tpreparation %.2f ms, online %.2f ms, of it opens %.2f ms",
                1e3 * b->serial_preparation, 1e3 * b->serial_online, 1e3 * b->serial_comm);
    tw_grid_row(&grid, "opens' time hidden\t%.0f %%", 100 * hidden_part(b, online, preparation));
  }
  tw_grid_row(&grid, "sequences a second, online\t%.2f", (double)b->s->batch / online);
  tw_grid_row(&grid, "sequences a second, with preparation\t%.2f", (double)b->s->batch / (online + preparation));
  tw_grid_row(&grid, "keys a party\t%.1f MB, %.2f GB/s while online", 1e-6 * (double)keys,
              1e-9 * (double)keys / online);
  tw_grid_row(&grid, "keys come from\t%s", b->s->keys);
  if (b->hardware.device == TW_DEVICE_CPU || b->s->verbose)
    tw_grid_row(&grid, "gates waited for keys\t%.2f ms", 1e-6 * (double)b->stats.key_wait_ns);
  tw_grid_row(&grid, "sent a party\t%.1f MB, %.2f GB/s while online",
              1e-6 * (double)b->stats.counters.open_payload_bytes,
              1e-9 * (double)b->stats.counters.open_payload_bytes / online);
  tw_grid_row(&grid, "rounds\t%llu, %.1f us each", (unsigned long long)b->stats.counters.rounds,
              1e6 * online / (double)b->stats.counters.rounds);
  tw_grid_row(&grid, "messages\t%llu on demand, %llu once enough was queued",
              (unsigned long long)b->stats.counters.open_flushes_demand,
              (unsigned long long)b->stats.counters.open_flushes_budget);
  tw_grid_row(&grid, "levels evaluated while an open was in flight\t%llu",
              (unsigned long long)b->stats.counters.flushes_overlapped);
  if (b->stats.products_prepared_beside)
    tw_grid_row(&grid, "weight products prepared beside\t%llu", (unsigned long long)b->stats.products_prepared_beside);
  if (b->stats.probe_bandwidth > 0)
    tw_grid_row(&grid, "transport, measured at start\t%.1f us an open of 4 KiB, %.1f GB/s each way at 1 MiB",
                1e6 * b->stats.probe_latency_s, 1e-9 * b->stats.probe_bandwidth);
  tw_grid_row(&grid, "output against the emulator\t%s", b->verdict.mismatches ? "DIFFERS" : "equal, bit for bit");
  if (b->verdict.out_of_bound)
    tw_grid_row(&grid, "values out of bound\t%llu, first in %s", (unsigned long long)b->verdict.out_of_bound,
                b->verdict.first_out_of_bound);
  tw_grid_print(&grid);
}

// Times of the last repetition, summed over layers.
static void print_gates(const bench *b) {
  const tw_program *p = &tw_bench_job_plan(b->bench_job)->program;
  const double *seconds = tw_engine_step_seconds(b->engine);
  tw_grid grid = {0};
  tw_grid_row(&grid, "step\tms");
  tw_grid_rule(&grid);
  for (int i = 0; i < p->step_count; i++) {
    double sum = 0;
    bool first = true;
    for (int j = 0; j < p->step_count; j++) {
      if (strcmp(p->steps[j].name, p->steps[i].name) != 0) continue;
      if (j < i) first = false;
      sum += seconds[j];
    }
    if (first) tw_grid_row(&grid, "%s\t%.3f", p->steps[i].name, 1e3 * sum);
  }
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "opens\t%.3f", 1e-6 * (double)b->stats.counters.open_comm_ns);
  tw_grid_print(&grid);
}

static tw_status print_json(const bench *b, double online, double preparation) {
  const tw_open_counters *c = &b->stats.counters;
  const tw_plan *plan = tw_bench_job_plan(b->bench_job);
  return tw_json_print(json_pack(
      "{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, "
      "s:f, s:f, s:f, "
      "s:f, s:f, s:f, s:I}",
      "model", b->s->model, "seq", (json_int_t)b->s->seq, "batch", (json_int_t)b->s->batch, "device",
      tw_engine_device_name(b->engine), "transport", tw_engine_transport_name(b->engine), "placement", b->placement,
      "keys", b->s->keys, "key_wait_seconds", 1e-9 * (double)b->stats.key_wait_ns, "setup_seconds", b->setup,
      "preparation_seconds", preparation, "online_seconds", online, "correction_bytes_per_party",
      (json_int_t)(plan->program.slot_bytes[0] * (uint64_t)b->s->batch), "sent_bytes_per_party",
      (json_int_t)c->open_payload_bytes, "rounds", (json_int_t)c->rounds, "verified", b->verdict.mismatches == 0,
      "out_of_bound", (json_int_t)b->verdict.out_of_bound, "open_flushes_demand", (json_int_t)c->open_flushes_demand,
      "open_flushes_budget", (json_int_t)c->open_flushes_budget, "flushes_overlapped",
      (json_int_t)c->flushes_overlapped, "open_comm_ns", (json_int_t)c->open_comm_ns, "open_wire_bytes_sent",
      (json_int_t)c->open_wire_bytes_sent, "probe_latency_seconds", b->stats.probe_latency_s, "probe_bytes_per_second",
      b->stats.probe_bandwidth, "serial_online_seconds", b->serial_online, "serial_preparation_seconds",
      b->serial_preparation, "serial_open_seconds", b->serial_comm, "hidden", hidden_part(b, online, preparation),
      "products_prepared_beside", (json_int_t)b->stats.products_prepared_beside));
}

// All repetitions on an engine of its own.
static tw_status pass(bench *b, bool overlap, bool beside, bool time_gates) {
  tw_engine_destroy(b->engine);
  b->engine = NULL;
  double start = tw_seconds();
  tw_engine_options o = {.plan = tw_bench_job_plan(b->bench_job),
                         .model = tw_bench_job_model(b->bench_job),
                         .channel = b->hardware.channel,
                         .batch = (int)b->s->batch,
                         .device = b->hardware.device,
                         .transports = b->hardware.ways,
                         .overlap = overlap,
                         .coalesce = b->s->coalesce > 8 ? (size_t)b->s->coalesce / 8 : 1,
                         .prepare_beside = beside,
                         .keys = b->keys,
                         .input = tw_bench_job_input(b->bench_job),
                         .time_gates = time_gates};
  TW_TRY(tw_engine_create(&o, &b->engine));
  b->setup = tw_seconds() - start;
  return repeat_runs(b);
}

static tw_status measure_serial(bench *b) {
  TW_TRY(pass(b, false, false, false));
  b->serial_comm = 1e-9 * (double)b->stats.counters.open_comm_ns;
  b->serial_online = tw_median(b->online, (int)b->s->repeat);
  b->serial_preparation = tw_median(b->preparation, (int)b->s->repeat);
  return TW_OK;
}

static tw_status measure(bench *b) {
  bool overlap, beside;
  TW_TRY(tw_hardware_meet(b->channel, &b->hardware));
  TW_TRY(tw_hardware_choose(&b->s->party, &b->hardware));
  TW_TRY(tw_hardware_take(b->channel, &b->hardware));
  TW_TRY(tw_hardware_place(b->channel, &b->hardware, &b->s->party, b->placement, sizeof b->placement));
  TW_TRY(tw_hardware_link(&b->hardware, &b->s->party));
  TW_TRY(tw_hardware_prepare(&b->hardware, &b->s->party, &beside));
  TW_TRY(tw_hardware_split(&b->hardware, &b->s->party, &overlap));
  if (b->s->compare_overlap && !beside) {
    if (b->s->batch < 2)
      return tw_fail(TW_ERR_USAGE,
                     "--compare-overlap: a single sequence has no halves; use --batch 2 or more, or --prepare during");
    overlap = true;
  }
  TW_TRY(choose_keys(b));
  TW_TRY(create_bench_job(b));
  if (b->s->compare_overlap) TW_TRY(measure_serial(b));
  TW_TRY(pass(b, overlap, beside, b->s->verbose));
  return verify(b);
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  bench *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  b->s = call->settings;
  b->channel = channel;
  tw_status status = measure(b);
  if (status == TW_OK && channel->party == 0) {
    double online = tw_median(b->online, (int)b->s->repeat), preparation = tw_median(b->preparation, (int)b->s->repeat);
    if (b->s->json)
      status = print_json(b, online, preparation);
    else
      print_table(b, online, preparation);
    if (b->s->verbose && !b->s->json) print_gates(b);
  }
  const tw_bench_job_verdict *v = &b->verdict;
  if (status == TW_OK && v->mismatches)
    status = tw_fail(TW_ERR_CHECK, "%llu output elements differ from the emulator's; values out of bound: %llu%s%s",
                     (unsigned long long)v->mismatches, (unsigned long long)v->out_of_bound,
                     v->out_of_bound ? ", first in " : "", v->first_out_of_bound);
  tw_engine_destroy(b->engine);
  tw_hardware_release(&b->hardware);
  tw_bench_job_destroy(b->bench_job);
  free(b);
  return status;
}

static tw_status run(const tw_call *call) {
  const tw_bench_settings *s = call->settings;
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  TW_TRY(tw_hardware_check(&s->party));
  return tw_two_ranks(call, &(tw_limits){s->party.silence_limit, 0}, body);
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
    {.group = "what is run", .common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_bench_layers, .field = offsetof(settings, layers)},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.common = &tw_bench_batch, .field = offsetof(settings, batch)},
    {.common = &tw_bench_repeat,
     .field = offsetof(settings, repeat),
     .help = "inferences, after one to warm up; the median counts"},
    {.name = "guard",
     .field = offsetof(settings, guard),
     .help = "the plan counts values out of bound, as `twain plan` makes it unless told otherwise"},
    {.name = "keys",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, keys),
     .value = "WHERE",
     .fallback = "memory",
     .help = "where keys lie when the clock starts: memory (page-locked for a GPU, and streamed to it), file (a key "
             "file under $TMPDIR, in the system's cache; read, checked and streamed), or resident (on the GPU)"},
    {.group = "where a party computes", .common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_affinity, .field = offsetof(settings, party.affinity)},
    {.group = "between the parties", .common = &tw_option_transport, .field = offsetof(settings, party.transport)},
    {.common = &tw_option_split_batch, .field = offsetof(settings, party.split_batch)},
    {.common = &tw_option_prepare, .field = offsetof(settings, party.prepare)},
    {.common = &tw_option_link_latency, .field = offsetof(settings, party.link.latency_seconds)},
    {.common = &tw_option_link_rate, .field = offsetof(settings, party.link.bytes_per_second)},
    {.common = &tw_option_silence_limit,
     .field = offsetof(settings, party.silence_limit),
     .fallback = "600"},  // party 1 hears nothing while party 0 runs the emulator
    {.name = "coalesce",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, coalesce),
     .value = "BYTES",
     .fallback = "0",
     .help = "with halves of a batch: openings wait until so many bytes of them share a message (0: each half sends "
             "its openings at once)",
     .low = 0,
     .high = 1e12},
    {.group = "what is told",
     .name = "compare-overlap",
     .field = offsetof(settings, compare_overlap),
     .help = "first without --split-batch and --prepare during, then with: how much of the openings' time is hidden"},
    {.common = &tw_option_verbose,
     .field = offsetof(settings, verbose),
     .help = "time of each gate (slows a GPU a little)"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
};

const tw_command tw_bench_model = {.name = "bench model",
                                   .arguments = "",
                                   .summary = "whole inferences with generated weights and TEST keys, by two parties",
                                   .about = "The last output is compared with the emulator's, bit for bit.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof *options,
                                   .settings_size = sizeof(settings),
                                   .launched = true,
                                   .run = run};
