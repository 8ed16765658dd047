#include "jobs/models/decoder_float.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "jobs/models/float_parts.h"
#include "jobs/models/fold.h"
#include "jobs/models/rotary.h"
#include "jobs/models/spec.h"

typedef struct {
  const tw_model *model;
  const tw_decoder_layout *layout;
  int seq, length, quantised, layer;
  const tw_float_prefix *prefix;
  int heads, kv_heads, head_dim;
  size_t hidden, q_width, kv_width, inner;
  double (*activation)(double);
  double logit_scale;   // 2^-shift
  double *frequencies;  // [head_dim / 2], where positions turn Q and K
  double *normed, *qkv, *context, *gate, *up, *delta, *scores;
} workspace;

static int number(const workspace *w, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&w->model->config), w->model->config.layers, w->layer, entry);
}

static tw_status linear(const workspace *w, int entry, const double *x, double *z) {
  return tw_float_linear(w->model, number(w, entry), w->quantised, x, (size_t)w->seq, z);
}

// Rows that a run has: live ones behind the prefix.
static bool counts(const workspace *w, int row) { return row >= w->prefix->rows && row < w->length; }
static void observe(const workspace *w, double *bound, const double *rows, size_t width) {
  size_t first = (size_t)w->prefix->rows;
  tw_observe(bound, rows + first * width, ((size_t)w->length - first) * width);
}

static tw_status norm(const workspace *w, int entry, const double *x, tw_bounds *b) {
  size_t first = (size_t)w->prefix->rows, hidden = w->hidden, seq = (size_t)w->seq;
  bool rms = w->layout->rms_norm;
  if (first) TW_TRY(tw_float_norm(w->model, number(w, entry), rms, w->quantised, x, first, 0, w->normed, NULL, NULL));
  return tw_float_norm(w->model, number(w, entry), rms, w->quantised, x + first * hidden, seq - first,
                       (size_t)w->length - first, w->normed + first * hidden, b ? &b->variance_sum_min : NULL,
                       b ? &b->variance_sum_max : NULL);
}

// Of the prefix, what attention reads: keys and values.
static void observe_qkv(const workspace *w, tw_bounds *b) {
  for (int i = 0; b && i < w->length; i++) {
    const double *row = w->qkv + (size_t)i * (w->q_width + 2 * w->kv_width);
    if (counts(w, i)) tw_observe(&b->query, row, w->q_width);
    tw_observe(&b->key, row + w->q_width, w->kv_width);
    tw_observe(&b->value, row + w->q_width + w->kv_width, w->kv_width);
  }
}

static void keep(const workspace *w) {
  size_t n = w->kv_width, stride = w->q_width + 2 * n, at = (size_t)w->layer * (size_t)w->seq * n;
  for (size_t i = 0; w->prefix->keys && i < (size_t)w->seq; i++) {
    memcpy(w->prefix->keys + at + i * n, w->qkv + i * stride + w->q_width, n * sizeof(double));
    memcpy(w->prefix->values + at + i * n, w->qkv + i * stride + w->q_width + n, n * sizeof(double));
  }
}

static void turn(const workspace *w) {
  for (int i = 0; i < w->seq; i++) {
    double *row = w->qkv + (size_t)i * (w->q_width + 2 * w->kv_width);
    tw_rotary_turn(row, w->heads, w->head_dim, w->frequencies, i);
    tw_rotary_turn(row + w->q_width, w->kv_heads, w->head_dim, w->frequencies, i);
  }
}

