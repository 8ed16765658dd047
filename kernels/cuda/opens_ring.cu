// Openings through memory of the host that both GPUs reach. It is fast only while what is written stays in the
// processor's cache until it is read, and reads starve behind writes that fill the way. So a message passes through
// rings of a few places each, over and over the same memory, and whoever packs keeps to a pace.
//
// Half of the blocks pack, the others unpack: a fence waits for all that its multiprocessor has written, so that one
// beside the packing would hold up acknowledgements. Block b of one rank packs for block b of the other, through a ring
// of its own; both count its rounds from the mailbox's beginning on, whatever message they belong to. Warps do the
// work; two clerks, a thread each, deal with the other rank, and meet the warps at barriers in shared memory.
#include "kernels/cuda/opens.h"

namespace {

enum { WARPS = 16, CLERKS = 2, THREADS = 32 * (WARPS + CLERKS) };
enum { LEAD_NS = 3000 };  // packing need not keep to its pace before the other rank reads

// A quantum of a message is a unit for every warp of the blocks that pack. Round 0 is a quantum, so that the other rank
// begins early, and so are the last two, so that it ends soon after; those between fill their places.
struct schedule {
  uint32_t quantum, quanta, step;  // units; of the message; of a full round
  int rounds;
};

struct ring_args {
  exchange_args of;
  schedule plan;
  size_t words;         // of the message
  float ns_per_word;    // its pace; 0: none
  float cycles_per_ns;  // about
};

// Quanta before a round.
inline __host__ __device__ uint32_t quanta_before(const schedule &s, int round) {
  if (s.quanta <= 3 || round == 0) return (uint32_t)round;
  int tail = s.rounds - round;  // rounds from this one on
  return tail <= 2 ? s.quanta - (uint32_t)tail : 1 + (uint32_t)(round - 1) * s.step;
}

// Units, and words, of the message before a round.
__device__ uint32_t units_before(const ring_args &a, int round) {
  uint32_t units = quanta_before(a.plan, round) * a.plan.quantum;
  return units < a.of.message.units ? units : a.of.message.units;
}
__device__ size_t words_before(const ring_args &a, int round) {
  uint32_t units = units_before(a, round);
  return units < a.of.message.units ? word_of(find_unit(a.of.message, units)) : a.words;
}

__device__ range part_of_round(const ring_args &a, uint32_t block, int round) {
  return part_of(units_before(a, round), units_before(a, round + 1), block, gridDim.x / 2);
}

// A block's end of its ring.
struct channel {
  uint32_t block;
  uint64_t earlier;       // rounds before this message
  uint64_t *begin, *end;  // barriers: a round may be worked on; it has been
};

// Where word 0 of the message would lie if all of it lay as this part does.
__device__ uint64_t *place_of(const ring_args &a, uint64_t *rings, const channel &c, int round, range part) {
  uint64_t place = TW_RING_PLACES * c.block + (c.earlier + round) % TW_RING_PLACES;
  return rings + place * TW_PLACE_WORDS - word_of(find_unit(a.of.message, part.begin));
}

// ---- barriers, used in turn: a round's are free again before its place is ----

__device__ bool await_round(const ring_args &a, uint64_t *barriers, int round) {
  return await_barrier(a.of.box, &barriers[round % TW_RING_PLACES], round / TW_RING_PLACES % 2);
}

// By a whole warp.
__device__ bool begin_round(const ring_args &a, const channel &c, int round) {
  return !__any_sync(~0u, !await_round(a, c.begin, round));
}
__device__ void end_round(const channel &c, int round) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive_single(&c.end[round % TW_RING_PLACES]);
}

// ---- warps ----

// When a unit of a part is due: the blocks of a round go on evenly. By the multiprocessor's own clock, set by the GPU's
// timer for every round: reads of the timer are slow.
struct pace {
  int64_t due;  // the part's first
  float step;
  __device__ void operator()(uint32_t unit) {
    int64_t when = due + (int64_t)((float)unit * step);
    while (clock64() < when) __nanosleep(50);
  }
};

__device__ float round_ns(const ring_args &a, int round) {
  return a.ns_per_word * (float)(words_before(a, round + 1) - words_before(a, round));
}

