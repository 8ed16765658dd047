// Elementwise products of wires with the extension of narrow operands fused in (protocols, sections 3 and 4).
#include "jobs/gate.h"

// How y's elements go with x's: x is [rows][cols], y's element i * row_stride + j * col_stride.
typedef struct { size_t rows, cols, row_stride, col_stride; } pairing;

static pairing pairing_of(const tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, m = tw_t(s, op->in[1])->n;
  switch ((tw_repeat)op->arg[0]) {
    case TW_PER_ROW: return (pairing){m, n / m, 1, 0};
    case TW_PER_COLUMN: return (pairing){n / m, m, 0, 1};
    default: return (pairing){1, n, 0, 1};
  }
}

// ---- x y in ring K, x extended from ring k when k < K: corrections [o], [rho], [r q], [rho q] (K - k, K - k, K, K - k bits),
// or [r q] alone ----
static tw_status multiply_deal(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, K = tw_t(s, op->out[0])->ring, at = 0;
  size_t n = tw_t(s, op->in[0])->n;
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *carry, *top, *rq, *tq;
  TW_TRY(tw_scratch(s, n, &carry));
  TW_TRY(tw_scratch(s, n, &top));
  TW_TRY(tw_scratch(s, n, &rq));
  TW_TRY(tw_scratch(s, n, &tq));
  pairing p = pairing_of(s, op);
  for (size_t i = 0; i < p.rows; i++)
    for (size_t j = 0; j < p.cols; j++) {
      size_t a = i * p.cols + j, b = i * p.row_stride + j * p.col_stride;
      uint64_t q = y->mask[0][b] + y->mask[1][b];
      if (k < K) {
        tw_mask_parts r = tw_mask_split(x->mask[0][a], x->mask[1][a], k);
        carry[a] = r.carry;
        top[a] = r.top;
        rq[a] = r.r * q;
        tq[a] = r.top * q;
      } else {
        rq[a] = (x->mask[0][a] + x->mask[1][a]) * q;
      }
    }
  if (k < K) {
    TW_TRY(tw_give(s, op, at++, carry));
    TW_TRY(tw_give(s, op, at++, top));
  }
  TW_TRY(tw_give(s, op, at++, rq));
  return k < K ? tw_give(s, op, at, tq) : TW_OK;
}

static tw_status multiply_party(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, K = tw_t(s, op->out[0])->ring, at = 0;
  size_t n = tw_t(s, op->in[0])->n;
  uint64_t *carry = NULL, *top = NULL, *rq, *tq = NULL, one = s->rank ? ~0ull : 0, m = tw_mask(K);
  if (k < K) {
    TW_TRY(tw_take(s, op, at++, &carry));
    TW_TRY(tw_take(s, op, at++, &top));
  }
  TW_TRY(tw_take(s, op, at++, &rq));
  if (k < K) TW_TRY(tw_take(s, op, at, &tq));
  TW_TRY(tw_make_value(s, op->out[0]));
  pairing p = pairing_of(s, op);
  TW_EACH_SEQUENCE(s, batch) {
    const uint64_t *X = tw_value(s, op->in[0], batch), *r = tw_mask_of(s, op->in[0], s->rank, batch);
    const uint64_t *Y = tw_value(s, op->in[1], batch), *q = tw_mask_of(s, op->in[1], s->rank, batch);
    uint64_t *out = tw_value(s, op->out[0], batch);
    size_t base = (size_t)batch * n;
    for (size_t i = 0; i < p.rows; i++)
      for (size_t j = 0; j < p.cols; j++) {
        size_t a = i * p.cols + j, b = i * p.row_stride + j * p.col_stride;
        if (k < K) {
          tw_ext e = tw_ext_public(X[a], k);
          uint64_t ra = r[a] - (carry[base + a] << k);  // share of canonical r in the larger ring
          uint64_t wrap = e.g * (top[base + a] * Y[b] - tq[base + a]);
          out[a] = ((e.u & one) * Y[b] - e.u * q[b] - ra * Y[b] + rq[base + a] + (wrap << k)) & m;
        } else {
          out[a] = ((X[a] & one) * Y[b] - X[a] * q[b] - r[a] * Y[b] + rq[base + a]) & m;
        }
      }
  }
  return TW_OK;
}

