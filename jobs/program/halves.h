// Parts of a batch that take turns, level by level, so that one computes while the other's openings are on their way.
// A message leaves as soon as enough is queued (coalesce), or when a half needs what it opens (demand). By default
// every half's openings leave at once: halves that share a message wait for each other, and go on computing together
// while nothing is on its way. What is cut where follows from the program and that number alone, never from the clock,
// so both parties cut alike.
#ifndef TW_HALVES_H
#define TW_HALVES_H

#include "jobs/program/session.h"

// Runs the halves (sessions of one program, prepared) to their ends. With one half every message leaves on demand.
// coalesce: words of queued openings from which a message leaves; 1: every half's at once, 0: all on demand.
tw_status tw_halves_run(tw_session *const *halves, int count, size_t coalesce, tw_open_counters *counters,
                        void (*progress)(void *state, double fraction), void *progress_state);

#endif
