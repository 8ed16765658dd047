#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/h5.h"

static tw_status open_file(tw_h5 *f) {
  struct stat info;
  if (stat(f->path, &info) == 0) f->bytes = (uint64_t)info.st_size;
  if (H5Fis_hdf5(f->path) <= 0)
    return tw_fail(TW_ERR_FORMAT, "%s: is not an HDF5 file, or cut off in its first bytes; make or copy it again",
                   f->path);
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access >= 0 && H5Pset_fapl_sec2(access) >= 0 && tw_h5_no_locks(access))
    f->file = H5Fopen(f->path, H5F_ACC_RDONLY, access);
  if (access >= 0) H5Pclose(access);
  if (f->file < 0)
    return tw_h5_fail(TW_ERR_FORMAT, f, "file", "header", "truncated or damaged; make or copy the file again");
  return TW_OK;
}

static tw_status check_role(tw_h5 *f, const tw_h5_kind *kind, int party) {
  char role[64];
  size_t stem = strlen(kind->role);
  TW_TRY(tw_h5_get_text(f, "/", "role", role, sizeof role));
  if (!kind->per_party) {
    if (strcmp(role, kind->role) == 0) return TW_OK;
    return tw_fail(TW_ERR_MISMATCH, "%s: has role \"%s\"; a file of role \"%s\" is needed (`%s` writes it)", f->path,
                   role, kind->role, kind->maker);
  }
  if (strncmp(role, kind->role, stem) != 0 || role[stem] != '-' || (role[stem + 1] != '0' && role[stem + 1] != '1') ||
      role[stem + 2] != '\0')
    return tw_fail(TW_ERR_MISMATCH, "%s: has role \"%s\"; a file of role \"%s-%d\" is needed (`%s` writes it)", f->path,
                   role, kind->role, party < 0 ? 0 : party, kind->maker);
  f->party = role[stem + 1] - '0';
  if (party >= 0 && f->party != party)
    return tw_fail(TW_ERR_MISMATCH,
                   "%s: belongs to party %d, but this is party %d; give each party its own file, and never the other's",
                   f->path, f->party, party);
  return TW_OK;
}

static tw_status check_version(const tw_h5 *f, const tw_h5_kind *kind, int wanted) {
  char version[16], number[16], remedy[128];
  TW_TRY(tw_h5_get_text(f, "/", "version", version, sizeof version));
  snprintf(number, sizeof number, "%d", wanted);
  if (strcmp(version, number) == 0) return TW_OK;
  snprintf(remedy, sizeof remedy, "`%s` writes it anew", kind->maker);
  return tw_format_other_version(f->path, kind->format, version, kind->renew ? kind->renew : remedy);
}

static tw_status check_header(tw_h5 *f, const tw_h5_kind *kind, int party, int version) {
  char format[64];
  if (tw_h5_get_text(f, "/", "format", format, sizeof format) != TW_OK || strncmp(format, "twain-", 6) != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: not written by twain (no attribute format); `%s` writes such files", f->path,
                   kind->maker);
  if (strcmp(format, kind->format) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s: is a %s file; a %s file is needed here (`%s` writes it)", f->path, format,
                   kind->format, kind->maker);
  TW_TRY(check_version(f, kind, version));
  return check_role(f, kind, party);
}

tw_status tw_h5_open_any(tw_h5 *f, const char *path) {
  *f = (tw_h5){.file = -1, .path = path, .party = -1, .memory = -1};
  TW_TRY(tw_file_check_readable(path, "twain", false));
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5Eclear2(H5E_DEFAULT);
  tw_status status = open_file(f);
  if (status != TW_OK) tw_h5_close(f);
  return status;
}

tw_status tw_h5_open_version(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party, int version) {
  *f = (tw_h5){.file = -1, .path = path, .party = -1, .memory = -1};
  TW_TRY(tw_file_check_readable(path, kind->maker, kind->secret));
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5Eclear2(H5E_DEFAULT);
  tw_status status = open_file(f);
  if (status == TW_OK) status = check_header(f, kind, party, version);
  if (status != TW_OK) tw_h5_close(f);
  return status;
}

tw_status tw_h5_open(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party) {
  return tw_h5_open_version(f, path, kind, party, TW_FORMAT_VERSION);
}

