// What a conversation leaves between its turns: the cache file, and its place in the ledger, where each turn goes on
// once.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/cache.h"
#include "io/cache_folder.h"
#include "io/wipe.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { COUNT = 3, EACH = 40 };

typedef struct {
  int rows[COUNT];
  uint64_t share[COUNT * EACH];
  tw_cache cache;
} filled;

static void fill(filled *f) {
  for (int i = 0; i < COUNT; i++) f->rows[i] = 1 + i;
  for (int i = 0; i < COUNT * EACH; i++) f->share[i] = walk_random();
  f->cache = (tw_cache){.turn = {.number = 2}, .party = 1, .count = COUNT, .each = EACH};
  tw_id_random(&f->cache.turn.conversation);
  tw_id_random(&f->cache.turn.run);
  tw_id_random(&f->cache.model_id);
  tw_id_random(&f->cache.input_id);
  tw_digest_of("plan", 4, &f->cache.plan);
  f->cache.rows = f->rows;
  f->cache.share = f->share;
}

static void put(const char *path, const filled *f) {
  tw_cache_claim *place;
  CU_ASSERT_EQUAL_FATAL(tw_cache_begin(path, &f->cache, false, &place), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_cache_fill(place, &f->cache), TW_OK);
  CU_ASSERT_FALSE(exists(path));
  CU_ASSERT_EQUAL_FATAL(tw_cache_commit(place), TW_OK);
}

