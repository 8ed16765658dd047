// Products with secret weights, and of two secret activations (protocols, section 4).
#include <stdlib.h>
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

// -[bias]_b = q_b - b B^
static tw_status negate_bias(tw_session *s, linear_shape d, uint64_t **bias) {
  TW_TRY(tw_scratch(s, d.cols, bias));
  tw_combine_args negate = {.rows = 1,
                            .cols = d.cols,
                            .x = s->weights.mask[s->party][d.weight + 1],
                            .y = s->weights.masked[d.weight + 1],
                            .out = *bias,
                            .p = 1,
                            .q = tw_one(s),  // -1
                            .ring = ~0ull,
                            .pair = tw_flat(d.cols)};
  return s->backend->combine(&negate, s->stream);
}

// The same into every row of k.
static tw_status spread_bias(tw_session *s, linear_shape d, size_t rows, uint64_t *k) {
  uint64_t *bias;
  TW_TRY(negate_bias(s, d, &bias));
  tw_view_args spread = {
      .rows = rows, .cols = d.cols, .x = bias, .out = k, .dim = {rows, 1, 1, d.cols}, .stride = {0, 0, 0, 1}};
  return s->backend->view(&spread, s->stream);
}

// A weight's products of few rows are prepared together, so that W^ is read once: of this gate and those behind it
// whose masks are there. The rows lie where each gate has them; -[bias]_b is added to all of them.
typedef struct {
  tw_product_row row[TW_PRODUCT_ROWS];
  int count;
} few_rows;

static tw_status join_rows(tw_session *s, const tw_op *op, const uint64_t *bias, few_rows *all) {
  linear_shape d = shape_of(s, op);
  size_t rows = (size_t)s->batch * d.rows;
  const uint64_t *mask = tw_b(s, op->in[0])->mask[s->party];
  uint64_t **k = &s->preparation.products[op - s->program->ops];
  if (!*k) TW_TRY(tw_keep(s, rows * d.cols, k));
  for (size_t i = 0; i < rows; i++)
    all->row[all->count++] = (tw_product_row){mask + i * d.inner, bias, *k + i * d.cols};
  return TW_OK;
}

// The next gate behind `op` with its weight and as many rows, in the same ring, that is prepared now; NULL: there is
// none.
static const tw_op *next_alike(const tw_session *s, const tw_op *op) {
  const tw_program *p = s->program;
  linear_shape d = shape_of(s, op);
  for (int i = op->next_prepared; i >= 0 && i < s->preparation.end; i = p->ops[i].next_prepared) {
    const tw_op *other = &p->ops[i];
    linear_shape e = shape_of(s, other);
    if (other->gate == op->gate && e.weight == d.weight && e.rows == d.rows &&
        tw_t(s, other->out[0])->ring == tw_t(s, op->out[0])->ring)
      return other;
  }
  return NULL;
}

static tw_status prepare_few_rows(tw_session *s, const tw_op *op) {
  linear_shape d = shape_of(s, op);
  size_t rows = (size_t)s->batch * d.rows;
  few_rows all = {.count = 0};
  uint64_t *bias;
  TW_TRY(negate_bias(s, d, &bias));
  TW_TRY(join_rows(s, op, bias, &all));
  for (const tw_op *next = op; (size_t)all.count + rows <= TW_PRODUCT_ROWS && (next = next_alike(s, next));) {
    TW_TRY(join_rows(s, next, bias, &all));
    s->preparation.joined[next - s->program->ops] = true;
  }
  return s->backend->product_rows(s->weights.masked_operand[d.weight], all.count, d.cols, d.inner, all.row,
                                  tw_t(s, op->out[0])->ring, s->stream);
}

static bool are_few(const tw_session *s, linear_shape d) {
  return s->backend->product_rows && s->preparation.keep_masks && (size_t)s->batch * d.rows <= TW_PRODUCT_ROWS;
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
  bool *joined = &s->preparation.joined[op - s->program->ops];
  if (*joined) {
    *joined = false;
    return TW_OK;
  }
  if (are_few(s, d)) return prepare_few_rows(s, op);
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

int tw_weight_ring(const tw_program *p, int weight) {
  int most = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    if (!op->gate->prepare || op->arg[TW_LINEAR_WEIGHT] != weight) continue;
    if (p->tensors[op->out[0]].ring > most) most = p->tensors[op->out[0]].ring;
  }
  return most;
}

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

// ---- Z = X Y, batches of matrices: (b X^ - r_b) Y^ - X^ q_b + [r q]_b. Z or X may be packed pairs
// (jobs/program/triangle.h), of `blocks` rectangles; the products are those of the rectangles, with zeros where X has
// no pair ---- list: of packed pairs the place in the rectangle, or of the rectangle's places the pair or -1
enum { MATMUL_COUNT, MATMUL_M, MATMUL_N, MATMUL_K, MATMUL_PACKED, MATMUL_BLOCKS };
enum { PACKED_NOTHING, PACKED_Z, PACKED_X };

