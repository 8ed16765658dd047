#!/usr/bin/env bash
# Chains by kernels on two GPUs of one host: bit for bit, under the sanitizers, and how fast BERT-base's are, with an older
# build's norm beside it; in four minutes.
#   tools/device_chains.sh FOLDER [OLDER]
# FOLDER, OLDER: where twain was built with CUDA, or where this builds gpu_chains of the source folder's commit, and of the
# one before it. What fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
older=${2:-}
source "$(dirname "${BASH_SOURCE[0]}")/device.bash"
limit=220 last=40

build() { # SOURCE FOLDER
  [ -x "$2/gpu_chains" ] || { cmake -S "$1" -B "$2" -G Ninja -DCMAKE_CUDA_ARCHITECTURES=90a-real && ninja -C "$2" gpu_chains; } >"$2.log" 2>&1 ||
    { tail -n 20 "$2.log"; exit 1; }
}

build . "$folder"
if [ -n "$older" ] && [ ! -x "$older/gpu_chains" ]; then
  source=$(mktemp -d)
  trap 'rm -rf "$source"' EXIT
  git archive HEAD~1 | tar -x -C "$source"
  build "$source" "$older"
fi
SECONDS=0
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
for repeat in 1 2; do
  [ -z "$older" ] || part 40 "$older/gpu_chains" steps 4
  part 60 "$folder/gpu_chains" time
done
part 40 "$folder/gpu_chains" steps 20
for tool in memcheck racecheck; do part 60 compute-sanitizer --tool "$tool" --error-exitcode 1 "$folder/gpu_chains" small; done
exit "$failed"
