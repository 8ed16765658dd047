// Chains of a program, and a walk by tiles of them: every value that it opens is the one that levels open, bit for bit.
// A number as an argument: so many random programs.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "jobs/models/bert.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "jobs/program/tile.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { MOST_ROWS = 70, MOST_COLS = 20, BATCH = 3, RING = 24, WEIGHTS = 2, TABLES = 8 };
enum { SOME_SECONDS = 30 };  // of random programs where nobody says how many

static int wanted;  // random programs; 0: as many as the time allows

static size_t one_of(size_t low, size_t high) { return (size_t)walk_random_range((int64_t)low, (int64_t)high); }

// A program under test and what its walks read.
typedef struct {
  tw_program program;
  tw_builder b;
  tw_table tables[TABLES];
  size_t rows, cols;      // of x
  size_t shape[2];        // rows and columns of the input, and of the weights
  size_t heads;           // of x's rows
  bool causal, of_heads;  // of_heads: rows of a tile belong to one head
  int batch, lengths[BATCH];
  uint64_t slots[BATCH], *weights[WEIGHTS], *input;
  tw_seed seeds[2][BATCH], model_seeds[2];
} chained;

static uint64_t *some(size_t n, int bits) {
  uint64_t *out = malloc(n * sizeof *out);
  if (!out) abort();
  for (size_t i = 0; i < n; i++) out[i] = walk_random() & tw_mask(bits);
  return out;
}

// A fresh wire [rows][cols] of `ring` bits, whose values have `bits`.
static int start(chained *c, size_t rows, size_t cols, int batch, int ring, int bits) {
  tw_spec reciprocal = tw_spec_reciprocal((int)cols);
  *c = (chained){.rows = rows, .cols = cols, .shape = {rows, cols}, .heads = 1, .batch = batch};
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_gelu, c->tables), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_rsqrt, c->tables + 2), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&tw_spec_exp, c->tables + 4), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_spec_fit(&reciprocal, c->tables + 6), TW_OK);
  c->program = (tw_program){.tables = c->tables, .table_count = TABLES};
  c->input = some((size_t)batch * rows * cols, bits);
  for (int i = 0; i < WEIGHTS; i++) c->weights[i] = some(c->shape[i], 6);
  for (int b = 0; b < batch; b++) {
    c->lengths[b] = (int)one_of(1, cols);
    c->slots[b] = walk_random();
    for (int party = 0; party < 2; party++) tw_seed_random(&c->seeds[party][b]);
  }
  for (int party = 0; party < 2; party++) tw_seed_random(&c->model_seeds[party]);
  tw_builder_start(&c->b, &c->program);
  return tw_open(&c->b, tw_build_input(&c->b, ring, 0, rows * cols));
}

static void end(chained *c) {
  tw_program_free(&c->program);
  tw_tables_free(c->tables, TABLES);
  for (int i = 0; i < WEIGHTS; i++) free(c->weights[i]);
  free(c->input);
}

static walk walk_of(chained *c, const tw_chains *chains, size_t tile_rows) {
  static const size_t one[WEIGHTS] = {1, 1};
  walk w = {.program = &c->program,
            .batch = c->batch,
            .lengths = c->lengths,
            .input = c->input,
            .weight_count = WEIGHTS,
            .weight_rows = one,
            .weight_cols = c->shape,
            .weight_values = c->weights,
            .slots = c->slots,
            .model_seeds = c->model_seeds,
            .seeds = {c->seeds[0], c->seeds[1]},
            .keep_masks = walk_random() & 1,
            .chains = chains,
            .tile_rows = tile_rows};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  return w;
}

// By levels, and by tiles of `rows` rows.
static bool same_by_tiles(chained *c, const tw_chains *chains, size_t rows) {
  walk levels = walk_of(c, NULL, 0), tiles = walk_of(c, chains, rows);
  bool same = levels.opened_count == tiles.opened_count && levels.mismatches == tiles.mismatches &&
              memcmp(levels.opened, tiles.opened, 8 * levels.opened_count) == 0;
  walk_free(&levels);
  walk_free(&tiles);
  return same;
}

