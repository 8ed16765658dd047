// Preparation in waves on streams that run in any order: a backend that puts work aside until it is executed, stream by
// stream in random order as forks and joins allow, gives the masks and products of the CPU. Where masks are not kept,
// work that was recorded once gives the products of every inference after it. Long because one stage and one backend
// serve all trials.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "jobs/program/preparation.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

// ---- streams: work in the order in which it was enqueued, which waits for nothing but events

enum { STREAMS = TW_FAN + 1, ALONE = TW_FAN, ARGUMENT_BYTES = 512, MOST_EVENTS = 4096 };

typedef struct {
  tw_status (*run)(const void *arguments);  // NULL: an event
  char arguments[ARGUMENT_BYTES];
  int event;
  bool waits;  // for the event, which it otherwise records
} work;

typedef struct {
  work *list;
  int count, room, next;
} stream;

static stream streams[STREAMS];
static bool recorded[MOST_EVENTS];
static int events;

static void *handle(int index) { return &streams[index]; }

static work *enqueue(void *on) {
  stream *s = on;
  if (s->count == s->room) {
    s->room = 2 * s->room + 64;
    s->list = realloc(s->list, sizeof *s->list * (size_t)s->room);
    if (!s->list) abort();
  }
  work *w = &s->list[s->count++];
  memset(w, 0, sizeof *w);
  return w;
}

static tw_status put_aside(void *on, tw_status (*run)(const void *), const void *arguments, size_t bytes) {
  work *w = enqueue(on);
  if (bytes > sizeof w->arguments) abort();
  w->run = run;
  memcpy(w->arguments, arguments, bytes);
  return TW_OK;
}

static void note_event(int on, int event, bool waits) {
  work *w = enqueue(handle(on));
  w->event = event;
  w->waits = waits;
}

static int new_event(void) {
  if (events == MOST_EVENTS) abort();
  return events++;
}

static tw_status fork_streams(void *state) {
  (void)state;
  int event = new_event();
  note_event(0, event, false);
  for (int i = 1; i < TW_FAN; i++) note_event(i, event, true);
  return TW_OK;
}

static tw_status join_streams(void *state) {
  (void)state;
  for (int i = 1; i < TW_FAN; i++) {
    int event = new_event();
    note_event(i, event, false);
    note_event(0, event, true);
  }
  return TW_OK;
}

static bool can_go_on(const stream *s) {
  if (s->next == s->count) return false;
  const work *w = &s->list[s->next];
  return w->run || !w->waits || recorded[w->event];
}

// Everything, in an order that streams allow. False: a stream waits for what nobody records.
static bool execute(void) {
  for (;;) {
    int ready[STREAMS], count = 0;
    for (int i = 0; i < STREAMS; i++)
      if (can_go_on(&streams[i])) ready[count++] = i;
    if (count == 0) break;
    stream *s = &streams[ready[walk_random() % (uint64_t)count]];
    work *w = &s->list[s->next++];
    if (w->run)
      CU_ASSERT_EQUAL(w->run(w->arguments), TW_OK)
    else if (!w->waits)
      recorded[w->event] = true;
  }
  bool all = true;
  for (int i = 0; i < STREAMS; i++) {
    all = all && streams[i].next == streams[i].count;
    streams[i].next = streams[i].count = 0;
  }
  memset(recorded, 0, sizeof recorded);
  events = 0;
  return all;
}

// ---- the CPU's backend, put aside

#define PUT_ASIDE(op)                                                                             \
  static tw_status run_##op(const void *arguments) { return tw_cpu_backend.op(arguments, NULL); } \
  static tw_status later_##op(const tw_##op##_args *args, void *on) {                             \
    return put_aside(on, run_##op, args, sizeof *args);                                           \
  }
TW_RING_OPS(PUT_ASIDE)

typedef struct {
  void *to;
  const void *from;
  size_t bytes;
} copy_args;
static tw_status run_copy(const void *arguments) {
  const copy_args *a = arguments;
  memcpy(a->to, a->from, a->bytes);
  return TW_OK;
}
static tw_status later_copy(void *to, const void *from, size_t bytes, void *on) {
  copy_args a = {to, from, bytes};
  return put_aside(on, run_copy, &a, sizeof a);
}

