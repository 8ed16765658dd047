#include "jobs/models/blocks.h"

#include <math.h>

#include "jobs/models/fold.h"

// Whether x is one token behind those whose K and V were kept.
static bool one_more(const tw_layer *at) { return at->kept && at->kept->tokens > 0; }

// ---- softmax and values: e = exp(max - s), context = (sum e v) (1 / sum e); e is opened, the probabilities never are
// ----

// Maximum, kept a little above the row's own dithered values: z = max + 1/8 - s > 0.
static int distance_to_maximum(tw_builder *b, const tw_layer *at, int s, size_t heads) {
  enum { COARSE = 8 };
  bool packed = at->triangle.n > 0;
  int t = tw_truncate_dithered(b, s, COARSE);
  int maximum = packed ? tw_triangle_maximum(b, t, heads, at->triangle)
                       : tw_row_maximum(b, t, heads * at->tokens.queries, at->tokens);
  maximum = tw_shift_left(b, maximum, COARSE);
  if (packed) maximum = tw_triangle_spread(b, maximum, heads, at->triangle);
  int z = tw_combine(b, -1, s, 1, maximum, !packed);
  return tw_add_constant(b, z, (int64_t)1 << (TW_SCALE - 3));
}

// Rows of earlier turns before those of x, both in `blocks` blocks: opened under masks of this turn.
static int behind_earlier(tw_builder *b, const tw_layer *at, bool keys, size_t blocks, int x) {
  tw_tensor t = tw_look(b, x);
  if (!at->shape->earlier) return x;
  int share = tw_reduce(b, keys ? at->kept->earlier_k : at->kept->earlier_v, t.ring);
  return tw_concat(b, tw_open(b, tw_rescale(b, share, t.scale)), x, blocks);
}

// Of logits before they are opened, and of e: what stands for dead rows of earlier turns. The first is below all logits
// that a ring's bound lets through, but for an eighth of it.
static int fill_earlier(tw_builder *b, const tw_layer *at, int share, size_t heads, int64_t value) {
  size_t first = (size_t)at->shape->prefix, count = (size_t)at->shape->earlier;
  if (count == 0) return share;
  if (at->triangle.n > 0) return tw_triangle_fill_dead_earlier(b, share, heads, at->triangle, first, count, value);
  return tw_fill_dead_earlier(b, share, heads * at->tokens.queries, at->tokens.ahead + first, count, value);
}

// Of one token more in a layer with a window: the newest tokens that it sees are those that were written, which stand
// first, and `most` of the sequence's own; 0: all of these.
static size_t window_on_sequence(const tw_layer *at) {
  size_t window = (size_t)tw_config_window(&at->shape->config, at->index), written = at->tokens.ahead;
  return one_more(at) && window > written && window < at->tokens.keys ? window - written : 0;
}

// What the window has left behind, of logits before they are opened and of e, [heads][keys].
static int fill_before_window(tw_builder *b, const tw_layer *at, int share, size_t heads, int64_t value) {
  size_t most = window_on_sequence(at);
  return most ? tw_fill_before_last(b, share, heads, at->tokens.ahead, most, value) : share;
}

// Cached rows as heads, [blocks][...] before those of x, in x's ring. K as [kv_heads * dim][rows], V as
// [kv_heads][rows][dim].
static int behind_cached(tw_builder *b, const tw_cached *cached, bool keys, size_t heads, size_t dim, int x) {
  if (cached->rows == 0) return x;
  size_t n = cached->rows, cols = heads * dim;
  tw_view_map map = {{1, heads, n, dim}, {0, dim, cols, 1}, 0};
  if (keys) map = (tw_view_map){{1, heads, dim, n}, {0, dim, 1, cols}, 0};
  int wire = tw_reduce(b, keys ? cached->keys : cached->values, tw_look(b, x).ring);
  return tw_concat(b, tw_view(b, wire, map), x, keys ? cols : heads);
}

// Behind those of one more token what was kept of `rows` rows; the result is kept instead.
static int kept(tw_builder *b, int *earlier, size_t tokens, int x, size_t rows) {
  *earlier = tokens ? tw_concat(b, x, *earlier, rows) : x;
  return *earlier;
}

