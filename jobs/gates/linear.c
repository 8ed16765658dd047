// Products with secret weights, and of two secret activations (protocols, section 4).
#include <string.h>

#include "jobs/gates/gate.h"

// ---- Z = X W + bias. Model shared once: W^ = W + p. Online: X^ V_b + K_b, V_b = b W^ - p_b (set-up);
// K_b = -r_b W^ + [bias]_b (preparation) + [r p]_b (one correction an output) ----
typedef struct {
  size_t rows, inner, cols;
  int weight;
} linear_shape;

static linear_shape shape_of(const tw_session *s, const tw_op *op) {
  return (linear_shape){tw_t(s, op->in[0])->n / (size_t)op->arg[TW_LINEAR_INNER], (size_t)op->arg[TW_LINEAR_INNER],
                        (size_t)op->arg[TW_LINEAR_COLS], (int)op->arg[TW_LINEAR_WEIGHT]};
}

static tw_status check_weight(const tw_session *s, linear_shape d) {
  if (d.weight + 1 >= s->weights.count || s->weights.rows[d.weight] != d.inner || s->weights.cols[d.weight] != d.cols)
    return tw_fail(TW_ERR_MISMATCH, "model tensor %d does not fit the plan; plan and share must come from one model",
                   d.weight);
  return TW_OK;
}

// Dealer: both parties' masks of a wire together.
static tw_status whole_mask(tw_session *s, int id, uint64_t **out) {
  size_t n = tw_t(s, id)->n;
  TW_TRY(tw_scratch(s, n, out));
  tw_combine_args a = {.rows = 1,
                       .cols = n,
                       .x = tw_b(s, id)->mask[0],
                       .y = tw_b(s, id)->mask[1],
                       .out = *out,
                       .p = 1,
                       .q = 1,
                       .ring = ~0ull,
                       .pair = tw_flat(n)};
  return s->backend->combine(&a, s->stream);
}

static tw_status linear_deal(tw_session *s, const tw_op *op) {
  linear_shape d = shape_of(s, op);
  TW_TRY(check_weight(s, d));
  uint64_t *r, *out;
  TW_TRY(whole_mask(s, op->in[0], &r));
  TW_TRY(tw_dealt_memory(s, op, &out));
  TW_TRY(s->backend->product(s->weights.mask_sum[d.weight], d.rows, d.cols, d.inner, r, NULL, tw_t(s, op->out[0])->ring,
                             out, s->stream));
  return tw_give(s, op, &out);
}

// -[bias]_b = q_b - b B^ into every row of k.
static tw_status spread_bias(tw_session *s, linear_shape d, size_t rows, uint64_t *k) {
  uint64_t *bias;
  TW_TRY(tw_scratch(s, d.cols, &bias));
  tw_combine_args negate = {.rows = 1,
                            .cols = d.cols,
                            .x = s->weights.mask[s->party][d.weight + 1],
                            .y = s->weights.masked[d.weight + 1],
                            .out = bias,
                            .p = 1,
                            .q = tw_one(s),  // -1
                            .ring = ~0ull,
                            .pair = tw_flat(d.cols)};
  TW_TRY(s->backend->combine(&negate, s->stream));
  tw_view_args spread = {
      .rows = rows, .cols = d.cols, .x = bias, .out = k, .dim = {rows, 1, 1, d.cols}, .stride = {0, 0, 0, 1}};
  return s->backend->view(&spread, s->stream);
}

// Columns of r_b W^, added to k, on the CPU, whose operands are values: the next slice, or all that is left.
static void add_columns(tw_session *s, linear_shape d, size_t rows, const uint64_t *mask, int ring, uint64_t *k) {
  enum { LEAST = 32 };  // so that the rows are not packed too often
  const uint64_t *weight = s->weights.masked_operand[d.weight];
  size_t first = s->preparation.columns_done, left = d.cols - first, count = left;
  if (s->preparation.slice_work) {
    count = s->preparation.slice_work / (rows * d.inner) / LEAST * LEAST;
    count = count < LEAST ? LEAST : count;
  }
  if (count > left) count = left;
  tw_gemm(rows, count, d.inner, mask, d.inner, weight + first, d.cols, k + first, d.cols, ring, 1);
  s->preparation.columns_done = count < left ? first + count : 0;
}

