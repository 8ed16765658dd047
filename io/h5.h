// The layer under every file of twain: HDF5 with checked errors, whole-file writes and checksums. Internal to io/.
//
// Writing: HDF5 lays the file out in memory (a sparse memory file) and never touches the disk; tw_h5_finish puts layout
// and data there with plain writes. A full disk is then an ordinary error: HDF5 1.10 can crash after a failed write.
// The final size is known before the first byte goes to the disk.
// Reading: sizes are checked against the file before anything is allocated; every dataset carries the CRC-32C of its
// bytes in its attribute crc32c. Format bounds are those of HDF5 1.8, whose metadata have checksums of their own.
#ifndef TW_H5_H
#define TW_H5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/file.h"
#include "io/format.h"
#include "io/ids.h"
#include "io/model.h"
#include "io/seal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and written from memory");

// One kind of file. per_party: role is ROLE-0 or ROLE-1. secret: group and world bits are refused.
typedef struct {
  const char *format, *role;
  bool per_party, secret;
  const char *maker;  // the command that writes it
  const char *renew;  // what to do with a file of an earlier version; NULL: have the maker write it anew
} tw_h5_kind;

typedef struct {
  uint64_t offset, bytes;
  const void *data;  // NULL: the caller writes it
  const char *name;
  bool later;      // comes by tw_h5_add
  uint64_t added;  // bytes of it so far
  uint32_t crc;    // of those
} tw_h5_extent;

typedef struct {
  hid_t file;
  const char *path;  // the caller's, or `kept`
  char *kept;        // a copy of it, or NULL
  int party;         // of a per_party file, else -1
  int memory;        // writing: the memory file; reading: -1
  uint64_t bytes;    // size of the file (writing: so far, at least)
  int count, room;
  tw_h5_extent *extents;
} tw_h5;

// "PATH: what OBJECT: problem (HDF5's innermost description)"; what: "dataset", "attribute", "group".
tw_status tw_h5_fail(tw_status code, const tw_h5 *f, const char *what, const char *object, const char *problem);

// ---- Writing. Names, strings and data must stay until tw_h5_finish or tw_h5_place.
// party: 0 or 1 for a per_party kind, else ignored. Root attributes format, version, role, created, software are
// written.
tw_status tw_h5_create(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party);
// status TW_OK: write, fsync, rename. Otherwise drop everything and return status. Ends `f`.
tw_status tw_h5_finish(tw_h5 *f, tw_status status);
// Put layout and known data into `out` (begun here) and end `f`; the caller writes the datasets without data, and
// commits.
tw_status tw_h5_place(tw_h5 *f, tw_output *out);

// The same into a file that was claimed before (tw_output_claim). tw_h5_fill ends `f` and has everything on the disk;
// the caller commits, or aborts, also after a failure.
tw_status tw_h5_create_in(tw_h5 *f, const tw_output *out, const tw_h5_kind *kind, int party);
tw_status tw_h5_fill(tw_h5 *f, tw_output *out, tw_status status);
// At least as much as HDF5's layout takes beside the datasets: `attributes` of at most 256 bytes, `datasets` with their
// alignment.
uint64_t tw_h5_layout_room(int attributes, int datasets);

// Files larger than memory. tw_h5_put_later declares a dataset whose data come by tw_h5_add, in parts, each dataset
// from its beginning to its end; *number is the dataset's. tw_h5_begin, after all datasets and attributes, takes the
// room on the disk. tw_h5_end (status TW_OK: all data must be there) writes the layout with the checksums, fsync,
// rename; with another status it drops everything. It ends `f` and `out`, also where tw_h5_begin failed or was never
// called.
tw_status tw_h5_put_later(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, int *number);
tw_status tw_h5_begin(tw_h5 *f, tw_output *out);
tw_status tw_h5_add(tw_h5 *f, tw_output *out, int number, const void *data, size_t bytes);
tw_status tw_h5_end(tw_h5 *f, tw_output *out, tw_status status);

tw_status tw_h5_group(tw_h5 *f, const char *name);
// Attributes of `object` ("/", "/environment").
tw_status tw_h5_put_text(tw_h5 *f, const char *object, const char *name, const char *text);
tw_status tw_h5_put_int(tw_h5 *f, const char *object, const char *name, int64_t value);
tw_status tw_h5_set_int(tw_h5 *f, const char *object, const char *name, int64_t value);  // of one that was put
tw_status tw_h5_put_real(tw_h5 *f, const char *object, const char *name, double value);
tw_status tw_h5_put_id(tw_h5 *f, const char *name, const tw_id *id);  // of "/"; TW_ERR_INTERNAL unless set
tw_status tw_h5_put_digest(tw_h5 *f, const char *name, const tw_digest *digest);

// Contiguous dataset of `dims` dimensions; type is both the file's and the memory's. data NULL: written by the caller.
tw_status tw_h5_put(tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, const void *data);
// As tw_h5_put, and TW_ERR_RANGE on NaN and Inf.
tw_status tw_h5_put_f32(tw_h5 *f, const char *name, int dims, const hsize_t *shape, const float *data);
tw_status tw_h5_put_f64(tw_h5 *f, const char *name, int dims, const hsize_t *shape, const double *data);
// Variable-length UTF-8 strings [count].
tw_status tw_h5_put_texts(tw_h5 *f, const char *name, int count, char *const *texts);

