// How many sequences differ by how much, and which differ most.
#ifndef TW_APP_DIFFERENCES_H
#define TW_APP_DIFFERENCES_H

#include "app/comparison.h"

// Bins of relative errors: ten to a power of ten, by the preferred numbers of ISO 3, from TW_LEAST_BIN to 1. The first
// has everything below, the last everything above, and what is no number.
#define TW_LEAST_BIN 1e-6
enum { TW_BINS = 62 };
double tw_bin_from(int bin);  // 0 of the first
double tw_bin_to(int bin);    // infinite of the last
int tw_bin_of(double error);

typedef struct {
  double median, most_of_99, largest;  // of 100 sequences 99 have `most_of_99` or less
} tw_error_spread;

typedef struct {
  int bins[TW_BINS];  // sequences by relative error
  tw_error_spread relative, rounded, absolute;
  double lowest_cosine;  // NAN where there is none
  uint64_t out_of_bound;
  int *by_error;  // [count] sequences, the largest relative error first; equal ones in their order
  int *by_gap;    // [others] those with another label, the widest gap first
  int others;
} tw_differences;

tw_status tw_differences_of(const tw_comparison *c, tw_differences *out);
void tw_differences_free(tw_differences *d);

#endif
