// Writing key files: the layout first, then slot by slot, one chunk in memory.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/keys_layout.h"

struct tw_keys_writer {
  tw_output out;
  tw_keys_layout layout;
  tw_id key_id;
  uint64_t count, slot_bytes;
  uint8_t *done;   // [count] slots that are complete
  uint8_t *chunk;  // [TW_KEY_CHUNK]
  size_t filled;
  uint64_t slot;      // the open one
  uint64_t position;  // bytes of it that are in the file
  bool open;
};

static tw_status put_header(tw_h5 *f, const tw_keys_info *info) {
  TW_TRY(tw_h5_put_id(f, "key_id", &info->key_id));
  TW_TRY(tw_h5_put_id(f, "model_id", &info->model_id));
  TW_TRY(tw_h5_put_digest(f, "plan", &info->plan));
  TW_TRY(tw_h5_put_int(f, "/", "test", info->test));
  TW_TRY(tw_h5_put_int(f, "/", "count", (int64_t)info->count));
  TW_TRY(tw_h5_put_int(f, "/", "slot_bytes", (int64_t)info->slot_bytes));
  TW_TRY(tw_h5_put_int(f, "/", "chunk_bytes", TW_KEY_CHUNK));
  TW_TRY(tw_h5_put_int(f, "/", "index_count", (int64_t)info->index_count));
  tw_digest digest;
  TW_TRY(tw_keys_digest(f, info, &digest));
  return tw_h5_put_digest(f, "header_digest", &digest);
}

static tw_status put_datasets(tw_h5 *f, const tw_keys_info *info, uint64_t chunks) {
  hid_t type;
  TW_TRY(tw_keys_index_type(f, &type));
  tw_status status = tw_h5_put(f, "index", type, 1, (hsize_t[]){info->index_count}, info->index);
  H5Tclose(type);
  TW_TRY(status);
  TW_TRY(tw_h5_put(f, "ledger", H5T_STD_U8LE, 1, (hsize_t[]){TW_KEYS_LEDGER_BYTES}, NULL));  // zeros until first use
  TW_TRY(tw_h5_put(f, "seeds", H5T_STD_U8LE, 2, (hsize_t[]){info->count, TW_SEED_BYTES}, NULL));
  TW_TRY(tw_h5_put(f, "seed_tags", H5T_STD_U8LE, 2, (hsize_t[]){info->count, TW_SEED_TAG_BYTES}, NULL));
  TW_TRY(tw_h5_put(f, "chunk_crc32c", H5T_STD_U32LE, 2, (hsize_t[]){info->count, chunks}, NULL));
  return tw_h5_put(f, "corrections", H5T_STD_U8LE, 2, (hsize_t[]){info->count, info->slot_bytes}, NULL);
}

static tw_status lay_out(const char *path, const tw_keys_info *info, tw_keys_writer *w) {
  tw_h5 f;
  TW_TRY(tw_keys_check(path, info, &w->layout.chunks));
  TW_TRY(tw_h5_create(&f, path, &tw_keys_kind, info->party));
  tw_status status = put_header(&f, info);
  if (status == TW_OK) status = put_datasets(&f, info, w->layout.chunks);
  f.bytes = UINT64_MAX;  // nothing of the file is on disk yet for the places to be compared with
  if (status == TW_OK) status = tw_keys_locate(&f, info, &w->layout);
  if (status != TW_OK) return tw_h5_finish(&f, status);
  return tw_h5_place(&f, &w->out);
}

static void release(tw_keys_writer *w) {
  tw_secret_free(w->chunk, TW_KEY_CHUNK);
  tw_free(w->done);
  free(w);
}