// 1 / sums, of which a product with a context of ring `out` takes as many bits as there are.
static int inverse_of(tw_builder *b, const tw_layer *at, int sums) {
  const tw_layer_shape *shape = at->shape;
  const tw_segment_spec *by_key = &shape->reciprocal_by_key;
  if (!(shape->by_key & TW_RECIPROCALS_BY_KEY)) return tw_apply_spec(b, sums, &shape->reciprocal, 0);
  int t = tw_apply_segments(b, sums, by_key, at->rings->out + by_key->scale, NULL);
  return tw_truncate_dithered(b, t, by_key->fine);
}

int tw_build_softmax_values(tw_builder *b, const tw_layer *at, int s, int v, size_t heads, size_t group,
                            size_t head_dim) {
  const tw_layer_shape *shape = at->shape;
  const tw_rings *rings = at->rings;
  int layer = at->index;
  bool packed = at->triangle.n > 0;
  size_t queries = at->tokens.queries, keys = at->tokens.keys, rows = heads * queries;
  int back = tw_step_begin(b, layer, "values");
  if (rings->v > tw_look(b, v).ring) v = tw_open(b, tw_extend(b, v, rings->v));  // beside the row maximum
  if (!one_more(at)) v = behind_earlier(b, at, false, heads / group, v);
  v = behind_cached(b, &at->cached, false, heads / group, head_dim, v);
  if (at->kept) v = kept(b, &at->kept->v, at->kept->tokens, v, heads / group);
  size_t there = tw_look(b, v).n / (heads / group * head_dim);
  if (there > keys)
    v = tw_view(b, v, (tw_view_map){{1, heads / group, keys, head_dim}, {0, there * head_dim, head_dim, 1}, 0});
  tw_step_begin(b, layer, "row maximum");
  int z = distance_to_maximum(b, at, s, heads);
  tw_step_begin(b, layer, "exp");
  int e = shape->by_key & TW_EXP_BY_KEY ? tw_apply_spec_by_key(b, z, &tw_spec_exp, rings->v, NULL)
                                        : tw_apply_spec(b, z, &tw_spec_exp, rings->v);
  e = fill_earlier(b, at, packed ? e : tw_zero_dead(b, e, rows, at->tokens), heads, 0);
  e = fill_before_window(b, at, e, heads, 0);
  e = tw_open_at(b, e, TW_SCALE);
  tw_step_begin(b, layer, "reciprocal");
  int sums = packed ? tw_triangle_sums(b, e, heads, at->triangle) : tw_row_sum(b, e, keys);
  int inverse = inverse_of(b, at, sums);
  tw_step_begin(b, layer, "values");
  int context = packed ? tw_triangle_values(b, e, v, heads, group, head_dim, at->triangle, rings->v)
                       : tw_matmul(b, e, v, heads / group, group * queries, head_dim, keys, rings->v);
  context = tw_truncate(b, tw_open(b, context), TW_SCALE);
  tw_step_begin(b, layer, "normalise");
  int ring = rings->out + shape->reciprocal.out_scale;
  bool narrow = tw_look(b, inverse).ring < ring;
  int normalised =
      narrow ? tw_multiply_rows(b, context, inverse, ring) : tw_multiply(b, context, inverse, ring, TW_PER_ROW);
  tw_step_back(b, back);
  return normalised;
}

// Widths of Q, and of K or V.
typedef struct {
  size_t heads, kv_heads, dim, q, kv;
} head_widths;

static head_widths widths_of(const tw_model_config *c) {
  return (head_widths){(size_t)c->heads, (size_t)tw_config_kv_heads(c), (size_t)tw_config_head_dim(c),
                       (size_t)tw_config_query_width(c), (size_t)tw_config_kv_width(c)};
}

// Heads that begin at column `first` of x [n][cols], head by head; transposed: [heads][dim][n].
static int heads_of(tw_builder *b, int x, size_t n, size_t first, size_t heads, size_t dim, bool transposed) {
  size_t cols = tw_look(b, x).n / n;
  tw_view_map map = {{1, heads, n, dim}, {0, dim, cols, 1}, first};
  if (transposed) map = (tw_view_map){{1, heads, dim, n}, {0, dim, 1, cols}, first};
  return tw_view(b, x, map);
}

// V's product in the ring that its sum over keys needs, as far as it reaches.
static int value_product(tw_builder *b, int v, const tw_rings *rings) {
  return tw_reduce(b, v, rings->v + TW_SCALE < rings->qkv ? rings->v + TW_SCALE : rings->qkv);
}

// Q and K at the scale of their product, in its ring.
static int narrowed(tw_builder *b, int x, const tw_rings *rings) {
  int down = 2 * TW_SCALE - rings->query_scale;
  return tw_truncate(b, tw_reduce(b, x, rings->qk + down), down);
}

