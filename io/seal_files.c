// Sealing a file that lies there, and unsealing one.
#define _GNU_SOURCE
#include "io/seal_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/h5.h"
#include "io/keys.h"
#include "io/site_unsealed.h"

bool tw_is_keys(const tw_seal_about *about) { return strcmp(about->format, "twain-keys") == 0; }

// ---- what a file is

static tw_status get_word(const tw_h5 *f, const char *name, char out[33]) {
  char text[64];
  TW_TRY(tw_h5_get_text(f, "/", name, text, sizeof text));
  if (strlen(text) > 32) return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", name, "is too long");
  snprintf(out, 33, "%.32s", text);
  return TW_OK;
}

static bool has(const tw_h5 *f, const char *name) { return H5Aexists(f->file, name) > 0; }

tw_status tw_h5_about(const tw_h5 *f, tw_seal_about *about) {
  static const char *const ids[][2] = {{"twain-keys", "key_id"},
                                       {"twain-model-share", "model_id"},
                                       {"twain-model-dealer", "model_id"},
                                       {"twain-input-share", "input_id"},
                                       {"twain-result-share", "run_id"}};
  *about = (tw_seal_about){.format = ""};
  TW_TRY(get_word(f, "format", about->format));
  TW_TRY(get_word(f, "role", about->role));
  if (has(f, "plan")) TW_TRY(tw_h5_get_digest(f, "plan", &about->plan));
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (strcmp(about->format, ids[i][0]) == 0) TW_TRY(tw_h5_get_id(f, ids[i][1], &about->id));
  return TW_OK;
}

// HDF5's first bytes, at the beginning, where all of twain's files have them.
static tw_status is_h5(const char *path, bool *yes) {
  static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  uint8_t found[8] = {0};
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  ssize_t got = read(fd, found, sizeof found);
  close(fd);
  *yes = got == sizeof found && memcmp(found, signature, sizeof found) == 0;
  return TW_OK;
}

tw_status tw_plain_about(const char *path, tw_seal_about *about) {
  bool h5 = false;
  tw_h5 f;
  *about = (tw_seal_about){.format = ""};
  TW_TRY(is_h5(path, &h5));
  if (!h5) return TW_OK;
  TW_TRY(tw_h5_open_any(&f, path));
  tw_status status = TW_OK;
  if (has(&f, "format") && has(&f, "role")) status = tw_h5_about(&f, about);
  tw_h5_close(&f);
  return status;
}

// ---- sealing

// data: TW_SEAL_CHUNK bytes, locked: seeds pass through them.
static tw_status pour(int fd, const char *path, uint64_t bytes, uint8_t *data, tw_output *out) {
  for (uint64_t at = 0; at < bytes; at += TW_SEAL_CHUNK) {
    size_t part = bytes - at < TW_SEAL_CHUNK ? (size_t)(bytes - at) : TW_SEAL_CHUNK;
    TW_TRY(tw_read_at(fd, path, "its content", data, part, at));
    TW_TRY(tw_output_write(out, "its content", data, part, at));
  }
  return TW_OK;
}

static tw_status seal_open(int fd, const char *path, const char *out) {
  struct stat info;
  tw_output o;
  void *data;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is not a regular file", path);
  TW_TRY(tw_seed_alloc(TW_SEAL_CHUNK, &data));
  tw_status status = tw_output_begin(&o, out, (uint64_t)info.st_size);
  if (status == TW_OK) {
    status = pour(fd, path, (uint64_t)info.st_size, data, &o);
    if (status == TW_OK)
      status = tw_output_commit(&o);
    else
      tw_output_abort(&o);
  }
  tw_seed_free(data, TW_SEAL_CHUNK);
  return status;
}

tw_status tw_seal_file(const char *path, const tw_site *site, const tw_peer *recipient, const char *out) {
  tw_seal_about about;
  TW_TRY(tw_plain_about(path, &about));
  TW_TRY(tw_seal_path(out, site, recipient, &about));
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  tw_status status =
      fd >= 0 ? seal_open(fd, path, out) : tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  if (fd >= 0) close(fd);
  tw_seal_paths_forget();
  return status;
}

// ---- unsealing

static tw_status pour_out(tw_sealed *sealed, tw_output *out, uint8_t *data) {
  size_t bytes;
  for (uint64_t i = 0; i < tw_sealed_chunks(sealed); i++) {
    TW_TRY(tw_sealed_chunk(sealed, i, data, &bytes));
    TW_TRY(tw_output_write(out, "its content", data, bytes, i * TW_SEAL_CHUNK));
  }
  return tw_output_sync(out);
}

