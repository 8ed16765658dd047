// Constant time: run under valgrind with everything a party must keep secret marked as uninitialised (seeds, input
// shares, corrections, its masks and shares of the model). Whatever is computed from it stays marked until an opening
// publishes it, so any branch and any address that depends on a share is reported. Every gate kind, then a whole
// encoder layer, on every instruction set that valgrind knows.
#include <string.h>

#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"
#include "jobs/models/spec_keys.h"
#include "tests/common/secrecy.h"
#include "tests/common/tiny_model.h"

static void mark(void *data, size_t bytes, bool secret) {
  if (secret)
    VALGRIND_MAKE_MEM_UNDEFINED(data, bytes);
  else
    VALGRIND_MAKE_MEM_DEFINED(data, bytes);
}

// ---- openings publish ----

static const tw_gate *open_gate;

// Every share that is opened must still carry the marks of what it was computed from, or the test would see nothing.
static void check_marked(const uint64_t *share) {
  uint64_t unknown_bits = 0;
  VALGRIND_GET_VBITS(share, &unknown_bits, sizeof unknown_bits);
  if (unknown_bits == 0) secrecy_lost_marks++;
}

static tw_status publishing_party(tw_session *s, const tw_op *op) {
  check_marked(tw_b(s, op->in[0])->value);
  TW_TRY(open_gate->party(s, op));
  int id = op->out[0];
  mark(tw_b(s, id)->value, 8 * (size_t)s->batch * tw_words_of(s, id), false);
  return TW_OK;
}

// What a careless gate would do with the share that it opens.
static volatile uint64_t sink;
static tw_status branching_party(tw_session *s, const tw_op *op) {
  if (tw_b(s, op->in[0])->value[0] & 1) sink++;
  return publishing_party(s, op);
}
static tw_status indexing_party(tw_session *s, const tw_op *op) {
  static const uint64_t table[2] = {3, 5};
  sink += table[tw_b(s, op->in[0])->value[0] & 1];
  return publishing_party(s, op);
}

static tw_gate opener;

static void replace_openings(tw_program *p, tw_status (*party)(tw_session *, const tw_op *)) {
  for (int i = 0; i < p->op_count; i++) {
    tw_op *op = &p->ops[i];
    if (!op->opens) continue;
    open_gate = op->gate;
    opener = *op->gate;
    opener.party = party;
    op->gate = &opener;
  }
}

// ---- programs ----

enum { N = 70 };  // a full word of bits and a part of one

typedef int builder(tw_builder *b, int x);  // from N * 3 input elements of ring 40 to an opened output

static int part(tw_builder *b, int x, size_t which, int ring) {
  return tw_open(b, tw_reduce(b, tw_view(b, x, (tw_view_map){{1, 1, 1, N}, {0, 0, 0, 1}, which * N}), ring));
}
static int bit_of(tw_builder *b, int x, size_t which) {
  static const int64_t zero = 0;
  int wire = part(b, x, which, 14);
  return tw_at_least(b, tw_compare_wire(b, wire), &zero, 1);
}

