// Key files that were used: seeds that are erased, the ledger whose id they carry, seeds that came from elsewhere.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/ledger.h"
#include "tests/io/key_file.h"

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
    int from = (int)randombytes_uniform(16), to = 24 + (int)randombytes_uniform(24);  // a piece of at least 8 digits
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

int main(void) {
  static const suite_test tests[] = {{"erased seeds, and a copy made before", test_erased_and_copied},
                                     {"half erased seeds", test_rests},
                                     {"the ledger's id", test_ledger_record},
                                     {"exchanged seeds", test_exchanged_seeds}};
  if (set_up() != 0) return 2;
  int status = suite_run("used keys", tests, sizeof tests / sizeof *tests);
  return tear_down() != 0 ? 1 : status;
}
