// Key files: what is dealt is what is read, and nothing damaged, foreign or used is ever handed out.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/keys.h"
#include "io/ledger.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { SLOTS = 3, INDEX = 5, CHUNKS = 3 };
static const size_t slot_bytes = 2 * TW_KEY_CHUNK + 777 * 64;

static uint8_t *corrections[SLOTS];
static uint8_t seeds[SLOTS][32];
static tw_key_index_entry entries[INDEX];
static tw_keys_info info;

static void fresh(int party) {
  info =
      (tw_keys_info){.party = party, .count = SLOTS, .slot_bytes = slot_bytes, .index_count = INDEX, .index = entries};
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(&info, sizeof info, &info.plan);
  randombytes_buf(entries, sizeof entries);
  for (int i = 0; i < INDEX; i++) entries[i].offset = 64 * (uint64_t)randombytes_uniform(1000);
  randombytes_buf(seeds, sizeof seeds);
  for (int i = 0; i < SLOTS; i++) randombytes_buf(corrections[i], slot_bytes);
}

static tw_status append_parts(tw_keys_writer *w, const uint8_t *data) {
  for (size_t at = 0; at < slot_bytes;) {
    size_t part = randombytes_uniform(3) ? randombytes_uniform(5000) : randombytes_uniform(2 * TW_KEY_CHUNK);
    if (part > slot_bytes - at) part = slot_bytes - at;
    TW_TRY(tw_keys_append(w, data + at, part));
    at += part;
  }
  return TW_OK;
}

// Slots are written in an order of their own.
static tw_status write_file(const char *path) {
  tw_keys_writer *w;
  TW_TRY(tw_keys_create(path, &info, &w));
  static const uint64_t order[SLOTS] = {1, 0, 2};
  for (int i = 0; i < SLOTS; i++) {
    tw_status status = tw_keys_begin_slot(w, order[i], seeds[order[i]]);
    if (status == TW_OK) status = append_parts(w, corrections[order[i]]);
    if (status == TW_OK) status = tw_keys_end_slot(w);
    if (status != TW_OK) {
      tw_keys_abort(w);
      return status;
    }
  }
  return tw_keys_commit(w);
}

static bool same_header(const tw_keys_info *a) {
  return a->party == info.party && !strcmp(a->key_id.hex, info.key_id.hex) &&
         !strcmp(a->model_id.hex, info.model_id.hex) && !strcmp(a->plan.hex, info.plan.hex) && a->test == info.test &&
         a->count == info.count && a->slot_bytes == info.slot_bytes && a->index_count == info.index_count &&
         !memcmp(a->index, entries, sizeof entries);
}

static bool is_chunk(const uint8_t *block, uint64_t slot, uint64_t number) {
  size_t at = (size_t)number * TW_KEY_CHUNK, part = slot_bytes - at < TW_KEY_CHUNK ? slot_bytes - at : TW_KEY_CHUNK;
  return memcmp(block, corrections[slot] + at, part) == 0;
}

// Reads everything; *same tells whether what was handed out is what was written.
static tw_status read_file(const char *path, bool *same) {
  tw_keys *keys;
  static uint8_t block[TW_KEY_CHUNK];
  *same = true;
  TW_TRY(tw_keys_open(path, info.party, &keys));
  *same = same_header(tw_keys_get_info(keys));
  tw_status status = TW_OK;
  for (uint64_t s = 0; s < SLOTS && status == TW_OK; s++) {
    uint8_t seed[32];
    tw_key_stream *stream = NULL;
    status = tw_keys_seed(keys, s, seed);
    if (status == TW_OK && memcmp(seed, seeds[s], 32)) *same = false;
    if (status == TW_OK) status = tw_key_stream_create(keys, s, &stream);
    for (uint64_t c = 0; status == TW_OK && c < CHUNKS; c++) {
      status = tw_key_stream_chunk(stream, c, block);
      if (status == TW_OK && !is_chunk(block, s, c)) *same = false;
    }
    tw_key_stream_destroy(stream);
  }
  tw_keys_close(keys);
  return status;
}

