#define _GNU_SOURCE
#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/json_read.h"

// The format's own limit on its header.
static const uint64_t max_header = 100000000;
static const size_t max_shards = 4096;
// What is read at a time.
static const size_t part_elements = 1 << 18;

typedef struct {
  const char *name;
  int bits;
} dtype;

static const dtype dtypes[] = {{"F32", 32},    {"F16", 16},    {"BF16", 16},       {"F64", 64},        {"I64", 64},
                               {"I32", 32},    {"I16", 16},    {"I8", 8},          {"U64", 64},        {"U32", 32},
                               {"U16", 16},    {"U8", 8},      {"BOOL", 8},        {"C64", 64},        {"F8_E4M3", 8},
                               {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
                               {"F6_E3M2", 6}, {"F4", 4}};
enum { KEPT_DIMS = 2 };  // of a shape: no tensor of BERT has more

typedef struct {
  char *name;
  const dtype *type;
  size_t dims;
  uint64_t shape[KEPT_DIMS];
  uint64_t elements, begin, end;  // begin, end: bytes after the header
  const unsigned char *data;
  size_t shard;
  bool was_asked;
} entry;

typedef struct {
  char *path;
  unsigned char *map;
  size_t bytes;
} shard;

struct tw_safetensors {
  char *folder;
  shard *shards;
  size_t shard_count;
  entry *entries;  // sorted by name once open
  size_t entry_count, entry_room;
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory while reading safetensors"); }

static tw_status map_file(shard *s) {
  int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not waiting for a pipe's writer
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: %s", s->path, strerror(errno));
  struct stat st;
  tw_status status = TW_OK;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    status = tw_fail(TW_ERR_IO, "%s: not a regular file", s->path);
  } else if (st.st_size < 8) {
    status = tw_fail(TW_ERR_FORMAT, "%s: only %lld bytes, too short for a safetensors header; fetch the file again",
                     s->path, (long long)st.st_size);
  } else {
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
      status = tw_fail(TW_ERR_IO, "%s: cannot map: %s", s->path, strerror(errno));
    } else {
      s->map = map;
      s->bytes = (size_t)st.st_size;
    }
  }
  close(fd);
  return status;
}

static const dtype *find_dtype(const char *name) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
  return NULL;
}

static bool json_u64(const json_t *value, uint64_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (uint64_t)json_integer_value(value);
  return true;
}

static tw_status parse_shape(const char *path, const json_t *shape, entry *e) {
  if (!json_is_array(shape)) return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: shape is not a list", path, e->name);
  e->dims = json_array_size(shape);
  e->elements = 1;
  for (size_t i = 0; i < e->dims; i++) {
    uint64_t size;
    if (!json_u64(json_array_get(shape, i), &size) || __builtin_mul_overflow(e->elements, size, &e->elements))
      return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: impossible size in its shape", path, e->name);
    if (i < KEPT_DIMS) e->shape[i] = size;
  }
  return TW_OK;
}

// A tensor's fields have names, or (the format's library reads that too) are a list of three.
static const json_t *field(const json_t *value, const char *name, size_t place) {
  return json_array_size(value) == 3 ? json_array_get(value, place) : json_object_get(value, name);
}

// data: the bytes after the header, `bytes` of them.
static tw_status parse_entry(const char *path, const json_t *value, const unsigned char *data, uint64_t bytes,
                             entry *e) {
  const char *type = json_string_value(field(value, "dtype", 0));
  if (!type) return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: no dtype", path, e->name);
  e->type = find_dtype(type);
  if (!e->type) return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: unknown dtype %s", path, e->name, type);
  TW_TRY(parse_shape(path, field(value, "shape", 1), e));
  const json_t *offsets = field(value, "data_offsets", 2);
  uint64_t bits;
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_u64(json_array_get(offsets, 0), &e->begin) ||
      !json_u64(json_array_get(offsets, 1), &e->end))
    return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: data_offsets is not a pair of positions", path, e->name);
  if (e->begin > e->end || e->end > bytes)
    return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: bytes %llu to %llu lie outside the file's %llu; fetch the file again",
                   path, e->name, (unsigned long long)e->begin, (unsigned long long)e->end, (unsigned long long)bytes);
  if (__builtin_mul_overflow(e->elements, (uint64_t)e->type->bits, &bits) || bits % 8 != 0 ||
      bits / 8 != e->end - e->begin)
    return tw_fail(TW_ERR_FORMAT, "%s: tensor %s: %llu bytes do not fit its shape and dtype %s", path, e->name,
                   (unsigned long long)(e->end - e->begin), type);
  e->data = data + e->begin;
  return TW_OK;
}