// start: of the message, by the timer.
__device__ pace pace_of(const ring_args &a, int round, range part, uint64_t start) {
  int64_t left = (int64_t)(start - now_ns()) + (int64_t)(a.ns_per_word * (float)words_before(a, round));
  return {clock64() + (int64_t)((float)left * a.cycles_per_ns),
          a.cycles_per_ns * round_ns(a, round) / (float)(part.end - part.begin)};
}

__device__ void pack_rounds(const ring_args &a, const channel &c, uint64_t *stage) {
  uint64_t start = now_ns() - LEAD_NS;
  for (int round = 0; round < a.plan.rounds && begin_round(a, c, round); round++) {
    range part = part_of_round(a, c.block, round);
    if (part.begin < part.end)
      pack_range<WARPS>(a.of.message, part, place_of(a, a.of.box.sent, c, round, part), a.of.box.own, stage,
                        pace_of(a, round, part, start));
    end_round(c, round);
  }
}

__device__ void unpack_rounds(const ring_args &a, const channel &c, block_state &b, uint64_t *stage) {
  for (int round = 0; round < a.plan.rounds && begin_round(a, c, round); round++) {
    range part = part_of_round(a, c.block, round);
    if (part.begin < part.end)
      unpack_range<WARPS, true, true>(a.of.message, part, a.of.box.own,
                                      place_of(a, const_cast<uint64_t *>(a.of.box.received), c, round, part),
                                      a.of.digests, b, stage);
    end_round(c, round);
  }
}

// ---- clerks. False: given up ----

// A place is free once the other rank has read what was there.
__device__ bool admit_packing(const ring_args &a, const channel &c, int round) {
  uint64_t used = c.earlier + round + 1;
  const uint64_t *read = &a.of.box.received_acks[TW_FLAG_STRIDE * c.block];
  if (used > TW_RING_PLACES && !await_flag(a.of.box, read, used - TW_RING_PLACES, 500)) return false;
  arrive_single(&c.begin[round % TW_RING_PLACES]);
  return true;
}
__device__ bool hand_over(const ring_args &a, const channel &c, int round) {
  size_t flag = TW_FLAG_STRIDE * c.block;
  if (!await_round(a, c.end, round)) return false;
  __threadfence_system();
  store_flag(&a.of.box.sent_flags[flag], c.earlier + round + 1);
  store_flag(&a.of.box.packed[flag], c.earlier + round + 1);
  return true;
}

// Both ranks' words are there. The other's come at their pace, and looking for them is a read on the same way.
__device__ bool admit_unpacking(const ring_args &a, const channel &c, int round) {
  size_t flag = TW_FLAG_STRIDE * c.block;
  uint32_t sleep = 100 + (uint32_t)round_ns(a, round) / 4;
  if (!await_flag(a.of.box, &a.of.box.packed[flag], c.earlier + round + 1, 100) ||
      !await_flag(a.of.box, &a.of.box.received_flags[flag], c.earlier + round + 1, sleep))
    return false;
  arrive_single(&c.begin[round % TW_RING_PLACES]);
  return true;
}

// The last rounds are acknowledged when the next message begins: then the end of this kernel has fenced them.
enum { LATER = TW_RING_PLACES / 2 };
__device__ void acknowledge_earlier(const ring_args &a, const channel &c) {
  store_flag(&a.of.box.sent_acks[TW_FLAG_STRIDE * c.block], c.earlier);
}
__device__ bool acknowledge(const ring_args &a, const channel &c, int round) {
  if (!await_round(a, c.end, round)) return false;
  if (round + LATER >= a.plan.rounds) return true;
  __threadfence_system();
  store_flag(&a.of.box.sent_acks[TW_FLAG_STRIDE * c.block], c.earlier + round + 1);
  return true;
}

// A block's one clerk lets the warps begin a round, its other one reports that they have ended it.
enum { ADMITS, REPORTS };
__device__ bool serve_round(const ring_args &a, const channel &c, bool packs, int clerk, int round) {
  if (packs) return clerk == ADMITS ? admit_packing(a, c, round) : hand_over(a, c, round);
  return clerk == ADMITS ? admit_unpacking(a, c, round) : acknowledge(a, c, round);
}

