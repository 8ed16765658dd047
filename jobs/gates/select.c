// Opened bits times wires and constants (protocols, section 7): with d = v ^ m, d x = v x + (1 - 2v) [m x].
#include "jobs/gates/gate.h"

// ---- [d x] for `count` planes of bits; x narrower than the result is extended. Corrections: for x in ring k < K, per
// element of x [o], [rho] (K - k); then per bit [m], [m r] (K) and, when extended, [m rho] (K - k) ----
enum {
  SELECT_FIRST,  // plane
  SELECT_PLANES,
  SELECT_SHARED  // x serves all planes
};

typedef struct {
  int k, K, first, planes;
  size_t n, x_n, words;
  bool shared;
} select_shape;

enum { CARRY, TOP, BIT, BIT_R, BIT_TOP, PARTS };  // dealt

static select_shape shape_of(const tw_session *s, const tw_op *op) {
  const tw_tensor *bits = tw_t(s, op->in[0]), *x = tw_t(s, op->in[1]);
  return (select_shape){
      x->ring, tw_t(s, op->out[0])->ring, (int)op->arg[SELECT_FIRST], (int)op->arg[SELECT_PLANES], bits->n,
      x->n,    tw_words(bits->n),         op->arg[SELECT_SHARED] != 0};
}

static tw_status select_deal(tw_session *s, const tw_op *op) {
  select_shape d = shape_of(s, op);
  const tw_buffer *x = tw_b(s, op->in[1]), *bits = tw_b(s, op->in[0]);
  size_t n = d.n * (size_t)d.planes, first = (size_t)d.first * d.words;
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  uint64_t *mt = part[BIT_TOP];
  if (!mt) TW_TRY(tw_scratch(s, n, &mt));
  tw_deal_select_args a = {.rows = (size_t)d.planes,
                           .cols = d.n,
                           .m0 = bits->mask[0] + first,
                           .m1 = bits->mask[1] + first,
                           .r0 = x->mask[0],
                           .r1 = x->mask[1],
                           .m = part[BIT],
                           .mr = part[BIT_R],
                           .mt = mt,
                           .plane_words = d.words,
                           .r_plane_stride = d.shared ? 0 : d.n,
                           .k = d.k};
  TW_TRY(s->backend->deal_select(&a, s->stream));
  if (part[CARRY]) {
    tw_deal_extend_args e = {
        .rows = 1, .cols = d.x_n, .r0 = x->mask[0], .r1 = x->mask[1], .carry = part[CARRY], .top = part[TOP], .k = d.k};
    TW_TRY(s->backend->deal_extend(&e, s->stream));
  }
  return tw_give(s, op, part);
}