static void copy_file(const char *from, const char *to) {
  char command[400];
  snprintf(command, sizeof command, "cp -p %s %s", from, to);
  CU_ASSERT_EQUAL(system(command), 0);
}

static void test_checksums(void) {
  uint8_t block[32];
  CU_ASSERT_EQUAL(tw_crc32c(0, "123456789", 9), 0xE3069283u);  // the published check value
  memset(block, 0, 32);
  CU_ASSERT_EQUAL(tw_crc32c(0, block, 32), 0x8A9136AAu);  // RFC 3720, B.4
  memset(block, 0xFF, 32);
  CU_ASSERT_EQUAL(tw_crc32c(0, block, 32), 0x62A8AB43u);
  CU_ASSERT_EQUAL(tw_crc32c(tw_crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
  tw_digest digest;
  tw_digest_of("abc", 3, &digest);  // python: hashlib.blake2b(b'abc', digest_size=32)
  CU_ASSERT_STRING_EQUAL(digest.hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  tw_id a, b;
  tw_id_random(&a);
  tw_id_random(&b);
  CU_ASSERT_EQUAL(strspn(a.hex, "0123456789abcdef"), 32);
  CU_ASSERT_STRING_NOT_EQUAL(a.hex, b.hex);
}

static void test_round_trip(void) {
  for (int party = 0; party < 2; party++) {
    const char *path = in_folder(party ? "a.keys.p1.h5" : "a.keys.p0.h5");
    bool same;
    struct stat st;
    fresh(party);
    info.test = party == 1;
    CU_ASSERT_EQUAL(write_file(path), TW_OK);
    CU_ASSERT_EQUAL(read_file(path, &same), TW_OK);
    CU_ASSERT_TRUE(same);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    CU_ASSERT_NOT_EQUAL(access(in_folder(party ? "a.keys.p1.h5.partial" : "a.keys.p0.h5.partial"), F_OK), 0);
    CU_ASSERT_EQUAL(write_file(path), TW_ERR_IO);  // never over an existing file
    CU_ASSERT_TRUE(message_has("exists already"));
    CU_ASSERT_EQUAL(read_file(path, &same), TW_OK);
    tw_keys *keys;
    CU_ASSERT_EQUAL(tw_keys_open(path, 1 - party, &keys), TW_ERR_MISMATCH);
    CU_ASSERT_TRUE(
        message_has(party ? "belongs to party 1, but this is party 0" : "belongs to party 0, but this is party 1"));
    unlink(path);
  }
}

static void test_streams(void) {
  const char *path = in_folder("s.keys.p0.h5");
  tw_keys *keys;
  tw_key_stream *s[SLOTS];
  uint8_t *block = malloc(TW_KEY_CHUNK);
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  for (uint64_t i = 0; i < SLOTS; i++) CU_ASSERT_EQUAL(tw_key_stream_create(keys, i, &s[i]), TW_OK);
  bool same = true;
  for (int turn = 0; turn < 60; turn++) {
    int i = (int)randombytes_uniform(SLOTS);
    uint64_t number = randombytes_uniform(CHUNKS);
    CU_ASSERT_EQUAL(tw_key_stream_chunk(s[i], number, block), TW_OK);
    same = same && is_chunk(block, (uint64_t)i, number);
  }
  CU_ASSERT_TRUE(same);
  CU_ASSERT_EQUAL(tw_key_stream_chunk(s[1], CHUNKS, block), TW_ERR_INTERNAL);
  for (int i = 0; i < SLOTS; i++) tw_key_stream_destroy(s[i]);
  tw_key_stream *none;
  CU_ASSERT_EQUAL(tw_key_stream_create(keys, SLOTS, &none), TW_ERR_USAGE);
  tw_keys_close(keys);
  unlink(path);
  free(block);
}

static void test_misuse(void) {
  tw_keys_writer *w;
  const char *path = in_folder("m.keys.p0.h5");
  uint8_t zero[32] = {0};
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(tw_keys_create(path, &info, &w), TW_OK);
  CU_ASSERT_EQUAL(access(in_folder("m.keys.p0.h5.partial"), F_OK), 0);
  CU_ASSERT_EQUAL(tw_keys_begin_slot(w, SLOTS, seeds[0]), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_keys_begin_slot(w, 0, zero), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_keys_begin_slot(w, 0, seeds[0]), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_append(w, corrections[0], slot_bytes - 64), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_end_slot(w), TW_ERR_INTERNAL);                    // 64 bytes are missing
  CU_ASSERT_EQUAL(tw_keys_append(w, corrections[0], 65), TW_ERR_INTERNAL);  // one too many
  CU_ASSERT_EQUAL(tw_keys_append(w, corrections[0], 64), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_end_slot(w), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_begin_slot(w, 0, seeds[0]), TW_ERR_INTERNAL);  // a second time
  CU_ASSERT_EQUAL(tw_keys_commit(w), TW_ERR_INTERNAL);                   // slots 1 and 2 are missing
  CU_ASSERT_TRUE(no_trace(path));
}

static void test_damaged_datasets(void) {
  const char *path = in_folder("d.keys.p0.h5");
  static const char *const names[] = {"index", "seeds", "seed_tags", "chunk_crc32c", "corrections"};
  bool same;
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  for (int i = 0; i < 5; i++) {
    uint64_t offset, bytes;
    place_of(path, names[i], &offset, &bytes);
    for (int turn = 0; turn < 8; turn++) {
      uint64_t at = offset + (turn == 0 ? 0 : turn == 1 ? bytes - 1 : randombytes_uniform((uint32_t)bytes));
      int bit = (int)randombytes_uniform(8);
      flip_bit(path, at, bit);
      CU_ASSERT_EQUAL(read_file(path, &same), TW_ERR_FORMAT);
      CU_ASSERT_TRUE(same);  // nothing false was handed out before the refusal
      CU_ASSERT_TRUE(message_has(i == 0 ? "dataset index" : i < 3 ? "dataset seeds" : "dataset corrections"));
      flip_bit(path, at, bit);
    }
  }
  CU_ASSERT_EQUAL(read_file(path, &same), TW_OK);
  CU_ASSERT_TRUE(same);
  unlink(path);
}

// Bits all over the file's layout (everything but the corrections): refused, or without effect on what is read.
static void test_damaged_layout(void) {
  const char *path = in_folder("l.keys.p0.h5");
  uint64_t offset, bytes;
  struct stat st;
  int refused = 0, tried = 0;
  bool same;
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  CU_ASSERT_EQUAL(stat(path, &st), 0);
  place_of(path, "corrections", &offset, &bytes);
  for (uint64_t at = 0; at < (uint64_t)st.st_size; at += 1 + randombytes_uniform(6)) {
    if (at >= offset && at < offset + bytes) at = offset + bytes;
    if (at >= (uint64_t)st.st_size) break;
    tw_keys *keys;
    int bit = (int)randombytes_uniform(8);
    flip_bit(path, at, bit);
    tw_status status = tw_keys_open(path, 0, &keys);
    tried++;
    refused += status != TW_OK;
    if (status == TW_OK) {
      CU_ASSERT_TRUE(same_header(tw_keys_get_info(keys)));
      tw_keys_close(keys);
    }
    flip_bit(path, at, bit);
  }
  CU_ASSERT_TRUE(tried > 500 && refused > tried / 10);
  CU_ASSERT_EQUAL(read_file(path, &same), TW_OK);
  unlink(path);
}

// Attributes changed with HDF5 itself, checksums of the metadata and all.
static void test_changed_header(void) {
  const char *path = in_folder("h.keys.p0.h5"), *copy = in_folder("h2.keys.p0.h5");
  static const char *const names[] = {"format",     "version",     "role",        "created",      "software",
                                      "key_id",     "model_id",    "plan",        "test",         "count",
                                      "slot_bytes", "chunk_bytes", "index_count", "header_digest"};
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    copy_file(path, copy);
    hid_t file = H5Fopen(copy, H5F_ACC_RDWR, H5P_DEFAULT), a = H5Aopen(file, names[i], H5P_DEFAULT);
    CU_ASSERT_TRUE_FATAL(a >= 0);
    hid_t type = H5Aget_type(a);
    char value[256] = {0};
    CU_ASSERT_TRUE(H5Aread(a, type, value) >= 0);
    value[0] ^= 1;
    CU_ASSERT_TRUE(H5Awrite(a, type, value) >= 0);
    H5Tclose(type);
    H5Aclose(a);
    H5Fclose(file);
    tw_keys *keys;
    tw_status status = tw_keys_open(copy, 0, &keys);
    CU_ASSERT_TRUE(status == TW_ERR_FORMAT || status == TW_ERR_MISMATCH);
    if (status == TW_OK) printf("\n  changed attribute %s was accepted\n", names[i]);
    unlink(copy);
  }
  unlink(path);
}

static void test_truncated(void) {
  const char *path = in_folder("t.keys.p0.h5"), *copy = in_folder("t2.keys.p0.h5");
  struct stat st;
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  CU_ASSERT_EQUAL(stat(path, &st), 0);
  const off_t sizes[] = {
      0, 1, 7, 8, 47, 48, 100, 1000, 5000, 100000, st.st_size / 2, st.st_size - 4096, st.st_size - 1};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    tw_keys *keys;
    copy_file(path, copy);
    CU_ASSERT_EQUAL(truncate(copy, sizes[i]), 0);
    CU_ASSERT_EQUAL(tw_keys_open(copy, 0, &keys), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has(copy));
    unlink(copy);
  }
  unlink(path);
}

static void test_permissions(void) {
  const char *path = in_folder("p.keys.p0.h5");
  static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0610, 0666};
  tw_keys *keys;
  char remedy[200];
  snprintf(remedy, sizeof remedy, "chmod 600 %s", path);
  CU_ASSERT_EQUAL(tw_keys_open(path, 0, &keys), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("run `twain deal` first"));
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  for (int i = 0; i < 6; i++) {
    chmod(path, open_modes[i]);
    CU_ASSERT_EQUAL(tw_keys_open(path, 0, &keys), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has(remedy));
  }
  chmod(path, 0600);
  CU_ASSERT_EQUAL(tw_keys_open(path, 0, &keys), TW_OK);
  tw_keys_close(keys);
  if (geteuid() == 0 && chown(path, 65534, 65534) == 0) {
    CU_ASSERT_EQUAL(tw_keys_open(path, 0, &keys), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("belongs to user 65534"));
  }
  unlink(path);
}

