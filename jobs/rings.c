// Ring widths from bounds: capacity = ring - scale >= log2(bound) + 1, + 2 before an extension (protocols, section 9).
#include <math.h>

#include "jobs/fold.h"
#include "jobs/layer.h"

enum {
  SCALE = 12,
  NORM_WIDEST = 64 - 16,  // a norm's last product takes 16 bits more than its output
  RESIDUAL_WIDEST = 40,   // a norm's product of residual and root
  DEFAULT_RESIDUAL = 14,  // bits of an unmeasured residual element, and of a row's sum
  LAST_NORM = 32          // the model's output
};

tw_bounds tw_default_bounds(const tw_model_config *config) {
  double residual = ldexp(1, DEFAULT_RESIDUAL) - 1;
  return (tw_bounds){.logit = 255,
                     .context = 1023,
                     .residual = residual,
                     .row_mean = residual / config->hidden,
                     .up = 1023,
                     .centred = residual,
                     .variance_sum_min = 0.0625,
                     .variance_sum_max = 0x1p25 - 1,
                     .qkv = 1023,
                     .attention = 1023,
                     .activation = 1023};
}

static int bits_for(double bound) { return bound < 1 ? 0 : (int)floor(log2(bound)) + 1; }
static int larger(int a, int b) { return a > b ? a : b; }

// Residual rows are extended twice: elements centred, and their sum.
static int residual_ring(const tw_layer_shape *shape, const tw_bounds *b) {
  double sum = shape->rms_norm ? 0 : b->row_mean * shape->config.hidden;
  return SCALE + 2 + bits_for(fmax(fmax(b->residual, b->centred), sum));
}

static tw_status refuse(int layer, const char *tensor, int ring, int most, double bound) {
  return tw_fail(TW_ERR_RANGE,
                 "plan refused: layer %d, tensor %s: bound %.4g needs a ring of %d bits, at most %d fit; "
                 "lower the bound (plan --calibrate measures it) or use a model with smaller activations",
                 layer, tensor, bound, ring, most);
}

// Products and activations of one layer.
static void choose_products(const tw_layer_shape *shape, const tw_bounds *b, tw_rings *r) {
  int shift, residual = residual_ring(shape, b);
  tw_query_fold(shape->config.hidden / shape->config.heads, &shift);
  r->logit = larger(SCALE + 1 + bits_for(2 * b->logit), tw_spec_exp.ring);  // differences reach twice the bound
  r->qk = r->logit + 10 + shift;
  r->context = SCALE + 2 + bits_for(b->context);
  r->v = r->context + SCALE;
  r->qkv = larger(r->qk + SCALE + 1, r->v + SCALE);
  r->out = r->down = residual + SCALE;
  int window = shape->activation->width + shape->activation->low_bits + 2;
  r->activation = larger(SCALE + 2 + bits_for(b->up), larger(window, shape->activation->ring));
  r->up = r->activation + SCALE;
  r->input = larger(r->qkv, residual);
}

static tw_status check_layer(const tw_layer_shape *shape, int layer, const tw_bounds *b, const tw_rings *r) {
  int residual = r->out - SCALE, attention = SCALE + 1 + bits_for(b->attention);
  if (r->qk + SCALE + 1 > NORM_WIDEST) return refuse(layer, "logits", r->qk + SCALE + 1, NORM_WIDEST, b->logit);
  if (r->v + SCALE > NORM_WIDEST) return refuse(layer, "context", r->v + SCALE, NORM_WIDEST, b->context);
  if (r->up > NORM_WIDEST) return refuse(layer, "ffn-up", r->up, NORM_WIDEST, b->up);
  int widest = larger(0, 64 - shape->reciprocal.out_scale - SCALE);
  if (widest > RESIDUAL_WIDEST) widest = RESIDUAL_WIDEST;
  if (residual > widest) return refuse(layer, "residual", residual, widest, b->residual);
  if (attention > r->out) return refuse(layer, "attention output", attention, r->out, b->attention);
  if (SCALE + 1 + bits_for(shape->seq) > r->v)
    return refuse(layer, "row sum", SCALE + 1 + bits_for(shape->seq), r->v, shape->seq);
  if (b->variance_sum_max >= 0x1p25)
    return refuse(layer, "norm variance (sum of squares)", 55, 54, b->variance_sum_max);
  if (b->variance_sum_min < 0x1p-4)
    return tw_fail(TW_ERR_RANGE,
                   "plan refused: layer %d, tensor norm variance: a row's sum of squares of %.3g is below 2^-4; "
                   "rows this flat cannot be normalised at scale 12",
                   layer, b->variance_sum_min);
  return TW_OK;
}

tw_status tw_choose_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out) {
  int layers = shape->config.layers, stream = 0;
  for (int i = 0; i < layers; i++) {
    choose_products(shape, &bounds[i], &out[i]);
    if (out[i].out > stream) stream = out[i].out;
  }
  for (int i = 0; i < layers; i++) {
    tw_rings *r = &out[i];
    if (shape->config.pre_norm) {  // one residual stream through all layers
      r->out = r->down = stream;
      r->input = stream - SCALE;
      r->norm1 = r->qkv;
      r->norm2 = r->up;
    } else {
      r->norm1 = larger(r->up, r->out - SCALE);
      r->norm2 = i + 1 < layers ? larger(out[i + 1].input, out[i + 1].out - SCALE) : LAST_NORM;
    }
    TW_TRY(check_layer(shape, i, &bounds[i], r));
  }
  return TW_OK;
}
