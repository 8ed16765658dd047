// What a run changes in a key file: seeds are read once and erased, and the ledger's id is recorded. Plain reads and
// writes at their places; an erasure is one overwrite and one fsync.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/keys_layout.h"

tw_status tw_keys_check_slot(const tw_keys *keys, uint64_t slot) {
  if (slot < keys->info.count) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "%s: no slot %llu: the file has slots 0 to %llu; choose another --slot", keys->path,
                 (unsigned long long)slot, (unsigned long long)keys->info.count - 1);
}

tw_status tw_keys_seed(tw_keys *keys, uint64_t slot, uint8_t seed[32]) {
  uint8_t stored[TW_SEED_TAG_BYTES], tag[TW_SEED_TAG_BYTES];
  TW_TRY(tw_keys_check_slot(keys, slot));
  TW_TRY(tw_read_at(keys->fd, keys->path, "dataset seeds", seed, TW_SEED_BYTES,
                    keys->layout.seeds + slot * TW_SEED_BYTES));
  if (sodium_is_zero(seed, TW_SEED_BYTES))
    return tw_fail(TW_ERR_USED, "%s: key %s: slot %llu was used before: its seed is erased", keys->path,
                   keys->info.key_id.hex, (unsigned long long)slot);
  tw_status status = tw_read_at(keys->fd, keys->path, "dataset seed_tags", stored, sizeof stored,
                                keys->layout.seed_tags + slot * sizeof stored);
  tw_keys_seed_tag(&keys->info.key_id, slot, seed, tag);
  if (status == TW_OK && sodium_memcmp(stored, tag, sizeof tag) != 0)
    status =
        tw_fail(TW_ERR_FORMAT,
                "%s: dataset seeds, slot %llu: does not fit its tag: damaged; copy the file again, use another slot "
                "(--slot) or deal new keys (`twain deal`)",
                keys->path, (unsigned long long)slot);
  if (status != TW_OK) tw_wipe(seed, TW_SEED_BYTES);
  return status;
}

static bool write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset) {
  ssize_t done;
  do done = pwrite(fd, data, bytes, (off_t)offset);
  while (done < 0 && errno == EINTR);
  return done == (ssize_t)bytes;
}

static bool erase(const tw_keys *keys, uint64_t slot) {
  static const uint8_t zeros[TW_SEED_BYTES];
  return write_all(keys->fd, zeros, TW_SEED_BYTES, keys->layout.seeds + slot * TW_SEED_BYTES) &&
         write_all(keys->fd, zeros, TW_SEED_TAG_BYTES, keys->layout.seed_tags + slot * TW_SEED_TAG_BYTES);
}

tw_status tw_keys_erase_seeds(tw_keys *keys, const uint64_t *slots, size_t n) {
  for (size_t i = 0; i < n; i++) {
    TW_TRY(tw_keys_check_slot(keys, slots[i]));
    if (!erase(keys, slots[i]) || (i + 1 == n && fsync(keys->fd) != 0))
      return tw_fail(TW_ERR_IO, "%s: dataset seeds, slot %llu: cannot erase the used seed: %s", keys->path,
                     (unsigned long long)slots[i], strerror(errno));
  }
  return TW_OK;
}

// Sets the bits of rows of `bytes` bytes, from row 0 on, that are not all zero.
static tw_status survey(const tw_keys *keys, const char *what, uint64_t offset, size_t bytes, uint8_t *block,
                        size_t rows, uint64_t *live) {
  for (uint64_t first = 0; first < keys->info.count; first += rows) {
    if (rows > keys->info.count - first) rows = keys->info.count - first;
    TW_TRY(tw_read_at(keys->fd, keys->path, what, block, rows * bytes, offset + first * bytes));
    for (uint64_t i = 0; i < rows; i++)
      if (!sodium_is_zero(block + i * bytes, bytes)) live[(first + i) / 64] |= UINT64_C(1) << (first + i) % 64;
  }
  return TW_OK;
}

