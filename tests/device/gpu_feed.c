// The key feed on a GPU: gpu_feed. What arrives in GPU memory is what the source holds, from a key file, from
// page-locked memory and in place, for several batches through one graph, also round a small memory, by one stream of
// gates or two, with gates that are slower than the copies; a damaged chunk sets the stop word and ends
// with the file's message; a feed that is ended releases the stream. Then the rate of each way. Exits 1 on a fault.
#define _GNU_SOURCE
#ifndef TWAIN_CUDA
#define TWAIN_CUDA  // this file is built where CUDA is; a compiler that only reads it needs the same declarations
#endif
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/keys.h"
#include "jobs/keys/feed_gpu.h"
#include "jobs/keys/key_ring.h"
#include "kernels/backend.h"
#include "kernels/device.h"

enum { MOST_BATCH = 3, JOBS = 4, BAD_CHUNK = 37 };
static const char *const place_names[] = {
    [TW_KEYS_FILE] = "file", [TW_KEYS_MEMORY] = "memory", [TW_KEYS_RESIDENT] = "resident"};
static const tw_backend *const k = &tw_cuda_backend;
static int faults;

static void must(tw_status status, const char *what) {
  if (status == TW_OK) return;
  fprintf(stderr, "gpu_feed: %s: %s\n", what, tw_error_message());
  exit(2);
}
#define MUST(call) must(call, #call)

static void expect(bool good, const char *what) {
  if (good) return;
  printf("FAILED: %s\n", what);
  faults++;
}

typedef struct {
  tw_key_location place;
  uint64_t slot_bytes;
  int batch;
  bool collect;    // copy what windows show, for comparison
  bool heavy;      // gates take longer than copies
  uint64_t ahead;  // MEMORY: bytes of a slot that are copied before a job
  int halves;
  tw_key_windows windows;
  void *stream, *second, *event, *graph;
  uint8_t *host;              // [batch][slot_bytes], page-locked: what the source holds
  uint8_t *resident;          // device
  uint8_t *collected, *seen;  // device and host
  tw_key_feed *feed;
  char path[64];
  tw_keys *file;
  tw_key_stream *streams[MOST_BATCH];
  bool slow;
} bench;

static uint8_t *slot_in(uint8_t *memory, const bench *t, int b) { return memory + (uint64_t)b * t->slot_bytes; }

static tw_status read_chunk(void *state, int b, uint64_t number, void *dst) {
  bench *t = state;
  if (t->slow) usleep(20000);
  return tw_key_stream_chunk(t->streams[b], number, dst);
}

static const uint8_t *find_slot(void *state, int b) {
  bench *t = state;
  return slot_in(t->place == TW_KEYS_RESIDENT ? t->resident : t->host, t, b);
}

// ---- the source

static void close_file(bench *t) {
  for (int b = 0; b < t->batch; b++) tw_key_stream_destroy(t->streams[b]);
  tw_keys_close(t->file);
  t->file = NULL;
  memset(t->streams, 0, sizeof t->streams);
  unlink(t->path);
}

static void write_file(bench *t) {
  tw_key_index_entry entry = {0};
  tw_keys_info info = {
      .count = (uint64_t)t->batch, .slot_bytes = t->slot_bytes, .index_count = 1, .index = &entry, .test = true};
  tw_keys_writer *w;
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(&info, sizeof info, &info.plan);
  if (t->file) close_file(t);
  MUST(tw_keys_create(t->path, &info, &w));
  for (int b = 0; b < t->batch; b++) {
    uint8_t seed[32];
    randombytes_buf(seed, sizeof seed);
    MUST(tw_keys_begin_slot(w, (uint64_t)b, seed));
    MUST(tw_keys_append(w, slot_in(t->host, t, b), t->slot_bytes));
    MUST(tw_keys_end_slot(w));
  }
  MUST(tw_keys_commit(w));
  MUST(tw_keys_open(t->path, 0, &t->file));
  for (int b = 0; b < t->batch; b++) MUST(tw_key_stream_create(t->file, (uint64_t)b, &t->streams[b]));
}