typedef struct {
  int q, k, v;  // [heads][queries][dim], [kv_heads][dim][keys], [kv_heads][keys][dim]
} attention_heads;

// Columns first .. first + count of x [rows][any].
static int columns(tw_builder *b, int x, size_t rows, size_t first, size_t count) {
  return tw_view(b, x, (tw_view_map){{1, 1, rows, count}, {0, 0, tw_look(b, x).n / rows, 1}, first});
}

static size_t rows_of(const tw_layer *at) { return one_more(at) ? 1 : (size_t)at->shape->seq; }

// Q and K of all rows, turned by the positions of their tokens: in a wider ring, for one opening. SHARE [rows][Q, K].
static int turned(tw_builder *b, const tw_layer *at, int qkv, head_widths w) {
  int qk = narrowed(b, columns(b, qkv, rows_of(at), 0, w.q + w.kv), at->rings);
  tw_step_begin(b, at->index, "turn");
  int wide = tw_extend(b, qk, at->rings->qk + TW_ANGLE_SCALE);
  tw_tokens tokens = at->tokens;
  if (one_more(at)) {
    tokens.first = (size_t)at->shape->prefix;  // whose angles nobody needs
    tokens.counted = at->shape->earlier ? TW_COUNT_TOKENS : TW_COUNT_COLUMNS;
    return tw_turn_last(b, wide, at->turn, w.dim / 2, TW_ANGLE_SCALE, 1, tokens);
  }
  if (at->shape->earlier) {
    tokens = tw_first_token(at->shape);
    return tw_turn_last(b, wide, at->turn, w.dim / 2, TW_ANGLE_SCALE, rows_of(at), tokens);
  }
  return tw_turn(b, wide, at->turn, w.dim / 2, TW_ANGLE_SCALE, rows_of(at));
}

// Heads of Q and K from a SHARE [rows][Q, K and what else], opened here: Q of all rows, or of the last live one.
static void open_heads(tw_builder *b, const tw_layer *at, int share, head_widths w, attention_heads *h) {
  size_t seq = rows_of(at), cols = tw_look(b, share).n / seq;
  int rows;
  if (at->tokens.queries == seq) {
    rows = tw_open(b, share);
    h->q = heads_of(b, rows, seq, 0, w.heads, w.dim, false);
    h->k = heads_of(b, rows, seq, w.q, w.kv_heads, w.dim, true);
  } else {
    int last = tw_last_live_row(b, columns(b, share, seq, 0, w.q), tw_shape_tokens(at->shape));
    h->q = heads_of(b, tw_open(b, last), 1, 0, w.heads, w.dim, false);
    rows = tw_open(b, columns(b, share, seq, w.q, cols - w.q));
    h->k = heads_of(b, rows, seq, 0, w.kv_heads, w.dim, true);
  }
  if (cols > w.q + w.kv)  // V stands there, too
    h->v = heads_of(b, rows, seq, tw_look(b, rows).n / seq - w.kv, w.kv_heads, w.dim, false);
}

// From the product's SHARE [rows][Q, K, V].
static attention_heads split(tw_builder *b, const tw_layer *at, int share, head_widths w) {
  size_t seq = rows_of(at);
  tw_tokens all = one_more(at) ? (tw_tokens){1, 1, 0, false, at->tokens.ahead} : tw_shape_tokens(at->shape);
  attention_heads h = {0};
  if (at->turn[0] != at->turn[1]) {
    int qkv = tw_open(b, share);
    h.v = heads_of(b, qkv, seq, w.q + w.kv, w.kv_heads, w.dim, false);
    open_heads(b, at, turned(b, at, qkv, w), w, &h);
    h.q = tw_truncate(b, h.q, TW_ANGLE_SCALE);
    h.k = tw_truncate(b, h.k, TW_ANGLE_SCALE);
  } else {
    open_heads(b, at, share, w, &h);
    h.q = narrowed(b, h.q, at->rings);
    h.k = narrowed(b, h.k, at->rings);
  }
  h.v = tw_truncate(b, value_product(b, h.v, at->rings), TW_SCALE);
  tw_declare(b, h.q, "query", 0, TW_BY_HEAD, w.heads, at->tokens);
  tw_declare(b, h.k, "key", 0, TW_BY_COLUMN, 1, all);
  tw_declare(b, h.v, "value", at->rings->value_limit, TW_BY_HEAD, w.kv_heads, all);
  if (!one_more(at)) h.k = behind_earlier(b, at, true, w.kv_heads * w.dim, h.k);
  h.k = behind_cached(b, &at->cached, true, w.kv_heads, w.dim, h.k);
  if (at->kept) h.k = kept(b, &at->kept->k, at->kept->tokens, h.k, w.kv_heads * w.dim);
  return h;
}

