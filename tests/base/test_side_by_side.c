// Every piece is done once, on any number of threads; the first failure's words come back.
#include <stdatomic.h>
#include <string.h>

#include "base/side_by_side.h"
#include "tests/common/suite.h"

enum { PIECES = 1000 };

typedef struct {
  atomic_int done[PIECES];
  atomic_int begun;
  size_t bad;
} tally;

static tw_status count_one(void *state, size_t number) {
  tally *t = state;
  atomic_fetch_add(&t->begun, 1);
  if (number == t->bad) return tw_fail(TW_ERR_RANGE, "piece %zu is bad", number);
  atomic_fetch_add(&t->done[number], 1);
  return TW_OK;
}

static void once_each(void) {
  static const size_t counts[] = {0, 1, 2, 64, 65, PIECES};
  static const int threads[] = {0, 1, 2, 7, 1000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (size_t j = 0; j < sizeof threads / sizeof *threads; j++) {
      static tally t;
      memset(&t, 0, sizeof t);
      t.bad = PIECES;
      CU_ASSERT_EQUAL(tw_side_by_side(counts[i], threads[j], count_one, &t), TW_OK);
      size_t wrong = 0;
      for (size_t k = 0; k < PIECES; k++) wrong += t.done[k] != (k < counts[i]);
      CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void a_failure(void) {
  for (int threads = 1; threads < 9; threads += 7) {
    static tally t;
    memset(&t, 0, sizeof t);
    t.bad = 10;
    CU_ASSERT_EQUAL(tw_side_by_side(PIECES, threads, count_one, &t), TW_ERR_RANGE);
    CU_ASSERT_STRING_EQUAL(tw_error_message(), "piece 10 is bad");
    if (threads == 1) CU_ASSERT_EQUAL(t.begun, 11);  // the others are left out
  }
}

SUITE_MAIN("side by side", {"every piece once", once_each}, {"a failure", a_failure})
