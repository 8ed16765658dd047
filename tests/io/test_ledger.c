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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/ledger.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static tw_ledger new_ledger(const char *name) {
  tw_ledger ledger;
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder(name), &ledger), TW_OK);
  return ledger;
}

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
  CU_ASSERT_TRUE(message_has("XDG_STATE_HOME"));
}

static void test_made_once(void) {
  tw_ledger a, b;
  struct stat st;
  const char *dir = in_folder("deep/er/made//");
  CU_ASSERT_EQUAL(tw_ledger_open(dir, &a), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("no such ledger") && message_has("twain ledger --new"));
  CU_ASSERT_FALSE(exists(in_folder("deep")));
  CU_ASSERT_EQUAL(tw_ledger_create(dir, &a), TW_OK);
  CU_ASSERT_EQUAL(strspn(a.id.hex, "0123456789abcdef"), 32);
  CU_ASSERT_EQUAL(tw_ledger_open(dir, &b), TW_OK);
  CU_ASSERT_STRING_EQUAL(a.id.hex, b.id.hex);
  CU_ASSERT_STRING_EQUAL(b.dir, in_folder("deep/er/made"));
  CU_ASSERT_EQUAL(stat(b.dir, &st), 0);
  CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
  CU_ASSERT_EQUAL(stat(in_folder("deep/er/made/ledger.json"), &st), 0);
  CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
  CU_ASSERT_EQUAL(tw_ledger_create(dir, &b), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("is a ledger already"));
  CU_ASSERT_EQUAL(tw_ledger_adopt(dir, &b), TW_ERR_IO);
  b = new_ledger("second");
  CU_ASSERT_STRING_NOT_EQUAL(a.id.hex, b.id.hex);
  CU_ASSERT_EQUAL(tw_ledger_open("", &b), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_ledger_create("", &b), TW_ERR_USAGE);
}

static void test_changed_json(void) {
  static const char *const bad[] = {
      "",
      "{",
      "[]",
      "{\"format\": \"twain-plan\", \"version\": 1, \"id\": \"0123456789abcdef0123456789abcdef\"}",
      "{\"format\": \"twain-ledger\", \"version\": 3, \"id\": \"0123456789abcdef0123456789abcdef\"}",
      "{\"format\": \"twain-ledger\", \"version\": 2, \"id\": \"0123456789ABCDEF0123456789abcdef\"}",
      "{\"format\": \"twain-ledger\", \"version\": 2, \"id\": \"0123456789abcdef0123456789abcde\"}",
      "{\"format\": \"twain-ledger\", \"version\": 2}"};
  tw_ledger ledger = new_ledger("json");
  const char *path = in_folder("json/ledger.json");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    dump(path, (const uint8_t *)bad[i], strlen(bad[i]));
    CU_ASSERT_EQUAL(tw_ledger_open(in_folder("json"), &ledger), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("json/ledger.json"));
  }
  unlink(path);
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("json"), &ledger), TW_ERR_IO);
  CU_ASSERT_EQUAL(symlink(in_folder("second/ledger.json"), path), 0);
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("json"), &ledger), TW_ERR_IO);
}

static tw_status mark(const tw_ledger *ledger, int party, const tw_id *key, uint64_t slot, const char *note) {
  return tw_ledger_mark(ledger, party, key, &slot, 1, note);
}

static void test_mark(void) {
  tw_ledger ledger = new_ledger("marks");
  char path[4096], host[64] = "", note[1024] = "", number[32];
  struct stat st;
  tw_id key, other;
  uint64_t marked = 7000000000u + randombytes_uniform(1000);
  tw_id_random(&key);
  tw_id_random(&other);
  gethostname(host, sizeof host - 1);
  snprintf(number, sizeof number, "slot %llu ", (unsigned long long)marked);
  setenv("SLURM_JOB_ID", "4711", 1);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, marked), TW_OK);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, marked, "run 12ab"), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, marked), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has(key.hex) && message_has(number) && message_has(host) && message_has("job 4711") &&
                 message_has(" at 2") && message_has("--slot") && message_has("twain deal"));
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, marked, "again"), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has(host) && message_has("--slot"));
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, marked + 1), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 1, &key, marked), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &other, marked), TW_OK);

  snprintf(path, sizeof path, "%s/p0/%s/%llu", ledger.dir, key.hex, (unsigned long long)marked);
  CU_ASSERT_EQUAL(stat(path, &st), 0);
  CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
  int fd = open(path, O_RDONLY);
  CU_ASSERT_TRUE(read(fd, note, sizeof note - 1) > 0);
  close(fd);
  CU_ASSERT_PTR_NOT_NULL(strstr(note, "note=run 12ab\n"));  // the first one's, not the second one's
  CU_ASSERT_PTR_NULL(strstr(note, "again"));
  unsetenv("SLURM_JOB_ID");
}

