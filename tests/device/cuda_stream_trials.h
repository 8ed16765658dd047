// Trials of streams, corrections, and the kernels that apply them; included by cuda_kernels.cu alone.
#ifndef TW_TEST_CUDA_STREAM_TRIALS_H
#define TW_TEST_CUDA_STREAM_TRIALS_H

#include <memory>

#include "tests/device/cuda_trials.h"

namespace {

// ---- streams ----

void add_draw(arena &m, trials &out, size_t sequences, int ring, size_t n) {
  const tw_draw_args a = {sequences,
                          (const tw_seed *)m.words(4 * sequences),
                          m.words(sequences),
                          (uint32_t)m.next(),
                          ring,
                          n,
                          m.words(sequences * n)};
  out.push_back(TRIAL(draw, a, 8.0 * (double)(sequences * n), (double)(sequences * n)));
}

void add_draw_all(arena &m, trials &out, size_t sequences, size_t count) {
  std::vector<tw_draw_args> args;
  double words = 0;
  const tw_seed *seeds = (const tw_seed *)m.words(4 * sequences);
  const uint64_t *slots = m.words(sequences);
  for (size_t i = 0; i < count; i++) {
    const size_t n = 1 + m.below(i % 5 ? 700 : 9000);
    args.push_back({sequences, seeds, slots, (uint32_t)m.next(), (int)m.below(65), n, m.words(sequences * n)});
    words += (double)(sequences * n);
  }
  out.push_back({"draw_all",
                 [&m, args](const tw_backend *k, bool device, void *stream) {
                   std::vector<tw_draw_args> copy;
                   for (const auto &a : args) copy.push_back(device ? m.on_device_args(a) : a);
                   return k->draw_all(copy.data(), (int)copy.size(), stream);
                 },
                 8 * words, words});
}

// A party's half of n elements of every sequence; bits: planes of them.
tw_correction_args half_of(arena &m, size_t sequences, int party, int bits, int width, size_t n) {
  const size_t half = std::min(n, (n + 127) / 128 * 64), first = party ? half : 0, count = party ? n - half : half;
  const size_t file = bits ? words_of(count) * (size_t)width : words_of(count * (size_t)width);
  const size_t to = bits ? words_of(n) * (size_t)width : n, stride = file + m.below(9);
  return {sequences,
          (const tw_seed *)m.words(4 * sequences),
          m.words(sequences),
          (uint32_t)m.next(),
          bits,
          width,
          n,
          first,
          count,
          (const uint8_t *)m.words(sequences * stride),
          8 * stride,
          m.words(sequences * to)};
}
double bytes_of(const tw_correction_args &a) {
  const double elements = a.bits ? (double)words_of(a.n) * a.width : (double)a.n;
  return (double)a.sequences * (8 * elements + (double)a.count * a.width / 8);
}

void add_corrections(arena &m, trials &out, const std::vector<tw_correction_args> &args) {
  double bytes = 0, elements = 0;
  for (const auto &a : args) {
    bytes += bytes_of(a);
    elements += (double)(a.sequences * a.n) * (a.bits ? a.width : 1);
  }
  out.push_back({"corrections",
                 [&m, args](const tw_backend *k, bool device, void *stream) {
                   std::vector<tw_correction_args> copy;
                   for (const auto &a : args) copy.push_back(device ? m.on_device_args(a) : a);
                   return k->corrections(copy.data(), (int)copy.size(), stream);
                 },
                 bytes, elements});
}

// Gates that take their corrections. One with an element for each of the gate's has memory of the CPU's own: what the
// GPU does not write must not be missed. n elements of every sequence.
struct taken_list {
  std::vector<tw_correction_args> list;
  std::vector<std::vector<uint64_t>> memory;

  const uint64_t *add(arena &m, size_t sequences, int party, size_t n, bool apart) {
    list.push_back(half_of(m, sequences, party, 0, m.between(1, 64), n));
    if (apart) {
      memory.emplace_back(sequences * n);
      list.back().out = memory.back().data();
    }
    return list.back().out;
  }
};

template <class type>
void add_corrected(arena &m, trials &out, const char *name,
                   tw_status (*tw_backend::*op)(const type *, const tw_correction_args *, int, void *),
                   const type &args, std::shared_ptr<taken_list> taken) {
  out.push_back({name,
                 [&m, op, args, taken](const tw_backend *k, bool on_device, void *stream) {
                   if (!on_device) return (k->*op)(&args, taken->list.data(), (int)taken->list.size(), stream);
                   const type copy = m.on_device_args(args);
                   std::vector<tw_correction_args> list;
                   for (const auto &c : taken->list) list.push_back(m.on_device_args(c));
                   return (k->*op)(&copy, list.data(), (int)list.size(), stream);
                 },
                 0, 0});
}

// The kernels that apply their corrections, on [sequences * rows][cols]; own: elements of a sequence.
struct corrected_case {
  arena &m;
  trials &out;
  size_t sequences, rows, cols, all, n, own;
  int party;

