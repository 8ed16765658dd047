// Openings whose bytes a library or a copy engine moves: packing and unpacking, and rounds with their flags.
#include "kernels/cuda/opens.h"

namespace {

enum { WARPS = 16, THREADS = 32 * WARPS, WIDE_BLOCKS = 1024 };

struct move_args {
  tw_device_message message;
  uint64_t *words;  // packed
  const uint64_t *theirs;
  uint64_t *digests;
  const int *heed;
};

struct flag_args {
  tw_mailbox box;
  uint64_t number;
  int round;
};

// What earlier kernels of the stream wrote, wherever, is there before the flag. After a failure it stays low.
__device__ void raise_flag(const tw_mailbox &box, uint64_t number, int round) {
  if (!may_send(box)) return;
  __threadfence_system();
  store_flag(box.sent_flags, tw_exchange_flag(*box.base + number, round));
}

__global__ void raise_flag_kernel(const __grid_constant__ flag_args a) {
  tw_begin();
  raise_flag(a.box, a.number, a.round);
}

__global__ void await_flag_kernel(const __grid_constant__ flag_args a) {
  tw_await_earlier();
  if (!await_flag(a.box, a.box.received_flags, tw_exchange_flag(*a.box.base + a.number, a.round)))
    *(volatile int *)a.box.failed = 1;
}

struct send_args {
  tw_device_message message;
  flag_args flag;
  int rounds;
  uint64_t *words;
};

// Packs a round, and says that the round before, of an earlier kernel, is there.
__global__ void __launch_bounds__(THREADS) send_kernel(const __grid_constant__ send_args a) {
  __shared__ uint64_t stage[WARPS][UNIT];
  int round = a.flag.round;
  tw_begin();
  if (round > 0 && blockIdx.x == 0 && threadIdx.x == 0) raise_flag(a.flag.box, a.flag.number, round - 1);
  if (__any_sync(~0u, !may_send(a.flag.box))) return;
  pack_range<WARPS>(a.message, part_of(a.message.units, a.rounds, round), a.words, a.flag.box.own,
                    stage[threadIdx.x / 32]);
}

__global__ void __launch_bounds__(THREADS) pack_kernel(const __grid_constant__ move_args a) {
  __shared__ uint64_t stage[WARPS][UNIT];
  tw_begin();
  if (__any_sync(~0u, a.heed && *(volatile const int *)a.heed)) return;
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
}

dim3 wide_grid(const tw_device_message *m, int rounds) {
  size_t blocks = tw_ceil_div(tw_ceil_div(m->units, (size_t)rounds), WARPS);
  return dim3((unsigned)(blocks < WIDE_BLOCKS ? blocks : WIDE_BLOCKS));
}

}  // namespace

extern "C" tw_status tw_device_pack(const tw_device_message *message, const int *heed, uint64_t *words, void *stream) {
  move_args a = {*message, words, nullptr, nullptr, heed};
  return tw_enqueue(pack_kernel, wide_grid(message, 1), THREADS, 0, stream, a);
}

extern "C" tw_status tw_device_unpack(const tw_device_message *message, const uint64_t *own, const uint64_t *theirs,
                                      uint64_t *digests, void *stream) {
  move_args a = {*message, const_cast<uint64_t *>(own), theirs, digests, nullptr};
  return tw_enqueue(unpack_kernel, wide_grid(message, 1), THREADS, 0, stream, a);
}

extern "C" tw_status tw_device_send_round(const tw_device_message *message, const tw_mailbox *box, uint64_t number,
                                          int rounds, int round, uint64_t *words, void *stream) {
  send_args a = {*message, {*box, number, round}, rounds, words};
  TW_TRY(tw_enqueue(send_kernel, wide_grid(message, rounds), THREADS, 0, stream, a));
  return round + 1 < rounds ? TW_OK : tw_enqueue(raise_flag_kernel, dim3(1), 1, 0, stream, a.flag);
}

extern "C" tw_status tw_device_await_round(const tw_mailbox *box, uint64_t number, int round, void *stream) {
  return tw_enqueue(await_flag_kernel, dim3(1), 1, 0, stream, flag_args{*box, number, round});
}
