// Ring widths of decoders from bounds: capacity = ring - scale >= log2(bound) + 1, + 2 before an extension (protocols,
// section 9). Declared bounds are assumed or measured; all others are derived from them here.
#include <math.h>

#include "io/decoder_tensors.h"
#include "jobs/models/decoder.h"
#include "jobs/models/fold.h"
#include "jobs/models/ring_widths.h"

enum {
  NORM_WIDEST = 64 - 15,      // a norm's last product takes 15 bits more than its output
  MEAN_WIDEST = 64 - 24,      // a LayerNorm's row sum takes 24 bits more than the residual
  COARSEST_QUERY = 8,         // scale of Q and K
  NORM_SCALE = 2 * TW_SCALE,  // of a row's sum of squares
  FLATTEST = -4               // such a sum is at least 2 to that
};

static int smaller(int a, int b) { return a < b ? a : b; }

static bool gated(const tw_layer_shape *shape) { return tw_decoder_layout_of(&shape->config)->gated; }
static bool rms_norm(const tw_layer_shape *shape) { return tw_decoder_layout_of(&shape->config)->rms_norm; }
static bool takes_means(const tw_layer_shape *shape) { return !rms_norm(shape) && !shape->centred; }

// ---- bounds ----

static tw_bounds assumed(double residual, double largest_sum) {
  return (tw_bounds){.input = residual,
                     .query = 1023,
                     .key = 1023,
                     .value = 63,
                     .logit = 255,
                     .attention = residual,
                     .up = 127,
                     .gate = 127,
                     .product = 127.0 * 127,
                     .feed_forward = residual,
                     .residual = residual,
                     .variance_sum_min = ldexp(1, FLATTEST),
                     .variance_sum_max = largest_sum,
                     .norm_weight = 63,
                     .norm_bias = 1023};
}

// Rows that hold one element of some thousands are usual: of the first token, and of its repetitions.
tw_bounds tw_gpt_bounds(void) { return assumed(0x1p14 - 1, 0x1p31 - 1); }
tw_bounds tw_llama_bounds(void) { return assumed(0x1p16 - 1, 0x1p35 - 1); }

tw_bounds tw_decoder_widened(const tw_bounds *measured, double margin) {
  tw_bounds b = *measured;
  // a sample of text says little about outliers: keep at least these
  const struct {
    double *bound, least;
  } widened[] = {{&b.input, 31},    {&b.query, 31},     {&b.key, 31},          {&b.value, 7},
                 {&b.logit, 15},    {&b.up, 31},        {&b.gate, 31},         {&b.product, 31},
                 {&b.residual, 63}, {&b.attention, 63}, {&b.feed_forward, 63}, {&b.variance_sum_max, 1}};
  for (size_t i = 0; i < sizeof widened / sizeof *widened; i++)
    *widened[i].bound = fmax(*widened[i].bound * margin, widened[i].least);
  b.variance_sum_min /= margin;
  return b;
}

double tw_decoder_largest(const tw_layer_shape *shape, const tw_bounds *last) {
  (void)shape;
  return last->residual;
}

// ---- norms ----

// z g with z the row, less its mean in a LayerNorm, and g = sqrt(d) 2^(-j/2): |z| <= sqrt(v) and v < 2^(j+1).
static double norm_product(const tw_layer_shape *shape, double weight) {
  return 1.01 * 1.01 * sqrt(2.0 * shape->config.hidden) * weight;
}

static double norm_output(const tw_layer_shape *shape, double weight, double bias) {
  return 1.01 * norm_product(shape, weight) + (rms_norm(shape) ? 0 : bias);
}

tw_norm_rings tw_decoder_norm_rings(const tw_layer_shape *shape, double least, double largest, double weight) {
  int lowest = tw_larger((int)floor(log2(least)), FLATTEST),
      highest = tw_larger(tw_bits_for(largest) - 1, tw_larger(lowest + 1, 1));
  return (tw_norm_rings){.product = TW_SCALE + 14 + 2 + tw_bits_for(norm_product(shape, weight)),
                         .squares = NORM_SCALE + highest + 2 + (shape->guard ? 2 : 0),
                         .exponents = highest + 1 - lowest,
                         .highest = highest};
}

