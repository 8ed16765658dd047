// Rows of a secret table by secret numbers: every number of small vocabularies, random ones of large ones, vocabularies
// that are no power of two, and numbers past them.
#include <CUnit/CUnit.h>
#include <stdlib.h>

#include "io/word_table.h"
#include "kernels/digit.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

typedef struct {
  tw_word_table t;
  size_t n;  // numbers of one sequence
  int ring, scale;
  tw_program program;
  walk w;
  uint64_t *numbers, *values[2];
  size_t rows[2], cols[2];
} lookup;

static uint64_t *room(size_t count) {
  uint64_t *p = calloc(count + 1, sizeof *p);
  if (!p) abort();
  return p;
}

// A table of random rows under a bias of zeros, as models have it; zeros behind the last word.
static void lookup_start(lookup *l, tw_word_table table, size_t n, int batch, int ring) {
  size_t all = (size_t)batch * n;
  *l = (lookup){.t = table, .n = n, .ring = ring, .scale = 12, .numbers = room(all)};
  l->rows[0] = table.lines, l->rows[1] = 1;
  l->cols[0] = l->cols[1] = table.places * table.width;
  for (int i = 0; i < 2; i++) l->values[i] = room(l->rows[i] * l->cols[i]);
  for (size_t j = 0; j < table.words * table.width; j++) l->values[0][j] = walk_random();
  for (size_t j = 0; j < all; j++) l->numbers[j] = walk_random() % table.words;
  l->w = (walk){.batch = batch,
                .input = l->numbers,
                .weight_count = 2,
                .weight_rows = l->rows,
                .weight_cols = l->cols,
                .weight_values = l->values};
}

static void lookup_run(lookup *l) {
  tw_builder b;
  tw_builder_start(&b, &l->program);
  int numbers = tw_open(&b, tw_build_numbers(&b, l->t.line_bits + l->t.place_bits, l->n));
  int x = tw_look_up_words(&b, numbers, 0, &l->t, l->ring, l->scale);
  CU_ASSERT_EQUAL(tw_look(&b, x).scale, 12);
  tw_build_output(&b, tw_open(&b, x));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  l->w.program = &l->program;
  CU_ASSERT_EQUAL_FATAL(walk_run(&l->w), TW_OK);
  CU_ASSERT_EQUAL(l->w.mismatches, 0);
  CU_ASSERT_EQUAL(l->w.rounds, 4);
}

// What came out that is not the word's row, or not zero past the words.
static size_t wrong_elements(const lookup *l) {
  size_t wrong = 0, width = l->t.width;
  for (size_t j = 0; j < (size_t)l->w.batch * l->n; j++)
    for (size_t k = 0; k < width; k++) {
      uint64_t wanted = l->numbers[j] < l->t.words ? l->values[0][l->numbers[j] * width + k] : 0;
      wrong += l->w.output[j * width + k] != (wanted & tw_mask(l->ring));
    }
  return wrong;
}

static void lookup_end(lookup *l) {
  walk_free(&l->w);
  tw_program_free(&l->program);
  free(l->numbers);
  for (int i = 0; i < 2; i++) free(l->values[i]);
}

static void check(tw_word_table table, size_t n, int batch, int ring, bool all_numbers) {
  lookup l;
  lookup_start(&l, table, n, batch, ring);
  uint64_t numbers = 1ull << (table.line_bits + table.place_bits);
  for (size_t j = 0; all_numbers && j < (size_t)batch * n; j++) l.numbers[j] = j % numbers;
  lookup_run(&l);
  CU_ASSERT_EQUAL(wrong_elements(&l), 0);
  lookup_end(&l);
}

// Tables of every shape, not only of the one that costs least.
static tw_word_table in_lines(size_t words, size_t width, int place_bits) {
  size_t columns = (size_t)1 << place_bits, rows = (words + columns - 1) / columns;
  int line_bits = 1;
  while ((size_t)1 << line_bits < rows) line_bits++;
  return (tw_word_table){words, width, rows, columns, line_bits, place_bits};
}

static void every_number(void) {
  for (size_t words = 1; words <= 17; words++)
    for (int place_bits = 0; place_bits <= 3; place_bits++)
      check(in_lines(words, 1 + words % 3, place_bits), 64, 1, 20, true);
}

