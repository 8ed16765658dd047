// Reading key files: header and corrections. HDF5 is used while opening only; corrections are read by pread at their
// places, so that streams may be read from another thread.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/keys_layout.h"

// Chunks that the kernel is asked for at a time, ahead of a stream.
static const uint64_t ahead = 8;

struct tw_key_stream {
  const tw_keys *keys;
  uint64_t slot;
  uint32_t *crc;  // [chunks]
};

static tw_status get_index(const tw_h5 *f, tw_keys_info *info) {
  hid_t type;
  uint64_t offset;
  hsize_t shape[1] = {info->index_count};
  TW_TRY(tw_keys_index_type(f, &type));
  tw_status status = tw_h5_locate(f, "index", type, 1, shape, &offset);
  if (status == TW_OK) status = tw_alloc(info->index_count * sizeof *info->index, (void **)&info->index);
  if (status == TW_OK) status = tw_h5_get(f, "index", type, 1, shape, info->index);
  H5Tclose(type);
  TW_TRY(status);
  for (uint64_t i = 0; i < info->index_count; i++)
    if (info->index[i].offset % 64 != 0 || info->index[i].offset > info->slot_bytes)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset index: entry %llu points to byte %llu of a slot of %llu", f->path,
                     (unsigned long long)i, (unsigned long long)info->index[i].offset,
                     (unsigned long long)info->slot_bytes);
  return TW_OK;
}

static tw_status get_header(const tw_h5 *f, tw_keys_info *info) {
  int64_t count, slot_bytes, index_count, chunk_bytes;
  tw_digest stored, digest;
  info->party = f->party;
  TW_TRY(tw_h5_get_id(f, "key_id", &info->key_id));
  TW_TRY(tw_h5_get_id(f, "model_id", &info->model_id));
  TW_TRY(tw_h5_get_digest(f, "plan", &info->plan));
  TW_TRY(tw_h5_get_bool(f, "test", &info->test));
  TW_TRY(tw_h5_get_int(f, "/", "count", 1, INT64_MAX, &count));
  TW_TRY(tw_h5_get_int(f, "/", "slot_bytes", 0, INT64_MAX, &slot_bytes));
  TW_TRY(tw_h5_get_int(f, "/", "index_count", 0, INT64_MAX / 64, &index_count));
  TW_TRY(tw_h5_get_int(f, "/", "chunk_bytes", TW_KEY_CHUNK, TW_KEY_CHUNK, &chunk_bytes));
  info->count = (uint64_t)count;
  info->slot_bytes = (uint64_t)slot_bytes;
  info->index_count = (uint64_t)index_count;
  TW_TRY(get_index(f, info));
  TW_TRY(tw_h5_get_digest(f, "header_digest", &stored));
  TW_TRY(tw_keys_digest(f, info, &digest));
  if (strcmp(stored.hex, digest.hex) != 0)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: attribute header_digest: the header or index was changed or damaged; "
                   "copy the file again or deal new keys",
                   f->path);
  return TW_OK;
}

// The file that was checked by name must be the one that is held open.
static tw_status hold(const char *path, tw_keys *keys) {
  struct stat named, held;
  keys->fd = open(path, O_RDWR | O_CLOEXEC);
  if (keys->fd < 0)
    return tw_fail(TW_ERR_IO, "%s: cannot open for writing, which erasing used seeds needs: %s", path, strerror(errno));
  TW_TRY(tw_file_check_readable(path, tw_keys_kind.maker, true));
  if (stat(path, &named) != 0 || fstat(keys->fd, &held) != 0 || named.st_dev != held.st_dev ||
      named.st_ino != held.st_ino)
    return tw_fail(TW_ERR_IO, "%s: the file was replaced while it was opened", path);
  return TW_OK;
}

static tw_status open_all(const char *path, int party, tw_keys *keys) {
  tw_h5 f;
  keys->path = strdup(path);
  if (!keys->path) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  TW_TRY(tw_h5_open(&f, path, &tw_keys_kind, party));
  tw_status status = hold(path, keys);
  if (status == TW_OK) status = get_header(&f, &keys->info);
  if (status == TW_OK) status = tw_keys_locate(&f, &keys->info, &keys->layout);
  tw_h5_close(&f);
  return status;
}