static void test_erased_and_copied(void) {
  const char *path = in_folder("e.keys.p0.h5"), *copy = in_folder("e2.keys.p0.h5"), *dir = in_folder("ledger");
  tw_keys *keys;
  tw_ledger ledger;
  uint8_t seed[32];
  uint64_t live, offset, bytes, one = 1;
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  copy_file(path, copy);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(dir, &ledger), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, &live), TW_OK);
  CU_ASSERT_EQUAL(live, 7);
  CU_ASSERT_EQUAL(tw_ledger_mark(&ledger, 0, &info.key_id, &one, 1, "test"), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_erase_seeds(keys, &one, 1), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, &live), TW_OK);
  CU_ASSERT_EQUAL(live, 5);
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 1, seed), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has("slot 1 was used before") && message_has(info.key_id.hex));
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 0, seed), TW_OK);
  CU_ASSERT_EQUAL(memcmp(seed, seeds[0], 32), 0);
  tw_keys_close(keys);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);  // still a sound file, the slot still erased
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 1, seed), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 2, seed), TW_OK);
  tw_keys_close(keys);
  place_of(path, "seeds", &offset, &bytes);
  int fd = open(path, O_RDONLY);
  CU_ASSERT_EQUAL(pread(fd, seed, 32, (off_t)offset + 32), 32);
  CU_ASSERT_TRUE(sodium_is_zero(seed, 32));
  place_of(path, "seed_tags", &offset, &bytes);
  CU_ASSERT_EQUAL(pread(fd, seed, 16, (off_t)offset + 16), 16);
  CU_ASSERT_TRUE(sodium_is_zero(seed, 16));
  close(fd);

  // The copy still has the seed; its slot is burned by the ledger.
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(copy, 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 1, seed), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &tw_keys_get_info(keys)->key_id, 1), TW_ERR_USED);
  tw_keys_close(keys);
  unlink(path);
  unlink(copy);
}

