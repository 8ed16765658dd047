#include "jobs/program/session_corrections.h"

#include "jobs/program/session_parts.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

// The packed halves of a gate's corrections, of all sequences: where their source has them, or copied out of it.
typedef struct {
  const uint8_t *first;  // the first sequence's
  size_t stride;         // to the next one's
} packed_halves;

static tw_status read_packed(tw_session *s, size_t bytes, packed_halves *out) {
  uint64_t *copies;
  size_t words = bytes / 8 + 1;
  TW_TRY(tw_scratch(s, (size_t)s->batch * words, &copies));
  *out = (packed_halves){(const uint8_t *)copies, 8 * words};
  for (int b = 0; b < s->batch; b++)
    TW_TRY(s->corrections.source.read(s->corrections.source.state, b, copies + (size_t)b * words, bytes));
  return TW_OK;
}

static tw_status find_packed(tw_session *s, size_t bytes, packed_halves *out) {
  if (!s->corrections.source.window) return read_packed(s, bytes, out);
  *out = (packed_halves){NULL, 0};
  for (int b = 0; b < s->batch; b++) {
    const uint8_t *at;
    TW_TRY(s->corrections.source.window(s->corrections.source.state, b, bytes, &at));
    if (b == 0) out->first = at;
    if (b == 1) out->stride = (size_t)((uintptr_t)at - (uintptr_t)out->first);
    if ((uintptr_t)at != (uintptr_t)out->first + (size_t)b * out->stride)
      return tw_fail(TW_ERR_INTERNAL, "key slots of a batch do not lie at equal distances");
  }
  return TW_OK;
}

// All corrections of a gate; the first one into memory that the gate has for it, if it has.
static tw_status describe_taken(tw_session *s, const tw_op *op, uint64_t *first) {
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  packed_halves packed;
  TW_TRY(find_packed(s, last->offset[s->party] + last->bytes[s->party] - c->offset[s->party], &packed));
  for (int i = 0; i < op->correction_count; i++) {
    size_t words = c[i].bits ? (size_t)c[i].width * tw_words(c[i].n) : c[i].n, h = tw_first_half(c[i].n);
    uint64_t *out = first;
    tw_session_note_stream(s, c[i].use, 2);
    if (i > 0 || !first) TW_TRY(tw_scratch(s, (size_t)s->batch * words, &out));
    s->corrections.taken[i] =
        (tw_correction_args){.sequences = (size_t)s->batch,
                             .seeds = s->sequences.seeds[s->party],
                             .slots = s->sequences.backend_slots,
                             .use = c[i].use,
                             .bits = c[i].bits,
                             .width = c[i].width,
                             .n = c[i].n,
                             .first = s->party == 0 ? 0 : h,
                             .count = s->party == 0 ? h : c[i].n - h,
                             .packed = packed.first + (c[i].offset[s->party] - c->offset[s->party]),
                             .packed_stride = packed.stride,
                             .out = out};
  }
  return TW_OK;
}

tw_status tw_take(tw_session *s, const tw_op *op, int i, uint64_t **out) {
  if (i == 0) {
    TW_TRY(describe_taken(s, op, NULL));
    TW_TRY(s->backend->corrections(s->corrections.taken, op->correction_count, s->stream));
  }
  *out = s->corrections.taken[i].out;
  return TW_OK;
}

tw_status tw_take_into(tw_session *s, const tw_op *op, uint64_t *memory) {
  TW_TRY(describe_taken(s, op, memory));
  return s->backend->corrections(s->corrections.taken, op->correction_count, s->stream);
}

tw_status tw_take_later(tw_session *s, const tw_op *op, int i, uint64_t **out) {
  if (i == 0) TW_TRY(describe_taken(s, op, NULL));
  *out = s->corrections.taken[i].out;
  return TW_OK;
}

// Party 0's file holds c - u_1 on the first half, party 1's c - u_0 on the rest (bits: XOR).
static tw_give_args half_of(tw_session *s, const tw_correction *c, int party, const uint64_t *values, uint8_t *packed) {
  size_t h = tw_first_half(c->n);
  return (tw_give_args){.seed = &s->sequences.seeds[1 - party][0],
                        .slot = &s->sequences.backend_slots[0],
                        .use = c->use,
                        .bits = c->bits,
                        .width = c->width,
                        .n = c->n,
                        .first = party == 0 ? 0 : h,
                        .count = party == 0 ? h : c->n - h,
                        .values = values,
                        .packed = packed,
                        .bytes = c->bytes[party]};
}

static tw_status give_all(tw_session *s, const tw_op *op) {
  tw_give_args args[TW_GIVE_MOST];
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  size_t bytes[2];
  int count = 0;
  for (int party = 0; party < 2; party++) {
    uint8_t *packed = s->corrections.dealt[party] ? s->corrections.dealt[party] + c->offset[party] : NULL;
    uint64_t *memory;
    bytes[party] = last->offset[party] + last->bytes[party] - c->offset[party];
    if (!packed) {
      TW_TRY(tw_scratch(s, bytes[party] / 8, &memory));
      packed = (uint8_t *)memory;
    }
    s->corrections.packed[party] = (const uint64_t *)(const void *)packed;
    for (int i = 0; i < op->correction_count; i++)
      args[count++] =
          half_of(s, &c[i], party, s->corrections.given[i], packed + (c[i].offset[party] - c->offset[party]));
  }
  TW_TRY(s->backend->give(args, count, s->stream));
  for (int party = 0; party < 2; party++)
    TW_TRY(s->corrections.sink[party].append(s->corrections.sink[party].state, s->corrections.packed[party],
                                             bytes[party]));
  return TW_OK;
}

tw_status tw_give(tw_session *s, const tw_op *op, int i, const uint64_t *values) {
  tw_session_note_stream(s, s->program->corrections[op->correction + i].use, 2);
  s->corrections.given[i] = values;
  return i + 1 == op->correction_count ? give_all(s, op) : TW_OK;
}
