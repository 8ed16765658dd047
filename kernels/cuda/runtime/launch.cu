#include "kernels/cuda/runtime/launch.h"

enum { START_EARLY = 1 };  // 0, for debugging: every kernel starts when the one before it has ended

static __global__ void probe(void) {}

// Code made for less than 9.0 does not wait, even where it runs, translated, on a newer device.
static bool ask(void) {
  cudaFuncAttributes code;
  int device = 0, major = 0;
  const bool waits = START_EARLY && cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
                     major >= 9 && cudaFuncGetAttributes(&code, (const void *)probe) == cudaSuccess &&
                     code.ptxVersion >= 90;
  cudaGetLastError();
  return waits;
}

bool tw_cuda_starts_early(void) {
  static const bool answer = ask();
  return answer;
}

static bool ask_driver(void) {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess && version >= 12080;
}

bool tw_cuda_takes_division(void) {
  static const bool answer = ask_driver();
  return answer;
}
