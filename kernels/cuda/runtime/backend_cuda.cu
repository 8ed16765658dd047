// The CUDA backend: memory of the process's GPU, work in order of a stream.
#include <stdlib.h>

#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/device_gemm.h"

// ---- memory ----

static int64_t taken, most;  // bytes; the backend's memory is allocated by one thread

extern "C" int64_t tw_device_memory_peak(void) { return most; }
extern "C" int64_t tw_device_memory_now(void) { return taken; }
extern "C" void tw_device_memory_reset_peak(void) { most = taken; }

tw_status tw_cuda_alloc(size_t bytes, void **out) {
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

void tw_cuda_release(void *memory, size_t bytes) {
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
  if (!aligned(a) || !aligned(b) || !aligned(c) || k == 0 || k * limbs >= TW_MAX_SUM_INNER)
    return tw_cuda_plain_gemm(count, m, n, k, a, b, c, ring_bits, accumulate, stream);
  return tw_device_gemm_batched(count, m, n, k, a, b, ring_bits, accumulate, c, nullptr, stream);
}

static constexpr tw_backend make_table(void) {
  tw_backend b{};
  b.name = "cuda";
  b.alloc = tw_cuda_alloc;
  b.release = tw_cuda_release;
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
  b.operand = tw_cuda_operand;
  b.operand_free = tw_cuda_operand_free;
  b.product = tw_cuda_product;
  b.product_rows = tw_cuda_product_rows;
  b.product_reserve = tw_cuda_product_reserve;
  b.product_room = tw_cuda_product_room;
  return b;
}

extern "C" const tw_backend tw_cuda_backend = make_table();