static tw_status new_entry(tw_safetensors *st, const char *name, entry **out) {
  if (st->entry_count == st->entry_room) {
    size_t room = st->entry_room ? 2 * st->entry_room : 256;
    entry *grown = realloc(st->entries, room * sizeof *grown);
    if (!grown) return out_of_memory();
    st->entries = grown;
    st->entry_room = room;
  }
  entry *e = &st->entries[st->entry_count];
  memset(e, 0, sizeof *e);
  e->name = strdup(name);
  if (!e->name) return out_of_memory();
  st->entry_count++;
  *out = e;
  return TW_OK;
}

static int by_place(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

// The tensors of a file lie one behind the other, from its header to its end.
static tw_status check_places(const char *path, entry *entries, size_t count, uint64_t bytes) {
  uint64_t at = 0;
  if (count) qsort(entries, count, sizeof *entries, by_place);
  for (size_t i = 0; i < count; i++) {
    const entry *e = &entries[i];
    if (e->begin != at)
      return tw_fail(TW_ERR_FORMAT, "%s: tensor %s begins at byte %llu where %llu was due (%s); fetch the file again",
                     path, e->name, (unsigned long long)e->begin, (unsigned long long)at,
                     e->begin < at ? "tensors overlap" : "bytes that belong to no tensor");
    at = e->end;
  }
  if (at == bytes) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: the tensors end at byte %llu of %llu; bytes that belong to no tensor follow", path,
                 (unsigned long long)at, (unsigned long long)bytes);
}

// Texts by name, and not used for anything.
static tw_status check_metadata(const char *path, const json_t *metadata) {
  const char *name;
  json_t *value;
  bool sound = json_is_object(metadata) || json_is_null(metadata);
  json_object_foreach((json_t *)metadata, name, value) sound = sound && json_is_string(value);
  return sound ? TW_OK : tw_fail(TW_ERR_FORMAT, "%s: __metadata__ is not an object of texts", path);
}

static tw_status parse_header(tw_safetensors *st, size_t index, json_t *header, uint64_t data_at) {
  const shard *s = &st->shards[index];
  const char *name;
  json_t *value;
  size_t first = st->entry_count;
  json_object_foreach(header, name, value) {
    if (strcmp(name, "__metadata__") == 0) {
      TW_TRY(check_metadata(s->path, value));
      continue;
    }
    entry *e = NULL;
    TW_TRY(new_entry(st, name, &e));
    e->shard = index;
    TW_TRY(parse_entry(s->path, value, s->map + data_at, s->bytes - data_at, e));
  }
  return check_places(s->path, st->entries + first, st->entry_count - first, s->bytes - data_at);
}

static tw_status open_shard(tw_safetensors *st, size_t index) {
  shard *s = &st->shards[index];
  TW_TRY(map_file(s));
  TW_TRY(tw_lfs_check(s->path, s->map, s->bytes));
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | s->map[i];
  if (length > max_header && length <= s->bytes - 8)
    return tw_fail(TW_ERR_FORMAT, "%s: header of %llu bytes; the format allows 100 MB", s->path,
                   (unsigned long long)length);
  if (length > s->bytes - 8)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: header length %llu does not fit a file of %zu bytes; not safetensors, or cut short", s->path,
                   (unsigned long long)length, s->bytes);
  json_error_t error;
  json_t *header = json_loadb((const char *)s->map + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(header)) {
    json_decref(header);
    return tw_fail(TW_ERR_FORMAT, "%s: header is not a JSON object: %s", s->path,
                   header ? "another value" : error.text);
  }
  tw_status status = parse_header(st, index, header, 8 + length);
  json_decref(header);
  return status;
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static tw_status sort_entries(tw_safetensors *st) {
  if (st->entry_count) qsort(st->entries, st->entry_count, sizeof *st->entries, by_name);
  for (size_t i = 1; i < st->entry_count; i++)
    if (strcmp(st->entries[i - 1].name, st->entries[i].name) == 0)
      return tw_fail(TW_ERR_FORMAT, "tensor %s is in both %s and %s", st->entries[i].name,
                     st->shards[st->entries[i - 1].shard].path, st->shards[st->entries[i].shard].path);
  return TW_OK;
}

