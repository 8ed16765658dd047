#include "app/bench/random_session.h"

#include "base/clock.h"
#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/program/build.h"
#include "jobs/program/session.h"
#include "kernels/device_opens.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

typedef struct {
  const tw_random_session *o;
  const tw_program *program;
  tw_timing timing;
  tw_backend table;
  bool online;
  // all that was allocated, and operands of weight products
  struct {
    void *memory;
    size_t bytes;
  } * arrays;
  void **operands;
  int array_count, array_room, model_count;
  size_t *rows, *cols;
  uint64_t **vectors;
  tw_session_config config;
  // keys, and an opening's messages and digests
  const uint8_t *keys;
  size_t key_stride, key_offset, key_room;
  uint64_t *message, *theirs, *digests;
} random_run;

// ---- random memory of the backend

static tw_status room(random_run *r, size_t bytes, void **out) {
  if (r->array_count == r->array_room) return tw_fail(TW_ERR_INTERNAL, "a plan with more arrays than expected");
  TW_TRY(r->o->backend->alloc(bytes, out));
  r->arrays[r->array_count].memory = *out;
  r->arrays[r->array_count++].bytes = bytes;
  return TW_OK;
}

static tw_status fill(random_run *r, void *memory, size_t bytes) {
  size_t most = r->o->random_bytes;
  for (size_t at = 0; at < bytes; at += most)
    TW_TRY(r->o->backend->upload((uint8_t *)memory + at, r->o->random, bytes - at < most ? bytes - at : most,
                                 r->o->stream));
  return TW_OK;
}

static tw_status random_words(random_run *r, size_t n, uint64_t **out) {
  void *memory;
  TW_TRY(room(r, 8 * n, &memory));
  *out = memory;
  return fill(r, memory, 8 * n);
}

static tw_status uploaded(random_run *r, const void *host, size_t bytes, void **out) {
  TW_TRY(room(r, bytes, out));
  return r->o->backend->upload(*out, host, bytes, r->o->stream);
}

// ---- keys: every gate reads the same, or the next ones of many

static tw_status find_keys(void *state, int sequence, size_t bytes, const uint8_t **packed) {
  random_run *r = state;
  if (bytes > r->key_stride) return tw_fail(TW_ERR_INTERNAL, "a gate with more corrections than were made");
  if (r->key_room && r->key_offset + bytes > r->key_room) r->key_offset = 0;
  *packed = r->keys + (size_t)sequence * r->key_stride + r->key_offset;
  if (r->key_room) r->key_offset += bytes;
  return TW_OK;
}

static tw_status make_keys(random_run *r) {
  uint64_t *keys;
  for (int i = 0; i < r->program->op_count; i++) {
    const tw_op *op = &r->program->ops[i];
    size_t bytes = 0;
    for (int j = 0; j < op->correction_count; j++) bytes += r->program->corrections[op->correction + j].bytes[0];
    if (bytes > r->key_stride) r->key_stride = bytes;
  }
  enum { BEYOND_CACHES = 96 << 20 };
  if (r->o->walks) r->key_room = r->key_stride > BEYOND_CACHES ? r->key_stride : BEYOND_CACHES;
  if (r->o->walks) r->key_stride = r->key_room;
  TW_TRY(random_words(r, (size_t)r->o->batch * r->key_stride / 8, &keys));
  r->keys = (const uint8_t *)keys;
  r->config.source = (tw_correction_reader){.state = r, .window = find_keys};
  return TW_OK;
}

// ---- openings: of the whole batch, with the request of its first sequence

typedef struct {
  uint64_t *elements, *packed;
  size_t n;
  int ring;
} pack_args;

static tw_status run_pack(const void *args, void *stream) {
  const pack_args *a = args;
  (void)stream;
  tw_pack(a->elements, a->n, a->ring, (uint8_t *)a->packed);
  return TW_OK;
}

static tw_status run_unpack(const void *args, void *stream) {
  const pack_args *a = args;
  (void)stream;
  tw_unpack_add((const uint8_t *)a->packed, a->n, a->ring, a->elements);
  return TW_OK;
}

// The host packs each sequence by itself. What is opened is this party's share under its mask.
static tw_status open_on_host(random_run *r, const tw_open_request *q) {
  tw_mask_args mask = {.rows = 1,
                       .cols = (size_t)r->o->batch * q->words,
                       .share = q->share,
                       .mask = q->mask,
                       .out = q->out,
                       .ring = tw_mask(q->bits ? 64 : q->width),
                       .bits = q->bits};
  TW_TRY(r->table.mask(&mask, r->o->stream));
  if (q->bits) return TW_OK;  // planes are sent as they lie
  pack_args pack = {q->out, r->message, q->n, q->width}, unpack = {r->theirs, r->message, q->n, q->width};
  tw_timed_call packing = {"pack", tw_cost_message(1, q->n, q->width, false, 1, 1), run_pack, &pack};
  tw_timed_call unpacking = {"unpack", tw_cost_message(1, q->n, q->width, false, 2, 1), run_unpack, &unpack};
  TW_TRY(tw_timing_of(&r->timing, &packing, r->o->stream));
  return tw_timing_of(&r->timing, &unpacking, r->o->stream);
}

