#include "app/bench/bench_point.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/secrets.h"
#include "base/clock.h"
#include "base/memory.h"
#include "jobs/models/import.h"

enum { WARM_UP = 1, PASSES = 2 };

tw_status tw_bench_meet(tw_channel *channel, const tw_bench_settings *s, tw_bench_parties *p) {
  int threads = strcmp(s->keys, "file") == 0 ? 2 : 1;  // one computes, one may read keys
  p->channel = channel;
  TW_TRY(tw_hardware_meet(channel, &p->hardware));
  TW_TRY(tw_hardware_choose(&s->party, &p->hardware));
  TW_TRY(tw_hardware_take(channel, &p->hardware));
  TW_TRY(tw_hardware_place(channel, &p->hardware, &s->party, p->placement, sizeof p->placement));
  TW_TRY(tw_machine_look(channel, &p->hardware, threads, &p->machine));
  if (channel->party == 0 || !p->hardware.pair.one_host) tw_machine_warn(&tw_speaker, &p->machine);
  return TW_OK;
}

// ---- both or none

// Both parties have come to this place, and `mine` is what this one found on the way: a failure of one is both's.
static tw_status together(tw_bench_point *p, tw_status mine) {
  uint8_t here = mine == TW_OK, there = 0;
  TW_TRY(tw_channel_exchange(p->parties->channel, &here, &there, 1));
  if (here && there == 1) return TW_OK;
  char said[256] = "", heard[256];
  if (!here) snprintf(said, sizeof said, "%s", tw_error_message());
  TW_TRY(tw_channel_exchange(p->parties->channel, said, heard, sizeof said));
  p->refused = true;
  heard[sizeof heard - 1] = '\0';
  return here ? tw_fail(TW_ERR_PEER, "the other party refuses: %s", heard) : mine;
}

// ---- set-up

tw_status tw_bench_keys_parse(const char *text, tw_key_location *out) {
  static const char *const names[] = {
      [TW_KEYS_FILE] = "file", [TW_KEYS_MEMORY] = "memory", [TW_KEYS_RESIDENT] = "resident"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = (tw_key_location)i;
    return TW_OK;
  }
  return tw_fail(TW_ERR_USAGE, "unknown --keys '%s'; use memory, file or resident", text);
}

static tw_status choose_keys(tw_bench_point *p) {
  TW_TRY(tw_bench_keys_parse(p->s->keys, &p->keys));
  if (p->keys == TW_KEYS_RESIDENT && p->hardware.device != TW_DEVICE_CUDA)
    return tw_fail(TW_ERR_USAGE, "--keys resident: needs a GPU; use --keys memory or --keys file");
  return TW_OK;
}

static tw_status choose(tw_bench_point *p) {
  TW_TRY(tw_hardware_prepare(&p->hardware, &p->s->party, &p->during));
  TW_TRY(tw_hardware_split(&p->hardware, &p->s->party, &p->split));
  if (p->s->compare_overlap && !p->during) {
    if (p->s->batch < 2)
      return tw_fail(TW_ERR_USAGE,
                     "--compare-overlap: a single sequence has no halves; use --batch 2 or more, or --prepare during");
    p->split = true;
  }
  return choose_keys(p);
}

static tw_status check_room(const tw_bench_point *p, const tw_bench_job_options *o) {
  uint64_t bytes;
  int64_t left = tw_machine_memory_left();
  int parties = p->hardware.pair.one_host ? 2 : 1;
  TW_TRY(tw_bench_job_forecast(o, &bytes));
  if (left < 0 || bytes <= (uint64_t)left / (uint64_t)parties) return TW_OK;
  return tw_fail(TW_ERR_MEMORY, "needs about %.1f GB of memory a party, and %.1f GB are left for %s",
                 1e-9 * (double)bytes, 1e-9 * (double)left, parties == 2 ? "both" : "it");
}

static tw_status request_of(const tw_bench_settings *s, tw_plan_request *plan) {
  tw_model_config config;
  *plan = (tw_plan_request){.seq = (int)s->seq, .guard = s->guard};
  TW_TRY(tw_output_of(s->result, s->generate, &plan->output));
  if (s->generate > 0) plan->generated = (int)s->generate;
  TW_TRY(tw_shape_config(s->model, &config));
  return tw_choices_of(&s->choices, &config, plan);
}

static bool goes_on(const tw_bench_settings *s) { return s->generate > 1; }

