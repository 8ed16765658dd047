// A tile's walk, written down: a backend that computes nothing notes every call of a gate. What one tile does, all do.
// Long because all that a backend can be called for is noted here.
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/program/tile_parts.h"
#include "kernels/digit.h"

enum { MOST_STEPS = 512 };

// What a kernel takes for granted of operations by elements.
#define BEGINS_ALIKE(op)                                                             \
  static_assert(offsetof(tw_##op##_args, rows) == offsetof(tw_shift_args, rows) &&   \
                    offsetof(tw_##op##_args, cols) == offsetof(tw_shift_args, cols), \
                #op " has its rows or columns elsewhere");
TW_CHAIN_ELEMENT_OPS(BEGINS_ALIKE)
static_assert((int)TW_STEP_ELEMENTS == (int)TW_STEP_shift, "operations by elements stand together");

typedef struct {
  tw_tile_steps list;
  const tw_tile_run *run;
  const tw_tile_place *place;
  uint64_t shared_base;
  size_t list_room;                      // words
  uint64_t digits;                       // where digits lie, for one opened tensor at a time
  size_t digit_words, most_digit_words;  // of the last one; of all
  uint32_t packets;                      // of the message that is being made
  int first_open;                        // its first opening among the steps
  uint64_t *digests;                     // NULL: nobody reads them
  int alone;                             // moves so far that are a warp's
  bool endless;                          // the block's memory is only measured
  bool full, wide;  // more steps or words of lists than there is room for; numbers that a list cannot hold
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

// ---- lists: they go to a block's memory

// Room for so many words of a list, here and there.
static int64_t *take_list(recorder *r, size_t words, const void **there) {
  static _Thread_local int64_t none;
  *there = (const void *)(uintptr_t)(r->shared_base + 8 * r->list.list_words);
  if (r->list.list_words + words > r->list_room) r->full = true;
  if (r->full) return NULL;
  r->list.list_words += words;
  return words ? r->list.lists + r->list.list_words - words : &none;
}

static const int64_t *keep_list(const int64_t *list, size_t words) {
  const void *there;
  int64_t *here = take_list(current, words, &there);
  if (here && words) memcpy(here, list, 8 * words);
  return there;
}

static uint16_t narrow(int64_t number) {
  if (number != (uint16_t)number) current->wide = true;
  return (uint16_t)number;
}

// ---- products of bits, in units (kernels/chain_steps.h)

typedef struct {
  const tw_products_args *a;
  uint32_t ones, mine;  // places: of words without a bit, and of the public 1's share
  uint32_t upper;
} unit_maker;

// In words of the block's memory. Memory without end is only measured.
static uint16_t place_of(const void *at) {
  uint64_t words = ((uint64_t)(uintptr_t)at - current->shared_base) / 8;
  if (words >= TW_UNIT_NEGATED && !current->endless) current->wide = true;
  return (uint16_t)(words % TW_UNIT_NEGATED);
}

// Of a literal: operand, plane, whether it is negated.
static uint16_t value_place(const unit_maker *m, const int64_t *literal) {
  uint16_t place = place_of(m->a->value[literal[0]] + (size_t)literal[1] * m->a->words);
  return (uint16_t)(place | (literal[2] ? TW_UNIT_NEGATED : 0));
}

static uint16_t one(const unit_maker *m) { return (uint16_t)(m->ones | TW_UNIT_NEGATED); }

static uint16_t share_place(const unit_maker *m, const int64_t *product, int set) {
  const int64_t count = product[1], *literal = product + 2, *planes = literal + 3 * count;
  if (set == 0) return (uint16_t)m->mine;
  if (set >= 1 << count) return (uint16_t)m->ones;  // of a literal that is not there: nothing
  if (set & (set - 1)) return place_of(m->a->dealt + (size_t)planes[set] * m->a->words);
  while (!(set & 1)) {
    set >>= 1;
    literal += 3;
  }
  return place_of(m->a->mask[literal[0]] + (size_t)literal[1] * m->a->words);
}

static uint32_t units_of(int64_t count) { return count > 3 ? 1u << (count - 3) : 1; }

// Sets that have the literals of `high` behind the first three.
static uint16_t *make_unit(const unit_maker *m, uint32_t plane, const int64_t *product, uint32_t high, uint16_t *to) {
  const int64_t count = product[1], *literal = product + 2;
  *to++ = narrow(plane);
  for (int i = 0; i < 3; i++) *to++ = i < count ? value_place(m, literal + 3 * i) : one(m);
  for (int set = 0; set < 8; set++) *to++ = share_place(m, product, set | (int)(high << 3));
  for (uint32_t i = 0; i < m->upper; i++)
    *to++ = i + 3 < count && !(high >> i & 1) ? value_place(m, literal + 3 * (i + 3)) : one(m);
  return to;
}

// In order of planes. In front of them a plane without bits, and one of the public 1's share.
static void keep_products(const tw_products_args *a, tw_step_products *to) {
  const int64_t *first = a->outline, *starts = a->outline + to->planes + 1;
  const void *there;
  for (int p = 0; p < a->products; p++) {
    int64_t count = a->list[starts[p] + 1];
    to->units += units_of(count);
    if (count > 3 + (int64_t)to->upper) to->upper = (uint32_t)count - 3;
  }
  int64_t *constant = take_list(current, 2 * a->words, &there);
  for (size_t w = 0; constant && w < 2 * a->words; w++) constant[w] = w < a->words || a->party ? 0 : -1;
  unit_maker m = {.a = a, .ones = place_of(there), .upper = to->upper};
  m.mine = m.ones + (uint32_t)a->words;
  uint16_t *here = (uint16_t *)take_list(current, ((TW_UNIT_UPPER + to->upper) * (size_t)to->units + 3) / 4, &there);
  to->list = there;
  for (uint32_t plane = 0; here && plane < to->planes; plane++)
    for (int64_t p = first[plane]; p < first[plane + 1]; p++)
      for (uint32_t high = 0; high < units_of(a->list[starts[p] + 1]); high++)
        here = make_unit(&m, plane, a->list + starts[p], high, here);
}

// ---- a backend's functions

#define NOTE_AS(op)                                             \
  static tw_##op##_args *add_##op(const tw_##op##_args *args) { \
    tw_chain_step *step = add_to(current, TW_STEP_##op);        \
    memcpy(&step->as.op, args, sizeof *args);                   \
    return &step->as.op;                                        \
  }
TW_CHAIN_ELEMENT_OPS(NOTE_AS)
TW_CHAIN_WHOLE_OPS(NOTE_AS)

#define NOTE_OP(op)                                                      \
  static tw_status note_##op(const tw_##op##_args *args, void *stream) { \
    (void)stream;                                                        \
    add_##op(args);                                                      \
    return TW_OK;                                                        \
  }
// clang-format off
#define TW_CHAIN_PLAIN_OPS(X) \
  X(shift) X(view) X(concat) X(combine) X(share) X(extend) X(multiply) X(multiply_rows) X(square) X(select) X(choose) \
  X(pairs) X(offset) X(piece) X(floor) X(opponents) X(members) X(fold) X(lookup) X(reshape)
// clang-format on
TW_CHAIN_PLAIN_OPS(NOTE_OP)

#define NOTE_LISTED(op, list, words)                                     \
  static tw_status note_##op(const tw_##op##_args *args, void *stream) { \
    (void)stream;                                                        \
    add_##op(args)->list = keep_list(args->list, words);                 \
    return TW_OK;                                                        \
  }
NOTE_LISTED(constants, constants, args->planes)
NOTE_LISTED(sum_planes, shifts, args->planes)
NOTE_LISTED(parity, list, 3 * args->terms + (size_t)args->planes)

// After how many tiles the operation that runs does the same again.
static uint32_t period_of(const tw_tile_run *r) {
  const tw_tile *t = r->tile;
  int at = r->s.walk.running;
  size_t rows = t->range.count, tiles = t->chain->rows / rows;
  const tw_gate *gate = t->program.ops[at].gate;
  tw_op first = t->program.ops[at], other = first;
  gate->tile(&t->shapes[at], (tw_row_range){0, rows}, &first);
  for (size_t i = 1; i < tiles; i++)
    if (gate->tile(&t->shapes[at], (tw_row_range){i * rows, rows}, &other) &&
        memcmp(first.arg, other.arg, sizeof first.arg) == 0)
      return (uint32_t)i;
  return (uint32_t)tiles;
}

// Only causal attention asks for a row's token.
static void note_tokens(tw_chain_step *step, tw_liveness *live) {
  if (live->causal)
    step->period = period_of(current->run);
  else
    live->first = 0;
}

static tw_status note_kill(const tw_kill_args *args, void *stream) {
  (void)stream;
  const int64_t *earlier = keep_list(args->earlier, 2 * (size_t)args->levels);
  tw_chain_step *step = add_to(current, TW_STEP_kill);
  memcpy(&step->as.kill, args, sizeof *args);
  step->as.kill.earlier = earlier;
  note_tokens(step, &step->as.kill.live);
  return TW_OK;
}

static tw_status note_zero(const tw_zero_args *args, void *stream) {
  (void)stream;
  tw_chain_step *step = add_to(current, TW_STEP_zero);
  memcpy(&step->as.zero, args, sizeof *args);
  note_tokens(step, &step->as.zero.live);
  return TW_OK;
}

static tw_status note_products(const tw_products_args *args, void *stream) {
  (void)stream;
  tw_step_products p = {0};
  p.dealt = args->dealt;
  p.memory = (const uint64_t *)(uintptr_t)current->shared_base;
  p.out = args->out;
  p.words = (uint32_t)args->words;
  p.planes = (uint32_t)(args->out_words / args->words);
  p.dealt_words = (uint32_t)args->dealt_words;
  keep_products(args, &p);
  for (int i = 0; i < args->operands; i++) {
    p.value[i] = args->value[i];
    p.mask[i] = args->mask[i];
    p.operand_words[i] = (uint32_t)args->operand_words[i];
  }
  add_to(current, TW_STEP_PRODUCTS)->as.products = p;
  return TW_OK;
}

// The digits' step of these elements less the offset, where nothing but leaves has come since. offset NULL: any.
static const tw_step_digits *digits_there(const uint64_t *X, const int64_t *offset) {
  for (int i = current->list.count; i-- > 0;) {
    const tw_chain_step *step = &current->list.steps[i];
    const tw_step_digits *d = &step->as.digits;
    if (step->kind == TW_STEP_DIGITS && d->X == X && (!offset || d->offset == (uint64_t)*offset)) return d;
    if (step->kind != TW_STEP_DIGITS && step->kind != TW_STEP_LEAVES && step->kind != TW_STEP_GATHER) return NULL;
  }
  return NULL;
}

static const uint64_t *digits_of(const tw_leaves_args *a, int64_t offset) {
  const tw_step_digits *there = digits_there(a->X, &offset);
  if (there) return there->out;
  if (!digits_there(a->X, NULL)) current->digit_words = 0;  // nobody needs what lies there
  tw_step_digits d = {.X = a->X,
                      .offset = (uint64_t)offset,
                      .out = (uint64_t *)(uintptr_t)(current->digits + 8 * current->digit_words),
                      .n = (uint32_t)a->n,
                      .halves = 2 * (uint32_t)a->words,
                      .bits = (uint32_t)a->ring,
                      .stride = (uint32_t)a->ring | 1};
  current->digit_words += tw_words(32 * (size_t)d.halves * d.stride);
  if (current->digit_words > current->most_digit_words) current->most_digit_words = current->digit_words;
  add_to(current, TW_STEP_DIGITS)->as.digits = d;
  return d.out;
}

// Elements of less than half a word: their digits are not worth to be brought together.
enum { FEW = 16 };
static tw_status note_few(const tw_leaves_args *args) {
  const int64_t *leaves = keep_list(args->leaves, 3 * (size_t)args->count);
  tw_leaves_args *to = &add_to(current, TW_STEP_FEW)->as.few;
  memcpy(to, args, sizeof *args);
  to->leaves = leaves;
  return TW_OK;
}

static tw_status note_leaves(const tw_leaves_args *args, void *stream) {
  (void)stream;
  if (args->n <= FEW) return note_few(args);
  const void *there;
  int64_t *list = take_list(current, 3 * (size_t)args->count, &there);
  tw_step_leaves l = {.digits = (const uint64_t *)(uintptr_t)current->digits,
                      .onehot = args->onehot,
                      .leaves = there,
                      .out = args->out,
                      .words = (uint32_t)args->words,
                      .count = (uint32_t)args->count,
                      .party = (uint32_t)args->party,
                      .stride = (uint32_t)args->ring | 1,
                      .n = (uint32_t)args->n,
                      .quads = 1,
                      .onehot_words = (uint32_t)args->onehot_words};
  for (int i = 0; i < args->count; i++) {
    const int64_t *leaf = args->leaves + 3 * i;
    const int width = (int)(leaf[2] & 0xff);
    const uint64_t *digits = digits_of(args, leaf[0]);
    if (list) {
      list[3 * i] = 2 * (digits - l.digits);
      list[3 * i + 1] = (leaf[2] >> 8 & 0xff) == TW_LEAF_SIGN ? args->ring - 1 : leaf[1];
      list[3 * i + 2] = leaf[2];
    }
    if (width > 2 && l.quads < 1u << (width - 2)) l.quads = 1u << (width - 2);
  }
  l.digit_words = (uint32_t)current->digit_words;
  add_to(current, TW_STEP_LEAVES)->as.leaves = l;
  return TW_OK;
}

// Its corrections are there already.
#define NOTE_CORRECTED(op)                                                                                       \
  static tw_status note_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                         void *stream) {                                                         \
    (void)taken, (void)count;                                                                                    \
    return note_##op(args, stream);                                                                              \
  }
#define TW_CHAIN_CORRECTED_OPS(X) \
  X(combine) X(extend) X(multiply) X(multiply_rows) X(square) X(select) X(piece) X(floor)
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
  TW_CHAIN_ELEMENT_OPS(NOTE_ENTRY)
  TW_CHAIN_WHOLE_OPS(NOTE_ENTRY)
  TW_CHAIN_TOKEN_OPS(NOTE_ENTRY)
  NOTE_ENTRY(products)
  NOTE_ENTRY(leaves)
  TW_CHAIN_CORRECTED_OPS(NOTE_CORRECTED_ENTRY)
  return k;
}