// r_b W^ - [bias]_b, subtracted online.
static tw_status linear_prepare(tw_session *s, const tw_op *op) {
  linear_shape d = shape_of(s, op);
  TW_TRY(check_weight(s, d));
  size_t rows = (size_t)s->batch * d.rows;
  int ring = tw_t(s, op->out[0])->ring;
  const uint64_t *mask = tw_b(s, op->in[0])->mask[s->party];
  uint64_t *k = s->preparation.products[op - s->program->ops];  // from an earlier preparation
  if (!k) TW_TRY(tw_keep(s, rows * d.cols, &k));
  s->preparation.products[op - s->program->ops] = k;
  if (!s->preparation.columns_done) TW_TRY(spread_bias(s, d, rows, k));
  if (s->preparation.slice_work || s->preparation.columns_done) {
    add_columns(s, d, rows, mask, ring, k);
    return TW_OK;
  }
  return s->backend->product(s->weights.masked_operand[d.weight], rows, d.cols, d.inner, mask, k, ring, k, s->stream);
}

static tw_status linear_party(tw_session *s, const tw_op *op) {
  linear_shape d = shape_of(s, op);
  size_t rows = (size_t)s->batch * d.rows;
  const uint64_t *k = s->preparation.products[op - s->program->ops];
  if (!k) return tw_fail(TW_ERR_INTERNAL, "weight product before its preparation");
  uint64_t *rp;
  TW_TRY(tw_take_later(s, op, &rp));
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value, ring = tw_ring_of(s, op->out[0]);
  tw_combine_args addend = {.rows = 1,
                            .cols = rows * d.cols,
                            .x = rp,
                            .y = k,
                            .out = out,
                            .p = 1,
                            .q = ~0ull,
                            .ring = ring,
                            .pair = tw_flat(rows * d.cols)};
  TW_TRY(s->backend->combine_corrected(&addend, tw_taken(s), op->correction_count, s->stream));
  return s->backend->product(s->weights.share_operand[d.weight], rows, d.cols, d.inner, tw_b(s, op->in[0])->value, out,
                             tw_t(s, op->out[0])->ring, out, s->stream);
}

static tw_status linear_emulate(tw_session *s, const tw_op *op) {
  linear_shape d = shape_of(s, op);
  TW_TRY(check_weight(s, d));
  TW_TRY(tw_make_value(s, op->out[0]));
  int ring = tw_t(s, op->out[0])->ring;
  uint64_t *out = tw_b(s, op->out[0])->value;
  const uint64_t *bias = s->weights.value[d.weight + 1];
  for (size_t i = 0; i < d.rows; i++) memcpy(out + i * d.cols, bias, 8 * d.cols);
  tw_gemm(d.rows, d.cols, d.inner, tw_b(s, op->in[0])->value, d.inner, s->weights.value[d.weight], d.cols, out, d.cols,
          ring, 1);
  for (size_t j = 0; j < d.rows * d.cols; j++) out[j] &= tw_mask(ring);
  return TW_OK;
}

static const tw_gate linear_gate = {"linear", NULL, linear_deal, linear_prepare, linear_party, linear_emulate};

int tw_linear(tw_builder *b, int x, int weight, size_t inner, size_t cols, int ring, int weight_scale) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &linear_gate);
  tw_emit_in(op, x);
  op->arg[TW_LINEAR_WEIGHT] = weight;
  op->arg[TW_LINEAR_INNER] = (int64_t)inner;
  op->arg[TW_LINEAR_COLS] = (int64_t)cols;
  if (t.kind != TW_WIRE || t.n % inner || t.ring < ring)
    return tw_build_fail(b, TW_ERR_RANGE, "weight product in ring %d of a wire of ring %d", ring, t.ring);
  size_t n = t.n / inner * cols;
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, n}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + weight_scale, .n = n});
}

