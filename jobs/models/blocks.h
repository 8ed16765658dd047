// Building blocks of architectures: attention, feed-forward, norm, residual, pooling (protocols, sections 8
// and 9).
#ifndef TW_BLOCKS_H
#define TW_BLOCKS_H

#include "io/model.h"
#include "jobs/gates/guard.h"
#include "jobs/models/float_model.h"
#include "jobs/models/spec_keys.h"
#include "jobs/program/build.h"

// What a norm needs: the rings of a row times gamma (scale 26) and of a row's sum of squares (scale 24), how many
// powers of two such a sum is compared with, and the largest. by_key: 1/sqrt is read from a key; then the row times
// gamma is not yet of length sqrt(hidden), and has scale 24.
enum { TW_MOST_EXPONENTS = 40 };
typedef struct {
  int product, squares, exponents, highest;
  bool by_key;
} tw_norm_rings;

// Ring widths of one layer, from its bounds. Every capacity (ring - scale) is at least log2(bound) + 1, before an
// extension log2(bound) + 2.
typedef struct {
  int input;           // layer input: the QKV product and the residual read it
  int qkv;             // QKV product
  int query_scale;     // of Q and K
  int qk, logit;       // Q and K; logits
  int v, context;      // V (extended where qkv - TW_SCALE is less), e and the PV product; context before normalisation
  int out, down;       // out-projection and FFN-down products, residual = that - TW_SCALE
  int up, activation;  // FFN-up product; the activation's argument, that of the product less TW_SCALE
  int product, squares, exponents, highest;  // norms, as in tw_norm_rings
  int norm1, norm2;                          // outputs of the norms
  int input_limit, value_limit;  // no widths, but bits of the largest integer allowed in the layer's input and in V
} tw_rings;

typedef struct {
  tw_model_config config;
  int seq;
  int prefix;          // rows before the sequence's own, whose keys and values are cached wires; 0: none
  int earlier;         // rows of earlier turns, behind the prefix, that a turn reads at most; 0: it is no conversation
  int generated;       // tokens that are written behind it; 0: none
  bool guard;          // values of declared wires out of bound are counted (jobs/gates/guard.h)
  bool centred;        // rows that norms read have mean zero (tw_choices)
  tw_read_by by_key;   // functions that are read from keys of point functions, where they can be (tw_choices)
  int last_ring;       // that a head needs of the rows it stands on; 0: there is none
  bool last_row;       // of a decoder's last layer only the row of the last live token is read
  double temperature;  // by which a token is drawn; 0: the largest logit's
  const tw_spec *activation;
  tw_spec reciprocal;  // its out_scale is that of the one by key where there is one
  tw_segment_spec reciprocal_by_key,
      root_by_key;  // where they are by_key; root: of encoders' norms, those of decoders are by digits
} tw_layer_shape;

// Rows of the sequence and, behind them, of all tokens that are written but the last.
static inline int tw_shape_rows(const tw_layer_shape *shape) {
  return shape->seq + (shape->generated ? shape->generated - 1 : 0);
}
// Keys that a layer's last query has, cached ones counted.
static inline int tw_shape_keys(const tw_layer_shape *shape) {
  return shape->prefix + shape->earlier + tw_shape_rows(shape);
}
// Of all rows of a sequence's input.
static inline tw_tokens tw_shape_tokens(const tw_layer_shape *shape) {
  size_t before = (size_t)(shape->prefix + shape->earlier), seq = (size_t)shape->seq;
  return (tw_tokens){seq, before + seq, before, shape->config.causal};
}

// Of a conversation: for a sequence's first row, whose place among all its tokens its other rows follow.
static inline tw_tokens tw_first_token(const tw_layer_shape *shape) {
  size_t prefix = (size_t)shape->prefix;
  return (tw_tokens){1, prefix + (size_t)shape->earlier + 1, prefix, false, prefix + 1, TW_COUNT_EARLIER};
}

// Cached wires: keys and values of rows that come before all rows of the sequence, row by row, positions 0 on. Whoever
// made them, a model's owner or an earlier run, has done all that depends on the row: K is turned by its position and
// has the scale of the layer's logits (query_scale), V has TW_SCALE. Their public values and masks are of ring 64.
typedef struct {
  size_t rows;       // 0: there are none
  int keys, values;  // WIREs [rows][kv_heads * head_dim]
} tw_cached;

