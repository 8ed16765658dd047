// Ring widths of BERT encoders from bounds: capacity = ring - scale >= log2(bound) + 1, + 2 before an extension
// (protocols, section 9). Declared bounds (tw_bounds) are assumed or measured; all others are derived from them here,
// for this sequence length, so that a plan whose declared bounds hold has no value out of bound anywhere.
#include <math.h>

#include "jobs/models/bert.h"
#include "jobs/models/fold.h"
#include "jobs/models/ring_widths.h"

enum {
  NORM_WIDEST = 64 - 15,  // a norm's last product takes 15 bits more than its output
  RESIDUAL_WIDEST = 40,   // with 24 bits more for the mean, and room for what a norm multiplies
  LAST_NORM = 32,         // the model's output, where no head reads it
  COARSEST_QUERY = 8,     // scale of Q and K
  DEFAULT_RESIDUAL = 14   // bits of a residual element that nobody measured
};

tw_bounds tw_bert_bounds(void) {
  double residual = ldexp(1, DEFAULT_RESIDUAL) - 1;
  return (tw_bounds){.input = 1023,
                     .query = 1023,
                     .key = 1023,
                     .value = 63,
                     .logit = 255,
                     .attention = residual,
                     .up = 1023,
                     .feed_forward = residual,
                     .residual = residual,
                     .variance_sum_min = 0.0625,
                     .variance_sum_max = 0x1p25 - 1,
                     .norm_weight = 63,
                     .norm_bias = 1023};
}

tw_bounds tw_bert_widened(const tw_bounds *measured, double margin) {
  tw_bounds b = *measured;
  // a sample of text says little about outliers: keep at least these
  const struct {
    double *bound, least;
  } widened[] = {{&b.input, 31},     {&b.query, 31},       {&b.key, 31},      {&b.value, 7},
                 {&b.logit, 15},     {&b.up, 31},          {&b.residual, 63}, {&b.variance_sum_max, 0},
                 {&b.attention, 63}, {&b.feed_forward, 63}};
  for (size_t i = 0; i < sizeof widened / sizeof *widened; i++)
    *widened[i].bound = fmax(*widened[i].bound * margin, widened[i].least);
  b.variance_sum_min /= margin;
  return b;
}

// z g with z the centred row and g = sqrt(d) 2^(-j/2): |z| <= sqrt(v) and v < 2^(j+1).
static double normalised(const tw_layer_shape *shape) { return 1.01 * sqrt(2.0 * shape->config.hidden); }

static double norm_product(const tw_layer_shape *shape, const tw_bounds *b) {
  return 1.01 * normalised(shape) * b->norm_weight;
}

static double norm_output(const tw_layer_shape *shape, const tw_bounds *b) {
  return 1.01 * norm_product(shape, b) + b->norm_bias;
}

// Sum of a row that a residual takes off its mean: of a norm's output, |z g P| has length sqrt(d), so that its elements
// add up to d norm_weight at most; of the layers' input, which the client's bound is for.
static double norm_total(const tw_layer_shape *shape, const tw_bounds *b) {
  return shape->config.hidden * (1.02 * b->norm_weight + b->norm_bias);
}
static double input_total(const tw_layer_shape *shape, const tw_bounds *b) {
  return shape->config.hidden * ldexp(1, tw_bits_for(b->input));
}

double tw_bert_largest(const tw_layer_shape *shape, const tw_bounds *last) {
  return shape->config.pre_norm ? last->residual : norm_output(shape, last);
}

// A row's element less the row's mean; and times gamma, as a norm by key takes it.
static double centred(const tw_bounds *b) { return fmin(2 * b->residual, sqrt(b->variance_sum_max)); }
static double centred_product(const tw_bounds *b) { return 1.01 * centred(b) * b->norm_weight; }

// Extended element by element for the row's mean, and less its mean for the sum of squares.
static int residual_ring(const tw_layer_shape *shape, const tw_bounds *b) {
  int element = TW_SCALE + tw_wire_room(shape) + tw_bits_for(fmax(b->residual, fmax(b->attention, b->feed_forward)));
  return tw_larger(element, TW_SCALE + 2 + tw_bits_for(centred(b)));
}

