#include "jobs/models/float_model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/float_matmul.h"
#include "jobs/models/fold.h"

// Canonical tensors of a layer, in the order of io/model.h.
enum { QKV_W, QKV_B, OUT_W, OUT_B, GAMMA1, BETA1, UP_W, UP_B, DOWN_W, DOWN_B, GAMMA2, BETA2 };

typedef struct {
  const tw_model *model;
  int seq, length, quantised;
  double fold, logit_scale;  // f; 2^-shift
  double *weights;           // the tensor in use, in double
  double *vector;            // the bias, gamma or beta in use
  double *normed, *qkv, *context, *middle, *delta, *scores;
} workspace;

static double largest(double bound, double value) { return fmax(bound, fabs(value)); }

static void observe_all(double *bound, const double *values, size_t n) {
  double top = *bound;
  for (size_t i = 0; i < n; i++) top = largest(top, values[i]);
  *bound = top;
}

void tw_bounds_reset(tw_bounds *bounds, int layers) {
  memset(bounds, 0, (size_t)layers * sizeof *bounds);
  for (int i = 0; i < layers; i++) bounds[i].variance_sum_min = INFINITY;
}

tw_bounds tw_bounds_of_layer(const tw_model *model, int layer) {
  static const int parts[] = {GAMMA1, BETA1, GAMMA2, BETA2};
  tw_bounds b = {.norm_weight = 1, .norm_bias = 1};
  for (int i = 0; i < 4; i++) {
    const tw_model_tensor *t = &model->tensors[layer * TW_TENSORS_PER_LAYER + parts[i]];
    double *bound = i % 2 ? &b.norm_bias : &b.norm_weight;
    for (size_t c = 0; c < t->cols; c++)
      while (*bound < fabs((double)t->values[c])) *bound *= 2;
  }
  return b;
}

void tw_bounds_of_weights(const tw_model *model, tw_bounds *bounds) {
  for (int layer = 0; layer < model->config.layers; layer++) {
    tw_bounds own = tw_bounds_of_layer(model, layer);
    bounds[layer].norm_weight = own.norm_weight;
    bounds[layer].norm_bias = own.norm_bias;
  }
}

// Tensor `part` of a layer as the parties see it: Q columns folded, then rounded when quantised.
static const double *load(const workspace *w, int layer, int part, double *into) {
  int index = layer * TW_TENSORS_PER_LAYER + part;
  const tw_model_tensor *t = &w->model->tensors[index];
  size_t hidden = (size_t)w->model->config.hidden;
  double unit = ldexp(1, tw_model_tensor_scale(index));
  for (size_t r = 0; r < t->rows; r++)
    for (size_t c = 0; c < t->cols; c++) {
      double value = t->values[r * t->cols + c];
      if (part <= QKV_B && c < hidden) value *= w->fold;
      into[r * t->cols + c] = w->quantised ? rint(value * unit) / unit : value;
    }
  return into;
}

// z [seq][cols] = x W + b
static tw_status linear(workspace *w, int layer, int part, const double *x, double *z) {
  const tw_model_tensor *t = &w->model->tensors[layer * TW_TENSORS_PER_LAYER + part];
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

void tw_normalise_row(double *row, int n, double epsilon) {
  double mean = row_mean(row, n), sum = 0;
  for (int c = 0; c < n; c++) sum += (row[c] - mean) * (row[c] - mean);
  double factor = 1 / sqrt(sum / n + epsilon);
  for (int c = 0; c < n; c++) row[c] = (row[c] - mean) * factor;
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
  TW_TRY(linear(w, layer, QKV_W, x, w->qkv));
  if (bounds) observe_qkv(w, bounds);
  for (int i = 0; i < w->seq; i++) {
    int keys = config->causal && i < w->length ? i + 1 : w->length;
    for (int h = 0; h < config->heads; h++) attend_row(w, i, h, keys, i < w->length ? bounds : NULL);
  }
  TW_TRY(linear(w, layer, OUT_W, w->context, y));
  if (bounds) observe_all(&bounds->attention, y, (size_t)w->length * config->hidden);
  return TW_OK;
}

static void activate(const workspace *w, double *u, size_t n) {
  const double root2 = sqrt(2);
  if (strcmp(w->model->config.activation, "gelu") == 0)
    for (size_t i = 0; i < n; i++) u[i] = 0.5 * u[i] * (1 + erf(u[i] / root2));
  else
    for (size_t i = 0; i < n; i++) u[i] = u[i] / (1 + exp(-u[i]));
}

static tw_status feed_forward(workspace *w, int layer, const double *x, double *y, tw_bounds *bounds) {
  size_t width = (size_t)w->model->config.intermediate, live = (size_t)w->length * width;
  TW_TRY(linear(w, layer, UP_W, x, w->middle));
  if (bounds) observe_all(&bounds->up, w->middle, live);
  activate(w, w->middle, (size_t)w->seq * width);
  TW_TRY(linear(w, layer, DOWN_W, w->middle, y));
  if (bounds) observe_all(&bounds->feed_forward, y, (size_t)w->length * w->model->config.hidden);
  return TW_OK;
}

// x is replaced by the layer's output.
static tw_status forward_layer(workspace *w, int layer, double *x, tw_bounds *bounds) {
  size_t hidden = (size_t)w->model->config.hidden, n = (size_t)w->seq * hidden;
  bool pre = w->model->config.pre_norm;
  if (bounds) observe_all(&bounds->input, x, (size_t)w->length * hidden);
  for (int half = 0; half < 2; half++) {
    int gamma = half ? GAMMA2 : GAMMA1;
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

tw_status tw_float_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                           tw_bounds *bounds) {
  const tw_model_config *c = &model->config;
  if (length < 1 || length > seq)
    return tw_fail(TW_ERR_RANGE, "%s: %d live tokens in a sequence of %d", c->name, length, seq);
  if (strcmp(c->activation, "gelu") != 0 && strcmp(c->activation, "silu") != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: unknown activation %s", c->name, c->activation);
  int shift;
  workspace w = {.model = model, .seq = seq, .length = length, .quantised = quantised};
  w.fold = tw_query_fold(c->hidden / c->heads, &shift);
  w.logit_scale = ldexp(1, -shift);
  double *block;
  TW_TRY(reserve(&w, &block));
  memmove(out, x, (size_t)seq * c->hidden * sizeof *out);
  tw_status status = TW_OK;
  for (int i = 0; i < c->layers && status == TW_OK; i++) status = forward_layer(&w, i, out, bounds ? &bounds[i] : NULL);
  tw_free(block);
  return status;
}

void tw_pool_mean(const double *values, int length, int hidden, double *out) {
  for (int c = 0; c < hidden; c++) out[c] = 0;
  for (int i = 0; i < length; i++)
    for (int c = 0; c < hidden; c++) out[c] += values[(size_t)i * hidden + c];
  for (int c = 0; c < hidden; c++) out[c] /= length;
}

static double dot_product(const double *a, const double *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

void tw_unit_length(double *vector, int n) {
  double norm = sqrt(dot_product(vector, vector, n));
  for (int i = 0; i < n && norm > 0; i++) vector[i] /= norm;
}

double tw_cosine(const double *a, const double *b, int n) {
  return dot_product(a, b, n) / sqrt(dot_product(a, a, n) * dot_product(b, b, n));
}