typedef struct {
  const uint64_t *x, *addend;
  size_t rows, cols;
  uint64_t ring, *out;
} sums_args;
static tw_status run_sums(const void *arguments) {
  const sums_args *a = arguments;
  return tw_cpu_backend.row_sums(a->x, a->rows, a->cols, a->addend, a->ring, a->out, NULL);
}
static tw_status later_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                            uint64_t *out, void *on) {
  sums_args a = {x, addend, rows, cols, ring, out};
  return put_aside(on, run_sums, &a, sizeof a);
}

typedef struct {
  const void *operand;
  size_t m, n, k;
  const uint64_t *x, *addend;
  int ring;
  uint64_t *out;
} product_args;
static tw_status run_product(const void *arguments) {
  const product_args *a = arguments;
  return tw_cpu_backend.product(a->operand, a->m, a->n, a->k, a->x, a->addend, a->ring, a->out, NULL);
}
static void *products_on;  // where all are to be; NULL: anywhere
static tw_status later_product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x,
                               const uint64_t *addend, int ring, uint64_t *out, void *on) {
  if (products_on) CU_ASSERT_PTR_EQUAL(on, products_on);
  product_args a = {operand, m, n, k, x, addend, ring, out};
  return put_aside(on, run_product, &a, sizeof a);
}

typedef struct {
  const void *operand;
  int m, ring;
  size_t n, k;
  tw_product_row row[TW_PRODUCT_ROWS];
} rows_args;
static tw_status run_rows(const void *arguments) {
  const rows_args *a = arguments;
  for (int i = 0; i < a->m; i++)
    TW_TRY(
        tw_cpu_backend.product(a->operand, 1, a->n, a->k, a->row[i].x, a->row[i].addend, a->ring, a->row[i].out, NULL));
  return TW_OK;
}
static int most_rows;  // of a pass over a weight
static tw_status later_rows(const void *operand, int m, size_t n, size_t k, const tw_product_row *row, int ring,
                            void *on) {
  if (products_on) CU_ASSERT_PTR_EQUAL(on, products_on);
  rows_args a = {operand, m, ring, n, k, {{0}}};
  CU_ASSERT_FATAL(m >= 1 && m <= TW_PRODUCT_ROWS);
  memcpy(a.row, row, sizeof *row * (size_t)m);
  if (m > most_rows) most_rows = m;
  return put_aside(on, run_rows, &a, sizeof a);
}

static tw_status run_draw(const void *arguments) { return tw_cpu_backend.draw(arguments, NULL); }
static tw_status later_draw(const tw_draw_args *args, void *on) { return put_aside(on, run_draw, args, sizeof *args); }
static tw_status later_draw_all(const tw_draw_args *args, int count, void *on) {
  for (int i = 0; i < count; i++) TW_TRY(put_aside(on, run_draw, &args[i], sizeof args[i]));
  return TW_OK;
}

static tw_backend later(void) {
  tw_backend k = tw_cpu_backend;
#define SET(op) k.op = later_##op;
  TW_RING_OPS(SET)
  k.copy = later_copy;
  k.row_sums = later_sums;
  k.product = later_product;
  k.draw_all = later_draw_all;
  k.draw = NULL;  // many at a time
  return k;
}

// ---- a model of random numbers

enum { PARTY = 1, MOST_BATCH = 3 };

typedef struct {
  tw_plan plan;
  size_t *rows, *cols;
  uint64_t **values, **masks;  // of what gates use; values are the products' operands
  tw_seed seeds[MOST_BATCH];
  uint64_t slots[MOST_BATCH];
  tw_session_config like;
} stage;

static uint64_t *random_words(size_t n) {
  uint64_t *words = malloc(8 * n + 8);
  if (!words) abort();
  randombytes_buf(words, 8 * n);
  return words;
}

static void add_tensor(stage *st, size_t index, size_t rows, size_t cols) {
  if (st->values[index]) return;
  st->rows[index] = rows;
  st->cols[index] = cols;
  st->values[index] = random_words(rows * cols);
  st->masks[index] = random_words(rows * cols);
}

