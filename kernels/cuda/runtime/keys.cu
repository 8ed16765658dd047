// Hand-over of keys between reader threads of the host and the copies of a stream: one thread polls and writes words in
// page-locked host memory (jobs/keys/key_ring.h says what they hold).
#include "kernels/cuda/runtime/launch.h"
#include "kernels/device.h"

namespace {

__device__ uint64_t load_acquire(const uint64_t *word) {
  uint64_t value;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
  return value;
}

__device__ void store_release(uint64_t *word, uint64_t value) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(word), "l"(value) : "memory");
}

__device__ uint64_t nanoseconds(void) {
  uint64_t value;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(value)::"memory");
  return value;
}

// Ends for certain: the host writes every word that is waited for, when reading fails or is stopped, too.
__global__ void hand_over(const tw_device_hand_over_args a) {
  tw_await_earlier();
  if (a.arrived) *a.arrived = nanoseconds();
  if (!a.epoch) return;
  const uint64_t epoch = load_acquire(a.epoch);
  if (a.released) store_release(a.released, epoch << 32 | a.count);
  if (!a.ready) return;
  uint64_t word;
  while ((word = load_acquire(a.ready)) >> 1 != epoch) __nanosleep(100);
  if (word & 1) *(volatile int *)a.stop = 1;
}

}  // namespace

extern "C" tw_status tw_device_hand_over(const tw_device_hand_over_args *args, void *stream) {
  return tw_enqueue(hand_over, dim3(1), 1, 0, stream, *args);
}
