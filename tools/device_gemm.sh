#!/usr/bin/env bash
# Builds the GPU's ring products, checks them, and times them; run from the source folder on a machine with a GPU and nvcc.
#   tools/device_gemm.sh [check|small|bench|tokens|sweep ...]     default: check
# small runs under compute-sanitizer. BUILD: folder for the program, default build-gemm.
set -euo pipefail
build=${BUILD:-build-gemm}
mkdir -p "$build"

# cuBLASLt comes with CUDA, or with a Python package of NVIDIA's.
cuda=$(dirname "$(dirname "$(command -v nvcc)")")
library=$(ls "$cuda"/lib64/libcublasLt.so "$cuda"/lib/libcublasLt.so 2>/dev/null | head -n 1 || true)
include=$cuda/include
if [ -z "$library" ] || [ ! -e "$include/cublasLt.h" ]; then
  packages=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])')
  library=$(find "$packages" -name 'libcublasLt.so*' | head -n 1)
  include=$(dirname "$(find "$packages" -name cublasLt.h | head -n 1)")
fi

flags=(-std=c++17 -O3 -lineinfo -I. -I"$include" -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a)
pids=()
for source in base/status.c kernels/cuda/gemm*.cu kernels/cuda/runtime/launch.cu tests/device/cuda_gemm.cu; do
  object=$build/$(basename "$source").o
  if [[ $source == *.c ]]; then options=(-I.); else options=("${flags[@]}"); fi
  nvcc "${options[@]}" -c "$source" -o "$object" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
nvcc -o "$build/cuda_gemm" "$build"/*.o "$library" -Xlinker -rpath -Xlinker "$(dirname "$library")"

for mode in "${@:-check}"; do
  echo "== $mode"
  if [ "$mode" = small ]; then
    compute-sanitizer --tool memcheck --error-exitcode 1 "$build/cuda_gemm" small
    compute-sanitizer --tool racecheck --error-exitcode 1 "$build/cuda_gemm" small
  else
    "$build/cuda_gemm" "$mode"
  fi
done