// Products and activations of one layer.
static void choose_products(const tw_layer_shape *shape, const tw_bounds *b, tw_rings *r) {
  int shift, residual = residual_ring(shape, b), spec = shape->activation->ring;
  tw_query_fold(&shape->config, &shift);
  // differences of two logits, each dithered to 1/16
  r->logit = tw_larger(TW_SCALE + 1 + tw_bits_for(2 * b->logit + 0.25), tw_spec_exp.ring);
  if (shape->guard) r->logit = tw_larger(r->logit, TW_SCALE + TW_GUARD_BITS + tw_bits_for(b->logit));
  r->query_scale = TW_SCALE - 1;  // coarser for wide heads and large logits, whose product would not fit otherwise
  do r->qk = r->logit + 2 * r->query_scale + shift - TW_SCALE;
  while (r->qk + 2 * TW_SCALE - r->query_scale > NORM_WIDEST && r->query_scale-- > COARSEST_QUERY);
  int query = r->qk + 2 * TW_SCALE - r->query_scale;
  // e <= 1: their sum is at most S, that of e v at most S times the power of two up to which v passes the guard
  double sum = shape->seq * fmax(tw_below(tw_bits_for(b->value)), 1);
  r->context = TW_SCALE + 2 + tw_bits_for(sum);
  r->v = r->context + TW_SCALE;
  int value =
      r->v + TW_SCALE <= NORM_WIDEST ? r->v + TW_SCALE : 2 * TW_SCALE + tw_wire_room(shape) + tw_bits_for(b->value);
  r->qkv = tw_larger(query, value);  // V is extended from there to r->v where that is wider
  r->out = r->down = residual + TW_SCALE;
  int window = shape->activation->width + shape->activation->low_bits + 2;
  r->activation = tw_larger(TW_SCALE + tw_wire_room(shape) + tw_bits_for(b->up), tw_larger(window, spec));
  r->up = r->activation + TW_SCALE;
  r->product = shape->by_key & TW_ROOTS_BY_KEY ? 2 * TW_SCALE + 2 + tw_bits_for(centred_product(b))
                                               : TW_SCALE + 14 + 2 + tw_bits_for(norm_product(shape, b));
  r->squares = 54;  // of sums from 2^-4 to 2^25
  r->exponents = TW_BERT_HIGHEST + 1 - TW_BERT_LOWEST;
  r->highest = TW_BERT_HIGHEST;
  r->input = tw_larger(r->qkv, residual);
  r->input_limit = TW_SCALE + tw_bits_for(b->input);
  r->value_limit = TW_SCALE + tw_bits_for(b->value);
}

// Ring of a wire whose row sums, with this bound, are extended.
static int total_ring(double total) { return TW_SCALE + 2 + tw_bits_for(total); }

// Where norms take no mean the rows that a residual reads hold their own sums.
static tw_status hold_totals(const tw_layer_shape *shape, int layer, const tw_bounds *b, tw_rings *r) {
  if (!shape->centred) return TW_OK;
  bool first = layer == 0, last = layer + 1 == shape->config.layers;
  int norm = total_ring(norm_total(shape, b)), input = total_ring(input_total(shape, b));
  if (norm > NORM_WIDEST)
    return tw_refuse_ring(layer, "norm output (sum of a row)", norm, NORM_WIDEST, norm_total(shape, b));
  if (first && input > NORM_WIDEST)
    return tw_refuse_ring(layer, "layer input (sum of a row)", input, NORM_WIDEST, input_total(shape, b));
  if (first) r->input = tw_larger(r->input, input);
  r->norm1 = tw_larger(r->norm1, norm);
  if (!last) r->norm2 = tw_larger(r->norm2, norm);
  return TW_OK;
}

