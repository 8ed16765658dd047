// One-hot digits of a wire's mask, comparisons' leaves and table lookups on them (protocols, sections 5 to 7).
#include "jobs/gates/digit.h"

#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

// ---- dealing digits: 2^w correction bits a digit, one more for the mask's top bit ----
// list: widths
enum {
  DIGITS_LOW,       // lowest bit
  DIGITS_SIGN,      // the sign bit is dealt, too
  DIGITS_LOOKED_UP  // digit, or -1
};

static int digit_low(const tw_session *s, const tw_op *op, int digit) {
  int64_t at = op->arg[DIGITS_LOW];
  for (int i = 0; i < digit; i++) at += s->program->pool[op->list + (size_t)i];
  return (int)at;
}

// Which sign the looked-up entry leaves with: sgn = e_a^0 - e_a^1, where on the first half party 1's share is its own
// pad and on the second half party 0's. Known to dealer (which reads it off the dealt halves) and emulator, never
// opened.
static tw_status digits_mask(tw_session *s, const tw_op *op, int side) {
  int looked_up = (int)op->arg[DIGITS_LOOKED_UP];
  if (s->role != TW_EMULATOR || side == 0 || looked_up < 0) return TW_OK;
  const tw_correction *c = &s->program->corrections[op->correction];
  size_t words = tw_words(c->n), h = tw_first_half(c->n);
  uint64_t *pad[2], *sign;
  for (int i = 0; i < 2; i++) {
    TW_TRY(tw_scratch(s, (size_t)c->width * words, &pad[i]));
    tw_draw_pad(s, c, i, 0, pad[i]);
  }
  TW_TRY(tw_keep(s, words, &sign));
  memset(sign, 0, 8 * words);
  size_t first = 0;
  for (int i = 0; i < looked_up; i++) first += (size_t)1 << s->program->pool[op->list + (size_t)i];
  int low = digit_low(s, op, looked_up), width = (int)s->program->pool[op->list + (size_t)looked_up];
  const tw_buffer *w = tw_b(s, op->in[0]);
  for (size_t j = 0; j < c->n; j++) {
    uint64_t a = ((w->mask[0][j] + w->mask[1][j]) & tw_mask(tw_t(s, op->in[0])->ring)) >> low & tw_mask(width);
    uint64_t plus = j < h ? 1 ^ tw_bit(pad[1] + (first + a) * words, j) : tw_bit(pad[0] + (first + a) * words, j);
    sign[j / 64] |= plus << (j % 64);
  }
  tw_b(s, op->out[0])->sign = sign;
  return TW_OK;
}

static tw_status deal_sign(tw_session *s, const tw_op *op) {
  int looked_up = (int)op->arg[DIGITS_LOOKED_UP];
  const tw_correction *c = &s->program->corrections[op->correction];
  size_t words = tw_words(c->n), half = tw_words(tw_first_half(c->n)), first = 0;
  for (int i = 0; i < looked_up; i++) first += (size_t)1 << s->program->pool[op->list + (size_t)i];
  const tw_buffer *w = tw_b(s, op->in[0]);
  uint64_t *sign;
  TW_TRY(tw_keep(s, words, &sign));
  tw_b(s, op->out[0])->sign = sign;
  tw_deal_sign_args a = {.n = c->n,
                         .half = tw_first_half(c->n),
                         .r0 = w->mask[0],
                         .r1 = w->mask[1],
                         .slot0 = tw_given(s, 0) + first * half,
                         .slot1 = tw_given(s, 1) + first * (words - half),
                         .ring = tw_t(s, op->in[0])->ring,
                         .low = digit_low(s, op, looked_up),
                         .width = (int)s->program->pool[op->list + (size_t)looked_up],
                         .out = sign};
  return s->backend->deal_sign(&a, s->stream);
}

