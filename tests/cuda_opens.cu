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
      uint64_t digest, want = tw_open_digest(out.data() + q * x.open.words, x.open.words);
      cuda(cudaMemcpy(&digest, device_digests + x.open.digest + q, 8, cudaMemcpyDeviceToHost));
      must(digest == want, what + ": a wrong digest");
    }
  }
}

void random_opens(side s[2], int sides, size_t largest) {
  int count = 1 + (int)(generator() % 6);
  uint32_t digest = 0;
  for (int i = 0; i < count; i++) {
    bool bits = generator() % 2;
    int width = 1 + (int)(generator() % (bits ? 12 : 64));
    size_t n = 1 + generator() % largest;
    uint32_t sequences = 1 + (uint32_t)(generator() % 4);
    for (int r = 0; r < sides; r++) add_open(&s[r], bits, width, n, sequences, digest);
    digest += sequences;
  }
}

void release(side s[2]) {
  for (int r = 0; r < 2; r++)
    for (void *p : s[r].memory) cuda(cudaFree(p));
}

enum { SLOT_WORDS = 1 << 20, DIGESTS = 64, SMALL_WORDS = TW_PACKET_BYTES / 8 * TW_SMALL_PACKETS };

struct post {
  tw_mailbox box[2];
  uint64_t *digests[2];
  int *stop;
  cudaStream_t stream[2];
  uint64_t number;
};

void wire(post *p, bool to_itself) {
  uint64_t *data[2], *small[2], *flags[2];
  cuda(cudaHostAlloc(&p->stop, sizeof(int), cudaHostAllocMapped));
  *p->stop = 0;
  for (int r = 0; r < 2; r++) {
    data[r] = on_device<uint64_t>(2 * SLOT_WORDS);
    small[r] = on_device<uint64_t>(2 * SMALL_WORDS);
    flags[r] = on_device<uint64_t>(TW_FLAG_STRIDE * TW_EXCHANGE_BLOCKS);
    p->digests[r] = on_device<uint64_t>(DIGESTS);
    cuda(cudaStreamCreateWithFlags(&p->stream[r], cudaStreamNonBlocking));
  }
  for (int r = 0; r < 2; r++) {
    int in = r, out = to_itself ? r : 1 - r;
    p->box[r] = {data[out],
                 data[in],
                 on_device<uint64_t>(SLOT_WORDS),
                 flags[out],
                 flags[in],
                 SLOT_WORDS,
                 to_itself ? TW_EXCHANGE_BLOCKS : 64,
                 to_itself ? TW_EXCHANGE_WARPS : TW_EXCHANGE_WARPS / 2,  // both sides at once on one GPU
                 small[out],
                 small[in],
                 0,
                 to_itself ? TW_EXCHANGE_BLOCKS : 64,
                 on_device<uint64_t>(1),
                 on_device<int>(1),
                 nullptr,
                 p->stop,
                 on_device<uint64_t>(1),
                 3000000000ull};
  }
  p->number = 0;
}

void exchange(post *p, side s[2], int sides, bool small, bool alone) {
  for (int r = 0; r < sides; r++) {
    p->box[r].small_packets = small ? TW_SMALL_PACKETS : 0;
    cuda(cudaMemsetAsync(p->digests[r], 0, 8 * DIGESTS, p->stream[r]));
    int rounds = tw_exchange_rounds(&s[r].message, 4096);
    done(tw_device_exchange(&s[r].message, &p->box[r], p->number, rounds, alone, p->digests[r], p->stream[r]));
  }
  cuda(cudaDeviceSynchronize());
  p->number++;
}

void check_packing(side *s, const std::string &what) {
  std::vector<uint64_t> want = packed(*s), got(want.size());
  uint64_t *words = on_device<uint64_t>(want.size()), *digests = on_device<uint64_t>(DIGESTS);
  done(tw_device_pack(&s->message, nullptr, words, nullptr));
  cuda(cudaMemcpy(got.data(), words, 8 * got.size(), cudaMemcpyDeviceToHost));
  must(got == want, what + ": packed otherwise than by the host");
  done(tw_device_unpack(&s->message, words, words, digests, nullptr));
  cuda(cudaDeviceSynchronize());
  check_opened(*s, *s, digests, what + ": unpack");
  cuda(cudaFree(words));
  cuda(cudaFree(digests));
}

