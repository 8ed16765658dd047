# The scripts of slurm/ for both parties in one job, under a real Slurm of three nodes (slurm.bash): one node, two nodes,
# GPUs as a job asks for them, modules, the signal before the end of a job's time, and an array of eight inputs on one key
# file, of which two tasks are killed and one is started again: every row is delivered once, and no slot is used twice.
# What sacct says goes to BUILD/sacct.txt. Left out without Slurm or root.
source "$SOURCE_DIR/tests/cli/cli.bash"
source "$SOURCE_DIR/tests/cli/slurm.bash"

users=(alice)
slurm_begin n1 n2 n3:gpus
submit() { # FOLDER-OF-LOG-AND-SCRIPT VARIABLE=VALUE... -- SBATCH-OPTION...: says the job's number
  local script=$1 words=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do words+=("$1") && shift; done
  as alice env "${words[@]}" sbatch --parsable --cpus-per-task=1 "${@:2}" "$top/$script"
}
state() { scontrol --oneliner show job "$1" | sed 's/.*JobState=\([A-Z_]*\).*ExitCode=\([0-9]*\):.*/\1 \2/'; }
ends() { # JOB STATE CODE LOG
  until [[ ! $(state "$1") =~ ^(PENDING|RUNNING|COMPLETING) ]]; do
    [ $SECONDS -lt 240 ] || { cat "alice/$4"; fail "job $1 does not end"; }
    sleep 0.2
  done
  [[ "$(state "$1")" =~ ^($2)\ ($3)$ ]] || { cat "alice/$4"; fail "job $1 ended as $(state "$1"), not $2 $3"; }
}

# ---- files: one model and its keys, eight inputs of three rows
cd alice
as alice "$TWAIN" import --shape 1x8x1x8 -o m -q
as alice "$TWAIN" plan m --seq 8 -q
as alice "$TWAIN" share m -q
as alice "$TWAIN" deal m -n 300 -q
as alice "$TWAIN" ledger --new ledger -q 2>/dev/null
for i in 0 1 2 3 4 5 6 7; do
  as alice "$TWAIN" encode in$i --model m "row a $i" "b $i" "c" -q
  as alice "$TWAIN" share in$i --model m --input -q
  echo in$i >>inputs
done
for name in m one two gpu mod step; do
  rows=("a row")
  case $name in m | step) for i in {1..59}; do rows+=("row $i"); done ;; esac
  as alice "$TWAIN" encode $name --model m "${rows[@]}" -q
  as alice "$TWAIN" share $name --model m --input -q
done
chown alice inputs
cd ..
all=(LEDGER=ledger)

# ---- warning signals: two jobs that would need more than their time get one before, at second 10 to 40
slow='--batch 1 --link-latency 30ms'
trapped=$(submit twain-demo.sbatch "${all[@]}" NAME=m OPTIONS="$slow" -- --time=2 --signal=B:USR1@80 --output=trap.log)
stepped=$(submit twain-srun.sbatch "${all[@]}" NAME=step OPTIONS="--model m $slow" -- --time=2 --signal=USR1@80 --output=step.log)

# ---- one node, two nodes, GPUs, modules
mkdir -p modules/twain
printf '#%%Module1.0\nprepend-path PATH %s\n' $top >modules/twain/0
chmod -R go+rX modules
one=$(submit twain-srun.sbatch "${all[@]}" NAME=one OPTIONS='--model m' -- --output=one.log)
two=$(submit twain-srun.sbatch "${all[@]}" NAME=two OPTIONS='--model m' -- --nodes=2 --ntasks-per-node=1 --output=two.log)
gpu=$(submit twain-srun.sbatch "${all[@]}" NAME=gpu OPTIONS='--model m --device cpu' -- --gpus-per-task=1 --gpu-bind=none --output=gpu.log)
with_modules=$([ ! -r /usr/share/modules/init/bash ] || echo MODULES=twain "MODULEPATH=$top/modules")
# shellcheck disable=SC2086
mod=$(submit twain-srun.sbatch "${all[@]}" NAME=mod OPTIONS='--model m' $with_modules -- --output=mod.log)
ends "$one" COMPLETED 0 one.log
ends "$two" COMPLETED 0 two.log
ends "$gpu" COMPLETED 0 gpu.log
ends "$mod" COMPLETED 0 mod.log
for name in one two gpu mod; do
  [ -s alice/$name.result.p0.h5 ] && [ -s alice/$name.result.p1.h5 ] || fail "no result of $name"
  [ "$(stat -c %a alice/$name.log)" = 600 ] || fail "others may read $name.log"
done
grep -q 'both parties run on host' alice/one.log || { cat alice/one.log; fail "one node is not one host"; }
grep -q 'both parties run as user alice' alice/two.log || { cat alice/two.log; fail "two nodes are one host"; }
[[ $(scontrol --oneliner show job "$gpu") =~ NodeList=n3.*TresPerTask=gres:gpu:1 ]] || { scontrol show job "$gpu"; fail "two tasks have no GPU each"; }
# the same with what this machine has not
for options in '--gpus-per-task=1 --gpu-bind=single:1' '--nodes=2 --ntasks-per-node=1 --exclusive'; do
  # shellcheck disable=SC2086
  as alice env "${all[@]}" NAME=one sbatch --test-only --cpus-per-task=1 $options "$top/twain-srun.sbatch" 2>&1 | grep -q 'to start at' ||
    fail "Slurm does not take $options"