  std::shared_ptr<taken_list> fresh() const { return std::make_shared<taken_list>(); }
  const uint64_t *add(const std::shared_ptr<taken_list> &t) const { return t->add(m, sequences, party, own, true); }
  void elements() const;
  void floors() const;
  void products() const;
  void products_of_rows() const;
  void selections(bool shared) const;
};

void corrected_case::elements() const {
  auto t = fresh();
  tw_piece_args piece = {1, n, m.words(n), m.words(n), add(t), add(t), add(t), m.words(n), ring_of(m)};
  add_corrected(m, out, "piece_corrected", &tw_backend::piece_corrected, piece, t);
  t = fresh();
  tw_combine_args combine = {1, n, add(t), m.words(n), m.words(n), 1, ~0ull, 0, ring_of(m), flat(n)};
  add_corrected(m, out, "combine_corrected", &tw_backend::combine_corrected, combine, t);
  t = fresh();
  tw_extend_args extend = {1,      n,          m.words(n), m.words(n), add(t),
                           add(t), m.words(n), one_of(m),  ring_of(m), m.between(3, 62)};
  add_corrected(m, out, "extend_corrected", &tw_backend::extend_corrected, extend, t);
  t = fresh();
  tw_square_args square = {1,      n,      m.words(n), m.words(n), add(t),
                           add(t), add(t), m.words(n), one_of(m),  m.between(3, 62)};
  t->add(m, sequences, party, rows, false);  // goes to the sums of rows
  add_corrected(m, out, "square_corrected", &tw_backend::square_corrected, square, t);
}

void corrected_case::floors() const {
  auto t = fresh();
  tw_floor_args floor = {sequences, own,        m.words(n),      m.words(sequences * words_of(own)),
                         add(t),    add(t),     m.words(n),      words_of(own),
                         one_of(m), ring_of(m), m.between(0, 30)};
  add_corrected(m, out, "floor_corrected", &tw_backend::floor_corrected, floor, t);
}

void corrected_case::products() const {
  auto t = fresh();
  size_t other;
  const tw_pairing pair = pairing(m, sequences, rows, cols, &other);
  tw_multiply_args multiply = {all,    cols,   m.words(n), m.words(n), m.words(other), m.words(other),   add(t), add(t),
                               add(t), add(t), m.words(n), one_of(m),  ring_of(m),     m.between(3, 62), pair};
  add_corrected(m, out, "multiply_corrected", &tw_backend::multiply_corrected, multiply, t);
  t = fresh();
  multiply.carry = multiply.top = multiply.tq = nullptr;
  multiply.rq = add(t);
  multiply.out = m.words(n);
  add_corrected(m, out, "multiply_corrected", &tw_backend::multiply_corrected, multiply, t);
}

void corrected_case::products_of_rows() const {
  auto t = fresh();
  const bool same = cols == 1;  // a row's correction has an element for each of the gate's
  const uint64_t *y_carry = t->add(m, sequences, party, rows, same), *y_top = t->add(m, sequences, party, rows, same);
  tw_multiply_rows_args by_rows = {all,          cols,       m.words(n),       m.words(n),      m.words(all),
                                   m.words(all), add(t),     add(t),           y_carry,         y_top,
                                   add(t),       add(t),     add(t),           add(t),          m.words(n),
                                   one_of(m),    ring_of(m), m.between(3, 31), m.between(3, 31)};
  add_corrected(m, out, "multiply_rows_corrected", &tw_backend::multiply_rows_corrected, by_rows, t);
}

// rows: planes
void corrected_case::selections(bool shared) const {
  const size_t words = words_of(cols), first = m.below(3), sequence_words = (rows + first) * words;
  const size_t x_n = shared ? cols : own, x = sequences * x_n;
  auto t = fresh();
  const auto add_x = [&] { return t->add(m, sequences, party, x_n, x_n == own); };
  const uint64_t *carry = add_x(), *top = add_x();
  tw_select_args select = {all,
                           cols,
                           m.words(sequences * sequence_words),
                           m.words(x),
                           m.words(x),
                           carry,
                           top,
                           add(t),
                           add(t),
                           add(t),
                           m.words(n),
                           rows,
                           first,
                           words,
                           sequence_words,
                           x_n,
                           shared ? 0 : cols,
                           one_of(m),
                           ring_of(m),
                           m.between(3, 62)};
  add_corrected(m, out, "select_corrected", &tw_backend::select_corrected, select, t);
}

void add_corrected(arena &m, trials &out, size_t sequences, size_t rows, size_t cols) {
  const size_t all = sequences * rows;
  const corrected_case c = {m, out, sequences, rows, cols, all, all * cols, rows * cols, (int)m.below(2)};
  c.elements();
  c.floors();
  c.products();
  c.products_of_rows();
  c.selections(false);
  c.selections(true);
}

}  // namespace

#endif
