// The place of a row's largest element, against a plain search: every row of few small values, ties, every size of
// group, rows of a vocabulary's length; what ends a text; and what levels are said to cost.
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static size_t largest_at(const trial *t, int b, size_t first, size_t n) {
  size_t best = 0;
  for (size_t j = 1; j < n; j++)
    if (trial_x(t, b, first + j) > trial_x(t, b, first + best)) best = j;
  return best;
}

static size_t number_at(const trial *t, int b, size_t row, int planes) {
  size_t number = 0;
  for (int p = 0; p < planes; p++) number |= (size_t)trial_bit(t, b, p, row) << p;
  return number;
}

typedef struct {
  int ring;
  size_t rows, cols;
  tw_argmax_level levels[TW_ARGMAX_LEVELS];
  uint64_t rounds;  // that it takes; 0: not looked at
} argmax_case;

// Input [rows][cols] has been filled by the caller.
static void play(trial *t, int input, const argmax_case *c) {
  int places = tw_open(&t->b, tw_argmax(&t->b, tw_open(&t->b, input), c->rows, c->levels, -1, 0)), batch = t->w.batch;
  int planes = tw_look(&t->b, places).planes;
  size_t wrong = 0;
  trial_run(t, places);
  for (int b = 0; b < batch; b++)
    for (size_t row = 0; row < c->rows; row++)
      wrong += number_at(t, b, row, planes) != largest_at(t, b, row * c->cols, c->cols);
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t->w.out_of_bound, 0);
  if (c->rounds) CU_ASSERT_EQUAL(t->w.rounds, c->rounds + 1);
}

static void check(argmax_case c, int batch, int64_t low, int64_t high) {
  trial t;
  int input = trial_start(&t, c.ring, c.rows * c.cols, batch);
  trial_fill(&t, 0, c.rows * c.cols, low, high);
  play(&t, input, &c);
  trial_end(&t);
}

// All rows of `cols` values low .. low + values - 1: ties of every kind.
static void check_every_row(argmax_case c, int64_t low, size_t values) {
  trial t;
  c.rows = 1;
  for (size_t j = 0; j < c.cols; j++) c.rows *= values;
  int input = trial_start(&t, c.ring, c.rows * c.cols, 1);
  for (size_t row = 0; row < c.rows; row++)
    for (size_t j = 0, rest = row; j < c.cols; j++, rest /= values)
      t.input[row * c.cols + j] = (uint64_t)(low + (int64_t)(rest % values)) & tw_mask(c.ring);
  play(&t, input, &c);
  trial_end(&t);
}

