#define _GNU_SOURCE
#include "jobs/parties/bench_job.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/side_by_side.h"
#include "io/key_store.h"
#include "io/tensors.h"
#include "jobs/models/encode.h"
#include "jobs/models/import.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/device_dealer.h"
#include "jobs/parties/emulate.h"
#include "jobs/parties/share.h"
#include "jobs/parties/share_input.h"
#ifdef TWAIN_CUDA
#include "kernels/device.h"
#endif
#include "kernels/pack.h"

enum { PATH_ROOM = 4000 };

struct tw_bench_job {
  tw_bench_job_options o;
  tw_model_config config;
  tw_client client;
  tw_plan plan;
  tw_model_share share;
  tw_model_dealer dealer;
  tw_model_masks masks;
  tw_input input;
  uint64_t *input_share;
  int *lengths;
  tw_seed *seeds;  // own, of each slot
  uint64_t *slot_numbers;
  int slot_count, dealt;  // dealt: repetition, -1 none
  // own corrections of the dealt repetition
  uint8_t *slots;  // [batch][slot_room], memory of the place; NULL: FILE dealt on a GPU, or in_place
  size_t slot_room;
  char folder[PATH_ROOM], path[PATH_ROOM + 16];  // FILE
  tw_key_store keys;
  tw_device_dealer *dealing;
};

static uint64_t random_word(const tw_bench_job *r, const char *label, uint64_t index) {
  tw_seed seed;
  uint64_t word;
  tw_seed_test(&seed, r->o.number, label, index);
  memcpy(&word, seed.key, sizeof word);
  return word;
}

// Tokens drawn from the number, embedded by the synthetic client; every sequence fills its length.
static tw_status make_input(tw_bench_job *r) {
  size_t n = (size_t)r->o.batch * (size_t)r->o.plan.seq;
  void *memory;
  TW_TRY(tw_alloc(sizeof(int) * n, &memory));
  int *ids = memory;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)r->o.batch, &memory));
  r->lengths = memory;
  for (int b = 0; b < r->o.batch; b++) r->lengths[b] = r->o.plan.seq;
  for (size_t i = 0; i < n; i++) ids[i] = (int)(random_word(r, "token", i) % (uint64_t)r->client.config.vocab);
  TW_TRY(tw_alloc(sizeof(int *) * (size_t)r->o.batch, &memory));
  const int **rows = memory;
  for (int b = 0; b < r->o.batch; b++) rows[b] = ids + (size_t)b * (size_t)r->o.plan.seq;
  tw_status status = tw_encode_ids(&r->client, NULL, rows, r->lengths, r->o.batch, r->o.plan.seq, &r->input);
  tw_free(rows);
  tw_free(ids);
  return status == TW_OK ? tw_encode_rows(&r->client, &r->input) : status;
}

static tw_status share_input(tw_bench_job *r) {
  size_t n = (size_t)r->o.batch * tw_plan_input_elements(&r->plan);
  void *memory;
  tw_seed seed;
  TW_TRY(tw_alloc(8 * n, &memory));
  r->input_share = memory;
  tw_seed_test(&seed, r->o.number, "input", 0);
  tw_prg_ring(&seed, 0, 0, tw_input_bits(&r->plan), 0, n, r->input_share);
  if (r->o.party == 0) return TW_OK;
  TW_TRY(tw_alloc(8 * n, &memory));
  tw_input_integers(&r->plan, &r->input, memory);
  tw_input_split(&r->plan, n, r->input_share, memory);
  tw_free(r->input_share);
  r->input_share = memory;
  return TW_OK;
}

static tw_status make_model_of(tw_bench_job *r, tw_import *in) {
  const tw_model_stream *model = tw_import_model(in);
  tw_seed seeds[2];
  r->config = model->config;
  TW_TRY(tw_plan_make(&r->config, &r->o.plan, NULL, &r->plan));
  for (int party = 0; party < 2; party++) tw_seed_test(&seeds[party], r->o.number, "model mask", (uint64_t)party);
  TW_TRY(tw_share_stream_with(model, seeds, r->o.party, &r->share, &r->dealer));
  return tw_import_client(in, &r->client);
}

