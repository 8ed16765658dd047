#include "io/keys_layout.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

const tw_h5_kind tw_keys_kind = {
    "twain-keys", "keys", true, true, "twain deal", "keys are never carried over: deal new ones (`twain deal`)"};

tw_status tw_keys_check(const char *path, const tw_keys_info *info, uint64_t *chunks) {
  uint64_t total;
  *chunks = info->slot_bytes / TW_KEY_CHUNK + (info->slot_bytes % TW_KEY_CHUNK != 0);
  if (info->count == 0 || __builtin_mul_overflow(info->count, info->slot_bytes, &total) || total > UINT64_C(1) << 60)
    return tw_fail(TW_ERR_RANGE, "%s: %llu slots of %llu bytes cannot be one file", path,
                   (unsigned long long)info->count, (unsigned long long)info->slot_bytes);
  return TW_OK;
}

tw_status tw_keys_index_type(const tw_h5 *f, hid_t *type) {
  *type = H5Tcreate(H5T_COMPOUND, sizeof(tw_key_index_entry));
  if (*type >= 0 && H5Tinsert(*type, "use", HOFFSET(tw_key_index_entry, use), H5T_STD_U32LE) >= 0 &&
      H5Tinsert(*type, "kind", HOFFSET(tw_key_index_entry, kind), H5T_STD_U32LE) >= 0 &&
      H5Tinsert(*type, "width", HOFFSET(tw_key_index_entry, width), H5T_STD_U32LE) >= 0 &&
      H5Tinsert(*type, "reserved", HOFFSET(tw_key_index_entry, reserved), H5T_STD_U32LE) >= 0 &&
      H5Tinsert(*type, "count", HOFFSET(tw_key_index_entry, count), H5T_STD_U64LE) >= 0 &&
      H5Tinsert(*type, "offset", HOFFSET(tw_key_index_entry, offset), H5T_STD_U64LE) >= 0)
    return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "index", "its type cannot be made");
}

static void add(crypto_generichash_state *state, const char *name, const char *value) {
  crypto_generichash_update(state, (const unsigned char *)name, strlen(name));
  crypto_generichash_update(state, (const unsigned char *)"=", 1);
  crypto_generichash_update(state, (const unsigned char *)value, strlen(value));
  crypto_generichash_update(state, (const unsigned char *)"\n", 1);
}

tw_status tw_keys_digest(const tw_h5 *f, const tw_keys_info *info, tw_digest *out) {
  static const char *const texts[] = {"format", "version", "role", "created", "software", "key_id", "model_id", "plan"};
  static const char *const numbers[] = {"test", "count", "slot_bytes", "chunk_bytes", "index_count"};
  _Static_assert(sizeof(tw_key_index_entry) == 32, "the index is digested as it lies in memory");
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, 32);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char value[256];
    TW_TRY(tw_h5_get_text(f, "/", texts[i], value, sizeof value));
    add(&state, texts[i], value);
  }
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    char value[32];
    int64_t number;
    TW_TRY(tw_h5_get_int(f, "/", numbers[i], 0, INT64_MAX, &number));
    snprintf(value, sizeof value, "%lld", (long long)number);
    add(&state, numbers[i], value);
  }
  crypto_generichash_update(&state, (const unsigned char *)info->index, info->index_count * sizeof *info->index);
  unsigned char hash[32];
  crypto_generichash_final(&state, hash, sizeof hash);
  sodium_bin2hex(out->hex, sizeof out->hex, hash, sizeof hash);
  return TW_OK;
}

tw_status tw_keys_locate(const tw_h5 *f, const tw_keys_info *info, tw_keys_layout *layout) {
  TW_TRY(tw_keys_check(f->path, info, &layout->chunks));
  TW_TRY(tw_h5_locate(f, "ledger", H5T_STD_U8LE, 1, (hsize_t[]){TW_KEYS_LEDGER_BYTES}, &layout->ledger));
  TW_TRY(tw_h5_locate(f, "seeds", H5T_STD_U8LE, 2, (hsize_t[]){info->count, TW_SEED_BYTES}, &layout->seeds));
  TW_TRY(
      tw_h5_locate(f, "seed_tags", H5T_STD_U8LE, 2, (hsize_t[]){info->count, TW_SEED_TAG_BYTES}, &layout->seed_tags));
  TW_TRY(
      tw_h5_locate(f, "chunk_crc32c", H5T_STD_U32LE, 2, (hsize_t[]){info->count, layout->chunks}, &layout->chunk_crc));
  return tw_h5_locate(f, "corrections", H5T_STD_U8LE, 2, (hsize_t[]){info->count, info->slot_bytes},
                      &layout->corrections);
}

void tw_keys_seed_tag(const tw_id *key_id, uint64_t slot, const uint8_t seed[TW_SEED_BYTES],
                      uint8_t tag[TW_SEED_TAG_BYTES]) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, TW_SEED_TAG_BYTES);
  crypto_generichash_update(&state, (const unsigned char *)"twain seed tag 1", 16);
  crypto_generichash_update(&state, (const unsigned char *)key_id->hex, 32);
  crypto_generichash_update(&state, (const unsigned char *)&slot, sizeof slot);
  crypto_generichash_update(&state, seed, TW_SEED_BYTES);
  crypto_generichash_final(&state, tag, TW_SEED_TAG_BYTES);
  sodium_memzero(&state, sizeof state);
}
