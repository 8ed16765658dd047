// Tables that are read from keys of point functions (docs/design/pfss.md): windows by leaf bits, under a sign that the
// dealer alone knows, and segment tables by values of nodes, which are plain shares. No round.
#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

// ---- windows ----

// Words of a key are common corrections. Nobody needs a pad for them: those of the leaf words, which have the right
// size, are the parties' root seeds.
enum { LEAF, SEED, CONTROL, WINDOW_PARTS };
enum { WINDOW_RING, WINDOW_LOW, WINDOW_COUNT, WINDOW_SUB_BITS, WINDOW_LO, WINDOW_ARCS, WINDOW_TABLES };
// list: arcs (kernels/key_ops.h)

// The words, and the sign: known to dealer and emulator, never opened.
static tw_status make_window(tw_session *s, const tw_op *op, uint64_t **part) {
  size_t n = tw_t(s, op->in[0])->n;
  const tw_correction *leaf = &s->program->corrections[op->correction];
  const tw_buffer *x = tw_b(s, op->in[0]);
  uint64_t *root[2], *sign;
  for (int side = 0; side < 2; side++) TW_TRY(tw_draw_roots(s, leaf, side, &root[side]));
  TW_TRY(tw_keep(s, tw_words(n), &sign));
  tw_b(s, op->out[0])->sign = sign;
  tw_deal_window_args a = {.n = n,
                           .r0 = x->mask[0],
                           .r1 = x->mask[1],
                           .root = {root[0], root[1]},
                           .slot = &s->sequences.backend_slots[0],
                           .seed = part[SEED],
                           .control = part[CONTROL],
                           .leaf = part[LEAF],
                           .sign = sign,
                           .use = leaf->use,
                           .ring = (int)op->arg[WINDOW_RING],
                           .low = (int)op->arg[WINDOW_LOW]};
  return s->backend->deal_window(&a, s->stream);
}

static tw_status window_deal(tw_session *s, const tw_op *op) {
  uint64_t *part[WINDOW_PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(make_window(s, op, part));
  return tw_give(s, op, part);
}

static tw_status window_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n;
  const tw_correction *leaf = &s->program->corrections[op->correction];
  uint64_t *part[WINDOW_PARTS], *root;
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_draw_roots(s, leaf, s->party, &root));
  for (int i = 0; i < op->out_count; i++) TW_TRY(tw_make_value(s, op->out[i]));
  tw_key_window_args a = {
      .sequences = (size_t)s->batch,
      .n = n,
      .words = tw_words(n),
      .X = tw_b(s, op->in[0])->value,
      .keys = {root, part[SEED], part[CONTROL], part[LEAF], s->sequences.backend_slots, leaf->use},
      .table = {tw_table_values(s, (int)op->arg[WINDOW_TABLES]), tw_table_values(s, (int)op->arg[WINDOW_TABLES + 1])},
      .arcs = tw_list(s, op),
      .out = {tw_b(s, op->out[0])->value, tw_b(s, op->out[1])->value},
      .bits = op->out_count > 2 ? tw_b(s, op->out[2])->value : NULL,
      .lo = (uint64_t)op->arg[WINDOW_LO],
      .ring_out = tw_ring_of(s, op->out[0]),
      .ring = (int)op->arg[WINDOW_RING],
      .low = (int)op->arg[WINDOW_LOW],
      .count = (int)op->arg[WINDOW_COUNT],
      .sub_bits = (int)op->arg[WINDOW_SUB_BITS],
      .arc_count = (int)op->arg[WINDOW_ARCS],
      .party = s->party};
  return s->backend->key_window(&a, s->stream);
}

static uint64_t in_arc(const int64_t *arc, uint64_t alpha, uint64_t X, int ring, int low) {
  uint64_t from = tw_arc_end(arc, TW_ARC_FROM, X, ring, low), to = tw_arc_end(arc, TW_ARC_TO, X, ring, low);
  bool in = from < to ? alpha >= from && alpha < to : alpha >= from || alpha < to;
  return in ^ (uint64_t)arc[TW_ARC_NEGATE];
}