static void test_file(void) {
  filled f;
  tw_cache head;
  tw_cache_claim *place;
  struct stat info;
  uint64_t share[COUNT * EACH];
  const char *path = in_folder("a.cache.p1.h5");
  fill(&f);
  put(path, &f);
  CU_ASSERT_EQUAL(stat(path, &info), 0);
  CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
  CU_ASSERT_EQUAL(tw_cache_begin(path, &f.cache, false, &place), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_cache_look(path, 0, &head), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL_FATAL(tw_cache_look(path, 1, &head), TW_OK);
  CU_ASSERT_EQUAL(head.count, COUNT);
  CU_ASSERT_EQUAL(head.each, EACH);
  CU_ASSERT_EQUAL(head.turn.number, 2);
  CU_ASSERT_STRING_EQUAL(head.turn.run.hex, f.cache.turn.run.hex);
  CU_ASSERT_STRING_EQUAL(head.turn.conversation.hex, f.cache.turn.conversation.hex);
  CU_ASSERT_STRING_EQUAL(head.input_id.hex, f.cache.input_id.hex);
  CU_ASSERT_EQUAL(memcmp(head.rows, f.rows, sizeof f.rows), 0);
  CU_ASSERT_EQUAL(tw_cache_read(path, &head, share), TW_OK);
  CU_ASSERT_EQUAL(memcmp(share, f.share, sizeof share), 0);
  chmod(path, 0640);
  tw_cache again;
  CU_ASSERT_NOT_EQUAL(tw_cache_look(path, 1, &again), TW_OK);
  chmod(path, 0600);
  // another one in its place is noticed, and so is damage
  tw_cache other = head;
  tw_id_random(&other.turn.run);
  CU_ASSERT_EQUAL(tw_cache_read(path, &other, share), TW_ERR_MISMATCH);
  uint64_t offset, bytes;
  place_of(path, "share", &offset, &bytes);
  flip_bit(path, offset + bytes / 2, 3);
  CU_ASSERT_EQUAL(tw_cache_read(path, &head, share), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_file_wipe(path), TW_OK);
  CU_ASSERT_TRUE(no_trace(path));
  CU_ASSERT_EQUAL(tw_file_wipe(path), TW_ERR_IO);
  tw_cache_free(&head);
}

// Whoever has the file open sees zeros afterwards: nothing of it stays on the disk's blocks.
static void test_wiped(void) {
  filled f;
  const char *path = in_folder("b.cache.p1.h5");
  fill(&f);
  put(path, &f);
  FILE *open_before = fopen(path, "rb");
  CU_ASSERT_EQUAL(tw_file_wipe(path), TW_OK);
  int other = 0, c;
  while (open_before && (c = fgetc(open_before)) != EOF) other |= c;
  CU_ASSERT_EQUAL(other, 0);
  CU_ASSERT_PTR_NOT_NULL_FATAL(open_before);
  CU_ASSERT(ftell(open_before) >= (long)(COUNT * EACH * 8));
  fclose(open_before);
}

static void test_left_out(void) {
  filled f;
  tw_cache_claim *place;
  const char *path = in_folder("c.cache.p1.h5");
  fill(&f);
  CU_ASSERT_EQUAL_FATAL(tw_cache_begin(path, &f.cache, false, &place), TW_OK);
  CU_ASSERT_EQUAL(tw_cache_fill(place, &f.cache), TW_OK);
  tw_cache_release(place);
  CU_ASSERT_TRUE(no_trace(path));
  tw_cache_release(NULL);
}

// ---- the folder of a service

static void make_older(const char *path, time_t seconds) {
  const struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
  CU_ASSERT_EQUAL_FATAL(utimensat(AT_FDCWD, path, times, 0), 0);
}

static tw_path put_in_folder(const tw_cache_folder *f, const char *client) {
  filled one;
  tw_path name, file;
  fill(&one);
  CU_ASSERT_EQUAL_FATAL(tw_cache_folder_make(f, client), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_cache_folder_name(f, client, &one.cache.input_id, &name), TW_OK);
  file = tw_cache_folder_file(f, &name);
  put(file.text, &one);
  return file;
}

static int count_of(const tw_cache_folder *f, const char *client) {
  int count = -1;
  CU_ASSERT_EQUAL(tw_cache_folder_count(f, client, &count), TW_OK);
  return count;
}

static void test_folder(void) {
  const tw_cache_folder f = {in_folder("caches"), 1}, other = {f.folder, 0};
  CU_ASSERT_EQUAL(tw_cache_folder_check(f.folder), TW_ERR_IO);
  CU_ASSERT_EQUAL_FATAL(mkdir(f.folder, 0750), 0);
  CU_ASSERT_EQUAL(tw_cache_folder_check(f.folder), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("others may look into it; run `chmod 700"));
  chmod(f.folder, 0700);
  CU_ASSERT_EQUAL(tw_cache_folder_check(f.folder), TW_OK);
  CU_ASSERT_EQUAL(count_of(&f, "al"), 0);
  tw_path old = put_in_folder(&f, "al"), young = put_in_folder(&f, "al"), nobodys = put_in_folder(&f, "");
  CU_ASSERT_EQUAL(count_of(&f, "al"), 2);
  CU_ASSERT_EQUAL(count_of(&f, ""), 1);
  CU_ASSERT_EQUAL(count_of(&other, "al"), 0);
  // what a process that died has left, and what is not the folder's
  tw_path half = old, foreign = old;
  snprintf(half.text, sizeof half.text, "%.*s.partial", 4000, nobodys.text);
  snprintf(foreign.text, sizeof foreign.text, "%s/al/notes.cache.p1.h5", f.folder);
  dump(half.text, (const uint8_t *)"half", 4);
  dump(foreign.text, (const uint8_t *)"mine", 4);
  make_older(old.text, 100);
  make_older(nobodys.text, 100);
  make_older(half.text, 100);
  make_older(foreign.text, 100);
  CU_ASSERT_EQUAL(tw_cache_folder_wipe_old(&other, 50), TW_OK);
  CU_ASSERT_EQUAL(count_of(&f, "al"), 2);
  CU_ASSERT_EQUAL(tw_cache_folder_wipe_old(&f, 50), TW_OK);
  CU_ASSERT_FALSE(exists(old.text) || exists(nobodys.text) || exists(half.text));
  CU_ASSERT_TRUE(exists(young.text) && exists(foreign.text));
}

// ---- the ledger

static tw_conversation_turn turn_of(int number) {
  tw_conversation_turn turn = {.number = number};
  tw_id_random(&turn.conversation);
  tw_id_random(&turn.run);
  return turn;
}

static void test_chain(void) {
  tw_ledger ledger, another;
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder("chain"), &ledger), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder("other"), &another), TW_OK);
  tw_conversation_turn first = turn_of(1), second = first;
  second.number = 2;
  tw_id_random(&second.run);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &first), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 0, &first, ""), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL(tw_ledger_turn_kept(&ledger, 0, &first), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_turn_kept(&ledger, 0, &first), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &first), TW_OK);
  // another run's cache under the same number, of the other party, in another ledger, of another conversation
  tw_conversation_turn foreign = first;
  tw_id_random(&foreign.run);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &foreign), TW_ERR_MISMATCH);
  CU_ASSERT_TRUE(message_has("does not know run") && message_has("begin a new conversation"));
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 1, &first), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&another, 0, &first), TW_ERR_MISMATCH);
  foreign = first;
  tw_id_random(&foreign.conversation);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &foreign), TW_ERR_MISMATCH);
  // one way forth
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 0, &first, "next"), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 0, &first, "next"), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &first), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has("what turn 1 left was read before") && message_has("host"));
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 0, &second), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL(tw_ledger_turn_kept(&ledger, 0, &second), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 0, &second, ""), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 0, &first, ""), TW_ERR_USED);
  // slots are not mixed up with turns
  tw_ledger_key *keys;
  size_t count;
  CU_ASSERT_EQUAL(tw_ledger_list(&ledger, &keys, &count), TW_OK);
  CU_ASSERT_EQUAL(count, 0);
  tw_ledger_keys_free(keys, count);
}

