#include "jobs/models/blocks.h"

#include <math.h>

#include "jobs/models/fold.h"

// ---- softmax and values: e = exp(max - s), context = (sum e v) (1 / sum e); e is opened, the probabilities never are
// ----

// Maximum, kept a little above the row's own dithered values: z = max + 1/8 - s > 0.
static int distance_to_maximum(tw_builder *b, int s, size_t rows, tw_tokens tokens) {
  enum { COARSE = 8 };
  int t = tw_truncate_dithered(b, s, COARSE);
  int maximum = tw_shift_left(b, tw_row_maximum(b, t, rows, tokens), COARSE);
  int z = tw_combine(b, -1, s, 1, maximum, true);
  return tw_add_constant(b, z, (int64_t)1 << (TW_SCALE - 3));
}

int tw_build_softmax_values(tw_builder *b, const tw_layer *at, int s, int v, size_t heads, size_t head_dim) {
  const tw_layer_shape *shape = at->shape;
  const tw_rings *rings = at->rings;
  int layer = at->index;
  size_t queries = at->tokens.queries, keys = at->tokens.keys, rows = heads * queries;
  int back = tw_step_begin(b, layer, "values");
  if (rings->v > tw_look(b, v).ring) v = tw_open(b, tw_extend(b, v, rings->v));  // beside the row maximum
  tw_step_begin(b, layer, "row maximum");
  int z = distance_to_maximum(b, s, rows, at->tokens);
  tw_step_begin(b, layer, "exp");
  int e = tw_open(b, tw_zero_dead(b, tw_apply_spec(b, z, &tw_spec_exp, rings->v), rows, at->tokens));
  tw_step_begin(b, layer, "reciprocal");
  int inverse = tw_apply_spec(b, tw_row_sum(b, e, keys), &shape->reciprocal, 0);
  tw_step_begin(b, layer, "values");
  int context = tw_truncate(b, tw_open(b, tw_matmul(b, e, v, heads, queries, head_dim, keys, rings->v)), TW_SCALE);
  tw_step_begin(b, layer, "normalise");
  int ring = rings->out + shape->reciprocal.out_scale;
  bool narrow = tw_look(b, inverse).ring < ring;
  int normalised =
      narrow ? tw_multiply_rows(b, context, inverse, ring) : tw_multiply(b, context, inverse, ring, TW_PER_ROW);
  tw_step_back(b, back);
  return normalised;
}

// [seq][3 hidden] -> head-major part `which` (0 Q, 1 K, 2 V); transposed for K: [heads][head_dim][seq].
static int head_part(tw_builder *b, int qkv, const tw_layer_shape *shape, int which, bool transposed) {
  size_t hidden = (size_t)shape->config.hidden, heads = (size_t)shape->config.heads, dim = hidden / heads,
         seq = (size_t)shape->seq;
  tw_view_map map = {{1, heads, seq, dim}, {0, dim, 3 * hidden, 1}, (size_t)which * hidden};
  if (transposed) map = (tw_view_map){{1, heads, dim, seq}, {0, dim, 1, 3 * hidden}, (size_t)which * hidden};
  return tw_view(b, qkv, map);
}

// V's product in the ring that its sum over keys needs, as far as it reaches.
static int value_product(tw_builder *b, int v, const tw_rings *rings) {
  return tw_reduce(b, v, rings->v + TW_SCALE < rings->qkv ? rings->v + TW_SCALE : rings->qkv);
}

int tw_build_attention(tw_builder *b, const tw_layer *at, int qkv_weight, int out_weight, int x) {
  const tw_layer_shape *shape = at->shape;
  const tw_rings *rings = at->rings;
  size_t hidden = (size_t)shape->config.hidden, heads = (size_t)shape->config.heads, dim = hidden / heads,
         seq = (size_t)shape->seq;
  int layer = at->index, shift;
  tw_query_fold(&shape->config, &shift);
  tw_step_begin(b, layer, "qkv");
  int qkv = tw_open(b, tw_linear(b, x, qkv_weight, hidden, 3 * hidden, rings->qkv, TW_SCALE));
  int down = 2 * TW_SCALE - rings->query_scale;
  int q = tw_truncate(b, tw_reduce(b, head_part(b, qkv, shape, 0, false), rings->qk + down), down);
  int k = tw_truncate(b, tw_reduce(b, head_part(b, qkv, shape, 1, true), rings->qk + down), down);
  int v = tw_truncate(b, value_product(b, head_part(b, qkv, shape, 2, false), rings), TW_SCALE);
  tw_declare(b, q, "query", 0, TW_BY_HEAD, heads, at->tokens);
  tw_declare(b, k, "key", 0, TW_BY_COLUMN, 1, at->tokens);
  tw_declare(b, v, "value", rings->value_limit, TW_BY_HEAD, heads, at->tokens);
  tw_step_begin(b, layer, "logits");
  int s = tw_open(b, tw_matmul(b, q, k, heads, seq, seq, dim, rings->qk));
  // 1 / sqrt(head_dim) is read into the scale; its odd half power of two is folded into W_Q
  tw_rescale(b, s, tw_look(b, s).scale + shift);
  s = tw_truncate(b, s, tw_look(b, s).scale - TW_SCALE);
  tw_declare(b, s, "logit", 0, TW_BY_PAIR, heads, at->tokens);
  int context = tw_build_softmax_values(b, at, s, v, heads, dim);
  tw_step_begin(b, layer, "normalise");
  context = tw_truncate(b, tw_open(b, context), shape->reciprocal.out_scale);
  int rows = tw_view(b, context, (tw_view_map){{1, seq, heads, dim}, {0, dim, seq * dim, 1}, 0});
  tw_step_begin(b, layer, "out-projection");
  int y = tw_truncate(b, tw_open(b, tw_linear(b, rows, out_weight, hidden, hidden, rings->out, TW_SCALE)), TW_SCALE);
  tw_declare(b, y, "attention", 0, TW_BY_ROW, 1, at->tokens);
  return y;
}

