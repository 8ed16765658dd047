// The last step of faithful truncation (protocols, section 2): floor(x / 2^f) = (X^ >> f) - [r >> f] - [borrow] in ring
// k - f, r canonical; the borrow X^ mod 2^f < r mod 2^f was compared and opened under a bit mask m. Corrections [r >>
// f], [m].
#include "jobs/gates/gate.h"

enum { FLOOR_BITS };
enum { HIGH, BIT, PARTS };  // dealt: [r >> f], [m]

static tw_status floor_deal(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[0]);
  const tw_buffer *r = tw_b(s, op->in[0]), *bit = tw_b(s, op->in[1]);
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  tw_deal_floor_args a = {.rows = 1,
                          .cols = x->n,
                          .r0 = r->mask[0],
                          .r1 = r->mask[1],
                          .m0 = bit->mask[0],
                          .m1 = bit->mask[1],
                          .high = part[HIGH],
                          .m = part[BIT],
                          .k = x->ring,
                          .shift = (int)op->arg[FLOOR_BITS]};
  TW_TRY(s->backend->deal_floor(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status floor_party(tw_session *s, const tw_op *op) {
  uint64_t *part[PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_floor_args a = {.rows = (size_t)s->batch,
                     .cols = tw_t(s, op->in[0])->n,
                     .X = tw_b(s, op->in[0])->value,
                     .bits = tw_b(s, op->in[1])->value,
                     .high = part[HIGH],
                     .m = part[BIT],
                     .out = tw_b(s, op->out[0])->value,
                     .sequence_words = tw_words_of(s, op->in[1]),
                     .one = tw_one(s),
                     .ring = tw_ring_of(s, op->out[0]),
                     .shift = (int)op->arg[FLOOR_BITS]};
  return s->backend->floor_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status floor_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_tensor *x = tw_t(s, op->in[0]);
  for (size_t j = 0; j < x->n; j++)
    tw_b(s, op->out[0])->value[j] =
        (uint64_t)(tw_signed(tw_b(s, op->in[0])->value[j], x->ring) >> op->arg[FLOOR_BITS]) &
        tw_mask(tw_t(s, op->out[0])->ring);
  return TW_OK;
}

static const tw_gate floor_gate = {"floor", NULL, floor_deal, NULL, floor_party, floor_emulate, .rows = tw_rows_each};

int tw_floor_share(tw_builder *b, int wire, int borrow, int bits) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &floor_gate);
  tw_emit_in(op, wire);
  tw_emit_in(op, borrow);
  op->arg[FLOOR_BITS] = bits;
  if (t.ring <= bits) return tw_build_fail(b, TW_ERR_RANGE, "truncation of a ring of %d bits by %d", t.ring, bits);
  tw_dealt each = {TW_DEALT_RING, t.ring - bits, t.n};
  tw_emit_dealt(b, op, (tw_dealt[PARTS]){[HIGH] = each, [BIT] = each}, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = t.ring - bits, .scale = t.scale - bits, .n = t.n});
}
