#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/device/chains_bed.h"

static void must(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "gpu_chains: %s: %s\n", call, cudaGetErrorString(error));
  exit(3);
}
#define MUST(call) must(call, #call)

int bed_gpus(void) {
  int count = 0, reaches = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) return 0;
  if (count > 1) MUST(cudaDeviceCanAccessPeer(&reaches, 0, 1));
  return reaches ? 2 : 1;
}

void bed_take(int party) {
  int gpus = bed_gpus();
  MUST(cudaSetDevice(party % gpus));
  static bool reached[2];  // by each party's own thread, or before these start
  if (gpus == 2 && !reached[party]) MUST(cudaDeviceEnablePeerAccess(1 - party, 0));
  reached[party] = true;
}

void *bed_stream(int urgent) {
  int least, most;
  cudaStream_t stream;
  MUST(cudaDeviceGetStreamPriorityRange(&least, &most));
  MUST(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, urgent ? most : least));
  return stream;
}

void *bed_memory(size_t bytes) {
  void *memory;
  MUST(cudaMalloc(&memory, bytes + 8));
  MUST(cudaMemset(memory, 0, bytes + 8));
  MUST(cudaDeviceSynchronize());
  return memory;
}

void bed_free(void *memory) { MUST(cudaFree(memory)); }
void bed_put(void *to, const void *from, size_t bytes) { MUST(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice)); }
void bed_get(void *to, const void *from, size_t bytes) { MUST(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost)); }
void bed_wait(void *stream) { MUST(cudaStreamSynchronize((cudaStream_t)stream)); }

void *bed_event(void) {
  cudaEvent_t event;
  MUST(cudaEventCreate(&event));
  return event;
}
void bed_note(void *event, void *stream) { MUST(cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream)); }
double bed_between(void *from, void *to) {
  float ms;
  MUST(cudaEventElapsedTime(&ms, (cudaEvent_t)from, (cudaEvent_t)to));
  return 1e-3 * ms;
}

namespace {
// Each form has 32 KB of code of its own, without a loop.
enum { STATEMENTS = 1 << 10, FORMS = 12 };
template <int form>
__global__ void other_code(unsigned *memory) {
  unsigned x = threadIdx.x, y = blockIdx.x;
#pragma unroll
  for (int i = 0; i < STATEMENTS; i++) x = (x ^ y) * (2654435761u + 2 * (form * STATEMENTS + i));
  memory[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
template <int form>
void run_forms(unsigned *memory, cudaStream_t stream) {
  other_code<form><<<132, 32, 0, stream>>>(memory);
  if constexpr (form > 0) run_forms<form - 1>(memory, stream);
}

__global__ void others(unsigned *memory) {
  enum { TURNS = 2000 };
  unsigned x = threadIdx.x + blockIdx.x;
  for (int i = 0; i < TURNS; i++) x = (x ^ i) * 2654435761u;
  memory[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
}  // namespace

void bed_other_code(void *stream, void *memory) {
  run_forms<FORMS - 1>((unsigned *)memory, (cudaStream_t)stream);
  MUST(cudaGetLastError());
}

void bed_others(void *stream, void *memory) {
  enum { LAUNCHES = 8, BLOCKS = 8192, THREADS = 256 };
  for (int i = 0; i < LAUNCHES; i++) others<<<BLOCKS, THREADS, 0, (cudaStream_t)stream>>>((unsigned *)memory);
  MUST(cudaGetLastError());
}
