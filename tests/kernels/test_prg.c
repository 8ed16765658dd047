// Streams against the vectors of RFC 8439, and against themselves read in another order.
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "kernels/pack.h"
#include "kernels/prg.h"
#include "tests/common/suite.h"

static tw_seed counting_key(void) {
  tw_seed seed;
  for (int i = 0; i < 32; i++) seed.key[i] = (uint8_t)i;
  return seed;
}

// Compares words from first_word on with hexadecimal key stream, cut at a whole byte.
static void check_stream(const tw_seed *seed, uint32_t use, uint64_t slot, uint64_t first_word, const char *hex) {
  uint8_t want[128];
  uint64_t got[16];
  size_t bytes = 0;
  CU_ASSERT_EQUAL_FATAL(sodium_hex2bin(want, sizeof want, hex, strlen(hex), " ", &bytes, NULL), 0);
  CU_ASSERT_FATAL(bytes >= 64);
  tw_prg_words(seed, use, slot, first_word, (bytes + 7) / 8, got);
  CU_ASSERT_EQUAL(memcmp(got, want, bytes), 0);
}

// Section 2.3.2: nonce 00000009 0000004a 00000000, block 1; section 2.4.2: nonce 00000000 0000004a 00000000.
static void rfc8439_examples(void) {
  tw_seed seed = counting_key();
  check_stream(&seed, 0x09000000, 0x4a000000, 8,
               "10f1e7e4d13b5915500fdd1fa32071c4 c7d1f4c733c068030422aa9ac3d46c4e"
               "d2826446079faa0914c2d705d98b02a2 b5129cd1de164eb9cbd083e8a2503c4e");
  check_stream(&seed, 0, 0x4a000000, 8,
               "224f51f3401bd9e12fde276fb8631ded8c131f823d2c06 e27e4fcaec9ef3cf788a3b0aa372600a92b57974cded2b"
               "9334794cba40c63e34cdea212c4cf07d41b769a6749f3f 630f4122cafe28ec4dc47e26d4346d70b98c73f3e9c53a"
               "c40c5945398b6eda1a832c89c167eacd901d7e2bf363");
}

// Appendix A.1, vectors 1 and 5: zero keys, and a nonce whose last byte is 2.
static void rfc8439_appendix(void) {
  tw_seed seed = {{0}};
  check_stream(&seed, 0, 0, 0,
               "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
               "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  check_stream(&seed, 0, (uint64_t)2 << 56, 0,
               "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
               "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d");
}

// Every ring is the low bits of u32 words up to 32 bits and of u64 words above.
static void ring_words(void) {
  enum { N = 3000 };
  static uint64_t words[N], ring[N];
  tw_seed seed;
  tw_seed_random(&seed);
  tw_prg_words(&seed, 7, 9, 0, N, words);
  for (int bits = 1; bits <= 64; bits++) {
    size_t n = 1 + randombytes_uniform(N), wrong = 0;
    tw_prg_ring(&seed, 7, 9, bits, 0, n, ring);
    for (size_t j = 0; j < n; j++) {
      uint32_t narrow;
      memcpy(&narrow, (const uint8_t *)words + 4 * j, 4);
      wrong += ring[j] != ((bits <= 32 ? narrow : words[j]) & tw_mask(bits));
    }
    CU_ASSERT_EQUAL(wrong, 0);
  }
}

static void random_access(void) {
  enum { N = 5000 };
  static uint64_t all[N], part[N];
  tw_seed seed;
  tw_seed_random(&seed);
  for (int round = 0; round < 200; round++) {
    int bits = 1 + (int)randombytes_uniform(64);
    uint64_t start = round % 2 ? randombytes_random() * (uint64_t)4 : 0, slot = randombytes_random();
    uint32_t use = randombytes_random();
    size_t first = randombytes_uniform(N), n = randombytes_uniform((uint32_t)(N - first));
    tw_prg_ring(&seed, use, slot, bits, start, first + n, all);
    part[n] = 0x5ca1ab1e;
    tw_prg_ring(&seed, use, slot, bits, start + first, n, part);
    CU_ASSERT_EQUAL(memcmp(part, all + first, n * sizeof *part), 0);
    CU_ASSERT_EQUAL(part[n], 0x5ca1ab1e);
  }
}

