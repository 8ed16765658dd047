#!/usr/bin/env bash
# Whole models on this machine's GPUs, each verified against the emulator: tools/device_model.sh TWAIN [quick|full]
set -euo pipefail
twain=$1
mode=${2:-full}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
bench() { timeout 300 mpirun -np 2 "$twain" bench model "$@" 2>&1 || echo "exit code $?: bench model $*"; }
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
if [ "$mode" = quick ]; then
  bench --model bert-tiny --seq 32 --repeat 2 --device cuda --transport mpi
  bench --model bert-tiny --seq 37 --batch 3 --repeat 2 --device cuda --transport mpi
  bench --model minilm --seq 64 --repeat 2 --device cuda --transport mpi
else
  for model in bert-tiny bert-base bert-large; do
    bench --model "$model" --seq 128 --repeat 20 --device cuda
    bench --model "$model" --seq 128 --repeat 5 --device cuda --transport mpi
  done
fi
