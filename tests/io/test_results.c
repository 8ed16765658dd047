// Result files: their place and room are taken before a run, they replace an older one in one step, and what no run
// writes is refused.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <dirent.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file.h"
#include "tests/common/samples.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static const char *partial_of(const char *path) {
  static char partial[320];
  snprintf(partial, sizeof partial, "%s.partial", path);
  return partial;
}

static uint64_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static bool holds_sample(const char *path) {
  bool same = false;
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].read(path, 0, &same), TW_OK);
  return same;
}

static tw_status complete(tw_result_claim *place, const tw_result_share *r) {
  tw_status status = tw_result_share_fill(place, r);
  if (status == TW_OK) return tw_result_claim_commit(place);
  tw_result_claim_release(place);
  return status;
}

static void fill_with(char *text, size_t size) {
  memset(text, 'm', size - 1);
  text[size - 1] = '\0';
}

// The longest texts that a run may have: what was claimed suffices, and is really there.
static void room_for_all(void) {
  for (int turn = 0; turn < 8; turn++) {
    samples_fresh(0);
    tw_result_share *r = &sample_result_share;
    tw_environment *e = &r->environment;
    const char *path = in_folder("room.h5");
    tw_result_claim *place;
    struct stat st;
    fill_with(e->host, sizeof e->host);
    fill_with(e->cpu, sizeof e->cpu);
    fill_with(e->software, sizeof e->software);
    fill_with(e->mpi, sizeof e->mpi);
    fill_with(e->placement, sizeof e->placement);
    fill_with(e->transport_why, sizeof e->transport_why);
    fill_with(e->job, sizeof e->job);
    fill_with(e->user, sizeof e->user);
    CU_ASSERT_EQUAL_FATAL(tw_result_share_claim(path, r, false, &place), TW_OK);
    CU_ASSERT_TRUE(stat(partial_of(path), &st) == 0 && (st.st_mode & 07777) == 0600);
    uint64_t claimed = (uint64_t)st.st_size;
    CU_ASSERT_TRUE(512 * (uint64_t)st.st_blocks >= claimed);
    CU_ASSERT_EQUAL(complete(place, r), TW_OK);
    CU_ASSERT_TRUE(size_of(path) > 0 && size_of(path) <= claimed);
    CU_ASSERT_TRUE(holds_sample(path));
    CU_ASSERT_FALSE(exists(partial_of(path)));
    unlink(path);
  }
}

static void refused_places(void) {
  samples_fresh(0);
  tw_result_claim *place;
  const char *path = in_folder("place.h5");
  dump(path, (const uint8_t *)"old", 3);
  CU_ASSERT_EQUAL(tw_result_share_claim(path, &sample_result_share, false, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("exists already"));
  CU_ASSERT_EQUAL_FATAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_OK);
  CU_ASSERT_EQUAL(size_of(path), 3);
  tw_result_claim_release(place);
  CU_ASSERT_TRUE(size_of(path) == 3 && !exists(partial_of(path)));
  unlink(path);
  mkdir(path, 0700);
  CU_ASSERT_EQUAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("is a folder"));
  rmdir(path);
  CU_ASSERT_EQUAL(tw_result_share_claim(in_folder("nowhere/r.h5"), &sample_result_share, true, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("nowhere"));
  CU_ASSERT_EQUAL(symlink("/dev/null", partial_of(path)), 0);  // not ours to follow
  CU_ASSERT_EQUAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has(".partial: exists"));
  unlink(partial_of(path));
  dump(partial_of(path), (const uint8_t *)"?", 1);  // open to others: not one of ours
  chmod(partial_of(path), 0644);
  CU_ASSERT_EQUAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(exists(partial_of(path)));
  unlink(partial_of(path));
}

static int without_room(void *state) {
  tw_result_claim *place;
  struct rlimit limit = {4096, 4096};
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  tw_status status = tw_result_share_claim(state, &sample_result_share, false, &place);
  return status == TW_ERR_IO && no_trace(state) ? 0 : 2;
}

