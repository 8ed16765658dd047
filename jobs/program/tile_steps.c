// A tile's walk, written down: a backend that computes nothing notes every call of a gate. What one tile does, all do.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/program/tile_parts.h"
#include "kernels/digit.h"

enum { MOST_STEPS = 512 };

typedef struct {
  tw_tile_steps list;
  uint32_t packets;  // of the message that is being made
  int first_open;    // its first opening among the steps
  bool full;
} recorder;

// A table's functions have no state of their own.
static _Thread_local recorder *current;

static tw_chain_step *add_to(recorder *r, tw_step_kind kind) {
  static _Thread_local tw_chain_step spare;
  tw_chain_step *step = &spare;
  if (r->list.count == MOST_STEPS)
    r->full = true;
  else
    step = &r->list.steps[r->list.count++];
  memset(step, 0, sizeof *step);  // gaps, too: lists are compared
  step->kind = kind;
  return step;
}

// ---- a backend's functions

#define NOTE_OP(op)                                                      \
  static tw_status note_##op(const tw_##op##_args *args, void *stream) { \
    (void)stream;                                                        \
    memcpy(&add_to(current, TW_STEP_##op)->as.op, args, sizeof *args);   \
    return TW_OK;                                                        \
  }
TW_CHAIN_RING_OPS(NOTE_OP)
TW_CHAIN_BIT_OPS(NOTE_OP)

// Its corrections are there already.
#define NOTE_CORRECTED(op)                                                                                       \
  static tw_status note_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                         void *stream) {                                                         \
    (void)taken, (void)count;                                                                                    \
    return note_##op(args, stream);                                                                              \
  }
#define TW_CHAIN_CORRECTED_OPS(X) X(combine) X(extend) X(multiply) X(multiply_rows) X(square) X(select) X(piece)
TW_CHAIN_CORRECTED_OPS(NOTE_CORRECTED)

#define REFUSE_OP(op)                                                      \
  static tw_status refuse_##op(const tw_##op##_args *args, void *stream) { \
    (void)args, (void)stream;                                              \
    return tw_fail(TW_ERR_USAGE, "no kernel takes %s into a chain", #op);  \
  }
TW_RING_OPS(REFUSE_OP)
TW_BIT_OPS(REFUSE_OP)

static tw_status note_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                               uint64_t *out, void *stream) {
  (void)stream;
  add_to(current, TW_STEP_SUMS)->as.sums = (tw_step_sums){x, addend, out, ring, (uint32_t)rows, (uint32_t)cols};
  return TW_OK;
}

static tw_status note_copy(void *to, const void *from, size_t bytes, void *stream) {
  (void)stream;
  add_to(current, TW_STEP_COPY)->as.copy = (tw_step_copy){from, to, (uint32_t)(bytes / 8)};
  return TW_OK;
}

static tw_status nothing_left(const tw_correction_args *args, int count, void *stream) {
  (void)args, (void)count, (void)stream;
  return TW_OK;
}

static tw_backend noting_backend(void) {
  tw_backend k = {.name = "steps", .row_sums = note_row_sums, .copy = note_copy, .corrections = nothing_left};
#define REFUSE_ENTRY(op) k.op = refuse_##op;
#define NOTE_ENTRY(op) k.op = note_##op;
#define NOTE_CORRECTED_ENTRY(op) k.op##_corrected = note_##op##_corrected;
  TW_RING_OPS(REFUSE_ENTRY)
  TW_BIT_OPS(REFUSE_ENTRY)
  TW_CHAIN_RING_OPS(NOTE_ENTRY)
  TW_CHAIN_BIT_OPS(NOTE_ENTRY)
  TW_CHAIN_CORRECTED_OPS(NOTE_CORRECTED_ENTRY)
  return k;
}

// ---- what is moved and opened

static tw_status note_move(tw_tile_run *r, tw_step_kind kind, const tw_tile_part *part, uint64_t *whole,
                           uint64_t *tile) {
  bool common = part->rows.kind == TW_ROWS_COMMON;
  add_to(r->state, kind)->as.move = (tw_step_move){.whole = whole,
                                                   .tile = tile,
                                                   .outer = common ? 1 : (uint32_t)part->rows.outer,
                                                   .all = common ? 1 : (uint32_t)part->all,
                                                   .inner = (uint32_t)(common ? part->n : part->rows.inner),
                                                   .planes = (uint32_t)part->planes,
                                                   .rows = common ? 1 : (uint32_t)r->tile->range.count,
                                                   .watched = part->watched,
                                                   .whole_words = tw_words(part->n)};
  return TW_OK;
}

