// The streams that a session draws from seeds: masks of openings, and pads of corrections.
#include <stdlib.h>

#include "jobs/program/session_parts.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

void tw_session_note_stream(tw_session *s, uint32_t use, uint8_t role) {
#ifdef TWAIN_DEBUG_PRG
  // R1: a stream serves one tensor in one role; drawing it again for the same role is allowed
  if (s->drawn[use] != 0 && s->drawn[use] != role) abort();
  s->drawn[use] = role;
#else
  (void)s, (void)use, (void)role;
#endif
}

tw_status tw_session_describe_draw(tw_session *s, const tw_op *op, int side, tw_draw_args *out) {
  int id = op->out[0];
  const tw_tensor *t = tw_t(s, id);
  TW_TRY(tw_make_mask(s, id, side));
  tw_session_note_stream(s, op->mask_use, 1);
  *out = (tw_draw_args){.sequences = (size_t)s->batch,
                        .seeds = s->sequences.seeds[side],
                        .slots = s->sequences.backend_slots,
                        .use = op->mask_use,
                        .ring = op->draws            ? 64
                                : t->kind == TW_WIRE ? t->ring
                                                     : 0,
                        .n = tw_words_of(s, id),
                        .out = s->memory.buffers[id].mask[side]};
  return TW_OK;
}

tw_status tw_draw_mask(tw_session *s, const tw_op *op, int side) {
  tw_draw_args a;
  TW_TRY(tw_session_describe_draw(s, op, side, &a));
  return s->backend->draw(&a, s->stream);
}

void tw_draw_pad(tw_session *s, const tw_correction *c, int side, int b, uint64_t *out) {
  tw_session_note_stream(s, c->use, 2);
  if (c->kind == TW_DEALT_BITS)
    tw_prg_words(&s->sequences.seeds[side][b], c->use, s->sequences.slots[b], 0, (size_t)c->width * tw_words(c->n),
                 out);
  else
    tw_prg_ring(&s->sequences.seeds[side][b], c->use, s->sequences.slots[b], c->width, 0, c->n, out);
}

tw_status tw_draw_pads(tw_session *s, const tw_correction *c, int side, uint64_t *out) {
  tw_session_note_stream(s, c->use, 2);
  tw_draw_args a = {.sequences = (size_t)s->batch,
                    .seeds = s->sequences.seeds[side],
                    .slots = s->sequences.backend_slots,
                    .use = c->use,
                    .ring = c->width,
                    .n = c->n,
                    .out = out};
  return s->backend->draw(&a, s->stream);
}

tw_status tw_draw_roots(tw_session *s, const tw_correction *c, int side, uint64_t **out) {
  TW_TRY(tw_scratch(s, (size_t)s->batch * c->n, out));
  return tw_draw_pads(s, c, side, *out);
}
