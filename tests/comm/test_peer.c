// What a party does when the other one dies, hangs or runs something else. Started without arguments this is a CUnit
// executable that starts itself as two MPI ranks, one way of failing at a time, and looks at how they end: the
// survivor with a message and code 7 well within its timeout, and mpirun never hanging.
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/channels.h"
#include "comm/opens.h"
#include "tests/common/suite.h"

enum { LIMIT_SECONDS = 40 };  // for one start of mpirun; a hang ends here
#define FOLDER "TWAIN_TEST_PEER_FOLDER"

static void pause_seconds(double s) {
  struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
  nanosleep(&t, NULL);
}

// Parties speak into files of their own: what mpirun forwards may be lost when it ends them.
static const char *words_of(int party) {
  static char path[200];
  snprintf(path, sizeof path, "%s/party.%d", getenv(FOLDER), party);
  return path;
}

static void give_up(int party, const char *what, tw_status status, double seconds) {
  char unfinished[300];
  snprintf(unfinished, sizeof unfinished, "%s.unfinished", words_of(party));
  FILE *file = fopen(unfinished, "w");
  if (!file) _Exit(2);
  fprintf(file, "%s: status %d after %.1f s: %s\n", what, status, seconds, tw_error_message());
  if (fclose(file) != 0 || rename(unfinished, words_of(party)) != 0) _Exit(2);
}

// Both fail in these, and each has something to say before mpirun ends the job.
static bool both_speak(const char *way) { return !strcmp(way, "shorter") || !strcmp(way, "longer"); }

// MPI goes on while waiting: a busy machine may hold the other party's part of an exchange up.
static void let_other_speak(int party) {
  uint64_t end = tw_clock_ns() + (uint64_t)LIMIT_SECONDS * 500000000u;
  while (access(words_of(1 - party), F_OK) != 0 && tw_clock_ns() < end) {
    int found;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, MPI_STATUS_IGNORE);
    pause_seconds(0.001);
  }
}

static void fail_as_asked(const char *way) {
  if (!strcmp(way, "killed")) raise(SIGKILL);
  if (!strcmp(way, "asleep") || !strcmp(way, "large")) pause_seconds(2.0 * LIMIT_SECONDS);
  if (!strcmp(way, "exits")) _Exit(0);
}

// Elements of a flush, of a party.
static size_t elements(const char *way, int party, uint32_t flush) {
  size_t n = strcmp(way, "large") != 0 && strcmp(way, "longer") != 0 ? 1000 : 10000000;
  if (party == 1 && flush == 2 && !strcmp(way, "longer")) return 100;
  if (party == 1 && flush == 2 && !strcmp(way, "shorter")) return n / 2;
  return n;
}

// Party 1 fails in the given way before the third flush; party 0 goes on opening. Until then, and when both are to
// fail, the time limit allows for a busy machine.
static int as_party(const char *way) {
  const double patient = LIMIT_SECONDS / 2.0, brief = 2;
  int party;
  MPI_Init(NULL, NULL);
  MPI_Comm_rank(MPI_COMM_WORLD, &party);
  if (sodium_init() < 0) return 2;
  bool absent = !strcmp(way, "absent");
  if (party == 1 && absent) pause_seconds(2.0 * LIMIT_SECONDS);
  tw_channel *c = NULL;
  tw_opens *o = NULL;
  uint64_t begin = tw_clock_ns();
  tw_status status = tw_channel_mpi(absent ? brief : patient, &c);
  if (status == TW_OK) status = tw_opens_create(c, &o);
  size_t n = elements(way, 0, 0);
  uint64_t *data = malloc(n * 8);
  randombytes_buf(data, n * 8);
  for (uint32_t flush = 0; flush < 5 && status == TW_OK; flush++) {
    if (party == 1 && flush == 2) fail_as_asked(way);
    if (flush == 2 && !both_speak(way)) c->timeout_seconds = brief;
    begin = tw_clock_ns();
    status = tw_opens_ring(o, flush, 9, 60, elements(way, party, flush), data);
    if (status == TW_OK) status = tw_opens_flush(o);
  }
  if (status == TW_OK) return 0;
  double seconds = (double)(tw_clock_ns() - begin) * 1e-9;
  give_up(party, party ? "failing party" : "survivor", status, seconds);
  tw_opens_destroy(o);
  tw_channel_destroy(c);
  free(data);
  if (both_speak(way)) let_other_speak(party);
  MPI_Abort(MPI_COMM_WORLD, (int)status);
  return 2;
}

typedef struct {
  int code;  // exit code of mpirun; -1: it hung
  double seconds;
  char output[1 << 15];
} outcome;

static void add_output(outcome *out, int from) {
  size_t used = strlen(out->output);
  char block[4096];
  for (ssize_t got; (got = read(from, block, sizeof block)) > 0;)
    for (ssize_t i = 0; i < got && used < sizeof out->output - 1; i++) out->output[used++] = block[i];
  close(from);
}

static void add_words(outcome *out) {
  for (int party = 0; party < 3; party++) {
    int file = open(words_of(party), O_RDONLY);
    if (file < 0) continue;
    add_output(out, file);
    unlink(words_of(party));
  }
}