static tw_status note_gather(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile) {
  return note_move(r, TW_STEP_GATHER, part, whole, tile);
}

static tw_status note_scatter(tw_tile_run *r, const tw_tile_part *part, uint64_t *tile, uint64_t *whole) {
  return note_move(r, TW_STEP_SCATTER, part, whole, tile);
}

static tw_status note_send(tw_tile_run *r, const tw_open_request *q) {
  recorder *to = r->state;
  bool paired = !q->bits && q->width <= TW_CHAIN_PAIRED_BITS;
  add_to(to, TW_STEP_SEND)->as.open = (tw_step_open){.share = q->share,
                                                     .mask = q->mask,
                                                     .out = q->out,
                                                     .ring = q->bits ? ~0ull : tw_ring_mask(q->width),
                                                     .words = (uint32_t)q->words,
                                                     .packet = to->packets,
                                                     .round = to->list.rounds,
                                                     .bits = q->bits,
                                                     .live = (uint32_t)q->n,
                                                     .paired = paired};
  to->packets += (uint32_t)(paired ? (q->words + 1) / 2 : q->words);
  return TW_OK;
}

static tw_status note_receive(tw_tile_run *r) {
  recorder *to = r->state;
  int end = to->list.count;
  for (int i = to->first_open; i < end; i++)
    if (to->list.steps[i].kind == TW_STEP_SEND) {
      tw_step_open open = to->list.steps[i].as.open;
      add_to(to, TW_STEP_RECEIVE)->as.open = open;
    }
  if (to->packets > to->list.packets) to->list.packets = to->packets;
  to->packets = 0;
  to->first_open = to->list.count;
  to->list.rounds++;
  return TW_OK;
}

// Whether the step has a pointer into these bytes of a block's memory. A number that looks like one does no harm.
static bool touches(const tw_chain_step *step, uint64_t begin, uint64_t bytes) {
  uint64_t words[sizeof step->as / 8];
  memcpy(words, &step->as, sizeof words);
  for (size_t i = 0; i < sizeof words / 8; i++)
    if (words[i] - begin < bytes) return true;
  return false;
}

// The last exchange before step `at`: its first send, and its first receive.
static bool exchange_before(const tw_tile_steps *list, int at, int *send, int *receive) {
  int i = at - 1;
  while (i >= 0 && list->steps[i].kind != TW_STEP_RECEIVE) i--;
  if (i < 0) return false;
  while (list->steps[i].kind == TW_STEP_RECEIVE) i--;
  *receive = i + 1;
  while (i >= 0 && (list->steps[i].kind == TW_STEP_SEND || list->steps[i].kind == TW_STEP_GATHER)) i--;
  for (*send = i + 1; list->steps[*send].kind != TW_STEP_SEND;) ++*send;
  return true;
}

// What a round reads is fetched while the packets of the round before are on their way, where its memory is free then.
static void fetch_early(tw_tile_steps *list) {
  for (int i = 0, send, receive; i < list->count; i++) {
    tw_chain_step step = list->steps[i];
    const tw_step_move *m = &step.as.move;
    if (step.kind != TW_STEP_GATHER || !exchange_before(list, i, &send, &receive)) continue;
    size_t n = (size_t)m->outer * m->rows * m->inner, words = m->planes ? m->planes * tw_words(n) : n;
    bool free = true;
    for (int j = send; j < i && free; j++) free = !touches(&list->steps[j], (uint64_t)(uintptr_t)m->tile, 8 * words);
    if (!free) continue;
    memmove(&list->steps[receive + 1], &list->steps[receive], (size_t)(i - receive) * sizeof step);
    list->steps[receive] = step;
  }
}

// ---- who waits for whom

// Thread j works on element j. What a step does to an array of a block's memory: `n` elements, each by its own thread;
// n 0: any thread reads any element.
typedef struct {
  const uint64_t *array;
  size_t n;
  bool writes;
} use;
enum { MOST_USES = 12, MOST_PENDING = 256 };
typedef struct {
  use of[MOST_PENDING];
  int count;
} uses;

static void add_use(uses *u, const uint64_t *array, size_t n, bool writes) {
  if (array && u->count < MOST_PENDING) u->of[u->count++] = (use){array, n, writes};
}

