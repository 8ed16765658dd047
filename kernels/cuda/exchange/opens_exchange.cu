// An opening between two GPUs by one kernel: pack, hand over, wait, unpack.
#include "kernels/cuda/exchange/opens.h"

namespace {

// One half of a block packs round after round, the other unpacks behind it: the way between the GPUs is never idle
// while a block unpacks. The halves have barriers of their own; that a round is packed is handed over by a barrier in
// shared memory, one a round, which the packing half does not wait at.
enum { PACKING = 1, UNPACKING = 2 };

template <int warps>
__device__ void send_rounds(const exchange_args &a, uint64_t number, uint64_t *packed, uint64_t *stage) {
  uint64_t *slot = a.box.sent + number % 2 * a.box.slot_words;
  for (int round = 0; round < a.rounds; round++) {
    pack_range<warps>(a.message, part_of(a.message.units, a.rounds, round), slot + round + 1, a.box.own, stage);
    sync_named<32 * warps>(PACKING, false);
    if (threadIdx.x != 0) continue;
    __threadfence_system();  // this block's words, before its flag
    store_flag(&a.box.sent_flags[TW_FLAG_STRIDE * blockIdx.x], tw_exchange_flag(number, round));
    arrive_single(&packed[round]);
  }
}

// One thread: both parties' words of a round are there.
__device__ bool await_round(const exchange_args &a, uint64_t number, int round, uint64_t *packed) {
  return await_barrier(a.box, &packed[round]) &&
         await_flag(a.box, &a.box.received_flags[TW_FLAG_STRIDE * blockIdx.x], tw_exchange_flag(number, round));
}

template <int warps>
__device__ void receive_rounds(const exchange_args &a, uint64_t number, uint64_t *packed, block_state &b,
                               uint64_t *stage) {
  const uint64_t *slot = a.box.received + number % 2 * a.box.slot_words;
  for (int round = 0; round < a.rounds; round++) {
    bool missing = threadIdx.x == 32 * warps && !await_round(a, number, round, packed);
    if (missing) *(volatile int *)a.box.failed = 1;
    if (sync_named<32 * warps>(UNPACKING, missing)) return;
    unpack_range<warps, true>(a.message, part_of(a.message.units, a.rounds, round), a.box.own, slot + round + 1,
                              a.digests, b, stage);
  }
}

// A multiprocessor takes blocks of two halves of a batch with half as many warps, or one of a whole batch.
template <int warps>
__global__ void __launch_bounds__(64 * warps, 16 / warps) exchange_kernel(const __grid_constant__ exchange_args a) {
  __shared__ uint64_t stage[2 * warps][2 * UNIT];
  __shared__ uint64_t packed[TW_EXCHANGE_ROUNDS];
  __shared__ block_state b;
  uint64_t number = *a.box.base + a.number;          // fixed while a run lasts
  if (__syncthreads_or(!begin_exchange(a))) return;  // what is asked may change meanwhile: all threads alike
  note_begin(a.message);
  for (int round = 0; threadIdx.x == 0 && round < a.rounds; round++) make_barrier(&packed[round], 1);
  begin_block(a.message, part_of(a.message.units, a.rounds, 0), b);
  uint32_t warp = threadIdx.x / 32;
  if (warp < warps)
    send_rounds<warps>(a, number, packed, stage[warp]);
  else
    receive_rounds<warps>(a, number, packed, b, stage[warp]);
  end_block(a.digests, b);
  if (threadIdx.x == 0) note_end(a.message);
}

__global__ void advance_kernel(uint64_t *base, uint64_t count) {
  tw_begin();
  *base += count;
}

}  // namespace

extern "C" tw_status tw_device_exchange(const tw_device_message *message, const tw_mailbox *box, uint64_t number,
                                        int rounds, int turn, uint64_t *digests, void *stream) {
  int alone = turn == TW_ALONE;
  if (message->units == 0) return TW_OK;
  if (box->lines) return tw_enqueue_strands(message, box, turn, digests, stream);
  exchange_args a = {*message, *box, number, digests, rounds, alone};
  bool small = tw_exchange_is_small(message, box);
  size_t words = small ? tw_device_message_words(message) : tw_exchange_word_of_round(message, rounds, rounds);
  if (words > box->slot_words)
    return tw_fail(TW_ERR_INTERNAL, "a message of %zu words in a mailbox of %zu", words, box->slot_words);
  if (small) return tw_enqueue_packets(message, box, number, alone, digests, stream);
  const dim3 grid((unsigned)tw_exchange_blocks(message, box));
  return box->warps == TW_EXCHANGE_WARPS
             ? tw_enqueue(exchange_kernel<TW_EXCHANGE_WARPS>, grid, 64 * TW_EXCHANGE_WARPS, 0, stream, a)
             : tw_enqueue(exchange_kernel<TW_EXCHANGE_WARPS / 2>, grid, 32 * TW_EXCHANGE_WARPS, 0, stream, a);
}

extern "C" tw_status tw_device_exchange_advance(const tw_mailbox *box, uint64_t count, void *stream) {
  advance_kernel<<<1, 1, 0, (cudaStream_t)stream>>>(box->base, count);
  TW_CUDA_LAUNCHED();
  return TW_OK;
}
