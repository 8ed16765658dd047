#include "jobs/models/float_parts.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/models/float_matmul.h"
#include "jobs/models/fold.h"

void tw_float_columns(const tw_model *model, int number, int quantised, size_t first, size_t count, double *out) {
  const tw_model_tensor *t = &model->tensors[number];
  const tw_tensor_entry *e = tw_model_tensor_entry(&model->config, number);
  double unit = ldexp(1, e->scale);
  for (size_t r = 0; r < t->rows; r++)
    tw_tensor_columns(&model->config, e, quantised, t->values + r * t->cols, first, count, out + r * count);
  for (size_t i = 0; i < t->rows * count; i++) out[i] /= unit;
}

tw_status tw_float_linear(const tw_model *model, int weight, int quantised, const double *x, size_t count, double *z) {
  enum { MOST = 1 << 22 };  // elements of a slice
  const tw_model_tensor *t = &model->tensors[weight];
  size_t width = MOST / t->rows;
  double *memory;
  if (width > t->cols) width = t->cols;
  if (width < 8) width = t->cols < 8 ? t->cols : 8;
  TW_TRY(tw_alloc((t->rows + 1 + count) * width * sizeof *memory, (void **)&memory));
  double *slice = memory, *bias = slice + t->rows * width, *product = bias + width;
  tw_status status = TW_OK;
  for (size_t first = 0; first < t->cols && status == TW_OK; first += width) {
    size_t n = t->cols - first < width ? t->cols - first : width;
    tw_float_columns(model, weight, quantised, first, n, slice);
    tw_float_columns(model, weight + 1, quantised, first, n, bias);
    status = tw_float_matmul(x, slice, count, t->rows, n, product);
    for (size_t i = 0; i < count; i++)
      for (size_t c = 0; c < n; c++) z[i * t->cols + first + c] = product[i * n + c] + bias[c];
  }
  tw_free(memory);
  return status;
}

static double sum_of_squares(const double *row, size_t n, double mean) {
  double sum = 0;
  for (size_t c = 0; c < n; c++) sum += (row[c] - mean) * (row[c] - mean);
  return sum;
}

static double row_mean(const double *row, size_t n) {
  double sum = 0;
  for (size_t c = 0; c < n; c++) sum += row[c];
  return sum / (double)n;
}

tw_status tw_float_norm(const tw_model *model, int gamma, bool rms, int quantised, const double *x, size_t count,
                        size_t live, double *y, double *least, double *most) {
  size_t n = (size_t)model->config.hidden;
  double *weights;
  TW_TRY(tw_alloc(2 * n * sizeof *weights, (void **)&weights));
  tw_float_columns(model, gamma, quantised, 0, n, weights);
  if (!rms) tw_float_columns(model, gamma + 1, quantised, 0, n, weights + n);
  for (size_t i = 0; i < count; i++) {
    const double *row = x + i * n;
    double mean = rms ? 0 : row_mean(row, n), sum = sum_of_squares(row, n, mean);
    double factor = 1 / sqrt(sum / (double)n + model->config.norm_epsilon);
    if (least && i < live) {
      *least = fmin(*least, sum);
      *most = fmax(*most, sum);
    }
    for (size_t c = 0; c < n; c++) y[i * n + c] = (row[c] - mean) * factor * weights[c] + weights[n + c];
  }
  tw_free(weights);
  return TW_OK;
}

void tw_observe(double *bound, const double *values, size_t n) {
  double top = *bound;
  for (size_t i = 0; i < n; i++) top = fmax(top, fabs(values[i]));
  *bound = top;
}

void tw_observe_centred(double *bound, const double *rows, size_t count, size_t n) {
  for (size_t i = 0; i < count; i++) {
    double mean = row_mean(rows + i * n, n);
    for (size_t c = 0; c < n; c++) *bound = fmax(*bound, fabs(rows[i * n + c] - mean));
  }
}
