// What a run needs, foreseen from its plan: memory, disk and time; and whether this host has it.
#ifndef TW_FORECAST_H
#define TW_FORECAST_H

#include "comm/channel.h"
#include "jobs/engine/engine_room.h"
#include "jobs/parties/warnings.h"
#include "jobs/plan/estimate.h"

typedef struct {
  int batch, rows;                    // sequences at once, and all
  tw_engine_room room;                // of one process of a party, at its most
  uint64_t key_bytes, result_bytes;   // on a party's disk, for all rows: a key slot for each, and the result
  double seconds;                     // of a sequence alone, with its preparation; 0: no place was given
  double batch_seconds, all_seconds;  // of a batch, and of all rows in batches
} tw_run_forecast;

// Of the party that has more of each. place: where it will run; NULL: without times. device: not AUTO. ask_gpu: as
// tw_engine_foresee has it.
tw_status tw_forecast_make(const tw_plan *plan, const tw_place *place, int batch, int rows, tw_device_kind device,
                           bool ask_gpu, tw_run_forecast *out);

// Where the room is looked for, and what a lack of it means.
typedef struct {
  int processes;    // of the job on this host, of both parties where they are ranks of one; 0: one
  bool lack_is_ok;  // said: the forecast is wrong, or memory will be there: a warning instead of a failure
  bool tells;       // what concerns both parties is this one's to say
  tw_listener listener;
} tw_room_terms;

// Before a slot is marked: whether memory is left for what a run of `room` will take, beside what this process holds
// already. channel: both parties call it, and one's refusal is the other's, too; what they need on one host is told
// and added up. NULL: a party alone, which is told nothing yet but a failure. TW_ERR_MEMORY where more than 110 percent
// of what is left is needed; from 90 percent on there is a warning.
tw_status tw_room_check(const tw_room_terms *terms, const tw_engine_room *room, int batch, tw_channel *channel,
                        bool one_host);
// The same of the GPU that was selected; a build with CUDA. Each party of its own.
tw_status tw_room_check_device(const tw_engine_room *room, int batch);

#endif
