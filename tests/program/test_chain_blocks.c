// A chain's kernel without a GPU: the steps that a tile's walk was written down as, and the code that a block's threads
// run, by threads of the CPU (tests/common/blocks_here.h). Every opened value is the one that levels open, bit for bit.
// A number as an argument: so many random programs, and all rows of BERT-base.
#include <stdlib.h>
#include <string.h>

#include "tests/common/blocks_here.h"
#include "tests/common/chained.h"
#include "tests/common/suite.h"

static int wanted;  // random programs; 0: few

static tw_chains chains_of(const tw_program *p, int rounds) {
  tw_chains chains;
  CU_ASSERT_EQUAL_FATAL(tw_chains_find(p, rounds, &chains), TW_OK);
  return chains;
}

enum { SHARED = 226 << 10 };  // bytes of a block on an H200

typedef struct {
  blocks_here blocks;
  const uint64_t *tables[CHAINED_TABLES];
  tw_tile_runner runner[2];
} bed;

static void bed_begin(bed *b, const chained *c, uint32_t blocks) {
  blocks_here_begin(&b->blocks, blocks);
  for (int i = 0; i < CHAINED_TABLES; i++) b->tables[i] = c->tables[i].values;
  for (int party = 0; party < 2; party++) b->runner[party] = blocks_here_runner(&b->blocks, party, SHARED, b->tables);
}

// By levels and by blocks; TW_OK and *same, or why blocks could not.
static tw_status by_blocks(chained *c, const tw_chains *chains, size_t rows, bed *b, bool *same) {
  walk levels = chained_walk_of(c, NULL, 0, NULL),
       blocks = chained_walk_of(c, chains, rows, (const tw_tile_runner *const[]){&b->runner[0], &b->runner[1]});
  CU_ASSERT_EQUAL_FATAL(walk_run(&levels), TW_OK);
  tw_status status = walk_run(&blocks);
  *same = status == TW_OK && levels.opened_count == blocks.opened_count && levels.mismatches == blocks.mismatches &&
          memcmp(levels.opened, blocks.opened, 8 * levels.opened_count) == 0;
  for (int party = 0; party < 2; party++)
    *same = *same && memcmp(levels.transcript[0], blocks.transcript[party], sizeof levels.transcript[0]) == 0;
  walk_free(&levels);
  walk_free(&blocks);
  return status;
}

static void check_blocks(chained *c, const char *name, size_t rows) {
  bed b;
  bool same;
  tw_chains found = chains_of(&c->program, 2);
  bed_begin(&b, c, 1 + (uint32_t)(walk_random() % BLOCKS_HERE_MOST));
  CU_ASSERT_EQUAL(by_blocks(c, &found, rows, &b, &same), TW_OK);
  CU_ASSERT(same);
  CU_ASSERT_EQUAL(b.blocks.run, 1);
  CU_ASSERT_EQUAL(b.blocks.dead_lanes, 0);
  printf("\n    %s, %zu rows of %zu in tiles of %zu: %d steps, %d barriers, %zu bytes, %zu of them lists", name,
         c->shape[0], c->shape[1], rows, b.blocks.steps, b.blocks.barriers, b.blocks.shared_bytes, b.blocks.list_bytes);
  blocks_here_end(&b.blocks);
  tw_chains_free(&found);
}

static void a_norm(chained *c, size_t rows, size_t cols, int batch) {
  int x = chained_start(c, rows, cols, batch, 28, 17);
  c->b.choices.flat_norms = true;
  chained_finish(c, chained_norm(c, x, true));
}

static void norm_steps(void) {
  chained c;
  a_norm(&c, 9, 48, 1);
  for (size_t rows = 1; rows <= c.rows; rows *= 3) check_blocks(&c, "norm", rows);
  chained_end(&c);
  a_norm(&c, wanted ? 128 : 3, 768, 1);
  check_blocks(&c, "norm", 1);
  chained_end(&c);
}

// From the logits' truncation to the reciprocal; 128 columns as BERT-base has them, with the levels that it has.
static void a_softmax(chained *c, size_t rows, size_t cols, size_t heads, bool causal, int batch) {
  int x = chained_start(c, rows, cols, batch, 22, 18);
  c->heads = heads;
  c->causal = causal;
  c->b.choices.early_groups = true;
  if (cols == 128) c->b.choices.maximum[0] = 16, c->b.choices.maximum[1] = 8;
  chained_finish(c, chained_softmax(c, x));
}

static void softmax_steps(void) {
  chained c;
  for (int causal = 0; causal < 2; causal++) {
    a_softmax(&c, 8, 19, 2, causal, 2);
    for (size_t rows = 1; rows <= 4; rows *= 2) check_blocks(&c, causal ? "causal softmax" : "softmax", rows);
    chained_end(&c);
  }
  a_softmax(&c, wanted ? 12 * 128 : 12, 128, 12, false, 1);
  for (size_t rows = 1; rows <= 4; rows *= 4) check_blocks(&c, "BERT-base's softmax", rows);
  chained_end(&c);
}

