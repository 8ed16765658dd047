// The CUDA backend against the CPU backend: cuda_kernels [check | small | bench] [[not] ENTRY ..]. check: every entry
// of the table (or those named, or all others) on fresh random data of many shapes, equal to the last bit; small: fewer
// shapes, for compute-sanitizer; bench: times of one inference's sizes.
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "tests/device/cuda_bit_trials.h"
#include "tests/device/cuda_ring_trials.h"
#include "tests/device/cuda_stream_trials.h"

namespace {

// ---- checking ----

// Runs trials on both backends, one behind the other, from the same random memory; whether the memories are equal
// afterwards.
bool equal_after(arena &m, const trials &list, void *stream) {
  static std::vector<uint64_t> back;
  m.fill();
  const size_t bytes = m.filled();
  back.resize(bytes / 8);
  must(tw_cuda_backend.upload(m.device, m.host, bytes, stream), "upload");
  for (const trial &t : list) {
    must(t.run(&tw_cuda_backend, true, stream), t.name.c_str());
    must(t.run(&tw_cpu_backend, false, nullptr), t.name.c_str());
  }
  must(tw_cuda_backend.download(back.data(), m.device, bytes, stream), list.back().name.c_str());
  if (memcmp(back.data(), m.host, bytes) == 0) return true;
  if (list.size() > 1) return false;
  const uint64_t *host = (const uint64_t *)m.host;
  size_t i = 0, differing = 0;
  while (back[i] == host[i]) i++;
  for (size_t j = i; j < bytes / 8; j++) differing += back[j] != host[j];
  printf("WRONG %s: %zu of %zu words differ, first at %zu: %016llx on the GPU, %016llx on the CPU\n",
         list[0].name.c_str(), differing, bytes / 8, i, (unsigned long long)back[i], (unsigned long long)host[i]);
  return false;
}

// Trials that differ. All at once; one by one when something differs.
int run_all(arena &m, trials &list, void *stream) {
  int wrong = 0;
  if (!equal_after(m, list, stream)) {
    for (const trial &t : list) wrong += !equal_after(m, {t}, stream);
    if (wrong == 0) {
      printf("WRONG now and then: %s and the %zu cases before it\n", list.back().name.c_str(), list.size() - 1);
      wrong = 1;
    }
  }
  list.clear();
  m.clear();
  return wrong;
}

// Every entry at many shapes; those that are named, or all others.
struct checker {
  arena m;
  const bool small, others;
  const std::vector<std::string> &named;
  cudaStream_t stream;
  trials list;
  int wrong, ran;

