#include "io/ids.h"

#include <sodium.h>
#include <string.h>

void tw_id_random(tw_id *id) {
  unsigned char bits[16];
  randombytes_buf(bits, sizeof bits);
  sodium_bin2hex(id->hex, sizeof id->hex, bits, sizeof bits);
}

bool tw_is_hex(const char *text, size_t digits) {
  return memchr(text, '\0', digits + 1) == text + digits && strspn(text, "0123456789abcdef") == digits;
}

bool tw_id_is_hex(const tw_id *id) { return tw_is_hex(id->hex, sizeof id->hex - 1); }

void tw_digest_of(const void *data, size_t bytes, tw_digest *out) {
  unsigned char hash[32];
  crypto_generichash(hash, sizeof hash, data, bytes, NULL, 0);
  sodium_bin2hex(out->hex, sizeof out->hex, hash, sizeof hash);
}

void tw_digest_of_parts(const void *data, size_t bytes, void (*done)(const void *, size_t), tw_digest *out) {
  const unsigned char *at = data;
  unsigned char hash[32];
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, sizeof hash);
  for (size_t part; bytes > 0; bytes -= part, at += part) {
    part = bytes < 1 << 20 ? bytes : 1 << 20;
    crypto_generichash_update(&state, at, part);
    done(at, part);
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  sodium_bin2hex(out->hex, sizeof out->hex, hash, sizeof hash);
}
