#include <stddef.h>

#include "app/bench/bench.h"
#include "app/commands.h"

const tw_option tw_bench_repeat = {
    .name = "repeat", .letter = 'r', .kind = TW_OPTION_INTEGER, .value = "R", .fallback = "3", .low = 1, .high = 1000};
const tw_option tw_bench_layers = {.name = "layers",
                                   .kind = TW_OPTION_INTEGER,
                                   .value = "N",
                                   .fallback = "0",
                                   .help = "only the first N layers (0: all)",
                                   .low = 0,
                                   .high = 1000};
const tw_option tw_bench_batch = {.name = "batch",
                                  .letter = 'b',
                                  .kind = TW_OPTION_INTEGER,
                                  .value = "B",
                                  .fallback = "1",
                                  .help = "sequences at once",
                                  .low = 1,
                                  .high = 1024};

const tw_option tw_bench_guard = {
    .name = "guard", .help = "the plan counts values out of bound, as `twain plan NAME` does unless told otherwise"};
const tw_option tw_bench_keys = {
    .name = "keys",
    .kind = TW_OPTION_TEXT,
    .value = "WHERE",
    .words = "memory file resident",
    .fallback = "memory",
    .help =
        "where keys lie when the clock starts: memory (page-locked for a GPU, and streamed to it), file (a key "
        "file under $TMPDIR, in the system's cache; read, checked and streamed), or resident (on the GPU)"};

static tw_status run(const tw_call *call) {
  if (call->count == 0)
    return tw_fail(TW_ERR_USAGE,
                   "a workload is missing: model, sweep, opens, deal, kernels, gemm, line, live or calibrate");
  return tw_fail(TW_ERR_USAGE,
                 "unknown workload '%s'; use model, sweep, opens, deal, kernels, gemm, line, live or calibrate",
                 call->arguments[0]);
}

static const tw_command *const workloads[] = {
    &tw_bench_model, &tw_bench_sweep, &tw_bench_opens, &tw_bench_deal,      &tw_bench_kernels,
    &tw_bench_gemm,  &tw_bench_line,  &tw_bench_live,  &tw_bench_calibrate, NULL};

const tw_command tw_command_bench = {.name = "bench",
                                     .arguments = "model|sweep|opens|deal|live|kernels|gemm",
                                     .summary = "speed of synthetic workloads",
                                     .about =
                                         "Nothing in them is private: weights, inputs and keys are made from "
                                         "numbers that are known.",
                                     .settings_size = 1,
                                     .most = -1,
                                     .run = run,
                                     .parts = workloads};
