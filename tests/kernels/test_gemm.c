// Every path of the ring product against three nested loops, in inputs and outputs that carry junk above the ring.
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/gemm.h"
#include "kernels/isa.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"

static uint64_t *random_words(size_t n) {
  uint64_t *p = malloc(n ? 8 * n : 8);
  if (!p) abort();
  randombytes_buf(p, 8 * n);
  return p;
}

typedef struct {
  size_t m, n, k, lda, ldb, ldc;
  int ring_bits, accumulate;
} shape;

static size_t used(size_t rows, size_t columns, size_t ld) { return rows && columns ? (rows - 1) * ld + columns : 0; }

static void reference(const shape *s, const uint64_t *a, const uint64_t *b, uint64_t *c) {
  for (size_t i = 0; i < s->m; i++)
    for (size_t j = 0; j < s->n; j++) {
      uint64_t sum = 0;
      for (size_t p = 0; p < s->k; p++) sum += a[i * s->lda + p] * b[p * s->ldb + j];
      uint64_t *to = &c[i * s->ldc + j];
      *to = s->accumulate == 0 ? sum : s->accumulate > 0 ? *to + sum : *to - sum;
    }
}

// Elements of C that differ from the reference in the ring, or between the columns at all.
static size_t differences(const shape *s, const uint64_t *got, const uint64_t *want) {
  size_t wrong = 0, total = used(s->m, s->n, s->ldc);
  for (size_t at = 0; at < total; at++) {
    uint64_t mask = at % s->ldc < s->n ? tw_mask(s->ring_bits) : ~0ull;
    wrong += ((got[at] ^ want[at]) & mask) != 0;
  }
  return wrong;
}

static void check_shape(const shape *s) {
  uint64_t *a = random_words(used(s->m, s->k, s->lda)), *b = random_words(used(s->k, s->n, s->ldb));
  size_t c_words = used(s->m, s->n, s->ldc);
  uint64_t *c = random_words(c_words), *want = random_words(c_words), *got = random_words(c_words);
  memcpy(want, c, 8 * c_words);
  reference(s, a, b, want);
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++) {
    tw_isa_limit((tw_isa)isa);
    memcpy(got, c, 8 * c_words);
    tw_gemm(s->m, s->n, s->k, a, s->lda, b, s->ldb, got, s->ldc, s->ring_bits, s->accumulate);
    size_t wrong = differences(s, got, want);
    if (wrong)
      printf("\n  %s: %zu wrong in %zux%zux%zu (ld %zu %zu %zu) ring %d accumulate %d\n", tw_isa_name(tw_isa_active()),
             wrong, s->m, s->k, s->n, s->lda, s->ldb, s->ldc, s->ring_bits, s->accumulate);
    CU_ASSERT_EQUAL(wrong, 0);
  }
  free(a), free(b), free(c), free(want), free(got);
}

static void check(size_t m, size_t n, size_t k, int ring_bits, int accumulate) {
  shape s = {m, n, k, k, n, n, ring_bits, accumulate};
  s.lda += randombytes_uniform(3) * randombytes_uniform(10);
  s.ldb += randombytes_uniform(3) * randombytes_uniform(10);
  s.ldc += randombytes_uniform(3) * randombytes_uniform(10);
  if (s.lda == 0) s.lda = 1;
  if (s.ldb == 0) s.ldb = 1;
  if (s.ldc == 0) s.ldc = 1;
  check_shape(&s);
}

static void every_ring(void) {
  for (int bits = 1; bits <= 64; bits++)
    for (int accumulate = -1; accumulate <= 1; accumulate++)
      check(1 + randombytes_uniform(20), 1 + randombytes_uniform(40), 1 + randombytes_uniform(60), bits, accumulate);
}

static const int rings[] = {1, 16, 31, 32, 33, 48, 51, 52, 53, 64};
enum { RINGS = sizeof rings / sizeof rings[0] };

static void small_shapes(void) {
  for (size_t m = 0; m <= 9; m++)
    for (size_t n = 0; n <= 18; n++)
      for (size_t k = 0; k <= 3; k++)
        check(m, n, k, rings[randombytes_uniform(RINGS)], (int)randombytes_uniform(3) - 1);
}

// Across every border of the blocks: rows, columns and depth.
static void ragged_shapes(void) {
  static const size_t m[] = {1, 32, 127, 128, 129, 261}, n[] = {1, 15, 64, 65, 150, 192}, k[] = {1, 64, 191, 193, 385};
  for (int round = 0; round < 40; round++)
    check(m[randombytes_uniform(6)], n[randombytes_uniform(6)], k[randombytes_uniform(5)], rings[round % RINGS],
          round % 3 - 1);
  check(130, 70, 770, 24, -1);
  check(130, 70, 770, 48, 0);
  check(130, 70, 770, 64, 1);
}

// Extreme values: every carry between the partial products is used.
static void all_ones(void) {
  enum { M = 9, N = 33, K = 500 };
  static uint64_t a[M * K], b[K * N], c[M * N];
  memset(a, 0xff, sizeof a);
  memset(b, 0xff, sizeof b);
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++)
    for (int i = 0; i < RINGS; i++) {
      size_t wrong = 0;
      tw_isa_limit((tw_isa)isa);
      tw_gemm(M, N, K, a, K, b, N, c, N, rings[i], 0);
      for (size_t j = 0; j < M * N; j++) wrong += ((c[j] ^ K) & tw_mask(rings[i])) != 0;
      CU_ASSERT_EQUAL(wrong, 0);
    }
}

// What a fresh process uses under TWAIN_ISA=wish. Only before this process asked itself: the answer is kept.
static tw_isa isa_under(const char *wish) {
  pid_t child = fork();
  if (child == 0) {
    setenv("TWAIN_ISA", wish, 1);
    _exit((int)tw_isa_active());
  }
  int status = 0;
  CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
  CU_ASSERT_TRUE(WIFEXITED(status));
  return (tw_isa)WEXITSTATUS(status);
}

static void environment(void) {
  tw_isa best = isa_under("avx512");
  CU_ASSERT_EQUAL(isa_under(""), best);
  CU_ASSERT_EQUAL(isa_under("avx2"), best < TW_ISA_AVX2 ? best : TW_ISA_AVX2);
  CU_ASSERT_EQUAL(isa_under("portable"), TW_ISA_PORTABLE);
  CU_ASSERT_EQUAL(isa_under("AVX512"), TW_ISA_PORTABLE);
  CU_ASSERT_EQUAL(isa_under("avx5120"), TW_ISA_PORTABLE);
}

static void limits_and_names(void) {
  tw_isa_limit(TW_ISA_AVX512);
  tw_isa best = tw_isa_active();
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++) {
    tw_isa_limit((tw_isa)isa);
    CU_ASSERT_EQUAL(tw_isa_active(), (tw_isa)isa < best ? (tw_isa)isa : best);
  }
  CU_ASSERT_STRING_EQUAL(tw_isa_name(TW_ISA_PORTABLE), "portable");
  CU_ASSERT_STRING_EQUAL(tw_isa_name(TW_ISA_AVX2), "avx2");
  CU_ASSERT_STRING_EQUAL(tw_isa_name(TW_ISA_AVX512), "avx512");
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("gemm", NULL, NULL);
  CU_ADD_TEST(suite, environment);
  CU_ADD_TEST(suite, every_ring);
  CU_ADD_TEST(suite, small_shapes);
  CU_ADD_TEST(suite, ragged_shapes);
  CU_ADD_TEST(suite, all_ones);
  CU_ADD_TEST(suite, limits_and_names);
  return suite_end();
}
