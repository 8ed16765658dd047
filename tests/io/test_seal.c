// Sealed files: what was sealed comes out again, in any order of writing, and as another library reads the format.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/keys.h"
#include "tests/io/sealed_file.h"

enum { CHUNK = TW_SEAL_CHUNK };

// ---- round trips

static void test_sizes(void) {
  static const size_t sizes[] = {1, 15, 16, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t bytes, n = sizes[i];
    struct stat info;
    uint8_t *plain = random_file("plain", n), *sealed = sealed_file("plain", "sealed", &bytes);
    CU_ASSERT_EQUAL(bytes, tw_sealed_bytes(n));
    CU_ASSERT_EQUAL(bytes, 384 + 16 * ((n + CHUNK - 1) / CHUNK) + n);
    CU_ASSERT_TRUE(tw_is_sealed(in_folder("sealed")));
    CU_ASSERT_FALSE(tw_is_sealed(in_folder("plain")));
    if (n >= 16) CU_ASSERT_PTR_NULL(memmem(sealed, bytes, plain, 16));
    CU_ASSERT_EQUAL(unseal("sealed", "back"), TW_OK);
    CU_ASSERT_TRUE(is_file("back", plain, n));
    CU_ASSERT_EQUAL(stat(in_folder("back"), &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(unseal("sealed", "back"), TW_ERR_IO);  // never over a file that is there
    free(plain);
    free(sealed);
    unlink(in_folder("sealed"));
    unlink(in_folder("back"));
  }
  dump(in_folder("empty"), (const uint8_t *)"", 0);
  CU_ASSERT_EQUAL(tw_seal_file(in_folder("empty"), &dealer, &party[0].self, in_folder("sealed")), TW_ERR_RANGE);
  CU_ASSERT_TRUE(no_trace(in_folder("sealed")));
}

// Two seals of one file have nothing in common but what they say in clear.
static void test_fresh(void) {
  size_t n = 4000, bytes;
  uint8_t *plain = random_file("twice", n), *one = sealed_file("twice", "one", &bytes),
          *two = sealed_file("twice", "two", &bytes);
  CU_ASSERT_NOT_EQUAL(memcmp(one + 32, two + 32, 16), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(one + 112, two + 112, 32), 0);
  size_t same = 0;
  for (size_t i = TW_SEAL_ABOUT_AT; i < bytes; i++) same += one[i] == two[i];
  CU_ASSERT_TRUE(same < bytes / 64);
  free(plain);
  free(one);
  free(two);
}

typedef struct {
  size_t offset, bytes;
} part;

static void shuffle(part *parts, size_t count) {
  for (size_t i = count; i > 1; i--) {
    size_t j = randombytes_uniform((uint32_t)i);
    part t = parts[i - 1];
    parts[i - 1] = parts[j];
    parts[j] = t;
  }
}

// As writers of HDF5 files do it: parts of any size, in any order; a gap is zeros.
static void test_parts(void) {
  static const tw_seal_about none = {.format = ""};
  enum { PARTS = 60 };
  size_t n = 4 * CHUNK + 12345, at = 0, count = 0;
  uint8_t *plain = malloc(n);
  part parts[PARTS];
  tw_output out;
  randombytes_buf(plain, n);
  for (; count < PARTS && at < n; count++) {
    size_t bytes = randombytes_uniform(4) ? randombytes_uniform(100000) : randombytes_uniform(2 * CHUNK);
    if (count == PARTS - 1 || bytes > n - at) bytes = n - at;
    parts[count] = (part){at, bytes};
    at += bytes;
  }
  part gap = parts[count / 2];
  shuffle(parts, count);
  CU_ASSERT_EQUAL_FATAL(tw_seal_path(in_folder("parts"), &dealer, &party[0].self, &none), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_output_begin(&out, in_folder("parts"), n), TW_OK);
  for (size_t i = 0; i < count; i++)
    if (parts[i].offset != gap.offset || parts[i].bytes != gap.bytes)
      CU_ASSERT_EQUAL(tw_output_write(&out, "part", plain + parts[i].offset, parts[i].bytes, parts[i].offset), TW_OK);
  CU_ASSERT_EQUAL(tw_output_commit(&out), TW_OK);
  tw_seal_paths_forget();
  memset(plain + gap.offset, 0, gap.bytes);
  CU_ASSERT_EQUAL(unseal("parts", "parts.back"), TW_OK);
  CU_ASSERT_TRUE(is_file("parts.back", plain, n));
  free(plain);
}

static void test_written_twice(void) {
  static const tw_seal_about none = {.format = ""};
  static const uint8_t data[100];
  tw_output out;
  CU_ASSERT_EQUAL_FATAL(tw_seal_path(in_folder("again"), &dealer, &party[0].self, &none), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_output_begin(&out, in_folder("again"), 120), TW_OK);
  CU_ASSERT_EQUAL(tw_output_write(&out, "x", data, 100, 0), TW_OK);
  CU_ASSERT_EQUAL(tw_output_write(&out, "x", data, 100, 20), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_output_write(&out, "x", data, 100, 21), TW_ERR_INTERNAL);
  tw_output_abort(&out);
  CU_ASSERT_TRUE(no_trace(in_folder("again")));
  CU_ASSERT_EQUAL(tw_output_claim(&out, in_folder("again"), 120, false), TW_ERR_INTERNAL);
  tw_seal_paths_forget();
}

// ---- the format, read by libsodium from the table in docs/formats.md

static void hkdf(const uint8_t shared[32], const uint8_t *info, size_t bytes, uint8_t key[32]) {
  static const uint8_t zeros[32], one = 1;
  uint8_t middle[32];
  crypto_auth_hmacsha256(middle, shared, 32, zeros);
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, middle, sizeof middle);
  crypto_auth_hmacsha256_update(&state, info, bytes);
  crypto_auth_hmacsha256_update(&state, &one, 1);
  crypto_auth_hmacsha256_final(&state, key);
}

static bool sodium_opens(const uint8_t *file, uint64_t number, const uint8_t *cipher, size_t bytes, const uint8_t *tag,
                         uint8_t *plain) {
  uint8_t secret[32], shared[32], key[32], nonce[12] = {0}, info[20 + 32 + 144] = "twain sealed file 1";
  size_t length = sizeof secret;
  CU_ASSERT_EQUAL(EVP_PKEY_get_raw_private_key(party[0].sealing, secret, &length), 1);
  CU_ASSERT_EQUAL(crypto_scalarmult(shared, secret, file + 112), 0);
  memcpy(info + 20, party[0].self.sealing_key, 32);
  memcpy(info + 52, file, 144);
  hkdf(shared, info, sizeof info, key);
  memcpy(nonce, &number, 8);
  return crypto_aead_aes256gcm_decrypt_detached(plain, NULL, cipher, bytes, tag, file, 144, nonce, key) == 0;
}

static bool sodium_signed(const uint8_t *file) {
  uint8_t key[32], message[20 + 320] = "twain sealed file 1";
  size_t length = sizeof key;
  memcpy(message + 20, file, 320);
  return EVP_PKEY_get_raw_public_key(dealer.signing, key, &length) == 1 &&
         crypto_sign_verify_detached(file + 320, message, sizeof message, key) == 0;
}

static void test_against_sodium(void) {
  if (!crypto_aead_aes256gcm_is_available()) {
    puts("libsodium has no AES-256-GCM on this processor");
    return;
  }
  size_t n = CHUNK + 99, bytes;
  uint8_t *plain = random_file("other", n), *file = sealed_file("other", "other.sealed", &bytes), digest[32];
  uint8_t *block = malloc(CHUNK), about[128];
  CU_ASSERT_EQUAL(memcmp(file, "twsealed", 8), 0);
  CU_ASSERT_EQUAL(memcmp(file + 48, dealer.self.pin, 32), 0);
  CU_ASSERT_EQUAL(memcmp(file + 80, party[0].self.pin, 32), 0);
  CU_ASSERT_TRUE(sodium_signed(file));
  crypto_generichash(digest, 32, file + 384, 32, NULL, 0);
  CU_ASSERT_EQUAL(memcmp(digest, file + 288, 32), 0);
  CU_ASSERT_TRUE(sodium_opens(file, UINT64_MAX, file + 144, 128, file + 272, about));
  CU_ASSERT_TRUE(sodium_is_zero(about, sizeof about));
  CU_ASSERT_TRUE(sodium_opens(file, 0, file + 416, CHUNK, file + 384, block));
  CU_ASSERT_EQUAL(memcmp(block, plain, CHUNK), 0);
  CU_ASSERT_TRUE(sodium_opens(file, 1, file + 416 + CHUNK, 99, file + 400, block));
  CU_ASSERT_EQUAL(memcmp(block, plain + CHUNK, 99), 0);
  free(block);
  free(plain);
  free(file);
}

int main(void) {
  static const suite_test tests[] = {{"sizes", test_sizes},
                                     {"fresh keys", test_fresh},
                                     {"parts in any order", test_parts},
                                     {"a byte written twice", test_written_twice},
                                     {"against libsodium", test_against_sodium}};
  return suite_of_sites("sealed files", tests, sizeof tests / sizeof *tests);
}
