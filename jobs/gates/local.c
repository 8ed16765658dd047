// Gates without keys or messages: the same linear map on public values, shares, masks and true values.
#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

enum { INPUTS = 4 };

tw_status tw_local_mask(tw_session *s, const tw_op *op, int side, tw_local_map map) {
  if (tw_t(s, op->out[0])->kind != TW_WIRE) return TW_OK;
  TW_TRY(tw_make_mask(s, op->out[0], side));
  const uint64_t *in[INPUTS];
  for (int i = 0; i < op->in_count && i < INPUTS; i++) in[i] = tw_b(s, op->in[i])->mask[side];
  return map(s, op, in, tw_b(s, op->out[0])->mask[side]);
}

tw_status tw_local_value(tw_session *s, const tw_op *op, tw_local_map map) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *in[INPUTS];
  for (int i = 0; i < op->in_count && i < INPUTS; i++) in[i] = tw_b(s, op->in[i])->value;
  return map(s, op, in, tw_b(s, op->out[0])->value);
}

// ---- truncation by shifting the wire (protocols, section 2) ----
enum { TRUNCATE_BITS };

static tw_status truncate_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_make_mask(s, op->out[0], side));
  tw_shift_args a = {.rows = 1,
                     .cols = tw_batch_n(s, op->out[0]),
                     .x = tw_b(s, op->in[0])->mask[side],
                     .out = tw_b(s, op->out[0])->mask[side],
                     .ring = tw_ring_of(s, op->in[0]),
                     .bits = (int)op->arg[TRUNCATE_BITS]};
  return s->backend->shift(&a, s->stream);
}

static tw_status truncate_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_shift_args a = {.rows = 1,
                     .cols = tw_batch_n(s, op->out[0]),
                     .x = tw_b(s, op->in[0])->value,
                     .out = tw_b(s, op->out[0])->value,
                     .half = 1ull << (op->arg[TRUNCATE_BITS] - 1),
                     .ring = tw_ring_of(s, op->in[0]),
                     .bits = (int)op->arg[TRUNCATE_BITS]};
  return s->backend->shift(&a, s->stream);
}

// y = ceil((x - h + p_0 - t) / 2^f), with party 0's rounding offset p_0 - t.
static tw_status truncate_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  int f = (int)op->arg[TRUNCATE_BITS], ring = tw_t(s, op->in[0])->ring, out_ring = tw_t(s, op->out[0])->ring;
  __int128 half = (__int128)1 << (f - 1), unit = (__int128)1 << f;
  const tw_buffer *in = tw_b(s, op->in[0]);
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) {
    __int128 offset = (__int128)(in->mask[0][j] & tw_mask(f)) -
                      (__int128)((tw_public(s, op->in[0], j) - (uint64_t)half) & tw_mask(f));
    __int128 y = (tw_signed(in->value[j], ring) - half + offset + unit - 1) >> f;
    out[j] = (uint64_t)y & tw_mask(out_ring);
  }
  return TW_OK;
}

static const tw_gate truncate_gate = {"truncate",       truncate_mask,       NULL, NULL, truncate_party,
                                      truncate_emulate, .rows = tw_rows_each};

int tw_truncate_dithered(tw_builder *b, int wire, int bits) {
  if (bits == 0) return wire;
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &truncate_gate);
  tw_emit_in(op, wire);
  op->arg[TRUNCATE_BITS] = bits;
  if (t.kind != TW_WIRE) return tw_build_fail(b, TW_ERR_INTERNAL, "only wires may be truncated");
  if (!tw_form_dithers(b, wire, "truncated")) return 0;
  t.ring -= bits;
  t.scale -= bits;
  return tw_emit_out(b, op, t);
}

int tw_truncate(tw_builder *b, int wire, int bits) {
  return b->faithful && bits > 0 ? tw_truncate_faithful(b, wire, bits) : tw_truncate_dithered(b, wire, bits);
}

// ---- strided views ----
enum { VIEW_DIM, VIEW_STRIDE = VIEW_DIM + 4, VIEW_OFFSET = VIEW_STRIDE + 4 };

