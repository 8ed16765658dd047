// The dealer's operations on the CUDA backend against the CPU backend: cuda_deal [check | small]. Fresh random data of
// many shapes, whole memories equal to the last bit; small: fewer shapes, for compute-sanitizer.
#include <cuda_runtime.h>

#include <string>

#include "tests/device/cuda_arena.h"

namespace {

struct trial {
  std::string name;
  std::function<tw_status(const tw_backend *k, bool on_device, void *stream)> run;
};

void must(tw_status status, const std::string &what) {
  if (status == TW_OK) return;
  fprintf(stderr, "cuda_deal: %s: %s\n", what.c_str(), tw_error_message());
  exit(2);
}

template <class type>
trial make(arena &m, const char *name, tw_status (*tw_backend::*op)(const type *, void *), const type &args) {
  return {name, [&m, op, args](const tw_backend *k, bool on_device, void *stream) {
            const type copy = on_device ? m.on_device_args(args) : args;
            return (k->*op)(&copy, stream);
          }};
}
#define TRIAL(op, args) make(m, #op, &tw_backend::op, args)

typedef std::vector<trial> trials;
size_t words_of(size_t n) { return (n + 63) / 64; }
size_t half_of(size_t n) { return 64 * ((n + 127) / 128) < n ? 64 * ((n + 127) / 128) : n; }  // jobs/program/program.h

void add_elements(arena &m, trials &out, size_t rows, size_t cols) {
  const size_t n = rows * cols;
  const int k = m.between(3, 64), l = m.between(3, 64);
  tw_deal_extend_args extend = {rows, cols, m.words(n), m.words(n), m.words(n), m.words(n), k};
  out.push_back(TRIAL(deal_extend, extend));
  tw_deal_floor_args floor = {
      1,          n,          m.words(n), m.words(n),         m.words(words_of(n)), m.words(words_of(n)),
      m.words(n), m.words(n), k,          m.between(0, k - 1)};
  out.push_back(TRIAL(deal_floor, floor));
  tw_deal_multiply_args multiply = {rows,          cols,          m.words(n), m.words(n),
                                    m.words(cols), m.words(cols), m.words(n), m.words(n),
                                    m.words(n),    m.words(n),    k,          {rows, 0, 0, 1}};
  out.push_back(TRIAL(deal_multiply, multiply));
  multiply = {rows,    cols,       m.words(n), m.words(n), m.words(rows),  m.words(rows), nullptr,
              nullptr, m.words(n), nullptr,    k,          {rows, 0, 1, 0}};
  out.push_back(TRIAL(deal_multiply, multiply));
  tw_deal_multiply_rows_args by_row = {
      rows,          cols,          m.words(n), m.words(n), m.words(rows), m.words(rows), m.words(n), m.words(n),
      m.words(rows), m.words(rows), m.words(n), m.words(n), m.words(n),    m.words(n),    k,          l};
  out.push_back(TRIAL(deal_multiply_rows, by_row));
  tw_deal_square_args square = {rows, cols, m.words(n), m.words(n), m.words(n), m.words(n), m.words(n), m.words(n), k};
  out.push_back(TRIAL(deal_square, square));
  const size_t plane = words_of(cols) + m.below(3);
  tw_deal_select_args select = {rows,
                                cols,
                                m.words(rows * plane),
                                m.words(rows * plane),
                                m.words(n),
                                m.words(n),
                                m.words(n),
                                m.words(n),
                                m.words(n),
                                plane,
                                cols,
                                k};
  out.push_back(TRIAL(deal_select, select));
  select = {rows,       cols,  select.m0, select.m1, m.words(cols), m.words(cols), m.words(n), m.words(n),
            m.words(n), plane, 0,         l};
  out.push_back(TRIAL(deal_select, select));
  select = {rows, cols, select.m0, select.m1, nullptr, nullptr, m.words(n), nullptr, nullptr, plane, 0, 0};
  out.push_back(TRIAL(deal_select, select));
  tw_deal_piece_args piece = {1,          n,          m.words(n), m.words(n),           m.words(n),
                              m.words(n), m.words(n), m.words(n), m.words(words_of(n)), tw_ring_mask(m.between(1, 20)),
                              m.words(n), m.words(n), m.words(n)};
  out.push_back(TRIAL(deal_piece, piece));
  size_t columns = 1;
  while (2 * columns <= cols && columns < 16) columns *= 2;
  tw_deal_places_args ones = {rows, columns, m.words(rows), m.words(words_of(rows)), m.words(rows * columns)};
  out.push_back(TRIAL(deal_places, ones));
  tw_deal_noise_args noise = {
      1, n, m.words(n), m.words(n), m.words(TW_NOISE_ENTRIES), m.words(TW_NOISE_ENTRIES), m.words(n), tw_ring_mask(k)};
  out.push_back(TRIAL(deal_noise, noise));
}

void add_rows(arena &m, trials &out, size_t cols) {
  tw_deal_choose_row_args row = {};
  row.count = (size_t)m.between(1, 50);
  row.factors = m.between(1, 4);
  row.rows = row.count << row.factors;
  row.cols = cols;
  for (int f = 0; f < row.factors; f++) {
    row.m0[f] = m.words(words_of(row.count));
    row.m1[f] = m.words(words_of(row.count));
  }
  row.r0 = m.words(row.count * cols);
  row.r1 = m.words(row.count * cols);
  row.plus = m.below(2) ? m.words(words_of(row.count)) : nullptr;
  row.m = m.words(row.rows);
  row.mr = m.words(row.rows * cols);
  out.push_back(TRIAL(deal_choose_row, row));
}

void add_digits(arena &m, trials &out, size_t n, int ring, int low, const std::vector<int64_t> &widths, bool sign_bit) {
  const size_t words = words_of(n), half = half_of(n);
  size_t planes = sign_bit;
  int at = low;
  uint64_t *const r0 = m.words(n), *const r1 = m.words(n);
  for (int64_t width : widths) {
    const size_t size = (size_t)1 << width;
    tw_deal_sign_args sign = {n,
                              half,
                              r0,
                              r1,
                              m.words(size * words_of(half)),
                              m.words(size * (words - words_of(half)) + 1),
                              ring,
                              at,
                              (int)width,
                              m.words(words)};
    out.push_back(TRIAL(deal_sign, sign));
    planes += size;
    at += (int)width;
  }
  tw_deal_digits_args digits = {
      n, words, r0, r1, m.list(widths), (int)widths.size(), ring, low, sign_bit, m.words(planes * words)};
  out.push_back(TRIAL(deal_digits, digits));
}

void add_keys(arena &m, trials &out, size_t n, int ring) {
  const size_t words = words_of(n), levels = (size_t)tw_key_levels(ring);
  tw_deal_keys_args keys = {n,
                            words,
                            m.words(n),
                            m.words(n),
                            {m.words(2 * n), m.words(2 * n)},
                            m.words(1),
                            m.words(2 * levels * n + 1),
                            m.words(levels * n + 1),
                            m.words(2 * n),
                            m.words(words),
                            (uint32_t)m.next(),
                            ring};
  out.push_back(TRIAL(deal_keys, keys));
}

void add_window_keys(arena &m, trials &out, size_t n, int ring, int low) {
  const size_t levels = (size_t)tw_leaf_key_levels(ring - low);
  tw_deal_window_args keys = {n,
                              m.words(n),
                              m.words(n),
                              {m.words(2 * n), m.words(2 * n)},
                              m.words(1),
                              m.words(2 * levels * n + 1),
                              m.words(levels * n + 1),
                              m.words(2 * n),
                              m.words(words_of(n)),
                              (uint32_t)m.next(),
                              ring,
                              low};
  out.push_back(TRIAL(deal_window, keys));
}

void add_segment_keys(arena &m, trials &out, size_t n, int ring, int first_step, int runs) {
  const size_t levels = (size_t)(ring - first_step), values = 2 * (size_t)runs * n;
  std::vector<int64_t> list;
  for (int i = 0; i <= runs; i++)
    for (int word : {first_step + (i < runs ? i : runs - 1), 0, 0}) list.push_back(word);
  tw_deal_segments_args keys = {n,
                                m.words(n),
                                m.words(n),
                                {m.words(2 * n), m.words(2 * n)},
                                m.words(1),
                                m.words(2 * levels * n),
                                m.words(levels * n),
                                m.words(values),
                                m.list(list),
                                (uint32_t)m.next(),
                                ring,
                                (int)(1 + m.below(64)),
                                first_step,
                                runs};
  out.push_back(TRIAL(deal_segments, keys));
}

// Products of `counts` literals each; every subset of two or more literals has a plane, save a few; every third product
// comes twice.
void add_subsets(arena &m, trials &out, size_t n, const std::vector<int> &counts) {
  enum { PLANES = 20 };
  tw_deal_subsets_args a = {};
  std::vector<int64_t> list;
  int64_t planes = 0;
  a.words = words_of(n);
  for (int i = 0; i < 3; i++) a.mask[i] = m.words(PLANES * a.words);
  for (size_t i = 0; i < counts.size(); i++) {
    std::vector<int64_t> one = {(int64_t)i, counts[i]};
    for (int j = 0; j < counts[i]; j++)
      one.insert(one.end(), {(int64_t)m.below(3), (int64_t)m.below(PLANES), (int64_t)m.below(2)});
    for (int set = 0; set < 1 << counts[i]; set++)
      one.push_back((set & (set - 1)) == 0 || m.below(8) == 0 ? -1 : planes++);
    for (int times = i % 3 == 2 ? 2 : 1; times; times--, a.products++) list.insert(list.end(), one.begin(), one.end());
  }
  std::vector<int64_t> outline(counts.size() + 1 + (size_t)a.products);
  tw_products_outline(list.data(), a.products, (int)counts.size(), outline.data());
  outline.erase(outline.begin(), outline.begin() + (ptrdiff_t)counts.size() + 1);
  a.list = m.list(list);
  a.starts = m.list(outline);
  a.list_count = list.size();
  a.out = m.words((size_t)planes * a.words);
  out.push_back(TRIAL(deal_subsets, a));
}

tw_give_args half(arena &m, int party, int bits, int width, size_t n) {
  const size_t h = half_of(n), count = party == 0 ? h : n - h;
  const size_t data = bits ? 8 * words_of(count) * (size_t)width : (count * (size_t)width + 7) / 8;
  tw_give_args a = {};
  a.seed = (const tw_seed *)m.words(4);
  a.slot = m.words(1);
  a.use = (uint32_t)m.next();
  a.bits = bits;
  a.width = width;
  a.n = n;
  a.first = party == 0 ? 0 : h;
  a.count = count;
  a.bytes = (data + 63) / 64 * 64;
  a.values = m.words(bits ? words_of(n) * (size_t)width : n);
  a.packed = (uint8_t *)m.words(a.bytes / 8);
  return a;
}

// Of a correction that both parties read as it is.
tw_give_args whole(arena &m, int width, size_t n) {
  tw_give_args a = half(m, 0, 0, width, 2 * n + 128);
  a.n = a.count = n;
  a.bytes = ((n * (size_t)width + 7) / 8 + 63) / 64 * 64;
  a.plain = 1;
  return a;
}

void add_give(arena &m, trials &out, const std::vector<tw_give_args> &args) {
  std::string name = "give";
  for (const tw_give_args &a : args)
    name += (a.bits ? " planes " : " ring ") + std::to_string(a.width) + " n " + std::to_string(a.n);
  out.push_back({name, [&m, args](const tw_backend *k, bool on_device, void *stream) {
                   std::vector<tw_give_args> copy;
                   for (const tw_give_args &a : args) copy.push_back(on_device ? m.on_device_args(a) : a);
                   return k->give(copy.data(), (int)copy.size(), stream);
                 }});
}

int wrong, ran;

void flush(arena &m, trials &list, size_t n) {
  std::vector<unsigned char> back(m.filled());
  m.fill();
  must(tw_cuda_backend.upload(m.device, m.host, m.filled(), nullptr), "upload");
  for (const trial &t : list) {
    must(t.run(&tw_cpu_backend, false, nullptr), t.name + " on the CPU");
    must(t.run(&tw_cuda_backend, true, nullptr), t.name + " on the GPU");
    must(tw_cuda_backend.download(back.data(), m.device, m.filled(), nullptr), t.name);
    ran++;
    if (memcmp(back.data(), m.host, m.filled()) == 0) continue;
    size_t at = 0;
    while (((uint64_t *)back.data())[at] == ((uint64_t *)m.host)[at]) at++;
    printf("%s, %zu elements: word %zu differs\n", t.name.c_str(), n, at);
    wrong++;
    must(tw_cuda_backend.upload(m.device, m.host, m.filled(), nullptr), "upload");
  }
  list.clear();
  m.clear();
}

int check(bool small) {
  arena m((size_t)256 << 20);
  trials list;
  for (size_t n : {1, 2, 63, 64, 65, 127, 128, 129, 200, 1000, 4097, 20000}) {
    if (small && n > 1000) continue;
    for (size_t rows : {1, 3, 12}) add_elements(m, list, rows, n), flush(m, list, n);
    add_rows(m, list, (size_t)m.between(1, 100)), flush(m, list, n);
    add_digits(m, list, n, 24, 0, {4, 4, 7, 4, 4}, true), flush(m, list, n);
    add_digits(m, list, n, 54, 3, {4, 1, 8, 2, 5}, false), flush(m, list, n);
    add_digits(m, list, n, 64, 30, {11}, true), flush(m, list, n);
    for (int ring : {2, 7, 8, 9, 20, 61}) add_keys(m, list, n, ring), flush(m, list, n);
    for (int ring : {5, 9, 24}) add_window_keys(m, list, n, ring, ring / 3), flush(m, list, n);
    if (n <= 1000) add_segment_keys(m, list, n, 20, 6, 8), add_segment_keys(m, list, n, 50, 15, 29), flush(m, list, n);
    add_subsets(m, list, n, {1, 2, 3, 4, 3, 1, 2}), flush(m, list, n);
    add_subsets(m, list, n, {7, 8, 2}), flush(m, list, n);
    if (n <= 200) add_subsets(m, list, n, std::vector<int>(400, 4)), flush(m, list, n);
    for (int width = 1; width <= 64; width++)
      for (int party : {0, 1}) add_give(m, list, {half(m, party, 0, width, n)});
    flush(m, list, n);
    for (int planes : {1, 2, 7, 33, 209})
      for (int party : {0, 1}) add_give(m, list, {half(m, party, 1, planes, n)});
    for (int width : {1, 31, 32, 33, 64}) add_give(m, list, {whole(m, width, n)});
    flush(m, list, n);
    std::vector<tw_give_args> together = {whole(m, m.between(1, 64), n)};
    for (int i = 1; i < TW_GIVE_MOST; i++)
      together.push_back(half(m, i / 8, i % 2, m.between(1, 64), 1 + m.below(2 * n)));
    add_give(m, list, together), flush(m, list, n);
  }
  printf("%d of %d cases differ\n", wrong, ran);
  return wrong ? 1 : 0;
}

}  // namespace

int main(int argc, char **argv) {
  const std::string mode = argc > 1 ? argv[1] : "check";
  if (mode == "check") return check(false);
  if (mode == "small") return check(true);
  fprintf(stderr, "usage: cuda_deal [check | small]\n");
  return 2;
}
