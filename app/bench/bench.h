// The workloads of `twain bench`.
#ifndef TW_BENCH_H
#define TW_BENCH_H

#include "app/choices.h"
#include "app/two_sites.h"
#include "jobs/parties/hardware.h"

// Of all workloads; each has options for some.
typedef struct {
  tw_party_words party;
  tw_choice_words choices;
  tw_site_words site;
  const char *model, *result, *keys, *through;  // model: a shape's name
  int64_t seq, generate, repeat, layers, batch, coalesce, key_ring, gpu_memory;
  bool json, csv, verbose, compare_overlap, guard, unchecked, chains;
} tw_bench_settings;

extern const tw_option tw_bench_repeat, tw_bench_layers, tw_bench_batch;  // int64_t
extern const tw_option tw_bench_guard, tw_bench_keys;                     // bool, const char *

// Whole inferences, one or many, openings of growing size by one transport: two MPI ranks each. Dealing of both
// parties' keys into memory, each kernel of a layer, ring products, a line between two sites, a
// machine's rates: one process.
extern const tw_command tw_bench_model, tw_bench_sweep, tw_bench_opens, tw_bench_deal, tw_bench_kernels, tw_bench_gemm,
    tw_bench_line, tw_bench_live, tw_bench_calibrate;

#endif