// Round by round, as where a copy engine fetches them; what is sent is its own answer.
void check_rounds(post *p, side *s, const std::string &what) {
  std::vector<uint64_t> want = packed(*s), got(want.size());
  uint64_t *words = on_device<uint64_t>(want.size()), *own = p->box[0].own;
  int rounds = tw_exchange_rounds(&s->message, 1 + generator() % 4096);
  cuda(cudaMemsetAsync(p->digests[0], 0, 8 * DIGESTS, p->stream[0]));
  for (int r = 0; r < rounds; r++)
    done(tw_device_send_round(&s->message, &p->box[0], p->number, rounds, r, words, p->stream[0]));
  for (int r = 0; r < rounds; r++) done(tw_device_await_round(&p->box[0], p->number, r, p->stream[0]));
  done(tw_device_unpack(&s->message, own, words, p->digests[0], p->stream[0]));
  cuda(cudaDeviceSynchronize());
  p->number++;
  for (const uint64_t *copy : {words, own}) {
    cuda(cudaMemcpy(got.data(), copy, 8 * want.size(), cudaMemcpyDeviceToHost));
    must(got == want, what + ": rounds packed otherwise than by the host");
  }
  cuda(cudaFree(words));
  check_opened(*s, *s, p->digests[0], what + ": rounds");
}

void check_random(bool to_itself, int trials, size_t largest) {
  post p;
  wire(&p, to_itself);
  int sides = to_itself ? 1 : 2;
  for (int i = 0; i < trials; i++) {
    side s[2] = {};
    random_opens(s, sides, largest);
    std::string what = "trial " + std::to_string(i);
    check_packing(&s[0], what);
    if (to_itself) check_rounds(&p, &s[0], what);
    p.box[0].small_packets = TW_SMALL_PACKETS;
    bool small = tw_exchange_is_small(&s[0].message, &p.box[0]) && generator() % 2;
    exchange(&p, s, sides, small, to_itself);
    for (int r = 0; r < sides; r++) check_opened(s[r], to_itself ? s[r] : s[1 - r], p.digests[r], what);
    if (i % 7 == 6)  // as between runs
      for (int r = 0; r < sides; r++) done(tw_device_exchange_advance(&p.box[r], p.number, p.stream[r]));
    if (i % 7 == 6) p.number = 0;
    release(s);
  }
  for (int r = 0; r < sides; r++) {
    int failed;
    cuda(cudaMemcpy(&failed, p.box[r].failed, sizeof failed, cudaMemcpyDeviceToHost));
    must(!failed, "an exchange gave up");
  }
}

// A rank whose peer is silent gives up after its patience, sends nothing more, and opens nothing.
void check_silence(bool small) {
  post p;
  wire(&p, false);
  p.box[0].patience_ns = 20000000;
  side s[2] = {};
  add_open(&s[0], false, 24, 1000, 1, 0);
  exchange(&p, s, 1, small, true);
  int failed;
  uint64_t value, sent[2] = {0, 0};
  cuda(cudaMemcpy(&failed, p.box[0].failed, sizeof failed, cudaMemcpyDeviceToHost));
  must(failed == 1, "silence of the peer was not noticed");
  cuda(cudaMemcpy(&value, s[0].opens[0].open.out, 8, cudaMemcpyDeviceToHost));
  must(value == 0x5a5a5a5a5a5a5a5aull, "something was opened without the peer");
  exchange(&p, s, 1, small, true);
  cuda(cudaMemcpy(&sent[0], (small ? p.box[0].small_sent + SMALL_WORDS : p.box[0].sent + SLOT_WORDS), 8,
                  cudaMemcpyDeviceToHost));
  must(sent[0] == 0, "something was sent after a failure");
  release(s);
}

// A kernel that waits for a peer ends when the host says so.
void check_stop(bool small) {
  post p;
  wire(&p, false);
  p.box[0].patience_ns = 1000000000000ull;
  side s[2] = {};
  add_open(&s[0], true, 9, 100000, 1, 0);
  std::thread host([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    *(volatile int *)p.stop = 1;
  });
  exchange(&p, s, 1, small, true);
  host.join();
  int failed;
  cuda(cudaMemcpy(&failed, p.box[0].failed, sizeof failed, cudaMemcpyDeviceToHost));
  must(failed == 1, "an exchange ended without the peer");
  release(s);
}

}  // namespace

int main(int argc, char **argv) {
  bool small = argc > 1 && strcmp(argv[1], "small") == 0;
  check_random(true, small ? 12 : 100, 3000);
  if (!small) {
    check_random(false, 200, 2000);
    check_random(false, 40, 60000);
  }
  check_silence(false);
  check_silence(true);
  check_stop(false);
  check_stop(true);
  puts("cuda_opens: packed as the host packs, opened what it opens, silence and a stop noticed");
  return 0;
}
