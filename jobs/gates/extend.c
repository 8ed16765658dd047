// Extension of wires to a larger ring (protocols, section 3), no message; shares.
#include "jobs/gates/gate.h"

// Per element [o] and [rho].
static tw_status deal_parts(tw_session *s, const tw_op *op, uint64_t *carry, uint64_t *top) {
  tw_deal_extend_args a = {.rows = 1,
                           .cols = tw_t(s, op->in[0])->n,
                           .r0 = tw_b(s, op->in[0])->mask[0],
                           .r1 = tw_b(s, op->in[0])->mask[1],
                           .carry = carry,
                           .top = top,
                           .k = tw_t(s, op->in[0])->ring};
  return s->backend->deal_extend(&a, s->stream);
}

enum { CARRY, TOP, PARTS };  // dealt

static tw_status extend_deal(tw_session *s, const tw_op *op) {
  uint64_t *part[PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(deal_parts(s, op, part[CARRY], part[TOP]));
  return tw_give(s, op, part);
}

static tw_status extend_party(tw_session *s, const tw_op *op) {
  uint64_t *part[PARTS];
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_extend_args a = {.rows = 1,
                      .cols = tw_batch_n(s, op->out[0]),
                      .X = tw_b(s, op->in[0])->value,
                      .r = tw_b(s, op->in[0])->mask[s->party],
                      .carry = part[CARRY],
                      .top = part[TOP],
                      .out = tw_b(s, op->out[0])->value,
                      .one = tw_one(s),
                      .ring = tw_ring_of(s, op->out[0]),
                      .k = tw_t(s, op->in[0])->ring};
  return s->backend->extend_corrected(&a, tw_taken(s), op->correction_count, s->stream);
}

static tw_status extend_emulate(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[0]), *y = tw_t(s, op->out[0]);
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t j = 0; j < x->n; j++)
    tw_b(s, op->out[0])->value[j] = tw_extended(s, op, tw_b(s, op->in[0])->value[j], x->ring) & tw_mask(y->ring);
  return TW_OK;
}

static const tw_gate extend_gate = {"extend",     NULL,           extend_deal,         NULL,
                                    extend_party, extend_emulate, .rows = tw_rows_each};

int tw_extend(tw_builder *b, int wire, int ring) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &extend_gate);
  tw_emit_in(op, wire);
  if (t.kind != TW_WIRE || ring <= t.ring || t.ring < 3)
    return tw_build_fail(b, TW_ERR_INTERNAL, "extension from ring %d to ring %d", t.ring, ring);
  tw_dealt each = {TW_DEALT_RING, ring - t.ring, t.n};
  tw_emit_dealt(b, op, (tw_dealt[PARTS]){[CARRY] = each, [TOP] = each}, PARTS);
  t.kind = TW_SHARE;
  t.ring = ring;
  t.form = (tw_mask_form){0};
  return tw_emit_out(b, op, t);
}

// ---- row sums of extended elements: per element [rho] (K - k bits), per row [2^k sum of o] (K) ----
enum { ROW_TOP, ROW_CARRIES, ROW_PARTS };

static tw_status row_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n, rows = tw_t(s, op->out[0])->n;
  int k = tw_t(s, op->in[0])->ring;
  uint64_t *part[ROW_PARTS], *carry;
  TW_TRY(tw_dealt_memory(s, op, part));
  TW_TRY(tw_scratch(s, n, &carry));
  TW_TRY(deal_parts(s, op, carry, part[ROW_TOP]));
  uint64_t *sum = part[ROW_CARRIES];
  TW_TRY(s->backend->row_sums(carry, rows, n / rows, NULL, ~0ull, sum, s->stream));
  tw_combine_args shifted = {
      .rows = 1, .cols = rows, .x = sum, .out = sum, .p = 1ull << k, .ring = tw_ring_of(s, op->out[0])};
  TW_TRY(s->backend->combine(&shifted, s->stream));
  return tw_give(s, op, part);
}

static tw_status row_party(tw_session *s, const tw_op *op) {
  uint64_t *part[ROW_PARTS], *extended;
  size_t n = tw_batch_n(s, op->in[0]), rows = tw_batch_n(s, op->out[0]);
  TW_TRY(tw_take_later(s, op, part));
  TW_TRY(tw_scratch(s, n, &extended));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_extend_args a = {.rows = 1,
                      .cols = n,
                      .X = tw_b(s, op->in[0])->value,
                      .r = tw_b(s, op->in[0])->mask[s->party],
                      .top = part[ROW_TOP],
                      .out = extended,
                      .one = tw_one(s),
                      .ring = tw_ring_of(s, op->out[0]),
                      .k = tw_t(s, op->in[0])->ring};
  TW_TRY(s->backend->extend_corrected(&a, tw_taken(s), op->correction_count, s->stream));
  return s->backend->row_sums(extended, rows, n / rows, part[ROW_CARRIES], tw_ring_of(s, op->out[0]),
                              tw_b(s, op->out[0])->value, s->stream);
}

static tw_status row_emulate(tw_session *s, const tw_op *op) {
  const tw_tensor *x = tw_t(s, op->in[0]), *y = tw_t(s, op->out[0]);
  size_t cols = x->n / y->n;
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t i = 0; i < y->n; i++) {
    uint64_t total = 0;
    for (size_t j = i * cols; j < (i + 1) * cols; j++)
      total += tw_extended(s, op, tw_b(s, op->in[0])->value[j], x->ring);
    tw_b(s, op->out[0])->value[i] = total & tw_mask(y->ring);
  }
  return TW_OK;
}

static bool row_rows(tw_row_shape *s) {
  if (!tw_rows_summed(s, tw_in_n(s, 0) / tw_out_n(s, 0))) return false;
  s->dealt[ROW_TOP] = s->in[0];
  s->dealt[ROW_CARRIES] = s->out[0];
  return true;
}

static const tw_gate row_gate = {"extended row sum", NULL, row_deal, NULL, row_party, row_emulate, .rows = row_rows};

int tw_extended_row_sum(tw_builder *b, int wire, size_t cols, int ring) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &row_gate);
  tw_emit_in(op, wire);
  if (t.kind != TW_WIRE || ring <= t.ring || t.ring < 3 || t.n % cols)
    return tw_build_fail(b, TW_ERR_INTERNAL, "row sums from ring %d to ring %d", t.ring, ring);
  tw_dealt dealt[ROW_PARTS] = {
      [ROW_TOP] = {TW_DEALT_RING, ring - t.ring, t.n}, [ROW_CARRIES] = {TW_DEALT_RING, ring, t.n / cols}};
  tw_emit_dealt(b, op, dealt, ROW_PARTS);
  t.kind = TW_SHARE;
  t.ring = ring;
  t.form = (tw_mask_form){0};
  t.n /= cols;
  return tw_emit_out(b, op, t);
}