static void no_room(void) {
  char path[200];
  samples_fresh(0);
  snprintf(path, sizeof path, "%s", in_folder("small.h5"));
  CU_ASSERT_EQUAL(in_child(without_room, path), 0);
}

// ---- other processes

typedef struct {
  pid_t id;
  int ready;  // read end: a byte once the child holds its place
} child;

// Claims, says so, and waits to be killed.
static child claimant(const char *path) {
  int ends[2];
  CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
  child c = {.id = fork(), .ready = ends[0]};
  if (c.id == 0) {
    tw_result_claim *place;
    char ok = tw_result_share_claim(path, &sample_result_share, true, &place) == TW_OK;
    if (write(ends[1], &ok, 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(ends[1]);
  return c;
}

static bool claimed(const child *c) {
  char ok = 0;
  return read(c->ready, &ok, 1) == 1 && ok;
}

static void kill_child(child *c) {
  kill(c->id, SIGKILL);
  waitpid(c->id, NULL, 0);
  close(c->ready);
}

static bool all_zero(const char *path) {
  size_t bytes;
  uint8_t *data = slurp(path, &bytes);
  bool zero = bytes > 0 && sodium_is_zero(data, bytes);
  free(data);
  return zero;
}

static void one_writer_at_a_time(void) {
  samples_fresh(0);
  const char *path = in_folder("two.h5");
  tw_result_claim *place;
  child c = claimant(path);
  CU_ASSERT_TRUE(claimed(&c));
  CU_ASSERT_EQUAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("another command is writing it"));
  CU_ASSERT_TRUE(exists(partial_of(path)));
  kill_child(&c);
  CU_ASSERT_TRUE(all_zero(partial_of(path)));  // what a run that was killed leaves
  CU_ASSERT_EQUAL_FATAL(tw_result_share_claim(path, &sample_result_share, false, &place), TW_OK);
  CU_ASSERT_EQUAL(complete(place, &sample_result_share), TW_OK);
  CU_ASSERT_TRUE(holds_sample(path) && !exists(partial_of(path)));
  unlink(path);
}

// Of many that start at once exactly one gets the place.
static void a_race(void) {
  enum { RUNNERS = 8 };
  samples_fresh(0);
  const char *path = in_folder("race.h5");
  for (int turn = 0; turn < 10; turn++) {
    child c[RUNNERS];
    int winners = 0;
    for (int i = 0; i < RUNNERS; i++) c[i] = claimant(path);
    for (int i = 0; i < RUNNERS; i++) winners += claimed(&c[i]);
    CU_ASSERT_EQUAL(winners, 1);
    for (int i = 0; i < RUNNERS; i++) kill_child(&c[i]);
    if (turn % 2) unlink(partial_of(path));
  }
  unlink(partial_of(path));
}

static int count_files(const char *prefix) {
  int count = 0;
  DIR *folder = opendir(scratch_folder());
  for (struct dirent *e; folder && (e = readdir(folder));) count += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
  closedir(folder);
  return count;
}

// Killed at any time while it replaces a result: the name always holds a whole file, and the next writer leaves no
// other one behind.
static void killed_replacements(void) {
  samples_fresh(0);
  const char *path = in_folder("kill.h5");
  tw_result_claim *place;
  CU_ASSERT_EQUAL(tw_result_share_write(path, &sample_result_share), TW_OK);
  for (int turn = 0; turn < 60; turn++) {
    pid_t id = fork();
    if (id == 0)
      for (;;) {
        if (tw_result_share_claim(path, &sample_result_share, true, &place) != TW_OK) _exit(1);
        if (complete(place, &sample_result_share) != TW_OK) _exit(1);
      }
    int status = 0;
    usleep(1000 + randombytes_uniform(10000));
    kill(id, SIGKILL);
    waitpid(id, &status, 0);
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    CU_ASSERT_TRUE(holds_sample(path));
    CU_ASSERT_EQUAL(count_files("kill.h5"), 1 + exists(partial_of(path)));
  }
  CU_ASSERT_EQUAL_FATAL(tw_result_share_claim(path, &sample_result_share, true, &place), TW_OK);
  tw_result_claim_release(place);
  CU_ASSERT_EQUAL(count_files("kill.h5"), 1);
  CU_ASSERT_TRUE(holds_sample(path));
}

// ---- what no run writes, under right checksums

static void expect_refused(const char *object, const char *cause) {
  char path[200];
  tw_result_share r;
  snprintf(path, sizeof path, "%s", in_folder("nonsense.h5"));
  CU_ASSERT_EQUAL(tw_result_share_write(path, &sample_result_share), TW_OK);
  tw_status status = tw_result_share_read(path, 0, &r);
  CU_ASSERT_EQUAL(status, TW_ERR_FORMAT);
  if (status == TW_OK) tw_result_share_free(&r);
  CU_ASSERT_TRUE(message_has(object) && message_has(cause) && message_has(path));
  unlink(path);
  samples_fresh(0);
}

static void nonsense_in_shares(void) {
  static const int lengths[] = {0, -5, INT32_MIN, (1 << 20) + 1};
  tw_result_share *r = &sample_result_share;
  samples_fresh(0);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    r->lengths[randombytes_uniform(3)] = lengths[i];
    expect_refused("dataset lengths", "tokens");
  }
  strcpy(r->output, "tokens");  // one row, three sequences of more tokens
  r->lengths[1] = 2;
  expect_refused("dataset lengths", "1 to 1 are possible");
  strcpy(r->output, "sum");
  expect_refused("attribute output", "tokens, pooled, cls, logits, dense, all-logits, next-token and text");
  strcpy(r->output, "");
  expect_refused("attribute output", "tokens, pooled, cls, logits, dense, all-logits, next-token and text");
  r->transcript[17] = 'G';
  expect_refused("attribute transcript", "hexadecimal");
  r->transcript[63] = '\0';
  expect_refused("attribute transcript", "hexadecimal");
  strcpy(r->rows_table[2].step, "\033[31mEVIL\nfake");
  expect_refused("dataset costs: row 2", "cannot be shown");
  strcpy(r->rows_table[4].step, "\xff\xfe");
  expect_refused("dataset costs: row 4", "cannot be shown");
  r->rows_table[1].layer = -7;
  expect_refused("dataset costs: row 1", "layer");
  r->rows_table[6].seconds = NAN;
  expect_refused("dataset costs: row 6", "finite");
}

// Until the sample has, or has not, several batches.
static void samples_of_batches(bool several) {
  do samples_fresh(0);
  while (!sample_result_share.batches.count == several);
}

static void nonsense_in_batches(void) {
  static const struct {
    int at;
    tw_batch_row row;
    const char *object, *cause;
  } bad[] = {{1, {0, 1, 0}, "dataset batch_rows", "another key slot"},  // row 2 is batch 1's then
             {0, {1, 0, 0}, "dataset batch_rows", "order"},
             {2, {2, 1, 0}, "dataset batch_rows", "order"},
             {1, {0, 0, 0}, "dataset batch_rows", "order"},
             {0, {0, -1, 0}, "dataset batch_rows", "order"},
             {3, {1, 3, 0}, "dataset batch_rows", "order"},
             {2, {1, 0, 0}, "dataset batch_rows", "in no batch"}};
  tw_result_share *r = &sample_result_share;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    samples_of_batches(true);
    tw_batch_row *row = &r->batches.rows[bad[i].at];
    *row = (tw_batch_row){bad[i].row.batch, bad[i].row.row, r->slots[bad[i].row.row < 0 ? 0 : bad[i].row.row % 3]};
    expect_refused(bad[i].object, bad[i].cause);
  }
  samples_of_batches(true);
  r->batches.rows[0].slot ^= 1;
  expect_refused("dataset batch_rows", "another key slot");
  samples_of_batches(true);
  r->batches.transcripts[1][5] ^= 1;  // '0' and '1', 'f' and 'g'
  expect_refused("dataset transcripts", "");
  samples_of_batches(true);
  r->transcript[0] = r->transcript[0] == '0' ? '1' : '0';
  expect_refused("dataset transcripts", "made of");
  samples_of_batches(true);
  r->batches.transcripts[0][63] = 'x';
  expect_refused("dataset transcripts", "64 hexadecimal digits");
}

