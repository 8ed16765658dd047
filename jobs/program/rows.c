#include "jobs/program/rows.h"

void tw_rows_dealt(tw_row_shape *s, tw_rows r) {
  for (int i = 0; i < s->op->dealt_count; i++) s->dealt[i] = r;
}

static tw_rows any_split(const tw_row_shape *s) {
  for (int i = 0; i < s->op->in_count; i++)
    if (tw_is_split(s->in[i])) return s->in[i];
  return s->out[0];
}

bool tw_rows_each(tw_row_shape *s) {
  tw_rows r = any_split(s);
  if (!tw_is_split(r)) return false;
  for (int i = 0; i < s->op->in_count; i++) s->in[i] = r;
  for (int i = 0; i < s->op->out_count; i++) s->out[i] = r;
  tw_rows_dealt(s, r);
  return true;
}

bool tw_rows_summed(tw_row_shape *s, size_t cols) {
  tw_rows x = s->in[0], y = s->out[0];
  if (!tw_is_split(x) && tw_is_split(y)) x = tw_rows_split(y.outer, y.inner * cols);
  if (!tw_is_split(x) && s->rows == 0 && cols > 1) {
    s->rows = tw_in_n(s, 0) / cols;
    x = tw_rows_split(1, cols);
  }
  if (!tw_is_split(x) || x.inner % cols) return false;
  s->in[0] = x;
  s->out[0] = tw_rows_split(x.outer, x.inner / cols);
  return true;
}

bool tw_rows_with_rows(tw_row_shape *s) {
  size_t cols = tw_in_n(s, 0) / tw_in_n(s, 1);
  tw_rows x = tw_is_split(s->in[0]) ? s->in[0] : s->out[0], y = s->in[1];
  if (!tw_is_split(x) && tw_is_split(y)) x = tw_rows_split(y.outer, y.inner * cols);
  if (!tw_is_split(x) || x.inner % cols) return false;
  s->in[0] = s->out[0] = x;
  s->in[1] = tw_rows_split(x.outer, x.inner / cols);
  return true;
}

bool tw_rows_with_columns(tw_row_shape *s) {
  size_t m = tw_in_n(s, 1);
  tw_rows x = tw_is_split(s->in[0]) ? s->in[0] : s->out[0], y = s->in[1];
  if (!tw_is_split(x) && tw_is_split(y)) x = tw_rows_split(tw_in_n(s, 0) / (s->rows * y.inner), y.inner);
  if (!tw_is_split(x)) return false;
  s->in[0] = s->out[0] = x;
  if (x.inner % m == 0 && !tw_is_split(y)) {
    s->in[1] = (tw_rows){.kind = TW_ROWS_COMMON};
    return true;
  }
  if (m % (s->rows * x.inner)) return false;
  s->in[1] = tw_rows_split(m / (s->rows * x.inner), x.inner);
  return true;
}

bool tw_rows_folded(tw_row_shape *s, size_t count) {
  tw_rows x = s->in[0], y = s->out[0];
  if (!tw_is_split(x) && tw_is_split(y)) x = tw_rows_split(y.outer * count, y.inner);
  if (!tw_is_split(x) || x.outer % count) return false;
  s->in[0] = x;
  s->out[0] = tw_rows_split(x.outer / count, x.inner);
  return true;
}

bool tw_rows_plain(tw_row_shape *s, size_t rows) {
  if (s->rows != rows) return false;
  s->in[0] = tw_rows_split(1, tw_in_n(s, 0) / rows);
  s->out[0] = tw_rows_split(1, tw_out_n(s, 0) / rows);
  return true;
}

bool tw_tokens_of_rows(const tw_row_shape *s, int at, tw_row_range range, tw_op *tile) {
  const int64_t *whole = s->op->arg + at;
  size_t queries = (size_t)whole[0], first = range.first % queries;
  bool causal = whole[3] & 1;
  if (causal && first + range.count > queries) return false;
  tile->arg[at] = (int64_t)range.count;
  tile->arg[at + 2] = whole[2] + (int64_t)first;
  return true;
}
