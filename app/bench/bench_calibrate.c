// What this machine takes for the operations of a party, as rates by which `twain plan` foretells and chooses.
#include <pthread.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/bench/bench.h"
#include "app/bench/random_session.h"
#include "app/bench/rate_fit.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "comm/channels.h"
#include "comm/opens.h"
#include "comm/opens_header.h"
#include "io/new_files.h"
#include "jobs/models/import.h"
#include "jobs/parties/machine.h"
#include "kernels/isa.h"

enum { RANDOM_BYTES = 4 << 20, MOST_OPS = 16384, MOST_WALKS = 32 };

typedef struct {
  int64_t repeat;
  bool force;
} settings;

typedef struct {
  const settings *s;
  uint8_t *random;
  tw_machine machine;
  tw_rates rates;
  // of the plan that runs now
  const tw_plan *plan;
  double *seconds;  // [walk][op]
  int walk, op;     // op: that runs, -1 before the first
  double began, prepared[MOST_WALKS];
  // all that was timed
  tw_timed_op *timed;
  int timed_count;
  double prepared_seconds, mask_bytes;
  double row_seconds, row_weights;  // of products of one row
} bench;

// ---- operations, as a session goes through them

static tw_status next_op(void *state, int op) {
  bench *b = state;
  double now = tw_seconds();
  int count = b->plan->program.op_count;
  if (b->op >= 0) b->seconds[(size_t)b->walk * (size_t)count + (size_t)b->op] = now - b->began;
  b->op = op == count ? -1 : op;
  b->walk += op == count;
  b->began = tw_seconds();
  return TW_OK;
}

static void hear_prepared(void *state, double seconds) {
  bench *b = state;
  b->prepared[b->walk] = seconds;
}

static double median_of_op(const bench *b, int op) {
  double all[MOST_WALKS];
  int walks = (int)b->s->repeat;
  for (int i = 0; i < walks; i++) all[i] = b->seconds[(size_t)i * (size_t)b->plan->program.op_count + (size_t)op];
  return tw_spread_of(all, walks).median;
}

static double words_of(const tw_tensor *t) {
  return t->kind == TW_WIRE ? (double)t->n : (double)t->planes * (double)t->n / 64;
}

static tw_status keep_times(bench *b) {
  const tw_program *p = &b->plan->program;
  if (b->timed_count + p->op_count > MOST_OPS) return tw_fail(TW_ERR_INTERNAL, "more operations than expected");
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    b->timed[b->timed_count++] = (tw_timed_op){op->gate->name, tw_work_of(p, op), median_of_op(b, i)};
    if (op->opens && op->for_product) b->mask_bytes += 8 * words_of(&p->tensors[op->out[0]]);
  }
  b->prepared_seconds += tw_spread_of(b->prepared, (int)b->s->repeat).median;
  return TW_OK;
}

typedef struct {
  const char *shape;
  int seq;
  tw_choice_words words;
} sample;

// One layer each: of every size of a matrix, and of most forms.
static const sample samples[] = {{"bert-tiny", 128, {NULL, -1, -1, -1, -1}},
                                 {"bert-tiny", 32, {"2,5,4", 4, 2, 1, -1}},
                                 {"minilm", 128, {NULL, -1, -1, -1, -1}},
                                 {"minilm", 128, {"2,5,13", 4, 2, 1, -1}},
                                 {"bert-base", 128, {"2,5,13", 8, 2, 0, -1}},
                                 {"bert-base", 64, {"8,8", 4, 1, 0, -1}},
                                 {"bert-tiny", 128, {NULL, -1, -1, -1, -1, .engine = "pfss"}},
                                 {"minilm", 128, {NULL, -1, -1, -1, -1, .engine = "pfss"}},
                                 {"minilm", 64, {NULL, -1, -1, -1, -1, .engine = "pfss-rows"}}};

// Of one row each weight is read for one product, from memory: matrices that no cache holds.
static const sample one_row = {"bert-large", 1, {NULL, -1, -1, -1, -1}};

