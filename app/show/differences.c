#include "app/show/differences.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

double tw_bin_from(int bin) {
  static const double steps[] = {1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8};
  enum { STEPS = sizeof steps / sizeof *steps };
  if (bin == 0) return 0;
  return TW_LEAST_BIN * steps[(bin - 1) % STEPS] * pow(10, (bin - 1) / STEPS);
}

double tw_bin_to(int bin) { return bin + 1 < TW_BINS ? tw_bin_from(bin + 1) : INFINITY; }

int tw_bin_of(double error) {
  for (int bin = 0; bin + 1 < TW_BINS; bin++)
    if (error < tw_bin_to(bin)) return bin;
  return TW_BINS - 1;
}

// What is no number counts as larger than all others.
static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
  return (x > y) - (x < y);
}

static tw_error_spread spread_of(double *errors, int count) {
  qsort(errors, (size_t)count, sizeof *errors, by_size);
  double middle = errors[count / 2];
  if (count % 2 == 0) middle = (errors[count / 2 - 1] + middle) / 2;
  return (tw_error_spread){middle, errors[(99 * (int64_t)count + 99) / 100 - 1], errors[count - 1]};
}

typedef struct {
  double size;
  int sequence;
} place;

static int by_place(const void *a, const void *b) {
  const place *x = a, *y = b;
  int order = by_size(&y->size, &x->size);
  return order ? order : x->sequence - y->sequence;
}

static void order_by_error(const tw_comparison *c, place *places, tw_differences *d) {
  for (int s = 0; s < c->count; s++) places[s] = (place){c->sequences[s].relative_error, s};
  qsort(places, (size_t)c->count, sizeof *places, by_place);
  for (int s = 0; s < c->count; s++) d->by_error[s] = places[s].sequence;
  for (int s = 0; s < c->count; s++)
    if (c->sequences[s].decided_otherwise > 0) places[d->others++] = (place){c->sequences[s].widest_gap, s};
  qsort(places, (size_t)d->others, sizeof *places, by_place);
  for (int i = 0; i < d->others; i++) d->by_gap[i] = places[i].sequence;
}

static void measure(const tw_comparison *c, double *errors, tw_differences *d) {
  d->lowest_cosine = NAN;
  for (int s = 0; s < c->count; s++) {
    d->bins[tw_bin_of(c->sequences[s].relative_error)]++;
    d->lowest_cosine = fmin(d->lowest_cosine, c->sequences[s].cosine);
    d->out_of_bound += c->sequences[s].out_of_bound;
    errors[s] = c->sequences[s].relative_error;
  }
  d->relative = spread_of(errors, c->count);
  for (int s = 0; s < c->count; s++) errors[s] = c->sequences[s].relative_error_rounded;
  d->rounded = spread_of(errors, c->count);
  for (int s = 0; s < c->count; s++) errors[s] = c->sequences[s].largest_error;
  d->absolute = spread_of(errors, c->count);
}

tw_status tw_differences_of(const tw_comparison *c, tw_differences *out) {
  size_t count = (size_t)c->count;
  double *errors = NULL;
  place *places = NULL;
  *out = (tw_differences){.others = 0};
  tw_status status = tw_alloc(count * sizeof *out->by_error, (void **)&out->by_error);
  if (status == TW_OK) status = tw_alloc(count * sizeof *out->by_gap, (void **)&out->by_gap);
  if (status == TW_OK) status = tw_alloc(count * sizeof *errors, (void **)&errors);
  if (status == TW_OK) status = tw_alloc(count * sizeof *places, (void **)&places);
  if (status == TW_OK) {
    measure(c, errors, out);
    order_by_error(c, places, out);
  }
  tw_free(errors);
  tw_free(places);
  if (status != TW_OK) tw_differences_free(out);
  return status;
}

void tw_differences_free(tw_differences *d) {
  tw_free(d->by_error);
  tw_free(d->by_gap);
  *d = (tw_differences){.others = 0};
}
