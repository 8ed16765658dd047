// What several benchmarks need: rates that bound what they measure, and a dealer's side of a model.
#ifndef TW_BENCH_LIMITS_H
#define TW_BENCH_LIMITS_H

#include <stdint.h>

#include "app/bench/bench.h"
#include "io/model.h"
#include "jobs/plan/plan.h"

// AES-128-GCM on one core in records of 16 KiB, as `openssl speed -evp aes-128-gcm -bytes 16384` measures it: `total`
// bytes, seconds[repeats] times. from, to: `bytes` each.
tw_status tw_bench_cipher(const uint8_t *from, uint8_t *to, size_t bytes, size_t total, double *seconds, int repeats);
// The best of a few copies from the GPU to page-locked memory, bytes a second. With CUDA only.
tw_status tw_bench_copy_rate(double *rate);
// --shape, --layers and --seq: a plan, and the masks' seeds of a model that nobody has.
tw_status tw_bench_dealer(const tw_bench_settings *s, tw_plan *plan, tw_model_dealer *dealer);

#endif