int tw_build_feed_forward(tw_builder *b, const tw_layer *at, int up_weight, int down_weight, int x) {
  const tw_layer_shape *shape = at->shape;
  const tw_rings *rings = at->rings;
  int layer = at->index;
  size_t hidden = (size_t)shape->config.hidden, inner = (size_t)shape->config.intermediate;
  tw_step_begin(b, layer, "ffn-up");
  int u = tw_truncate(b, tw_open(b, tw_linear(b, x, up_weight, hidden, inner, rings->up, TW_SCALE)), TW_SCALE);
  tw_declare(b, u, "up", 0, TW_BY_ROW, 1, at->tokens);
  tw_step_begin(b, layer, shape->activation->name);
  int a = tw_open(b, tw_apply_spec(b, u, shape->activation, rings->down));
  tw_step_begin(b, layer, "ffn-down");
  int y = tw_truncate(b, tw_open(b, tw_linear(b, a, down_weight, inner, hidden, rings->down, TW_SCALE)), TW_SCALE);
  tw_declare(b, y, "feed_forward", 0, TW_BY_ROW, 1, at->tokens);
  return y;
}

// ---- LayerNorm in 9 rounds, or 8 of a centred row: extended row sums; v = sum z^2; exponent j of v from thresholds
// 2^j; M = v 2^-j in [1, 2), G = sqrt(d) 2^(-j/2); 1/sqrt(M) by table beside z G gamma; their product ----
enum { LOWEST = -4, HIGHEST = 24, EXPONENTS = HIGHEST - LOWEST + 1, V_SCALE = 24, V_RING = 54 };

enum { MEAN_BITS = 24 };

// x - row mean, from the row's sum in a ring of MEAN_BITS more; the mean is sum * round(2^24 / d) >> 24, its powers of
// two taken from the shift (a shifted mask must not be truncated).
static int less_mean(tw_builder *b, int x, int sum, size_t hidden) {
  int64_t factor = llrint(ldexp(1, MEAN_BITS) / (double)hidden);
  int even = __builtin_ctzll((unsigned long long)factor), shift = MEAN_BITS - even;
  int mean = tw_multiply_constant(b, sum, factor >> even, shift);
  mean = tw_reduce(b, tw_truncate_dithered(b, mean, shift), tw_look(b, x).ring);
  return tw_combine(b, 1, x, -1, mean, true);
}

static int centre(tw_builder *b, int x, size_t hidden) {
  return less_mean(b, x, tw_open(b, tw_extended_row_sum(b, x, hidden, tw_look(b, x).ring + MEAN_BITS)), hidden);
}

int tw_build_centred(tw_builder *b, int x, size_t hidden, int ring) {
  int sum = tw_row_sum(b, x, hidden), wide = ring + MEAN_BITS;
  sum = tw_look(b, sum).ring < wide ? tw_open(b, tw_extend(b, sum, wide)) : tw_reduce(b, sum, wide);
  return less_mean(b, tw_reduce(b, x, ring), sum, hidden);
}