tw_status tw_decoder_check_norm(const tw_layer_shape *shape, int layer, const tw_norm_bounds *b, const tw_norm_rings *r,
                                int narrowest) {
  double largest = norm_output(shape, b->norm_weight, b->norm_bias);
  int output = TW_SCALE + 1 + tw_bits_for(largest);
  if (r->product > 48) return tw_refuse_ring(layer, "norm weight (gamma)", r->product, 48, b->norm_weight);
  if (output > narrowest) return tw_refuse_ring(layer, "norm output", output, narrowest, largest);
  if (r->squares > 64 || r->exponents > TW_MOST_EXPONENTS)
    return tw_refuse_ring(layer, "norm variance (sum of squares)", r->squares, 64, b->variance_sum_max);
  if (b->variance_sum_min < ldexp(1, FLATTEST))
    return tw_fail(TW_ERR_RANGE,
                   "plan refused: %s %d, tensor norm variance: a row's sum of squares of %.3g is below 2^%d; "
                   "rows this flat cannot be normalised at scale %d (a smaller --margin widens measured bounds less)",
                   layer < 0 ? "behind the layers, norm" : "layer", layer < 0 ? 0 : layer, b->variance_sum_min,
                   FLATTEST, TW_SCALE);
  return TW_OK;
}

// ---- rings ----

// A LayerNorm's row is extended element by element for its mean, and less its mean for the sum of squares; one that has
// lost its mean when the model was shared only as it is.
static int residual_ring(const tw_layer_shape *shape, const tw_bounds *b) {
  int element = TW_SCALE + tw_wire_room(shape) +
                tw_bits_for(fmax(fmax(b->residual, b->input), fmax(b->attention, b->feed_forward)));
  if (!takes_means(shape)) return element;
  return tw_larger(element, TW_SCALE + 2 + tw_bits_for(fmin(2 * b->residual, sqrt(b->variance_sum_max))));
}

static void choose_attention(const tw_layer_shape *shape, const tw_bounds *b, tw_rings *r) {
  int shift, most = shape->config.rotary.kind == TW_ROTARY_NONE ? 64 : 64 - TW_ANGLE_SCALE;
  tw_query_fold(&shape->config, &shift);
  // differences of two logits, each dithered to 1/16
  r->logit = tw_larger(TW_SCALE + 1 + tw_bits_for(2 * b->logit + 0.25), tw_spec_exp.ring);
  if (shape->guard) r->logit = tw_larger(r->logit, TW_SCALE + TW_GUARD_BITS + tw_bits_for(b->logit));
  r->query_scale = TW_SCALE - 1;  // coarser for wide heads and large logits, whose product would not fit otherwise
  do r->qk = r->logit + 2 * r->query_scale + shift - TW_SCALE;
  while ((r->qk + 2 * TW_SCALE - r->query_scale > NORM_WIDEST || r->qk > most) && r->query_scale-- > COARSEST_QUERY);
  // Q and K must fit, too, where logits are small
  r->qk = tw_larger(r->qk, r->query_scale + tw_wire_room(shape) + tw_bits_for(fmax(b->query, b->key)));
  int query = r->qk + 2 * TW_SCALE - r->query_scale;
  // e <= 1: their sum is at most S, that of e v at most S times the power of two up to which v passes the guard
  double sum = tw_shape_keys(shape) * fmax(tw_below(tw_bits_for(b->value)), 1);
  r->context = TW_SCALE + 2 + tw_bits_for(sum);
  r->v = r->context + TW_SCALE;
  int value =
      r->v + TW_SCALE <= NORM_WIDEST ? r->v + TW_SCALE : 2 * TW_SCALE + tw_wire_room(shape) + tw_bits_for(b->value);
  r->qkv = tw_larger(query, value);  // V is extended from there to r->v where that is wider
  r->value_limit = TW_SCALE + tw_bits_for(b->value);
}

static void choose_feed_forward(const tw_layer_shape *shape, const tw_bounds *b, tw_rings *r) {
  const tw_spec *spec = shape->activation;
  double argument = gated(shape) ? b->gate : b->up;
  r->activation = tw_larger(TW_SCALE + tw_wire_room(shape) + tw_bits_for(argument), spec->width + spec->low_bits + 2);
  r->up = TW_SCALE + (gated(shape) ? TW_SCALE + tw_wire_room(shape) + tw_bits_for(b->up) : r->activation);
}