// K [kv_heads][head_dim][tokens] and V [kv_heads][tokens][head_dim] of one layer, as its products read them, of the
// tokens so far: newer ones stand before older ones, so that those of a padded prompt that do not live are the last.
// Of a conversation's earlier turns there are shares of the same form, which come in: they are opened behind the
// prefix.
typedef struct {
  int k, v;
  size_t tokens;             // 0: none yet
  int earlier_k, earlier_v;  // SHAREs of ring 64, of which the low bits count
} tw_kept;

// One layer.
typedef struct {
  const tw_layer_shape *shape;
  const tw_rings *rings;
  int index;
  tw_tokens tokens;      // of queries by keys
  tw_triangle triangle;  // n > 0: logits are packed pairs
  bool last;             // of attention only the row of the last live token is wanted, which sees all live ones
  tw_cached cached;      // before the keys of `tokens`, which count them
  tw_kept *kept;         // NULL, or where K and V stay; of earlier tokens: x is one more, which sees all live ones
  int turn[2];           // tables of cosines and sines that turn Q and K (tw_turn); both 0: they are not turned
} tw_layer;

enum { TW_ANGLE_SCALE = 12 };  // of cosines and sines: a turn grows Q and K for one opening

// All take and return WIREs of scale TW_SCALE, rows of one sequence. A matrix is named by its index among the
// model's tensors; its bias is the next one.

// Self-attention of x [rows][hidden], whose keys and values come behind cached ones: qkv [hidden][Q, K, V side by
// side], out [columns of Q][hidden]. Several heads in turn may share one of K and V. Returns [queries][hidden], or one
// row of the last live token, in ring out - TW_SCALE.
int tw_build_attention(tw_builder *b, const tw_layer *at, int qkv_weight, int out_weight, int x);
// activation(x up) down: up [hidden][intermediate], down [intermediate][hidden]. Returns [rows][hidden] in ring down -
// TW_SCALE.
int tw_build_feed_forward(tw_builder *b, const tw_layer *at, int up_weight, int down_weight, int x);
// (activation(x gate) * (x up)) down: gate like up.
int tw_build_gated(tw_builder *b, const tw_layer *at, int gate_weight, int up_weight, int down_weight, int x);
// x [rows][hidden] less the means of its rows, in ring `ring`, which may be less than x's own; x's ring holds a row's
// sum as it would hold an element before an extension. One element a row is opened, beside whatever else reads x.
int tw_build_centred(tw_builder *b, int x, size_t hidden, int ring);
// x + y, declared to the guard.
int tw_build_residual(tw_builder *b, const tw_layer *at, int x, int y);
// What comes out for a sequence: x [queries][hidden] itself, the sum over its live rows, or its first row.
int tw_build_pooled(tw_builder *b, tw_model_output output, int x, tw_tokens tokens, size_t hidden);

// Softmax-weighted sum of values. s: logits [heads * queries][keys], or packed pairs; v: [heads /
// group][keys][head_dim] but for cached keys, which are put before it here; `group` heads in turn share one; ring
// `rings->v` or extended to it. Returns the normalised
// context, SHARE [heads][queries][head_dim] at scale TW_SCALE + reciprocal.out_scale in ring out + that scale.
int tw_build_softmax_values(tw_builder *b, const tw_layer *at, int s, int v, size_t heads, size_t group,
                            size_t head_dim);
// A norm of rows of `hidden` elements. mean: a row's mean is taken off first; not for RMSNorm, and not for LayerNorm of
// rows whose makers centred them. gamma, beta: WIREs [hidden]; beta < 0: none. Returns a WIRE in ring `ring`. The
// builder's exact_result rounds it like floor.
int tw_build_norm(tw_builder *b, tw_tokens tokens, int x, bool mean, int gamma, int beta, size_t hidden,
                  tw_norm_rings r, int ring, double epsilon);
// What it does behind a row z less its mean where r.by_key: by a segment table of sqrt(hidden / v)
// (docs/design/pfss.md), in three rounds.
int tw_build_norm_by_key(tw_builder *b, tw_tokens tokens, int z, int gamma, int beta, size_t hidden, tw_norm_rings r,
                         int ring, double epsilon);

#endif