// ---- Z = X Y, batches of matrices: (b X^ - r_b) Y^ - X^ q_b + [r q]_b ----
enum { MATMUL_COUNT, MATMUL_M, MATMUL_N, MATMUL_K };

static tw_status matmul_deal(tw_session *s, const tw_op *op) {
  uint64_t *r, *q, *out;
  TW_TRY(whole_mask(s, op->in[0], &r));
  TW_TRY(whole_mask(s, op->in[1], &q));
  TW_TRY(tw_dealt_memory(s, op, &out));
  TW_TRY(s->backend->gemm((size_t)op->arg[MATMUL_COUNT], (size_t)op->arg[MATMUL_M], (size_t)op->arg[MATMUL_N],
                          (size_t)op->arg[MATMUL_K], r, q, out, tw_t(s, op->out[0])->ring, 0, s->stream));
  return tw_give(s, op, &out);
}

static tw_status matmul_party(tw_session *s, const tw_op *op) {
  size_t nx = tw_batch_n(s, op->in[0]), count = (size_t)s->batch * (size_t)op->arg[MATMUL_COUNT];
  size_t m = (size_t)op->arg[MATMUL_M], n = (size_t)op->arg[MATMUL_N], k = (size_t)op->arg[MATMUL_K];
  int ring = tw_t(s, op->out[0])->ring;
  uint64_t *left;
  TW_TRY(tw_scratch(s, nx, &left));
  TW_TRY(tw_make_value(s, op->out[0]));
  TW_TRY(tw_take_into(s, op, tw_b(s, op->out[0])->value));
  uint64_t *out = tw_b(s, op->out[0])->value;
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  tw_share_args a = {.rows = 1,
                     .cols = nx,
                     .X = x->value,
                     .r = x->mask[s->party],
                     .out = left,
                     .one = tw_one(s),
                     .ring = ~0ull,
                     .pair = tw_flat(nx)};
  TW_TRY(s->backend->share(&a, s->stream));
  TW_TRY(s->backend->gemm(count, m, n, k, left, y->value, out, ring, 1, s->stream));
  return s->backend->gemm(count, m, n, k, x->value, y->mask[s->party], out, ring, -1, s->stream);
}

static tw_status matmul_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  int ring = tw_t(s, op->out[0])->ring;
  uint64_t *out = tw_b(s, op->out[0])->value;
  size_t count = (size_t)op->arg[MATMUL_COUNT], m = (size_t)op->arg[MATMUL_M], n = (size_t)op->arg[MATMUL_N],
         k = (size_t)op->arg[MATMUL_K];
  const uint64_t *x = tw_b(s, op->in[0])->value, *y = tw_b(s, op->in[1])->value;
  for (size_t i = 0; i < count; i++) tw_gemm(m, n, k, x + i * m * k, k, y + i * k * n, n, out + i * m * n, n, ring, 0);
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) out[j] &= tw_mask(ring);
  return TW_OK;
}

static const tw_gate matmul_gate = {"matmul", NULL, matmul_deal, NULL, matmul_party, matmul_emulate};

int tw_matmul(tw_builder *b, int x, int y, size_t count, size_t m, size_t n, size_t k, int ring) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &matmul_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  op->arg[MATMUL_COUNT] = (int64_t)count;
  op->arg[MATMUL_M] = (int64_t)m;
  op->arg[MATMUL_N] = (int64_t)n;
  op->arg[MATMUL_K] = (int64_t)k;
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || t.n != count * m * k || u.n != count * k * n || t.ring < ring ||
      u.ring < ring)
    return tw_build_fail(b, TW_ERR_RANGE, "matrix product in ring %d of wires of rings %d and %d", ring, t.ring,
                         u.ring);
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, count * m * n}, 1);
  return tw_emit_out(b, op,
                     (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = count * m * n});
}
