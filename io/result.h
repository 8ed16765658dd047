// Result files. A party's: the output's masked value and own mask of a fresh opening (never a raw share), and the
// costs. The client's: the revealed output.
#ifndef TW_RESULT_H
#define TW_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/trace.h"
#include "io/ids.h"
#include "io/origins.h"

// Where and when something ran.
typedef struct {
  char host[128], cpu[128], software[64], mpi[128], hdf5[32], isa[16], device[64], transport[64], transport_why[160],
      placement[256], job[64], user[64], started[32];  // ISO 8601 UTC
  int parties_share_host;
} tw_environment;
void tw_environment_collect(
    tw_environment *env);  // mpi, isa, device, transport, transport_why, placement, parties_share_host: the caller's

// What openings and keys cost one online phase, as an engine counts it. The names are those of tw_open_counters
// (comm/opens.h), which folders below cannot see.
typedef struct {
  uint64_t open_flushes_demand, open_flushes_budget, flushes_overlapped, open_comm_ns, gate_ns, open_wire_bytes_sent,
      open_payload_bytes;
  uint64_t products_prepared_beside, key_bytes, key_wait_ns;
  double probe_latency_seconds, probe_bytes_per_second;  // of the transport, measured at set-up; 0: not measured
} tw_result_counters;

// Cost of one step in one layer (layer -1: input and output).
typedef struct {
  int layer;
  char step[24];
  uint64_t correction_bytes, sent_bytes;
  uint64_t rounds;
  double seconds;
} tw_cost_row;

// What a result of several batches says of them: each had a transcript of its own, over all rows that it ran, in this
// order. A row that two batches ran, because a process died behind the first one, has its values from the earlier.
typedef struct {
  int batch, row;  // of the input
  uint64_t slot;
} tw_batch_row;

typedef struct {
  int count, row_count;     // 0: one batch, whose transcript is the result's
  char (*transcripts)[65];  // [count]
  tw_batch_row *rows;       // [row_count], batch by batch
} tw_batch_list;

typedef struct {
  int party, count;  // sequences
  tw_id model_id, key_id, input_id, run_id;
  tw_digest plan;
  bool test_keys;
  char output[16];  // tokens, pooled, cls
  bool normalise;   // the client scales each output to length 1
  int *lengths;
  int *input_rows;  // of a part of a result: which sequences of the input these are; NULL: all, in their order
  uint64_t *slots;  // key slot of each sequence
  int rows, cols;   // output of one sequence
  int ring_bits, scale;
  uint64_t *masked;                     // [count][rows][cols] opened value Y^, below 2^ring_bits
  uint64_t *mask;                       // [count][rows][cols] own mask share r_b, below 2^ring_bits
  bool guard;                           // the plan counts values out of bound
  uint64_t *guard_masked, *guard_mask;  // [count] that count, opened as the output is, mod 2^32; NULL without one
  char transcript[65];  // digest over everything opened (equal on both parties), of several batches that
                        // of theirs; zeros: not this input's alone, several shared the run
  tw_batch_list batches;
  uint64_t correction_bytes, sent_bytes, rounds;
  double setup_seconds, preparation_seconds, online_seconds, comm_seconds;
  int row_count;
  tw_cost_row *rows_table;
  bool steps_timed;  // else there are no seconds in the table, and no key_wait_ns
  tw_result_counters counters;
  int span_count;  // of the trace; steps: rows of rows_table
  tw_span *spans;
  uint64_t spans_dropped;
  tw_environment environment;
} tw_result_share;

bool tw_result_has_transcript(const tw_result_share *r);
// Of several batches, from theirs.
tw_digest tw_batch_list_transcript(const tw_batch_list *batches);
tw_status tw_result_share_write(const char *path, const tw_result_share *r);

// A file's name and room, taken before the run that makes it (tw_output_claim), from r's count, rows, cols, row_count
// and, as an upper bound, span_count. replace: an existing file, when the new one is complete.
typedef struct tw_result_claim tw_result_claim;
uint64_t tw_result_share_room(const tw_result_share *r);  // bytes of that room
tw_status tw_result_share_claim(const char *path, const tw_result_share *r, bool replace, tw_result_claim **out);
// Everything but the name. After a failure, release.
tw_status tw_result_share_fill(tw_result_claim *place, const tw_result_share *r);
tw_status tw_result_claim_commit(tw_result_claim *place);  // ends `place`
void tw_result_claim_release(tw_result_claim *place);      // nothing of it remains; may be NULL

tw_status tw_result_share_read(const char *path, int party, tw_result_share *r);  // party -1: either
void tw_result_share_free(tw_result_share *r);

typedef struct {
  tw_id model_id, input_id, run_id;
  char output[16];
  bool normalised;  // each row has length 1
  int count, rows, cols;
  int *lengths;
  tw_origins origins;     // as far as the client's input was there
  double *values;         // [count][rows][cols]; pooled: mean over live tokens
  int64_t *out_of_bound;  // [count] values out of the plan's bounds, as counted; NULL: the plan does not count
} tw_result;

tw_status tw_result_write(const char *path, const tw_result *r);
tw_status tw_result_read(const char *path, tw_result *r);
// The same for results larger than memory: all but `values`, which is NULL. tw_result_next gives those of one sequence
// after the other, [rows][cols]. What it gave counts once the last one came: the checksum is looked at then. Free the
// result with tw_result_free, and the rows, which may be NULL, with tw_result_rows_free.
typedef struct tw_result_rows tw_result_rows;
tw_status tw_result_open(const char *path, tw_result *r, tw_result_rows **rows);
tw_status tw_result_next(tw_result_rows *rows, double *values);
void tw_result_rows_free(tw_result_rows *rows);
void tw_result_free(tw_result *r);

#endif