// Other keys than before, where the source has them.
static void new_keys(bench *t) {
  uint8_t seed[randombytes_SEEDBYTES];
  size_t bytes = t->slot_bytes * (size_t)t->batch;
  randombytes_buf(seed, sizeof seed);
  randombytes_buf_deterministic(t->host, bytes, seed);
  if (t->place == TW_KEYS_FILE) write_file(t);
  if (t->place == TW_KEYS_RESIDENT) {
    MUST(k->upload(t->resident, t->host, bytes, t->stream));
    MUST(tw_device_wait(t->stream));
  }
}

// A bit of the last sequence's chunk, found by its bytes.
static void damage(bench *t) {
  const uint8_t *wanted = slot_in(t->host, t, t->batch - 1) + BAD_CHUNK * (uint64_t)TW_KEY_CHUNK;
  void *memory;
  size_t room = t->slot_bytes * (size_t)t->batch + (4 << 20), bytes;
  FILE *f = fopen(t->path, "r+b");
  MUST(tw_alloc(room, &memory));
  bytes = f ? fread(memory, 1, room, f) : 0;
  const uint8_t *found = memmem(memory, bytes, wanted, 64);
  expect(found != NULL, "the chunk to damage is in the file");
  if (found && fseek(f, found - (uint8_t *)memory, SEEK_SET) == 0) fputc(*found ^ 1, f);
  if (f) fclose(f);
  tw_free(memory);
}

// ---- a batch

// Gates of any sizes: what they take is known before they run.
static void make_windows(bench *t) {
  void *memory;
  MUST(tw_alloc(8 * (size_t)(t->slot_bytes / 64), &memory));
  t->windows = (tw_key_windows){t->slot_bytes, memory, 0};
  for (uint64_t at = 0, bytes; at < t->slot_bytes; at += bytes) {
    bytes = 64 * (1 + (uint64_t)randombytes_uniform(50000));
    if (bytes > t->slot_bytes - at) bytes = t->slot_bytes - at;
    t->windows.ends[t->windows.count++] = at + bytes;
  }
}

static void open_feed(bench *t, uint64_t most) {
  tw_key_feed_options o = {.windows = &t->windows,
                           .most = most,
                           .batch = t->batch,
                           .place = t->place,
                           .ahead = t->ahead,
                           .halves = t->halves,
                           .streams = {t->stream, t->second},
                           .timed = true};
  for (int i = 0; i < t->halves; i++) o.first[i] = tw_key_feed_first(t->batch, t->halves, i);
  MUST(tw_key_feed_create(&o, &t->feed));
}

// most: bytes of GPU memory for the keys; 0: the usual.
static void open_bench(bench *t, const bench *like, uint64_t most) {
  *t = *like;
  const char *folder = getenv("TMPDIR");
  void *memory;
  size_t bytes = t->slot_bytes * (size_t)t->batch;
  if (t->halves == 0) t->halves = 1;
  snprintf(t->path, sizeof t->path, "%.30s/gpu_feed.%d.h5", folder ? folder : "/tmp", (int)getpid());
  MUST(tw_device_stream_create(&t->stream));
  MUST(tw_device_stream_create(&t->second));
  MUST(tw_device_event_create(&t->event));
  MUST(tw_pinned_alloc(bytes, &memory));
  t->host = memory;
  MUST(tw_alloc(bytes, &memory));
  t->seen = memory;
  MUST(k->alloc(bytes, &memory));
  t->collected = memory;
  MUST(k->alloc(bytes, &memory));
  t->resident = memory;
  make_windows(t);
  open_feed(t, most);
}

static void close_bench(bench *t) {
  size_t bytes = t->slot_bytes * (size_t)t->batch;
  tw_key_feed_end(t->feed);
  tw_device_graph_destroy(t->graph);
  tw_key_feed_destroy(t->feed);
  if (t->file) close_file(t);
  k->release(t->collected, bytes);
  k->release(t->resident, bytes);
  tw_pinned_free(t->host, bytes);
  tw_free(t->seen);
  tw_key_windows_free(&t->windows);
  tw_device_event_destroy(t->event);
  tw_device_stream_destroy(t->second);
  tw_device_stream_destroy(t->stream);
}

