// Header and cipher of sealed files.
#include "io/seal_format.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/format.h"

static const uint8_t magic[8] = {'t', 'w', 's', 'e', 'a', 'l', 'e', 'd'};
#define LARGEST (UINT64_C(1) << 60)

// ---- places

uint64_t tw_seal_chunks(uint64_t plain) { return plain / TW_SEAL_CHUNK + (plain % TW_SEAL_CHUNK != 0); }

size_t tw_seal_chunk_bytes(uint64_t plain, uint64_t number) {
  uint64_t left = plain - number * TW_SEAL_CHUNK;
  return left < TW_SEAL_CHUNK ? (size_t)left : TW_SEAL_CHUNK;
}

uint64_t tw_seal_chunk_at(uint64_t plain, uint64_t number) {
  return TW_SEAL_HEADER + TW_SEAL_TAG * tw_seal_chunks(plain) + number * TW_SEAL_CHUNK;
}

uint64_t tw_sealed_bytes(uint64_t plain) { return TW_SEAL_HEADER + TW_SEAL_TAG * tw_seal_chunks(plain) + plain; }

// ---- header

void tw_seal_clear_put(const tw_seal_clear *clear, uint8_t header[TW_SEAL_HEADER]) {
  const tw_seal_public *p = &clear->public;
  uint32_t version = TW_FORMAT_VERSION, chunk = TW_SEAL_CHUNK;
  memcpy(header, magic, 8);
  memcpy(header + 8, &version, 4);
  memcpy(header + 12, &chunk, 4);
  memcpy(header + 16, &p->plain_bytes, 8);
  memcpy(header + 24, &p->sealed_at, 8);
  sodium_hex2bin(header + 32, 16, p->file_id.hex, 32, NULL, NULL, NULL);
  memcpy(header + 48, p->sender, 32);
  memcpy(header + 80, p->recipient, 32);
  memcpy(header + 112, clear->ephemeral, 32);
}

tw_status tw_seal_clear_get(const char *path, const uint8_t header[TW_SEAL_HEADER], uint64_t file_bytes,
                            tw_seal_clear *out) {
  tw_seal_public *p = &out->public;
  uint32_t version, chunk;
  memcpy(&version, header + 8, 4);
  memcpy(&chunk, header + 12, 4);
  memcpy(&p->plain_bytes, header + 16, 8);
  memcpy(&p->sealed_at, header + 24, 8);
  sodium_bin2hex(p->file_id.hex, sizeof p->file_id.hex, header + 32, 16);
  memcpy(p->sender, header + 48, 32);
  memcpy(p->recipient, header + 80, 32);
  memcpy(out->ephemeral, header + 112, 32);
  if (memcmp(header, magic, 8) != 0) return tw_fail(TW_ERR_FORMAT, "%s: is no sealed file", path);
  if (file_bytes < TW_SEAL_HEADER)
    return tw_fail(TW_ERR_FORMAT, "%s: has %llu bytes, and a sealed file's head %d; copy it again", path,
                   (unsigned long long)file_bytes, TW_SEAL_HEADER);
  if (version != TW_FORMAT_VERSION || chunk != TW_SEAL_CHUNK)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: sealed by another version of twain (%u, this one is %d); seal it again with this", path,
                   version, TW_FORMAT_VERSION);
  if (p->plain_bytes == 0 || p->plain_bytes > LARGEST || tw_sealed_bytes(p->plain_bytes) != file_bytes)
    return tw_fail(TW_ERR_FORMAT, "%s: has %llu bytes, not the %llu that its header speaks of; copy it again", path,
                   (unsigned long long)file_bytes,
                   (unsigned long long)(p->plain_bytes <= LARGEST ? tw_sealed_bytes(p->plain_bytes) : 0));
  return TW_OK;
}

void tw_seal_about_put(const tw_seal_about *about, uint8_t bytes[TW_SEAL_ABOUT]) {
  memset(bytes, 0, TW_SEAL_ABOUT);
  memcpy(bytes, about->format, strnlen(about->format, 32));
  memcpy(bytes + 32, about->role, strnlen(about->role, 32));
  if (about->plan.hex[0]) sodium_hex2bin(bytes + 64, 32, about->plan.hex, 64, NULL, NULL, NULL);
  if (about->id.hex[0]) sodium_hex2bin(bytes + 96, 16, about->id.hex, 32, NULL, NULL, NULL);
}