// A seed or a tag that a crash has erased alone is a rest, and erased with the others.
static void test_rests(void) {
  const char *path = in_folder("r.keys.p0.h5");
  uint64_t live, seeds_at, tags_at, bytes;
  tw_keys *keys;
  static const uint8_t zeros[32];
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  place_of(path, "seeds", &seeds_at, &bytes);
  place_of(path, "seed_tags", &tags_at, &bytes);
  int fd = open(path, O_RDWR);
  CU_ASSERT_EQUAL(pwrite(fd, zeros, 32, (off_t)seeds_at), 32);
  CU_ASSERT_EQUAL(pwrite(fd, zeros, 16, (off_t)tags_at + 16), 16);
  close(fd);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, &live), TW_OK);
  CU_ASSERT_EQUAL(live, 7);
  CU_ASSERT_EQUAL(tw_keys_erase_seeds(keys, (uint64_t[]){0, 1}, 2), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, &live), TW_OK);
  CU_ASSERT_EQUAL(live, 4);
  CU_ASSERT_EQUAL(tw_keys_erase_seeds(keys, (uint64_t[]){SLOTS}, 1), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_keys_erase_seeds(keys, NULL, 0), TW_OK);
  tw_keys_close(keys);
  unlink(path);
}

// The file belongs to the first ledger, and a record that a power failure cut off to the one that began it.
static void test_ledger_record(void) {
  const char *path = in_folder("b.keys.p0.h5"), *copy = in_folder("b2.keys.p0.h5");
  uint64_t at, bytes;
  tw_id mine, other;
  uint8_t whole[48], part[48];
  tw_keys *keys;
  bool recorded, same;
  tw_id_random(&mine);
  tw_id_random(&other);
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  copy_file(path, copy);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &mine, &recorded) == TW_OK && !recorded);
  CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &other, &recorded) == TW_OK && !recorded);
  CU_ASSERT_EQUAL(tw_keys_record_ledger(keys, &mine), TW_OK);
  CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &mine, &recorded) == TW_OK && recorded);
  CU_ASSERT_EQUAL(tw_keys_record_ledger(keys, &mine), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_record_ledger(keys, &other), TW_ERR_MISMATCH);
  CU_ASSERT_TRUE(message_has(mine.hex) && message_has(other.hex) && message_has("not the key file's ledger"));
  tw_keys_close(keys);
  CU_ASSERT_TRUE(read_file(path, &same) == TW_OK && same);
  place_of(path, "ledger", &at, &bytes);
  CU_ASSERT_EQUAL_FATAL(bytes, 48);
  int fd = open(path, O_RDWR);
  CU_ASSERT_EQUAL_FATAL(pread(fd, whole, 48, (off_t)at), 48);
  CU_ASSERT_EQUAL(memcmp(whole, mine.hex, 32), 0);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  for (int turn = 0; turn < 200; turn++) {
    int from = (int)randombytes_uniform(16), to = 24 + (int)randombytes_uniform(24);  // a stretch of at least 8 digits
    memset(part, 0, sizeof part);
    memcpy(part + from, whole + from, (size_t)(to - from));
    CU_ASSERT_EQUAL(pwrite(fd, part, 48, (off_t)at), 48);
    CU_ASSERT_EQUAL(tw_keys_check_ledger(keys, &other, &recorded), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &mine, &recorded) == TW_OK && !recorded);
    CU_ASSERT_EQUAL(tw_keys_record_ledger(keys, &mine), TW_OK);
    CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &mine, &recorded) == TW_OK && recorded);
  }
  flip_bit(path, at + randombytes_uniform(48), (int)randombytes_uniform(8));
  CU_ASSERT_EQUAL(tw_keys_check_ledger(keys, &mine, &recorded), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_keys_check_ledger(keys, &other, &recorded), TW_ERR_FORMAT);
  // another key's record is no record of this one's
  tw_keys_close(keys);
  fresh(0);
  unlink(path);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  place_of(path, "ledger", &at, &bytes);
  close(fd);
  fd = open(path, O_RDWR);
  CU_ASSERT_EQUAL(pwrite(fd, whole, 48, (off_t)at), 48);
  close(fd);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_check_ledger(keys, &mine, &recorded), TW_ERR_FORMAT);
  tw_keys_close(keys);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(copy, 0, &keys), TW_OK);  // a copy made before first use knows nothing
  CU_ASSERT_TRUE(tw_keys_check_ledger(keys, &other, &recorded) == TW_OK && !recorded);
  tw_keys_close(keys);
  unlink(path);
  unlink(copy);
}