static void add_flat(uses *u, size_t n, int count, const uint64_t *const *read, const uint64_t *out) {
  for (int i = 0; i < count; i++) add_use(u, read[i], n, false);
  add_use(u, out, n, true);
}

#define FLAT(u, a, ...)                                                                                  \
  add_flat(u, (a)->rows *(a)->cols, (int)(sizeof(const uint64_t *[]){__VA_ARGS__} / sizeof(uint64_t *)), \
           (const uint64_t *const[]){__VA_ARGS__}, (a)->out)

// False: threads use each other's elements everywhere.
static bool uses_of_products(const tw_chain_step *s, uses *u) {
  const tw_multiply_args *m = &s->as.multiply;
  const tw_multiply_rows_args *r = &s->as.multiply_rows;
  switch (s->kind) {
    case TW_STEP_extend:
      FLAT(u, &s->as.extend, s->as.extend.X, s->as.extend.r, s->as.extend.carry, s->as.extend.top);
      return true;
    case TW_STEP_square:
      FLAT(u, &s->as.square, s->as.square.X, s->as.square.r, s->as.square.carry, s->as.square.top, s->as.square.tr);
      return true;
    case TW_STEP_multiply:
      FLAT(u, m, m->X, m->r, m->carry, m->top, m->rq, m->tq);
      add_use(u, m->Y, 0, false);
      add_use(u, m->q, 0, false);
      return true;
    case TW_STEP_multiply_rows:
      FLAT(u, r, r->X, r->r, r->x_carry, r->x_top, r->rq, r->tq, r->rs, r->ts);
      add_use(u, r->Y, 0, false);
      add_use(u, r->q, 0, false);
      add_use(u, r->y_carry, 0, false);
      add_use(u, r->y_top, 0, false);
      return true;
    default:
      return false;
  }
}

static bool uses_of(const tw_chain_step *s, uses *u) {
  const tw_step_move *m = &s->as.move;
  const tw_step_open *o = &s->as.open;
  const tw_piece_args *p = &s->as.piece;
  u->count = 0;
  switch (s->kind) {
    case TW_STEP_GATHER:
    case TW_STEP_SCATTER:
      if (m->planes == 0) add_use(u, m->tile, (size_t)m->outer * m->rows * m->inner, s->kind == TW_STEP_GATHER);
      return m->planes == 0;
    case TW_STEP_SEND:
      add_flat(u, o->words, 2, (const uint64_t *const[]){o->share, o->mask}, o->out);
      return true;
    case TW_STEP_RECEIVE:
      add_use(u, o->out, o->words, true);
      return true;
    case TW_STEP_shift:
      FLAT(u, &s->as.shift, s->as.shift.x);
      return true;
    case TW_STEP_combine:
      FLAT(u, &s->as.combine, s->as.combine.x);
      add_use(u, s->as.combine.y, 0, false);
      return true;
    case TW_STEP_offset:
      FLAT(u, &s->as.offset, s->as.offset.X, s->as.offset.base, s->as.offset.slope);
      return true;
    case TW_STEP_piece:
      FLAT(u, p, p->V, p->B, p->sign, p->sign_rho, p->rest);
      return true;
    default:
      return uses_of_products(s, u);
  }
}

static bool collide(const uses *pending, const uses *next) {
  for (int i = 0; i < pending->count; i++)
    for (int j = 0; j < next->count; j++) {
      const use *a = &pending->of[i], *b = &next->of[j];
      if (a->array == b->array && (a->writes || b->writes) && (a->n != b->n || a->n == 0)) return true;
    }
  return pending->count + MOST_USES > MOST_PENDING;
}

// Between steps a block waits for all its threads, except where each goes on with its own elements. Behind the last
// packet of a round it always waits: whoever sends in the next round has read all of this one.
static void join_steps(tw_tile_steps *list) {
  uses pending = {.count = 0}, next;
  bool alone = true;  // what is pending are threads' own elements
  for (int i = 0; i < list->count; i++) {
    tw_chain_step *before = i > 0 ? &list->steps[i - 1] : NULL;
    bool own = uses_of(&list->steps[i], &next), received = before && before->kind == TW_STEP_RECEIVE;
    bool last = received && list->steps[i].kind != TW_STEP_RECEIVE;
    if (before) before->joined = alone && own && !last && !collide(&pending, &next);
    if (before && !before->joined) pending.count = 0;
    for (int j = 0; j < next.count; j++) pending.of[pending.count++] = next.of[j];
    alone = own;
  }
}