// ---- gaps

// What lies between a structure's members is any byte, and lists are compared.
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CLEAR_GAPS(of) __builtin_clear_padding(of)
#endif
#endif
#ifndef CLEAR_GAPS
#define CLEAR_GAPS(of) (void)(of)
#endif

#define CLEAR_CASE(kind, member)  \
  case TW_STEP_##kind:            \
    CLEAR_GAPS(&step->as.member); \
    return;
#define CLEAR_OP(op) CLEAR_CASE(op, op)
static void clear_gaps(tw_chain_step *step) {
  switch (step->kind) {
    TW_CHAIN_ELEMENT_OPS(CLEAR_OP)
    TW_CHAIN_WHOLE_OPS(CLEAR_OP)
    TW_CHAIN_TOKEN_OPS(CLEAR_OP)
    case TW_STEP_SCATTER:
      CLEAR_CASE(GATHER, move)
    case TW_STEP_RECEIVE:
      CLEAR_CASE(SEND, open)
      CLEAR_CASE(SUMS, sums)
      CLEAR_CASE(COPY, copy)
      CLEAR_CASE(PRODUCTS, products)
      CLEAR_CASE(DIGEST, digest)
      CLEAR_CASE(DIGITS, digits)
      CLEAR_CASE(LEAVES, leaves)
      CLEAR_CASE(FEW, few)
    default:
      return;
  }
}

