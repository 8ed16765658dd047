// Datasets of variable-length UTF-8 strings.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

// ---- Reading. HDF5 1.10 crashes on a damaged global heap, so the strings are taken from the file here, every size and
// address checked. Source: HDF5 File Format Specification 3.0, III.E (global heap) and IV.A.2.d (variable-length data).

enum { REFERENCE = 16, HEAP_HEADER = 16, OBJECT_HEADER = 16 };

typedef struct {
  const tw_h5 *f;
  const char *name;
  int fd;
  uint64_t address, size;  // of the collection at hand
  uint64_t left;           // bytes that all texts to come may have together: those of the file
  uint8_t *collection;
} heap;

static tw_status damaged(const tw_h5 *f, const char *name) {
  return tw_fail(TW_ERR_FORMAT, "%s: dataset %s: damaged strings (checksum or heap); make or copy the file again",
                 f->path, name);
}

static uint64_t number(const uint8_t *bytes, size_t size) {
  uint64_t value = 0;
  memcpy(&value, bytes, size);
  return value;
}

static tw_status load_collection(heap *h, uint64_t address) {
  uint8_t header[HEAP_HEADER];
  uint64_t end = h->f->bytes;
  if (h->collection && h->address == address) return TW_OK;
  if (end < HEAP_HEADER || address > end - HEAP_HEADER) return damaged(h->f, h->name);
  TW_TRY(tw_read_at(h->fd, h->f->path, h->name, header, sizeof header, address));
  uint64_t size = number(header + 8, 8);
  if (memcmp(header, "GCOL\1", 5) != 0 || size < HEAP_HEADER || size > end - address) return damaged(h->f, h->name);
  tw_free(h->collection);
  h->collection = NULL;
  TW_TRY(tw_alloc(size, (void **)&h->collection));
  h->address = address;
  h->size = size;
  return tw_read_at(h->fd, h->f->path, h->name, h->collection, size, address);
}

// Object `index` of the collection at hand; NULL when it is not there whole.
static const uint8_t *find_object(const heap *h, uint64_t index, uint64_t length) {
  uint64_t at = HEAP_HEADER;
  while (h->size - at >= OBJECT_HEADER) {
    uint64_t found = number(h->collection + at, 2), size = number(h->collection + at + 8, 8);
    at += OBJECT_HEADER;
    if (found == 0 || size > h->size - at) return NULL;  // 0: the free space at the end
    if (found == index) return length <= size ? h->collection + at : NULL;
    at += size + (8 - size % 8) % 8;
    if (at > h->size) return NULL;
  }
  return NULL;
}

static tw_status take_text(heap *h, const uint8_t reference[REFERENCE], char **text) {
  uint64_t length = number(reference, 4);
  const uint8_t *from = reference;
  if (length > 0) {
    TW_TRY(load_collection(h, number(reference + 4, 8)));
    from = find_object(h, number(reference + 12, 4), length);
    if (!from) return damaged(h->f, h->name);
  }
  if (length > h->left) return damaged(h->f, h->name);
  h->left -= length;
  *text = malloc(length + 1);
  if (!*text) return tw_fail(TW_ERR_MEMORY, "%s: dataset %s: out of memory", h->f->path, h->name);
  memcpy(*text, from, length);
  (*text)[length] = '\0';
  return TW_OK;
}

static tw_status take_all(heap *h, uint64_t offset, int count, char **texts) {
  size_t bytes = (size_t)count * REFERENCE;
  int64_t stored;
  uint8_t *references;
  TW_TRY(tw_alloc(bytes, (void **)&references));
  tw_status status = tw_read_at(h->fd, h->f->path, h->name, references, bytes, offset);
  for (int i = 0; status == TW_OK && i < count; i++) status = take_text(h, references + i * REFERENCE, &texts[i]);
  tw_free(references);
  TW_TRY(status);
  TW_TRY(tw_h5_get_int(h->f, h->name, "crc32c", 0, UINT32_MAX, &stored));
  return (uint32_t)stored == crc_of(count, texts, &bytes) ? TW_OK : damaged(h->f, h->name);
}

static tw_status read_texts(const tw_h5 *f, const char *name, hid_t type, int count, char **texts) {
  uint64_t offset;
  hsize_t shape[1] = {(hsize_t)count};
  TW_TRY(tw_h5_locate(f, name, type, 1, shape, &offset));
  heap h = {.f = f, .name = name, .left = f->bytes, .fd = open(f->path, O_RDONLY | O_CLOEXEC)};
  if (h.fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", f->path, strerror(errno));
  tw_status status = take_all(&h, offset, count, texts);
  close(h.fd);
  tw_free(h.collection);
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
