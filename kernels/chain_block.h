// What a thread of a block does on a tile's way through a chain (kernels/chain_steps.h). CUDA compiles it for a GPU
// (kernels/cuda/chains/chain_run.cu), tests compile it for threads of their own making (tests/common/blocks_here.c).
// Whoever includes this has said before how threads of a block meet:
// clang-format off
//   TW_BLOCK, TW_BLOCK_ONCE        how a function is declared, and one whose code stands once
//   TW_UNROLL, TW_SEVERAL, TW_ROLLED  that the loop behind it has no jumps, a few turns' code, or one turn's
//   TW_BLOCK_THREADS               threads of a block, a multiple of 32
//   TW_BLOCK_LOOKS                 looks for a packet between two questions whether to give up
//   block_thread()                 which thread this is
//   block_any(x)                   waits for all threads of the block: whether x is true in one of them
//   lanes_vote(x)                  x of all lanes of the warp, a bit each
//   lanes_xor(v)                   XOR of v, 32 bits, over the warp's lanes
//   lane_value(v, lane)            v, 64 bits, of another lane
//   fetch_later(to, from)          8 bytes of the GPU's memory into the block's: there behind this thread's fetch_wait()
//   tw_packet                      low and high half, 16 bytes
//   put_packet(to, packet), get_packet(from), set_whole_bit(word, mask, bit)   memory that others write, too
//   gives_up(launch, &start)       whether to wait no longer
//   say_failed(launch)             so that all others wait no longer either
//   add_to_sum(sum, v)             mod 2^64, to memory that others add to, too
//   xor_into(word, v)              into the block's memory, where other threads do so, too
//   note_time(launch, tile, step)  before each step of a tile, and behind the last
// clang-format on
// Inside of a step only lanes of one warp meet, and all threads of products of bits.
#ifndef TW_CHAIN_BLOCK_H
#define TW_CHAIN_BLOCK_H

#include "kernels/chain_steps.h"
#include "kernels/digest.h"

typedef struct {
  const tw_chain_launch *launch;
  uint32_t block, number, sequence, tile;  // number: of all tiles; tile: of its sequence's
  uint64_t count;                          // of the tile's round 0
} tw_block_tile;
typedef uint32_t __attribute__((may_alias)) tw_half;  // of a word, the low half first

TW_BLOCK uint32_t block_lane(void) { return block_thread() % 32; }

// Many instructions, of which the kernel has few.
TW_BLOCK_ONCE uint32_t block_over(uint32_t a, uint32_t b) { return a / b; }

TW_BLOCK_ONCE uint64_t lanes_sum(uint64_t v) {
  TW_ROLLED for (uint32_t step = 16; step; step /= 2) v += lane_value(v, block_lane() ^ step);
  return v;
}

// Both halves: bit i of lane k's is bit k of lane i's.
TW_BLOCK_ONCE uint64_t lanes_transposed(uint64_t v) {
  uint64_t kept = 0x0000ffff0000ffffull;  // in lanes whose number has no `step`: bits whose place has none
  TW_ROLLED for (uint32_t step = 16; step; step /= 2, kept ^= kept << step) {
    uint64_t other = lane_value(v, block_lane() ^ step);
    v = block_lane() & step ? (v & ~kept) | (other >> step & kept) : (v & kept) | (other << step & ~kept);
  }
  return v;
}

// Lanes that work together on n elements: a power of two, a warp at most.
TW_BLOCK uint32_t lanes_for(uint32_t n) {
  uint32_t lanes = 1;
  TW_ROLLED while (lanes < n && lanes < 32) lanes *= 2;
  return lanes;
}

// ---- between a tile and whole tensors

TW_BLOCK_ONCE size_t whole_place(const tw_step_move *m, uint32_t tile, uint32_t j) {
  uint32_t o = (uint32_t)(j * m->over_run >> 32), rest = j - o * m->rows * m->inner;
  return ((size_t)o * m->all + (m->all > m->rows ? tile * m->rows : 0)) * m->inner + rest;
}

