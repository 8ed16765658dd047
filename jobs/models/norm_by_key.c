// A norm whose 1/sqrt is read from a key of a row's sum of squares: v beside u = z gamma; T = sqrt(d / v); y = u T.
#include <math.h>

#include "jobs/gates/guard.h"
#include "jobs/models/blocks.h"

enum { V_SCALE = 2 * TW_SCALE, U_SCALE = 2 * TW_SCALE };

// Scales of u and T. A product has 64 bits, so a wide output leaves T 12 bits behind its point. Its rest is a second
// limb then, which takes the cut's dither back.
typedef struct {
  int u, t;
  bool two_limbs;
} norm_scales;

static norm_scales scales_for(int ring) {
  enum { NARROW = 40, MOST_U = 16 };
  if (ring <= NARROW) return (norm_scales){MOST_U, 20, false};
  return (norm_scales){ring <= 48 ? MOST_U : 64 - ring, TW_SCALE, true};
}

// v in [2^lowest, 2^(highest + 1)) is what the table covers; beyond it is what the guard counts.
static int root_of(tw_builder *b, tw_tokens tokens, int v, const tw_segment_spec *spec, int ring) {
  int outside;
  if (!b->guard) return tw_apply_segments(b, v, spec, ring, NULL);
  int t = tw_apply_segments(b, v, spec, ring, &outside);
  tw_guard_planes(b, outside, 0, 1, tokens);
  return t;
}

// u T in ring K, T one element a row: by its high limb, or by both.
static int times_root(tw_builder *b, int u, int t, const tw_segment_spec *spec, norm_scales s, int K) {
  int high = tw_truncate_dithered(b, t, spec->fine), w = tw_truncate(b, u, U_SCALE - s.u);
  int y = tw_look(b, high).ring < K ? tw_multiply_rows(b, w, high, K) : tw_multiply(b, w, high, K, TW_PER_ROW);
  if (!s.two_limbs) return y;
  int rest = tw_combine(b, 1, t, -1, tw_shift_left(b, high, spec->fine), false);
  w = tw_truncate(b, u, U_SCALE - s.u + spec->fine);
  return tw_combine(b, 1, y, 1, tw_multiply(b, w, rest, K, TW_PER_ROW), false);
}

int tw_build_norm_by_key(tw_builder *b, tw_tokens tokens, int z, int gamma, int beta, size_t hidden, tw_norm_rings r,
                         int ring, double epsilon) {
  norm_scales s = scales_for(ring);
  int lowest = r.highest + 1 - r.exponents, shift = s.u + s.t - TW_SCALE, K = ring + shift;
  tw_segment_spec spec = tw_segments_root(hidden, lowest, r.highest, s.t);
  int v = tw_sum_of_squares(b, z, hidden, r.squares);
  v = tw_open(b, tw_add_constant(b, v, llrint(ldexp(epsilon * (double)hidden, V_SCALE))));
  tw_declare_range(b, v, "sum of squares", (int64_t)1 << (V_SCALE + lowest), (int64_t)1 << (V_SCALE + r.highest + 1),
                   TW_BY_ROW, 1, tokens);
  int own = tw_look(b, z).ring;
  int u = tw_open(b, tw_multiply(b, z, gamma, r.product > own ? r.product : own, TW_PER_COLUMN));
  int y = times_root(b, u, root_of(b, tokens, v, &spec, K), &spec, s, K);
  if (beta >= 0) {
    int shifted = tw_multiply_constant(b, tw_as_share(b, beta), (int64_t)1 << shift, shift);
    y = tw_combine(b, 1, y, 1, tw_reduce(b, shifted, K), false);
  }
  y = tw_open(b, y);
  return b->exact_result ? tw_truncate_faithful(b, y, shift) : tw_truncate(b, y, shift);
}