static void finish(chained *c, int output) {
  tw_build_output(&c->b, output);
  tw_status status = tw_builder_finish(&c->b);
  if (status != TW_OK) fprintf(stderr, "%s\n", tw_error_message());
  CU_ASSERT_EQUAL_FATAL(status, TW_OK);
}

static tw_chains chains_of(const tw_program *p, int rounds) {
  tw_chains chains;
  CU_ASSERT_EQUAL_FATAL(tw_chains_find(p, rounds, &chains), TW_OK);
  return chains;
}

// ---- random programs: steps from a fresh wire [rows][cols] of RING bits to another one

// Fresh, in RING bits again, at scale 0.
static int fresh(tw_builder *b, int x) {
  tw_tensor t = tw_look(b, x);
  x = tw_open(b, t.kind == TW_WIRE ? tw_as_share(b, x) : x);
  if (t.ring > RING) x = tw_truncate_dithered(b, x, t.ring - RING);
  return tw_rescale(b, x, 0);
}

static tw_tokens tokens_of(const chained *c) {
  size_t queries = c->rows / c->heads;
  bool causal = c->causal && queries <= c->cols;
  return (tw_tokens){queries, c->cols, causal ? c->cols - queries : 0, causal};
}

static int centre(chained *c, int x) { return tw_build_centred(&c->b, x, c->cols, RING); }

static int less_mean(chained *c, int x) {
  int sum = tw_open(&c->b, tw_extended_row_sum(&c->b, x, c->cols, RING + 6));
  return tw_combine(&c->b, 1, x, -1, tw_rescale(&c->b, tw_truncate_dithered(&c->b, sum, 6), 0), true);
}

static int times_squares(chained *c, int x) {
  int v = tw_open(&c->b, tw_sum_of_squares(&c->b, x, c->cols, RING + 10));
  return tw_multiply(&c->b, x, v, RING + 10, TW_PER_ROW);
}

static int times_rows(chained *c, int x) {
  int v = tw_open(&c->b, tw_extend(&c->b, tw_row_sum(&c->b, x, c->cols), RING + 3));
  return tw_multiply_rows(&c->b, x, tw_truncate_dithered(&c->b, v, 9), RING + 12);
}

static int times_columns(chained *c, int x) {
  int weight = c->cols == c->shape[0] ? 0 : 1;
  return tw_multiply(&c->b, x, tw_weight_wire(&c->b, weight, 0, c->cols), RING + 8, TW_PER_COLUMN);
}

static int select_planes(chained *c, int x) {
  int64_t thresholds[4], shifts[4];
  int count = (int)one_of(1, 4);
  for (int i = 0; i < 4; i++) {
    thresholds[i] = walk_random_range(-(1 << 20), 1 << 20);
    shifts[i] = walk_random_range(0, 2);
  }
  c->b.choices.flat_norms = walk_random() & 1;
  tw_compared wire = c->b.choices.flat_norms ? tw_compare_wide(&c->b, x) : tw_compare_wire(&c->b, x);
  int bits = tw_open(&c->b, tw_at_least(&c->b, wire, thresholds, count));
  int sum = tw_sum_planes(&c->b, tw_select(&c->b, bits, 0, count, x, RING + 2), count, shifts, RING + 2, 0);
  return tw_combine(&c->b, 1, sum, 3, tw_bit_constants(&c->b, bits, 0, count, thresholds, RING + 2, 0), false);
}

static int by_table(chained *c, int x) {
  int scale = tw_look(&c->b, x).scale;
  int y = tw_apply_spec(&c->b, tw_rescale(&c->b, x, TW_SCALE), &tw_spec_gelu, RING + 1);
  tw_rescale(&c->b, x, scale);
  return y;
}

