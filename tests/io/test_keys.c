// Key files: what is dealt is what is read, and nothing damaged or foreign is ever handed out.
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
#include "tests/io/key_file.h"

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
  CU_add_test(suite, "a write that fails half way", test_write_error);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