static void every_row(void) {
  static const argmax_case cases[] = {
      {.ring = 4, .cols = 1, .levels = {{2, 1}}},
      {.ring = 4, .cols = 2, .levels = {{2, 1}}},
      {.ring = 4, .cols = 3, .levels = {{3, 1}}},
      {.ring = 4, .cols = 3, .levels = {{3, 2}}},
      {.ring = 4, .cols = 3, .levels = {{2, 1}, {2, 1}}},
      {.ring = 6, .cols = 4, .levels = {{4, 1}}},
      {.ring = 6, .cols = 4, .levels = {{4, 3}}},
      {.ring = 6, .cols = 4, .levels = {{2, 1}, {2, 1}}},
      {.ring = 7, .cols = 5, .levels = {{2, 1}, {3, 2}}},
      {.ring = 7, .cols = 5, .levels = {{4, 2}, {2, 1}}},
      {.ring = 17, .cols = 5, .levels = {{2, 1}, {2, 1}, {2, 1}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t values = (size_t)1 << (cases[i].ring - 1);  // as many as differences of two allow
    if (cases[i].cols > 3) values = 4;
    if (cases[i].cols == 5) values = 3;
    check_every_row(cases[i], -(int64_t)(values / 2), values);
  }
}

// Every size of the last group, in as many factors as there may be, behind levels of every other size.
static void every_group(void) {
  for (int group = 2; group <= TW_MOST_MEMBERS; group = group < 12 ? group + 1 : group * 5 / 4)
    for (int factors = 1; factors <= 7 && factors < group; factors += 3)
      check((argmax_case){17, 3, (size_t)group, {{group, factors}}, 0}, 1, group % 2 ? -1 : -20000, 1 + 20000);
  for (int power = 1; power <= 6; power++)
    for (int factors = 1; factors <= 7 && factors < 1 << power; factors += 2)
      for (int last = 2; last <= 5; last++) {
        size_t cols = (size_t)(last << power) - (size_t)walk_random_range(0, (1 << power) - 1);
        check((argmax_case){14, 2, cols, {{1 << power, factors}, {last, 1}}, 0}, 1 + last % 2, -2, 2);
      }
}

static void rows_and_batches(void) {
  for (size_t cols = 2; cols <= 150; cols = cols * 3 / 2 + 1)
    for (int rounds = 0; rounds < 2; rounds++) {
      argmax_case c = {18, cols % 5 + 1, cols, {{0}}, 0};
      int found = tw_argmax_find(cols, 18, rounds == 1, 0, c.levels);
      CU_ASSERT_FATAL(found > 0);
      check(c, 3, -3, 3);
      check(c, 1, -(1 << 16), (1 << 16) - 1);
    }
}

// Logits as a model has them, with the largest one in two places, and as a random row of few values.
static void vocabulary(void) {
  static const argmax_case cases[] = {
      {.ring = 17, .rows = 1, .cols = 49152, .levels = {{16, 3}, {32, 4}, {96, 3}}},
      {.ring = 17, .rows = 1, .cols = 49152, .levels = {{2, 1}, {2, 1}, {4, 3}, {4, 3}, {16, 3}, {48, 6}}},
      {.ring = 17, .rows = 1, .cols = 50257, .levels = {{4, 1}, {8, 1}, {32, 5}, {50, 7}}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    trial t;
    const argmax_case *c = &cases[i];
    int input = trial_start(&t, c->ring, c->cols, i == 0 ? 3 : 1);
    trial_fill(&t, 0, c->cols, -5000, 5000);
    for (int b = 0; b < t.w.batch; b++)
      for (int k = 0; k < 2; k++)
        t.input[(size_t)b * c->cols + (size_t)walk_random_range(0, (int64_t)c->cols - 1)] = 5001;
    play(&t, input, c);
    trial_end(&t);
  }
}

// ---- what ends a text ----

static void ended(void) {
  enum { COLS = 11, ROWS = 40, OTHERWISE = 6 };
  static const tw_argmax_level levels[][TW_ARGMAX_LEVELS] = {{{4, 3}, {3, 2}}, {{11, 2}}, {{11, 7}}, {{8, 1}, {2, 1}}};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    trial t;
    int input = trial_start(&t, 12, ROWS + ROWS * COLS, 2);
    int bits = tw_open(&t.b, trial_bits(&t, input, 1, ROWS));
    trial_fill(&t, ROWS, ROWS * COLS, -1, 1);
    int values = tw_open(&t.b, trial_slice(&t, input, ROWS, ROWS * COLS));
    int places = tw_open(&t.b, tw_argmax(&t.b, values, ROWS, levels[i], bits, OTHERWISE));
    size_t wrong = 0;
    trial_run(&t, places);
    for (int b = 0; b < 2; b++)
      for (size_t row = 0; row < ROWS; row++) {
        size_t wanted = trial_x(&t, b, row) >= 0 ? OTHERWISE : largest_at(&t, b, ROWS + row * COLS, COLS);
        wrong += number_at(&t, b, row, 4) != wanted;
      }
    CU_ASSERT_EQUAL(wrong, 0);
    trial_end(&t);
  }
}

static void one_of(void) {
  static const uint64_t ones[] = {3, 0, 777, 65535};
  enum { BITS = 16, N = 200 };
  for (int count = 1; count <= 4; count++) {
    tw_program p = {0};
    tw_builder b;
    uint64_t numbers[N];
    size_t wrong = 0;
    tw_builder_start(&b, &p);
    int bits = tw_is_one_of(&b, tw_open(&b, tw_build_numbers(&b, BITS, N)), ones, count);
    tw_build_output(&b, tw_open(&b, bits));
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    for (int j = 0; j < N; j++)
      numbers[j] = j % 2 ? ones[j / 2 % 4] ^ (j > 100 ? 1ull << j % BITS : 0) : walk_random() % 65536;
    walk w = {.program = &p, .batch = 1, .input = numbers};
    CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
    CU_ASSERT_EQUAL(w.mismatches, 0);
    for (int j = 0; j < N; j++) {
      bool wanted = false;
      for (int i = 0; i < count; i++) wanted |= numbers[j] == ones[i];
      wrong += (w.output[j / 64] >> (j % 64) & 1) != wanted;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    walk_free(&w);
    tw_program_free(&p);
  }
}

// The place in bits is what the word lookup takes: the row of a secret table that stands for the largest, three rounds
// behind the opened place. None of it is opened bare.
static void its_row(void) {
  enum { ROWS = 5, WORDS = 300, WIDTH = 6, RING = 31 };
  tw_word_table table = tw_word_table_of(WORDS, WIDTH);
  size_t rows[2] = {table.lines, 1}, cols[2] = {table.places * WIDTH, table.places * WIDTH}, wrong = 0;
  uint64_t *values[2] = {calloc(rows[0] * cols[0], 8), calloc(cols[1], 8)};
  if (!values[0] || !values[1]) abort();
  for (size_t i = 0; i < WORDS * WIDTH; i++) values[0][i] = walk_random();
  trial t;
  argmax_case c = {.ring = 17, .rows = ROWS, .cols = WORDS};
  int rounds = tw_argmax_find(WORDS, 17, false, 9, c.levels), input = trial_start(&t, 17, ROWS * WORDS, 2);
  trial_fill(&t, 0, ROWS * WORDS, -40, 40);
  t.w.weight_count = 2;
  t.w.weight_rows = rows;
  t.w.weight_cols = cols;
  t.w.weight_values = values;
  int places = tw_open(&t.b, tw_argmax(&t.b, tw_open(&t.b, input), ROWS, c.levels, -1, 0));
  trial_run(&t, tw_open(&t.b, tw_look_up_words(&t.b, places, 0, &table, RING, 12)));
  for (int b = 0; b < 2; b++)
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
      size_t word = largest_at(&t, b, i / WIDTH * WORDS, WORDS);
      wrong += ((uint64_t)trial_y(&t, b, i) ^ values[0][word * WIDTH + i % WIDTH]) << (64 - RING) != 0;
    }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t.w.rounds, (uint64_t)rounds + 1 + 3);
  trial_end(&t);
  free(values[0]);
  free(values[1]);
}

// ---- other walks ----

static void kept_masks(void) {
  for (int repeat = 0; repeat < 2; repeat++) {
    trial t;
    argmax_case c = {14, 2, 70, {{4, 2}, {8, 3}, {3, 1}}, 0};
    int input = trial_start(&t, c.ring, c.rows * c.cols, 2);
    trial_fill(&t, 0, c.rows * c.cols, -9, 9);
    t.w.keep_masks = repeat == 0;
    t.w.repeat_kernels = repeat == 1;
    play(&t, input, &c);
    trial_end(&t);
  }
}

// ---- costs ----

static void print_levels(size_t n, int rounds, const tw_argmax_level *l, const tw_cost *total) {
  printf("%zu in %d rounds, keys %.2f MB, sent %.2f MB:", n, rounds,
         (double)(total->correction_bytes[0] + total->correction_bytes[1]) / 2e6, (double)total->sent_bytes / 1e6);
  for (int i = 0; i < TW_ARGMAX_LEVELS && l[i].members; i++) printf(" %d in %d,", l[i].members, l[i].factors);
  putchar('\n');
}

static int place_bits_of(size_t n) {
  int bits = 0;
  while ((size_t)1 << bits < n) bits++;
  return bits;
}

typedef struct {
  size_t n;
  int ring, rounds;   // asked for; 0: any
  double keys, sent;  // MB a party, at most
} wanted_cost;

// The prototype's numbers, a little above: rounds until the places are there, keys, bytes.
static void levels(void) {
  static const wanted_cost cases[] = {
      {49152, 17, 12, 8.4, 0.83}, {49152, 17, 13, 3.5, 0.46}, {49152, 17, 15, 1.75, 0.2}, {49152, 17, 16, 1.1, 0.2},
      {49152, 17, 20, 0.65, 0.2}, {49152, 17, 0, 0.4, 0.19},  {50257, 17, 13, 3.6, 0.47}, {32000, 17, 13, 2.3, 0.31},
      {128256, 17, 16, 4.6, 0.6}, {151936, 20, 0, 1.3, 0.7}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const wanted_cost *c = &cases[i];
    tw_argmax_level l[TW_ARGMAX_LEVELS];
    tw_program p = {0};
    tw_builder b;
    tw_cost steps[4], total;
    int rounds = tw_argmax_find(c->n, c->ring, false, c->rounds, l);
    CU_ASSERT_FATAL(rounds > 0 && (c->rounds == 0 || rounds <= c->rounds));
    tw_builder_start(&b, &p);
    int places = tw_argmax(&b, tw_open(&b, tw_build_input(&b, c->ring, 0, c->n)), 1, l, -1, 0);
    CU_ASSERT_EQUAL(tw_look(&b, places).planes, place_bits_of(c->n));
    tw_build_output(&b, tw_open(&b, places));
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    tw_program_costs(&p, steps, &total);
    print_levels(c->n, rounds, l, &total);
    CU_ASSERT_EQUAL(p.levels, rounds + 1);
    CU_ASSERT((double)(total.correction_bytes[0] + total.correction_bytes[1]) < 2e6 * c->keys);
    CU_ASSERT((double)total.sent_bytes - (double)(c->n * (size_t)c->ring) / 8 < 1e6 * c->sent);
    tw_program_free(&p);
  }
  CU_ASSERT_EQUAL(tw_argmax_find(49152, 17, false, 5, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}), 0);
  CU_ASSERT(tw_argmax_find(49152, 18, true, 12, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}) > 0);
  CU_ASSERT_EQUAL(tw_argmax_find(49152, 18, false, 12, (tw_argmax_level[TW_ARGMAX_LEVELS]){{0}}), 0);
}

