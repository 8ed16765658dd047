// What the kernels of openings share. A warp takes a unit: 64 ring elements become `width` words of the message, so
// units never share a word, and whoever packs a unit can unpack the same one. The mask is added here, so that nothing
// unmasked is ever in a message's memory. A party keeps a copy of what it sent (in its mailbox's memory, or a block's):
// packed words cost less to read than share and mask.
#ifndef TW_CUDA_OPENS_H
#define TW_CUDA_OPENS_H

#include "kernels/cuda/exchange/ptx.h"
#include "kernels/cuda/runtime/launch.h"
#include "kernels/device_opens.h"
#include "kernels/digest.h"

// Messages that go in packets (opens_packets.cu).
tw_status tw_enqueue_packets(const tw_device_message *message, const tw_mailbox *box, uint64_t number, int alone,
                             uint64_t *digests, void *stream);
// Messages through host memory (opens_strands.cu).
tw_status tw_enqueue_strands(const tw_device_message *message, const tw_mailbox *box, int turn, uint64_t *digests,
                             void *stream);

namespace {

enum { UNIT = 64 };

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

// 16 bytes that are written and read as one (PTX ISA, memory consistency model: scalar accesses of up to 128 bits).
struct packet {
  uint64_t low, high;
};
inline __device__ void store_packet(uint64_t *to, packet p) {
  asm volatile("{.reg .b128 v; mov.b128 v, {%1, %2}; st.relaxed.sys.global.b128 [%0], v;}" ::"l"(to), "l"(p.low),
               "l"(p.high)
               : "memory");
}
inline __device__ packet load_packet(const uint64_t *from) {
  packet p;
  asm volatile("{.reg .b128 v; ld.relaxed.sys.global.b128 v, [%2]; mov.b128 {%0, %1}, v;}"
               : "=l"(p.low), "=l"(p.high)
               : "l"(from)
               : "memory");
  return p;
}

// ---- units ----

struct place {
  const tw_device_open *open;
  uint32_t sequence, unit;  // of the open
};

inline __device__ place find_unit(const tw_device_message &m, uint32_t unit) {
  int i = 0;
  while (i + 1 < m.count && unit >= m.open[i + 1].first_unit) i++;
  uint32_t at = unit - m.open[i].first_unit;
  return {&m.open[i], at / m.open[i].units, at % m.open[i].units};
}

// `steps` units on; the message has them.
inline __device__ void move_on(place *p, uint32_t steps) {
  p->unit += steps;
  while (p->unit >= p->open->units) {
    p->unit -= p->open->units;
    if (++p->sequence < p->open->sequences) continue;
    p->sequence = 0;
    p->open++;
  }
}

// Words of a whole unit of the open.
inline __host__ __device__ uint32_t unit_words(const tw_device_open &o) { return o.bits ? (uint32_t)UNIT : o.width; }

// Elements, or words of planes, of the unit; and where its words lie in the message.
inline __device__ uint32_t items_of(const place &p) {
  uint32_t left = (uint32_t)p.open->words - p.unit * UNIT;
  return left < UNIT ? left : (uint32_t)UNIT;
}
inline __device__ size_t word_of(const place &p) {
  return p.open->first_word + p.sequence * p.open->message_words + (size_t)p.unit * unit_words(*p.open);
}

// What a lane does in every unit of an open: words lane and lane + 32 of a unit begin `skip` bits into element `first`;
// elements lane and lane + 32 begin `shift` bits into word `word`.
struct lane_plan {
  const tw_device_open *open;
  uint64_t ring;
  uint32_t width, ragged;  // ragged: planes whose last word is not full
  uint32_t first[2], skip[2], word[2], shift[2];
};

inline __device__ void plan_lane(const tw_device_open *o, lane_plan *l) {
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

inline __device__ uint32_t words_of(const place &p, uint32_t items) {
  return p.open->bits ? items : (items * p.open->width + 63) / 64;
}

// What a lane needs of a unit, loaded ahead of its use: items lane and lane + 32 to be packed, or as many words of both
// parties' messages.
struct lane_part {
  uint64_t share[2], mask[2];
};
struct lane_words {
  uint64_t own[2], theirs[2];
};

inline __device__ void load_part(const place &p, lane_part *l) {
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

template <bool others>  // memory that the other party has just written
inline __device__ void load_words(const place &p, const uint64_t *own, const uint64_t *theirs, lane_words *l) {
  uint32_t words = words_of(p, items_of(p));
  size_t at = word_of(p) + threadIdx.x % 32;
  for (int i = 0; i < 2; i++) {
    bool there = threadIdx.x % 32 + 32 * i < words;
    const uint64_t *from = theirs + at + 32 * i;
    l->own[i] = there ? own[at + 32 * i] : 0;
    l->theirs[i] = !there ? 0 : others ? load_shared_word(from) : *from;
  }
}

inline __device__ uint64_t live_lanes(const tw_device_open &o, uint32_t word) {
  uint32_t plane_words = ((uint32_t)o.n + 63) / 64;
  return word % plane_words == plane_words - 1 ? (1ull << (o.n % 64)) - 1 : ~0ull;
}

// This party's masked item of the lane; 0 past the unit's end.
inline __device__ uint64_t masked(const place &p, const lane_plan &plan, const lane_part &l, int i) {
  if (!p.open->bits) return (l.share[i] + l.mask[i]) & plan.ring;
  uint64_t v = l.share[i] ^ l.mask[i];
  return plan.ragged ? v & live_lanes(*p.open, p.unit * UNIT + threadIdx.x % 32 + 32 * i) : v;
}

// The unit's words, by the lanes: lane and lane + 32. stage: 64 words of shared memory of this warp.
inline __device__ void pack_unit(const place &p, const lane_plan &plan, const lane_part &l, uint64_t *stage,
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

// Element lane + 32 i of a unit whose words begin with `first` of the stage; ring: 0, or how many words it has in turn.
template <uint32_t ring = 0>
inline __device__ uint64_t unpacked(const lane_plan &plan, const uint64_t *stage, int i, uint32_t first = 0) {
  uint32_t at = first + plan.word[i], next = at + 1;
  uint64_t v = stage[ring ? at % ring : at] >> plan.shift[i];
  if (plan.shift[i] + plan.width > 64) v |= stage[ring ? next % ring : next] << (64 - plan.shift[i]);
  return v;
}

// Opened values of the unit into out; the sum of their digest's terms. stage: twice 64 words.
inline __device__ uint64_t combine_unit(const place &p, const lane_plan &plan, const lane_words &l, uint64_t *stage) {
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
    digest += o.bits ? tw_plane_digest_term(v, first + j) : tw_open_digest_term(v, first + j);
  }
  __syncwarp();
  return digest;
}

// ---- digests: a block adds up in shared memory what belongs to one sequence of one open ----

struct digest_sum {
  uint64_t sum;
  uint32_t index;
};

inline __device__ void add_sum(uint64_t *digests, unsigned long long *block_sum, uint32_t block_index, digest_sum *d) {
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
// A block's part of the units [low, high).
inline __device__ range part_of(uint32_t low, uint32_t high, uint32_t block, uint32_t blocks) {
  uint64_t count = high - low;
  return {low + (uint32_t)(count * block / blocks), low + (uint32_t)(count * (block + 1) / blocks)};
}
inline __device__ range part_of(uint32_t units, int rounds, int round) {
  uint32_t low = (uint32_t)((uint64_t)units * round / rounds),
           high = (uint32_t)((uint64_t)units * (round + 1) / rounds);
  return part_of(low, high, blockIdx.x, gridDim.x);
}

struct block_state {
  unsigned long long sum;
  uint32_t sum_index;
};

// Of `warps` warps this one's units of a range, the next one's loads under way while one is worked on. The words go to
// the message and, unless that is NULL, to this party's copy of it.
template <int warps>
inline __device__ void pack_range(const tw_device_message &m, range r, uint64_t *words, uint64_t *copy,
                                  uint64_t *stage) {
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

// Of the unit at p; block_sum, block_index: as for add_sum.
inline __device__ void add_digest(uint64_t *digests, const place &p, uint64_t term, unsigned long long *block_sum,
                                  uint32_t block_index, digest_sum *d) {
  uint32_t index = p.open->digest + p.sequence;
  if (index != d->index) {
    add_sum(digests, block_sum, block_index, d);
    d->index = index;
  }
  d->sum += term;
}

template <int warps, bool others>
inline __device__ void unpack_range(const tw_device_message &m, range r, const uint64_t *own, const uint64_t *theirs,
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
    add_digest(digests, here, combine_unit(here, plan, now, stage), &b.sum, b.sum_index, &d);
    if (!more) break;
  }
  add_sum(digests, &b.sum, b.sum_index, &d);
}

inline __device__ void begin_block(const tw_device_message &m, range r, block_state &b) {
  if (threadIdx.x == 0) {
    place p = find_unit(m, r.begin);
    b.sum = 0;
    b.sum_index = p.open->digest + p.sequence;
  }
  __syncthreads();
}

inline __device__ void end_block(uint64_t *digests, block_state &b) {
  __syncthreads();
  if (threadIdx.x == 0 && b.sum) atomicAdd((unsigned long long *)&digests[b.sum_index], b.sum);
}

// ---- when ----

inline __device__ void note_begin(const tw_device_message &m) {
  if (m.times && blockIdx.x == 0 && threadIdx.x == 0) m.times[0] = now_ns();
}
// By a thread of each warp or block that opens.
inline __device__ void note_end(const tw_device_message &m) {
  if (m.times) atomicMax((unsigned long long *)&m.times[1], (unsigned long long)now_ns());
}

// ---- waiting for the other party ----

// After a failure nothing more is sent.
inline __device__ bool may_send(const tw_mailbox &box) {
  int bad = box.stop_flag ? *(volatile const int *)box.stop_flag : 0;
  return (bad | *(volatile int *)box.failed) == 0;
}

// Whoever has waited for a while, from *start (0: now) on: whether to give up. Reads of one word of host memory come
// one after the other, 1 us each: one of all that wait looks there, now and then.
inline __device__ bool gives_up(const tw_mailbox &box, uint64_t *start) {
  enum { LOOK_NS = 100000 };
  uint64_t now = now_ns(), last = *(volatile uint64_t *)box.looked;
  if (!*start) *start = now;
  if (!may_send(box) || now - *start > box.patience_ns) return true;
  if (now - last < LOOK_NS || atomicCAS((unsigned long long *)box.looked, last, now) != last) return false;
  if (*(volatile const int *)box.stop) *(volatile int *)box.failed = 1;
  return *(volatile int *)box.failed;
}

// Until `there` says so, with looks `sleep` ns apart. False: given up.
template <class look>
inline __device__ bool await(const tw_mailbox &box, uint32_t sleep, look there) {
  uint64_t start = 0;
  for (uint32_t polls = 1; !there(); polls++) {
    __nanosleep(sleep);
    if (polls % 256 == 0 && gives_up(box, &start)) return false;
  }
  return true;
}

// One thread. False: the other party's part does not come. A look that acquires would, again and again, hold up what
// the multiprocessor's other block fences: only the last one does.
inline __device__ bool await_flag(const tw_mailbox &box, const uint64_t *flag, uint64_t wanted, uint32_t sleep = 20) {
  return await(box, sleep, [&] { return load_shared_word(flag) >= wanted; }) && load_acquiring(flag) >= wanted;
}
inline __device__ bool await_barrier(const tw_mailbox &box, uint64_t *barrier, uint32_t parity = 0) {
  return await(box, 20, [&] { return has_arrived(barrier, parity); });
}

struct exchange_args {
  tw_device_message message;
  tw_mailbox box;
  uint64_t number;
  uint64_t *digests;
  int rounds, alone;  // alone: no other half's exchange may have to come up beside this one
};

// A kernel that waits for the other party lets later ones come up early only when it is alone: they would hold the
// multiprocessors that another half's exchange needs, for which the other party may be waiting.
inline __device__ bool begin_exchange(const exchange_args &a) {
  if (a.alone)
    tw_begin();
  else
    tw_await_earlier();
  return may_send(a.box);
}

}  // namespace

#endif
