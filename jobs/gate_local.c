// Gates without keys or messages: the same linear map on public values, shares, masks and true values.
#include <string.h>

#include "jobs/gate.h"

enum { INPUTS = 4 };

tw_status tw_local_mask(tw_session *s, const tw_op *op, int side, tw_local_map map) {
  if (tw_t(s, op->out[0])->kind != TW_WIRE) return TW_OK;
  TW_TRY(tw_make_mask(s, op->out[0], side));
  TW_EACH_SEQUENCE(s, b) {
    const uint64_t *in[INPUTS];
    for (int i = 0; i < op->in_count && i < INPUTS; i++) in[i] = tw_mask_of(s, op->in[i], side, b);
    map(s, op, b, in, tw_mask_of(s, op->out[0], side, b));
  }
  return TW_OK;
}

tw_status tw_local_value(tw_session *s, const tw_op *op, tw_local_map map) {
  TW_TRY(tw_make_value(s, op->out[0]));
  TW_EACH_SEQUENCE(s, b) {
    const uint64_t *in[INPUTS];
    for (int i = 0; i < op->in_count && i < INPUTS; i++) in[i] = tw_value(s, op->in[i], b);
    map(s, op, b, in, tw_value(s, op->out[0], b));
  }
  return TW_OK;
}

// ---- truncation by shifting the wire (protocols, section 2) ----
static tw_status truncate_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_make_mask(s, op->out[0], side));
  const uint64_t *r = tw_b(s, op->in[0])->mask[side];
  uint64_t *out = tw_b(s, op->out[0])->mask[side];
  for (size_t j = 0; j < tw_t(s, op->out[0])->n * (size_t)s->batch; j++) out[j] = r[j] >> op->arg[0];
  return TW_OK;
}

static tw_status truncate_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *x = tw_b(s, op->in[0])->value, m = tw_mask(tw_t(s, op->in[0])->ring), half = 1ull << (op->arg[0] - 1);
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t j = 0; j < tw_t(s, op->out[0])->n * (size_t)s->batch; j++) out[j] = ((x[j] - half) & m) >> op->arg[0];
  return TW_OK;
}

// y = ceil((x - h + p_0 - t) / 2^f), with rank 0's rounding offset p_0 - t.
static tw_status truncate_clear(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  int f = (int)op->arg[0], ring = tw_t(s, op->in[0])->ring, out_ring = tw_t(s, op->out[0])->ring;
  __int128 half = (__int128)1 << (f - 1), unit = (__int128)1 << f;
  const tw_buffer *in = tw_b(s, op->in[0]);
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) {
    __int128 offset = (__int128)(in->mask[0][j] & tw_mask(f)) - (__int128)((tw_public(s, op->in[0], j) - (uint64_t)half) & tw_mask(f));
    __int128 y = (tw_signed(in->value[j], ring) - half + offset + unit - 1) >> f;
    out[j] = (uint64_t)y & tw_mask(out_ring);
  }
  return TW_OK;
}

static const tw_gate truncate_gate = {"truncate", truncate_mask, NULL, NULL, truncate_party, truncate_clear};

int tw_truncate_dithered(tw_builder *b, int wire, int bits) {
  if (bits == 0) return wire;
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &truncate_gate);
  tw_emit_in(op, wire);
  op->arg[0] = bits;
  if (t.kind != TW_WIRE) return tw_build_fail(b, TW_ERR_INTERNAL, "only wires may be truncated");
  if (t.mask_shift > 0) return tw_build_fail(b, TW_ERR_INTERNAL, "a wire whose mask is a multiple of 2^%d is truncated: biased", t.mask_shift);
  t.ring -= bits;
  t.scale -= bits;
  return tw_emit_out(b, op, t);
}

int tw_truncate(tw_builder *b, int wire, int bits) {
  return b->faithful && bits > 0 ? tw_truncate_faithful(b, wire, bits) : tw_truncate_dithered(b, wire, bits);
}

// ---- strided views ----
static void view(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)s, (void)b;
  const int64_t *dim = op->arg, *stride = op->arg + 4;
  const uint64_t *x = in[0] + op->arg[8];
  for (int64_t i0 = 0; i0 < dim[0]; i0++)
    for (int64_t i1 = 0; i1 < dim[1]; i1++)
      for (int64_t i2 = 0; i2 < dim[2]; i2++) {
        const uint64_t *from = x + i0 * stride[0] + i1 * stride[1] + i2 * stride[2];
        for (int64_t i3 = 0; i3 < dim[3]; i3++) *out++ = from[i3 * stride[3]];
      }
}
TW_LOCAL_GATE(view_gate, view);