// In clear it is made tensor by tensor, here and again by who verifies.
static tw_status make_model(tw_bench_job *r) {
  tw_import *in;
  TW_TRY(tw_import_open_shape(r->o.shape, r->o.layers, &in));
  tw_status status = make_model_of(r, in);
  tw_import_close(in);
  return status;
}

static bool on_gpu(const tw_bench_job *r) { return r->o.device == TW_DEVICE_CUDA; }
#ifdef TWAIN_CUDA
// A single slot is read where the GPU's dealer leaves it: one may be as large as half of the host's memory.
static bool in_place(const tw_bench_job *r) { return on_gpu(r) && r->o.keys == TW_KEYS_MEMORY && r->o.batch == 1; }
#endif

static tw_status allocate_slots(tw_bench_job *r) {
  size_t bytes = r->slot_room * (size_t)r->o.batch;
  void *memory = NULL;
#ifdef TWAIN_CUDA
  if (on_gpu(r) && r->o.keys == TW_KEYS_RESIDENT) TW_TRY(tw_cuda_backend.alloc(bytes, &memory));
  if (on_gpu(r) && r->o.keys == TW_KEYS_MEMORY && !in_place(r)) TW_TRY(tw_pinned_alloc(bytes, &memory));
#endif
  if (!on_gpu(r)) TW_TRY(tw_alloc(bytes, &memory));
  r->slots = memory;
  return TW_OK;
}

static void free_slots(tw_bench_job *r) {
  if (!r->slots) return;
#ifdef TWAIN_CUDA
  size_t bytes = r->slot_room * (size_t)r->o.batch;
  if (on_gpu(r) && r->o.keys == TW_KEYS_RESIDENT) tw_cuda_backend.release(r->slots, bytes);
  if (on_gpu(r) && r->o.keys == TW_KEYS_MEMORY) tw_pinned_free(r->slots, bytes);
#endif
  if (!on_gpu(r)) tw_free(r->slots);
}

static tw_status make_folder(tw_bench_job *r) {
  const char *parent = getenv("TMPDIR");
  snprintf(r->folder, sizeof r->folder, "%s/twain-bench-XXXXXX", parent && *parent ? parent : "/tmp");
  if (!mkdtemp(r->folder)) {
    tw_status status = tw_fail(TW_ERR_IO, "%s: cannot make a folder for keys: %s; set TMPDIR to one with room",
                               r->folder, strerror(errno));
    r->folder[0] = '\0';
    return status;
  }
  snprintf(r->path, sizeof r->path, "%s/keys.h5", r->folder);
  return TW_OK;
}

static tw_status allocate_keys(tw_bench_job *r) {
  r->slot_count = r->o.batch * r->o.repeat;
  r->slot_room = tw_arena_rounded(r->plan.program.slot_bytes[r->o.party]);
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_seed) * (size_t)r->slot_count, &memory));
  r->seeds = memory;
  TW_TRY(tw_alloc(8 * (size_t)r->slot_count, &memory));
  r->slot_numbers = memory;
  for (int i = 0; i < r->slot_count; i++) {
    r->slot_numbers[i] = (uint64_t)i;
    tw_deal_test_seed(r->o.number, r->o.party, (uint64_t)i, &r->seeds[i]);
  }
  if (r->o.keys == TW_KEYS_FILE) TW_TRY(make_folder(r));
  return allocate_slots(r);
}

// The dealer on the GPU stays: it deals again before every repetition.
static tw_status open_dealer(tw_bench_job *r) {
#ifdef TWAIN_CUDA
  if (on_gpu(r))
    return tw_device_dealer_create(&r->plan, &r->dealer, (const bool[2]){r->o.party == 0, r->o.party == 1}, 1,
                                   &r->dealing);
#endif
  return tw_model_masks_draw(&r->dealer, &r->plan.program, &tw_cpu_backend, NULL, &r->masks);
}

