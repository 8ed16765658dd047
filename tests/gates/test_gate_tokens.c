// One query against the keys before it: what it gives is a row of the causal attention of all, exactly, in the emulator
// and among the parties; so is what the guard counts.
#include <string.h>

#include "jobs/gates/guard.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

enum { HEADS = 3, DIM = 4, RING = 14, WIDE = 40, BATCH = 2, BOUND = 6, MOST = 20 };

// Of one query: row maximum, sum of the live logits, and the live logits times the values.
enum { RESULTS = 2 + DIM };

static tw_view_map flat(size_t n, size_t first) { return (tw_view_map){{1, 1, 1, n}, {0, 0, 0, 1}, first}; }

// Logits [HEADS][queries][keys] and values [HEADS][keys][DIM] to [HEADS * queries][RESULTS].
static int attend(tw_builder *b, int x, tw_tokens tokens) {
  size_t rows = HEADS * tokens.queries, logits = rows * tokens.keys, values = HEADS * tokens.keys * DIM;
  int s = tw_open(b, tw_reduce(b, tw_view(b, x, flat(logits, 0)), RING));
  int v = tw_open(b, tw_view(b, x, flat(values, logits)));
  tw_declare(b, s, "logit", BOUND, TW_BY_PAIR, HEADS, tokens);
  int most = tw_extend(b, tw_row_maximum(b, s, rows, tokens), WIDE);
  int e = tw_open(b, tw_zero_dead(b, tw_extend(b, s, WIDE), rows, tokens));
  int both = tw_concat(b, most, tw_as_share(b, tw_row_sum(b, e, tokens.keys)), rows);
  return tw_concat(b, both, tw_matmul(b, e, v, HEADS, tokens.queries, DIM, tokens.keys, WIDE), rows);
}

typedef struct {
  int64_t logit[BATCH][HEADS][MOST][MOST], value[BATCH][HEADS][MOST][DIM];
} attention;

// In bound or far out of it, so that the guard's count is certain.
static void draw(attention *a) {
  int64_t *x = &a->logit[0][0][0][0], *v = &a->value[0][0][0][0];
  for (size_t i = 0; i < sizeof a->logit / sizeof *x; i++)
    x[i] = walk_random_range(0, 9) ? walk_random_range(-63, 63) : 3 * 64 * walk_random_range(-1, 1);
  for (size_t i = 0; i < sizeof a->value / sizeof *v; i++) v[i] = walk_random_range(-4000, 4000);
}

// Queries `first` and later ones, against the keys of all.
static void fill(trial *t, const attention *a, tw_tokens tokens) {
  for (int b = 0; b < BATCH; b++) {
    uint64_t *out = t->input + (size_t)b * t->n;
    for (int h = 0; h < HEADS; h++)
      for (size_t i = 0; i < tokens.queries; i++)
        for (size_t j = 0; j < tokens.keys; j++) *out++ = (uint64_t)a->logit[b][h][tokens.first + i][j] & tw_mask(WIDE);
    for (int h = 0; h < HEADS; h++)
      for (size_t j = 0; j < tokens.keys; j++)
        for (int d = 0; d < DIM; d++) *out++ = (uint64_t)a->value[b][h][j][d] & tw_mask(WIDE);
  }
}

static void run(trial *t, const attention *a, tw_tokens tokens, const int *lengths) {
  size_t n = HEADS * (tokens.queries * tokens.keys + tokens.keys * DIM);
  int x = trial_start(t, WIDE, n, BATCH);
  fill(t, a, tokens);
  t->w.lengths = lengths;
  t->b.guard = true;
  int y = tw_open(&t->b, attend(&t->b, x, tokens));
  tw_guard_finish(&t->b);
  trial_run(t, y);
  CU_ASSERT_EQUAL(t->w.out_of_bound, t->w.guard[0] + t->w.guard[1]);  // what the emulator notes
}

// Row `query` of a head, computed plainly.
static void expect(const attention *a, int b, int head, size_t query, size_t live, int64_t out[RESULTS]) {
  const int64_t *logit = a->logit[b][head][query];
  memset(out, 0, RESULTS * sizeof *out);
  out[0] = INT64_MIN;
  for (size_t j = 0; j < live; j++) {
    if (logit[j] > out[0]) out[0] = logit[j];
    out[1] += logit[j];
    for (int d = 0; d < DIM; d++) out[2 + d] += logit[j] * a->value[b][head][j][d];
  }
}