// Small moves are one warp's, each another one's: their memory is waited for at the same time.
typedef struct {
  uint32_t thread, threads;
} tw_team;

TW_BLOCK uint32_t is_elsewhere(const tw_step_move *m) {
  return m->warp && (m->warp - 1) % (TW_BLOCK_THREADS / 32) != block_thread() / 32;
}

TW_BLOCK tw_team team_of(const tw_step_move *m) {
  tw_team team = {m->warp ? block_lane() : block_thread(), m->warp ? 32 : TW_BLOCK_THREADS};
  return team;
}

TW_BLOCK uint64_t *whole_of(const tw_step_move *m, const tw_block_tile *t) {
  return m->whole + t->sequence * m->sequence_words;
}

enum { LONG_RUN = 16 };

// Runs of a tile that are long in the whole, too: a thread makes a word.
TW_BLOCK void gather_words(const tw_step_move *m, const tw_block_tile *t, uint32_t n) {
  uint32_t words = (n + 63) / 64, run = m->rows * m->inner;
  tw_team team = team_of(m);
  TW_ROLLED for (uint32_t i = team.thread; i < m->planes * words; i += team.threads) {
    uint32_t p = i / words, first = 64 * (i - p * words), last = first + 64 < n ? first + 64 : n, taken;
    const uint64_t *plane = whole_of(m, t) + p * m->whole_words;
    uint64_t word = 0;
    TW_ROLLED for (uint32_t j = first; j < last; j += taken) {
      taken = run - (j - (uint32_t)(j * m->over_run >> 32) * run);
      if (taken > last - j) taken = last - j;
      word |= (tw_bits_from(plane, m->whole_words, whole_place(m, t->tile, j)) & tw_low_bits(taken)) << (j - first);
    }
    m->tile[i] = word;
  }
}

// Bits that lie apart: a lane reads one, several words of the whole under way at once.
TW_BLOCK void gather_bits(const tw_step_move *m, const tw_block_tile *t, uint32_t n) {
  enum { AHEAD = 4 };
  tw_team team = team_of(m);
  const uint64_t *whole = whole_of(m, t);
  uint32_t lanes = lanes_for(n), chunks = (n + 31) / 32, words = (n + 63) / 64, groups = team.threads / lanes;
  uint32_t group = team.thread / lanes, lane = team.thread % lanes, items = m->planes * chunks;
  TW_ROLLED for (uint32_t first = group; first < items + group; first += AHEAD * groups) {
    uint32_t bits = 0;
    TW_UNROLL for (uint32_t k = 0; k < AHEAD; k++) {
      uint32_t i = first + k * groups, p = chunks == 1 ? i : i / chunks, j = 32 * (i - p * chunks) + lane;
      if (i < items && j < n)
        bits |= (uint32_t)tw_plane_bit(whole + p * m->whole_words, whole_place(m, t->tile, j)) << k;
    }
    TW_ROLLED for (uint32_t k = 0; k < AHEAD; k++) {
      uint32_t i = first + k * groups, p = chunks == 1 ? i : i / chunks, chunk = i - p * chunks;
      uint32_t part = lanes_vote(bits >> k & 1) >> (block_lane() - lane);
      if (i >= items || lane) continue;
      if (lanes < 32) part &= (1u << lanes) - 1;
      if (chunk % 2 == 0 && chunk + 1 == chunks)
        m->tile[p * words + chunk / 2] = part;
      else
        ((tw_half *)m->tile)[2 * p * words + chunk] = part;
    }
  }
}

TW_BLOCK void gather_planes(const tw_step_move *m, const tw_block_tile *t, uint32_t n) {
  if (m->rows * m->inner >= LONG_RUN)
    gather_words(m, t, n);
  else
    gather_bits(m, t, n);
}