// Everything derives from a number that party 0 draws. A text's first token first.
static tw_status create_job(tw_bench_point *p, bool careful, uint64_t number, const tw_plan_request *whole) {
  tw_plan_request plan = *whole;
  TW_TRY(choose(p));
  tw_bench_job_options o = {.shape = p->s->model,
                            .layers = (int)p->s->layers,
                            .batch = (int)p->s->batch,
                            .repeat = (p->s->compare_overlap ? PASSES : 1) * ((int)p->s->repeat + WARM_UP),
                            .party = p->parties->channel->party,
                            .plan = plan,
                            .device = p->hardware.device,
                            .keys = p->keys,
                            .number = number};
  if (careful) TW_TRY(check_room(p, &o));
  if (goes_on(p->s)) o.plan.generated = 1;
  return tw_bench_job_create(&o, &p->job);
}

// ---- repetitions

static tw_status repeat_runs(tw_bench_point *p, tw_bench_times *times) {
  int repeats = (int)p->s->repeat + WARM_UP;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 0; i < repeats; i++) {
    tw_engine_job job;
    int repetition = p->used++;
    TW_TRY(together(p, tw_bench_job_deal(p->job, repetition, cores > 2 ? (int)cores / 2 : 1)));
    double start = tw_seconds();
    tw_status status = tw_bench_job_job(p->job, repetition, &job);
    if (status == TW_OK) status = tw_engine_prepare(p->engine, &job);
    TW_TRY(together(p, status));
    double ready = tw_seconds();
    TW_TRY(tw_engine_online(p->engine, NULL, NULL));
    double end = tw_seconds();
    if (i < WARM_UP) continue;
    times->preparation[i - WARM_UP] = ready - start;
    times->online[i - WARM_UP] = end - ready;
  }
  return tw_engine_get_stats(p->engine, &p->stats);
}

// All repetitions on an engine of its own.
static tw_status pass(tw_bench_point *p, bool split, bool during, tw_bench_times *times) {
  tw_engine_destroy(p->engine);
  p->engine = NULL;
  double start = tw_seconds();
  tw_engine_options o = {.plan = tw_bench_job_plan(p->job),
                         .model = tw_bench_job_model(p->job),
                         .channel = p->hardware.channel,
                         .batch = (int)p->s->batch,
                         .device = p->hardware.device,
                         .transports = p->hardware.ways,
                         .overlap = split,
                         .coalesce = p->s->coalesce > 8 ? (size_t)p->s->coalesce / 8 : 1,
                         .prepare_beside = during,
                         .keys = p->keys,
                         .key_most = (uint64_t)p->s->key_ring,
                         .device_most = (uint64_t)p->s->gpu_memory,
                         .input = tw_bench_job_input(p->job),
                         .chain_rows = p->s->chains,
                         .time_gates = p->s->verbose && times == &p->times};
  tw_status status = tw_engine_create(&o, &p->engine);
  p->setup = tw_seconds() - start;
  TW_TRY(together(p, status));
  return repeat_runs(p, times);
}

// As fast as the rest of the text would be: by the same choices.
static tw_status measure_first(tw_bench_point *p, const tw_plan_request *whole) {
  TW_TRY(pass(p, p->split, p->during, &p->first));
  tw_engine_destroy(p->engine);
  p->engine = NULL;
  p->used = 0;
  return together(p, tw_bench_job_replan(p->job, whole));
}

static tw_status measure_serial(tw_bench_point *p) {
  TW_TRY(pass(p, false, false, &p->serial));
  p->serial_open = 1e-9 * (double)p->stats.counters.open_comm_ns;
  return TW_OK;
}

// ---- check

// n elements: masked and this party's mask from the engine, the other party's from it. Free masked.
static tw_status exchange_wire(tw_bench_point *p, tw_status (*read)(tw_engine *, uint64_t *, uint64_t *), size_t n,
                               tw_bench_job_wire *out) {
  void *memory;
  TW_TRY(tw_alloc(3 * 8 * n, &memory));
  out->masked = memory;
  out->mask[0] = out->masked + n;
  out->mask[1] = out->masked + 2 * n;
  TW_TRY(read(p->engine, out->masked, out->mask[0]));
  return tw_channel_exchange(p->parties->channel, out->mask[0], out->mask[1], 8 * n);
}

static tw_status read_output(tw_engine *e, uint64_t *masked, uint64_t *mask) {
  return tw_engine_output(e, 0, masked, mask);
}

// The last repetition's output against the emulator, by party 0.
static tw_status verify(tw_bench_point *p) {
  const tw_plan *plan = tw_bench_job_plan(p->job);
  tw_channel *channel = p->parties->channel;
  size_t batch = (size_t)p->s->batch, n = plan->program.tensors[plan->program.outputs[0]].n * batch;
  bool guarded = plan->program.guard >= 0;
  tw_bench_job_wire output = {0}, guard = {0};
  tw_status status = exchange_wire(p, read_output, n, &output);
  if (status == TW_OK && guarded) status = exchange_wire(p, tw_engine_guard, batch, &guard);
  if (status == TW_OK && channel->party == 0)
    status = tw_bench_job_verify(p->job, p->used - 1, &output, &guard, p->stats.transcript, &p->verdict);
  tw_free(output.masked);
  tw_free(guard.masked);
  tw_bench_job_verdict mine = p->verdict, theirs;  // party 1 learns it, so that both end alike
  if (status == TW_OK) status = tw_channel_exchange(channel, &mine, &theirs, sizeof theirs);
  if (status == TW_OK && channel->party == 1) p->verdict = theirs;
  return status;
}

