#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/cuda/runtime/check.h"
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/device.h"

// The first call of CUDA.
extern "C" int tw_device_count(void) {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

extern "C" tw_status tw_device_select(int index) {
  TW_CUDA(cudaSetDevice(index));
  TW_CUDA(cudaFree(nullptr));  // create the context now
  return TW_OK;
}

extern "C" tw_status tw_device_describe(char *name, size_t size, uint64_t *free_bytes) {
  int index;
  size_t left, total;
  cudaDeviceProp properties;
  TW_CUDA(cudaGetDevice(&index));
  TW_CUDA(cudaGetDeviceProperties(&properties, index));
  TW_CUDA(cudaMemGetInfo(&left, &total));
  snprintf(name, size, "%s", properties.name);
  *free_bytes = left;
  return TW_OK;
}

extern "C" void tw_device_cuda_version(char text[16]) {
  int version = 0;
  cudaRuntimeGetVersion(&version);
  snprintf(text, 16, "%d.%d", version / 1000, version % 1000 / 10);
}

extern "C" tw_status tw_device_pci(char bus_id[16]) {
  int index;
  TW_CUDA(cudaGetDevice(&index));
  TW_CUDA(cudaDeviceGetPCIBusId(bus_id, 16, index));
  return TW_OK;
}

extern "C" int tw_device_reaches(const char *bus_id) {
  int own, other, reaches;
  const bool known = cudaGetDevice(&own) == cudaSuccess && cudaDeviceGetByPCIBusId(&other, bus_id) == cudaSuccess &&
                     cudaDeviceCanAccessPeer(&reaches, own, other) == cudaSuccess;
  cudaGetLastError();
  return known ? reaches : -1;
}

extern "C" tw_status tw_device_multiprocessors(int *count) {
  int index;
  TW_CUDA(cudaGetDevice(&index));
  TW_CUDA(cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, index));
  return TW_OK;
}

extern "C" tw_status tw_device_stream_create(void **stream) {
  cudaStream_t s;
  TW_CUDA(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
  *stream = s;
  return TW_OK;
}

extern "C" tw_status tw_device_stream_create_urgent(void **stream) {
  int least, greatest;
  cudaStream_t s;
  TW_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  TW_CUDA(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, greatest));
  *stream = s;
  return TW_OK;
}

extern "C" void tw_device_stream_destroy(void *stream) {
  if (!stream) return;
  tw_cuda_product_forget(stream);
  cudaStreamDestroy((cudaStream_t)stream);
}

extern "C" tw_status tw_device_wait(void *stream) {
  TW_CUDA(cudaStreamSynchronize((cudaStream_t)stream));
  return TW_OK;
}

extern "C" tw_status tw_device_wait_for(void *stream, double seconds) {
  double start = tw_seconds();
  for (;;) {
    cudaError_t state = cudaStreamQuery((cudaStream_t)stream);
    if (state == cudaSuccess) return TW_OK;
    if (state != cudaErrorNotReady) TW_CUDA(state);
    if (tw_seconds() - start > seconds)
      return tw_fail(
          TW_ERR_PEER,
          "the GPU has waited for the other party for %.0f s; look at that party's messages, or raise --timeout",
          seconds);
    sched_yield();
  }
}

extern "C" tw_status tw_device_event_create(void **event) {
  cudaEvent_t e;
  TW_CUDA(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
  *event = e;
  return TW_OK;
}

extern "C" void tw_device_event_destroy(void *event) {
  if (event) cudaEventDestroy((cudaEvent_t)event);
}

extern "C" tw_status tw_device_event_record(void *event, void *stream) {
  TW_CUDA(cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream));
  return TW_OK;
}

extern "C" tw_status tw_device_event_wait(void *event, void *stream) {
  TW_CUDA(cudaStreamWaitEvent((cudaStream_t)stream, (cudaEvent_t)event, 0));
  return TW_OK;
}

extern "C" tw_status tw_pinned_alloc(size_t bytes, void **out) {
  *out = nullptr;
  TW_CUDA(cudaHostAlloc(out, bytes ? bytes : 1, cudaHostAllocDefault));
  return TW_OK;
}

extern "C" void tw_pinned_free(void *memory, size_t bytes) {
  if (!memory) return;
  tw_wipe(memory, bytes);
  cudaFreeHost(memory);
}

extern "C" tw_status tw_device_zero(void *memory, size_t bytes) {
  TW_CUDA(cudaMemset(memory, 0, bytes));
  TW_CUDA(cudaDeviceSynchronize());
  return TW_OK;
}

extern "C" tw_status tw_pinned_device(void *memory, void **device) {
  TW_CUDA(cudaHostGetDevicePointer(device, memory, 0));
  return TW_OK;
}