static void clear_all_gaps(tw_tile_steps *list) {
  for (int i = 0; i < list->count; i++) clear_gaps(&list->steps[i]);
  for (int i = 0; i < list->pack_count; i++) CLEAR_GAPS(&list->packs[i]);
}

// ---- what is moved and opened

// What is little work is one warp's, the next one another's.
static uint32_t warp_for(recorder *to, uint64_t work) {
  enum { LITTLE = 256 };
  return work <= LITTLE ? (uint32_t)++to->alone : 0;
}

static tw_step_move move_of(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile) {
  bool common = part->rows.kind == TW_ROWS_COMMON;
  size_t run = common ? part->n : r->tile->range.count * part->rows.inner;
  if (run * run * (common ? 1 : part->rows.outer) > UINT32_MAX) ((recorder *)r->state)->wide = true;
  return (tw_step_move){.whole = whole,
                        .tile = tile,
                        .outer = common ? 1 : (uint32_t)part->rows.outer,
                        .all = common ? 1 : (uint32_t)part->all,
                        .inner = (uint32_t)(common ? part->n : part->rows.inner),
                        .planes = (uint32_t)part->planes,
                        .rows = common ? 1 : (uint32_t)r->tile->range.count,
                        .watched = part->watched,
                        .straight = part->planes == 0 && (common || part->rows.outer == 1) ? (uint32_t)run : 0,
                        .stride = common ? 0 : (uint32_t)run,
                        .whole_words = tw_words(part->n),
                        .sequence_words = part->sequence_words,
                        .over_run = (1ull << 32) / run + 1};
}

