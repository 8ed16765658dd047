// The joint view of a corrupted party, enumerated: with its own randomness fixed, let the honest party's masks and pads
// run through all their values. What the corrupted party reads (corrections) and hears (opened values) must then take
// every value of its domain equally often, for every secret input: so it depends on no input (docs/security.md). The
// lanes of a tensor hold the values side by side: one walk of a program on tiny rings enumerates them all. Long because
// every gate is here, beside the mutants that must be found.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"
#include "jobs/gates/guard.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"
#include "tests/gates/common_gate.h"
#include "tests/gates/enumerated_streams.h"

enum { CYCLES = 2 };  // lanes whose corrections party 0 reads, and those that party 1 reads

// ---- a program, its lanes and its secrets ----

typedef struct {
  int ring, elements;                  // input: `elements` secrets of `ring` bits in every lane
  int (*build)(tw_builder *b, int x);  // from the input share to an opened output
  bool numbers;                        // the input is of XOR shares instead
  bool rows;                           // all tensors are [lane][element], not [element][lane]
  int model_bits;                      // of the ring in which model elements are used; 0: no model
  void (*mutate)(tw_program *p);       // applied to the finished program
} joint_case;

static int part(tw_builder *b, int x, size_t which) {
  return tw_view(b, x, (tw_view_map){{1, 1, 1, tape.lanes}, {0, 0, 0, 1}, which * tape.lanes});
}
static int wire(tw_builder *b, int x, size_t which, int ring) {
  return tw_open(b, tw_reduce(b, part(b, x, which), ring));
}

static void build(const joint_case *c, size_t lanes, tw_program *p, const tw_table *tables) {
  tw_builder b;
  tape.lanes = lanes;
  tape.lane_bits = __builtin_ctzll(lanes);
  tape.model_bits = c->model_bits;
  tape.rows = c->rows;
  memset(p, 0, sizeof *p);
  p->tables = tables;
  p->table_count = 4;
  tw_builder_start(&b, p);
  size_t n = lanes * (size_t)c->elements;
  int output = c->build(&b, c->numbers ? tw_build_numbers(&b, c->ring, n) : tw_build_input(&b, c->ring, 0, n));
  tw_build_output(&b, output);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  if (c->mutate) c->mutate(p);
}

static void assign(uint32_t use, size_t n, int width) {
  if (use >= MAX_USES) abort();
  tape.offset[use] = tape.bits;
  tape.n[use] = n;
  tape.width[use] = width;
  tape.bits += width * (int)(n / tape.lanes);
}

static int opened_width(const tw_tensor *t) { return t->kind == TW_WIRE ? t->ring : t->planes; }

// Gives every stream its bits of a lane's number.
static void assign_streams(const tw_program *p) {
  bool seen[MAX_USES] = {false};
  tape.bits = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    const tw_tensor *t = &p->tensors[op->out[0]];
    if ((op->opens || op->draws) && !seen[op->mask_use])
      assign(op->mask_use, t->n, op->draws ? 2 : opened_width(t)), seen[op->mask_use] = true;
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      if (!seen[c->use]) assign(c->use, c->n, c->width);
      seen[c->use] = true;
    }
  }
}

// ---- the view ----

typedef struct {
  uint64_t *value;
  int *bits;
} views;  // of every lane

static void see(views *v, size_t n, size_t j, uint64_t value, int width) {
  size_t lane = place_of(n, j).lane;
  v->value[lane] |= value << v->bits[lane];
  v->bits[lane] += width;
}

static uint64_t plane_bits(const uint64_t *planes, size_t n, int width, size_t j) {
  uint64_t value = 0;
  for (int p = 0; p < width; p++) value |= tw_bit(planes + (size_t)p * tw_words(n), j) << p;
  return value;
}

static void see_opened(views *v, const tw_program *p, const walk *w) {
  const uint64_t *at = w->opened;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens) continue;
    const tw_tensor *t = &p->tensors[p->ops[i].out[0]];
    for (size_t j = 0; j < t->n; j++)
      see(v, t->n, j, t->kind == TW_WIRE ? at[j] : plane_bits(at, t->n, t->planes, j), opened_width(t));
    at += t->kind == TW_WIRE ? t->n : (size_t)t->planes * tw_words(t->n);
  }
}

static void see_corrections(views *v, const tw_program *p, const walk *w, int party) {
  uint64_t *value = calloc(tape.lanes * 8, sizeof *value);
  if (!value) abort();
  for (int i = 0; i < p->correction_count; i++) {
    const tw_correction *c = &p->corrections[i];
    size_t first = tw_part_of(c, party).first, mine = tw_part_of(c, party).count;
    bool bits = c->kind == TW_DEALT_BITS;
    const uint8_t *packed = w->corrections[party] + c->offset[party];
    if (!bits) tw_unpack(packed, mine, c->width, value);
    for (size_t j = 0; j < mine; j++)
      see(v, c->n, first + j, bits ? plane_bits((const uint64_t *)(const void *)packed, mine, c->width, j) : value[j],
          c->width);
  }
  free(value);
}

