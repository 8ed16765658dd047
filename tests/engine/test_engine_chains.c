// Engines of two parties that walk a small encoder level by level and by tiles of its chains: the same masked results,
// the same masks, one transcript, whatever the rows of a tile, and where halves of the batch take turns. What they
// count and trace of it; and parties that do not have the same tiles.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/client.h"
#include "jobs/parties/share.h"
#include "tests/common/engine_pair.h"
#include "tests/common/suite.h"
#include "tests/common/tiny_model.h"

enum { SEQ = 9, BATCH = 3 };

typedef struct {
  tiny_model tiny;
  tw_model_share share[2];
  tw_model_dealer dealer;
  dealt_keys keys;
  uint64_t *input[2];
  int lengths[BATCH];
  size_t n;  // elements of all results
} job;

typedef struct {
  size_t rows;
  bool overlap, beside, trace;
} way;

// What came of one run at one party.
typedef struct {
  job *j;
  way by;
  uint64_t *masked, *mask;
  tw_engine_stats stats;
  double seconds;  // of all steps
  int spans;
  uint64_t dropped;
} party;

static void *room(size_t bytes) {
  void *p;
  if (tw_alloc(bytes + 8, &p) != TW_OK) abort();
  return p;
}

static void share_input(job *j) {
  const tw_program *p = &j->tiny.plan.program;
  size_t all = BATCH * p->tensors[p->inputs[0]].n;
  for (int party = 0; party < 2; party++) j->input[party] = room(8 * all);
  for (size_t i = 0; i < all; i++) {
    j->input[0][i] = walk_random() & tw_ring_mask(TW_INPUT_RING);
    j->input[1][i] = (j->tiny.input[i] - j->input[0][i]) & tw_ring_mask(TW_INPUT_RING);
  }
}

static job *begin(void) {
  job *j = room(sizeof *j);
  tw_seed seeds[2];
  CU_ASSERT_FATAL(tiny_model_open(&j->tiny, "1x24x3x40", SEQ, BATCH, TW_DITHERED));
  for (int party = 0; party < 2; party++) tw_seed_random(&seeds[party]);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_with(&j->tiny.model, seeds, j->share, &j->dealer), TW_OK);
  share_input(j);
  dealt_keys_make(&j->keys, &j->tiny.plan, &j->dealer, BATCH);
  for (int s = 0; s < BATCH; s++) j->lengths[s] = (int)walk_random_range(1, SEQ);
  const tw_program *p = &j->tiny.plan.program;
  j->n = BATCH * p->tensors[p->outputs[0]].n;
  return j;
}

static void end(job *j) {
  for (int party = 0; party < 2; party++) {
    tw_free(j->input[party]);
    tw_model_share_free(&j->share[party]);
  }
  dealt_keys_free(&j->keys);
  tw_model_dealer_free(&j->dealer);
  tiny_model_close(&j->tiny);
  tw_free(j);
}

static tw_status keep_trace(party *p, tw_engine *engine) {
  tw_span *spans;
  if (!p->by.trace) return TW_OK;
  TW_TRY(tw_engine_get_trace(engine, &spans, &p->spans, &p->dropped));
  tw_free(spans);
  return TW_OK;
}

// Twice with one engine: the second time as the first.
static tw_status infer(void *state, tw_channel *channel, tw_engine **engine) {
  party *p = state;
  job *j = p->j;
  int me = channel->party;
  tw_engine_options o = {.plan = &j->tiny.plan,
                         .model = &j->share[me],
                         .channel = channel,
                         .batch = BATCH,
                         .device = TW_DEVICE_CPU,
                         .overlap = p->by.overlap,
                         .coalesce = 1,
                         .prepare_beside = p->by.beside,
                         .keys = TW_KEYS_MEMORY,
                         .input = j->input[me],
                         .chain_rows = p->by.rows,
                         .trace = p->by.trace};
  tw_engine_job work = {.seeds = j->keys.of[me].seeds,
                        .slots = j->keys.slots,
                        .lengths = j->lengths,
                        .input = j->input[me],
                        .source = dealt_keys_source(&j->keys, me)};
  TW_TRY(tw_engine_create(&o, engine));
  for (int time = 0; time < 2; time++) {
    TW_TRY(tw_engine_prepare(*engine, &work));
    TW_TRY(tw_engine_online(*engine, NULL, NULL));
  }
  TW_TRY(tw_engine_get_stats(*engine, &p->stats));
  const double *seconds = tw_engine_step_seconds(*engine);
  for (int i = 0; i < j->tiny.plan.program.step_count; i++) p->seconds += seconds[i];
  TW_TRY(keep_trace(p, *engine));
  return tw_engine_output(*engine, 0, p->masked, p->mask);
}

