// Who is running, where and when.
#ifndef TW_HOST_H
#define TW_HOST_H

#include <stddef.h>

void tw_host_time(char *text, size_t size);  // now, ISO 8601 UTC: 2026-01-31T12:34:56Z
void tw_host_name(char *text, size_t size);
void tw_host_user(char *text, size_t size);
void tw_host_job(char *text, size_t size);  // Slurm's or PBS's job id, "" outside a job

// Where this process may run, by hwloc: "cores 0-1 of 2, memory node 0".
void tw_host_placement(char *out, size_t size);

#endif
