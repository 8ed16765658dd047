#!/usr/bin/env bash
# Whether a GPU computes what a CPU does, on two GPUs of one host; how fast is measured by tools/measure.sh:
#   tools/device_checks.sh FOLDER [checks|sanitizers ...]     default: both
# FOLDER: where twain was built with CUDA. What fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
shift
twain=$folder/twain
source "$(dirname "${BASH_SOURCE[0]}")/device.bash"

clean() { # TOOL PROGRAM [[not] ENTRY ..]
  part 200 compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/$2" small "${@:3}"
}

checks() {
  part 100 "$folder/cuda_kernels" check
  part 100 "$folder/cuda_deal" check
  part 100 "$folder/cuda_gemm" check
  part 60 "$folder/cuda_opens"
  part 60 "$folder/gpu_feed"
  part 100 "$folder/gpu_chains"
  part 200 mpirun -np 2 "$twain" bench model --shape smollm2-135m --layers 1 --seq 8 --generate 4 --word-lookup beside --device cuda
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
    for program in cuda_deal cuda_gemm cuda_opens gpu_chains; do clean "$tool" "$program"; done
  done
  clean memcheck cuda_kernels
  wait $! || failed=1
  cat "$log"
  rm "$log"
}
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
[ $# -gt 0 ] || set -- checks sanitizers
for name in "$@"; do
  case $name in
    checks | sanitizers) "$name" ;;
    *) echo "usage: tools/device_checks.sh FOLDER [checks|sanitizers ...]" >&2; exit 2 ;;
  esac
done
exit "$failed"
