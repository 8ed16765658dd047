#include "jobs/program/limits.h"

static bool is_live(const tw_limit *limit, size_t n, size_t j, size_t length) {
  tw_tokens t = limit->tokens;
  size_t cols = n / limit->parts / t.queries, key = j % t.keys, token;
  switch ((tw_layout)limit->layout) {
    case TW_BY_ROW:
      return t.first + j / (n / t.queries) < length;
    case TW_BY_COLUMN:
      return key < length;
    case TW_BY_PAIR:
      token = t.first + j / t.keys % t.queries;
      return token < length && key < length && (!t.causal || key <= token);
    default:
      return t.first + j / cols % t.queries < length;
  }
}

void tw_limits_watch(tw_session *s, const tw_op *op, int tensor) {
  const tw_program *p = s->program;
  const tw_tensor *t = tw_t(s, tensor);
  const tw_limit *limit = &p->limits[t->limit - 1];
  for (int b = 0; b < s->batch; b++) {
    size_t length = s->sequences.lengths ? (size_t)s->sequences.lengths[b] : limit->tokens.keys;
    const uint64_t *value = tw_b(s, tensor)->value + (size_t)b * tw_words_of(s, tensor);
    for (size_t j = 0; j < t->n; j++) {
      int64_t x = tw_signed(value[j], t->ring);
      if ((x >= limit->high || x < limit->low) && is_live(limit, t->n, j, length)) tw_out_of_bound(s, op);
    }
  }
}
