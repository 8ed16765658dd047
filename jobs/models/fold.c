#include "jobs/models/fold.h"

#include <math.h>

double tw_query_fold(const tw_model_config *config, int *shift) {
  *shift = 0;
  if (config->unscaled_logits) return 1;
  // Half the logarithm, not the logarithm of the root: exact for powers of two, so that halves really are halves.
  double half = log2((double)tw_config_head_dim(config)) / 2, whole = rint(half);
  *shift = (int)whole;
  return exp2(whole - half);
}

double tw_tensor_fold(const tw_model_config *config, const tw_tensor_entry *entry, size_t *columns) {
  int shift;
  *columns = entry->query ? (size_t)tw_config_query_width(config) : 0;
  return tw_query_fold(config, &shift);
}
