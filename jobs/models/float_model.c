#include "jobs/models/float_model.h"

#include <math.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "io/tensors.h"
#include "jobs/models/architecture.h"
#include "jobs/models/decoder_float.h"

void tw_bounds_reset(tw_bounds *bounds, int layers) {
  memset(bounds, 0, (size_t)layers * sizeof *bounds);
  for (int i = 0; i < layers; i++) bounds[i].variance_sum_min = INFINITY;
}

// The powers of two from *weight and *bias on that hold the gammas and betas among `count` entries of the table.
static void hold_norms(const tw_model *model, int layer, int first, int count, double *weight, double *bias) {
  const tw_tensor_table *table = tw_tensor_table_of(&model->config);
  for (int i = first; i < first + count; i++) {
    tw_tensor_kind kind = tw_tensor_table_entry(table, i)->kind;
    if (kind != TW_GAMMA && kind != TW_BETA) continue;
    const tw_model_tensor *t = &model->tensors[tw_tensor_number(table, model->config.layers, layer, i)];
    double *bound = kind == TW_BETA ? bias : weight;
    for (size_t c = 0; c < t->cols; c++)
      while (*bound < fabs((double)t->values[c])) *bound *= 2;
  }
}

tw_bounds tw_bounds_of_layer(const tw_model *model, int layer) {
  tw_bounds b = {.norm_weight = 1, .norm_bias = 1};
  hold_norms(model, layer, 0, tw_tensor_table_of(&model->config)->in_layer, &b.norm_weight, &b.norm_bias);
  return b;
}

tw_norm_bounds tw_bounds_of_top(const tw_model *model) {
  const tw_tensor_table *table = tw_tensor_table_of(&model->config);
  tw_norm_bounds b = {.variance_sum_min = INFINITY, .norm_weight = 1, .norm_bias = 1};
  if (!tw_decoder_layout_of(&model->config)) return (tw_norm_bounds){0};
  hold_norms(model, 0, table->in_layer, table->on_top, &b.norm_weight, &b.norm_bias);
  return b;
}

void tw_bounds_of_weights(const tw_model *model, tw_bounds *bounds) {
  for (int layer = 0; layer < model->config.layers; layer++) {
    tw_bounds own = tw_bounds_of_layer(model, layer);
    bounds[layer].norm_weight = own.norm_weight;
    bounds[layer].norm_bias = own.norm_bias;
  }
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

tw_status tw_float_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                           tw_bounds *bounds) {
  const tw_model_config *c = &model->config;
  const tw_architecture *architecture = tw_architecture_by_name(c->architecture);
  if (length < 1 || length > seq)
    return tw_fail(TW_ERR_RANGE, "%s: %d live tokens in a sequence of %d", c->name, length, seq);
  if (!tw_activation_known(c->activation))
    return tw_fail(TW_ERR_FORMAT, "%s: unknown activation %s", c->name, c->activation);
  if (tw_decoder_layout_of(c)) return tw_decoder_forward(model, x, seq, length, quantised, out, bounds);
  if (!architecture) return tw_fail(TW_ERR_FORMAT, "%s: unknown architecture %s", c->name, c->architecture);
  return architecture->reference(model, x, seq, length, quantised, out, bounds);
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