static tw_status view(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  tw_view_args a = {.cols = (size_t)op->arg[VIEW_DIM + 3],
                    .x = in[0],
                    .out = out,
                    .offset = (size_t)op->arg[VIEW_OFFSET],
                    .sequence_stride = tw_t(s, op->in[0])->n};
  for (int i = 0; i < 4; i++) {
    a.dim[i] = (size_t)op->arg[VIEW_DIM + i];
    a.stride[i] = (size_t)op->arg[VIEW_STRIDE + i];
  }
  a.rows = (size_t)s->batch * a.dim[0] * a.dim[1] * a.dim[2];
  return s->backend->view(&a, s->stream);
}
// The dimensions that walk a tensor's rows, one after the other: strides of whole rows, the last one of one row. What
// walks inside a row has smaller strides, what leaves the rows has larger ones.
typedef struct {
  int first, last;
} row_dims;

static bool find_row_dims(const tw_row_shape *s, row_dims *out) {
  const int64_t *dim = s->op->arg + VIEW_DIM, *stride = s->op->arg + VIEW_STRIDE;
  size_t inner = s->in[0].inner, whole = s->rows * inner, expected = inner,
         reach = (size_t)s->op->arg[VIEW_OFFSET] % whole;
  *out = (row_dims){-1, -1};
  for (int i = 3; i >= 0; i--) {
    size_t step = (size_t)stride[i], count = (size_t)dim[i];
    if (count == 1 || step % whole == 0) continue;
    if (step < inner) {
      reach += (count - 1) * step;
    } else {
      if (step != expected || (out->first >= 0 && out->first != i + 1)) return false;
      expected *= count;
      out->first = i;
      if (out->last < 0) out->last = i;
    }
  }
  return expected == whole && reach < inner;
}

// Whole places one after the other, in one dimension.
static bool takes_places(const tw_row_shape *s) {
  const int64_t *arg = s->op->arg;
  size_t whole = s->rows * s->in[0].inner, n = tw_out_n(s, 0);
  return (size_t)arg[VIEW_DIM + 3] == n && arg[VIEW_STRIDE + 3] == 1 && n % whole == 0 &&
         (size_t)arg[VIEW_OFFSET] % whole == 0;
}

static bool view_rows(tw_row_shape *s) {
  row_dims at;
  if (!tw_is_split(s->in[0])) return false;
  if (takes_places(s)) {
    s->out[0] = tw_rows_split(tw_out_n(s, 0) / (s->rows * s->in[0].inner), s->in[0].inner);
    return true;
  }
  if (!find_row_dims(s, &at)) return false;
  s->out[0] = tw_rows_split(1, 1);
  for (int i = 0; i < at.first; i++) s->out[0].outer *= (size_t)s->op->arg[VIEW_DIM + i];
  for (int i = at.last + 1; i < 4; i++) s->out[0].inner *= (size_t)s->op->arg[VIEW_DIM + i];
  return true;
}

static bool view_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  row_dims at;
  size_t inner = s->in[0].inner, whole = s->rows * inner, offset = (size_t)s->op->arg[VIEW_OFFSET];
  tile->arg[VIEW_OFFSET] = (int64_t)(offset / whole * range.count * inner + offset % whole);
  if (takes_places(s)) {
    tile->arg[VIEW_DIM + 3] = (int64_t)(s->out[0].outer * range.count * inner);
    return true;
  }
  if (!find_row_dims(s, &at)) return false;
  for (int i = 0; i < 4; i++) {
    size_t step = (size_t)s->op->arg[VIEW_STRIDE + i];
    if (step % whole == 0) tile->arg[VIEW_STRIDE + i] = (int64_t)(step / whole * range.count * inner);
    if (i >= at.first && i < at.last) tile->arg[VIEW_DIM + i] = 1;
  }
  tile->arg[VIEW_DIM + at.last] = (int64_t)range.count;
  return true;
}
TW_LOCAL_GATE(view_gate, view, view_rows, view_tile);

int tw_view(tw_builder *b, int x, tw_view_map map) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &view_gate);
  tw_emit_in(op, x);
  size_t last = map.offset;
  t.n = 1;
  for (int i = 0; i < 4; i++) {
    op->arg[VIEW_DIM + i] = (int64_t)map.dim[i];
    op->arg[VIEW_STRIDE + i] = (int64_t)map.stride[i];
    t.n *= map.dim[i];
    last += (map.dim[i] - 1) * map.stride[i];
  }
  op->arg[VIEW_OFFSET] = (int64_t)map.offset;
  if (last >= tw_look(b, x).n) return tw_build_fail(b, TW_ERR_INTERNAL, "view past the end of its tensor");
  t.form = tw_form_view(t.form, map);
  return tw_emit_out(b, op, t);
}

