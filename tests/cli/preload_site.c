// A site whose clock is wrong, and one with another version of the line between sites; loaded before twain.
//   TWAIN_CLOCK_DAYS     so many days are added to the time
//   TWAIN_LINE_VERSION   "PARTY VERSION": what that party says first names this version
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

time_t time(time_t *out) {
  const char *days = getenv("TWAIN_CLOCK_DAYS");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time_t shifted = now.tv_sec + (days ? atol(days) * 86400 : 0);
  if (out) *out = shifted;
  return shifted;
}

// The first words go through here before they leave, for their MAC (comm/tls_hello.c): what is changed is
// authenticated.
int crypto_auth_hmacsha256_update(crypto_auth_hmacsha256_state *state, const unsigned char *in,
                                  unsigned long long bytes) {
  static int (*real)(crypto_auth_hmacsha256_state *, const unsigned char *, unsigned long long);
  const char *said = getenv("TWAIN_LINE_VERSION");
  uint32_t party, other, version;
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "crypto_auth_hmacsha256_update");
  if (said && bytes > 100 && memcmp(in, "twain two sites", 16) == 0 && sscanf(said, "%u %u", &party, &version) == 2) {
    memcpy(&other, in + 20, sizeof other);
    if (other == party) memcpy((unsigned char *)(uintptr_t)in + 16, &version, sizeof version);
  }
  return real(state, in, bytes);
}