// Gate number i of a part, as gates do: some bytes of every sequence.
static tw_status enqueue_gate(bench *t, int half, int i) {
  enum { FILLS = 8 };
  tw_correction_reader source = tw_key_feed_source(t->feed, half);
  void *stream = half ? t->second : t->stream;
  uint64_t at = i ? t->windows.ends[i - 1] : 0, bytes = t->windows.ends[i] - at;
  int first = tw_key_feed_first(t->batch, t->halves, half), end = tw_key_feed_first(t->batch, t->halves, half + 1);
  const uint8_t *data[MOST_BATCH];
  for (int b = first; b < end; b++) TW_TRY(source.window(source.state, b - first, bytes, &data[b]));
  for (int fill = 0; fill < FILLS && t->heavy; fill++)
    TW_TRY(k->fill(slot_in(t->resident, t, first), 0, t->slot_bytes, stream));
  for (int b = first; b < end && t->collect; b++)
    TW_TRY(k->copy(slot_in(t->collected, t, b) + at, data[b], bytes, stream));
  return TW_OK;
}

static tw_status enqueue(bench *t) {
  TW_TRY(tw_key_feed_start(t->feed));
  TW_TRY(tw_device_event_record(t->event, t->stream));
  TW_TRY(tw_device_event_wait(t->event, t->second));
  for (int i = 0; i < t->windows.count; i++)
    for (int half = 0; half < t->halves; half++) TW_TRY(enqueue_gate(t, half, i));
  TW_TRY(tw_device_event_record(t->event, t->second));
  return tw_device_event_wait(t->event, t->stream);
}

static void record(bench *t) {
  MUST(tw_device_capture_begin(t->stream));
  tw_status recorded = enqueue(t);
  MUST(tw_device_capture_end(t->stream, TW_OK, &t->graph));
  must(recorded, "recording");
}

static void load(bench *t) {
  tw_key_source source = {.state = t, .chunk = read_chunk, .slot = find_slot};
  bool moved;
  MUST(tw_key_feed_load(t->feed, &source, &moved));
  expect(!moved || !t->graph, "keys that did not move need no new graph");
  if (!t->graph) record(t);
}

static int stop_word(bench *t) {
  int stop;
  MUST(k->download(&stop, tw_key_feed_stop(t->feed), sizeof stop, t->stream));
  return stop;
}

static double run(bench *t) {
  double start = tw_seconds();
  MUST(tw_device_graph_launch(t->graph, t->stream));
  must(tw_device_wait_for(t->stream, 20), "a run");
  return tw_seconds() - start;
}

static bool arrived(bench *t) {
  size_t bytes = t->slot_bytes * (size_t)t->batch;
  MUST(k->download(t->seen, t->collected, bytes, t->stream));
  return memcmp(t->seen, t->host, bytes) == 0;
}

// ---- checks

static void check_place(const bench *like, uint64_t most) {
  bench t;
  char what[160];
  open_bench(&t, like, most);
  for (int job = 0; job < JOBS; job++) {
    new_keys(&t);
    load(&t);
    if (job == 1) usleep(100000);  // the ring is full
    MUST(tw_key_feed_lead(t.feed));
    if (t.place == TW_KEYS_MEMORY) MUST(tw_key_feed_fill(t.feed));
    run(&t);
    snprintf(what, sizeof what,
             "%s, batch %d, %d halves, %s gates, at most %llu bytes, job %d: the bytes of the source",
             place_names[t.place], t.batch, t.halves, t.heavy ? "slow" : "quick", (unsigned long long)most, job);
    expect(arrived(&t), what);
    expect(stop_word(&t) == 0 && tw_key_feed_status(t.feed) == TW_OK, "no failure");
  }
  printf("%-8s batch %d, %d halves, %s gates, at most %llu bytes: %d jobs through one graph\n", place_names[t.place],
         t.batch, t.halves, t.heavy ? "slow" : "quick", (unsigned long long)most, JOBS);
  close_bench(&t);
}

