// Openings through memory of the host that both GPUs reach. It is fast only while what is written stays in the
// processor's cache until it is read; a read waits behind all others that are under way, reads starve behind writes
// that fill the way, and looking again and again for what is about to be written holds up its writing. So a message
// goes by strands, each a ring of a few lines and a pair of warps in either party: one packs a part of the message and
// sends it, frame after frame at a pace; the other looks for a frame of the other party when BEHIND later ones have
// been sent, so that as many bytes are read as are written, and what is looked for is there. Where many warps wait,
// they look rarely. Large messages of two halves are sent one after the other, in the order in which both parties
// recorded them: side by side they would end together, and neither half's gates would fill the other's wait.
//
// Every packet of 16 bytes says whether it is there: 127 bits are the message's and one tells odd laps of the ring from
// even ones. So nothing is fenced, and no flag is waited for. A line that is used is written to its end, so that every
// packet is written in every lap. Nor is anything acknowledged: frame f is sent when all but LAG before it have been
// read, and who has read frame g knows that the other party has read all but LAG before g. Nor does a packet say which
// message it is of: both parties enqueue the same ones, as the transcripts that they compare at the end show.
#include "kernels/cuda/exchange/opens.h"

namespace {

enum { PAIRS = 8, THREADS = 2 * 32 * PAIRS };           // of a block
enum { LINE = 16, LINE_PACKETS = 8, FRAME_LINES = 4 };  // words and packets of a line: 128 bytes; lines of a frame
enum { FRAME = 127 };  // half words of the message in a frame: 127 bits in each of its 32 packets
enum { LINES = TW_STRAND_WORDS / LINE, LAG = 3, BEHIND = 2 };
// Who sends frame f has read frame f - LAG - 1, whose sender had read all up to f - 2 LAG - 2.
static_assert(LINES / FRAME_LINES >= 2 * LAG + 2, "frames that the other party may not have read are not written over");
enum { SENT = 512, GOT = 128 };  // words of a strand: sent but not opened; received
static_assert((LAG + 2) * (FRAME + 1) / 2 + 2 * UNIT <= SENT && FRAME / 2 + UNIT <= GOT, "words that are needed stay");
static_assert(BEHIND <= LAG, "what is waited for can be sent");
enum { LEAD_NS = 3000 };                                // a warp may be before its pace, and need not make up for more
enum { LEAST_STRANDS = 64 };                            // unless a message has fewer units
enum { FEW = LEAST_STRANDS };                           // warps that may look for what they wait for again and again
enum { LEAST_SLEEP_NS = 1000, MOST_SLEEP_NS = 32000 };  // between looks of more warps

struct strand_args {
  exchange_args of;
  uint32_t words;  // of the message
  uint32_t strands;
  float cycles;  // that the message takes; 0: no pace
  int64_t lead;  // cycles
  int64_t turn;  // large messages before this one in this run; negative: takes none
};

// ---- a strand's part of the message ----

struct part {
  range units;
  uint32_t words, lines, frames;
  uint64_t earlier;  // lines before this message
};

// The unit that has a word of the message.
__device__ uint32_t unit_at(const tw_device_message &m, uint32_t word) {
  int i = 0;
  while (i + 1 < m.count && word >= m.open[i + 1].first_word) i++;
  const tw_device_open &o = m.open[i];
  uint32_t at = word - (uint32_t)o.first_word, of_sequence = (uint32_t)o.message_words, sequence = at / of_sequence;
  return o.first_unit + sequence * o.units + (at - sequence * of_sequence) / unit_words(o);
}

// Strands have as many words, but for the ends of units.
__device__ uint32_t first_unit(const strand_args &a, uint32_t strand) {
  return strand < a.strands ? unit_at(a.of.message, (uint32_t)((uint64_t)a.words * strand / a.strands))
                            : a.of.message.units;
}

__device__ part part_of_strand(const strand_args &a, uint32_t strand) {
  part p = {{first_unit(a, strand), first_unit(a, strand + 1)}, 0, 0, 0, 0};
  if (p.units.begin == p.units.end) return p;
  place first = find_unit(a.of.message, p.units.begin), last = find_unit(a.of.message, p.units.end - 1);
  p.words = (uint32_t)(word_of(last) + words_of(last, items_of(last)) - word_of(first));
  p.lines = (64 * p.words + 127 * LINE_PACKETS - 1) / (127 * LINE_PACKETS);
  p.frames = (p.lines + FRAME_LINES - 1) / FRAME_LINES;
  return p;
}

// ---- a lane's packet of a frame, and its 128 bits of the message ----

struct lane_line {
  uint32_t word;  // of the strand's ring
  uint64_t lap;   // highest bit of its packets: 1 in the first lap, since the window begins as zeros, 0 in the next
  bool used;
};
__device__ uint32_t lines_of(const part &p, uint32_t frame) {
  uint32_t left = p.lines - FRAME_LINES * frame;
  return left < FRAME_LINES ? left : (uint32_t)FRAME_LINES;
}
__device__ lane_line line_of(const part &p, uint32_t frame) {
  uint32_t lane = threadIdx.x % 32, in_message = FRAME_LINES * frame + lane / LINE_PACKETS;
  uint64_t line = p.earlier + in_message;
  return {(uint32_t)(line % LINES) * LINE + 2 * (lane % LINE_PACKETS), ~(line / LINES) & 1, in_message < p.lines};
}

// Lane l's packet begins with the last l bits before its own 128, and leaves its own last l + 1 to the next lane's. Of
// the last lane's bits the upper half word is the next frame's.
__device__ packet cut(packet own, uint64_t lap) {
  uint32_t l = threadIdx.x % 32;
  uint64_t before = __shfl_up_sync(~0u, own.high, 1);
  uint64_t low = own.low << l | (l ? before >> (64 - l) : 0), high = own.high << l | (l ? own.low >> (64 - l) : 0);
  return {low, (high & ~0ull >> 1) | lap << 63};
}
__device__ packet join(packet p) {
  uint32_t l = threadIdx.x % 32;
  uint64_t next = __shfl_down_sync(~0u, p.low, 1), high = p.high & ~0ull >> 1;
  return {p.low >> l | (l ? high << (64 - l) : 0), high >> l | next << (63 - l)};
}

// ---- packing and sending ----

enum { AHEAD = 2 };

// What has been packed of a part, and which units' shares and masks it has loaded ahead.
struct packer {
  place at, far;
  lane_part next[AHEAD];
  lane_plan plan;
  uint32_t loaded, words, frames;
  uint64_t *stage;  // [SENT], by the word's number
};

__device__ void load_next(const part &p, packer *w, lane_part *to) {
  if (w->loaded == p.units.end) return;
  load_part(w->far, to);
  if (++w->loaded < p.units.end) move_on(&w->far, 1);
}

__device__ packer begin_packing(const strand_args &a, const part &p, uint64_t *stage) {
  place first = find_unit(a.of.message, p.units.begin);
  packer w = {first, first, {}, {}, p.units.begin, 0, 0, stage};
  for (lane_part &l : w.next) load_next(p, &w, &l);
  return w;
}

__device__ void pack_next(const part &p, packer *w, uint64_t *scratch) {
  uint32_t lane = threadIdx.x % 32, count = words_of(w->at, items_of(w->at));
  uint64_t word[2];
  plan_lane(w->at.open, &w->plan);
  pack_unit(w->at, w->plan, w->next[0], scratch, word);
  for (int i = 0; i < AHEAD - 1; i++) w->next[i] = w->next[i + 1];
  load_next(p, w, &w->next[AHEAD - 1]);
  for (int i = 0; i < 2; i++)
    if (lane + 32 * i < count) w->stage[(w->words + lane + 32 * i) % SENT] = word[i];
  w->words += count;
  if (w->words < p.words) move_on(&w->at, 1);
}

__device__ void pack_frame(const part &p, packer *w, uint64_t *scratch) {
  while (w->words < p.words && 2 * w->words < FRAME * (w->frames + 1)) pack_next(p, w, scratch);
}

// By the multiprocessor's clock. Strands of a message end together, however long their parts are.
struct pacer {
  float cycles_per_line;  // of this strand
  int64_t due;            // the next frame