static int less_maximum(chained *c, int x) {
  for (int i = 0; i < TW_MOST_LEVELS; i++) c->b.choices.maximum[i] = (int)one_of(2, 9);
  c->b.choices.early_groups = walk_random() & 1;
  return tw_combine(&c->b, 1, x, -1, tw_row_maximum(&c->b, x, c->rows, tokens_of(c)), true);
}

static int floor_of(chained *c, int x) {
  return tw_truncate_faithful(&c->b, tw_open(&c->b, tw_extend(&c->b, x, RING + 5)), 5);
}

// Columns in another order.
static int exchange(chained *c, int x) {
  size_t first = one_of(1, c->cols - 1);
  int left = tw_view(&c->b, x, (tw_view_map){{1, 1, c->rows, first}, {0, 0, c->cols, 1}, 0});
  int right = tw_view(&c->b, x, (tw_view_map){{1, 1, c->rows, c->cols - first}, {0, 0, c->cols, 1}, first});
  return tw_concat(&c->b, right, left, c->rows);
}

static int zero_dead(chained *c, int x) { return tw_zero_dead(&c->b, tw_as_share(&c->b, x), c->rows, tokens_of(c)); }

// Columns become rows: no chain goes through.
static int transpose(chained *c, int x) {
  size_t rows = c->rows;
  int y = tw_view(&c->b, x, (tw_view_map){{1, 1, c->cols, c->rows}, {0, 0, 1, c->cols}, 0});
  c->rows = c->cols;
  c->cols = rows;
  c->heads = 1;
  return y;
}

static int (*const steps[])(chained *, int) = {centre,        less_mean,     times_squares, times_rows,
                                               times_columns, select_planes, by_table,      less_maximum,
                                               floor_of,      exchange,      zero_dead,     transpose};
enum { STEPS = sizeof steps / sizeof *steps };

static int place(chained *c, int x) {
  tw_argmax_level levels[TW_ARGMAX_LEVELS];
  CU_ASSERT_FATAL(tw_argmax_find(c->cols, RING, walk_random() & 1, 0, levels) > 0);
  return tw_open(&c->b, tw_argmax(&c->b, x, c->rows, levels, -1, 0));
}

static void random_program(chained *c) {
  int x = start(c, one_of(2, MOST_ROWS), one_of(2, MOST_COLS), (int)one_of(1, BATCH), RING, RING - 4);
  c->causal = walk_random() & 1;
  if (c->rows % 2 == 0) c->heads = one_of(1, 2);
  c->of_heads = c->causal && c->heads > 1;
  for (size_t i = one_of(1, 5); i > 0; i--) x = fresh(&c->b, steps[one_of(0, STEPS - 1)](c, x));
  finish(c, walk_random() & 3 ? x : place(c, x));
}

static size_t rows_of_tile(const chained *c) { return c->of_heads ? 1 : one_of(1, MOST_ROWS); }

static void random_programs(void) {
  double begin = tw_seconds();
  size_t wrong = 0, chains = 0, rounds = 0, levels = 0;
  int made = 0;
  for (; wanted ? made < wanted : tw_seconds() - begin < SOME_SECONDS; made++) {
    chained c;
    random_program(&c);
    tw_chains found = chains_of(&c.program, 1);
    chains += (size_t)found.count;
    for (int i = 0; i < found.count; i++) rounds += (size_t)found.chains[i].rounds;
    levels += (size_t)c.program.levels;
    wrong += !same_by_tiles(&c, &found, rows_of_tile(&c));
    tw_chains_free(&found);
    end(&c);
  }
  printf("\n    %d programs, %zu chains, %zu of %zu rounds in them, %zu differ", made, chains, rounds, levels, wrong);
  CU_ASSERT_EQUAL(wrong, 0);
  if (made > 100) CU_ASSERT(rounds > levels / 3);
}

// ---- whole gates: one chain each, of all their rounds, at every size of tile