static tw_status select_party(tw_session *s, const tw_op *op) {
  select_shape d = shape_of(s, op);
  uint64_t *part[PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_select_args a = {.rows = (size_t)s->batch * (size_t)d.planes,
                      .cols = d.n,
                      .bits = tw_b(s, op->in[0])->value,
                      .X = tw_b(s, op->in[1])->value,
                      .r = tw_b(s, op->in[1])->mask[s->party],
                      .carry = part[CARRY],
                      .top = part[TOP],
                      .m = part[BIT],
                      .mr = part[BIT_R],
                      .mt = part[BIT_TOP],
                      .out = tw_b(s, op->out[0])->value,
                      .planes = (size_t)d.planes,
                      .first_plane = (size_t)d.first,
                      .plane_words = d.words,
                      .sequence_words = tw_words_of(s, op->in[0]),
                      .x_sequence_stride = d.x_n,
                      .x_plane_stride = d.shared ? 0 : d.n,
                      .one = tw_one(s),
                      .ring = tw_mask(d.K),
                      .k = d.k};
  return s->backend->select_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status select_emulate(tw_session *s, const tw_op *op) {
  select_shape d = shape_of(s, op);
  TW_TRY(tw_make_value(s, op->out[0]));
  for (int p = 0; p < d.planes; p++)
    for (size_t j = 0; j < d.n; j++) {
      size_t at = (size_t)p * d.n + j;
      uint64_t y = 0;
      if (tw_bit(tw_b(s, op->in[0])->value + (size_t)(d.first + p) * d.words, j)) {
        y = tw_b(s, op->in[1])->value[d.shared ? j : at];
        if (d.k < d.K) y = tw_extended(s, op, y, d.k);
      }
      tw_b(s, op->out[0])->value[at] = y & tw_mask(d.K);
    }
  return TW_OK;
}

// Bits of a plane are [outer][rows][inner], what is made of all planes [planes][outer][rows][inner].
static bool select_rows(tw_row_shape *s) {
  size_t planes = (size_t)s->op->arg[SELECT_PLANES];
  bool shared = s->op->arg[SELECT_SHARED];
  tw_rows bits = s->in[0], x = s->in[1];
  if (!tw_is_split(bits) && tw_is_split(x)) bits = shared ? x : tw_rows_split(x.outer / planes, x.inner);
  if (!tw_is_split(bits)) return false;
  s->in[0] = bits;
  s->out[0] = tw_rows_split(planes * bits.outer, bits.inner);
  s->in[1] = shared ? bits : s->out[0];
  tw_rows_dealt(s, s->out[0]);
  s->dealt[CARRY] = s->dealt[TOP] = s->in[1];
  return true;
}

static const tw_gate select_gate = {"select",     NULL,           select_deal,        NULL,
                                    select_party, select_emulate, .rows = select_rows};

int tw_select(tw_builder *b, int bitwire, int plane0, int count, int x, int ring) {
  tw_tensor bits = tw_look(b, bitwire), t = tw_look(b, x);
  tw_op *op = tw_emit(b, &select_gate);
  tw_emit_in(op, bitwire);
  tw_emit_in(op, x);
  size_t n = bits.n * (size_t)count;
  op->arg[SELECT_FIRST] = plane0;
  op->arg[SELECT_PLANES] = count;
  op->arg[SELECT_SHARED] = count > 1 && t.n == bits.n;
  if (bits.kind != TW_BITWIRE || t.kind != TW_WIRE || (t.n != n && t.n != bits.n) || plane0 + count > bits.planes)
    return tw_build_fail(b, TW_ERR_INTERNAL, "select of unlike tensors");
  tw_dealt of_x = {TW_DEALT_RING, ring - t.ring, t.n}, of_bit = {TW_DEALT_RING, ring, n};
  tw_dealt dealt[PARTS] = {of_x, of_x, of_bit, of_bit, {TW_DEALT_RING, ring - t.ring, n}};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale, .n = n});
}

// ---- [prod_j d_j x] for planes of x, the last product of bits and the selection in one: per plane and set of factors
// [m_T] and [m_T r] ----
enum { CHOOSE_PLANES, CHOOSE_FACTORS };
enum { CHOOSE_M, CHOOSE_MR, CHOOSE_PARTS };

// Elements of a plane of x, which has one for the first bits of a plane, or for all.
static size_t chosen_n(const tw_session *s, const tw_op *op) {
  return tw_t(s, op->in[1])->n / (size_t)op->arg[CHOOSE_PLANES];
}