  __device__ void await_due(const strand_args &a) {
    int64_t late = clock64() - due - a.lead;
    if (late > 0) due += late;
    while (clock64() < due) __nanosleep(50);
  }
  __device__ void has_sent(uint32_t lines) { due += (int64_t)(cycles_per_line * (float)lines); }
};

__device__ pacer begin_pace(const strand_args &a, const part &p, uint32_t strand) {
  float cycles = a.cycles / (float)p.lines, frame = cycles * (float)lines_of(p, 0);
  return {cycles, clock64() - a.lead + (int64_t)(frame * (float)strand / (float)a.strands)};
}

// A word of which `first` and `first + 1` are the half words; past the part's end nothing.
__device__ uint64_t staged(const part &p, const packer &w, uint32_t first) {
  const uint32_t *half = (const uint32_t *)w.stage;
  uint64_t low = first < 2 * p.words ? half[first % (2 * SENT)] : 0;
  uint64_t high = first + 1 < 2 * p.words ? half[(first + 1) % (2 * SENT)] : 0;
  return high << 32 | low;
}

__device__ void send_frame(const strand_args &a, const part &p, packer *w, uint64_t *ring, uint64_t *scratch,
                           pacer *pace) {
  uint32_t first = FRAME * w->frames + 4 * (threadIdx.x % 32);
  pack_frame(p, w, scratch);
  __syncwarp();
  lane_line l = line_of(p, w->frames);
  packet cut_off = cut({staged(p, *w, first), staged(p, *w, first + 2)}, l.lap);
  pace->await_due(a);
  if (l.used) store_packet(ring + l.word, cut_off);
  pace->has_sent(lines_of(p, w->frames++));
}

// ---- receiving and opening ----

__device__ packet look_for(const part &p, uint32_t frame, const uint64_t *ring) {
  lane_line l = line_of(p, frame);
  return l.used ? load_packet(ring + l.word) : packet{};
}
__device__ bool is_missing(const lane_line &l, const packet &got) { return l.used && got.high >> 63 != l.lap; }
__device__ bool is_there(const part &p, uint32_t frame, const packet &got) {
  return !__any_sync(~0u, is_missing(line_of(p, frame), got));
}

// Until the frame is there; false: given up. Unless few warps wait, all lanes look once more, and then one until its
// packet is there.
__device__ bool await_frame(const strand_args &a, const part &p, uint32_t frame, bool rarely, const uint64_t *ring,
                            packet *got) {
  uint64_t start = 0;
  uint32_t sleep = LEAST_SLEEP_NS, last = 0;
  lane_line l = line_of(p, frame);
  for (uint32_t polls = 1;; polls++) {
    bool missing = is_missing(l, *got);
    uint32_t who = __ballot_sync(~0u, missing);
    if (!who) return true;
    if (polls % (rarely ? 16 : 256) == 0 && __any_sync(~0u, gives_up(a.of.box, &start))) return false;
    uint32_t first = (uint32_t)__ffs((int)who) - 1;
    bool all_lanes = a.strands <= FEW || polls == 1 || first != last;
    if (rarely && !all_lanes) {
      __nanosleep(sleep);
      if (sleep < MOST_SLEEP_NS) sleep *= 2;
    }
    if (missing && (all_lanes || threadIdx.x % 32 == first)) *got = load_packet(ring + l.word);
    last = first;
  }
}

// False: given up; else frame 0 is there or will be soon. Of many warps that do not find it at once, the first of a
// block looks on, and the others look again when that one has seen the other party's beginning. begun: a barrier.
__device__ bool await_beginning(const strand_args &a, const part &p, const uint64_t *ring, uint64_t *begun,
                                packet *got) {
  if (a.strands <= FEW || threadIdx.x < 64) {
    bool there = await_frame(a, p, 0, false, ring, got);
    if (threadIdx.x == 32) arrive_single(begun);
    return there;
  }
  if (is_there(p, 0, *got)) return true;
  if (__any_sync(~0u, !await(a.of.box, 100, [&] { return has_arrived(begun); }))) return false;
  *got = look_for(p, 0, ring);
  return true;
}

// What has been opened of a part.
struct opener {
  place at;
  lane_plan plan;
  uint32_t words, frames;
  const uint64_t *own;  // [SENT]
  uint64_t *stage;      // [GOT]
};

// Opened values of the unit; the sum of their digest's terms.
__device__ uint64_t open_unit(const opener &w) {
  const tw_device_open &o = *w.at.open;
  uint32_t items = items_of(w.at);
  uint64_t first = (uint64_t)w.at.unit * UNIT, digest = 0, *out = o.out + w.at.sequence * o.words + first;
  for (int i = 0; i < 2; i++) {
    uint32_t j = threadIdx.x % 32 + 32 * i;
    if (j >= items) break;
    uint64_t v =
        o.bits ? w.own[(w.words + j) % SENT] ^ w.stage[(w.words + j) % GOT]
               : (unpacked<SENT>(w.plan, w.own, i, w.words) + unpacked<GOT>(w.plan, w.stage, i, w.words)) & w.plan.ring;
    out[j] = v;
    digest += o.bits ? tw_plane_digest_term(v, first + j) : tw_open_digest_term(v, first + j);
  }
  return digest;
}

__device__ void open_next(const strand_args &a, const part &p, opener *w, digest_sum *d) {
  plan_lane(w->at.open, &w->plan);
  add_digest(a.of.digests, w->at, open_unit(*w), nullptr, ~0u, d);
  w->words += words_of(w->at, items_of(w->at));
  if (w->words < p.words) move_on(&w->at, 1);
}

__device__ void open_frame(const strand_args &a, const part &p, opener *w, packet got, digest_sum *d) {
  uint32_t lane = threadIdx.x % 32, first = FRAME * w->frames + 4 * lane, *half = (uint32_t *)w->stage;
  packet bits = join(got);
  half[first % (2 * GOT)] = (uint32_t)bits.low;
  half[(first + 1) % (2 * GOT)] = (uint32_t)(bits.low >> 32);
  half[(first + 2) % (2 * GOT)] = (uint32_t)bits.high;
  if (lane < 31) half[(first + 3) % (2 * GOT)] = (uint32_t)(bits.high >> 32);
  w->frames++;
  __syncwarp();
  uint32_t there = FRAME * w->frames / 2;
  if (there > p.words) there = p.words;
  while (w->words < p.words && w->words + words_of(w->at, items_of(w->at)) <= there) open_next(a, p, w, d);
  __syncwarp();
}

// ---- both ----

enum { PHASES = 8 };
static_assert(PHASES >= 2 * LAG + 2, "a phase that is waited for is not taken for the one before it");
struct strand_state {
  uint64_t own[SENT], got[GOT], scratch[UNIT];
  uint64_t sent[PHASES], opened[PHASES];  // barriers, of frames f, f + PHASES, .. in turn
};

// False: given up.
__device__ bool await_frame_end(const strand_args &a, uint64_t *barriers, uint32_t frame) {
  return !__any_sync(~0u, !await_barrier(a.of.box, &barriers[frame % PHASES], frame / PHASES % 2));
}
__device__ bool has_ended(uint64_t *barriers, uint32_t frame) {
  return __all_sync(~0u, has_arrived(&barriers[frame % PHASES], frame / PHASES % 2));
}
__device__ void end_frame(uint64_t *barriers, uint32_t frame) { arrive_single(&barriers[frame % PHASES]); }

// Every large message adds TW_STRANDS to the turns: each strand 1, the first also for those that the message does not
// have. False: given up.
__device__ bool await_turn(const strand_args &a) {
  if (a.turn <= 0) return true;
  uint32_t wanted = (uint32_t)a.turn * TW_STRANDS;
  return !__any_sync(~0u, !await(a.of.box, 100, [&] { return *(volatile uint32_t *)a.of.box.turns >= wanted; }));
}
__device__ void end_turn(const strand_args &a, uint32_t strand) {
  if (a.turn >= 0 && threadIdx.x % 32 == 0) atomicAdd(a.of.box.turns, strand ? 1 : TW_STRANDS + 1 - a.strands);
}

__device__ bool send_part(const strand_args &a, const part &p, uint32_t strand, strand_state *s) {
  uint64_t *ring = a.of.box.sent + (size_t)TW_STRAND_WORDS * strand;
  packer w = begin_packing(a, p, s->own);
  if (!await_turn(a)) return false;
  pacer pace = begin_pace(a, p, strand);
  for (uint32_t frame = 0; frame < p.frames; frame++) {
    if (frame > LAG && !await_frame_end(a, s->opened, frame - LAG - 1)) return false;
    send_frame(a, p, &w, ring, s->scratch, &pace);
    end_frame(s->sent, frame);
  }
  end_turn(a, strand);
  return true;
}

// The frame that has been sent when this one is looked for.
__device__ uint32_t sent_before(const part &p, uint32_t frame, bool many) {
  uint32_t behind = many ? (uint32_t)BEHIND : 0;
  return frame + behind < p.frames ? frame + behind : p.frames - 1;
}

__device__ bool receive_part(const strand_args &a, const part &p, uint32_t strand, strand_state *s, uint64_t *begun) {
  const uint64_t *ring = a.of.box.received + (size_t)TW_STRAND_WORDS * strand;
  place first = find_unit(a.of.message, p.units.begin);
  opener w = {first, {}, 0, 0, s->own, s->got};
  digest_sum d = {0, first.open->digest + first.sequence};
  bool many = a.strands > FEW, looked = false;
  packet got = {};
  for (uint32_t frame = 0; frame < p.frames; frame++) {
    if (!looked) {
      if (!await_frame_end(a, s->sent, sent_before(p, frame, many))) return false;
      got = look_for(p, frame, ring);
    }
    if (frame == 0 && !await_beginning(a, p, ring, begun, &got)) return false;
    if (!await_frame(a, p, frame, many, ring, &got)) return false;
    packet now = got;
    looked = frame + 1 < p.frames && has_ended(s->sent, sent_before(p, frame + 1, many));
    if (looked) got = look_for(p, frame + 1, ring);
    open_frame(a, p, &w, now, &d);
    end_frame(s->opened, frame);
  }
  add_sum(a.of.digests, nullptr, ~0u, &d);
  if (threadIdx.x % 32 == 0) {
    a.of.box.lines[strand] = p.earlier + p.lines;
    note_end(a.of.message);
  }
  return true;
}

__global__ void __launch_bounds__(THREADS, 1) exchange_strands_kernel(const __grid_constant__ strand_args a) {
  __shared__ strand_state state[PAIRS];
  __shared__ uint64_t begun;
  uint32_t pair = threadIdx.x / 64, strand = blockIdx.x + gridDim.x * pair;
  bool receives = threadIdx.x / 32 % 2;
  strand_state *s = &state[pair];
  if (threadIdx.x == 0) make_barrier(&begun, 1);
  if (threadIdx.x % 64 < PHASES) {
    make_barrier(&s->sent[threadIdx.x % 64], 32);
    make_barrier(&s->opened[threadIdx.x % 64], 32);
  }
  part p = {};
  if (strand < a.strands) p = part_of_strand(a, strand);  // ahead of earlier work's end
  __syncthreads();
  if (__any_sync(~0u, !begin_exchange(a.of))) return;
  note_begin(a.of.message);
  if (p.lines == 0) return;
  p.earlier = a.of.box.lines[strand];
  if (receives ? !receive_part(a, p, strand, s, &begun) : !send_part(a, p, strand, s))
    *(volatile int *)a.of.box.failed = 1;
}

// Words of a unit, at most.
size_t most_words(const tw_device_message *m) {
  size_t most = 1;
  for (int i = 0; i < m->count; i++)
    if (unit_words(m->open[i]) > most) most = unit_words(m->open[i]);
  return most;
}

// A block takes a multiprocessor.
size_t blocks_of(const tw_mailbox *box, bool alone) {
  size_t most = (size_t)box->small_blocks / (alone ? 1 : 2), wanted = TW_STRANDS / PAIRS;
  return most == 0 ? 1 : most < wanted ? most : wanted;
}

// Of many strands, or of a message that takes a turn, none is empty: they have more words than a unit.
size_t strands_of(const tw_device_message *m, const tw_mailbox *box, bool alone) {
  size_t strands = tw_device_message_words(m) / most_words(m), most = PAIRS * blocks_of(box, alone);
  if (strands < LEAST_STRANDS) strands = LEAST_STRANDS;
  if (strands > m->units) strands = m->units;
  return strands < most ? strands : most;
}

}  // namespace

