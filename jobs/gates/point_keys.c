// Comparisons by keys of point functions (docs/design/pfss.md): any number of thresholds of a wire in no round.
#include "jobs/gates/gate.h"

// Words of a key are common corrections. Nobody needs a pad for them: the pads of the leaf words, which have the right
// size, are the parties' root seeds.
enum { LEAF, SEED, CONTROL, TOP, PARTS };
// list: thresholds

static tw_status thresholds_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n;
  const tw_correction *leaf = &s->program->corrections[op->correction];
  const tw_buffer *x = tw_b(s, op->in[0]);
  uint64_t *part[PARTS], *root[2];
  TW_TRY(tw_dealt_memory(s, op, part));
  for (int side = 0; side < 2; side++) TW_TRY(tw_draw_roots(s, leaf, side, &root[side]));
  tw_deal_keys_args a = {.n = n,
                         .words = tw_words(n),
                         .r0 = x->mask[0],
                         .r1 = x->mask[1],
                         .root = {root[0], root[1]},
                         .slot = &s->sequences.backend_slots[0],
                         .seed = part[SEED],
                         .control = part[CONTROL],
                         .leaf = part[LEAF],
                         .top = part[TOP],
                         .use = leaf->use,
                         .ring = tw_t(s, op->in[0])->ring};
  TW_TRY(s->backend->deal_keys(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status thresholds_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n;
  const tw_correction *leaf = &s->program->corrections[op->correction];
  uint64_t *part[PARTS], *root;
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_draw_roots(s, leaf, s->party, &root));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_thresholds_args a = {.sequences = (size_t)s->batch,
                          .n = n,
                          .words = tw_words(n),
                          .X = tw_b(s, op->in[0])->value,
                          .thresholds = tw_list(s, op),
                          .root = root,
                          .seed = part[SEED],
                          .control = part[CONTROL],
                          .leaf = part[LEAF],
                          .top = part[TOP],
                          .slots = s->sequences.backend_slots,
                          .out = tw_b(s, op->out[0])->value,
                          .use = leaf->use,
                          .count = (int)op->list_count,
                          .ring = tw_t(s, op->in[0])->ring,
                          .party = s->party};
  return s->backend->thresholds(&a, s->stream);
}

static tw_status thresholds_emulate(tw_session *s, const tw_op *op) {
  const tw_tensor *t = tw_t(s, op->in[0]);
  size_t words = tw_words(t->n);
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value;
  memset(out, 0, 8 * tw_words_of(s, op->out[0]));
  for (size_t i = 0; i < op->list_count; i++)
    for (size_t j = 0; j < t->n; j++) {
      uint64_t difference = tw_b(s, op->in[0])->value[j] - (uint64_t)tw_list(s, op)[i];
      out[i * words + j / 64] |= (1 ^ (difference >> (t->ring - 1) & 1)) << j % 64;
    }
  return TW_OK;
}

static const tw_gate thresholds_gate = {"thresholds by key", NULL, thresholds_deal, NULL, thresholds_party,
                                        thresholds_emulate};

int tw_at_least_by_key(tw_builder *b, int wire, const int64_t *thresholds, int count) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &thresholds_gate);
  tw_emit_in(op, wire);
  if (t.kind != TW_WIRE || t.ring < 2 || t.ring > TW_KEY_MOST_RING || count < 1)
    return tw_build_fail(b, TW_ERR_RANGE, "%d thresholds by key of a ring of %d bits", count, t.ring);
  tw_emit_list(b, op, thresholds, (size_t)count);
  size_t levels = (size_t)tw_key_levels(t.ring), halves = (size_t)tw_key_halves(t.ring);
  int leaf_bits = 1 << tw_key_leaf_bits(t.ring);
  tw_dealt dealt[PARTS] = {[LEAF] = {TW_DEALT_COMMON, leaf_bits < 64 ? leaf_bits : 64, halves * t.n},
                           [SEED] = {TW_DEALT_COMMON, levels ? 64 : 0, 2 * levels * t.n},
                           [CONTROL] = {TW_DEALT_COMMON, levels ? 2 : 0, levels * t.n},
                           [TOP] = {TW_DEALT_BITS, 1, t.n}};
  tw_emit_dealt(b, op, dealt, PARTS);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = count, .n = t.n});
}
