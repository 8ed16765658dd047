#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/h5.h"
#include "io/host.h"
#include "io/seal_paths.h"

// Room for the layout itself when limits are compared.
static const uint64_t layout_bytes = 1 << 20;

static herr_t innermost(unsigned n, const H5E_error2_t *error, void *text) {
  if (n == 0) snprintf(text, 512, "%s", error->desc ? error->desc : "");
  return 0;
}

tw_status tw_h5_fail(tw_status code, const tw_h5 *f, const char *what, const char *object, const char *problem) {
  char inner[512] = "";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, inner);
  H5Eclear2(H5E_DEFAULT);
  inner[strcspn(inner, "\n")] = '\0';
  if (inner[0]) return tw_fail(code, "%s: %s %s: %s (HDF5: %s)", f->path, what, object, problem, inner);
  return tw_fail(code, "%s: %s %s: %s", f->path, what, object, problem);
}

// A limit on file sizes holds for memory files too, and HDF5 must not meet it.
static tw_status account(tw_h5 *f, uint64_t bytes) {
  struct rlimit limit;
  f->bytes += bytes;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < f->bytes + layout_bytes)
    return tw_fail(TW_ERR_IO, "%s: about %llu bytes needed, files limited to %llu bytes; raise `ulimit -f`", f->path,
                   (unsigned long long)(f->bytes + layout_bytes), (unsigned long long)limit.rlim_cur);
  return TW_OK;
}

static void drop(tw_h5 *f) {
  if (f->file >= 0) H5Fclose(f->file);
  if (f->memory >= 0) close(f->memory);
  free(f->extents);
  *f = (tw_h5){.file = -1, .memory = -1, .party = -1};
}

// Large datasets begin on a page. In a file with secrets everything begins on 512 bytes: so many HDF5 reads to get an
// object's header, and what followed it would stay in HDF5's memory.
static bool align(hid_t access, bool secret) {
  return secret ? H5Pset_alignment(access, 1, 512) >= 0 : H5Pset_alignment(access, 1 << 16, 4096) >= 0;
}

// The layout's memory file: made, or open again. The stdio driver, as HDF5's default one does not take its name.
static tw_status open_layout(tw_h5 *f, bool make, bool secret) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", f->memory);
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  bool ready = access >= 0 && H5Pset_fapl_stdio(access) >= 0 &&
               H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 && tw_h5_no_locks(access) &&
               align(access, secret);
  if (ready) f->file = make ? H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, access) : H5Fopen(name, H5F_ACC_RDWR, access);
  tw_status status = f->file >= 0 ? TW_OK : tw_h5_fail(TW_ERR_IO, f, "file", name, "cannot be opened in memory");
  if (access >= 0) H5Pclose(access);
  return status;
}

static tw_status create_layout(tw_h5 *f, bool secret) {
  f->memory = memfd_create("twain", MFD_CLOEXEC);
  if (f->memory < 0) return tw_fail(TW_ERR_IO, "%s: cannot create a memory file: %s", f->path, strerror(errno));
  return open_layout(f, true, secret);
}

static tw_status put_header(tw_h5 *f, const tw_h5_kind *kind, int party) {
  char role[64], now[32], version[16];
  if (kind->per_party)
    snprintf(role, sizeof role, "%s-%d", kind->role, party);
  else
    snprintf(role, sizeof role, "%s", kind->role);
  tw_host_time(now, sizeof now);
  snprintf(version, sizeof version, "%d", TW_FORMAT_VERSION);
  TW_TRY(tw_h5_put_text(f, "/", "format", kind->format));
  TW_TRY(tw_h5_put_text(f, "/", "version", version));
  TW_TRY(tw_h5_put_text(f, "/", "role", role));
  TW_TRY(tw_h5_put_text(f, "/", "created", now));
  return tw_h5_put_text(f, "/", "software", "twain " TWAIN_VERSION);
}