TW_BLOCK void gather(const tw_step_move *m, const tw_block_tile *t) {
  uint32_t n = m->outer * m->rows * m->inner;
  if (is_elsewhere(m)) return;
  if (m->planes) {
    gather_planes(m, t, n);
    return;
  }
  const uint64_t *whole = whole_of(m, t);
  TW_ROLLED for (uint32_t j = block_thread(); j < n; j += TW_BLOCK_THREADS)
      fetch_later(&m->tile[j], &whole[whole_place(m, t->tile, j)]);
}

TW_BLOCK int is_straight(const tw_chain_step *s) { return s->kind == TW_STEP_GATHER && s->as.move.straight; }

// This step and those behind it that fetch what lies side by side: the last of them. Element j by thread j.
TW_BLOCK const tw_chain_step *fetch(const tw_chain_step *s, const tw_chain_step *end, const tw_block_tile *t) {
  TW_ROLLED for (;; s++) {
    const tw_step_move *m = &s->as.move;
    const uint64_t *from = whole_of(m, t) + (size_t)t->tile * m->stride;
    TW_ROLLED for (uint32_t j = block_thread(), n = m->straight; j < n; j += TW_BLOCK_THREADS)
        fetch_later(&m->tile[j], &from[j]);
    if (!s->joined || s + 1 == end || !is_straight(s + 1)) return s;
  }
}

// Bits, into memory of all tiles, before they set out.
TW_BLOCK void pack(const tw_step_move *of_first, const tw_block_tile *t) {
  tw_step_move m = *of_first;
  uint32_t n = m.outer * m.rows * m.inner;
  m.tile += (size_t)t->number * m.planes * ((n + 63) / 64);
  gather_planes(&m, t, n);
}

TW_BLOCK void scatter(const tw_step_move *m, const tw_block_tile *t) {
  uint32_t n = m->outer * m->rows * m->inner, words = (n + 63) / 64;
  uint64_t *whole = whole_of(m, t);
  TW_ROLLED for (uint32_t i = block_thread(); i < n * (m->planes ? m->planes : 1); i += TW_BLOCK_THREADS) {
    uint32_t plane = i / n, j = i - plane * n;
    size_t at = whole_place(m, t->tile, j);
    if (m->planes == 0)
      whole[at] = m->tile[j];
    else
      set_whole_bit(whole + plane * m->whole_words + at / 64, 1ull << at % 64,
                    tw_plane_bit(m->tile + plane * words, j));
  }
}

// What planes give is linear in their bits: up to 32 that lie side by side in the whole are taken at once.
TW_BLOCK uint64_t planes_digest(const tw_step_move *m, const tw_block_tile *t, uint32_t n) {
  uint32_t run = m->rows * m->inner, parts = (run + 31) / 32, items = m->outer * parts, words = (n + 63) / 64;
  uint64_t sum = 0;
  tw_team team = team_of(m);
  TW_ROLLED for (uint32_t i = team.thread; i < m->planes * items; i += team.threads) {
    uint32_t plane = block_over(i, items), part = i - plane * items, o = parts == 1 ? part : block_over(part, parts),
             first = 32 * (part - o * parts);
    uint32_t j = o * run + first, count = run - first < 32 ? run - first : 32;
    size_t at = whole_place(m, t->tile, j), half = 2 * plane * m->whole_words + at / 32;
    uint64_t bits = (tw_bits_from(m->tile + plane * words, words, j) & tw_low_bits(count)) << at % 32;
    TW_ROLLED for (; bits; bits >>= 32, half++) sum += tw_half_digest_term(bits & UINT32_MAX, half);
  }
  return sum;
}

// As tw_tile_digest of the CPU's walk (jobs/program/tile.h); one addition a warp.
TW_BLOCK void add_digest(const tw_step_digest *d, const tw_block_tile *t) {
  const tw_step_move *m = &d->move;
  uint32_t n = m->outer * m->rows * m->inner;
  uint64_t sum = 0;
  if (is_elsewhere(m)) return;
  if (m->planes) {
    sum = planes_digest(m, t, n);
  } else {
    tw_team team = team_of(m);
    TW_ROLLED for (uint32_t j = team.thread; j < n; j += team.threads) sum +=
        tw_open_digest_term(m->tile[j], m->straight ? (size_t)t->tile * m->stride + j : whole_place(m, t->tile, j));
  }
  sum = lanes_sum(sum);
  if (block_lane() == 0 && sum) add_to_sum(d->sum + t->sequence, sum);
}

