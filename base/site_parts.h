// What the files of base/site*.c share.
#ifndef TW_SITE_PARTS_H
#define TW_SITE_PARTS_H

#include "base/site.h"

#define TW_SEALING_KEY_BLOCK "TWAIN SEALING KEY"  // PEM's name: X25519 public key, and its signature
#define TW_SEALING_KEY_CONTEXT "twain sealing key 1"

// The URI of a role.
const char *tw_site_role_uri(tw_site_role role);

// A private key as the files have it: PEM of PKCS 8, 32 bytes (RFC 8410). The text has exactly this length.
enum { TW_KEY_TEXT = 119 };
void tw_private_key_text(int type, const uint8_t raw[32], char text[TW_KEY_TEXT + 1]);
tw_status tw_private_key_load(const char *path, int type, EVP_PKEY **out);
// Its room: locked, kept by OpenSSL. Before the first private key.
tw_status tw_private_keys_ready(void);

tw_status tw_ed25519_sign(EVP_PKEY *key, const char *context, const void *message, size_t bytes,
                          uint8_t signature[TW_SITE_SIGNATURE_BYTES]);

#endif
