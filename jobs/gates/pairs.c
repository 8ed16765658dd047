// Differences of all pairs in groups of a row: what a tournament compares (protocols, section 8). Local.
#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

enum { PAIRS_ROWS, PAIRS_COLS, PAIRS_FIRST, PAIRS_GROUP, PAIRS_GROUPS };

static tw_status pair_differences(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t rows = (size_t)op->arg[PAIRS_ROWS], group = (size_t)op->arg[PAIRS_GROUP], pairs = group * (group - 1) / 2;
  tw_pairs_args a = {.rows = (size_t)s->batch * pairs * rows,
                     .cols = (size_t)op->arg[PAIRS_GROUPS],
                     .x_rows = rows,
                     .x_cols = (size_t)op->arg[PAIRS_COLS],
                     .first = (size_t)op->arg[PAIRS_FIRST],
                     .group = group,
                     .pairs = pairs,
                     .x = in[0],
                     .out = out,
                     .ring = tw_ring_of(s, op->out[0])};
  return s->backend->pairs(&a, s->stream);
}
static bool pairs_rows(tw_row_shape *s) {
  size_t rows = (size_t)s->op->arg[PAIRS_ROWS], group = (size_t)s->op->arg[PAIRS_GROUP];
  if (s->rows == 0) s->rows = rows;
  if (s->rows != rows) return false;
  s->in[0] = tw_rows_split(1, (size_t)s->op->arg[PAIRS_COLS]);
  s->out[0] = tw_rows_split(group * (group - 1) / 2, (size_t)s->op->arg[PAIRS_GROUPS]);
  return true;
}

static bool pairs_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  (void)s;
  tile->arg[PAIRS_ROWS] = (int64_t)range.count;
  return true;
}
TW_LOCAL_GATE(pairs_gate, pair_differences, pairs_rows, pairs_tile);

int tw_pair_differences(tw_builder *b, int wire, size_t rows, size_t cols, size_t first, int group, size_t groups) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &pairs_gate);
  tw_emit_in(op, wire);
  op->arg[PAIRS_ROWS] = (int64_t)rows;
  op->arg[PAIRS_COLS] = (int64_t)cols;
  op->arg[PAIRS_FIRST] = (int64_t)first;
  op->arg[PAIRS_GROUP] = group;
  op->arg[PAIRS_GROUPS] = (int64_t)groups;
  if (t.n != rows * cols || first + (size_t)group * groups > cols)
    return tw_build_fail(b, TW_ERR_INTERNAL, "pairs of another shape");
  t.n = (size_t)(group * (group - 1) / 2) * rows * groups;
  t.form = tw_form_differences(t.form);
  return tw_emit_out(b, op, t);
}