// Logits at TW_SCALE.
static int logits(tw_builder *b, const tw_layer *at, attention_heads h, head_widths w) {
  size_t group = w.heads / w.kv_heads, queries = at->tokens.queries, keys = at->tokens.keys;
  tw_triangle t = at->triangle;
  int shift;
  tw_query_fold(&at->shape->config, &shift);
  int s = t.n > 0 ? tw_triangle_logits(b, h.q, h.k, w.heads, group, w.dim, t, at->rings->qk)
                  : tw_matmul(b, h.q, h.k, w.kv_heads, group * queries, keys, w.dim, at->rings->qk);
  int64_t lowest = -((int64_t)7 << (tw_look(b, s).ring - TW_GUARD_BITS - 3));
  s = tw_open(b, fill_before_window(b, at, fill_earlier(b, at, s, w.heads, lowest), w.heads, lowest));
  // 1 / sqrt(head_dim) is read into the scale; its odd half power of two is folded into W_Q
  tw_rescale(b, s, tw_look(b, s).scale + shift);
  s = tw_truncate(b, s, tw_look(b, s).scale - TW_SCALE);
  if (t.n > 0)
    tw_declare(b, s, "logit", 0, TW_BY_PACKED, w.heads, (tw_tokens){t.n, t.widest, t.before, true});
  else
    tw_declare(b, s, "logit", 0, TW_BY_PAIR, w.heads, at->tokens);
  return s;
}

// The context's rows [queries][columns of Q], from a SHARE head by head; of `last` the last live one alone.
static int context_rows(tw_builder *b, const tw_layer *at, int context, head_widths w, bool last) {
  size_t n = at->tokens.queries;
  int scale = at->shape->reciprocal.out_scale;
  tw_view_map rows = {{1, n, w.heads, w.dim}, {0, w.dim, n * w.dim, 1}, 0};
  if (!last) return tw_view(b, tw_truncate(b, tw_open(b, context), scale), rows);
  return tw_truncate(b, tw_open(b, tw_last_live_row(b, tw_view(b, context, rows), at->tokens)), scale);
}

// Of one token more: K [rows][keys] of those that its window holds, where so many were written that it holds no other.
static tw_tokens in_window(tw_builder *b, const tw_layer *at, int *k, size_t rows) {
  size_t window = (size_t)tw_config_window(&at->shape->config, at->index);
  if (!window || window > at->tokens.ahead) return at->tokens;
  *k = columns(b, *k, rows, 0, window);
  return (tw_tokens){1, window, 0, false, window};
}

int tw_build_attention(tw_builder *b, const tw_layer *at, int qkv_weight, int out_weight, int x) {
  const tw_layer_shape *shape = at->shape;
  const tw_rings *rings = at->rings;
  head_widths w = widths_of(&shape->config);
  size_t hidden = (size_t)shape->config.hidden;
  int layer = at->index;
  tw_layer inside = *at;
  // which keys a window holds depends on the length: such a layer computes all rows and keeps the last
  bool narrow = at->last && at->triangle.widest < tw_triangle_keys(at->triangle);
  if (at->last && !narrow) {
    inside.tokens = (tw_tokens){1, at->tokens.keys, 0, false};
    inside.triangle = (tw_triangle){0, 0, 0};
  }
  tw_step_begin(b, layer, "qkv");
  attention_heads h = split(b, &inside, tw_linear(b, x, qkv_weight, hidden, w.q + 2 * w.kv, rings->qkv, TW_SCALE), w);
  if (one_more(at)) inside.tokens = in_window(b, at, &h.k, w.kv_heads * w.dim);
  tw_step_begin(b, layer, "logits");
  int s = logits(b, &inside, h, w);
  int context = tw_build_softmax_values(b, &inside, s, h.v, w.heads, w.heads / w.kv_heads, w.dim);
  tw_step_begin(b, layer, "normalise");
  int rows = context_rows(b, &inside, context, w, narrow);
  tw_step_begin(b, layer, "out-projection");
  int y = tw_truncate(b, tw_open(b, tw_linear(b, rows, out_weight, w.q, hidden, rings->out, TW_SCALE)), TW_SCALE);
  tw_declare(b, y, "attention", 0, TW_BY_ROW, 1, at->last ? (tw_tokens){1, 1, 0, false} : at->tokens);
  if (at->kept) at->kept->tokens += rows_of(at) + (one_more(at) ? 0 : at->cached.rows + (size_t)shape->earlier);
  return y;
}

