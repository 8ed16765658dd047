// Sites: what is made is read again; another role, key, signature or time, and any changed bit, is refused.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/site.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static const int64_t day = 86400;

static void make(const char *name, tw_site_role role) {
  int64_t now = (int64_t)time(NULL);
  CU_ASSERT_EQUAL_FATAL(tw_site_create(in_folder(name), role, now - day, now + day), TW_OK);
}

static const char *inside(const char *site, const char *file) {
  char name[128];
  snprintf(name, sizeof name, "%s/%s", site, file);
  return in_folder(name);
}

static unsigned mode_of(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

static void test_made(void) {
  size_t length = 0;
  for (int role = 0; role < TW_SITE_ROLES; role++) {
    char name[32];
    tw_site site;
    tw_peer peer;
    snprintf(name, sizeof name, "made%d", role);
    make(name, (tw_site_role)role);
    CU_ASSERT_EQUAL(mode_of(in_folder(name)), 0700);
    CU_ASSERT_EQUAL(mode_of(inside(name, "site.key")), 0600);
    CU_ASSERT_EQUAL(mode_of(inside(name, "seal.key")), 0600);
    CU_ASSERT_EQUAL(tw_site_load(in_folder(name), &site), TW_OK);
    CU_ASSERT_EQUAL(tw_peer_load(inside(name, "site.pem"), &peer), TW_OK);
    CU_ASSERT_EQUAL((int)peer.role, role);
    CU_ASSERT_EQUAL(tw_peer_check_same(&site.self, &peer), TW_OK);
    CU_ASSERT_EQUAL(memcmp(site.self.sealing_key, peer.sealing_key, 32), 0);
    CU_ASSERT_EQUAL(memcmp(site.self.fingerprint, peer.fingerprint, 32), 0);
    char text[TW_FINGERPRINT_TEXT];
    tw_site_digits(peer.fingerprint, TW_FINGERPRINT_SHOWN, text, sizeof text);
    CU_ASSERT_EQUAL(strlen(text), TW_FINGERPRINT_TEXT - 1);
    int bytes = i2d_X509(peer.certificate, NULL);
    if (role == TW_SITE_PARTY_0) length = (size_t)bytes;
    if (role == TW_SITE_PARTY_1) CU_ASSERT_EQUAL((size_t)bytes, length);
    tw_peer_free(&peer);
    tw_site_free(&site);
    CU_ASSERT_EQUAL(tw_site_create(in_folder(name), TW_SITE_CLIENT, 0, 1), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("never made anew"));
    rename(inside(name, "site.pem"), in_folder("kept.pem"));  // as a command that was killed leaves it
    CU_ASSERT_EQUAL(tw_site_create(in_folder(name), TW_SITE_CLIENT, 0, 1), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("without site.pem") && message_has("remove the folder"));
    rename(in_folder("kept.pem"), inside(name, "site.pem"));
  }
}

// OpenSSL's own reader finds the same private keys in the files, and its own sums the same pin.
static void test_against_openssl(void) {
  tw_site site;
  make("plain", TW_SITE_DEALER);
  CU_ASSERT_EQUAL_FATAL(tw_site_load(in_folder("plain"), &site), TW_OK);
  for (int i = 0; i < 2; i++) {
    FILE *file = fopen(inside("plain", i ? "seal.key" : "site.key"), "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    CU_ASSERT_EQUAL(EVP_PKEY_eq(key, i ? site.sealing : site.signing), 1);
    EVP_PKEY_free(key);
    fclose(file);
  }
  char command[512], text[128], pin[65];
  snprintf(command, sizeof command, "openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform der | sha256sum",
           inside("plain", "site.pem"));
  FILE *said = popen(command, "r");
  CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, said));
  pclose(said);
  sodium_bin2hex(pin, sizeof pin, site.self.pin, TW_PIN_BYTES);
  CU_ASSERT_NSTRING_EQUAL(text, pin, 64);
  tw_site_free(&site);
}

