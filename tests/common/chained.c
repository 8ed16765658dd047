#include "tests/common/chained.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/pack.h"

static void must(tw_status status) {
  if (status == TW_OK) return;
  fprintf(stderr, "%s\n", tw_error_message());
  abort();
}

size_t chained_one_of(size_t low, size_t high) { return (size_t)walk_random_range((int64_t)low, (int64_t)high); }

uint64_t *chained_some(size_t n, int bits) {
  uint64_t *out = malloc(n * sizeof *out);
  if (!out) abort();
  for (size_t i = 0; i < n; i++) out[i] = walk_random() & tw_mask(bits);
  return out;
}

// A fresh wire [rows][cols] of `ring` bits, whose values have `bits`.
int chained_start(chained *c, size_t rows, size_t cols, int batch, int ring, int bits) {
  tw_spec reciprocal = tw_spec_reciprocal((int)cols);
  *c = (chained){.rows = rows, .cols = cols, .shape = {rows, cols}, .heads = 1, .batch = batch};
  must(tw_spec_fit(&tw_spec_gelu, c->tables));
  must(tw_spec_fit(&tw_spec_rsqrt, c->tables + 2));
  must(tw_spec_fit(&tw_spec_exp, c->tables + 4));
  must(tw_spec_fit(&reciprocal, c->tables + 6));
  c->program = (tw_program){.tables = c->tables, .table_count = CHAINED_TABLES};
  c->input = chained_some((size_t)batch * rows * cols, bits);
  for (int i = 0; i < CHAINED_WEIGHTS; i++) c->weights[i] = chained_some(c->shape[i], 6);
  for (int b = 0; b < batch; b++) {
    c->lengths[b] = (int)chained_one_of(1, cols);
    c->slots[b] = walk_random();
    for (int party = 0; party < 2; party++) tw_seed_random(&c->seeds[party][b]);
  }
  for (int party = 0; party < 2; party++) tw_seed_random(&c->model_seeds[party]);
  tw_builder_start(&c->b, &c->program);
  return tw_open(&c->b, tw_build_input(&c->b, ring, 0, rows * cols));
}

void chained_end(chained *c) {
  tw_program_free(&c->program);
  tw_tables_free(c->tables, CHAINED_TABLES);
  for (int i = 0; i < CHAINED_WEIGHTS; i++) free(c->weights[i]);
  free(c->input);
}

walk chained_walk_of(chained *c, const tw_chains *chains, size_t tile_rows, const tw_tile_runner *const runner[2]) {
  static const size_t one[CHAINED_WEIGHTS] = {1, 1};
  walk w = {.program = &c->program,
            .batch = c->batch,
            .lengths = c->lengths,
            .input = c->input,
            .weight_count = CHAINED_WEIGHTS,
            .weight_rows = one,
            .weight_cols = c->shape,
            .weight_values = c->weights,
            .slots = c->slots,
            .model_seeds = c->model_seeds,
            .seeds = {c->seeds[0], c->seeds[1]},
            .keep_masks = walk_random() & 1,
            .chains = chains,
            .tile_rows = tile_rows,
            .runner = {runner ? runner[0] : NULL, runner ? runner[1] : NULL}};
  return w;
}

void chained_finish(chained *c, int output) {
  tw_build_output(&c->b, output);
  must(tw_builder_finish(&c->b));
}

// ---- random programs: steps from a fresh wire [rows][cols] of CHAINED_RING bits to another one

// Fresh, in CHAINED_RING bits again, at scale 0.
int chained_fresh(tw_builder *b, int x) {
  tw_tensor t = tw_look(b, x);
  x = tw_open(b, t.kind == TW_WIRE ? tw_as_share(b, x) : x);
  if (t.ring > CHAINED_RING) x = tw_truncate_dithered(b, x, t.ring - CHAINED_RING);
  return tw_rescale(b, x, 0);
}

tw_tokens chained_tokens_of(const chained *c) {
  size_t queries = c->rows / c->heads;
  bool causal = c->causal && queries <= c->cols;
  return (tw_tokens){queries, c->cols, causal ? c->cols - queries : 0, causal};
}

static int centre(chained *c, int x) { return tw_build_centred(&c->b, x, c->cols, CHAINED_RING); }

static int less_mean(chained *c, int x) {
  int sum = tw_open(&c->b, tw_extended_row_sum(&c->b, x, c->cols, CHAINED_RING + 6));
  return tw_combine(&c->b, 1, x, -1, tw_rescale(&c->b, tw_truncate_dithered(&c->b, sum, 6), 0), true);
}

static int times_squares(chained *c, int x) {
  int v = tw_open(&c->b, tw_sum_of_squares(&c->b, x, c->cols, CHAINED_RING + 10));
  return tw_multiply(&c->b, x, v, CHAINED_RING + 10, TW_PER_ROW);
}

static int times_rows(chained *c, int x) {
  int v = tw_open(&c->b, tw_extend(&c->b, tw_row_sum(&c->b, x, c->cols), CHAINED_RING + 3));
  return tw_multiply_rows(&c->b, x, tw_truncate_dithered(&c->b, v, 9), CHAINED_RING + 12);
}

static int times_columns(chained *c, int x) {
  int weight = c->cols == c->shape[0] ? 0 : 1;
  return tw_multiply(&c->b, x, tw_weight_wire(&c->b, weight, 0, c->cols), CHAINED_RING + 8, TW_PER_COLUMN);
}

