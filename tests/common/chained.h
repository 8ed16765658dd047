// Programs whose rows go through chains: random ones, and what tests put together themselves.
#ifndef TW_TEST_CHAINED_H
#define TW_TEST_CHAINED_H

#include "jobs/models/bert.h"
#include "tests/common/walk.h"

enum {
  CHAINED_ROWS = 70,  // most
  CHAINED_COLS = 20,
  CHAINED_BATCH = 3,
  CHAINED_RING = 24,
  CHAINED_WEIGHTS = 2,
  CHAINED_TABLES = 8  // of gelu, 1/sqrt(x), exp, and 1/x of so many columns
};

// A program under test and what its walks read.
typedef struct {
  tw_program program;
  tw_builder b;
  tw_table tables[CHAINED_TABLES];
  size_t rows, cols;      // of x
  size_t shape[2];        // rows and columns of the input, and of the weights
  size_t heads;           // of x's rows
  bool causal, of_heads;  // of_heads: rows of a tile belong to one head
  int batch, lengths[CHAINED_BATCH];
  uint64_t slots[CHAINED_BATCH], *weights[CHAINED_WEIGHTS], *input;
  tw_seed seeds[2][CHAINED_BATCH], model_seeds[2];
} chained;

size_t chained_one_of(size_t low, size_t high);  // inclusive
uint64_t *chained_some(size_t n, int bits);      // random; free
// A fresh wire [rows][cols] of `ring` bits, whose values have `bits`.
int chained_start(chained *c, size_t rows, size_t cols, int batch, int ring, int bits);
void chained_finish(chained *c, int output);
void chained_end(chained *c);
// Its walk, to be run: level by level, or by tiles.
walk chained_walk_of(chained *c, const tw_chains *chains, size_t tile_rows, const tw_tile_runner *const runner[2]);

// One to five random steps.
void chained_random(chained *c);

// Of x [rows][cols]: a norm (mean: LayerNorm, with beta; else RMSNorm); from logits to the reciprocal of the sum of
// exponentials, as far as rows go.
int chained_norm(chained *c, int x, bool mean);
int chained_softmax(chained *c, int x);

// From x [rows][cols]: the same opened afresh, in CHAINED_RING bits at scale 0; less its rows' maxima; their places.
int chained_fresh(tw_builder *b, int x);
int chained_less_maximum(chained *c, int x);
int chained_place(chained *c, int x);
tw_tokens chained_tokens_of(const chained *c);  // of its rows

#endif
