#include "jobs/program/session_corrections.h"

#include "jobs/program/session_parts.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

// The packed parts of a gate's corrections, of all sequences: where their source has them, or copied out of it.
typedef struct {
  const uint8_t *first;  // the first sequence's
  size_t stride;         // to the next one's
} packed_parts;

static tw_status read_packed(tw_session *s, size_t bytes, packed_parts *out) {
  uint64_t *copies;
  size_t words = bytes / 8 + 1;
  TW_TRY(tw_scratch(s, (size_t)s->batch * words, &copies));
  *out = (packed_parts){(const uint8_t *)copies, 8 * words};
  for (int b = 0; b < s->batch; b++)
    TW_TRY(s->corrections.source.read(s->corrections.source.state, b, copies + (size_t)b * words, bytes));
  return TW_OK;
}

static tw_status find_packed(tw_session *s, size_t bytes, packed_parts *out) {
  if (!s->corrections.source.window) return read_packed(s, bytes, out);
  *out = (packed_parts){NULL, 0};
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

// Nothing is left for kernels to expand.
static tw_status take_shares(tw_session *s, const tw_op *op, uint64_t *first) {
  for (int i = 0; i < op->correction_count; i++) {
    uint64_t *out = first;
    const tw_correction *c = &s->program->corrections[op->correction + i];
    if (i > 0 || !first) TW_TRY(tw_scratch(s, (size_t)s->batch * tw_correction_words(c), &out));
    TW_TRY(s->corrections.source.shares(s->corrections.source.state, op, i, out));
    s->corrections.taken[i] = (tw_correction_args){.sequences = 0, .out = out};
  }
  return TW_OK;
}

// Each part begins at a line of memory.
static tw_status take_memory(tw_session *s, size_t words, uint64_t **out) {
  enum { LINE_WORDS = 32 };
  tw_correction_room *room = s->corrections.room;
  if (!room) return tw_scratch(s, words, out);
  *out = room->memory + room->used;
  room->used += (words + LINE_WORDS - 1) / LINE_WORDS * LINE_WORDS;
  return room->used <= room->words ? TW_OK : tw_fail(TW_ERR_INTERNAL, "corrections need more room than was foreseen");
}

// All corrections of a gate; the first one into memory that the gate has for it, if it has.
static tw_status describe_taken(tw_session *s, const tw_op *op, uint64_t *first) {
  if (s->corrections.source.shares) return take_shares(s, op, first);
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  packed_parts packed;
  TW_TRY(find_packed(s, last->offset[s->party] + last->bytes[s->party] - c->offset[s->party], &packed));
  for (int i = 0; i < op->correction_count; i++) {
    tw_correction_part part = tw_part_of(&c[i], s->party);
    uint64_t *out = first;
    tw_session_note_stream(s, c[i].use, 2);
    if (i > 0 || !first) TW_TRY(take_memory(s, (size_t)s->batch * tw_correction_words(&c[i]), &out));
    s->corrections.taken[i] =
        (tw_correction_args){.sequences = (size_t)s->batch,
                             .seeds = s->sequences.seeds[s->party],
                             .slots = s->sequences.backend_slots,
                             .use = c[i].use,
                             .bits = c[i].kind == TW_DEALT_BITS,
                             .width = c[i].width,
                             .n = c[i].n,
                             .first = part.first,
                             .count = part.count,
                             .packed = packed.first + (c[i].offset[s->party] - c->offset[s->party]),
                             .packed_stride = packed.stride,
                             .out = out};
  }
  return TW_OK;
}

static void find_parts(const tw_session *s, const tw_op *op, uint64_t **part) {
  for (int i = 0, at = 0; i < op->dealt_count; i++)
    part[i] = op->dealt >> i & 1 ? s->corrections.taken[at++].out : NULL;
}

tw_status tw_take_later(tw_session *s, const tw_op *op, uint64_t **part) {
  if (op->correction_count > 0) TW_TRY(describe_taken(s, op, NULL));
  find_parts(s, op, part);
  return TW_OK;
}

tw_status tw_take(tw_session *s, const tw_op *op, uint64_t **part) {
  TW_TRY(tw_take_later(s, op, part));
  return op->correction_count > 0 ? s->backend->corrections(s->corrections.taken, op->correction_count, s->stream)
                                  : TW_OK;
}

tw_status tw_take_into(tw_session *s, const tw_op *op, uint64_t *memory) {
  TW_TRY(describe_taken(s, op, memory));
  return s->backend->corrections(s->corrections.taken, op->correction_count, s->stream);
}

// Party 0's file holds c - u_1 on the first half, party 1's c - u_0 on the rest (bits: XOR); of a common correction
// both hold c.
static tw_give_args part_of(tw_session *s, const tw_correction *c, int party, const uint64_t *values, uint8_t *packed) {
  tw_correction_part part = tw_part_of(c, party);
  return (tw_give_args){.seed = &s->sequences.seeds[1 - party][0],
                        .slot = &s->sequences.backend_slots[0],
                        .use = c->use,
                        .bits = c->kind == TW_DEALT_BITS,
                        .plain = c->kind == TW_DEALT_COMMON,
                        .width = c->width,
                        .n = c->n,
                        .first = part.first,
                        .count = part.count,
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
          part_of(s, &c[i], party, s->corrections.given[i], packed + (c[i].offset[party] - c->offset[party]));
  }
  TW_TRY(s->backend->give(args, count, s->stream));
  for (int party = 0; party < 2; party++)
    TW_TRY(s->corrections.sink[party].append(s->corrections.sink[party].state, s->corrections.packed[party],
                                             bytes[party]));
  return TW_OK;
}

tw_status tw_dealt_memory(tw_session *s, const tw_op *op, uint64_t **part) {
  const tw_correction *c = &s->program->corrections[op->correction];
  for (int i = 0; i < op->dealt_count; i++) {
    part[i] = NULL;
    if (op->dealt >> i & 1) TW_TRY(tw_scratch(s, tw_correction_words(c++), &part[i]));
  }
  return TW_OK;
}

tw_status tw_give(tw_session *s, const tw_op *op, uint64_t *const *part) {
  for (int i = 0, at = 0; i < op->dealt_count; i++) {
    if (!(op->dealt >> i & 1)) continue;
    tw_session_note_stream(s, s->program->corrections[op->correction + at].use, 2);
    s->corrections.given[at++] = part[i];
  }
  return op->correction_count > 0 ? give_all(s, op) : TW_OK;
}
