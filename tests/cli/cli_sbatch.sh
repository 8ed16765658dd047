# slurm/twain-array.sbatch without Slurm: which line a task takes, and what it says where there is none.
source "$SOURCE_DIR/tests/cli/cli.bash"

mkdir bin
printf '#!/usr/bin/env bash\nwhile [[ $1 == --* ]]; do shift; done\nprintf "<%%s>" "$@" >started\n' >bin/srun
chmod +x bin/srun
export PATH=$PWD/bin:$PATH SLURM_ARRAY_JOB_ID=7 SLURM_SUBMIT_DIR=$PWD NAME=n LEDGER=ledger INPUTS=inputs
task() { SLURM_ARRAY_TASK_ID=$1 bash "$SOURCE_DIR/slurm/twain-array.sbatch"; }
export -f task
takes() { # TASK NAME
  rm -f started
  expect 0 "task $1 of job 7" bash -c "task $1"
  grep -qF "<run><$2><--model><n><--ledger><ledger>" started || { cat started; fail "task $1 does not run $2"; }
}
starts_nothing() { # CODE TEXT TASK
  rm -f started
  expect "$1" "$2" bash -c "task $3"
  [ ! -e started ] || fail "task $3 runs something: $(cat started)"
}
printf 'part 0\npart-1' >inputs
takes 0 'part 0'
takes 1 part-1
starts_nothing 2 'inputs: line 3 of 2 is blank or not there: .*--array=0-N' 2
printf 'part-0\r\n\r\npart-2\r\n' >inputs
takes 0 part-0
starts_nothing 2 'inputs: line 2 of 3 is blank' 1
takes 2 part-2
: >inputs
starts_nothing 2 'inputs: line 1 of 0 is blank or not there' 0
rm inputs
starts_nothing 3 'inputs: cannot be read' 0