int tw_view(tw_builder *b, int x, tw_view_map map) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &view_gate);
  tw_emit_in(op, x);
  size_t last = map.offset;
  t.n = 1;
  for (int i = 0; i < 4; i++) {
    op->arg[i] = (int64_t)map.dim[i];
    op->arg[4 + i] = (int64_t)map.stride[i];
    t.n *= map.dim[i];
    last += (map.dim[i] - 1) * map.stride[i];
  }
  op->arg[8] = (int64_t)map.offset;
  if (last >= tw_look(b, x).n) return tw_build_fail(b, TW_ERR_INTERNAL, "view past the end of its tensor");
  return tw_emit_out(b, op, t);
}

static void concat(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)s, (void)b;
  size_t rows = (size_t)op->arg[0], cx = (size_t)op->arg[1], cy = (size_t)op->arg[2];
  for (size_t i = 0; i < rows; i++) {
    memcpy(out + i * (cx + cy), in[0] + i * cx, 8 * cx);
    memcpy(out + i * (cx + cy) + cx, in[1] + i * cy, 8 * cy);
  }
}
TW_LOCAL_GATE(concat_gate, concat);

int tw_concat(tw_builder *b, int x, int y, size_t rows) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &concat_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != u.kind || t.ring != u.ring || t.scale != u.scale)
    return tw_build_fail(b, TW_ERR_INTERNAL, "concatenated tensors differ in ring or scale");
  op->arg[0] = (int64_t)rows;
  op->arg[1] = (int64_t)(t.n / rows);
  op->arg[2] = (int64_t)(u.n / rows);
  t.n += u.n;
  return tw_emit_out(b, op, t);
}

// ---- p x + q y ----
static void combine(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)b;
  uint64_t p = (uint64_t)op->arg[0], q = (uint64_t)op->arg[1], m = tw_mask(tw_t(s, op->out[0])->ring);
  size_t rows = (size_t)op->arg[2], cols = (size_t)op->arg[3], row_stride = (size_t)op->arg[4], col_stride = (size_t)op->arg[5];
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      out[i * cols + j] = (p * in[0][i * cols + j] + q * in[1][i * row_stride + j * col_stride]) & m;
}
TW_LOCAL_GATE(combine_gate, combine);

int tw_combine(tw_builder *b, int64_t p, int x, int64_t q, int y, bool rows) {
  tw_tensor t = tw_look(b, x), u = tw_look(b, y);
  tw_op *op = tw_emit(b, &combine_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  if (t.kind != u.kind || t.scale != u.scale || u.n == 0 || t.n % u.n)
    return tw_build_fail(b, TW_ERR_INTERNAL, "sum of unlike tensors (kind %d %d, scale %d %d)", t.kind, u.kind, t.scale, u.scale);
  op->arg[0] = p;
  op->arg[1] = q;
  op->arg[2] = (int64_t)(rows ? u.n : t.n / u.n);
  op->arg[3] = (int64_t)(rows ? t.n / u.n : u.n);
  op->arg[4] = rows;
  op->arg[5] = !rows;
  if (u.ring < t.ring) t.ring = u.ring;
  if (u.mask_shift < t.mask_shift) t.mask_shift = u.mask_shift;
  return tw_emit_out(b, op, t);
}

// ---- multiples, sums, rings ----
static void scaled(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)b;
  uint64_t factor = (uint64_t)op->arg[0], m = tw_mask(tw_t(s, op->out[0])->ring);
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) out[j] = in[0][j] * factor & m;
}
TW_LOCAL_GATE(scaled_gate, scaled);

static int emit_scaled(tw_builder *b, int x, int64_t factor, tw_tensor t) {
  tw_op *op = tw_emit(b, &scaled_gate);
  tw_emit_in(op, x);
  op->arg[0] = factor;
  return tw_emit_out(b, op, t);
}

int tw_multiply_constant(tw_builder *b, int x, int64_t factor, int scale_gain) {
  tw_tensor t = tw_look(b, x);
  if (factor == 0) return tw_build_fail(b, TW_ERR_INTERNAL, "multiplication by zero");
  t.scale += scale_gain;
  t.mask_shift += __builtin_ctzll((unsigned long long)factor);
  return emit_scaled(b, x, factor, t);
}

