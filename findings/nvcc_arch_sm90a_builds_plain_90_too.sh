#!/usr/bin/env bash
# nvcc 13.0: the shorthand -arch=sm_90a compiles every kernel twice, the second time for plain compute_90
#
# One would expect: -arch=sm_90a puts two images into the object, machine code for sm_90a and PTX for compute_90a, as
# -arch=sm_90 puts machine code for sm_90 and PTX for compute_90. A kernel with wgmma then compiles, since everything
# is compiled with the features of 90a.
# What happens: there is a third image, PTX for compute_90 without the "a", made by a compilation of its own in which
# the feature macro of 90a is not set. Its PTX is checked by ptxas, so an unguarded wgmma instruction ends the build
# with "not supported on .target 'sm_90'". The same source builds with -gencode arch=compute_90a,code=sm_90a, and with
# -cubin, which makes one image only. sm_100f behaves the same way.
# Why it matters: a GPU backend with Hopper's matrix instructions that is built by hand, or by a Makefile, with the
# obvious option does not build; a guarded one builds twice as long and carries generic PTX, so a newer GPU runs the
# slow path without a word. CMake's 90a-real spells the long form and is not affected.
# Needs: a host C++ compiler. Needs no GPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need cc
venv v alone nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
nvcc=$(packages v)/nvidia/cu13/bin/nvcc
run() { env -i PATH=/usr/bin:/bin HOME="$scratch" TMPDIR="$scratch" "$nvcc" "$@"; }
run --version | tail -n 2
cat >plain.cu <<'K'
__global__ void plain(float *x) { x[0] = 1; }
K
cat >hopper.cu <<'K'
__global__ void hopper(float *x) { asm volatile("wgmma.fence.sync.aligned;"); x[0] = 1; }
K
cat >guarded.cu <<'K'
__global__ void guarded(float *x) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.fence.sync.aligned;");
#endif
  x[0] = 1;
}
K
images() { # images OPTION...: what the object file holds
  run -dryrun "$@" -c plain.cu -o o 2>&1 | grep fatbinary | grep -o 'kind=[a-z]*,sm=[0-9a-z]*' | sort | paste -s -d ' '
}
same "images of -arch=sm_90" "$(images -arch=sm_90)" "kind=elf,sm=90 kind=ptx,sm=90"
same "images of -arch=sm_90a" "$(images -arch=sm_90a)" "kind=elf,sm=90a kind=ptx,sm=90 kind=ptx,sm=90a"
same "images of -arch=sm_100f" "$(images -arch=sm_100f)" "kind=elf,sm=100f kind=ptx,sm=100 kind=ptx,sm=100f"
same "images of the long form" "$(images -gencode arch=compute_90a,code=sm_90a)" "kind=elf,sm=90a"
compiles() { # compiles OPTION...
  if run "$@" -o o 2>err; then echo yes; else echo "no: $(grep -o "Instruction.*" err | head -n 1)"; fi
}
same "wgmma, -arch=sm_90a -c" "$(compiles -arch=sm_90a -c hopper.cu)" \
  "no: Instruction 'wgmma.fence' not supported on .target 'sm_90'"
same "wgmma, -gencode long form -c" "$(compiles -gencode arch=compute_90a,code=sm_90a -c hopper.cu)" yes
same "wgmma, -arch=sm_90a -cubin" "$(compiles -arch=sm_90a -cubin hopper.cu)" yes
same "guarded wgmma, -arch=sm_90a -c" "$(compiles -arch=sm_90a -c guarded.cu)" yes
verdict