// The whole slots, and memory for a quarter and for a seventh of them.
static void check_places(void) {
  const uint64_t slot_bytes = 70 * (uint64_t)TW_KEY_CHUNK + 777 * 64, parts[] = {0, 4, 7};
  for (int place = TW_KEYS_FILE; place <= TW_KEYS_RESIDENT; place++)
    for (int batch = 1; batch <= MOST_BATCH; batch += 2)
      for (int i = 0; i < 3; i++)
        for (int halves = 1; halves <= (batch > 1 ? 2 : 1); halves++) {
          bench like = {.place = (tw_key_location)place,
                        .slot_bytes = slot_bytes,
                        .batch = batch,
                        .collect = true,
                        .heavy = i > 0 && place == TW_KEYS_MEMORY,
                        .ahead = halves == 2 || i == 1 ? slot_bytes / 3
                                 : i == 0 && batch > 1 ? slot_bytes
                                                       : 0,
                        .halves = halves};
          if (i == 0 || place != TW_KEYS_RESIDENT) check_place(&like, i ? slot_bytes * (uint64_t)batch / parts[i] : 0);
        }
}

static void check_damage(void) {
  bench t;
  open_bench(&t,
             &(bench){.place = TW_KEYS_FILE, .slot_bytes = 70 * (uint64_t)TW_KEY_CHUNK, .batch = 2, .collect = true},
             32 << 20);
  for (int job = 0; job < JOBS; job++) {
    bool bad = job % 2;
    new_keys(&t);
    if (bad) damage(&t);
    load(&t);
    run(&t);
    expect(stop_word(&t) == bad, "the stop word is set when a chunk is damaged, and not before");
    tw_status status = tw_key_feed_status(t.feed);
    expect(status == (bad ? TW_ERR_FORMAT : TW_OK), "a damaged chunk is TW_ERR_FORMAT");
    expect(!bad || (strstr(tw_error_message(), t.path) && strstr(tw_error_message(), "slot 1, bytes 38797312 to")),
           "the message names file, slot and bytes");
    expect(arrived(&t) == !bad, "damaged bytes do not arrive");
  }
  printf("a damaged chunk stops: %s\n", tw_error_message());
  close_bench(&t);
}

static void check_end(void) {
  bench t;
  open_bench(&t,
             &(bench){.place = TW_KEYS_FILE, .slot_bytes = 70 * (uint64_t)TW_KEY_CHUNK, .batch = 2, .collect = true},
             32 << 20);
  new_keys(&t);
  t.slow = true;
  load(&t);
  MUST(tw_device_graph_launch(t.graph, t.stream));
  usleep(50000);
  tw_key_feed_end(t.feed);
  must(tw_device_wait_for(t.stream, 5), "a feed that was ended");
  expect(stop_word(&t) == 1, "a feed that was ended has stopped");
  printf("an ended feed lets the stream go\n");
  close_bench(&t);
}

static void measure(tw_key_location place, bool full, uint64_t most) {
  bench t;
  double best = 1e9;
  uint64_t wait = 0;
  open_bench(&t, &(bench){.place = place, .slot_bytes = 434 * (uint64_t)1000000 / 64 * 64, .batch = 1}, most);
  new_keys(&t);
  for (int job = 0; job < 6; job++) {
    load(&t);
    if (full) usleep(100000);
    double seconds = run(&t);
    if (seconds < best) MUST(tw_key_feed_wait_ns(t.feed, &wait));
    if (seconds < best) best = seconds;
  }
  printf("%-8s %s, %s: 434 MB in %.2f ms, %.1f GB/s\n", place_names[place], full ? "ring full  " : "from nothing",
         most ? "through 64 MiB" : "whole", 1e3 * best, 1e-9 * (double)t.slot_bytes / best);
  close_bench(&t);
}

int main(void) {
  if (sodium_init() < 0 || tw_device_count() == 0) {
    fprintf(stderr, "gpu_feed: no GPU\n");
    return 2;
  }
  MUST(tw_device_select(0));
  check_places();
  check_damage();
  check_end();
  for (int full = 0; full < 2; full++) measure(TW_KEYS_FILE, full, 0);
  for (int small = 0; small < 2; small++) measure(TW_KEYS_MEMORY, false, small ? 64 << 20 : 0);
  printf("%d faults\n", faults);
  return faults != 0;
}
