// BERT encoders in double precision.
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/bert_tensors.h"
#include "jobs/models/bert.h"
#include "jobs/models/float_matmul.h"
#include "jobs/models/fold.h"

typedef struct {
  const tw_model *model;
  int seq, length, quantised;
  double (*activation)(double);
  double logit_scale;  // 2^-shift
  double *weights;     // the tensor in use, in double
  double *vector;      // the bias, gamma or beta in use
  double *normed, *qkv, *context, *middle, *delta, *scores;
} workspace;

static double largest(double bound, double value) { return fmax(bound, fabs(value)); }

static void observe_all(double *bound, const double *values, size_t n) {
  double top = *bound;
  for (size_t i = 0; i < n; i++) top = largest(top, values[i]);
  *bound = top;
}

static int number(const workspace *w, int layer, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&w->model->config), w->model->config.layers, layer, entry);
}

// A layer's tensor as the parties see it: Q columns folded, then rounded when quantised.
static const double *load(const workspace *w, int layer, int entry, double *into) {
  const tw_model_tensor *t = &w->model->tensors[number(w, layer, entry)];
  const tw_tensor_entry *e = tw_tensor_table_entry(tw_tensor_table_of(&w->model->config), entry);
  size_t folded;
  double unit = ldexp(1, e->scale), fold = tw_tensor_fold(&w->model->config, e, &folded);
  for (size_t r = 0; r < t->rows; r++)
    for (size_t c = 0; c < t->cols; c++) {
      double value = t->values[r * t->cols + c] * (c < folded ? fold : 1);
      into[r * t->cols + c] = w->quantised ? rint(value * unit) / unit : value;
    }
  return into;
}

// z [seq][cols] = x W + b
static tw_status linear(workspace *w, int layer, int part, const double *x, double *z) {
  const tw_model_tensor *t = &w->model->tensors[number(w, layer, part)];
  const double *weight = load(w, layer, part, w->weights), *bias = load(w, layer, part + 1, w->vector);
  TW_TRY(tw_float_matmul(x, weight, (size_t)w->seq, t->rows, t->cols, z));
  for (int i = 0; i < w->seq; i++)
    for (size_t c = 0; c < t->cols; c++) z[(size_t)i * t->cols + c] += bias[c];
  return TW_OK;
}

static double row_mean(const double *row, int n) {
  double sum = 0;
  for (int c = 0; c < n; c++) sum += row[c];
  return sum / n;
}

static void observe_norm(tw_bounds *b, const double *row, int n) {
  double mean = row_mean(row, n), sum = 0;
  for (int c = 0; c < n; c++) sum += (row[c] - mean) * (row[c] - mean);
  b->variance_sum_min = fmin(b->variance_sum_min, sum);
  b->variance_sum_max = fmax(b->variance_sum_max, sum);
}

// y = LN(x); x and y may be the same.
static void norm(const workspace *w, int layer, int part, const double *x, double *y, tw_bounds *bounds) {
  int n = w->model->config.hidden;
  if (y != x) memcpy(y, x, (size_t)w->seq * n * sizeof *y);
  const double *v = load(w, layer, part, w->vector);
  for (int i = 0; i < w->seq; i++) {
    double *row = y + (size_t)i * n;
    if (bounds && i < w->length) observe_norm(bounds, row, n);
    tw_normalise_row(row, n, w->model->config.norm_epsilon);
    for (int c = 0; c < n; c++) row[c] *= v[c];
  }
  v = load(w, layer, part + 1, w->vector);
  for (int i = 0; i < w->seq; i++)
    for (int c = 0; c < n; c++) y[(size_t)i * n + c] += v[c];
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
  if (bounds) observe_all(&bounds->logit, w->scores, (size_t)keys);
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
  for (int i = 0; i < 3 * w->length; i++) observe_all(of[i % 3], w->qkv + (size_t)i * hidden, hidden);
}

static tw_status attention(workspace *w, int layer, const double *x, double *y, tw_bounds *bounds) {
  const tw_model_config *config = &w->model->config;
  TW_TRY(linear(w, layer, TW_BERT_QKV_WEIGHT, x, w->qkv));
  if (bounds) observe_qkv(w, bounds);
  for (int i = 0; i < w->seq; i++) {
    int keys = config->causal && i < w->length ? i + 1 : w->length;
    for (int h = 0; h < config->heads; h++) attend_row(w, i, h, keys, i < w->length ? bounds : NULL);
  }
  TW_TRY(linear(w, layer, TW_BERT_OUT_WEIGHT, w->context, y));
  if (bounds) observe_all(&bounds->attention, y, (size_t)w->length * config->hidden);
  return TW_OK;
}

static tw_status feed_forward(workspace *w, int layer, const double *x, double *y, tw_bounds *bounds) {
  size_t width = (size_t)w->model->config.intermediate, live = (size_t)w->length * width;
  TW_TRY(linear(w, layer, TW_BERT_UP_WEIGHT, x, w->middle));
  if (bounds) observe_all(&bounds->up, w->middle, live);
  for (size_t i = 0; i < (size_t)w->seq * width; i++) w->middle[i] = w->activation(w->middle[i]);
  TW_TRY(linear(w, layer, TW_BERT_DOWN_WEIGHT, w->middle, y));
  if (bounds) observe_all(&bounds->feed_forward, y, (size_t)w->length * w->model->config.hidden);
  return TW_OK;
}

// x is replaced by the layer's output.
static tw_status forward_layer(workspace *w, int layer, double *x, tw_bounds *bounds) {
  size_t hidden = (size_t)w->model->config.hidden, n = (size_t)w->seq * hidden;
  bool pre = w->model->config.pre_norm;
  if (bounds) observe_all(&bounds->input, x, (size_t)w->length * hidden);
  for (int half = 0; half < 2; half++) {
    int gamma = half ? TW_BERT_NORM2_GAMMA : TW_BERT_NORM1_GAMMA;
    if (pre) norm(w, layer, gamma, x, w->normed, bounds);
    const double *input = pre ? w->normed : x;
    TW_TRY(half ? feed_forward(w, layer, input, w->delta, bounds) : attention(w, layer, input, w->delta, bounds));
    for (size_t i = 0; i < n; i++) x[i] += w->delta[i];
    if (bounds) observe_all(&bounds->residual, x, (size_t)w->length * hidden);
    if (!pre) norm(w, layer, gamma, x, x, bounds);
  }
  return TW_OK;
}

static tw_status reserve(workspace *w, double **block) {
  const tw_model_config *c = &w->model->config;
  size_t seq = (size_t)w->seq, hidden = (size_t)c->hidden, middle = (size_t)c->intermediate;
  size_t wide = middle > 3 * hidden ? middle : 3 * hidden;
  TW_TRY(tw_alloc((hidden * wide + wide + seq * (6 * hidden + middle + 1)) * sizeof(double), (void **)block));
  double *next = *block;
  w->weights = next, next += hidden * wide;
  w->vector = next, next += wide;
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
