// Who is running, where and when.
#ifndef TW_HOST_H
#define TW_HOST_H

#include <stddef.h>

void tw_host_time(char *text, size_t size);  // now, ISO 8601 UTC: 2026-01-31T12:34:56Z
void tw_host_name(char *text, size_t size);
void tw_host_job(char *text, size_t size);  // Slurm's or PBS's job id, "" outside a job

#endif