// Several at a time; what is told of them.
static void test_list(void) {
  tw_ledger ledger = new_ledger("list");
  tw_id keys[2], peer;
  uint64_t bits[3], slots[4] = {2, 0, 130, 64};
  tw_ledger_key *list;
  size_t count;
  tw_id_random(&peer);
  for (int i = 0; i < 2; i++) tw_id_random(&keys[i]);
  CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 1, &keys[0], 150, bits), TW_OK);
  CU_ASSERT_TRUE(bits[0] == 0 && bits[1] == 0 && bits[2] == 0);
  CU_ASSERT_EQUAL(tw_ledger_mark(&ledger, 1, &keys[0], slots, 4, "four"), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_mark(&ledger, 1, &keys[0], (uint64_t[]){1, 0, 3}, 3, "three"), TW_ERR_USED);  // 1 is marked
  CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 1, &keys[0], 150, bits), TW_OK);
  CU_ASSERT_TRUE(bits[0] == 7 && bits[1] == 1 && bits[2] == 4);
  CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 1, &keys[0], 65, bits), TW_OK);
  CU_ASSERT_TRUE(bits[0] == 7 && bits[1] == 1);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &keys[1], 5, "a\033[2Jb"), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_record_peer(&ledger, 0, &keys[1], &peer), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_list(&ledger, &list, &count), TW_OK);
  CU_ASSERT_EQUAL_FATAL(count, 2);
  const tw_ledger_key *first = strcmp(list[0].key_id.hex, keys[0].hex) == 0 ? &list[0] : &list[1];
  const tw_ledger_key *second = first == &list[0] ? &list[1] : &list[0];
  CU_ASSERT_TRUE(strcmp(list[0].key_id.hex, list[1].key_id.hex) < 0);
  CU_ASSERT_TRUE(first->party == 1 && first->count == 5 && first->peer.hex[0] == '\0');
  static const uint64_t sorted[] = {0, 1, 2, 64, 130};
  for (int i = 0; i < 5; i++) CU_ASSERT_EQUAL(first->marks[i].slot, sorted[i]);
  CU_ASSERT_STRING_EQUAL(first->marks[1].note, "three");
  CU_ASSERT_STRING_EQUAL(first->marks[4].note, "four");
  CU_ASSERT_TRUE(second->party == 0 && second->count == 1);
  CU_ASSERT_STRING_EQUAL(second->peer.hex, peer.hex);
  CU_ASSERT_STRING_EQUAL(second->marks[0].note, "a?[2Jb");  // no control characters to a terminal
  tw_ledger_keys_free(list, count);
}

// No descriptor is left for the record: that is no damage. state: the ledger's key.
static int check_without_descriptors(void *state) {
  bool recorded;
  tw_ledger ledger;
  struct rlimit none = {3, 3};
  if (tw_ledger_open(in_folder("peer"), &ledger) != TW_OK || setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
  if (tw_ledger_check_peer(&ledger, 0, state, &ledger.id, &recorded) != TW_ERR_IO) return 2;
  return message_has("cannot read: Too many open files") ? 0 : 3;
}

static void test_peer(void) {
  bool recorded;
  tw_ledger ledger = new_ledger("peer");
  tw_id key, peer, stranger;
  char path[4096];
  tw_id_random(&key);
  tw_id_random(&peer);
  tw_id_random(&stranger);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 0, &key, &peer, &recorded), TW_OK);
  CU_ASSERT_FALSE(recorded);
  CU_ASSERT_EQUAL(tw_ledger_record_peer(&ledger, 0, &key, &peer), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_record_peer(&ledger, 0, &key, &peer), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 0, &key, &peer, &recorded), TW_OK);
  CU_ASSERT_TRUE(recorded);
  CU_ASSERT_EQUAL(in_child(check_without_descriptors, &key), 0);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 0, &key, &stranger, &recorded), TW_ERR_MISMATCH);
  CU_ASSERT_TRUE(message_has(peer.hex) && message_has(stranger.hex) && message_has("party 1"));
  CU_ASSERT_EQUAL(tw_ledger_record_peer(&ledger, 0, &key, &stranger), TW_ERR_MISMATCH);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 1, &key, &stranger, &recorded), TW_OK);  // party 1's is another ledger
  snprintf(path, sizeof path, "%s/p0/%s/peer", ledger.dir, key.hex);
  dump(path, (const uint8_t *)"ledger=0123", 11);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 0, &key, &peer, &recorded), TW_ERR_FORMAT);
  unlink(path);
  // a record that a crash left unfinished is no record
  snprintf(path, sizeof path, "%s/p0/%s/peer.partial", ledger.dir, key.hex);
  dump(path, (const uint8_t *)"ledg", 4);
  CU_ASSERT_EQUAL(tw_ledger_record_peer(&ledger, 0, &key, &stranger), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 0, &key, &peer, &recorded), TW_ERR_MISMATCH);
}

