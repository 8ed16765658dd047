// A site's public file: one certificate and one sealing key.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/site_parts.h"

enum { FILE_MOST = 1 << 16 };

// ---- roles

static const struct {
  const char *name, *said, *word, *uri;
} roles[TW_SITE_ROLES] = {{"party 0", "party 0", "0", "twain:party:0"},
                          {"party 1", "party 1", "1", "twain:party:1"},
                          {"dealer", "the dealer", "dealer", "twain:dealer"},
                          {"client", "the client", "client", "twain:client"},
                          {"model owner", "the model owner", "owner", "twain:owner"}};

const char *tw_site_role_name(tw_site_role role) { return roles[role].name; }
const char *tw_site_role_said(tw_site_role role) { return roles[role].said; }
const char *tw_site_role_word(tw_site_role role) { return roles[role].word; }
const char *tw_site_role_uri(tw_site_role role) { return roles[role].uri; }

tw_status tw_site_role_parse(const char *word, tw_site_role *role) {
  for (int i = 0; i < TW_SITE_ROLES; i++)
    if (strcmp(word, roles[i].word) == 0) {
      *role = (tw_site_role)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_USAGE, "'%s' is no role of a site: 0, 1, dealer, client or owner", word);
}

void tw_site_digits(const uint8_t *data, size_t bytes, char *text, size_t size) {
  size_t used = 0;
  if (size) text[0] = '\0';
  for (size_t i = 0; i < bytes && used + 3 + (i && i % 2 == 0) <= size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%02x", i && i % 2 == 0 ? " " : "", data[i]);
}

// ---- the certificate

// The one URI of the subject alternative name, compared with its length: a zero byte inside ends nothing.
static tw_status read_role(X509 *certificate, tw_peer *out) {
  int critical = 0, found = -1;
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
  if (names && sk_GENERAL_NAME_num(names) == 1) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    const ASN1_IA5STRING *uri = name->type == GEN_URI ? name->d.uniformResourceIdentifier : NULL;
    for (int i = 0; uri && i < TW_SITE_ROLES; i++)
      if ((size_t)ASN1_STRING_length(uri) == strlen(roles[i].uri) &&
          memcmp(ASN1_STRING_get0_data(uri), roles[i].uri, strlen(roles[i].uri)) == 0)
        found = i;
  }
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  if (found < 0) return tw_fail(TW_ERR_IDENTITY, "%s: a certificate that says no role of twain's", out->file);
  out->role = (tw_site_role)found;
  return TW_OK;
}

static tw_status read_time(const ASN1_TIME *from, int64_t *out) {
  struct tm parts = {.tm_year = 0};
  if (ASN1_TIME_to_tm(from, &parts) != 1)
    return tw_openssl_fail(TW_ERR_IDENTITY, "a certificate whose time of validity cannot be read");
  *out = (int64_t)timegm(&parts);
  return TW_OK;
}

static tw_status read_pin(X509 *certificate, tw_peer *out) {
  unsigned char *der = NULL;
  int bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (bytes <= 0) return tw_openssl_fail(TW_ERR_IDENTITY, "a certificate whose key cannot be read");
  SHA256(der, (size_t)bytes, out->pin);
  OPENSSL_free(der);
  const EVP_PKEY *key = X509_get0_pubkey(certificate);
  if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
    ERR_clear_error();
    return tw_fail(TW_ERR_IDENTITY, "%s: a certificate whose key is not Ed25519", out->file);
  }
  return TW_OK;
}

static tw_status read_certificate(X509 *certificate, tw_peer *out) {
  TW_TRY(read_pin(certificate, out));
  TW_TRY(read_role(certificate, out));
  TW_TRY(read_time(X509_get0_notBefore(certificate), &out->not_before));
  return read_time(X509_get0_notAfter(certificate), &out->not_after);
}

static tw_status begin(const char *name, tw_peer *out) {
  *out = (tw_peer){.file = strdup(name)};
  return out->file ? TW_OK : tw_fail(TW_ERR_MEMORY, "%s: out of memory", name);
}

tw_status tw_peer_of_certificate(X509 *certificate, tw_peer *out) {
  TW_TRY(begin("", out));
  if (X509_up_ref(certificate) != 1) return tw_openssl_fail(TW_ERR_INTERNAL, "a certificate");
  out->certificate = certificate;
  tw_status status = read_certificate(certificate, out);
  return status == TW_OK ? TW_OK : tw_fail_in(status, "the other side's certificate");
}

void tw_peer_free(tw_peer *peer) {
  free(peer->file);
  X509_free(peer->certificate);
  *peer = (tw_peer){.file = NULL};
}

// ---- the file

static tw_status no_site_file(const char *name, const char *why) {
  ERR_clear_error();
  return tw_fail(TW_ERR_FORMAT, "%s: is no sound site file (%s); have its owner send site.pem again", name, why);
}

// data: one PEM block, which must be the certificate, signed by its own key.
static tw_status take_certificate(const unsigned char *data, long bytes, tw_peer *out) {
  const unsigned char *at = data;
  out->certificate = d2i_X509(NULL, &at, bytes);
  if (!out->certificate || at != data + bytes) return no_site_file(out->file, "its certificate cannot be read");
  if (read_certificate(out->certificate, out) != TW_OK) return no_site_file(out->file, tw_error_message());
  if (X509_verify(out->certificate, X509_get0_pubkey(out->certificate)) != 1)
    return no_site_file(out->file, "its certificate is not signed by its own key");
  return TW_OK;
}