static tw_status choose_deal(tw_session *s, const tw_op *op) {
  const tw_buffer *x = tw_b(s, op->in[1]), *bits = tw_b(s, op->in[0]);
  size_t n = chosen_n(s, op), planes = (size_t)op->arg[CHOOSE_PLANES];
  uint64_t *part[CHOOSE_PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  tw_deal_choose_args a = {.rows = (((size_t)1 << op->arg[CHOOSE_FACTORS]) - 1) * planes,
                           .cols = n,
                           .m0 = bits->mask[0],
                           .m1 = bits->mask[1],
                           .r0 = x->mask[0],
                           .r1 = x->mask[1],
                           .m = part[CHOOSE_M],
                           .mr = part[CHOOSE_MR],
                           .planes = planes,
                           .plane_words = tw_words(tw_t(s, op->in[0])->n),
                           .r_plane_stride = n,
                           .factors = (int)op->arg[CHOOSE_FACTORS]};
  TW_TRY(s->backend->deal_choose(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status choose_party(tw_session *s, const tw_op *op) {
  size_t n = chosen_n(s, op), planes = (size_t)op->arg[CHOOSE_PLANES];
  uint64_t *part[CHOOSE_PARTS];
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_choose_args a = {.rows = (size_t)s->batch * planes,
                      .cols = n,
                      .bits = tw_b(s, op->in[0])->value,
                      .X = tw_b(s, op->in[1])->value,
                      .r = tw_b(s, op->in[1])->mask[s->party],
                      .m = part[CHOOSE_M],
                      .mr = part[CHOOSE_MR],
                      .out = tw_b(s, op->out[0])->value,
                      .planes = planes,
                      .plane_words = tw_words(tw_t(s, op->in[0])->n),
                      .sequence_words = tw_words_of(s, op->in[0]),
                      .x_sequence_stride = planes * n,
                      .x_plane_stride = n,
                      .one = tw_one(s),
                      .ring = tw_ring_of(s, op->out[0]),
                      .factors = (int)op->arg[CHOOSE_FACTORS]};
  return s->backend->choose(&a, s->stream);
}

static tw_status choose_emulate(tw_session *s, const tw_op *op) {
  size_t n = chosen_n(s, op), words = tw_words(tw_t(s, op->in[0])->n);
  int planes = (int)op->arg[CHOOSE_PLANES], factors = (int)op->arg[CHOOSE_FACTORS];
  TW_TRY(tw_make_value(s, op->out[0]));
  for (int p = 0; p < planes; p++)
    for (size_t j = 0; j < n; j++) {
      uint64_t all = 1;
      for (int f = 0; f < factors; f++) all &= tw_bit(tw_b(s, op->in[0])->value + (size_t)(p * factors + f) * words, j);
      size_t at = (size_t)p * n + j;
      tw_b(s, op->out[0])->value[at] = all ? tw_b(s, op->in[1])->value[at] : 0;
    }
  return TW_OK;
}

static bool choose_rows(tw_row_shape *s) {
  size_t planes = (size_t)s->op->arg[CHOOSE_PLANES], sets = ((size_t)1 << s->op->arg[CHOOSE_FACTORS]) - 1;
  tw_rows bits = s->in[0], x = s->in[1];
  if (tw_in_n(s, 1) != planes * tw_in_n(s, 0)) return false;
  if (!tw_is_split(bits) && tw_is_split(x)) bits = tw_rows_split(x.outer / planes, x.inner);
  if (!tw_is_split(bits)) return false;
  s->in[0] = bits;
  s->in[1] = s->out[0] = tw_rows_split(planes * bits.outer, bits.inner);
  tw_rows_dealt(s, tw_rows_split(sets * planes * bits.outer, bits.inner));
  return true;
}

static const tw_gate choose_gate = {"choose",     NULL,           choose_deal,        NULL,
                                    choose_party, choose_emulate, .rows = choose_rows};

int tw_choose(tw_builder *b, int bitwire, int factors, int x) {
  tw_tensor bits = tw_look(b, bitwire), t = tw_look(b, x);
  tw_op *op = tw_emit(b, &choose_gate);
  tw_emit_in(op, bitwire);
  tw_emit_in(op, x);
  op->arg[CHOOSE_PLANES] = bits.planes / (factors > 0 ? factors : 1);
  op->arg[CHOOSE_FACTORS] = factors;
  if (factors < 1 || factors > TW_MOST_FACTORS || bits.kind != TW_BITWIRE || t.kind != TW_WIRE ||
      bits.planes % factors != 0 || t.n % (size_t)(bits.planes / factors) != 0 ||
      t.n > bits.n * (size_t)(bits.planes / factors))
    return tw_build_fail(b, TW_ERR_INTERNAL, "a choice by %d of %d planes of bits", factors, bits.planes);
  tw_dealt dealt = {TW_DEALT_RING, t.ring, (((size_t)1 << factors) - 1) * t.n};
  tw_emit_dealt(b, op, (tw_dealt[]){dealt, dealt}, CHOOSE_PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = t.ring, .scale = t.scale, .n = t.n});
}

// ---- sum over planes of constant_p d_p: one correction [m] a bit ----
// list: constants
enum { CONSTANTS_FIRST, CONSTANTS_PLANES };

static tw_status constants_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, words = tw_words(n), first = (size_t)op->arg[CONSTANTS_FIRST] * words;
  uint64_t *m;
  TW_TRY(tw_dealt_memory(s, op, &m));
  tw_deal_select_args a = {.rows = (size_t)op->arg[CONSTANTS_PLANES],
                           .cols = n,
                           .m0 = tw_b(s, op->in[0])->mask[0] + first,
                           .m1 = tw_b(s, op->in[0])->mask[1] + first,
                           .m = m,
                           .plane_words = words};
  TW_TRY(s->backend->deal_select(&a, s->stream));
  return tw_give(s, op, &m);
}

static tw_status constants_value(tw_session *s, const tw_op *op, const uint64_t *m) {
  size_t n = tw_t(s, op->in[0])->n;
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_constants_args a = {.rows = (size_t)s->batch,
                         .cols = n,
                         .bits = tw_b(s, op->in[0])->value,
                         .m = m,
                         .constants = tw_list(s, op),
                         .out = tw_b(s, op->out[0])->value,
                         .planes = (size_t)op->arg[CONSTANTS_PLANES],
                         .first_plane = (size_t)op->arg[CONSTANTS_FIRST],
                         .plane_words = tw_words(n),
                         .sequence_words = tw_words_of(s, op->in[0]),
                         .mine = s->role != TW_PARTY || s->party == 0,
                         .ring = tw_ring_of(s, op->out[0])};
  return s->backend->constants(&a, s->stream);
}

static tw_status constants_party(tw_session *s, const tw_op *op) {
  uint64_t *m;
  TW_TRY(tw_take(s, op, &m));
  return constants_value(s, op, m);
}

static tw_status constants_emulate(tw_session *s, const tw_op *op) { return constants_value(s, op, NULL); }

static bool constants_rows(tw_row_shape *s) {
  if (!tw_rows_each(s)) return false;
  s->dealt[0] = tw_rows_split((size_t)s->op->arg[CONSTANTS_PLANES] * s->in[0].outer, s->in[0].inner);
  return true;
}

static const tw_gate constants_gate = {
    "bit constants", NULL, constants_deal, NULL, constants_party, constants_emulate, .rows = constants_rows};

int tw_bit_constants(tw_builder *b, int bitwire, int plane0, int count, const int64_t *constants, int ring, int scale) {
  tw_tensor bits = tw_look(b, bitwire);
  tw_op *op = tw_emit(b, &constants_gate);
  tw_emit_in(op, bitwire);
  op->arg[CONSTANTS_FIRST] = plane0;
  op->arg[CONSTANTS_PLANES] = count;
  tw_emit_list(b, op, constants, (size_t)count);
  if (bits.kind != TW_BITWIRE || plane0 + count > bits.planes)
    return tw_build_fail(b, TW_ERR_INTERNAL, "constants of unopened bits");
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, bits.n * (size_t)count}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale, .n = bits.n});
}