static void test_signature(void) {
  tw_site a, b;
  uint8_t signature[TW_SITE_SIGNATURE_BYTES], message[100];
  make("a", TW_SITE_PARTY_0);
  make("b", TW_SITE_PARTY_0);
  CU_ASSERT_EQUAL_FATAL(tw_site_load(in_folder("a"), &a), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_site_load(in_folder("b"), &b), TW_OK);
  randombytes_buf(message, sizeof message);
  CU_ASSERT_EQUAL(tw_site_sign(&a, "one", message, sizeof message, signature), TW_OK);
  CU_ASSERT_EQUAL(tw_peer_check_signature(&a.self, "one", message, sizeof message, signature), TW_OK);
  CU_ASSERT_EQUAL(tw_peer_check_signature(&b.self, "one", message, sizeof message, signature), TW_ERR_IDENTITY);
  CU_ASSERT_EQUAL(tw_peer_check_signature(&a.self, "two", message, sizeof message, signature), TW_ERR_IDENTITY);
  CU_ASSERT_EQUAL(tw_peer_check_signature(&a.self, "one", message, sizeof message - 1, signature), TW_ERR_IDENTITY);
  for (int bit = 0; bit < 8 * TW_SITE_SIGNATURE_BYTES; bit++) {
    signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    CU_ASSERT_EQUAL(tw_peer_check_signature(&a.self, "one", message, sizeof message, signature), TW_ERR_IDENTITY);
    signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  CU_ASSERT_EQUAL(tw_peer_check_same(&a.self, &b.self), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("another key"));
  tw_site_free(&a);
  tw_site_free(&b);
}

// Each bit of both PEM blocks. A changed digit may fall into the certificate, the key or a signature.
static void test_every_bit(void) {
  size_t bytes, accepted = 0;
  tw_peer sound;
  make("bits", TW_SITE_PARTY_1);
  uint8_t *text = slurp(inside("bits", "site.pem"), &bytes);
  CU_ASSERT_EQUAL_FATAL(tw_peer_parse("sound", text, bytes, &sound), TW_OK);
  for (size_t bit = 0; bit < 8 * bytes; bit++) {
    tw_peer peer;
    text[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (tw_peer_parse("bits", text, bytes, &peer) == TW_OK) {
      // white space that became other white space says the same
      CU_ASSERT_EQUAL(memcmp(peer.fingerprint, sound.fingerprint, 32), 0);
      accepted++;
    }
    tw_peer_free(&peer);
    text[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  CU_ASSERT_TRUE(accepted < bytes / 20);
  for (size_t cut = 0; cut + 2 < bytes; cut++) {
    tw_peer peer;
    CU_ASSERT_NOT_EQUAL(tw_peer_parse("cut", text, cut, &peer), TW_OK);
    tw_peer_free(&peer);
  }
  tw_peer_free(&sound);
  free(text);
}

// Whole files joined from sound parts of two: a block too many, another site's sealing key, the blocks exchanged.
static void test_mixed(void) {
  make("left", TW_SITE_PARTY_0);
  make("right", TW_SITE_PARTY_0);
  size_t n[2];
  char *text[2] = {(char *)slurp(inside("left", "site.pem"), &n[0]), (char *)slurp(inside("right", "site.pem"), &n[1])};
  size_t head[2];
  for (int i = 0; i < 2; i++) {
    text[i] = realloc(text[i], n[i] + 1);
    text[i][n[i]] = '\0';
    head[i] = (size_t)(strstr(text[i], "-----BEGIN TWAIN") - text[i]);
  }
  char mixed[8192];
  tw_peer peer;
  snprintf(mixed, sizeof mixed, "%.*s%s", (int)head[0], text[0], text[1] + head[1]);
  CU_ASSERT_EQUAL(tw_peer_parse("mixed", mixed, strlen(mixed), &peer), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("not signed by the key of its certificate"));
  tw_peer_free(&peer);
  snprintf(mixed, sizeof mixed, "%s%s", text[0], text[1]);
  CU_ASSERT_EQUAL(tw_peer_parse("mixed", mixed, strlen(mixed), &peer), TW_ERR_FORMAT);
  tw_peer_free(&peer);
  snprintf(mixed, sizeof mixed, "%s%.*s", text[0] + head[0], (int)head[0], text[0]);
  CU_ASSERT_EQUAL(tw_peer_parse("mixed", mixed, strlen(mixed), &peer), TW_ERR_FORMAT);
  tw_peer_free(&peer);
  snprintf(mixed, sizeof mixed, "Dear colleague,\r\n\r\n%s\r\nyours\r\n", text[0]);
  CU_ASSERT_EQUAL(tw_peer_parse("mail", mixed, strlen(mixed), &peer), TW_OK);
  tw_peer_free(&peer);
  free(text[0]);
  free(text[1]);
}

static void test_time(void) {
  tw_peer peer = {.file = "x", .role = TW_SITE_DEALER, .not_before = 1000, .not_after = 2000};
  CU_ASSERT_EQUAL(tw_peer_check_time(&peer, 1000), TW_OK);
  CU_ASSERT_EQUAL(tw_peer_check_time(&peer, 2000), TW_OK);
  CU_ASSERT_EQUAL(tw_peer_check_time(&peer, 999), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("valid from 1970-01-01 00:16"));
  CU_ASSERT_EQUAL(tw_peer_check_time(&peer, 2001), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("valid until 1970-01-01 00:33"));
  int64_t then = 4102444800;  // 2100: times of another length in the certificate
  tw_peer later;
  CU_ASSERT_EQUAL(tw_site_create(in_folder("later"), TW_SITE_CLIENT, then, then + 60), TW_OK);
  CU_ASSERT_EQUAL(tw_peer_load(inside("later", "site.pem"), &later), TW_OK);
  CU_ASSERT_EQUAL(later.not_before, then);
  CU_ASSERT_EQUAL(later.not_after, then + 60);
  tw_peer_free(&later);
}

static void test_keys_refused(void) {
  tw_site site;
  make("keys", TW_SITE_CLIENT);
  make("others", TW_SITE_CLIENT);
  chmod(inside("keys", "site.key"), 0640);
  CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("0640") && message_has("chmod 600"));
  tw_site_free(&site);
  chmod(inside("keys", "site.key"), 0600);
  for (int i = 0; i < 2; i++) {  // whom it trusts, its own file and another's
    tw_peer peer;
    chmod(inside("keys", "site.pem"), i ? 0664 : 0646);
    CU_ASSERT_EQUAL(tw_peer_load(inside("keys", "site.pem"), &peer), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("choose whom this site trusts") && message_has("chmod go-w"));
    tw_peer_free(&peer);
    CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_IO);
    tw_site_free(&site);
  }
  chmod(inside("keys", "site.pem"), 0644);
  chmod(in_folder("keys"), 0770);
  CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_IO);
  tw_site_free(&site);
  chmod(in_folder("keys"), 0700);
  CU_ASSERT_EQUAL(rename(inside("others", "seal.key"), inside("keys", "seal.key")), 0);
  CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_MISMATCH);
  CU_ASSERT_TRUE(message_has("seal.key is not"));
  tw_site_free(&site);
  CU_ASSERT_EQUAL(rename(inside("others", "site.key"), inside("keys", "site.key")), 0);
  CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_MISMATCH);
  tw_site_free(&site);
  CU_ASSERT_EQUAL(rename(inside("keys", "site.key"), inside("keys", "seal.key")), 0);
  CU_ASSERT_EQUAL(symlink("seal.key", inside("keys", "site.key")), 0);
  CU_ASSERT_EQUAL(tw_site_load(in_folder("keys"), &site), TW_ERR_IO);  // no link in the place of a key
  tw_site_free(&site);
}