static void place_steps(void) {
  chained c;
  int x = chained_start(&c, 12, 17, 1, CHAINED_RING, CHAINED_RING - 4);
  chained_finish(&c, chained_place(&c, x));
  for (size_t rows = 1; rows <= 4; rows *= 4) check_blocks(&c, "argmax", rows);
  chained_end(&c);
}

// A divisor of c's rows.
static size_t even_tile(const chained *c) {
  size_t rows = c->of_heads ? 1 : chained_one_of(1, c->shape[0]);
  while (c->shape[0] % rows || c->shape[1] % rows) rows--;
  return rows;
}

static void random_steps(void) {
  enum { PROGRAMS = 12 };
  int run = 0, wrong = 0, refused = 0, programs = wanted ? wanted : PROGRAMS;
  for (int i = 0; i < programs; i++) {
    chained c;
    bed b;
    bool same;
    chained_random(&c);
    tw_chains found = chains_of(&c.program, 1);
    bed_begin(&b, &c, 1 + (uint32_t)(walk_random() % BLOCKS_HERE_MOST));
    tw_status status = by_blocks(&c, &found, even_tile(&c), &b, &same);
    refused += status == TW_ERR_USAGE;
    wrong += (status != TW_OK && status != TW_ERR_USAGE) || (status == TW_OK && !same) || b.blocks.dead_lanes;
    run += b.blocks.run;
    blocks_here_end(&b.blocks);
    tw_chains_free(&found);
    chained_end(&c);
  }
  printf("\n    %d programs, %d chains by blocks, %d programs refused, %d differ", programs, run, refused, wrong);
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT(refused < programs / 2);
  CU_ASSERT(run > 0);
}

// ---- what is noticed

// Whether a wrong kernel opens something else, or ends.
static bool notices(chained *c, const tw_chains *found, size_t rows, blocks_fault fault, int which, int *barriers) {
  bed b;
  bed_begin(&b, c, 2);
  b.blocks.fault = fault;
  b.blocks.which = which;
  walk w = chained_walk_of(c, found, rows, (const tw_tile_runner *const[]){&b.runner[0], &b.runner[1]});
  bool noticed = walk_run(&w) != TW_OK || w.mismatches || b.blocks.dead_lanes;
  if (barriers) *barriers = b.blocks.barriers;
  walk_free(&w);
  blocks_here_end(&b.blocks);
  return noticed;
}

// Whether it is noticed in one of several orders of threads and packets.
static bool notices_soon(chained *c, const tw_chains *found, size_t rows, blocks_fault fault, int which) {
  enum { TRIES = 12 };
  for (int again = 0; again < TRIES; again++)
    if (notices(c, found, rows, fault, which, NULL)) return true;
  return false;
}

// Barriers are left out one at a time, from a random one on, until enough were noticed: not each is, as one may wait
// longer than needed, and values may be there in spite of it. ThreadSanitizer knows better.
static void check_faults(chained *c, const char *name, size_t rows) {
  enum { ENOUGH = 3 };
  static const blocks_fault all[] = {FAULT_LANES, FAULT_SLOT, FAULT_BASE, FAULT_NO_WAITING};
  int barriers, tried = 0, noticed = 0;
  tw_chains found = chains_of(&c->program, 2);
  CU_ASSERT(!notices(c, &found, rows, FAULT_NONE, 0, &barriers));
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CU_ASSERT(notices_soon(c, &found, rows, all[i], 0));
  for (int first = (int)(walk_random() % 64); tried < barriers && noticed < ENOUGH; tried++)
    noticed += notices(c, &found, rows, FAULT_BARRIER, (first + tried) % barriers, NULL);
  printf("\n    %s: of %d barriers %d were left out, one at a time, and %d noticed", name, barriers, tried, noticed);
  CU_ASSERT(noticed >= ENOUGH);
  tw_chains_free(&found);
}

static void faults(void) {
#ifdef __SANITIZE_THREAD__
  CU_PASS("it would report them");
  return;
#endif
  chained c;
  a_norm(&c, 4, 48, 1);
  check_faults(&c, "norm", 1);
  chained_end(&c);
  a_softmax(&c, 4, 13, 2, true, 1);
  check_faults(&c, "softmax", 2);
  chained_end(&c);
}

int main(int count, char **arguments) {
  static const suite_test tests[] = {{"a norm", norm_steps},
                                     {"a softmax", softmax_steps},
                                     {"argmax", place_steps},
                                     {"random programs", random_steps},
                                     {"faults", faults}};
  if (count > 1) wanted = atoi(arguments[1]);
  return suite_run("chain blocks", tests, sizeof tests / sizeof tests[0]);
}
