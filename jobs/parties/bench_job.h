// A synthetic job for benchmarks: model, inputs and one-time TEST keys made by each party for itself from a number both
// know. Nothing in it is private. Keys are dealt before every repetition, outside of what is timed, one slot a
// sequence: into memory, into a key file, or into the GPU's memory.
#ifndef TW_REHEARSAL_H
#define TW_REHEARSAL_H

#include "io/client.h"
#include "jobs/engine/engine.h"

typedef struct {
  const char *shape;  // as `import --shape`
  int layers;         // 0: the shape's own
  int batch, repeat, party;
  uint64_t number;
  tw_device_kind device;  // that deals, and for which keys are placed; not AUTO
  tw_plan_request plan;   // seq, guard and output, and what is chosen
  tw_key_location keys;   // FILE: in a folder of its own under $TMPDIR, removed on closing
} tw_bench_job_options;

typedef struct tw_bench_job tw_bench_job;

// About how many bytes of host memory a party takes for such a job with its engine and check: a rule found by
// measuring, within a quarter of what was met.
tw_status tw_bench_job_forecast(const tw_bench_job_options *options, uint64_t *bytes);

tw_status tw_bench_job_create(const tw_bench_job_options *options, tw_bench_job **out);
// The same model by another plan: what was dealt and shared for the one before goes, and so does its engine first.
tw_status tw_bench_job_replan(tw_bench_job *r, const tw_plan_request *plan);
void tw_bench_job_destroy(tw_bench_job *r);
const tw_plan *tw_bench_job_plan(const tw_bench_job *r);
const tw_model_share *tw_bench_job_model(const tw_bench_job *r);
const uint64_t *tw_bench_job_input(const tw_bench_job *r);  // own shares, of every repetition
// Deal a repetition's slots, on `threads` threads or on the GPU that was selected; those of the repetition before are
// gone. The engine that reads them is idle.
tw_status tw_bench_job_deal(tw_bench_job *r, int repetition, int threads);
// The job of the repetition that was dealt.
tw_status tw_bench_job_job(tw_bench_job *r, int repetition, tw_engine_job *out);
// A repetition's opened wire with both masks, [batch][n].
typedef struct {
  uint64_t *masked, *mask[2];
} tw_bench_job_wire;
typedef struct {
  uint64_t mismatches;          // elements, and one for the transcript
  uint64_t out_of_bound;        // values that the emulator met out of bound, and
  char first_out_of_bound[96];  // where first
} tw_bench_job_verdict;
// Compare a repetition's output, and the guard's count where there is one, with the emulator.
tw_status tw_bench_job_verify(tw_bench_job *r, int repetition, const tw_bench_job_wire *output,
                              const tw_bench_job_wire *guard, const char *transcript, tw_bench_job_verdict *out);

#endif
