// A walk that computes nothing: every gate asks for its memory as it will online, so that the session's pool holds all
// blocks before the first value flows. What is allocated afterwards would be a fault of this walk.
#include <string.h>

#include "jobs/program/session.h"

#define NO_OP(op)                                                      \
  static tw_status no_##op(const tw_##op##_args *args, void *stream) { \
    (void)args, (void)stream;                                          \
    return TW_OK;                                                      \
  }
TW_RING_OPS(NO_OP)
TW_BIT_OPS(NO_OP)
TW_DEAL_OPS(NO_OP)
TW_DEAL_BIT_OPS(NO_OP)

#define NO_CORRECTED_OP(op)                                                                                    \
  static tw_status no_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                       void *stream) {                                                         \
    (void)args, (void)taken, (void)count, (void)stream;                                                        \
    return TW_OK;                                                                                              \
  }
TW_CORRECTED_OPS(NO_CORRECTED_OP)

static tw_status no_copy(void *to, const void *from, size_t bytes, void *stream) {
  (void)to, (void)from, (void)bytes, (void)stream;
  return TW_OK;
}
static tw_status no_fill(void *to, int byte, size_t bytes, void *stream) {
  (void)to, (void)byte, (void)bytes, (void)stream;
  return TW_OK;
}

static tw_status no_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                             uint64_t *out, void *stream) {
  (void)x, (void)rows, (void)cols, (void)addend, (void)ring, (void)out, (void)stream;
  return TW_OK;
}

static tw_status no_draw(const tw_draw_args *args, void *stream) {
  (void)args, (void)stream;
  return TW_OK;
}

static tw_status no_draw_all(const tw_draw_args *args, int count, void *stream) {
  (void)args, (void)count, (void)stream;
  return TW_OK;
}

static tw_status no_corrections(const tw_correction_args *args, int count, void *stream) {
  (void)args, (void)count, (void)stream;
  return TW_OK;
}

static tw_status no_give(const tw_give_args *args, int count, void *stream) {
  (void)args, (void)count, (void)stream;
  return TW_OK;
}

static tw_status no_gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b, uint64_t *c,
                         int ring_bits, int accumulate, void *stream) {
  (void)count, (void)m, (void)n, (void)k, (void)a, (void)b, (void)c, (void)ring_bits, (void)accumulate, (void)stream;
  return TW_OK;
}

// While a session reserves, or is foreseen: the backend on which its products will run.
static _Thread_local const tw_backend *reserving, *foreseeing;
static _Thread_local size_t product_room, product_rooms;  // foreseen: the largest, and all that one after another took

// A stream's room grows, and a smaller one is kept.
static void foresee_product(size_t m, size_t n, size_t k, int ring_bits) {
  size_t room = foreseeing->product_room(m, n, k, ring_bits);
  if (room <= product_room) return;
  product_room = room;
  product_rooms += room;
}

static tw_status no_product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x,
                            const uint64_t *addend, int ring_bits, uint64_t *out, void *stream) {
  (void)operand, (void)x, (void)addend, (void)out;
  if (foreseeing && foreseeing->product_room) foresee_product(m, n, k, ring_bits);
  if (!reserving || !reserving->product_reserve) return TW_OK;
  return reserving->product_reserve(m, n, k, ring_bits, stream);
}

static tw_status no_product_rows(const void *operand, int m, size_t n, size_t k, const tw_product_row *row,
                                 int ring_bits, void *stream) {
  (void)operand, (void)m, (void)n, (void)k, (void)row, (void)ring_bits, (void)stream;
  return TW_OK;
}

static tw_status no_read(void *state, int batch_index, void *dst, size_t bytes) {
  (void)state, (void)batch_index, (void)dst, (void)bytes;
  return TW_OK;
}

static tw_status no_window(void *state, int batch_index, size_t bytes, const uint8_t **packed) {
  (void)state, (void)batch_index, (void)bytes;
  *packed = (const uint8_t *)64;  // nobody reads there
  return TW_OK;
}

static tw_status no_event(void *state, int event, int lane) {
  (void)state, (void)event, (void)lane;
  return TW_OK;
}
static const tw_lanes no_lanes = {.record = no_event, .wait = no_event};

static tw_status no_append(void *state, const void *data, size_t bytes) {
  (void)state, (void)data, (void)bytes;
  return TW_OK;
}

static tw_status no_open(void *state, int half, const tw_open_request *request) {
  (void)state, (void)half, (void)request;
  return TW_OK;
}
static void one_queued(void *state, size_t *words, size_t *jobs) {
  (void)state;
  *words = *jobs = 1;
}
static tw_status no_start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)state, (void)reason;
  *message = 0;
  return TW_OK;
}
static tw_status no_finish(void *state, int half, uint64_t message) {
  (void)state, (void)half, (void)message;
  return TW_OK;
}