static tw_status digits_deal(tw_session *s, const tw_op *op) {
  const tw_correction *c = &s->program->corrections[op->correction];
  const tw_buffer *w = tw_b(s, op->in[0]);
  uint64_t *planes;
  TW_TRY(tw_dealt_memory(s, op, &planes));
  tw_deal_digits_args a = {.n = c->n,
                           .words = tw_words(c->n),
                           .r0 = w->mask[0],
                           .r1 = w->mask[1],
                           .widths = tw_list(s, op),
                           .count = (int)op->list_count,
                           .ring = tw_t(s, op->in[0])->ring,
                           .low = (int)op->arg[DIGITS_LOW],
                           .sign_bit = op->arg[DIGITS_SIGN] != 0,
                           .planes = planes};
  TW_TRY(s->backend->deal_digits(&a, s->stream));
  TW_TRY(tw_give(s, op, &planes));
  return op->arg[DIGITS_LOOKED_UP] >= 0 ? deal_sign(s, op) : TW_OK;
}

static tw_status digits_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  return tw_take_into(s, op, tw_b(s, op->out[0])->value);
}

static const tw_gate digits_gate = {"digits", digits_mask, digits_deal, NULL, digits_party, NULL, .rows = tw_rows_each};

tw_digits tw_deal_digits(tw_builder *b, int wire, int low_bit, const int *widths, int count, bool sign_bit,
                         int looked_up) {
  tw_digits d = {.wire = wire, .count = count, .low_bit = low_bit, .sign_bit = sign_bit, .looked_up = looked_up};
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &digits_gate);
  tw_emit_in(op, wire);
  op->arg[DIGITS_LOW] = low_bit;
  op->arg[DIGITS_SIGN] = sign_bit;
  op->arg[DIGITS_LOOKED_UP] = looked_up;
  int64_t list[TW_MAX_DIGITS];
  int planes = sign_bit, top = low_bit;
  for (int i = 0; i < count && i < TW_MAX_DIGITS; i++) {
    list[i] = d.width[i] = widths[i];
    planes += 1 << widths[i];
    top += widths[i];
    if (widths[i] < 1 || widths[i] > TW_DIGIT_MAX_BITS) tw_build_fail(b, TW_ERR_RANGE, "a digit of %d bits", widths[i]);
  }
  if (t.kind != TW_WIRE || count > TW_MAX_DIGITS || top > t.ring)
    tw_build_fail(b, TW_ERR_RANGE, "digits up to bit %d of a ring of %d bits", top, t.ring);
  tw_emit_list(b, op, list, (size_t)count);
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_BITS, planes, t.n}, 1);
  d.op = b->program->op_count - 1;
  d.tensor = tw_emit_out(b, op, (tw_tensor){.kind = TW_ONEHOT, .planes = planes, .n = t.n});
  return d;
}

int tw_split_digits(int bits, int *widths) {
  int count = 0;
  for (; bits >= 4; bits -= 4) widths[count++] = 4;
  if (bits > 0) widths[count++] = bits;
  return count;
}

tw_compared tw_compared_by(const tw_digits *d) { return (tw_compared){d->op}; }

bool tw_digits_of(const tw_builder *b, tw_compared compared, tw_digits *out) {
  if (b->status != TW_OK) return false;
  const tw_op *op = &b->program->ops[compared.op];
  *out = (tw_digits){.op = compared.op,
                     .tensor = op->out[0],
                     .wire = op->in[0],
                     .count = (int)op->list_count,
                     .low_bit = (int)op->arg[DIGITS_LOW],
                     .sign_bit = op->arg[DIGITS_SIGN] != 0,
                     .looked_up = (int)op->arg[DIGITS_LOOKED_UP]};
  for (int i = 0; i < out->count; i++) out->width[i] = (int)b->program->pool[op->list + (size_t)i];
  return true;
}

// ---- leaves: local ----
// list: three words a leaf, as kernels/bit_ops.h wants them
enum { LEAVES_COUNT };

static tw_status leaves_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_tensor *x = tw_t(s, op->in[1]);
  tw_leaves_args a = {.sequences = (size_t)s->batch,
                      .n = x->n,
                      .words = tw_words(x->n),
                      .X = tw_b(s, op->in[1])->value,
                      .onehot = tw_b(s, op->in[0])->value,
                      .leaves = tw_list(s, op),
                      .out = tw_b(s, op->out[0])->value,
                      .onehot_words = tw_words_of(s, op->in[0]),
                      .count = (int)op->arg[LEAVES_COUNT],
                      .ring = x->ring,
                      .party = s->party};
  return s->backend->leaves(&a, s->stream);
}

