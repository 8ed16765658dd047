// Elementwise products of wires with the extension of narrow operands fused in (protocols, sections 3 and 4).
#include "jobs/gates/gate.h"

// How y's elements go with x's: x is [rows][cols], y's element i * row_stride + j * col_stride.
typedef struct {
  size_t rows, cols, row_stride, col_stride;
} pairing;

enum { MULTIPLY_REPEAT };  // a tw_repeat

static pairing pairing_of(const tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, m = tw_t(s, op->in[1])->n;
  switch ((tw_repeat)op->arg[MULTIPLY_REPEAT]) {
    case TW_PER_ROW:
      return (pairing){m, n / m, 1, 0};
    case TW_PER_COLUMN:
      return (pairing){n / m, m, 0, 1};
    default:
      return (pairing){1, n, 0, 1};
  }
}

// ---- x y in ring K, x extended from ring k when k < K: corrections [o], [rho], [r q], [rho q] (K - k, K - k, K, K - k
// bits), or [r q] alone ----
enum { CARRY, TOP, RQ, TQ, PARTS };

static tw_status multiply_deal(tw_session *s, const tw_op *op) {
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  pairing p = pairing_of(s, op);
  tw_deal_multiply_args a = {.rows = p.rows,
                             .cols = p.cols,
                             .r0 = x->mask[0],
                             .r1 = x->mask[1],
                             .q0 = y->mask[0],
                             .q1 = y->mask[1],
                             .carry = part[CARRY],
                             .top = part[TOP],
                             .rq = part[RQ],
                             .tq = part[TQ],
                             .k = tw_t(s, op->in[0])->ring,
                             .pair = {p.rows, 0, p.row_stride, p.col_stride}};
  TW_TRY(s->backend->deal_multiply(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status multiply_party(tw_session *s, const tw_op *op) {
  pairing p = pairing_of(s, op);
  uint64_t *part[PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_multiply_args a = {.rows = (size_t)s->batch * p.rows,
                        .cols = p.cols,
                        .X = tw_b(s, op->in[0])->value,
                        .r = tw_b(s, op->in[0])->mask[s->party],
                        .Y = tw_b(s, op->in[1])->value,
                        .q = tw_b(s, op->in[1])->mask[s->party],
                        .carry = part[CARRY],
                        .top = part[TOP],
                        .rq = part[RQ],
                        .tq = part[TQ],
                        .out = tw_b(s, op->out[0])->value,
                        .one = tw_one(s),
                        .ring = tw_ring_of(s, op->out[0]),
                        .k = tw_t(s, op->in[0])->ring};
  a.pair = (tw_pairing){p.rows, tw_t(s, op->in[1])->n, p.row_stride, p.col_stride};
  return s->backend->multiply_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status multiply_emulate(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, K = tw_t(s, op->out[0])->ring;
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *x = tw_b(s, op->in[0])->value, *y = tw_b(s, op->in[1])->value;
  pairing p = pairing_of(s, op);
  for (size_t i = 0; i < p.rows; i++)
    for (size_t j = 0; j < p.cols; j++) {
      size_t a = i * p.cols + j, b = i * p.row_stride + j * p.col_stride;
      uint64_t xa = k < K ? tw_extended(s, op, x[a], k) : x[a];
      tw_b(s, op->out[0])->value[a] = xa * y[b] & tw_mask(K);
    }
  return TW_OK;
}

static bool multiply_rows(tw_row_shape *s) {
  switch ((tw_repeat)s->op->arg[MULTIPLY_REPEAT]) {
    case TW_PER_ROW:
      if (!tw_rows_with_rows(s)) return false;
      break;
    case TW_PER_COLUMN:
      if (!tw_rows_with_columns(s)) return false;
      break;
    default:
      return tw_rows_each(s);
  }
  tw_rows_dealt(s, s->in[0]);
  return true;
}

static const tw_gate multiply_gate = {"multiply",           NULL, multiply_deal, NULL, multiply_party, multiply_emulate,
                                      .rows = multiply_rows};

int tw_multiply(tw_builder *b, int x, int y, int ring, tw_repeat repeat) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &multiply_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  op->arg[MULTIPLY_REPEAT] = repeat;
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || u.n == 0 || t.n % u.n || u.ring < ring)
    return tw_build_fail(b, TW_ERR_RANGE, "product in ring %d of wires of rings %d and %d", ring, t.ring, u.ring);
  tw_dealt extension = {TW_DEALT_RING, ring - t.ring, t.n};  // none where x is as wide
  tw_dealt dealt[PARTS] = {extension, extension, {TW_DEALT_RING, ring, t.n}, extension};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = t.n});
}

// ---- x y with both extended (k, l -> K), y one element a row: per element [o], [rho] and [r q], [rho q], [r sigma],
// [rho sigma]; per row [o'], [sigma] ----
enum { X_CARRY, X_TOP, Y_CARRY, Y_TOP, R_Q, TOP_Q, R_SIGMA, TOP_SIGMA, ROW_PARTS };

static tw_status rows_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->in[1])->n;
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *part[ROW_PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  uint64_t *ts = part[TOP_SIGMA];
  if (!ts) TW_TRY(tw_scratch(s, n, &ts));
  tw_deal_multiply_rows_args a = {.rows = rows,
                                  .cols = n / rows,
                                  .r0 = x->mask[0],
                                  .r1 = x->mask[1],
                                  .q0 = y->mask[0],
                                  .q1 = y->mask[1],
                                  .x_carry = part[X_CARRY],
                                  .x_top = part[X_TOP],
                                  .y_carry = part[Y_CARRY],
                                  .y_top = part[Y_TOP],
                                  .rq = part[R_Q],
                                  .tq = part[TOP_Q],
                                  .rs = part[R_SIGMA],
                                  .ts = ts,
                                  .k = tw_t(s, op->in[0])->ring,
                                  .l = tw_t(s, op->in[1])->ring};
  TW_TRY(s->backend->deal_multiply_rows(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status rows_party(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, l = tw_t(s, op->in[1])->ring;
  uint64_t *part[ROW_PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  size_t rows = tw_batch_n(s, op->in[1]);
  tw_multiply_rows_args a = {.rows = rows,
                             .cols = tw_batch_n(s, op->in[0]) / rows,
                             .X = tw_b(s, op->in[0])->value,
                             .r = tw_b(s, op->in[0])->mask[s->party],
                             .Y = tw_b(s, op->in[1])->value,
                             .q = tw_b(s, op->in[1])->mask[s->party],
                             .x_carry = part[X_CARRY],
                             .x_top = part[X_TOP],
                             .y_carry = part[Y_CARRY],
                             .y_top = part[Y_TOP],
                             .rq = part[R_Q],
                             .tq = part[TOP_Q],
                             .rs = part[R_SIGMA],
                             .ts = part[TOP_SIGMA],
                             .out = tw_b(s, op->out[0])->value,
                             .one = tw_one(s),
                             .ring = tw_ring_of(s, op->out[0]),
                             .k = k,
                             .l = l};
  return s->backend->multiply_rows_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status rows_emulate(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, l = tw_t(s, op->in[1])->ring, K = tw_t(s, op->out[0])->ring;
  size_t rows = tw_t(s, op->in[1])->n, cols = tw_t(s, op->in[0])->n / rows;
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t i = 0; i < rows; i++) {
    uint64_t y = tw_extended(s, op, tw_b(s, op->in[1])->value[i], l);
    for (size_t a = i * cols; a < (i + 1) * cols; a++)
      tw_b(s, op->out[0])->value[a] = tw_extended(s, op, tw_b(s, op->in[0])->value[a], k) * y & tw_mask(K);
  }
  return TW_OK;
}

static bool rows_rows(tw_row_shape *s) {
  if (!tw_rows_with_rows(s)) return false;
  tw_rows_dealt(s, s->in[0]);
  s->dealt[Y_CARRY] = s->dealt[Y_TOP] = s->in[1];
  return true;
}

static const tw_gate rows_gate = {"multiply rows", NULL, rows_deal, NULL, rows_party, rows_emulate, .rows = rows_rows};

int tw_multiply_rows(tw_builder *b, int x, int y, int ring) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &rows_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || t.n % u.n || ring <= t.ring || ring <= u.ring)
    return tw_build_fail(b, TW_ERR_RANGE, "row product in ring %d of wires of rings %d and %d", ring, t.ring, u.ring);
  tw_dealt x_wide = {TW_DEALT_RING, ring - t.ring, t.n}, y_wide = {TW_DEALT_RING, ring - u.ring, u.n};
  tw_dealt dealt[ROW_PARTS] = {
      [X_CARRY] = x_wide, [X_TOP] = x_wide, [Y_CARRY] = y_wide, [Y_TOP] = y_wide, [TOP_Q] = x_wide};
  dealt[R_Q] = (tw_dealt){TW_DEALT_RING, ring, t.n};
  dealt[R_SIGMA] = (tw_dealt){TW_DEALT_RING, ring - u.ring, t.n};
  // multiplied by 2^(k+l): nothing is left of it in a ring of K <= k + l bits
  dealt[TOP_SIGMA] = (tw_dealt){TW_DEALT_RING, ring - t.ring - u.ring, t.n};
  tw_emit_dealt(b, op, dealt, ROW_PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = t.n});
}

// ---- sum of squares of a row, elements extended k -> K: per element [o], [rho], [rho r] (K - k - 1 bits); per row
// [sum r^2]. x~^2 = u^2 - 2 u a + a^2 with a^2 = r^2 - 2^(k+1) g rho r + 2^(2k) g rho ----
enum { SQUARE_CARRY, SQUARE_TOP, SQUARE_TOP_R, SQUARE_SUM, SQUARE_PARTS };

static tw_status squares_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->out[0])->n;
  const tw_buffer *x = tw_b(s, op->in[0]);
  uint64_t *part[SQUARE_PARTS], *square;
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(tw_scratch(s, n, &square));
  tw_deal_square_args a = {.rows = 1,
                           .cols = n,
                           .r0 = x->mask[0],
                           .r1 = x->mask[1],
                           .carry = part[SQUARE_CARRY],
                           .top = part[SQUARE_TOP],
                           .tr = part[SQUARE_TOP_R],
                           .square = square,
                           .k = tw_t(s, op->in[0])->ring};
  TW_TRY(s->backend->deal_square(&a, s->stream));
  TW_TRY(s->backend->row_sums(square, rows, n / rows, NULL, ~0ull, part[SQUARE_SUM], s->stream));
  return tw_give(s, op, part);
}

