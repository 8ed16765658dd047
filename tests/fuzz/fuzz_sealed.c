// A sealed file: the input is a list of edits to a sample, behind a byte that says how far they come: bit 0: the digest
// of the tags is made right; bit 1: the sender signs again. Whatever is accepted must be the file that was sealed: the
// edits' author, even as the sender, has no key of its chunks.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/seal_files.h"
#include "io/seal_format.h"
#include "tests/fuzz/fuzz.h"

enum { PLAIN = 600 };

static tw_site sender, recipient;
static uint8_t plain[PLAIN], *sample;
static size_t sample_bytes;

static void site(const char *name, tw_site_role role, tw_site *out) {
  int64_t now = (int64_t)time(NULL);
  fuzz_must(tw_site_create(fuzz_path(name), role, now - 60, now + 86400) == TW_OK, "a site");
  fuzz_must(tw_site_load(fuzz_path(name), out) == TW_OK, "its keys");
}

void fuzz_begin(void) {
  site("sender", TW_SITE_DEALER, &sender);
  site("recipient", TW_SITE_PARTY_0, &recipient);
  for (size_t i = 0; i < PLAIN; i++) plain[i] = (uint8_t)(i * i);
  fuzz_write("plain", plain, PLAIN);
  fuzz_must(tw_seal_file(fuzz_path("plain"), &sender, &recipient.self, fuzz_path("sealed")) == TW_OK, "a sealed file");
  sample = fuzz_read(fuzz_path("sealed"), &sample_bytes);
}

// kind, place (two bytes), value
void fuzz_seeds(void) {
  static const uint8_t edits[][9] = {{0},
                                     {1},
                                     {2},
                                     {3},
                                     {3, 0, 0, 20, 1},
                                     {3, 0, 0, 150, 9},
                                     {2, 0, 1, 32, 1},
                                     {0, 0, 2, 0, 5},
                                     {3, 1, 1, 200, 0},
                                     {3, 2, 0, 0, 40},
                                     {3, 3, 0, 0, 3},
                                     {3, 0, 1, 130, 7, 0, 1, 145, 7}};
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
    const char name[] = {'s', (char)('a' + i), '\0'};
    fuzz_seed(name, edits[i], i < 4 ? 1 : i < sizeof edits / sizeof *edits - 1 ? 5 : 9);
  }
}

// Changes `file`, which has room for 255 bytes more than the sample; returns its size.
static size_t edit(fuzz_bytes *b, uint8_t *file) {
  size_t bytes = sample_bytes;
  while (b->left > 0) {
    uint8_t kind = fuzz_take(b);
    size_t place = (size_t)fuzz_take(b) << 8;
    place |= fuzz_take(b);
    uint8_t value = fuzz_take(b);
    uint64_t number = kind % 4 == 3 ? (uint64_t)fuzz_take_number(b) : 0;
    if (kind % 4 == 0 && place < bytes) file[place] ^= value;
    if (kind % 4 == 1 && place < bytes) bytes = place;
    if (kind % 4 == 2 && bytes + value <= sample_bytes + 255) memset(file + bytes, value, value), bytes += value;
    if (kind % 4 == 3) memcpy(file + 16, &number, sizeof number);
  }
  return bytes;
}

static void mend(uint8_t *file, size_t bytes, uint8_t how) {
  if (bytes < TW_SEAL_HEADER) return;
  uint64_t size;
  memcpy(&size, file + 16, sizeof size);
  size_t tags = TW_SEAL_TAG * (size_t)(size % (1 << 30) / TW_SEAL_CHUNK + 1);
  if (how & 1 && tags <= bytes - TW_SEAL_HEADER)
    crypto_generichash(file + TW_SEAL_TAGS_DIGEST_AT, 32, file + TW_SEAL_HEADER, tags, NULL, 0);
  if (how & 2)
    fuzz_must(tw_site_sign(&sender, TW_SEAL_CONTEXT, file, TW_SEAL_SIGNATURE_AT, file + TW_SEAL_SIGNATURE_AT) == TW_OK,
              "a signature");
}

// What the recipient would read once it is decrypted, here the edits alone.
static void look_inside(const uint8_t *file) {
  tw_seal_about about;
  uint8_t block[TW_SEAL_ABOUT], again[TW_SEAL_ABOUT];
  for (size_t i = 0; i < sizeof block; i++) block[i] = file[TW_SEAL_ABOUT_AT + i] ^ sample[TW_SEAL_ABOUT_AT + i];
  if (tw_seal_about_get("input", block, &about) != TW_OK) return;
  tw_seal_about_put(&about, again);
  fuzz_must(memcmp(again, block, sizeof again) == 0, "what was read is written alike");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  tw_sealed *sealed;
  tw_seal_public public;
  uint8_t how = fuzz_take(&b), *file = calloc(1, sample_bytes + 255);
  memcpy(file, sample, sample_bytes);
  size_t n = edit(&b, file);
  mend(file, n, how);
  if (n >= TW_SEAL_HEADER) look_inside(file);
  fuzz_write("in.sealed", file, n);
  free(file);
  (void)tw_sealed_look(fuzz_path("in.sealed"), &public);
  if (tw_sealed_open(fuzz_path("in.sealed"), &recipient, &sender.self, &sealed) != TW_OK) return 0;
  fuzz_remove("out");
  if (tw_unseal_file(sealed, fuzz_path("out"), NULL) == TW_OK) {
    uint8_t *out = fuzz_read(fuzz_path("out"), &n);
    fuzz_must(n == PLAIN && memcmp(out, plain, n) == 0, "what is accepted is what was sealed");
    free(out);
  }
  tw_sealed_close(sealed);
  return 0;
}