tw_status tw_keys_survey(tw_keys *keys, uint64_t *live) {
  enum { ROWS = 256 };
  void *block;
  memset(live, 0, (keys->info.count + 63) / 64 * sizeof *live);
  TW_TRY(tw_secret_alloc(ROWS * TW_SEED_BYTES, &block));
  tw_status status = survey(keys, "dataset seeds", keys->layout.seeds, TW_SEED_BYTES, block, ROWS, live);
  if (status == TW_OK)
    status = survey(keys, "dataset seed_tags", keys->layout.seed_tags, TW_SEED_TAG_BYTES, block, ROWS, live);
  tw_secret_free(block, ROWS * TW_SEED_BYTES);
  return status;
}

// ---- the ledger's id: its 32 digits, and BLAKE2b-128 of `twain key ledger 1`, the key id and these digits

typedef struct {
  uint8_t bytes[TW_KEYS_LEDGER_BYTES];
} record;

static record record_of(const tw_keys *keys, const char digits[32]) {
  record r;
  crypto_generichash_state state;
  memcpy(r.bytes, digits, 32);
  crypto_generichash_init(&state, NULL, 0, sizeof r.bytes - 32);
  crypto_generichash_update(&state, (const unsigned char *)"twain key ledger 1", 18);
  crypto_generichash_update(&state, (const unsigned char *)keys->info.key_id.hex, 32);
  crypto_generichash_update(&state, r.bytes, 32);
  crypto_generichash_final(&state, r.bytes + 32, sizeof r.bytes - 32);
  return r;
}

// A power failure may leave a part of the record: such bytes are zero or this ledger's.
static bool part_of(const record *found, const record *whole) {
  for (size_t i = 0; i < sizeof found->bytes; i++)
    if (found->bytes[i] != 0 && found->bytes[i] != whole->bytes[i]) return false;
  return true;
}

tw_status tw_keys_check_ledger(tw_keys *keys, const tw_id *ledger, bool *recorded) {
  record found, mine = record_of(keys, ledger->hex);
  *recorded = false;
  TW_TRY(tw_read_at(keys->fd, keys->path, "dataset ledger", found.bytes, sizeof found.bytes, keys->layout.ledger));
  *recorded = memcmp(found.bytes, mine.bytes, sizeof mine.bytes) == 0;
  if (part_of(&found, &mine)) return TW_OK;
  record theirs = record_of(keys, (const char *)found.bytes);
  if (memcmp(found.bytes, theirs.bytes, sizeof found.bytes) != 0)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: dataset ledger: damaged: it cannot be told which ledger holds the slots that were used; deal "
                   "new keys (`twain deal`)",
                   keys->path);
  return tw_fail(TW_ERR_MISMATCH,
                 "%s: key %s was first used with the ledger of id %.32s; the ledger given has id %s: this is not the "
                 "key file's ledger; name the right one (--ledger DIR), or deal new keys (`twain deal`)",
                 keys->path, keys->info.key_id.hex, (const char *)found.bytes, ledger->hex);
}

tw_status tw_keys_record_ledger(tw_keys *keys, const tw_id *ledger) {
  bool recorded;
  record mine = record_of(keys, ledger->hex);
  TW_TRY(tw_keys_check_ledger(keys, ledger, &recorded));
  if (!recorded && !write_all(keys->fd, mine.bytes, sizeof mine.bytes, keys->layout.ledger))
    return tw_fail(TW_ERR_IO, "%s: dataset ledger: cannot record the ledger's id: %s", keys->path, strerror(errno));
  // also after a whole record: the run that wrote it may have been killed before it was durable
  if (fsync(keys->fd) != 0)
    return tw_fail(TW_ERR_IO, "%s: dataset ledger: cannot fsync: %s", keys->path, strerror(errno));
  return TW_OK;
}
