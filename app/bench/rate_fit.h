// Rates (jobs/plan/rates.h) from operations that were timed: the least squares that are no less than zero.
#ifndef TW_RATE_FIT_H
#define TW_RATE_FIT_H

#include "jobs/plan/estimate.h"

typedef struct {
  const char *gate;
  tw_work work;
  double seconds;
} tw_timed_op;

// Gates' rates and multiply-adds of *rates; of each gate all operations together take what they took.
tw_status tw_fit_rates(const tw_timed_op *ops, int count, tw_rates *rates);

#endif
