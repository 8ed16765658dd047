#include "jobs/program/limits.h"

static bool is_live(const tw_limit *limit, size_t seq, size_t n, size_t j, size_t length, bool causal) {
  size_t cols = n / limit->parts / seq;
  switch ((tw_layout)limit->layout) {
    case TW_BY_ROW:
      return j / (n / seq) < length;
    case TW_BY_COLUMN:
      return j % seq < length;
    case TW_BY_PAIR:
      return j / seq % seq < length && j % seq < length && (!causal || j % seq <= j / seq % seq);
    default:
      return j / cols % seq < length;
  }
}

void tw_limits_watch(tw_session *s, const tw_op *op, int tensor) {
  const tw_program *p = s->program;
  const tw_tensor *t = tw_t(s, tensor);
  const tw_limit *limit = &p->limits[t->limit - 1];
  for (int b = 0; b < s->batch; b++) {
    size_t length = s->sequences.lengths ? (size_t)s->sequences.lengths[b] : (size_t)p->seq;
    const uint64_t *value = tw_b(s, tensor)->value + (size_t)b * tw_words_of(s, tensor);
    for (size_t j = 0; j < t->n; j++) {
      int64_t x = tw_signed(value[j], t->ring);
      if ((x >= limit->high || x < limit->low) && is_live(limit, (size_t)p->seq, t->n, j, length, p->causal))
        tw_out_of_bound(s, op);
    }
  }
}
