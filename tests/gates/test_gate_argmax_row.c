// The row of a secret table that belongs to the largest element, looked up beside the last level of the tournament:
// places and rows against a plain search, ties, ended rows, every table; rows of candidates and of public words; what
// it is said to cost; and a wrong choice, which must be found.
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

// ---- a table ----

typedef struct {
  tw_word_table t;
  size_t rows[2], cols[2];
  uint64_t *values[2];
} secret_table;

static void table_start(secret_table *s, size_t words, size_t width, int place_bits) {
  size_t places = (size_t)1 << place_bits, lines = (words + places - 1) / places;
  *s = (secret_table){.t = {words, width, lines, places, 1, place_bits}};
  while ((size_t)1 << s->t.line_bits < lines) s->t.line_bits++;
  s->rows[0] = lines, s->rows[1] = 1;
  s->cols[0] = s->cols[1] = places * width;
  for (int i = 0; i < 2; i++)
    if (!(s->values[i] = calloc(s->rows[i] * s->cols[i], 8))) abort();
  for (size_t i = 0; i < words * width; i++) s->values[0][i] = walk_random();
}

static void table_give(const secret_table *s, walk *w) {
  w->weight_count = 2;
  w->weight_rows = s->rows;
  w->weight_cols = s->cols;
  w->weight_values = s->values;
}

static void table_end(secret_table *s) {
  for (int i = 0; i < 2; i++) free(s->values[i]);
}

// ---- a tournament with its row ----

typedef struct {
  int ring;
  size_t rows, cols;  // cols: words
  tw_argmax_level levels[TW_ARGMAX_LEVELS];
  size_t width;
  int place_bits, row_ring, batch;
  bool ends;  // some rows have ended
  bool keep, repeat, closed;
  uint64_t rounds;
} row_case;

enum { OTHERWISE = 2 };

static size_t largest_at(const trial *t, int b, size_t first, size_t n) {
  size_t best = 0;
  for (size_t j = 1; j < n; j++)
    if (trial_x(t, b, first + j) > trial_x(t, b, first + best)) best = j;
  return best;
}

// What came out: places as planes of bits, and rows, one output behind the other.
static size_t wrong_of(const trial *t, const row_case *c, const secret_table *table, int planes) {
  size_t wrong = 0, ended = c->ends ? c->rows : 0, words = tw_words(c->rows), all = (size_t)planes * words;
  const uint64_t *rows = t->w.output + (size_t)c->batch * all;
  for (int b = 0; b < c->batch; b++)
    for (size_t row = 0; row < c->rows; row++) {
      bool end = c->ends && trial_x(t, b, row) >= 0;
      size_t wanted = end ? OTHERWISE : largest_at(t, b, ended + row * c->cols, c->cols), found = 0;
      for (int p = 0; p < planes; p++)
        found |= (size_t)(t->w.output[(size_t)b * all + (size_t)p * words + row / 64] >> (row % 64) & 1) << p;
      wrong += found != wanted;
      for (size_t i = 0; i < c->width; i++) {
        uint64_t element = rows[((size_t)b * c->rows + row) * c->width + i];
        wrong += element != (table->values[0][wanted * c->width + i] & tw_mask(c->row_ring));
      }
    }
  return wrong;
}

typedef struct {
  trial t;
  secret_table table;
  int planes;
} stage;

// Values in low .. high, behind elements that say which rows have ended.
static void stage_build(stage *s, const row_case *c, int64_t low, int64_t high) {
  size_t ended = c->ends ? c->rows : 0, n = c->rows * c->cols;
  trial *t = &s->t;
  table_start(&s->table, c->cols, c->width, c->place_bits);
  int input = trial_start(t, c->ring, ended + n, c->batch), bits = -1, end_row = -1;
  table_give(&s->table, &t->w);
  t->b.choices.wide_nodes = true;
  if (c->ends) {
    bits = tw_open(&t->b, trial_bits(t, input, 1, c->rows));
    end_row = tw_open(&t->b, tw_word_row(&t->b, 0, &s->table.t, OTHERWISE, c->row_ring, 12));
  }
  trial_fill(t, ended, n, low, high);
  tw_argmax_row row = {.weight = 0, .ring = c->row_ring, .scale = 12, .table = &s->table.t, .end_row = end_row};
  int values = tw_open(&t->b, trial_slice(t, input, ended, n));
  int places = tw_argmax_with_row(&t->b, values, c->rows, c->levels, bits, OTHERWISE, &row);
  s->planes = tw_look(&t->b, places).planes;
  CU_ASSERT_EQUAL(tw_look(&t->b, row.row).scale, 12);
  tw_build_output(&t->b, tw_open(&t->b, places));
  t->w.keep_masks = c->keep;
  t->w.repeat_kernels = c->repeat;
  t->w.closed_operands = c->closed;
  trial_run(t, tw_open(&t->b, row.row));
}