typedef struct {
  size_t count, m, n, k;  // of the whole batch, or of one sequence where the dealer and the emulator work
  size_t blocks;
  int packed;
} matmul_shape;

static matmul_shape matmul_of(const tw_op *op, size_t batch) {
  return (matmul_shape){batch * (size_t)op->arg[MATMUL_COUNT],
                        (size_t)op->arg[MATMUL_M],
                        (size_t)op->arg[MATMUL_N],
                        (size_t)op->arg[MATMUL_K],
                        batch * (size_t)op->arg[MATMUL_BLOCKS],
                        (int)op->arg[MATMUL_PACKED]};
}

// x itself, or its pairs in rectangles.
static tw_status unpacked(tw_session *s, const tw_op *op, matmul_shape d, const uint64_t *x, const uint64_t **out) {
  uint64_t *whole;
  *out = x;
  if (d.packed != PACKED_X) return TW_OK;
  size_t each = d.count * d.m * d.k / d.blocks;
  TW_TRY(tw_scratch(s, d.blocks * each, &whole));
  *out = whole;
  return s->backend->gather(&(tw_gather_args){.rows = d.blocks,
                                              .cols = each,
                                              .x_cols = tw_t(s, op->in[0])->n / (size_t)op->arg[MATMUL_BLOCKS],
                                              .x = x,
                                              .places = tw_list(s, op),
                                              .out = whole,
                                              .ring = ~0ull},
                            s->stream);
}

// Where the products are made that end in `out`: there, or in rectangles.
static tw_status product_memory(tw_session *s, matmul_shape d, uint64_t *out, uint64_t **whole) {
  *whole = out;
  return d.packed == PACKED_Z ? tw_scratch(s, d.count * d.m * d.n, whole) : TW_OK;
}

// The pairs of rectangles, plus `addend` (may be NULL).
static tw_status pack(tw_session *s, const tw_op *op, matmul_shape d, const uint64_t *whole, const uint64_t *addend,
                      uint64_t *out) {
  if (d.packed != PACKED_Z) return TW_OK;
  return s->backend->gather(&(tw_gather_args){.rows = d.blocks,
                                              .cols = tw_t(s, op->out[0])->n / (size_t)op->arg[MATMUL_BLOCKS],
                                              .x_cols = d.count * d.m * d.n / d.blocks,
                                              .x = whole,
                                              .addend = addend,
                                              .places = tw_list(s, op),
                                              .out = out,
                                              .ring = tw_ring_of(s, op->out[0])},
                            s->stream);
}

static tw_status matmul_deal(tw_session *s, const tw_op *op) {
  matmul_shape d = matmul_of(op, 1);
  uint64_t *r, *q, *out, *whole;
  const uint64_t *left;
  TW_TRY(whole_mask(s, op->in[0], &r));
  TW_TRY(whole_mask(s, op->in[1], &q));
  TW_TRY(tw_dealt_memory(s, op, &out));
  TW_TRY(unpacked(s, op, d, r, &left));
  TW_TRY(product_memory(s, d, out, &whole));
  TW_TRY(s->backend->gemm(d.count, d.m, d.n, d.k, left, q, whole, tw_t(s, op->out[0])->ring, 0, s->stream));
  TW_TRY(pack(s, op, d, whole, NULL, out));
  return tw_give(s, op, &out);
}

static tw_status matmul_party(tw_session *s, const tw_op *op) {
  size_t nx = tw_batch_n(s, op->in[0]);
  matmul_shape d = matmul_of(op, (size_t)s->batch);
  int ring = tw_t(s, op->out[0])->ring, packed = d.packed == PACKED_Z;
  uint64_t *share, *whole, *dealt;
  const uint64_t *left, *opened;
  TW_TRY(tw_scratch(s, nx, &share));
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = dealt = tw_b(s, op->out[0])->value;
  if (packed) TW_TRY(tw_scratch(s, tw_batch_n(s, op->out[0]), &dealt));
  TW_TRY(tw_take_into(s, op, dealt));
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  tw_share_args a = {.rows = 1,
                     .cols = nx,
                     .X = x->value,
                     .r = x->mask[s->party],
                     .out = share,
                     .one = tw_one(s),
                     .ring = ~0ull,
                     .pair = tw_flat(nx)};
  TW_TRY(s->backend->share(&a, s->stream));
  TW_TRY(unpacked(s, op, d, share, &left));
  TW_TRY(unpacked(s, op, d, x->value, &opened));
  TW_TRY(product_memory(s, d, out, &whole));
  TW_TRY(s->backend->gemm(d.count, d.m, d.n, d.k, left, y->value, whole, ring, !packed, s->stream));
  TW_TRY(s->backend->gemm(d.count, d.m, d.n, d.k, opened, y->mask[s->party], whole, ring, -1, s->stream));
  return pack(s, op, d, whole, dealt, out);
}