// ---- the lock. This flock stands before the C library's.

static int flock_errno;

int flock(int fd, int operation) {
  if (!flock_errno) return (int)syscall(SYS_flock, fd, operation);
  errno = flock_errno;
  return -1;
}

static void test_lock(void) {
  static const int refusals[] = {ENOSYS, ENOLCK, EROFS, EINVAL, EOPNOTSUPP, 524};
  tw_ledger ledger = new_ledger("lock");
  tw_id key, other;
  char path[4096], pid[32];
  int first, second, third;
  tw_id_random(&key);
  tw_id_random(&other);
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 0, &first), TW_OK);
  CU_ASSERT_TRUE(first >= 0);
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 0.05, &second), TW_OK);
  CU_ASSERT_EQUAL(second, -1);
  CU_ASSERT_EQUAL(tw_ledger_held(&ledger, 0, &key, 7), TW_ERR_IO);
  snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
  CU_ASSERT_TRUE(message_has(pid) && message_has("waited 7 s"));
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 1, &key, 0, &second), TW_OK);  // another party, another key: other locks
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &other, 0, &third), TW_OK);
  CU_ASSERT_TRUE(second >= 0 && third >= 0);
  tw_ledger_unlock(&second);
  tw_ledger_unlock(&third);
  tw_ledger_unlock(&first);
  CU_ASSERT_EQUAL(first, -1);
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 0, &second), TW_OK);
  CU_ASSERT_TRUE(second >= 0);
  // a lock file that somebody removes: whoever comes next locks the new one, and holds it alone
  snprintf(path, sizeof path, "%s/p0/%s/lock", ledger.dir, key.hex);
  unlink(path);
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 0, &first), TW_OK);
  CU_ASSERT_TRUE(first >= 0);
  CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 0, &third), TW_OK);
  CU_ASSERT_EQUAL(third, -1);
  tw_ledger_unlock(&first);
  tw_ledger_unlock(&second);
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    flock_errno = refusals[i];
    CU_ASSERT_EQUAL(tw_ledger_lock(&ledger, 0, &key, 1, &first), TW_ERR_IO);
    CU_ASSERT_TRUE(first == -1 && message_has("does not lock files") && message_has("Lustre"));
  }
  flock_errno = 0;
}

// Twenty processes: never two of them inside; nobody starves.
static void test_lock_race(void) {
  enum { CHILDREN = 20 };
  tw_ledger ledger = new_ledger("lock race");
  tw_id key;
  pid_t children[CHILDREN];
  int bad = 0;
  tw_id_random(&key);
  const char *inside = in_folder("inside");
  fflush(stdout);
  for (int i = 0; i < CHILDREN; i++)
    if ((children[i] = fork()) == 0) {
      int fd;
      for (int turn = 0; turn < 5; turn++) {
        if (tw_ledger_lock(&ledger, 0, &key, 60, &fd) != TW_OK || fd < 0) _exit(1);
        if (mkdir(inside, 0700) != 0) _exit(2);
        if (i == 3 && turn == 2) {
          rmdir(inside);
          raise(SIGKILL);  // the lock goes with its holder
        }
        if (rmdir(inside) != 0) _exit(3);
        tw_ledger_unlock(&fd);
      }
      _exit(0);
    }
  for (int i = 0; i < CHILDREN; i++) {
    int state = 0;
    waitpid(children[i], &state, 0);
    bad += i == 3 ? !WIFSIGNALED(state) : !WIFEXITED(state) || WEXITSTATUS(state) != 0;
  }
  CU_ASSERT_EQUAL(bad, 0);
}