typedef struct {
  uint64_t input[8], weight[2];
} secrets;

static tw_status walk_with(const joint_case *c, const tw_program *p, secrets *secret, walk *w) {
  static const size_t rows[2] = {1, 1}, cols[2] = {1, 1};
  tw_seed seeds[2] = {tagged_seed(0, false), tagged_seed(1, false)},
          model[2] = {tagged_seed(0, true), tagged_seed(1, true)};
  uint64_t *weights[2] = {&secret->weight[0], &secret->weight[1]};
  size_t n = tape.lanes * (size_t)c->elements;
  uint64_t *input = calloc(n, sizeof *input);
  if (!input) abort();
  for (size_t j = 0; j < n; j++) input[j] = secret->input[c->rows ? j % (size_t)c->elements : j / tape.lanes];
  *w = (walk){.program = p,
              .batch = 1,
              .input = input,
              .seeds = {&seeds[0], &seeds[1]},
              .model_seeds = model,
              .weight_count = c->model_bits ? 2 : 0,
              .weight_rows = rows,
              .weight_cols = cols,
              .weight_values = weights};
  tw_status status = walk_run(w);
  free(input);
  return status;
}

// The low bits of both model elements W^ = W + p_0 + p_1.
static uint64_t model_view(const joint_case *c, const secrets *secret) {
  uint64_t view = 0;
  for (uint32_t i = 0; i < 2 && c->model_bits; i++) {
    uint64_t masked = secret->weight[i] + model_element(0, i, 0) + model_element(1, i, 0);
    view |= (masked & tw_mask(c->model_bits)) << ((int)i * c->model_bits);
  }
  return view;
}

// Adds one walk's views to the histograms of both cycles of lanes.
static void count_views(const joint_case *c, const tw_program *p, const walk *w, uint64_t model,
                        uint32_t *count[CYCLES], int bits[CYCLES]) {
  views v = {calloc(tape.lanes, sizeof(uint64_t)), calloc(tape.lanes, sizeof(int))};
  if (!v.value || !v.bits) abort();
  see_opened(&v, p, w);
  see_corrections(&v, p, w, 1 - tape.honest);
  for (int cycle = 0; cycle < CYCLES; cycle++) {
    size_t first = (size_t)cycle * tape.lanes / 2;
    bits[cycle] = v.bits[first];
    for (size_t lane = first; lane < first + tape.lanes / 2; lane++)
      count[cycle][v.value[lane] << 2 * c->model_bits | model]++;
  }
  free(v.value);
  free(v.bits);
}

static bool even(const uint32_t *count, size_t values, uint64_t total) {
  for (size_t i = 0; i < values; i++)
    if (count[i] * (uint64_t)values != total) return false;
  return true;
}

// Bits that a view can have: more than the honest party's randomness when a stream is used twice.
static int view_bits(const tw_program *p) {
  int bits = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_tensor *t = &p->tensors[p->ops[i].out[0]];
    if (p->ops[i].opens) bits += opened_width(t) * (int)(t->n / tape.lanes);
  }
  for (int i = 0; i < p->correction_count; i++)
    bits += p->corrections[i].width * (int)(p->corrections[i].n / tape.lanes);
  return bits;
}

// True when every joint view occurs equally often for this secret.
static bool view_is_uniform(const joint_case *c, const tw_program *p, secrets *secret) {
  uint32_t *count[CYCLES];
  int bits[CYCLES] = {0};
  size_t models = (size_t)1 << 2 * c->model_bits;
  bool uniform = true;
  for (int i = 0; i < CYCLES; i++)
    if (!(count[i] = calloc(models << view_bits(p), sizeof(uint32_t)))) abort();
  tape.key = walk_random();
  for (tape.model = 0; tape.model < models; tape.model++) {
    walk w;
    CU_ASSERT_EQUAL_FATAL(walk_with(c, p, secret, &w), TW_OK);
    CU_ASSERT(w.mismatches == 0 || w.out_of_bound > 0);  // values that no extension holds wrap, and leak nothing either
    count_views(c, p, &w, model_view(c, secret), count, bits);
    walk_free(&w);
  }
  for (int i = 0; i < CYCLES; i++) {
    uniform = uniform && even(count[i], models << bits[i], models * (tape.lanes / 2));
    free(count[i]);
  }
  return uniform;
}