static double weights_of(const tw_model_config *c) {
  double sum = 0;
  for (int i = 0; i < tw_model_tensor_count(c); i++) {
    char name[TW_TENSOR_NAME];
    size_t rows, cols;
    tw_model_tensor_shape(c, i, name, &rows, &cols);
    sum += (double)rows * (double)cols;
  }
  return sum;
}

// A weight lies there as the party's share, as masks, and as operands of products; where the emulator verifies, in its
// model, too. A slot's keys are joined by the session's tensors, which on a GPU are in its memory.
tw_status tw_bench_job_forecast(const tw_bench_job_options *o, uint64_t *bytes) {
  const double bytes_per_weight = 40, session_per_key = o->device == TW_DEVICE_CUDA ? 0.1 : 0.9;
  tw_model_config c;
  tw_plan plan;
  TW_TRY(tw_shape_config(o->shape, &c));
  if (o->layers > 0 && o->layers < c.layers) c.layers = o->layers;
  TW_TRY(tw_plan_make(&c, &o->plan, NULL, &plan));
  double keys = (double)plan.program.slot_bytes[o->party] * o->batch;
  double table = 4 * (double)c.hidden * (double)c.vocab;  // of words, the client's
  *bytes = (uint64_t)(bytes_per_weight * weights_of(&c) + table + (1 + session_per_key) * keys);
  tw_plan_free(&plan);
  return TW_OK;
}

// What is of a plan, and not of the model alone.
static tw_status make_planned(tw_bench_job *r) {
  r->dealt = -1;
  TW_TRY(make_input(r));
  TW_TRY(share_input(r));
  TW_TRY(allocate_keys(r));
  return open_dealer(r);
}

tw_status tw_bench_job_create(const tw_bench_job_options *options, tw_bench_job **out) {
  tw_bench_job *r = calloc(1, sizeof *r);
  if (!r) return tw_fail(TW_ERR_MEMORY, "out of memory for a bench_job");
  r->o = *options;
  tw_status status = make_model(r);
  if (status == TW_OK) status = make_planned(r);
  *out = r;
  if (status != TW_OK) {
    tw_bench_job_destroy(r);
    *out = NULL;
  }
  return status;
}

static void close_file(tw_bench_job *r) {
  tw_key_store_close(&r->keys);
  if (r->path[0]) unlink(r->path);
}

static void free_planned(tw_bench_job *r) {
  close_file(r);
  if (r->folder[0]) rmdir(r->folder);
  free_slots(r);
#ifdef TWAIN_CUDA
  tw_device_dealer_destroy(r->dealing);
#endif
  tw_free(r->seeds);
  tw_free(r->slot_numbers);
  tw_free(r->lengths);
  tw_free(r->input_share);
  tw_input_free(&r->input);
  if (r->masks.count) tw_model_masks_free(&r->masks);
  tw_plan_free(&r->plan);
}

tw_status tw_bench_job_replan(tw_bench_job *r, const tw_plan_request *plan) {
  free_planned(r);
  r->slots = NULL, r->dealing = NULL, r->seeds = NULL, r->slot_numbers = NULL, r->lengths = NULL;
  r->input_share = NULL;
  r->folder[0] = r->path[0] = '\0';
  r->o.plan = *plan;
  TW_TRY(tw_plan_make(&r->config, &r->o.plan, NULL, &r->plan));
  return make_planned(r);
}

void tw_bench_job_destroy(tw_bench_job *r) {
  if (!r) return;
  free_planned(r);
  tw_model_dealer_free(&r->dealer);
  if (r->share.count) tw_model_share_free(&r->share);
  tw_client_free(&r->client);
  free(r);
}

const tw_plan *tw_bench_job_plan(const tw_bench_job *r) { return &r->plan; }
const tw_model_share *tw_bench_job_model(const tw_bench_job *r) { return &r->share; }
const uint64_t *tw_bench_job_input(const tw_bench_job *r) { return r->input_share; }

