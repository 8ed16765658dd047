// Sites for the moment, for benchmarks of lines: party 0, party 1 and a dealer, in a folder that goes again.
#ifndef TW_BENCH_SITES_H
#define TW_BENCH_SITES_H

#include "base/site.h"

enum { TW_BENCH_SITES = 3 };

typedef struct {
  char folder[64];
  int count;
  tw_site site[TW_BENCH_SITES];
  tw_peer file[TW_BENCH_SITES];
} tw_bench_sites;

tw_status tw_bench_sites_make(tw_bench_sites *s, int count);
void tw_bench_sites_forget(tw_bench_sites *s);  // also all zeros

#endif
