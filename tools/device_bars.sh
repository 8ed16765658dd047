#!/usr/bin/env bash
# The checks and times of docs/performance.md, on two GPUs of one host:
#   tools/device_bars.sh FOLDER [checks|sanitizers|opens|models|keys|batches ...]     default: all, about eight minutes
# FOLDER: where twain was built with CUDA. What fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
shift
twain=$folder/twain
failed=0
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

part() { # SECONDS COMMAND...
  local limit=$1 begin=$SECONDS
  shift
  echo "## $*"
  timeout "$limit" "$@" 2>&1 || { echo "FAILED ($?): $*"; failed=1; }
  echo "## $((SECONDS - begin)) s"
}
parties() { part 150 mpirun -np 2 "$twain" bench "$@" --device cuda; }
model() { parties model --shape "$@" --seq 128 --prepare "${prepare:-before}"; }
clean() { # TOOL PROGRAM [[not] ENTRY ..]
  part 200 compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/$2" small "${@:3}"
}

checks() {
  part 100 "$folder/cuda_kernels" check
  part 100 "$folder/cuda_deal" check
  part 100 "$folder/cuda_gemm" check
  part 60 "$folder/cuda_opens"
  part 60 "$folder/gpu_feed"
  part 100 tools/device_faults.sh "$twain"
}
# racecheck of the gates takes longer than all others together: it has the second GPU to itself
sanitizers() {
  local log entry
  log=$(mktemp)
  (
    export CUDA_VISIBLE_DEVICES=1
    for entry in lookup leaves; do clean racecheck cuda_kernels $entry; done
    clean racecheck cuda_kernels not lookup leaves
    exit "$failed"
  ) >"$log" &
  for tool in memcheck racecheck; do
    for program in cuda_deal cuda_gemm cuda_opens; do clean "$tool" "$program"; done
  done
  clean memcheck cuda_kernels
  wait $! || failed=1
  cat "$log"
  rm "$log"
}
opens() { for way in peer nccl host-window host-relay; do parties opens --transport "$way"; done; }
models() {
  model bert-tiny --repeat 20
  model bert-base --repeat 20
  model bert-large --repeat 10
  for way in nccl host-window host-relay; do model bert-base --repeat 5 --transport "$way"; done
  model bert-base --repeat 10 --verbose
  part 60 "$twain" bench kernels --shape bert-base --seq 128 --device cuda
  part 60 "$folder/cuda_gemm" bench
  part 60 "$twain" bench deal --shape bert-base --seq 128 --device cuda
}
keys() { for where in resident memory file; do model bert-base --repeat 10 --keys "$where"; done; }
batches() {
  model bert-base --batch 4 --repeat 5 --keys resident --compare-overlap
  for batch in 1 4; do prepare=during model bert-base --batch $batch --repeat 5 --keys resident --compare-overlap; done
  for where in resident memory; do model bert-base --batch 16 --repeat 2 --keys "$where"; done
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
[ $# -gt 0 ] || set -- checks sanitizers opens models keys batches
for name in "$@"; do
  case $name in
    checks | sanitizers | opens | models | keys | batches) "$name" ;;
    *) echo "usage: tools/device_bars.sh FOLDER [checks|sanitizers|opens|models|keys|batches ...]" >&2; exit 2 ;;
  esac
done
exit "$failed"