// ---- files of this version that were written before there was a revision

static const char *write_sample(const char *name) {
  const char *path = in_folder(name);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_write(path, &sample_result_share), TW_OK);
  return path;
}

static void drop(const char *path, const char *const *attributes) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(file >= 0);
  for (; *attributes; attributes++) CU_ASSERT_TRUE(H5Adelete(file, *attributes) >= 0);
  H5Fclose(file);
}

static void earlier_results(void) {
  static const char *const before[] = {"revision", "steps_timed", "batches", NULL};
  tw_result_share r;
  samples_of_batches(false);
  memset(sample_result_share.transcript, '0', 64);
  sample_result_share.steps_timed = false;
  const char *path = write_sample("earlier.h5");
  drop(path, before);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_read(path, 0, &r), TW_OK);
  CU_ASSERT_TRUE(r.steps_timed);
  CU_ASSERT_EQUAL(r.batches.count, 0);
  CU_ASSERT_FALSE(tw_result_has_transcript(&r));
  CU_ASSERT_EQUAL(memcmp(r.masked, sample_result_share.masked, 8 * (size_t)r.count * (size_t)r.cols), 0);
  tw_result_share_free(&r);
  unlink(path);
}

static void later_results(void) {
  const int64_t revision = 2;
  tw_result_share r;
  samples_fresh(0);
  const char *path = write_sample("later.h5");
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), attribute = H5Aopen(file, "revision", H5P_DEFAULT);
  CU_ASSERT_TRUE(H5Awrite(attribute, H5T_STD_I64LE, &revision) >= 0);
  H5Aclose(attribute);
  H5Fclose(file);
  CU_ASSERT_EQUAL(tw_result_share_read(path, 0, &r), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("revision 2") && message_has("use a later one"));
  unlink(path);
}