static void check_gate(chained *c, int output, int rounds) {
  finish(c, output);
  tw_chains found = chains_of(&c->program, 2);
  CU_ASSERT_EQUAL(found.count, 1);
  CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds : 0, rounds);
  CU_ASSERT_EQUAL(c->program.levels, rounds + 1);
  CU_ASSERT(same_by_tiles(c, &found, 1));
  CU_ASSERT(same_by_tiles(c, &found, c->rows - 1));
  CU_ASSERT(same_by_tiles(c, &found, c->rows));
  tw_chains_free(&found);
  end(c);
}

static void norms(void) {
  for (int mean = 0; mean < 2; mean++) {
    chained c;
    int x = start(&c, 9, 48, 2, 28, 17);
    tw_rescale(&c.b, x, TW_SCALE);
    int gamma = tw_weight_wire(&c.b, 1, TW_SCALE, c.cols), beta = mean ? tw_weight_wire(&c.b, 1, TW_SCALE, c.cols) : -1;
    check_gate(&c,
               tw_build_norm(&c.b, (tw_tokens){c.rows, c.rows, 0, false}, x, mean, gamma, beta, c.cols,
                             (tw_norm_rings){40, 54, 29, 24, false}, 36, 1e-12),
               8 + mean);
  }
}

// From logits to the reciprocal of the sum of exponentials, as far as rows go.
static int softmax_front(chained *c, int x) {
  tw_builder *b = &c->b;
  tw_spec reciprocal = tw_spec_reciprocal((int)c->cols);
  int maximum = tw_row_maximum(b, tw_truncate(b, x, 6), c->rows, tokens_of(c));
  int below = tw_combine(b, -1, x, 1, tw_shift_left(b, maximum, 6), true);
  int e = tw_apply_spec(b, tw_rescale(b, tw_add_constant(b, below, 512), TW_SCALE), &tw_spec_exp, 39);
  e = tw_open(b, tw_zero_dead(b, e, c->rows, tokens_of(c)));
  int sum = tw_rescale(b, tw_row_sum(b, e, c->cols), reciprocal.argument_scale);
  return tw_apply_spec(b, sum, &reciprocal, 64);
}

static void softmaxes(void) {
  for (int causal = 0; causal < 2; causal++) {
    chained c;
    int x = start(&c, 10, 19, 2, 22, 18);
    c.causal = causal;
    finish(&c, softmax_front(&c, x));
    tw_chains found = chains_of(&c.program, 2);
    CU_ASSERT_EQUAL(found.count, 1);
    CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds + 1 : 0, c.program.levels);
    for (size_t rows = 1; rows <= c.rows; rows += 3) CU_ASSERT(same_by_tiles(&c, &found, rows));
    tw_chains_free(&found);
    end(&c);
  }
}

static void places(void) {
  chained c;
  int x = start(&c, 13, 17, 1, RING, RING - 4);
  int out = place(&c, x);
  finish(&c, out);
  tw_chains found = chains_of(&c.program, 2);
  CU_ASSERT_EQUAL(found.count, 1);
  CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds + 1 : 0, c.program.levels);
  for (size_t rows = 1; rows <= c.rows; rows += 4) CU_ASSERT(same_by_tiles(&c, &found, rows));
  tw_chains_free(&found);
  end(&c);
}

// ---- what is noticed

// Opened bits whose rows and places are exchanged: a tile takes lanes of its neighbours.
static bool exchange_lanes(tw_chains *found, const tw_program *p) {
  for (int i = 0; i < found->count; i++)
    for (int j = 0; j < found->chains[i].tensor_count; j++) {
      tw_chain_tensor *t = &found->chains[i].tensors[j];
      const tw_op *maker = &p->ops[p->tensors[t->tensor].first_op];
      if (t->input || !maker->opens || p->tensors[t->tensor].kind != TW_BITWIRE || t->rows.outer * t->rows.inner == 1)
        continue;
      t->rows = t->rows.outer > 1 ? tw_rows_split(1, t->rows.outer * t->rows.inner) : tw_rows_split(t->rows.inner, 1);
      return true;
    }
  return false;
}

