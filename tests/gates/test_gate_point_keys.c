// Comparisons by keys of point functions: dealer, parties and emulator against plain comparisons of values.
#include <stdlib.h>

#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

// `count` thresholds at once on the values low .. high (every one of them when they are few, else random ones).
static void check_at_least(int ring, const int64_t *thresholds, int count, int64_t low, int64_t high, size_t n,
                           int batch) {
  trial t;
  int x = tw_open(&t.b, trial_start(&t, ring, n, batch));
  if ((uint64_t)high - (uint64_t)low < n)
    trial_count(&t, low, high);
  else
    trial_fill(&t, 0, n, low, high);
  for (size_t j = 0; j < n && j < (size_t)(2 * count); j++) {  // close to the thresholds
    int64_t near = thresholds[j / 2] - (int64_t)(j % 2);
    if (near >= low && near <= high) t.input[j] = (uint64_t)near & tw_mask(ring);
  }
  trial_run(&t, tw_open(&t.b, tw_at_least_by_key(&t.b, x, thresholds, count)));
  size_t wrong = 0;
  for (int b = 0; b < batch; b++)
    for (size_t j = 0; j < n; j++)
      for (int i = 0; i < count; i++) wrong += trial_bit(&t, b, i, j) != (trial_x(&t, b, j) >= thresholds[i]);
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(t.w.rounds, 2);  // the input and the bits
  trial_end(&t);
}

// Every threshold t and every x with -2^(k-1) <= x - t < 2^(k-1), each under several masks.
static void exhaustive(void) {
  for (int ring = 2; ring <= 10; ring++) {
    int64_t half = (int64_t)1 << (ring - 1), step = ring < 9 ? 1 : 7;
    for (int64_t t = 1 - half; t < half; t += step)
      check_at_least(ring, &t, 1, t > 0 ? t - half : -half, t < 0 ? t + half - 1 : half - 1, (size_t)4 << ring, 1);
  }
}

static void large_rings(void) {
  for (int ring = 3; ring <= 61; ring++) {
    int64_t thresholds[8], quarter = (int64_t)1 << (ring - 2);
    for (int i = 0; i < 8; i++) thresholds[i] = walk_random_range(1 - quarter, quarter - 1);
    check_at_least(ring, thresholds, 1 + ring % 8, -quarter, quarter - 1, 200, 1 + 2 * (ring % 2));
  }
}

static void sizes_and_batches(void) {
  static const int64_t thresholds[3] = {-70000, 0, 123456};
  TRIAL_FOR(n, batch) check_at_least(20, thresholds, 3, -200000, 200000, n, batch);
}

// A wire may be asked by key while another is asked by digits, and thresholds of one key may be many.
static void beside_digits(void) {
  enum { N = 150, MOST = 20 };
  int64_t thresholds[MOST];
  trial t;
  int x = trial_start(&t, 16, 2 * N, 3);
  for (int i = 0; i < MOST; i++) thresholds[i] = walk_random_range(-4000, 4000);
  trial_fill(&t, 0, 2 * N, -8000, 8000);
  int first = tw_open(&t.b, trial_slice(&t, x, 0, N)), second = tw_open(&t.b, trial_slice(&t, x, N, N));
  int by_key = tw_at_least_by_key(&t.b, first, thresholds, MOST),
      by_digits = tw_at_least(&t.b, tw_compare_wire(&t.b, second), thresholds, MOST);
  tw_term terms[2 * MOST];
  for (int i = 0; i < MOST; i++) {
    terms[2 * i] = (tw_term){i, by_key, i};
    terms[2 * i + 1] = (tw_term){i, by_digits, i};
  }
  trial_run(&t, tw_open(&t.b, tw_xor_planes(&t.b, terms, 2 * MOST, MOST, NULL)));
  size_t wrong = 0;
  for (int b = 0; b < 3; b++)
    for (size_t j = 0; j < N; j++)
      for (int i = 0; i < MOST; i++)
        wrong +=
            trial_bit(&t, b, i, j) != ((trial_x(&t, b, j) >= thresholds[i]) ^ (trial_x(&t, b, N + j) >= thresholds[i]));
  CU_ASSERT_EQUAL(wrong, 0);
  trial_end(&t);
}

// 130 bits for every level, 128 for the leaf word, half a bit for the mask's top bit; N fills whole rows of 64 bytes.
static void key_bytes(void) {
  enum { N = 1024, RING = 20, LEVELS = RING - 1 - 7 };
  static const int64_t zero = 0;
  trial t;
  int x = tw_open(&t.b, trial_start(&t, RING, N, 1));
  trial_run(&t, tw_open(&t.b, tw_at_least_by_key(&t.b, x, &zero, 1)));
  for (int party = 0; party < 2; party++)
    CU_ASSERT_EQUAL(t.program.slot_bytes[party], N * (130 * LEVELS + 128) / 8 + N / 16);
  trial_end(&t);
}

static void refusals(void) {
  static const int64_t zero = 0;
  for (int i = 0; i < 2; i++) {
    trial t;
    int ring = i ? 62 : 1, x = tw_open(&t.b, trial_start(&t, ring, 5, 1));
    trial_refused(&t, tw_open(&t.b, tw_at_least_by_key(&t.b, x, &zero, 1)), i ? "ring of 62 bits" : "ring of 1 bits");
    trial_end(&t);
  }
}

SUITE_MAIN("comparisons by key", {"every threshold and value", exhaustive}, {"rings of 3 to 61 bits", large_rings},
           {"sizes and batches", sizes_and_batches}, {"beside digits", beside_digits}, {"bytes of keys", key_bytes},
           {"refusals", refusals})
