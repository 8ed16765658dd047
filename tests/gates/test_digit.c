// Digit kernels against one element at a time: the shares of both parties are put together and compared with what
// the digits themselves give. Every instruction set this machine has.
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/isa.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"

static uint64_t *random_words(size_t n) {
  uint64_t *p = malloc(n ? 8 * n : 8);
  if (!p) abort();
  randombytes_buf(p, 8 * n);
  return p;
}

static uint64_t bit_of(const uint64_t *plane, size_t j) { return plane[j / 64] >> (j % 64) & 1; }

// XOR shares of the one-hots of digits a: own[party] has 2^width planes, junk in the bits behind n.
static void share_onehots(const uint64_t *a, size_t n, int width, uint64_t *own[2]) {
  size_t words = tw_words(n), planes = (size_t)1 << width;
  own[0] = random_words(planes * words);
  own[1] = random_words(planes * words);
  memcpy(own[1], own[0], 8 * planes * words);
  for (size_t j = 0; j < n; j++) own[1][a[j] * words + j / 64] ^= 1ull << (j % 64);
}

static uint64_t *random_digits(size_t n, int width) {
  uint64_t *a = random_words(n);
  for (size_t j = 0; j < n; j++) a[j] &= tw_mask(width);
  return a;
}

static void planes_of_digits(void) {
  for (int round = 0; round < 300; round++) {
    int ring_bits = 1 + round % 64, low_bit = (int)randombytes_uniform((uint32_t)ring_bits);
    int width = 1 + (int)randombytes_uniform(13);
    size_t n = randombytes_uniform(300), words = tw_words(n), wrong = 0;
    uint64_t offset, *x = random_words(n), *planes = random_words((size_t)width * words);
    randombytes_buf(&offset, sizeof offset);
    tw_digit_planes(x, n, offset, ring_bits, low_bit, width, planes);
    for (int i = 0; i < width; i++)
      for (size_t j = 0; j < 64 * words; j++) {
        uint64_t digit = j < n ? ((x[j] - offset) & tw_mask(ring_bits)) >> low_bit : 0;
        wrong += bit_of(planes + (size_t)i * words, j) != (digit >> i & 1);
      }
    CU_ASSERT_EQUAL(wrong, 0);
    free(x), free(planes);
  }
}

// Leaves of public digits c against digits a; either result may be left out.
static void check_leaf(const uint64_t *a, const uint64_t *c, size_t n, int width) {
  size_t words = tw_words(n), wrong = 0;
  uint64_t *own[2], *planes = random_words((size_t)width * words), *lt[2], *eq[2];
  share_onehots(a, n, width, own);
  tw_digit_planes(c, n, 0, 64, 0, width, planes);
  for (int party = 0; party < 2; party++) {
    lt[party] = random_words(words);
    eq[party] = random_words(words);
    tw_digit_leaf(own[party], words, width, planes, lt[party], party ? eq[party] : NULL);
    if (!party) tw_digit_leaf(own[party], words, width, planes, NULL, eq[party]);
  }
  for (size_t j = 0; j < n; j++) {
    wrong += (bit_of(lt[0], j) ^ bit_of(lt[1], j)) != (c[j] < a[j]);
    wrong += (bit_of(eq[0], j) ^ bit_of(eq[1], j)) != (c[j] == a[j]);
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (int party = 0; party < 2; party++) free(own[party]), free(lt[party]), free(eq[party]);
  free(planes);
}

static void leaves_exhaustive(void) {
  for (int width = 1; width <= 4; width++) {
    size_t values = (size_t)1 << width, n = values * values;
    uint64_t *a = random_words(n), *c = random_words(n);
    for (size_t j = 0; j < n; j++) a[j] = j / values, c[j] = j % values;
    check_leaf(a, c, n, width);
    free(a), free(c);
  }
}

static void leaves_random(void) {
  for (int width = 1; width <= TW_DIGIT_MAX_BITS; width++)
    for (int round = 0; round < (width <= 10 ? 6 : 1); round++) {
      size_t n = 1 + randombytes_uniform(width <= 10 ? 2500 : 100);
      uint64_t *a = random_digits(n, width), *c = random_digits(n, width);
      for (size_t j = 0; j < n; j += 3) c[j] = a[j];  // equality is rare otherwise
      check_leaf(a, c, n, width);
      free(a), free(c);
    }
}

// Lookups of `count` tables: U_0 - U_1 = (e_a of party 0 - e_a of party 1) T[fine - (a << sub_bits)], and each party's
// sum on its own against the definition.
static void check_lookup(size_t n, int width, int sub_bits, int count) {
  enum { MOST = 11 };
  size_t words = tw_words(n), size = (size_t)1 << (width + sub_bits), wrong = 0;
  uint64_t *a = random_digits(n, width), *fine = random_digits(n, width + sub_bits), *own[2], *out[2][MOST];
  uint64_t *tables[MOST];
  share_onehots(a, n, width, own);
  for (int i = 0; i < count; i++) {
    tables[i] = random_words(size);
    for (int party = 0; party < 2; party++) out[party][i] = random_words(n);
  }
  for (int party = 0; party < 2; party++)
    tw_digit_lookup(own[party], words, width, sub_bits, fine, n, (const uint64_t *const *)tables, count, out[party]);
  for (int i = 0; i < count; i++)
    for (size_t j = 0; j < n; j++) {
      uint64_t sum = 0, hit = tables[i][(fine[j] - (a[j] << sub_bits)) & (size - 1)];
      uint64_t sign = bit_of(own[0] + a[j] * words, j) - bit_of(own[1] + a[j] * words, j);
      for (size_t e = 0; e < (size_t)1 << width; e++)
        sum += bit_of(own[1] + e * words, j) * tables[i][(fine[j] - (e << sub_bits)) & (size - 1)];
      wrong += out[1][i][j] != sum;
      wrong += out[0][i][j] - out[1][i][j] != sign * hit;
    }
  if (wrong)
    printf("\n  %s: %zu wrong of %zu, width %d, sub_bits %d, %d tables\n", tw_isa_name(tw_isa_active()), wrong, n,
           width, sub_bits, count);
  CU_ASSERT_EQUAL(wrong, 0);
  for (int i = 0; i < count; i++) free(tables[i]), free(out[0][i]), free(out[1][i]);
  free(a), free(fine), free(own[0]), free(own[1]);
}

static void lookups(void) {
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++) {
    tw_isa_limit((tw_isa)isa);
    for (int width = 1; width <= 10; width++)
      for (int sub_bits = 0; sub_bits <= 4; sub_bits++) {
        check_lookup(1 + randombytes_uniform(200), width, sub_bits, 1 + (int)randombytes_uniform(4));
        check_lookup(1 + randombytes_uniform(10), width, sub_bits, 2);
      }
    check_lookup(700, 7, 2, 2);
    check_lookup(700, 6, 1, 11);  // more tables than one pass takes
    check_lookup(130, 11, 3, 3);  // more table words than one pass holds
    check_lookup(70, 13, 2, 2);   // the largest
    check_lookup(70, 1, 12, 2);
    check_lookup(0, 7, 2, 2);
  }
}

