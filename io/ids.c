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
