#include "jobs/models/head.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/bert_tensors.h"
#include "jobs/models/float_matmul.h"

enum {
  WIDEST_ROWS = 64 - 15,  // what a norm puts out (jobs/models/bert_rings.c)
  MEAN_BITS = 20          // a mean's factor: 1/n to 2^-21, for n = 512 0.02 percent
};

// Numbers of the head's tensors: behind those of the layers.
static int first_tensor(const tw_model_config *c) {
  return tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, TW_BERT_IN_LAYER);
}
static int dense_weight(const tw_model_config *c) { return first_tensor(c) + TW_HEAD_DENSE_WEIGHT; }
static int out_weight(const tw_model_config *c) {
  return first_tensor(c) + (c->head.kind == TW_HEAD_TOKENS ? 0 : TW_HEAD_OUT_WEIGHT);
}

static bool has_dense(const tw_head *h) { return h->kind != TW_HEAD_TOKENS; }
static bool has_out(const tw_head *h) { return h->kind != TW_HEAD_DENSE; }

// ---- bounds and rings

tw_head_bounds tw_head_default_bounds(void) { return (tw_head_bounds){.dense = 1023, .outputs = 1023}; }

tw_head_bounds tw_head_widened(const tw_head_bounds *measured, double margin) {
  return (tw_head_bounds){fmax(measured->dense * margin, 31), fmax(measured->outputs * margin, 31)};
}

static int bits_for(double bound) { return bound < 1 ? 0 : (int)floor(log2(bound)) + 1; }
static int larger(int a, int b) { return a > b ? a : b; }
static int room(const tw_layer_shape *shape) { return shape->guard ? TW_GUARD_BITS : 2; }

static tw_status refuse(const char *what, int ring, double bound) {
  return tw_fail(TW_ERR_RANGE,
                 "plan refused: tensor %s: bound %.4g needs a ring of %d bits, at most %d fit; lower the bound (`twain "
                 "plan --calibrate` measures it)",
                 what, bound, ring, WIDEST_ROWS);
}

tw_status tw_head_choose_rings(const tw_layer_shape *shape, const tw_head_bounds *bounds, double largest_row,
                               tw_head_rings *out) {
  const tw_head *h = &shape->config.head;
  int extra = room(shape);
  *out = (tw_head_rings){.rows = 0};
  if (has_out(h)) out->outputs = out->rows = 2 * TW_SCALE + extra + bits_for(bounds->outputs);
  if (has_dense(h)) {
    const tw_spec *spec = *h->activation ? tw_spec_by_name(h->activation) : NULL;
    int argument = TW_SCALE + extra + bits_for(bounds->dense);
    if (spec) argument = larger(argument, larger(spec->width + spec->low_bits + 2, spec->ring));
    out->dense = out->rows = argument + TW_SCALE;
  }
  if (h->kind == TW_HEAD_DENSE && h->rows == TW_OUTPUT_POOLED) {
    int mean = TW_SCALE + MEAN_BITS + extra + bits_for(largest_row);
    if (mean > WIDEST_ROWS) return refuse("mean of the output rows", mean, largest_row);
    out->rows = WIDEST_ROWS;
  }
  if (out->dense > WIDEST_ROWS) return refuse("head.dense", out->dense, bounds->dense);
  if (out->outputs > WIDEST_ROWS) return refuse("head.out", out->outputs, bounds->outputs);
  return TW_OK;
}

void tw_head_raise_bounds(const tw_layer_shape *shape, const tw_head_rings *rings, tw_head_bounds *bounds) {
  double unit = ldexp(1, -TW_SCALE);
  int taken = 2 * TW_SCALE + room(shape);
  if (rings->dense) bounds->dense = fmax(bounds->dense, ldexp(1, rings->dense - taken) - unit);
  if (rings->outputs) bounds->outputs = fmax(bounds->outputs, ldexp(1, rings->outputs - taken) - unit);
}

// ---- the program

static int truncate(tw_builder *b, bool exact, int x) {
  return exact ? tw_truncate_faithful(b, x, TW_SCALE) : tw_truncate(b, x, TW_SCALE);
}

// The mean over live rows in ring `ring`: opened afresh, as the sum's mask has a factor, and once more, as it is
// narrower then.
static int mean_of(tw_builder *b, int x, tw_tokens tokens, size_t hidden, int ring) {
  x = tw_reduce(b, x, WIDEST_ROWS);
  x = tw_open(b, tw_as_share(b, tw_mean_live(b, x, tokens, hidden, MEAN_BITS)));
  x = tw_truncate(b, x, MEAN_BITS);
  tw_declare(b, x, "head mean", 0, TW_BY_ROW, 1, (tw_tokens){1, 1, 0, false});
  return tw_open(b, tw_extend(b, x, ring));
}

