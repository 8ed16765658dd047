#!/usr/bin/env bash
# CUDA on an H200: __nanosleep(t) lasts the next power of two above t nanoseconds, not t
#
# One would expect: the manual promises a time between 0 and twice t, so a sleep of 5000 is taken for "about 5 us", and
# a back-off of 1, 3, 10, 30 us for just that.
# What happens: the mean over 200 sleeps is, to the nanosecond, the smallest power of two above t: 64 lasts 128, 500
# lasts 512, 1000 lasts 1024, but 1100 lasts 2048, 5000 lasts 8192 and 50000 lasts 65536 ns; 20 lasts 39, the call's own
# time. Steps between two powers of two make no difference.
# Why it matters: kernels of two GPUs that wait for each other's flag sleep between looks. A wait tuned "a little
# longer" from 1000 to 1100 ns doubles; a schedule that is not made of powers of two does not do what it says, and
# measured waits come in steps that look like another cause.
# Needs: an H200 (or says so and ends with 2), a host C++ compiler.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need nvidia-smi c++
nvidia-smi -L | grep -q H200 || absent "no H200 here"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1
cuda=/usr/local/cuda
if ! "$cuda/bin/nvcc" --version 2>/dev/null | grep -q 'release 13.0'; then # the same release, from the package index
  venv v alone nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cccl==13.0.85
  cuda=$(packages v)/nvidia/cu13
fi
"$cuda/bin/nvcc" --version | tail -n 2 | head -n 1
cat >sleep.cu <<'K'
#include <cstdio>
__global__ void sleeps(unsigned t, long long *out) {
  unsigned long long a, b;
  for (int i = 0; i < 8; i++) __nanosleep(t);
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(a));
  for (int i = 0; i < 200; i++) __nanosleep(t);
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(b));
  *out = (long long)(b - a);
}
int main() { // a line each: nanoseconds asked for, mean of those that passed
  const unsigned list[] = {20,   64,   100,  300,  500,  520,  1000,  1020,  1100,
                           1500, 2000, 3000, 5000, 8000, 9000, 20000, 50000, 100000};
  long long *d, v;
  if (cudaMalloc(&d, sizeof v) != cudaSuccess) return 2;
  for (unsigned t : list) {
    sleeps<<<1, 1>>>(t, d);
    if (cudaMemcpy(&v, d, sizeof v, cudaMemcpyDeviceToHost) != cudaSuccess) return 2;
    printf("%u %lld\n", t, v / 200);
  }
}
K
"$cuda/bin/nvcc" -gencode arch=compute_90,code=sm_90 -cudart static -L "$cuda/lib" -o sleep sleep.cu
./sleep >list || absent "the GPU gives no memory"
while read -r t mean; do
  power=1 sort=other
  while [ $power -le "$t" ]; do power=$((2 * power)); done
  if [ "$t" -lt 64 ] && [ "$mean" -lt 80 ]; then sort="its own time"; fi
  low=$((power * 9 / 10)) high=$((power * 115 / 100 + 40))
  if [ "$t" -ge 64 ] && [ "$mean" -gt $low ] && [ "$mean" -lt $high ]; then sort="the next power of two"; fi
  [ "$t" -lt 64 ] && wanted="its own time" || wanted="the next power of two"
  same "__nanosleep($t): $mean ns, near" "$sort" "$wanted"
done <list
verdict
