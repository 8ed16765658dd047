# The Slurm scripts without Slurm: which line of INPUTS a task of the array takes, and which files a job looks for.
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

# ---- files of a plan with several lengths are found where one job has both parties, and where it has one
printf '#!/usr/bin/env bash\nprintf "<%%s>" "$@" >>ran\necho >>ran\n' >bin/twain
cp bin/srun bin/mpirun
sed -i 's/--\*/-*/' bin/mpirun
sed -i 's/shift; done/if [ $1 = -np ] || [ $1 = --map-by ] || [ $1 = --bind-to ]; then shift; fi; shift; done/' bin/mpirun
printf '"$@"\n' >>bin/mpirun
printf '"$@"\n' >>bin/srun
chmod +x bin/*
export TWAIN=$PWD/bin/twain SLURM_JOB_ID=8 PARTY=0 SITE=site PEER=peer.pem LISTEN=1 SEAL_TO=client.pem
touch n.plan.json n.model.p0.h5 n.model.p1.h5
for length in seq8 seq16; do touch n.$length.{keys,input,result}.p{0,1}.h5; done
script() { bash "$SOURCE_DIR/slurm/twain-$1.sbatch"; }
export -f script
expect 0 'job 8' bash -c 'script demo'
grep -q '^<run><n>' ran && grep -q '^<report><n>$' ran || { cat ran; fail "no run of several lengths"; }
expect 5 'n.model.p1.h5 is the other party' bash -c 'script party'
rm n.model.p1.h5
expect 5 "n.seq16.keys.p1.h5 is the other party's" bash -c 'rm n.seq8.keys.p1.h5; script party'
rm n.seq*.p1.h5
touch n.more20261130184500.keys.p1.h5
expect 5 "n.more20261130184500.keys.p1.h5 is the other party's" bash -c 'script party'
rm n.more* ran
expect 0 'party 0' bash -c 'script party'
grep -q '^<run><n><--party><0>' ran && [ "$(grep -c '^<seal><n.seq[18]6\?.result.p0.h5><--site><site><--seal-to><client.pem>$' ran)" = 2 ] ||
  { cat ran; fail "not both lengths' results are sealed"; }
rm n.seq*.keys.p0.h5
expect 3 'missing: n.keys.p0.h5' bash -c 'script party'
expect 3 'missing: n.model.p1.h5' bash -c 'script demo'