static uint64_t clear_leaf(const int64_t *leaf, uint64_t r, uint64_t X, int ring) {
  uint64_t u = (X - (uint64_t)leaf[0]) & tw_mask(ring);
  tw_leaf_kind kind = (tw_leaf_kind)(leaf[2] >> 8 & 0xff);
  if (kind == TW_LEAF_SIGN) return (r >> (ring - 1)) ^ (u >> (ring - 1)) ^ 1;
  int low = (int)leaf[1], width = (int)(leaf[2] & 0xff);
  uint64_t a = r >> low & tw_mask(width), c = u >> low & tw_mask(width);
  return kind == TW_LEAF_LT ? c < a : c == a;
}

static tw_status leaves_emulate(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[1]);
  const tw_buffer *w = tw_b(s, op->in[1]);
  size_t words = tw_words(x->n);
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value;
  memset(out, 0, 8 * tw_words_of(s, op->out[0]));
  for (int64_t i = 0; i < op->arg[LEAVES_COUNT]; i++)
    for (size_t j = 0; j < x->n; j++) {
      uint64_t r = (w->mask[0][j] + w->mask[1][j]) & tw_mask(x->ring);
      out[(size_t)i * words + j / 64] |= clear_leaf(tw_list(s, op) + 3 * i, r, tw_public(s, op->in[1], j), x->ring)
                                         << (j % 64);
    }
  return TW_OK;
}

static const tw_gate leaves_gate = {"leaves", NULL, NULL, NULL, leaves_party, leaves_emulate, .rows = tw_rows_each};

int tw_leaves(tw_builder *b, const tw_digits *d, const tw_leaf *leaf, int count) {
  enum { MAX_LEAVES = 2048 };
  int64_t list[3 * MAX_LEAVES];
  int low[TW_MAX_DIGITS + 1] = {d->low_bit};
  int64_t first_plane[TW_MAX_DIGITS + 1] = {0};
  tw_op *op = tw_emit(b, &leaves_gate);
  tw_emit_in(op, d->tensor);
  tw_emit_in(op, d->wire);
  if (count > MAX_LEAVES) return tw_build_fail(b, TW_ERR_INTERNAL, "%d leaves in one gate", count);
  for (int i = 0; i < d->count; i++) {
    low[i + 1] = low[i] + d->width[i];
    first_plane[i + 1] = first_plane[i] + ((int64_t)1 << d->width[i]);
  }
  op->arg[LEAVES_COUNT] = count;
  for (int i = 0; i < count; i++) {
    // the mask's sign bit is the one-hot tensor's last plane
    bool sign = leaf[i].kind == TW_LEAF_SIGN;
    int digit = sign ? d->count : leaf[i].digit;
    list[3 * i] = (int64_t)leaf[i].offset;
    list[3 * i + 1] = low[digit];
    list[3 * i + 2] = (sign ? 1 : d->width[digit]) | (int64_t)leaf[i].kind << 8 | first_plane[digit] << 16;
  }
  tw_emit_list(b, op, list, 3 * (size_t)count);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = count, .n = tw_look(b, d->wire).n});
}

// ---- lookup: local; the entry leaves with a sign that the dealer alone knows ----
enum {
  LOOKUP_PLANE,  // first of the one-hot
  LOOKUP_WIDTH,
  LOOKUP_SUB_BITS,
  LOOKUP_OFFSET,
  LOOKUP_LOW,     // lowest bit of the digit
  LOOKUP_TABLES,  // two
};