static tw_status keep_row(bench *b) {
  const tw_program *p = &b->plan->program;
  for (int i = 0; i < p->op_count; i++) {
    tw_work work = tw_work_of(p, &p->ops[i]);
    if (work.weights <= 0) continue;
    b->row_seconds += median_of_op(b, i);
    b->row_weights += work.weights;
  }
  return TW_OK;
}

static tw_status time_sample(bench *b, const sample *sample) {
  tw_model_config config;
  tw_plan plan;
  tw_plan_request request = {.seq = sample->seq};
  TW_TRY(tw_shape_config(sample->shape, &config));
  config.layers = 1;
  TW_TRY(tw_choices_of(&sample->words, &config, &request));
  TW_TRY(tw_plan_make(&config, &request, NULL, &plan));
  tw_random_session r = {.plan = &plan,
                         .config = &config,
                         .batch = 1,
                         .backend = &tw_cpu_backend,
                         .random = b->random,
                         .random_bytes = RANDOM_BYTES,
                         .gate = next_op,
                         .walks = (int)b->s->repeat,
                         .prepared = hear_prepared,
                         .state = b};
  b->plan = &plan;
  b->walk = 0;
  b->op = -1;
  tw_status status = tw_alloc(sizeof(double) * (size_t)r.walks * (size_t)plan.program.op_count, (void **)&b->seconds);
  if (status == TW_OK) status = tw_random_session_run(&r);
  if (status == TW_OK) status = sample == &one_row ? keep_row(b) : keep_times(b);
  tw_free(b->seconds);
  b->seconds = NULL;
  tw_plan_free(&plan);
  return status;
}

// ---- messages: two ends, a thread each, over memory

enum { LARGE = 1 << 20, RING = 32, ROUNDS = 60, WARM_UP = 3 };

typedef struct {
  tw_channel *channel;
  uint64_t *data;
  double seconds[2][ROUNDS];  // of small and of large openings
  tw_status status;
  char message[256];
} end;

static tw_status open_messages(end *e, tw_opens *opens) {
  for (int large = 0; large < 2; large++) {
    size_t n = large ? 8 * (size_t)LARGE / RING : 16;
    for (int i = -WARM_UP; i < ROUNDS; i++) {
      uint8_t here = 1, there;
      TW_TRY(tw_channel_exchange(e->channel, &here, &there, 1));
      double start = tw_seconds();
      TW_TRY(tw_opens_ring(opens, 1, 0, RING, n, e->data));
      TW_TRY(tw_opens_flush(opens));
      if (i >= 0) e->seconds[large][i] = tw_seconds() - start;
    }
  }
  return TW_OK;
}

static void *run_end(void *state) {
  end *e = state;
  tw_opens *opens = NULL;
  e->status = tw_opens_create(e->channel, &opens);
  if (e->status == TW_OK) e->status = open_messages(e, opens);
  if (e->status != TW_OK) snprintf(e->message, sizeof e->message, "%s", tw_error_message());
  tw_opens_destroy(opens);
  tw_channel_destroy(e->channel);
  return NULL;
}

static tw_status run_ends(end ends[2]) {
  tw_channel *channel[2];
  pthread_t other;
  TW_TRY(tw_channel_loopback(60, channel));
  for (int i = 0; i < 2; i++) ends[i].channel = channel[i];
  if (pthread_create(&other, NULL, run_end, &ends[1]) != 0) {
    for (int i = 0; i < 2; i++) tw_channel_destroy(channel[i]);
    return tw_fail(TW_ERR_MEMORY, "no thread for the other end of a channel");
  }
  run_end(&ends[0]);
  pthread_join(other, NULL);
  for (int i = 0; i < 2; i++)
    if (ends[i].status != TW_OK) return tw_fail(ends[i].status, "%s", ends[i].message);
  return TW_OK;
}