static void make_room(job *j, const way by[2], party p[2]) {
  for (int i = 0; i < 2; i++) p[i] = (party){.j = j, .by = by[i], .masked = room(8 * j->n), .mask = room(8 * j->n)};
}

static void forget(party p[2]) {
  for (int i = 0; i < 2; i++) {
    tw_free(p[i].masked);
    tw_free(p[i].mask);
  }
}

static void run_well(job *j, way by, party p[2]) {
  make_room(j, (const way[]){by, by}, p);
  engine_pair_run_well(infer, (void *[]){&p[0], &p[1]});
  CU_ASSERT_STRING_EQUAL(p[0].stats.transcript, p[1].stats.transcript);
}

static void compare(const job *j, const party levels[2], const party tiles[2], uint64_t sequences) {
  for (int i = 0; i < 2; i++) {
    const tw_open_counters *by_levels = &levels[i].stats.counters, *by_tiles = &tiles[i].stats.counters;
    CU_ASSERT_EQUAL(memcmp(levels[i].masked, tiles[i].masked, 8 * j->n), 0);
    CU_ASSERT_EQUAL(memcmp(levels[i].mask, tiles[i].mask, 8 * j->n), 0);
    CU_ASSERT_STRING_EQUAL(levels[i].stats.transcript, tiles[i].stats.transcript);
    CU_ASSERT_EQUAL(by_levels->chains + by_levels->chain_rounds, 0);
    CU_ASSERT(by_tiles->chains > 0 && by_tiles->chains % sequences == 0);
    CU_ASSERT(by_tiles->chain_rounds > 0 && by_tiles->rounds > by_tiles->chain_rounds);
    CU_ASSERT(by_tiles->open_payload_bytes >= by_levels->open_payload_bytes);
    CU_ASSERT(tiles[i].seconds > 0);
  }
}

static void same_results(void) {
  static const way ways[] = {{.rows = 1},
                             {.rows = 4, .trace = true},
                             {.rows = 3, .overlap = true},
                             {.rows = 2, .overlap = true, .beside = true, .trace = true},
                             {.rows = 1000}};
  job *j = begin();
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    party levels[2], tiles[2];
    way by_levels = ways[i];
    by_levels.rows = 0;
    run_well(j, by_levels, levels);
    run_well(j, ways[i], tiles);
    compare(j, levels, tiles, BATCH);
    for (int party = 0; party < 2 && ways[i].trace; party++) {
      CU_ASSERT_EQUAL(tiles[party].dropped, 0);
      CU_ASSERT(tiles[party].spans > levels[party].spans);
    }
    forget(levels);
    forget(tiles);
  }
  end(j);
}

static void expect_mismatch(const way by[2], const char *const told[2]) {
  job *j = begin();
  party p[2];
  engine_pair_end ends[2];
  make_room(j, by, p);
  engine_pair_run(infer, (void *[]){&p[0], &p[1]}, ends);
  for (int i = 0; i < 2; i++) {
    CU_ASSERT_EQUAL(ends[i].status, TW_ERR_MISMATCH);
    CU_ASSERT_PTR_NOT_NULL(strstr(ends[i].message, told[i]));
  }
  forget(p);
  end(j);
}

static void other_tiles(void) {
  expect_mismatch((const way[]){{.rows = 2}, {.rows = 3}},
                  (const char *[]){"differ in rows of a tile: party 0 has 2, party 1 has 3; run",
                                   "differ in rows of a tile: party 1 has 3, party 0 has 2; run"});
}

// One by chains, the other by levels.
static void other_choice(void) {
  static const char remedy[] = "give both --chains, or neither";
  for (int by_chains = 0; by_chains < 2; by_chains++) {
    way by[2] = {{.rows = 0}, {.rows = 0}};
    char told[2][160];
    by[by_chains].rows = 2;
    for (int i = 0; i < 2; i++)
      snprintf(told[i], sizeof told[i], "differ in how rows go: party %d has %s, party %d has %s; %s", i,
               i == by_chains ? "chains" : "levels", 1 - i, i == by_chains ? "levels" : "chains", remedy);
    expect_mismatch(by, (const char *[]){told[0], told[1]});
  }
}

SUITE_MAIN("chains of an engine", {"the same by levels and by tiles", same_results},
           {"parties with other tiles", other_tiles}, {"parties of which one has chains", other_choice})