enum { CONCAT_ROWS, CONCAT_COLS_X, CONCAT_COLS_Y };

static tw_status concat(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t cx = (size_t)op->arg[CONCAT_COLS_X], cy = (size_t)op->arg[CONCAT_COLS_Y];
  return s->backend->concat(&(tw_concat_args){.rows = (size_t)s->batch * (size_t)op->arg[CONCAT_ROWS],
                                              .cols = cx + cy,
                                              .x = in[0],
                                              .y = in[1],
                                              .out = out,
                                              .cx = cx},
                            s->stream);
}
static bool concat_rows(tw_row_shape *s) {
  if (!tw_rows_plain(s, (size_t)s->op->arg[CONCAT_ROWS])) return false;
  s->in[1] = tw_rows_split(1, tw_in_n(s, 1) / s->rows);
  return true;
}

static bool concat_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  (void)s;
  tile->arg[CONCAT_ROWS] = (int64_t)range.count;
  return true;
}
TW_LOCAL_GATE(concat_gate, concat, concat_rows, concat_tile);

int tw_concat(tw_builder *b, int x, int y, size_t rows) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &concat_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != u.kind || t.ring != u.ring || t.scale != u.scale)
    return tw_build_fail(b, TW_ERR_INTERNAL, "concatenated tensors differ in ring or scale");
  op->arg[CONCAT_ROWS] = (int64_t)rows;
  op->arg[CONCAT_COLS_X] = (int64_t)(t.n / rows);
  op->arg[CONCAT_COLS_Y] = (int64_t)(u.n / rows);
  t.n += u.n;
  t.form = tw_form_joined(t.form, u.form);
  return tw_emit_out(b, op, t);
}

// ---- p x + q y ----
enum {
  COMBINE_P,
  COMBINE_Q,
  COMBINE_ROWS,
  COMBINE_COLS,
  COMBINE_ROW_STRIDE,  // of y
  COMBINE_COL_STRIDE
};

static tw_status combine(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t rows = (size_t)op->arg[COMBINE_ROWS];
  tw_combine_args a = {.rows = (size_t)s->batch * rows,
                       .cols = (size_t)op->arg[COMBINE_COLS],
                       .x = in[0],
                       .y = in[1],
                       .out = out,
                       .p = (uint64_t)op->arg[COMBINE_P],
                       .q = (uint64_t)op->arg[COMBINE_Q],
                       .ring = tw_ring_of(s, op->out[0])};
  a.pair = (tw_pairing){rows, tw_t(s, op->in[1])->n, (size_t)op->arg[COMBINE_ROW_STRIDE],
                        (size_t)op->arg[COMBINE_COL_STRIDE]};
  return s->backend->combine(&a, s->stream);
}
static bool combine_rows(tw_row_shape *s) {
  return s->op->arg[COMBINE_ROW_STRIDE] ? tw_rows_with_rows(s) : tw_rows_with_columns(s);
}

static bool combine_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  bool by_row = s->op->arg[COMBINE_ROW_STRIDE] != 0;
  tw_rows x = s->in[0], y = s->in[1];
  size_t n = x.outer * range.count * x.inner,
         m = y.kind == TW_ROWS_COMMON ? tw_in_n(s, 1) : y.outer * range.count * y.inner;
  tile->arg[COMBINE_ROWS] = (int64_t)(by_row ? m : n / m);
  tile->arg[COMBINE_COLS] = (int64_t)(by_row ? n / m : m);
  return true;
}
TW_LOCAL_GATE(combine_gate, combine, combine_rows, combine_tile);