// Both parties corrupted in turn; four secrets (every input, when there are fewer), two where the enumeration is long.
static bool all_views_uniform(joint_case c) {
  static uint64_t table_values[2][4] = {{1, 2, 3, 0}, {3, 1, 0, 2}};
  static uint64_t noise_values[2][TW_NOISE_ENTRIES];
  static const tw_table tables[4] = {{"A", 4, table_values[0]},
                                     {"B", 4, table_values[1]},
                                     {"base", TW_NOISE_ENTRIES, noise_values[0]},
                                     {"slope", TW_NOISE_ENTRIES, noise_values[1]}};
  tw_program p;
  bool uniform = true;
  for (size_t i = 0; i < TW_NOISE_ENTRIES; i++) noise_values[0][i] = mixed(i);
  build(&c, 128, &p, tables);
  assign_streams(&p);
  tw_program_free(&p);
  size_t cycle = (size_t)1 << tape.bits;
  build(&c, 2 * (cycle > 64 ? cycle : 64), &p, tables);
  assign_streams(&p);
  uint64_t all = 1ull << c.ring * c.elements, inputs = tape.bits > 16 ? 2 : 4;
  for (tape.honest = 0; tape.honest < 2; tape.honest++)
    for (uint64_t i = 0; i < all && i < inputs; i++) {
      uint64_t number = all <= inputs ? i : walk_random();
      secrets secret = {.weight = {walk_random(), walk_random()}};
      for (int e = 0; e < c.elements; e++) secret.input[e] = number >> e * c.ring & tw_mask(c.ring);
      uniform = view_is_uniform(&c, &p, &secret) && uniform;
    }
  tw_program_free(&p);
  return uniform;
}

// ---- the gates ----

static int open_twice(tw_builder *b, int x) { return tw_open(b, tw_as_share(b, tw_open(b, x))); }
static int truncated(tw_builder *b, int x) {
  return tw_open(b, tw_as_share(b, tw_truncate_dithered(b, tw_open(b, x), 2)));
}
static int floored(tw_builder *b, int x) { return tw_truncate_faithful(b, tw_open(b, x), 2); }
static int extended(tw_builder *b, int x) { return tw_open(b, tw_extend(b, tw_open(b, x), 5)); }

static int multiplied(tw_builder *b, int x) {
  return tw_open(b, tw_multiply(b, wire(b, x, 0, 3), wire(b, x, 1, 3), 3, TW_EACH));
}
static int multiplied_extended(tw_builder *b, int x) {
  return tw_open(b, tw_multiply(b, wire(b, x, 0, 3), wire(b, x, 1, 4), 4, TW_EACH));
}
static int multiplied_rows(tw_builder *b, int x) {
  return tw_open(b, tw_reduce(b, tw_multiply_rows(b, wire(b, x, 0, 3), wire(b, x, 1, 3), 4), 2));
}
static int squared(tw_builder *b, int x) { return tw_open(b, tw_sum_of_squares(b, tw_open(b, x), 1, 5)); }
static int linear(tw_builder *b, int x) { return tw_open(b, tw_linear(b, tw_open(b, x), 0, 1, 1, 2, 0)); }
static int matrices(tw_builder *b, int x) {  // a row of two times a column of two, one pair a lane
  int left = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 4, 1}, 0});
  int right = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 4, 1}, 2});
  return tw_open(b, tw_matmul(b, tw_open(b, left), tw_open(b, right), tape.lanes, 1, 1, 2, 2));
}

static int compared(tw_builder *b, int x, const int *widths, int digits, int thresholds) {
  static const int64_t threshold[2] = {1, -1};
  tw_digits d = tw_deal_digits(b, tw_open(b, x), 0, widths, digits, true, -1);
  return tw_open(b, tw_at_least(b, tw_compared_by(&d), threshold, thresholds));
}
static int compared_one_digit(tw_builder *b, int x) { return compared(b, x, (const int[]){3}, 1, 1); }
static int compared_two_digits(tw_builder *b, int x) { return compared(b, x, (const int[]){1, 1}, 2, 1); }
static int compared_two_thresholds(tw_builder *b, int x) { return compared(b, x, (const int[]){1, 1}, 2, 2); }
static int compared_by_key(tw_builder *b, int x) {
  return tw_open(b, tw_at_least_by_key(b, tw_open(b, x), (const int64_t[]){1, -1}, 2));
}
static int two_keys(tw_builder *b, int x) {
  static const int64_t one = 1;
  int first = tw_at_least_by_key(b, wire(b, x, 0, 2), &one, 1),
      second = tw_at_least_by_key(b, wire(b, x, 1, 2), &one, 1);
  return tw_open(b, tw_xor_planes(b, (tw_term[]){{0, first, 0}, {0, second, 0}}, 2, 1, NULL));
}
// Two pieces of two units, by a key that is a leaf word: entries, both opened under one sign, which is undone, and the
// bit of the window's right side.
static tw_window_entries read_window(tw_builder *b, int wire, int ring) {
  static const int64_t right[TW_ARC_WORDS] = {[TW_ARC_FROM] = -2, [TW_ARC_TO] = -1};
  return tw_read_window(b, wire, &(tw_window){3, 1, 2, 1, 0}, right, 1, (const int[]){0, 1}, ring, (const int[]){0, 0});
}
static int window_by_key(tw_builder *b, int x) {
  static const int64_t one = 1;
  int w = tw_open(b, x);
  tw_window_entries e = read_window(b, w, 1);
  int v = tw_open(b, tw_offset(b, e.base, e.slope, w, 0, 1)), slope = tw_open(b, e.slope), bits = tw_open(b, e.bits);
  int p = tw_signed_piece(b, v, slope, w, 1, e.base);
  return tw_open(b, tw_combine(b, 1, p, 1, tw_bit_constants(b, bits, 0, 1, &one, 1, 0), false));
}
// The entry alone, with its sign; and the bit alone.
static int entry_by_key(tw_builder *b, int x) { return tw_open(b, read_window(b, tw_open(b, x), 2).base); }
static int arc_by_key(tw_builder *b, int x) { return tw_open(b, read_window(b, tw_open(b, x), 1).bits); }
static int in_window(tw_builder *b, int x) {
  tw_digits d = tw_deal_digits(b, tw_open(b, x), 0, (const int[]){2, 1}, 2, false, -1);
  return tw_open(b, tw_in_window(b, tw_compared_by(&d), 1, 2));
}