// One query row of one head over keys first .. first + keys.
static void attend(const workspace *w, int row, int head, int first, int keys, tw_bounds *bounds) {
  size_t stride = w->q_width + 2 * w->kv_width, d = (size_t)w->head_dim;
  size_t shared = (size_t)(head / (w->heads / w->kv_heads)) * d;
  const double *q = w->qkv + (size_t)row * stride + (size_t)head * d;
  const double *k = w->qkv + (size_t)first * stride + w->q_width + shared, *v = k + w->kv_width;
  double *context = w->context + (size_t)row * w->q_width + (size_t)head * d, top = -INFINITY, sum = 0;
  for (int j = 0; j < keys; j++) {
    double dot = 0;
    for (size_t c = 0; c < d; c++) dot += q[c] * k[(size_t)j * stride + c];
    w->scores[j] = dot * w->logit_scale;
    top = fmax(top, w->scores[j]);
  }
  if (bounds) tw_observe(&bounds->logit, w->scores, (size_t)keys);
  for (size_t c = 0; c < d; c++) context[c] = 0;
  for (int j = 0; j < keys; j++) {
    double e = exp(w->scores[j] - top);
    sum += e;
    for (size_t c = 0; c < d; c++) context[c] += e * v[(size_t)j * stride + c];
  }
  for (size_t c = 0; c < d; c++) context[c] /= sum;
}

static tw_status attention(const workspace *w, tw_bounds *bounds) {
  int window = tw_config_window(&w->model->config, w->layer);
  TW_TRY(linear(w, w->layout->qkv, w->normed, w->qkv));
  observe_qkv(w, bounds);
  if (w->frequencies) turn(w);
  observe_qkv(w, bounds);
  keep(w);
  for (int i = 0; i < w->seq; i++) {
    int last = i < w->length ? i : w->length - 1;  // a row without a token sees all of them
    int first = window && last >= window ? last - window + 1 : 0;
    for (int h = 0; h < w->heads; h++) attend(w, i, h, first, last - first + 1, counts(w, i) ? bounds : NULL);
  }
  TW_TRY(linear(w, w->layout->out, w->context, w->delta));
  if (bounds) observe(w, &bounds->attention, w->delta, w->hidden);
  return TW_OK;
}

static tw_status feed_forward(const workspace *w, tw_bounds *bounds) {
  size_t n = (size_t)w->seq * w->inner;
  TW_TRY(linear(w, w->layout->up, w->normed, w->up));
  if (bounds) observe(w, &bounds->up, w->up, w->inner);
  if (w->layout->gated) {
    TW_TRY(linear(w, w->layout->gate, w->normed, w->gate));
    if (bounds) observe(w, &bounds->gate, w->gate, w->inner);
    for (size_t i = 0; i < n; i++) w->up[i] *= w->activation(w->gate[i]);
    if (bounds) observe(w, &bounds->product, w->up, w->inner);
  } else {
    for (size_t i = 0; i < n; i++) w->up[i] = w->activation(w->up[i]);
  }
  TW_TRY(linear(w, w->layout->down, w->up, w->delta));
  if (bounds) observe(w, &bounds->feed_forward, w->delta, w->hidden);
  return TW_OK;
}

// x is replaced by the layer's output.
static tw_status forward_layer(const workspace *w, double *x, tw_bounds *bounds) {
  if (bounds) observe(w, &bounds->input, x, w->hidden);
  for (int half = 0; half < 2; half++) {
    TW_TRY(norm(w, half ? w->layout->norm2 : w->layout->norm1, x, bounds));
    TW_TRY(half ? feed_forward(w, bounds) : attention(w, bounds));
    for (size_t i = 0; i < (size_t)w->seq * w->hidden; i++) x[i] += w->delta[i];
    if (bounds) observe(w, &bounds->residual, x, w->hidden);
  }
  return TW_OK;
}

static tw_status reserve(workspace *w, double **block) {
  size_t seq = (size_t)w->seq, half = (size_t)w->head_dim / 2, gates = w->layout->gated ? w->inner : 0;
  size_t row = 2 * w->hidden + 2 * w->q_width + 2 * w->kv_width + w->inner + gates + 1;
  TW_TRY(tw_alloc((seq * row + half) * sizeof(double), (void **)block));
  double *next = *block;
  w->normed = next, next += seq * w->hidden;
  w->delta = next, next += seq * w->hidden;
  w->qkv = next, next += seq * (w->q_width + 2 * w->kv_width);
  w->context = next, next += seq * w->q_width;
  w->up = next, next += seq * w->inner;
  w->gate = next, next += seq * gates;
  w->scores = next, next += seq;
  if (w->model->config.rotary.kind != TW_ROTARY_NONE) w->frequencies = next;
  if (w->frequencies) tw_rotary_frequencies(&w->model->config, w->frequencies);
  return TW_OK;
}