tw_status tw_bench_point_measure(const tw_bench_parties *parties, const tw_bench_settings *s, bool careful,
                                 tw_bench_point *p) {
  uint64_t mine, theirs;
  tw_plan_request plan;
  *p = (tw_bench_point){.s = s, .parties = parties, .hardware = parties->hardware};
  bool reset = tw_machine_reset_peaks();
  TW_TRY(together(p, tw_hardware_link(&p->hardware, &s->party)));
  randombytes_buf(&mine, sizeof mine);
  TW_TRY(tw_channel_exchange(parties->channel, &mine, &theirs, sizeof mine));
  tw_status status = request_of(s, &plan);
  if (status == TW_OK) status = create_job(p, careful, parties->channel->party == 0 ? mine : theirs, &plan);
  TW_TRY(together(p, status));
  if (goes_on(s)) TW_TRY(measure_first(p, &plan));
  if (s->compare_overlap) TW_TRY(measure_serial(p));
  TW_TRY(pass(p, p->split, p->during, &p->times));
  p->host_peak = reset ? tw_machine_memory_peak() : -1;
  p->gpu_peak = tw_machine_gpu_memory_peak();
  return s->unchecked ? TW_OK : verify(p);
}

void tw_bench_point_destroy(tw_bench_point *p) {
  tw_engine_destroy(p->engine);
  tw_hardware_release(&p->hardware);
  tw_bench_job_destroy(p->job);
  p->engine = NULL;
  p->job = NULL;
}

static double median_of(const tw_bench_times *t, int repeat) {
  return tw_spread_of(t->preparation, repeat).median + tw_spread_of(t->online, repeat).median;
}

tw_bench_text tw_bench_text_times(const tw_bench_point *p) {
  int repeat = (int)p->s->repeat;
  double all = median_of(&p->times, repeat), first = goes_on(p->s) ? median_of(&p->first, repeat) : all;
  return (tw_bench_text){first, goes_on(p->s) ? (all - first) / (double)(p->s->generate - 1) : 0};
}

double tw_bench_hidden(const tw_bench_point *p) {
  int repeat = (int)p->s->repeat;
  double saved = tw_spread_of(p->serial.preparation, repeat).median + tw_spread_of(p->serial.online, repeat).median -
                 tw_spread_of(p->times.preparation, repeat).median - tw_spread_of(p->times.online, repeat).median;
  return p->serial_open > 0 ? saved / p->serial_open : 0;
}

// ---- record

json_t *tw_bench_settings_record(const tw_bench_settings *s, const tw_bench_parties *parties, const char *command) {
  json_t *r = tw_record_create(command);
  tw_record_machine(r, &parties->machine);
  tw_record_json(r, "host_memory_peak_bytes", NULL);
  tw_record_json(r, "gpu_memory_peak_bytes", NULL);
  tw_record_text(r, "placement", parties->placement);
  tw_record_flag(r, "parties_share_host", parties->hardware.pair.one_host);
  tw_record_text(r, "device", parties->hardware.device == TW_DEVICE_CUDA ? "cuda" : "cpu");
  tw_record_integer(r, "party", parties->channel->party);
  tw_record_text(r, "model", s->model);
  tw_record_integer(r, "tokens", s->seq);
  tw_record_integer(r, "batch", s->batch);
  tw_record_text(r, "keys", s->keys);
  tw_record_flag(r, "test_keys", true);
  tw_record_integer(r, "repeats", s->repeat);
  tw_record_link(r, s->party.link.latency_seconds, s->party.link.bytes_per_second);
  return r;
}

bool tw_bench_point_timed(const tw_bench_point *p) { return p->hardware.device == TW_DEVICE_CPU || p->s->verbose; }

