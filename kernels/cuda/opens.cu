// Packing of opens on the device: one thread a message word, one launch for all opens of a flush. The kernel adds the
// mask itself, so that nothing unmasked is ever in the message's memory.
#include "kernels/cuda/check.h"
#include "kernels/device.h"
#include "kernels/digest.h"

namespace {

enum { THREADS = 256 };

struct open_list {
  tw_device_open open[TW_DEVICE_OPENS];
};

__device__ uint64_t masked_element(const tw_device_open &o, size_t j) {
  return (o.share[j] + o.mask[j]) & tw_ring_mask(o.width);
}

__device__ uint64_t live_lanes(const tw_device_open &o, size_t word) {
  size_t plane_words = (o.n + 63) / 64;
  return o.n % 64 && word % plane_words == plane_words - 1 ? (1ull << (o.n % 64)) - 1 : ~0ull;
}

__device__ uint64_t packed_word(const tw_device_open &o, size_t word) {
  size_t bit = 64 * word, j = bit / o.width;
  uint64_t out = 0;
  for (size_t at = j * o.width; at < bit + 64 && j < o.n; j++, at += o.width) {
    uint64_t v = masked_element(o, j);
    out |= at >= bit ? v << (at - bit) : v >> (bit - at);
  }
  return out;
}

__global__ void pack_kernel(open_list list, uint64_t *message) {
  const tw_device_open &o = list.open[blockIdx.y];
  size_t total = o.bits ? o.words : (o.n * o.width + 63) / 64;
  for (size_t w = blockIdx.x * (size_t)THREADS + threadIdx.x; w < total; w += (size_t)gridDim.x * THREADS)
    message[o.first_word + w] = o.bits ? (o.share[w] ^ o.mask[w]) & live_lanes(o, w) : packed_word(o, w);
}

__device__ uint64_t unpacked(const tw_device_open &o, const uint64_t *message, size_t j) {
  size_t bit = j * o.width, word = bit / 64, shift = bit % 64;
  uint64_t v = message[o.first_word + word] >> shift;
  if (shift + o.width > 64) v |= message[o.first_word + word + 1] << (64 - shift);
  return v & tw_ring_mask(o.width);
}

__global__ void unpack_kernel(open_list list, const uint64_t *message, uint64_t *digests) {
  const tw_device_open &o = list.open[blockIdx.y];
  uint64_t digest = 0;
  for (size_t j = blockIdx.x * (size_t)THREADS + threadIdx.x; j < o.words; j += (size_t)gridDim.x * THREADS) {
    uint64_t v = o.bits ? ((o.share[j] ^ o.mask[j]) & live_lanes(o, j)) ^ message[o.first_word + j]
                        : (masked_element(o, j) + unpacked(o, message, j)) & tw_ring_mask(o.width);
    o.out[j] = v;
    digest += tw_open_digest_term(v, j);
  }
  for (int lane = 16; lane; lane /= 2) digest += __shfl_down_sync(~0u, digest, lane);
  if (threadIdx.x % 32 == 0 && digest) atomicAdd((unsigned long long *)&digests[o.digest], (unsigned long long)digest);
}

dim3 grid_for(const tw_device_open *opens, int count, bool messages) {
  size_t most = 1;
  for (int i = 0; i < count; i++) {
    size_t work = messages && !opens[i].bits ? (opens[i].n * opens[i].width + 63) / 64 : opens[i].words;
    if (work > most) most = work;
  }
  size_t blocks = (most + THREADS - 1) / THREADS;
  return dim3((unsigned)(blocks < 2048 ? blocks : 2048), (unsigned)count);
}

}  // namespace

extern "C" tw_status tw_device_pack(const tw_device_open *opens, int count, uint64_t *message, void *stream) {
  open_list list;
  for (int i = 0; i < count; i++) list.open[i] = opens[i];
  pack_kernel<<<grid_for(opens, count, true), THREADS, 0, (cudaStream_t)stream>>>(list, message);
  TW_CUDA(cudaGetLastError());
  return TW_OK;
}

extern "C" tw_status tw_device_unpack(const tw_device_open *opens, int count, const uint64_t *message,
                                      uint64_t *digests, void *stream) {
  open_list list;
  for (int i = 0; i < count; i++) list.open[i] = opens[i];
  unpack_kernel<<<grid_for(opens, count, false), THREADS, 0, (cudaStream_t)stream>>>(list, message, digests);
  TW_CUDA(cudaGetLastError());
  return TW_OK;
}