// The entries of element j, 0 outside the window, and its bits.
static void read_clear(tw_session *s, const tw_op *op, size_t j) {
  const tw_buffer *x = tw_b(s, op->in[0]);
  int ring = (int)op->arg[WINDOW_RING], low = (int)op->arg[WINDOW_LOW], sub = (int)op->arg[WINDOW_SUB_BITS];
  uint64_t X = tw_public(s, op->in[0], j), alpha = ((x->mask[0][j] + x->mask[1][j]) & tw_mask(ring)) >> low,
           u = (X - (uint64_t)op->arg[WINDOW_LO]) & tw_mask(ring), piece = ((u >> low) - alpha) & tw_mask(ring - low);
  uint64_t entry = (piece << sub) + ((u & tw_mask(low)) >> (low - sub)), plus = tw_bit(tw_b(s, op->out[0])->sign, j);
  for (int i = 0; i < 2; i++) {
    uint64_t value =
        piece < (uint64_t)op->arg[WINDOW_COUNT] ? s->program->tables[op->arg[WINDOW_TABLES + i]].values[entry] : 0;
    tw_b(s, op->out[i])->value[j] = (plus ? value : 0 - value) & tw_ring_of(s, op->out[i]);
  }
  for (int64_t i = 0; i < op->arg[WINDOW_ARCS]; i++)
    tw_b(s, op->out[2])->value[(size_t)i * tw_words(tw_t(s, op->in[0])->n) + j / 64] |=
        in_arc(tw_list(s, op) + TW_ARC_WORDS * i, alpha, X, ring, low) << j % 64;
}

static tw_status window_emulate(tw_session *s, const tw_op *op) {
  uint64_t *part[WINDOW_PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(make_window(s, op, part));
  for (int i = 0; i < op->out_count; i++) {
    TW_TRY(tw_make_value(s, op->out[i]));
    memset(tw_b(s, op->out[i])->value, 0, 8 * tw_words_of(s, op->out[i]));
  }
  for (size_t j = 0; j < tw_t(s, op->in[0])->n; j++) read_clear(s, op, j);
  return TW_OK;
}

static const tw_gate window_gate = {"window by key", NULL, window_deal, NULL, window_party, window_emulate};

static bool window_fits(tw_builder *b, tw_tensor x, const tw_window *w, const int table[2]) {
  bool fits = x.kind == TW_WIRE && w->ring <= x.ring && w->low >= 0 && w->sub_bits >= 0 && w->sub_bits <= w->low &&
              w->ring - w->low >= 2 && w->ring - w->low <= TW_KEY_MOST_BITS && w->count >= 1 &&
              w->count <= TW_WINDOW_MOST && w->count <= 1 << (w->ring - w->low < 12 ? w->ring - w->low - 1 : 11);
  for (int i = 0; i < 2 && fits; i++) fits = b->program->tables[table[i]].n == (size_t)w->count << w->sub_bits;
  return fits;
}

static void emit_window_keys(tw_builder *b, tw_op *op, int bits, size_t n) {
  size_t levels = (size_t)tw_leaf_key_levels(bits), halves = (size_t)tw_leaf_key_halves(bits);
  int leaf_bits = 1 << tw_leaf_key_bits(bits);
  tw_dealt dealt[WINDOW_PARTS] = {[LEAF] = {TW_DEALT_COMMON, leaf_bits < 64 ? leaf_bits : 64, halves * n},
                                  [SEED] = {TW_DEALT_COMMON, levels ? 64 : 0, 2 * levels * n},
                                  [CONTROL] = {TW_DEALT_COMMON, levels ? 2 : 0, levels * n}};
  tw_emit_dealt(b, op, dealt, WINDOW_PARTS);
}

tw_window_entries tw_read_window(tw_builder *b, int wire, const tw_window *w, const int64_t *arcs, int arc_count,
                                 const int table[2], int ring, const int scale[2]) {
  tw_tensor t = tw_look(b, wire);
  tw_window_entries entries = {0};
  tw_op *op = tw_emit(b, &window_gate);
  tw_emit_in(op, wire);
  if (b->status != TW_OK || !window_fits(b, t, w, table)) {
    tw_build_fail(b, TW_ERR_RANGE, "a window of %d pieces of 2^%d by a key of %d bits, of a ring of %d bits", w->count,
                  w->low, w->ring - w->low, t.ring);
    return entries;
  }
  if (w->low > 0 && !tw_form_dithers(b, wire, "looked up")) return entries;
  op->arg[WINDOW_RING] = w->ring;
  op->arg[WINDOW_LOW] = w->low;
  op->arg[WINDOW_COUNT] = w->count;
  op->arg[WINDOW_SUB_BITS] = w->sub_bits;
  op->arg[WINDOW_LO] = w->lo;
  op->arg[WINDOW_ARCS] = arc_count;
  for (int i = 0; i < 2; i++) op->arg[WINDOW_TABLES + i] = table[i];
  tw_emit_list(b, op, arcs, (size_t)arc_count * TW_ARC_WORDS);
  emit_window_keys(b, op, w->ring - w->low, t.n);
  entries.base = tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale[0], .n = t.n});
  entries.slope = tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale[1], .n = t.n});
  if (arc_count > 0) entries.bits = tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = arc_count, .n = t.n});
  return entries;
}

// ---- segment tables ----

// A key without leaf words has its root seeds from the pads of its first level's words.
enum { LEVEL, LEVEL_CONTROL, VALUE, SEGMENT_PARTS };
enum { SEGMENTS_RING, SEGMENTS_FIRST_STEP, SEGMENTS_TABLES, SEGMENTS_SLOPE };
// list: runs and their end (kernels/key_ops.h)