// Wrong results among the queries that the program has.
static size_t wrong_results(const trial *t, const attention *a, tw_tokens tokens, const int *lengths) {
  size_t wrong = 0, at[BATCH] = {0};
  for (int b = 0; b < BATCH; b++)
    for (int h = 0; h < HEADS; h++)
      for (size_t i = 0; i < tokens.queries; i++) {
        size_t token = tokens.first + i, live = lengths ? (size_t)lengths[b] : tokens.keys;
        if (tokens.causal && token + 1 < live) live = token + 1;
        int64_t wanted[RESULTS];
        expect(a, b, h, token, live, wanted);
        for (int k = 0; k < RESULTS; k++) wrong += trial_y(t, b, at[b]++) != wanted[k];
      }
  return wrong;
}

static void one_query_is_a_row(void) {
  static attention a;
  draw(&a);
  for (size_t n = 1; n <= MOST; n += n < 10 ? 1 : 3) {
    trial whole, one;
    tw_tokens all = {n, n, 0, true};
    uint64_t counted[BATCH] = {0};
    run(&whole, &a, all, NULL);
    CU_ASSERT_EQUAL(wrong_results(&whole, &a, all, NULL), 0);
    for (size_t t = 0; t < n; t++) {
      tw_tokens next = {1, t + 1, t, true};
      run(&one, &a, next, NULL);
      CU_ASSERT_EQUAL(wrong_results(&one, &a, next, NULL), 0);
      for (int b = 0; b < BATCH; b++) {
        counted[b] += one.w.guard[b];
        for (size_t k = 0; k < HEADS * RESULTS; k++)
          CU_ASSERT_EQUAL(trial_y(&one, b, k), trial_y(&whole, b, (k / RESULTS * n + t) * RESULTS + k % RESULTS));
      }
      trial_end(&one);
    }
    for (int b = 0; b < BATCH; b++) CU_ASSERT_EQUAL(counted[b], whole.w.guard[b]);
    trial_end(&whole);
  }
}

// Several queries after others, with or without a causal mask, sequences of unlike lengths.
static void later_queries(void) {
  static const int lengths[BATCH] = {9, 12};
  static attention a;
  for (size_t queries = 1; queries <= 5; queries++)
    for (int causal = 0; causal < 2; causal++)
      for (int given = 0; given < 2; given++) {
        trial t;
        tw_tokens tokens = {queries, 12, 12 - queries, causal};
        draw(&a);
        run(&t, &a, tokens, given ? lengths : NULL);
        CU_ASSERT_EQUAL(wrong_results(&t, &a, tokens, given ? lengths : NULL), 0);
        trial_end(&t);
      }
}

// Sums over live queries, and what the guard counts of wires laid out by query, head and key.
static void live_queries(void) {
  enum { QUERIES = 4, KEYS = 9, COLS = 2 * HEADS };
  static const int lengths[3] = {6, 9, 5};  // live queries: 1, 4, none
  static const int live[3] = {1, 4, 0};
  static const tw_layout layouts[] = {TW_BY_ROW, TW_BY_HEAD, TW_BY_COLUMN};
  tw_tokens tokens = {QUERIES, KEYS, KEYS - QUERIES, true};
  for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
    bool by_column = layouts[l] == TW_BY_COLUMN;
    size_t n = COLS * QUERIES, wrong = 0;
    trial t;
    int x = tw_open(&t.b, trial_start(&t, 20, n, 3));
    trial_fill(&t, 0, n, 3 << 10, 3 << 10);
    t.w.lengths = lengths;
    t.b.guard = true;
    tw_declare(&t.b, x, "all out of bound", 10, layouts[l], layouts[l] == TW_BY_HEAD ? HEADS : 1, tokens);
    int pooled = by_column ? tw_row_sum(&t.b, x, n) : tw_pool_live(&t.b, x, tokens, COLS);
    int y = tw_open(&t.b, tw_as_share(&t.b, pooled));
    tw_guard_finish(&t.b);
    trial_run(&t, y);
    for (int b = 0; b < 3; b++) {
      CU_ASSERT_EQUAL(t.w.guard[b], (uint64_t)(COLS * live[b]));
      for (size_t j = 0; j < COLS && !by_column; j++) wrong += trial_y(&t, b, j) != (3 << 10) * live[b];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(t.w.out_of_bound, t.w.guard[0] + t.w.guard[1] + t.w.guard[2]);
    trial_end(&t);
  }
}

SUITE_MAIN("tokens", {"one query is a row", one_query_is_a_row}, {"later queries", later_queries},
           {"live queries", live_queries})
