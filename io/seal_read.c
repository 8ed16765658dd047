// Opening sealed files: sender and recipient first, then the signature, then chunk by chunk.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/seal_format.h"

struct tw_sealed {
  char *path;
  int fd;
  tw_seal_clear clear;
  tw_seal_about about;
  tw_seal_cipher *cipher;
  uint64_t count;
  uint8_t (*tags)[TW_SEAL_TAG];  // [count]
  uint8_t header[TW_SEAL_HEADER];
};

static tw_status open_file(const char *path, int *fd, uint64_t *bytes) {
  struct stat info;
  *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (*fd < 0 || fstat(*fd, &info) != 0) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is not a regular file", path);
  *bytes = (uint64_t)info.st_size;
  return TW_OK;
}

static tw_status read_header(const char *path, int fd, uint64_t bytes, uint8_t header[TW_SEAL_HEADER],
                             tw_seal_clear *clear) {
  memset(header, 0, TW_SEAL_HEADER);
  TW_TRY(tw_read_at(fd, path, "header", header, bytes < TW_SEAL_HEADER ? (size_t)bytes : TW_SEAL_HEADER, 0));
  return tw_seal_clear_get(path, header, bytes, clear);
}

tw_status tw_sealed_look(const char *path, tw_seal_public *out) {
  uint8_t header[TW_SEAL_HEADER];
  tw_seal_clear clear;
  uint64_t bytes = 0;
  int fd;
  tw_status status = open_file(path, &fd, &bytes);
  if (status == TW_OK) status = read_header(path, fd, bytes, header, &clear);
  if (fd >= 0) close(fd);
  if (status == TW_OK) *out = clear.public;
  return status;
}

bool tw_is_sealed(const char *path) {
  uint8_t begin[8];
  uint64_t bytes = 0;
  int fd;
  bool sealed = open_file(path, &fd, &bytes) == TW_OK && bytes >= 8 &&
                tw_read_at(fd, path, "header", begin, 8, 0) == TW_OK && memcmp(begin, "twsealed", 8) == 0;
  if (fd >= 0) close(fd);
  return sealed;
}

// ---- opening

static tw_status check_sites(const tw_sealed *s, const tw_site *site, const tw_peer *sender) {
  char own[TW_FINGERPRINT_TEXT], other[TW_FINGERPRINT_TEXT];
  const tw_seal_public *p = &s->clear.public;
  tw_site_digits(p->recipient, TW_FINGERPRINT_SHOWN, other, sizeof other);
  tw_site_digits(site->self.pin, TW_FINGERPRINT_SHOWN, own, sizeof own);
  if (memcmp(p->recipient, site->self.pin, TW_PIN_BYTES) != 0)
    return tw_fail(TW_ERR_IDENTITY, "%s: is sealed to another site (its pin begins with %s, this site's with %s)",
                   s->path, other, own);
  tw_site_digits(p->sender, TW_FINGERPRINT_SHOWN, other, sizeof other);
  if (memcmp(p->sender, sender->pin, TW_PIN_BYTES) != 0)
    return tw_fail(TW_ERR_IDENTITY, "%s: is not from %s: it names another sender (its pin begins with %s)", s->path,
                   sender->file, other);
  return tw_peer_check_time(sender, (int64_t)time(NULL));
}

static tw_status check_tags(tw_sealed *s) {
  uint8_t digest[32];
  s->count = tw_seal_chunks(s->clear.public.plain_bytes);
  TW_TRY(tw_alloc(s->count * TW_SEAL_TAG, (void **)&s->tags));
  TW_TRY(tw_read_at(s->fd, s->path, "tags", s->tags, s->count * TW_SEAL_TAG, TW_SEAL_HEADER));
  crypto_generichash(digest, sizeof digest, (const uint8_t *)s->tags, s->count * TW_SEAL_TAG, NULL, 0);
  if (memcmp(digest, s->header + TW_SEAL_TAGS_DIGEST_AT, sizeof digest) != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: its list of tags is damaged; copy it again", s->path);
  return TW_OK;
}

static tw_status open_about(tw_sealed *s, const tw_site *site) {
  uint8_t *at = s->header + TW_SEAL_ABOUT_AT;
  TW_TRY(tw_seal_cipher_create(site->sealing, s->clear.ephemeral, site->self.sealing_key, s->header, &s->cipher));
  if (tw_seal_decrypt(s->cipher, TW_SEAL_ABOUT_NUMBER, at, TW_SEAL_ABOUT, at + TW_SEAL_ABOUT) != TW_OK)
    return tw_fail(TW_ERR_FORMAT, "%s: cannot be opened with this site's seal.key; have it sealed again", s->path);
  return tw_seal_about_get(s->path, at, &s->about);
}

static tw_status open_all(tw_sealed *s, const tw_site *site, const tw_peer *sender) {
  uint64_t bytes = 0;
  TW_TRY(open_file(s->path, &s->fd, &bytes));
  TW_TRY(read_header(s->path, s->fd, bytes, s->header, &s->clear));
  TW_TRY(check_sites(s, site, sender));
  tw_status status = tw_peer_check_signature(sender, TW_SEAL_CONTEXT, s->header, TW_SEAL_SIGNATURE_AT,
                                             s->header + TW_SEAL_SIGNATURE_AT);
  if (status != TW_OK) return tw_fail_in(status, "%s", s->path);
  TW_TRY(check_tags(s));
  TW_TRY(open_about(s, site));
  return tw_seal_check_roles(s->path, &s->about, sender->role, site->self.role);
}

tw_status tw_sealed_open(const char *path, const tw_site *site, const tw_peer *sender, tw_sealed **out) {
  *out = NULL;
  tw_sealed *s = calloc(1, sizeof *s);
  if (!s) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  s->fd = -1;
  s->path = strdup(path);
  tw_status status = s->path ? open_all(s, site, sender) : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  if (status == TW_OK)
    *out = s;
  else
    tw_sealed_close(s);
  return status;
}

const tw_seal_public *tw_sealed_public(const tw_sealed *s) { return &s->clear.public; }
const tw_seal_about *tw_sealed_about(const tw_sealed *s) { return &s->about; }
uint64_t tw_sealed_chunks(const tw_sealed *s) { return s->count; }

tw_status tw_sealed_chunk(tw_sealed *s, uint64_t number, uint8_t *data, size_t *bytes) {
  uint64_t plain = s->clear.public.plain_bytes;
  if (number >= s->count) return tw_fail(TW_ERR_INTERNAL, "%s: has no chunk %llu", s->path, (unsigned long long)number);
  *bytes = tw_seal_chunk_bytes(plain, number);
  TW_TRY(tw_read_at(s->fd, s->path, "chunk", data, *bytes, tw_seal_chunk_at(plain, number)));
  if (tw_seal_decrypt(s->cipher, number, data, *bytes, s->tags[number]) == TW_OK) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: chunk %llu of %llu is damaged; copy it again", s->path, (unsigned long long)number,
                 (unsigned long long)s->count);
}

void tw_sealed_close(tw_sealed *s) {
  if (!s) return;
  if (s->fd >= 0) close(s->fd);
  tw_seal_cipher_destroy(s->cipher);
  tw_free(s->tags);
  free(s->path);
  free(s);
}
