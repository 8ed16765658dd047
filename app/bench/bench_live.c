// Keys dealt while two other processes take them, check and drop them: by TLS, as a live dealer deals, or through
// memory that all three see.
#define _GNU_SOURCE
#include <pthread.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/bench/bench.h"
#include "app/bench/limits.h"
#include "app/bench/live_sum.h"
#include "app/bench/live_takers.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/live_deal.h"
#include "jobs/parties/machine.h"
#include "jobs/parties/serve.h"
#include "kernels/device.h"

typedef tw_bench_settings settings;

enum { CIPHER_BYTES = 4 << 20, CIPHER_TOTAL = 64 << 20, CIPHER_REPEATS = 5, MOST_CONNECTIONS = 256 };

typedef struct {
  const settings *s;
  tw_device_kind device;
  char device_name[64];
  tw_machine machine;
  tw_plan plan;
  tw_model_dealer dealer;
  tw_bench_sites sites;
  tw_live_stage stage;
  double *seconds, cipher_rate, copy_rate;  // bytes a second; copy_rate 0: there is no GPU
  bool verified;
  // through memory
  tw_model_masks masks;
  tw_live_maker maker;
  bool mapped;
  // by TLS
  tw_site_pairs pairs;
  tw_serve *serve;
  pthread_t thread;
  tw_status served;
  int stop[2];
} bench;

static double slot_bytes(const bench *b) {
  return (double)(b->plan.program.slot_bytes[0] + b->plan.program.slot_bytes[1]);
}
static int round_slots(const bench *b) { return TW_LIVE_ROW * TW_LIVE_RUNS * (int)b->s->batch; }
static double round_bytes(const bench *b) { return slot_bytes(b) * round_slots(b); }

// ---- through memory: a thread fills a ring

typedef struct {
  bench *b;
  tw_live_deal *deal;
  int run, party, stream;
  pthread_t thread;
  tw_status status;
  char message[300];
} feeder;

// Until at least half of the ring is empty; *kept: pieces that are not.
static tw_status await_room(tw_live_ring *ring, int *kept) {
  int waits = 0;
  while (sem_trywait(&ring->empty) == 0) ring->back++;
  while (ring->given - ring->back > TW_LIVE_DEPTH / 2) {
    if (tw_live_wait_for(&ring->empty))
      ring->back++;
    else if (++waits > 5 * TW_LIVE_PATIENCE)
      return tw_fail(TW_ERR_PEER, "keys are not taken");
  }
  *kept = (int)(ring->given - ring->back);
  return TW_OK;
}

static tw_status feed_ring(tw_live_ring *ring, tw_live_tap *tap) {
  while (!tw_live_tap_ended(tap)) {
    tw_live_piece *piece;
    int kept = 0;
    TW_TRY(await_room(ring, &kept));
    TW_TRY(tw_live_tap_next(tap, kept, &piece));
    if (!piece) continue;
    ring->given++;
    sem_post(&ring->full);
  }
  return TW_OK;
}

static tw_status feed(const feeder *f) {
  tw_live_ring *ring = tw_live_ring_of(&f->b->stage, f->run, f->party, f->stream);
  tw_live_piece *pieces[TW_LIVE_DEPTH];
  tw_live_tap *tap;
  for (uint64_t i = 0; i < TW_LIVE_DEPTH; i++) pieces[i] = &ring->piece[(ring->given + i) % TW_LIVE_DEPTH];
  TW_TRY(tw_live_tap_open(f->deal, f->party, f->stream, f->b->stage.streams, pieces, TW_LIVE_DEPTH, &tap));
  tw_status status = feed_ring(ring, tap);
  tw_live_tap_close(tap);
  return status;
}

static void *feeder_thread(void *state) {
  feeder *f = state;
  f->status = feed(f);
  if (f->status == TW_OK) return NULL;
  snprintf(f->message, sizeof f->message, "%.299s", tw_error_message());
  tw_live_deal_stop(f->deal, f->status, f->message);
  return NULL;
}