static int truncation(tw_builder *b, int x) { return tw_truncate_dithered(b, part(b, x, 0, 36), 12); }
static int faithful(tw_builder *b, int x) { return tw_truncate_faithful(b, part(b, x, 0, 36), 12); }
static int extension(tw_builder *b, int x) { return tw_open(b, tw_extend(b, part(b, x, 0, 24), 50)); }
static int product(tw_builder *b, int x) {
  int wide = tw_multiply(b, part(b, x, 0, 24), part(b, x, 1, 40), 38, TW_EACH);
  return tw_open(b,
                 tw_combine(b, 1, wide, 1, tw_multiply(b, part(b, x, 1, 38), part(b, x, 2, 38), 38, TW_EACH), false));
}
static int row_product(tw_builder *b, int x) {
  return tw_open(b, tw_multiply_rows(b, part(b, x, 0, 20), part(b, x, 1, 18), 40));
}
static int squares(tw_builder *b, int x) { return tw_open(b, tw_sum_of_squares(b, part(b, x, 0, 24), 7, 54)); }
static int matrices(tw_builder *b, int x) {
  return tw_open(b, tw_matmul(b, part(b, x, 0, 36), part(b, x, 1, 36), 2, 5, 5, 7, 36));
}
static int weights(tw_builder *b, int x) { return tw_open(b, tw_linear(b, part(b, x, 0, 38), 0, 7, 3, 38, 12)); }
static int comparison(tw_builder *b, int x) {
  static const int64_t thresholds[3] = {-70000, 0, 123456};
  int wire = part(b, x, 0, 24);
  return tw_open(b, tw_at_least(b, tw_compare_wire(b, wire), thresholds, 3));
}
static int key_comparison(tw_builder *b, int x) {
  static const int64_t thresholds[3] = {-70000, 0, 123456};
  return tw_open(b, tw_at_least_by_key(b, part(b, x, 0, 24), thresholds, 3));
}
static int selection(tw_builder *b, int x) {
  static const int64_t five = 5;
  int bits = tw_open(b, bit_of(b, x, 0)), wide = tw_select(b, bits, 0, 1, part(b, x, 1, 22), 36);
  int both = tw_combine(b, 1, wide, 1, tw_select(b, bits, 0, 1, part(b, x, 2, 36), 36), false);
  return tw_open(b, tw_combine(b, 1, both, 1, tw_bit_constants(b, bits, 0, 1, &five, 36, 0), false));
}
static int maximum(tw_builder *b, int x) {
  b->choices.maximum[0] = 14;  // the last product of wins is the selection's
  return tw_row_maximum(b, part(b, x, 0, 14), 5, (tw_tokens){5, 14, 9, false});
}
static int early_maximum(tw_builder *b, int x) {
  b->choices.early_groups = true;
  b->choices.maximum[0] = 3;
  return tw_row_maximum(b, part(b, x, 0, 14), 5, (tw_tokens){5, 14, 9, false});
}
static int wide_comparison(tw_builder *b, int x) {
  static const int64_t thresholds[3] = {-70000, 0, 123456};
  b->choices.flat_norms = true;
  return tw_open(b, tw_at_least(b, tw_compare_wide(b, part(b, x, 0, 24)), thresholds, 3));
}
// Five rows of 14 in groups of 4, where no row has ended; and whether their places are known ones.
static int largest(tw_builder *b, int x) {
  static const int64_t never = 1 << 20;
  static const uint64_t ones[2] = {3, 12};
  int wire = tw_view(b, x, (tw_view_map){{1, 1, 1, 5}, {0, 0, 0, 1}, N});
  int ended = tw_open(b, tw_at_least(b, tw_compare_wire(b, tw_open(b, wire)), &never, 1));
  tw_argmax_level levels[TW_ARGMAX_LEVELS] = {{4, 2}, {4, 1}};
  int places = tw_open(b, tw_argmax(b, part(b, x, 0, 14), 5, levels, ended, 9));
  return tw_open(b, tw_is_one_of(b, places, ones, 2));
}
static int dead_keys(tw_builder *b, int x) {
  tw_tokens tokens = {5, 14, 9, false};
  int alive = tw_zero_dead(b, tw_view(b, x, (tw_view_map){{1, 1, 1, N}, {0, 0, 0, 1}, 0}), 5, tokens);
  return tw_pool_live(b, tw_open(b, alive), (tw_tokens){14, 14, 0, false}, 5);
}
// Four heads of four queries, two of which share their keys and values.
static int triangle(tw_builder *b, int x) {
  tw_triangle t = {4, 3, 0};
  x = tw_reduce(b, x, 36);
  int q = tw_view(b, x, (tw_view_map){{1, 1, 1, 32}, {0, 0, 0, 1}, 0}),
      k = tw_view(b, x, (tw_view_map){{1, 1, 1, 16}, {0, 0, 0, 1}, 32});
  int s = tw_open(b, tw_triangle_logits(b, tw_open(b, q), tw_open(b, k), 4, 2, 2, t, 36)), v = tw_open(b, k);
  int top = tw_triangle_spread(b, tw_triangle_maximum(b, s, 4, t), 4, t);
  int e = tw_open(b, tw_as_share(b, tw_combine(b, 1, top, -1, s, false)));
  int context = tw_triangle_values(b, e, v, 4, 2, 2, t, 36);
  return tw_open(b, tw_concat(b, context, tw_as_share(b, tw_triangle_sums(b, e, 4, t)), 1));
}
// By tables of 4 tokens and 128 pairs: they are gelu's.
static int turning(tw_builder *b, int x) {
  int wide = tw_view(b, x, (tw_view_map){{1, 1, 8, 128}, {0, 0, 1, 1}, 0});
  int y = tw_open(b, tw_turn(b, wide, (const int[]){0, 1}, 128, 12, 4));
  return tw_open(b, tw_last_live_row(b, tw_as_share(b, y), (tw_tokens){4, 9, 5, true}));
}
static int window(tw_builder *b, int x) {
  int widths[TW_MAX_DIGITS], count = tw_split_digits(16, widths), wire = part(b, x, 0, 22);
  count += tw_split_digits(6, widths + count);
  tw_digits d = tw_deal_digits(b, wire, 0, widths, count, false, -1);
  return tw_open(b, tw_in_window(b, tw_compared_by(&d), -256, 16));
}
static int gelu(tw_builder *b, int x) {
  return tw_open(b, tw_apply_spec(b, tw_rescale(b, part(b, x, 0, 24), 12), &tw_spec_gelu, 38));
}
static int gelu_by_key(tw_builder *b, int x) {
  tw_key_guard guard = {.bits = 21};
  int y = tw_apply_spec_by_key(b, tw_rescale(b, part(b, x, 0, 24), 12), &tw_spec_gelu, 38, &guard);
  static const int64_t one = 1;
  return tw_open(b, tw_combine(b, 1, y, 1, tw_bit_constants(b, guard.bitwire, guard.plane, 1, &one, 46, 20), false));
}
static int root_by_key(tw_builder *b, int x) {
  tw_segment_spec root = tw_segments_root(7, -12, 1, 20);
  int wire = tw_add_constant(b, part(b, x, 0, 30), 5000), outside;
  int t = tw_apply_segments(b, wire, &root, 40, &outside);
  static const int64_t one = 1;
  return tw_open(b, tw_combine(b, 1, tw_as_share(b, t), 1, tw_bit_constants(b, outside, 0, 1, &one, 44, 24), false));
}