static tw_status check_norm(const tw_layer_shape *shape, int layer, const tw_bounds *b, const tw_rings *r) {
  int output = TW_SCALE + 1 + tw_bits_for(norm_output(shape, b));
  int narrowest = r->norm1 < r->norm2 ? r->norm1 : r->norm2;
  if (r->product > 48) return tw_refuse_ring(layer, "norm weight (gamma)", r->product, 48, b->norm_weight);
  if (output > narrowest) return tw_refuse_ring(layer, "norm output", output, narrowest, norm_output(shape, b));
  if (b->variance_sum_max >= 0x1p25)
    return tw_refuse_ring(layer, "norm variance (sum of squares)", 55, 54, b->variance_sum_max);
  if (b->variance_sum_min < 0x1p-4)
    return tw_fail(TW_ERR_RANGE,
                   "plan refused: layer %d, tensor norm variance: a row's sum of squares of %.3g is below 2^-4; "
                   "rows this flat cannot be normalised at scale %d (a smaller --margin widens measured bounds less)",
                   layer, b->variance_sum_min, TW_SCALE);
  return TW_OK;
}

static tw_status check_layer(const tw_layer_shape *shape, int layer, const tw_bounds *b, const tw_rings *r) {
  int residual = r->out - TW_SCALE, extra = tw_wire_room(shape);
  int input = TW_SCALE + extra + tw_bits_for(b->input);
  int query = r->query_scale + extra + tw_bits_for(fmax(b->query, b->key)), qk = r->qk + 2 * TW_SCALE - r->query_scale;
  if (input > r->input) return tw_refuse_ring(layer, "layer input", input, r->input, b->input);
  if (qk > NORM_WIDEST) return tw_refuse_ring(layer, "logits", qk, NORM_WIDEST, b->logit);
  if (query > r->qk) return tw_refuse_ring(layer, "query or key", query, r->qk, fmax(b->query, b->key));
  if (r->qkv > NORM_WIDEST) return tw_refuse_ring(layer, "value", r->qkv, NORM_WIDEST, b->value);
  if (r->v > 64) return tw_refuse_ring(layer, "sum of values", r->v, 64, b->value * shape->seq);
  if (r->up > NORM_WIDEST) return tw_refuse_ring(layer, "ffn-up", r->up, NORM_WIDEST, b->up);
  int widest = tw_larger(0, 64 - shape->reciprocal.out_scale - TW_SCALE);
  if (widest > RESIDUAL_WIDEST) widest = RESIDUAL_WIDEST;
  if (residual > widest) {
    double bound = fmax(b->residual, fmax(b->attention, b->feed_forward));
    return tw_refuse_ring(layer,
                          bound == b->residual    ? "residual"
                          : bound == b->attention ? "attention output"
                                                  : "feed-forward output",
                          residual, widest, bound);
  }
  return check_norm(shape, layer, b, r);
}

void tw_bert_raise_bounds(const tw_layer_shape *shape, const tw_rings *r, tw_bounds *b) {
  tw_raise_layer(shape, r, residual_ring, b);
  tw_raise_to(&b->up, r->activation - TW_SCALE - tw_wire_room(shape));
}

tw_status tw_bert_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out) {
  int layers = shape->config.layers, stream = 0;
  for (int i = 0; i < layers; i++) {
    choose_products(shape, &bounds[i], &out[i]);
    if (out[i].out > stream) stream = out[i].out;
  }
  for (int i = 0; i < layers; i++) {
    tw_rings *r = &out[i];
    if (shape->config.pre_norm) {  // one residual stream through all layers
      r->out = r->down = stream;
      r->input = stream - TW_SCALE;
      r->norm1 = r->qkv;
      r->norm2 = r->up;
    } else {
      r->norm1 = tw_larger(r->up, r->out - TW_SCALE);
      r->norm2 = i + 1 < layers ? tw_larger(out[i + 1].input, out[i + 1].out - TW_SCALE)
                                : tw_larger(LAST_NORM, shape->last_ring);
    }
    TW_TRY(hold_totals(shape, i, &bounds[i], r));
    TW_TRY(check_layer(shape, i, &bounds[i], r));
  }
  return TW_OK;
}