static tw_status feed_all(bench *b, int run, tw_live_deal *deal) {
  feeder feeders[2 * TW_LIVE_STREAMS];
  int count = 2 * b->stage.streams, started = 0;
  tw_status status = TW_OK;
  for (; started < count; started++) {
    feeder *f = &feeders[started];
    *f = (feeder){.b = b, .deal = deal, .run = run, .party = started % 2, .stream = started / 2};
    if (pthread_create(&f->thread, NULL, feeder_thread, f) != 0) break;
  }
  if (started < count) tw_live_deal_stop(deal, status = tw_fail(TW_ERR_MEMORY, "no thread"), "no thread");
  for (int i = 0; i < started; i++) {
    pthread_join(feeders[i].thread, NULL);
    if (status == TW_OK && feeders[i].status != TW_OK) status = tw_fail(feeders[i].status, "%s", feeders[i].message);
  }
  return status;
}

// Runs one after the other, beside others.
typedef struct {
  bench *b;
  int run;
  tw_seed *seeds;  // [2][batch]
  pthread_t thread;
  tw_status status;
  char message[300];
} lane;

static tw_status deal_run(const lane *l) {
  tw_live_round *round = l->b->stage.round;
  tw_live_deal *deal;
  int batch = l->b->stage.batch;
  for (int i = 0; i < 2 * batch; i++) {
    tw_seed_random(&l->seeds[i]);
    round->seeds[l->run][i / batch][i % batch] = l->seeds[i];
  }
  TW_TRY(tw_live_deal_start(&l->b->maker, l->seeds, round->first[l->run], batch, &deal));
  tw_status status = feed_all(l->b, l->run, deal);
  tw_live_deal_destroy(deal);
  return status;
}

static void *lane_thread(void *state) {
  lane *l = state;
  size_t bytes = sizeof *l->seeds * 2 * (size_t)l->b->stage.batch;
  l->b->stage.round->first[l->run] = (uint64_t)l->run;
  l->status = tw_seed_alloc(bytes, (void **)&l->seeds);
  for (int i = 0; i < TW_LIVE_ROW && l->status == TW_OK; i++) l->status = deal_run(l);
  if (l->status != TW_OK) snprintf(l->message, sizeof l->message, "%.299s", tw_error_message());
  tw_seed_free(l->seeds, bytes);
  return NULL;
}

static tw_status round_through_memory(bench *b) {
  lane lanes[TW_LIVE_RUNS];
  int started = 0;
  tw_live_stage_go(&b->stage);
  for (; started < TW_LIVE_RUNS; started++) {
    lanes[started] = (lane){.b = b, .run = started};
    if (pthread_create(&lanes[started].thread, NULL, lane_thread, &lanes[started]) != 0) break;
  }
  tw_status status = started < TW_LIVE_RUNS ? tw_fail(TW_ERR_MEMORY, "no thread") : TW_OK;
  for (int i = 0; i < started; i++) {
    pthread_join(lanes[i].thread, NULL);
    if (status == TW_OK && lanes[i].status != TW_OK) status = tw_fail(lanes[i].status, "%s", lanes[i].message);
  }
  TW_TRY(status);
  return tw_live_stage_wait(&b->stage);
}

static tw_status open_memory(bench *b) {
  TW_TRY(tw_model_masks_draw(&b->dealer, &b->plan.program, &tw_cpu_backend, NULL, &b->masks));
  b->maker = (tw_live_maker){.plan = &b->plan, .masks = &b->masks};
#ifdef TWAIN_CUDA
  if (b->device != TW_DEVICE_CUDA) return TW_OK;
  void *device;
  size_t bytes = sizeof *b->stage.rings * 2 * TW_LIVE_RUNS * (size_t)b->stage.streams;
  TW_TRY(tw_slot_store_create(&b->plan, &b->dealer, &b->masks, b->device, 0, &b->maker.store));
  TW_TRY(tw_host_map(b->stage.rings, (bytes + 4095) / 4096 * 4096, &device));
  b->mapped = true;
#endif
  return TW_OK;
}

static void close_memory(bench *b) {
#ifdef TWAIN_CUDA
  if (b->mapped) tw_host_unmap(b->stage.rings);
#endif
  tw_slot_store_destroy(b->maker.store);
  if (b->masks.backend) tw_model_masks_free(&b->masks);
}

// ---- by TLS: the live dealer itself

static void stay_silent(void *state, const char *text) {
  (void)state;
  (void)text;
}

static void *serve_thread(void *state) {
  bench *b = state;
  b->served = tw_serve_work(b->serve, b->stop[0]);
  return NULL;
}