static void stage_end(stage *s) {
  trial_end(&s->t);
  table_end(&s->table);
}

static void check(row_case c, int64_t low, int64_t high) {
  stage s;
  stage_build(&s, &c, low, high);
  CU_ASSERT_EQUAL(wrong_of(&s.t, &c, &s.table, s.planes), 0);
  CU_ASSERT_EQUAL(s.t.w.out_of_bound, 0);
  if (c.rounds) CU_ASSERT_EQUAL(s.t.w.rounds, c.rounds + 1);
  CU_ASSERT(!c.repeat || s.t.w.repeated > 0);
  stage_end(&s);
}

// Levels of every kind, whole and ragged blocks, values with ties of every kind.
static const row_case kinds[] = {
    {.ring = 8, .cols = 3, .levels = {{2, 1}, {2, 1}}},
    {.ring = 8, .cols = 4, .levels = {{2, 1}, {2, 1}}},
    {.ring = 9, .cols = 5, .levels = {{2, 1}, {3, 2}}},
    {.ring = 9, .cols = 6, .levels = {{2, 1}, {3, 1, true}}},
    {.ring = 12, .cols = 13, .levels = {{4, 1}, {4, 3}}},
    {.ring = 12, .cols = 13, .levels = {{4, 2, true}, {4, 1, true}}},
    {.ring = 17, .cols = 64, .levels = {{8, 3, true}, {8, 2}}},
    {.ring = 19, .cols = 63, .levels = {{4, 3}, {16, 2, true}}},
    {.ring = 11, .cols = 100, .levels = {{4, 1}, {2, 1}, {13, 4, true}}},
    {.ring = 12, .cols = 61, .levels = {{2, 1}, {4, 2}, {8, 7}}},
    {.ring = 26, .cols = 50, .levels = {{4, 3}, {13, 5, true}}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void every_kind(void) {
  static const int row_rings[] = {31, 48, 64, 1};
  for (size_t i = 0; i < KINDS; i++)
    for (int ends = 0; ends < 2; ends++) {
      row_case c = kinds[i];
      c.rows = 1 + i % 4;
      c.width = 1 + (i + 3) % 5;
      c.place_bits = (int)(i % 3);
      c.batch = i % 2 ? 1 : 3;
      c.row_ring = row_rings[i % 4];
      c.ends = ends;
      check(c, -2, 2);
      c.rows = 70;
      c.batch = 1;
      check(c, -1, 1);
    }
}

static void other_walks(void) {
  for (size_t i = 4; i < KINDS; i += 2)
    for (int way = 0; way < 6; way++) {
      row_case c = kinds[i];
      c.rows = 1 + i % 2;
      c.width = 3;
      c.place_bits = 2;
      c.batch = 2;
      c.row_ring = 37;
      c.ends = true;
      c.keep = way % 3 == 1;
      c.repeat = way == 2;
      c.closed = way >= 3;
      check(c, -3, 3);
    }
}

// Logits as a model has them, by the levels that are found; the largest is there twice.
static void vocabulary(void) {
  static const struct {
    size_t cols;
    int ring, rounds;
    bool closed;
  } cases[] = {{49152, 19, 16, false}, {50257, 17, 14, false}, {3000, 18, 12, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    row_case c = {cases[i].ring, 1, cases[i].cols, .width = 4, .place_bits = 2, .row_ring = 30, .batch = 1};
    c.ends = i == 1;
    c.closed = cases[i].closed;
    c.rounds = (uint64_t)tw_argmax_find_with_row(c.cols, c.ring, true, cases[i].rounds, 576, 30, c.levels);
    CU_ASSERT_FATAL(c.rounds > 0 && c.rounds <= (uint64_t)cases[i].rounds);
    check(c, -5000, 5000);
  }
}

// ---- its parts ----

// Every place of every block, whole ones and the last, which the table ends in.
static void every_candidate(void) {
  enum { WIDTH = 3, RING = 33 };
  for (size_t words = 5; words <= 12; words++)
    for (int bits = 1; bits <= 3; bits++)
      for (int closed = 0; closed < 2; closed++) {
        secret_table table;
        tw_program p = {0};
        tw_builder b;
        uint64_t numbers[256] = {0};
        size_t span = (size_t)1 << bits, blocks = (words + span - 1) / span, lines = span, n = blocks * lines,
               wrong = 0;
        table_start(&table, words, WIDTH, (int)(words % 3));
        tw_builder_start(&b, &p);
        int places = tw_open(&b, tw_build_numbers(&b, bits, n));
        tw_candidates c = tw_look_up_candidates(&b, places, lines, 0, &table.t, RING, 12);
        // the product of a row with its own sign has none: chosen by a bit that is always 1, one member a line
        tw_product is_one = {.count = 1};
        is_one.literal[0] = (tw_literal){places, 0, false};
        int low = tw_open(&b, tw_and_products(&b, &is_one, 1, 1));
        tw_candidates each = {c.rows, c.signs, n};
        int odd = tw_choose_row(&b, each, &(tw_literal){low, 0, false}, 1),
            even = tw_choose_row(&b, each, &(tw_literal){low, 0, true}, 1);
        tw_build_output(&b, tw_open(&b, tw_combine(&b, 1, odd, 1, even, false)));
        CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
        for (size_t j = 0; j < n; j++) numbers[j] = j % lines;
        walk w = {.program = &p, .batch = 1, .input = numbers, .closed_operands = closed};
        table_give(&table, &w);
        CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
        CU_ASSERT_EQUAL(w.mismatches, 0);
        for (size_t j = 0; j < n * WIDTH; j++) {
          size_t word = j / WIDTH / lines * span + j / WIDTH % lines;
          uint64_t wanted = word < words ? table.values[0][word * WIDTH + j % WIDTH] & tw_mask(RING) : 0;
          wrong += w.output[j] != wanted;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        walk_free(&w);
        tw_program_free(&p);
        table_end(&table);
      }
}

static void every_public_word(void) {
  enum { WORDS = 11, WIDTH = 3, RING = 35 };
  for (int closed = 0; closed < 2; closed++)
    for (size_t word = 0; word < WORDS; word++) {
      secret_table table;
      tw_program p = {0};
      tw_builder b;
      table_start(&table, WORDS, WIDTH, 2);
      tw_builder_start(&b, &p);
      tw_build_output(&b, tw_open(&b, tw_word_row(&b, 0, &table.t, word, RING, 12)));
      CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
      walk w = {.program = &p, .batch = 2, .closed_operands = closed};
      table_give(&table, &w);
      CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
      CU_ASSERT_EQUAL(w.mismatches, 0);
      CU_ASSERT_EQUAL(p.slot_bytes[0] + p.slot_bytes[1], 0);
      for (size_t i = 0; i < 2 * WIDTH; i++)
        CU_ASSERT_EQUAL(w.output[i], table.values[0][word * WIDTH + i % WIDTH] & tw_mask(RING));
      walk_free(&w);
      tw_program_free(&p);
      table_end(&table);
    }
}

// ---- costs ----

typedef struct {
  size_t n, width;
  int ring, rounds;
  double keys, sent;  // MB a party, at most, the logits' own opening left out
} wanted_cost;

static void costs(void) {
  static const wanted_cost cases[] = {{49152, 576, 19, 14, 2.8, 0.56}, {49152, 576, 19, 15, 2.2, 0.56},
                                      {49152, 576, 19, 16, 1.6, 0.52}, {49152, 576, 17, 16, 1.4, 0.5},
                                      {50257, 768, 19, 16, 2.0, 0.56}, {32000, 4096, 19, 16, 1.65, 0.47}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const wanted_cost *c = &cases[i];
    tw_argmax_level l[TW_ARGMAX_LEVELS];
    tw_word_table table = tw_word_table_of(c->n, c->width);
    tw_argmax_row row = {.table = &table, .ring = 30, .end_row = -1};
    tw_program p = {0};
    tw_builder b;
    tw_cost steps[4], total;
    int rounds = tw_argmax_find_with_row(c->n, c->ring, true, c->rounds, c->width, 30, l);
    CU_ASSERT_FATAL(rounds > 0 && rounds <= c->rounds);
    tw_builder_start(&b, &p);
    b.choices.wide_nodes = true;
    int values = tw_open(&b, tw_build_input(&b, c->ring, 0, c->n));
    tw_build_output(&b, tw_open(&b, tw_argmax_with_row(&b, values, 1, l, -1, 0, &row)));
    tw_build_output(&b, tw_open(&b, row.row));
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    tw_program_costs(&p, steps, &total);
    double keys = (double)(total.correction_bytes[0] + total.correction_bytes[1]) / 2e6,
           sent = ((double)total.sent_bytes - (double)(c->n * (size_t)c->ring) / 8) / 1e6;
    printf("%zu in %d rounds with its row, keys %.2f MB, sent %.2f MB:", c->n, rounds, keys, sent);
    for (int k = 0; k < TW_ARGMAX_LEVELS && l[k].members; k++)
      printf(" %d in %d%s,", l[k].members, l[k].factors, l[k].straight ? " straight" : "");
    putchar('\n');
    CU_ASSERT_EQUAL(p.levels, rounds + 1);
    CU_ASSERT(keys < c->keys && sent < c->sent);
    tw_program_free(&p);
  }
  CU_ASSERT_EQUAL(tw_argmax_find_with_row(100, 17, true, 40, 576, 30, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}) > 0, 1);
  CU_ASSERT_EQUAL(tw_argmax_find_with_row(2, 17, true, 40, 576, 30, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}), 0);
  CU_ASSERT_EQUAL(tw_argmax_find_with_row(49152, 17, true, 7, 576, 30, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}), 0);
}

// ---- what must be found, and refused ----

// Another mutant each: a factor is read the wrong way round, a sign is another row's, the loser sees what the winner
// does.
static size_t wrong_with(int mutant) {
  row_case c = {.ring = 12, .rows = 20, .cols = 24, .levels = {{4, 1}, {6, 1, true}}, .width = 2, .row_ring = 20};
  secret_table table;
  trial t;
  size_t wrong = 0;
  c.batch = 1;
  table_start(&table, c.cols, c.width, 1);
  int input = trial_start(&t, c.ring, c.rows * c.cols, 1);
  table_give(&table, &t.w);
  trial_fill(&t, 0, c.rows * c.cols, -200, 200);
  tw_argmax_row row = {.ring = c.row_ring, .table = &table.t, .end_row = -1};
  int places = tw_argmax_with_row(&t.b, tw_open(&t.b, input), c.rows, c.levels, -1, 0, &row),
      planes = tw_look(&t.b, places).planes;
  tw_build_output(&t.b, tw_open(&t.b, places));
  for (int i = 0; i < t.program.op_count; i++) {
    tw_op *op = &t.program.ops[i];
    if (mutant == 1 && strcmp(op->gate->name, "choose row") == 0) op->arg[3] ^= 1;  // the flip of a factor
    if (mutant == 2 && strcmp(op->gate->name, "choose row") == 0) op->arg[4] = 0;   // no signs
    if (mutant == 3 && strcmp(op->gate->name, "opponents") == 0) op->arg[5] ^= 1;   // who sees what
    if (mutant == 4 && strcmp(op->gate->name, "word rows") == 0) op->arg[5] = 1;    // one word too far
  }
  trial_run(&t, tw_open(&t.b, row.row));
  wrong = wrong_of(&t, &c, &table, planes);
  trial_end(&t);
  table_end(&table);
  return wrong;
}

static void mutants_are_found(void) {
  CU_ASSERT_EQUAL(wrong_with(0), 0);
  for (int mutant = 1; mutant <= 4; mutant++) CU_ASSERT(wrong_with(mutant) > 5);
}

static void refusals(void) {
  static const tw_argmax_level wrong[][TW_ARGMAX_LEVELS] = {
      {{12, 1}}, {{2, 1}, {7, 1}}, {{2, 1, true}, {6, 1}}, {{3, 1}, {4, 1}}, {{4, 8}, {3, 1}}};
  secret_table table;
  table_start(&table, 12, 2, 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    trial t;
    int input = trial_start(&t, 12, 12, 1);
    tw_argmax_row row = {.ring = 20, .table = &table.t, .end_row = -1};
    int places = tw_argmax_with_row(&t.b, tw_open(&t.b, input), 1, wrong[i], -1, 0, &row);
    trial_refused(&t, tw_open(&t.b, places), "argmax");
    trial_end(&t);
  }
  trial t;
  trial_start(&t, 12, 12, 1);
  trial_refused(&t, tw_open(&t.b, tw_word_row(&t.b, 0, &table.t, 12, 20, 0)), "word 12 of a table of 12");
  trial_end(&t);
  table_end(&table);
}

SUITE_MAIN("argmax with its row", {"every kind of level", every_kind},
           {"kept masks, repeated kernels, closed operands", other_walks}, {"vocabularies", vocabulary},
           {"every candidate", every_candidate}, {"every public word", every_public_word}, {"costs", costs},
           {"mutants are found", mutants_are_found}, {"refusals", refusals})