static tw_status time_messages(bench *b) {
  end *ends = calloc(2, sizeof *ends);
  if (!ends) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  tw_status status = TW_OK;
  for (int i = 0; i < 2 && status == TW_OK; i++)
    status = tw_alloc(8 * (8 * (size_t)LARGE / RING), (void **)&ends[i].data);
  if (status == TW_OK) status = run_ends(ends);
  if (status == TW_OK) {
    double small = tw_spread_of(ends[0].seconds[0], ROUNDS).median,
           large = tw_spread_of(ends[0].seconds[1], ROUNDS).median;
    b->rates.round = small;
    b->rates.opened_byte = large > small ? (large - small) / LARGE : 0;
  }
  for (int i = 0; i < 2; i++) tw_free(ends[i].data);
  free(ends);
  return status;
}

// ---- keys: a file in the system's cache, read and checked

static tw_status read_file(const bench *b, int file, uint8_t *chunk, double *seconds) {
  enum { CHUNK = 1 << 20, CHUNKS = 64 };
  for (int i = 0; i < CHUNKS; i++)
    if (write(file, b->random + (size_t)(i % (RANDOM_BYTES / CHUNK)) * CHUNK, CHUNK) != CHUNK)
      return tw_fail(TW_ERR_IO, "a file of %d MiB under $TMPDIR cannot be written", CHUNKS);
  uint32_t sum = 0;
  double start = tw_seconds();
  for (int i = 0; i < CHUNKS; i++) {
    if (pread(file, chunk, CHUNK, (off_t)i * CHUNK) != CHUNK) return tw_fail(TW_ERR_IO, "a file cannot be read back");
    sum ^= tw_opens_crc32c(chunk, CHUNK);
  }
  *seconds = (tw_seconds() - start) / ((double)CHUNK * CHUNKS);
  volatile uint32_t seen = sum;
  (void)seen;
  return TW_OK;
}

static tw_status time_keys(bench *b) {
  const char *parent = getenv("TMPDIR");
  char path[512];
  void *chunk = NULL;
  double seconds = 0;
  snprintf(path, sizeof path, "%s/twain-rates-XXXXXX", parent && *parent ? parent : "/tmp");
  int file = mkstemp(path);
  if (file < 0) return tw_fail(TW_ERR_IO, "%s: cannot be made; set TMPDIR to a folder with room", path);
  unlink(path);
  tw_status status = tw_alloc(1 << 20, &chunk);
  if (status == TW_OK) status = read_file(b, file, chunk, &seconds);
  if (status == TW_OK) b->rates.key_rate = 1 / seconds;
  tw_free(chunk);
  close(file);
  return status;
}

// ---- the file

static void describe(bench *b) {
  json_t *r = tw_record_create("bench calibrate");  // names the program, the processor and the day as records do
  const char *cpu = json_string_value(json_object_get(r, "cpu")), *date = json_string_value(json_object_get(r, "date")),
             *version = json_string_value(json_object_get(r, "twain_version"));
  snprintf(b->rates.device, sizeof b->rates.device, "%.60s, %s, one core", cpu ? cpu : "CPU",
           tw_isa_name(tw_isa_active()));
  snprintf(b->rates.source, sizeof b->rates.source, "twain bench calibrate, twain %s, %.10s%s%.120s",
           version ? version : "", date ? date : "", *b->machine.shared ? "; " : "", b->machine.shared);
  json_decref(r);
}

static void print(const bench *b) {
  tw_grid grid = {0};
  const tw_rates *r = &b->rates;
  tw_grid_row(&grid,
              "us\tan operation\ta MB of keys\tof openings\tof tensors\tof lists\t1000 list entries\t1000 key nodes");
  tw_grid_rule(&grid);
  for (int i = 0; i <= r->gate_count; i++) {
    const tw_gate_rate *g = i < r->gate_count ? &r->gates[i] : &r->other;
    const double *s = g->seconds;
    tw_grid_row(&grid, "%s\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f", i < r->gate_count ? g->gate : "(any other)",
                1e6 * s[TW_COST_ONCE], 1e12 * s[TW_COST_KEYS], 1e12 * s[TW_COST_OPENED], 1e12 * s[TW_COST_MEMORY],
                1e12 * s[TW_COST_LIST_BYTES], 1e9 * s[TW_COST_LIST], 1e9 * s[TW_COST_BLOCKS]);
  }
  tw_grid_rule(&grid);
  tw_grid_print(&grid);
  printf("a message: %.1f us, and %.0f us a MB; keys from a file: %.2f GB/s; masks before: %.0f us a MB\n",
         1e6 * r->round, 1e12 * r->opened_byte, 1e-9 * r->key_rate, 1e12 * r->mask_byte);
  printf("multiply-adds, rings of 1 to %d bytes:", TW_RING_BYTES);
  for (int i = 0; i < TW_RING_BYTES; i++) printf(" %.2f", 1e-9 / r->multiply_add[i]);
  printf(" G/s; weights from memory: %.2f G/s\n", r->weight > 0 ? 1e-9 / r->weight : 0);
}