static tw_status add_shard(tw_safetensors *st, const char *file) {
  shard *grown = realloc(st->shards, (st->shard_count + 1) * sizeof *grown);
  if (!grown) return out_of_memory();
  st->shards = grown;
  memset(&grown[st->shard_count], 0, sizeof *grown);
  if (asprintf(&grown[st->shard_count].path, "%s/%s", st->folder, file) < 0) {
    grown[st->shard_count].path = NULL;
    return out_of_memory();
  }
  st->shard_count++;
  return TW_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

// The distinct file names of the index, sorted, become shards. Names are plain: nothing outside the folder is opened.
static tw_status list_shards(tw_safetensors *st, const char *path, json_t *weight_map) {
  size_t n = json_object_size(weight_map), i = 0;
  const char **files = malloc((n ? n : 1) * sizeof *files);
  if (!files) return out_of_memory();
  tw_status status = n ? TW_OK : tw_fail(TW_ERR_FORMAT, "%s: weight_map is empty", path);
  const char *name;
  json_t *value;
  json_object_foreach(weight_map, name, value) {
    const char *file = json_string_value(value);
    if (!file || !*file || *file == '.' || strchr(file, '/'))
      status = tw_fail(TW_ERR_FORMAT, "%s: tensor %s: not a plain file name", path, name);
    files[i++] = file;
  }
  if (status == TW_OK) qsort(files, n, sizeof *files, by_text);
  for (i = 0; i < n && status == TW_OK; i++) {
    if (i && strcmp(files[i], files[i - 1]) == 0) continue;
    if (st->shard_count == max_shards)
      status = tw_fail(TW_ERR_FORMAT, "%s: more than %zu files", path, max_shards);
    else
      status = add_shard(st, files[i]);
  }
  free(files);
  return status;
}

static entry *find(const tw_safetensors *st, const char *name) {
  entry key = {.name = (char *)name};
  return st->entry_count ? bsearch(&key, st->entries, st->entry_count, sizeof key, by_name) : NULL;
}

// Every tensor the index promises must be in the file it names.
static tw_status check_index(const tw_safetensors *st, const char *path, json_t *weight_map) {
  const char *name;
  json_t *value;
  json_object_foreach(weight_map, name, value) {
    const entry *e = find(st, name);
    if (!e || strcmp(strrchr(st->shards[e->shard].path, '/') + 1, json_string_value(value)) != 0)
      return tw_fail(TW_ERR_FORMAT, "%s: tensor %s is not in %s", path, name, json_string_value(value));
  }
  return TW_OK;
}

static tw_status open_all(tw_safetensors *st) {
  for (size_t i = 0; i < st->shard_count; i++) TW_TRY(open_shard(st, i));
  return sort_entries(st);
}

static tw_status open_sharded(tw_safetensors *st, const char *path) {
  json_t *index;
  TW_TRY(tw_json_read(path, true, &index));
  json_t *weight_map = json_object_get(index, "weight_map");
  tw_status status = TW_OK;
  if (!json_is_object(weight_map)) status = tw_fail(TW_ERR_FORMAT, "%s: no weight_map", path);
  if (status == TW_OK) status = list_shards(st, path, weight_map);
  if (status == TW_OK) status = open_all(st);
  if (status == TW_OK) status = check_index(st, path, weight_map);
  json_decref(index);
  return status;
}

static tw_status open_folder(tw_safetensors *st) {
  char *single = NULL, *index = NULL;
  tw_status status;
  if (asprintf(&single, "%s/model.safetensors", st->folder) < 0) return out_of_memory();
  if (asprintf(&index, "%s/model.safetensors.index.json", st->folder) < 0) {
    free(single);
    return out_of_memory();
  }
  if (access(single, F_OK) == 0) {
    status = add_shard(st, "model.safetensors");
    if (status == TW_OK) status = open_all(st);
  } else if (access(index, F_OK) == 0) {
    status = open_sharded(st, index);
  } else {
    status = tw_fail(TW_ERR_IO,
                     "%s: neither model.safetensors nor model.safetensors.index.json; save the model as safetensors",
                     st->folder);
  }
  free(single);
  free(index);
  return status;
}

tw_status tw_safetensors_open(const char *folder, tw_safetensors **out) {
  *out = NULL;
  tw_safetensors *st = calloc(1, sizeof *st);
  if (!st) return out_of_memory();
  st->folder = strdup(folder);
  tw_status status = st->folder ? open_folder(st) : out_of_memory();
  if (status == TW_OK)
    *out = st;
  else
    tw_safetensors_close(st);
  return status;
}

void tw_safetensors_close(tw_safetensors *st) {
  if (!st) return;
  for (size_t i = 0; i < st->shard_count; i++) {
    if (st->shards[i].map) munmap(st->shards[i].map, st->shards[i].bytes);
    free(st->shards[i].path);
  }
  for (size_t i = 0; i < st->entry_count; i++) free(st->entries[i].name);
  free(st->shards);
  free(st->entries);
  free(st->folder);
  free(st);
}

bool tw_safetensors_has(const tw_safetensors *st, const char *name) { return find(st, name) != NULL; }

static tw_status require(const tw_safetensors *st, const char *name, entry **out) {
  *out = find(st, name);
  if (*out) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s%s: tensor %s is missing; is this a complete model?", st->shards[0].path,
                 st->shard_count > 1 ? " and its other shards" : "", name);
}