static tw_status open_dealer(bench *b) {
  TW_TRY(tw_alloc(sizeof *b->pairs.pair, (void **)&b->pairs.pair));
  b->pairs.count = 1;
  *b->pairs.pair = (tw_site_pair){
      .most_sequences = TW_LIVE_MOST_BATCH, .most_runs = 2 * TW_LIVE_RUNS, .most_streams = (uint32_t)b->stage.streams};
  for (int party = 0; party < 2; party++)
    memcpy(b->pairs.pair->pin[party], b->sites.site[party].self.pin, TW_PIN_BYTES);
  tw_serve_options o = {.plan = &b->plan,
                        .dealer = &b->dealer,
                        .pairs = &b->pairs,
                        .own = &b->sites.site[2],
                        .option = "bench live",
                        .connections = MOST_CONNECTIONS,
                        .device = b->device,
                        .silence_seconds = TW_LIVE_PATIENCE,
                        .note = stay_silent};
  TW_TRY(tw_place_parse("bench live", "127.0.0.1:0", false, &o.place));
  TW_TRY(tw_serve_create(&o, &b->serve));
  b->stage.round->port = tw_serve_port(b->serve);
  if (pipe(b->stop) != 0) return tw_fail(TW_ERR_IO, "no pipe");
  if (pthread_create(&b->thread, NULL, serve_thread, b) == 0) return TW_OK;
  tw_serve_destroy(b->serve);
  b->serve = NULL;
  return tw_fail(TW_ERR_MEMORY, "no thread");
}

static void close_dealer(bench *b) {
  if (b->serve) {
    for (int i = 0; i < 2; i++)  // also what a failed round has left under way
      if (write(b->stop[1], "x", 1) == 1) usleep(1000);
    pthread_join(b->thread, NULL);
    tw_serve_destroy(b->serve);
    for (int i = 0; i < 2; i++) close(b->stop[i]);
  }
  tw_free(b->pairs.pair);
}

static tw_status round_by_tls(bench *b) {
  tw_live_stage_go(&b->stage);
  return tw_live_stage_wait(&b->stage);
}

// ---- measuring

static tw_status measure_cipher(bench *b) {
  double seconds[CIPHER_REPEATS];
  void *from = NULL, *to = NULL;
  tw_status status = tw_alloc(CIPHER_BYTES, &from);
  if (status == TW_OK) status = tw_alloc(CIPHER_BYTES, &to);
  if (status == TW_OK) status = tw_bench_cipher(from, to, CIPHER_BYTES, CIPHER_TOTAL, seconds, CIPHER_REPEATS);
  if (status == TW_OK) b->cipher_rate = CIPHER_TOTAL / tw_spread_of(seconds, CIPHER_REPEATS).least;
  tw_free(from);
  tw_free(to);
  return status;
}

// The first round fills caches, takes GPU memory and page-locks: it is not counted.
static tw_status measure_rounds(bench *b) {
  for (int i = -1; i < b->s->repeat; i++) {
    double start = tw_seconds();
    TW_TRY(b->stage.tls ? round_by_tls(b) : round_through_memory(b));
    const double *end = b->stage.round->end;
    if (i >= 0) b->seconds[i] = (end[0] > end[1] ? end[0] : end[1]) - start;
  }
  return TW_OK;
}

// The last slot of the last round once more, on the CPU: what came must have its sums.
static tw_status verify(bench *b) {
  const tw_live_round *round = b->stage.round;
  int run = TW_LIVE_RUNS - 1, i = b->stage.batch - 1;
  uint8_t *half[2] = {NULL, NULL}, *at[2];
  tw_model_masks masks;
  tw_status status = tw_model_masks_draw(&b->dealer, &b->plan.program, &tw_cpu_backend, NULL, &masks);
  for (int party = 0; party < 2 && status == TW_OK; party++)
    status = tw_alloc(b->plan.program.slot_bytes[party], (void **)&half[party]);
  tw_seed seeds[2] = {round->seeds[run][0][i], round->seeds[run][1][i]};
  for (int party = 0; party < 2; party++) at[party] = half[party];
  tw_sink sinks[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
  if (status == TW_OK)
    status = tw_deal_slot(&b->plan, &masks, seeds, round->first[run] + (uint64_t)i, sinks, NULL, NULL);
  b->verified = status == TW_OK;
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    const uint32_t *sums = tw_live_sums(&b->stage, run, party);
    uint64_t bytes = b->plan.program.slot_bytes[party];
    for (uint64_t n = 0; n * TW_KEY_CHUNK < bytes; n++) {
      uint64_t left = bytes - n * TW_KEY_CHUNK;
      uint32_t sum = tw_live_sum(half[party] + n * TW_KEY_CHUNK, left < TW_KEY_CHUNK ? left : TW_KEY_CHUNK);
      if (sum != sums[n * (uint64_t)b->stage.batch + (uint64_t)i]) b->verified = false;
    }
  }
  tw_model_masks_free(&masks);
  for (int party = 0; party < 2; party++) tw_free(half[party]);
  TW_TRY(status);
  return b->verified ? TW_OK : tw_fail(TW_ERR_CHECK, "other keys came than the CPU deals of the same seeds");
}