static tw_status squares_party(tw_session *s, const tw_op *op) {
  uint64_t *part[SQUARE_PARTS], *square;
  size_t n = tw_batch_n(s, op->in[0]), rows = tw_batch_n(s, op->out[0]);
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_scratch(s, n, &square));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_square_args a = {.rows = 1,
                      .cols = n,
                      .X = tw_b(s, op->in[0])->value,
                      .r = tw_b(s, op->in[0])->mask[s->party],
                      .carry = part[SQUARE_CARRY],
                      .top = part[SQUARE_TOP],
                      .tr = part[SQUARE_TOP_R],
                      .out = square,
                      .one = tw_one(s),
                      .k = tw_t(s, op->in[0])->ring};
  TW_TRY(s->backend->square_corrected(&a, tw_taken(s), op->correction_count, s->stream));
  return s->backend->row_sums(square, rows, n / rows, part[SQUARE_SUM], tw_ring_of(s, op->out[0]),
                              tw_b(s, op->out[0])->value, s->stream);
}

static tw_status squares_emulate(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, K = tw_t(s, op->out[0])->ring;
  size_t rows = tw_t(s, op->out[0])->n, cols = tw_t(s, op->in[0])->n / rows;
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t i = 0; i < rows; i++) {
    uint64_t total = 0;
    for (size_t a = i * cols; a < (i + 1) * cols; a++) {
      uint64_t x = tw_extended(s, op, tw_b(s, op->in[0])->value[a], k);
      total += x * x;
    }
    tw_b(s, op->out[0])->value[i] = total & tw_mask(K);
  }
  return TW_OK;
}

static bool squares_rows(tw_row_shape *s) {
  if (!tw_rows_summed(s, tw_in_n(s, 0) / tw_out_n(s, 0))) return false;
  tw_rows_dealt(s, s->in[0]);
  s->dealt[SQUARE_SUM] = s->out[0];
  return true;
}

static const tw_gate squares_gate = {"sum of squares",    NULL, squares_deal, NULL, squares_party, squares_emulate,
                                     .rows = squares_rows};

int tw_sum_of_squares(tw_builder *b, int x, size_t cols, int ring) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &squares_gate);
  tw_emit_in(op, x);
  if (t.kind != TW_WIRE || t.n % cols || ring < t.ring + 2)
    return tw_build_fail(b, TW_ERR_RANGE, "sum of squares in ring %d of a wire of ring %d", ring, t.ring);
  tw_dealt each = {TW_DEALT_RING, ring - t.ring, t.n};
  tw_dealt dealt[SQUARE_PARTS] = {
      each, each, {TW_DEALT_RING, ring - t.ring - 1, t.n}, {TW_DEALT_RING, ring, t.n / cols}};
  tw_emit_dealt(b, op, dealt, SQUARE_PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = 2 * t.scale, .n = t.n / cols});
}
