// A product of two wires whose [r q] is dealt in two parts: 3 r q as an ordinary correction, -2 r q as a common one.
// The common one is hidden by both parties' pads, and each party's share of it comes from its own. No gate of twain's
// has a common correction yet; this one shows how to.
#ifndef TW_TEST_COMMON_GATE_H
#define TW_TEST_COMMON_GATE_H

#include "jobs/gates/gate.h"

enum { TRIPLE, NOTHING, REST, PARTS };  // dealt; nothing under the second number

// Which parties' pads hide the common part, by bits. Both must: the other values are mutants.
static int hidden_by = 3;

static tw_status common_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->out[0])->n;
  const tw_correction *rest = &s->program->corrections[op->correction + 1];
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *part[PARTS], *pad;
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(tw_scratch(s, n, &pad));
  for (size_t j = 0; j < n; j++) {
    uint64_t rq = (x->mask[0][j] + x->mask[1][j]) * (y->mask[0][j] + y->mask[1][j]);
    part[TRIPLE][j] = 3 * rq;
    part[REST][j] = 0 - 2 * rq;
  }
  for (int side = 0; side < 2; side++) {
    tw_draw_pad(s, rest, side, 0, pad);
    for (size_t j = 0; j < n && hidden_by >> side & 1; j++) part[REST][j] -= pad[j];
  }
  return tw_give(s, op, part);
}

static tw_status common_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->out[0])->n;
  const tw_correction *rest = &s->program->corrections[op->correction + 1];
  const tw_buffer *x = tw_b(s, op->in[0]), *y = tw_b(s, op->in[1]);
  uint64_t *part[PARTS], *pad;
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_scratch(s, n, &pad));
  TW_TRY(tw_make_value(s, op->out[0]));
  for (int b = 0; b < s->batch; b++) {
    tw_draw_pad(s, rest, s->party, b, pad);
    for (size_t k = 0; k < n; k++) {
      size_t j = (size_t)b * n + k;
      uint64_t X = x->value[j], Y = y->value[j], of_rest = s->party == 0 ? part[REST][j] : 0;
      if (hidden_by >> s->party & 1) of_rest += pad[k];
      tw_b(s, op->out[0])->value[j] =
          ((tw_one(s) & X * Y) - X * y->mask[s->party][j] - Y * x->mask[s->party][j] + part[TRIPLE][j] + of_rest) &
          tw_ring_of(s, op->out[0]);
    }
  }
  return part[NOTHING] ? tw_fail(TW_ERR_INTERNAL, "something was dealt as nothing") : TW_OK;
}

static tw_status common_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++)
    tw_b(s, op->out[0])->value[j] =
        tw_b(s, op->in[0])->value[j] * tw_b(s, op->in[1])->value[j] & tw_ring_of(s, op->out[0]);
  return TW_OK;
}

static const tw_gate common_gate = {"common product", NULL, common_deal, NULL, common_party, common_emulate};

// SHARE of x y, in x's ring.
static int common_product(tw_builder *b, int x, int y) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &common_gate);
  tw_emit_in(op, x);
  tw_emit_in(op, y);
  tw_dealt dealt[PARTS] = {[TRIPLE] = {TW_DEALT_RING, t.ring, t.n},
                           [NOTHING] = {TW_DEALT_RING, 0, t.n},
                           [REST] = {TW_DEALT_COMMON, t.ring, t.n}};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = t.ring, .scale = t.scale, .n = t.n});
}

#endif