static tw_status prepare(bench *b) {
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  TW_TRY(tw_bench_dealer(b->s, &b->plan, &b->dealer));
  TW_TRY(tw_alloc(sizeof(double) * (size_t)b->s->repeat, (void **)&b->seconds));
  TW_TRY(tw_private_keys_room(MOST_CONNECTIONS));
  TW_TRY(tw_bench_sites_make(&b->sites, TW_BENCH_SITES));
  b->stage.plan = &b->plan;
  b->stage.model_id = &b->dealer.model_id;
  b->stage.sites = &b->sites;
  b->stage.tls = strcmp(b->s->through, "tls") == 0;
  b->stage.batch = (int)b->s->batch;
  b->stage.streams = (int)b->s->site.streams;
  TW_TRY(tw_live_stage_open(&b->stage));  // a process that has a GPU or threads cannot be doubled
  TW_TRY(tw_hardware_alone(b->s->party.device, &b->device));
  TW_TRY(tw_machine_look(NULL, NULL, 2 * TW_LIVE_RUNS * b->stage.streams, &b->machine));
  tw_machine_warn(&tw_speaker, &b->machine);
  snprintf(b->device_name, sizeof b->device_name, "cpu");
#ifdef TWAIN_CUDA
  uint64_t left;
  if (b->device != TW_DEVICE_CUDA) return TW_OK;
  TW_TRY(tw_machine_look_at_gpu(&b->machine));
  TW_TRY(tw_device_describe(b->device_name, sizeof b->device_name, &left));
  TW_TRY(tw_bench_copy_rate(&b->copy_rate));
#endif
  return TW_OK;
}

static tw_status measure(bench *b) {
  TW_TRY(measure_cipher(b));
  TW_TRY(b->stage.tls ? open_dealer(b) : open_memory(b));
  TW_TRY(measure_rounds(b));
  return verify(b);
}

// ---- what was found

// Cores that encrypt: one a stream, party and run, but half of all there are: what is encrypted here is decrypted here.
static double encrypting(const bench *b) {
  int threads = 2 * TW_LIVE_RUNS * b->stage.streams, half = b->machine.core_count / 2;
  return threads < half ? threads : half < 1 ? 1 : half;
}

// The least time of a round: all bytes encrypted by the dealer's threads, or copied from the GPU.
static double limit_of(const bench *b, const char **by) {
  double cipher = b->stage.tls ? round_bytes(b) / (b->cipher_rate * encrypting(b)) : 0;
  double copies = b->copy_rate > 0 ? round_bytes(b) / b->copy_rate : 0;
  *by = cipher > copies ? "cipher" : "copies";
  return cipher > copies ? cipher : copies;
}

static void print_table(const bench *b) {
  tw_spread t = tw_spread_of(b->seconds, (int)b->s->repeat);
  double bytes = round_bytes(b), slots = round_slots(b);
  tw_grid grid = {0};
  tw_grid_row(&grid, "live keys for %s, %d tokens\t%s", b->s->model, (int)b->s->seq, "");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "device\t%s", b->device_name);
  tw_grid_row(&grid, "to two processes that check and drop them\t%s, %d stream%s a run and party",
              b->stage.tls ? "by TLS" : "through memory", b->stage.streams, b->stage.streams == 1 ? "" : "s");
  tw_grid_row(&grid, "a slot, both parties' halves\t%.1f MB", 1e-6 * slot_bytes(b));
  tw_grid_row(&grid, "slots in a round\t%d: runs of %d, two at once", round_slots(b), (int)b->s->batch);
  tw_grid_row(&grid, "rate, best of %d rounds\t%.2f GB/s", (int)b->s->repeat, 1e-9 * bytes / t.least);
  tw_grid_row(&grid, "  median\t%.2f GB/s", 1e-9 * bytes / t.median);
  tw_grid_row(&grid, "inferences a second, best\t%.2f", slots / t.least);
  tw_grid_row(&grid, "  median\t%.2f", slots / t.median);
  if (b->copy_rate > 0)
    tw_grid_row(&grid, "limit by copies to pinned memory\t%.2f (%.1f GB/s)", b->copy_rate / slot_bytes(b),
                1e-9 * b->copy_rate);
  if (b->stage.tls)
    tw_grid_row(&grid, "limit by AES-128-GCM on %d cores\t%.2f (%.2f GB/s a core)", (int)encrypting(b),
                b->cipher_rate * encrypting(b) / slot_bytes(b), 1e-9 * b->cipher_rate);
  if (b->verified) tw_grid_row(&grid, "the last slot against the CPU's\t%s", "equal, by the sum of each chunk");
  tw_grid_print(&grid);
}

