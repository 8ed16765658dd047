// The processes of one party, where its own launcher starts several. They need no MPI: the environment says which is
// which.
#ifndef TW_PROCESSES_H
#define TW_PROCESSES_H

typedef struct {
  int index, count;  // of the party's
  int local;         // the number of this one among those of its host
  int here;          // of all that the launcher started, those on this host; 0: not known
} tw_processes;

// As MPI's launcher or srun says it; without one a process is alone.
tw_processes tw_processes_find(void);

#endif
