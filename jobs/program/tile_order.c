// In which order a tile's steps stand, and where a block's threads wait for each other.
#include <string.h>

#include "jobs/program/tile_parts.h"
#include "kernels/digit.h"

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

size_t tw_tile_move_words(const tw_step_move *m) {
  size_t n = (size_t)m->outer * m->rows * m->inner;
  return m->planes ? m->planes * tw_words(n) : n;
}

// ---- who waits for whom

// What a step does to words of a block's memory. own: word j by thread j alone, as in every step that goes element by
// element; else by any thread.
typedef struct {
  uint64_t begin, bytes;
  bool own, writes;
} use;
enum { MOST_USES = 2 * TW_OPERANDS + 4, MOST_PENDING = 256 };
typedef struct {
  use of[MOST_PENDING];
  int count;
} uses;

static void add_use(uses *u, const void *array, size_t words, bool own, bool writes) {
  if (array) u->of[u->count++] = (use){(uint64_t)(uintptr_t)array, 8 * words, own, writes};
}
static void own(uses *u, const void *array, size_t words) { add_use(u, array, words, true, false); }
static void any(uses *u, const void *array, size_t words) { add_use(u, array, words, false, false); }
static void makes_own(uses *u, const void *array, size_t words) { add_use(u, array, words, true, true); }
static void makes(uses *u, const void *array, size_t words) { add_use(u, array, words, false, true); }
static void anything(uses *u) { u->of[u->count++] = (use){0, UINT64_MAX, false, false}; }

// Element by element: these arrays, and `out`.
#define FLAT(u, a, ...)                                                                             \
  do {                                                                                              \
    const uint64_t *const of_[] = {__VA_ARGS__};                                                    \
    for (size_t i_ = 0; i_ < sizeof of_ / sizeof *of_; i_++) own(u, of_[i_], (a)->rows *(a)->cols); \
    makes_own(u, (a)->out, (a)->rows *(a)->cols);                                                   \
  } while (0)

static void uses_of_moves(const tw_chain_step *s, uses *u) {
  const tw_step_move *m = &s->as.move;
  const tw_step_open *o = &s->as.open;
  bool gathers = s->kind == TW_STEP_GATHER;
  switch (s->kind) {
    case TW_STEP_SEND:
      own(u, o->share, o->words);
      own(u, o->mask, o->words);
      makes_own(u, o->out, o->words);
      return;
    case TW_STEP_RECEIVE:
      makes_own(u, o->out, o->words);
      return;
    case TW_STEP_COPY:
      own(u, s->as.copy.from, s->as.copy.words);
      makes_own(u, s->as.copy.to, s->as.copy.words);
      return;
    default:
      add_use(u, m->tile, tw_tile_move_words(m), m->planes == 0 && !m->warp, gathers);
      return;
  }
}

static void uses_of_products(const tw_step_products *p, uses *u) {
  for (int i = 0; i < TW_OPERANDS; i++) {
    any(u, p->value[i], p->operand_words[i]);
    any(u, p->mask[i], p->operand_words[i]);
  }
  any(u, p->dealt, p->dealt_words);
  makes(u, p->out, (size_t)p->planes * p->words);
}

// By any thread.
static void uses_of_bits(const tw_chain_step *s, uses *u) {
  const tw_step_digits *d = &s->as.digits;
  const tw_step_leaves *l = &s->as.leaves;
  const tw_leaves_args *f = &s->as.few;
  const tw_lookup_args *t = &s->as.lookup;
  const tw_parity_args *p = &s->as.parity;
  const tw_reshape_args *r = &s->as.reshape;
  switch (s->kind) {
    case TW_STEP_DIGITS:
      any(u, d->X, d->n);
      makes(u, d->out, tw_words(32 * (size_t)d->halves * d->stride));
      return;
    case TW_STEP_LEAVES:
      any(u, l->digits, l->digit_words);
      any(u, l->onehot, l->onehot_words);
      makes(u, l->out, (size_t)l->count * l->words);
      return;
    case TW_STEP_FEW:
      any(u, f->X, f->n);
      any(u, f->onehot, f->onehot_words);
      makes(u, f->out, (size_t)f->count * f->words);
      return;
    case TW_STEP_lookup:
      any(u, t->X, t->n);
      any(u, t->onehot, t->words << t->width);
      for (int i = 0; i < 2; i++) makes(u, t->out[i], t->n);
      return;
    case TW_STEP_parity:
      for (int i = 0; i < p->operands; i++) any(u, p->value[i], p->operand_words[i]);
      makes(u, p->out, (size_t)p->planes * p->words);
      return;
    case TW_STEP_reshape:
      any(u, r->x, r->from_words);
      makes(u, r->out, r->planes * tw_words(r->n));
      return;
    case TW_STEP_kill:
      any(u, s->as.kill.x, s->as.kill.words);
      makes(u, s->as.kill.out, s->as.kill.words);
      return;
    case TW_STEP_PRODUCTS:
      uses_of_products(&s->as.products, u);
      return;
    default:
      any(u, s->as.sums.x, (size_t)s->as.sums.rows * s->as.sums.cols);
      any(u, s->as.sums.addend, s->as.sums.rows);
      makes(u, s->as.sums.out, s->as.sums.rows);
      return;
  }
}