// What the feed-forward part puts out, from the activations.
static int feed_down(tw_builder *b, const tw_layer *at, int down_weight, int a) {
  const tw_rings *rings = at->rings;
  size_t hidden = (size_t)at->shape->config.hidden, inner = (size_t)at->shape->config.intermediate;
  tw_step_begin(b, at->index, "ffn-down");
  int y = tw_truncate(b, tw_open(b, tw_linear(b, a, down_weight, inner, hidden, rings->down, TW_SCALE)), TW_SCALE);
  tw_declare(b, y, "feed_forward", 0, TW_BY_ROW, 1, at->tokens);
  return y;
}

// x times a matrix [hidden][intermediate], at TW_SCALE.
static int feed_up(tw_builder *b, const tw_layer *at, int weight, int ring, int x) {
  size_t hidden = (size_t)at->shape->config.hidden, inner = (size_t)at->shape->config.intermediate;
  return tw_truncate(b, tw_open(b, tw_linear(b, x, weight, hidden, inner, ring, TW_SCALE)), TW_SCALE);
}

// The activation of u, declared as `name`, opened in ring `ring`. Of a key the guard's bit is read, too: bits of one
// mask are never dealt both as digits and as a key.
static int activation(tw_builder *b, const tw_layer *at, const char *name, int u, int ring) {
  const tw_spec *spec = at->shape->activation;
  if (!(at->shape->by_key & TW_ACTIVATIONS_BY_KEY) || !tw_spec_by_key(spec)) {
    tw_declare(b, u, name, 0, TW_BY_ROW, 1, at->tokens);
    tw_step_begin(b, at->index, spec->name);
    return tw_open(b, tw_apply_spec(b, u, spec, ring));
  }
  tw_step_begin(b, at->index, spec->name);
  tw_key_guard guard = {.bits = tw_declared_bits(b, u)};
  int a = tw_apply_spec_by_key(b, u, spec, ring, b->guard ? &guard : NULL);
  tw_declare_read(b, u, name, guard.bitwire, guard.plane, TW_BY_ROW, 1, at->tokens);
  return tw_open_at(b, a, TW_SCALE);
}

int tw_build_feed_forward(tw_builder *b, const tw_layer *at, int up_weight, int down_weight, int x) {
  tw_step_begin(b, at->index, "ffn-up");
  int u = feed_up(b, at, up_weight, at->rings->up, x);
  return feed_down(b, at, down_weight, activation(b, at, "up", u, at->rings->down));
}

// The activation is opened in its own narrow ring before it is multiplied: a round more than products with both of its
// pieces would take, and fewer wide corrections.
int tw_build_gated(tw_builder *b, const tw_layer *at, int gate_weight, int up_weight, int down_weight, int x) {
  const tw_rings *rings = at->rings;
  tw_step_begin(b, at->index, "ffn-up");
  int u = feed_up(b, at, up_weight, rings->up, x);
  tw_declare(b, u, "up", 0, TW_BY_ROW, 1, at->tokens);
  int gate = feed_up(b, at, gate_weight, rings->activation + TW_SCALE, x);
  int a = activation(b, at, "gate", gate, rings->activation);
  int product = tw_open(b, tw_multiply_rows(b, a, u, rings->down + TW_SCALE));
  return feed_down(b, at, down_weight, tw_truncate(b, product, TW_SCALE));
}

// ---- LayerNorm in 9 rounds, or 8 of a centred row: extended row sums; v = sum z^2; exponent j of v from thresholds
// 2^j; M = v 2^-j in [1, 2), G = sqrt(d) 2^(-j/2); 1/sqrt(M) by table beside z G gamma; their product ----
enum { V_SCALE = 2 * TW_SCALE, G_SCALE = 18, G_HIGHEST = 24 };

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