static void copies(void) {
  for (int round = 0; round < 500; round++) {
    size_t first = randombytes_uniform(200), n = randombytes_uniform(300), words = tw_words(n), wrong = 0;
    uint64_t *src = random_words(tw_words(first + n)), *dst = random_words(words);
    tw_bits_copy(src, first, n, dst);
    for (size_t j = 0; j < 64 * words; j++) wrong += bit_of(dst, j) != (j < n ? bit_of(src, first + j) : 0);
    CU_ASSERT_EQUAL(wrong, 0);
    free(src), free(dst);
  }
}

// Products of up to eight opened literals: both parties' shares together are the AND of the literals themselves.
static void check_product(int count, size_t words) {
  size_t subsets = (size_t)1 << count, wrong = 0;
  uint64_t *masks[8], *values[8], *shares[2][256], *out[2], *before[2];
  tw_bit_product product = {.count = count};
  for (int i = 0; i < count; i++) {
    masks[i] = random_words(words);
    product.value[i] = values[i] = random_words(words);
    product.negate[i] = (uint8_t)randombytes_uniform(2);
  }
  shares[0][0] = shares[1][0] = NULL;
  for (size_t s = 1; s < subsets; s++) {
    shares[0][s] = random_words(words);
    shares[1][s] = random_words(words);
    for (size_t w = 0; w < words; w++) {
      uint64_t all = ~0ull;
      for (int i = 0; i < count; i++)
        if (s >> i & 1) all &= masks[i][w];
      shares[1][s][w] = shares[0][s][w] ^ all;
    }
  }
  for (int party = 0; party < 2; party++) {
    out[party] = random_words(words);
    before[party] = random_words(words);
    memcpy(before[party], out[party], 8 * words);
    product.subset = (const uint64_t *const *)shares[party];
    tw_bits_product(&product, words, party ? 0 : ~0ull, out[party]);
  }
  for (size_t w = 0; w < words; w++) {
    uint64_t want = ~0ull;
    for (int i = 0; i < count; i++) want &= values[i][w] ^ masks[i][w] ^ (product.negate[i] ? ~0ull : 0);
    wrong += (out[0][w] ^ before[0][w] ^ out[1][w] ^ before[1][w]) != want;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (int i = 0; i < count; i++) free(masks[i]), free(values[i]);
  for (size_t s = 1; s < subsets; s++) free(shares[0][s]), free(shares[1][s]);
  for (int party = 0; party < 2; party++) free(out[party]), free(before[party]);
}

static void products(void) {
  for (int count = 0; count <= 8; count++)
    for (int round = 0; round < 20; round++) check_product(count, randombytes_uniform(60));
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("digit", NULL, NULL);
  CU_ADD_TEST(suite, planes_of_digits);
  CU_ADD_TEST(suite, leaves_exhaustive);
  CU_ADD_TEST(suite, leaves_random);
  CU_ADD_TEST(suite, lookups);
  CU_ADD_TEST(suite, copies);
  CU_ADD_TEST(suite, products);
  return suite_end();
}