// Fewer rounds never cost less, down to the fewest that there are.
static void fewer_rounds(void) {
  double before = 0;
  for (int rounds = 40; rounds >= 10; rounds--) {
    tw_argmax_level l[TW_ARGMAX_LEVELS];
    tw_program p = {0};
    tw_builder b;
    tw_cost steps[4], total;
    if (tw_argmax_find(5000, 17, false, rounds, l) == 0) continue;
    tw_builder_start(&b, &p);
    tw_build_output(&b, tw_open(&b, tw_argmax(&b, tw_open(&b, tw_build_input(&b, 17, 0, 5000)), 1, l, -1, 0)));
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    tw_program_costs(&p, steps, &total);
    double bytes = (double)(total.correction_bytes[0] + total.correction_bytes[1]) / 2 + (double)total.sent_bytes;
    CU_ASSERT(p.levels <= rounds + 1);
    CU_ASSERT(bytes > 0.98 * before);  // files' and messages' parts are of whole words, too
    before = bytes;
    tw_program_free(&p);
  }
  CU_ASSERT(before > 0);
}

// Where [x_i - x_j >= 1] stands for [x_i - x_j >= 0], ties go to the higher place: a search that takes the lower sees
// it.
static void other_ties_are_found(void) {
  trial t;
  enum { ROWS = 50, COLS = 9 };
  size_t wrong = 0;
  int input = trial_start(&t, 12, ROWS * COLS, 1);
  trial_fill(&t, 0, ROWS * COLS, 0, 1);
  int places = tw_open(
      &t.b, tw_argmax(&t.b, tw_open(&t.b, input), ROWS, (tw_argmax_level[TW_ARGMAX_LEVELS]){{4, 3}, {3, 1}}, -1, 0));
  for (int i = 0; i < t.program.op_count; i++) {
    const tw_op *op = &t.program.ops[i];
    if (strcmp(op->gate->name, "leaves") == 0)
      for (size_t k = 0; k < op->list_count; k += 3) t.program.pool[op->list + k] = 1;
  }
  trial_run(&t, places);
  for (size_t row = 0; row < ROWS; row++) wrong += number_at(&t, 0, row, 4) != largest_at(&t, 0, row * COLS, COLS);
  CU_ASSERT(wrong > ROWS / 2);
  trial_end(&t);
}

static void refusals(void) {
  static const tw_argmax_level wrong[][TW_ARGMAX_LEVELS] = {{{0}},     {{3, 1}, {4, 1}}, {{2, 1}, {2, 1}},
                                                            {{12, 8}}, {{4, 0}, {3, 1}}, {{1, 1}, {12, 1}}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    trial t;
    int input = trial_start(&t, 12, 12, 1);
    int places = tw_argmax(&t.b, tw_open(&t.b, input), 1, wrong[i], -1, 0);
    trial_refused(&t, tw_open(&t.b, places), "argmax");
    trial_end(&t);
  }
}

SUITE_MAIN("argmax", {"every row of small values", every_row}, {"every group", every_group},
           {"rows and batches", rows_and_batches}, {"vocabularies", vocabulary}, {"ended", ended}, {"one of", one_of},
           {"its row of a table", its_row}, {"kept masks, repeated kernels", kept_masks}, {"levels", levels},
           {"fewer rounds", fewer_rounds}, {"ties to the higher place are found", other_ties_are_found},
           {"refusals", refusals})