static int select_planes(chained *c, int x) {
  int64_t thresholds[4], shifts[4];
  int count = (int)chained_one_of(1, 4);
  for (int i = 0; i < 4; i++) {
    thresholds[i] = walk_random_range(-(1 << 20), 1 << 20);
    shifts[i] = walk_random_range(0, 2);
  }
  c->b.choices.flat_norms = walk_random() & 1;
  tw_compared wire = c->b.choices.flat_norms ? tw_compare_wide(&c->b, x) : tw_compare_wire(&c->b, x);
  int bits = tw_open(&c->b, tw_at_least(&c->b, wire, thresholds, count));
  int sum =
      tw_sum_planes(&c->b, tw_select(&c->b, bits, 0, count, x, CHAINED_RING + 2), count, shifts, CHAINED_RING + 2, 0);
  return tw_combine(&c->b, 1, sum, 3, tw_bit_constants(&c->b, bits, 0, count, thresholds, CHAINED_RING + 2, 0), false);
}

static int by_table(chained *c, int x) {
  int scale = tw_look(&c->b, x).scale;
  int y = tw_apply_spec(&c->b, tw_rescale(&c->b, x, TW_SCALE), &tw_spec_gelu, CHAINED_RING + 1);
  tw_rescale(&c->b, x, scale);
  return y;
}

int chained_less_maximum(chained *c, int x) {
  for (int i = 0; i < TW_MOST_LEVELS; i++) c->b.choices.maximum[i] = (int)chained_one_of(2, 9);
  c->b.choices.early_groups = walk_random() & 1;
  return tw_combine(&c->b, 1, x, -1, tw_row_maximum(&c->b, x, c->rows, chained_tokens_of(c)), true);
}

static int floor_of(chained *c, int x) {
  return tw_truncate_faithful(&c->b, tw_open(&c->b, tw_extend(&c->b, x, CHAINED_RING + 5)), 5);
}

// Columns in another order.
static int exchange(chained *c, int x) {
  size_t first = chained_one_of(1, c->cols - 1);
  int left = tw_view(&c->b, x, (tw_view_map){{1, 1, c->rows, first}, {0, 0, c->cols, 1}, 0});
  int right = tw_view(&c->b, x, (tw_view_map){{1, 1, c->rows, c->cols - first}, {0, 0, c->cols, 1}, first});
  return tw_concat(&c->b, right, left, c->rows);
}

static int zero_dead(chained *c, int x) {
  return tw_zero_dead(&c->b, tw_as_share(&c->b, x), c->rows, chained_tokens_of(c));
}

// Columns become rows: no chain goes through.
static int transpose(chained *c, int x) {
  size_t rows = c->rows;
  int y = tw_view(&c->b, x, (tw_view_map){{1, 1, c->cols, c->rows}, {0, 0, 1, c->cols}, 0});
  c->rows = c->cols;
  c->cols = rows;
  c->heads = 1;
  return y;
}

static int (*const steps[])(chained *, int) = {
    centre,   less_mean, times_squares, times_rows,           times_columns, select_planes,
    by_table, exchange,  transpose,     chained_less_maximum, floor_of,      zero_dead};
enum { STEPS = sizeof steps / sizeof *steps };

int chained_place(chained *c, int x) {
  tw_argmax_level levels[TW_ARGMAX_LEVELS];
  if (tw_argmax_find(c->cols, CHAINED_RING, walk_random() & 1, 0, levels) == 0) abort();
  return tw_open(&c->b, tw_argmax(&c->b, x, c->rows, levels, -1, 0));
}

// ---- whole gates

int chained_softmax(chained *c, int x) {
  tw_builder *b = &c->b;
  tw_spec reciprocal = tw_spec_reciprocal((int)c->cols);
  int maximum = tw_row_maximum(b, tw_truncate(b, x, 6), c->rows, chained_tokens_of(c));
  int below = tw_combine(b, -1, x, 1, tw_shift_left(b, maximum, 6), true);
  int e = tw_apply_spec(b, tw_rescale(b, tw_add_constant(b, below, 512), TW_SCALE), &tw_spec_exp, 39);
  e = tw_open(b, tw_zero_dead(b, e, c->rows, chained_tokens_of(c)));
  int sum = tw_rescale(b, tw_row_sum(b, e, c->cols), reciprocal.argument_scale);
  return tw_apply_spec(b, sum, &reciprocal, 64);
}

int chained_norm(chained *c, int x, bool mean) {
  tw_rescale(&c->b, x, TW_SCALE);
  int gamma = tw_weight_wire(&c->b, 1, TW_SCALE, c->cols),
      beta = mean ? tw_weight_wire(&c->b, 1, TW_SCALE, c->cols) : -1;
  return tw_build_norm(&c->b, (tw_tokens){c->rows, c->rows, 0, false}, x, mean, gamma, beta, c->cols,
                       (tw_norm_rings){40, 54, 29, 24, false}, 36, 1e-12);
}

void chained_random(chained *c) {
  int x = chained_start(c, chained_one_of(2, CHAINED_ROWS), chained_one_of(2, CHAINED_COLS),
                        (int)chained_one_of(1, CHAINED_BATCH), CHAINED_RING, CHAINED_RING - 4);
  c->causal = walk_random() & 1;
  if (c->rows % 2 == 0) c->heads = chained_one_of(1, 2);
  c->of_heads = c->causal && c->heads > 1;
  for (size_t i = chained_one_of(1, 5); i > 0; i--) x = chained_fresh(&c->b, steps[chained_one_of(0, STEPS - 1)](c, x));
  chained_finish(c, walk_random() & 3 ? x : chained_place(c, x));
}