tw_status tw_decoder_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                             tw_bounds *bounds) {
  return tw_decoder_forward_behind(model, &(tw_float_prefix){.rows = 0}, x, seq, length, quantised, out, bounds);
}

tw_status tw_decoder_forward_behind(const tw_model *model, const tw_float_prefix *prefix, const double *x, int seq,
                                    int length, int quantised, double *out, tw_bounds *bounds) {
  const tw_model_config *c = &model->config;
  int shift;
  tw_query_fold(c, &shift);
  workspace w = {.model = model,
                 .layout = tw_decoder_layout_of(c),
                 .seq = seq,
                 .length = length,
                 .prefix = prefix,
                 .quantised = quantised,
                 .heads = c->heads,
                 .kv_heads = tw_config_kv_heads(c),
                 .head_dim = tw_config_head_dim(c),
                 .hidden = (size_t)c->hidden,
                 .q_width = (size_t)tw_config_query_width(c),
                 .kv_width = (size_t)tw_config_kv_width(c),
                 .inner = (size_t)c->intermediate,
                 .activation = tw_spec_by_name(c->activation)->f,
                 .logit_scale = ldexp(1, -shift)};
  double *block;
  TW_TRY(reserve(&w, &block));
  memmove(out, x, (size_t)seq * w.hidden * sizeof *out);
  tw_status status = TW_OK;
  for (w.layer = 0; w.layer < c->layers && status == TW_OK; w.layer++)
    status = forward_layer(&w, out, bounds ? &bounds[w.layer] : NULL);
  tw_free(block);
  return status;
}

// ---- before and behind the layers

static int on_top(const tw_model *model, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&model->config), model->config.layers, 0, entry);
}

// Row i of words or positions; when quantised, as the parties share it.
static void table_row(const tw_model *model, int entry, int i, int quantised, double *row) {
  const tw_tensor_entry *e = tw_model_tensor_entry(&model->config, on_top(model, entry));
  size_t n = (size_t)model->config.hidden;
  const float *values = model->tensors[on_top(model, entry)].values + (size_t)i * n;
  if (quantised) tw_tensor_columns(&model->config, e, true, values, 0, n, row);
  for (size_t c = 0; c < n; c++) row[c] = quantised ? ldexp(row[c], -e->scale) : (double)values[c];
}

tw_status tw_float_embed(const tw_model *model, const int *tokens, int length, int quantised, double *x) {
  const tw_model_config *c = &model->config;
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  size_t n = (size_t)c->hidden;
  double *place;
  if (length < 1 || length > c->max_positions)
    return tw_fail(TW_ERR_RANGE, "%s: %d tokens; the model takes 1 to %d", c->name, length, c->max_positions);
  for (int i = 0; i < length; i++)
    if (tokens[i] < 0 || tokens[i] >= c->vocab)
      return tw_fail(TW_ERR_RANGE, "%s: token %d is number %d of %d", c->name, i, tokens[i], c->vocab);
  TW_TRY(tw_alloc(n * sizeof *place, (void **)&place));
  for (int i = 0; i < length; i++) {
    double *row = x + (size_t)i * n;
    table_row(model, layout->word, tokens[i], quantised, row);
    if (layout->position >= 0) table_row(model, layout->position, i, quantised, place);
    for (size_t k = 0; k < n; k++) row[k] += place[k];
  }
  tw_free(place);
  return TW_OK;
}

tw_status tw_float_decoder_rows(const tw_model *model, const double *rows, int count, int quantised, double *out,
                                tw_norm_bounds *b) {
  const tw_decoder_layout *layout = tw_decoder_layout_of(&model->config);
  return tw_float_norm(model, on_top(model, layout->final_norm), layout->rms_norm, quantised, rows, (size_t)count,
                       (size_t)count, out, b ? &b->variance_sum_min : NULL, b ? &b->variance_sum_max : NULL);
}