static bool plain_word(const uint8_t *bytes, char *out) {
  size_t n = 0;
  while (n < 32 && bytes[n] > ' ' && bytes[n] <= '~') n++;
  memcpy(out, bytes, n);
  out[n] = '\0';
  return sodium_is_zero(bytes + n, 32 - n);
}

tw_status tw_seal_about_get(const char *path, const uint8_t bytes[TW_SEAL_ABOUT], tw_seal_about *out) {
  *out = (tw_seal_about){.format = ""};
  if (!plain_word(bytes, out->format) || !plain_word(bytes + 32, out->role) || !sodium_is_zero(bytes + 112, 16))
    return tw_fail(TW_ERR_FORMAT, "%s: what it says of itself cannot be read", path);
  if (!sodium_is_zero(bytes + 64, 32)) sodium_bin2hex(out->plan.hex, sizeof out->plan.hex, bytes + 64, 32);
  if (!sodium_is_zero(bytes + 96, 16)) sodium_bin2hex(out->id.hex, sizeof out->id.hex, bytes + 96, 16);
  return TW_OK;
}

// ---- cipher

struct tw_seal_cipher {
  EVP_CIPHER_CTX *context;
  uint8_t *secrets;  // [64] shared secret, key; locked
  uint8_t associated[TW_SEAL_ABOUT_AT];
};

static tw_status agree(EVP_PKEY *own, const uint8_t other[32], uint8_t shared[32]) {
  EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, other, 32);
  EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
  size_t bytes = 32;
  bool agreed = peer && c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1 &&
                EVP_PKEY_derive(c, shared, &bytes) == 1 && bytes == 32 && !sodium_is_zero(shared, 32);
  EVP_PKEY_CTX_free(c);
  EVP_PKEY_free(peer);
  return agreed ? TW_OK : tw_openssl_fail(TW_ERR_FORMAT, "no key can be agreed on: the file's ephemeral key is bad");
}

static tw_status derive(const uint8_t shared[32], const uint8_t recipient[32], const uint8_t *header, uint8_t key[32]) {
  uint8_t info[sizeof TW_SEAL_CONTEXT + 32 + TW_SEAL_ABOUT_AT];
  memcpy(info, TW_SEAL_CONTEXT, sizeof TW_SEAL_CONTEXT);
  memcpy(info + sizeof TW_SEAL_CONTEXT, recipient, 32);
  memcpy(info + sizeof TW_SEAL_CONTEXT + 32, header, TW_SEAL_ABOUT_AT);
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                             OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)shared, 32),
                             OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info),
                             OSSL_PARAM_construct_end()};
  EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
  EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
  bool derived = c && EVP_KDF_derive(c, key, 32, parameters) == 1;
  EVP_KDF_CTX_free(c);
  EVP_KDF_free(kdf);
  return derived ? TW_OK : tw_openssl_fail(TW_ERR_INTERNAL, "no key can be derived");
}

tw_status tw_seal_cipher_create(EVP_PKEY *own, const uint8_t other[32], const uint8_t recipient[32],
                                const uint8_t header[TW_SEAL_HEADER], tw_seal_cipher **out) {
  tw_seal_cipher *c = calloc(1, sizeof *c);
  *out = c;
  if (!c) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_seed_alloc(64, (void **)&c->secrets);
  if (status == TW_OK) status = agree(own, other, c->secrets);
  if (status == TW_OK) status = derive(c->secrets, recipient, header, c->secrets + 32);
  memcpy(c->associated, header, sizeof c->associated);
  if (status == TW_OK && !(c->context = EVP_CIPHER_CTX_new())) status = tw_fail(TW_ERR_MEMORY, "out of memory");
  if (status == TW_OK) return TW_OK;
  tw_seal_cipher_destroy(c);
  *out = NULL;
  return status;
}