// A certificate over a line: role by its URI alone. Made by OpenSSL's configuration, not by base/site_create.c.
static X509 *certificate(const char *san, EVP_PKEY *key) {
  X509 *c = X509_new();
  X509_set_version(c, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), 0);
  X509_gmtime_adj(X509_getm_notAfter(c), 60);
  X509_set_pubkey(c, key);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
  X509_add_ext(c, e, -1);
  X509_EXTENSION_free(e);
  X509_sign(c, key, EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256());
  return c;
}

static void test_roles(void) {
  static const struct {
    const char *san;
    int role;
  } cases[] = {{"URI:twain:party:0", TW_SITE_PARTY_0},
               {"URI:twain:party:1", TW_SITE_PARTY_1},
               {"URI:twain:owner", TW_SITE_OWNER},
               {"URI:twain:party:2", -1},
               {"URI:twain:party:0,URI:twain:party:1", -1},
               {"URI:twain:party:0,DNS:example.org", -1},
               {"DNS:twain.party.0", -1},
               {"email:twain@party", -1}};
  EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  tw_peer peer;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    X509 *c = certificate(cases[i].san, key);
    tw_status status = tw_peer_of_certificate(c, &peer);
    CU_ASSERT_EQUAL(status, cases[i].role < 0 ? TW_ERR_IDENTITY : TW_OK);
    if (status == TW_OK) CU_ASSERT_EQUAL((int)peer.role, cases[i].role);
    tw_peer_free(&peer);
    X509_free(c);
  }
  X509 *c = certificate("URI:twain:dealer", other);
  CU_ASSERT_EQUAL(tw_peer_of_certificate(c, &peer), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("not Ed25519"));
  tw_peer_free(&peer);
  X509_free(c);
  tw_peer a = {.file = "a", .role = TW_SITE_PARTY_0}, b = {.file = "", .role = TW_SITE_PARTY_1};
  CU_ASSERT_EQUAL(tw_peer_check_same(&a, &b), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("says that it is party 1, not party 0"));
  EVP_PKEY_free(key);
  EVP_PKEY_free(other);
}

int main(void) {
  static const suite_test tests[] = {{"made", test_made},
                                     {"against OpenSSL", test_against_openssl},
                                     {"signature", test_signature},
                                     {"every bit", test_every_bit},
                                     {"mixed", test_mixed},
                                     {"time", test_time},
                                     {"keys refused", test_keys_refused},
                                     {"roles", test_roles}};
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("site", scratch_open, scratch_close);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    if (!suite || !CU_add_test(suite, tests[i].name, tests[i].test)) return 2;
  return suite_end();
}