static void fill_stage(stage *st, const tw_model_config *config, const tw_plan_request *request, int batch) {
  enum { TENSORS = 256 };
  memset(st, 0, sizeof *st);
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(config, request, NULL, &st->plan), TW_OK);
  st->rows = calloc(TENSORS, sizeof *st->rows);
  st->cols = calloc(TENSORS, sizeof *st->cols);
  st->values = calloc(TENSORS, sizeof *st->values);
  st->masks = calloc(TENSORS, sizeof *st->masks);
  const tw_program *p = &st->plan.program;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    size_t index = (size_t)op->arg[TW_LINEAR_WEIGHT];
    if (op->gate->prepare) {
      add_tensor(st, index, (size_t)op->arg[TW_LINEAR_INNER], (size_t)op->arg[TW_LINEAR_COLS]);
      add_tensor(st, index + 1, 1, (size_t)op->arg[TW_LINEAR_COLS]);
    } else if (strcmp(op->gate->name, "weight") == 0) {
      add_tensor(st, index, 1, p->tensors[op->out[0]].n);
    }
  }
  for (int b = 0; b < batch; b++) st->slots[b] = walk_random();
  st->like = (tw_session_config){.program = p,
                                 .role = TW_PARTY,
                                 .party = PARTY,
                                 .batch = batch,
                                 .backend = &tw_cpu_backend,
                                 .keep_masks = true,
                                 .sequences = {.slots = st->slots},
                                 .weights = {.count = TENSORS,
                                             .rows = st->rows,
                                             .cols = st->cols,
                                             .masked = st->values,
                                             .masked_operand = (void *const *)st->values,
                                             .share_operand = (void *const *)st->values}};
  st->like.sequences.seeds[PARTY] = st->seeds;
  st->like.weights.mask[PARTY] = st->masks;
}

static void open_stage(stage *st, const char *shape, bool causal, int seq, int batch) {
  tw_model_config config;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config(shape, &config), TW_OK);
  config.pre_norm = config.causal = causal;
  fill_stage(st, &config, &(tw_plan_request){.seq = seq}, batch);
}

// A text of `words` tokens, each of which has a row in every weight product.
static void open_text_stage(stage *st, int words, int batch) {
  tw_model_config config;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("smollm2-135m", &config), TW_OK);
  config.layers = 2;
  config.hidden = 32;
  config.heads = 4;
  config.kv_heads = 2;
  config.intermediate = 48;
  config.vocab = config.head.outputs = 60;
  fill_stage(st, &config, &(tw_plan_request){.seq = 5, .output = TW_OUTPUT_TEXT, .generated = words}, batch);
}

static void close_stage(stage *st) {
  for (int i = 0; i < st->like.weights.count; i++) {
    free(st->values[i]);
    free(st->masks[i]);
  }
  free(st->rows);
  free(st->cols);
  free(st->values);
  free(st->masks);
  tw_plan_free(&st->plan);
}

// ---- comparison

static uint64_t wrong_masks(const tw_session *a, const tw_session *b) {
  uint64_t wrong = 0;
  for (int i = 0; i < a->program->tensor_count; i++) {
    const uint64_t *x = a->memory.buffers[i].mask[PARTY], *y = b->memory.buffers[i].mask[PARTY];
    wrong += !x != !y || (x && memcmp(x, y, 8 * (size_t)a->batch * tw_words_of(a, i)) != 0);
  }
  return wrong;
}

static uint64_t wrong_products(const tw_session *a, const tw_session *b) {
  const tw_program *p = a->program;
  uint64_t wrong = 0;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].gate->prepare) continue;
    size_t bytes = 8 * (size_t)a->batch * p->tensors[p->ops[i].out[0]].n;
    wrong += !b->preparation.products[i] || memcmp(a->preparation.products[i], b->preparation.products[i], bytes) != 0;
  }
  return wrong;
}

static void spoil(tw_session *s) {
  for (int i = 0; i < s->program->tensor_count; i++)
    if (s->memory.buffers[i].mask[PARTY])
      randombytes_buf(s->memory.buffers[i].mask[PARTY], 8 * (size_t)s->batch * tw_words_of(s, i));
}

// In stretches as beside the online phase (on one stream), gate by gate when traced; or all at once.
typedef enum { WHOLE, STRETCHES, GATES, WAYS } way;

