// Noise by which a token is drawn: its tables against long double, its gate in all roles, and tokens that are drawn
// against softmax, by chi-square. Seeds are fixed: a number that is unlikely once would be so always.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/model.h"
#include "jobs/models/noise.h"
#include "jobs/models/spec.h"
#include "kernels/deal_ops.h"
#include "kernels/pack.h"
#include "kernels/prg.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

// ---- tables ----

static long double gumbel(uint64_t u) {
  long double z = ((long double)(u >> 63 ? ~u : u) + 0.5L) * 0x1p-64L;
  return -logl(u >> 63 ? -log1pl(-z) : -logl(z));
}

static double noise_of(uint64_t u, const tw_table table[2]) {
  uint64_t u0 = walk_random(), u1 = u0 ^ u, out;
  tw_deal_noise_args a = {1, 1, &u0, &u1, table[0].values, table[1].values, &out, ~0ull};
  tw_deal_noise_at(&a, 0, 0);
  return ldexp((double)(int64_t)out, -2 * TW_SCALE);
}

static void tables(void) {
  static const double temperatures[] = {0.01, 0.7, 1, 3, TW_MOST_TEMPERATURE};
  for (size_t t = 0; t < sizeof temperatures / sizeof *temperatures; t++) {
    double temperature = temperatures[t], worst = 0, largest = 0;
    tw_table table[2];
    CU_ASSERT_EQUAL_FATAL(tw_noise_tables(temperature, table), TW_OK);
    for (int i = 0; i < 400000; i++) {
      uint64_t z = walk_random() >> walk_random() % 64;
      if (i < 40) z = (uint64_t)i / 2;
      uint64_t u = i % 2 ? ~z : z;
      double noise = noise_of(u, table);
      worst = fmax(worst, fabs(noise - temperature * (double)gumbel(u)));
      largest = fmax(largest, fabs(noise));
    }
    printf("T = %g: off by %.3g at most, %.3g of T; largest %.4g\n", temperature, worst, worst / temperature, largest);
    CU_ASSERT(worst < 0x1p-14 * temperature + 0x1p-23);
    CU_ASSERT(largest < TW_NOISE_LARGEST * temperature && largest > 45 * temperature);
    tw_tables_free(table, 2);
  }
}

// ---- the gate ----

static void fix_seeds(trial *t, uint64_t number) {
  for (int b = 0; b < t->w.batch; b++) {
    for (int party = 0; party < 2; party++)
      tw_seed_test(&t->seeds[party][b], number, party ? "one" : "zero", (uint64_t)b);
    t->slots[b] = number + (uint64_t)b;
  }
}

// Mean and variance of what is added are those of T g: gamma T, and pi^2 T^2 / 6.
static void all_roles(void) {
  enum { N = 100000 };
  static const int batches[] = {1, 3};
  for (int i = 0; i < 2; i++) {
    trial t;
    tw_table table[2];
    double sum = 0, squares = 0, count = N * (double)batches[i];
    CU_ASSERT_EQUAL_FATAL(tw_noise_tables(0.5, table), TW_OK);
    int x = trial_start(&t, 40, N, batches[i]);
    trial_fill(&t, 0, N, -1000000, 1000000);
    fix_seeds(&t, 7);
    t.program.tables = table;
    t.program.table_count = 2;
    trial_run(&t, tw_open(&t.b, tw_add_noise(&t.b, x, (const int[]){0, 1})));
    for (int b = 0; b < batches[i]; b++)
      for (size_t j = 0; j < N; j++) {
        double g = ldexp((double)(trial_y(&t, b, j) - trial_x(&t, b, j)), -2 * TW_SCALE) / 0.5;
        sum += g;
        squares += g * g;
      }
    double mean = sum / count, variance = squares / count - mean * mean, root = sqrt(count);
    CU_ASSERT_DOUBLE_EQUAL(mean, 0.577215664901533, 4 * 1.2825 / root);
    CU_ASSERT_DOUBLE_EQUAL(variance, 1.644934066848226, 4 * 3.45 / root);  // the fourth moment is 27/5 variance^2
    trial_end(&t);
    tw_tables_free(table, 2);
  }
}

static void kept_masks(void) {
  for (int repeat = 0; repeat < 2; repeat++) {
    trial t;
    tw_table table[2];
    CU_ASSERT_EQUAL_FATAL(tw_noise_tables(2, table), TW_OK);
    int x = trial_start(&t, 37, 333, 2);
    t.w.keep_masks = repeat == 0;
    t.w.repeat_kernels = repeat == 1;
    t.program.tables = table;
    t.program.table_count = 2;
    trial_run(&t, tw_open(&t.b, tw_add_noise(&t.b, x, (const int[]){0, 1})));
    trial_end(&t);
    tw_tables_free(table, 2);
  }
}