static int keys_party(const tw_seal_about *about) { return strcmp(about->role, "keys-1") == 0; }

static tw_status erase_marked(tw_keys *keys, const tw_ledger *ledger) {
  const tw_keys_info *info = tw_keys_get_info(keys);
  uint64_t *marks, *slots, n = 0;
  size_t words = (size_t)((info->count + 63) / 64);
  TW_TRY(tw_alloc(words * sizeof *marks, (void **)&marks));
  tw_status status = tw_alloc(info->count * sizeof *slots, (void **)&slots);
  if (status == TW_OK) status = tw_ledger_marks(ledger, info->party, &info->key_id, info->count, marks);
  for (uint64_t i = 0; status == TW_OK && i < info->count; i++)
    if (marks[i / 64] >> i % 64 & 1) slots[n++] = i;
  if (status == TW_OK) status = tw_keys_erase_seeds(keys, slots, n);
  tw_free(slots);
  tw_free(marks);
  return status;
}

// Before the file has its name: it belongs to this ledger, and what that lists stays spent.
static tw_status bind_keys(const char *path, const tw_seal_about *about, const tw_ledger *ledger) {
  tw_keys *keys;
  TW_TRY(tw_keys_open(path, keys_party(about), &keys));
  const tw_keys_info *info = tw_keys_get_info(keys);
  tw_status status = TW_OK;
  if (strcmp(info->key_id.hex, about->id.hex) != 0 || strcmp(info->plan.hex, about->plan.hex) != 0)
    status =
        tw_fail(TW_ERR_MISMATCH, "%s: holds other keys than was said when it was sealed; have new ones dealt", path);
  if (status == TW_OK) status = erase_marked(keys, ledger);
  if (status == TW_OK) status = tw_keys_record_ledger(keys, &ledger->id);
  tw_keys_close(keys);
  return status;
}

static tw_status unseal_to(tw_sealed *sealed, tw_output *out, const tw_unseal_keys *k) {
  uint8_t *data;
  TW_TRY(tw_seed_alloc(TW_SEAL_CHUNK, (void **)&data));
  tw_status status = pour_out(sealed, out, data);
  tw_seed_free(data, TW_SEAL_CHUNK);
  TW_TRY(status);
  if (!k) return TW_OK;
  const tw_seal_about *about = tw_sealed_about(sealed);
  TW_TRY(bind_keys(out->partial, about, k->ledger));
  TW_TRY(tw_site_unsealed_note(k->site, &about->id, k->ledger));
  return tw_ledger_unseal_mark(k->ledger, keys_party(about), &about->id, out->path, k->again);
}

static tw_status check_keys(const tw_seal_about *about, const char *out, const tw_unseal_keys *k) {
  if (!tw_id_is_hex(&about->id)) return tw_fail(TW_ERR_FORMAT, "%s: keys without a key id", out);
  TW_TRY(tw_site_unsealed_check(k->site, &about->id, k->ledger));
  return tw_ledger_unseal_check(k->ledger, keys_party(about), &about->id, k->again);
}

tw_status tw_unseal_file(tw_sealed *sealed, const char *out, const tw_unseal_keys *keys) {
  tw_output o;
  const tw_seal_about *about = tw_sealed_about(sealed);
  if (tw_is_keys(about) != (keys != NULL))
    return tw_fail(TW_ERR_INTERNAL, "%s: a ledger is for keys, and keys need one", out);
  if (keys) TW_TRY(check_keys(about, out, keys));
  TW_TRY(tw_output_begin(&o, out, tw_sealed_public(sealed)->plain_bytes));
  tw_status status = unseal_to(sealed, &o, keys);
  if (status == TW_OK) return tw_output_commit(&o);
  tw_output_abort(&o);
  return status;
}

tw_status tw_sealed_check(tw_sealed *sealed) {
  uint8_t *data;
  size_t bytes;
  tw_status status = tw_seed_alloc(TW_SEAL_CHUNK, (void **)&data);
  for (uint64_t i = 0; status == TW_OK && i < tw_sealed_chunks(sealed); i++)
    status = tw_sealed_chunk(sealed, i, data, &bytes);
  tw_seed_free(data, TW_SEAL_CHUNK);
  return status;
}