static tw_status create(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party) {
  if (kind->per_party && party != 0 && party != 1) return tw_fail(TW_ERR_INTERNAL, "%s: party %d", path, party);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  tw_status status = account(f, 0);
  if (status == TW_OK) status = create_layout(f, kind->secret);
  if (status == TW_OK) status = put_header(f, kind, party);
  if (status != TW_OK) drop(f);
  return status;
}

static tw_h5 closed(const char *path, const tw_h5_kind *kind, int party) {
  return (tw_h5){.file = -1, .path = path, .memory = -1, .party = kind->per_party ? party : -1};
}

tw_status tw_h5_create(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party) {
  *f = closed(path, kind, party);
  TW_TRY(tw_file_check_new(path));
  return create(f, path, kind, party);
}

tw_status tw_h5_create_in(tw_h5 *f, const tw_output *out, const tw_h5_kind *kind, int party) {
  *f = closed(out->path, kind, party);
  return create(f, out->path, kind, party);
}

tw_status tw_h5_group(tw_h5 *f, const char *name) {
  hid_t group = H5Gcreate2(f->file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  if (group < 0) return tw_h5_fail(TW_ERR_IO, f, "group", name, "cannot be created");
  H5Gclose(group);
  return TW_OK;
}

tw_status tw_h5_elements(int dims, const hsize_t *shape, size_t size, size_t *elements) {
  size_t n = 1;
  *elements = 0;
  for (int i = 0; i < dims; i++)
    if (__builtin_mul_overflow(n, shape[i], &n)) return tw_fail(TW_ERR_RANGE, "a shape overflows the address space");
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)1 << 60)
    return tw_fail(TW_ERR_RANGE, "a shape overflows the address space");
  *elements = n;
  return TW_OK;
}

static tw_status remember(tw_h5 *f, tw_h5_extent extent) {
  if (f->count == f->room) {
    int room = f->room ? 2 * f->room : 32;
    tw_h5_extent *grown = realloc(f->extents, (size_t)room * sizeof *grown);
    if (!grown) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", f->path);
    f->extents = grown;
    f->room = room;
  }
  f->extents[f->count++] = extent;
  return TW_OK;
}