// Whether a strand's part may exceed LAG frames; what does not is sent before anything is read. Parts end with units.
extern "C" int tw_exchange_takes_turn(const tw_device_message *message, const tw_mailbox *box) {
  if (!box->turns || message->units == 0) return 0;
  return 2 * (tw_device_message_words(message) / strands_of(message, box, false) + UNIT) > FRAME * LAG;
}

tw_status tw_enqueue_strands(const tw_device_message *message, const tw_mailbox *box, int turn, uint64_t *digests,
                             void *stream) {
  bool alone = turn == TW_ALONE;
  size_t words = tw_device_message_words(message), strands = strands_of(message, box, alone);
  size_t blocks = blocks_of(box, alone);
  if (words > UINT32_MAX / 64) return tw_fail(TW_ERR_RANGE, "a message of %zu words; use a smaller batch", words);
  if (blocks > strands) blocks = strands;
  static int khz;  // asked once: the driver takes long to answer
  if (khz == 0) {
    int device;
    TW_CUDA(cudaGetDevice(&device));
    TW_CUDA(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, device));
  }
  strand_args a = {};
  a.of = {*message, *box, 0, digests, 1, alone};  // number and rounds: for other ways
  a.turn = turn;
  a.words = (uint32_t)words;
  a.strands = (uint32_t)strands;
  if (box->words_per_us > 0) a.cycles = (float)(1e-3 * khz * (double)words * 128 / 127 / box->words_per_us);
  a.lead = (int64_t)LEAD_NS * khz / 1000000;
  return tw_enqueue(exchange_strands_kernel, dim3((unsigned)blocks), THREADS, 0, stream, a);
}