// Seeds of two slots exchanged: each is sound in itself, but not in its place.
static void test_exchanged_seeds(void) {
  const char *path = in_folder("x.keys.p1.h5");
  uint64_t offset, bytes;
  uint8_t seed[32];
  tw_keys *keys;
  fresh(1);
  CU_ASSERT_EQUAL_FATAL(write_file(path), TW_OK);
  place_of(path, "seeds", &offset, &bytes);
  int fd = open(path, O_RDWR);
  CU_ASSERT_EQUAL(pwrite(fd, seeds[1], 32, (off_t)offset), 32);
  close(fd);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(path, 1, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 0, seed), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(sodium_is_zero(seed, 32));
  CU_ASSERT_EQUAL(tw_keys_seed(keys, 1, seed), TW_OK);
  tw_keys_close(keys);
  unlink(path);
}

// In a child: a limit on file sizes that strikes in the middle of a slot.
static int write_under_limit(void *state) {
  const char *path = state;
  tw_keys_writer *w;
  struct rlimit limit = {TW_KEY_CHUNK, TW_KEY_CHUNK};
  signal(SIGXFSZ, SIG_IGN);
  if (tw_keys_create(path, &info, &w) != TW_OK) return 1;
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
  if (tw_keys_begin_slot(w, 0, seeds[0]) != TW_OK) return 3;
  if (tw_keys_append(w, corrections[0], slot_bytes) != TW_ERR_IO) return 4;
  if (!message_has("bytes needed") || !message_has(path) || !message_has("corrections")) return 5;
  tw_keys_abort(w);
  if (tw_keys_create(path, &info, &w) != TW_ERR_IO) return 6;
  return message_has("bytes needed") ? 0 : 7;
}

