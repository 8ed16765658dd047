// A party's model file and the dealer's.
#include <sodium.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/h5.h"
#include "io/model.h"
#include "io/tensors.h"

static const tw_h5_kind share_kind = {"twain-model-share", "model-share", true, true, "twain share", TW_UPGRADE};
static const tw_h5_kind dealer_kind = {"twain-model-dealer", "model-dealer", false, true, "twain share", TW_UPGRADE};

typedef char tensor_name[TW_TENSOR_NAME];

static tw_status put_norms(tw_h5 *f, double weight, double bias, bool centred) {
  TW_TRY(tw_h5_put_int(f, "/", "centred", centred));
  TW_TRY(tw_h5_put_real(f, "/", "norm_weight", weight));
  return tw_h5_put_real(f, "/", "norm_bias", bias);
}

// Who says nothing of it did not centre: earlier versions did not.
static tw_status get_norms(const tw_h5 *f, double *weight, double *bias, bool *centred) {
  if (tw_h5_has_attribute(f, "centred")) TW_TRY(tw_h5_get_bool(f, "centred", centred));
  TW_TRY(tw_h5_get_real(f, "/", "norm_weight", weight));
  TW_TRY(tw_h5_get_real(f, "/", "norm_bias", bias));
  if (*weight > 0 && *bias > 0) return TW_OK;
  return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "norm_weight, norm_bias", "not above 0; run `twain share` again");
}

// ---- a prefix: in a file without one, nothing

static tw_status put_prefix(tw_h5 *f, const tw_prefix_facts *prefix) {
  if (!prefix->rows) return TW_OK;
  TW_TRY(tw_h5_put_int(f, "/", "prefix_rows", prefix->rows));
  return tw_h5_put_digest(f, "prefix", &prefix->digest);
}

static tw_status get_prefix(const tw_h5 *f, const tw_model_config *config, tw_prefix_facts *prefix) {
  if (!tw_h5_has_attribute(f, "prefix_rows")) return TW_OK;
  TW_TRY(tw_h5_get_small(f, "prefix_rows", 1, TW_MOST_TOKENS - 1, &prefix->rows));
  TW_TRY(tw_h5_get_digest(f, "prefix", &prefix->digest));
  if (tw_decoder_layout_of(config)) return TW_OK;
  return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "prefix_rows", "a prefix of a model that is no decoder");
}

static tw_status check_seed(const tw_h5 *f, const char *name, const uint8_t *seeds, int count) {
  for (int i = 0; i < count; i++)
    if (sodium_is_zero(seeds + 32 * i, 32))
      return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: all zero; run `twain share` again", f->path, name);
  return TW_OK;
}

// ---- a party's, written

struct tw_model_share_file {
  tw_h5 f;
  tw_output out;
  int count;
  tensor_name *names;
  int *numbers;  // of the datasets
};

static tw_status declare(tw_model_share_file *file, const tw_model_share *share) {
  tw_h5 *f = &file->f;
  TW_TRY(tw_alloc((size_t)file->count * sizeof *file->names, (void **)&file->names));
  TW_TRY(tw_alloc((size_t)file->count * sizeof *file->numbers, (void **)&file->numbers));
  TW_TRY(tw_h5_put_config(f, &share->config));
  TW_TRY(tw_h5_put_id(f, "model_id", &share->model_id));
  TW_TRY(put_norms(f, share->norm_weight, share->norm_bias, share->centred));
  TW_TRY(tw_h5_put(f, "mask_seed", H5T_STD_U8LE, 1, (hsize_t[]){32}, share->mask_seed));
  TW_TRY(put_prefix(f, &share->prefix));
  if (share->prefix.rows)
    TW_TRY(tw_h5_put(f, "prefix_mask_seed", H5T_STD_U8LE, 1, (hsize_t[]){32}, share->prefix_seed));
  for (int i = 0; i < file->count; i++) {
    size_t rows, cols;
    tw_shared_shape(&share->config, share->prefix.rows, i, file->names[i], &rows, &cols);
    TW_TRY(tw_h5_put_later(f, file->names[i], H5T_STD_U64LE, 2, (hsize_t[]){rows, cols}, &file->numbers[i]));
  }
  return tw_h5_begin(f, &file->out);
}