// All but what the residual stream decides.
static void choose_layer(const tw_layer_shape *shape, const tw_bounds *b, tw_rings *r) {
  tw_norm_rings norm = tw_decoder_norm_rings(shape, b->variance_sum_min, b->variance_sum_max, b->norm_weight);
  choose_attention(shape, b, r);
  choose_feed_forward(shape, b, r);
  r->product = norm.product;
  r->squares = norm.squares;
  r->exponents = norm.exponents;
  r->highest = norm.highest;
  r->norm1 = r->qkv;
  r->norm2 = gated(shape) ? tw_larger(r->up, r->activation + TW_SCALE) : r->up;
  r->input_limit = TW_SCALE + tw_bits_for(b->input);
}

static tw_status check_layer(const tw_layer_shape *shape, int layer, const tw_bounds *b, const tw_rings *r) {
  int residual = r->out - TW_SCALE, qk = r->qk + 2 * TW_SCALE - r->query_scale;
  tw_norm_rings rings = {r->product, r->squares, r->exponents, r->highest};
  tw_norm_bounds norm = {b->variance_sum_min, b->variance_sum_max, b->norm_weight, b->norm_bias};
  int turned = r->qk + (shape->config.rotary.kind == TW_ROTARY_NONE ? 0 : TW_ANGLE_SCALE);
  if (qk > NORM_WIDEST || turned > 64) return tw_refuse_ring(layer, "logits", qk, NORM_WIDEST, b->logit);
  if (r->qkv > NORM_WIDEST) return tw_refuse_ring(layer, "value", r->qkv, NORM_WIDEST, b->value);
  if (r->v > 64) return tw_refuse_ring(layer, "sum of values", r->v, 64, b->value * tw_shape_keys(shape));
  if (r->norm2 > NORM_WIDEST)
    return tw_refuse_ring(layer, r->norm2 > r->up ? "ffn-gate" : "ffn-up", r->norm2, NORM_WIDEST, fmax(b->up, b->gate));
  int widest = tw_larger(0, 64 - shape->reciprocal.out_scale - TW_SCALE);
  if (takes_means(shape)) widest = smaller(widest, MEAN_WIDEST);
  if (residual > widest) {
    double bound = fmax(fmax(b->residual, b->input), fmax(b->attention, b->feed_forward));
    const char *which = bound == b->residual    ? "residual"
                        : bound == b->input     ? "layer input"
                        : bound == b->attention ? "attention output"
                                                : "feed-forward output";
    return tw_refuse_ring(layer, which, residual, widest, bound);
  }
  // the product of activation and up goes to the ring of the residual's own products
  double product = b->gate * b->up;
  if (gated(shape) && 1 + tw_bits_for(product) > residual)
    return tw_refuse_ring(layer, "activation times up", TW_SCALE + 1 + tw_bits_for(product), r->down, product);
  return tw_decoder_check_norm(shape, layer, &norm, &rings, smaller(r->norm1, r->norm2));
}

// Rows are extended by two bits at least where they are squared. A first token fills a stream's ring in later layers,
// and in earlier ones all rows may be small.
int tw_decoder_squares(int squares, const tw_rings *layer) { return tw_larger(squares, layer->out - TW_SCALE + 2); }

// One residual stream: its ring may fall from layer to layer, and never grow.
tw_status tw_decoder_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out) {
  int stream = 0;
  for (int i = shape->config.layers - 1; i >= 0; i--) {
    tw_rings *r = &out[i];
    choose_layer(shape, &bounds[i], r);
    stream = tw_larger(stream, residual_ring(shape, &bounds[i]));
    r->input = stream;
    r->out = r->down = stream + TW_SCALE;
    r->squares = tw_decoder_squares(r->squares, r);
  }
  for (int i = 0; i < shape->config.layers; i++) TW_TRY(check_layer(shape, i, &bounds[i], &out[i]));
  return TW_OK;
}

void tw_decoder_raise_bounds(const tw_layer_shape *shape, const tw_rings *r, tw_bounds *b) {
  int extra = tw_wire_room(shape);
  tw_raise_layer(shape, r, residual_ring, b);
  tw_raise_to(gated(shape) ? &b->gate : &b->up, r->activation - TW_SCALE - extra);
  if (!gated(shape)) return;
  tw_raise_to(&b->up, r->up - 2 * TW_SCALE - extra);
  b->product = fmax(b->product, b->gate * b->up);
}
