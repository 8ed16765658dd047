// One's own site: the folder and its private keys.
#define _GNU_SOURCE
#include "base/site.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/site_parts.h"

tw_status tw_openssl_fail(tw_status code, const char *what) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  tw_status status =
      tw_fail(code, "%s%s%s%s", what, reason ? " (OpenSSL: " : "", reason ? reason : "", reason ? ")" : "");
  ERR_clear_error();
  return status;
}

// ---- private keys: written and read here, as OpenSSL's own PEM leaves copies in memory that is not locked

enum { RAW = 32, DER_PREFIX = 16, DER = DER_PREFIX + RAW, BASE64 = DER / 3 * 4 };
static const char key_begin[] = "-----BEGIN PRIVATE KEY-----\n", key_end[] = "\n-----END PRIVATE KEY-----\n";
_Static_assert(sizeof key_begin - 1 + BASE64 + sizeof key_end - 1 == TW_KEY_TEXT, "the length of a private key's file");

// OneAsymmetricKey of RFC 8410: version 0, the algorithm 1.3.101.110 (X25519) or .112 (Ed25519), a string in a string.
static void der_prefix(int type, uint8_t out[DER_PREFIX]) {
  static const uint8_t prefix[DER_PREFIX] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                             0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
  memcpy(out, prefix, sizeof prefix);
  if (type == EVP_PKEY_X25519) out[11] = 0x6e;
}

void tw_private_key_text(int type, const uint8_t raw[32], char text[TW_KEY_TEXT + 1]) {
  uint8_t der[DER];
  char digits[BASE64 + 1];
  der_prefix(type, der);
  memcpy(der + DER_PREFIX, raw, RAW);
  sodium_bin2base64(digits, sizeof digits, der, sizeof der, sodium_base64_VARIANT_ORIGINAL);
  snprintf(text, TW_KEY_TEXT + 1, "%s%s%s", key_begin, digits, key_end);
  tw_wipe(der, sizeof der);
  tw_wipe(digits, sizeof digits);
}

static bool parse_key_text(int type, const char *text, uint8_t der[DER]) {
  uint8_t prefix[DER_PREFIX];
  size_t bytes = 0, head = sizeof key_begin - 1;
  const char *end = NULL;
  der_prefix(type, prefix);
  return memcmp(text, key_begin, head) == 0 && memcmp(text + head + BASE64, key_end, sizeof key_end - 1) == 0 &&
         sodium_base642bin(der, DER, text + head, BASE64, NULL, &bytes, &end, sodium_base64_VARIANT_ORIGINAL) == 0 &&
         bytes == DER && end == text + head + BASE64 && memcmp(der, prefix, DER_PREFIX) == 0;
}

// OpenSSL's generator of random numbers has a state for each thread there, too, and a handshake's keys.
tw_status tw_private_keys_room(int threads) {
  enum { HEAP = 1 << 14, A_THREAD = 1 << 11, LEAST = 32 };
  size_t bytes = HEAP;  // a power of two
  if (CRYPTO_secure_malloc_initialized()) return TW_OK;
  while (bytes < HEAP + (size_t)threads * A_THREAD && threads > 1) bytes *= 2;
  int ready = CRYPTO_secure_malloc_init(bytes, LEAST);
  if (ready == 0) return tw_openssl_fail(TW_ERR_MEMORY, "no memory for private keys");
  return tw_seeds_elsewhere(bytes, ready == 1);
}

tw_status tw_private_keys_ready(void) { return tw_private_keys_room(1); }

// The key's file: a regular file of this user, closed to everyone else.
static tw_status open_private(const char *path, int *fd) {
  struct stat info;
  *fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (*fd < 0 || fstat(*fd, &info) != 0)
    return tw_fail(TW_ERR_IO, "%s: cannot open: %s; `twain site init` makes a site with its keys", path,
                   strerror(errno));
  if (!S_ISREG(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is not a regular file", path);
  if (info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "%s: is a private key but belongs to user %u, not to you (%u)", path,
                   (unsigned)info.st_uid, (unsigned)geteuid());
  if ((info.st_mode & 077) != 0)
    return tw_fail(TW_ERR_IO,
                   "%s: is a private key but its mode %04o opens it to group or world; if nobody can have read it, run "
                   "`chmod 600 %s`, else make a new site",
                   path, (unsigned)(info.st_mode & 07777), path);
  return TW_OK;
}

// text and der: locked memory.
static tw_status read_private(const char *path, int type, char *text, uint8_t *der, EVP_PKEY **out) {
  int fd;
  tw_status status = open_private(path, &fd);
  ssize_t got = status == TW_OK ? read(fd, text, TW_KEY_TEXT + 1) : 0;
  int error = errno;
  if (fd >= 0) close(fd);
  TW_TRY(status);
  if (got < 0) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path, strerror(error));
  if (got != TW_KEY_TEXT || !parse_key_text(type, text, der))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: is not %s private key as `twain site init` writes them: damaged, or another file", path,
                   type == EVP_PKEY_X25519 ? "an X25519" : "an Ed25519");
  *out = EVP_PKEY_new_raw_private_key(type, NULL, der + DER_PREFIX, RAW);
  return *out ? TW_OK : tw_openssl_fail(TW_ERR_MEMORY, path);
}