static outcome start_parties(const char *parties, const char *way) {
  outcome out = {.code = -1};
  int ends[2];
  char self[4096] = "";
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || pipe(ends) < 0) return out;
  uint64_t begin = tw_clock_ns();
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    char limit[16];
    snprintf(limit, sizeof limit, "%d", LIMIT_SECONDS);
    execlp("timeout", "timeout", "-k", "5", limit, "mpirun", "-np", parties, self, way, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  add_output(&out, ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  out.seconds = (double)(tw_clock_ns() - begin) * 1e-9;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 124) out.code = WEXITSTATUS(status);
  add_words(&out);
  return out;
}

static outcome expect(const char *way, int code, int parts, const char *const needles[]) {
  outcome out = start_parties("2", way);
  CU_ASSERT_EQUAL(out.code, code);
  CU_ASSERT(out.seconds < LIMIT_SECONDS);
  int missing = 0;
  for (int i = 0; i < parts; i++) missing += !strstr(out.output, needles[i]);
  CU_ASSERT_EQUAL(missing, 0);
  if (missing || out.code != code)
    fprintf(stderr, "%s: code %d after %.1f s\n%s\n", way, out.code, out.seconds, out.output);
  return out;
}

// The survivor gave up at its timeout of 2 s, and not much later.
static void gave_up_in_time(const outcome *out) {
  const char *at = strstr(out->output, "survivor: status 7 after ");
  double seconds = at ? strtod(at + strlen("survivor: status 7 after "), NULL) : 0;
  CU_ASSERT(seconds >= 2);
  CU_ASSERT(seconds < LIMIT_SECONDS / 2);
}

static void peer_asleep(void) {
  outcome out =
      expect("asleep", TW_ERR_PEER, 3,
             (const char *[]){"message 2", "bytes received; look at the log of party 1", "raise --silence-limit"});
  gave_up_in_time(&out);
}

static void peer_asleep_in_a_large_message(void) {
  outcome out = expect("large", TW_ERR_PEER, 1, (const char *[]){"0 of 75000064 bytes"});
  gave_up_in_time(&out);
}

static void peer_that_never_opens_its_channel(void) {
  outcome out = expect("absent", TW_ERR_PEER, 1, (const char *[]){"party 1 has not opened its channel"});
  gave_up_in_time(&out);
}

static void peer_with_another_message(void) {
  static const char *const shorter[] = {
      "survivor: status 7", "failing party: status 7",
      "party 0: message 2: the payload length in bytes is 7504 here and 3752 at party 1",
      "party 1: message 2: the payload length in bytes is 3752 here and 7504 at party 0"};
  expect("shorter", TW_ERR_PEER, 4, shorter);
  // Different numbers of chunks: both still know at the first one.
  static const char *const longer[] = {"survivor: status 7", "failing party: status 7",
                                       "75000000 here and 752 at party 1", "752 here and 75000000 at party 0"};
  expect("longer", TW_ERR_PEER, 4, longer);
}

// mpirun ends the job by itself when a party is killed, perhaps before the survivor notices; with recovery enabled
// it leaves the survivor alone, which then has to help itself.
static void peer_killed(void) {
  outcome out = start_parties("2", "killed");
  CU_ASSERT(out.code > 0);
  CU_ASSERT(out.seconds < LIMIT_SECONDS);
  CU_ASSERT_PTR_NOT_NULL(strstr(out.output, "signal 9"));
  setenv("OMPI_MCA_orte_enable_recovery", "1", 1);
  out = start_parties("2", "killed");
  CU_ASSERT_NOT_EQUAL(out.code, -1);  // what it is under recovery is up to mpirun
  CU_ASSERT(out.seconds < LIMIT_SECONDS);
  CU_ASSERT_PTR_NOT_NULL(strstr(out.output, "survivor: status 7 after"));
  CU_ASSERT_PTR_NOT_NULL(strstr(out.output, "look at the log of party 1"));
  unsetenv("OMPI_MCA_orte_enable_recovery");
}

static void peer_that_exits(void) {
  outcome out = start_parties("2", "exits");
  CU_ASSERT(out.code > 0);
  CU_ASSERT(out.seconds < LIMIT_SECONDS);
}

static void wrong_number_of_ranks(void) {
  outcome out = start_parties("1", "asleep");
  CU_ASSERT_EQUAL(out.code, TW_ERR_USAGE);
  CU_ASSERT_PTR_NOT_NULL(strstr(out.output, "1 MPI ranks: start exactly two"));
  out = start_parties("3", "asleep");
  CU_ASSERT_EQUAL(out.code, TW_ERR_USAGE);
}

int main(int argc, char **argv) {
  if (argc == 2) return as_party(argv[1]);
  // Two parties on any machine: as root, in a container, on a single core.
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
  setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1);
  setenv("OMPI_MCA_plm", "isolated", 1);
  setenv("PMIX_MCA_gds", "hash", 1);
  setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
  char folder[] = P_tmpdir "/twain-peer-XXXXXX";
  if (!mkdtemp(folder) || setenv(FOLDER, folder, 1) != 0) return 2;
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("peer", NULL, NULL);
  CU_ADD_TEST(suite, peer_asleep);
  CU_ADD_TEST(suite, peer_asleep_in_a_large_message);
  CU_ADD_TEST(suite, peer_that_never_opens_its_channel);
  CU_ADD_TEST(suite, peer_with_another_message);
  CU_ADD_TEST(suite, peer_killed);
  CU_ADD_TEST(suite, peer_that_exits);
  CU_ADD_TEST(suite, wrong_number_of_ranks);
  int result = suite_end();
  if (rmdir(folder) != 0) fprintf(stderr, "%s: files were left behind\n", folder);
  return result;
}
