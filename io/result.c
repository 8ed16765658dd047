// The client's revealed result.
#include "io/result.h"

#include <string.h>

#include "base/memory.h"
#include "io/h5.h"
#include "io/origins_parts.h"
#include "io/result_parts.h"

static const tw_h5_kind kind = {"twain-result", "result",       false,
                                false,          "twain reveal", "only the twain that wrote it reads it"};

static tw_status put_result(tw_h5 *f, const tw_result *r) {
  TW_TRY(tw_h5_put_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_put_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_put_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_put_text(f, "/", "output", r->output));
  TW_TRY(tw_h5_put_int(f, "/", "normalised", r->normalised));
  TW_TRY(tw_h5_put_int(f, "/", "count", r->count));
  TW_TRY(tw_h5_put_int(f, "/", "rows", r->rows));
  TW_TRY(tw_h5_put_int(f, "/", "cols", r->cols));
  TW_TRY(tw_h5_put(f, "lengths", H5T_STD_I32LE, 1, (hsize_t[]){(hsize_t)r->count}, r->lengths));
  TW_TRY(tw_origins_put(f, r->count, &r->origins));
  TW_TRY(tw_h5_put_int(f, "/", "guard", r->out_of_bound != NULL));
  if (r->out_of_bound)
    TW_TRY(tw_h5_put(f, "out_of_bound", H5T_STD_I64LE, 1, (hsize_t[]){(hsize_t)r->count}, r->out_of_bound));
  return tw_h5_put_f64(f, "values", 3, (hsize_t[]){(hsize_t)r->count, (hsize_t)r->rows, (hsize_t)r->cols}, r->values);
}

tw_status tw_result_write(const char *path, const tw_result *r) {
  tw_h5 f;
  TW_TRY(tw_h5_create(&f, path, &kind, -1));
  return tw_h5_finish(&f, put_result(&f, r));
}

static tw_status check_counts(const tw_h5 *f, const tw_result *r) {
  for (int i = 0; i < r->count; i++)
    if (r->out_of_bound[i] < 0 || r->out_of_bound[i] > UINT32_MAX)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset out_of_bound: sequence %d has a count of %lld", f->path, i,
                     (long long)r->out_of_bound[i]);
  return TW_OK;
}

// All but the values; their shape.
static tw_status get_result(const tw_h5 *f, hsize_t shape[3], tw_result *r) {
  uint64_t offset;
  bool guard;
  TW_TRY(tw_h5_get_bool(f, "guard", &guard));
  TW_TRY(tw_h5_get_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_get_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_get_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_get_text(f, "/", "output", r->output, sizeof r->output));
  TW_TRY(tw_h5_get_bool(f, "normalised", &r->normalised));
  TW_TRY(tw_h5_get_small(f, "count", 1, 1 << 24, &r->count));
  TW_TRY(tw_h5_get_small(f, "rows", 1, 1 << 20, &r->rows));
  TW_TRY(tw_result_check_output(f, r->output, r->rows));
  TW_TRY(tw_h5_get_small(f, "cols", 1, 1 << 24, &r->cols));
  memcpy(shape, (hsize_t[]){(hsize_t)r->count, (hsize_t)r->rows, (hsize_t)r->cols}, 3 * sizeof *shape);
  TW_TRY(tw_h5_locate(f, "lengths", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "values", H5T_IEEE_F64LE, 3, shape, &offset));
  TW_TRY(tw_alloc((size_t)r->count * sizeof *r->lengths, (void **)&r->lengths));
  TW_TRY(tw_h5_get(f, "lengths", H5T_STD_I32LE, 1, shape, r->lengths));
  TW_TRY(tw_result_check_lengths(f, r->output, r->rows, r->count, r->lengths));
  TW_TRY(tw_origins_get(f, r->count, &r->origins));
  if (guard) {
    TW_TRY(tw_h5_locate(f, "out_of_bound", H5T_STD_I64LE, 1, shape, &offset));
    TW_TRY(tw_alloc((size_t)r->count * sizeof *r->out_of_bound, (void **)&r->out_of_bound));
    TW_TRY(tw_h5_get(f, "out_of_bound", H5T_STD_I64LE, 1, shape, r->out_of_bound));
    TW_TRY(check_counts(f, r));
  }
  return TW_OK;
}

static tw_status get_values(const tw_h5 *f, const hsize_t shape[3], tw_result *r) {
  TW_TRY(tw_alloc((size_t)(shape[0] * shape[1] * shape[2]) * sizeof *r->values, (void **)&r->values));
  return tw_h5_get_f64(f, "values", 3, shape, r->values);
}

tw_status tw_result_read(const char *path, tw_result *r) {
  tw_h5 f;
  hsize_t shape[3];
  *r = (tw_result){0};
  TW_TRY(tw_h5_open(&f, path, &kind, -1));
  tw_status status = get_result(&f, shape, r);
  if (status == TW_OK) status = get_values(&f, shape, r);
  tw_h5_close(&f);
  if (status != TW_OK) tw_result_free(r);
  return status;
}

// ---- row by row

struct tw_result_rows {
  tw_h5 f;
  tw_h5_reader reader;
};

static tw_status begin_rows(const char *path, tw_result *r, tw_result_rows *rows) {
  TW_TRY(tw_h5_open_kept(&rows->f, path, &kind, -1));
  hsize_t shape[3];
  TW_TRY(get_result(&rows->f, shape, r));
  return tw_h5_read_begin(&rows->f, "values", H5T_IEEE_F64LE, 3, shape, &rows->reader);
}

tw_status tw_result_open(const char *path, tw_result *r, tw_result_rows **rows) {
  *r = (tw_result){0};
  TW_TRY(tw_alloc(sizeof **rows, (void **)rows));
  tw_status status = begin_rows(path, r, *rows);
  if (status == TW_OK) return TW_OK;
  tw_result_free(r);
  tw_result_rows_free(*rows);
  *rows = NULL;
  return status;
}

tw_status tw_result_next(tw_result_rows *rows, double *values) {
  return tw_h5_next_f64(&rows->f, &rows->reader, (size_t)(rows->reader.shape[1] * rows->reader.shape[2]), values);
}

void tw_result_rows_free(tw_result_rows *rows) {
  if (!rows) return;
  tw_h5_close(&rows->f);
  tw_free(rows);
}

void tw_result_free(tw_result *r) {
  tw_free(r->lengths);
  tw_free(r->values);
  tw_free(r->out_of_bound);
  tw_origins_free(&r->origins, r->count);
  *r = (tw_result){0};
}