// Numbers that come in, and a table of 7 words of 3 in one column.
static int words(tw_builder *b, int x) {
  static const tw_word_table table = {7, 3, 7, 1, 3, 0};
  (void)x;
  return tw_open(b, tw_look_up_words(b, tw_open(b, tw_build_numbers(b, 3, N)), 0, &table, 38, 0));
}
// Five rows of 7, and the largest ones' rows of that table.
static int largest_and_row(tw_builder *b, int x) {
  static const tw_word_table table = {7, 3, 7, 1, 3, 0};
  static const tw_argmax_level levels[TW_ARGMAX_LEVELS] = {{2, 1}, {4, 1, true}};
  int values = tw_open(b, tw_reduce(b, tw_view(b, x, (tw_view_map){{1, 1, 1, 35}, {0, 0, 0, 1}, 0}), 14));
  tw_argmax_row row = {.weight = 0, .table = &table, .ring = 38, .end_row = -1};
  int places = tw_open(b, tw_argmax_with_row(b, values, 5, levels, -1, 0, &row)), rows = tw_open(b, row.row);
  int known = tw_open(b, tw_word_row(b, 0, &table, 4, 38, 0));
  tw_candidates end = {tw_view(b, known, (tw_view_map){{1, 1, 5, 3}, {0, 0, 0, 1}, 0}), -1, 5};
  int chosen = tw_choose_row(b, end, &(tw_literal){places, 0, true}, 1);
  return tw_open(b, tw_combine(b, 1, tw_as_share(b, rows), 1, chosen, false));
}
// Two words in a line.
static int words_in_lines(tw_builder *b, int x) {
  static const tw_word_table table = {13, 2, 7, 2, 3, 1};
  int numbers = tw_open(b, tw_build_numbers(b, 4, N)), place[2];
  (void)x;
  tw_place_words(b, numbers, &table, 30, place);
  return tw_concat(b, tw_open(b, place[0]), tw_open(b, place[1]), N);
}

