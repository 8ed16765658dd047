// The median of repeated measurements.
#ifndef TW_MEDIAN_H
#define TW_MEDIAN_H

double tw_median(double *values, int count);  // sorts them; count > 0

#endif