// ---- tokens ----

enum { DRAWS = 20000, WORDS = 16, CUT = 17 };
static const double likely = 37.7;  // of chi-square with 15 degrees of freedom: beyond it once in a thousand

// Tokens drawn as a decoder draws them: noise on the product's share, cut to 7 bits behind the point, the largest.
static double chi_square(uint64_t number, const double *logits, const tw_table *table, double temperature) {
  static const tw_argmax_level levels[TW_ARGMAX_LEVELS] = {{4, 1}, {4, 1}};
  trial t;
  int x = trial_start(&t, 40, DRAWS * WORDS, 1);
  fix_seeds(&t, number);
  for (size_t j = 0; j < DRAWS * WORDS; j++)
    t.input[j] = (uint64_t)llrint(ldexp(logits[j % WORDS], 2 * TW_SCALE)) & tw_mask(40);
  t.program.tables = table;
  t.program.table_count = 2;
  int wire = tw_truncate_dithered(&t.b, tw_open(&t.b, tw_add_noise(&t.b, x, (const int[]){0, 1})), CUT);
  trial_run(&t, tw_open(&t.b, tw_argmax(&t.b, wire, DRAWS, levels, -1, 0)));
  double found[WORDS] = {0}, sum = 0, square = 0;
  for (size_t row = 0; row < DRAWS; row++) {
    int token = 0;
    for (int p = 0; p < 4; p++) token |= trial_bit(&t, 0, p, row) << p;
    found[token]++;
  }
  for (int i = 0; i < WORDS; i++) sum += exp(logits[i] / temperature);
  for (int i = 0; i < WORDS; i++) {
    double wanted = DRAWS * exp(logits[i] / temperature) / sum;
    square += (found[i] - wanted) * (found[i] - wanted) / wanted;
  }
  trial_end(&t);
  return square;
}

// From 0.4 to 20 percent.
static void some_logits(double *logits, double temperature) {
  for (int i = 0; i < WORDS; i++) logits[i] = temperature * (4 * (i * 7 % WORDS) / (double)WORDS - 1);
}

static void drawn_tokens(void) {
  static const double temperatures[] = {1, 0.6, 2.5};
  for (int i = 0; i < 3; i++) {
    tw_table table[2];
    double logits[WORDS];
    some_logits(logits, temperatures[i]);
    CU_ASSERT_EQUAL_FATAL(tw_noise_tables(temperatures[i], table), TW_OK);
    double square = chi_square((uint64_t)(i + 1), logits, table, temperatures[i]);
    printf("T = %g: chi-square %.1f\n", temperatures[i], square);
    CU_ASSERT(square < likely);
    tw_tables_free(table, 2);
  }
}

// A table that is a little too hot; one end's in the place of the other's; one whose pieces lie a place further.
static void wrong_tables_are_found(void) {
  double logits[WORDS];
  some_logits(logits, 1);
  for (int wrong = 0; wrong < 3; wrong++) {
    tw_table table[2];
    CU_ASSERT_EQUAL_FATAL(tw_noise_tables(wrong == 0 ? 1.1 : 1, table), TW_OK);
    size_t half = TW_NOISE_ENTRIES / 2;
    for (int i = 0; i < 2 && wrong > 0; i++) {
      uint64_t *v = table[i].values;
      if (wrong == 1) memcpy(v + half, v, 8 * half);
      if (wrong == 2) memmove(v + 64, v, 8 * (TW_NOISE_ENTRIES - 64));
    }
    double square = chi_square(1, logits, table, 1);
    printf("wrong table %d: chi-square %.1f\n", wrong, square);
    CU_ASSERT(square > 2 * likely);
    tw_tables_free(table, 2);
  }
}

static void refusals(void) {
  static uint64_t few[4];
  static const tw_table table[2] = {{"A", 4, few}, {"B", 4, few}};
  trial t;
  int x = trial_start(&t, 40, 9, 1);
  t.program.tables = table;
  t.program.table_count = 2;
  trial_refused(&t, tw_open(&t.b, tw_add_noise(&t.b, x, (const int[]){0, 1})), "no table of noise");
  trial_end(&t);
}

SUITE_MAIN("sampling", {"tables", tables}, {"all roles", all_roles}, {"kept masks, repeated kernels", kept_masks},
           {"drawn tokens", drawn_tokens}, {"wrong tables are found", wrong_tables_are_found}, {"refusals", refusals})