// Words of an operand that is paired with rows x cols elements: up to that of the last one.
static size_t paired(tw_pairing pair, size_t rows, size_t cols) {
  bool is_there = rows > 0 && cols > 0 && pair.rows_per_sequence > 0;  // else nothing is paired
  return is_there ? tw_pair_index(pair, rows - 1, cols - 1) + 1 : 0;
}

static void uses_of_wires(const tw_chain_step *s, uses *u) {
  const tw_multiply_args *m = &s->as.multiply;
  const tw_multiply_rows_args *r = &s->as.multiply_rows;
  const tw_piece_args *p = &s->as.piece;
  switch (s->kind) {
    case TW_STEP_extend:
      FLAT(u, &s->as.extend, s->as.extend.X, s->as.extend.r, s->as.extend.carry, s->as.extend.top);
      return;
    case TW_STEP_square:
      FLAT(u, &s->as.square, s->as.square.X, s->as.square.r, s->as.square.carry, s->as.square.top, s->as.square.tr);
      return;
    case TW_STEP_multiply_rows:
      FLAT(u, r, r->X, r->r, r->x_carry, r->x_top, r->rq, r->tq, r->rs, r->ts);
      any(u, r->Y, r->rows);
      any(u, r->q, r->rows);
      any(u, r->y_carry, r->rows);
      any(u, r->y_top, r->rows);
      return;
    case TW_STEP_piece:
      FLAT(u, p, p->V, p->B, p->sign, p->sign_rho, p->rest);
      return;
    case TW_STEP_multiply:
      FLAT(u, m, m->X, m->r, m->carry, m->top, m->rq, m->tq);
      any(u, m->Y, paired(m->pair, m->rows, m->cols));
      any(u, m->q, paired(m->pair, m->rows, m->cols));
      return;
    case TW_STEP_combine:
      FLAT(u, &s->as.combine, s->as.combine.x);
      any(u, s->as.combine.y, paired(s->as.combine.pair, s->as.combine.rows, s->as.combine.cols));
      return;
    case TW_STEP_offset:
      FLAT(u, &s->as.offset, s->as.offset.X, s->as.offset.base, s->as.offset.slope);
      return;
    default:
      FLAT(u, &s->as.shift, s->as.shift.x);
      return;
  }
}

// Those that read elements of other threads wherever they lie.
#define READS_ALL(op, makes)                                      \
  case TW_STEP_##op:                                              \
    anything(u);                                                  \
    makes(u, s->as.op.out, s->as.op.rows *(size_t)s->as.op.cols); \
    return;

static void uses_of(const tw_chain_step *s, uses *u) {
  u->count = 0;
  switch (s->kind) {
    case TW_STEP_GATHER:
    case TW_STEP_SCATTER:
    case TW_STEP_SEND:
    case TW_STEP_RECEIVE:
    case TW_STEP_COPY:
    case TW_STEP_DIGEST:
      uses_of_moves(s, u);
      return;
    case TW_STEP_SUMS:
    case TW_STEP_PRODUCTS:
    case TW_STEP_DIGITS:
    case TW_STEP_LEAVES:
    case TW_STEP_FEW:
    case TW_STEP_lookup:
    case TW_STEP_parity:
    case TW_STEP_reshape:
    case TW_STEP_kill:
      uses_of_bits(s, u);
      return;
      READS_ALL(constants, makes)
      READS_ALL(sum_planes, makes)
      READS_ALL(view, makes_own)
      READS_ALL(concat, makes_own)
      READS_ALL(share, makes_own)
      READS_ALL(select, makes_own)
      READS_ALL(choose, makes_own)
      READS_ALL(pairs, makes_own)
      READS_ALL(floor, makes_own)
      READS_ALL(opponents, makes_own)
      READS_ALL(members, makes_own)
      READS_ALL(fold, makes_own)
      READS_ALL(zero, makes_own)
    default:
      uses_of_wires(s, u);
      return;
  }
}