// What is left of the preparation beside its products.
static void fit_masks(bench *b) {
  double left = b->prepared_seconds;
  for (int i = 0; i < b->timed_count; i++)
    if (strcmp(b->timed[i].gate, "linear") == 0) left -= tw_products_seconds(&b->rates, &b->timed[i].work);
  b->rates.mask_byte = left > 0 && b->mask_bytes > 0 ? left / b->mask_bytes : 0;
}

static tw_status measure(bench *b) {
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) TW_TRY(time_sample(b, &samples[i]));
  TW_TRY(time_sample(b, &one_row));
  TW_TRY(tw_fit_rates(b->timed, b->timed_count, &b->rates));
  b->rates.weight = b->row_weights > 0 ? b->row_seconds / b->row_weights : 0;
  fit_masks(b);
  TW_TRY(time_messages(b));
  return time_keys(b);
}

static tw_status prepare(bench *b) {
  TW_TRY(tw_machine_look(NULL, NULL, 1, &b->machine));
  tw_machine_warn(&tw_speaker, &b->machine);
  TW_TRY(tw_alloc(RANDOM_BYTES, (void **)&b->random));
  randombytes_buf(b->random, RANDOM_BYTES);
  return tw_alloc(sizeof *b->timed * MOST_OPS, (void **)&b->timed);
}

// Before anything is measured. `twain plan --device` takes a name without .json for a device's.
static tw_status find_place(const char *path, bool force, tw_new_files *places) {
  static const char *const suffix[] = {"json"};
  char name[TW_NAME_LONGEST];
  size_t length = strlen(path), ending = sizeof ".json" - 1;
  if (length >= sizeof name || strlen(tw_behind_folder(path)) <= ending || strcmp(path + length - ending, ".json") != 0)
    return tw_fail(TW_ERR_USAGE, "'%s': a file's name that ends in .json is needed", path);
  snprintf(name, sizeof name, "%.*s", (int)(length - ending), path);
  return tw_new_files_check(places, name, suffix, 1, force);
}

static tw_status write_rates(bench *b, tw_new_files *places) {
  describe(b);
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_rates_write(places->path[0].text, &b->rates);
  places->written[0] = status == TW_OK;
  return tw_new_files_end(places, status);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *path = call->arguments[0];
  tw_new_files places;
  TW_TRY(find_place(path, s->force, &places));
  bench *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  b->s = s;
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  tw_status status = prepare(b);
  if (status == TW_OK) status = measure(b);
  if (status == TW_OK) status = write_rates(b, &places);
  if (status == TW_OK && !call->quiet) {
    print(b);
    printf("written: %s\n", path);
  }
  tw_free(b->random);
  tw_free(b->timed);
  free(b);
  return status;
}

static const tw_option options[] = {
    {.common = &tw_bench_repeat,
     .field = offsetof(settings, repeat),
     .fallback = "9",
     .help = "walks through each program; medians count",
     .high = MOST_WALKS},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

const tw_command tw_bench_calibrate = {
    .name = "bench calibrate",
    .arguments = "FILE.json",
    .summary = "rates of this machine's CPU, by which `twain plan` foretells and chooses",
    .about =
        "Every operation of nine programs of one layer, in a session as a party has it: the fit of their times to what "
        "they read and multiply; products of one row; messages between two threads; a key file's reading. Writes "
        "FILE.json, for `twain plan --device ./FILE.json`.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