int tw_combine(tw_builder *b, int64_t p, int x, int64_t q, int y, bool rows) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &combine_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != u.kind || t.scale != u.scale || u.n == 0 || t.n % u.n)
    return tw_build_fail(b, TW_ERR_INTERNAL, "sum of unlike tensors (kind %d %d, scale %d %d)", t.kind, u.kind, t.scale,
                         u.scale);
  if (p == 0 && q == 0) return tw_build_fail(b, TW_ERR_INTERNAL, "a sum of nothing");
  op->arg[COMBINE_P] = p;
  op->arg[COMBINE_Q] = q;
  op->arg[COMBINE_ROWS] = (int64_t)(rows ? u.n : t.n / u.n);
  op->arg[COMBINE_COLS] = (int64_t)(rows ? t.n / u.n : u.n);
  op->arg[COMBINE_ROW_STRIDE] = rows;
  op->arg[COMBINE_COL_STRIDE] = !rows;
  if (u.ring < t.ring) t.ring = u.ring;
  t.form = tw_form_sum(p, t.form, q, u.form, u.n < t.n);
  return tw_emit_out(b, op, t);
}

// ---- multiples, sums, rings ----
enum { SCALED_FACTOR };

static tw_status scaled(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  return s->backend->combine(&(tw_combine_args){.rows = 1,
                                                .cols = tw_batch_n(s, op->out[0]),
                                                .x = in[0],
                                                .out = out,
                                                .p = (uint64_t)op->arg[SCALED_FACTOR],
                                                .ring = tw_ring_of(s, op->out[0])},
                             s->stream);
}
TW_LOCAL_GATE(scaled_gate, scaled, tw_rows_each, NULL);

static int emit_scaled(tw_builder *b, int x, int64_t factor, tw_tensor t) {
  tw_op *op = tw_emit(b, &scaled_gate);
  tw_emit_in(op, x);
  op->arg[SCALED_FACTOR] = factor;
  return tw_emit_out(b, op, t);
}

int tw_multiply_constant(tw_builder *b, int x, int64_t factor, int scale_gain) {
  tw_tensor t = tw_look(b, x);
  if (factor == 0) return tw_build_fail(b, TW_ERR_INTERNAL, "multiplication by zero");
  t.scale += scale_gain;
  t.form = tw_form_times(t.form, factor);
  return emit_scaled(b, x, factor, t);
}

int tw_shift_left(tw_builder *b, int x, int bits) {
  tw_tensor t = tw_look(b, x);
  t.ring += bits;
  t.scale += bits;
  if (bits < 0 || bits > 62) return tw_build_fail(b, TW_ERR_INTERNAL, "a shift by %d bits", bits);
  t.form = tw_form_times(t.form, (int64_t)1 << bits);
  return emit_scaled(b, x, (int64_t)1 << bits, t);
}

int tw_reduce(tw_builder *b, int x, int ring) {
  tw_tensor t = tw_look(b, x);
  if (ring == t.ring) return x;
  if (ring > t.ring) return tw_build_fail(b, TW_ERR_INTERNAL, "reduction to a larger ring");
  t.ring = ring;
  return emit_scaled(b, x, 1, t);
}

int tw_rescale(tw_builder *b, int x, int scale) {
  b->program->tensors[x].scale = scale;
  return x;
}

enum { ROW_SUM_COLS };

static tw_status row_sum(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  return s->backend->row_sums(in[0], tw_batch_n(s, op->out[0]), (size_t)op->arg[ROW_SUM_COLS], NULL,
                              tw_ring_of(s, op->out[0]), out, s->stream);
}
static bool row_sum_rows(tw_row_shape *s) { return tw_rows_summed(s, (size_t)s->op->arg[ROW_SUM_COLS]); }
TW_LOCAL_GATE(row_sum_gate, row_sum, row_sum_rows, NULL);

int tw_row_sum(tw_builder *b, int x, size_t cols) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &row_sum_gate);
  tw_emit_in(op, x);
  if (cols == 0 || t.n % cols) return tw_build_fail(b, TW_ERR_INTERNAL, "row sums of another shape");
  op->arg[ROW_SUM_COLS] = (int64_t)cols;
  t.n /= cols;
  t.form = tw_form_totals(t.form);
  return tw_emit_out(b, op, t);
}

enum { POOL_TOKENS, POOL_MEAN_BITS = POOL_TOKENS + TW_TOKEN_ARGS };

