// Which slots a live dealer gives to whom. A run is known by the pair of sites and by the number that its two parties
// agreed on. The party that asks first gets the pair's next slots, the other one the same. A party asks once.
#ifndef TW_LIVE_RUNS_H
#define TW_LIVE_RUNS_H

#include "io/pairs.h"
#include "jobs/parties/live_deal.h"

typedef struct tw_live_runs tw_live_runs;  // of all pairs
typedef struct tw_live_run tw_live_run;

// plan, masks and pairs stay as long as it.
tw_status tw_live_runs_create(const tw_plan *plan, const tw_model_masks *masks, const tw_site_pairs *pairs,
                              tw_live_runs **out);
void tw_live_runs_destroy(tw_live_runs *r);  // when every run was left
// Nobody gets slots any more; runs that have them go on, or (at_once) fail.
void tw_live_runs_stop(tw_live_runs *r, bool at_once);
int tw_live_runs_count(tw_live_runs *r);  // under way

// A connection of a party: TW_ERR_PEER when it has more of them than its runs can need. Each one that came in goes out.
tw_status tw_live_runs_come_in(tw_live_runs *r, int pair, int party);
void tw_live_runs_go_out(tw_live_runs *r, int pair, int party);

// For a party of a pair: fills in the answer and *seeds ([count], in locked memory, until the run is left). Refused
// (the answer's status is the message's): TW_ERR_USED for a run that this party asked for before, and where the pair's
// inferences are used up; TW_ERR_MISMATCH for too many sequences, or another number than the other party's; TW_ERR_PEER
// for too many runs at once. To be left by tw_live_run_leave once it succeeded.
tw_status tw_live_run_ask(tw_live_runs *r, int pair, int party, const uint8_t number[TW_LIVE_RUN_BYTES], uint32_t count,
                          tw_live_run **out, tw_id *key_id, uint64_t *first, const tw_seed **seeds);
// This party has marked its ledger. *deal: NULL while the other one has not; waits a tenth of a second at most. The run
// fails when either party has left it.
tw_status tw_live_run_go(tw_live_runs *r, tw_live_run *run, int party, tw_live_deal **deal);
// status: how it went for this party; a failure is the other one's, too. The last one to leave forgets the seeds.
void tw_live_run_leave(tw_live_runs *r, tw_live_run *run, int party, tw_status status, const char *message);

#endif
