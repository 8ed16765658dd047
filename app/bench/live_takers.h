// `bench live`: what the dealer's process and the two that take keys share, and those two.
//
// A taker is a process of its own: a party that checks the order of what comes, sums every byte (CRC-32C), and drops
// it. By TLS it is a party's key store at the real dealer. Through memory, which is for measuring alone, it reads
// pieces that the dealer has put into memory that both see.
#ifndef TW_LIVE_TAKERS_H
#define TW_LIVE_TAKERS_H

#include <semaphore.h>

#include "app/bench/sites.h"
#include "jobs/parties/live_piece.h"
#include "jobs/plan/plan.h"

enum {
  TW_LIVE_RUNS = 2,  // at once: one run's slots are dealt while the other's are taken
  TW_LIVE_ROW = 4,   // one after the other, in a round
  TW_LIVE_MOST_BATCH = 64,
  TW_LIVE_DEPTH = 8,  // pieces of a ring
  TW_LIVE_PATIENCE = 120
};

// Pieces on their way from the dealer to a taker: a stream of a run.
typedef struct {
  sem_t full, empty;
  uint64_t given, back;  // the dealer's: pieces, since the beginning; and those it knows to be empty again
  uint64_t taken;        // the taker's
  tw_live_piece piece[TW_LIVE_DEPTH];
} tw_live_ring;

typedef struct {
  sem_t go[2], done[2];  // one round: TW_LIVE_ROW times TW_LIVE_RUNS runs
  bool quit;
  int port, round;
  tw_status status[2];
  char message[2][300];
  double end[2];                 // when the party had its last byte
  uint64_t first[TW_LIVE_RUNS];  // this and the next: of the last run
  tw_seed seeds[TW_LIVE_RUNS][2][TW_LIVE_MOST_BATCH];
} tw_live_round;

// One mapping that all three processes have.
typedef struct {
  const tw_plan *plan;
  const tw_id *model_id;
  const tw_bench_sites *sites;
  bool tls;
  int batch, streams;
  tw_live_round *round;
  uint32_t *sums;       // [TW_LIVE_RUNS][2][all chunks of the longer half]
  tw_live_ring *rings;  // [TW_LIVE_RUNS][2][streams]; NULL by TLS
  void *memory;
  size_t bytes;
  int process[2];
} tw_live_stage;

static inline uint64_t tw_live_chunks(const tw_live_stage *s, int party) {
  return (s->plan->program.slot_bytes[party] + TW_KEY_CHUNK - 1) / TW_KEY_CHUNK * (uint64_t)s->batch;
}
uint32_t *tw_live_sums(const tw_live_stage *s, int run, int party);  // by chunk, in order of use
tw_live_ring *tw_live_ring_of(const tw_live_stage *s, int run, int party, int stream);

// Fills in what they share and starts both takers; before this process has threads or a GPU. plan, model_id, sites,
// tls, batch and streams are set.
tw_status tw_live_stage_open(tw_live_stage *s);
// One round from the takers' side; the dealer is ready. Returns when both are done.
void tw_live_stage_go(tw_live_stage *s);
tw_status tw_live_stage_wait(tw_live_stage *s);
void tw_live_stage_close(tw_live_stage *s);
// False after a moment: as sem_wait, so that the caller can see whether the others are still there.
bool tw_live_wait_for(sem_t *semaphore);

#endif