static tw_status pool_live(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t cols = tw_t(s, op->out[0])->n;
  return s->backend->pool(&(tw_pool_args){.rows = (size_t)s->batch,
                                          .cols = cols,
                                          .x_rows = tw_t(s, op->in[0])->n / cols,
                                          .x = in[0],
                                          .out = out,
                                          .ring = tw_ring_of(s, op->out[0]),
                                          .live = tw_live(s, op, POOL_TOKENS),
                                          .mean_bits = (int)op->arg[POOL_MEAN_BITS]},
                          s->stream);
}
TW_LOCAL_GATE(pool_gate, pool_live, NULL, NULL);

static int pool(tw_builder *b, int x, tw_tokens tokens, size_t cols, int bits) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &pool_gate);
  tw_emit_in(op, x);
  tw_emit_tokens(op, POOL_TOKENS, tokens);
  if (t.n != tokens.queries * cols) return tw_build_fail(b, TW_ERR_INTERNAL, "pooling of another shape");
  op->arg[POOL_MEAN_BITS] = bits;
  t.n = cols;
  t.scale += bits;
  t.form = bits ? (tw_mask_form){.shift = 0} : tw_form_totals(t.form);  // a factor that depends on the length
  return tw_emit_out(b, op, t);
}

int tw_pool_live(tw_builder *b, int x, tw_tokens tokens, size_t cols) { return pool(b, x, tokens, cols, 0); }

int tw_mean_live(tw_builder *b, int x, tw_tokens tokens, size_t cols, int bits) {
  if (bits < 1 || bits > 30) return tw_build_fail(b, TW_ERR_INTERNAL, "a mean at %d bits more", bits);
  return pool(b, x, tokens, cols, bits);
}

// ---- public constants: into the public value of a wire, into party 0's share ----
enum { ADD_VALUE };

static tw_status add_mask(tw_session *s, const tw_op *op, int side) {
  if (tw_t(s, op->out[0])->kind != TW_WIRE) return TW_OK;
  TW_TRY(tw_make_mask(s, op->out[0], side));
  return s->backend->copy(tw_b(s, op->out[0])->mask[side], tw_b(s, op->in[0])->mask[side],
                          8 * tw_batch_n(s, op->out[0]), s->stream);
}

static tw_status add_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  bool mine = tw_t(s, op->out[0])->kind == TW_WIRE || s->role != TW_PARTY || s->party == 0;
  tw_combine_args a = {.rows = 1,
                       .cols = tw_batch_n(s, op->out[0]),
                       .x = tw_b(s, op->in[0])->value,
                       .out = tw_b(s, op->out[0])->value,
                       .p = 1,
                       .c = mine ? (uint64_t)op->arg[ADD_VALUE] : 0,
                       .ring = tw_ring_of(s, op->out[0])};
  return s->backend->combine(&a, s->stream);
}

static const tw_gate add_gate = {"add constant", add_mask, NULL, NULL, add_value, add_value, .rows = tw_rows_each};

int tw_add_constant(tw_builder *b, int x, int64_t value) {
  tw_op *op = tw_emit(b, &add_gate);
  tw_emit_in(op, x);
  op->arg[ADD_VALUE] = value;
  return tw_emit_out(b, op, tw_look(b, x));
}

// ---- a wire read as a share: b X^ - r_b ----
static tw_status share_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  size_t n = tw_batch_n(s, op->out[0]);
  tw_share_args a = {.rows = 1,
                     .cols = n,
                     .X = tw_b(s, op->in[0])->value,
                     .r = tw_b(s, op->in[0])->mask[s->party],
                     .out = tw_b(s, op->out[0])->value,
                     .one = tw_one(s),
                     .ring = tw_ring_of(s, op->out[0]),
                     .pair = tw_flat(n)};
  return s->backend->share(&a, s->stream);
}

static tw_status share_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  memcpy(tw_b(s, op->out[0])->value, tw_b(s, op->in[0])->value, 8 * tw_t(s, op->out[0])->n);
  return TW_OK;
}

static const tw_gate share_gate = {"as share", NULL, NULL, NULL, share_party, share_emulate, .rows = tw_rows_each};

int tw_as_share(tw_builder *b, int wire) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &share_gate);
  tw_emit_in(op, wire);
  if (t.kind != TW_WIRE) return tw_build_fail(b, TW_ERR_INTERNAL, "not a wire");
  t.kind = TW_SHARE;
  t.form = (tw_mask_form){0};
  return tw_emit_out(b, op, t);
}
