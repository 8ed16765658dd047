// One point of a benchmark of whole inferences: a model at a length, a batch and a link, measured by both parties and
// compared with the clear emulator. `bench model` has one, `bench sweep` many.
#ifndef TW_BENCH_POINT_H
#define TW_BENCH_POINT_H

#include <jansson.h>

#include "app/bench/bench.h"
#include "app/show/record.h"
#include "jobs/parties/bench_job.h"
#include "jobs/parties/hardware.h"
#include "jobs/parties/machine.h"

enum { TW_BENCH_REPEATS = 1000 };

// What all points of a process have in common.
typedef struct {
  tw_channel *channel;
  tw_hardware hardware;
  tw_machine machine;
  char placement[256];
} tw_bench_parties;

// Both parties call it: finds, takes and binds to the hardware, and warns where cores are shared.
tw_status tw_bench_meet(tw_channel *channel, const tw_bench_settings *s, tw_bench_parties *parties);

// Seconds of every repetition, in their order.
typedef struct {
  double preparation[TW_BENCH_REPEATS], online[TW_BENCH_REPEATS];
} tw_bench_times;

typedef struct {
  const tw_bench_settings *s;
  const tw_bench_parties *parties;
  tw_hardware hardware;  // over the point's link
  tw_key_location keys;
  bool split, during;  // halves of the batch take turns; preparation goes on during the online phase
  tw_bench_job *job;
  tw_engine *engine;
  int used;  // repetitions of the job: each pass goes on with fresh keys
  double setup;
  tw_bench_times times, serial;  // serial: --compare-overlap, without
  tw_bench_times first;          // of a text of more than one token: of its first alone
  double serial_open;            // of that, the time that opens were under way
  tw_engine_stats stats;
  tw_bench_job_verdict verdict;
  int64_t host_peak, gpu_peak;  // bytes, before the emulator ran
  bool refused;                 // both parties refuse this point, for a reason that is no fault: others may go on
} tw_bench_point;

// The words of --keys. TW_ERR_USAGE for another one.
tw_status tw_bench_keys_parse(const char *text, tw_key_location *out);

// Both parties call it. careful: a point that is not likely to fit the memory that is left is refused before any is
// taken. After a failure with p->refused the channel is as it was before. An output that differs from
// the emulator's is in the verdict, and no failure. Destroy, also after a failure.
tw_status tw_bench_point_measure(const tw_bench_parties *parties, const tw_bench_settings *s, bool careful,
                                 tw_bench_point *p);
void tw_bench_point_destroy(tw_bench_point *p);

// Of a text: seconds until its first token is there, and from one to the next (0 where there is no next); preparation
// and keys on their way count, by medians.
typedef struct {
  double first, next;
} tw_bench_text;
tw_bench_text tw_bench_text_times(const tw_bench_point *p);

// With --compare-overlap: (wall without overlap - wall with) / time that opens were under way without.
double tw_bench_hidden(const tw_bench_point *p);
// Whether gates, and their waiting for keys, were timed.
bool tw_bench_point_timed(const tw_bench_point *p);
// A point that was measured.
json_t *tw_bench_point_record(const tw_bench_point *p, const char *command);
// What was to be measured, of any point.
json_t *tw_bench_settings_record(const tw_bench_settings *s, const tw_bench_parties *parties, const char *command);

#endif
