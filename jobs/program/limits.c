#include "jobs/program/limits.h"

#include "jobs/program/triangle.h"

// The query of a packed pair.
static size_t query_of(tw_tokens t, size_t pair) {
  tw_triangle triangle = {t.queries, t.keys, t.first};
  size_t query = 0;
  while (tw_triangle_begin(triangle, query + 1) <= pair) query++;
  return query;
}

static bool is_live(const tw_limit *limit, size_t n, size_t j, size_t length) {
  tw_tokens t = limit->tokens;
  size_t cols = n / limit->parts / t.queries, key = j % t.keys, token;
  switch ((tw_layout)limit->layout) {
    case TW_BY_ROW:
      return t.first + j / (n / t.queries) < length;
    case TW_BY_COLUMN:
      return t.first + j % t.queries < length;
    case TW_BY_PAIR:
      token = t.first + j / t.keys % t.queries;
      return token < length && key < length && (!t.causal || key <= token);
    case TW_BY_PACKED:
      return t.first + query_of(t, j % (n / limit->parts)) < length;
    default:
      return t.first + j / cols % t.queries < length;
  }
}

void tw_limits_watch(tw_session *s, const tw_op *op, int tensor) {
  const tw_program *p = s->program;
  const tw_tensor *t = tw_t(s, tensor);
  const tw_limit *limit = &p->limits[t->limit - 1];
  tw_tokens tokens = limit->tokens;
  size_t whole = limit->layout == TW_BY_PACKED ? tokens.first + tokens.queries : tokens.keys;
  for (int b = 0; b < s->batch; b++) {
    size_t length = s->sequences.lengths ? (size_t)s->sequences.lengths[b] + limit->tokens.ahead : whole;
    const uint64_t *value = tw_b(s, tensor)->value + (size_t)b * tw_words_of(s, tensor);
    for (size_t j = 0; j < t->n; j++) {
      int64_t x = tw_signed(value[j], t->ring);
      if ((x >= limit->high || x < limit->low) && is_live(limit, t->n, j, length)) tw_out_of_bound(s, op);
    }
  }
}