// An opened secret bit with little randomness: [x mod 2 = 0].
static int bit_of(tw_builder *b, int x, size_t which) {
  tw_digits d = tw_deal_digits(b, wire(b, x, which, 1), 0, (const int[]){1}, 1, false, -1);
  tw_leaf leaf = {0, 0, TW_LEAF_EQ};
  return tw_open(b, tw_leaves(b, &d, &leaf, 1));
}
static int multiplied_bits(tw_builder *b, int x) {
  tw_product products[2] = {{.out = 0, .count = 3}, {.out = 0, .count = 1}};
  for (int i = 0; i < 3; i++) products[0].literal[i] = (tw_literal){bit_of(b, x, (size_t)i), 0, i == 1};
  products[1].literal[0] = products[0].literal[2];
  return tw_open(b, tw_and_products(b, products, 2, 1));
}
static int selected(tw_builder *b, int x) {
  return tw_open(b, tw_select(b, bit_of(b, x, 0), 0, 1, wire(b, x, 1, 3), 3));
}
static int selected_extended(tw_builder *b, int x) {
  return tw_open(b, tw_reduce(b, tw_select(b, bit_of(b, x, 0), 0, 1, wire(b, x, 1, 3), 4), 1));
}
// Two opened bits and a wire; the bits are [x = 0] and [x = 1].
static int chosen(tw_builder *b, int x) {
  tw_digits d = tw_deal_digits(b, wire(b, x, 0, 1), 0, (const int[]){1}, 1, false, -1);
  tw_leaf leaf[2] = {{0, 0, TW_LEAF_EQ}, {1, 0, TW_LEAF_EQ}};
  return tw_open(b, tw_choose(b, tw_open(b, tw_leaves(b, &d, leaf, 2)), 2, wire(b, x, 1, 1)));
}
static int bit_constant(tw_builder *b, int x) {
  static const int64_t five = 5;
  return tw_open(b, tw_bit_constants(b, bit_of(b, x, 0), 0, 1, &five, 4, 0));
}
// A declared wire's guard: what is left is a sum, which is local, and the opening of that sum.
static int guarded(tw_builder *b, int x) {
  static const int64_t one = 1;
  return tw_open(b, tw_bit_constants(b, tw_guard_bit(b, tw_open(b, x), 0), 0, 1, &one, 2, 0));
}
static int row_maximum(tw_builder *b, int x) {
  return tw_row_maximum(b, tw_open(b, x), tape.lanes, (tw_tokens){tape.lanes, 2, 0, false});
}

// The place of the larger of two; and where a third value of a lane says so, 1.
static int argmax(tw_builder *b, int x) {
  return tw_open(b, tw_argmax(b, tw_open(b, x), tape.lanes, (tw_argmax_level[TW_ARGMAX_LEVELS]){{2, 1}}, -1, 0));
}
static int argmax_ended(tw_builder *b, int x) {
  int end = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 1}, {0, 0, 3, 1}, 2});
  int pair = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 3, 1}, 0});
  tw_digits d = tw_deal_digits(b, tw_open(b, tw_reduce(b, end, 1)), 0, (const int[]){1}, 1, false, -1);
  int ended = tw_open(b, tw_leaves(b, &d, &(tw_leaf){0, 0, TW_LEAF_EQ}, 1));
  return tw_open(b, tw_argmax(b, tw_open(b, pair), tape.lanes, (tw_argmax_level[TW_ARGMAX_LEVELS]){{2, 1}}, ended, 1));
}
static int one_of_two(tw_builder *b, int x) {
  return tw_open(b, tw_is_one_of(b, tw_open(b, x), (const uint64_t[]){1, 2}, 2));
}

// The table's values may be anything; of a random number two bits are drawn.
static int noised(tw_builder *b, int x) { return tw_open(b, tw_add_noise(b, x, (const int[]){2, 3})); }

