#include "jobs/models/fold.h"

#include <math.h>

double tw_query_fold(int head_dim, int *shift) {
  // Half the logarithm, not the logarithm of the root: exact for powers of two, so that halves really are halves.
  double half = log2((double)head_dim) / 2, whole = rint(half);
  *shift = (int)whole;
  return exp2(whole - half);
}
