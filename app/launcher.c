#include "app/launcher.h"

#include <stdbool.h>
#include <stdlib.h>

#include "app/version.h"

// What launchers leave in the environment of what they start.
typedef struct {
  const char *size, *rank;  // variables
  const char *who;
} launcher;

static const launcher launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpirun"},
    {"PMI_SIZE", "PMI_RANK", "a launcher that speaks PMI (of MPICH, of Intel MPI, or srun)"},
    {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MVAPICH's launcher"},
    {"PALS_NRANKS", "PALS_RANKID", "Cray's PALS"},
    {"FLUX_JOB_SIZE", "FLUX_TASK_RANK", "Flux"},
    {NULL, "PMIX_RANK", "a launcher that speaks PMIx"},
};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers };

// A number in the environment; -1: none.
static long number(const char *variable) {
  const char *text = variable ? getenv(variable) : NULL;
  char *end;
  if (!text || !*text) return -1;
  long value = strtol(text, &end, 10);
  return *end ? -1 : value;
}

// What was seen, for each launcher; of Slurm, tasks and this process' number.
static long sizes[LAUNCHERS], ranks[LAUNCHERS], slurm_tasks, slurm_task;

void tw_launcher_look(void) {
  for (int i = 0; i < LAUNCHERS; i++) {
    sizes[i] = number(launchers[i].size);
    ranks[i] = number(launchers[i].rank);
  }
  slurm_tasks = number("SLURM_NTASKS");
  slurm_task = number("SLURM_PROCID");
}

int tw_launcher_rank(void) {
  for (int i = 0; i < LAUNCHERS; i++) {
    long rank = number(launchers[i].rank);
    if (rank >= 0) return (int)rank;
  }
  return -1;
}

double tw_launcher_patience(void) {
  const char *timeout = getenv("OMPI_MCA_odls_base_sigkill_timeout");
  if (!getenv("OMPI_COMM_WORLD_SIZE")) return 0;
  if (getenv("PRTE_LAUNCHED")) return 0.25;  // of Open MPI 5, whatever it is told
  double seconds = timeout ? atof(timeout) : 1;
  return seconds > 0.1 ? (seconds < 5 ? seconds : 5) : 0.1;
}

static tw_status other_mpi(const char *command, const char *who, const char *variable, long value) {
  char library[256];
  tw_version_mpi(library, sizeof library);
  return tw_fail(TW_ERR_USAGE,
                 "%s started several processes (%s=%ld), but the MPI that twain was built with, %s, sees one rank: the "
                 "launcher belongs to another MPI. Use this one's: %s -np 2 twain %s ...",
                 who, variable, value, library, TWAIN_MPIEXEC, command);
}

// A task of srun whose MPI plugin is not this MPI's; or a batch script that starts twain without a launcher.
static tw_status slurm(const char *command, long tasks) {
  return tw_fail(TW_ERR_USAGE,
                 "%s needs exactly two ranks, and MPI sees one, in a Slurm job of %ld tasks (SLURM_NTASKS): started by "
                 "srun, its MPI plugin is not this MPI's (srun --mpi=list names those at hand, pmix serves Open MPI); "
                 "in a batch script, the launcher is missing: %s -np 2 twain %s ...",
                 command, tasks, TWAIN_MPIEXEC, command);
}

static tw_status alone(const char *command) {
  bool own_launcher = false;  // which started one process
  for (int i = 0; i < LAUNCHERS; i++) {
    const launcher *l = &launchers[i];
    if (sizes[i] > 1) return other_mpi(command, l->who, l->size, sizes[i]);
    if (ranks[i] > 0) return other_mpi(command, l->who, l->rank, ranks[i]);
    own_launcher = own_launcher || sizes[i] == 1;
  }
  if (slurm_tasks > 1 && slurm_task >= 0 && !own_launcher) return slurm(command, slurm_tasks);
  return tw_fail(TW_ERR_USAGE,
                 "%s needs exactly two ranks, not 1: mpirun -np 2 twain %s ... for a trial in one place; or --party R, "
                 "with --site, --peer and --listen or --connect, for a party of its own",
                 command, command);
}

tw_status tw_launcher_refuse(const char *command, int count) {
  if (count == 1) return alone(command);
  return tw_fail(TW_ERR_USAGE, "%s needs exactly two ranks, not %d: mpirun -np 2 twain %s ...", command, count,
                 command);
}