static json_t *record_of(const bench *b) {
  const char *by;
  double limit = limit_of(b, &by);
  json_t *r = tw_record_create("bench live");
  tw_record_machine(r, &b->machine);
  tw_record_text(r, "device", b->device == TW_DEVICE_CUDA ? "cuda" : "cpu");
  tw_record_text(r, "transport", b->s->through);
  tw_record_integer(r, "streams", b->s->site.streams);
  tw_record_plan(r, &b->plan);
  tw_record_integer(r, "batch", b->s->batch);
  tw_record_integer(r, "key_bytes", (int64_t)b->plan.program.slot_bytes[0]);
  tw_record_integer(r, "repeats", b->s->repeat);
  tw_record_integer(r, "line_bytes", (int64_t)round_bytes(b));
  tw_record_times(r, "time", b->seconds, (int)b->s->repeat);
  if (limit > 0) tw_record_ns(r, "limit_ns", limit);
  if (limit > 0) tw_record_text(r, "limited_by", by);
  if (b->copy_rate > 0) tw_record_real(r, "copy_bytes_per_second", b->copy_rate);
  tw_record_flag(r, "verified", b->verified);
  return r;
}

static tw_status check(const settings *s, tw_format *format) {
  TW_TRY(tw_format_of(s->json, s->csv, format));
  if (s->batch > TW_LIVE_MOST_BATCH)
    return tw_fail(TW_ERR_USAGE, "--batch %d: %d are the most here", (int)s->batch, TW_LIVE_MOST_BATCH);
  if (strcmp(s->through, "tls") == 0 || strcmp(s->through, "memory") == 0) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "unknown --through '%s'; use tls or memory", s->through);
}

static tw_status run(const tw_call *call) {
  tw_format format;
  TW_TRY(check(call->settings, &format));
  bench *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  b->s = call->settings;
  tw_status status = prepare(b);
  if (status == TW_OK) status = measure(b);
  close_memory(b);
  tw_live_stage_close(&b->stage);
  close_dealer(b);
  if (status == TW_OK && format == TW_AS_TABLE) print_table(b);
  if (status == TW_OK && format != TW_AS_TABLE) status = tw_record_print(record_of(b), format);
  tw_bench_sites_forget(&b->sites);
  tw_free(b->seconds);
  tw_model_dealer_free(&b->dealer);
  tw_plan_free(&b->plan);
  free(b);
  return status;
}

static const tw_option options[] = {
    {.common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_bench_layers, .field = offsetof(settings, layers)},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.name = "through",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, through),
     .value = "WAY",
     .fallback = "tls",
     .help = "tls: the live dealer over the loopback; memory: pieces in memory that all processes see, which nobody "
             "uses but this benchmark"},
    {.common = &tw_option_streams,
     .field = offsetof(settings, site.streams),
     .help = "connections, or rings in memory, over which each party takes a run's keys; a thread at each end"},
    {.common = &tw_bench_batch,
     .field = offsetof(settings, batch),
     .help = "sequences of a run, 64 at most; two runs are under way at once"},
    {.common = &tw_bench_repeat, .field = offsetof(settings, repeat), .help = "rounds; the best counts"},
    {.common = &tw_option_device, .field = offsetof(settings, party.device), .help = "where keys are dealt"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_live = {
    .name = "bench live",
    .arguments = "",
    .summary = "one-time keys dealt while two processes take them",
    .about =
        "The dealer of `deal --serve` and two processes of this host, which take both parties' keys, check the order "
        "of the chunks, sum every byte and drop it. A slot is dealt on the CPU once more, and its sums compared.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .run = run};