__device__ void serve(const ring_args &a, const channel &c, bool packs, int clerk) {
  if (!packs && clerk == REPORTS) acknowledge_earlier(a, c);
  for (int round = 0; round < a.plan.rounds; round++) {
    if (serve_round(a, c, packs, clerk, round)) continue;
    *(volatile int *)a.of.box.failed = 1;
    return;
  }
  if (!packs && clerk == REPORTS) a.of.box.unpacked[TW_FLAG_STRIDE * c.block] = c.earlier + a.plan.rounds;
}

// A multiprocessor takes blocks of two lanes.
__global__ void __launch_bounds__(THREADS, 2) exchange_ring_kernel(const __grid_constant__ ring_args a) {
  __shared__ uint64_t stage[WARPS][2 * UNIT];
  __shared__ uint64_t barriers[2][TW_RING_PLACES];
  __shared__ block_state b;
  uint32_t warp = threadIdx.x / 32;
  bool packs = blockIdx.x % 2 == 0;
  if (__syncthreads_or(!begin_exchange(a.of))) return;
  channel c = {blockIdx.x / 2, 0, barriers[0], barriers[1]};
  c.earlier = (packs ? a.of.box.packed : a.of.box.unpacked)[TW_FLAG_STRIDE * c.block];  // clerks count on
  if (threadIdx.x < TW_RING_PLACES) {
    make_barrier(&barriers[0][threadIdx.x], 1);
    make_barrier(&barriers[1][threadIdx.x], WARPS);
  }
  begin_block(a.of.message, part_of_round(a, c.block, 0), b);
  if (warp >= WARPS) {
    if (threadIdx.x % 32 == 0) serve(a, c, packs, (int)warp - WARPS);
  } else if (packs) {
    pack_rounds(a, c, stage[warp]);
  } else {
    unpack_rounds(a, c, b, stage[warp]);
  }
  end_block(a.of.digests, b);
}

// Words of a unit, at most.
uint32_t most_words(const tw_device_message *m) {
  uint32_t most = 0;
  for (int i = 0; i < m->count; i++) {
    uint32_t words = m->open[i].bits ? (uint32_t)UNIT : m->open[i].width;
    if (words > most) most = words;
  }
  return most;
}

schedule make_schedule(const tw_device_message *m, uint32_t blocks) {
  schedule s = {blocks * WARPS, 0, TW_PLACE_WORDS / most_words(m) / WARPS, 0};
  s.quanta = (m->units + s.quantum - 1) / s.quantum;
  s.rounds = s.quanta <= 3 ? (int)s.quanta : 3 + (int)((s.quanta - 3 + s.step - 1) / s.step);
  return s;
}

}  // namespace

tw_status tw_enqueue_ring(const tw_device_message *message, const tw_mailbox *box, uint64_t number, int alone,
                          uint64_t *digests, void *stream) {
  static_assert(TW_PLACE_WORDS >= WARPS * UNIT, "a quantum fits a place");
  size_t blocks = tw_ceil_div(message->units, WARPS), most = (size_t)box->small_blocks / 2;
  if (most > TW_RING_BLOCKS) most = TW_RING_BLOCKS;
  if (most < 1) return tw_fail(TW_ERR_USAGE, "a GPU with one multiprocessor cannot open through host memory");
  if (blocks > most) blocks = most;
  static int khz;  // asked once: the driver takes long to answer
  if (khz == 0) {
    int device;
    TW_CUDA(cudaGetDevice(&device));
    TW_CUDA(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, device));
  }
  ring_args a = {};
  a.of = {*message, *box, number, digests, 1, alone};
  a.plan = make_schedule(message, (uint32_t)blocks);
  a.words = tw_device_message_words(message);
  if (box->words_per_us > 0) a.ns_per_word = (float)(1e3 / box->words_per_us);
  a.cycles_per_ns = 1e-6f * (float)khz;
  return tw_enqueue(exchange_ring_kernel, dim3((unsigned)(2 * blocks)), THREADS, 0, stream, a);
}