#ifdef TWAIN_CUDA
typedef struct {
  tw_device_message message;
  uint64_t *own, *theirs, *digests;
} exchange_args;

static tw_status run_device_pack(const void *args, void *stream) {
  const exchange_args *a = args;
  return tw_device_pack(&a->message, NULL, a->own, stream);
}

static tw_status run_device_unpack(const void *args, void *stream) {
  const exchange_args *a = args;
  return tw_device_unpack(&a->message, a->own, a->theirs, a->digests, stream);
}

static tw_status open_on_device(random_run *r, const tw_open_request *q) {
  size_t batch = (size_t)r->o->batch;
  exchange_args a = {.own = r->message, .theirs = r->theirs, .digests = r->digests};
  tw_device_open open = {.share = q->share,
                         .mask = q->mask,
                         .out = q->out,
                         .n = q->n,
                         .words = q->words,
                         .sequences = (uint32_t)batch,
                         .width = (uint16_t)q->width,
                         .bits = q->bits};
  tw_device_open_place(&open, NULL);
  tw_device_message_add(&a.message, &open);
  tw_timed_call pack = {"pack", tw_cost_message(batch, q->n, q->width, q->bits, 2, 1), run_device_pack, &a};
  tw_timed_call unpack = {"unpack", tw_cost_message(batch, q->n, q->width, q->bits, 1, 2), run_device_unpack, &a};
  TW_TRY(tw_timing_of(&r->timing, &pack, r->o->stream));
  TW_TRY(run_device_pack(&a, r->o->stream));
  TW_TRY(tw_timing_of(&r->timing, &unpack, r->o->stream));
  return run_device_unpack(&a, r->o->stream);
}
#endif

// The mask alone: the rest is a collector's.
static tw_status mask_one(void *state, int half, const tw_open_request *q) {
  random_run *r = state;
  (void)half;
  tw_mask_args mask = {.rows = 1,
                       .cols = q->words,
                       .share = q->share,
                       .mask = q->mask,
                       .out = q->out,
                       .ring = tw_mask(q->bits ? 64 : q->width),
                       .bits = q->bits};
  return r->o->backend->mask(&mask, r->o->stream);
}

// Preparation drew the mask already: the same again.
static tw_status open_one(void *state, int half, const tw_open_request *q) {
  random_run *r = state;
  (void)half;
  if (q->index % (uint32_t)r->o->batch != 0) return TW_OK;
  tw_draw_args draw = {.sequences = (size_t)r->o->batch,
                       .seeds = r->config.sequences.seeds[0],
                       .slots = r->config.sequences.backend_slots,
                       .use = q->use,
                       .ring = q->bits ? 0 : q->width,
                       .n = q->words,
                       .out = (uint64_t *)q->mask};
  TW_TRY(r->table.draw(&draw, r->o->stream));
#ifdef TWAIN_CUDA
  if (r->o->on_device) return open_on_device(r, q);
#endif
  return open_on_host(r, q);
}

static tw_status start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)state, (void)reason;
  *message = 0;
  return TW_OK;
}

static tw_status finish(void *state, int half, uint64_t message) {
  (void)state, (void)half, (void)message;
  return TW_OK;
}

static tw_status make_opener(random_run *r) {
  size_t most = 0, batch = (size_t)r->o->batch;
  for (int i = 0; i < r->program->tensor_count; i++) {
    const tw_tensor *t = &r->program->tensors[i];
    size_t words = t->kind == TW_WIRE ? t->n : t->kind == TW_BITWIRE ? (size_t)t->planes * tw_words(t->n) : 0;
    if (words > most) most = words;
  }
  TW_TRY(random_words(r, batch * most + 1, &r->message));
  TW_TRY(random_words(r, batch * most + 1, &r->theirs));
  TW_TRY(random_words(r, batch, &r->digests));
  r->config.opener =
      (tw_opener){.open = r->o->walks ? mask_one : open_one, .start = start, .finish = finish, .state = r};
  return TW_OK;
}

// ---- model, program, input

// W^ and V_b of a matrix are the same random operand.
static tw_status make_model(random_run *r) {
  for (int i = 0; i < r->model_count; i++) {
    char name[TW_TENSOR_NAME];
    tw_model_tensor_shape(r->o->config, i, name, &r->rows[i], &r->cols[i]);
    TW_TRY(random_words(r, r->rows[i] * r->cols[i], &r->vectors[i]));
    int ring = tw_weight_ring(r->program, i);
    if (ring)
      TW_TRY(r->o->backend->operand(r->rows[i], r->cols[i], ring, r->vectors[i], r->o->stream, &r->operands[i]));
  }
  r->config.weights = (tw_weights){.count = r->model_count,
                                   .rows = r->rows,
                                   .cols = r->cols,
                                   .masked = r->vectors,
                                   .masked_operand = r->operands,
                                   .share_operand = r->operands,
                                   .mask = {r->vectors, NULL}};
  return TW_OK;
}

