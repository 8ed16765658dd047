// Trials of bits, lookups and products of matrices; included by cuda_kernels.cu alone.
#ifndef TW_TEST_CUDA_BIT_TRIALS_H
#define TW_TEST_CUDA_BIT_TRIALS_H

#include "tests/device/cuda_trials.h"

namespace {

// ---- digits ----

// Leaves on digits of the given widths from bit 0 on, the sign bit's plane last; sets offsets of [lt, eq] each, or of
// one offset again and again.
void add_leaves(arena &m, trials &out, size_t sequences, size_t n, int ring, const std::vector<int> &widths, int sets,
                bool sign, bool again = false) {
  std::vector<int64_t> list;
  size_t planes = 1;
  for (int width : widths) planes += (size_t)1 << width;
  for (int set = 0; set < sets; set++) {
    const int64_t offset = again && set > 0 ? list[0] : (int64_t)m.next();
    size_t first = 0;
    int low = 0;
    for (int width : widths) {
      for (int kind : {TW_LEAF_LT, TW_LEAF_EQ}) {
        list.push_back(offset);
        list.push_back(low);
        list.push_back(width | kind << 8 | (int64_t)first << 16);
      }
      first += (size_t)1 << width;
      low += width;
    }
    if (!sign) continue;
    list.push_back(offset);
    list.push_back(low);
    list.push_back(1 | TW_LEAF_SIGN << 8 | (int64_t)first << 16);
  }
  const size_t words = words_of(n), count = list.size() / 3;
  tw_leaves_args a = {sequences,
                      n,
                      words,
                      m.words(sequences * n),
                      m.words(sequences * planes * words),
                      m.list(list),
                      m.words(sequences * count * words),
                      planes * words,
                      (int)count,
                      ring,
                      (int)m.below(2)};
  const double bits = (double)(sequences * n) / 8;
  out.push_back(TRIAL(leaves, a, bits * (double)(planes + count) + 64 * bits, (double)(sequences * n)));
}

// ring 0: some ring that the digit fits in. A ring of fewer bits leaves the elements few digits and sub-tables.
void add_lookup(arena &m, trials &out, size_t sequences, size_t n, int width, int sub_bits, int low_bit,
                uint64_t ring_out, int ring = 0) {
  const size_t words = words_of(n), entries = (size_t)1 << (width + sub_bits),
               planes = ((size_t)1 << width) + m.below(3);
  tw_lookup_args a = {sequences,
                      n,
                      words,
                      m.words(sequences * n),
                      m.words(sequences * planes * words),
                      {m.words(entries), m.words(entries)},
                      {m.words(sequences * n), m.words(sequences * n)},
                      planes * words,
                      m.next(),
                      ring_out,
                      ring ? ring : low_bit + width + (int)m.below(3),
                      low_bit,
                      width,
                      sub_bits,
                      (int)m.below(2)};
  const double elements = (double)(sequences * n);
  out.push_back(
      TRIAL(lookup, a, elements * (24 + (double)((size_t)1 << width) / 8), elements * (double)((size_t)1 << width)));
}

// Words of keys may be anything here: what is read from them is the same on both devices.
void add_thresholds(arena &m, trials &out, size_t sequences, size_t n, int ring, int count) {
  const size_t words = words_of(n), levels = (size_t)tw_key_levels(ring), all = sequences * n;
  std::vector<int64_t> thresholds;
  for (int i = 0; i < count; i++) thresholds.push_back((int64_t)m.next());
  tw_thresholds_args a = {sequences,
                          n,
                          words,
                          m.words(all),
                          m.list(thresholds),
                          m.words(2 * all),
                          m.words(2 * levels * all),
                          m.words(levels * all),
                          m.words(2 * all),
                          m.words(sequences * words),
                          m.words(sequences),
                          m.words(sequences * (size_t)count * words),
                          (uint32_t)m.next(),
                          count,
                          ring,
                          (int)m.below(2)};
  out.push_back(
      TRIAL(thresholds, a, 8.0 * (double)all * (double)(5 + 3 * levels), (double)all * (double)count * (double)levels));
}

void add_window(arena &m, trials &out, size_t sequences, size_t n, int ring, int low, int count, int arcs) {
  const int bits = ring - low, sub_bits = low < 2 ? low : 2;
  const size_t words = words_of(n), all = sequences * n, levels = (size_t)tw_leaf_key_levels(bits),
               entries = (size_t)count << sub_bits;
  std::vector<int64_t> list(1);
  for (int i = 0; i < arcs; i++) {
    const int64_t from = m.between(-50, 50), length = 1 + (int64_t)m.below(((uint64_t)1 << bits) - 1),
                  arc[] = {(int64_t)m.next(), (int64_t)m.below(2), from, from + length, (int64_t)m.below(2)};
    list.insert(list.end() - 1, arc, arc + TW_ARC_WORDS);
  }
  tw_key_window_args a = {sequences,
                          n,
                          words,
                          m.words(all),
                          {m.words(2 * all), m.words(2 * levels * all + 1), m.words(levels * all + 1), m.words(2 * all),
                           m.words(sequences), (uint32_t)m.next()},
                          {m.words(entries), m.words(entries)},
                          m.list(list),
                          {m.words(all), m.words(all)},
                          m.words(sequences * (size_t)arcs * words + 1),
                          m.next(),
                          ring_of(m),
                          ring,
                          low,
                          count,
                          sub_bits,
                          arcs,
                          (int)m.below(2)};
  out.push_back(TRIAL(key_window, a, 8.0 * (double)all * (double)(5 + 3 * levels), (double)all * count));
}

void add_segments(arena &m, trials &out, size_t sequences, size_t n, int first_step, int runs, bool outside) {
  std::vector<int64_t> list;
  uint64_t border = m.below(100), entries = 0;
  for (int i = 0; i <= runs; i++) {
    const int step = first_step + (i < runs ? i : runs - 1), sub = step < TW_SEGMENT_SUB ? step : TW_SEGMENT_SUB;
    for (uint64_t word : {(uint64_t)step, border, entries}) list.push_back((int64_t)word);
    const uint64_t length = (3 + m.below(40)) << (first_step + i);
    border += length;
    entries += (length >> (step - sub)) + 40;
  }
  const int ring = 64 - __builtin_clzll(border + ((uint64_t)1 << (first_step + runs)));
  const size_t words = words_of(n), all = sequences * n, levels = (size_t)(ring - first_step);
  tw_key_segments_args a = {sequences,
                            n,
                            words,
                            m.words(all),
                            m.words(2 * levels * all),
                            m.words(2 * levels * all),
                            m.words(levels * all),
                            m.words(2 * (size_t)runs * all),
                            m.words(sequences),
                            m.words(entries),
                            m.words(entries),
                            m.list(list),
                            m.words(all),
                            outside ? m.words(sequences * words) : nullptr,
                            2 * levels * n,
                            (uint32_t)m.next(),
                            ring,
                            m.between(1, 64),
                            first_step,
                            runs,
                            (int)m.below(2)};
  out.push_back(TRIAL(key_segments, a, 8.0 * (double)all * (double)(4 + 3 * levels), (double)all * 32 * runs));
}

// counts: literals of each product; several go to one out plane.
void add_bit_products(arena &m, trials &out, size_t sequences, size_t n, const std::vector<int> &counts,
                      size_t each = 3) {
  const size_t words = words_of(n), operands = 1 + m.below(TW_OPERANDS), operand_planes = 9,
               outs = counts.size() / each + 1;
  std::vector<int64_t> list;
  size_t dealt = 0;
  double loads = 0;
  for (size_t i = 0; i < counts.size(); i++) {
    list.push_back((int64_t)m.below(outs));
    list.push_back(counts[i]);
    for (int j = 0; j < counts[i]; j++) {
      list.push_back((int64_t)m.below(operands));
      list.push_back((int64_t)m.below(operand_planes));
      list.push_back((int64_t)m.below(2));
    }
    for (int set = 0; set < 1 << counts[i]; set++) list.push_back((set & (set - 1)) == 0 ? -1 : (int64_t)dealt++);
    loads += (double)(1 << counts[i]) + counts[i];
  }
  std::vector<int64_t> outline(outs + 1 + counts.size());
  tw_products_outline(list.data(), (int)counts.size(), (int)outs, outline.data());
  tw_products_args a = {sequences,
                        words,
                        list.size(),
                        (int)operands,
                        (int)m.below(2),
                        (int)counts.size(),
                        {},
                        {},
                        {},
                        m.words(sequences * dealt * words),
                        dealt * words,
                        outs * words,
                        m.list(list),
                        m.list(outline),
                        m.words(sequences * outs * words)};
  for (size_t i = 0; i < operands; i++) {
    a.operand_words[i] = (operand_planes + i) * words;
    a.value[i] = m.words(sequences * a.operand_words[i]);
    a.mask[i] = m.words(sequences * a.operand_words[i]);
  }
  out.push_back(TRIAL(products, a, 8.0 * (double)(sequences * words) * loads, (double)(sequences * n * counts.size())));
}

void add_parity(arena &m, trials &out, size_t sequences, size_t n, int planes, size_t terms) {
  const size_t words = words_of(n), operand_planes = 5;
  std::vector<int64_t> list;
  for (size_t i = 0; i < terms; i++)
    for (int64_t value : {(int64_t)m.below((uint64_t)planes), (int64_t)m.below(2), (int64_t)m.below(operand_planes)})
      list.push_back(value);
  for (int i = 0; i < planes; i++) list.push_back((int64_t)m.below(2));
  tw_parity_args a = {sequences,
                      words,
                      terms,
                      2,
                      planes,
                      (int)m.below(2),
                      {m.words(sequences * operand_planes * words), m.words(sequences * (operand_planes + 1) * words)},
                      {operand_planes * words, (operand_planes + 1) * words},
                      m.list(list),
                      m.words(sequences * (size_t)planes * words)};
  out.push_back(TRIAL(parity, a, 8.0 * (double)(sequences * words) * (double)(terms + (size_t)planes),
                      (double)(sequences * n * terms)));
}

// From one plane, and from planes of one bit each.
void add_reshape(arena &m, trials &out, size_t sequences, size_t planes, size_t n) {
  for (int single = 0; single < 2; single++) {
    const size_t from = single ? 1 : planes * n, from_words = planes * n / from * words_of(from);
    tw_reshape_args a = {
        sequences, n, planes, from_words, m.words(sequences * from_words), m.words(sequences * planes * words_of(n)),
        from};
    out.push_back(TRIAL(reshape, a, 16.0 * (double)(sequences * from_words), (double)(sequences * planes * n)));
  }
}

// ---- products of matrices ----

void add_gemm(arena &m, trials &out, size_t count, size_t rows, size_t cols, size_t inner, int ring, int accumulate,
              bool misaligned) {
  const uint64_t *a = m.words(count * rows * inner, misaligned), *b = m.words(count * inner * cols);
  uint64_t *c = m.words(count * rows * cols);
  out.push_back({"gemm",
                 [=, &m](const tw_backend *k, bool device, void *stream) {
                   if (!device) return k->gemm(count, rows, cols, inner, a, b, c, ring, accumulate, stream);
                   return k->gemm(count, rows, cols, inner, m.on_device(a), m.on_device(b), m.on_device(c), ring,
                                  accumulate, stream);
                 },
                 8.0 * (double)(count * (rows * inner + inner * cols + 2 * rows * cols)),
                 (double)(count * rows * cols * inner)});
}

void add_product(arena &m, trials &out, size_t rows, size_t cols, size_t inner, int ring, int addend) {
  const uint64_t *v = m.words(inner * cols), *x = m.words(rows * inner);
  uint64_t *to = m.words(rows * cols);
  const uint64_t *plus = addend == 0 ? nullptr : addend == 1 ? to : m.words(rows * cols);
  out.push_back({"operand, product",
                 [=, &m](const tw_backend *k, bool device, void *stream) {
                   void *operand;
                   const auto at = [&](const uint64_t *p) { return device ? m.on_device(p) : p; };
                   TW_TRY(k->operand(inner, cols, ring, at(v), stream, &operand));
                   tw_status status =
                       k->product(operand, rows, cols, inner, at(x), at(plus), ring, (uint64_t *)at(to), stream);
                   if (device) cudaStreamSynchronize((cudaStream_t)stream);
                   k->operand_free(operand);
                   return status;
                 },
                 0, 0});
}

// Rows that lie apart, with one addend for all of them.
void add_product_rows(arena &m, trials &out, int rows, size_t cols, size_t inner, int ring, bool addend) {
  const uint64_t *v = m.words(inner * cols), *plus = addend ? m.words(cols) : nullptr;
  std::vector<tw_product_row> row;
  for (int i = 0; i < rows; i++) {
    const uint64_t *x = m.words(inner);
    row.push_back({x, plus, m.words(cols)});
  }
  out.push_back({"operand, product_rows",
                 [=, &m](const tw_backend *k, bool device, void *stream) {
                   void *operand;
                   std::vector<tw_product_row> there = row;
                   for (tw_product_row &r : there)
                     if (device) r = {m.on_device(r.x), m.on_device(r.addend), m.on_device(r.out)};
                   TW_TRY(k->operand(inner, cols, ring, device ? m.on_device(v) : v, stream, &operand));
                   tw_status status = TW_OK;
                   if (k->product_rows)
                     status = k->product_rows(operand, rows, cols, inner, there.data(), ring, stream);
                   else
                     for (const tw_product_row &r : there)
                       if (status == TW_OK)
                         status = k->product(operand, 1, cols, inner, r.x, r.addend, ring, r.out, stream);
                   if (device) cudaStreamSynchronize((cudaStream_t)stream);
                   k->operand_free(operand);
                   return status;
                 },
                 0, 0});
}

}  // namespace

#endif
