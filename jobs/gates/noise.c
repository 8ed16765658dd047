// Noise that neither party knows (protocols, section 8): both parties' streams make 64 uniform bits for every element,
// of which each party could know a half and the dealer knows all; a function of them is dealt like any other
// correction.
#include "jobs/gates/gate.h"

enum { NOISE_BASE, NOISE_SLOPE };  // tables

// A party has no use for its half.
static tw_status noise_mask(tw_session *s, const tw_op *op, int side) {
  return s->role == TW_PARTY ? TW_OK : tw_draw_mask(s, op, side);
}

static tw_status noise_of(tw_session *s, const tw_op *op, uint64_t *out) {
  const tw_buffer *y = tw_b(s, op->out[0]);
  tw_deal_noise_args a = {.rows = 1,
                          .cols = tw_t(s, op->out[0])->n,
                          .u0 = y->mask[0],
                          .u1 = y->mask[1],
                          .base = tw_table_values(s, (int)op->arg[NOISE_BASE]),
                          .slope = tw_table_values(s, (int)op->arg[NOISE_SLOPE]),
                          .out = out,
                          .ring = tw_ring_of(s, op->out[0])};
  return s->backend->deal_noise(&a, s->stream);
}

static tw_status noise_deal(tw_session *s, const tw_op *op) {
  uint64_t *noise;
  TW_TRY(tw_dealt_memory(s, op, &noise));
  TW_TRY(noise_of(s, op, noise));
  return tw_give(s, op, &noise);
}

static tw_status add(tw_session *s, const tw_op *op, const uint64_t *noise) {
  size_t n = tw_batch_n(s, op->out[0]);
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_combine_args a = {.rows = 1,
                       .cols = n,
                       .x = tw_b(s, op->in[0])->value,
                       .y = noise,
                       .out = tw_b(s, op->out[0])->value,
                       .p = 1,
                       .q = 1,
                       .ring = tw_ring_of(s, op->out[0]),
                       .pair = tw_flat(n)};
  return s->backend->combine(&a, s->stream);
}

static tw_status noise_party(tw_session *s, const tw_op *op) {
  uint64_t *noise;
  TW_TRY(tw_take(s, op, &noise));
  return add(s, op, noise);
}

static tw_status noise_emulate(tw_session *s, const tw_op *op) {
  uint64_t *noise;
  TW_TRY(tw_scratch(s, tw_t(s, op->out[0])->n, &noise));
  TW_TRY(noise_of(s, op, noise));
  return add(s, op, noise);
}

static const tw_gate noise_gate = {"noise", noise_mask, noise_deal, NULL, noise_party, noise_emulate};

int tw_add_noise(tw_builder *b, int share, const int table[2]) {
  tw_tensor t = tw_look(b, share);
  tw_op *op = tw_emit(b, &noise_gate);
  tw_emit_in(op, share);
  op->draws = true;
  if (b->status != TW_OK) return 0;
  for (int i = 0; i < 2; i++) {
    op->arg[i] = table[i];
    if (b->program->tables[table[i]].n != TW_NOISE_ENTRIES)
      return tw_build_fail(b, TW_ERR_MISMATCH, "table %s is no table of noise", b->program->tables[table[i]].name);
  }
  if (t.kind != TW_SHARE) return tw_build_fail(b, TW_ERR_INTERNAL, "noise is added to shares");
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, t.ring, t.n}, 1);
  return tw_emit_out(b, op, t);
}