static tw_status place_program(random_run *r, const uint64_t **tables) {
  const tw_program *p = r->program;
  void *memory;
  TW_TRY(uploaded(r, p->pool, sizeof(int64_t) * p->pool_count, &memory));
  r->config.copies = (tw_program_copies){.pool = memory, .tables = tables};
  for (int i = 0; i < p->table_count; i++) {
    TW_TRY(uploaded(r, p->tables[i].values, 8 * p->tables[i].n, &memory));
    tables[i] = memory;
  }
  return TW_OK;
}

static tw_status make_sequences(random_run *r) {
  size_t batch = (size_t)r->o->batch;
  uint64_t *seeds, *input, *slots;
  TW_TRY(random_words(r, batch * sizeof(tw_seed) / 8, &seeds));
  TW_TRY(random_words(r, batch, &slots));
  r->config.sequences = (tw_sequences){.seeds = {(const tw_seed *)(const void *)seeds},
                                       .slots = (const uint64_t *)(const void *)r->o->random,
                                       .backend_slots = slots};
  for (int i = 0; i < r->program->input_count; i++) {
    TW_TRY(random_words(r, batch * r->program->tensors[r->program->inputs[i]].n, &input));
    r->config.sequences.inputs[i] = input;
  }
  return TW_OK;
}

// ---- the run

static bool wanted(void *state, const char *kernel, const tw_kernel_cost *cost) {
  random_run *r = state;
  return r->online && r->o->wanted(r->o->state, kernel, cost);
}

static tw_status time_call(void *state, const tw_timed_call *call, void *stream) {
  random_run *r = state;
  return r->o->time(r->o->state, call, stream);
}

static tw_status walk_timed(random_run *r, tw_session *s) {
  TW_TRY(tw_session_prepare(s));
  r->online = true;
  s->preparer = (tw_preparer){.need = r->o->gate, .state = r->o->state};
  return tw_session_run(s);
}

static tw_status walk_plain(random_run *r, tw_session *s) {
  for (int i = 0; i < r->o->walks; i++) {
    s->preparer = (tw_preparer){0};
    if (i) tw_session_rewind(s);
    double start = tw_seconds();
    TW_TRY(tw_session_prepare(s));
    r->o->prepared(r->o->state, tw_seconds() - start);
    s->preparer = (tw_preparer){.need = r->o->gate, .state = r->o->state};
    TW_TRY(tw_session_run(s));
    TW_TRY(r->o->gate(r->o->state, r->program->op_count));
  }
  return TW_OK;
}

static tw_status walk(random_run *r) {
  tw_session s;
  r->timing = (tw_timing){.real = r->o->backend,
                          .pool = r->config.copies.pool,
                          .host_pool = r->program->pool,
                          .wanted = wanted,
                          .time = time_call,
                          .state = r};
  r->table = tw_timed_backend(&r->timing);
  r->config.backend = r->o->walks ? r->o->backend : &r->table;
  tw_status status = tw_session_create(&r->config, &s);
  if (status == TW_OK) status = r->o->walks ? walk_plain(r, &s) : walk_timed(r, &s);
  tw_session_destroy(&s);
  return status;
}

static tw_status make_lists(random_run *r, void **tables) {
  enum { OTHERS = 16 };
  size_t count = (size_t)r->model_count;
  void *memory;
  r->array_room = r->model_count + r->program->table_count + TW_MOST_INPUTS + OTHERS;
  TW_TRY(tw_alloc(sizeof *r->arrays * (size_t)r->array_room, &memory));
  r->arrays = memory;
  TW_TRY(tw_alloc(sizeof(void *) * count, &memory));
  r->operands = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * count, &memory));
  r->rows = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * count, &memory));
  r->cols = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * count, &memory));
  r->vectors = memory;
  return tw_alloc(sizeof(uint64_t *) * (size_t)(r->program->table_count + 1), tables);
}

static tw_status make(random_run *r, const uint64_t **tables) {
  TW_TRY(make_model(r));
  TW_TRY(place_program(r, tables));
  TW_TRY(make_sequences(r));
  TW_TRY(make_keys(r));
  return make_opener(r);
}

static void release(random_run *r) {
  for (int i = 0; r->operands && i < r->model_count; i++)
    if (r->operands[i]) r->o->backend->operand_free(r->operands[i]);
  for (int i = 0; i < r->array_count; i++) r->o->backend->release(r->arrays[i].memory, r->arrays[i].bytes);
  tw_free(r->arrays);
  tw_free(r->operands);
  tw_free(r->rows);
  tw_free(r->cols);
  tw_free(r->vectors);
}

tw_status tw_random_session_run(const tw_random_session *o) {
  random_run r = {.o = o, .program = &o->plan->program, .model_count = tw_model_tensor_count(o->config)};
  void *tables = NULL;
  r.config = (tw_session_config){
      .program = r.program, .role = TW_PARTY, .batch = o->batch, .stream = o->stream, .keep_masks = !o->walks};
  tw_status status = make_lists(&r, &tables);
  if (status == TW_OK) status = make(&r, tables);
  if (status == TW_OK) status = walk(&r);
  release(&r);
  tw_free(tables);
  return status;
}
