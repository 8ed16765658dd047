// Openings whose bytes a library moves: packing and unpacking.
#include "kernels/cuda/exchange/opens.h"

namespace {

enum { WARPS = 16, THREADS = 32 * WARPS, WIDE_BLOCKS = 1024 };

struct move_args {
  tw_device_message message;
  uint64_t *words;  // packed
  const uint64_t *theirs;
  uint64_t *digests;
  const int *stop_flag;
};

__global__ void __launch_bounds__(THREADS) pack_kernel(const __grid_constant__ move_args a) {
  __shared__ uint64_t stage[WARPS][UNIT];
  tw_begin();
  if (__any_sync(~0u, a.stop_flag && *(volatile const int *)a.stop_flag)) return;
  note_begin(a.message);
  pack_range<WARPS>(a.message, part_of(a.message.units, 1, 0), a.words, nullptr, stage[threadIdx.x / 32]);
}

__global__ void __launch_bounds__(THREADS) unpack_kernel(const __grid_constant__ move_args a) {
  __shared__ uint64_t stage[WARPS][2 * UNIT];
  __shared__ block_state b;
  tw_begin();
  range r = part_of(a.message.units, 1, 0);
  begin_block(a.message, r, b);
  unpack_range<WARPS, false>(a.message, r, a.words, a.theirs, a.digests, b, stage[threadIdx.x / 32]);
  end_block(a.digests, b);
  if (threadIdx.x == 0) note_end(a.message);
}

dim3 wide_grid(const tw_device_message *m) {
  size_t blocks = tw_ceil_div(m->units, WARPS);
  return dim3((unsigned)(blocks < WIDE_BLOCKS ? blocks : WIDE_BLOCKS));
}

}  // namespace

extern "C" tw_status tw_device_pack(const tw_device_message *message, const int *stop_flag, uint64_t *words,
                                    void *stream) {
  move_args a = {*message, words, nullptr, nullptr, stop_flag};
  return tw_enqueue(pack_kernel, wide_grid(message), THREADS, 0, stream, a);
}

extern "C" tw_status tw_device_unpack(const tw_device_message *message, const uint64_t *own, const uint64_t *theirs,
                                      uint64_t *digests, void *stream) {
  move_args a = {*message, const_cast<uint64_t *>(own), theirs, digests, nullptr};
  return tw_enqueue(unpack_kernel, wide_grid(message), THREADS, 0, stream, a);
}