// Whether the step's arrays have words of the move's tile; writing: only arrays that it writes. Those without a known
// end are not looked at. A tile's memory is a block of the session's, which is never split: so where they begin is
// enough (touches).
static bool reaches(const tw_chain_step *s, const tw_step_move *m, bool writing) {
  uses u;
  uint64_t begin = (uint64_t)(uintptr_t)m->tile, bytes = 8 * tw_tile_move_words(m);
  uses_of(s, &u);
  for (int i = 0; i < u.count; i++) {
    const use *of = &u.of[i];
    if (of->bytes == UINT64_MAX || (writing && !of->writes)) continue;
    if (of->begin - begin < bytes || begin - of->begin < of->bytes) return true;
  }
  return false;
}

// What a round reads is fetched while the packets of the round before are on their way, where its memory is free then.
void tw_tile_fetch_early(tw_tile_steps *list) {
  for (int i = 0, send, receive; i < list->count; i++) {
    tw_chain_step step = list->steps[i];
    const tw_step_move *m = &step.as.move;
    if (step.kind != TW_STEP_GATHER || !exchange_before(list, i, &send, &receive)) continue;
    bool free = true;
    for (int j = send; j < i && free; j++)
      free = !touches(&list->steps[j], (uint64_t)(uintptr_t)m->tile, 8 * tw_tile_move_words(m)) &&
             !reaches(&list->steps[j], m, false);
    if (!free) continue;
    memmove(&list->steps[receive + 1], &list->steps[receive], (size_t)(i - receive) * sizeof step);
    list->steps[receive] = step;
  }
}

// What was opened is added to its digest while the next round's packets are on their way, if it still is there then.
void tw_tile_digest_late(tw_tile_steps *list) {
  for (int i = list->count - 1; i >= 0; i--) {
    tw_chain_step step = list->steps[i];
    int end = i + 1;
    if (step.kind != TW_STEP_DIGEST) continue;
    while (end < list->count && list->steps[end].kind != TW_STEP_RECEIVE &&
           !reaches(&list->steps[end], &step.as.digest.move, true))
      end++;
    if (end == list->count || list->steps[end].kind != TW_STEP_RECEIVE) continue;
    memmove(&list->steps[i], &list->steps[i + 1], (size_t)(end - 1 - i) * sizeof step);
    list->steps[end - 1] = step;
  }
}

// Two that touch the same words, one writing, unless each word is one thread's in both.
static bool collide(const uses *pending, const uses *next) {
  for (int i = 0; i < pending->count; i++)
    for (int j = 0; j < next->count; j++) {
      const use *a = &pending->of[i], *b = &next->of[j];
      bool meet = a->begin - b->begin < b->bytes || b->begin - a->begin < a->bytes;
      if (meet && (a->writes || b->writes) && !(a->own && b->own && a->begin == b->begin)) return true;
    }
  return pending->count + MOST_USES > MOST_PENDING;
}

// Between steps a block waits for all its threads where one reads or writes what another one made or read. Behind the
// last packet of a round it always waits: whoever sends in the next round has read all of this one.
void tw_tile_join_steps(tw_tile_steps *list) {
  uses pending = {.count = 0}, next;
  for (int i = 0; i < list->count; i++) {
    tw_chain_step *before = i > 0 ? &list->steps[i - 1] : NULL;
    bool last = before && before->kind == TW_STEP_RECEIVE && list->steps[i].kind != TW_STEP_RECEIVE;
    uses_of(&list->steps[i], &next);
    if (before) before->joined = !last && !collide(&pending, &next);
    if (before && !before->joined) pending.count = 0;
    for (int j = 0; j < next.count; j++) pending.of[pending.count++] = next.of[j];
  }
}
