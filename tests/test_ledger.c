// The ledger: a slot is marked once, by one process, and a doubt is an error.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/ledger.h"
#include "tests/scratch.h"

static void test_default(void) {
  char dir[256], small[8];
  setenv("XDG_STATE_HOME", "/state", 1);
  setenv("HOME", "/home/someone", 1);
  CU_ASSERT_EQUAL(tw_ledger_default(dir, sizeof dir), TW_OK);
  CU_ASSERT_STRING_EQUAL(dir, "/state/twain/ledger");
  CU_ASSERT_EQUAL(tw_ledger_default(small, sizeof small), TW_ERR_USAGE);
  unsetenv("XDG_STATE_HOME");
  CU_ASSERT_EQUAL(tw_ledger_default(dir, sizeof dir), TW_OK);
  CU_ASSERT_STRING_EQUAL(dir, "/home/someone/.local/state/twain/ledger");
  unsetenv("HOME");
  CU_ASSERT_EQUAL(tw_ledger_default(dir, sizeof dir), TW_ERR_USAGE);
  CU_ASSERT_TRUE(message_has("--ledger"));
}

static void test_mark(void) {
  const char *dir = in_folder("deep/er/ledger");
  char path[300], host[64] = "", note[1024] = "", number[32];
  struct stat st;
  tw_id key, other;
  uint64_t slot = 99, marked = 7000000000u + randombytes_uniform(1000);
  tw_id_random(&key);
  tw_id_random(&other);
  gethostname(host, sizeof host - 1);
  snprintf(number, sizeof number, "slot %llu ", (unsigned long long)marked);
  setenv("SLURM_JOB_ID", "4711", 1);
  CU_ASSERT_EQUAL(tw_ledger_check(dir, 0, &key, marked), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_mark(dir, 0, &key, marked, "run 12ab"), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(dir, 0, &key, marked), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has(key.hex) && message_has(number) && message_has(host) && message_has("job 4711") &&
                 message_has(" at 2") && message_has("--slot") && message_has("twain deal"));
  CU_ASSERT_EQUAL(tw_ledger_mark(dir, 0, &key, marked, "again"), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has(host) && message_has("--slot"));
  CU_ASSERT_EQUAL(tw_ledger_check(dir, 0, &key, marked + 1), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(dir, 1, &key, marked), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(dir, 0, &other, marked), TW_OK);

  snprintf(path, sizeof path, "%s/p0/%s/%llu", dir, key.hex, (unsigned long long)marked);
  CU_ASSERT_EQUAL(stat(path, &st), 0);
  CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
  int fd = open(path, O_RDONLY);
  CU_ASSERT_TRUE(read(fd, note, sizeof note - 1) > 0);
  close(fd);
  CU_ASSERT_PTR_NOT_NULL(strstr(note, "note=run 12ab\n"));  // the first one's, not the second one's
  CU_ASSERT_PTR_NULL(strstr(note, "again"));
  unsetenv("SLURM_JOB_ID");

  CU_ASSERT_EQUAL(tw_ledger_first_free(dir, 1, &other, 4, &slot), TW_OK);
  CU_ASSERT_EQUAL(slot, 0);
  for (uint64_t i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(tw_ledger_mark(dir, 1, &other, i ^ 1, NULL), TW_OK);
    tw_status status = tw_ledger_first_free(dir, 1, &other, 4, &slot);
    CU_ASSERT_EQUAL(status, i == 3 ? TW_ERR_USED : TW_OK);
    static const uint64_t next[4] = {0, 2, 2, 2};
    CU_ASSERT_EQUAL(slot, next[i]);
  }
  CU_ASSERT_TRUE(message_has("all 4 slots") && message_has("twain deal"));
}

static void test_race(void) {
  enum { CHILDREN = 8, ROUNDS = 20 };
  const char *dir = in_folder("race");
  for (int round = 0; round < ROUNDS; round++) {
    int won = 0, lost = 0, gate[2];
    pid_t children[CHILDREN];
    tw_id key;
    tw_id_random(&key);
    CU_ASSERT_EQUAL_FATAL(pipe(gate), 0);
    fflush(stdout);
    for (int i = 0; i < CHILDREN; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        char go;
        close(gate[1]);
        if (read(gate[0], &go, 1) != 0) _exit(1);  // until the parent closes its end: all start at once
        tw_status status = tw_ledger_mark(dir, 0, &key, 5, "race");
        _exit(status == TW_OK ? 10 : status == TW_ERR_USED ? 11 : 12);
      }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < CHILDREN; i++) {
      int state = 0;
      waitpid(children[i], &state, 0);
      won += WIFEXITED(state) && WEXITSTATUS(state) == 10;
      lost += WIFEXITED(state) && WEXITSTATUS(state) == 11;
    }
    CU_ASSERT_EQUAL(won, 1);
    CU_ASSERT_EQUAL(lost, CHILDREN - 1);
    CU_ASSERT_EQUAL(tw_ledger_check(dir, 0, &key, 5), TW_ERR_USED);
  }
}