static tw_status multiply_clear(tw_session *s, const tw_op *op) {
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

static const tw_gate multiply_gate = {"multiply", NULL, multiply_deal, NULL, multiply_party, multiply_clear};

int tw_multiply(tw_builder *b, int x, int y, int ring, tw_repeat repeat) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &multiply_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  op->arg[0] = repeat;
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || u.n == 0 || t.n % u.n || u.ring < ring)
    return tw_build_fail(b, TW_ERR_RANGE, "product in ring %d of wires of rings %d and %d", ring, t.ring, u.ring);
  if (t.ring < ring) {
    tw_emit_ring(b, op, ring - t.ring, t.n);
    tw_emit_ring(b, op, ring - t.ring, t.n);
  }
  tw_emit_ring(b, op, ring, t.n);
  if (t.ring < ring) tw_emit_ring(b, op, ring - t.ring, t.n);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = t.n});
}

// ---- x y with both extended (k, l -> K), y one element a row: per element [o], [rho] and [r q], [rho q], [r sigma],
// [rho sigma]; per row [o'], [sigma] ----
enum { X_CARRY, X_TOP, Y_CARRY, Y_TOP, R_Q, TOP_Q, R_SIGMA, TOP_SIGMA, ROW_PARTS };

// [rho sigma] is multiplied by 2^(k+l): nothing is left of it in a ring of K <= k + l bits.
static int row_parts(int k, int l, int K) { return K > k + l ? ROW_PARTS : ROW_PARTS - 1; }

static tw_status rows_deal(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, l = tw_t(s, op->in[1])->ring, K = tw_t(s, op->out[0])->ring;
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->in[1])->n, cols = n / rows;
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *part[ROW_PARTS];
  for (int i = 0; i < ROW_PARTS; i++) TW_TRY(tw_scratch(s, n, &part[i]));
  for (size_t i = 0; i < rows; i++) {
    tw_mask_parts q = tw_mask_split(y->mask[0][i], y->mask[1][i], l);
    part[Y_CARRY][i] = q.carry;
    part[Y_TOP][i] = q.top;
    for (size_t a = i * cols; a < (i + 1) * cols; a++) {
      tw_mask_parts r = tw_mask_split(x->mask[0][a], x->mask[1][a], k);
      part[X_CARRY][a] = r.carry;
      part[X_TOP][a] = r.top;
      part[R_Q][a] = r.r * q.r;
      part[TOP_Q][a] = r.top * q.r;
      part[R_SIGMA][a] = r.r * q.top;
      part[TOP_SIGMA][a] = r.top & q.top;
    }
  }
  for (int i = 0; i < row_parts(k, l, K); i++) TW_TRY(tw_give(s, op, i, part[i]));
  return TW_OK;
}

// With x~ = u - a, a = r - 2^k g rho and y~ = w - c, c = q - 2^l h sigma: x~ y~ = u w - u c - w a + a c.
static tw_status rows_party(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, l = tw_t(s, op->in[1])->ring, K = tw_t(s, op->out[0])->ring;
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->in[1])->n, cols = n / rows;
  uint64_t *part[ROW_PARTS] = {0}, one = s->rank ? ~0ull : 0, m = tw_mask(K);
  int parts = row_parts(k, l, K);
  for (int i = 0; i < parts; i++) TW_TRY(tw_take(s, op, i, &part[i]));
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t i = 0; i < (size_t)s->batch * rows; i++) {
    tw_ext w = tw_ext_public(y->value[i], l);
    uint64_t c = y->mask[s->rank][i] - ((part[Y_CARRY][i] + w.g * part[Y_TOP][i]) << l);
    for (size_t a = i * cols; a < (i + 1) * cols; a++) {
      tw_ext u = tw_ext_public(x->value[a], k);
      uint64_t xa = x->mask[s->rank][a] - ((part[X_CARRY][a] + u.g * part[X_TOP][a]) << k);
      uint64_t ac = part[R_Q][a] - (u.g * part[TOP_Q][a] << k) - (w.g * part[R_SIGMA][a] << l);
      if (parts == ROW_PARTS) ac += u.g * w.g * part[TOP_SIGMA][a] << (k + l);
      out[a] = ((u.u & one) * w.u - u.u * c - w.u * xa + ac) & m;
    }
  }
  return TW_OK;
}