static void test_race(void) {
  enum { CHILDREN = 8, ROUNDS = 20 };
  tw_ledger ledger = new_ledger("race");
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
        tw_status status = mark(&ledger, 0, &key, 5, "race");
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
    CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, 5), TW_ERR_USED);
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
  tw_ledger ledger, gone = new_ledger("gone");
  uint64_t bits[1];
  tw_id_random(&key);
  make_file(in_folder("file"), 0600);  // a file where the ledger's folder should be
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("file"), &ledger), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_create(in_folder("file"), &ledger), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_adopt(in_folder("file"), &ledger), TW_ERR_IO);
  ledger = new_ledger("l");
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &broken, 1), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &broken, 1, ""), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(mark(&ledger, 2, &key, 1, ""), TW_ERR_INTERNAL);

  // A ledger that goes while it is used is not empty.
  unlink(in_folder("gone/ledger.json"));
  CU_ASSERT_EQUAL(rmdir(in_folder("gone")), 0);
  CU_ASSERT_EQUAL(tw_ledger_check(&gone, 0, &key, 1), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_marks(&gone, 0, &key, 10, bits), TW_ERR_IO);
  CU_ASSERT_EQUAL(mark(&gone, 0, &key, 1, ""), TW_ERR_IO);
  CU_ASSERT_FALSE(exists(in_folder("gone")));

  // An empty note (a crash between creation and note) and a dangling link: both count as used.
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, 1, ""), TW_OK);
  snprintf(path, sizeof path, "%s/l/p0/%s/2", scratch_folder(), key.hex);
  make_file(path, 0600);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, 2), TW_ERR_USED);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, 2, ""), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has("unknown"));
  snprintf(path, sizeof path, "%s/l/p0/%s/3", scratch_folder(), key.hex);
  CU_ASSERT_EQUAL(symlink("/nowhere/at/all", path), 0);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, 3), TW_ERR_USED);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, 3, ""), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 0, &key, 10, bits), TW_OK);
  CU_ASSERT_EQUAL(bits[0], 2 + 4 + 8);
  // A key's folder that is a link, or a file.
  tw_id_random(&key);
  snprintf(path, sizeof path, "%s/l/p0/%s", scratch_folder(), key.hex);
  CU_ASSERT_EQUAL(symlink("/nowhere/at/all", path), 0);
  CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 0, &key, 10, bits), TW_ERR_IO);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, 3, ""), TW_ERR_IO);
}

// Folder, party's folder, key's folder, ledger.json: this user's, and nobody else writes there.
static void test_owner_and_mode(void) {
  tw_ledger ledger = new_ledger("own"), again;
  tw_id key;
  char parts[4][4096];
  uint64_t bits[1];
  tw_id_random(&key);
  CU_ASSERT_EQUAL(mark(&ledger, 1, &key, 1, ""), TW_OK);
  snprintf(parts[0], sizeof parts[0], "%s", ledger.dir);
  snprintf(parts[1], sizeof parts[1], "%s/ledger.json", ledger.dir);
  snprintf(parts[2], sizeof parts[2], "%s/p1", ledger.dir);
  snprintf(parts[3], sizeof parts[3], "%s/p1/%s", ledger.dir, key.hex);
  for (int i = 0; i < 4; i++) {
    static const mode_t modes[] = {0720, 0702, 0722, 0770, 01777};
    for (int m = 0; m < 5; m++) {
      chmod(parts[i], i == 1 ? modes[m] & 0666 : modes[m]);
      if (i < 3) CU_ASSERT_EQUAL(tw_ledger_open(ledger.dir, &again), TW_ERR_IO);
      if (i != 1) CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 1, &key, 2), TW_ERR_IO);
      if (i != 1) CU_ASSERT_EQUAL(tw_ledger_marks(&ledger, 1, &key, 9, bits), TW_ERR_IO);
      if (i != 1) CU_ASSERT_EQUAL(mark(&ledger, 1, &key, 2, ""), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has("chmod go-w") && message_has(parts[i]));
    }
    chmod(parts[i], i == 1 ? 0600 : 0700);
    if (geteuid() == 0 && chown(parts[i], 65534, 0) == 0) {
      if (i < 3) CU_ASSERT_EQUAL(tw_ledger_open(ledger.dir, &again), TW_ERR_IO);
      if (i != 1) CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 1, &key, 2), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has("belongs to user 65534"));
      CU_ASSERT_EQUAL(chown(parts[i], 0, 0), 0);
    }
  }
  CU_ASSERT_EQUAL(tw_ledger_open(ledger.dir, &again), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 1, &key, 2), TW_OK);
}