// ---- openings

TW_BLOCK uint64_t *packet_of(uint64_t *slots, const tw_block_tile *t, uint64_t count, uint32_t number) {
  uint32_t slot = t->block * TW_CHAIN_SLOTS + (uint32_t)count % TW_CHAIN_SLOTS;
  return slots + 2 * ((size_t)slot * t->launch->packets + number);
}

// Lanes behind a plane's last element stay here.
TW_BLOCK uint64_t masked_word(const tw_step_open *o, uint32_t j) {
  if (!o->bits) return (o->share[j] + o->mask[j]) & o->ring;
  uint32_t words = (o->live + 63) / 64, left = o->live - 64 * (j % words);
  return (o->share[j] ^ o->mask[j]) & tw_low_bits(left);
}

// Elements of a packet: 64 bits, or twice 48; behind them the lower half of the count.
TW_BLOCK tw_packet fill_packet(uint64_t first, uint64_t second, uint32_t paired, uint64_t count) {
  tw_packet p = {first, count << 32};
  if (!paired) return p;
  p.low |= second << TW_CHAIN_PAIRED_BITS;
  p.high |= second >> (64 - TW_CHAIN_PAIRED_BITS);
  return p;
}

TW_BLOCK uint64_t element_of(tw_packet p, uint32_t paired, uint32_t i) {
  if (!paired) return p.low;
  uint64_t v = i ? p.low >> TW_CHAIN_PAIRED_BITS | p.high << (64 - TW_CHAIN_PAIRED_BITS) : p.low;
  return v & ((1ull << TW_CHAIN_PAIRED_BITS) - 1);
}

// Element j is thread j's in every step; of two that share a packet the even one's thread sends and waits.
TW_BLOCK void send(const tw_step_open *o, const tw_block_tile *t) {
  uint64_t count = t->count + o->round;
  TW_ROLLED for (uint32_t first = 0; first < o->words; first += TW_BLOCK_THREADS) {
    uint32_t j = first + block_thread();
    uint64_t v = j < o->words ? masked_word(o, j) : 0, next = lane_value(v, (block_lane() + 1) % 32);
    if (j >= o->words) continue;
    o->out[j] = v;
    if (o->paired && j % 2) continue;
    uint64_t *to = packet_of(t->launch->sent, t, count, o->packet + (o->paired ? j / 2 : j));
    put_packet(to, fill_packet(v, next, o->paired, count));
  }
}

// Ahead of the wanted count is a twin out of step; behind it is what came before.
TW_BLOCK int await_packet(const uint64_t *from, const tw_chain_launch *a, uint64_t count, tw_packet *got) {
  uint64_t start = 0;
  TW_ROLLED for (uint32_t looks = 1;; looks++) {
    *got = get_packet(from);
    int32_t ahead = (int32_t)((uint32_t)(got->high >> 32) - (uint32_t)count);
    if (ahead == 0) return 1;
    if (ahead <= 0 && (looks % TW_BLOCK_LOOKS || !gives_up(a, &start))) continue;
    say_failed(a);
    return 0;
  }
}

// 0: the twin does not come.
TW_BLOCK int receive(const tw_step_open *o, const tw_block_tile *t) {
  uint64_t count = t->count + o->round;
  TW_ROLLED for (uint32_t first = 0; first < o->words; first += TW_BLOCK_THREADS) {
    uint32_t j = first + block_thread();
    int there = 1;
    tw_packet p = {0, 0};
    if (j < o->words && !(o->paired && j % 2)) {
      const uint64_t *from = packet_of((uint64_t *)t->launch->received, t, count, o->packet + (o->paired ? j / 2 : j));
      there = await_packet(from, t->launch, count, &p);
    }
    if (lanes_vote(!there)) return 0;
    if (o->paired) {
      p.low = lane_value(p.low, block_lane() & ~1u);
      p.high = lane_value(p.high, block_lane() & ~1u);
    }
    if (j >= o->words) continue;
    uint64_t v = element_of(p, o->paired, j % 2);
    o->out[j] = o->bits ? o->out[j] ^ v : (o->out[j] + v) & o->ring;
  }
  return 1;
}