static tw_status rows_clear(tw_session *s, const tw_op *op) {
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

static const tw_gate rows_gate = {"multiply rows", NULL, rows_deal, NULL, rows_party, rows_clear};

int tw_multiply_rows(tw_builder *b, int x, int y, int ring) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &rows_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || t.n % u.n || ring <= t.ring || ring <= u.ring)
    return tw_build_fail(b, TW_ERR_RANGE, "row product in ring %d of wires of rings %d and %d", ring, t.ring, u.ring);
  tw_emit_ring(b, op, ring - t.ring, t.n);
  tw_emit_ring(b, op, ring - t.ring, t.n);
  tw_emit_ring(b, op, ring - u.ring, u.n);
  tw_emit_ring(b, op, ring - u.ring, u.n);
  tw_emit_ring(b, op, ring, t.n);
  tw_emit_ring(b, op, ring - t.ring, t.n);
  tw_emit_ring(b, op, ring - u.ring, t.n);
  if (row_parts(t.ring, u.ring, ring) == ROW_PARTS) tw_emit_ring(b, op, ring - t.ring - u.ring, t.n);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = t.n});
}

// ---- sum of squares of a row, elements extended k -> K: per element [o], [rho], [rho r] (K - k - 1 bits); per row [sum r^2].
// x~^2 = u^2 - 2 u a + a^2 with a^2 = r^2 - 2^(k+1) g rho r + 2^(2k) g rho ----
static tw_status squares_deal(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring;
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->out[0])->n, cols = n / rows;
  const tw_buffer *x = tw_b(s, op->in[0]);
  uint64_t *carry, *top, *tr, *sum;
  TW_TRY(tw_scratch(s, n, &carry));
  TW_TRY(tw_scratch(s, n, &top));
  TW_TRY(tw_scratch(s, n, &tr));
  TW_TRY(tw_scratch(s, rows, &sum));
  for (size_t i = 0; i < rows; i++) {
    sum[i] = 0;
    for (size_t a = i * cols; a < (i + 1) * cols; a++) {
      tw_mask_parts r = tw_mask_split(x->mask[0][a], x->mask[1][a], k);
      carry[a] = r.carry;
      top[a] = r.top;
      tr[a] = r.top * r.r;
      sum[i] += r.r * r.r;
    }
  }
  TW_TRY(tw_give(s, op, 0, carry));
  TW_TRY(tw_give(s, op, 1, top));
  TW_TRY(tw_give(s, op, 2, tr));
  return tw_give(s, op, 3, sum);
}

static tw_status squares_party(tw_session *s, const tw_op *op) {
  int k = tw_t(s, op->in[0])->ring, K = tw_t(s, op->out[0])->ring;
  size_t rows = (size_t)s->batch * tw_t(s, op->out[0])->n, cols = tw_t(s, op->in[0])->n / tw_t(s, op->out[0])->n;
  uint64_t *carry, *top, *tr, *sum, one = s->rank ? ~0ull : 0;
  TW_TRY(tw_take(s, op, 0, &carry));
  TW_TRY(tw_take(s, op, 1, &top));
  TW_TRY(tw_take(s, op, 2, &tr));
  TW_TRY(tw_take(s, op, 3, &sum));
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_buffer *x = tw_b(s, op->in[0]);
  for (size_t i = 0; i < rows; i++) {
    uint64_t total = sum[i];
    for (size_t a = i * cols; a < (i + 1) * cols; a++) {
      tw_ext e = tw_ext_public(x->value[a], k);
      uint64_t xa = x->mask[s->rank][a] - ((carry[a] + e.g * top[a]) << k);
      total += (e.u & one) * e.u - 2 * e.u * xa - (e.g * tr[a] << (k + 1));
      if (2 * k < 64) total += e.g * top[a] << (2 * k);
    }
    tw_b(s, op->out[0])->value[i] = total & tw_mask(K);
  }
  return TW_OK;
}

static tw_status squares_clear(tw_session *s, const tw_op *op) {
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

static const tw_gate squares_gate = {"sum of squares", NULL, squares_deal, NULL, squares_party, squares_clear};

int tw_sum_of_squares(tw_builder *b, int x, size_t cols, int ring) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &squares_gate);
  tw_emit_in(op, x);
  if (t.kind != TW_WIRE || t.n % cols || ring < t.ring + 2)
    return tw_build_fail(b, TW_ERR_RANGE, "sum of squares in ring %d of a wire of ring %d", ring, t.ring);
  tw_emit_ring(b, op, ring - t.ring, t.n);
  tw_emit_ring(b, op, ring - t.ring, t.n);
  tw_emit_ring(b, op, ring - t.ring - 1, t.n);
  tw_emit_ring(b, op, ring, t.n / cols);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = 2 * t.scale, .n = t.n / cols});
}