static tw_status record(tw_tile_run *r, const tw_tile_place *place, recorder *to) {
  static const tw_tile_hands hands = {note_gather, note_scatter, note_send, note_receive, NULL};
  tw_backend k = noting_backend();
  r->hands = &hands;
  r->state = to;
  current = to;
  tw_session_config config = tw_tile_config(r);
  config.backend = &k;
  size_t of_lists = tw_arena_rounded(8 * to->list.list_words);
  if (of_lists >= place->shared_bytes) return tw_fail(TW_ERR_USAGE, "a chain's lists take %zu bytes", of_lists);
  // never read or written here
  config.copies = (tw_program_copies){(const int64_t *)(uintptr_t)place->shared_base, place->tables};
  config.arena = (tw_arena){(void *)(uintptr_t)(place->shared_base + of_lists), place->shared_bytes - of_lists, true};
  tw_status status = tw_session_create(&config, &r->s);
  if (status == TW_OK) status = tw_tile_walk(r);
  to->list.shared_bytes = of_lists + r->s.memory.arena_used;
  tw_session_destroy(&r->s);
  current = NULL;
  if (status == TW_OK && to->full) status = tw_fail(TW_ERR_USAGE, "a chain of more than %d steps", MOST_STEPS);
  fetch_early(&to->list);
  join_steps(&to->list);
  return status;
}

// The tile's lists, one behind the other, in place of the program's pool.
static tw_status gather_lists(tw_tile *tile, recorder to[2]) {
  size_t words = 0;
  void *memory;
  for (int i = 0; i < tile->program.op_count; i++) words += tile->program.ops[i].list_count;
  TW_TRY(tw_alloc(8 * words + 8, &memory));
  int64_t *lists = memory;
  words = 0;
  for (int i = 0; i < tile->program.op_count; i++) {
    tw_op *op = &tile->program.ops[i];
    if (op->list_count) memcpy(lists + words, tile->whole->pool + op->list, 8 * op->list_count);
    op->list = words;
    words += op->list_count;
  }
  for (int i = 0; i < 2; i++) {
    to[i].list.lists = lists;
    to[i].list.list_words = words;
  }
  return TW_OK;
}

static bool alike(const tw_tile_steps *a, const tw_tile_steps *b) {
  return a->count == b->count && memcmp(a->steps, b->steps, (size_t)a->count * sizeof *a->steps) == 0;
}

// The last tile's list, too: what differs between tiles is not in a list.
static tw_status record_both(tw_tile_run *r, tw_tile *tile, const tw_tile_place *place, recorder to[2]) {
  size_t last = tile->chain->rows - tile->range.count;
  TW_TRY(tw_tile_move(tile, 0));
  TW_TRY(record(r, place, &to[0]));
  TW_TRY(tw_tile_move(tile, last));
  TW_TRY(record(r, place, &to[1]));
  return alike(&to[0].list, &to[1].list)
             ? TW_OK
             : tw_fail(TW_ERR_USAGE, "no kernel takes a chain whose tiles do not do the same");
}

tw_status tw_tile_run_steps(tw_session *s, const tw_chain *c, size_t rows, uint64_t *const *shares, int sequence,
                            const tw_tile_runner *runner) {
  void *memory;
  tw_tile tile;
  recorder to[2] = {{.packets = 0}};
  if (c->rows % rows) return tw_fail(TW_ERR_USAGE, "%zu rows in tiles of %zu", c->rows, rows);
  TW_TRY(tw_alloc(2 * MOST_STEPS * sizeof(tw_chain_step), &memory));
  for (int i = 0; i < 2; i++) to[i].list.steps = (tw_chain_step *)memory + i * MOST_STEPS;
  tw_status status = tw_tile_make(s->program, c, rows, &tile);
  tw_tile_run r = {.whole = s, .tile = &tile, .shares = shares, .sequence = sequence};
  if (status == TW_OK) status = gather_lists(&tile, to);
  if (status == TW_OK) status = record_both(&r, &tile, &runner->place, to);
  if (status == TW_OK) status = runner->run(runner->state, s, &to[0].list, c->rows / rows, sequence);
  tw_tile_free(&tile);
  tw_free(to[0].list.lists);
  tw_free(memory);
  return status;
}
