// Sealing: parts are encrypted as they come, in any order; tags and header come last.
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "io/seal_format.h"
#include "io/seal_paths.h"

typedef struct {
  uint32_t from, to;
} range;

// A chunk with something written, but not all.
typedef struct {
  EVP_CIPHER_CTX *open;  // while all came in order; NULL before the first part, and after one that did not
  range *written;        // [count], in order, none touches the next one
  size_t count, room;
  bool scattered, done;
} chunk;

struct tw_sealer {
  char *path;
  const tw_site *site;
  tw_seal_clear clear;
  tw_seal_cipher *cipher;
  uint64_t count;
  chunk *chunks;                 // [count]
  uint8_t (*tags)[TW_SEAL_TAG];  // [count]
  uint8_t *sealed;               // [TW_SEAL_CHUNK] on its way to the file
  uint8_t *plain;                // [TW_SEAL_CHUNK] locked: of a chunk that is read again, NULL before
  uint8_t header[TW_SEAL_HEADER];
};

// ---- roles

// From whom to whom a kind of file goes.
static const struct {
  const char *format, *role;
  tw_site_role from, to;
} ways[] = {{"twain-model-share", "model-share-0", TW_SITE_OWNER, TW_SITE_PARTY_0},
            {"twain-model-share", "model-share-1", TW_SITE_OWNER, TW_SITE_PARTY_1},
            {"twain-model-dealer", "model-dealer", TW_SITE_OWNER, TW_SITE_DEALER},
            {"twain-client", "client", TW_SITE_OWNER, TW_SITE_CLIENT},
            {"twain-keys", "keys-0", TW_SITE_DEALER, TW_SITE_PARTY_0},
            {"twain-keys", "keys-1", TW_SITE_DEALER, TW_SITE_PARTY_1},
            {"twain-input-share", "input-share-0", TW_SITE_CLIENT, TW_SITE_PARTY_0},
            {"twain-input-share", "input-share-1", TW_SITE_CLIENT, TW_SITE_PARTY_1},
            {"twain-result-share", "result-share-0", TW_SITE_PARTY_0, TW_SITE_CLIENT},
            {"twain-result-share", "result-share-1", TW_SITE_PARTY_1, TW_SITE_CLIENT}};

bool tw_seal_way(const tw_seal_about *about, tw_site_role *from, tw_site_role *to) {
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (strcmp(about->format, ways[i].format) != 0 || strcmp(about->role, ways[i].role) != 0) continue;
    *from = ways[i].from;
    *to = ways[i].to;
    return true;
  }
  return false;
}

tw_status tw_seal_check_roles(const char *path, const tw_seal_about *about, tw_site_role sender,
                              tw_site_role recipient) {
  tw_site_role from, to;
  if (!about->format[0]) return TW_OK;
  if (!tw_seal_way(about, &from, &to)) return tw_fail(TW_ERR_IDENTITY, "%s: %s is handed to nobody", path, about->role);
  if (from == sender && to == recipient) return TW_OK;
  return tw_fail(TW_ERR_IDENTITY, "%s: %s goes from %s to %s, not from %s to %s", path, about->role,
                 tw_site_role_said(from), tw_site_role_said(to), tw_site_role_said(sender),
                 tw_site_role_said(recipient));
}

// ---- beginning

static tw_status allocate(tw_sealer *s, const char *path) {
  s->path = strdup(path);
  if (!s->path) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  TW_TRY(tw_alloc(TW_SEAL_CHUNK, (void **)&s->sealed));
  TW_TRY(tw_alloc(s->count * sizeof *s->chunks, (void **)&s->chunks));
  return tw_alloc(s->count * sizeof *s->tags, (void **)&s->tags);
}

static tw_status begin_cipher(tw_sealer *s, const tw_peer *recipient) {
  size_t bytes = sizeof s->clear.ephemeral;
  EVP_PKEY *ephemeral = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
  if (!ephemeral || EVP_PKEY_get_raw_public_key(ephemeral, s->clear.ephemeral, &bytes) != 1) {
    EVP_PKEY_free(ephemeral);
    return tw_openssl_fail(TW_ERR_INTERNAL, "no ephemeral key");
  }
  tw_seal_clear_put(&s->clear, s->header);
  tw_status status =
      tw_seal_cipher_create(ephemeral, recipient->sealing_key, recipient->sealing_key, s->header, &s->cipher);
  EVP_PKEY_free(ephemeral);
  return status;
}