static void sizes_and_batches(void) {
  static const size_t sizes[] = {1, 63, 64, 65, 127, 128, 129, 200};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int batch = 1; batch <= 3; batch += 2) check(in_lines(37, 5, (int)(i % 3)), sizes[i], batch, 31, false);
}

static void rings(void) {
  static const int widths[] = {1, 2, 13, 31, 48, 63, 64};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) check(in_lines(21, 3, 1), 67, 1, widths[i], false);
}

static void large_vocabularies(void) {
  check(tw_word_table_of(50257, 2), 3, 1, 31, false);
  check(tw_word_table_of(128256, 3), 2, 1, 31, false);
  check(in_lines(1 << 18, 1, 0), 2, 1, 20, false);
  check(in_lines((1 << 17) + 1, 1, 1), 2, 1, 20, false);
}

// Parties prepare as on a GPU.
static void kept_masks(void) {
  lookup l;
  lookup_start(&l, in_lines(300, 4, 2), 70, 2, 31);
  l.w.keep_masks = true;
  lookup_run(&l);
  CU_ASSERT_EQUAL(wrong_elements(&l), 0);
  lookup_end(&l);
}

static void repeated_kernels(void) {
  lookup l;
  lookup_start(&l, in_lines(300, 4, 2), 70, 2, 31);
  l.w.repeat_kernels = true;
  lookup_run(&l);
  CU_ASSERT_EQUAL(wrong_elements(&l), 0);
  CU_ASSERT(l.w.repeated > 0);
  lookup_end(&l);
}

// ---- what the published shapes cost

typedef struct {
  size_t words, width, places;
  double sent, keys;  // bytes a token and party, at most
} shape_cost;

static void costs(void) {
  static const shape_cost shapes[] = {
      {49152, 576, 4, 60e3, 7e3},     // SmolLM2-135M
      {50257, 768, 4, 65e3, 9e3},     // GPT-2
      {50257, 2048, 2, 0.2e6, 20e3},  // GPT-Neo 1.3B
      {32000, 4096, 1, 0.2e6, 20e3},  // LLaMA-2-7B
      {128256, 4096, 2, 0.3e6, 30e3}  // LLaMA-3-8B
  };
  enum { TOKENS = 128 };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    tw_word_table t = tw_word_table_of(shapes[i].words, shapes[i].width);
    tw_program p = {0};
    tw_builder b;
    tw_cost steps[4], total;
    tw_builder_start(&b, &p);
    int numbers = tw_open(&b, tw_build_numbers(&b, t.line_bits + t.place_bits, TOKENS));
    tw_build_output(&b, tw_open(&b, tw_look_up_words(&b, numbers, 0, &t, 31, 12)));
    CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
    CU_ASSERT_FATAL(p.step_count <= 4);
    tw_program_costs(&p, steps, &total);
    CU_ASSERT_EQUAL(t.places, shapes[i].places);
    CU_ASSERT(t.lines * t.places >= t.words && (t.lines - 1) * t.places < t.words);
    CU_ASSERT((double)total.sent_bytes < TOKENS * shapes[i].sent);
    for (int party = 0; party < 2; party++) CU_ASSERT((double)total.correction_bytes[party] < TOKENS * shapes[i].keys);
    printf("%zu words of %zu: %zu a line; sent %.1f kB, keys %.1f kB a token\n", t.words, t.width, t.places,
           (double)total.sent_bytes / 1e3 / TOKENS, (double)total.correction_bytes[0] / 1e3 / TOKENS);
    tw_program_free(&p);
  }
}

static void refusals(void) {
  tw_program p = {0};
  tw_builder b;
  tw_word_table t = in_lines(40, 3, 1);
  tw_builder_start(&b, &p);
  tw_look_up_words(&b, tw_open(&b, tw_build_numbers(&b, 5, 4)), 0, &t, 20, 12);
  CU_ASSERT_NOT_EQUAL(tw_builder_finish(&b), TW_OK);
  tw_program_free(&p);
}

SUITE_MAIN("words", {"every number", every_number}, {"sizes and batches", sizes_and_batches}, {"rings", rings},
           {"large vocabularies", large_vocabularies}, {"kept masks", kept_masks},
           {"repeated kernels", repeated_kernels}, {"costs", costs}, {"refusals", refusals})