// ---- the key file ----

static tw_status create_file(tw_bench_job *r, tw_keys_writer **out) {
  tw_key_index_entry *index;
  TW_TRY(tw_program_index(&r->plan.program, r->o.party, &index));
  tw_keys_info info = {.party = r->o.party,
                       .model_id = r->dealer.model_id,
                       .plan = r->plan.digest,
                       .test = true,
                       .count = (uint64_t)r->o.batch,
                       .slot_bytes = r->plan.program.slot_bytes[r->o.party],
                       .index_count = (uint64_t)r->plan.program.correction_count,
                       .index = index};
  tw_id_random(&info.key_id);
  tw_status status = tw_keys_create(r->path, &info, out);
  tw_free(index);
  return status;
}

static tw_status write_slot(tw_bench_job *r, tw_keys_writer *w, int b, const uint8_t *half) {
  TW_TRY(tw_keys_begin_slot(w, (uint64_t)b, r->seeds[r->dealt * r->o.batch + b].key));
  TW_TRY(tw_keys_append(w, half, r->plan.program.slot_bytes[r->o.party]));
  return tw_keys_end_slot(w);
}

static tw_status end_file(tw_bench_job *r, tw_keys_writer *w, tw_status status) {
  if (status != TW_OK) {
    tw_keys_abort(w);
    return status;
  }
  TW_TRY(tw_keys_commit(w));
  TW_TRY(tw_key_store_open(r->path, r->o.party, &r->keys));
  return r->keys.take(r->keys.state, r->slot_numbers, (size_t)r->o.batch);
}

// ---- dealing ----

static tw_status discard(void *state, const void *data, size_t bytes) {
  (void)state, (void)data, (void)bytes;
  return TW_OK;
}

static uint8_t *slot_of(const tw_bench_job *r, int b) { return r->slots + (size_t)b * r->slot_room; }
static const uint8_t *half_of(const tw_bench_job *r, int b) {
#ifdef TWAIN_CUDA
  if (in_place(r)) return tw_device_dealer_half(r->dealing, 0, r->o.party);
#endif
  return slot_of(r, b);
}

static void seeds_of(const tw_bench_job *r, int b, tw_seed seed[2], uint64_t *slot) {
  *slot = (uint64_t)(r->dealt * r->o.batch + b);
  for (int party = 0; party < 2; party++) tw_deal_test_seed(r->o.number, party, *slot, &seed[party]);
}

static tw_status deal_one(void *state, size_t sequence) {
  tw_bench_job *r = state;
  int b = (int)sequence;
  tw_seed seed[2];
  tw_sink sink[2];
  uint64_t slot;
  uint8_t *at = slot_of(r, b);
  seeds_of(r, b, seed, &slot);
  for (int party = 0; party < 2; party++)
    sink[party] = party == r->o.party ? (tw_sink){tw_deal_to_memory, &at} : (tw_sink){discard, NULL};
  return tw_deal_slot(&r->plan, &r->masks, seed, slot, sink, NULL, NULL);
}

#ifdef TWAIN_CUDA
static tw_status place_half(tw_bench_job *r, tw_keys_writer *w, int b, const uint8_t *half) {
  size_t bytes = r->plan.program.slot_bytes[r->o.party];
  if (w) return write_slot(r, w, b, half);
  if (in_place(r)) return TW_OK;
  if (r->o.keys == TW_KEYS_MEMORY) {
    memcpy(slot_of(r, b), half, bytes);
    return TW_OK;
  }
  TW_TRY(tw_cuda_backend.upload(slot_of(r, b), half, bytes, NULL));
  return tw_device_wait(NULL);
}

static tw_status deal_on_device(tw_bench_job *r, tw_keys_writer *w) {
  for (int b = 0; b < r->o.batch; b++) {
    tw_seed seed[2];
    uint64_t slot;
    seeds_of(r, b, seed, &slot);
    TW_TRY(tw_device_dealer_begin(r->dealing, 0, seed, slot));
    TW_TRY(tw_device_dealer_wait(r->dealing));
    TW_TRY(place_half(r, w, b, tw_device_dealer_half(r->dealing, 0, r->o.party)));
  }
  return TW_OK;
}
#endif