static tw_status begin(tw_sealer *s, const char *path, const tw_peer *recipient, const tw_seal_about *about) {
  uint8_t *at = s->header + TW_SEAL_ABOUT_AT;
  TW_TRY(tw_peer_check_time(&s->site->self, s->clear.public.sealed_at));
  TW_TRY(tw_peer_check_time(recipient, s->clear.public.sealed_at));
  TW_TRY(tw_seal_check_roles(path, about, s->site->self.role, recipient->role));
  TW_TRY(allocate(s, path));
  TW_TRY(begin_cipher(s, recipient));
  tw_seal_about_put(about, at);
  return tw_seal_encrypt(s->cipher, TW_SEAL_ABOUT_NUMBER, at, TW_SEAL_ABOUT, at + TW_SEAL_ABOUT);
}

tw_status tw_sealer_create(const char *path, const tw_site *site, const tw_peer *recipient, const tw_seal_about *about,
                           uint64_t plain_bytes, tw_sealer **out) {
  *out = NULL;
  if (plain_bytes == 0 || plain_bytes > UINT64_C(1) << 60)
    return tw_fail(TW_ERR_RANGE, "%s: %llu bytes cannot be sealed", path, (unsigned long long)plain_bytes);
  tw_sealer *s = calloc(1, sizeof *s);
  if (!s) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  tw_seal_public *p = &s->clear.public;
  s->site = site;
  s->count = tw_seal_chunks(plain_bytes);
  p->plain_bytes = plain_bytes;
  p->sealed_at = (int64_t)time(NULL);
  tw_id_random(&p->file_id);
  memcpy(p->sender, site->self.pin, TW_PIN_BYTES);
  memcpy(p->recipient, recipient->pin, TW_PIN_BYTES);
  tw_status status = begin(s, path, recipient, about);
  if (status == TW_OK)
    *out = s;
  else
    tw_sealer_destroy(s);
  return status;
}

static void release(chunk *c) {
  EVP_CIPHER_CTX_free(c->open);
  tw_free(c->written);
  *c = (chunk){.done = true};
}

void tw_sealer_destroy(tw_sealer *s) {
  if (!s) return;
  for (uint64_t i = 0; s->chunks && i < s->count; i++) release(&s->chunks[i]);
  tw_free(s->chunks);
  tw_free(s->tags);
  tw_free(s->sealed);
  tw_seed_free(s->plain, TW_SEAL_CHUNK);
  tw_seal_cipher_destroy(s->cipher);
  free(s->path);
  free(s);
}

// ---- chunks

static uint64_t place(const tw_sealer *s, uint64_t number) {
  return tw_seal_chunk_at(s->clear.public.plain_bytes, number);
}

// Notes that from .. to is written; TW_ERR_INTERNAL when any of it was before.
static tw_status note(const tw_sealer *s, chunk *c, uint32_t from, uint32_t to) {
  size_t i = 0;
  while (i < c->count && c->written[i].to < from) i++;
  bool before = i < c->count && c->written[i].to == from;
  size_t next = i + before;
  if (next < c->count && c->written[next].from < to)
    return tw_fail(TW_ERR_INTERNAL, "%s: a byte is written twice", s->path);
  bool behind = next < c->count && c->written[next].from == to;
  if (before && behind) {
    c->written[i].to = c->written[next].to;
    memmove(c->written + next, c->written + next + 1, (c->count - next - 1) * sizeof *c->written);
    c->count--;
  } else if (before) {
    c->written[i].to = to;
  } else if (behind) {
    c->written[i].from = from;
  } else {
    TW_TRY(tw_grow((void **)&c->written, &c->room, c->count + 1, sizeof *c->written));
    memmove(c->written + i + 1, c->written + i, (c->count - i) * sizeof *c->written);
    c->written[i] = (range){from, to};
    c->count++;
  }
  return TW_OK;
}

// The tag of a chunk that did not come in order: all of it, as it was put.
static tw_status read_again(tw_sealer *s, const tw_seal_file_ways *to, uint64_t number, size_t size) {
  if (!s->plain) TW_TRY(tw_seed_alloc(TW_SEAL_CHUNK, (void **)&s->plain));
  TW_TRY(to->get(to->file, s->sealed, size, place(s, number)));
  tw_status status = tw_seal_crypt_part(s->cipher, number, 0, s->sealed, s->plain, size);
  if (status == TW_OK) status = tw_seal_encrypt(s->cipher, number, s->plain, size, s->tags[number]);
  return status;  // encrypted again, it holds what was put
}

static tw_status complete(tw_sealer *s, const tw_seal_file_ways *to, uint64_t number, size_t size) {
  chunk *c = &s->chunks[number];
  tw_status status = c->scattered ? read_again(s, to, number, size) : tw_seal_tag(c->open, s->tags[number]);
  release(c);
  return status;
}

