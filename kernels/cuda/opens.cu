// Opens on the device. A warp takes a unit: 64 ring elements become `width` words of the message, so units never share
// a word, and whoever packs a unit can unpack the same one. The mask is added here, so that nothing unmasked is ever in
// a message's memory. A rank keeps a copy of what it sent: its packed words cost less to read than share and mask.
#include "kernels/cuda/check.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"
#include "kernels/device_opens.h"
#include "kernels/digest.h"

namespace {

enum { UNIT = 64, WARPS = 16, THREADS = 32 * WARPS, WIDE_BLOCKS = 1024 };  // the last three of pack and unpack alone

// ---- memory that others write or read while the kernel runs ----

__device__ __forceinline__ uint64_t load_shared_word(const uint64_t *p) {
  uint64_t v;
  asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ uint64_t load_acquiring(const uint64_t *p) {
  uint64_t v;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void store_flag(uint64_t *p, uint64_t v) {
  asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory");
}
__device__ __forceinline__ uint64_t now_ns(void) {
  uint64_t t;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
  return t;
}

// ---- units ----

struct place {
  const tw_device_open *open;
  uint32_t sequence, unit;  // of the open
};

__device__ place find_unit(const tw_device_message &m, uint32_t unit) {
  int i = 0;
  while (i + 1 < m.count && unit >= m.open[i + 1].first_unit) i++;
  uint32_t at = unit - m.open[i].first_unit;
  return {&m.open[i], at / m.open[i].units, at % m.open[i].units};
}

// `steps` units on; the message has them.
__device__ void move_on(place *p, uint32_t steps) {
  p->unit += steps;
  while (p->unit >= p->open->units) {
    p->unit -= p->open->units;
    if (++p->sequence < p->open->sequences) continue;
    p->sequence = 0;
    p->open++;
  }
}

// Elements, or words of planes, of the unit; and where its words lie in the message.
__device__ uint32_t items_of(const place &p) {
  uint32_t left = (uint32_t)p.open->words - p.unit * UNIT;
  return left < UNIT ? left : (uint32_t)UNIT;
}
__device__ size_t word_of(const place &p) {
  return p.open->first_word + p.sequence * p.open->message_words +
         (size_t)p.unit * (p.open->bits ? (uint32_t)UNIT : p.open->width);
}

// What a lane does in every unit of an open: words lane and lane + 32 of a unit begin `skip` bits into element `first`;
// elements lane and lane + 32 begin `shift` bits into word `word`.
struct lane_plan {
  const tw_device_open *open;
  uint64_t ring;
  uint32_t width, ragged;  // ragged: planes whose last word is not full
  uint32_t first[2], skip[2], word[2], shift[2];
};

__device__ void plan_lane(const tw_device_open *o, lane_plan *l) {
  if (l->open == o) return;
  l->open = o;
  l->width = o->width;
  l->ring = o->bits ? ~0ull : tw_ring_mask(o->width);
  l->ragged = o->bits && o->n % 64;
  for (uint32_t i = 0; i < 2; i++) {
    uint32_t at = threadIdx.x % 32 + 32 * i, bit = at * l->width;
    l->first[i] = 64 * at / l->width;
    l->skip[i] = 64 * at - l->first[i] * l->width;
    l->word[i] = bit / 64;
    l->shift[i] = bit % 64;
  }
}

__device__ uint32_t words_of(const place &p, uint32_t items) {
  return p.open->bits ? items : (items * p.open->width + 63) / 64;
}

// What a lane needs of a unit, loaded ahead of its use: items lane and lane + 32 to be packed, or as many words of both
// ranks' messages.
struct lane_part {
  uint64_t share[2], mask[2];
};
struct lane_words {
  uint64_t own[2], theirs[2];
};

__device__ void load_part(const place &p, lane_part *l) {
  const tw_device_open &o = *p.open;
  uint64_t first = p.sequence * o.words + (uint64_t)p.unit * UNIT + threadIdx.x % 32;
  const uint64_t *share = o.share + first, *mask = o.mask + first;
  uint32_t items = items_of(p);
  for (int i = 0; i < 2; i++) {
    bool there = threadIdx.x % 32 + 32 * i < items;
    l->share[i] = there ? share[32 * i] : 0;
    l->mask[i] = there ? mask[32 * i] : 0;
  }
}

template <bool others>  // memory that the other rank has just written
__device__ void load_words(const place &p, const uint64_t *own, const uint64_t *theirs, lane_words *l) {
  uint32_t words = words_of(p, items_of(p));
  size_t at = word_of(p) + threadIdx.x % 32;
  for (int i = 0; i < 2; i++) {
    bool there = threadIdx.x % 32 + 32 * i < words;
    const uint64_t *from = theirs + at + 32 * i;
    l->own[i] = there ? own[at + 32 * i] : 0;
    l->theirs[i] = !there ? 0 : others ? load_shared_word(from) : *from;
  }
}

__device__ uint64_t live_lanes(const tw_device_open &o, uint32_t word) {
  uint32_t plane_words = ((uint32_t)o.n + 63) / 64;
  return word % plane_words == plane_words - 1 ? (1ull << (o.n % 64)) - 1 : ~0ull;
}

// This rank's masked item of the lane; 0 past the unit's end.
__device__ uint64_t masked(const place &p, const lane_plan &plan, const lane_part &l, int i) {
  if (!p.open->bits) return (l.share[i] + l.mask[i]) & plan.ring;
  uint64_t v = l.share[i] ^ l.mask[i];
  return plan.ragged ? v & live_lanes(*p.open, p.unit * UNIT + threadIdx.x % 32 + 32 * i) : v;
}

// The unit's words, by the lanes: lane and lane + 32. stage: 64 words of shared memory of this warp.
__device__ void pack_unit(const place &p, const lane_plan &plan, const lane_part &l, uint64_t *stage,
                          uint64_t word[2]) {
  uint32_t lane = threadIdx.x % 32, words = words_of(p, items_of(p));
  word[0] = masked(p, plan, l, 0);
  word[1] = masked(p, plan, l, 1);
  if (p.open->bits) return;
  stage[lane] = word[0];
  stage[lane + 32] = word[1];
  __syncwarp();
  for (int i = 0; i < 2; i++) {
    if (lane + 32 * i >= words) break;
    uint32_t j = plan.first[i];
    word[i] = stage[j++] >> plan.skip[i];
    for (uint32_t at = plan.width - plan.skip[i]; at < 64 && j < UNIT; j++, at += plan.width) word[i] |= stage[j] << at;
  }
  __syncwarp();
}

__device__ uint64_t unpacked(const lane_plan &plan, const uint64_t *stage, int i) {
  uint64_t v = stage[plan.word[i]] >> plan.shift[i];
  if (plan.shift[i] + plan.width > 64) v |= stage[plan.word[i] + 1] << (64 - plan.shift[i]);
  return v;
}

// Opened values of the unit into out; the sum of their digest's terms. stage: twice 64 words.
__device__ uint64_t combine_unit(const place &p, const lane_plan &plan, const lane_words &l, uint64_t *stage) {
  const tw_device_open &o = *p.open;
  uint32_t lane = threadIdx.x % 32, items = items_of(p);
  uint64_t first = (uint64_t)p.unit * UNIT, digest = 0, *out = o.out + p.sequence * o.words + first;
  if (!o.bits) {
    for (int i = 0; i < 2; i++) {
      stage[lane + 32 * i] = l.own[i];
      stage[UNIT + lane + 32 * i] = l.theirs[i];
    }
    __syncwarp();
  }
  for (int i = 0; i < 2; i++) {
    uint32_t j = lane + 32 * i;
    if (j >= items) break;
    uint64_t v =
        o.bits ? l.own[i] ^ l.theirs[i] : (unpacked(plan, stage, i) + unpacked(plan, stage + UNIT, i)) & plan.ring;
    out[j] = v;
    digest += tw_open_digest_term(v, first + j);
  }
  __syncwarp();
  return digest;
}

// ---- digests: a block adds up in shared memory what belongs to one sequence of one open ----

struct digest_sum {
  uint64_t sum;
  uint32_t index;
};

__device__ void add_sum(uint64_t *digests, unsigned long long *block_sum, uint32_t block_index, digest_sum *d) {
  uint64_t sum = d->sum;
  for (int lane = 16; lane; lane /= 2) sum += __shfl_down_sync(~0u, sum, lane);
  if (threadIdx.x % 32 == 0 && sum) {
    if (d->index == block_index)
      atomicAdd(block_sum, (unsigned long long)sum);
    else
      atomicAdd((unsigned long long *)&digests[d->index], (unsigned long long)sum);
  }
  d->sum = 0;
}

// ---- a block's part of a round ----

struct range {
  uint32_t begin, end;
};
__device__ range part_of(uint32_t units, int rounds, int round) {
  uint32_t low = (uint32_t)((uint64_t)units * round / rounds),
           high = (uint32_t)((uint64_t)units * (round + 1) / rounds);
  uint64_t count = high - low;
  return {low + (uint32_t)(count * blockIdx.x / gridDim.x), low + (uint32_t)(count * (blockIdx.x + 1) / gridDim.x)};
}

struct exchange_args {
  tw_device_message message;
  tw_mailbox box;
  uint64_t number;
  uint64_t *digests;
  int rounds, alone;  // alone: no other lane's exchange may have to come up beside this one
};

struct block_state {
  unsigned long long sum;
  uint32_t sum_index;
};

// Of `warps` warps this one's units of a range, the next one's loads under way while one is worked on. The words go to
// the message and, unless that is NULL, to this rank's copy of it.
template <int warps>
__device__ void pack_range(const tw_device_message &m, range r, uint64_t *words, uint64_t *copy, uint64_t *stage) {
  uint32_t lane = threadIdx.x % 32, u = r.begin + threadIdx.x / 32 % warps;
  if (u >= r.end) return;
  lane_plan plan = {};
  lane_part part;
  place p = find_unit(m, u);
  load_part(p, &part);
  for (;; u += warps) {
    lane_part now = part;
    place here = p;
    bool more = u + warps < r.end;
    if (more) {
      move_on(&p, warps);
      load_part(p, &part);
    }
    plan_lane(here.open, &plan);
    uint64_t word[2];
    pack_unit(here, plan, now, stage, word);
    uint32_t count = words_of(here, items_of(here));
    size_t at = word_of(here) + lane;
    for (int i = 0; i < 2; i++) {
      if (lane + 32 * i >= count) break;
      words[at + 32 * i] = word[i];
      if (copy) copy[at + 32 * i] = word[i];
    }
    if (!more) return;
  }
}

__device__ void add_digest(uint64_t *digests, const place &p, uint64_t term, block_state &b, digest_sum *d) {
  uint32_t index = p.open->digest + p.sequence;
  if (index != d->index) {
    add_sum(digests, &b.sum, b.sum_index, d);
    d->index = index;
  }
  d->sum += term;
}

template <int warps, bool others>
__device__ void unpack_range(const tw_device_message &m, range r, const uint64_t *own, const uint64_t *theirs,
                             uint64_t *digests, block_state &b, uint64_t *stage) {
  uint32_t u = r.begin + threadIdx.x / 32 % warps;
  if (u >= r.end) return;
  lane_plan plan = {};
  lane_words words;
  digest_sum d = {0, b.sum_index};
  place p = find_unit(m, u);
  load_words<others>(p, own, theirs, &words);
  for (;; u += warps) {
    lane_words now = words;
    place here = p;
    bool more = u + warps < r.end;
    if (more) {
      move_on(&p, warps);
      load_words<others>(p, own, theirs, &words);
    }
    plan_lane(here.open, &plan);
    add_digest(digests, here, combine_unit(here, plan, now, stage), b, &d);
    if (!more) break;
  }
  add_sum(digests, &b.sum, b.sum_index, &d);
}

__device__ void begin_block(const tw_device_message &m, range r, block_state &b) {
  if (threadIdx.x == 0) {
    place p = find_unit(m, r.begin);
    b.sum = 0;
    b.sum_index = p.open->digest + p.sequence;
  }
  __syncthreads();
}

__device__ void end_block(uint64_t *digests, block_state &b) {
  __syncthreads();
  if (threadIdx.x == 0 && b.sum) atomicAdd((unsigned long long *)&digests[b.sum_index], b.sum);
}

// Whoever has waited for a while, from *start (0: now) on: whether to give up. Reads of one word of host memory come
// one after the other, 1 us each: one of all that wait looks there, now and then.
__device__ bool gives_up(const tw_mailbox &box, uint64_t *start) {
  enum { LOOK_NS = 100000 };
  uint64_t now = now_ns(), last = *(volatile uint64_t *)box.looked;
  if (!*start) *start = now;
  if (*(volatile int *)box.failed || now - *start > box.patience_ns) return true;
  if (now - last < LOOK_NS || atomicCAS((unsigned long long *)box.looked, last, now) != last) return false;
  if (*(volatile const int *)box.stop) *(volatile int *)box.failed = 1;
  return *(volatile int *)box.failed;
}

// One thread. False: the other rank's part does not come. A look that acquires would, again and again, hold up what the
// multiprocessor's other block fences: only the last one does.
__device__ bool await_flag(const tw_mailbox &box, const uint64_t *flag, uint64_t wanted) {
  uint64_t start = 0;
  for (uint32_t polls = 1; load_shared_word(flag) < wanted; polls++) {
    __nanosleep(20);
    if (polls % 256 == 0 && gives_up(box, &start)) return false;
  }
  return load_acquiring(flag) >= wanted;
}

// After a failure nothing more is sent.
__device__ bool may_send(const tw_mailbox &box) {
  int bad = box.heed ? *(volatile const int *)box.heed : 0;
  return (bad | *(volatile int *)box.failed) == 0;
}

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

// One thread: both ranks' words of a round are there.
__device__ bool await_round(const exchange_args &a, uint64_t number, int round, uint64_t *packed) {
  while (!has_arrived(&packed[round])) __nanosleep(20);
  return await_flag(a.box, &a.box.received_flags[TW_FLAG_STRIDE * blockIdx.x], tw_exchange_flag(number, round));
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

// A kernel that waits for the other rank lets later ones come up early only when it is alone: they would hold the
// multiprocessors that another lane's exchange needs, for which the other rank may be waiting.
__device__ bool begin_exchange(const exchange_args &a) {
  if (a.alone)
    tw_begin();
  else
    tw_await_earlier();
  return may_send(a.box);
}

// A multiprocessor takes blocks of two lanes with half as many warps, or one of a lane alone.
template <int warps>
__global__ void __launch_bounds__(64 * warps, 16 / warps) exchange_kernel(const __grid_constant__ exchange_args a) {
  __shared__ uint64_t stage[2 * warps][2 * UNIT];
  __shared__ uint64_t packed[TW_EXCHANGE_ROUNDS];
  __shared__ block_state b;
  uint64_t number = *a.box.base + a.number;  // fixed while a run lasts
  if (!begin_exchange(a)) return;
  for (int round = 0; threadIdx.x == 0 && round < a.rounds; round++) make_barrier(&packed[round], 1);
  begin_block(a.message, part_of(a.message.units, a.rounds, 0), b);
  uint32_t warp = threadIdx.x / 32;
  if (warp < warps)
    send_rounds<warps>(a, number, packed, stage[warp]);
  else
    receive_rounds<warps>(a, number, packed, b, stage[warp]);
  end_block(a.digests, b);
}

// ---- small messages: every packet says which message it is of, so nothing is fenced and nobody waits for a block ----

// 16 bytes that are written and read as one (PTX ISA, memory consistency model: scalar accesses of up to 128 bits).
struct packet {
  uint64_t low, high;  // three half words and the message's flag
};
__device__ void store_packet(uint64_t *to, packet p) {
  asm volatile("{.reg .b128 v; mov.b128 v, {%1, %2}; st.relaxed.sys.global.b128 [%0], v;}" ::"l"(to), "l"(p.low),
               "l"(p.high)
               : "memory");
}
__device__ packet load_packet(const uint64_t *from) {
  packet p;
  asm volatile("{.reg .b128 v; ld.relaxed.sys.global.b128 v, [%2]; mov.b128 {%0, %1}, v;}"
               : "=l"(p.low), "=l"(p.high)
               : "l"(from)
               : "memory");
  return p;
}
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

// The other rank's words of a unit, by the lanes. stage: 64 words.
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

__global__ void __launch_bounds__(SMALL_THREADS) exchange_small_kernel(const __grid_constant__ exchange_args a) {
  __shared__ uint64_t stage[SMALL_WARPS][2 * UNIT];
  uint64_t number = *a.box.base + a.number;
  size_t slot = number % 2 * (TW_PACKET_BYTES / 8) * TW_SMALL_PACKETS;
  uint32_t flag = (uint32_t)number + 1;
  lane_plan plan = {};
  if (!begin_exchange(a)) return;
  send_small(a, a.box.small_sent + slot, flag, &plan, stage[threadIdx.x / 32]);
  if (!receive_small(a, a.box.small_received + slot, flag, &plan, stage[threadIdx.x / 32]))
    *(volatile int *)a.box.failed = 1;
}

__global__ void advance_kernel(uint64_t *base, uint64_t count) {
  tw_begin();
  *base += count;
}

// ---- rounds that a copy engine fetches, and packing and unpacking alone ----

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
  uint64_t *words, *copy;
};

// Packs a round, and says that the round before, of an earlier kernel, is there.
__global__ void __launch_bounds__(THREADS) send_kernel(const __grid_constant__ send_args a) {
  __shared__ uint64_t stage[WARPS][UNIT];
  int round = a.flag.round;
  tw_begin();
  if (round > 0 && blockIdx.x == 0 && threadIdx.x == 0) raise_flag(a.flag.box, a.flag.number, round - 1);
  if (!may_send(a.flag.box)) return;
  pack_range<WARPS>(a.message, part_of(a.message.units, a.rounds, round), a.words, a.copy, stage[threadIdx.x / 32]);
}

__global__ void __launch_bounds__(THREADS) pack_kernel(const __grid_constant__ move_args a) {
  __shared__ uint64_t stage[WARPS][UNIT];
  tw_begin();
  if (a.heed && *(volatile const int *)a.heed) return;
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

dim3 small_grid(const tw_device_message *m, const tw_mailbox *box) {
  size_t blocks = tw_ceil_div(m->units, SMALL_WARPS), most = (size_t)box->small_blocks;
  return dim3((unsigned)(blocks < most ? blocks : most));
}

}  // namespace

extern "C" tw_status tw_device_exchange(const tw_device_message *message, const tw_mailbox *box, uint64_t number,
                                        int rounds, int alone, uint64_t *digests, void *stream) {
  if (message->units == 0) return TW_OK;
  exchange_args a = {*message, *box, number, digests, rounds, alone};
  if (tw_exchange_is_small(message, box))
    return tw_enqueue(exchange_small_kernel, small_grid(message, box), SMALL_THREADS, 0, stream, a);
  size_t words = tw_exchange_word_of_round(message, rounds, rounds);
  if (words > box->slot_words)
    return tw_fail(TW_ERR_INTERNAL, "a message of %zu words in a mailbox of %zu", words, box->slot_words);
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
                                          int rounds, int round, uint64_t *words, uint64_t *copy, void *stream) {
  send_args a = {*message, {*box, number, round}, rounds, words, copy};
  TW_TRY(tw_enqueue(send_kernel, wide_grid(message, rounds), THREADS, 0, stream, a));
  return round + 1 < rounds ? TW_OK : tw_enqueue(raise_flag_kernel, dim3(1), 1, 0, stream, a.flag);
}

extern "C" tw_status tw_device_await_round(const tw_mailbox *box, uint64_t number, int round, void *stream) {
  return tw_enqueue(await_flag_kernel, dim3(1), 1, 0, stream, flag_args{*box, number, round});
}
