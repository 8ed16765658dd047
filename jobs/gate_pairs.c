// Differences of all pairs in groups of a row: what a tournament compares (protocols, section 8). Local.
#include "jobs/gate.h"

// arg: 0 rows, 1 cols, 2 first, 3 group, 4 groups
static void pair_differences(const tw_session *s, const tw_op *op, int b, const uint64_t *const *in, uint64_t *out) {
  (void)b;
  size_t rows = (size_t)op->arg[0], cols = (size_t)op->arg[1], first = (size_t)op->arg[2];
  size_t group = (size_t)op->arg[3], groups = (size_t)op->arg[4];
  uint64_t m = tw_mask(tw_t(s, op->out[0])->ring);
  for (size_t i = 0; i < group; i++)
    for (size_t j = i + 1; j < group; j++)
      for (size_t r = 0; r < rows; r++)
        for (size_t g = 0; g < groups; g++) {
          const uint64_t *x = in[0] + r * cols + first + g * group;
          *out++ = (x[i] - x[j]) & m;
        }
}
TW_LOCAL_GATE(pairs_gate, pair_differences);

int tw_pair_differences(tw_builder *b, int wire, size_t rows, size_t cols, size_t first, int group, size_t groups) {
  tw_tensor t = tw_look(b, wire);
  tw_op *op = tw_emit(b, &pairs_gate);
  tw_emit_in(op, wire);
  op->arg[0] = (int64_t)rows;
  op->arg[1] = (int64_t)cols;
  op->arg[2] = (int64_t)first;
  op->arg[3] = group;
  op->arg[4] = (int64_t)groups;
  if (t.n != rows * cols || first + (size_t)group * groups > cols) return tw_build_fail(b, TW_ERR_INTERNAL, "pairs of another shape");
  t.n = (size_t)(group * (group - 1) / 2) * rows * groups;
  return tw_emit_out(b, op, t);
}
