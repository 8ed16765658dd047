#include "jobs/models/fold.h"

#include <math.h>

#include "jobs/models/architecture.h"

double tw_query_fold(const tw_model_config *config, int *shift) {
  *shift = 0;
  if (config->unscaled_logits) return 1;
  // Half the logarithm, not the logarithm of the root: exact for powers of two, so that halves really are halves.
  double half = log2((double)tw_config_head_dim(config)) / 2, whole = rint(half);
  *shift = (int)whole;
  return exp2(whole - half);
}

bool tw_model_centres(const tw_model_config *config) {
  const tw_architecture *a = tw_architecture_by_name(config->architecture);
  return a && a->centres && a->centres(config);
}

// A row without its mean, and which of its elements are not rounded to the nearest whole number, so that the row adds
// up to zero: as many as it takes, of those that lie farthest the other way, the first of equals.
typedef struct {
  double mean, step;  // step: what those elements take on, 1 or -1
  double off;         // the least distance, times step, of an element that does
  size_t last;        // the last of those at that distance
} balance;

enum { FEW = 32 };

// The `missing` elements that lie farthest off, at most FEW, in one walk: sorted, the first of equals first.
static void find_few(const float *values, double unit, size_t n, size_t missing, balance *b) {
  double off[FEW];
  size_t at[FEW], count = 0;
  for (size_t c = 0; c < n; c++) {
    double whole = (double)values[c] * unit - b->mean, own = (whole - rint(whole)) * b->step;
    if (count == missing && own <= off[count - 1]) continue;
    size_t i = count < missing ? count++ : count - 1;
    for (; i > 0 && off[i - 1] < own; i--) off[i] = off[i - 1], at[i] = at[i - 1];
    off[i] = own;
    at[i] = c;
  }
  b->off = off[missing - 1];
  b->last = at[missing - 1];
}

static balance balanced(const float *values, double unit, size_t n) {
  balance b = {.off = INFINITY};
  double sum = 0;
  for (size_t c = 0; c < n; c++) b.mean += (double)values[c] * unit;
  b.mean /= (double)n;
  for (size_t c = 0; c < n; c++) sum += rint((double)values[c] * unit - b.mean);
  b.step = sum > 0 ? -1 : 1;
  if (!(fabs(sum) <= (double)n)) return b;  // no real weights: they are refused when they are shared
  size_t missing = (size_t)fabs(sum);
  if (missing > 0 && missing <= FEW) {
    find_few(values, unit, n, missing, &b);
    return b;
  }
  for (; missing > 0; missing--) {
    balance next = {.off = -INFINITY};
    for (size_t c = 0; c < n; c++) {
      double whole = (double)values[c] * unit - b.mean, off = (whole - rint(whole)) * b.step;
      bool taken = off > b.off || (off == b.off && c <= b.last);
      if (taken || off <= next.off) continue;
      next.off = off;
      next.last = c;
    }
    b.off = next.off;
    b.last = next.last;
  }
  return b;
}

// Its elements from `first` to `end`.
static void centre(const float *values, size_t n, double unit, size_t first, size_t end, double *out) {
  balance b = balanced(values, unit, n);
  for (size_t c = first; c < end; c++) {
    double whole = (double)values[c] * unit - b.mean, off = (whole - rint(whole)) * b.step;
    out[c - first] = rint(whole) + (off > b.off || (off == b.off && c <= b.last) ? b.step : 0);
  }
}

void tw_tensor_columns(const tw_model_config *config, const tw_tensor_entry *entry, bool rounded, const float *values,
                       size_t first, size_t count, double *out) {
  int shift;
  size_t folded = entry->query ? (size_t)tw_config_query_width(config) : 0;
  double fold = tw_query_fold(config, &shift), unit = ldexp(1, entry->scale);
  if (rounded && entry->centred && tw_model_centres(config)) {
    size_t wide = entry->in_lines ? (size_t)config->hidden : entry->cols(config);  // a line holds rows of words
    for (size_t i = 0, begin; i < count; i = begin + wide - first) {
      begin = (first + i) / wide * wide;
      size_t end = begin + wide < first + count ? begin + wide : first + count;
      centre(values + begin, wide, unit, first + i - begin, end - begin, out + i);
    }
    return;
  }
  for (size_t i = 0; i < count; i++) {
    double value = (double)values[first + i] * (first + i < folded ? fold : 1) * unit;
    out[i] = rounded ? rint(value) : value;
  }
}