// The environment's words may be anything; what is written can be read.
static void words_of_the_environment(void) {
  tw_result_share r;
  samples_fresh(0);
  strcpy(sample_result_share.environment.job, "7\n\033[2Jdone\xff");
  const char *path = in_folder("job.h5");
  CU_ASSERT_EQUAL(tw_result_share_write(path, &sample_result_share), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_read(path, 0, &r), TW_OK);
  CU_ASSERT_STRING_EQUAL(r.environment.job, "7??[2Jdone?");
  tw_result_share_free(&r);
  unlink(path);
}

static void nonsense_in_results(void) {
  tw_result r;
  const char *path = in_folder("result.h5");
  for (int turn = 0; turn < 3; turn++) {
    samples_fresh(0);
    if (turn == 0) sample_result.lengths[1] = 0;
    if (turn == 1) sample_result.lengths[0] = 4;  // three rows
    if (turn == 2) strcpy(sample_result.output, "cls");
    CU_ASSERT_EQUAL(tw_result_write(path, &sample_result), TW_OK);
    CU_ASSERT_EQUAL(tw_result_read(path, &r), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has(turn < 2 ? "dataset lengths" : "attribute rows"));
    unlink(path);
  }
}

static int tear_down(void) {
  samples_free();
  return scratch_close();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("results", scratch_open, tear_down);
  if (!suite) return 2;
  CU_add_test(suite, "room for all", room_for_all);
  CU_add_test(suite, "places that are refused", refused_places);
  CU_add_test(suite, "no room", no_room);
  CU_add_test(suite, "one writer at a time", one_writer_at_a_time);
  CU_add_test(suite, "a race", a_race);
  CU_add_test(suite, "killed replacements", killed_replacements);
  CU_add_test(suite, "nonsense in shares", nonsense_in_shares);
  CU_add_test(suite, "nonsense in batches", nonsense_in_batches);
  CU_add_test(suite, "earlier results", earlier_results);
  CU_add_test(suite, "later results", later_results);
  CU_add_test(suite, "words of the environment", words_of_the_environment);
  CU_add_test(suite, "nonsense in results", nonsense_in_results);
  return suite_end();
}