static tw_status deal_slots(tw_bench_job *r, int threads, tw_keys_writer *w) {
#ifdef TWAIN_CUDA
  if (on_gpu(r)) return deal_on_device(r, w);
#endif
  TW_TRY(tw_side_by_side((size_t)r->o.batch, threads, deal_one, r));
  for (int b = 0; w && b < r->o.batch; b++) TW_TRY(write_slot(r, w, b, slot_of(r, b)));
  return TW_OK;
}

tw_status tw_bench_job_deal(tw_bench_job *r, int repetition, int threads) {
  if (repetition >= r->o.repeat) return tw_fail(TW_ERR_INTERNAL, "more repetitions than there are seeds for");
  r->dealt = repetition;
  if (r->o.keys != TW_KEYS_FILE) return deal_slots(r, threads, NULL);
  tw_keys_writer *w;
  close_file(r);
  TW_TRY(create_file(r, &w));
  return end_file(r, w, deal_slots(r, threads, w));
}

// ---- repetitions ----

static tw_status read_chunk(void *state, int b, uint64_t number, void *dst) {
  tw_bench_job *r = state;
  return r->keys.chunk(r->keys.state, b, number, dst);
}

static const uint8_t *find_slot(void *state, int b) { return half_of(state, b); }

tw_status tw_bench_job_job(tw_bench_job *r, int repetition, tw_engine_job *out) {
  if (repetition != r->dealt) return tw_fail(TW_ERR_INTERNAL, "a repetition that was not dealt");
  int first = repetition * r->o.batch;
  *out = (tw_engine_job){.seeds = r->seeds + first,
                         .slots = r->slot_numbers + first,
                         .lengths = r->lengths,
                         .input = r->input_share,
                         .source = {.state = r, .chunk = read_chunk, .slot = find_slot}};
  return TW_OK;
}

static uint64_t open_element(const tw_bench_job_wire *w, size_t j, int ring) {
  return (w->masked[j] - w->mask[0][j] - w->mask[1][j]) & tw_mask(ring);
}

static tw_status emulate(tw_bench_job *r, int repetition, tw_emulation *e) {
  tw_import *in;
  tw_model model = {0};
  TW_TRY(tw_import_open_shape(r->o.shape, r->o.layers, &in));
  tw_status status = tw_model_of_stream(tw_import_model(in), &model);
  tw_import_close(in);
  TW_TRY(status);
  status = tw_emulate(&r->plan, &model, NULL, &r->input, r->slot_numbers + repetition * r->o.batch, r->o.number, e);
  tw_model_free(&model);
  return status;
}

tw_status tw_bench_job_verify(tw_bench_job *r, int repetition, const tw_bench_job_wire *output,
                              const tw_bench_job_wire *guard, const char *transcript, tw_bench_job_verdict *out) {
  tw_emulation e;
  const tw_program *p = &r->plan.program;
  const tw_tensor *t = &p->tensors[p->outputs[0]];
  TW_TRY(emulate(r, repetition, &e));
  *out = (tw_bench_job_verdict){.mismatches = strcmp(transcript, e.transcript) != 0, .out_of_bound = e.out_of_bound};
  memcpy(out->first_out_of_bound, e.first_out_of_bound, sizeof out->first_out_of_bound);
  for (size_t j = 0; j < (size_t)r->o.batch * t->n; j++)
    out->mismatches += tw_signed(open_element(output, j, t->ring), t->ring) != e.output[j];
  for (size_t j = 0; p->guard >= 0 && j < (size_t)r->o.batch; j++)
    out->mismatches += open_element(guard, j, p->tensors[p->guard].ring) != e.guard[j];
  tw_emulation_free(&e);
  return TW_OK;
}