static void neighbours_lanes(void) {
  int tried = 0, noticed = 0;
  while (tried < 20) {
    chained c;
    random_program(&c);
    tw_chains found = chains_of(&c.program, 1);
    if (exchange_lanes(&found, &c.program)) {
      tried++;
      noticed += !same_by_tiles(&c, &found, 1);
    }
    tw_chains_free(&found);
    end(&c);
  }
  CU_ASSERT_EQUAL(noticed, tried);
}

// Rows of two heads that see different keys are no tile.
static void two_heads(void) {
  chained c;
  int x = start(&c, 6, 8, 1, RING, RING - 4);
  c.causal = true;
  c.heads = 2;
  finish(&c, fresh(&c.b, less_maximum(&c, x)));
  tw_chains found = chains_of(&c.program, 1);
  tw_tile tile;
  CU_ASSERT_EQUAL_FATAL(found.count, 1);
  CU_ASSERT_EQUAL(tw_tile_make(&c.program, &found.chains[0], 2, &tile), TW_OK);
  CU_ASSERT_EQUAL(tw_tile_move(&tile, 2), TW_ERR_RANGE);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "two heads"));
  CU_ASSERT_EQUAL(tw_tile_move(&tile, 4), TW_OK);
  tw_tile_free(&tile);
  tw_chains_free(&found);
  end(&c);
}

// ---- plans

// Of steps of these names, how many openings there are and how many are in no chain.
static void count_openings(const tw_program *p, const tw_chains *found, const char *name, int *all, int *outside) {
  *all = *outside = 0;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens || strncmp(p->steps[p->ops[i].step].name, name, strlen(name)) != 0) continue;
    ++*all;
    *outside += found->of_op[i] < 0;
  }
}

static void plans(void) {
  static const char *const shapes[] = {"bert-tiny", "bert-base", "bert-large", "gpt2"};
  const tw_choices few_rounds = {.wide_nodes = true,
                                 .flat_windows = true,
                                 .centred = true,
                                 .flat_norms = true,
                                 .early_groups = true,
                                 .maximum = {16, 8}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    static const char *const names[] = {"norm ", "row maximum", "reciprocal"};
    tw_model_config config;
    tw_plan plan;
    CU_ASSERT_EQUAL_FATAL(tw_shape_config(shapes[i], &config), TW_OK);
    tw_plan_request request = {.seq = 128, .choices = few_rounds};
    CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, NULL, &plan), TW_OK);
    tw_chains found = chains_of(&plan.program, 2);
    int rounds = 0;
    for (int j = 0; j < found.count; j++) rounds += found.chains[j].rounds;
    printf("\n    %s: %d chains with %d rounds, of %d rounds", shapes[i], found.count, rounds, plan.program.levels);
    for (size_t j = 0; j < 3; j++) {
      int all, outside;
      count_openings(&plan.program, &found, names[j], &all, &outside);
      CU_ASSERT(all > 0);
      if (strcmp(shapes[i], "gpt2") != 0 || j == 0)
        CU_ASSERT_EQUAL(outside, 0);  // packed pairs of a causal model have no rows
    }
    tw_chains_free(&found);
    tw_plan_free(&plan);
  }
}

int main(int count, char **arguments) {
  static const suite_test tests[] = {{"plans", plans},
                                     {"norms", norms},
                                     {"softmax up to the reciprocal", softmaxes},
                                     {"argmax", places},
                                     {"a neighbour's lanes", neighbours_lanes},
                                     {"rows of two heads", two_heads},
                                     {"random programs", random_programs}};
  if (count > 1) wanted = atoi(arguments[1]);
  return suite_run("chains", tests, sizeof tests / sizeof tests[0]);
}
