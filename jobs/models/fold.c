#include "jobs/models/fold.h"

#include <math.h>

double tw_query_fold(int head_dim, int *shift) {
  // Half the logarithm, not the logarithm of the root: exact for powers of two, so that halves really are halves.
  double half = log2((double)head_dim) / 2, whole = rint(half);
  *shift = (int)whole;
  return exp2(whole - half);
}

double tw_tensor_fold(const tw_model_config *config, const tw_tensor_entry *entry, size_t *columns) {
  int shift;
  *columns = entry->query ? (size_t)config->hidden : 0;
  return tw_query_fold(config->hidden / config->heads, &shift);
}