// Marks without ledger.json: all are kept.
static void test_adopt(void) {
  tw_ledger ledger = new_ledger("old");
  tw_id key, id = ledger.id;
  tw_id_random(&key);
  CU_ASSERT_EQUAL(mark(&ledger, 0, &key, 6, ""), TW_OK);
  unlink(in_folder("old/ledger.json"));
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("old"), &ledger), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("--adopt"));
  CU_ASSERT_EQUAL(tw_ledger_create(in_folder("old"), &ledger), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("--adopt"));
  CU_ASSERT_EQUAL(tw_ledger_adopt(in_folder("old"), &ledger), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("old"), &ledger), TW_OK);
  CU_ASSERT_STRING_NOT_EQUAL(ledger.id.hex, id.hex);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 0, &key, 6), TW_ERR_USED);
  CU_ASSERT_EQUAL(mkdir(in_folder("empty"), 0700), 0);
  CU_ASSERT_EQUAL(tw_ledger_adopt(in_folder("empty"), &ledger), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_adopt(in_folder("nowhere"), &ledger), TW_ERR_IO);
  CU_ASSERT_FALSE(exists(in_folder("nowhere")));
}

// A note that cannot be written: an error, and the slot is burned all the same.
static int mark_under_limit(void *state) {
  struct rlimit limit = {4, 4};
  tw_ledger ledger;
  tw_id key = *(tw_id *)state;
  if (tw_ledger_open(in_folder("full"), &ledger) != TW_OK) return 1;
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  if (mark(&ledger, 1, &key, 0, "note") != TW_ERR_IO) return 2;
  if (!message_has("counts as used")) return 3;
  if (tw_ledger_record_peer(&ledger, 1, &key, &key) != TW_ERR_IO) return 4;
  return tw_ledger_create(in_folder("full too"), &ledger) == TW_ERR_IO ? 0 : 5;
}

static void test_full(void) {
  bool recorded;
  tw_ledger ledger = new_ledger("full");
  tw_id key;
  tw_id_random(&key);
  CU_ASSERT_EQUAL(in_child(mark_under_limit, &key), 0);
  CU_ASSERT_EQUAL(tw_ledger_check(&ledger, 1, &key, 0), TW_ERR_USED);
  CU_ASSERT_EQUAL(tw_ledger_check_peer(&ledger, 1, &key, &ledger.id, &recorded), TW_OK);  // nothing half recorded
  CU_ASSERT_EQUAL(tw_ledger_open(in_folder("full too"), &ledger), TW_ERR_IO);
  CU_ASSERT_EQUAL(tw_ledger_create(in_folder("full too"), &ledger), TW_OK);
}

// A folder this user may not look into. Root may look everywhere: the child becomes somebody else.
static int look_as_other(void *state) {
  tw_ledger ledger = *(tw_ledger *)state, again;
  tw_id key;
  tw_id_random(&key);
  if (geteuid() == 0 && setuid(65534) != 0) return 3;
  return tw_ledger_check(&ledger, 0, &key, 0) != TW_ERR_IO || mark(&ledger, 0, &key, 0, "") != TW_ERR_IO ||
         tw_ledger_open(ledger.dir, &again) != TW_ERR_IO;
}

static void test_closed(void) {
  tw_ledger ledger = new_ledger("closed");
  CU_ASSERT_EQUAL(geteuid() == 0 ? chmod(scratch_folder(), 0755) : chmod(ledger.dir, 0), 0);
  CU_ASSERT_EQUAL(in_child(look_as_other, &ledger), 0);
  chmod(ledger.dir, 0700);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("ledger", scratch_open, scratch_close);
  if (!suite) return 2;
  CU_add_test(suite, "made once", test_made_once);
  CU_add_test(suite, "a changed ledger.json", test_changed_json);
  CU_add_test(suite, "marks last and tell their story", test_mark);
  CU_add_test(suite, "several marks, and the list", test_list);
  CU_add_test(suite, "the other party's ledger", test_peer);
  CU_add_test(suite, "the lock", test_lock);
  CU_add_test(suite, "twenty processes, one inside", test_lock_race);
  CU_add_test(suite, "eight processes, one winner", test_race);
  CU_add_test(suite, "fails closed", test_doubt);
  CU_add_test(suite, "owner and mode", test_owner_and_mode);
  CU_add_test(suite, "marks without ledger.json", test_adopt);
  CU_add_test(suite, "no room for the note", test_full);
  CU_add_test(suite, "a closed folder", test_closed);
  CU_add_test(suite, "default folder", test_default);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
