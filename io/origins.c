#include "io/origins.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/origins_parts.h"

static const char numbers_name[] = "text_numbers", chunks_name[] = "chunks", lines_name[] = "lines", ids_name[] = "ids";

static tw_status copy_numbers(const int *from, int count, int **out) {
  if (!from) return TW_OK;
  TW_TRY(tw_alloc((size_t)count * sizeof **out, (void **)out));
  memcpy(*out, from, (size_t)count * sizeof **out);
  return TW_OK;
}

tw_status tw_origins_copy(const tw_origins *from, int count, tw_origins *out) {
  *out = (tw_origins){NULL};
  TW_TRY(copy_numbers(from->texts, count, &out->texts));
  TW_TRY(copy_numbers(from->chunks, count, &out->chunks));
  TW_TRY(copy_numbers(from->lines, count, &out->lines));
  if (!from->ids) return TW_OK;
  TW_TRY(tw_alloc((size_t)count * sizeof *out->ids, (void **)&out->ids));
  for (int i = 0; i < count; i++)
    if (!(out->ids[i] = strdup(from->ids[i]))) return tw_fail(TW_ERR_MEMORY, "out of memory for ids");
  return TW_OK;
}

void tw_origins_free(tw_origins *o, int count) {
  tw_free(o->texts);
  tw_free(o->chunks);
  tw_free(o->lines);
  for (int i = 0; o->ids && i < count; i++) free(o->ids[i]);
  tw_free(o->ids);
  *o = (tw_origins){NULL};
}

static tw_status put_numbers(tw_h5 *f, const char *name, int count, const int *numbers) {
  return numbers ? tw_h5_put(f, name, H5T_STD_I32LE, 1, (hsize_t[]){(hsize_t)count}, numbers) : TW_OK;
}

tw_status tw_origins_put(tw_h5 *f, int count, const tw_origins *o) {
  TW_TRY(put_numbers(f, numbers_name, count, o->texts));
  TW_TRY(put_numbers(f, chunks_name, count, o->chunks));
  TW_TRY(put_numbers(f, lines_name, count, o->lines));
  return o->ids ? tw_h5_put_texts(f, ids_name, count, o->ids) : TW_OK;
}

static tw_status get_numbers(const tw_h5 *f, const char *name, int count, int low, int **out) {
  uint64_t offset;
  hsize_t shape[1] = {(hsize_t)count};
  if (!tw_h5_has(f, name)) return TW_OK;
  TW_TRY(tw_h5_locate(f, name, H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)count * sizeof **out, (void **)out));
  TW_TRY(tw_h5_get(f, name, H5T_STD_I32LE, 1, shape, *out));
  for (int i = 0; i < count; i++)
    if ((*out)[i] < low)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: sequence %d has %d, at least %d is possible", f->path, name, i,
                     (*out)[i], low);
  return TW_OK;
}

tw_status tw_origins_get(const tw_h5 *f, int count, tw_origins *out) {
  TW_TRY(get_numbers(f, numbers_name, count, 0, &out->texts));
  TW_TRY(get_numbers(f, chunks_name, count, 0, &out->chunks));
  TW_TRY(get_numbers(f, lines_name, count, 1, &out->lines));
  return tw_h5_has(f, ids_name) ? tw_h5_get_texts(f, ids_name, count, &out->ids) : TW_OK;
}