// A packed pair with one query and key a lane; and two queries, of which the later has two keys.
static int triangle(tw_builder *b, int x) {
  int left = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 4, 1}, 0});
  int right = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 4, 1}, 2});
  return tw_open(
      b, tw_triangle_logits(b, tw_open(b, left), tw_open(b, right), tape.lanes, 1, 2, (tw_triangle){1, 1, 0}, 2));
}
static int triangle_values(tw_builder *b, int x) {
  int left = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 3}, {0, 0, 5, 1}, 0});
  int right = tw_view(b, x, (tw_view_map){{1, 1, tape.lanes, 2}, {0, 0, 5, 1}, 3});
  return tw_open(
      b, tw_triangle_values(b, tw_open(b, left), tw_open(b, right), tape.lanes, 1, 1, (tw_triangle){2, 2, 0}, 1));
}
static int triangle_maximum(tw_builder *b, int x) {
  tw_triangle t = {2, 2, 0};
  return tw_open(b, tw_as_share(b, tw_triangle_maximum(b, tw_open(b, x), tape.lanes, t)));
}
// The mean of a row of two, from a sum that is extended and opened beside the row, taken off what is opened next.
static int less_mean(tw_builder *b, int x) {
  int w = tw_open(b, x), sum = tw_open(b, tw_extend(b, tw_row_sum(b, w, 2), 4));
  int mean = tw_truncate_dithered(b, tw_multiply_constant(b, sum, 1, 1), 1);
  return tw_open(b, tw_reduce(b, tw_as_share(b, tw_combine(b, 1, w, -1, mean, true)), 1));
}

// Table lookup, both entries opened under one sign, the sign undone: what every scalar function does.
static int looked_up(tw_builder *b, int x) {
  static const int table[2] = {0, 1}, scale[2] = {0, 0};
  int entry[2], w = tw_open(b, x);
  tw_digits d = tw_deal_digits(b, w, 1, (const int[]){1}, 1, false, 0);
  tw_lookup(b, tw_compared_by(&d), 1, 0, table, 2, scale, entry);
  int v = tw_open(b, tw_offset(b, entry[0], entry[1], w, 0, 1)), slope = tw_open(b, entry[1]);
  return tw_open(b, tw_piece(b, v, slope, w, 1, tw_compared_by(&d)));
}

// One wire read by several gates: truncated, compared after and before that, the verdicts' product selects, and the
// residual is added.
static int mixed_reads(tw_builder *b, int x) {
  static const int64_t one = 1;
  int w = tw_open(b, x), t = tw_truncate_dithered(b, w, 1);
  tw_digits high = tw_deal_digits(b, t, 0, (const int[]){1}, 1, true, -1),
            low = tw_deal_digits(b, w, 0, (const int[]){1}, 1, false, -1);
  tw_leaf even = {0, 0, TW_LEAF_EQ};
  tw_product both = {.count = 2};
  both.literal[0].tensor = tw_open(b, tw_at_least(b, tw_compared_by(&high), &one, 1));
  both.literal[1].tensor = tw_open(b, tw_leaves(b, &low, &even, 1));
  int bit = tw_open(b, tw_and_products(b, &both, 1, 1));
  int residual = tw_rescale(b, tw_reduce(b, tw_as_share(b, w), 2), -1);
  return tw_open(b, tw_combine(b, 1, tw_select(b, bit, 0, 1, t, 2), 1, residual, false));
}

static int dealt_in_common(tw_builder *b, int x) {
  return tw_open(b, common_product(b, wire(b, x, 0, 2), wire(b, x, 1, 2)));
}

// Lines and places of numbers of 2 bits: 3 words in 2 lines of 2, 4 words in as many lines.
static int placed(tw_builder *b, int numbers, tw_word_table table) {
  int place[2];
  tw_place_words(b, tw_open(b, numbers), &table, 2, place);
  return tw_concat(b, tw_open(b, place[0]), tw_open(b, place[1]), tape.lanes);
}
static int placed_in_lines(tw_builder *b, int x) { return placed(b, x, (tw_word_table){3, 1, 2, 2, 1, 1}); }
static int placed_alone(tw_builder *b, int x) { return placed(b, x, (tw_word_table){3, 1, 3, 1, 2, 0}); }
// A word of one bit: the whole lookup.
static int looked_up_word(tw_builder *b, int x) {
  tw_word_table table = {1, 1, 1, 1, 1, 0};
  return tw_open(b, tw_look_up_words(b, tw_open(b, x), 0, &table, 2, 0));
}

