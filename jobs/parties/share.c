#include "jobs/parties/share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/fold.h"
#include "kernels/pack.h"
#include "kernels/prg.h"

void tw_fixed_free(uint64_t **tensors, int count) {
  for (int i = 0; tensors && i < count; i++) tw_free(tensors[i]);
  tw_free(tensors);
}

tw_status tw_fix_values(const tw_model_config *config, int number, size_t first, size_t n, const float *values,
                        uint64_t *out) {
  char name[TW_TENSOR_NAME];
  size_t rows, cols, folded;
  const tw_tensor_entry *entry = tw_model_tensor_entry(config, number);
  tw_model_tensor_shape(config, number, name, &rows, &cols);
  double fold = tw_tensor_fold(config, entry, &folded);
  for (size_t i = 0; i < n; i++) {
    size_t col = (first + i) % cols;
    double v = rint(ldexp((double)values[i] * (col < folded ? fold : 1), entry->scale));
    // products of weights and activations stay exact far above any real weight
    if (!(fabs(v) < 0x1p40))
      return tw_fail(TW_ERR_RANGE, "tensor %s: element [%zu][%zu] = %g cannot be shared at scale %d", name,
                     (first + i) / cols, col, (double)values[i], entry->scale);
    out[i] = (uint64_t)(int64_t)v;
  }
  return TW_OK;
}

void tw_mask_values(const tw_seed seeds[2], int number, size_t first, size_t n, uint64_t *mask, uint64_t *values) {
  for (int party = 0; party < 2; party++) {
    tw_prg_ring(&seeds[party], (uint32_t)number, 0, 64, first, n, mask);
    for (size_t j = 0; j < n; j++) values[j] += mask[j];
  }
}

tw_status tw_fixed_tensors(const tw_model *model, uint64_t ***out) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)model->count, &memory));
  uint64_t **tensors = memory;
  tw_status status = TW_OK;
  for (int i = 0; i < model->count && status == TW_OK; i++) {
    const tw_model_tensor *t = &model->tensors[i];
    status = tw_alloc(8 * t->rows * t->cols, &memory);
    tensors[i] = memory;
    if (status == TW_OK) status = tw_fix_values(&model->config, i, 0, t->rows * t->cols, t->values, tensors[i]);
  }
  if (status != TW_OK) {
    tw_fixed_free(tensors, model->count);
    return status;
  }
  *out = tensors;
  return TW_OK;
}

// The integers become W^ in place.
static tw_status mask_tensors(const tw_model *model, const tw_seed seeds[2], uint64_t **tensors) {
  for (int i = 0; i < model->count; i++) {
    size_t n = model->tensors[i].rows * model->tensors[i].cols;
    void *memory;
    TW_TRY(tw_secret_alloc(8 * n, &memory));
    tw_mask_values(seeds, i, 0, n, memory, tensors[i]);
    tw_secret_free(memory, 8 * n);
  }
  return TW_OK;
}

static tw_status describe_share(const tw_model *model, tw_model_share *share) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)model->count, &memory));
  share->rows = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)model->count, &memory));
  share->cols = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)model->count, &memory));
  share->masked = memory;
  share->config = model->config;
  share->count = model->count;
  for (int i = 0; i < model->count; i++) {
    share->rows[i] = model->tensors[i].rows;
    share->cols[i] = model->tensors[i].cols;
    TW_TRY(tw_alloc(8 * share->rows[i] * share->cols[i], &memory));
    share->masked[i] = memory;
  }
  return TW_OK;
}

void tw_bounds_of_norms(const tw_model *model, double *weight, double *bias) {
  *weight = *bias = 1;
  for (int layer = 0; layer < model->config.layers; layer++) {
    tw_bounds b = tw_bounds_of_layer(model, layer);
    *weight = fmax(*weight, b.norm_weight);
    *bias = fmax(*bias, b.norm_bias);
  }
  tw_norm_bounds top = tw_bounds_of_top(model);
  *weight = fmax(*weight, top.norm_weight);
  *bias = fmax(*bias, top.norm_bias);
}

tw_status tw_share_model_with(const tw_model *model, const tw_seed seeds[2], tw_model_share out[2],
                              tw_model_dealer *dealer) {
  uint64_t **tensors = NULL;
  memset(out, 0, 2 * sizeof *out);
  memset(dealer, 0, sizeof *dealer);
  dealer->config = model->config;
  tw_id_random(&dealer->model_id);
  tw_bounds_of_norms(model, &dealer->norm_weight, &dealer->norm_bias);
  tw_status status = tw_fixed_tensors(model, &tensors);
  if (status == TW_OK) status = tw_seed_alloc(2 * 32, (void **)&dealer->mask_seed);
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    memcpy(dealer->mask_seed[party], seeds[party].key, 32);
    status = tw_seed_alloc(32, (void **)&out[party].mask_seed);
    if (status == TW_OK) memcpy(out[party].mask_seed, seeds[party].key, 32);
    if (status == TW_OK) status = describe_share(model, &out[party]);
    out[party].model_id = dealer->model_id;
    out[party].party = party;
    out[party].norm_weight = dealer->norm_weight;
    out[party].norm_bias = dealer->norm_bias;
  }
  if (status == TW_OK) status = mask_tensors(model, seeds, tensors);
  for (int i = 0; i < model->count && status == TW_OK; i++)
    for (int party = 0; party < 2; party++)
      memcpy(out[party].masked[i], tensors[i], 8 * out[party].rows[i] * out[party].cols[i]);
  tw_fixed_free(tensors, model->count);
  if (status != TW_OK) {
    tw_model_share_free(&out[0]);
    tw_model_share_free(&out[1]);
    tw_model_dealer_free(dealer);
  }
  return status;
}
