// The CUDA backend: memory of the process's GPU, work in order of a stream.
#include <stdlib.h>

#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/device_gemm.h"

enum { OPERAND_LIMBS = 8, MAX_STREAMS = 16, MAX_SUM_INNER = 131072 };

// ---- memory ----

static int64_t taken, most;  // bytes; the backend's memory is allocated by one thread

extern "C" int64_t tw_device_memory_peak(void) { return most; }
extern "C" void tw_device_memory_reset_peak(void) { most = taken; }

static tw_status alloc(size_t bytes, void **out) {
  *out = nullptr;
  const size_t size = bytes ? bytes : 1;
  const cudaError_t error = cudaMalloc(out, size);
  if (error == cudaErrorMemoryAllocation) {
    size_t left = 0, total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&left, &total);
    return tw_fail(TW_ERR_MEMORY, "%zu bytes of GPU memory wanted, %zu of %zu free; use a smaller batch or sequence",
                   bytes, left, total);
  }
  TW_CUDA(error);
  TW_CUDA(cudaMemset(*out, 0, size));
  TW_CUDA(cudaStreamSynchronize(cudaStreamLegacy));  // streams that do not wait for this one may use it next
  taken += (int64_t)bytes;
  if (taken > most) most = taken;
  return TW_OK;
}

static void release(void *memory, size_t bytes) {
  if (!memory) return;
  cudaDeviceSynchronize();
  cudaMemset(memory, 0, bytes);
  cudaFree(memory);
  taken -= (int64_t)bytes;
}

static tw_status upload(void *to, const void *from, size_t bytes, void *stream) {
  TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, (cudaStream_t)stream));
  return TW_OK;
}

static tw_status download(void *to, const void *from, size_t bytes, void *stream) {
  TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)stream));
  TW_CUDA(cudaStreamSynchronize((cudaStream_t)stream));
  return TW_OK;
}

static tw_status copy(void *to, const void *from, size_t bytes, void *stream) {
  TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, (cudaStream_t)stream));
  return TW_OK;
}

static tw_status fill(void *to, int byte, size_t bytes, void *stream) {
  TW_CUDA(cudaMemsetAsync(to, byte, bytes, (cudaStream_t)stream));
  return TW_OK;
}

// ---- products ----

static bool aligned(const void *p) { return (uintptr_t)p % 16 == 0; }

static tw_status gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b, uint64_t *c,
                      int ring_bits, int accumulate, void *stream) {
  const size_t limbs = ((size_t)ring_bits + 7) / 8;
  if (!aligned(a) || !aligned(b) || !aligned(c) || k == 0 || k * limbs >= MAX_SUM_INNER)
    return tw_cuda_plain_gemm(count, m, n, k, a, b, c, ring_bits, accumulate, stream);
  return tw_device_gemm_batched(count, m, n, k, a, b, ring_bits, accumulate, c, nullptr, stream);
}

static tw_status operand(size_t k, size_t n, const uint64_t *v, void *stream, void **out) {
  tw_limbs *limbs;
  TW_TRY(tw_limbs_create(k, n, OPERAND_LIMBS, v, stream, &limbs));
  *out = limbs;
  return TW_OK;
}

static void operand_free(void *operand) { tw_limbs_free((tw_limbs *)operand); }

// One workspace a stream, since its products run one after another. It grows before work is recorded; a smaller one is
// kept to the end, because a captured graph may use it.
static tw_status workspace_of(void *stream, size_t bytes, void **out) {
  typedef struct {
    void *stream, *memory;
    size_t bytes;
  } workspace;
  static workspace known[MAX_STREAMS];
  *out = nullptr;
  if (bytes == 0) return TW_OK;
  int i = 0;
  while (i < MAX_STREAMS && known[i].memory && known[i].stream != stream) i++;
  if (i == MAX_STREAMS) return tw_fail(TW_ERR_INTERNAL, "weight products on more than %d streams", MAX_STREAMS);
  if (known[i].bytes < bytes) {
    void *memory;
    cudaStreamCaptureStatus capture;
    TW_CUDA(cudaStreamIsCapturing((cudaStream_t)stream, &capture));
    if (capture != cudaStreamCaptureStatusNone)
      return tw_fail(TW_ERR_INTERNAL, "a weight product lacks %zu bytes that were not reserved before recording",
                     bytes - known[i].bytes);
    TW_TRY(alloc(bytes, &memory));
    known[i].stream = stream;
    known[i].memory = memory;
    known[i].bytes = bytes;
  }
  *out = known[i].memory;
  return TW_OK;
}

static tw_status product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                         int ring_bits, uint64_t *out, void *stream) {
  void *workspace;
  TW_TRY(workspace_of(stream, tw_device_gemm_workspace(m, n, k, ring_bits), &workspace));
  return tw_device_gemm((const tw_limbs *)operand, m, x, ring_bits, addend, out, workspace, stream);
}

static tw_status product_reserve(size_t m, size_t n, size_t k, int ring_bits, void *stream) {
  void *workspace;
  TW_TRY(workspace_of(stream, tw_device_gemm_workspace(m, n, k, ring_bits), &workspace));
  return tw_device_gemm_reserve(m, n, k, ring_bits, stream);
}

static constexpr tw_backend make_table(void) {
  tw_backend b{};
  b.name = "cuda";
  b.alloc = alloc;
  b.release = release;
  b.upload = upload;
  b.download = download;
  b.copy = copy;
  b.fill = fill;
#define TW_CUDA_ENTRY(op) b.op = tw_cuda_##op;
  TW_RING_OPS(TW_CUDA_ENTRY)
  TW_BIT_OPS(TW_CUDA_ENTRY)
  TW_DEAL_OPS(TW_CUDA_ENTRY)
  TW_DEAL_BIT_OPS(TW_CUDA_ENTRY)
#undef TW_CUDA_ENTRY
#define TW_CUDA_CORRECTED_ENTRY(op) b.op##_corrected = tw_cuda_##op##_corrected;
  TW_CORRECTED_OPS(TW_CUDA_CORRECTED_ENTRY)
#undef TW_CUDA_CORRECTED_ENTRY
  b.row_sums = tw_cuda_row_sums;
  b.draw = tw_cuda_draw;
  b.draw_all = tw_cuda_draw_all;
  b.corrections = tw_cuda_corrections;
  b.give = tw_cuda_give;
  b.gemm = gemm;
  b.operand_is_values = false;
  b.operand = operand;
  b.operand_free = operand_free;
  b.product = product;
  b.product_reserve = product_reserve;
  return b;
}

extern "C" const tw_backend tw_cuda_backend = make_table();