static void prepare(tw_preparation *a, way how) {
  enum { LONGEST = 150 };
  tw_session *s = &a->session;
  const tw_fan *fan = s->preparation.fan;
  int ops = s->program->op_count;
  if (how == WHOLE) {
    CU_ASSERT_EQUAL(tw_preparation_finish(a), TW_OK);
    CU_ASSERT_PTR_EQUAL(s->stream, handle(0));
    return;
  }
  s->preparation.fan = NULL;
  s->stream = handle(ALONE);
  while (s->walk.next_op < ops) {
    int end = s->walk.next_op + (int)walk_random_range(1, LONGEST);
    if (end > ops) end = ops;
    if (how == GATES) CU_ASSERT_EQUAL(tw_session_draw_to(s, end), TW_OK);
    while (s->walk.next_op < end)
      CU_ASSERT_EQUAL(tw_session_prepare_to(s, how == GATES ? s->walk.next_op + 1 : end), TW_OK);
  }
  s->preparation.fan = fan;
  s->stream = handle(0);
}

// One inference after the other, with other seeds each, in memory that the first took.
static void compare_by(tw_backend k, stage *st, bool products_spread) {
  enum { INFERENCES = 6 };
  tw_fan fan = {.count = TW_FAN, .products = products_spread, .fork = fork_streams, .join = join_streams};
  tw_preparation preparation = {0};
  for (int i = 0; i < TW_FAN; i++) fan.stream[i] = handle(i);
  CU_ASSERT_EQUAL_FATAL(tw_preparation_forecast(&preparation, &st->like), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_preparation_create(&preparation, &st->like), TW_OK);
  preparation.session.backend = &k;
  preparation.session.preparation.fan = &fan;
  preparation.session.stream = handle(0);
  for (int i = 0; i < INFERENCES; i++) {
    randombytes_buf(st->seeds, sizeof st->seeds);
    tw_session reference;
    CU_ASSERT_EQUAL_FATAL(tw_session_create(&st->like, &reference), TW_OK);
    CU_ASSERT_EQUAL(tw_session_prepare_to(&reference, reference.program->op_count), TW_OK);
    tw_preparation_rewind(&preparation);
    spoil(&preparation.session);
    way how = i ? (way)(walk_random() % WAYS) : WHOLE;
    products_on = how != WHOLE ? handle(ALONE) : products_spread ? NULL : handle(0);
    prepare(&preparation, how);
    CU_ASSERT(execute());
    CU_ASSERT_EQUAL(wrong_masks(&reference, &preparation.session), 0);
    CU_ASSERT_EQUAL(wrong_products(&reference, &preparation.session), 0);
    tw_session_destroy(&reference);
  }
  tw_preparation_destroy(&preparation);
  tw_cpu_backend.release(preparation.arena.memory, preparation.arena.bytes);
}

static void compare(stage *st, bool products_spread) { compare_by(later(), st, products_spread); }

static void any_order(void) {
  enum { TRIALS = 6 };
  for (int i = 0; i < TRIALS; i++) {
    stage st;
    open_stage(&st, i % 2 ? "2x64x2x128" : "3x32x2x64", walk_random() % 2, (int)walk_random_range(5, 20),
               (int)walk_random_range(1, MOST_BATCH));
    compare(&st, i % 3 != 0);
    close_stage(&st);
  }
}

// Rows of a text's tokens, of one weight, are prepared in one pass as far as they fit.
static void rows_together(void) {
  enum { TRIALS = 8 };
  for (int i = 0; i < TRIALS; i++) {
    stage st;
    tw_backend k = later();
    k.product_rows = later_rows;
    most_rows = 0;
    int batch = 1 + i % MOST_BATCH, words = i == 0 ? 2 * TW_PRODUCT_ROWS + 3 : (int)walk_random_range(2, 20);
    open_text_stage(&st, words, batch);
    st.like.backend = &k;  // its memory is foreseen as it is taken
    tw_session_room room;
    CU_ASSERT_EQUAL(tw_session_forecast(&st.like, TW_FORECAST_PREPARATION, &room), TW_OK);
    st.like.backend = &tw_cpu_backend;
    CU_ASSERT(room.arena > 0);
    compare_by(k, &st, i % 3 != 0);
    int tokens = TW_PRODUCT_ROWS / batch;
    CU_ASSERT(most_rows >= batch * (words - 1 < tokens ? words - 1 : tokens));
    close_stage(&st);
  }
}