#include "kernels/chain_bits.h"

// ---- rings

TW_BLOCK void sums(const tw_step_sums *a) {
  TW_ROLLED for (uint32_t row = block_thread() / 32; row < a->rows; row += TW_BLOCK_THREADS / 32) {
    uint64_t sum = 0;
    TW_SEVERAL for (uint32_t j = block_lane(); j < a->cols; j += 32) sum += a->x[row * a->cols + j];
    sum = lanes_sum(sum);
    if (block_lane() == 0) a->out[row] = (sum + (a->addend ? a->addend[row] : 0)) & a->ring;
  }
}

// All of them begin with rows and cols (jobs/program/tile_steps.c looks).
TW_BLOCK void elements(const tw_chain_step *s) {
  uint32_t rows = (uint32_t)s->as.shift.rows, cols = (uint32_t)s->as.shift.cols;
  TW_ROLLED for (uint32_t j = block_thread(); j < rows * cols; j += TW_BLOCK_THREADS) {
    uint32_t row = rows == 1 ? 0 : block_over(j, cols), col = j - row * cols;
    switch (s->kind) {
#define TW_ELEMENT_CASE(op)                              \
  case TW_STEP_##op:                                     \
    s->as.op.out[j] = tw_##op##_at(&s->as.op, row, col); \
    break;
      TW_CHAIN_ELEMENT_OPS(TW_ELEMENT_CASE)
      default:
        break;
    }
  }
}

// A warp an element, its lanes over the planes.
#define TW_SUMMED(op)                                                                                                  \
  TW_BLOCK void op(const tw_##op##_args *a) {                                                                          \
    uint32_t cols = (uint32_t)a->cols, n = (uint32_t)a->rows * cols, planes = (uint32_t)a->planes;                     \
    TW_ROLLED for (uint32_t j = block_thread() / 32; j < n; j += TW_BLOCK_THREADS / 32) {                              \
      uint32_t row = block_over(j, cols);                                                                              \
      uint64_t sum = 0;                                                                                                \
      TW_ROLLED for (uint32_t p = block_lane(); p < planes; p += 32) sum += tw_##op##_term(a, row, j - row * cols, p); \
      sum = lanes_sum(sum);                                                                                            \
      if (block_lane() == 0) a->out[j] = sum & a->ring;                                                                \
    }                                                                                                                  \
  }
TW_SUMMED(constants)
TW_SUMMED(sum_planes)

TW_BLOCK void zero(const tw_zero_args *args, const tw_block_tile *t, uint32_t tokens) {
  tw_zero_args a = *args;
  uint32_t rows = (uint32_t)a.rows, cols = (uint32_t)a.cols;
  if (a.live.lengths) a.live.lengths += t->sequence;
  a.live.first += (int)tokens;
  TW_ROLLED for (uint32_t j = block_thread(); j < rows * cols; j += TW_BLOCK_THREADS) {
    uint32_t row = rows == 1 ? 0 : block_over(j, cols);
    a.out[j] = tw_zero_at(&a, row, j - row * cols);
  }
}

