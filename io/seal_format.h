// The layout of a sealed file, and the key of its chunks. Internal to io/; docs/formats.md has the table.
#ifndef TW_SEAL_FORMAT_H
#define TW_SEAL_FORMAT_H

#include "io/seal.h"

enum {
  TW_SEAL_TAG = 16,
  TW_SEAL_ABOUT = 128,     // bytes of a tw_seal_about in the file
  TW_SEAL_ABOUT_AT = 144,  // encrypted, its tag behind it
  TW_SEAL_TAGS_DIGEST_AT = TW_SEAL_ABOUT_AT + TW_SEAL_ABOUT + TW_SEAL_TAG,
  TW_SEAL_SIGNATURE_AT = TW_SEAL_TAGS_DIGEST_AT + 32,
  TW_SEAL_HEADER = TW_SEAL_SIGNATURE_AT + TW_SITE_SIGNATURE_BYTES  // then the tags of all chunks, then the chunks
};
_Static_assert(TW_SEAL_HEADER == 384, "docs/formats.md says so");
#define TW_SEAL_CONTEXT "twain sealed file 1"

// What stands in clear at the beginning.
typedef struct {
  tw_seal_public public;
  uint8_t ephemeral[32];
} tw_seal_clear;

// Where things lie, of `plain` bytes.
uint64_t tw_seal_chunks(uint64_t plain);
uint64_t tw_seal_chunk_at(uint64_t plain, uint64_t number);
size_t tw_seal_chunk_bytes(uint64_t plain, uint64_t number);

// The first TW_SEAL_ABOUT_AT bytes.
void tw_seal_clear_put(const tw_seal_clear *clear, uint8_t header[TW_SEAL_HEADER]);
// TW_ERR_FORMAT unless they are those of a sealed file of this version that has `file_bytes` bytes.
tw_status tw_seal_clear_get(const char *path, const uint8_t header[TW_SEAL_HEADER], uint64_t file_bytes,
                            tw_seal_clear *out);
void tw_seal_about_put(const tw_seal_about *about, uint8_t bytes[TW_SEAL_ABOUT]);
tw_status tw_seal_about_get(const char *path, const uint8_t bytes[TW_SEAL_ABOUT], tw_seal_about *out);

// AES-256-GCM under the key of one file; both directions. One thread at a time.
typedef struct tw_seal_cipher tw_seal_cipher;
// own: the private key of one side; other: the public key of the other side's. recipient: the recipient's public key.
// The key is HKDF-SHA256 of X25519(own, other); info: the context, the recipient's key, and the header's first
// TW_SEAL_ABOUT_AT bytes, which hold the ephemeral key, both pins and the file's id.
tw_status tw_seal_cipher_create(EVP_PKEY *own, const uint8_t other[32], const uint8_t recipient[32],
                                const uint8_t header[TW_SEAL_HEADER], tw_seal_cipher **out);
void tw_seal_cipher_destroy(tw_seal_cipher *cipher);  // wipes; may be NULL
// In place. number: of the chunk, or TW_SEAL_ABOUT_NUMBER; it is the nonce. Associated data: those bytes of the header.
#define TW_SEAL_ABOUT_NUMBER UINT64_MAX
tw_status tw_seal_encrypt(tw_seal_cipher *cipher, uint64_t number, uint8_t *data, size_t bytes,
                          uint8_t tag[TW_SEAL_TAG]);
// The same of a chunk that comes in parts, from its beginning to its end; free with EVP_CIPHER_CTX_free.
tw_status tw_seal_begin(const tw_seal_cipher *cipher, uint64_t number, EVP_CIPHER_CTX **out);
tw_status tw_seal_more(EVP_CIPHER_CTX *chunk, const uint8_t *in, uint8_t *out, size_t bytes);
tw_status tw_seal_tag(EVP_CIPHER_CTX *chunk, uint8_t tag[TW_SEAL_TAG]);
// Any part of a chunk, `at` bytes from its beginning, without a tag, in both directions: GCM's counter mode (NIST SP
// 800-38D, section 7). in and out may be the same. No byte may be encrypted twice.
tw_status tw_seal_crypt_part(const tw_seal_cipher *cipher, uint64_t number, size_t at, const uint8_t *in, uint8_t *out,
                             size_t bytes);
// TW_ERR_FORMAT, and `data` is wiped, when the tag does not fit.
tw_status tw_seal_decrypt(tw_seal_cipher *cipher, uint64_t number, uint8_t *data, size_t bytes,
                          const uint8_t tag[TW_SEAL_TAG]);

#endif