// One bit an exponent: [2^j <= v < 2^(j+1)], the outer ones open-ended; with a guard two more: [v < 2^lowest], [v >=
// 2^(highest + 1)].
static int exponent_bits(tw_builder *b, tw_tokens tokens, int v, tw_norm_rings r) {
  int64_t thresholds[TW_MOST_EXPONENTS + 1];
  tw_term terms[2 * TW_MOST_EXPONENTS + 2];
  int count = 0, guards = b->guard ? 2 : 0, n = r.exponents, lowest = r.highest + 1 - n, small = n, large = n + 1;
  uint8_t constant[TW_MOST_EXPONENTS + 2] = {[0] = 1};
  if (n < 2 || n > TW_MOST_EXPONENTS)
    return tw_build_fail(b, TW_ERR_RANGE, "a norm over %d powers of two; 2 to %d are possible", n, TW_MOST_EXPONENTS);
  constant[small] = 1;
  for (int i = 0; i < n - 1; i++) thresholds[i] = (int64_t)1 << (V_SCALE + lowest + 1 + i);
  tw_compared compared = b->choices.flat_norms ? tw_compare_wide(b, v) : tw_compare_wire(b, v);
  thresholds[n - 1] = (int64_t)1 << (V_SCALE + lowest);
  thresholds[n] = (int64_t)1 << (V_SCALE + r.highest + 1);
  tw_declare_range(b, v, "sum of squares", thresholds[n - 1], thresholds[n], TW_BY_ROW, 1, tokens);
  int t = tw_at_least(b, compared, thresholds, n - 1 + guards);
  for (int i = 0; i < n; i++) {
    if (i > 0) terms[count++] = (tw_term){i, t, i - 1};
    if (i < n - 1) terms[count++] = (tw_term){i, t, i};
  }
  for (int i = 0; i < guards; i++) terms[count++] = (tw_term){i ? large : small, t, n - 1 + i};
  int bits = tw_open(b, tw_xor_planes(b, terms, count, n + guards, constant));
  if (b->guard) tw_guard_planes(b, bits, small, 2, tokens);
  return bits;
}

// z g: |z| <= sqrt(v), g = sqrt(d) 2^(-j/2), v < 2^(j+1), so that it is below sqrt(2 d); extended once more.
static int normal_ring(size_t hidden, int scale) {
  return scale + 3 + (int)floor(log2(1.01 * sqrt(2.0 * (double)hidden)));
}

// Of sqrt(d) 2^(-j/2), so that it keeps its precision where sums are large.
static int root_scale(int highest) { return G_SCALE + (highest > G_HIGHEST ? (highest - G_HIGHEST + 1) / 2 : 0); }

int tw_build_norm(tw_builder *b, tw_tokens tokens, int x, bool mean, int gamma, int beta, size_t hidden,
                  tw_norm_rings r, int ring, double epsilon) {
  enum { G_RING = 48, M_SCALE = 20, NORMAL_SCALE = 14 };
  int g_scale = root_scale(r.highest), exponents = r.exponents;
  int z = mean ? centre(b, x, hidden) : x;
  if (r.by_key) return tw_build_norm_by_key(b, tokens, z, gamma, beta, hidden, r, ring, epsilon);
  int v = tw_sum_of_squares(b, z, hidden, r.squares);
  v = tw_open(b, tw_add_constant(b, v, llrint(ldexp(epsilon * (double)hidden, V_SCALE))));
  int h = exponent_bits(b, tokens, v, r);
  int64_t shifts[TW_MOST_EXPONENTS], roots[TW_MOST_EXPONENTS];
  if (b->status != TW_OK) return 0;
  for (int i = 0; i < exponents; i++) {
    int lowest = r.highest + 1 - exponents;
    shifts[i] = exponents - 1 - i;
    roots[i] = llrint(sqrt((double)hidden) * exp2(-0.5 * (lowest + i)) * ldexp(1, g_scale));
  }
  int m =
      tw_sum_planes(b, tw_select(b, h, 0, exponents, v, r.squares), exponents, shifts, r.squares, V_SCALE + r.highest);
  int g = tw_open(b, tw_bit_constants(b, h, 0, exponents, roots, G_RING, g_scale));
  m = tw_truncate_dithered(b, tw_open(b, m), V_SCALE + r.highest - M_SCALE);
  int root = tw_apply_spec(b, m, &tw_spec_rsqrt, 0);
  int narrow = normal_ring(hidden, TW_SCALE + g_scale), own = tw_look(b, z).ring;
  int w = tw_open(b, tw_multiply(b, z, g, narrow > own ? narrow : own, TW_PER_ROW));
  w = tw_truncate(b, w, TW_SCALE + g_scale - NORMAL_SCALE);
  int u = tw_truncate(b, tw_open(b, tw_multiply(b, w, gamma, r.product, TW_PER_COLUMN)), TW_SCALE);
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
