// The workloads of `twain bench`.
#ifndef TW_BENCH_H
#define TW_BENCH_H

#include "app/options.h"

typedef struct {
  const char *model, *device, *transport, *bind, *keys, *overlap, *prepare;
  int64_t seq, repeat, layers, batch;
  const char *link;  // NULL: as it is
  int64_t budget_words, budget_jobs;
  bool json, by_gate, compare_overlap, guard;
} tw_bench_settings;

// Whole inferences; two MPI ranks.
tw_status tw_bench_model(const tw_call *call);
// Openings of growing size by one transport; two MPI ranks.
tw_status tw_bench_opens(const tw_call *call);
// Dealing of both parties' keys into memory; one process.
tw_status tw_bench_deal(const tw_call *call);
// Each kernel of a layer; one process.
tw_status tw_bench_kernels(const tw_call *call);

#endif