static int run_count(const tw_op *op) { return (int)(op->list_count / TW_SEGMENT_WORDS) - 1; }

static tw_status segments_deal(tw_session *s, const tw_op *op) {
  const tw_correction *level = &s->program->corrections[op->correction];
  const tw_buffer *x = tw_b(s, op->in[0]);
  size_t n = tw_t(s, op->in[0])->n;
  uint64_t *part[SEGMENT_PARTS], *root[2];
  TW_TRY(tw_dealt_memory(s, op, part));
  for (int side = 0; side < 2; side++) TW_TRY(tw_draw_roots(s, level, side, &root[side]));
  tw_deal_segments_args a = {.n = n,
                             .r0 = x->mask[0],
                             .r1 = x->mask[1],
                             .root = {root[0], root[1]},
                             .slot = &s->sequences.backend_slots[0],
                             .seed = part[LEVEL],
                             .control = part[LEVEL_CONTROL],
                             .value = part[VALUE],
                             .list = tw_list(s, op),
                             .use = level->use,
                             .ring = (int)op->arg[SEGMENTS_RING],
                             .ring_out = tw_t(s, op->out[0])->ring,
                             .first_step = (int)op->arg[SEGMENTS_FIRST_STEP],
                             .runs = run_count(op)};
  TW_TRY(s->backend->deal_segments(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status segments_party(tw_session *s, const tw_op *op) {
  const tw_correction *level = &s->program->corrections[op->correction];
  size_t n = tw_t(s, op->in[0])->n;
  uint64_t *part[SEGMENT_PARTS], *root;
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_draw_roots(s, level, s->party, &root));
  for (int i = 0; i < op->out_count; i++) TW_TRY(tw_make_value(s, op->out[i]));
  tw_key_segments_args a = {.sequences = (size_t)s->batch,
                            .n = n,
                            .words = tw_words(n),
                            .X = tw_b(s, op->in[0])->value,
                            .root = root,
                            .seed = part[LEVEL],
                            .control = part[LEVEL_CONTROL],
                            .value = part[VALUE],
                            .slots = s->sequences.backend_slots,
                            .base = tw_table_values(s, (int)op->arg[SEGMENTS_TABLES]),
                            .slope = tw_table_values(s, (int)op->arg[SEGMENTS_SLOPE]),
                            .list = tw_list(s, op),
                            .out = tw_b(s, op->out[0])->value,
                            .outside = op->out_count > 1 ? tw_b(s, op->out[1])->value : NULL,
                            .root_stride = level->n,
                            .use = level->use,
                            .ring = (int)op->arg[SEGMENTS_RING],
                            .ring_out = tw_t(s, op->out[0])->ring,
                            .first_step = (int)op->arg[SEGMENTS_FIRST_STEP],
                            .runs = run_count(op),
                            .party = s->party};
  return s->backend->key_segments(&a, s->stream);
}

// The run in whose borders x is; -1: in none.
static int run_of(const tw_op *op, const int64_t *list, uint64_t x, uint64_t X) {
  for (int i = 0; i < run_count(op); i++)
    if (x > tw_segment_border(list, i, X) && x <= tw_segment_border(list, i + 1, X)) return i;
  return -1;
}

static tw_status segments_emulate(tw_session *s, const tw_op *op) {
  const tw_table *base = &s->program->tables[op->arg[SEGMENTS_TABLES]],
                 *slope = &s->program->tables[op->arg[SEGMENTS_SLOPE]];
  const tw_buffer *in = tw_b(s, op->in[0]);
  size_t n = tw_t(s, op->in[0])->n;
  const int64_t *list = tw_list(s, op);
  uint64_t ring = tw_mask((int)op->arg[SEGMENTS_RING]);
  for (int i = 0; i < op->out_count; i++) {
    TW_TRY(tw_make_value(s, op->out[i]));
    memset(tw_b(s, op->out[i])->value, 0, 8 * tw_words_of(s, op->out[i]));
  }
  for (size_t j = 0; j < n; j++) {
    uint64_t x = in->value[j] & ring, X = tw_public(s, op->in[0], j) & ring, value = base->values[0];
    int i = run_of(op, list, x, X);
    if (i >= 0) {
      const int64_t *run = list + TW_SEGMENT_WORDS * i;
      int m = (int)run[TW_SEGMENT_STEP];
      tw_segment_place at = tw_segment_at(run, x + ((X - x) & tw_mask(m)));
      value = base->values[at.entry] + slope->values[at.entry] * (tw_segment_rest(X - x, m) - at.delta);
    }
    tw_b(s, op->out[0])->value[j] = value & tw_ring_of(s, op->out[0]);
    if (op->out_count > 1) tw_b(s, op->out[1])->value[j / 64] |= (uint64_t)(i < 0) << j % 64;
  }
  return TW_OK;
}

static const tw_gate segments_gate = {"segments by key", NULL, segments_deal, NULL, segments_party, segments_emulate};

static bool segments_fit(const tw_builder *b, tw_tensor x, const tw_segments *seg, const int table[2]) {
  int m = seg->first_step;
  bool fit = x.kind == TW_WIRE && seg->ring <= x.ring && m >= 0 && seg->runs >= 1 &&
             seg->runs <= TW_SEGMENT_MOST_RUNS && seg->ring - m <= TW_KEY_MOST_BITS && m + seg->runs <= seg->ring;
  for (int i = 0; i < 2 && fit; i++) fit = b->program->tables[table[i]].n == seg->entries;
  // no true border may be past the end of the ring
  return fit && seg->border[seg->runs] + ((uint64_t)1 << (m + seg->runs - 1)) - 1 <= tw_mask(seg->ring);
}

int tw_read_segments(tw_builder *b, int wire, const tw_segments *seg, const int table[2], int ring, int scale,
                     int *outside) {
  tw_tensor t = tw_look(b, wire);
  int64_t list[TW_SEGMENT_WORDS * (TW_SEGMENT_MOST_RUNS + 1)];
  tw_op *op = tw_emit(b, &segments_gate);
  tw_emit_in(op, wire);
  if (b->status != TW_OK || !segments_fit(b, t, seg, table))
    return tw_build_fail(b, TW_ERR_RANGE, "a table of %d runs by a key of %d bits, of a ring of %d bits", seg->runs,
                         seg->ring - seg->first_step, t.ring);
  if (!tw_form_dithers(b, wire, "looked up")) return 0;
  for (int i = 0; i <= seg->runs; i++) {
    int64_t *run = list + TW_SEGMENT_WORDS * i;
    run[TW_SEGMENT_STEP] = seg->first_step + (i < seg->runs ? i : seg->runs - 1);
    run[TW_SEGMENT_BORDER] = (int64_t)seg->border[i];
    run[TW_SEGMENT_ENTRY] = (int64_t)seg->entry[i];
  }
  op->arg[SEGMENTS_RING] = seg->ring;
  op->arg[SEGMENTS_FIRST_STEP] = seg->first_step;
  for (int i = 0; i < 2; i++) op->arg[SEGMENTS_TABLES + i] = table[i];
  tw_emit_list(b, op, list, TW_SEGMENT_WORDS * ((size_t)seg->runs + 1));
  size_t levels = (size_t)(seg->ring - seg->first_step);
  tw_dealt dealt[SEGMENT_PARTS] = {[LEVEL] = {TW_DEALT_COMMON, 64, 2 * levels * t.n},
                                   [LEVEL_CONTROL] = {TW_DEALT_COMMON, 2, levels * t.n},
                                   [VALUE] = {TW_DEALT_COMMON, ring, 2 * (size_t)seg->runs * t.n}};
  tw_emit_dealt(b, op, dealt, SEGMENT_PARTS);
  int out = tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale, .n = t.n});
  if (outside) *outside = tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = 1, .n = t.n});
  return out;
}