tw_status tw_keys_create(const char *path, const tw_keys_info *info, tw_keys_writer **out) {
  *out = NULL;
  tw_keys_writer *w = calloc(1, sizeof *w);
  if (!w) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  w->out.fd = -1;
  w->key_id = info->key_id;
  w->count = info->count;
  w->slot_bytes = info->slot_bytes;
  tw_status status = tw_secret_alloc(TW_KEY_CHUNK, (void **)&w->chunk);
  if (status == TW_OK) status = tw_alloc(info->count, (void **)&w->done);
  if (status == TW_OK) status = lay_out(path, info, w);
  if (status != TW_OK) {
    release(w);
    return status;
  }
  *out = w;
  return TW_OK;
}

tw_status tw_keys_begin_slot(tw_keys_writer *w, uint64_t slot, const uint8_t seed[32]) {
  if (w->open || slot >= w->count || w->done[slot] || sodium_is_zero(seed, TW_SEED_BYTES))
    return tw_fail(TW_ERR_INTERNAL, "%s: slot %llu: already open, written, out of range, or with a zero seed",
                   w->out.path, (unsigned long long)slot);
  uint8_t tag[TW_SEED_TAG_BYTES];
  tw_keys_seed_tag(&w->key_id, slot, seed, tag);
  TW_TRY(tw_output_write(&w->out, "seeds", seed, TW_SEED_BYTES, w->layout.seeds + slot * TW_SEED_BYTES));
  TW_TRY(tw_output_write(&w->out, "seed_tags", tag, sizeof tag, w->layout.seed_tags + slot * sizeof tag));
  w->open = true;
  w->slot = slot;
  w->position = w->filled = 0;
  return TW_OK;
}

static tw_status flush(tw_keys_writer *w) {
  uint32_t crc = tw_crc32c(0, w->chunk, w->filled);
  uint64_t number = w->slot * w->layout.chunks + w->position / TW_KEY_CHUNK;
  TW_TRY(tw_output_write(&w->out, "corrections", w->chunk, w->filled,
                         w->layout.corrections + w->slot * w->slot_bytes + w->position));
  TW_TRY(tw_output_write(&w->out, "chunk_crc32c", &crc, sizeof crc, w->layout.chunk_crc + number * sizeof crc));
  w->position += w->filled;
  w->filled = 0;
  return TW_OK;
}

tw_status tw_keys_append(tw_keys_writer *w, const void *data, size_t bytes) {
  const uint8_t *from = data;
  if (!w->open || bytes > w->slot_bytes - w->position - w->filled)
    return tw_fail(TW_ERR_INTERNAL, "%s: slot %llu: more than its %llu bytes appended", w->out.path,
                   (unsigned long long)w->slot, (unsigned long long)w->slot_bytes);
  while (bytes > 0) {
    size_t part = TW_KEY_CHUNK - w->filled;
    if (part > bytes) part = bytes;
    memcpy(w->chunk + w->filled, from, part);
    w->filled += part;
    from += part;
    bytes -= part;
    if (w->filled == TW_KEY_CHUNK) TW_TRY(flush(w));
  }
  return TW_OK;
}

tw_status tw_keys_end_slot(tw_keys_writer *w) {
  if (!w->open || w->position + w->filled != w->slot_bytes)
    return tw_fail(TW_ERR_INTERNAL, "%s: slot %llu: %llu of %llu bytes appended", w->out.path,
                   (unsigned long long)w->slot, (unsigned long long)(w->position + w->filled),
                   (unsigned long long)w->slot_bytes);
  if (w->filled > 0) TW_TRY(flush(w));
  w->done[w->slot] = 1;
  w->open = false;
  return TW_OK;
}

tw_status tw_keys_commit(tw_keys_writer *w) {
  tw_status status = TW_OK;
  for (uint64_t i = 0; status == TW_OK && i < w->count; i++)
    if (!w->done[i])
      status = tw_fail(TW_ERR_INTERNAL, "%s: slot %llu was not written", w->out.path, (unsigned long long)i);
  if (status == TW_OK)
    status = tw_output_commit(&w->out);
  else
    tw_output_abort(&w->out);
  release(w);
  return status;
}

void tw_keys_abort(tw_keys_writer *w) {
  if (!w) return;
  tw_output_abort(&w->out);
  release(w);
}