static tw_status note_move(tw_tile_run *r, tw_step_kind kind, const tw_tile_part *part, uint64_t *whole,
                           uint64_t *tile) {
  tw_step_move m = move_of(r, part, whole, tile);
  if (kind == TW_STEP_GATHER && m.planes)  // elements come by themselves
    m.warp = warp_for(r->state, (uint64_t)m.planes * m.outer * m.rows * m.inner);
  add_to(r->state, kind)->as.move = m;
  return TW_OK;
}

static tw_status note_digest(tw_tile_run *r, const tw_tile_part *part, uint32_t index, uint64_t *tile) {
  recorder *to = r->state;
  tw_step_move m = move_of(r, part, NULL, tile);
  uint64_t run = (uint64_t)m.rows * m.inner, halves = m.planes * ((run + 31) / 32);  // two are one piece's
  m.warp = warp_for(to, m.outer * (m.planes ? 2 * halves : run));
  if (to->digests) add_to(to, TW_STEP_DIGEST)->as.digest = (tw_step_digest){m, to->digests + index};
  return TW_OK;
}

// Bits that are packed before the chain begins, tile behind tile: a tile finds its words side by side. False: there is
// no room.
static bool note_pack(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile) {
  enum { LINE_WORDS = 32 };
  recorder *to = r->state;
  tw_tile_steps *list = &to->list;
  tw_step_move m = move_of(r, part, whole, NULL);
  size_t words = tw_tile_move_words(&m), tiles = r->tile->chain->rows / r->tile->range.count;
  size_t all = (words * tiles * (size_t)r->whole->batch + LINE_WORDS - 1) / LINE_WORDS * LINE_WORDS;
  if (!part->early || part->planes == 0 || list->pack_count == TW_MOST_PACKS ||
      all > to->place->packed_words - list->packed_words)
    return false;
  m.tile = to->place->packed + list->packed_words;
  list->packed_words += all;
  list->packs[list->pack_count++] = m;
  if (words * words > UINT32_MAX) to->wide = true;
  add_to(to, TW_STEP_GATHER)->as.move = (tw_step_move){.whole = m.tile,
                                                       .tile = tile,
                                                       .outer = 1,
                                                       .all = (uint32_t)tiles,
                                                       .inner = (uint32_t)words,
                                                       .rows = 1,
                                                       .straight = (uint32_t)words,
                                                       .stride = (uint32_t)words,
                                                       .whole_words = words * tiles,
                                                       .sequence_words = words * tiles,
                                                       .over_run = (1ull << 32) / words + 1};
  return true;
}