// ---- what both take ----

// A walk for every leaf word of the window, and for both ends of every arc.
static double window_blocks(const tw_op *op, double n) {
  int bits = (int)(op->arg[WINDOW_RING] - op->arg[WINDOW_LOW]), size = 1 << tw_leaf_key_bits(bits);
  int64_t words = (op->arg[WINDOW_COUNT] + size - 2) / size + 1;
  return n * (double)((words + 2 * op->arg[WINDOW_ARCS]) * tw_leaf_key_levels(bits));
}

// A step's own node and, of all together, as many above them. Arcs as in a window.
static double segments_blocks(const tw_op *op, const int64_t *list, double n) {
  double steps = 0;
  for (int i = 0; i < run_count(op); i++) {
    const int64_t *run = list + TW_SEGMENT_WORDS * i;
    steps += (double)((run[TW_SEGMENT_WORDS + TW_SEGMENT_BORDER] - run[TW_SEGMENT_BORDER]) >> run[TW_SEGMENT_STEP]);
  }
  int64_t levels = op->arg[SEGMENTS_RING] - op->arg[SEGMENTS_FIRST_STEP];
  return n * (2 * steps + (double)(op->out_count > 1 ? 2 * levels : 0));
}

double tw_expanded_nodes(const tw_program *p, const tw_op *op) {
  if (op->gate == &window_gate) return window_blocks(op, (double)p->tensors[op->in[0]].n);
  if (op->gate != &segments_gate) return 0;
  return segments_blocks(op, p->pool + op->list, (double)p->tensors[op->in[0]].n);
}