int tw_shift_left(tw_builder *b, int wire, int bits) {
  tw_tensor t = tw_look(b, wire);
  t.ring += bits;
  t.scale += bits;
  t.mask_shift += bits;
  return emit_scaled(b, wire, (int64_t)1 << bits, t);
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

static void row_sum(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)b;
  size_t rows = tw_t(s, op->out[0])->n, cols = (size_t)op->arg[0];
  for (size_t i = 0; i < rows; i++) {
    uint64_t sum = 0;
    for (size_t j = 0; j < cols; j++) sum += in[0][i * cols + j];
    out[i] = sum & tw_mask(tw_t(s, op->out[0])->ring);
  }
}
TW_LOCAL_GATE(row_sum_gate, row_sum);

int tw_row_sum(tw_builder *b, int x, size_t cols) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &row_sum_gate);
  tw_emit_in(op, x);
  op->arg[0] = (int64_t)cols;
  t.n /= cols;
  return tw_emit_out(b, op, t);
}

static void pool_live(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  size_t cols = tw_t(s, op->out[0])->n, live = s->lengths ? (size_t)s->lengths[b] : (size_t)s->program->seq;
  for (size_t j = 0; j < cols; j++) {
    uint64_t sum = 0;
    for (size_t i = 0; i < live; i++) sum += in[0][i * cols + j];
    out[j] = sum & tw_mask(tw_t(s, op->out[0])->ring);
  }
}
TW_LOCAL_GATE(pool_gate, pool_live);

int tw_pool_live(tw_builder *b, int wire, size_t rows, size_t cols) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &pool_gate);
  tw_emit_in(op, wire);
  if (t.n != rows * cols) return tw_build_fail(b, TW_ERR_INTERNAL, "pooling of another shape");
  t.n = cols;
  return tw_emit_out(b, op, t);
}

// ---- public constants: into the public value of a wire, into rank 0's share ----
static tw_status add_mask(tw_session *s, const tw_op *op, int side) {
  if (tw_t(s, op->out[0])->kind != TW_WIRE) return TW_OK;
  TW_TRY(tw_make_mask(s, op->out[0], side));
  memcpy(tw_b(s, op->out[0])->mask[side], tw_b(s, op->in[0])->mask[side], 8 * (size_t)s->batch * tw_t(s, op->out[0])->n);
  return TW_OK;
}

static tw_status add_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_tensor *t = tw_t(s, op->out[0]);
  bool mine = t->kind == TW_WIRE || s->role != TW_PARTY || s->rank == 0;
  uint64_t c = mine ? (uint64_t)op->arg[0] : 0;
  const uint64_t *x = tw_b(s, op->in[0])->value;
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t j = 0; j < (size_t)s->batch * t->n; j++) out[j] = (x[j] + c) & tw_mask(t->ring);
  return TW_OK;
}

static const tw_gate add_gate = {"add constant", add_mask, NULL, NULL, add_value, add_value};

int tw_add_constant(tw_builder *b, int x, int64_t value) {
  tw_op *op = tw_emit(b, &add_gate);
  tw_emit_in(op, x);
  op->arg[0] = value;
  return tw_emit_out(b, op, tw_look(b, x));
}

// ---- a wire read as a share: b X^ - r_b ----
static tw_status share_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_tensor *t = tw_t(s, op->out[0]);
  const uint64_t *x = tw_b(s, op->in[0])->value, *r = tw_b(s, op->in[0])->mask[s->rank], one = s->rank ? ~0ull : 0;
  uint64_t *out = tw_b(s, op->out[0])->value;
  for (size_t j = 0; j < (size_t)s->batch * t->n; j++) out[j] = ((x[j] & one) - r[j]) & tw_mask(t->ring);
  return TW_OK;
}

static tw_status share_clear(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  memcpy(tw_b(s, op->out[0])->value, tw_b(s, op->in[0])->value, 8 * tw_t(s, op->out[0])->n);
  return TW_OK;
}

static const tw_gate share_gate = {"as share", NULL, NULL, NULL, share_party, share_clear};

int tw_as_share(tw_builder *b, int wire) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &share_gate);
  tw_emit_in(op, wire);
  if (t.kind != TW_WIRE) return tw_build_fail(b, TW_ERR_INTERNAL, "not a wire");
  t.kind = TW_SHARE;
  t.mask_shift = 0;
  return tw_emit_out(b, op, t);
}
