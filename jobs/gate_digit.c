// One-hot digits of a wire's mask, comparisons' leaves and table lookups on them (protocols, sections 5 to 7).
#include <string.h>

#include "jobs/gate.h"

// ---- dealing digits: 2^w correction bits a digit, one more for the mask's top bit ----
// arg: 0 low bit, 1 sign bit dealt, 2 looked-up digit or -1; list: widths
static int digit_low(const tw_session *s, const tw_op *op, int digit) {
  int64_t at = op->arg[0];
  for (int i = 0; i < digit; i++) at += s->program->pool[op->list + (size_t)i];
  return (int)at;
}

// Which sign the looked-up entry leaves with: sgn = e_a^0 - e_a^1, where on the first half rank 1's share is its own pad and
// on the second half rank 0's. Known to the dealer, never opened.
static tw_status digits_mask(tw_session *s, const tw_op *op, int side) {
  int looked_up = (int)op->arg[2];
  if (s->role == TW_PARTY || side == 0 || looked_up < 0) return TW_OK;
  const tw_correction *c = &s->program->corrections[op->correction];
  size_t words = tw_words(c->n), h = tw_half(c->n);
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

static tw_status digits_deal(tw_session *s, const tw_op *op) {
  const tw_correction *c = &s->program->corrections[op->correction];
  size_t words = tw_words(c->n), first = 0;
  uint64_t *planes;
  TW_TRY(tw_scratch(s, (size_t)c->width * words, &planes));
  memset(planes, 0, 8 * (size_t)c->width * words);
  const tw_buffer *w = tw_b(s, op->in[0]);
  int ring = tw_t(s, op->in[0])->ring, low = (int)op->arg[0];
  for (size_t i = 0; i < op->list_count; i++) {
    int width = (int)s->program->pool[op->list + i];
    for (size_t j = 0; j < c->n; j++) {
      uint64_t a = ((w->mask[0][j] + w->mask[1][j]) & tw_mask(ring)) >> low & tw_mask(width);
      planes[(first + a) * words + j / 64] |= 1ull << (j % 64);
    }
    first += (size_t)1 << width;
    low += width;
  }
  for (size_t j = 0; op->arg[1] && j < c->n; j++) {
    uint64_t top = (w->mask[0][j] + w->mask[1][j]) >> (ring - 1) & 1;
    planes[first * words + j / 64] |= top << (j % 64);
  }
  return tw_give(s, op, 0, planes);
}

static tw_status digits_party(tw_session *s, const tw_op *op) {
  uint64_t *planes;
  TW_TRY(tw_take(s, op, 0, &planes));
  TW_TRY(tw_make_value(s, op->out[0]));
  memcpy(tw_b(s, op->out[0])->value, planes, 8 * (size_t)s->batch * tw_words_of(s, op->out[0]));
  return TW_OK;
}

static const tw_gate digits_gate = {"digits", digits_mask, digits_deal, NULL, digits_party, NULL};

tw_digits tw_deal_digits(tw_builder *b, int wire, int low_bit, const int *widths, int count, bool sign_bit, int looked_up) {
  tw_digits d = {.wire = wire, .count = count, .low_bit = low_bit, .sign_bit = sign_bit};
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &digits_gate);
  tw_emit_in(op, wire);
  op->arg[0] = low_bit;
  op->arg[1] = sign_bit;
  op->arg[2] = looked_up;
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
  tw_emit_bits(b, op, planes, t.n);
  d.tensor = tw_emit_out(b, op, (tw_tensor){.kind = TW_ONEHOT, .planes = planes, .n = t.n});
  return d;
}

int tw_split_digits(int bits, int *widths) {
  int count = 0;
  for (; bits >= 4; bits -= 4) widths[count++] = 4;
  if (bits > 0) widths[count++] = bits;
  return count;
}

tw_digits tw_comparison_digits(tw_builder *b, int wire) {
  int widths[TW_MAX_DIGITS], count = tw_split_digits(tw_look(b, wire).ring - 1, widths);
  return tw_deal_digits(b, wire, 0, widths, count, true, -1);
}

// ---- leaves: local ----
// arg: 0 low bit, 1 digit count, 2 leaf count; list: widths, then (offset, digit, kind) each
typedef struct { int low, width; size_t first_plane; } digit_place;

static digit_place place_of(const tw_session *s, const tw_op *op, int digit) {
  const int64_t *widths = s->program->pool + op->list;
  digit_place p = {(int)op->arg[0], (int)widths[digit], 0};
  for (int i = 0; i < digit; i++) {
    p.low += (int)widths[i];
    p.first_plane += (size_t)1 << widths[i];
  }
  return p;
}