// ---- Reading. party: whose file is expected; -1: either (see f->party).
tw_status tw_h5_open(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party);
// The same; the path need not stay.
tw_status tw_h5_open_kept(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party);
// The same for a file of an earlier version, which has the same layout (io/upgrade.h).
tw_status tw_h5_open_version(tw_h5 *f, const char *path, const tw_h5_kind *kind, int party, int version);
tw_status tw_h5_open_any(tw_h5 *f, const char *path);  // of whatever kind and version, unchecked
void tw_h5_close(tw_h5 *f);                            // does nothing after an open that failed, and a second time

tw_status tw_h5_get_text(const tw_h5 *f, const char *object, const char *name, char *text, size_t size);
tw_status tw_h5_get_int(const tw_h5 *f, const char *object, const char *name, int64_t low, int64_t high,
                        int64_t *value);
tw_status tw_h5_get_small(const tw_h5 *f, const char *name, int low, int high, int *value);  // attribute of "/"
bool tw_h5_has_attribute(const tw_h5 *f, const char *name);                                  // of the root
tw_status tw_h5_get_bool(const tw_h5 *f, const char *name, bool *value);
tw_status tw_h5_get_real(const tw_h5 *f, const char *object, const char *name, double *value);  // finite
tw_status tw_h5_get_id(const tw_h5 *f, const char *name, tw_id *id);
tw_status tw_h5_get_digest(const tw_h5 *f, const char *name, tw_digest *digest);

bool tw_h5_has(const tw_h5 *f, const char *name);
// Type and shape must be exactly these, the data must lie inside the file, its CRC must hold (TW_ERR_FORMAT).
tw_status tw_h5_get(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, void *data);
tw_status tw_h5_get_f32(const tw_h5 *f, const char *name, int dims, const hsize_t *shape, float *data);
tw_status tw_h5_get_f64(const tw_h5 *f, const char *name, int dims, const hsize_t *shape, double *data);
// The strings are the caller's: free with tw_h5_free_texts.
tw_status tw_h5_get_texts(const tw_h5 *f, const char *name, int count, char ***texts);
void tw_h5_free_texts(char **texts, int count);

// Where a dataset's bytes lie, after the same checks of type, shape and file size.
tw_status tw_h5_locate(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape, uint64_t *offset);
// The same as tw_h5_get_f32 and tw_h5_get_f64 in parts of n values, of at most three dimensions: after the last part
// the checksum must hold. Nothing that was read before may count until then. The name must stay.
typedef struct {
  const char *name;
  int dims;
  hsize_t shape[3];
  size_t values;      // read so far
  uint64_t at, left;  // bytes
  uint32_t crc;
} tw_h5_reader;
tw_status tw_h5_read_begin(const tw_h5 *f, const char *name, hid_t type, int dims, const hsize_t *shape,
                           tw_h5_reader *reader);
tw_status tw_h5_next_f32(const tw_h5 *f, tw_h5_reader *reader, size_t n, float *values);
tw_status tw_h5_next_f64(const tw_h5 *f, tw_h5_reader *reader, size_t n, double *values);
// As tw_h5_get for `count` values of 64 bits each below 2^bits (shape may be of any dimension).
tw_status tw_h5_get_ring(const tw_h5 *f, const char *name, int bits, int dims, const hsize_t *shape, uint64_t *data);

// What a file of twain's, read or being written, is: format, role, plan and id, as far as it has them.
tw_status tw_h5_about(const tw_h5 *f, tw_seal_about *about);

// ---- Model configuration as root attributes.
tw_status tw_h5_put_config(tw_h5 *f, const tw_model_config *config);
tw_status tw_h5_get_config(const tw_h5 *f, tw_model_config *config);

// Writers never share a file under its name, readers never see an unfinished one: HDF5's own locks, which some parallel
// file systems refuse, are not needed.
static inline bool tw_h5_no_locks(hid_t access) {
#if H5_VERSION_GE(1, 10, 7)
  return H5Pset_file_locking(access, false, true) >= 0;
#else
  return access >= 0;
#endif
}

// Elements of a shape; *elements is 0 and TW_ERR_RANGE returned on overflow of elements * size.
tw_status tw_h5_elements(int dims, const hsize_t *shape, size_t size, size_t *elements);
// TW_ERR_FORMAT (or `code`) with the position of the first NaN or Inf.
tw_status tw_h5_finite(const tw_h5 *f, tw_status code, const char *name, int dims, const hsize_t *shape,
                       const float *f32, const double *f64);
// The same of elements first .. first + n, which are at f32 or f64.
tw_status tw_h5_finite_part(const tw_h5 *f, tw_status code, const char *name, int dims, const hsize_t *shape,
                            size_t first, size_t n, const float *f32, const double *f64);

#endif
