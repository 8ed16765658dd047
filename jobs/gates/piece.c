// The linear piece of a scalar function: P = A + B x from the opened s A, s B and x, where s = +-1 is known to the
// dealer alone (protocols, section 7). With A^ = sA + r_A, B^ = sB + r_B, X^ = x + r:
//   P = s (A^ + B^ X^) - X^ [s r_B] - B^ [s r] + [s (r_B r - r_A)]: four corrections in the piece's ring.
#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"

enum { SIGN, SIGN_RB, SIGN_R, SIGN_REST, PARTS };

static tw_status piece_deal(tw_session *s, const tw_op *op) {
  const tw_buffer *a = tw_b(s, op->in[0]), *b = tw_b(s, op->in[1]), *x = tw_b(s, op->in[2]);
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  tw_deal_piece_args args = {.rows = 1,
                             .cols = tw_t(s, op->out[0])->n,
                             .a0 = a->mask[0],
                             .a1 = a->mask[1],
                             .b0 = b->mask[0],
                             .b1 = b->mask[1],
                             .r0 = x->mask[0],
                             .r1 = x->mask[1],
                             .plus = tw_b(s, op->in[3])->sign,
                             .sign = part[SIGN],
                             .sign_rb = part[SIGN_RB],
                             .sign_r = part[SIGN_R],
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
                     .A = tw_b(s, op->in[0])->value,
                     .B = tw_b(s, op->in[1])->value,
                     .X = tw_b(s, op->in[2])->value,
                     .sign = part[SIGN],
                     .sign_rb = part[SIGN_RB],
                     .sign_r = part[SIGN_R],
                     .rest = part[SIGN_REST],
                     .out = tw_b(s, op->out[0])->value,
                     .ring = tw_ring_of(s, op->out[0])};
  return s->backend->piece_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status piece_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *a = tw_b(s, op->in[0])->value, *b = tw_b(s, op->in[1])->value, *x = tw_b(s, op->in[2])->value;
  const uint64_t *plus = tw_b(s, op->in[3])->sign;
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) {
    uint64_t p = a[j] + b[j] * x[j];  // the sign of A and B, undone below
    tw_b(s, op->out[0])->value[j] = (tw_bit(plus, j) ? p : 0 - p) & tw_mask(tw_t(s, op->out[0])->ring);
  }
  return TW_OK;
}

static const tw_gate piece_gate = {"piece", NULL, piece_deal, NULL, piece_party, piece_emulate};

int tw_piece(tw_builder *b, int a, int bb, int x, tw_compared compared) {
  tw_digits d;
  if (!tw_digits_of(b, compared, &d)) return 0;
  tw_tensor ta = tw_look(b, a), tb = tw_look(b, bb), tx = tw_look(b, x);
  tw_op *op = tw_emit(b, &piece_gate);
  tw_emit_in(op, a);
  tw_emit_in(op, bb);
  tw_emit_in(op, x);
  tw_emit_in(op, d.tensor);
  if (ta.ring != tb.ring || tx.ring < ta.ring || ta.scale != tb.scale + tx.scale)
    return tw_build_fail(b, TW_ERR_RANGE, "a piece of ring %d with an argument of ring %d", ta.ring, tx.ring);
  tw_dealt dealt[PARTS];
  for (int i = 0; i < PARTS; i++) dealt[i] = (tw_dealt){TW_DEALT_RING, ta.ring, ta.n};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ta.ring, .scale = ta.scale, .n = ta.n});
}
