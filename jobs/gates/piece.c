// The linear piece of a scalar function, from the entries looked up under a sign s = +-1 that is known to the dealer
// alone (protocols, section 7): base A at the piece's beginning, slope B. The argument lies u = c - rho behind it,
// where c is public and rho = r mod 2^q are the mask's low bits. V = A + c B is local; with V^ = sV + r_V, B^ = sB +
// r_B
//   A + B u = s (V^ - r_V) - s (B^ - r_B) rho = V^ [s] - B^ [s rho] + [s (r_B rho - r_V)]:
// three corrections in the piece's ring.
#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"

// ---- V = A + c B: local
enum { OFFSET_LO, OFFSET_BITS };

static tw_status offset_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_offset_args a = {.rows = 1,
                      .cols = tw_batch_n(s, op->out[0]),
                      .X = tw_b(s, op->in[2])->value,
                      .base = tw_b(s, op->in[0])->value,
                      .slope = tw_b(s, op->in[1])->value,
                      .out = tw_b(s, op->out[0])->value,
                      .lo = (uint64_t)op->arg[OFFSET_LO],
                      .low = tw_mask((int)op->arg[OFFSET_BITS]),
                      .ring = tw_ring_of(s, op->out[0])};
  return s->backend->offset(&a, s->stream);
}

static tw_status offset_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *base = tw_b(s, op->in[0])->value, *slope = tw_b(s, op->in[1])->value;
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) {
    uint64_t c = (tw_public(s, op->in[2], j) - (uint64_t)op->arg[OFFSET_LO]) & tw_mask((int)op->arg[OFFSET_BITS]);
    tw_b(s, op->out[0])->value[j] = (base[j] + c * slope[j]) & tw_ring_of(s, op->out[0]);
  }
  return TW_OK;
}

static const tw_gate offset_gate = {"offset", NULL, NULL, NULL, offset_party, offset_emulate, .rows = tw_rows_each};

int tw_offset(tw_builder *b, int base, int slope, int x, int64_t lo, int bits) {
  tw_tensor ta = tw_look(b, base), tb = tw_look(b, slope), tx = tw_look(b, x);
  tw_op *op = tw_emit(b, &offset_gate);
  tw_emit_in(op, base);
  tw_emit_in(op, slope);
  tw_emit_in(op, x);
  op->arg[OFFSET_LO] = lo;
  op->arg[OFFSET_BITS] = bits;
  if (ta.ring != tb.ring || ta.scale != tb.scale + tx.scale || tx.kind != TW_WIRE || bits > tx.ring)
    return tw_build_fail(b, TW_ERR_RANGE, "an offset of %d bits of an argument of ring %d", bits, tx.ring);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ta.ring, .scale = ta.scale, .n = ta.n});
}

// ---- the piece
enum { PIECE_BITS };
enum { SIGN, SIGN_RHO, SIGN_REST, PARTS };

static tw_status piece_deal(tw_session *s, const tw_op *op) {
  const tw_buffer *v = tw_b(s, op->in[0]), *b = tw_b(s, op->in[1]), *x = tw_b(s, op->in[2]);
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  tw_deal_piece_args args = {.rows = 1,
                             .cols = tw_t(s, op->out[0])->n,
                             .v0 = v->mask[0],
                             .v1 = v->mask[1],
                             .b0 = b->mask[0],
                             .b1 = b->mask[1],
                             .r0 = x->mask[0],
                             .r1 = x->mask[1],
                             .plus = tw_b(s, op->in[3])->sign,
                             .low = tw_mask((int)op->arg[PIECE_BITS]),
                             .sign = part[SIGN],
                             .sign_rho = part[SIGN_RHO],
                             .rest = part[SIGN_REST]};
  TW_TRY(s->backend->deal_piece(&args, s->stream));
  return tw_give(s, op, part);
}

static tw_status piece_party(tw_session *s, const tw_op *op) {
  uint64_t *part[PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_piece_args a = {.rows = 1,
                     .cols = tw_batch_n(s, op->out[0]),
                     .V = tw_b(s, op->in[0])->value,
                     .B = tw_b(s, op->in[1])->value,
                     .sign = part[SIGN],
                     .sign_rho = part[SIGN_RHO],
                     .rest = part[SIGN_REST],
                     .out = tw_b(s, op->out[0])->value,
                     .ring = tw_ring_of(s, op->out[0])};
  return s->backend->piece_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status piece_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *v = tw_b(s, op->in[0])->value, *b = tw_b(s, op->in[1])->value, *plus = tw_b(s, op->in[3])->sign;
  const tw_buffer *x = tw_b(s, op->in[2]);
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) {
    uint64_t rho = (x->mask[0][j] + x->mask[1][j]) & tw_mask((int)op->arg[PIECE_BITS]), p = v[j] - b[j] * rho;
    tw_b(s, op->out[0])->value[j] = (tw_bit(plus, j) ? p : 0 - p) & tw_mask(tw_t(s, op->out[0])->ring);
  }
  return TW_OK;
}

static const tw_gate piece_gate = {"piece", NULL, piece_deal, NULL, piece_party, piece_emulate, .rows = tw_rows_each};

int tw_signed_piece(tw_builder *b, int v, int slope, int x, int bits, int entry) {
  tw_tensor tv = tw_look(b, v), tb = tw_look(b, slope), tx = tw_look(b, x);
  tw_op *op = tw_emit(b, &piece_gate);
  tw_emit_in(op, v);
  tw_emit_in(op, slope);
  tw_emit_in(op, x);
  tw_emit_in(op, entry);
  op->arg[PIECE_BITS] = bits;
  if (tv.ring != tb.ring || tv.scale != tb.scale + tx.scale || tx.kind != TW_WIRE || bits > tx.ring)
    return tw_build_fail(b, TW_ERR_RANGE, "a piece of ring %d with an argument of ring %d", tv.ring, tx.ring);
  tw_dealt dealt[PARTS];
  for (int i = 0; i < PARTS; i++) dealt[i] = (tw_dealt){TW_DEALT_RING, tv.ring, tv.n};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = tv.ring, .scale = tv.scale, .n = tv.n});
}

int tw_piece(tw_builder *b, int v, int slope, int x, int bits, tw_compared compared) {
  tw_digits d;
  return tw_digits_of(b, compared, &d) ? tw_signed_piece(b, v, slope, x, bits, d.tensor) : 0;
}
