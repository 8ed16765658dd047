// Local gates by public places: elements of blocks in another order, pairs of columns turned by public angles, the row
// of the last live token.
#include <stdlib.h>

#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

// ---- out[block][i] = x[block][place i] ----
// list: places
enum { GATHER_BLOCKS };

static tw_status gather(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t blocks = (size_t)op->arg[GATHER_BLOCKS];
  return s->backend->gather(&(tw_gather_args){.rows = (size_t)s->batch * blocks,
                                              .cols = tw_t(s, op->out[0])->n / blocks,
                                              .x_cols = tw_t(s, op->in[0])->n / blocks,
                                              .x = in[0],
                                              .places = tw_list(s, op),
                                              .out = out,
                                              .ring = tw_ring_of(s, op->out[0])},
                            s->stream);
}
TW_LOCAL_GATE(gather_gate, gather, NULL, NULL);

// Whether no place below `n` is met twice.
static bool met_once(const int64_t *places, size_t count, size_t n) {
  uint8_t *seen = calloc(n, 1);
  bool once = seen != NULL;
  for (size_t i = 0; i < count && once; i++) once = !seen[places[i]]++;
  free(seen);
  return once;
}

int tw_gather(tw_builder *b, int x, size_t blocks, const int64_t *places, size_t count) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &gather_gate);
  tw_emit_in(op, x);
  op->arg[GATHER_BLOCKS] = (int64_t)blocks;
  if (b->status != TW_OK) return 0;
  if ((t.kind != TW_WIRE && t.kind != TW_SHARE) || count == 0 || blocks == 0 || t.n % blocks)
    return tw_build_fail(b, TW_ERR_INTERNAL, "elements of %zu blocks of another shape", blocks);
  size_t n = t.n / blocks;
  for (size_t i = 0; i < count; i++)
    if (places[i] < 0 || (size_t)places[i] >= n)
      return tw_build_fail(b, TW_ERR_INTERNAL, "an element past the end of its block");
  tw_emit_list(b, op, places, count);
  t.n = blocks * count;
  t.form.distinct = t.form.distinct && met_once(places, count, n);
  return tw_emit_out(b, op, t);
}

// ---- rotary embedding: the pair (i, i + half) of every block of 2 half columns of row t turns by the angle of (t, i);
// `last`: row 0 is its sequence's last live token's ----
enum { TURN_COSINE, TURN_SINE, TURN_HALF, TURN_ROWS, TURN_LAST, TURN_TOKENS };

static tw_status turn(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  bool last = op->arg[TURN_LAST] != 0;
  size_t rows = (size_t)op->arg[TURN_ROWS];
  return s->backend->turn(&(tw_turn_args){.rows = (size_t)s->batch * rows,
                                          .cols = tw_t(s, op->out[0])->n / rows,
                                          .tokens = rows,
                                          .half = (size_t)op->arg[TURN_HALF],
                                          .x = in[0],
                                          .cosine = tw_table_values(s, (int)op->arg[TURN_COSINE]),
                                          .sine = tw_table_values(s, (int)op->arg[TURN_SINE]),
                                          .out = out,
                                          .ring = tw_ring_of(s, op->out[0]),
                                          .live = last ? tw_live(s, op, TURN_TOKENS) : (tw_liveness){0},
                                          .last = last},
                          s->stream);
}
TW_LOCAL_GATE(turn_gate, turn, NULL, NULL);

// rows: of the share; angles: tokens that there must be angles of.
static int turn_rows(tw_builder *b, int share, const int table[2], size_t half, int angle_scale, size_t rows,
                     size_t angles, const tw_tokens *last) {
  tw_tensor t = tw_look(b, share);
  tw_op *op = tw_emit(b, &turn_gate);
  tw_emit_in(op, share);
  op->arg[TURN_COSINE] = table[0];
  op->arg[TURN_SINE] = table[1];
  op->arg[TURN_HALF] = (int64_t)half;
  op->arg[TURN_ROWS] = (int64_t)rows;
  if (last) op->arg[TURN_LAST] = 1, tw_emit_tokens(op, TURN_TOKENS, *last);
  if (b->status != TW_OK) return 0;
  const tw_table *cosine = &b->program->tables[table[0]], *sine = &b->program->tables[table[1]];
  if (t.kind != TW_SHARE || half == 0 || rows == 0 || cosine->n != sine->n || cosine->n < half * angles ||
      t.n % (2 * half * rows))
    return tw_build_fail(b, TW_ERR_INTERNAL, "a turn of another shape");
  t.scale += angle_scale;
  return tw_emit_out(b, op, t);
}

int tw_turn(tw_builder *b, int share, const int table[2], size_t half, int angle_scale, size_t rows) {
  return turn_rows(b, share, table, half, angle_scale, rows, rows, NULL);
}

int tw_turn_last(tw_builder *b, int share, const int table[2], size_t half, int angle_scale, size_t rows,
                 tw_tokens tokens) {
  return turn_rows(b, share, table, half, angle_scale, rows, tokens.keys - 1 - tokens.first + rows, &tokens);
}

// ---- rows from that of the last live token on, of [queries][cols] ----
enum { LAST_TOKENS, LAST_BEHIND = LAST_TOKENS + TW_TOKEN_ARGS };  // rows behind that one

static tw_status last_row(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t cols = tw_t(s, op->out[0])->n, width = cols / (size_t)(1 + op->arg[LAST_BEHIND]);
  return s->backend->last_row(&(tw_last_row_args){.rows = (size_t)s->batch,
                                                  .cols = cols,
                                                  .x_rows = tw_t(s, op->in[0])->n / width,
                                                  .width = width,
                                                  .x = in[0],
                                                  .out = out,
                                                  .live = tw_live(s, op, LAST_TOKENS)},
                              s->stream);
}
TW_LOCAL_GATE(last_row_gate, last_row, NULL, NULL);

int tw_last_live_row(tw_builder *b, int share, tw_tokens tokens) { return tw_rows_from_last(b, share, 1, tokens); }

int tw_rows_from_last(tw_builder *b, int share, size_t rows, tw_tokens tokens) {
  tw_tensor t = tw_look(b, share);
  tw_op *op = tw_emit(b, &last_row_gate);
  tw_emit_in(op, share);
  tw_emit_tokens(op, LAST_TOKENS, tokens);
  op->arg[LAST_BEHIND] = (int64_t)rows - 1;
  if (t.kind != TW_SHARE) return tw_build_fail(b, TW_ERR_INTERNAL, "the last row of what is no share");
  if (tokens.queries == 0 || t.n % tokens.queries || rows == 0 ||
      (rows > 1 && tokens.keys - tokens.first - 1 + rows > tokens.queries))
    return tw_build_fail(b, TW_ERR_INTERNAL, "the last row of another shape");
  t.n = t.n / tokens.queries * rows;
  return tw_emit_out(b, op, t);
}
