// Parts of a batch that take turns, level by level, so that one computes while the other's openings are on their way.
// A message leaves when a lane needs what it opens (demand), or as soon as enough is queued (budget): large openings
// travel beside the other lane's work, small ones of both lanes share a message. What is cut where follows from the
// program and the budget alone, never from the clock, so both ranks cut alike.
#ifndef TW_LANES_H
#define TW_LANES_H

#include "jobs/session.h"

typedef struct {
  size_t words, jobs;  // queued, from which a message leaves; 0: no such limit
} tw_open_budget;
#define TW_OPEN_BUDGET_WORDS "2048"  // the command line's default

// Runs the lanes (sessions of one program, prepared) to their ends. With one lane every message leaves on demand.
tw_status tw_lanes_run(tw_session *const *lanes, int count, const tw_open_budget *budget, tw_open_counters *counters,
                       void (*progress)(void *state, double fraction), void *progress_state);

#endif
