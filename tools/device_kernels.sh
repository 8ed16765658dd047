#!/usr/bin/env bash
# Builds the GPU's gates, checks them against the CPU's, and times them; run from the source folder on a machine with a GPU and nvcc.
#   tools/device_kernels.sh [build|check|small|bench|opens|opens-small ...]     default: build check opens
# small and opens-small run under compute-sanitizer. BUILD: folder for the program, default build-kernels. SODIUM: a folder that holds libsodium's
# include/ and lib/ where it is not installed. ARCH: default 90.
set -euo pipefail
build=${BUILD:-build-kernels}
program=$build/cuda_kernels
opens=$build/cuda_opens
arch=${ARCH:-90}

# cuBLASLt comes with CUDA, or with a Python package of NVIDIA's.
find_cublas() {
  cuda=$(dirname "$(dirname "$(command -v nvcc)")")
  library=$(ls "$cuda"/lib64/libcublasLt.so "$cuda"/lib/libcublasLt.so 2>/dev/null | head -n 1 || true)
  include=$cuda/include
  if [ -z "$library" ] || [ ! -e "$include/cublasLt.h" ]; then
    packages=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])')
    library=$(find "$packages" -name 'libcublasLt.so*' | head -n 1)
    include=$(dirname "$(find "$packages" -name cublasLt.h | head -n 1)")
  fi
}

build_program() {
  local sodium=(-lsodium) flags=(-I. -I"$include" -DTWAIN_CUDA) jobs=() source object
  if [ -n "${SODIUM:-}" ]; then
    flags+=(-I"$SODIUM/include")
    sodium=("$SODIUM/lib/libsodium.a")
  fi
  mkdir -p "$build"
  for source in base/status.c base/memory.c kernels/*.c kernels/cpu/*.c kernels/cuda/*/*.cu tests/device/cuda_kernels.cu tests/device/cuda_opens.cu tests/device/cuda_gemm.cu; do
    object=$build/${source//\//_}.o
    case $source in
      *_avx2.c) gcc -O3 -std=gnu17 "${flags[@]}" -mavx2 -mbmi2 -c "$source" -o "$object" & ;;
      *_avx512.c) gcc -O3 -std=gnu17 "${flags[@]}" -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512ifma -mbmi2 -c "$source" -o "$object" & ;;
      *.c) gcc -O3 -std=gnu17 "${flags[@]}" -c "$source" -o "$object" & ;;
      *) nvcc -std=c++17 -O3 -lineinfo "${flags[@]}" -arch="sm_$arch" -c "$source" -o "$object" & ;;
    esac
    jobs+=($!)
    if [ ${#jobs[@]} -ge "$(nproc)" ]; then
      wait "${jobs[0]}"
      jobs=("${jobs[@]:1}")
    fi
  done
  for source in "${jobs[@]}"; do wait "$source"; done
  local parts=()
  for object in "$build"/*.o; do [[ $object == */tests_* ]] || parts+=("$object"); done
  for source in kernels opens gemm; do
    nvcc -arch="sm_$arch" -o "$build/cuda_$source" "$build/tests_device_cuda_$source.cu.o" "${parts[@]}" "$library" "${sodium[@]}" -lpthread -Xlinker -rpath -Xlinker "$(dirname "$library")"
  done
}

find_cublas
export LD_LIBRARY_PATH=$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
[ $# -gt 0 ] || set -- build check opens
for mode in "$@"; do
  echo "== $mode"
  case $mode in
    build) build_program ;;
    small)
      compute-sanitizer --tool memcheck --error-exitcode 1 "$program" small
      compute-sanitizer --tool racecheck --error-exitcode 1 "$program" small
      ;;
    opens) "$opens" ;;
    opens-small)
      compute-sanitizer --tool memcheck --error-exitcode 1 "$opens" small
      compute-sanitizer --tool racecheck --error-exitcode 1 "$opens" small
      ;;
    *) "$program" "$mode" ;;
  esac
done