static tw_status note_gather(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile) {
  return note_pack(r, part, whole, tile) ? TW_OK : note_move(r, TW_STEP_GATHER, part, whole, tile);
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

// lists: bytes of a block's memory that are kept for them and, behind them, for digits, and in which both fit.
static tw_status record(tw_tile_run *r, const tw_tile_place *place, size_t lists, size_t bytes, bool late,
                        recorder *to) {
  static const tw_tile_hands hands = {note_gather, note_scatter, note_send, note_receive, note_digest};
  tw_backend k = noting_backend();
  tw_tile_steps empty = {.steps = to->list.steps, .lists = to->list.lists, .packs = to->list.packs};
  *to = (recorder){.list = empty,
                   .run = r,
                   .place = place,
                   .shared_base = place->shared_base,
                   .list_room = to->list_room,
                   .digits = to->digits};
  to->endless = bytes > place->shared_bytes;
  r->hands = &hands;
  r->state = to;
  to->digests = place->digests;
  current = to;
  tw_session_config config = tw_tile_config(r);
  config.backend = &k;
  config.copies.tables = place->tables;
  // never read or written here
  config.arena = (tw_arena){(void *)(uintptr_t)(place->shared_base + lists), bytes - lists, late};
  tw_status status = tw_session_create(&config, &r->s);
  if (status == TW_OK) status = tw_tile_walk(r);
  to->list.shared_bytes = lists + r->s.memory.arena_used;
  tw_session_destroy(&r->s);
  current = NULL;
  clear_all_gaps(&to->list);
  if (status == TW_OK && to->full) status = tw_fail(TW_ERR_USAGE, "a chain of more than %d steps", MOST_STEPS);
  if (status == TW_OK && to->wide) status = tw_fail(TW_ERR_USAGE, "a chain of numbers that no step holds");
  return status;
}

// Memory for steps and lists of one recording.
static tw_status make_room(const tw_tile *tile, recorder *r) {
  enum { LISTS = 16 };  // of an operation, rounded up
  void *memory;
  TW_TRY(tw_alloc(MOST_STEPS * sizeof(tw_chain_step), &memory));
  r->list.steps = memory;
  TW_TRY(tw_alloc(TW_MOST_PACKS * sizeof(tw_step_move), &memory));
  r->list.packs = memory;
  r->list_room = 0;
  for (int i = 0; i < tile->program.op_count; i++)
    r->list_room +=
        tile->program.ops[i].list_count + LISTS + (size_t)tile->program.tensors[tile->program.ops[i].out[0]].planes;
  TW_TRY(tw_alloc(8 * r->list_room, &memory));
  r->list.lists = memory;
  return TW_OK;
}

static tw_liveness *tokens_of(tw_chain_step *s) {
  return s->kind == TW_STEP_kill ? &s->as.kill.live : s->kind == TW_STEP_zero ? &s->as.zero.live : NULL;
}

// What the steps of tile number `tile` say of its rows' tokens is what a kernel makes of the first tile's.
static bool alike(const tw_tile_steps *first, const tw_tile_steps *other, size_t tile) {
  if (first->count != other->count || first->list_words != other->list_words || first->pack_count != other->pack_count)
    return false;
  for (int i = 0; i < first->count; i++) {
    tw_liveness *live = tokens_of(&other->steps[i]);
    uint32_t period = other->steps[i].period;
    if (live && period) live->first -= (int)(tile % period) * live->queries;
  }
  return memcmp(first->steps, other->steps, (size_t)first->count * sizeof *first->steps) == 0 &&
         memcmp(first->packs, other->packs, (size_t)first->pack_count * sizeof *first->packs) == 0 &&
         memcmp(first->lists, other->lists, 8 * first->list_words) == 0;
}

// Twice: what differs between tiles is not in a list.
static tw_status record_ends(tw_tile_run *r, tw_tile *tile, const tw_tile_place *place, size_t lists, bool late,
                             recorder to[2]) {
  size_t rows = tile->range.count, last = tile->chain->rows / rows - 1;
  for (int i = 0; i < 2; i++) {
    TW_TRY(tw_tile_move(tile, i ? last * rows : 0));
    TW_TRY(record(r, place, lists, place->shared_bytes, late, &to[i]));
  }
  return alike(&to[0].list, &to[1].list, last)
             ? TW_OK
             : tw_fail(TW_ERR_USAGE, "no kernel takes a chain whose tiles do not do the same");
}

// First for the size of lists and digits, in memory without end; then as it is, memory reused late where there is
// enough, so that more can be fetched early.
static tw_status record_all(tw_tile_run *r, tw_tile *tile, const tw_tile_place *place, recorder to[2]) {
  TW_TRY(tw_tile_move(tile, 0));
  TW_TRY(record(r, place, 0, (size_t)1 << 40, true, &to[0]));
  size_t lists = tw_arena_rounded(8 * to[0].list.list_words);
  to[0].digits = to[1].digits = place->shared_base + lists;
  lists += tw_arena_rounded(8 * to[0].most_digit_words);
  tw_status status = TW_ERR_INTERNAL;
  for (int late = 1; late >= 0 && status == TW_ERR_INTERNAL && lists < place->shared_bytes; late--)
    status = record_ends(r, tile, place, lists, late, to);
  if (status == TW_ERR_INTERNAL)  // the memory alone differs from the first time
    return tw_fail(TW_ERR_USAGE, "a tile of %zu rows has no room in %zu bytes", tile->range.count, place->shared_bytes);
  TW_TRY(status);
  tw_tile_fetch_early(&to[0].list);
  tw_tile_digest_late(&to[0].list);
  tw_tile_join_steps(&to[0].list);
  return TW_OK;
}

tw_status tw_tile_run_steps(tw_session *s, const tw_chain *c, size_t rows, uint64_t *const *shares,
                            const tw_tile_runner *runner) {
  tw_tile tile;
  recorder to[2] = {{.packets = 0}};
  if (c->rows % rows) return tw_fail(TW_ERR_USAGE, "%zu rows in tiles of %zu", c->rows, rows);
  tw_status status = tw_tile_make(s->program, c, rows, &tile);
  tw_tile_run r = {.whole = s, .tile = &tile, .shares = shares};
  for (int i = 0; i < 2 && status == TW_OK; i++) status = make_room(&tile, &to[i]);
  if (status == TW_OK) status = record_all(&r, &tile, &runner->place, to);
  if (status == TW_OK) status = runner->run(runner->state, s, &to[0].list, c->rows / rows);
  tw_tile_free(&tile);
  for (int i = 0; i < 2; i++) {
    tw_free(to[i].list.lists);
    tw_free(to[i].list.packs);
    tw_free(to[i].list.steps);
  }
  return status;
}