tw_status tw_h5_open_kept(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party) {
  char *kept = strdup(path);
  *f = (tw_h5){.file = -1, .memory = -1, .party = -1};
  if (!kept) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_h5_open(f, kept, kind, party);
  if (status == TW_OK)
    f->kept = kept;
  else
    free(kept);
  return status;
}

void tw_h5_close(tw_h5 *f) {
  if (f->file >= 0) H5Fclose(f->file);
  free(f->kept);
  *f = (tw_h5){.file = -1, .memory = -1, .party = -1};
}

// Only what lies in this file under this name: a soft or external link would have other files opened and read.
bool tw_h5_has(const tw_h5 *f, const char *name) {
  H5L_info_t link;
  if (strcmp(name, "/") == 0) return true;
  return H5Lexists(f->file, name, H5P_DEFAULT) > 0 && H5Lget_info(f->file, name, &link, H5P_DEFAULT) >= 0 &&
         link.type == H5L_TYPE_HARD && H5Oexists_by_name(f->file, name, H5P_DEFAULT) > 0;
}

static void print_shape(char text[160], int dims, const hsize_t *shape) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < dims && used < 140; i++)
    used += (size_t)snprintf(text + used, 160 - used, "[%llu]", (unsigned long long)shape[i]);
}

static tw_status check_shape(const tw_h5 *f, const char *name, hid_t set, int dims, const hsize_t *shape) {
  hsize_t stored[H5S_MAX_RANK];
  hid_t space = H5Dget_space(set);
  int found = space >= 0 && H5Sis_simple(space) > 0 ? H5Sget_simple_extent_ndims(space) : -1;
  if (found >= 0) H5Sget_simple_extent_dims(space, stored, NULL);
  if (space >= 0) H5Sclose(space);
  if (found < 0) return tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "has no shape");
  if (found == dims && memcmp(stored, shape, (size_t)dims * sizeof *shape) == 0) return TW_OK;
  char is[160], wanted[160];
  print_shape(is, found, stored);
  print_shape(wanted, dims, shape);
  return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: shape %s, expected %s; make the file again", f->path, name, is,
                 wanted);
}

// Contiguous, of this type and shape, and within the file: whatever is allocated for it is bounded by the file's size.
static tw_status open_dataset(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, hid_t *set,
                              size_t *bytes, uint64_t *offset) {
  size_t n = 0, size = H5Tget_size(type);
  *set = tw_h5_has(f, name) ? H5Dopen2(f->file, name, H5P_DEFAULT) : -1;
  if (*set < 0)
    return tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "is missing or damaged; make or copy the file again");
  tw_status status = check_shape(f, name, *set, dims, shape);
  hid_t stored = H5Dget_type(*set), list = H5Dget_create_plist(*set);
  if (status == TW_OK && (stored < 0 || H5Tequal(stored, type) <= 0))
    status = tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "has another type than expected");
  if (status == TW_OK && (list < 0 || H5Pget_layout(list) != H5D_CONTIGUOUS || H5Pget_external_count(list) != 0))
    status = tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "is not contiguous");
  if (status == TW_OK) status = tw_h5_elements(dims, shape, size, &n);
  *bytes = n * size;
  haddr_t at = H5Dget_offset(*set);
  if (status == TW_OK && n > 0 && (at == HADDR_UNDEF || at > f->bytes || *bytes > f->bytes - at))
    status = tw_h5_fail(TW_ERR_FORMAT, f, "dataset", name, "lies outside the file: truncated; copy the file again");
  *offset = n > 0 ? at : 0;
  if (stored >= 0) H5Tclose(stored);
  if (list >= 0) H5Pclose(list);
  if (status != TW_OK) H5Dclose(*set);
  return status;
}

tw_status tw_h5_locate(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, uint64_t *offset) {
  hid_t set;
  size_t bytes;
  TW_TRY(open_dataset(f, name, type, dims, shape, &set, &bytes, offset));
  H5Dclose(set);
  return TW_OK;
}

static tw_status check_crc(const tw_h5 *f, const char *name, uint32_t crc) {
  int64_t stored;
  if (tw_h5_get_int(f, name, "crc32c", 0, UINT32_MAX, &stored) != TW_OK)
    return tw_fail_in(TW_ERR_FORMAT, "dataset %s", name);
  if ((uint32_t)stored != crc)
    return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: checksum mismatch: damaged; make or copy the file again", f->path,
                   name);
  return TW_OK;
}