#define NO_OP_ENTRY(op) no.op = no_##op;
#define NO_CORRECTED_ENTRY(op) no.op##_corrected = no_##op##_corrected;

static tw_backend silent(const tw_backend *backend) {
  tw_backend no = *backend;
  TW_RING_OPS(NO_OP_ENTRY)
  TW_BIT_OPS(NO_OP_ENTRY)
  TW_DEAL_OPS(NO_OP_ENTRY)
  TW_DEAL_BIT_OPS(NO_OP_ENTRY)
  TW_CORRECTED_OPS(NO_CORRECTED_ENTRY)
  no.copy = no.upload = no.download = no_copy;
  no.fill = no_fill;
  no.row_sums = no_row_sums;
  no.draw = no_draw;
  no.draw_all = no_draw_all;
  no.corrections = no_corrections;
  no.give = no_give;
  no.gemm = no_gemm;
  no.product = no_product;
  if (no.product_rows) no.product_rows = no_product_rows;
  return no;
}

// Walks until one takes no more memory: a block that one walk added may be taken by an earlier gate of the next.
static tw_status settle(tw_session *s, tw_status (*walk)(tw_session *s)) {
  for (size_t before = SIZE_MAX; s->memory.bytes_held != before;) {
    before = s->memory.bytes_held;
    TW_TRY(walk(s));
  }
  return TW_OK;
}

static tw_status walk_online(tw_session *s) {
  TW_TRY(tw_session_walk_levels(s));
  tw_session_rewind(s);
  return TW_OK;
}

// On a backend that computes nothing.
static tw_status walk_silently(tw_session *s, const tw_backend *no) {
  s->backend = no;
  s->opener = (tw_opener){no_open, one_queued, no_start, no_finish, NULL, NULL, NULL, NULL};
  s->corrections.source = (tw_correction_reader){no_read, NULL, s->corrections.source.window ? no_window : NULL};
  s->corrections.sink[0] = s->corrections.sink[1] = (tw_sink){no_append, NULL};
  s->observers.mark = NULL;
  s->preparer.need = NULL;
  if (s->lanes) s->lanes = &no_lanes;
  s->silent = true;
  tw_status status = settle(s, walk_online);
  s->silent = false;
  return status;
}

tw_status tw_session_reserve(tw_session *s) {
  tw_backend no = silent(s->backend);
  tw_session kept = *s;
  reserving = kept.backend;
  tw_status status = walk_silently(s, &no);
  reserving = NULL;
  s->backend = kept.backend;
  s->opener = kept.opener;
  s->corrections = kept.corrections;
  s->lanes = kept.lanes;
  s->observers = kept.observers;
  s->preparer = kept.preparer;
  return status;
}

// Memory that is only counted: addresses that nobody reads.
static _Thread_local size_t pretended;

static tw_status pretend(size_t bytes, void **out) {
  *out = (char *)64 + pretended;
  pretended += tw_arena_rounded(bytes);
  return TW_OK;
}

static void forget(void *memory, size_t bytes) { (void)memory, (void)bytes; }

// What another session would have prepared: addresses that nobody reads.
static void pretend_prepared(tw_session *s) {
  uint64_t *const nowhere = (uint64_t *)64;
  for (int i = 0; i < s->program->op_count; i++)
    if (s->program->ops[i].gate->prepare) s->preparation.products[i] = nowhere;
  for (int i = 0; i < s->program->tensor_count && s->preparation.keep_masks; i++)
    s->memory.buffers[i].mask[s->party] = nowhere;
}

static tw_status walk_part(tw_session *s, tw_forecast part, const tw_backend *no) {
  if (part == TW_FORECAST_PREPARATION) return settle(s, tw_session_prepare);
  pretend_prepared(s);
  return walk_silently(s, no);
}

tw_status tw_session_forecast(const tw_session_config *like, tw_forecast part, tw_session_room *room) {
  tw_session_config config = *like;
  tw_session s;
  tw_backend no = silent(&tw_cpu_backend);
  no.alloc = pretend;
  no.release = forget;
  if (like->backend && like->backend->product_rows) no.product_rows = no_product_rows;
  if (like->backend) no.operand_is_values = like->backend->operand_is_values;
  pretended = product_room = product_rooms = 0;
  foreseeing = like->backend;
  config.backend = &no;
  config.arena = (tw_arena){0};
  config.fan = NULL;
  tw_status status = tw_session_create(&config, &s);
  if (status == TW_OK) status = walk_part(&s, part, &no);
  foreseeing = NULL;
  *room = (tw_session_room){pretended, product_rooms};
  tw_session_destroy(&s);
  return status;
}