tw_status tw_keys_open(const char *path, int party, tw_keys **out) {
  *out = NULL;
  tw_keys *keys = calloc(1, sizeof *keys);
  if (!keys) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  keys->fd = -1;
  tw_status status = open_all(path, party, keys);
  if (status != TW_OK) {
    tw_keys_close(keys);
    return status;
  }
  *out = keys;
  return TW_OK;
}

const tw_keys_info *tw_keys_get_info(const tw_keys *keys) { return &keys->info; }

void tw_keys_close(tw_keys *keys) {
  if (!keys) return;
  if (keys->fd >= 0) close(keys->fd);
  tw_free(keys->info.index);
  free(keys->path);
  free(keys);
}

tw_status tw_key_stream_create(tw_keys *keys, uint64_t slot, tw_key_stream **out) {
  *out = NULL;
  TW_TRY(tw_keys_check_slot(keys, slot));
  tw_key_stream *s = calloc(1, sizeof *s);
  if (!s) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", keys->path);
  s->keys = keys;
  s->slot = slot;
  size_t bytes = keys->layout.chunks * sizeof *s->crc;
  tw_status status = tw_alloc(bytes, (void **)&s->crc);
  if (status == TW_OK)
    status =
        tw_read_at(keys->fd, keys->path, "dataset chunk_crc32c", s->crc, bytes, keys->layout.chunk_crc + slot * bytes);
  if (status != TW_OK) {
    tw_key_stream_destroy(s);
    return status;
  }
  *out = s;
  return TW_OK;
}

// Ask for what follows, a whole stretch at a time: `number` is about to be read.
static void read_ahead(const tw_key_stream *s, uint64_t number) {
  uint64_t first = number == 0 ? 0 : number + ahead, slot_bytes = s->keys->info.slot_bytes;
  uint64_t count = number == 0 ? 2 * ahead : ahead, start = first * TW_KEY_CHUNK;
  if (number % ahead != 0 || start >= slot_bytes) return;
  uint64_t bytes = count * TW_KEY_CHUNK < slot_bytes - start ? count * TW_KEY_CHUNK : slot_bytes - start;
  posix_fadvise(s->keys->fd, (off_t)(s->keys->layout.corrections + s->slot * slot_bytes + start), (off_t)bytes,
                POSIX_FADV_WILLNEED);
}

static size_t chunk_bytes(const tw_key_stream *s, uint64_t number) {
  uint64_t left = s->keys->info.slot_bytes - number * TW_KEY_CHUNK;
  return left < TW_KEY_CHUNK ? (size_t)left : TW_KEY_CHUNK;
}

tw_status tw_key_stream_chunk(const tw_key_stream *s, uint64_t number, void *dst) {
  const tw_keys *keys = s->keys;
  if (number >= keys->layout.chunks)
    return tw_fail(TW_ERR_INTERNAL, "%s: slot %llu has no chunk %llu", keys->path, (unsigned long long)s->slot,
                   (unsigned long long)number);
  uint64_t start = number * TW_KEY_CHUNK, at = keys->layout.corrections + s->slot * keys->info.slot_bytes + start;
  size_t bytes = chunk_bytes(s, number);
  read_ahead(s, number);
  tw_status status = tw_read_at(keys->fd, keys->path, "dataset corrections", dst, bytes, at);
  if (status == TW_OK && tw_crc32c(0, dst, bytes) != s->crc[number])
    status = tw_fail(TW_ERR_FORMAT,
                     "%s: dataset corrections, slot %llu, bytes %llu to %llu: checksum mismatch: damaged; copy the "
                     "file again, use another slot (--slot) or deal new keys (`twain deal`)",
                     keys->path, (unsigned long long)s->slot, (unsigned long long)start,
                     (unsigned long long)(start + bytes));
  if (status != TW_OK) tw_wipe(dst, bytes);
  return status;
}

void tw_key_stream_destroy(tw_key_stream *s) {
  if (!s) return;
  const tw_keys *keys = s->keys;  // read once, then never again
  posix_fadvise(keys->fd, (off_t)(keys->layout.corrections + s->slot * keys->info.slot_bytes),
                (off_t)keys->info.slot_bytes, POSIX_FADV_DONTNEED);
  tw_free(s->crc);
  free(s);
}