// Part of a chunk, at most TW_SEAL_CHUNK bytes.
static tw_status write_part(tw_sealer *s, const tw_seal_file_ways *to, uint64_t number, size_t at, const uint8_t *data,
                            size_t bytes) {
  chunk *c = &s->chunks[number];
  size_t size = tw_seal_chunk_bytes(s->clear.public.plain_bytes, number), end = c->count ? c->written[0].to : 0;
  if (c->done) return tw_fail(TW_ERR_INTERNAL, "%s: a byte is written twice", s->path);
  bool in_order = !c->scattered && at == end && (c->count == 0 || c->written[0].from == 0);
  TW_TRY(note(s, c, (uint32_t)at, (uint32_t)(at + bytes)));
  if (in_order) {
    if (!c->open) TW_TRY(tw_seal_begin(s->cipher, number, &c->open));
    TW_TRY(tw_seal_more(c->open, data, s->sealed, bytes));
  } else {
    EVP_CIPHER_CTX_free(c->open);
    c->open = NULL;
    c->scattered = true;
    TW_TRY(tw_seal_crypt_part(s->cipher, number, at, data, s->sealed, bytes));
  }
  TW_TRY(to->put(to->file, s->sealed, bytes, place(s, number) + at));
  bool whole = c->count == 1 && c->written[0].from == 0 && c->written[0].to == size;
  return whole ? complete(s, to, number, size) : TW_OK;
}

tw_status tw_sealer_write(tw_sealer *s, const tw_seal_file_ways *to, const void *data, size_t bytes, uint64_t offset) {
  const uint8_t *from = data;
  uint64_t plain = s->clear.public.plain_bytes;
  if (offset > plain || bytes > plain - offset)
    return tw_fail(TW_ERR_INTERNAL, "%s: more than its %llu bytes", s->path, (unsigned long long)plain);
  while (bytes > 0) {
    uint64_t number = offset / TW_SEAL_CHUNK;
    size_t at = offset % TW_SEAL_CHUNK, part = tw_seal_chunk_bytes(plain, number) - at;
    if (part > bytes) part = bytes;
    TW_TRY(write_part(s, to, number, at, from, part));
    from += part;
    offset += part;
    bytes -= part;
  }
  return TW_OK;
}

// Zeros where nothing was written.
static tw_status fill(tw_sealer *s, const tw_seal_file_ways *to, uint64_t number) {
  static const uint8_t zeros[4096];
  const chunk *c = &s->chunks[number];
  size_t size = tw_seal_chunk_bytes(s->clear.public.plain_bytes, number);
  while (!c->done) {
    size_t at = c->count && c->written[0].from == 0 ? c->written[0].to : 0;
    size_t next = at ? 1 : 0, end = next < c->count ? c->written[next].from : size;
    TW_TRY(write_part(s, to, number, at, zeros, end - at < sizeof zeros ? end - at : sizeof zeros));
  }
  return TW_OK;
}

tw_status tw_sealer_finish(tw_sealer *s, const tw_seal_file_ways *to) {
  for (uint64_t i = 0; i < s->count; i++) TW_TRY(fill(s, to, i));
  size_t tags = s->count * TW_SEAL_TAG;
  crypto_generichash(s->header + TW_SEAL_TAGS_DIGEST_AT, 32, (const uint8_t *)s->tags, tags, NULL, 0);
  TW_TRY(tw_site_sign(s->site, TW_SEAL_CONTEXT, s->header, TW_SEAL_SIGNATURE_AT, s->header + TW_SEAL_SIGNATURE_AT));
  TW_TRY(to->put(to->file, s->tags, tags, TW_SEAL_HEADER));
  return to->put(to->file, s->header, sizeof s->header, 0);
}

// ---- paths

enum { MOST_TARGETS = 32 };  // a file for each of eight lengths and both parties, and room
static tw_seal_target targets[MOST_TARGETS];

tw_seal_target *tw_seal_target_of(const char *path) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
    if (targets[i].path && strcmp(targets[i].path, path) == 0) return &targets[i];
  return NULL;
}

tw_status tw_seal_path(const char *path, const tw_site *site, const tw_peer *recipient, const tw_seal_about *about) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    if (targets[i].path && strcmp(targets[i].path, path) != 0) continue;
    free(targets[i].path);
    targets[i] = (tw_seal_target){.path = strdup(path), .site = site, .recipient = recipient};
    if (about) targets[i].about = *about;
    return targets[i].path ? TW_OK : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  }
  return tw_fail(TW_ERR_INTERNAL, "%s: too many files to seal", path);
}

void tw_seal_paths_forget(void) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    free(targets[i].path);
    targets[i] = (tw_seal_target){.path = NULL};
  }
}