// Early allocation fixes the place of the data in the file, so that they need not pass through HDF5.
static hid_t create_dataset(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape) {
  hid_t space = H5Screate_simple(dims, shape, NULL), list = H5Pcreate(H5P_DATASET_CREATE), set = -1;
  if (space >= 0 && list >= 0 && H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 &&
      H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
    set = H5Dcreate2(f->file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  if (space >= 0) H5Sclose(space);
  if (list >= 0) H5Pclose(list);
  return set;
}

// A dataset's place. Its name, as all of an extent, must stay.
static tw_status declare(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, tw_h5_extent *out) {
  size_t n = 0, size = H5Tget_size(type);
  if (tw_h5_elements(dims, shape, size, &n) != TW_OK) return tw_fail_in(TW_ERR_RANGE, "%s: dataset %s", f->path, name);
  TW_TRY(account(f, n * size));
  hid_t set = create_dataset(f, name, type, dims, shape);
  if (set < 0) return tw_h5_fail(TW_ERR_IO, f, "dataset", name, "cannot be created");
  haddr_t offset = H5Dget_offset(set);
  H5Dclose(set);
  if (n && offset == HADDR_UNDEF) return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", name, "has no place in the file");
  *out = (tw_h5_extent){.offset = offset, .bytes = n * size, .name = name};
  return TW_OK;
}

tw_status tw_h5_put(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, const void *data) {
  tw_h5_extent extent;
  TW_TRY(declare(f, name, type, dims, shape, &extent));
  extent.data = data;
  if (data || extent.bytes == 0)
    TW_TRY(tw_h5_put_int(f, name, "crc32c", (int64_t)tw_crc32c(0, data, (size_t)extent.bytes)));
  return extent.bytes ? remember(f, extent) : TW_OK;
}

// The checksum is filled in at the end: its attribute takes its place in the layout now.
tw_status tw_h5_put_later(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, int *number) {
  tw_h5_extent extent;
  TW_TRY(declare(f, name, type, dims, shape, &extent));
  extent.later = true;
  TW_TRY(tw_h5_put_int(f, name, "crc32c", 0));
  *number = f->count;
  return remember(f, extent);
}

static tw_status not_finite(const tw_h5 *f, tw_status code, const char *name, int dims, const hsize_t *shape, size_t at,
                            bool nan) {
  char place[128] = "";
  size_t used = 0, stride = 1;
  for (int d = 0; d < dims; d++) stride *= shape[d];
  for (int d = 0; d < dims; d++) {
    stride /= shape[d];
    used += (size_t)snprintf(place + used, sizeof place - used, "[%zu]", at / stride);
    at %= stride;
  }
  return tw_fail(code, "%s: tensor %s: %s at %s; make the file again from a sound source", f->path, name,
                 nan ? "NaN" : "Inf", place);
}

tw_status tw_h5_finite_part(const tw_h5 *f, tw_status code, const char *name, int dims, const hsize_t *shape,
                            size_t first, size_t n, const float *f32, const double *f64) {
  size_t i = 0;
  while (i < n && (f32 ? isfinite(f32[i]) : isfinite(f64[i]))) i++;
  return i == n ? TW_OK : not_finite(f, code, name, dims, shape, first + i, f32 ? isnan(f32[i]) : isnan(f64[i]));
}

tw_status tw_h5_finite(const tw_h5 *f, tw_status code, const char *name, int dims, const hsize_t *shape,
                       const float *f32, const double *f64) {
  size_t n = 0;
  TW_TRY(tw_h5_elements(dims, shape, sizeof(double), &n));
  return tw_h5_finite_part(f, code, name, dims, shape, 0, n, f32, f64);
}

tw_status tw_h5_put_f32(tw_h5 *f, const char *name, int dims, const hsize_t *shape, const float *data) {
  TW_TRY(tw_h5_finite(f, TW_ERR_RANGE, name, dims, shape, data, NULL));
  return tw_h5_put(f, name, H5T_IEEE_F32LE, dims, shape, data);
}

tw_status tw_h5_put_f64(tw_h5 *f, const char *name, int dims, const hsize_t *shape, const double *data) {
  TW_TRY(tw_h5_finite(f, TW_ERR_RANGE, name, dims, shape, NULL, data));
  return tw_h5_put(f, name, H5T_IEEE_F64LE, dims, shape, data);
}

static int by_offset(const void *a, const void *b) {
  const tw_h5_extent *x = a, *y = b;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

// Bytes of the layout between `from` and `to`.
static tw_status copy_layout(tw_h5 *f, tw_output *out, uint64_t from, uint64_t to) {
  char block[1 << 15];
  while (from < to) {
    size_t part = to - from < sizeof block ? (size_t)(to - from) : sizeof block;
    TW_TRY(tw_read_at(f->memory, f->path, "layout", block, part, from));
    TW_TRY(tw_output_write(out, "the header", block, part, from));
    from += part;
  }
  return TW_OK;
}

static tw_status write_all(tw_h5 *f, tw_output *out) {
  uint64_t at = 0;
  if (f->count) qsort(f->extents, (size_t)f->count, sizeof *f->extents, by_offset);
  for (int i = 0; i < f->count; i++) {
    const tw_h5_extent *e = &f->extents[i];
    TW_TRY(copy_layout(f, out, at, e->offset));
    if (e->data) TW_TRY(tw_output_write(out, e->name, e->data, e->bytes, e->offset));
    at = e->offset + e->bytes;
  }
  return copy_layout(f, out, at, out->plain);
}

static tw_status complete_layout(tw_h5 *f, uint64_t *bytes) {
  tw_status status = TW_OK;
  if (H5Fclose(f->file) < 0) status = tw_h5_fail(TW_ERR_IO, f, "file", "layout", "cannot be completed in memory");
  f->file = -1;
  TW_TRY(status);
  off_t size = lseek(f->memory, 0, SEEK_END);
  if (size < 0) return tw_fail(TW_ERR_IO, "%s: cannot size the memory file: %s", f->path, strerror(errno));
  *bytes = (uint64_t)size;
  return TW_OK;
}

tw_status tw_h5_fill(tw_h5 *f, tw_output *out, tw_status status) {
  uint64_t bytes = 0;
  if (status == TW_OK) status = complete_layout(f, &bytes);
  if (status == TW_OK) status = tw_output_resize(out, bytes);
  if (status == TW_OK) status = write_all(f, out);
  drop(f);
  return status == TW_OK ? tw_output_sync(out) : status;
}

// Measured on files of twain, with a lot to spare: tests/io/test_results.c compares.
uint64_t tw_h5_layout_room(int attributes, int datasets) {
  const uint64_t fixed = 1 << 15, attribute = 512, dataset = 1 << 13;
  return fixed + attribute * (uint64_t)attributes + dataset * (uint64_t)datasets;
}

// What a file is that will be sealed: while HDF5 has it open.
static tw_status tell_seal(const tw_h5 *f) {
  tw_seal_target *seal = tw_seal_target_of(f->path);
  return seal ? tw_h5_about(f, &seal->about) : TW_OK;
}

tw_status tw_h5_place(tw_h5 *f, tw_output *out) {
  uint64_t bytes = 0;
  *out = (tw_output){.fd = -1};
  tw_status status = tell_seal(f);
  if (status == TW_OK) status = complete_layout(f, &bytes);
  if (status == TW_OK) status = tw_output_begin(out, f->path, bytes);
  if (status == TW_OK) {
    status = write_all(f, out);
    if (status != TW_OK) tw_output_abort(out);
  }
  drop(f);
  return status;
}

tw_status tw_h5_finish(tw_h5 *f, tw_status status) {
  tw_output out;
  if (status != TW_OK) {
    drop(f);
    return status;
  }
  TW_TRY(tw_h5_place(f, &out));
  return tw_output_commit(&out);
}

// ---- data that come later

// Only a file that HDF5 has closed has its final size.
tw_status tw_h5_begin(tw_h5 *f, tw_output *out) {
  uint64_t bytes = 0;
  *out = (tw_output){.fd = -1};
  TW_TRY(tell_seal(f));
  TW_TRY(complete_layout(f, &bytes));
  return tw_output_begin(out, f->path, bytes);
}

tw_status tw_h5_add(tw_h5 *f, tw_output *out, int number, const void *data, size_t bytes) {
  tw_h5_extent *e = &f->extents[number];
  if (!e->later || bytes > e->bytes - e->added)
    return tw_fail(TW_ERR_INTERNAL, "%s: dataset %s: more data than it has room for", f->path, e->name);
  TW_TRY(tw_output_write(out, e->name, data, bytes, e->offset + e->added));
  e->crc = tw_crc32c(e->crc, data, bytes);
  e->added += bytes;
  return TW_OK;
}

static tw_status put_checksums(tw_h5 *f, uint64_t announced) {
  uint64_t bytes = 0;
  TW_TRY(open_layout(f, false, false));
  for (int i = 0; i < f->count; i++) {
    const tw_h5_extent *e = &f->extents[i];
    if (!e->later) continue;
    if (e->added != e->bytes)
      return tw_fail(TW_ERR_INTERNAL, "%s: dataset %s: %llu of its %llu bytes came", f->path, e->name,
                     (unsigned long long)e->added, (unsigned long long)e->bytes);
    TW_TRY(tw_h5_set_int(f, e->name, "crc32c", (int64_t)e->crc));
  }
  TW_TRY(complete_layout(f, &bytes));
  if (bytes == announced) return TW_OK;
  return tw_fail(TW_ERR_INTERNAL, "%s: %llu bytes were announced, %llu came", f->path, (unsigned long long)announced,
                 (unsigned long long)bytes);
}

tw_status tw_h5_end(tw_h5 *f, tw_output *out, tw_status status) {
  if (status == TW_OK) status = put_checksums(f, out->plain);
  if (status == TW_OK) status = write_all(f, out);
  drop(f);
  if (status == TW_OK) return tw_output_commit(out);
  tw_output_abort(out);
  return status;
}
