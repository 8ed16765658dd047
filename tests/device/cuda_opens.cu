// Opens between two mailboxes of one GPU against the host's packing and sums: cuda_opens [check | small]. Fresh random
// shares and masks of many widths, lengths and numbers of sequences; small: each mailbox is wired to itself, so that no
// kernel waits for another one (compute-sanitizer runs them one at a time).
#include <cuda_runtime.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/device_opens.h"
#include "kernels/digest.h"
extern "C" {
#include "kernels/pack.h"
}

namespace {

std::mt19937_64 generator{std::random_device{}()};

void must(bool good, const std::string &what) {
  if (good) return;
  fprintf(stderr, "cuda_opens: %s\n", what.c_str());
  exit(1);
}
void cuda(cudaError_t error) { must(error == cudaSuccess, cudaGetErrorString(error)); }
void done(tw_status status) { must(status == TW_OK, tw_error_message()); }

template <class type>
type *on_device(size_t n) {
  type *p;
  cuda(cudaMalloc(&p, n * sizeof(type) + 16));
  cuda(cudaMemset(p, 0, n * sizeof(type) + 16));
  return p;
}

uint64_t *on_host(size_t n) {
  uint64_t *p;
  cuda(cudaHostAlloc(&p, 8 * n, cudaHostAllocMapped));
  memset(p, 0, 8 * n);
  return p;
}

struct one_open {
  tw_device_open open;
  std::vector<uint64_t> share, mask;
};

// A message of one side in device memory, and what it was made from.
struct side {
  std::vector<one_open> opens;
  tw_device_message message;
  std::vector<void *> memory;
};

uint64_t live(size_t n, size_t word) {
  size_t plane = (n + 63) / 64;
  return n % 64 && word % plane == plane - 1 ? (1ull << n % 64) - 1 : ~0ull;
}

void add_open(side *s, bool bits, int width, size_t n, uint32_t sequences, uint32_t digest) {
  one_open o;
  size_t words = bits ? width * ((n + 63) / 64) : n, all = words * sequences;
  for (size_t i = 0; i < all; i++) {
    o.share.push_back(generator());
    o.mask.push_back(generator());
  }
  uint64_t *share = on_device<uint64_t>(all), *mask = on_device<uint64_t>(all), *out = on_device<uint64_t>(all);
  cuda(cudaMemcpy(share, o.share.data(), 8 * all, cudaMemcpyHostToDevice));
  cuda(cudaMemcpy(mask, o.mask.data(), 8 * all, cudaMemcpyHostToDevice));
  cuda(cudaMemset(out, 0x5a, 8 * all));
  o.open = {};
  o.open.share = share;
  o.open.mask = mask;
  o.open.out = out;
  o.open.n = n;
  o.open.words = words;
  o.open.sequences = sequences;
  o.open.digest = digest;
  o.open.width = (uint16_t)width;
  o.open.bits = bits;
  tw_device_open_place(&o.open, s->opens.empty() ? nullptr : &s->opens.back().open);
  tw_device_message_add(&s->message, &o.open);
  s->opens.push_back(o);
  s->memory.insert(s->memory.end(), {share, mask, out});
}

uint64_t masked(const one_open &o, size_t i) {
  if (!o.open.bits) return (o.share[i] + o.mask[i]) & tw_mask(o.open.width);
  return (o.share[i] ^ o.mask[i]) & live(o.open.n, i % o.open.words);
}

// The message as the host's collector packs it.
std::vector<uint64_t> packed(const side &s) {
  std::vector<uint64_t> words(tw_device_message_words(&s.message) + 1);
  for (const one_open &o : s.opens)
    for (uint32_t q = 0; q < o.open.sequences; q++) {
      uint64_t *to = words.data() + o.open.first_word + q * o.open.message_words;
      std::vector<uint64_t> v;
      for (size_t i = 0; i < o.open.words; i++) v.push_back(masked(o, q * o.open.words + i));
      if (o.open.bits)
        std::copy(v.begin(), v.end(), to);
      else
        tw_pack(v.data(), o.open.n, o.open.width, (uint8_t *)to);
    }
  words.pop_back();
  return words;
}

void check_opened(const side &a, const side &b, const uint64_t *device_digests, const std::string &what) {
  for (size_t k = 0; k < a.opens.size(); k++) {
    const one_open &x = a.opens[k], &y = b.opens[k];
    size_t all = x.open.words * x.open.sequences;
    std::vector<uint64_t> out(all);
    cuda(cudaMemcpy(out.data(), x.open.out, 8 * all, cudaMemcpyDeviceToHost));
    for (uint32_t q = 0; q < x.open.sequences; q++) {
      for (size_t j = 0; j < x.open.words; j++) {
        size_t i = q * x.open.words + j;
        uint64_t want =
            x.open.bits ? masked(x, i) ^ masked(y, i) : (masked(x, i) + masked(y, i)) & tw_mask(x.open.width);
        must(out[i] == want, what + ": a wrong opened value");
      }
      uint64_t digest, want = tw_open_digest(x.open.bits, out.data() + q * x.open.words, x.open.words);
      cuda(cudaMemcpy(&digest, device_digests + x.open.digest + q, 8, cudaMemcpyDeviceToHost));
      must(digest == want, what + ": a wrong digest");
    }
  }
}

// digest: of the first; then of what comes behind.
void random_opens(side s[2], int sides, size_t largest, uint32_t *digest) {
  int count = 1 + (int)(generator() % 6);
  for (int i = 0; i < count; i++) {
    bool bits = generator() % 2;
    int width = 1 + (int)(generator() % (bits ? 12 : 64));
    size_t n = 1 + generator() % largest;
    uint32_t sequences = 1 + (uint32_t)(generator() % 4);
    for (int r = 0; r < sides; r++) add_open(&s[r], bits, width, n, sequences, *digest);
    *digest += sequences;
  }
}

void release(side s[2]) {
  for (int r = 0; r < 2; r++)
    for (void *p : s[r].memory) cuda(cudaFree(p));
}

enum {
  SLOT_WORDS = 3 << 19,
  DIGESTS = 128,
  TIMES = 8,  // messages of a run
  SMALL_WORDS = TW_PACKET_BYTES / 8 * TW_SMALL_PACKETS,
  FLAG_WORDS = TW_FLAG_STRIDE * TW_EXCHANGE_BLOCKS,
  WINDOW_WORDS = TW_STRANDS * TW_STRAND_WORDS
};
enum way { ROUNDS, PACKETS, STRANDS, WAYS };

struct post {
  tw_mailbox box[2], window[2];
  uint64_t *digests[2], *times[2];
  int *stop;
  cudaStream_t stream[2];
  uint64_t number;
  int turn, enqueued;  // of this run

