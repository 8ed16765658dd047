// Openings of small messages: every packet says which message it is of, so that nothing is fenced and nobody waits for
// a block.
#include "kernels/cuda/exchange/opens.h"

namespace {

// A packet is three half words and the message's flag.
__device__ bool is_of(packet p, uint32_t flag) { return (uint32_t)(p.high >> 32) == flag; }

// A unit's packets: of `halves` half words of the message, in a slot.
struct unit_packets {
  size_t first_word;  // of a slot
  uint32_t halves;
};
__device__ unit_packets packets_of(const place &p, uint32_t unit) {
  return {TW_PACKET_BYTES / 8 * (2 * word_of(p) / 3 + unit), 2 * words_of(p, items_of(p))};
}

enum { SMALL_WARPS = 8, SMALL_THREADS = 32 * SMALL_WARPS, SMALL_AHEAD = 4 };

// word: what pack_unit gave; stage: 64 words.
__device__ void send_packets(uint64_t *slot, unit_packets to, const uint64_t word[2], uint32_t flag, uint64_t *stage) {
  const uint32_t *half = (const uint32_t *)stage;
  uint32_t lane = threadIdx.x % 32;
  stage[lane] = word[0];
  stage[lane + 32] = word[1];
  __syncwarp();
  for (uint32_t first = 3 * lane; first < to.halves; first += 96) {
    uint64_t v[3];
    for (uint32_t i = 0; i < 3; i++) v[i] = first + i < to.halves ? half[first + i] : 0;
    store_packet(slot + to.first_word + TW_PACKET_BYTES / 8 * (first / 3),
                 {v[1] << 32 | v[0], (uint64_t)flag << 32 | v[2]});
  }
  __syncwarp();
}

__device__ void send_small(const exchange_args &a, uint64_t *slot, uint32_t flag, lane_plan *plan, uint64_t *stage) {
  uint32_t lane = threadIdx.x % 32, step = gridDim.x * SMALL_WARPS;
  for (uint32_t u = blockIdx.x * SMALL_WARPS + threadIdx.x / 32; u < a.message.units; u += step) {
    place p = find_unit(a.message, u);
    lane_part part;
    load_part(p, &part);
    plan_lane(p.open, plan);
    uint64_t word[2];
    pack_unit(p, *plan, part, stage, word);
    size_t at = word_of(p) + lane;
    for (int i = 0; i < 2; i++)
      if (lane + 32 * i < words_of(p, items_of(p))) a.box.own[at + 32 * i] = word[i];
    send_packets(slot, packets_of(p, u), word, flag, stage);
  }
}

// A lane's packets of a unit: lane and lane + 32.
__device__ void load_packets(const uint64_t *slot, unit_packets from, packet got[2]) {
  for (uint32_t i = 0; i < 2; i++) {
    uint32_t at = threadIdx.x % 32 + 32 * i;
    got[i] = 3 * at < from.halves ? load_packet(slot + from.first_word + TW_PACKET_BYTES / 8 * at) : packet{};
  }
}

// Until all of the unit's packets are of this message.
__device__ bool await_packets(const exchange_args &a, const uint64_t *slot, unit_packets from, uint32_t flag,
                              packet got[2]) {
  uint64_t start = 0;
  for (uint32_t polls = 1;; polls++) {
    bool all = true;
    for (uint32_t i = 0; i < 2; i++)
      all = all && (3 * (threadIdx.x % 32 + 32 * i) >= from.halves || is_of(got[i], flag));
    if (all) return true;
    if (polls % 1024 == 0 && gives_up(a.box, &start)) return false;
    load_packets(slot, from, got);
  }
}

// The other party's words of a unit, by the lanes. stage: 64 words.
__device__ void unpack_packets(unit_packets from, const packet got[2], uint64_t *stage, uint64_t theirs[2]) {
  uint32_t *half = (uint32_t *)stage;
  uint32_t lane = threadIdx.x % 32;
  for (uint32_t i = 0; i < 2; i++) {
    uint32_t first = 3 * (lane + 32 * i);
    uint32_t v[3] = {(uint32_t)got[i].low, (uint32_t)(got[i].low >> 32), (uint32_t)got[i].high};
    for (uint32_t j = 0; j < 3; j++)
      if (first + j < from.halves) half[first + j] = v[j];
  }
  __syncwarp();
  for (uint32_t i = 0; i < 2; i++) theirs[i] = 2 * (lane + 32 * i) < from.halves ? stage[lane + 32 * i] : 0;
  __syncwarp();
}

// Packets of several units are on their way at once.
__device__ bool receive_small(const exchange_args &a, const uint64_t *slot, uint32_t flag, lane_plan *plan,
                              uint64_t *stage) {
  uint32_t lane = threadIdx.x % 32, step = gridDim.x * SMALL_WARPS, end = a.message.units;
  for (uint32_t u = blockIdx.x * SMALL_WARPS + threadIdx.x / 32; u < end; u += SMALL_AHEAD * step) {
    packet got[SMALL_AHEAD][2];
#pragma unroll
    for (uint32_t i = 0; i < SMALL_AHEAD; i++)
      if (u + i * step < end) load_packets(slot, packets_of(find_unit(a.message, u + i * step), u + i * step), got[i]);
#pragma unroll
    for (uint32_t i = 0; i < SMALL_AHEAD; i++) {
      if (u + i * step >= end) break;
      place p = find_unit(a.message, u + i * step);
      unit_packets from = packets_of(p, u + i * step);
      lane_words words = {};
      plan_lane(p.open, plan);
      for (int j = 0; j < 2; j++)
        if (2 * (lane + 32 * j) < from.halves) words.own[j] = a.box.own[word_of(p) + lane + 32 * j];
      if (__any_sync(~0u, !await_packets(a, slot, from, flag, got[i]))) return false;
      unpack_packets(from, got[i], stage, words.theirs);
      digest_sum d = {combine_unit(p, *plan, words, stage), p.open->digest + p.sequence};
      add_sum(a.digests, nullptr, ~0u, &d);
    }
  }
  return true;
}

// A multiprocessor takes blocks of two halves of a batch.
__global__ void __launch_bounds__(SMALL_THREADS, 2) exchange_small_kernel(const __grid_constant__ exchange_args a) {
  __shared__ uint64_t stage[SMALL_WARPS][2 * UNIT];
  uint64_t number = *a.box.base + a.number;
  size_t slot = number % 2 * (TW_PACKET_BYTES / 8) * TW_SMALL_PACKETS;
  uint32_t flag = (uint32_t)number + 1;
  lane_plan plan = {};
  if (__any_sync(~0u, !begin_exchange(a))) return;
  note_begin(a.message);
  send_small(a, a.box.small_sent + slot, flag, &plan, stage[threadIdx.x / 32]);
  if (!receive_small(a, a.box.small_received + slot, flag, &plan, stage[threadIdx.x / 32]))
    *(volatile int *)a.box.failed = 1;
  if (threadIdx.x % 32 == 0) note_end(a.message);
}

dim3 small_grid(const tw_device_message *m, const tw_mailbox *box) {
  size_t blocks = tw_ceil_div(m->units, SMALL_WARPS), most = (size_t)box->small_blocks;
  return dim3((unsigned)(blocks < most ? blocks : most));
}

}  // namespace

tw_status tw_enqueue_packets(const tw_device_message *message, const tw_mailbox *box, uint64_t number, int alone,
                             uint64_t *digests, void *stream) {
  exchange_args a = {*message, *box, number, digests, 1, alone};
  return tw_enqueue(exchange_small_kernel, small_grid(message, box), SMALL_THREADS, 0, stream, a);
}
