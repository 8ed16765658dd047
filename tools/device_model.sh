#!/usr/bin/env bash
# Whole models on this machine's GPUs, each verified against the emulator:
#   tools/device_model.sh TWAIN quick                 small shapes, both parties may share one GPU
#   tools/device_model.sh TWAIN MODEL REPEAT [options of bench model]
set -euo pipefail
twain=$1
source "$(dirname "${BASH_SOURCE[0]}")/parties.bash"
bench() { timeout 300 mpirun -np 2 "$twain" bench model "$@" 2>&1 || echo "exit code $?: bench model $*"; }
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
if [ "$2" = quick ]; then
  bench --shape bert-tiny --seq 32 --repeat 2 --device cuda --transport host-window
  bench --shape bert-tiny --seq 37 --batch 3 --repeat 2 --device cuda --transport host-window
  bench --shape minilm --seq 64 --repeat 2 --device cuda --transport host-window
else
  bench --shape "$2" --seq 128 --repeat "$3" --device cuda "${@:4}"
fi
