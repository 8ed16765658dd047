// What `twain --version` says, and records of it.
#ifndef TW_VERSION_H
#define TW_VERSION_H

#include <stddef.h>
#include <stdio.h>

// The MPI library's own words up to their first comma; "none" in a client's build.
void tw_version_mpi(char *text, size_t size);

// A line for each: program, commit, build, and every library, as it is loaded where the library says so.
void tw_version_print(FILE *file);

#endif