static void test_write_error(void) {
  char path[200];
  snprintf(path, sizeof path, "%s", in_folder("w.keys.p0.h5"));
  fresh(0);
  CU_ASSERT_EQUAL(in_child(write_under_limit, path), 0);
  CU_ASSERT_TRUE(no_trace(path));
}

static int set_up(void) {
  for (int i = 0; i < SLOTS; i++) corrections[i] = malloc(slot_bytes);
  return scratch_open();
}

static int tear_down(void) {
  for (int i = 0; i < SLOTS; i++) free(corrections[i]);
  return scratch_close();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("key files", set_up, tear_down);
  if (!suite) return 2;
  CU_add_test(suite, "checksums and ids against published values", test_checksums);
  CU_add_test(suite, "round trip", test_round_trip);
  CU_add_test(suite, "several streams at once", test_streams);
  CU_add_test(suite, "a writer out of turn", test_misuse);
  CU_add_test(suite, "a flipped bit in each dataset", test_damaged_datasets);
  CU_add_test(suite, "a flipped bit in the layout", test_damaged_layout);
  CU_add_test(suite, "a changed attribute", test_changed_header);
  CU_add_test(suite, "truncated", test_truncated);
  CU_add_test(suite, "missing, open to others, of another user", test_permissions);
  CU_add_test(suite, "erased seeds, and a copy made before", test_erased_and_copied);
  CU_add_test(suite, "half erased seeds", test_rests);
  CU_add_test(suite, "the ledger's id", test_ledger_record);
  CU_add_test(suite, "exchanged seeds", test_exchanged_seeds);
  CU_add_test(suite, "a write that fails half way", test_write_error);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