// The row of the one word of a block of two; and of two such rows, under their signs, the one that opened bits say.
static int looked_up_candidate(tw_builder *b, int x) {
  tw_word_table table = {1, 1, 1, 1, 1, 0};
  tw_candidates c = tw_look_up_candidates(b, tw_open(b, x), tape.lanes, 0, &table, 2, 0);
  return tw_open(b, tw_as_share(b, c.rows));
}
static int bits_of(tw_builder *b, int x, int elements) {
  size_t n = (size_t)elements * tape.lanes;
  int numbers = tw_open(b, tw_reduce(b, tw_view(b, x, (tw_view_map){{1, 1, 1, n}, {0, 0, 0, 1}, 0}), 1));
  tw_digits d = tw_deal_digits(b, numbers, 0, (const int[]){1}, 1, false, -1);
  return tw_open(b, tw_leaves(b, &d, &(tw_leaf){0, 0, TW_LEAF_EQ}, 1));
}
static int chosen_row(tw_builder *b, int x) {
  int bits = bits_of(b, x, 1), signs;
  tw_place_in_block(b, bits, 2, &signs);
  tw_candidates of = {wire(b, x, 1, 2), signs, tape.lanes};
  return tw_open(b, tw_choose_row(b, of, &(tw_literal){bits, 0, true}, 1));
}
static int chosen_of_two_rows(tw_builder *b, int x) {
  int bits = bits_of(b, x, 2);
  tw_view_map rows = {{1, 1, 1, 2 * tape.lanes}, {0, 0, 0, 1}, 2 * tape.lanes};
  tw_candidates of = {tw_open(b, tw_view(b, x, rows)), -1, tape.lanes};
  return tw_open(b, tw_choose_row(b, of, &(tw_literal){bits, 0, false}, 1));
}

#define GATE(test, r, n, ...)                                                                   \
  static void test##_view(void) {                                                               \
    CU_ASSERT(all_views_uniform((joint_case){.ring = r, .elements = n, .build = __VA_ARGS__})); \
  }
GATE(open_twice, 4, 1, open_twice)
GATE(truncated, 5, 1, truncated)
GATE(floored, 4, 1, floored)
GATE(extended, 3, 1, extended)
GATE(multiplied, 3, 2, multiplied)
GATE(multiplied_extended, 4, 2, multiplied_extended)
GATE(multiplied_rows, 3, 2, multiplied_rows)
GATE(squared, 3, 1, squared)
GATE(linear, 2, 1, linear, .model_bits = 2)
GATE(matrices, 2, 4, matrices, .rows = true)
GATE(compared_one_digit, 4, 1, compared_one_digit)
GATE(compared_two_digits, 3, 1, compared_two_digits)
GATE(compared_two_thresholds, 3, 1, compared_two_thresholds)
GATE(compared_by_key, 4, 1, compared_by_key)
GATE(two_keys, 2, 2, two_keys)
GATE(window_by_key, 3, 1, window_by_key)
GATE(entry_by_key, 3, 1, entry_by_key)
GATE(in_window, 3, 1, in_window)
GATE(multiplied_bits, 1, 3, multiplied_bits)
GATE(selected, 3, 2, selected)
GATE(selected_extended, 3, 2, selected_extended)
GATE(chosen, 1, 2, chosen)
GATE(bit_constant, 3, 1, bit_constant)
GATE(guarded, 3, 1, guarded)
GATE(row_maximum, 2, 2, row_maximum, .rows = true)
GATE(argmax, 2, 2, argmax, .rows = true)
GATE(argmax_ended, 2, 3, argmax_ended, .rows = true)
GATE(noised, 3, 1, noised)
GATE(one_of_two, 2, 1, one_of_two, .numbers = true, .rows = true)
GATE(triangle, 2, 4, triangle, .rows = true)
GATE(triangle_values, 1, 5, triangle_values, .rows = true)
GATE(triangle_maximum, 2, 3, triangle_maximum, .rows = true)
GATE(less_mean, 3, 2, less_mean, .rows = true)
GATE(looked_up, 3, 1, looked_up)
GATE(mixed_reads, 3, 1, mixed_reads)
GATE(dealt_in_common, 2, 2, dealt_in_common)
GATE(placed_in_lines, 2, 1, placed_in_lines, .numbers = true, .rows = true)
GATE(placed_alone, 2, 1, placed_alone, .numbers = true, .rows = true)
GATE(looked_up_word, 1, 1, looked_up_word, .numbers = true, .rows = true, .model_bits = 2)

GATE(looked_up_candidate, 1, 1, looked_up_candidate, .numbers = true, .rows = true, .model_bits = 2)
GATE(chosen_row, 2, 2, chosen_row)
GATE(chosen_of_two_rows, 1, 4, chosen_of_two_rows)

// ---- the check itself: what breaks the rules must be reported ----

static tw_op *nth_open(tw_program *p, int n) {
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].opens && n-- == 0) return &p->ops[i];
  abort();
}

