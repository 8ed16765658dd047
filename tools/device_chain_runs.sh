#!/usr/bin/env bash
# Chains by kernels between two GPUs of one host: whether they open what levels open, and how long both take.
#   tools/device_chain_runs.sh FOLDER [checks|verify|faults|times ...]     default: all, in this order
# FOLDER: where twain was built with CUDA. checks: the kernel alone, norms and random programs, then under
# compute-sanitizer. verify: models by levels and by chains, output and transcript against the emulator's. faults: a party
# that is stopped after BEFORE seconds, while it walks chains; the other one ends with code 7. times: both ways in turn,
# keys resident, no timers. What fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
shift
twain=$folder/twain
source "$(dirname "${BASH_SOURCE[0]}")/device.bash"

bench() { # SECONDS OPTIONS...
  part "$1" mpirun -np 2 "$twain" bench model --seq 128 --device cuda --transport peer --keys resident --split-batch never "${@:2}"
}
# A run by chains that takes none has no such row.
chained() {
  local said
  said=$(bench "$@" --chains)
  echo "$said"
  grep -q 'chains of rows' <<<"$said" || { echo "FAILED: no chain of ${*:2}"; failed=1; }
  ! grep -q '^FAILED' <<<"$said" || failed=1
}

checks() {
  part 120 "$folder/gpu_chains"
  part 200 compute-sanitizer --tool memcheck --error-exitcode 1 "$folder/gpu_chains" small
  part 200 compute-sanitizer --tool racecheck --error-exitcode 1 "$folder/gpu_chains" small
}
verify() {
  local model
  for model in bert-tiny bert-base; do
    bench 200 --shape "$model" --repeat 2
    chained 200 --shape "$model" --repeat 2
  done
  chained 200 --shape bert-tiny --repeat 2 --batch 3 --guard
  chained 200 --shape gpt2 --layers 2 --repeat 2
}
# Stopped while it walks chains: the other party's kernel gives up.
faults() {
  local log launcher stopped code begin=$SECONDS
  log=$(mktemp)
  mpirun -np 2 "$twain" bench model --shape "${MODEL:-bert-large}" --seq 128 --device "${DEVICE:-cuda}" --keys "${KEYS:-resident}" --split-batch never \
    --chains --unchecked --repeat 1000 --silence-limit 5 >"$log" 2>&1 &
  launcher=$!
  sleep "${BEFORE:-30}"
  stopped=$(pgrep -P "$launcher" | tail -n 1)
  kill -STOP "$stopped"
  wait "$launcher"
  code=$?
  kill -KILL "$stopped" 2>"$log.kill"
  grep 'twain:' "$log" | grep -v WARNING | tail -n 3
  echo "## exit code $code after $((SECONDS - begin)) s"
  [ "$code" = 7 ] || { echo "FAILED: exit code $code, not 7"; failed=1; }
  rm "$log" "$log.kill"
}
times() {
  local model turn
  for model in bert-tiny bert-base bert-large; do
    for turn in 1 2; do
      bench 200 --shape "$model" --repeat 20 --unchecked
      chained 200 --shape "$model" --repeat 20 --unchecked
    done
  done
  bench 100 --shape bert-base --repeat 10 --unchecked -v
  chained 100 --shape bert-base --repeat 10 --unchecked -v
}
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
[ $# -gt 0 ] || set -- checks verify faults times
for name in "$@"; do
  case $name in
    checks | verify | faults | times) "$name" ;;
    *) echo "usage: tools/device_chain_runs.sh FOLDER [checks|verify|faults|times ...]" >&2; exit 2 ;;
  esac
done
exit "$failed"
