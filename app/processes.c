#include "app/processes.h"

#include <stddef.h>
#include <stdlib.h>

// What launchers leave in the environment (app/launcher.c knows whose they are).
static const struct {
  const char *size, *rank, *local, *here;
} launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"},
    {"PALS_NRANKS", "PALS_RANKID", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE"},
    {"FLUX_JOB_SIZE", "FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID", NULL},
    // of a step of Slurm's: a batch script's own process sees the job's number of tasks, and is one
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", NULL},
};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers, MOST = 1 << 20 };

// A number in the environment; -1: none.
static int number(const char *variable) {
  const char *text = variable ? getenv(variable) : NULL;
  char *end;
  if (!text || *text < '0' || *text > '9') return -1;
  long value = strtol(text, &end, 10);
  return *end || value > MOST ? -1 : (int)value;
}

tw_processes tw_processes_find(void) {
  for (int i = 0; i < LAUNCHERS; i++) {
    int count = number(launchers[i].size), index = number(launchers[i].rank), local = number(launchers[i].local);
    if (i == LAUNCHERS - 1 && number("SLURM_STEP_ID") < 0) break;
    int here = number(launchers[i].here);
    if (here < 0) here = count == 1 ? 1 : 0;
    if (count > 0 && index >= 0 && index < count) return (tw_processes){index, count, local >= 0 ? local : index, here};
  }
  return (tw_processes){0, 1, 0, 1};
}