static void test_closed_to_others(void) {
  tw_ledger ledger;
  char path[sizeof ledger.dir + 64];
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder("closed"), &ledger), TW_OK);
  tw_conversation_turn turn = turn_of(1);
  CU_ASSERT_EQUAL(tw_ledger_turn_kept(&ledger, 1, &turn), TW_OK);
  snprintf(path, sizeof path, "%s/p1/%s/1.kept", ledger.dir, turn.conversation.hex);
  CU_ASSERT_TRUE(exists(path));
  chmod(path, 0666);
  CU_ASSERT_EQUAL(tw_ledger_turn_check(&ledger, 1, &turn), TW_ERR_IO);
  chmod(path, 0600);
  dump(path, (const uint8_t *)"note=", 5);
  CU_ASSERT_EQUAL(tw_ledger_turn_read(&ledger, 1, &turn, ""), TW_ERR_MISMATCH);
}

// Of runs that start together one goes on.
static void test_race(void) {
  enum { RUNS = 12 };
  tw_ledger ledger;
  pid_t child[RUNS];
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder("race"), &ledger), TW_OK);
  tw_conversation_turn turn = turn_of(7);
  CU_ASSERT_EQUAL(tw_ledger_turn_kept(&ledger, 0, &turn), TW_OK);
  for (int i = 0; i < RUNS; i++)
    if ((child[i] = fork()) == 0) _exit((int)tw_ledger_turn_read(&ledger, 0, &turn, "race"));
  int went_on = 0, refused = 0, status;
  for (int i = 0; i < RUNS; i++) {
    CU_ASSERT_EQUAL(waitpid(child[i], &status, 0), child[i]);
    went_on += WIFEXITED(status) && WEXITSTATUS(status) == TW_OK;
    refused += WIFEXITED(status) && WEXITSTATUS(status) == TW_ERR_USED;
  }
  CU_ASSERT_EQUAL(went_on, 1);
  CU_ASSERT_EQUAL(refused, RUNS - 1);
}

int main(void) {
  CU_initialize_registry();
  CU_pSuite suite = CU_add_suite("cache", scratch_open, scratch_close);
  CU_add_test(suite, "the file", test_file);
  CU_add_test(suite, "overwritten when it was read", test_wiped);
  CU_add_test(suite, "given up", test_left_out);
  CU_add_test(suite, "the folder of a service", test_folder);
  CU_add_test(suite, "one chain", test_chain);
  CU_add_test(suite, "a ledger that others can write", test_closed_to_others);
  CU_add_test(suite, "a race", test_race);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