int tw_build_head(tw_builder *b, const tw_layer_shape *shape, const tw_head_rings *rings, bool exact, int x) {
  const tw_model_config *c = &shape->config;
  const tw_head *h = &c->head;
  size_t seq = (size_t)shape->seq, hidden = (size_t)c->hidden, outputs = (size_t)h->outputs;
  tw_tokens all = {seq, seq, 0, c->causal}, one = {1, 1, 0, false}, tokens = h->rows == TW_OUTPUT_TOKENS ? all : one;
  tw_step_begin(b, -1, "head dense");
  x = h->rows == TW_OUTPUT_POOLED ? mean_of(b, x, all, hidden, rings->dense)
                                  : tw_build_pooled(b, h->rows, x, all, hidden);
  if (has_dense(h)) {
    size_t wide = has_out(h) ? hidden : outputs;
    x = tw_open(b, tw_linear(b, x, dense_weight(c), hidden, wide, rings->dense, TW_SCALE));
    x = truncate(b, exact && !has_out(h), x);
    tw_declare(b, x, "head dense", 0, TW_BY_ROW, 1, tokens);
    if (*h->activation) {
      tw_step_begin(b, -1, h->activation);
      x = tw_apply_spec(b, x, tw_spec_by_name(h->activation), has_out(h) ? rings->outputs : rings->dense - TW_SCALE);
      if (has_out(h)) x = tw_open(b, x);
    }
  }
  if (!has_out(h)) return x;
  tw_step_begin(b, -1, "head out");
  x = truncate(b, exact, tw_open(b, tw_linear(b, x, out_weight(c), hidden, outputs, rings->outputs, TW_SCALE)));
  tw_declare(b, x, "head out", 0, TW_BY_ROW, 1, tokens);
  return x;
}

// ---- in double precision

// z [rows][cols] = x W + b, with the tensors rounded when quantised.
static tw_status linear(const tw_model *model, int weight, int quantised, const double *x, int rows, double *z) {
  const tw_model_tensor *t = &model->tensors[weight], *bias = t + 1;
  double *w, units[2] = {ldexp(1, TW_SCALE), ldexp(1, TW_BIAS_SCALE)};
  TW_TRY(tw_alloc(t->rows * t->cols * sizeof *w, (void **)&w));
  for (size_t i = 0; i < t->rows * t->cols; i++)
    w[i] = quantised ? rint(t->values[i] * units[0]) / units[0] : (double)t->values[i];
  tw_status status = tw_float_matmul(x, w, (size_t)rows, t->rows, t->cols, z);
  for (size_t i = 0; i < (size_t)rows * t->cols; i++) {
    double add = bias->values[i % t->cols];
    z[i] += quantised ? rint(add * units[1]) / units[1] : add;
  }
  tw_free(w);
  return status;
}

static void observe(double *bound, const double *values, size_t n) {
  for (size_t i = 0; i < n; i++) *bound = fmax(*bound, fabs(values[i]));
}

// From rows [count][hidden].
static tw_status head_of(const tw_model *model, const double *rows, int count, int quantised, double *middle,
                         double *out, tw_head_bounds *bounds) {
  const tw_model_config *c = &model->config;
  const tw_head *h = &c->head;
  if (has_dense(h)) {
    double *to = has_out(h) ? middle : out;
    size_t n = (size_t)count * (size_t)(has_out(h) ? c->hidden : h->outputs);
    TW_TRY(linear(model, dense_weight(c), quantised, rows, count, to));
    if (bounds) observe(&bounds->dense, to, n);
    const tw_spec *spec = *h->activation ? tw_spec_by_name(h->activation) : NULL;
    for (size_t i = 0; spec && i < n; i++) to[i] = spec->f(to[i]);
    rows = middle;
  }
  if (!has_out(h)) return TW_OK;
  TW_TRY(linear(model, out_weight(c), quantised, rows, count, out));
  if (bounds) observe(&bounds->outputs, out, (size_t)count * (size_t)h->outputs);
  return TW_OK;
}

tw_status tw_float_head(const tw_model *model, const double *rows, int length, int quantised, double *out,
                        tw_head_bounds *bounds) {
  const tw_model_config *c = &model->config;
  int count = c->head.rows == TW_OUTPUT_TOKENS ? length : 1;
  size_t hidden = (size_t)c->hidden;
  double *pooled, *middle;
  TW_TRY(tw_alloc((size_t)count * 2 * hidden * sizeof *pooled, (void **)&pooled));
  middle = pooled + (size_t)count * hidden;
  if (c->head.rows == TW_OUTPUT_POOLED)
    tw_pool_mean(rows, length, c->hidden, pooled);
  else
    memcpy(pooled, rows, (size_t)count * hidden * sizeof *rows);
  tw_status status = head_of(model, pooled, count, quantised, middle, out, bounds);
  tw_free(pooled);
  return status;
}
