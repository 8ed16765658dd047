// Sealed files that are damaged, cut, mixed, from somebody else or for somebody else: refused, and nothing is written.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/sealed_file.h"

enum { CHUNK = TW_SEAL_CHUNK };

static bool refused(tw_status status) { return status == TW_ERR_IDENTITY || status == TW_ERR_FORMAT; }

// `data` as a sealed file: refused, no file `out`, not even a part of one.
static tw_status unseal_bytes(const uint8_t *data, size_t bytes) {
  unlink(in_folder("changed"));  // a file that is cut to nothing and written anew waits for the disk
  dump(in_folder("changed"), data, bytes);
  tw_status status = unseal("changed", "out");
  if (status != TW_OK) CU_ASSERT_TRUE(no_trace(in_folder("out")));
  return status;
}

static void test_every_bit(void) {
  size_t n = 203, bytes, whose = 0;
  uint8_t *plain = random_file("small", n), *file = sealed_file("small", "small.sealed", &bytes);
  for (size_t bit = 0; bit < 8 * bytes; bit++) {
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
    tw_status status = unseal_bytes(file, bytes);
    CU_ASSERT_TRUE(refused(status));
    if (bit / 8 >= TW_SEAL_HEADER) CU_ASSERT_EQUAL(status, TW_ERR_FORMAT);
    whose += status == TW_ERR_IDENTITY;
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  CU_ASSERT_TRUE(whose > 0);
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_OK);
  CU_ASSERT_TRUE(is_file("out", plain, n));
  unlink(in_folder("out"));
  free(plain);
  free(file);
}

static void test_every_length(void) {
  size_t bytes;
  uint8_t *plain = random_file("length", 203), *file = sealed_file("length", "length.sealed", &bytes);
  for (size_t cut = 0; cut < bytes; cut++) CU_ASSERT_EQUAL(unseal_bytes(file, cut), TW_ERR_FORMAT);
  uint8_t *longer = calloc(1, bytes + 20);
  memcpy(longer, file, bytes);
  for (size_t more = 1; more <= 20; more++) CU_ASSERT_EQUAL(unseal_bytes(longer, bytes + more), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("copy it again"));
  free(longer);
  free(plain);
  free(file);
}

static void swap(uint8_t *a, uint8_t *b, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    uint8_t t = a[i];
    a[i] = b[i];
    b[i] = t;
  }
}

// Three whole chunks: a byte of each changed, two exchanged with and without their tags, one of another file.
static void test_chunks(void) {
  size_t n = 3 * CHUNK, bytes, head = TW_SEAL_HEADER + 3 * TW_SEAL_TAG;
  uint8_t *plain = random_file("three", n), *file = sealed_file("three", "three.sealed", &bytes),
          *other = sealed_file("three", "other.sealed", &bytes);
  char wanted[64];
  for (size_t i = 0; i < 3; i++) {
    size_t at = head + i * CHUNK + randombytes_uniform(CHUNK);
    file[at] ^= 1;
    CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
    snprintf(wanted, sizeof wanted, "chunk %zu of 3 is damaged", i);
    CU_ASSERT_TRUE(message_has(wanted));
    file[at] ^= 1;
  }
  swap(file + head, file + head + CHUNK, CHUNK);
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
  swap(file + TW_SEAL_HEADER, file + TW_SEAL_HEADER + TW_SEAL_TAG, TW_SEAL_TAG);
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("list of tags is damaged"));
  swap(file + TW_SEAL_HEADER, file + TW_SEAL_HEADER + TW_SEAL_TAG, TW_SEAL_TAG);
  swap(file + head, file + head + CHUNK, CHUNK);
  memcpy(file + head + CHUNK, other + head + CHUNK, CHUNK);
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
  memcpy(file + TW_SEAL_HEADER, other + TW_SEAL_HEADER, bytes - TW_SEAL_HEADER);  // the other's under this header
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(unseal_bytes(other, bytes), TW_OK);
  unlink(in_folder("out"));
  free(plain);
  free(file);
  free(other);
}

// A sender who signs all over again what was reordered: the chunks' numbers are their nonces.
static void test_signed_again(void) {
  size_t n = 3 * CHUNK, bytes, head = TW_SEAL_HEADER + 3 * TW_SEAL_TAG;
  uint8_t *plain = random_file("resign", n), *file = sealed_file("resign", "resign.sealed", &bytes);
  swap(file + head, file + head + CHUNK, CHUNK);
  swap(file + TW_SEAL_HEADER, file + TW_SEAL_HEADER + TW_SEAL_TAG, TW_SEAL_TAG);
  crypto_generichash(file + TW_SEAL_TAGS_DIGEST_AT, 32, file + TW_SEAL_HEADER, 3 * TW_SEAL_TAG, NULL, 0);
  CU_ASSERT_EQUAL(tw_site_sign(&dealer, TW_SEAL_CONTEXT, file, TW_SEAL_SIGNATURE_AT, file + TW_SEAL_SIGNATURE_AT),
                  TW_OK);
  CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("chunk 0 of 3 is damaged"));
  for (size_t at = 24; at < TW_SEAL_ABOUT_AT; at++) {  // the header is under every tag
    if (at >= 48 && at < 112) continue;                // pins refuse before
    file[at] ^= 1;
    tw_site_sign(&dealer, TW_SEAL_CONTEXT, file, TW_SEAL_SIGNATURE_AT, file + TW_SEAL_SIGNATURE_AT);
    CU_ASSERT_EQUAL(unseal_bytes(file, bytes), TW_ERR_FORMAT);
    file[at] ^= 1;
  }
  free(plain);
  free(file);
}

