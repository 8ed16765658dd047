#!/usr/bin/env bash
# Builds the GPU's ring products, checks them, and times them; run from the source folder on a machine with a GPU and nvcc.
#   tools/device_gemm.sh [check|small|bench|tokens|sweep ...]     default: check
# small runs under compute-sanitizer. BUILD, SODIUM: as for tools/device_kernels.sh, which builds it. ARCH: default 90a.
set -euo pipefail
export BUILD=${BUILD:-build-kernels} ARCH=${ARCH:-90a}
tools/device_kernels.sh build
for mode in "${@:-check}"; do
  echo "== $mode"
  if [ "$mode" = small ]; then
    compute-sanitizer --tool memcheck --error-exitcode 1 "$BUILD/cuda_gemm" small
    compute-sanitizer --tool racecheck --error-exitcode 1 "$BUILD/cuda_gemm" small
  else
    "$BUILD/cuda_gemm" "$mode"
  fi
done