static tw_status take_sealing_key(const unsigned char *data, long bytes, tw_peer *out) {
  if (bytes != TW_SEALING_KEY_BYTES + TW_SITE_SIGNATURE_BYTES)
    return no_site_file(out->file, "its sealing key has another length");
  memcpy(out->sealing_key, data, TW_SEALING_KEY_BYTES);
  if (tw_peer_check_signature(out, TW_SEALING_KEY_CONTEXT, data, TW_SEALING_KEY_BYTES, data + TW_SEALING_KEY_BYTES) !=
      TW_OK)
    return no_site_file(out->file, "its sealing key is not signed by the key of its certificate");
  return TW_OK;
}

static tw_status fingerprint(tw_peer *out) {
  unsigned char *der = NULL;
  int bytes = i2d_X509(out->certificate, &der);
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  bool made = bytes > 0 && c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(c, der, (size_t)bytes) == 1 &&
              EVP_DigestUpdate(c, out->sealing_key, sizeof out->sealing_key) == 1 &&
              EVP_DigestFinal_ex(c, out->fingerprint, NULL) == 1;
  EVP_MD_CTX_free(c);
  OPENSSL_free(der);
  return made ? TW_OK : tw_openssl_fail(TW_ERR_INTERNAL, "a fingerprint");
}

// Certificate first, then the sealing key, and no third block. Text around blocks is let pass: mail adds it.
static tw_status parse(BIO *in, tw_peer *out) {
  static const char *const wanted[] = {"CERTIFICATE", TW_SEALING_KEY_BLOCK};
  for (int i = 0;; i++) {
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long bytes = 0;
    if (PEM_read_bio(in, &name, &header, &data, &bytes) != 1) {
      bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      return i == 2 && ended ? fingerprint(out) : no_site_file(out->file, "two blocks are wanted");
    }
    tw_status status = i < 2 && strcmp(name, wanted[i]) == 0 && header[0] == '\0'
                           ? (i == 0 ? take_certificate : take_sealing_key)(data, bytes, out)
                           : no_site_file(out->file, "a block that does not belong there");
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    TW_TRY(status);
  }
}

tw_status tw_peer_parse(const char *name, const void *data, size_t bytes, tw_peer *out) {
  TW_TRY(begin(name, out));
  if (bytes > FILE_MOST) return no_site_file(name, "it is too long");
  BIO *in = BIO_new_mem_buf(data, (int)bytes);
  if (!in) return tw_openssl_fail(TW_ERR_MEMORY, name);
  tw_status status = parse(in, out);
  BIO_free(in);
  ERR_clear_error();
  return status;
}

tw_status tw_trust_file_check(const char *file, unsigned mode) {
  if ((mode & 022) == 0) return TW_OK;
  return tw_fail(TW_ERR_IO,
                 "%s: its mode %04o lets group or world write, and so choose whom this site trusts; compare its "
                 "fingerprint or pins again, then run `chmod go-w %s`",
                 file, mode & 07777, file);
}

tw_status tw_peer_load(const char *file, tw_peer *out) {
  struct stat info;
  *out = (tw_peer){.file = NULL};
  int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open the site file: %s", file, strerror(errno));
  char *text = malloc(FILE_MOST + 1);
  bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  ssize_t got = 0;
  size_t used = 0;
  while (text && regular && used <= FILE_MOST && (got = read(fd, text + used, FILE_MOST + 1 - used)) > 0)
    used += (size_t)got;
  int error = errno;
  close(fd);
  tw_status status = TW_OK;
  if (!text)
    status = tw_fail(TW_ERR_MEMORY, "%s: out of memory", file);
  else if (!regular)
    status = tw_fail(TW_ERR_IO, "%s: is not a regular file; name the other site's public file (site.pem)", file);
  else if (got < 0)
    status = tw_fail(TW_ERR_IO, "%s: cannot read: %s", file, strerror(error));
  else
    status = tw_trust_file_check(file, info.st_mode);
  if (status == TW_OK) status = tw_peer_parse(file, text, used, out);
  free(text);
  return status;
}

// ---- checks

static void time_text(int64_t seconds, char text[32]) {
  time_t t = (time_t)seconds;
  struct tm parts;
  if (!gmtime_r(&t, &parts) || strftime(text, 32, "%Y-%m-%d %H:%M UTC", &parts) == 0) snprintf(text, 32, "?");
}

tw_status tw_peer_check_time(const tw_peer *peer, int64_t now) {
  char when[32];
  bool early = now < peer->not_before;
  if (!early && now <= peer->not_after) return TW_OK;
  time_text(early ? peer->not_before : peer->not_after, when);
  return tw_fail(TW_ERR_IDENTITY, "%s%sthe certificate of %s %s %s; %s", peer->file, peer->file[0] ? ": " : "",
                 tw_site_role_said(peer->role), early ? "is valid from" : "was valid until", when,
                 early ? "is this machine's clock right?" : "its owner makes a new site and sends its file");
}

tw_status tw_peer_check_same(const tw_peer *expected, const tw_peer *seen) {
  if (memcmp(expected->pin, seen->pin, TW_PIN_BYTES) != 0)
    return tw_fail(TW_ERR_IDENTITY, "the other side is not the site of %s: it has another key", expected->file);
  if (expected->role != seen->role)
    return tw_fail(TW_ERR_IDENTITY, "the other side has the key of %s but says that it is %s, not %s", expected->file,
                   tw_site_role_said(seen->role), tw_site_role_said(expected->role));
  return TW_OK;
}
