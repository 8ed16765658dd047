// Packing against a bit-by-bit reference, for every ring and many lengths. Buffers have exactly the bytes the
// functions may touch, so that sanitizers and valgrind see any access beyond.
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pack.h"
#include "tests/common/suite.h"

static void *exact(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) abort();
  randombytes_buf(p, bytes);
  return p;
}

static void reference_pack(const uint64_t *in, size_t n, int ring_bits, uint8_t *out) {
  memset(out, 0, tw_packed_bytes(n, ring_bits));
  for (size_t j = 0; j < n; j++)
    for (size_t i = 0; i < (size_t)ring_bits; i++) {
      size_t bit = j * (size_t)ring_bits + i;
      out[bit / 8] = (uint8_t)(out[bit / 8] | (in[j] >> i & 1) << (bit % 8));
    }
}

static void check_length(size_t n, int ring_bits) {
  size_t bytes = tw_packed_bytes(n, ring_bits), wrong = 0;
  CU_ASSERT_EQUAL(bytes, (n * (size_t)ring_bits + 7) / 8);
  uint64_t *in = exact(8 * n), *out = exact(8 * n), *sum = exact(8 * n), *before = exact(8 * n);
  uint8_t *want = exact(bytes), *got = exact(bytes);
  if (n) memcpy(before, sum, 8 * n);
  reference_pack(in, n, ring_bits, want);
  tw_pack(in, n, ring_bits, got);
  CU_ASSERT_EQUAL(memcmp(got, want, bytes), 0);
  tw_unpack(got, n, ring_bits, out);
  tw_unpack_add(got, n, ring_bits, sum);
  for (size_t j = 0; j < n; j++) {
    wrong += out[j] != (in[j] & tw_mask(ring_bits));
    wrong += sum[j] != ((before[j] + in[j]) & tw_mask(ring_bits));
  }
  CU_ASSERT_EQUAL(wrong, 0);
  free(in), free(out), free(sum), free(before), free(want), free(got);
}

static void every_ring(void) {
  for (int bits = 1; bits <= 64; bits++) {
    for (size_t n = 0; n <= 40; n++) check_length(n, bits);
    for (int round = 0; round < 10; round++) check_length(randombytes_uniform(201), bits);
    check_length(1000 + randombytes_uniform(1000), bits);
  }
}

// Last byte: junk beyond the last element does not come back, and packing writes zeros there.
static void unused_bits(void) {
  for (int bits = 1; bits < 64; bits++) {
    size_t n = 1 + randombytes_uniform(200), bytes = tw_packed_bytes(n, bits), used = n * (size_t)bits % 8;
    if (used == 0) continue;
    uint64_t *in = exact(8 * n), *out = exact(8 * n);
    uint8_t *packed = exact(bytes);
    tw_pack(in, n, bits, packed);
    CU_ASSERT_EQUAL(packed[bytes - 1] >> used, 0);
    packed[bytes - 1] = (uint8_t)(packed[bytes - 1] | 0xffu << used);
    tw_unpack(packed, n, bits, out);
    CU_ASSERT_EQUAL(out[n - 1], in[n - 1] & tw_mask(bits));
    free(in), free(out), free(packed);
  }
}

// Written down by hand, so that reference and function cannot share a misunderstanding of the layout.
static void written_out(void) {
  static const uint64_t rings12[] = {0xabc, 0xffff123, 0x456};
  static const uint8_t want12[] = {0xbc, 0x3a, 0x12, 0x56, 0x04};
  uint8_t got[5];
  CU_ASSERT_EQUAL(tw_packed_bytes(3, 12), 5);
  tw_pack(rings12, 3, 12, got);
  CU_ASSERT_EQUAL(memcmp(got, want12, 5), 0);
  static const uint64_t bits[] = {1, 0, 1, 1, 0, 0, 0, 1, 1};
  tw_pack(bits, 9, 1, got);
  CU_ASSERT_EQUAL(got[0], 0x8d);
  CU_ASSERT_EQUAL(got[1], 0x01);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("pack", NULL, NULL);
  CU_ADD_TEST(suite, every_ring);
  CU_ADD_TEST(suite, unused_bits);
  CU_ADD_TEST(suite, written_out);
  return suite_end();
}
