#include "jobs/parties/share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/side_by_side.h"
#include "jobs/models/fold.h"
#include "kernels/pack.h"
#include "kernels/prg.h"

void tw_fixed_free(uint64_t **tensors, int count) {
  for (int i = 0; tensors && i < count; i++) tw_free(tensors[i]);
  tw_free(tensors);
}

tw_status tw_fix_values(const tw_model_config *config, int number, size_t first, size_t n, const float *values,
                        uint64_t *out) {
  enum { PIECE = 1024 };  // columns at a time
  char name[TW_TENSOR_NAME];
  size_t rows, cols;
  double piece[PIECE];
  tw_status status = TW_OK;
  const tw_tensor_entry *entry = tw_model_tensor_entry(config, number);
  tw_model_tensor_shape(config, number, name, &rows, &cols);
  for (size_t i = 0, count; i < n && status == TW_OK; i += count) {
    size_t col = i % cols, row = i - col;
    count = cols - col < PIECE ? cols - col : PIECE;
    tw_tensor_columns(config, entry, true, values + row, col, count, piece);
    for (size_t j = 0; j < count && status == TW_OK; j++) {
      // products of weights and activations stay exact far above any real weight
      if (!(fabs(piece[j]) < 0x1p40))
        status = tw_fail(TW_ERR_RANGE, "tensor %s: element [%zu][%zu] = %g cannot be shared at scale %d", name,
                         (first + i) / cols, col + j, (double)values[i + j], entry->scale);
      else
        out[i + j] = (uint64_t)(int64_t)piece[j];
    }
  }
  tw_wipe(piece, sizeof piece);
  return status;
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

static tw_status allocate_tensor(void *state, size_t number) {
  tw_model_share *share = state;
  return tw_alloc(8 * share->rows[number] * share->cols[number], (void **)&share->masked[number]);
}

static tw_status describe_share(const tw_model_config *config, tw_model_share *share) {
  int count = tw_model_tensor_count(config);
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)count, (void **)&share->rows));
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)count, (void **)&share->cols));
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)count, (void **)&share->masked));
  share->config = *config;
  share->count = count;
  for (int i = 0; i < count; i++) {
    char name[TW_TENSOR_NAME];
    tw_model_tensor_shape(config, i, name, &share->rows[i], &share->cols[i]);
  }
  return tw_side_by_side((size_t)count, 0, allocate_tensor, share);  // first touches take longest
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
  dealer->centred = tw_model_centres(&model->config);
  tw_id_random(&dealer->model_id);
  tw_bounds_of_norms(model, &dealer->norm_weight, &dealer->norm_bias);
  tw_status status = tw_fixed_tensors(model, &tensors);
  if (status == TW_OK) status = tw_seed_alloc(2 * 32, (void **)&dealer->mask_seed);
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    memcpy(dealer->mask_seed[party], seeds[party].key, 32);
    status = tw_seed_alloc(32, (void **)&out[party].mask_seed);
    if (status == TW_OK) memcpy(out[party].mask_seed, seeds[party].key, 32);
    if (status == TW_OK) status = describe_share(&model->config, &out[party]);
    out[party].model_id = dealer->model_id;
    out[party].party = party;
    out[party].norm_weight = dealer->norm_weight;
    out[party].norm_bias = dealer->norm_bias;
    out[party].centred = dealer->centred;
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

// ---- one party's, of a stream

// Of a norm's gamma or beta a copy stays, for the bounds.
static tw_status keep_norm(const tw_model_stream *model, int number, const float *values, size_t n, tw_model *norms) {
  tw_tensor_kind kind = tw_model_tensor_entry(&model->config, number)->kind;
  if (kind != TW_GAMMA && kind != TW_BETA) return TW_OK;
  TW_TRY(tw_alloc(n * sizeof *values, (void **)&norms->tensors[number].values));
  memcpy(norms->tensors[number].values, values, n * sizeof *values);
  return TW_OK;
}

// A tensor in parts of whole rows, which threads take.
typedef struct {
  const tw_model_config *config;
  const tw_seed *seeds;
  int number;
  size_t n, part;  // elements
  const float *values;
  uint64_t *masked;
} splitting;

static tw_status share_part(void *state, size_t number) {
  const splitting *s = state;
  uint64_t *mask;
  size_t at = number * s->part, n = s->n - at < s->part ? s->n - at : s->part;
  TW_TRY(tw_secret_alloc(n * sizeof *mask, (void **)&mask));
  tw_status status = tw_fix_values(s->config, s->number, at, n, s->values + at, s->masked + at);
  if (status == TW_OK) tw_mask_values(s->seeds, s->number, at, n, mask, s->masked + at);
  tw_secret_free(mask, n * sizeof *mask);
  return status;
}

static tw_status share_tensors(const tw_model_stream *model, const tw_seed seeds[2], tw_model_share *out,
                               tw_model *norms) {
  enum { PART = 1 << 17 };
  for (int i = 0; i < out->count; i++) {
    size_t cols = out->cols[i], n = out->rows[i] * cols;
    splitting s = {.config = &model->config, .seeds = seeds, .number = i, .n = n};
    s.part = cols < PART ? PART / cols * cols : cols;
    s.masked = out->masked[i];
    norms->tensors[i].rows = out->rows[i];
    norms->tensors[i].cols = cols;
    TW_TRY(model->read(model->state, i, &s.values));
    TW_TRY(keep_norm(model, i, s.values, n, norms));
    TW_TRY(tw_side_by_side((n + s.part - 1) / s.part, 0, share_part, &s));
  }
  return TW_OK;
}

static tw_status share_stream(const tw_model_stream *model, const tw_seed seeds[2], tw_model_share *out,
                              tw_model_dealer *dealer, tw_model *norms) {
  TW_TRY(tw_seed_alloc(2 * 32, (void **)&dealer->mask_seed));
  TW_TRY(tw_seed_alloc(32, (void **)&out->mask_seed));
  for (int party = 0; party < 2; party++) memcpy(dealer->mask_seed[party], seeds[party].key, 32);
  memcpy(out->mask_seed, seeds[out->party].key, 32);
  TW_TRY(describe_share(&model->config, out));
  TW_TRY(tw_alloc((size_t)norms->count * sizeof *norms->tensors, (void **)&norms->tensors));
  TW_TRY(share_tensors(model, seeds, out, norms));
  tw_bounds_of_norms(norms, &dealer->norm_weight, &dealer->norm_bias);
  dealer->centred = tw_model_centres(&model->config);
  out->norm_weight = dealer->norm_weight;
  out->norm_bias = dealer->norm_bias;
  out->centred = dealer->centred;
  return TW_OK;
}

tw_status tw_share_stream_with(const tw_model_stream *model, const tw_seed seeds[2], int party, tw_model_share *out,
                               tw_model_dealer *dealer) {
  tw_model norms = {.config = model->config, .count = tw_model_tensor_count(&model->config)};
  *dealer = (tw_model_dealer){.config = model->config};
  tw_id_random(&dealer->model_id);
  *out = (tw_model_share){.model_id = dealer->model_id, .party = party};
  tw_status status = share_stream(model, seeds, out, dealer, &norms);
  if (norms.tensors) tw_model_free(&norms);
  if (status != TW_OK) {
    tw_model_share_free(out);
    tw_model_dealer_free(dealer);
  }
  return status;
}