tw_status tw_model_share_begin(const char *path, const tw_model_share *share, tw_model_share_file **out) {
  tw_model_share_file *file;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *file, (void **)&file));
  file->out.fd = -1;
  file->count = tw_shared_count(&share->config, share->prefix.rows);
  tw_status status = tw_h5_create(&file->f, path, &share_kind, share->party);
  if (status != TW_OK) {
    tw_free(file);
    return status;
  }
  status = declare(file, share);
  if (status == TW_OK)
    *out = file;
  else
    tw_model_share_end(file, status);
  return status;
}

tw_status tw_model_share_add(tw_model_share_file *file, int number, const uint64_t *masked, size_t n) {
  return tw_h5_add(&file->f, &file->out, file->numbers[number], masked, n * sizeof *masked);
}

tw_status tw_model_share_end(tw_model_share_file *file, tw_status status) {
  if (!file) return status;
  status = tw_h5_end(&file->f, &file->out, status);
  tw_free(file->names);
  tw_free(file->numbers);
  tw_free(file);
  return status;
}

static tw_status check_shapes(const char *path, const tw_model_share *share) {
  if (share->count != tw_shared_count(&share->config, share->prefix.rows))
    return tw_fail(TW_ERR_INTERNAL, "%s: %d tensors for %d layers", path, share->count, share->config.layers);
  for (int i = 0; i < share->count; i++) {
    tensor_name name;
    size_t rows, cols;
    tw_shared_shape(&share->config, share->prefix.rows, i, name, &rows, &cols);
    if (rows != share->rows[i] || cols != share->cols[i])
      return tw_fail(TW_ERR_INTERNAL, "%s: tensor %s is [%zu][%zu], expected [%zu][%zu]", path, name, share->rows[i],
                     share->cols[i], rows, cols);
  }
  return TW_OK;
}

tw_status tw_model_share_write(const char *path, const tw_model_share *share) {
  tw_model_share_file *file;
  TW_TRY(check_shapes(path, share));
  TW_TRY(tw_model_share_begin(path, share, &file));
  tw_status status = TW_OK;
  for (int i = 0; i < share->count && status == TW_OK; i++)
    status = tw_model_share_add(file, i, share->masked[i], share->rows[i] * share->cols[i]);
  return tw_model_share_end(file, status);
}

// ---- a party's, read

static tw_status allocate_share(const tw_h5 *f, const tw_model_config *config, tw_model_share *share) {
  int count = tw_shared_count(config, share->prefix.rows);
  share->config = *config;
  TW_TRY(tw_alloc((size_t)count * sizeof *share->rows, (void **)&share->rows));
  TW_TRY(tw_alloc((size_t)count * sizeof *share->cols, (void **)&share->cols));
  TW_TRY(tw_alloc((size_t)count * sizeof *share->masked, (void **)&share->masked));
  for (int i = 0; i < count; i++) {
    tensor_name name;
    uint64_t offset;
    tw_shared_shape(config, share->prefix.rows, i, name, &share->rows[i], &share->cols[i]);
    TW_TRY(tw_h5_locate(f, name, H5T_STD_U64LE, 2, (hsize_t[]){share->rows[i], share->cols[i]}, &offset));
  }
  share->count = count;
  for (int i = 0; i < count; i++)
    TW_TRY(tw_secret_alloc(share->rows[i] * share->cols[i] * sizeof(uint64_t), (void **)&share->masked[i]));
  return TW_OK;
}

static tw_status get_seed(const tw_h5 *f, const char *name, uint8_t **out) {
  TW_TRY(tw_seed_alloc(32, (void **)out));
  TW_TRY(tw_h5_get(f, name, H5T_STD_U8LE, 1, (hsize_t[]){32}, *out));
  return check_seed(f, name, *out, 1);
}

static tw_status get_share(const tw_h5 *f, tw_model_share *share) {
  tw_model_config config;
  share->party = f->party;
  TW_TRY(tw_h5_get_config(f, &config));
  TW_TRY(tw_h5_get_id(f, "model_id", &share->model_id));
  TW_TRY(get_norms(f, &share->norm_weight, &share->norm_bias, &share->centred));
  TW_TRY(get_seed(f, "mask_seed", &share->mask_seed));
  TW_TRY(get_prefix(f, &config, &share->prefix));
  if (share->prefix.rows) TW_TRY(get_seed(f, "prefix_mask_seed", &share->prefix_seed));
  TW_TRY(allocate_share(f, &config, share));
  for (int i = 0; i < share->count; i++) {
    tensor_name name;
    size_t rows, cols;
    tw_shared_shape(&config, share->prefix.rows, i, name, &rows, &cols);
    TW_TRY(tw_h5_get(f, name, H5T_STD_U64LE, 2, (hsize_t[]){rows, cols}, share->masked[i]));
  }
  return TW_OK;
}

