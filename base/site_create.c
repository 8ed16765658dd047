// Making a site: two keys, a certificate that its own key signs, and the public file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/site_parts.h"

// ---- the certificate

static bool add_extension(X509 *certificate, int nid, const char *value) {
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
  bool added = e && X509_add_ext(certificate, e, -1) == 1;
  X509_EXTENSION_free(e);
  return added;
}

// 16 bytes of which the first is 0x40 to 0x7f: the same length always, positive, and unique.
static bool set_serial(X509 *certificate) {
  uint8_t bytes[16];
  randombytes_buf(bytes, sizeof bytes);
  bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40);
  BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
  bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  return set;
}

// Years 2000 to 9999, so that every certificate has times of one length before 2050 and another after.
static bool set_times(X509 *certificate, int64_t not_before, int64_t not_after) {
  return ASN1_TIME_adj(X509_getm_notBefore(certificate), (time_t)not_before, 0, 0) &&
         ASN1_TIME_adj(X509_getm_notAfter(certificate), (time_t)not_after, 0, 0);
}

static tw_status make_certificate(tw_site_role role, EVP_PKEY *key, int64_t not_before, int64_t not_after, X509 **out) {
  char san[64];
  snprintf(san, sizeof san, "critical,URI:%s", tw_site_role_uri(role));
  X509 *c = X509_new();
  X509_NAME *name = c ? X509_get_subject_name(c) : NULL;
  bool made =
      c && X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) && set_times(c, not_before, not_after) &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"twain site", -1, -1, 0) == 1 &&
      X509_set_issuer_name(c, name) == 1 && X509_set_pubkey(c, key) == 1 &&
      add_extension(c, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(c, NID_key_usage, "critical,digitalSignature") && add_extension(c, NID_subject_alt_name, san) &&
      X509_sign(c, key, NULL) > 0;
  if (made) {
    *out = c;
    return TW_OK;
  }
  X509_free(c);
  return tw_openssl_fail(TW_ERR_INTERNAL, "the certificate cannot be made");
}

// ---- the files

static tw_status write_new(const char *folder, const char *name, const void *data, size_t bytes) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  int error = errno;
  if (fd >= 0 && close(fd) != 0) written = false;
  return written ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot write: %s", path, strerror(error));
}

static tw_status write_public(const char *folder, X509 *certificate, EVP_PKEY *signing, const uint8_t sealing_key[32]) {
  uint8_t block[TW_SEALING_KEY_BYTES + TW_SITE_SIGNATURE_BYTES];
  memcpy(block, sealing_key, TW_SEALING_KEY_BYTES);
  TW_TRY(tw_ed25519_sign(signing, TW_SEALING_KEY_CONTEXT, sealing_key, TW_SEALING_KEY_BYTES,
                         block + TW_SEALING_KEY_BYTES));
  BIO *out = BIO_new(BIO_s_mem());
  char *text = NULL;
  bool made = out && PEM_write_bio_X509(out, certificate) == 1 &&
              PEM_write_bio(out, TW_SEALING_KEY_BLOCK, "", block, sizeof block) > 0;
  long bytes = made ? BIO_get_mem_data(out, &text) : 0;
  tw_status status = made ? write_new(folder, "site.pem", text, (size_t)bytes)
                          : tw_openssl_fail(TW_ERR_MEMORY, "the public file cannot be made");
  BIO_free(out);
  return status;
}

// raw, text: locked memory. One private key's file, and the key.
static tw_status make_key(const char *folder, const char *name, int type, uint8_t raw[32], char *text, EVP_PKEY **out) {
  randombytes_buf(raw, 32);
  *out = EVP_PKEY_new_raw_private_key(type, NULL, raw, 32);
  if (!*out) return tw_openssl_fail(TW_ERR_INTERNAL, "a private key cannot be made");
  tw_private_key_text(type, raw, text);
  return write_new(folder, name, text, TW_KEY_TEXT);
}

static tw_status fill(const char *folder, tw_site_role role, int64_t not_before, int64_t not_after, uint8_t *room) {
  EVP_PKEY *signing = NULL, *sealing = NULL;
  X509 *certificate = NULL;
  uint8_t public[TW_SEALING_KEY_BYTES];
  size_t bytes = sizeof public;
  tw_status status = make_key(folder, "site.key", EVP_PKEY_ED25519, room, (char *)room + 32, &signing);
  if (status == TW_OK) status = make_key(folder, "seal.key", EVP_PKEY_X25519, room, (char *)room + 32, &sealing);
  if (status == TW_OK && EVP_PKEY_get_raw_public_key(sealing, public, &bytes) != 1)
    status = tw_openssl_fail(TW_ERR_INTERNAL, "a public key");
  if (status == TW_OK) status = make_certificate(role, signing, not_before, not_after, &certificate);
  if (status == TW_OK) status = write_public(folder, certificate, signing, public);
  X509_free(certificate);
  EVP_PKEY_free(signing);
  EVP_PKEY_free(sealing);
  return status;
}

static void remove_all(const char *folder) {
  static const char *const names[] = {"site.key", "seal.key", "site.pem"};
  char path[PATH_MAX];
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  rmdir(folder);
}

static tw_status sync_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool synced = fd >= 0 && fsync(fd) == 0;
  int error = errno;
  if (fd >= 0) close(fd);
  return synced ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot fsync the folder: %s", folder, strerror(error));
}

static tw_status sync_both(const char *folder) {
  char above[PATH_MAX];
  snprintf(above, sizeof above, "%s/..", folder);
  TW_TRY(sync_folder(folder));
  return sync_folder(above);
}

// site.pem comes last.
static tw_status there_already(const char *folder) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/site.pem", folder);
  if (access(path, F_OK) == 0 || access(folder, X_OK) != 0)
    return tw_fail(TW_ERR_IO, "%s: exists already; a site is never made anew in its place: choose another name",
                   folder);
  return tw_fail(TW_ERR_IO,
                 "%s: exists already, without site.pem: if a `twain site init` was killed there, remove the folder; a "
                 "site that was in use gets its site.pem back from those who have it; or choose another name",
                 folder);
}

tw_status tw_site_create(const char *folder, tw_site_role role, int64_t not_before, int64_t not_after) {
  enum { ROOM = 32 + TW_KEY_TEXT + 1 };
  uint8_t *room;
  if (strlen(folder) + sizeof "/site.key" > PATH_MAX) return tw_fail(TW_ERR_IO, "%s: the path is too long", folder);
  if (not_before < 0 || not_after <= not_before) return tw_fail(TW_ERR_USAGE, "a certificate that is valid at no time");
  TW_TRY(tw_private_keys_ready());
  TW_TRY(tw_seed_alloc(ROOM, (void **)&room));
  tw_status status = TW_OK;
  if (mkdir(folder, 0700) != 0) {
    status = errno == EEXIST ? there_already(folder)
                             : tw_fail(TW_ERR_IO, "%s: cannot make the folder: %s", folder, strerror(errno));
  } else {
    status = fill(folder, role, not_before, not_after, room);
    if (status == TW_OK) status = sync_both(folder);
    if (status != TW_OK) remove_all(folder);
  }
  tw_seed_free(room, ROOM);
  return status;
}
