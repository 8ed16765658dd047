// What the writer and the reader of key files share. Internal to io/.
#ifndef TW_KEYS_LAYOUT_H
#define TW_KEYS_LAYOUT_H

#include "io/h5.h"
#include "io/keys.h"

enum { TW_SEED_BYTES = 32, TW_SEED_TAG_BYTES = 16, TW_KEYS_LEDGER_BYTES = 48 };

// Places of the datasets in the file.
typedef struct {
  uint64_t chunks;  // of one slot
  uint64_t ledger, seeds, seed_tags, chunk_crc, corrections;
} tw_keys_layout;

// An open key file.
struct tw_keys {
  tw_keys_info info;
  tw_keys_layout layout;
  char *path;
  int fd;
};

extern const tw_h5_kind tw_keys_kind;

// TW_ERR_RANGE unless the sizes are positive and their product fits a file.
tw_status tw_keys_check(const char *path, const tw_keys_info *info, uint64_t *chunks);

// HDF5 type of tw_key_index_entry; close with H5Tclose.
tw_status tw_keys_index_type(const tw_h5 *f, hid_t *type);

// BLAKE2b-256 of the header attributes as they stand in the file, and of the index.
tw_status tw_keys_digest(const tw_h5 *f, const tw_keys_info *info, tw_digest *out);

// Fill `layout` from the file, after checks of type, shape and file size.
tw_status tw_keys_locate(const tw_h5 *f, const tw_keys_info *info, tw_keys_layout *layout);

// TW_ERR_USAGE unless the file has this slot.
tw_status tw_keys_check_slot(const tw_keys *keys, uint64_t slot);

// Tells a damaged or misplaced seed from a sound one without saying anything about it: BLAKE2b-128 of key id, slot,
// seed.
void tw_keys_seed_tag(const tw_id *key_id, uint64_t slot, const uint8_t seed[TW_SEED_BYTES],
                      uint8_t tag[TW_SEED_TAG_BYTES]);

#endif