done

# ---- an array on one key file
array=(NAME=m INPUTS=inputs "${all[@]}")
job=$(submit twain-array.sbatch "${array[@]}" OPTIONS='--link-latency 20ms --batch 1' -- --array=0-7 --output=array-%a.log)
marked() { grep -l "$(h5dump -a /input_id alice/in$1.input.p0.h5 | grep -oE '[0-9a-f]{32}')" alice/ledger/p0/*/[0-9]* 2>/dev/null | wc -l; }
lose() { # TASK COMMAND...: as soon as its second row has begun
  until [ "$(marked "$1")" -ge 2 ]; do
    [ $SECONDS -lt 240 ] || { cat alice/array-*.log; fail "task $1 does not begin"; }
    sleep 0.05
  done
  "${@:2}"
}
lose 1 scancel --signal=KILL --full "${job}_1"
lose 4 scancel --signal=KILL --full "${job}_4"
lose 6 scontrol requeue "${job}_6"
# Slurm would wait for two minutes before the second start
until scontrol --oneliner show job "${job}_6" | grep -qE 'JobState=(RUNNING|COMPLETED).* Restarts=1 '; do
  scontrol update "jobid=${job}_6" starttime=now 2>/dev/null || true
  sleep 0.3
done
for i in 0 2 3 5 7; do ends "${job}_$i" COMPLETED 0 array-$i.log; done
for i in 1 4; do
  ends "${job}_$i" 'FAILED|CANCELLED' '[0-9]+' array-$i.log
  [ ! -e alice/in$i.result.p0.h5 ] && [ -d alice/in$i.parts.p0 ] || fail "task $i was not killed in time"
done
ends "${job}_6" COMPLETED 0 array-6.log
grep -q ' start 2,' alice/array-6.log || { cat alice/array-6.log; fail "task 6 was not started again"; }
# what is left, by the same line again; rows that are done are left alone
before=$(sha256sum alice/in[023567].result.p?.h5)
again=$(submit twain-array.sbatch "${array[@]}" -- --array=0-7 --output=again-%a.log)
for i in 0 1 2 3 4 5 6 7; do ends "${again}_$i" COMPLETED 0 again-$i.log; done
[ "$(sha256sum alice/in[023567].result.p?.h5)" = "$before" ] || fail "a result was replaced"
grep -q 'every row has its result' alice/again-0.log || { cat alice/again-0.log; fail "task 0 does not say that all is done"; }
"$python" - alice <<'PY' || fail "rows and slots of the array"
import glob, h5py, sys
folder, used = sys.argv[1], []
for i in range(8):
    shares = [h5py.File(f"{folder}/in{i}.result.p{party}.h5") for party in (0, 1)]
    slots = [[int(s) for s in share["slots"][:]] for share in shares]
    assert len(slots[0]) == 3 and slots[0] == slots[1], (i, slots)
    assert shares[0].attrs["run_id"] == shares[1].attrs["run_id"] and shares[0].attrs["input_id"] == h5py.File(f"{folder}/in{i}.input.p0.h5").attrs["input_id"]
    used += slots[0]
assert len(set(used)) == 24, used
marks = [{m.rsplit("/", 1)[1] for m in glob.glob(f"{folder}/ledger/p{party}/*/[0-9]*")} for party in (0, 1)]
assert {str(s) for s in used} < marks[0] and len(marks[0]) <= 300, marks
print(f"24 rows delivered once by slots {min(used)} to {max(used)}; {len(marks[0])} slots of party 0 are spent, none twice")
PY
for i in 0 4 6; do as alice "$TWAIN" reveal in$i --model m -q && as alice "$TWAIN" check in$i --model m -q || fail "the result of input $i"; done

# ---- the jobs with a warning have ended behind a batch, and go on when they are submitted again
ends "$trapped" FAILED 11 trap.log
ends "$stepped" FAILED 11 step.log
trapped=$(submit twain-demo.sbatch "${all[@]}" NAME=m OPTIONS='--batch 30' -- --output=trap-again.log)
stepped=$(submit twain-srun.sbatch "${all[@]}" NAME=step OPTIONS='--model m --batch 30' -- --output=step-again.log)
ends "$trapped" COMPLETED 0 trap-again.log
ends "$stepped" COMPLETED 0 step-again.log
for name in m step; do
  as alice "$TWAIN" reveal $name --model m -q
  [ "$("$python" -c 'import h5py, sys; print(len(set(h5py.File(sys.argv[1])["slots"][:])))' alice/$name.result.p0.h5)" = 60 ] || fail "rows of $name"
  as alice "$TWAIN" check $name --model m -q || fail "the result of $name"
done
# (of arrays it says nothing but that it knows no such fields)
sacct --completion --format=jobid,jobname,state,nnodes,nodelist,start,end 2>/dev/null >"$TWAIN_BUILD/sacct.txt"
cat "$TWAIN_BUILD/sacct.txt"
[ "$(grep -c COMPLETED "$TWAIN_BUILD/sacct.txt")" -ge 18 ] || fail "sacct does not know the jobs"