static void record_counters(json_t *r, const tw_bench_point *p) {
  const tw_engine_stats *s = &p->stats;
  const tw_open_counters *c = &s->counters;
  const struct {
    const char *field;
    uint64_t value;
  } counters[] = {{"sent_bytes", c->open_payload_bytes},
                  {"sent_wire_bytes", c->open_wire_bytes_sent},
                  {"rounds", c->rounds},
                  {"key_read_bytes", s->key_bytes},
                  {"open_flushes_demand", c->open_flushes_demand},
                  {"open_flushes_budget", c->open_flushes_budget},
                  {"flushes_overlapped", c->flushes_overlapped},
                  {"products_prepared_beside", s->products_prepared_beside},
                  {"open_comm_ns", c->open_comm_ns},
                  {"gate_ns", c->gate_ns}};
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
    tw_record_integer(r, counters[i].field, (int64_t)counters[i].value);
  if (tw_bench_point_timed(p)) tw_record_integer(r, "key_wait_ns", (int64_t)s->key_wait_ns);
  tw_record_text(r, "transcript", s->transcript);
  if (s->probe_bandwidth <= 0) return;
  tw_record_ns(r, "probe_latency_ns", s->probe_latency_s);
  tw_record_real(r, "probe_bytes_per_second", s->probe_bandwidth);
}

// As in a run's result: planned costs of the batch, and times where they were taken.
static void record_steps(json_t *r, const tw_bench_point *p) {
  const tw_program *program = &tw_bench_job_plan(p->job)->program;
  const double *seconds = tw_engine_step_seconds(p->engine);
  tw_costs costs;
  if (tw_costs_of_plan(tw_bench_job_plan(p->job), &costs) != TW_OK) return;
  tw_cost_row *rows = (tw_cost_row *)costs.rows;
  for (int i = 0; i < program->step_count; i++) {
    rows[i].correction_bytes *= (uint64_t)p->s->batch;
    rows[i].sent_bytes *= (uint64_t)p->s->batch;
    rows[i].seconds = seconds[i];
  }
  costs.timed = tw_bench_point_timed(p);
  tw_record_steps(r, &costs);
  tw_free(rows);
}

static void record_text(json_t *r, const tw_bench_point *p) {
  tw_bench_text t = tw_bench_text_times(p);
  double batch = (double)p->s->batch;
  if (p->s->generate < 1) return;
  tw_record_ns(r, "first_token_ns", t.first);
  tw_record_real(r, "pp_tokens_per_second", batch * (double)p->s->seq / t.first);
  if (t.next <= 0) return;
  tw_record_ns(r, "next_token_ns", t.next);
  tw_record_real(r, "tg_tokens_per_second", batch / t.next);
}

json_t *tw_bench_point_record(const tw_bench_point *p, const char *command) {
  const tw_plan *plan = tw_bench_job_plan(p->job);
  int repeat = (int)p->s->repeat;
  json_t *r = tw_bench_settings_record(p->s, p->parties, command);
  tw_record_plan(r, plan);
  tw_record_text(r, "model", p->s->model);
  tw_record_text(r, "transport", tw_engine_transport_name(p->engine));
  tw_record_text(r, "transport_why", tw_engine_transport_why(p->engine));
  tw_record_flag(r, "split_batch", p->split && p->s->batch > 1);
  tw_record_text(r, "prepare", p->during ? "during" : "before");
  tw_record_integer(r, "key_bytes",
                    (int64_t)(plan->program.slot_bytes[p->parties->channel->party] * (uint64_t)p->s->batch));
  tw_record_ns(r, "setup_ns", p->setup);
  tw_record_times(r, "preparation", p->times.preparation, repeat);
  tw_record_times(r, "online", p->times.online, repeat);
  record_counters(r, p);
  record_steps(r, p);
  record_text(r, p);
  if (p->s->compare_overlap) {
    tw_record_times(r, "serial_preparation", p->serial.preparation, repeat);
    tw_record_times(r, "serial_online", p->serial.online, repeat);
    tw_record_ns(r, "serial_open_ns", p->serial_open);
    tw_record_real(r, "hidden_ratio", tw_bench_hidden(p));
  }
  if (p->stats.device_bytes > 0) {
    tw_record_integer(r, "gpu_memory_planned_bytes", (int64_t)p->stats.device_bytes);
    tw_record_integer(r, "gpu_key_bytes", (int64_t)p->stats.device_key_bytes);
    tw_record_flag(r, "masks_again", p->stats.masks_again);
  }
  if (p->host_peak >= 0) tw_record_integer(r, "host_memory_peak_bytes", p->host_peak);
  if (*p->parties->machine.gpu && p->gpu_peak >= 0) tw_record_integer(r, "gpu_memory_peak_bytes", p->gpu_peak);
  if (p->s->unchecked) {
    static const char *const of_check[] = {"verified", "mismatches", "out_of_bound"};
    for (int i = 0; i < 3; i++) tw_record_json(r, of_check[i], NULL);
    return r;
  }
  tw_record_flag(r, "verified", p->verdict.mismatches == 0);
  tw_record_integer(r, "mismatches", (int64_t)p->verdict.mismatches);
  tw_record_integer(r, "out_of_bound", (int64_t)p->verdict.out_of_bound);
  return r;
}