// All work is on one stream: as a graph that was recorded when memory had been taken.
static void replay(const work *list, int count) {
  for (int i = 0; i < count; i++) CU_ASSERT_EQUAL(list[i].run(list[i].arguments), TW_OK);
}

static void check_recorded(stage *st, tw_preparation *preparation) {
  enum { INFERENCES = 4 };
  const stream *s = handle(0);
  for (int i = 0; i < INFERENCES; i++) {
    tw_session reference;
    randombytes_buf(st->seeds, sizeof st->seeds);
    CU_ASSERT_EQUAL_FATAL(tw_session_create(&st->like, &reference), TW_OK);
    CU_ASSERT_EQUAL(tw_session_prepare_to(&reference, reference.program->op_count), TW_OK);
    replay(s->list, s->count);
    CU_ASSERT_EQUAL(wrong_products(&reference, &preparation->session), 0);
    tw_session_destroy(&reference);
  }
}

static void masks_not_kept(void) {
  stage st;
  tw_backend k = later();
  tw_preparation preparation = {0};
  k.draw = later_draw;
  k.draw_all = NULL;
  open_stage(&st, "3x32x2x64", true, 13, 2);
  st.like.keep_masks = false;
  CU_ASSERT_EQUAL_FATAL(tw_preparation_forecast(&preparation, &st.like), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_preparation_create(&preparation, &st.like), TW_OK);
  preparation.session.backend = &k;
  preparation.session.stream = handle(0);
  products_on = handle(0);
  for (int walk = 0; walk < 2; walk++) {  // memory is taken, then work is recorded
    tw_preparation_rewind(&preparation);
    CU_ASSERT_EQUAL_FATAL(tw_preparation_finish(&preparation), TW_OK);
    if (walk == 0) CU_ASSERT(execute());
  }
  check_recorded(&st, &preparation);
  streams[0].count = 0;
  tw_preparation_destroy(&preparation);
  tw_cpu_backend.release(preparation.arena.memory, preparation.arena.bytes);
  close_stage(&st);
}

static size_t room_of_result(size_t m, size_t n, size_t k, int ring_bits) {
  (void)k, (void)ring_bits;
  return 8 * m * n;
}

// A stream's products one after another: each that needs more than those before it takes its own.
static size_t rooms_in_order(const tw_program *p, size_t batch) {
  size_t most = 0, all = 0;
  for (int i = 0; i < p->op_count; i++) {
    size_t room = p->ops[i].gate->prepare ? 8 * batch * p->tensors[p->ops[i].out[0]].n : 0;
    if (room <= most) continue;
    most = room;
    all += room;
  }
  return all;
}

static void product_rooms(void) {
  stage st;
  tw_backend k = tw_cpu_backend;
  tw_session_room room;
  k.product_room = room_of_result;
  open_stage(&st, "2x64x2x128", false, 11, 3);
  st.like.keep_masks = false;
  for (tw_forecast part = TW_FORECAST_ONLINE; part <= TW_FORECAST_PREPARATION; part++) {
    st.like.backend = &tw_cpu_backend;
    CU_ASSERT_EQUAL(tw_session_forecast(&st.like, part, &room), TW_OK);
    CU_ASSERT_EQUAL(room.products, 0);
    size_t arena = room.arena;
    st.like.backend = &k;
    CU_ASSERT_EQUAL(tw_session_forecast(&st.like, part, &room), TW_OK);
    CU_ASSERT_EQUAL(room.arena, arena);
    CU_ASSERT_EQUAL(room.products, rooms_in_order(&st.plan.program, 3));
    CU_ASSERT(room.products > 0);
  }
  close_stage(&st);
}

int main(void) {
  if (sodium_init() < 0) return 2;
  static const suite_test tests[] = {{"streams that run in any order", any_order},
                                     {"rows of one weight together", rows_together},
                                     {"masks that are not kept", masks_not_kept},
                                     {"what products take besides is foreseen", product_rooms}};
  int result = suite_run("waves", tests, sizeof tests / sizeof *tests);
  for (int i = 0; i < STREAMS; i++) free(streams[i].list);
  return result;
}