extern "C" tw_status tw_host_map(void *memory, size_t bytes, void **device) {
  cudaError_t error = cudaHostRegister(memory, bytes, cudaHostRegisterMapped);
  if (error != cudaSuccess) {
    cudaGetLastError();  // not a fault: the caller takes another way
    return tw_fail(TW_ERR_USAGE, "%zu bytes of host memory cannot be page-locked for the GPU (%s); see ulimit -l",
                   bytes, cudaGetErrorString(error));
  }
  tw_status status = tw_pinned_device(memory, device);
  if (status != TW_OK) cudaHostUnregister(memory);
  return status;
}

extern "C" void tw_host_unmap(void *memory) {
  if (memory) cudaHostUnregister(memory);
}

static tw_status unreachable(cudaError_t error, const char *call) {
  cudaGetLastError();  // not a fault: the caller takes another way
  return tw_fail(TW_ERR_USAGE, "%s: %s: the GPUs cannot reach each other's memory; use --transport nccl or mpi", call,
                 cudaGetErrorString(error));
}

// The runtime hands out whole blocks of 2 MiB from this size on, so that the other process maps nothing else.
enum { OWN_BLOCK = 2 << 20 };

extern "C" tw_status tw_device_share(size_t bytes, void **memory, tw_device_handle *handle) {
  static_assert(sizeof(cudaIpcMemHandle_t) == sizeof handle->bytes, "CUDA's handle");
  *memory = nullptr;
  bytes = (bytes + OWN_BLOCK - 1) / OWN_BLOCK * OWN_BLOCK;
  TW_CUDA(cudaMalloc(memory, bytes));
  TW_TRY(tw_device_zero(*memory, bytes));
  cudaError_t error = cudaIpcGetMemHandle((cudaIpcMemHandle_t *)handle->bytes, *memory);
  return error == cudaSuccess ? TW_OK : unreachable(error, "cudaIpcGetMemHandle");
}

extern "C" void tw_device_unshare(void *memory) {
  if (memory) cudaFree(memory);
}

extern "C" tw_status tw_device_map(const tw_device_handle *handle, void **theirs) {
  cudaIpcMemHandle_t h;
  memcpy(&h, handle->bytes, sizeof h);
  *theirs = nullptr;
  cudaError_t error = cudaIpcOpenMemHandle(theirs, h, cudaIpcMemLazyEnablePeerAccess);
  return error == cudaSuccess ? TW_OK : unreachable(error, "cudaIpcOpenMemHandle");
}

extern "C" void tw_device_unmap(void *theirs) {
  if (theirs) cudaIpcCloseMemHandle(theirs);
}

extern "C" tw_status tw_device_copy_in(void *device, const void *pinned, size_t bytes, void *stream) {
  TW_CUDA(cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, (cudaStream_t)stream));
  return TW_OK;
}

extern "C" tw_status tw_device_copy_out(void *pinned, const void *device, size_t bytes, void *stream) {
  TW_CUDA(cudaMemcpyAsync(pinned, device, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)stream));
  return TW_OK;
}

extern "C" tw_status tw_device_capture_begin(void *stream) {
  TW_CUDA(cudaStreamBeginCapture((cudaStream_t)stream, cudaStreamCaptureModeThreadLocal));
  return TW_OK;
}

extern "C" tw_status tw_device_capture_end(void *stream, tw_status recorded, void **graph) {
  cudaGraph_t captured = nullptr;
  cudaGraphExec_t executable;
  cudaError_t ended = cudaStreamEndCapture((cudaStream_t)stream, &captured);
  if (recorded != TW_OK) {
    if (captured) cudaGraphDestroy(captured);
    cudaGetLastError();
    return recorded;
  }
  TW_CUDA(ended);
  cudaError_t made = cudaGraphInstantiate(&executable, captured, 0);
  cudaGraphDestroy(captured);
  TW_CUDA(made);
  *graph = executable;
  return TW_OK;
}

extern "C" tw_status tw_device_graph_launch(void *graph, void *stream) {
  TW_CUDA(cudaGraphLaunch((cudaGraphExec_t)graph, (cudaStream_t)stream));
  return TW_OK;
}

extern "C" void tw_device_graph_destroy(void *graph) {
  if (graph) cudaGraphExecDestroy((cudaGraphExec_t)graph);
}

extern "C" tw_status tw_device_timer_create(void **event) {
  cudaEvent_t e;
  TW_CUDA(cudaEventCreate(&e));
  *event = e;
  return TW_OK;
}

extern "C" tw_status tw_device_timer_record(void *event, void *stream) {
  cudaStreamCaptureStatus state;
  TW_CUDA(cudaStreamIsCapturing((cudaStream_t)stream, &state));
  unsigned flags = state == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
  TW_CUDA(cudaEventRecordWithFlags((cudaEvent_t)event, (cudaStream_t)stream, flags));
  return TW_OK;
}

extern "C" tw_status tw_device_timer_between(void *from, void *to, double *seconds) {
  float milliseconds;
  TW_CUDA(cudaEventElapsedTime(&milliseconds, (cudaEvent_t)from, (cudaEvent_t)to));
  *seconds = 1e-3 * (double)milliseconds;
  return TW_OK;
}
