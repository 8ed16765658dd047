#include "app/bench/limits.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/models/import.h"
#include "kernels/backend.h"
#include "kernels/device.h"

enum { RECORD = 16384, COPY_BYTES = 256 << 20, COPIES = 5 };

static tw_status seal_all(EVP_CIPHER_CTX *c, const uint8_t *from, uint8_t *to, size_t bytes, size_t total) {
  uint8_t nonce[12] = {0};
  for (size_t at = 0; at < total; at += RECORD) {
    int n;
    size_t in = at % bytes;
    memcpy(nonce, &at, sizeof at);
    if (EVP_EncryptInit_ex(c, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(c, to + in, &n, from + in, RECORD) != 1 || EVP_EncryptFinal_ex(c, to + in, &n) != 1)
      return tw_fail(TW_ERR_INTERNAL, "AES-128-GCM fails");
  }
  return TW_OK;
}

tw_status tw_bench_cipher(const uint8_t *from, uint8_t *to, size_t bytes, size_t total, double *seconds, int repeats) {
  static const uint8_t key[16] = {1};  // of nothing
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  tw_status status = c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, NULL) == 1
                         ? TW_OK
                         : tw_fail(TW_ERR_INTERNAL, "no AES-128-GCM");
  for (int i = 0; i < repeats && status == TW_OK; i++) {
    double start = tw_seconds();
    status = seal_all(c, from, to, bytes, total);
    seconds[i] = tw_seconds() - start;
  }
  EVP_CIPHER_CTX_free(c);
  return status;
}

#ifdef TWAIN_CUDA
static tw_status best_copy(void *stream, const void *device, void *pinned, double *rate) {
  *rate = 0;
  for (int i = 0; i < COPIES; i++) {
    double start = tw_seconds();
    TW_TRY(tw_device_copy_out(pinned, device, COPY_BYTES, stream));
    TW_TRY(tw_device_wait(stream));
    double found = COPY_BYTES / (tw_seconds() - start);
    if (found > *rate) *rate = found;
  }
  return TW_OK;
}

tw_status tw_bench_copy_rate(double *rate) {
  void *stream = NULL, *device = NULL, *pinned = NULL;
  tw_status status = tw_device_stream_create(&stream);
  if (status == TW_OK) status = tw_cuda_backend.alloc(COPY_BYTES, &device);
  if (status == TW_OK) status = tw_pinned_alloc(COPY_BYTES, &pinned);
  if (status == TW_OK) status = best_copy(stream, device, pinned, rate);
  tw_pinned_free(pinned, COPY_BYTES);
  if (device) tw_cuda_backend.release(device, COPY_BYTES);
  tw_device_stream_destroy(stream);
  return status;
}
#endif

tw_status tw_bench_dealer(const tw_bench_settings *s, tw_plan *plan, tw_model_dealer *dealer) {
  TW_TRY(tw_shape_config(s->model, &dealer->config));
  if (s->layers > 0 && s->layers < dealer->config.layers) dealer->config.layers = (int)s->layers;
  tw_plan_request request = {.seq = (int)s->seq};
  TW_TRY(tw_choices_of(&nothing_chosen, &dealer->config, &request));
  TW_TRY(tw_plan_make(&dealer->config, &request, NULL, plan));
  TW_TRY(tw_seed_alloc(2 * sizeof dealer->mask_seed[0], (void **)&dealer->mask_seed));
  randombytes_buf(dealer->mask_seed, 2 * sizeof dealer->mask_seed[0]);
  tw_id_random(&dealer->model_id);
  return TW_OK;
}