static tw_status open_by(const char *name, const tw_site *site, const tw_peer *from) {
  tw_sealed *sealed;
  tw_status status = tw_sealed_open(in_folder(name), site, from, &sealed);
  tw_sealed_close(sealed);
  return status;
}

static void test_whose(void) {
  size_t bytes;
  uint8_t *plain = random_file("whose", 1000), *file = sealed_file("whose", "whose.sealed", &bytes);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[0], &dealer.self), TW_OK);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[1], &dealer.self), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("sealed to another site"));
  CU_ASSERT_EQUAL(open_by("whose.sealed", &dealer, &dealer.self), TW_ERR_IDENTITY);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[0], &client.self), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("names another sender"));
  memcpy(file + 48, client.self.pin, 32);  // the client's name over the dealer's signature
  dump(in_folder("whose.sealed"), file, bytes);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[0], &client.self), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("signature"));
  tw_site_sign(&client, TW_SEAL_CONTEXT, file, TW_SEAL_SIGNATURE_AT, file + TW_SEAL_SIGNATURE_AT);  // and its own
  dump(in_folder("whose.sealed"), file, bytes);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[0], &client.self), TW_ERR_FORMAT);
  memcpy(file + 48, dealer.self.pin, 32);
  memcpy(file + 80, party[1].self.pin, 32);  // to another one
  tw_site_sign(&dealer, TW_SEAL_CONTEXT, file, TW_SEAL_SIGNATURE_AT, file + TW_SEAL_SIGNATURE_AT);
  dump(in_folder("whose.sealed"), file, bytes);
  CU_ASSERT_EQUAL(open_by("whose.sealed", &party[1], &dealer.self), TW_ERR_FORMAT);
  free(plain);
  free(file);
}

// Certificates that are not valid now seal nothing and are opened from nobody.
static void test_time(void) {
  tw_site past, future;
  CU_ASSERT_TRUE_FATAL(make_site("past", TW_SITE_DEALER, -600, -300, &past));
  CU_ASSERT_TRUE_FATAL(make_site("future", TW_SITE_PARTY_0, 300, 600, &future));
  free(random_file("late", 100));
  CU_ASSERT_EQUAL(tw_seal_file(in_folder("late"), &past, &party[0].self, in_folder("late.sealed")), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("valid until"));
  CU_ASSERT_EQUAL(tw_seal_file(in_folder("late"), &dealer, &future.self, in_folder("late.sealed")), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("valid from"));
  CU_ASSERT_TRUE(no_trace(in_folder("late.sealed")));
  size_t bytes;
  free(sealed_file("late", "late.sealed", &bytes));
  tw_peer expired = dealer.self;
  expired.not_after = expired.not_before + 1;
  CU_ASSERT_EQUAL(open_by("late.sealed", &party[0], &expired), TW_ERR_IDENTITY);
  tw_site_free(&past);
  tw_site_free(&future);
}

static void test_roles(void) {
  static const struct {
    const char *format, *role;
    tw_site_role from, to;
  } sound[] = {{"twain-keys", "keys-0", TW_SITE_DEALER, TW_SITE_PARTY_0},
               {"twain-keys", "keys-1", TW_SITE_DEALER, TW_SITE_PARTY_1},
               {"twain-model-share", "model-share-1", TW_SITE_OWNER, TW_SITE_PARTY_1},
               {"twain-model-dealer", "model-dealer", TW_SITE_OWNER, TW_SITE_DEALER},
               {"twain-input-share", "input-share-0", TW_SITE_CLIENT, TW_SITE_PARTY_0},
               {"twain-result-share", "result-share-1", TW_SITE_PARTY_1, TW_SITE_CLIENT}};
  for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
    for (int from = 0; from < TW_SITE_ROLES; from++)
      for (int to = 0; to < TW_SITE_ROLES; to++) {
        tw_seal_about about = {.format = ""};
        snprintf(about.format, sizeof about.format, "%s", sound[i].format);
        snprintf(about.role, sizeof about.role, "%s", sound[i].role);
        bool right = from == (int)sound[i].from && to == (int)sound[i].to;
        CU_ASSERT_EQUAL(tw_seal_check_roles("x", &about, (tw_site_role)from, (tw_site_role)to),
                        right ? TW_OK : TW_ERR_IDENTITY);
      }
  CU_ASSERT_EQUAL(tw_seal_check_roles("x", &(tw_seal_about){.format = "twain-model", .role = "model"}, TW_SITE_OWNER,
                                      TW_SITE_PARTY_0),
                  TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("handed to nobody"));
}

int main(void) {
  static const suite_test tests[] = {{"every bit", test_every_bit}, {"every length", test_every_length},
                                     {"chunks", test_chunks},       {"signed again", test_signed_again},
                                     {"whose", test_whose},         {"time", test_time},
                                     {"roles", test_roles}};
  return suite_of_sites("sealed files that are refused", tests, sizeof tests / sizeof *tests);
}
