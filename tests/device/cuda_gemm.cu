// Check and benchmark of the GPU's ring products; needs a GPU. Long because checks and times share all ways of a
// product.
//   cuda_gemm check    every path against a product mod 2^64 by the CPU, on fresh random data, exactly
//   cuda_gemm small    a few small shapes, for compute-sanitizer
//   cuda_gemm bench    times beside the physical limits
//   cuda_gemm tokens   times of products of few rows
//   cuda_gemm sweep    times of all tilings of the fused kernel for the products of a BERT-base layer
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda/gemm/gemm.h"

typedef std::vector<uint64_t> elements;

#define MUST(call)                                                       \
  do {                                                                   \
    if ((call) != TW_OK) {                                               \
      fprintf(stderr, "cuda_gemm: %s: %s\n", #call, tw_error_message()); \
      exit(1);                                                           \
    }                                                                    \
  } while (0)
#define CUDA(call) MUST(tw_cuda_status((call), #call, __FILE__, __LINE__))

static cudaStream_t stream;
static std::mt19937_64 random_bits{std::random_device{}()};
static size_t checks, failures;

static size_t below(size_t n) { return random_bits() % n; }

// Random elements, some of them where limbs carry.
static elements random_elements(size_t n) {
  elements v(n);
  for (uint64_t &e : v) {
    e = random_bits();
    if (below(8) == 0) e = below(2) ? 0x8080808080808080u << below(64) : ~(uint64_t)0 >> below(64);
  }
  return v;
}

struct device_memory {
  void *p = NULL;
  explicit device_memory(size_t bytes) {
    CUDA(cudaMalloc(&p, std::max<size_t>(bytes, 256)));
    CUDA(cudaMemsetAsync(p, 0xA5, bytes, stream));
  }
  explicit device_memory(const elements &v) : device_memory(8 * v.size()) {
    CUDA(cudaMemcpyAsync(p, v.data(), 8 * v.size(), cudaMemcpyHostToDevice, stream));
    CUDA(cudaStreamSynchronize(stream));
  }
  device_memory(const device_memory &) = delete;
  device_memory(device_memory &&other) : p(other.p) { other.p = NULL; }
  ~device_memory() { cudaFree(p); }
  uint64_t *u64() const { return (uint64_t *)p; }
};

static void for_rows(size_t m, const std::function<void(size_t)> &row) {
  const size_t workers = std::min<size_t>(m, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> threads;
  for (size_t w = 0; w < workers; w++)
    threads.emplace_back([=, &row] {
      for (size_t i = w; i < m; i += workers) row(i);
    });
  for (std::thread &t : threads) t.join();
}

// x y mod 2^64; plain loops.
static elements cpu_product(size_t m, size_t n, size_t inner, const uint64_t *x, const uint64_t *y) {
  elements z(m * n);
  for_rows(m, [&](size_t i) {
    for (size_t k = 0; k < inner; k++)
      for (size_t j = 0; j < n; j++) z[i * n + j] += x[i * inner + k] * y[k * n + j];
  });
  return z;
}

static void expect(const elements &want, const device_memory &memory, const char *what) {
  elements got(want.size());
  CUDA(cudaMemcpyAsync(got.data(), memory.p, 8 * got.size(), cudaMemcpyDeviceToHost, stream));
  CUDA(cudaStreamSynchronize(stream));
  size_t wrong = 0, first = 0;
  for (size_t i = want.size(); i-- > 0;)
    if (want[i] != got[i]) {
      wrong++;
      first = i;
    }
  checks++;
  if (wrong == 0) return;
  failures++;
  printf("FAILED %s: %zu of %zu wrong, first at %zu: %016llx, should be %016llx\n", what, wrong, want.size(), first,
         (unsigned long long)got[first], (unsigned long long)want[first]);
}

static std::string text(const char *format, ...) {
  char buffer[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

// The last row first, each by its own pointers.
static tw_status rows_apart(const tw_gemm_call *c, size_t n, size_t inner) {
  tw_product_row row[TW_PRODUCT_ROWS];
  for (size_t i = 0; i < c->m; i++) {
    const size_t from = c->m - 1 - i;
    row[i] = {c->x + from * inner, c->addend ? c->addend + from * n : NULL, c->out + from * n};
  }
  return tw_device_gemm_rows(c->v, (int)c->m, row, c->ring_bits, stream);
}

// All paths of the weight product x v. rings: the rings to try; every_tiling: not only the chosen one.
static void check_product(size_t m, size_t n, size_t inner, int limbs, const std::vector<int> &rings, bool every_tiling,
                          const elements &x, const elements &v, const elements &addend) {
  const elements product = cpu_product(m, n, inner, x.data(), v.data());
  const device_memory dx(x), dv(v), da(addend);
  tw_limbs *weights;
  MUST(tw_limbs_create(inner, n, limbs, dv.u64(), stream, &weights));
  for (int ring : rings) {
    const int with_addend = (int)below(3);  // 0 none, 1 another array, 2 out itself
    elements want = product;
    for (size_t i = 0; i < want.size(); i++) want[i] = (want[i] + (with_addend ? addend[i] : 0)) & tw_ring_mask(ring);
    const std::string name =
        text("%zu x %zu x %zu, ring %d, %d limbs, addend %d", m, n, inner, ring, limbs, with_addend);
    auto run = [&](const std::string &how, const std::function<tw_status(const tw_gemm_call *)> &product_by) {
      const device_memory out(8 * m * n);
      if (with_addend == 2) CUDA(cudaMemcpyAsync(out.p, da.p, 8 * m * n, cudaMemcpyDeviceToDevice, stream));
      const tw_gemm_call call = {
          weights, m, dx.u64(), with_addend == 0 ? NULL : with_addend == 1 ? da.u64() : out.u64(), ring, out.u64()};
      MUST(product_by(&call));
      expect(want, out, (how + ": " + name).c_str());
    };
    const device_memory library_workspace(tw_gemm_lt_workspace(m, n, inner, ring));
    const device_memory workspace(tw_device_gemm_workspace(m, n, inner, ring));
    run("tw_device_gemm", [&](const tw_gemm_call *c) {
      return tw_device_gemm(c->v, c->m, c->x, c->ring_bits, c->addend, c->out, workspace.p, stream);
    });
    run("cuBLASLt", [&](const tw_gemm_call *c) { return tw_gemm_lt(c, library_workspace.p, stream); });
    if (tw_gemm_wide_takes(inner, ring)) {
      const device_memory limbs_of_x(tw_gemm_wide_workspace(m, inner, ring));
      run("wide", [&](const tw_gemm_call *c) { return tw_gemm_wide(c, limbs_of_x.p, stream); });
    }
    if (m <= TW_PRODUCT_ROWS) {
      if (tw_gemm_rows_takes((int)m, ring))
        run("rows", [&](const tw_gemm_call *c) { return tw_gemm_rows_together(c, stream); });
      run("rows apart", [&](const tw_gemm_call *c) { return rows_apart(c, n, inner); });
    }
    for (int columns = 32; columns <= 64; columns += 16)
      for (int splits = 1; splits <= 8; splits++) {
        if (!every_tiling && below(8) != 0) continue;
        if (tw_ring_limbs(ring) > 6 && columns == 64) continue;
        run(text("fused %d columns %d splits", columns, splits), [&](const tw_gemm_call *c) {
          return tw_gemm_fused(c, {columns, splits, 0}, stream);
        });
      }
  }
  CUDA(cudaStreamSynchronize(stream));
  tw_limbs_free(weights);
}

static void check_weights(size_t m, size_t n, size_t inner, int limbs, const std::vector<int> &rings,
                          bool every_tiling) {
  check_product(m, n, inner, limbs, rings, every_tiling, random_elements(m * inner), random_elements(inner * n),
                random_elements(m * n));
}

// Sums as far from 0 as they get, either way: limbs all -128, all 127; and all bits 1.
static void check_extremes(size_t m, size_t n, size_t inner, int limbs, const std::vector<int> &rings) {
  const uint64_t lowest = 0x7F7F7F7F7F7F7F80u, highest = 0x7F7F7F7F7F7F7F7Fu, ones = ~(uint64_t)0;
  for (uint64_t x : {lowest, highest, ones})
    for (uint64_t v : {lowest, ones})
      check_product(m, n, inner, limbs, rings, false, elements(m * inner, x), elements(inner * n, v),
                    elements(m * n, ones));
}

static void check_batched(size_t count, size_t m, size_t n, size_t inner, int ring) {
  const elements x = random_elements(count * m * inner), y = random_elements(count * inner * n),
                 before = random_elements(count * m * n);
  elements product;
  for (size_t b = 0; b < count; b++) {
    const elements one = cpu_product(m, n, inner, &x[b * m * inner], &y[b * inner * n]);
    product.insert(product.end(), one.begin(), one.end());
  }
  const device_memory dx(x), dy(y);
  for (int accumulate = -1; accumulate <= 1; accumulate++) {
    elements want = product;
    for (size_t i = 0; i < want.size(); i++) {
      if (accumulate > 0) want[i] = before[i] + product[i];
      if (accumulate < 0) want[i] = before[i] - product[i];
      want[i] &= tw_ring_mask(ring);
    }
    const device_memory out(before);
    MUST(tw_device_gemm_batched(count, m, n, inner, dx.u64(), dy.u64(), ring, accumulate, out.u64(), NULL, stream));
    expect(
        want, out,
        text("batched %zu of %zu x %zu x %zu, ring %d, accumulate %d", count, m, n, inner, ring, accumulate).c_str());
  }
}

static int check_all(void) {
  std::vector<int> all;
  for (int ring = 8; ring <= 64; ring++) all.push_back(ring);
  const std::vector<int> all_to_48(all.begin(), all.begin() + 41);
  check_weights(37, 96, 96, 8, all, true);
  for (size_t m : {1, 2, 7, 8, 9, 16, 17, 37, 100, 128, 512, 1100}) {
    check_weights(m, 768, 256, 6, {48, 40, 36, 33}, m == 100);
    check_weights(m, 1 + below(200), 1 + below(500), 1 + (int)below(8), {8}, false);
    check_weights(m, 67, 131, 8, {8 + (int)below(57), 64, 50}, false);
    check_batched(3, m, 1 + below(130), 1 + below(130), 8 + (int)below(57));
  }
  check_weights(128, 2304, 768, 6, {48}, true);
  check_weights(128, 768, 768, 5, {40}, true);
  check_weights(128, 3072, 768, 5, {36}, true);
  check_weights(128, 768, 3072, 5, {40}, true);
  check_weights(128, 64, 16383, 8, {64}, false);
  check_weights(300, 200, 3072, 6, all_to_48, false);
  check_weights(129, 97, 129, 8, all_to_48, false);
  check_weights(2048, 768, 768, 5, {40}, false);
  check_weights(1500, 2304, 96, 6, {48, 33}, false);
  check_weights(1, 4099, 2048, 6, all_to_48, false);
  check_weights(3, 97, 11008, 6, {48, 40, 33}, false);
  check_weights(16, 40, 16383, 8, {64, 50}, false);
  check_extremes(1, 100, 21600, 6, {48, 33});
  check_extremes(16, 100, 160, 8, {64, 48, 33});
  check_extremes(130, 100, 160, 6, {48, 47, 41, 40, 39, 32, 17, 16, 8, 1});
  check_extremes(64, 32, 21600, 6, {48, 40});
  for (int ring = 8; ring <= 64; ring += 7) {
    check_batched(12, 128, 128, 64, ring);
    check_batched(12, 37, 64, 37, ring);
    check_batched(2, 100, 64, 512, ring);
  }
  return 0;
}

static int check_small(void) {
  check_weights(1, 50, 700, 6, {48, 37}, false);
  check_weights(11, 33, 67, 8, {64, 40}, false);
  check_weights(37, 100, 70, 6, {48, 37}, false);
  check_weights(21, 33, 67, 5, {40}, true);
  check_batched(2, 37, 37, 64, 48);
  check_batched(2, 37, 64, 37, 61);
  return 0;
}

// Median seconds of one of `inside` equal lots of work enqueued by `enqueue`, replayed as a graph.
static double graph_seconds(int inside, const std::function<void()> &enqueue) {
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  cudaEvent_t from, to;
  enqueue();
  CUDA(cudaStreamSynchronize(stream));
  CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue();
  CUDA(cudaStreamEndCapture(stream, &graph));
  CUDA(cudaGraphInstantiate(&executable, graph, 0));
  CUDA(cudaEventCreate(&from));
  CUDA(cudaEventCreate(&to));
  std::vector<float> times;
  for (int i = 0; i < 14; i++) {
    float ms;
    CUDA(cudaEventRecord(from, stream));
    CUDA(cudaGraphLaunch(executable, stream));
    CUDA(cudaEventRecord(to, stream));
    CUDA(cudaEventSynchronize(to));
    CUDA(cudaEventElapsedTime(&ms, from, to));
    if (i >= 3) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  cudaEventDestroy(from);
  cudaEventDestroy(to);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  return times[times.size() / 2] * 1e-3 / inside;
}

static device_memory random_device_elements(size_t n) { return device_memory(random_elements(n)); }

// Weights of `sets` equal products, more than the second-level cache holds, and what they are multiplied with.
struct weight_bench {
  size_t m, n, inner;
  int ring;
  device_memory x, addend, out, workspace, limbs_of_x;
  std::vector<tw_limbs *> weights;
  weight_bench(size_t m_, size_t n_, size_t inner_, int ring_, int sets)
      : m(m_),
        n(n_),
        inner(inner_),
        ring(ring_),
        x(random_device_elements(m_ * inner_)),
        addend(random_device_elements(m_ * n_)),
        out(8 * m_ * n_),
        workspace(tw_gemm_lt_workspace(m_, n_, inner_, ring_)),
        limbs_of_x(tw_gemm_wide_workspace(m_, inner_, ring_)) {
    const device_memory v = random_device_elements(inner * n);
    for (int s = 0; s < sets; s++) {
      tw_limbs *w;
      MUST(tw_limbs_create(inner, n, tw_ring_limbs(ring), v.u64(), stream, &w));
      weights.push_back(w);
    }
    CUDA(cudaStreamSynchronize(stream));
  }
  ~weight_bench() {
    for (tw_limbs *w : weights) tw_limbs_free(w);
  }
  tw_gemm_call call(size_t set) const { return {weights[set], m, x.u64(), addend.u64(), ring, out.u64()}; }
  void library(size_t set) const {
    const tw_gemm_call c = call(set);
    MUST(tw_gemm_lt(&c, workspace.p, stream));
  }
  void wide(size_t set) const {
    const tw_gemm_call c = call(set);
    MUST(tw_gemm_wide(&c, limbs_of_x.p, stream));
  }
  void rows(size_t set) const {
    const tw_gemm_call c = call(set);
    MUST(tw_gemm_rows_together(&c, stream));
  }
  void fused(size_t set, tw_gemm_tiling tiling) const {
    const tw_gemm_call c = call(set);
    MUST(tw_gemm_fused(&c, tiling, stream));
  }
  tw_gemm_tiling chosen() const {
    tw_gemm_tiling tiling = {};
    tw_gemm_fused_choose(m, n, inner, ring, &tiling);
    return tiling;
  }
  double macs() const { return (double)m * n * inner; }
  // Seconds of int8 arithmetic at 1979 Tops, and of moving every input and output once at 4.3 TB/s.
  double limit() const {
    const int limbs = tw_ring_limbs(ring);
    const double arithmetic = macs() * limbs * (limbs + 1) / 1979e12;
    const double bytes = (double)n * inner * limbs + 8.0 * m * inner + 16.0 * m * n;
    return std::max(arithmetic, bytes / 4.3e12);
  }
};

static void print_time(const char *name, double seconds, double macs, double limit) {
  printf("%-46s %9.2f us %9.1f G ring-MAC/s   limit %8.2f us (%4.1f%%)\n", name, seconds * 1e6, macs / seconds * 1e-9,
         limit * 1e6, 100 * limit / seconds);
  fflush(stdout);
}

enum { LAYERS = 12 };
struct shape {
  const char *name;
  size_t n, inner;
  int ring;
};
static const shape bert_base[4] = {
    {"QKV", 2304, 768, 48}, {"out-projection", 768, 768, 40}, {"FFN-up", 3072, 768, 36}, {"FFN-down", 768, 3072, 40}};

static void bench_layer(void) {
  std::vector<weight_bench *> products;
  double macs = 0, limit = 0;
  for (const shape &s : bert_base) {
    products.push_back(new weight_bench(128, s.n, s.inner, s.ring, LAYERS));
    const weight_bench &b = *products.back();
    macs += b.macs();
    limit += b.limit();
    const tw_gemm_tiling t = b.chosen();
    print_time(text("%s, cuBLASLt", s.name).c_str(),
               graph_seconds(LAYERS,
                             [&] {
                               for (int l = 0; l < LAYERS; l++) b.library(l);
                             }),
               b.macs(), b.limit());
    print_time(text("%s, fused %d columns %d splits", s.name, t.columns, t.splits).c_str(),
               graph_seconds(LAYERS,
                             [&] {
                               for (int l = 0; l < LAYERS; l++) b.fused(l, t);
                             }),
               b.macs(), b.limit());
  }
  auto layers = [&](bool library) {
    for (int l = 0; l < LAYERS; l++)
      for (const weight_bench *b : products) library ? b->library(l) : b->fused(l, b->chosen());
  };
  for (int again = 0; again < 2; again++) {
    print_time("layer of BERT-base, M = 128, cuBLASLt", graph_seconds(LAYERS, [&] { layers(true); }), macs, limit);
    print_time("layer of BERT-base, M = 128, fused", graph_seconds(LAYERS, [&] { layers(false); }), macs, limit);
  }
  for (weight_bench *b : products) delete b;
}

// All ways of one product, of `sets` different weights in turn; in brackets what the cost models expect.
static void bench_rows(size_t m, size_t n, size_t inner, int ring, size_t sets) {
  const weight_bench b(m, n, inner, ring, (int)sets);
  const std::string name = text("%zu x %zu x %zu, ring %d", m, n, inner, ring);
  auto time = [&](const std::string &how, const std::function<void(size_t)> &product) {
    print_time((name + ", " + how).c_str(),
               graph_seconds((int)sets,
                             [&] {
                               for (size_t l = 0; l < sets; l++) product(l);
                             }),
               b.macs(), b.limit());
  };
  const double cycles_per_us = 1980;
  const tw_gemm_tiling t = b.chosen();
  if (m <= TW_PRODUCT_ROWS && tw_gemm_rows_takes((int)m, ring)) time("rows", [&](size_t l) { b.rows(l); });
  time("cuBLASLt", [&](size_t l) { b.library(l); });
  if (tw_gemm_wide_takes(inner, ring))
    time(text("wide (%.1f)", tw_gemm_wide_cycles(m, n, inner, ring) / cycles_per_us), [&](size_t l) { b.wide(l); });
  time(text("fused %d x %d (%.1f)", t.columns, t.splits, t.cycles / cycles_per_us), [&](size_t l) { b.fused(l, t); });
}

// Products of a decoded token, and of several at once: LLaMA-2-7B's, then SmolLM2's. More weights than the second-level
// cache holds.
static int bench_tokens(void) {
  static const shape products[] = {{"", 4096, 4096, 40}, {"", 11008, 4096, 40}, {"", 4096, 11008, 48},
                                   {"", 576, 576, 42},   {"", 1536, 576, 33},   {"", 576, 1536, 42},
                                   {"", 960, 576, 48},   {"", 49152, 576, 40}};
  for (const shape &p : products)
    for (size_t m : {1, 4, 8, 16}) bench_rows(m, p.n, p.inner, p.ring, p.n * p.inner > 1 << 22 ? 3 : 40);
  return 0;
}

// The part of the above that splits X.
static void bench_split(size_t m, size_t inner, int limbs) {
  const device_memory x = random_device_elements(m * inner), out(m * inner * limbs);
  const int inside = 10;
  const double seconds = graph_seconds(inside, [&] {
    for (int i = 0; i < inside; i++)
      MUST(tw_gemm_split_rows(x.u64(), m, inner, m, inner, limbs, (int8_t *)out.p, stream));
  });
  const double limit = (double)m * inner * (8 + limbs) / 4.3e12;
  printf("%-46s %9.2f us %37.2f us at 4.3 TB/s\n", text("%d limbs of %zu x %zu", limbs, m, inner).c_str(),
         seconds * 1e6, limit * 1e6);
}

static void bench_batched(size_t count, size_t m, size_t n, size_t inner, int ring) {
  const device_memory x = random_device_elements(count * m * inner), y = random_device_elements(count * inner * n),
                      out(8 * count * m * n);
  const int inside = 10, limbs = tw_ring_limbs(ring);
  const double macs = (double)count * m * n * inner;
  const double limit =
      std::max(macs * limbs * (limbs + 1) / 1979e12, 8.0 * count * (m * inner + inner * n + m * n) / 4.3e12);
  const double seconds = graph_seconds(inside, [&] {
    for (int i = 0; i < inside; i++)
      MUST(tw_device_gemm_batched(count, m, n, inner, x.u64(), y.u64(), ring, 0, out.u64(), NULL, stream));
  });
  print_time(text("batched %zu of %zu x %zu x %zu, ring %d", count, m, n, inner, ring).c_str(), seconds, macs, limit);
}

static int bench_all(void) {
  bench_layer();
  for (const shape &p : bert_base) bench_rows(2048, p.n, p.inner, p.ring, LAYERS);
  bench_split(2048, 768, 6);
  bench_split(2048, 3072, 5);
  for (size_t m : {64, 256, 512, 1024, 4096}) {
    bench_rows(m, 3072, 768, 48, 4);
    bench_rows(m, 768, 768, 40, 4);
  }
  bench_rows(4096, 4096, 4096, 48, 1);
  for (int ring : {40, 48, 64}) {
    bench_batched(12, 128, 128, 64, ring);
    bench_batched(12, 128, 64, 128, ring);
    bench_batched(16, 512, 512, 64, ring);
    bench_batched(16, 512, 64, 512, ring);
  }
  return 0;
}

static int sweep(void) {
  for (const shape &s : bert_base) {
    const weight_bench b(128, s.n, s.inner, s.ring, LAYERS);
    const tw_gemm_tiling chosen = b.chosen();
    printf("%s (chosen %d x %d); us by splits 1..8\n", s.name, chosen.columns, chosen.splits);
    for (int columns = 32; columns <= 64; columns += 16) {
      printf("  %d columns:", columns);
      for (int splits = 1; splits <= 8; splits++)
        printf(" %6.2f", 1e6 * graph_seconds(LAYERS, [&] {
                           for (int l = 0; l < LAYERS; l++) b.fused(l, {columns, splits});
                         }));
      printf("\n");
      fflush(stdout);
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  const std::string mode = argc == 2 ? argv[1] : "";
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    fprintf(stderr, "cuda_gemm: no GPU here; run it on a machine with one\n");
    return 1;
  }
  CUDA(cudaStreamCreate(&stream));
  if (mode == "check")
    check_all();
  else if (mode == "small")
    check_small();
  else if (mode == "bench")
    return bench_all();
  else if (mode == "tokens")
    return bench_tokens();
  else if (mode == "sweep")
    return sweep();
  else {
    fprintf(stderr, "usage: cuda_gemm check|small|bench|tokens|sweep\n");
    return 2;
  }
  printf("%zu checks, %zu failures\n", checks, failures);
  return failures != 0;
}
