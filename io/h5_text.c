// Datasets of variable-length UTF-8 strings; the only data that pass through HDF5 itself.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/h5.h"

static hid_t text_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0) return type;
  if (type >= 0) H5Tclose(type);
  return -1;
}

// Over the bytes with their terminators.
static uint32_t crc_of(int count, char *const *texts, size_t *bytes) {
  uint32_t crc = 0;
  *bytes = 0;
  for (int i = 0; i < count; i++) {
    size_t size = strlen(texts[i]) + 1;
    crc = tw_crc32c(crc, texts[i], size);
    *bytes += size;
  }
  return crc;
}

tw_status tw_h5_put_texts(tw_h5 *f, const char *name, int count, char *const *texts) {
  hsize_t shape[1] = {(hsize_t)count};
  size_t bytes;
  uint32_t crc = crc_of(count, texts, &bytes);
  hid_t type = text_type(), space = H5Screate_simple(1, shape, NULL), set = -1;
  if (type >= 0 && space >= 0) set = H5Dcreate2(f->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  bool done = set >= 0 && (count == 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts) >= 0);
  tw_status status = done ? TW_OK : tw_h5_fail(TW_ERR_IO, f, "dataset", name, "cannot be written");
  if (set >= 0) H5Dclose(set);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return status == TW_OK ? tw_h5_put_int(f, name, "crc32c", (int64_t)crc) : status;
}

void tw_h5_free_texts(char **texts, int count) {
  if (!texts) return;
  for (int i = 0; i < count; i++) free(texts[i]);
  tw_free(texts);
}

static tw_status copy_texts(const tw_h5 *f, const char *name, int count, char *const *from, char **to) {
  size_t bytes;
  int64_t stored;
  for (int i = 0; i < count; i++) {
    to[i] = strdup(from[i] ? from[i] : "");
    if (!to[i]) return tw_fail(TW_ERR_MEMORY, "%s: dataset %s: out of memory", f->path, name);
  }
  uint32_t crc = crc_of(count, to, &bytes);
  TW_TRY(tw_h5_get_int(f, name, "crc32c", 0, UINT32_MAX, &stored));
  if ((uint32_t)stored != crc)
    return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: checksum mismatch: damaged; make or copy the file again", f->path,
                   name);
  return TW_OK;
}

static tw_status read_texts(const tw_h5 *f, const char *name, hid_t type, int count, char **to) {
  uint64_t offset;
  hsize_t shape[1] = {(hsize_t)count};
  char **raw = NULL;
  TW_TRY(tw_h5_locate(f, name, type, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)count * sizeof *raw, (void **)&raw));
  hid_t set = H5Dopen2(f->file, name, H5P_DEFAULT), space = set >= 0 ? H5Dget_space(set) : -1;
  tw_status status = TW_OK;
  if (space < 0 || (count > 0 && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0))
    status = tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "cannot be read: truncated or damaged");
  if (status == TW_OK) status = copy_texts(f, name, count, raw, to);
  if (space >= 0 && count > 0) H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
  if (space >= 0) H5Sclose(space);
  if (set >= 0) H5Dclose(set);
  tw_free(raw);
  return status;
}

tw_status tw_h5_get_texts(const tw_h5 *f, const char *name, int count, char ***texts) {
  *texts = NULL;
  hid_t type = text_type();
  if (type < 0) return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", name, "no string type");
  tw_status status = tw_alloc((size_t)count * sizeof **texts, (void **)texts);
  if (status == TW_OK) status = read_texts(f, name, type, count, *texts);
  H5Tclose(type);
  if (status != TW_OK) {
    tw_h5_free_texts(*texts, count);
    *texts = NULL;
  }
  return status;
}
