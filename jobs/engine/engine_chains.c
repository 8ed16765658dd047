// Chains of an engine's program: found once, agreed on with the other party, and walked by tiles (jobs/program/tile.h).
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "jobs/engine/engine_state.h"

enum { LEAST_ROUNDS = 2 };  // a chain of one round saves no message

// What both parties must have alike: which operations are in which chain, and rows of a tile.
typedef struct {
  uint64_t rows, chains;
  uint8_t of_op[32];  // BLAKE2b-256 of the list
} chain_terms;

static tw_status differ(const tw_engine *e, const char *what, uint64_t mine, uint64_t theirs) {
  return tw_fail(TW_ERR_MISMATCH,
                 "the parties differ in %s: party %d has %" PRIu64 ", party %d has %" PRIu64
                 "; run the same twain with the same options on both",
                 what, e->party, mine, 1 - e->party, theirs);
}

tw_status tw_engine_agree_on_chains(tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  if (e->o.chain_rows == 0) return TW_OK;
  chain_terms mine, theirs;
  memset(&mine, 0, sizeof mine);
  mine.rows = e->o.chain_rows;
  mine.chains = (uint64_t)e->chains.count;
  crypto_generichash_blake2b(mine.of_op, sizeof mine.of_op, (const uint8_t *)e->chains.of_op,
                             sizeof *e->chains.of_op * (size_t)p->op_count, NULL, 0);
  TW_TRY(tw_channel_exchange(e->o.channel, &mine, &theirs, sizeof mine));
  if (mine.rows != theirs.rows) return differ(e, "rows of a tile", mine.rows, theirs.rows);
  if (mine.chains != theirs.chains) return differ(e, "chains of the program", mine.chains, theirs.chains);
  if (memcmp(mine.of_op, theirs.of_op, sizeof mine.of_op) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "the parties differ in the operations of their chains; run the same twain on both");
}

tw_status tw_engine_find_chains(tw_engine *e) {
  if (e->o.chain_rows == 0) return TW_OK;
  e->reserve.chains = &e->chains;
  return tw_chains_find(&e->o.plan->program, LEAST_ROUNDS, &e->chains);
}

tw_status tw_engine_keep_saving(tw_engine *e) {
  return tw_chains_keep_saving(&e->o.plan->program, LEAST_ROUNDS, &e->chains);
}

size_t tw_engine_chain_messages(const tw_engine *e, int batch) {
  size_t messages = 0;
  for (int i = 0; i < e->chains.count; i++) {
    const tw_chain *c = &e->chains.chains[i];
    messages += (size_t)c->rounds * ((c->rows + e->o.chain_rows - 1) / e->o.chain_rows);
  }
  return messages * (size_t)batch;
}

size_t tw_engine_chain_spans(const tw_engine *e, int batch) {
  size_t spans = 0;
  for (int i = 0; i < e->chains.count; i++) {
    const tw_chain *c = &e->chains.chains[i];
    spans += (size_t)(c->op_count + c->rounds) * ((c->rows + e->o.chain_rows - 1) / e->o.chain_rows);
  }
  return spans * (size_t)batch;
}

tw_status tw_engine_begin_chains(tw_engine *e, tw_engine_part *p) {
  if (e->chains.count == 0) return TW_OK;
  const tw_tile_runner *runner = NULL;
#ifdef TWAIN_CUDA
  runner = tw_engine_tile_runner(e);
#endif
  return tw_tiles_begin(&p->session, &e->chains, e->o.chain_rows, runner, &p->tiles);
}

void tw_engine_end_chains(tw_engine_part *p) {
  tw_tiles_end(p->tiles);
  p->tiles = NULL;
}