// Another seed, use or slot gives another stream; the upper half of the slot counts too.
static void streams_differ(void) {
  tw_seed seed, other;
  tw_seed_random(&seed);
  tw_seed_random(&other);
  uint64_t base[8], changed[8];
  tw_prg_words(&seed, 5, 6, 0, 8, base);
  tw_prg_words(&other, 5, 6, 0, 8, changed);
  CU_ASSERT_NOT_EQUAL(memcmp(base, changed, sizeof base), 0);
  for (int bit = 0; bit < 96; bit++) {
    uint32_t use = bit < 32 ? 5 ^ (uint32_t)1 << bit : 5;
    uint64_t slot = bit < 32 ? 6 : 6 ^ (uint64_t)1 << (bit - 32);
    tw_prg_words(&seed, use, slot, 0, 8, changed);
    CU_ASSERT_NOT_EQUAL(memcmp(base, changed, sizeof base), 0);
  }
}

// The child draws `n` words of `ring_bits` bits at `first`; true if it was stopped by SIGABRT.
static int aborts(int ring_bits, uint64_t first, size_t n) {
  pid_t child = fork();
  if (child == 0) {
    static uint64_t out[1024];
    tw_seed seed = counting_key();
    tw_no_core_dumps();
    tw_prg_ring(&seed, 1, 1, ring_bits, first, n, out);
    _exit(0);
  }
  int status = 0;
  CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// The last block may be drawn; beyond it the counter would start again and repeat the pad.
static void end_of_stream(void) {
  const uint64_t blocks = (uint64_t)1 << 32;
  CU_ASSERT_FALSE(aborts(64, 8 * blocks - 8, 8));
  CU_ASSERT_TRUE(aborts(64, 8 * blocks - 8, 9));
  CU_ASSERT_TRUE(aborts(64, 8 * blocks + 1, 1));
  CU_ASSERT_TRUE(aborts(64, UINT64_MAX, 2));
  CU_ASSERT_FALSE(aborts(64, 8 * blocks - 1024, 1024));
  CU_ASSERT_TRUE(aborts(64, 8 * blocks - 512, 513));  // the end falls between two pieces
  CU_ASSERT_FALSE(aborts(32, 16 * blocks - 3, 3));
  CU_ASSERT_TRUE(aborts(32, 16 * blocks - 3, 4));
}

static void test_seeds(void) {
  static const struct {
    uint64_t number;
    const char *step;
    uint64_t index;
  } cases[] = {{1, "party", 0}, {1, "party", 1}, {2, "party", 0}, {1, "ran", 0}, {1, "party ", 0}, {1, "", 0}};
  enum { COUNT = sizeof cases / sizeof cases[0] };
  tw_seed seeds[COUNT], again;
  for (size_t i = 0; i < COUNT; i++) {
    tw_seed_test(&seeds[i], cases[i].number, cases[i].step, cases[i].index);
    tw_seed_test(&again, cases[i].number, cases[i].step, cases[i].index);
    CU_ASSERT_EQUAL(memcmp(&again, &seeds[i], sizeof again), 0);
    for (size_t j = 0; j < i; j++) CU_ASSERT_NOT_EQUAL(memcmp(&seeds[j], &seeds[i], sizeof again), 0);
  }
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("prg", NULL, NULL);
  CU_ADD_TEST(suite, rfc8439_examples);
  CU_ADD_TEST(suite, rfc8439_appendix);
  CU_ADD_TEST(suite, ring_words);
  CU_ADD_TEST(suite, random_access);
  CU_ADD_TEST(suite, streams_differ);
  CU_ADD_TEST(suite, end_of_stream);
  CU_ADD_TEST(suite, test_seeds);
  return suite_end();
}