void tw_seal_cipher_destroy(tw_seal_cipher *c) {
  if (!c) return;
  EVP_CIPHER_CTX_free(c->context);
  tw_seed_free(c->secrets, 64);
  free(c);
}

static bool begin(const tw_seal_cipher *c, EVP_CIPHER_CTX *context, uint64_t number, int encrypt) {
  uint8_t nonce[12] = {0};
  int done;
  memcpy(nonce, &number, sizeof number);
  return EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), c->secrets + 32, nonce, encrypt, NULL) == 1 &&
         EVP_CipherUpdate(context, NULL, &done, c->associated, sizeof c->associated) == 1;
}

static tw_status cannot_encrypt(void) { return tw_openssl_fail(TW_ERR_INTERNAL, "cannot encrypt"); }

tw_status tw_seal_begin(const tw_seal_cipher *c, uint64_t number, EVP_CIPHER_CTX **out) {
  *out = EVP_CIPHER_CTX_new();
  return *out && begin(c, *out, number, 1) ? TW_OK : cannot_encrypt();
}

tw_status tw_seal_more(EVP_CIPHER_CTX *chunk, const uint8_t *in, uint8_t *out, size_t bytes) {
  int done;
  return EVP_CipherUpdate(chunk, out, &done, in, (int)bytes) == 1 && (size_t)done == bytes ? TW_OK : cannot_encrypt();
}

tw_status tw_seal_tag(EVP_CIPHER_CTX *chunk, uint8_t tag[TW_SEAL_TAG]) {
  int last;
  uint8_t none[16];
  bool made = EVP_CipherFinal_ex(chunk, none, &last) == 1 &&
              EVP_CIPHER_CTX_ctrl(chunk, EVP_CTRL_AEAD_GET_TAG, TW_SEAL_TAG, tag) == 1;
  return made ? TW_OK : cannot_encrypt();
}

tw_status tw_seal_encrypt(tw_seal_cipher *c, uint64_t number, uint8_t *data, size_t bytes, uint8_t tag[TW_SEAL_TAG]) {
  if (!begin(c, c->context, number, 1)) return cannot_encrypt();
  TW_TRY(tw_seal_more(c->context, data, data, bytes));
  return tw_seal_tag(c->context, tag);
}

tw_status tw_seal_crypt_part(const tw_seal_cipher *c, uint64_t number, size_t at, const uint8_t *in, uint8_t *out,
                             size_t bytes) {
  uint8_t counter[16] = {0}, skipped[16] = {0};
  uint32_t block = (uint32_t)(at / 16) + 2;  // 1 is the tag's
  int done;
  memcpy(counter, &number, sizeof number);
  for (int i = 0; i < 4; i++) counter[15 - i] = (uint8_t)(block >> 8 * i);
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  bool made = context && EVP_CipherInit_ex2(context, EVP_aes_256_ctr(), c->secrets + 32, counter, 1, NULL) == 1 &&
              EVP_CipherUpdate(context, skipped, &done, skipped, (int)(at % 16)) == 1 &&
              EVP_CipherUpdate(context, out, &done, in, (int)bytes) == 1 && (size_t)done == bytes;
  EVP_CIPHER_CTX_free(context);
  tw_wipe(skipped, sizeof skipped);
  return made ? TW_OK : cannot_encrypt();
}

tw_status tw_seal_decrypt(tw_seal_cipher *c, uint64_t number, uint8_t *data, size_t bytes,
                          const uint8_t tag[TW_SEAL_TAG]) {
  int done, last;
  bool right = begin(c, c->context, number, 0) && EVP_CipherUpdate(c->context, data, &done, data, (int)bytes) == 1 &&
               (size_t)done == bytes &&
               EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_TAG, TW_SEAL_TAG, (void *)(uintptr_t)tag) == 1 &&
               EVP_CipherFinal_ex(c->context, data + done, &last) == 1;
  if (right) return TW_OK;
  tw_wipe(data, bytes);
  ERR_clear_error();
  return tw_fail(TW_ERR_FORMAT, "the bytes do not fit their tag");
}