// One bit an exponent: [2^j <= v < 2^(j+1)], the outer ones open-ended; with a guard two more: [v < 2^LOWEST], [v >=
// 2^(HIGHEST + 1)].
static int exponent_bits(tw_builder *b, tw_tokens tokens, int v) {
  enum { SMALL = EXPONENTS, LARGE, PLANES };
  int64_t thresholds[EXPONENTS + 1];
  tw_term terms[2 * EXPONENTS + 2];
  uint8_t constant[PLANES] = {[0] = 1, [SMALL] = 1};
  int count = 0, guards = b->guard ? 2 : 0;
  for (int i = 0; i < EXPONENTS - 1; i++) thresholds[i] = (int64_t)1 << (V_SCALE + LOWEST + 1 + i);
  tw_compared compared = tw_compare_wire(b, v);
  thresholds[EXPONENTS - 1] = (int64_t)1 << (V_SCALE + LOWEST);
  thresholds[EXPONENTS] = (int64_t)1 << (V_SCALE + HIGHEST + 1);
  tw_declare_range(b, v, "sum of squares", thresholds[EXPONENTS - 1], thresholds[EXPONENTS], TW_BY_ROW, 1, tokens);
  int t = tw_at_least(b, compared, thresholds, EXPONENTS - 1 + guards);
  for (int i = 0; i < EXPONENTS; i++) {
    if (i > 0) terms[count++] = (tw_term){i, t, i - 1};
    if (i < EXPONENTS - 1) terms[count++] = (tw_term){i, t, i};
  }
  for (int i = 0; i < guards; i++) terms[count++] = (tw_term){SMALL + i, t, EXPONENTS - 1 + i};
  int bits = tw_open(b, tw_xor_planes(b, terms, count, EXPONENTS + guards, constant));
  if (b->guard) tw_guard_planes(b, bits, SMALL, 2, tokens);
  return bits;
}

// z g: |z| <= sqrt(v), g = sqrt(d) 2^(-j/2), v < 2^(j+1), so that it is below sqrt(2 d); extended once more.
static int normal_ring(size_t hidden, int scale) {
  return scale + 3 + (int)floor(log2(1.01 * sqrt(2.0 * (double)hidden)));
}

int tw_build_norm(tw_builder *b, tw_tokens tokens, int x, bool mean, int gamma, int beta, size_t hidden, int product,
                  int ring, double epsilon) {
  enum { G_RING = 48, G_SCALE = 18, M_SCALE = 20, NORMAL_SCALE = 14 };
  int z = mean ? centre(b, x, hidden) : x;
  int v = tw_sum_of_squares(b, z, hidden, V_RING);
  v = tw_open(b, tw_add_constant(b, v, llrint(ldexp(epsilon * (double)hidden, V_SCALE))));
  int h = exponent_bits(b, tokens, v);
  int64_t shifts[EXPONENTS], roots[EXPONENTS];
  for (int i = 0; i < EXPONENTS; i++) {
    shifts[i] = EXPONENTS - 1 - i;
    roots[i] = llrint(sqrt((double)hidden) * exp2(-0.5 * (LOWEST + i)) * ldexp(1, G_SCALE));
  }
  int m = tw_sum_planes(b, tw_select(b, h, 0, EXPONENTS, v, V_RING), EXPONENTS, shifts, V_RING, V_SCALE + HIGHEST);
  int g = tw_open(b, tw_bit_constants(b, h, 0, EXPONENTS, roots, G_RING, G_SCALE));
  m = tw_truncate_dithered(b, tw_open(b, m), V_SCALE + HIGHEST - M_SCALE);
  int root = tw_apply_spec(b, m, &tw_spec_rsqrt, 0);
  int narrow = normal_ring(hidden, TW_SCALE + G_SCALE), own = tw_look(b, z).ring;
  int w = tw_open(b, tw_multiply(b, z, g, narrow > own ? narrow : own, TW_PER_ROW));
  w = tw_truncate(b, w, TW_SCALE + G_SCALE - NORMAL_SCALE);
  int u = tw_truncate(b, tw_open(b, tw_multiply(b, w, gamma, product, TW_PER_COLUMN)), TW_SCALE);
  int product_scale = NORMAL_SCALE + tw_spec_rsqrt.out_scale;
  int y = tw_multiply_rows(b, u, root, ring + product_scale - TW_SCALE);
  if (beta >= 0) {
    int shifted = tw_multiply_constant(b, tw_as_share(b, beta), (int64_t)1 << (product_scale - TW_SCALE),
                                       product_scale - TW_SCALE);
    y = tw_combine(b, 1, y, 1, tw_reduce(b, shifted, ring + product_scale - TW_SCALE), false);
  }
  y = tw_open(b, y);
  return b->exact_result ? tw_truncate_faithful(b, y, product_scale - TW_SCALE)
                         : tw_truncate(b, y, product_scale - TW_SCALE);
}

int tw_build_residual(tw_builder *b, const tw_layer *at, int x, int y) {
  int sum = tw_combine(b, 1, x, 1, y, false);
  tw_declare(b, sum, "residual", 0, TW_BY_ROW, 1, at->tokens);
  return sum;
}

int tw_build_pooled(tw_builder *b, tw_model_output output, int x, tw_tokens tokens, size_t hidden) {
  if (output == TW_OUTPUT_POOLED) return tw_pool_live(b, x, tokens, hidden);
  if (output == TW_OUTPUT_CLS) return tw_view(b, x, (tw_view_map){{1, 1, 1, hidden}, {0, 0, 0, 1}, 0});
  return x;
}
