// Which slots a live dealer gives to whom. A run is known by the pair of sites and by the number that its two parties
// agreed on. The party that asks first gets the pair's next slots, the other one the same. A party asks once.
#ifndef TW_LIVE_RUNS_H
#define TW_LIVE_RUNS_H

#include "io/pairs.h"
#include "jobs/parties/live_deal.h"

typedef struct tw_live_runs tw_live_runs;  // of all pairs
typedef struct tw_live_run tw_live_run;

// What the maker has and pairs stay as long as it.
tw_status tw_live_runs_create(const tw_live_maker *maker, const tw_site_pairs *pairs, tw_live_runs **out);
void tw_live_runs_destroy(tw_live_runs *r);  // when every run was left
// Nobody gets slots any more; runs that have them go on, or (at_once) fail.
void tw_live_runs_stop(tw_live_runs *r, bool at_once);
int tw_live_runs_count(tw_live_runs *r);  // under way

// A connection of a party, by its stream once it has said it (before: -1): TW_ERR_PEER when it has more of them than
// its runs can need. Each one that came in goes out, as what it came in.
tw_status tw_live_runs_come_in(tw_live_runs *r, int pair, int party, int stream);
void tw_live_runs_go_out(tw_live_runs *r, int pair, int party, int stream);

// For a party of a pair: fills in the answer and *seeds ([count], in locked memory, until the run is left). Refused
// (the answer's status is the message's): TW_ERR_USED for a run that this party asked for before, and where the pair's
// inferences are used up; TW_ERR_MISMATCH for too many sequences, or another number than the other party's; TW_ERR_PEER
// for too many runs at once. To be left by tw_live_run_leave once it succeeded.
tw_status tw_live_run_ask(tw_live_runs *r, int pair, int party, const uint8_t number[TW_LIVE_RUN_BYTES], uint32_t count,
                          uint32_t streams, tw_live_run **out, tw_id *key_id, uint64_t *first, const tw_seed **seeds);
// A further stream of a run that this party has asked for, each once; to be left as well. TW_ERR_IDENTITY where there
// is no such run, or no such stream of it.
tw_status tw_live_run_join(tw_live_runs *r, int pair, int party, const tw_live_ask *ask, tw_live_run **out);
// Stream 0: this party has marked its ledger; all its streams must have come. *deal: NULL while the other one has not;
// waits a tenth of a second at most. The run fails when either party has left it.
tw_status tw_live_run_go(tw_live_runs *r, tw_live_run *run, int party, uint32_t stream, tw_live_deal **deal);
// status: how it went for this party; a failure is the other one's, too. The last one to leave forgets the seeds.
void tw_live_run_leave(tw_live_runs *r, tw_live_run *run, int party, tw_status status, const char *message);

#endif