TW_BLOCK void compute(const tw_chain_step *s, const tw_block_tile *t) {
  uint32_t turn = s->period ? t->tile % s->period : 0;
  switch (s->kind) {
#define TW_WHOLE_CASE(op) \
  case TW_STEP_##op:      \
    op(&s->as.op);        \
    return;
    TW_CHAIN_WHOLE_OPS(TW_WHOLE_CASE)
    case TW_STEP_DIGITS:
      digits(&s->as.digits);
      return;
    case TW_STEP_FEW:
      few_leaves(&s->as.few);
      return;
    case TW_STEP_LEAVES:
      leaves(&s->as.leaves);
      return;
    case TW_STEP_PRODUCTS:
      products(&s->as.products);
      return;
    case TW_STEP_kill:
      kill(&s->as.kill, t, turn * (uint32_t)s->as.kill.live.queries);
      return;
    case TW_STEP_zero:
      zero(&s->as.zero, t, turn * (uint32_t)s->as.zero.live.queries);
      return;
    case TW_STEP_SUMS:
      sums(&s->as.sums);
      return;
    case TW_STEP_DIGEST:
      add_digest(&s->as.digest, t);
      return;
    case TW_STEP_COPY:
      TW_ROLLED for (uint32_t i = block_thread(); i < s->as.copy.words; i += TW_BLOCK_THREADS) s->as.copy.to[i] =
          s->as.copy.from[i];
      return;
    default:
      return;
  }
}

// While packets are on their way: what these do waits for nothing that is fetched.
TW_BLOCK int is_beside(tw_step_kind kind) {
  return kind == TW_STEP_GATHER || kind == TW_STEP_RECEIVE || kind == TW_STEP_DIGEST;
}

// 0: the twin does not come.
TW_BLOCK int walk_tile(const tw_block_tile *t, const tw_chain_step *steps) {
  const tw_chain_step *end = steps + t->launch->count;
  int fetched = 1;
  TW_ROLLED for (const tw_chain_step *s = steps; s < end; s++) {
    int there = 1;
    note_time(t->launch, t->number, (uint32_t)(s - steps));
    if (!fetched && !is_beside(s->kind)) {
      fetch_wait();
      fetched = 1;
    }
    if (s->kind == TW_STEP_GATHER) fetched = 0;
    if (is_straight(s))
      s = fetch(s, end, t);
    else if (s->kind == TW_STEP_GATHER)
      gather(&s->as.move, t);
    else if (s->kind == TW_STEP_SCATTER)
      scatter(&s->as.move, t);
    else if (s->kind == TW_STEP_SEND)
      send(&s->as.open, t);
    else if (s->kind == TW_STEP_RECEIVE)
      there = receive(&s->as.open, t);
    else if (s->kind >= TW_STEP_ELEMENTS && s->kind < TW_STEP_BEHIND_ELEMENTS)
      elements(s);
    else
      compute(s, t);
    if (s->joined && there) continue;
    if (!fetched) fetch_wait();
    fetched = 1;
    if (block_any(!there)) return 0;
  }
  note_time(t->launch, t->number, t->launch->count);
  return 1;
}

TW_BLOCK tw_block_tile tile_of(const tw_chain_launch *a, uint32_t block, uint32_t number, uint64_t count) {
  uint32_t sequence = number / a->of_sequence;
  tw_block_tile t = {a, block, number, sequence, number - sequence * a->of_sequence, count};
  return t;
}

// Another tile failed, or there are no keys.
TW_BLOCK int is_over(const tw_chain_launch *a) {
  return *(const volatile int *)a->failed || (a->no_keys && *(const volatile int *)a->no_keys);
}

// All tiles of a block. Steps and lists are in its memory.
TW_BLOCK void walk_tiles(const tw_chain_launch *a, const tw_chain_step *steps, uint32_t block) {
  uint64_t base = a->base + (a->base_at ? *a->base_at : 0);  // fixed while a run lasts
  TW_ROLLED for (uint32_t number = block, i = 0; number < a->tiles; number += a->blocks, i++) {
    tw_block_tile t = tile_of(a, block, number, base + (uint64_t)i * a->rounds + 1);
    int over = block_any(block_thread() == 0 && is_over(a));
    if (!over && walk_tile(&t, steps)) continue;
    if (block_thread() == 0) say_failed(a);
    return;
  }
}

#endif
