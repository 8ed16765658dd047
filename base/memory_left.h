// Memory that a process can still take: of the machine, of its job, of its own limits.
#ifndef TW_MEMORY_LEFT_H
#define TW_MEMORY_LEFT_H

#include <stdint.h>

typedef struct {
  int64_t bytes;   // -1: not known, or without limit
  char what[160];  // what says so: "the machine (MemAvailable)", "control group /job_7 (a batch system's --mem)"
} tw_memory_left;

// Of the machine and of the job, for all of its processes here. Page cache that can be dropped counts as left. root: ""
// for the system's own /proc and /sys; a test has another.
tw_memory_left tw_memory_left_for_all(const char *root);
// For this process alone: `ulimit -v`.
tw_memory_left tw_memory_left_for_one(void);
// Of this process, in memory now; -1: not known.
int64_t tw_memory_held(void);
// The number behind `name` in a file of lines "NAME: NUMBER kB", in bytes; -1: not there.
int64_t tw_read_kilobytes(const char *path, const char *name);

#endif
