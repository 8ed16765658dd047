// Reading files whole, for whoever wants to know whether they arrived.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/client.h"
#include "io/keys.h"
#include "io/model.h"
#include "io/result.h"
#include "io/seal_files.h"

// ---- by kind; party: of the file, -1 where it has none

static tw_status check_share(const char *path, int party) {
  tw_model_share share;
  TW_TRY(tw_model_share_read(path, party, &share));
  tw_model_share_free(&share);
  return TW_OK;
}

static tw_status check_dealer(const char *path, int party) {
  tw_model_dealer dealer;
  (void)party;
  TW_TRY(tw_model_dealer_read(path, &dealer));
  tw_model_dealer_free(&dealer);
  return TW_OK;
}

static tw_status check_client(const char *path, int party) {
  tw_client client;
  (void)party;
  TW_TRY(tw_client_read(path, &client));
  tw_client_free(&client);
  return TW_OK;
}

static tw_status check_input(const char *path, int party) {
  tw_input_share share;
  TW_TRY(tw_input_share_read(path, party, &share));
  tw_input_share_free(&share);
  return TW_OK;
}

static tw_status check_result(const char *path, int party) {
  tw_result_share share;
  TW_TRY(tw_result_share_read(path, party, &share));
  tw_result_share_free(&share);
  return TW_OK;
}

// A slot whose seed is erased has been used: its chunks are whole all the same.
static tw_status check_slot(tw_keys *keys, uint64_t slot, uint8_t *seed, uint8_t *chunk) {
  tw_key_stream *stream;
  tw_status status = tw_keys_seed(keys, slot, seed);
  tw_wipe(seed, 32);
  if (status != TW_OK && status != TW_ERR_USED) return status;
  TW_TRY(tw_key_stream_create(keys, slot, &stream));
  uint64_t bytes = tw_keys_get_info(keys)->slot_bytes, chunks = bytes / TW_KEY_CHUNK + (bytes % TW_KEY_CHUNK != 0);
  status = TW_OK;
  for (uint64_t i = 0; status == TW_OK && i < chunks; i++) status = tw_key_stream_chunk(stream, i, chunk);
  tw_key_stream_destroy(stream);
  return status;
}

static tw_status check_keys(const char *path, int party) {
  tw_keys *keys;
  uint8_t *seed = NULL, *chunk = NULL;
  TW_TRY(tw_keys_open(path, party, &keys));
  tw_status status = tw_seed_alloc(32, (void **)&seed);
  if (status == TW_OK) status = tw_secret_alloc(TW_KEY_CHUNK, (void **)&chunk);
  for (uint64_t i = 0; status == TW_OK && i < tw_keys_get_info(keys)->count; i++)
    status = check_slot(keys, i, seed, chunk);
  tw_secret_free(chunk, TW_KEY_CHUNK);
  tw_seed_free(seed, 32);
  tw_keys_close(keys);
  return status;
}

tw_status tw_plain_check(const char *path, const tw_seal_about *about) {
  static const struct {
    const char *format;
    tw_status (*check)(const char *path, int party);
  } kinds[] = {{"twain-model-share", check_share}, {"twain-model-dealer", check_dealer}, {"twain-client", check_client},
               {"twain-input-share", check_input}, {"twain-result-share", check_result}, {"twain-keys", check_keys}};
  size_t n = strlen(about->role);
  int party = n > 1 && about->role[n - 2] == '-' ? about->role[n - 1] - '0' : -1;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(about->format, kinds[i].format) == 0) return kinds[i].check(path, party);
  return tw_fail(TW_ERR_FORMAT,
                 "%s: is no file that is handed over: shares, keys, the dealer's and the client's file are, and sealed "
                 "files",
                 path);
}

tw_status tw_file_sha256(const char *path, char hex[65]) {
  enum { BLOCK = 1 << 16 };
  uint8_t block[BLOCK], digest[32];
  ssize_t got = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  EVP_MD_CTX *c = EVP_MD_CTX_new();
  bool good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
  while (good && (got = read(fd, block, sizeof block)) > 0) good = EVP_DigestUpdate(c, block, (size_t)got) == 1;
  int error = errno;
  good = good && got == 0 && EVP_DigestFinal_ex(c, digest, NULL) == 1;
  EVP_MD_CTX_free(c);
  close(fd);
  tw_wipe(block, sizeof block);
  if (!good) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path, got < 0 ? strerror(error) : "no digest");
  sodium_bin2hex(hex, 65, digest, sizeof digest);
  return TW_OK;
}
