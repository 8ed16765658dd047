#!/usr/bin/env bash
# Keys that pass through a bounded ring of a GPU's memory, and masks that are drawn again; one GPU for both parties:
#   tools/device_ring.sh FOLDER [checks|long|OLD ...]     default: checks long
# FOLDER: where twain was built with CUDA. checks: small rings, bit for bit against the emulator. long: SmolLM2 at 2,048
# tokens, two layers compared with the emulator, then all of it (128 GiB of host memory). OLD: the folder of an older
# build; BERT-base at 512 tokens by either, in turn. What fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
shift
source "$(dirname "${BASH_SOURCE[0]}")/device.bash"

# What a record says of time, memory and the check; party 0 prints it.
said='import json, sys
for r in json.load(sys.stdin):
  ms = lambda f: "%.2f ms" % (1e-6 * r[f])
  gb = lambda f: "-" if r.get(f) is None else "%.3f GB" % (1e-9 * r[f])
  print(r["model"], "layers", r["layers"], "tokens", r["tokens"], "batch", r["batch"], "keys", r["keys"],
        gb("key_bytes"), "| online", ms("online_median_ns"), "shortest", ms("online_min_ns"), "preparation",
        ms("preparation_median_ns"), "| GPU memory taken", gb("gpu_memory_peak_bytes"), "planned",
        gb("gpu_memory_planned_bytes"), "keys", gb("gpu_key_bytes"), "masks again:", r.get("masks_again"),
        "| host", gb("host_memory_peak_bytes"), "| verified:", r["verified"], "out of bound:", r["out_of_bound"])
  sys.exit(r["verified"] is False)'
bench() { # SECONDS FOLDER OPTIONS...
  named "$1" "$2: ${*:3}" bash -c 'set -o pipefail; folder=$1 said=$2; shift 2
    mpirun -np 2 "$folder/twain" bench model --device cuda --transport host-window --json "$@" | python3 -c "$said"' bench "$2" "$said" "${@:3}"
}
small() { bench 60 "$folder" --repeat 2 "$@"; }

checks() {
  local ring
  named 100 gpu_feed "$folder/gpu_feed"
  for ring in 4194304 6291456; do
    small --shape bert-tiny --key-ring $ring
    small --shape bert-tiny --key-ring $ring --keys file
    small --shape bert-tiny --key-ring $((3 * ring)) --batch 3 --split-batch always
    small --shape bert-tiny --key-ring $((3 * ring)) --batch 3 --split-batch always --keys file
  done
  small --shape minilm --key-ring 16777216 --prepare during
  small --shape bert-base --key-ring 33554432 --guard
  small --shape bert-base --key-ring 33554432 --keys file
  small --shape bert-base --key-ring 33554432 --gpu-memory 1600000000 # masks again
  small --shape smollm2-135m --layers 3 --batch 2 --key-ring 50000000 --split-batch always --gpu-memory 880000000
}
long() {
  bench 280 "$folder" --shape smollm2-135m --seq 2048 --layers 2 --repeat 1 --gpu-memory 60000000000
  bench 280 "$folder" --shape smollm2-135m --seq 2048 --repeat 1 --gpu-memory 40000000000 --unchecked
}
compare() { # OLD
  local i
  for i in 1 2; do
    bench 120 "$1" --shape bert-base --seq 512 --repeat 7 --prepare before
    bench 120 "$folder" --shape bert-base --seq 512 --repeat 7 --prepare before
  done
}
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
[ $# -gt 0 ] || set -- checks long
for name in "$@"; do
  if [ "$name" = checks ] || [ "$name" = long ]; then "$name"; else compare "$name"; fi
done
exit "$failed"