// ---- sum over planes, shifted: local ----
enum { SUM_PLANES };

static tw_status sum_planes(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  return s->backend->sum_planes(&(tw_sum_planes_args){.rows = (size_t)s->batch,
                                                      .cols = tw_t(s, op->out[0])->n,
                                                      .planes = (size_t)op->arg[SUM_PLANES],
                                                      .x = in[0],
                                                      .shifts = tw_list(s, op),
                                                      .out = out,
                                                      .ring = tw_ring_of(s, op->out[0])},
                                s->stream);
}
static bool sum_rows(tw_row_shape *s) { return tw_rows_folded(s, (size_t)s->op->arg[SUM_PLANES]); }
TW_LOCAL_GATE(sum_gate, sum_planes, sum_rows, NULL);

int tw_sum_planes(tw_builder *b, int share, int count, const int64_t *shifts, int ring, int scale) {
  tw_tensor t = tw_look(b, share);
  tw_op *op = tw_emit(b, &sum_gate);
  tw_emit_in(op, share);
  op->arg[SUM_PLANES] = count;
  tw_emit_list(b, op, shifts, (size_t)count);
  if (t.kind != TW_SHARE || t.n % (size_t)count || ring > t.ring)
    return tw_build_fail(b, TW_ERR_INTERNAL, "sum of unlike planes");
  t.n /= (size_t)count;
  t.ring = ring;
  t.scale = scale;
  return tw_emit_out(b, op, t);
}

// ---- columns of dead keys become 0: local ----
enum { ZERO_ROWS, ZERO_TOKENS };

