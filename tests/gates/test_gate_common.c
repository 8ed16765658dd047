// Corrections that both parties read: their place in both slots, their index, and a gate that is dealt one.
#include <string.h>

#include "base/memory.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"
#include "tests/gates/common_gate.h"

static int64_t product_of(const trial *t, int b, size_t j, size_t n) {
  uint64_t x = (uint64_t)trial_x(t, b, j) * (uint64_t)trial_x(t, b, n + j);
  return tw_signed(x & tw_mask(t->ring), t->ring);
}

static void start(trial *t, int ring, size_t n, int batch) {
  int x = trial_start(t, ring, 2 * n, batch);
  int left = tw_open(&t->b, trial_slice(t, x, 0, n)), right = tw_open(&t->b, trial_slice(t, x, n, n));
  trial_run(t, tw_open(&t->b, common_product(&t->b, left, right)));
}

static void dealt_and_taken(void) {
  static const int rings[] = {1, 7, 32, 33, 63, 64};
  for (size_t r = 0; r < sizeof rings / sizeof *rings; r++) TRIAL_FOR(n, batch) {
      trial t;
      size_t wrong = 0;
      start(&t, rings[r], n, batch);
      for (int b = 0; b < batch; b++)
        for (size_t j = 0; j < n; j++) wrong += trial_y(&t, b, j) != product_of(&t, b, j, n);
      CU_ASSERT_EQUAL(wrong, 0);
      trial_end(&t);
    }
}

// The same bytes in both slots, whole; the other correction's halves before them.
static void same_bytes(void) {
  enum { N = 129, RING = 33 };
  trial t;
  start(&t, RING, N, 1);
  const tw_correction *ring = &t.program.corrections[0], *common = &t.program.corrections[1];
  size_t bytes = (tw_packed_bytes(N, RING) + 63) / 64 * 64;
  CU_ASSERT_EQUAL(t.program.correction_count, 2);
  CU_ASSERT_EQUAL(common->kind, TW_DEALT_COMMON);
  CU_ASSERT_TRUE(ring->bytes[0] != ring->bytes[1] && ring->bytes[0] + ring->bytes[1] < 2 * bytes);
  for (int party = 0; party < 2; party++) {
    tw_key_index_entry *index;
    CU_ASSERT_EQUAL(common->bytes[party], bytes);
    CU_ASSERT_EQUAL(t.program.slot_bytes[party], ring->bytes[party] + bytes);
    CU_ASSERT_EQUAL_FATAL(tw_program_index(&t.program, party, &index), TW_OK);
    CU_ASSERT_TRUE(index[0].kind == 0 && index[1].kind == 2 && index[1].width == RING && index[1].count == N);
    CU_ASSERT_EQUAL(index[1].offset, ring->bytes[party]);
    tw_free(index);
  }
  CU_ASSERT_EQUAL(memcmp(t.w.corrections[0] + common->offset[0], t.w.corrections[1] + common->offset[1], bytes), 0);
  CU_ASSERT_NOT_EQUAL(common->use, ring->use);
  trial_end(&t);
}

// A correction of another kind, or with other room, is no longer the program's.
static void kinds_are_checked(void) {
  for (int fault = 0; fault < 3; fault++) {
    trial t;
    start(&t, 20, 200, 1);
    tw_correction *c = &t.program.corrections[1];
    CU_ASSERT_EQUAL(tw_program_check_uses(&t.program), TW_OK);
    if (fault == 0) c->kind = TW_DEALT_RING;
    if (fault == 1) c->bytes[1] -= 64, t.program.slot_bytes[1] -= 64;
    if (fault == 2) t.program.corrections[0].kind = TW_DEALT_COMMON;
    CU_ASSERT_EQUAL(tw_program_check_uses(&t.program), TW_ERR_INTERNAL);
    trial_end(&t);
  }
}

static void kinds_are_in_the_digest(void) {
  trial t;
  tw_digest before, after;
  start(&t, 20, 64, 1);
  tw_program_digest(&t.program, &before);
  t.program.corrections[1].kind = TW_DEALT_RING;
  tw_program_digest(&t.program, &after);
  CU_ASSERT_NOT_EQUAL(strcmp(before.hex, after.hex), 0);
  trial_end(&t);
}

SUITE_MAIN("common corrections", {"dealt and taken", dealt_and_taken}, {"same bytes", same_bytes},
           {"kinds are checked", kinds_are_checked}, {"kinds are in the digest", kinds_are_in_the_digest})