// Straight into the caller's memory: of shares and seeds HDF5's own buffers must hold nothing.
static tw_status read_bytes(const tw_h5 *f, const char *name, void *data, size_t bytes, uint64_t offset) {
  int *file;
  char what[80];
  if (bytes == 0) return TW_OK;
  if (H5Fget_vfd_handle(f->file, H5P_DEFAULT, (void **)&file) < 0)
    return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", name, "the file behind it cannot be reached");
  snprintf(what, sizeof what, "dataset %s", name);
  return tw_read_at(*file, f->path, what, data, bytes, offset);
}

tw_status tw_h5_get(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, void *data) {
  hid_t set;
  size_t bytes = 0;
  uint64_t offset = 0;
  TW_TRY(open_dataset(f, name, type, dims, shape, &set, &bytes, &offset));
  H5Dclose(set);
  TW_TRY(read_bytes(f, name, data, bytes, offset));
  return check_crc(f, name, tw_crc32c(0, data, bytes));
}

tw_status tw_h5_read_begin(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape,
                           tw_h5_reader *reader) {
  hid_t set;
  size_t bytes = 0;
  *reader = (tw_h5_reader){.name = name, .dims = dims};
  memcpy(reader->shape, shape, (size_t)dims * sizeof *shape);
  TW_TRY(open_dataset(f, name, type, dims, shape, &set, &bytes, &reader->at));
  H5Dclose(set);
  reader->left = bytes;
  return TW_OK;
}

static tw_status read_part(const tw_h5 *f, tw_h5_reader *reader, void *data, size_t bytes) {
  if (bytes > reader->left)
    return tw_fail(TW_ERR_INTERNAL, "%s: dataset %s: %zu bytes asked for, %llu are left", f->path, reader->name, bytes,
                   (unsigned long long)reader->left);
  TW_TRY(read_bytes(f, reader->name, data, bytes, reader->at));
  reader->crc = tw_crc32c(reader->crc, data, bytes);
  reader->at += bytes;
  reader->left -= bytes;
  return reader->left ? TW_OK : check_crc(f, reader->name, reader->crc);
}

tw_status tw_h5_next_f32(const tw_h5 *f, tw_h5_reader *reader, size_t n, float *values) {
  TW_TRY(read_part(f, reader, values, n * sizeof *values));
  reader->values += n;
  return tw_h5_finite_part(f, TW_ERR_FORMAT, reader->name, reader->dims, reader->shape, reader->values - n, n, values,
                           NULL);
}

tw_status tw_h5_next_f64(const tw_h5 *f, tw_h5_reader *reader, size_t n, double *values) {
  TW_TRY(read_part(f, reader, values, n * sizeof *values));
  reader->values += n;
  return tw_h5_finite_part(f, TW_ERR_FORMAT, reader->name, reader->dims, reader->shape, reader->values - n, n, NULL,
                           values);
}

tw_status tw_h5_get_f32(const tw_h5 *f, const char *name, int dims, const hsize_t *shape, float *data) {
  TW_TRY(tw_h5_get(f, name, H5T_IEEE_F32LE, dims, shape, data));
  return tw_h5_finite(f, TW_ERR_FORMAT, name, dims, shape, data, NULL);
}

tw_status tw_h5_get_f64(const tw_h5 *f, const char *name, int dims, const hsize_t *shape, double *data) {
  TW_TRY(tw_h5_get(f, name, H5T_IEEE_F64LE, dims, shape, data));
  return tw_h5_finite(f, TW_ERR_FORMAT, name, dims, shape, NULL, data);
}

tw_status tw_h5_get_ring(const tw_h5 *f, const char *name, int bits, int dims, const hsize_t *shape, uint64_t *data) {
  size_t n = 0;
  uint64_t any = 0;
  TW_TRY(tw_h5_get(f, name, H5T_STD_U64LE, dims, shape, data));
  TW_TRY(tw_h5_elements(dims, shape, sizeof *data, &n));
  for (size_t i = 0; i < n; i++) any |= data[i];  // no branch on a single value: these are shares
  if (bits < 64 && any >> bits)
    return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: a value has more than %d bits; make the file again", f->path, name,
                   bits);
  return TW_OK;
}