  bool left_out(const trial &t) const {
    const bool is_named = std::find(named.begin(), named.end(), t.name) != named.end();
    return !named.empty() && is_named == others;
  }
  void flush() {
    list.erase(std::remove_if(list.begin(), list.end(), [&](const trial &t) { return left_out(t); }), list.end());
    ran += (int)list.size();
    if (list.empty())
      m.clear();
    else
      wrong += run_all(m, list, stream);
  }
  void elementwise(size_t sequences, size_t n);
  void streams(size_t sequences, size_t n);
  void leaves(size_t sequences, size_t n);
  void lookups(size_t sequences, size_t n);
  void bit_products(size_t sequences, size_t n);
  void matrices();
  void large();
};

void checker::elementwise(size_t sequences, size_t n) {
  for (size_t rows : {1, 3, 7}) {
    add_local(m, list, sequences, rows, n);
    add_products(m, list, sequences, rows, n);
    flush();
    add_corrected(m, list, sequences, rows, n);
    add_corrected(m, list, sequences, n, rows);
    flush();
    add_sums(m, list, sequences * rows, n);
    add_sums(m, list, n, rows);
    flush();
  }
  for (size_t planes : {1, 2, 9, 29}) {
    add_selections(m, list, sequences, planes, n);
    add_words(m, list, sequences, n);
    add_rows(m, list, sequences, (size_t)m.between(1, 100));
    add_reshape(m, list, sequences, planes, n);
    flush();
    add_parity(m, list, sequences, n, (int)planes, 1 + m.below(small ? 20 : 400));
    flush();
  }
  add_attention(m, list, sequences, (size_t)m.between(1, 4), (size_t)m.between(1, n < 40 ? (int)n : 40));
  add_places(m, list, sequences, (size_t)m.between(1, 4), (size_t)m.between(1, n < 40 ? (int)n : 40));
  add_members(m, list, sequences, (size_t)m.between(1, 4), (size_t)m.between(1, n < 400 ? (int)n : 400));
  flush();
}

void checker::streams(size_t sequences, size_t n) {
  for (int ring : {0, 1, 22, 32, 33, 48, 64}) add_draw(m, list, sequences, ring, n);
  for (size_t count : {1, 2, 95, 96, 97, 200}) add_draw_all(m, list, sequences, small ? count / 10 + 1 : count);
  flush();
  for (int party : {0, 1}) {
    for (int width : {1, 7, 8, 22, 32, 33, 48, 57, 63, 64})
      add_corrections(m, list, {half_of(m, sequences, party, 0, width, n)});
    for (int planes : {1, 3, 16, 33}) add_corrections(m, list, {half_of(m, sequences, party, 1, planes, n)});
    std::vector<tw_correction_args> together;
    for (int i = 0; i < 8; i++)
      together.push_back(half_of(m, sequences, party, i % 2, m.between(1, 64), 1 + m.below(2 * n)));
    add_corrections(m, list, together);
    flush();
  }
}

void checker::leaves(size_t sequences, size_t n) {
  for (int ring : {2, 7, 8, 9, 20, 61}) add_thresholds(m, list, sequences, n, ring, 1 + (int)m.below(3));
  add_window(m, list, sequences, n, 5, 1, 3, 2);
  add_window(m, list, sequences, n, 9, 2, 50, 0);
  add_window(m, list, sequences, n, 24, 8, 128, 1 + (int)m.below(2));
  if (n <= 1000) add_window(m, list, sequences, n, 28, 8, 512, 2);
  if (n <= 200) add_segments(m, list, sequences, n, (int)m.below(4), 2, true);
  if (n <= 200) add_segments(m, list, sequences, n, 15, small ? 3 : 29, false);
  flush();
  add_leaves(m, list, sequences, n, 24, {4, 4, 7, 4, 4}, 1, true);
  add_leaves(m, list, sequences, n, 54, {4, 4, 3, 2, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4}, 3, true);
  add_leaves(m, list, sequences, n, 17, {5, 8, 2}, 2, false);
  add_leaves(m, list, sequences, n, 17, {5, 4, 2}, 3, true, true);
  flush();
  if (n <= 1000) add_leaves(m, list, sequences, n, 40, {13, 11, 6}, 1, true);
}

void checker::lookups(size_t sequences, size_t n) {
  const auto lookup = [&](int width, int sub_bits) {
    const int rings[] = {22, 32, 33, 64}, chosen = m.between(0, 3);
    for (int i = 0; i < 4; i++)
      if (!small || i == chosen)  // racecheck takes long over each
        add_lookup(m, list, sequences, n, width, sub_bits, sub_bits + m.between(0, 5), tw_ring_mask(rings[i]));
    flush();
  };
  lookup(1, 0), lookup(4, 1), lookup(5, 0), lookup(6, 1), lookup(7, 2), lookup(7, 3), lookup(8, 2);
  if (n <= 300) lookup(5, small ? 5 : 11), lookup(8, small ? 4 : 8), lookup(7, 0), lookup(8, 3), lookup(9, 3);
  if (n <= (small ? 65u : 4097u)) lookup(9, 2), lookup(10, 0), lookup(10, 3), lookup(11, 2);
  if (n <= (small ? 65u : 300u)) lookup(11, 3), lookup(12, 3), lookup(13, 1), lookup(13, 3);
}

void checker::bit_products(size_t sequences, size_t n) {
  add_bit_products(m, list, sequences, n, {1, 2, 3, 4, 4, 3, 2, 1, 0, 2});
  add_bit_products(m, list, sequences, n, {7, 7, 5, 6});
  if (n <= 1000) add_bit_products(m, list, sequences, n, {8});
  std::vector<int> many;
  for (int i = 0; i < (small ? 40 : 600); i++) many.push_back(1 + i % 4);
  if (n <= 300) add_bit_products(m, list, sequences, n, many);
  if (n <= 300) add_bit_products(m, list, sequences, n, many, 11);
  if (n <= 300) add_bit_products(m, list, sequences, n, {7, 5, 3, 8, 4, 6, 1, 2, 4, 5}, 10);
  flush();
}

void checker::matrices() {
  for (int accumulate : {-1, 0, 1})
    for (int ring : {7, 22, 35, 48, 64}) {
      add_gemm(m, list, (size_t)m.between(1, 5), (size_t)m.between(1, 130), (size_t)m.between(1, 70),
               (size_t)m.between(1, 130), ring, accumulate, false);
      add_gemm(m, list, 2, (size_t)m.between(1, 40), (size_t)m.between(1, 40), (size_t)m.between(1, 40), ring,
               accumulate, true);
      flush();
    }
  for (int addend : {0, 1, 2})
    for (int ring : {24, 38, 48, 64}) {
      add_product(m, list, (size_t)m.between(1, 130), (size_t)m.between(1, 100), (size_t)m.between(1, 300), ring,
                  addend);
      flush();
    }
  for (int rows = 1; rows <= TW_PRODUCT_ROWS; rows++) {
    add_product(m, list, (size_t)rows, (size_t)m.between(1, 100), (size_t)m.between(1, 3000), m.between(8, 64),
                rows % 3);
    add_product_rows(m, list, rows, (size_t)m.between(1, 300), (size_t)m.between(1, 3000), m.between(8, 64),
                     rows % 2 != 0);
    flush();
  }
  for (int rows : {1, 3, 16}) {
    add_product(m, list, (size_t)rows, 40, 40001, 31, 1);
    add_product_rows(m, list, rows, 40, 40001, 64, true);
    flush();
  }
  add_product(m, list, 37, 40, 40001, 31, 1);  // more inner elements than one sum holds
  add_product(m, list, 1100, 64, 96, 48, 1);   // more rows than the fused kernel takes: with workspace
  flush();
}

// Large tiles.
void checker::large() {
  for (uint64_t ring : {tw_ring_mask(32), tw_ring_mask(64)}) {  // large tiles
    add_lookup(m, list, 45, 130, 10, 3, 5, ring), flush();
    if (!small) add_lookup(m, list, 3, 20001, 11, 3, 5, ring), add_lookup(m, list, 16, 1536, 11, 3, 8, ring), flush();
    if (!small) add_lookup(m, list, 1, 20001, 11, 3, 8, ring, 5), flush();  // all in one sub-table
  }
  // tiles for more blocks than run at once, on both ways to look up; leaves the same
  add_lookup(m, list, 199, 257, 7, 2, 8, tw_ring_mask(24)), add_leaves(m, list, 530, 40, 24, {4, 4, 5, 4}, 2, true);
  if (!small) {
    add_lookup(m, list, 2, 150000, 7, 2, 8, tw_ring_mask(24)),
        add_lookup(m, list, 2, 150000, 4, 2, 8, tw_ring_mask(40));
    add_lookup(m, list, 1, 150001, 8, 3, 8, tw_ring_mask(64));
    add_leaves(m, list, 1, 600000, 24, {4, 4, 7, 4, 4}, 2, true),
        add_leaves(m, list, 3, 200001, 17, {4, 4, 4, 4}, 1, true);
  }
  flush();
}

int check(bool small, const std::vector<std::string> &named, bool others) {
  checker c = {arena((size_t)(small ? 96 : 1536) << 20), small, others, named, nullptr, {}, 0, 0};
  must(cudaStreamCreateWithFlags(&c.stream, cudaStreamNonBlocking), "stream");
  for (size_t sequences : {1, 3})
    for (size_t n : small ? std::vector<size_t>{1, 65, 300}
                          : std::vector<size_t>{1, 2, 31, 63, 64, 65, 100, 127, 129, 640, 1000, 4097, 20000, 33000}) {
      c.elementwise(sequences, n);
      c.streams(sequences, n);
      c.leaves(sequences, n);
      c.lookups(sequences, n);
      c.bit_products(sequences, n);
    }
  c.large();
  c.matrices();
  printf("%d of %d cases differ\n", c.wrong, c.ran);
  return c.wrong || c.ran == 0 ? 1 : 0;
}

// ---- timing ----

// Median time of one launch in a row of them, replayed as a graph.
double seconds_of(const trial &t, cudaStream_t stream) {
  enum { LAUNCHES = 20, REPEATS = 15 };
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  cudaEvent_t from, to;
  must(t.run(&tw_cuda_backend, true, stream), t.name.c_str());
  must(cudaStreamSynchronize(stream), t.name.c_str());
  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < LAUNCHES; i++) must(t.run(&tw_cuda_backend, true, stream), t.name.c_str());
  must(cudaStreamEndCapture(stream, &graph), "capture");
  must(cudaGraphInstantiate(&replay, graph, 0), "graph");
  must(cudaEventCreate(&from), "event");
  must(cudaEventCreate(&to), "event");
  std::vector<float> times;
  for (int i = 0; i < REPEATS; i++) {
    must(cudaEventRecord(from, stream), "event");
    must(cudaGraphLaunch(replay, stream), "graph");
    must(cudaEventRecord(to, stream), "event");
    must(cudaEventSynchronize(to), t.name.c_str());
    float milliseconds;
    must(cudaEventElapsedTime(&milliseconds, from, to), "event");
    if (i >= 3) times.push_back(milliseconds);
  }
  std::sort(times.begin(), times.end());
  cudaGraphExecDestroy(replay);
  cudaGraphDestroy(graph);
  return 1e-3 * times[times.size() / 2] / LAUNCHES;
}

