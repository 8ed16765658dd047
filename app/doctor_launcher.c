#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/doctor.h"
#include "app/launcher.h"
#include "app/show/print.h"
#include "app/two_ranks.h"
#include "app/version.h"
#include "base/clock.h"

// ---- as one of two ranks

static tw_status meet(const tw_call *call, tw_channel *channel) {
  enum { TIMES = 20, BYTES = 4096 };
  static char mine[BYTES], theirs[BYTES];
  (void)call;
  memset(mine, 1 + channel->party, sizeof mine);
  double start = tw_seconds();
  for (int i = 0; i < TIMES; i++) TW_TRY(tw_channel_exchange(channel, mine, theirs, BYTES));
  double each = (tw_seconds() - start) / TIMES;
  if (theirs[0] != 2 - channel->party || theirs[BYTES - 1] != 2 - channel->party)
    return tw_fail(TW_ERR_PEER, "the other rank's bytes are not what it sent");
  if (channel->party == 0 && !call->quiet)
    printf("two ranks meet; an exchange of 4 KiB takes %s\n", tw_text_seconds(each));
  return TW_OK;
}

tw_status tw_doctor_ranks(const tw_call *call) {
  return tw_two_ranks(call, &(tw_limits){.silence = 20, .whole = 60}, 1, meet);
}

// ---- what is on PATH

// The command's output, joined to one line; false: it is not there, failed, or took too long.
static bool ask(char *const argv[], double seconds, char *text, size_t size) {
  int ends[2], status = -1;
  size_t used = 0;
  ssize_t got;
  text[0] = '\0';
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execvp(argv[0], argv);
    _exit(127);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  double end = tw_seconds() + seconds;
  while (child > 0 && tw_seconds() < end) {
    char part[512];
    while ((got = read(ends[0], part, sizeof part)) > 0)
      for (ssize_t i = 0; i < got && used + 1 < size; i++) text[used++] = part[i] == '\n' ? ' ' : part[i];
    if (waitpid(child, &status, WNOHANG) == child) child = -1;
    usleep(10000);
  }
  while ((got = read(ends[0], text + used, used + 1 < size ? size - used - 1 : 0)) > 0) used += (size_t)got;
  text[used] = '\0';
  if (child > 0) {
    kill(-child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    snprintf(text, size, "takes longer than %.0f s", seconds);
    return false;
  }
  close(ends[0]);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// The launcher of this MPI starts this program as two ranks.
static void try_ranks(tw_doctor *d, const char *launcher, const char *mpi) {
  char self[4096], said[2048];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n < 0) return;
  self[n] = '\0';
  setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);  // meeting takes no cores
  setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
  bool root = getuid() == 0 && !getenv("OMPI_ALLOW_RUN_AS_ROOT");
  if (root) setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  if (root) setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  char *argv[] = {(char *)launcher, "-np", "2", self, "doctor", "--ranks", NULL};
  bool met = ask(argv, 60, said, sizeof said);
  char *last = strstr(said, met ? "two ranks meet" : "twain: ");
  tw_doctor_say(d, met ? TW_FINE : TW_BAD, "MPI",
                "use the launcher of the MPI that twain was built with (twain --version), or build with the one whose "
                "launcher is on PATH; in containers and as root see docs/operating.md, MPI",
                "%s, by %s: %.300s", mpi, launcher,
                last    ? last
                : *said ? said
                        : "it did not start");
}

static void try_slurm(tw_doctor *d, const char *mpi) {
  char said[2048];
  char *argv[] = {"srun", "--mpi=list", NULL};
  if (!ask(argv, 10, said, sizeof said)) return;  // no Slurm here
  bool pmix = strstr(said, "pmix") != NULL;
  bool needs = strstr(mpi, "Open MPI") != NULL;
  tw_doctor_say(d, needs && !pmix ? TW_NOTE : TW_FINE, "Slurm",
                "Open MPI's ranks are started by mpirun inside the job; for srun Slurm must be built with PMIx",
                "srun has %s; inside a job `srun --mpi=%s -n 2 twain doctor --ranks` tries it",
                pmix ? "pmix" : "no pmix", pmix ? "pmix" : "pmi2");
}

void tw_doctor_launcher(tw_doctor *d) {
  char mpi[256], said[1024];
  const char *launcher = "mpirun";
  tw_version_mpi(mpi, sizeof mpi);
  if (tw_launcher_rank() >= 0) {  // a launcher inside what a launcher started fails for reasons of its own
    tw_doctor_say(d, TW_NOTE, "MPI", "as it is started now, say `twain doctor --ranks`, with two ranks",
                  "%s; a launcher started this process, so none was tried", mpi);
    return;
  }
  char *argv[] = {"mpirun", "--version", NULL};
  if (!ask(argv, 10, said, sizeof said)) launcher = TWAIN_MPIEXEC;
  try_ranks(d, launcher, mpi);
  try_slurm(d, mpi);
}
