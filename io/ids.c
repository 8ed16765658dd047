#include "io/ids.h"

#include <sodium.h>

void tw_id_random(tw_id *id) {
  unsigned char bits[16];
  randombytes_buf(bits, sizeof bits);
  sodium_bin2hex(id->hex, sizeof id->hex, bits, sizeof bits);
}

void tw_digest_of(const void *data, size_t bytes, tw_digest *out) {
  unsigned char hash[32];
  crypto_generichash(hash, sizeof hash, data, bytes, NULL, 0);
  sodium_bin2hex(out->hex, sizeof out->hex, hash, sizeof hash);
}
