// Chains of an engine's program: found once, agreed on with the other party, and walked by tiles (jobs/program/tile.h).
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "jobs/engine/engine_state.h"

enum { LEAST_ROUNDS = 2 };  // a chain of one round saves no message

static tw_status differ(const tw_engine *e, const char *what, const char *mine, const char *theirs,
                        const char *remedy) {
  return tw_fail(TW_ERR_MISMATCH, "the parties differ in %s: party %d has %s, party %d has %s; %s", what, e->party,
                 mine, 1 - e->party, theirs, remedy);
}

static tw_status same(const tw_engine *e, const char *what, uint64_t mine, uint64_t theirs) {
  char a[24], b[24];
  snprintf(a, sizeof a, "%" PRIu64, mine);
  snprintf(b, sizeof b, "%" PRIu64, theirs);
  return mine == theirs ? TW_OK : differ(e, what, a, b, "run the same twain with the same options on both");
}

static const char *choice(uint64_t rows) { return rows ? "chains" : "levels"; }

static tw_status same_operations(const tw_engine *e, const tw_chain_terms *mine, const tw_chain_terms *theirs) {
  enum { TOLD = 8 };
  char a[2 * TOLD + 1], b[2 * TOLD + 1];
  if (memcmp(mine->of_op, theirs->of_op, sizeof mine->of_op) == 0) return TW_OK;
  sodium_bin2hex(a, sizeof a, mine->of_op, TOLD);
  sodium_bin2hex(b, sizeof b, theirs->of_op, TOLD);
  return differ(e, "which operations are in their chains, by digest", a, b, "run the same twain on both");
}

tw_status tw_engine_exchange_chains(const tw_engine *e, tw_chain_terms *mine, tw_chain_terms *theirs) {
  mine->rows = e->o.chain_rows;
  mine->chains = (uint64_t)e->chains.count;
  if (e->chains.count)
    crypto_generichash_blake2b(mine->of_op, sizeof mine->of_op, (const uint8_t *)e->chains.of_op,
                               sizeof *e->chains.of_op * (size_t)e->o.plan->program.op_count, NULL, 0);
  TW_TRY(tw_channel_exchange(e->o.channel, mine, theirs, sizeof *mine));
  if (!mine->rows != !theirs->rows)
    return differ(e, "how rows go", choice(mine->rows), choice(theirs->rows), "give both --chains, or neither");
  TW_TRY(same(e, "rows of a tile", mine->rows, theirs->rows));
  TW_TRY(same(e, "chains of the program", mine->chains, theirs->chains));
  TW_TRY(same_operations(e, mine, theirs));
  return same(e, "packets of a round of their chains", mine->packets, theirs->packets);
}

tw_status tw_engine_agree_on_chains(tw_engine *e) {
  tw_chain_terms mine, theirs;
  memset(&mine, 0, sizeof mine);
#ifdef TWAIN_CUDA
  if (e->device) return tw_engine_agree_on_kernels(e, &mine);
#endif
  TW_TRY(tw_engine_find_chains(e));
  return tw_engine_exchange_chains(e, &mine, &theirs);
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