static tw_status matmul_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  matmul_shape d = matmul_of(op, 1);
  int ring = tw_t(s, op->out[0])->ring;
  uint64_t *out = tw_b(s, op->out[0])->value, *whole;
  const uint64_t *x, *y = tw_b(s, op->in[1])->value;
  TW_TRY(unpacked(s, op, d, tw_b(s, op->in[0])->value, &x));
  TW_TRY(product_memory(s, d, out, &whole));
  for (size_t i = 0; i < d.count; i++)
    tw_gemm(d.m, d.n, d.k, x + i * d.m * d.k, d.k, y + i * d.k * d.n, d.n, whole + i * d.m * d.n, d.n, ring, 0);
  TW_TRY(pack(s, op, d, whole, NULL, out));
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) out[j] &= tw_mask(ring);
  return TW_OK;
}

static const tw_gate matmul_gate = {"matmul", NULL, matmul_deal, NULL, matmul_party, matmul_emulate};

// nx, nz: elements of x and of the result.
static int emit_matmul(tw_builder *b, int x, int y, matmul_shape d, size_t nx, size_t nz, int ring,
                       const int64_t *places, size_t place_count) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &matmul_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  op->arg[MATMUL_COUNT] = (int64_t)d.count;
  op->arg[MATMUL_M] = (int64_t)d.m;
  op->arg[MATMUL_N] = (int64_t)d.n;
  op->arg[MATMUL_K] = (int64_t)d.k;
  op->arg[MATMUL_PACKED] = d.packed;
  op->arg[MATMUL_BLOCKS] = (int64_t)d.blocks;
  if (t.kind != TW_WIRE || u.kind != TW_WIRE || t.n != nx || u.n != d.count * d.k * d.n || t.ring < ring ||
      u.ring < ring)
    return tw_build_fail(b, TW_ERR_RANGE, "matrix product in ring %d of wires of rings %d and %d", ring, t.ring,
                         u.ring);
  if (place_count) tw_emit_list(b, op, places, place_count);
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, nz}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + u.scale, .n = nz});
}

int tw_matmul(tw_builder *b, int x, int y, size_t count, size_t m, size_t n, size_t k, int ring) {
  matmul_shape d = {count, m, n, k, 0, PACKED_NOTHING};
  return emit_matmul(b, x, y, d, count * m * k, count * m * n, ring, NULL, 0);
}

int tw_triangle_logits(tw_builder *b, int x, int y, size_t heads, size_t group, size_t dim, tw_triangle t, int ring) {
  size_t pairs = tw_triangle_pairs(t), keys = tw_triangle_keys(t);
  int64_t *places = malloc(pairs * sizeof *places);
  if (!places) return tw_build_fail(b, TW_ERR_MEMORY, "out of memory for the pairs of a head");
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0; j < tw_triangle_length(t, i); j++)
      places[tw_triangle_begin(t, i) + j] = (int64_t)(i * keys + tw_triangle_first(t, i) + j);
  matmul_shape d = {heads / group, group * t.n, keys, dim, heads, PACKED_Z};
  int z = emit_matmul(b, x, y, d, heads * t.n * dim, heads * pairs, ring, places, pairs);
  free(places);
  return z;
}

int tw_triangle_values(tw_builder *b, int x, int y, size_t heads, size_t group, size_t dim, tw_triangle t, int ring) {
  size_t keys = tw_triangle_keys(t), all = t.n * keys;
  int64_t *places = malloc(all * sizeof *places);
  if (!places) return tw_build_fail(b, TW_ERR_MEMORY, "out of memory for the pairs of a head");
  for (size_t i = 0; i < all; i++) places[i] = -1;
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0; j < tw_triangle_length(t, i); j++)
      places[i * keys + tw_triangle_first(t, i) + j] = (int64_t)(tw_triangle_begin(t, i) + j);
  matmul_shape d = {heads / group, group * t.n, dim, keys, heads, PACKED_X};
  int z = emit_matmul(b, x, y, d, heads * tw_triangle_pairs(t), heads * t.n * dim, ring, places, all);
  free(places);
  return z;
}

double tw_weights_read(const tw_program *p, const tw_op *op) {
  if (!op->gate->prepare) return 0;
  if (op->arg[TW_LINEAR_SPAN]) return (double)p->tensors[op->in[0]].n * (double)op->arg[TW_LINEAR_WIDTH];
  return (double)op->arg[TW_LINEAR_INNER] * (double)op->arg[TW_LINEAR_COLS];
}

double tw_multiply_adds(const tw_program *p, const tw_op *op) {
  if (op->gate->prepare) {
    int64_t width = op->arg[op->arg[TW_LINEAR_SPAN] ? TW_LINEAR_WIDTH : TW_LINEAR_COLS];
    return (double)p->tensors[op->in[0]].n * (double)width;
  }
  if (op->gate != &matmul_gate) return 0;
  matmul_shape d = matmul_of(op, 1);
  return 2 * (double)d.count * (double)d.m * (double)d.n * (double)d.k;
}