int bench() {
  arena m((size_t)2 << 30);
  trials list;
  cudaStream_t stream;
  cudaDeviceProp properties;
  must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  must(cudaGetDeviceProperties(&properties, 0), "properties");
  // of the device's memory; what lies in its L2 cache can be faster
  const double limit = 4.3e12;
  printf("%s, one sequence of 128 tokens of BERT-base; limit: bytes at %.1f TB/s\n", properties.name, limit * 1e-12);
  printf("%-44s %10s %10s %12s %12s\n", "", "us", "limit us", "GB/s", "G elements/s");
  const auto flush = [&](const char *what) {
    m.fill();
    must(tw_cuda_backend.upload(m.device, m.host, m.filled(), stream), "upload");
    for (const trial &t : list) {
      const double seconds = seconds_of(t, stream);
      printf("%-44s %10.2f %10.2f %12.0f %12.2f\n", (t.name + " " + what).c_str(), 1e6 * seconds, 1e6 * t.bytes / limit,
             1e-9 * t.bytes / seconds, 1e-9 * t.elements / seconds);
    }
    list.clear();
    m.clear();
  };
  add_local(m, list, 1, 128, 768), add_products(m, list, 1, 128, 768), flush("128x768");
  add_local(m, list, 1, 128, 3072), flush("128x3072");
  add_local(m, list, 1, 1, 128), flush("128");
  add_selections(m, list, 1, 2, 393216), flush("2 planes of 128x3072");
  add_selections(m, list, 1, 29, 128), flush("29 planes of 128");
  add_attention(m, list, 1, 12, 128), flush("12x128x128");
  add_places(m, list, 1, 12, 128), flush("places of 12x128x128");
  add_sums(m, list, 128, 768), flush("128x768");
  add_sums(m, list, 1536, 128), flush("1536x128");
  for (int ring : {24, 48}) add_draw(m, list, 1, ring, 393216);
  flush("128x3072, 24 and 48 bits");
  add_draw_all(m, list, 1, 64), flush("64 of up to 9000");
  add_corrections(m, list, {half_of(m, 1, 0, 1, 16 * 5 + 128 + 1, 393216)}), flush("GeLU digits, 209 planes");
  add_corrections(m, list,
                  {half_of(m, 1, 0, 0, 24, 393216), half_of(m, 1, 0, 0, 24, 393216), half_of(m, 1, 0, 0, 24, 393216)});
  flush("GeLU piece, 3 of 24 bits");
  add_corrections(m, list, {half_of(m, 1, 0, 0, 38, 98304)}), flush("128x768, 38 bits");
  add_corrections(m, list, {half_of(m, 1, 0, 1, 225, 128)}), flush("225 planes of 128");
  add_leaves(m, list, 1, 393216, 24, {4, 4, 7, 4, 4}, 2, false), flush("GeLU, 2 sets of 5 digits");
  add_leaves(m, list, 1, 43008, 22, {4, 4, 4, 4, 4, 1}, 1, true), flush("row maximum, 1 set of 6");
  add_leaves(m, list, 1, 128, 54, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1}, 29, true), flush("norm, 29 sets of 14");
  add_lookup(m, list, 1, 393216, 7, 2, 8, tw_ring_mask(24)), flush("GeLU, 7 + 2 bits");
  add_lookup(m, list, 1, 196608, 8, 2, 8, tw_ring_mask(22)), flush("exp, 8 + 2 bits");
  add_lookup(m, list, 1, 393216, 9, 2, 8, tw_ring_mask(28)), flush("SiLU, 9 + 2 bits");
  add_lookup(m, list, 1, 128, 7, 3, 14, tw_ring_mask(36)), flush("norm, 7 + 3 bits");
  add_lookup(m, list, 1, 1536, 11, 3, 8, tw_ring_mask(64)), flush("reciprocal, 11 + 3 bits");
  add_bit_products(m, list, 1, 393216, {1, 2, 3, 4, 3, 1, 2}), flush("GeLU, 7 products");
  add_bit_products(m, list, 1, 24576, {7, 7, 7, 7, 7, 7, 7, 7}), flush("row maximum, 8 of 7");
  std::vector<int> nodes;
  for (int i = 0; i < 29 * 18; i++) nodes.push_back(1 + i % 4);
  add_bit_products(m, list, 1, 128, nodes), flush("norm, 522 products");
  add_parity(m, list, 1, 393216, 3, 4), flush("GeLU, 4 terms");
  add_parity(m, list, 1, 128, 29, 58), flush("norm, 58 terms");
  add_reshape(m, list, 1, 28, 24576), flush("28 planes of 24576");
  add_gemm(m, list, 12, 128, 128, 64, 35, 1, false), flush("12 x 128x128x64, 35 bits");
  add_gemm(m, list, 12, 128, 64, 128, 36, 1, false), flush("12 x 128x64x128, 36 bits");
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  const std::string mode = argc > 1 ? argv[1] : "check";
  const bool others = argc > 2 && strcmp(argv[2], "not") == 0;
  const std::vector<std::string> named(argv + std::min(argc, others ? 3 : 2), argv + argc);
  if (mode == "check" || mode == "small") return check(mode == "small", named, others);
  if (mode == "bench") return bench();
  fprintf(stderr, "usage: cuda_kernels [check | small | bench] [[not] ENTRY ..]\n");
  return 2;
}