tw_status tw_private_key_load(const char *path, int type, EVP_PKEY **out) {
  enum { ROOM = TW_KEY_TEXT + 1 + DER };
  char *room;
  *out = NULL;
  TW_TRY(tw_private_keys_ready());
  TW_TRY(tw_seed_alloc(ROOM, (void **)&room));
  tw_status status = read_private(path, type, room, (uint8_t *)room + TW_KEY_TEXT + 1, out);
  tw_seed_free(room, ROOM);
  return status;
}

// ---- signatures

enum { CONTEXT_MOST = 64, MESSAGE_MOST = 1 << 16 };

// "context" NUL message, as Ed25519 takes a message whole; free with tw_free.
static tw_status whole_message(const char *context, const void *message, size_t bytes, uint8_t **out, size_t *total) {
  size_t head = strlen(context) + 1;
  if (head > CONTEXT_MOST + 1 || bytes > MESSAGE_MOST)
    return tw_fail(TW_ERR_INTERNAL, "a message of %zu bytes to sign as \"%s\"", bytes, context);
  TW_TRY(tw_alloc(head + bytes, (void **)out));
  memcpy(*out, context, head);
  if (bytes) memcpy(*out + head, message, bytes);
  *total = head + bytes;
  return TW_OK;
}

tw_status tw_ed25519_sign(EVP_PKEY *key, const char *context, const void *message, size_t bytes,
                          uint8_t signature[TW_SITE_SIGNATURE_BYTES]) {
  uint8_t *whole;
  size_t total = 0, length = TW_SITE_SIGNATURE_BYTES;
  TW_TRY(whole_message(context, message, bytes, &whole, &total));
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  bool made = c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(c, signature, &length, whole, total) == 1 && length == TW_SITE_SIGNATURE_BYTES;
  EVP_MD_CTX_free(c);
  tw_free(whole);
  return made ? TW_OK : tw_openssl_fail(TW_ERR_INTERNAL, "cannot sign");
}

tw_status tw_site_sign(const tw_site *site, const char *context, const void *message, size_t bytes,
                       uint8_t signature[TW_SITE_SIGNATURE_BYTES]) {
  return tw_ed25519_sign(site->signing, context, message, bytes, signature);
}

tw_status tw_peer_check_signature(const tw_peer *signer, const char *context, const void *message, size_t bytes,
                                  const uint8_t signature[TW_SITE_SIGNATURE_BYTES]) {
  uint8_t *whole;
  size_t total = 0;
  TW_TRY(whole_message(context, message, bytes, &whole, &total));
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  bool right = c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, X509_get0_pubkey(signer->certificate)) == 1 &&
               EVP_DigestVerify(c, signature, TW_SITE_SIGNATURE_BYTES, whole, total) == 1;
  EVP_MD_CTX_free(c);
  tw_free(whole);
  ERR_clear_error();
  return right ? TW_OK
               : tw_fail(TW_ERR_IDENTITY, "the signature is not that of %s, of %s", tw_site_role_said(signer->role),
                         signer->file);
}

// ---- the folder

static tw_status check_folder(const char *folder) {
  struct stat info;
  if (stat(folder, &info) != 0)
    return tw_fail(TW_ERR_IO, "%s: cannot open the site: %s; `twain site init` makes one", folder, strerror(errno));
  if (!S_ISDIR(info.st_mode))
    return tw_fail(TW_ERR_IO, "%s: is no folder; one's own site is the folder that `twain site init` made", folder);
  if (info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "%s: the site belongs to user %u, not to you (%u)", folder, (unsigned)info.st_uid,
                   (unsigned)geteuid());
  if ((info.st_mode & 022) != 0)
    return tw_fail(TW_ERR_IO, "%s: the site's mode %04o lets group or world write; if nobody did, run `chmod 700 %s`",
                   folder, (unsigned)(info.st_mode & 07777), folder);
  return TW_OK;
}

static tw_status check_keys(const char *folder, const tw_site *site) {
  uint8_t public[TW_SEALING_KEY_BYTES];
  size_t bytes = sizeof public;
  if (EVP_PKEY_eq(site->signing, X509_get0_pubkey(site->self.certificate)) != 1)
    return tw_fail(TW_ERR_MISMATCH, "%s: site.key is not the key of the certificate in site.pem", folder);
  if (EVP_PKEY_get_raw_public_key(site->sealing, public, &bytes) != 1 || bytes != sizeof public ||
      memcmp(public, site->self.sealing_key, sizeof public) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s: seal.key is not the sealing key in site.pem", folder);
  return TW_OK;
}

tw_status tw_site_load(const char *folder, tw_site *out) {
  char path[PATH_MAX];
  *out = (tw_site){.signing = NULL};
  if (strlen(folder) + sizeof "/site.key" > sizeof path) return tw_fail(TW_ERR_IO, "%s: the path is too long", folder);
  TW_TRY(check_folder(folder));
  snprintf(path, sizeof path, "%s/site.pem", folder);
  TW_TRY(tw_peer_load(path, &out->self));
  snprintf(path, sizeof path, "%s/site.key", folder);
  TW_TRY(tw_private_key_load(path, EVP_PKEY_ED25519, &out->signing));
  snprintf(path, sizeof path, "%s/seal.key", folder);
  TW_TRY(tw_private_key_load(path, EVP_PKEY_X25519, &out->sealing));
  return check_keys(folder, out);
}

void tw_site_free(tw_site *site) {
  EVP_PKEY_free(site->signing);
  EVP_PKEY_free(site->sealing);
  tw_peer_free(&site->self);
  *site = (tw_site){.signing = NULL};
}