static void one_mask_for_two_opens(tw_program *p) { nth_open(p, 1)->mask_use = nth_open(p, 0)->mask_use; }
static void one_mask_for_input_and_output(tw_program *p) { nth_open(p, 2)->mask_use = nth_open(p, 0)->mask_use; }
static void one_pad_for_two_corrections(tw_program *p) { p->corrections[1].use = p->corrections[0].use; }
static void a_pad_for_a_mask(tw_program *p) { nth_open(p, 2)->mask_use = p->corrections[0].use; }
static void one_mask_for_line_and_place(tw_program *p) { nth_open(p, 2)->mask_use = nth_open(p, 1)->mask_use; }
// Noise from the pads of its own correction: the difference of both says what the other's is.
static void noise_from_its_pads(tw_program *p) {
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].draws) p->ops[i].mask_use = p->corrections[0].use;
}
// Base and slope of a window, which have one ring.
static void one_mask_for_entries(tw_program *p) {
  tw_op *first = NULL;
  for (int i = 1; i <= 3; i++) {
    tw_op *op = nth_open(p, i);
    if (p->tensors[op->out[0]].kind != TW_WIRE) continue;
    if (first) op->mask_use = first->mask_use;
    if (!first) first = op;
  }
}
// A win is opened under the mask of what it follows from.
static void one_mask_for_win_and_place(tw_program *p) { nth_open(p, 2)->mask_use = nth_open(p, 1)->mask_use; }
// A row leaves under the mask of its candidate.
static void one_mask_for_row_and_candidate(tw_program *p) { nth_open(p, 3)->mask_use = nth_open(p, 1)->mask_use; }
static void one_bit_mask_for_two(tw_program *p) { nth_open(p, 4)->mask_use = nth_open(p, 3)->mask_use; }

#ifdef TWAIN_DEBUG_PRG
static bool aborts(joint_case c) {
  int status = 0;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    all_views_uniform(c);
    _exit(0);
  }
  return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
#endif

static void one_root_for_two_keys(tw_program *p) {
  tw_correction *first = NULL;
  for (int i = 0; i < p->correction_count; i++) {
    if (p->corrections[i].kind != TW_DEALT_COMMON) continue;
    if (first) p->corrections[i].use = first->use;
    if (!first) first = &p->corrections[i];
  }
}

static void reused_streams_are_found(void) {
  joint_case two_roles = {.ring = 3, .elements = 2, .build = multiplied, .mutate = a_pad_for_a_mask};
#ifdef TWAIN_DEBUG_PRG
  CU_ASSERT(aborts(two_roles));  // such a build does not get as far
#else
  CU_ASSERT_FALSE(all_views_uniform(two_roles));
#endif
  CU_ASSERT_FALSE(
      all_views_uniform((joint_case){.ring = 3, .elements = 2, .build = multiplied, .mutate = one_mask_for_two_opens}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 3, .elements = 2, .build = multiplied, .mutate = one_mask_for_input_and_output}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 3, .elements = 1, .build = extended, .mutate = one_pad_for_two_corrections}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 3, .elements = 1, .build = guarded, .mutate = one_mask_for_input_and_output}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 1, .elements = 3, .build = multiplied_bits, .mutate = one_bit_mask_for_two}));
  joint_case own_pads = {.ring = 3, .elements = 1, .build = noised, .mutate = noise_from_its_pads};
#ifdef TWAIN_DEBUG_PRG
  CU_ASSERT(aborts(own_pads));
#else
  CU_ASSERT_FALSE(all_views_uniform(own_pads));
#endif
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 2, .elements = 2, .build = argmax, .rows = true, .mutate = one_mask_for_win_and_place}));
  CU_ASSERT_FALSE(
      all_views_uniform((joint_case){.ring = 2, .elements = 2, .build = two_keys, .mutate = one_root_for_two_keys}));
  CU_ASSERT_FALSE(all_views_uniform((joint_case){.ring = 2,
                                                 .elements = 1,
                                                 .build = placed_in_lines,
                                                 .numbers = true,
                                                 .rows = true,
                                                 .mutate = one_mask_for_line_and_place}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 2, .elements = 2, .build = chosen_row, .mutate = one_mask_for_row_and_candidate}));
}

// A gate that opens x + r - r: its correction depends on the mask of the opening it goes into.
static tw_status early_mask(tw_session *s, const tw_op *op, int side) { return tw_draw_mask(s, op, side); }
static tw_status early_deal(tw_session *s, const tw_op *op) {
  uint64_t *r;
  TW_TRY(tw_dealt_memory(s, op, &r));
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++)
    r[j] = tw_b(s, op->out[0])->mask[0][j] + tw_b(s, op->out[0])->mask[1][j];
  return tw_give(s, op, &r);
}
static tw_status early_party(tw_session *s, const tw_op *op) {
  int id = op->out[0];
  uint64_t *r, *out;
  TW_TRY(tw_take(s, op, &r));
  TW_TRY(tw_make_value(s, id));
  out = tw_b(s, id)->value;
  for (size_t j = 0; j < tw_t(s, id)->n; j++)
    out[j] = (tw_b(s, op->in[0])->value[j] + tw_b(s, id)->mask[s->party][j] - r[j]) & tw_mask(tw_t(s, id)->ring);
  return tw_opens_ring(s->opener.state, op->mask_use, s->sequences.slots[0], tw_t(s, id)->ring, tw_t(s, id)->n, out);
}
static tw_status early_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++)
    tw_b(s, op->out[0])->value[j] =
        tw_b(s, op->in[0])->value[j] - tw_b(s, op->out[0])->mask[0][j] - tw_b(s, op->out[0])->mask[1][j];
  return TW_OK;
}
static const tw_gate early_gate = {"early", early_mask, early_deal, NULL, early_party, early_emulate};