static tw_status lookup_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[1])->n, words = tw_words(n);
  tw_lookup_args a = {.sequences = (size_t)s->batch,
                      .n = n,
                      .words = words,
                      .X = tw_b(s, op->in[1])->value,
                      .onehot = tw_b(s, op->in[0])->value + (size_t)op->arg[LOOKUP_PLANE] * words,
                      .onehot_words = tw_words_of(s, op->in[0]),
                      .offset = (uint64_t)op->arg[LOOKUP_OFFSET],
                      .ring_out = tw_ring_of(s, op->out[0]),
                      .ring = tw_t(s, op->in[1])->ring,
                      .low_bit = (int)op->arg[LOOKUP_LOW],
                      .width = (int)op->arg[LOOKUP_WIDTH],
                      .sub_bits = (int)op->arg[LOOKUP_SUB_BITS],
                      .party = s->party};
  for (int i = 0; i < 2; i++) {
    TW_TRY(tw_make_value(s, op->out[i]));
    a.out[i] = tw_b(s, op->out[i])->value;
    a.table[i] = tw_table_values(s, (int)op->arg[LOOKUP_TABLES + i]);
  }
  return s->backend->lookup(&a, s->stream);
}

static tw_status lookup_emulate(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[1]);
  const tw_buffer *w = tw_b(s, op->in[1]);
  int out_ring = tw_t(s, op->out[0])->ring, width = (int)op->arg[LOOKUP_WIDTH], sub = (int)op->arg[LOOKUP_SUB_BITS],
      at = (int)op->arg[LOOKUP_LOW];
  for (int i = 0; i < 2; i++) TW_TRY(tw_make_value(s, op->out[i]));
  const uint64_t *sign = tw_b(s, op->in[0])->sign;
  for (size_t j = 0; j < x->n; j++) {
    uint64_t a = ((w->mask[0][j] + w->mask[1][j]) & tw_mask(x->ring)) >> at & tw_mask(width);
    uint64_t fine = ((tw_public(s, op->in[1], j) - (uint64_t)op->arg[LOOKUP_OFFSET]) & tw_mask(x->ring)) >> (at - sub);
    uint64_t piece = (fine - (a << sub)) & tw_mask(width + sub);
    for (int i = 0; i < 2; i++) {
      uint64_t entry = s->program->tables[op->arg[LOOKUP_TABLES + i]].values[piece];
      tw_b(s, op->out[i])->value[j] = (tw_bit(sign, j) ? entry : 0 - entry) & tw_mask(out_ring);
    }
  }
  return TW_OK;
}

static const tw_gate lookup_gate = {"lookup", NULL, NULL, NULL, lookup_party, lookup_emulate, .rows = tw_rows_each};

void tw_lookup(tw_builder *b, tw_compared compared, int sub_bits, uint64_t lo, const int table[2], int ring,
               const int scale[2], int out[2]) {
  tw_digits d;
  out[0] = out[1] = 0;
  if (!tw_digits_of(b, compared, &d)) return;
  if (d.looked_up < 0) {
    tw_build_fail(b, TW_ERR_INTERNAL, "a lookup by a wire that was not made ready for it");
    return;
  }
  tw_op *op = tw_emit(b, &lookup_gate);
  tw_emit_in(op, d.tensor);
  tw_emit_in(op, d.wire);
  int low = d.low_bit, index = d.looked_up;
  for (int i = 0; i < index; i++) {
    op->arg[LOOKUP_PLANE] += 1 << d.width[i];
    low += d.width[i];
  }
  if (low > 0) tw_form_dithers(b, d.wire, "looked up");
  op->arg[LOOKUP_WIDTH] = d.width[index];
  op->arg[LOOKUP_SUB_BITS] = sub_bits;
  op->arg[LOOKUP_OFFSET] = (int64_t)lo;
  op->arg[LOOKUP_LOW] = low;
  for (int i = 0; i < 2; i++) {
    op->arg[LOOKUP_TABLES + i] = table[i];
    if (b->program->tables[table[i]].n != (size_t)1 << (d.width[index] + sub_bits))
      tw_build_fail(b, TW_ERR_MISMATCH, "table %s does not fit its digit", b->program->tables[table[i]].name);
  }
  tw_tensor t = {.kind = TW_SHARE, .ring = ring, .n = tw_look(b, d.wire).n};
  for (int i = 0; i < 2; i++) {
    t.scale = scale[i];
    out[i] = tw_emit_out(b, op, t);
  }
}