static void make_file(const char *path, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
  CU_ASSERT_TRUE_FATAL(fd >= 0);
  close(fd);
}

static void test_doubt(void) {
  char path[400];
  tw_id key, broken = {"../../../../etc/passwd"};
  uint64_t slot;
  tw_id_random(&key);
  make_file(in_folder("file"), 0600);  // a file where the ledger's folder should be
  CU_ASSERT_EQUAL(tw_ledger_check(in_folder("file"), 0, &key, 1), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("file"), 0, &key, 1, ""), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_first_free(in_folder("file"), 0, &key, 3, &slot), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_check(in_folder("l"), 0, &broken, 1), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("l"), 0, &broken, 1, ""), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("l"), 2, &key, 1, ""), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_ledger_check("", 0, &key, 1), TW_ERR_USAGE);

  // An empty note (a crash between creation and note) and a dangling link: both count as used.
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("l"), 0, &key, 1, ""), TW_OK);
  snprintf(path, sizeof path, "%s/l/p0/%s/2", scratch_folder(), key.hex);
  make_file(path, 0600);
  CU_ASSERT_EQUAL(tw_ledger_check(in_folder("l"), 0, &key, 2), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("l"), 0, &key, 2, ""), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has("unknown"));
  snprintf(path, sizeof path, "%s/l/p0/%s/3", scratch_folder(), key.hex);
  CU_ASSERT_EQUAL(symlink("/nowhere/at/all", path), 0);
  CU_ASSERT_EQUAL(tw_ledger_check(in_folder("l"), 0, &key, 3), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_mark(in_folder("l"), 0, &key, 3, ""), TW_ERR_USED);
}

// A note that cannot be written: an error, and the slot is burned all the same.
static int mark_under_limit(void *key) {
  struct rlimit limit = {4, 4};
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  if (tw_ledger_mark(in_folder("full"), 1, key, 0, "note") != TW_ERR_IO) return 2;
  return message_has("counts as used") ? 0 : 3;
}

static void test_full(void) {
  tw_id key;
  tw_id_random(&key);
  CU_ASSERT_EQUAL(in_child(mark_under_limit, &key), 0);
  CU_ASSERT_EQUAL(tw_ledger_check(in_folder("full"), 1, &key, 0), TW_ERR_USED);
}

// A folder this user may not look into. Root may look everywhere: the child becomes somebody else.
static int look_as_other(void *key) {
  const char *dir = in_folder("closed");
  if (geteuid() == 0 && setuid(65534) != 0) return 3;
  return tw_ledger_check(dir, 0, key, 0) != TW_ERR_IO || tw_ledger_mark(dir, 0, key, 0, "") != TW_ERR_IO;
}

static void test_closed(void) {
  const char *dir = in_folder("closed");
  tw_id key;
  tw_id_random(&key);
  CU_ASSERT_EQUAL(mkdir(dir, 0700), 0);
  CU_ASSERT_EQUAL(geteuid() == 0 ? chmod(scratch_folder(), 0755) : chmod(dir, 0), 0);
  CU_ASSERT_EQUAL(in_child(look_as_other, &key), 0);
  chmod(dir, 0700);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("ledger", scratch_open, scratch_close);
  if (!suite) return 2;
  CU_add_test(suite, "marks last and tell their story", test_mark);
  CU_add_test(suite, "eight processes, one winner", test_race);
  CU_add_test(suite, "fails closed", test_doubt);
  CU_add_test(suite, "no room for the note", test_full);
  CU_add_test(suite, "a closed folder", test_closed);
  CU_add_test(suite, "default folder", test_default);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  int bad = CU_get_number_of_failures() != 0 || CU_get_number_of_suites_failed() != 0;
  CU_cleanup_registry();
  return bad;
}