const char *tw_safetensors_type(const tw_safetensors *st, const char *name) {
  const entry *e = find(st, name);
  return e ? e->type->name : NULL;
}

const char *tw_safetensors_unasked(const tw_safetensors *st, size_t *at) {
  while (*at < st->entry_count) {
    const entry *e = &st->entries[(*at)++];
    if (!e->was_asked) return e->name;
  }
  return NULL;
}

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// IEEE 754 binary16 to binary32, exact; subnormals are normalised.
static float from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

// n elements from byte p on. The format is little-endian and need not be aligned.
static void widen(const entry *e, const unsigned char *p, size_t n, float *out) {
  if (e->type->bits == 32)
    for (size_t i = 0; i < n; i++, p += 4)
      out[i] = from_bits(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
  else if (strcmp(e->type->name, "F16") == 0)
    for (size_t i = 0; i < n; i++, p += 2) out[i] = from_half((uint16_t)(p[0] | p[1] << 8));
  else
    for (size_t i = 0; i < n; i++, p += 2) out[i] = from_bits((uint32_t)p[0] << 16 | (uint32_t)p[1] << 24);
}

static tw_status check_shape(const tw_safetensors *st, const entry *e, size_t rows, size_t cols) {
  bool vector = e->dims == 1 && rows == 1 && e->shape[0] == cols;
  bool matrix = e->dims == 2 && e->shape[0] == rows && e->shape[1] == cols;
  if (vector || matrix) return TW_OK;
  char found[80] = "";
  for (size_t i = 0, used = 0; i < e->dims && i < KEPT_DIMS; i++)
    used +=
        (size_t)snprintf(found + used, sizeof found - used, "%s%llu", i ? " x " : "", (unsigned long long)e->shape[i]);
  return tw_fail(TW_ERR_FORMAT, "%s: tensor %s has shape [%s%s], but config.json asks for [%zu x %zu]",
                 st->shards[e->shard].path, e->name, found, e->dims > KEPT_DIMS ? " x ..." : "", rows, cols);
}

static tw_status locate(const tw_safetensors *st, const char *name, size_t rows, size_t cols, entry **out) {
  TW_TRY(require(st, name, out));
  const char *type = (*out)->type->name, *path = st->shards[(*out)->shard].path;
  if (strcmp(type, "F32") != 0 && strcmp(type, "F16") != 0 && strcmp(type, "BF16") != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: tensor %s is %s; only F32, F16 and BF16 weights are read", path, name, type);
  return check_shape(st, *out, rows, cols);
}

tw_status tw_safetensors_check(tw_safetensors *st, const char *name, size_t rows, size_t cols) {
  entry *e;
  TW_TRY(locate(st, name, rows, cols, &e));
  e->was_asked = true;
  return TW_OK;
}

// Pages of a map that were read stay in this process's memory until it says that they need not.
static void forget(const void *data, size_t bytes) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)data / page * page;
  madvise((void *)from, (uintptr_t)data + bytes - from, MADV_DONTNEED);
}

tw_status tw_safetensors_read_rows(tw_safetensors *st, const char *name, size_t rows, size_t cols, size_t first,
                                   size_t count, float *out) {
  entry *e;
  TW_TRY(locate(st, name, rows, cols, &e));
  const char *path = st->shards[e->shard].path;
  size_t size = (size_t)e->type->bits / 8, n = count * cols;
  e->was_asked = true;
  for (size_t at = 0, part; at < n; at += part) {
    const unsigned char *data = e->data + (first * cols + at) * size;
    part = n - at < part_elements ? n - at : part_elements;
    widen(e, data, part, out + at);
    forget(data, part * size);
    for (size_t i = at; i < at + part; i++)
      if (!isfinite(out[i]))
        return tw_fail(TW_ERR_FORMAT, "%s: tensor %s holds %s at element %zu; the weights are damaged", path, name,
                       isnan(out[i]) ? "NaN" : "Inf", first * cols + i);
  }
  return TW_OK;
}

tw_status tw_safetensors_read(tw_safetensors *st, const char *name, size_t rows, size_t cols, float *out) {
  return tw_safetensors_read_rows(st, name, rows, cols, 0, rows, out);
}

static void digest_shard(const shard *s, tw_digest *out) { tw_digest_of_parts(s->map, s->bytes, forget, out); }

void tw_safetensors_digest(const tw_safetensors *st, tw_digest *out) {
  if (st->shard_count == 1) {
    digest_shard(&st->shards[0], out);
    return;
  }
  tw_digest total = {{0}}, pair[2];
  for (size_t i = 0; i < st->shard_count; i++) {
    // A running digest of digests: no list to allocate.
    pair[0] = total;
    digest_shard(&st->shards[i], &pair[1]);
    tw_digest_of(pair, sizeof pair, &total);
  }
  *out = total;
}