tw_status tw_model_share_read_version(const char *path, int party, int version, tw_model_share *share) {
  tw_h5 f;
  *share = (tw_model_share){0};
  TW_TRY(tw_h5_open_version(&f, path, &share_kind, party, version));
  tw_status status = get_share(&f, share);
  tw_h5_close(&f);
  tw_wipe_stack();
  if (status != TW_OK) tw_model_share_free(share);
  return status;
}

tw_status tw_model_share_read(const char *path, int party, tw_model_share *share) {
  return tw_model_share_read_version(path, party, TW_FORMAT_VERSION, share);
}

void tw_model_share_free(tw_model_share *share) {
  for (int i = 0; share->masked && i < share->count; i++)
    tw_secret_free(share->masked[i], share->rows[i] * share->cols[i] * sizeof(uint64_t));
  tw_free(share->masked);
  tw_free(share->rows);
  tw_free(share->cols);
  tw_seed_free(share->mask_seed, 32);
  tw_seed_free(share->prefix_seed, 32);
  *share = (tw_model_share){0};
}

// ---- the dealer's

static tw_status put_dealer(tw_h5 *f, const tw_model_dealer *dealer) {
  TW_TRY(tw_h5_put_config(f, &dealer->config));
  TW_TRY(tw_h5_put_id(f, "model_id", &dealer->model_id));
  TW_TRY(put_norms(f, dealer->norm_weight, dealer->norm_bias, dealer->centred));
  TW_TRY(tw_h5_put(f, "mask_seeds", H5T_STD_U8LE, 2, (hsize_t[]){2, 32}, dealer->mask_seed));
  if (!dealer->prefix.rows) return TW_OK;
  TW_TRY(put_prefix(f, &dealer->prefix));
  return tw_h5_put(f, "prefix_mask_seeds", H5T_STD_U8LE, 2, (hsize_t[]){2, 32}, dealer->prefix_seed);
}

tw_status tw_model_dealer_write(const char *path, const tw_model_dealer *dealer) {
  tw_h5 f;
  TW_TRY(tw_h5_create(&f, path, &dealer_kind, -1));
  return tw_h5_finish(&f, put_dealer(&f, dealer));
}

static tw_status get_seeds(const tw_h5 *f, const char *name, uint8_t (**out)[32]) {
  TW_TRY(tw_seed_alloc(2 * 32, (void **)out));
  TW_TRY(tw_h5_get(f, name, H5T_STD_U8LE, 2, (hsize_t[]){2, 32}, *out));
  return check_seed(f, name, (*out)[0], 2);
}

static tw_status get_dealer(const tw_h5 *f, tw_model_dealer *dealer) {
  TW_TRY(tw_h5_get_config(f, &dealer->config));
  TW_TRY(tw_h5_get_id(f, "model_id", &dealer->model_id));
  TW_TRY(get_norms(f, &dealer->norm_weight, &dealer->norm_bias, &dealer->centred));
  TW_TRY(get_seeds(f, "mask_seeds", &dealer->mask_seed));
  TW_TRY(get_prefix(f, &dealer->config, &dealer->prefix));
  return dealer->prefix.rows ? get_seeds(f, "prefix_mask_seeds", &dealer->prefix_seed) : TW_OK;
}

tw_status tw_model_dealer_read_version(const char *path, int version, tw_model_dealer *dealer) {
  tw_h5 f;
  *dealer = (tw_model_dealer){0};
  TW_TRY(tw_h5_open_version(&f, path, &dealer_kind, -1, version));
  tw_status status = get_dealer(&f, dealer);
  tw_h5_close(&f);
  tw_wipe_stack();
  if (status != TW_OK) tw_model_dealer_free(dealer);
  return status;
}

tw_status tw_model_dealer_read(const char *path, tw_model_dealer *dealer) {
  return tw_model_dealer_read_version(path, TW_FORMAT_VERSION, dealer);
}

void tw_model_dealer_free(tw_model_dealer *dealer) {
  tw_seed_free(dealer->mask_seed, 2 * 32);
  tw_seed_free(dealer->prefix_seed, 2 * 32);
  *dealer = (tw_model_dealer){0};
}