static tw_leaf leaf_of(const tw_session *s, const tw_op *op, int i) {
  const int64_t *l = s->program->pool + op->list + op->arg[1] + 3 * i;
  return (tw_leaf){(uint64_t)l[0], (int)l[1], (tw_leaf_kind)l[2]};
}

// Share of msb(r): the last one-hot plane; rank 0 adds the public msb(X - offset) ^ 1.
static void sign_leaf(const tw_session *s, const tw_op *op, tw_leaf leaf, int b, uint64_t *out) {
  size_t n = tw_t(s, op->in[1])->n, words = tw_words(n);
  int ring = tw_t(s, op->in[1])->ring;
  const uint64_t *top = tw_value(s, op->in[0], b) + (tw_words_of(s, op->in[0]) - words);
  if (s->rank == 0) {
    tw_digit_planes(tw_value(s, op->in[1], b), n, leaf.offset, ring, ring - 1, 1, out);
    for (size_t w = 0; w < words; w++) out[w] = ~out[w] ^ top[w];
  } else {
    memcpy(out, top, 8 * words);
  }
}

static tw_status leaves_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[1])->n, words = tw_words(n);
  int ring = tw_t(s, op->in[1])->ring, count = (int)op->arg[2];
  uint64_t *digit_planes;
  TW_TRY(tw_scratch(s, words * TW_DIGIT_MAX_BITS, &digit_planes));
  TW_TRY(tw_make_value(s, op->out[0]));
  TW_EACH_SEQUENCE(s, b) {
    const uint64_t *onehot = tw_value(s, op->in[0], b), *X = tw_value(s, op->in[1], b);
    uint64_t *out = tw_value(s, op->out[0], b);
    for (int i = 0; i < count; i++) {
      tw_leaf leaf = leaf_of(s, op, i);
      if (leaf.kind == TW_LEAF_SIGN) {
        sign_leaf(s, op, leaf, b, out + (size_t)i * words);
        continue;
      }
      digit_place p = place_of(s, op, leaf.digit);
      tw_leaf before = i ? leaf_of(s, op, i - 1) : leaf;
      if (i == 0 || before.kind == TW_LEAF_SIGN || before.offset != leaf.offset || before.digit != leaf.digit)
        tw_digit_planes(X, n, leaf.offset, ring, p.low, p.width, digit_planes);
      uint64_t *plane = out + (size_t)i * words;
      tw_digit_leaf(onehot + p.first_plane * words, words, p.width, digit_planes, leaf.kind == TW_LEAF_LT ? plane : NULL,
                    leaf.kind == TW_LEAF_EQ ? plane : NULL);
    }
  }
  return TW_OK;
}

static tw_status leaves_clear(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[1]);
  const tw_buffer *w = tw_b(s, op->in[1]);
  size_t words = tw_words(x->n);
  TW_TRY(tw_make_value(s, op->out[0]));
  memset(tw_b(s, op->out[0])->value, 0, 8 * tw_words_of(s, op->out[0]));
  for (int i = 0; i < op->arg[2]; i++) {
    tw_leaf leaf = leaf_of(s, op, i);
    digit_place p = place_of(s, op, leaf.kind == TW_LEAF_SIGN ? 0 : leaf.digit);
    uint64_t *out = tw_b(s, op->out[0])->value + (size_t)i * words;
    for (size_t j = 0; j < x->n; j++) {
      uint64_t r = (w->mask[0][j] + w->mask[1][j]) & tw_mask(x->ring);
      uint64_t u = (tw_public(s, op->in[1], j) - leaf.offset) & tw_mask(x->ring), bit;
      uint64_t a = r >> p.low & tw_mask(p.width), c = u >> p.low & tw_mask(p.width);
      if (leaf.kind == TW_LEAF_SIGN)
        bit = (r >> (x->ring - 1)) ^ (u >> (x->ring - 1)) ^ 1;
      else
        bit = leaf.kind == TW_LEAF_LT ? c < a : c == a;
      out[j / 64] |= bit << (j % 64);
    }
  }
  return TW_OK;
}

static const tw_gate leaves_gate = {"leaves", NULL, NULL, NULL, leaves_party, leaves_clear};

int tw_leaves(tw_builder *b, const tw_digits *d, const tw_leaf *leaf, int count) {
  enum { MAX_LEAVES = 1024 };
  int64_t list[TW_MAX_DIGITS + 3 * MAX_LEAVES];
  tw_op *op = tw_emit(b, &leaves_gate);
  tw_emit_in(op, d->tensor);
  tw_emit_in(op, d->wire);
  if (count > MAX_LEAVES) return tw_build_fail(b, TW_ERR_INTERNAL, "%d leaves in one gate", count);
  op->arg[0] = d->low_bit;
  op->arg[1] = d->count;
  op->arg[2] = count;
  size_t at = 0;
  for (int i = 0; i < d->count; i++) list[at++] = d->width[i];
  for (int i = 0; i < count; i++) {
    list[at++] = (int64_t)leaf[i].offset;
    list[at++] = leaf[i].digit;
    list[at++] = leaf[i].kind;
  }
  tw_emit_list(b, op, list, at);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = count, .n = tw_look(b, d->wire).n});
}