static tw_status zero_dead(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t rows = (size_t)op->arg[ZERO_ROWS];
  return s->backend->zero(&(tw_zero_args){.rows = (size_t)s->batch * rows,
                                          .cols = tw_t(s, op->in[0])->n / rows,
                                          .rows_per_sequence = rows,
                                          .x = in[0],
                                          .out = out,
                                          .live = tw_live(s, op, ZERO_TOKENS)},
                          s->stream);
}
static bool zero_rows(tw_row_shape *s) { return tw_rows_plain(s, (size_t)s->op->arg[ZERO_ROWS]); }

static bool zero_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  tile->arg[ZERO_ROWS] = (int64_t)range.count;
  return tw_tokens_of_rows(s, ZERO_TOKENS, range, tile);
}
TW_LOCAL_GATE(zero_gate, zero_dead, zero_rows, zero_tile);

int tw_zero_dead(tw_builder *b, int share, size_t rows, tw_tokens tokens) {
  tw_tensor t = tw_look(b, share);
  tw_op *op = tw_emit(b, &zero_gate);
  tw_emit_in(op, share);
  op->arg[ZERO_ROWS] = (int64_t)rows;
  tw_emit_tokens(op, ZERO_TOKENS, tokens);
  if (t.kind != TW_SHARE || t.n != rows * tokens.keys || tokens.queries == 0 || rows % tokens.queries)
    return tw_build_fail(b, TW_ERR_INTERNAL, "zeroing of another shape");
  return tw_emit_out(b, op, t);
}

// ---- columns of earlier turns: local, as a sum of what stands before, of these, and behind ----

// `value` where a row of an earlier turn does not live; x: SHARE [rows][columns].
static int fill_dead(tw_builder *b, int x, size_t rows, size_t columns, int64_t value) {
  tw_tokens tokens = {.queries = 1, .keys = columns, .counted = TW_COUNT_EARLIER};
  if (value) x = tw_add_constant(b, x, -value);
  x = tw_zero_dead(b, x, rows, tokens);
  return value ? tw_add_constant(b, x, value) : x;
}

int tw_fill_dead_earlier(tw_builder *b, int share, size_t rows, size_t first, size_t count, int64_t value) {
  size_t all = tw_look(b, share).n / rows, behind = first + count;
  if (b->status != TW_OK) return 0;
  if (count == 0 || behind > all) return tw_build_fail(b, TW_ERR_INTERNAL, "columns of earlier turns of another shape");
  tw_view_map map = {{1, 1, rows, count}, {0, 0, all, 1}, first};
  int filled = fill_dead(b, tw_view(b, share, map), rows, count, value);
  if (first > 0) {
    map = (tw_view_map){{1, 1, rows, first}, {0, 0, all, 1}, 0};
    filled = tw_concat(b, tw_view(b, share, map), filled, rows);
  }
  if (behind == all) return filled;
  map = (tw_view_map){{1, 1, rows, all - behind}, {0, 0, all, 1}, behind};
  return tw_concat(b, filled, tw_view(b, share, map), rows);
}

// ---- columns that a window has left behind: local ----

int tw_fill_before_last(tw_builder *b, int share, size_t rows, size_t first, size_t most, int64_t value) {
  size_t all = tw_look(b, share).n / rows, count = all - first;
  if (b->status != TW_OK) return 0;
  if (first >= all || most == 0 || most >= count)
    return tw_build_fail(b, TW_ERR_INTERNAL, "columns before a window of another shape");
  int x = tw_view(b, share, (tw_view_map){{1, 1, rows, count}, {0, 0, all, 1}, first});
  if (value) x = tw_add_constant(b, x, -value);
  // what stands `most` columns further back is dead that much sooner: the rest is what the window has left behind
  int behind = tw_concat(b, tw_view(b, x, (tw_view_map){{1, 1, rows, most}, {0, 0, count, 0}, 0}), x, rows);
  tw_tokens tokens = {.queries = 1, .keys = most + count, .first = count - 1, .causal = true};  // at most `count` live
  behind = tw_zero_dead(b, behind, rows, tokens);
  behind = tw_view(b, behind, (tw_view_map){{1, 1, rows, count}, {0, 0, most + count, 1}, most});
  x = tw_combine(b, 1, x, -1, behind, false);
  if (value) x = tw_add_constant(b, x, value);
  if (first == 0) return x;
  return tw_concat(b, tw_view(b, share, (tw_view_map){{1, 1, rows, first}, {0, 0, all, 1}, 0}), x, rows);
}
