#include "jobs/models/noise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/model.h"
#include "kernels/deal_ops.h"

const char tw_noise_base[] = "noise.base", tw_noise_slope[] = "noise.slope";

// -ln(-ln U), U being z + 1/2 units of 2^-64 from 0, or from 1.
static double gumbel(double z, bool upper) {
  double u = ldexp(z + 0.5, -64);
  return -log(upper ? -log1p(-u) : -log(u));
}

tw_status tw_noise_tables(double temperature, tw_table out[2]) {
  enum { PIECES = 1 << TW_NOISE_BITS };
  for (int i = 0; i < 2; i++) {
    out[i] = (tw_table){.n = TW_NOISE_ENTRIES, .values = calloc(TW_NOISE_ENTRIES, sizeof(uint64_t))};
    snprintf(out[i].name, sizeof out[i].name, "%s", i ? tw_noise_slope : tw_noise_base);
    if (!out[i].values) return tw_fail(TW_ERR_MEMORY, "out of memory for a plan's tables");
  }
  for (int at = 0; at < TW_NOISE_ENTRIES; at++) {
    int zeros = at / PIECES % 64, piece = at % PIECES;
    bool upper = at >= TW_NOISE_ENTRIES / 2;
    double unit = zeros ? ldexp(1, 63 - zeros) / PIECES : 0;  // no zeros: z is 0
    double first = gumbel(unit * (PIECES + piece), upper), step = gumbel(unit * (PIECES + piece + 1), upper) - first;
    out[0].values[at] = (uint64_t)llrint(ldexp(temperature * first, 2 * TW_SCALE));
    out[1].values[at] = (uint64_t)llrint(ldexp(temperature * step, 2 * TW_SCALE));
  }
  return TW_OK;
}