static int opened_early(tw_builder *b, int x) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &early_gate);
  tw_emit_in(op, x);
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, t.ring, t.n}, 1);
  op->opens = true;
  t.kind = TW_WIRE;
  return tw_emit_out(b, op, t);
}

// A win whose mask is nothing: the opened bit is bare.
static tw_status bare_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_draw_mask(s, op, side));
  return s->backend->fill(tw_b(s, op->out[0])->mask[side], 0, 8 * tw_words_of(s, op->out[0]), s->stream);
}
static void a_bare_win(tw_program *p) {
  static tw_gate bare;
  tw_op *op = nth_open(p, 1);
  bare = *op->gate;
  bare.mask = bare_mask;
  op->gate = &bare;
}

static void wrong_order_is_found(void) {
  CU_ASSERT_FALSE(all_views_uniform((joint_case){.ring = 3, .elements = 1, .build = opened_early}));
}

// Nor may an entry be bare, as its sign is a bit that the other party reads, nor what a key says of an arc.
static void a_bare_read_of_a_key_is_found(void) {
  CU_ASSERT(all_views_uniform((joint_case){.ring = 3, .elements = 1, .build = arc_by_key}));
  CU_ASSERT_FALSE(all_views_uniform((joint_case){.ring = 3, .elements = 1, .build = arc_by_key, .mutate = a_bare_win}));
  CU_ASSERT_FALSE(
      all_views_uniform((joint_case){.ring = 3, .elements = 1, .build = entry_by_key, .mutate = a_bare_win}));
  CU_ASSERT_FALSE(all_views_uniform(
      (joint_case){.ring = 3, .elements = 1, .build = window_by_key, .mutate = one_mask_for_entries}));
}

static void a_bare_bit_is_found(void) {
  CU_ASSERT_FALSE(
      all_views_uniform((joint_case){.ring = 2, .elements = 2, .build = argmax, .rows = true, .mutate = a_bare_win}));
}

// What both read must be hidden from each by the other's pad.
static void unhidden_is_found(void) {
  for (hidden_by = 0; hidden_by < 3; hidden_by++)
    CU_ASSERT_FALSE(all_views_uniform((joint_case){.ring = 2, .elements = 2, .build = dealt_in_common}));
}

SUITE_MAIN("joint view", {"open", open_twice_view}, {"truncate", truncated_view}, {"floor", floored_view},
           {"extend", extended_view}, {"multiply", multiplied_view}, {"multiply, extended", multiplied_extended_view},
           {"multiply rows", multiplied_rows_view}, {"sum of squares", squared_view}, {"linear", linear_view},
           {"matmul", matrices_view}, {"one digit", compared_one_digit_view}, {"two digits", compared_two_digits_view},
           {"two thresholds", compared_two_thresholds_view}, {"thresholds by key", compared_by_key_view},
           {"two keys", two_keys_view}, {"window by key", window_by_key_view}, {"entry by key", entry_by_key_view},
           {"a bare read of a key is found", a_bare_read_of_a_key_is_found}, {"window", in_window_view},
           {"products of bits", multiplied_bits_view}, {"select", selected_view},
           {"select, extended", selected_extended_view}, {"choose", chosen_view}, {"bit constant", bit_constant_view},
           {"guard", guarded_view}, {"row maximum", row_maximum_view}, {"argmax", argmax_view},
           {"argmax, ended", argmax_ended_view}, {"noise", noised_view}, {"one of two", one_of_two_view},
           {"packed pairs", triangle_view}, {"packed pairs times values", triangle_values_view},
           {"row maximum of packed pairs", triangle_maximum_view}, {"less the mean of a row", less_mean_view},
           {"lookup and piece", looked_up_view}, {"one wire, many gates", mixed_reads_view},
           {"common correction", dealt_in_common_view}, {"words in lines", placed_in_lines_view},
           {"words alone", placed_alone_view}, {"words times their table", looked_up_word_view},
           {"a candidate's row", looked_up_candidate_view}, {"a chosen row", chosen_row_view},
           {"one of two rows", chosen_of_two_rows_view}, {"an unhidden common correction is found", unhidden_is_found},
           {"reused streams are found", reused_streams_are_found},
           {"a mask before its opening is found", wrong_order_is_found}, {"a bare bit is found", a_bare_bit_is_found})
