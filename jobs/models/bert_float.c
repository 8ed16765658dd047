// BERT encoders in double precision.
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/bert_tensors.h"
#include "jobs/models/bert.h"
#include "jobs/models/float_parts.h"
#include "jobs/models/fold.h"

typedef struct {
  const tw_model *model;
  int seq, length, quantised;
  double (*activation)(double);
  double logit_scale;  // 2^-shift
  double *normed, *qkv, *context, *middle, *delta, *scores;
} workspace;

static int number(const workspace *w, int layer, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&w->model->config), w->model->config.layers, layer, entry);
}

// z [seq][cols] = x W + b
static tw_status linear(const workspace *w, int layer, int part, const double *x, double *z) {
  return tw_float_linear(w->model, number(w, layer, part), w->quantised, x, (size_t)w->seq, z);
}

// y = LN(x); x and y may be the same.
static tw_status norm(const workspace *w, int layer, int part, const double *x, double *y, tw_bounds *b) {
  return tw_float_norm(w->model, number(w, layer, part), false, w->quantised, x, (size_t)w->seq, (size_t)w->length, y,
                       b ? &b->variance_sum_min : NULL, b ? &b->variance_sum_max : NULL);
}

// One query row of one head: logits against `keys` keys, exponentials, weighted sum of values, division.
static void attend_row(const workspace *w, int row, int head, int keys, tw_bounds *bounds) {
  int hidden = w->model->config.hidden, d = hidden / w->model->config.heads;
  size_t stride = 3 * (size_t)hidden;
  const double *q = w->qkv + row * stride + (size_t)head * d, *k = w->qkv + hidden + (size_t)head * d, *v = k + hidden;
  double *context = w->context + (size_t)row * hidden + (size_t)head * d, top = -INFINITY, sum = 0;
  for (int j = 0; j < keys; j++) {
    double dot = 0;
    for (int c = 0; c < d; c++) dot += q[c] * k[j * stride + c];
    w->scores[j] = dot * w->logit_scale;
    top = fmax(top, w->scores[j]);
  }
  if (bounds) tw_observe(&bounds->logit, w->scores, (size_t)keys);
  for (int c = 0; c < d; c++) context[c] = 0;
  for (int j = 0; j < keys; j++) {
    double e = exp(w->scores[j] - top);
    sum += e;
    for (int c = 0; c < d; c++) context[c] += e * v[j * stride + c];
  }
  for (int c = 0; c < d; c++) context[c] /= sum;
}

static void observe_qkv(const workspace *w, tw_bounds *bounds) {
  double *const of[] = {&bounds->query, &bounds->key, &bounds->value};
  size_t hidden = (size_t)w->model->config.hidden;
  for (int i = 0; i < 3 * w->length; i++) tw_observe(of[i % 3], w->qkv + (size_t)i * hidden, hidden);
}

static tw_status attention(const workspace *w, int layer, const double *x, double *y, tw_bounds *bounds) {
  const tw_model_config *config = &w->model->config;
  TW_TRY(linear(w, layer, TW_BERT_QKV_WEIGHT, x, w->qkv));
  if (bounds) observe_qkv(w, bounds);
  for (int i = 0; i < w->seq; i++) {
    int keys = config->causal && i < w->length ? i + 1 : w->length;
    for (int h = 0; h < config->heads; h++) attend_row(w, i, h, keys, i < w->length ? bounds : NULL);
  }
  TW_TRY(linear(w, layer, TW_BERT_OUT_WEIGHT, w->context, y));
  if (bounds) tw_observe(&bounds->attention, y, (size_t)w->length * config->hidden);
  return TW_OK;
}

static tw_status feed_forward(const workspace *w, int layer, const double *x, double *y, tw_bounds *bounds) {
  size_t width = (size_t)w->model->config.intermediate, live = (size_t)w->length * width;
  TW_TRY(linear(w, layer, TW_BERT_UP_WEIGHT, x, w->middle));
  if (bounds) tw_observe(&bounds->up, w->middle, live);
  for (size_t i = 0; i < (size_t)w->seq * width; i++) w->middle[i] = w->activation(w->middle[i]);
  TW_TRY(linear(w, layer, TW_BERT_DOWN_WEIGHT, w->middle, y));
  if (bounds) tw_observe(&bounds->feed_forward, y, (size_t)w->length * w->model->config.hidden);
  return TW_OK;
}

// Of x + y with and without its rows' means: a plan's residuals have them or not.
static void observe_residual(const workspace *w, const double *x, tw_bounds *bounds) {
  size_t hidden = (size_t)w->model->config.hidden;
  tw_observe(&bounds->residual, x, (size_t)w->length * hidden);
  if (tw_model_centres(&w->model->config)) tw_observe_centred(&bounds->residual, x, (size_t)w->length, hidden);
}

// x is replaced by the layer's output.
static tw_status forward_layer(const workspace *w, int layer, double *x, tw_bounds *bounds) {
  size_t hidden = (size_t)w->model->config.hidden, n = (size_t)w->seq * hidden;
  bool pre = w->model->config.pre_norm;
  if (bounds) tw_observe(&bounds->input, x, (size_t)w->length * hidden);
  for (int half = 0; half < 2; half++) {
    int gamma = half ? TW_BERT_NORM2_GAMMA : TW_BERT_NORM1_GAMMA;
    if (pre) TW_TRY(norm(w, layer, gamma, x, w->normed, bounds));
    const double *input = pre ? w->normed : x;
    TW_TRY(half ? feed_forward(w, layer, input, w->delta, bounds) : attention(w, layer, input, w->delta, bounds));
    for (size_t i = 0; i < n; i++) x[i] += w->delta[i];
    if (bounds) observe_residual(w, x, bounds);
    if (!pre) TW_TRY(norm(w, layer, gamma, x, x, bounds));
  }
  return TW_OK;
}

static tw_status reserve(workspace *w, double **block) {
  const tw_model_config *c = &w->model->config;
  size_t seq = (size_t)w->seq, hidden = (size_t)c->hidden, middle = (size_t)c->intermediate;
  TW_TRY(tw_alloc(seq * (6 * hidden + middle + 1) * sizeof(double), (void **)block));
  double *next = *block;
  w->normed = next, next += seq * hidden;
  w->qkv = next, next += seq * 3 * hidden;
  w->context = next, next += seq * hidden;
  w->delta = next, next += seq * hidden;
  w->middle = next, next += seq * middle;
  w->scores = next;
  return TW_OK;
}

tw_status tw_bert_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                          tw_bounds *bounds) {
  const tw_model_config *c = &model->config;
  int shift;
  tw_query_fold(c, &shift);
  workspace w = {.model = model,
                 .seq = seq,
                 .length = length,
                 .quantised = quantised,
                 .activation = tw_spec_by_name(c->activation)->f,
                 .logit_scale = ldexp(1, -shift)};
  double *block;
  TW_TRY(reserve(&w, &block));
  memmove(out, x, (size_t)seq * c->hidden * sizeof *out);
  tw_status status = TW_OK;
  for (int i = 0; i < c->layers && status == TW_OK; i++) status = forward_layer(&w, i, out, bounds ? &bounds[i] : NULL);
  tw_free(block);
  return status;
}