  tw_mailbox &of(way w, int side) { return w == STRANDS ? window[side] : box[side]; }
};

void wire(post *p, bool to_itself) {
  uint64_t *data[2], *small[2], *flags[2], *window[2];
  cuda(cudaHostAlloc(&p->stop, sizeof(int), cudaHostAllocMapped));
  *p->stop = 0;
  for (int r = 0; r < 2; r++) {
    data[r] = on_device<uint64_t>(2 * SLOT_WORDS);
    small[r] = on_device<uint64_t>(2 * SMALL_WORDS);
    flags[r] = on_device<uint64_t>(FLAG_WORDS);
    window[r] = on_host(WINDOW_WORDS);
    p->digests[r] = on_device<uint64_t>(DIGESTS);
    p->times[r] = on_device<uint64_t>(2 * TIMES);
    cuda(cudaStreamCreateWithFlags(&p->stream[r], cudaStreamNonBlocking));
  }
  for (int r = 0; r < 2; r++) {
    int in = r, out = to_itself ? r : 1 - r;
    tw_mailbox b = {};
    b.sent = data[out];
    b.received = data[in];
    b.own = on_device<uint64_t>(SLOT_WORDS);
    b.sent_flags = flags[out];
    b.received_flags = flags[in];
    b.slot_words = SLOT_WORDS;
    b.blocks = b.small_blocks = to_itself ? TW_EXCHANGE_BLOCKS : 64;
    b.warps = to_itself ? TW_EXCHANGE_WARPS : TW_EXCHANGE_WARPS / 2;  // both sides at once on one GPU
    b.small_sent = small[out];
    b.small_received = small[in];
    b.base = on_device<uint64_t>(1);
    b.failed = on_device<int>(1);
    b.stop = p->stop;
    b.looked = on_device<uint64_t>(1);
    b.patience_ns = 3000000000ull;
    p->box[r] = b;
    b.sent = window[out];
    b.received = window[in];
    b.lines = on_device<uint64_t>(TW_STRANDS);
    b.turns = on_device<uint32_t>(1);
    p->window[r] = b;
  }
  p->number = 0;
  p->turn = p->enqueued = 0;
}

// Enqueued; the digests are zero.
void enqueue(post *p, side s[2], int sides, way w, bool alone) {
  int turn = alone ? TW_ALONE : TW_NO_TURN;
  if (!alone && w == STRANDS && tw_exchange_takes_turn(&s[0].message, &p->window[0])) turn = p->turn++;
  for (int r = 0; r < sides; r++) {
    tw_mailbox &b = p->of(w, r);
    b.small_packets = w == PACKETS ? TW_SMALL_PACKETS : 0;
    b.words_per_us = generator() % 2 ? 300.0 : 0.0;
    int rounds = tw_exchange_rounds(&s[r].message, 4096);
    s[r].message.times = p->times[r] + 2 * (p->enqueued % TIMES);
    done(tw_device_exchange(&s[r].message, &b, p->number, rounds, turn, p->digests[r], p->stream[r]));
  }
  p->number++;
  p->enqueued++;
}

// As a run begins.
void begin(post *p) {
  for (int r = 0; r < 2; r++) {
    cuda(cudaMemsetAsync(p->digests[r], 0, 8 * DIGESTS, p->stream[r]));
    cuda(cudaMemsetAsync(p->window[r].turns, 0, sizeof(uint32_t), p->stream[r]));
    cuda(cudaMemsetAsync(p->times[r], 0, 16 * TIMES, p->stream[r]));
  }
  p->turn = p->enqueued = 0;
}

void exchange(post *p, side s[2], int sides, way w, bool alone) {
  begin(p);
  enqueue(p, s, sides, w, alone);
  cuda(cudaDeviceSynchronize());
}

__global__ void delay_kernel(uint64_t ns) {
  uint64_t start, now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
  do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  while (now - start < ns);
}

void check_packing(side *s, const std::string &what) {
  std::vector<uint64_t> want = packed(*s), got(want.size());
  uint64_t *words = on_device<uint64_t>(want.size()), *digests = on_device<uint64_t>(DIGESTS), times[2];
  s->message.times = on_device<uint64_t>(2);
  done(tw_device_pack(&s->message, nullptr, words, nullptr));
  cuda(cudaMemcpy(got.data(), words, 8 * got.size(), cudaMemcpyDeviceToHost));
  must(got == want, what + ": packed otherwise than by the host");
  done(tw_device_unpack(&s->message, words, words, digests, nullptr));
  cuda(cudaDeviceSynchronize());
  check_opened(*s, *s, digests, what + ": unpack");
  cuda(cudaMemcpy(times, s->message.times, sizeof times, cudaMemcpyDeviceToHost));
  must(times[0] > 0 && times[1] >= times[0], what + ": times of packing and unpacking");
  cuda(cudaFree(s->message.times));
  s->message.times = nullptr;
  cuda(cudaFree(words));
  cuda(cudaFree(digests));
}

// A side's messages begin and end one after the other; nothing is written down of messages that were not there.
void check_times(const post &p, int side, const std::string &what) {
  uint64_t times[2 * TIMES], before = 1;
  cuda(cudaMemcpy(times, p.times[side], sizeof times, cudaMemcpyDeviceToHost));
  for (int i = 0; i < TIMES; i++) {
    if (i >= p.enqueued) {
      must(times[2 * i] == 0 && times[2 * i + 1] == 0, what + ": times of a message that was not there");
      continue;
    }
    must(times[2 * i] >= before && times[2 * i + 1] >= times[2 * i], what + ": times out of order");
    must(times[2 * i + 1] - times[2 * i] < 3000000000ull, what + ": a message that took seconds");
    before = times[2 * i + 1];
  }
}

void must_not_have_failed(const post &p, int sides) {
  for (int r = 0; r < sides; r++) {
    int failed;
    cuda(cudaMemcpy(&failed, p.box[r].failed, sizeof failed, cudaMemcpyDeviceToHost));
    must(!failed, "an exchange gave up");
  }
}

way random_way(post *p, const side &s) {
  way w = (way)(generator() % WAYS);
  p->box[0].small_packets = TW_SMALL_PACKETS;
  return w == PACKETS && !tw_exchange_is_small(&s.message, &p->box[0]) ? STRANDS : w;
}

// Several messages at a time, one side behind the other.
void check_random(bool to_itself, int trials, size_t largest) {
  enum { MESSAGES = 4 };
  post p;
  wire(&p, to_itself);
  int sides = to_itself ? 1 : 2;
  for (int i = 0; i < trials; i++) {
    side s[MESSAGES][2] = {};
    uint32_t digest = 0;
    std::string what = "trial " + std::to_string(i);
    for (auto &message : s) random_opens(message, sides, largest, &digest);
    check_packing(&s[0][0], what);
    begin(&p);
    cuda(cudaDeviceSynchronize());
    delay_kernel<<<1, 1, 0, p.stream[generator() % sides]>>>(generator() % 200000);
    for (auto &message : s) enqueue(&p, message, sides, random_way(&p, message[0]), to_itself);
    cuda(cudaDeviceSynchronize());
    for (int r = 0; r < sides; r++) check_times(p, r, what);
    for (auto &message : s) {
      for (int r = 0; r < sides; r++)
        check_opened(message[r], to_itself ? message[r] : message[1 - r], p.digests[r], what);
      release(message);
    }
    if (i % 7 == 6)  // as between runs
      for (int r = 0; r < sides; r++) done(tw_device_exchange_advance(&p.box[r], p.number, p.stream[r]));
    if (i % 7 == 6) p.number = 0;
  }
  must_not_have_failed(p, sides);
}

// A message that goes at least three times around every strand of so many blocks.
enum { PLANES = 12, BLOCK_STRANDS = 8, DEEP_WORDS = 3 * TW_STRAND_WORDS * BLOCK_STRANDS };  // of a block
void check_deep(bool to_itself, int blocks) {
  post p;
  wire(&p, to_itself);
  int sides = to_itself ? 1 : 2;
  side s[2] = {};
  for (int r = 0; r < sides; r++) {
    p.window[r].small_blocks = blocks;
    add_open(&s[r], true, PLANES, (size_t)64 * DEEP_WORDS * blocks / PLANES, 1, 0);
  }
  for (int i = 0; i < 2; i++) {
    exchange(&p, s, sides, STRANDS, to_itself);
    for (int r = 0; r < sides; r++) check_opened(s[r], to_itself ? s[r] : s[1 - r], p.digests[r], "a deep message");
  }
  must_not_have_failed(p, sides);
  release(s);
}

// Large messages of two halves, each with mailboxes of its own: whichever half is late, they go in turn.
void check_halves(int trials) {
  enum { LANES = 2, MESSAGES = 4, BLOCKS = 16 };
  post p[LANES];
  for (post &half : p) wire(&half, false);
  for (int r = 0; r < 2; r++) {
    p[1].window[r].turns = p[0].window[r].turns;
    for (post &half : p) half.window[r].small_blocks = 2 * BLOCKS;
  }
  for (int i = 0; i < trials; i++) {
    side s[MESSAGES][2] = {};
    int large = 0;
    uint32_t digest[LANES] = {};
    for (int m = 0; m < MESSAGES; m++) {
      random_opens(s[m], 2, m % 3 ? 60000 : 3000, &digest[m % LANES]);
      large += tw_exchange_takes_turn(&s[m][0].message, &p[0].window[0]);
    }
    for (post &half : p) begin(&half);
    cuda(cudaDeviceSynchronize());
    delay_kernel<<<1, 1, 0, p[generator() % LANES].stream[generator() % 2]>>>(generator() % 200000);
    for (int m = 0, turn = 0; m < MESSAGES; m++) {
      p[m % LANES].turn = turn;
      enqueue(&p[m % LANES], s[m], 2, STRANDS, false);
      turn = p[m % LANES].turn;
    }
    cuda(cudaDeviceSynchronize());
    for (int r = 0; r < 2; r++) {
      uint32_t turns;
      cuda(cudaMemcpy(&turns, p[0].window[r].turns, sizeof turns, cudaMemcpyDeviceToHost));
      must(turns == (uint32_t)large * TW_STRANDS, "large messages were counted wrong");
      for (int m = 0; m < MESSAGES; m++) check_opened(s[m][r], s[m][1 - r], p[m % LANES].digests[r], "two halves");
    }
    for (auto &message : s) release(message);
  }
  for (post &half : p) must_not_have_failed(half, 2);
}

std::vector<uint64_t> sent_by(const post &p) {
  std::vector<uint64_t> all(2 * SLOT_WORDS + 2 * SMALL_WORDS + WINDOW_WORDS);
  cuda(cudaMemcpy(all.data(), p.box[0].sent, 16 * SLOT_WORDS, cudaMemcpyDefault));
  cuda(cudaMemcpy(all.data() + 2 * SLOT_WORDS, p.box[0].small_sent, 16 * SMALL_WORDS, cudaMemcpyDefault));
  cuda(
      cudaMemcpy(all.data() + 2 * SLOT_WORDS + 2 * SMALL_WORDS, p.window[0].sent, 8 * WINDOW_WORDS, cudaMemcpyDefault));
  return all;
}

// Of so many units that no strand can send all of them before it has read.
void add_lost(post *p, side *s, way w) {
  enum { BLOCKS = 16 };
  p->window[0].small_blocks = BLOCKS;
  add_open(s, true, 9, w == STRANDS ? (size_t)64 * DEEP_WORDS * BLOCKS / 9 : 100000, 1, 0);
}

// A party whose peer is silent gives up after its patience, sends nothing more, and opens nothing.
void check_silence(way w) {
  post p;
  wire(&p, false);
  p.of(w, 0).patience_ns = 20000000;
  side s[2] = {};
  add_lost(&p, s, w);
  exchange(&p, s, 1, w, true);
  int failed;
  uint64_t value;
  cuda(cudaMemcpy(&failed, p.box[0].failed, sizeof failed, cudaMemcpyDeviceToHost));
  must(failed == 1, "silence of the peer was not noticed");
  cuda(cudaMemcpy(&value, s[0].opens[0].open.out, 8, cudaMemcpyDeviceToHost));
  must(value == 0x5a5a5a5a5a5a5a5aull, "something was opened without the peer");
  std::vector<uint64_t> sent = sent_by(p);
  exchange(&p, s, 1, w, true);
  must(sent_by(p) == sent, "something was sent after a failure");
  release(s);
}

// A kernel that waits for a peer ends when the host says so, or when keys fail.
void check_stop(way w, bool by_keys) {
  post p;
  wire(&p, false);
  int *stop_flag;
  cuda(cudaHostAlloc(&stop_flag, sizeof *stop_flag, cudaHostAllocMapped));
  *stop_flag = 0;
  p.of(w, 0).stop_flag = stop_flag;
  p.of(w, 0).patience_ns = 1000000000000ull;
  side s[2] = {};
  add_lost(&p, s, w);
  std::thread host([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    *(volatile int *)(by_keys ? stop_flag : p.stop) = 1;
  });
  exchange(&p, s, 1, w, true);
  host.join();
  int failed;
  cuda(cudaMemcpy(&failed, p.box[0].failed, sizeof failed, cudaMemcpyDeviceToHost));
  must(failed == 1, "an exchange ended without the peer");
  release(s);
}

}  // namespace

int main(int argc, char **argv) {
  bool small = argc > 1 && strcmp(argv[1], "small") == 0;
  check_random(true, small ? 4 : 30, 3000);
  check_deep(true, small ? 1 : 4);
  if (!small) {
    check_deep(false, 20);
    check_random(false, 60, 2000);
    check_random(false, 12, 60000);
    check_halves(20);
  }
  for (way w : {ROUNDS, PACKETS, STRANDS}) {
    check_silence(w);
    check_stop(w, false);
    check_stop(w, true);
  }
  puts("cuda_opens: packed as the host packs, opened what it opens, silence and a stop noticed");
  return 0;
}