// ---- lookup: local; the entry leaves with a sign that the dealer alone knows ----
// arg: 0 first one-hot plane, 1 width, 2 sub bits, 3 offset, 4 low bit of the digit, 5 6 tables
static tw_status lookup_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[1])->n, words = tw_words(n);
  int ring = tw_t(s, op->in[1])->ring, out_ring = tw_t(s, op->out[0])->ring;
  int width = (int)op->arg[1], sub = (int)op->arg[2], low = (int)op->arg[4] - sub;
  const uint64_t *tables[2] = {s->program->tables[op->arg[5]].values, s->program->tables[op->arg[6]].values};
  uint64_t *fine;
  TW_TRY(tw_scratch(s, n, &fine));
  TW_TRY(tw_make_value(s, op->out[0]));
  TW_TRY(tw_make_value(s, op->out[1]));
  TW_EACH_SEQUENCE(s, b) {
    const uint64_t *X = tw_value(s, op->in[1], b), *onehot = tw_value(s, op->in[0], b) + (size_t)op->arg[0] * words;
    for (size_t j = 0; j < n; j++) fine[j] = ((X[j] - (uint64_t)op->arg[3]) & tw_mask(ring)) >> low & tw_mask(width + sub);
    uint64_t *out[2] = {tw_value(s, op->out[0], b), tw_value(s, op->out[1], b)};
    tw_digit_lookup(onehot, words, width, sub, fine, n, tables, 2, out);
    for (int i = 0; i < 2; i++)
      for (size_t j = 0; j < n; j++) out[i][j] = (s->rank ? 0 - out[i][j] : out[i][j]) & tw_mask(out_ring);
  }
  return TW_OK;
}

static tw_status lookup_clear(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[1]);
  const tw_buffer *w = tw_b(s, op->in[1]);
  int out_ring = tw_t(s, op->out[0])->ring, width = (int)op->arg[1], sub = (int)op->arg[2], at = (int)op->arg[4];
  for (int i = 0; i < 2; i++) TW_TRY(tw_make_value(s, op->out[i]));
  const uint64_t *sign = tw_b(s, op->in[0])->sign;
  for (size_t j = 0; j < x->n; j++) {
    uint64_t a = ((w->mask[0][j] + w->mask[1][j]) & tw_mask(x->ring)) >> at & tw_mask(width);
    uint64_t fine = ((tw_public(s, op->in[1], j) - (uint64_t)op->arg[3]) & tw_mask(x->ring)) >> (at - sub);
    uint64_t piece = (fine - (a << sub)) & tw_mask(width + sub);
    for (int i = 0; i < 2; i++) {
      uint64_t entry = s->program->tables[op->arg[5 + i]].values[piece];
      tw_b(s, op->out[i])->value[j] = (tw_bit(sign, j) ? entry : 0 - entry) & tw_mask(out_ring);
    }
  }
  return TW_OK;
}

static const tw_gate lookup_gate = {"lookup", NULL, NULL, NULL, lookup_party, lookup_clear};

void tw_lookup(tw_builder *b, const tw_digits *d, int index, int sub_bits, uint64_t offset, const int table[2], int ring,
               const int scale[2], int out[2]) {
  tw_op *op = tw_emit(b, &lookup_gate);
  tw_emit_in(op, d->tensor);
  tw_emit_in(op, d->wire);
  int low = d->low_bit;
  for (int i = 0; i < index; i++) {
    op->arg[0] += 1 << d->width[i];
    low += d->width[i];
  }
  op->arg[1] = d->width[index];
  op->arg[2] = sub_bits;
  op->arg[3] = (int64_t)offset;
  op->arg[4] = low;
  for (int i = 0; i < 2; i++) {
    op->arg[5 + i] = table[i];
    if (b->program->tables[table[i]].n != (size_t)1 << (d->width[index] + sub_bits))
      tw_build_fail(b, TW_ERR_MISMATCH, "table %s does not fit its digit", b->program->tables[table[i]].name);
  }
  tw_tensor t = {.kind = TW_SHARE, .ring = ring, .n = tw_look(b, d->wire).n};
  for (int i = 0; i < 2; i++) {
    t.scale = scale[i];
    out[i] = tw_emit_out(b, op, t);
  }
}
