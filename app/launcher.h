// Who started this process, when its MPI sees one rank only.
#ifndef TW_LAUNCHER_H
#define TW_LAUNCHER_H

#include "base/status.h"

// Before MPI starts, which may change what the environment says: reads it.
void tw_launcher_look(void);

// This process's rank as its launcher says it, before MPI is up; -1: no launcher is seen.
int tw_launcher_rank(void);

// TW_ERR_USAGE for a command that needs two ranks and has `count`: says so, and where the environment shows that
// somebody did start several processes, who it was and what to do.
tw_status tw_launcher_refuse(const char *command, int count);

// Seconds between the launcher's SIGTERM and its SIGKILL, where they are few: Open MPI's mpirun, when it is told to
// end. 0: others.
double tw_launcher_patience(void);

#endif