static const struct {
  const char *name;
  builder *build;
} gates[] = {{"truncation", truncation},
             {"faithful truncation", faithful},
             {"extension", extension},
             {"product", product},
             {"row product", row_product},
             {"sum of squares", squares},
             {"matmul", matrices},
             {"linear", weights},
             {"comparison", comparison},
             {"comparison by key", key_comparison},
             {"select", selection},
             {"row maximum", maximum},
             {"row maximum, early groups", early_maximum},
             {"thresholds beside each other", wide_comparison},
             {"argmax", largest},
             {"dead keys", dead_keys},
             {"packed pairs", triangle},
             {"turn", turning},
             {"window", window},
             {"gelu", gelu},
             {"gelu by key", gelu_by_key},
             {"root by key", root_by_key},
             {"words", words},
             {"words in lines", words_in_lines},
             {"argmax with its row", largest_and_row}};

static const int lengths[1] = {9};
static uint64_t weight_values[2][21];
static const size_t weight_rows[2] = {7, 1}, weight_cols[2] = {3, 3};

// Values small enough for every extension in the list.
static bool run_gate(builder *build, tw_status (*party)(tw_session *, const tw_op *)) {
  tw_program p = {0};
  tw_table tables[6];
  tw_segment_spec root = tw_segments_root(7, -12, 1, 20);
  tw_builder b;
  uint64_t input[4 * N], *list[2] = {weight_values[0], weight_values[1]};
  for (size_t j = 0; j < 3 * N; j++) input[j] = (uint64_t)walk_random_range(-4000, 4000) & tw_mask(40);
  for (size_t j = 3 * N; j < 4 * N; j++) input[j] = walk_random();  // numbers
  for (size_t j = 0; j < 42; j++) weight_values[j / 21][j % 21] = walk_random();
  if (tw_spec_fit(&tw_spec_gelu, tables) != TW_OK || tw_spec_fit_by_key(&tw_spec_gelu, tables + 2) != TW_OK ||
      tw_segments_fit(&root, tables + 4) != TW_OK)
    return false;
  p.tables = tables;
  p.table_count = 6;
  tw_builder_start(&b, &p);
  tw_build_output(&b, build(&b, tw_build_input(&b, 40, 0, 3 * N)));
  tw_status status = tw_builder_finish(&b);
  if (status != TW_OK) fprintf(stderr, "%s\n", tw_error_message());
  walk w = {.program = &p,
            .batch = 1,
            .input = input,
            .weight_count = 2,
            .weight_rows = weight_rows,
            .weight_cols = weight_cols,
            .weight_values = list,
            .lengths = lengths,
            .secrecy = mark};
  replace_openings(&p, party);
  if (status == TW_OK) status = walk_run(&w);
  bool right = status == TW_OK && w.mismatches == 0;
  walk_free(&w);
  tw_program_free(&p);
  tw_tables_free(tables, 6);
  return right;
}

static bool run_layer(tw_rounding rounding, tw_read_by engine) {
  tiny_model t;
  tiny_model_engine = engine;
  bool right = tiny_model_open(&t, "1x16x2x24", 5, 1, rounding);
  if (right) {
    replace_openings(&t.plan.program, publishing_party);
    t.w.secrecy = mark;
    right = walk_run(&t.w) == TW_OK && t.w.mismatches == 0;
  }
  tiny_model_close(&t);
  return right;
}

static int careful(void) {
  int failures = 0;
  for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
    if (!run_gate(gates[i].build, publishing_party)) failures += secrecy_failed(gates[i].name);
  if (!run_layer(TW_DITHERED, TW_BY_DIGITS)) failures += secrecy_failed("encoder layer");
  if (!run_layer(TW_DITHERED, TW_ALL_BY_KEY)) failures += secrecy_failed("encoder layer by keys");
  if (!run_layer(TW_FAITHFUL_OUTPUT, TW_BY_DIGITS)) failures += secrecy_failed("encoder layer, faithful output");
  return failures;
}

static bool branching(void) { return run_gate(truncation, branching_party); }
static bool indexing(void) { return run_gate(truncation, indexing_party); }

int main(void) { return secrecy_run(&(secrecy_test){careful, "opened shares are secret", branching, indexing}); }
