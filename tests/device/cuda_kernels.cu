// The CUDA backend against the CPU backend: cuda_kernels [check | small | bench] [[not] ENTRY ..]. check: every entry
// of the table (or those named, or all others) on fresh random data of many shapes, equal to the last bit; small: fewer
// shapes, for compute-sanitizer; bench: times of one inference's sizes.
#include <cuda_runtime.h>

#include <algorithm>
#include <memory>
#include <string>

#include "tests/device/cuda_arena.h"

namespace {

struct trial {
  std::string name;
  std::function<tw_status(const tw_backend *k, bool on_device, void *stream)> run;
  double bytes, elements;  // read and written; what a rate counts
};

void must(tw_status status, const char *what) {
  if (status == TW_OK) return;
  fprintf(stderr, "cuda_kernels: %s: %s\n", what, tw_error_message());
  exit(2);
}
void must(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "cuda_kernels: %s: %s\n", what, cudaGetErrorString(error));
  exit(2);
}

template <class type>
trial make(arena &m, const char *name, tw_status (*tw_backend::*op)(const type *, void *), const type &args,
           double bytes, double elements) {
  return {name,
          [&m, op, args](const tw_backend *k, bool on_device, void *stream) {
            if (!on_device) return (k->*op)(&args, stream);
            const type copy = m.on_device_args(args);
            return (k->*op)(&copy, stream);
          },
          bytes, elements};
}
#define TRIAL(op, args, bytes, elements) make(m, #op, &tw_backend::op, args, bytes, elements)

size_t words_of(size_t n) { return (n + 63) / 64; }
uint64_t ring_of(arena &m) { return tw_ring_mask(m.between(1, 64)); }
uint64_t one_of(arena &m) { return m.below(2) ? ~0ull : 0; }
tw_pairing flat(size_t cols) { return {1, cols, 0, 1}; }

// A second operand: flat, one element a column, or one a row of each sequence. *size: its words.
tw_pairing pairing(arena &m, size_t sequences, size_t rows, size_t cols, size_t *size) {
  switch (m.below(3)) {
    case 0:
      *size = sequences * rows * cols;
      return flat(cols);
    case 1:
      *size = sequences * cols;
      return {rows, cols, 0, 1};
    default:
      *size = sequences * rows;
      return {rows, rows, 1, 0};
  }
}

// ---- elementwise gates: rows = sequences * rows of a sequence ----

typedef std::vector<trial> trials;

void add_local(arena &m, trials &out, size_t sequences, size_t rows, size_t cols) {
  const size_t all = sequences * rows, n = all * cols;
  const double size = 8.0 * (double)n;
  tw_mask_args mask = {all, cols, m.words(n), m.words(n), m.words(n), ring_of(m), (int)m.below(2)};
  out.push_back(TRIAL(mask, mask, 3 * size, n));
  const uint64_t ring = ring_of(m);
  tw_shift_args shift = {all, cols, m.words(n), m.words(n), m.next() & ring, ring, m.between(0, 40)};
  out.push_back(TRIAL(shift, shift, 2 * size, n));
  tw_view_args view = {all, cols, m.words(n), m.words(n), {1, 1, rows, cols}, {0, 0, cols, 1}, 0, rows * cols};
  if (rows % 3 == 0) view = {all, cols, view.x, view.out, {rows / 3, 1, 3, cols}, {3, 0, 1, rows}, 0, rows * cols};
  out.push_back(TRIAL(view, view, 2 * size, n));
  const size_t cx = m.below(cols + 1);
  tw_concat_args concat = {all, cols, m.words(all * cx), m.words(all * (cols - cx)), m.words(n), cx};
  out.push_back(TRIAL(concat, concat, 2 * size, n));
  size_t other;
  const tw_pairing pair = pairing(m, sequences, rows, cols, &other);
  tw_combine_args combine = {all,      cols,     m.words(n), m.words(other), m.words(n),
                             m.next(), m.next(), m.next(),   ring_of(m),     pair};
  out.push_back(TRIAL(combine, combine, 3 * size, n));
  combine.y = nullptr;
  combine.out = m.words(n);
  out.push_back(TRIAL(combine, combine, 2 * size, n));
  tw_share_args share = {all, cols, m.words(other), m.words(other), m.words(n), one_of(m), ring_of(m), pair};
  out.push_back(TRIAL(share, share, 3 * size, n));
}

void add_products(arena &m, trials &out, size_t sequences, size_t rows, size_t cols) {
  const size_t all = sequences * rows, n = all * cols;
  const double size = 8.0 * (double)n;
  tw_extend_args extend = {all,        cols,       m.words(n), m.words(n), m.words(n),
                           m.words(n), m.words(n), one_of(m),  ring_of(m), m.between(3, 62)};
  out.push_back(TRIAL(extend, extend, 5 * size, n));
  size_t other;
  const tw_pairing pair = pairing(m, sequences, rows, cols, &other);
  tw_multiply_args multiply = {
      all,        cols,       m.words(n), m.words(n), m.words(other), m.words(other),   m.words(n), m.words(n),
      m.words(n), m.words(n), m.words(n), one_of(m),  ring_of(m),     m.between(3, 62), pair};
  out.push_back(TRIAL(multiply, multiply, 9 * size, n));
  multiply.carry = multiply.top = multiply.tq = nullptr;
  multiply.out = m.words(n);
  out.push_back(TRIAL(multiply, multiply, 6 * size, n));
  tw_multiply_rows_args by_rows = {all,          cols,       m.words(n),       m.words(n),      m.words(all),
                                   m.words(all), m.words(n), m.words(n),       m.words(all),    m.words(all),
                                   m.words(n),   m.words(n), m.words(n),       m.words(n),      m.words(n),
                                   one_of(m),    ring_of(m), m.between(3, 31), m.between(3, 31)};
  out.push_back(TRIAL(multiply_rows, by_rows, 9 * size, n));
  by_rows.ts = nullptr;
  by_rows.k = m.between(33, 62), by_rows.l = m.between(33, 62);
  by_rows.out = m.words(n);
  out.push_back(TRIAL(multiply_rows, by_rows, 8 * size, n));
  for (int k : {m.between(3, 31), m.between(32, 62)}) {
    tw_square_args square = {all,        cols,       m.words(n), m.words(n), m.words(n),
                             m.words(n), m.words(n), m.words(n), one_of(m),  k};
    out.push_back(TRIAL(square, square, 6 * size, n));
  }
  tw_piece_args piece = {all,        cols,       m.words(n), m.words(n), m.words(n), m.words(n),
                         m.words(n), m.words(n), m.words(n), m.words(n), ring_of(m)};
  out.push_back(TRIAL(piece, piece, 8 * size, n));
}

// Gates on planes of bits: [sequences][planes][n].
void add_selections(arena &m, trials &out, size_t sequences, size_t planes, size_t n) {
  const size_t words = words_of(n), first = m.below(3), sequence_words = (planes + first) * words,
               all = sequences * planes * n;
  const bool shared = m.below(2);
  const size_t x = shared ? sequences * n : all;
  tw_select_args select = {sequences * planes,
                           n,
                           m.words(sequences * sequence_words),
                           m.words(x),
                           m.words(x),
                           m.words(x),
                           m.words(x),
                           m.words(all),
                           m.words(all),
                           m.words(all),
                           m.words(all),
                           planes,
                           first,
                           words,
                           sequence_words,
                           shared ? n : planes * n,
                           shared ? 0 : n,
                           one_of(m),
                           ring_of(m),
                           m.between(3, 62)};
  out.push_back(TRIAL(select, select, 8.0 * (double)(4 * x + 4 * all), (double)all));
  select.carry = select.top = select.mt = nullptr;
  select.out = m.words(all);
  out.push_back(TRIAL(select, select, 8.0 * (double)(2 * x + 3 * all), (double)all));
  std::vector<int64_t> constants, shifts;
  for (size_t i = 0; i < planes; i++) {
    constants.push_back((int64_t)m.next());
    shifts.push_back(m.between(0, 40));
  }
  tw_constants_args sums = {sequences, n,     select.bits, m.words(all),   m.list(constants), m.words(sequences * n),
                            planes,    first, words,       sequence_words, m.below(2),        ring_of(m)};
  out.push_back(TRIAL(constants, sums, 8.0 * (double)all, (double)all));
  sums.m = nullptr;
  sums.out = m.words(sequences * n);
  out.push_back(TRIAL(constants, sums, (double)all / 8, (double)all));
  tw_sum_planes_args planes_sum = {sequences, n, planes, m.words(all), m.list(shifts), m.words(sequences * n),
                                   ring_of(m)};
  out.push_back(TRIAL(sum_planes, planes_sum, 8.0 * (double)all, (double)all));
  tw_floor_args floor = {sequences,
                         n,
                         m.words(sequences * n),
                         m.words(sequences * sequence_words),
                         m.words(sequences * n),
                         m.words(sequences * n),
                         m.words(sequences * n),
                         sequence_words,
                         one_of(m),
                         ring_of(m),
                         m.between(0, 30)};
  out.push_back(TRIAL(floor, floor, 32.0 * (double)(sequences * n), (double)(sequences * n)));
}

// Of `seq` queries, the last ones of `keys` tokens.
tw_liveness liveness(arena &m, size_t sequences, int seq, int keys) {
  tw_liveness live = {nullptr, seq, keys, keys - seq, (int)m.below(2)};
  std::vector<int> lengths;
  for (size_t i = 0; i < sequences; i++) lengths.push_back(m.between(1, keys));
  if (m.below(4) > 0) live.lengths = m.list(lengths);
  return live;
}

void add_attention(arena &m, trials &out, size_t sequences, size_t heads, size_t seq) {
  const size_t keys = seq + m.below(2) * m.below(9), rows = heads * seq, n = sequences * rows * keys;
  tw_zero_args zero = {sequences * rows, keys,       rows,
                       m.words(n),       m.words(n), liveness(m, sequences, (int)seq, (int)keys)};
  out.push_back(TRIAL(zero, zero, 16.0 * (double)n, (double)n));
  const size_t cols = (size_t)m.between(1, 300);
  tw_pool_args pool = {sequences,
                       cols,
                       seq,
                       m.words(sequences * seq * cols),
                       m.words(sequences * cols),
                       ring_of(m),
                       liveness(m, sequences, (int)seq, (int)keys)};
  out.push_back(TRIAL(pool, pool, 8.0 * (double)(sequences * seq * cols), (double)(sequences * seq * cols)));
  const size_t group = (size_t)m.between(2, 8), groups = (size_t)m.between(1, 20), first = m.below(4),
               pairs = group * (group - 1) / 2;
  const size_t x_cols = first + group * groups + m.below(3);
  tw_pairs_args pair = {sequences * pairs * rows,
                        groups,
                        rows,
                        x_cols,
                        first,
                        group,
                        pairs,
                        m.words(sequences * rows * x_cols),
                        m.words(sequences * pairs * rows * groups),
                        ring_of(m)};
  out.push_back(TRIAL(pairs, pair, 24.0 * (double)(sequences * pairs * rows * groups),
                      (double)(sequences * pairs * rows * groups)));
  std::vector<int64_t> earlier;
  for (int i = m.between(0, 2); i > 0; i--) earlier.push_back(m.between(1, 8));
  const size_t words = words_of(pairs * rows * groups);
  tw_kill_args kill = {sequences,
                       rows,
                       group,
                       groups,
                       first,
                       words,
                       m.list(earlier),
                       (int)earlier.size(),
                       (int)m.below(2),
                       m.words(sequences * words),
                       m.words(sequences * words),
                       liveness(m, sequences, (int)seq, (int)keys)};
  out.push_back(TRIAL(kill, kill, 16.0 * (double)(sequences * words), 64.0 * (double)(sequences * words)));
}

void add_sums(arena &m, trials &out, size_t rows, size_t cols) {
  const uint64_t *x = m.words(rows * cols), *addend = m.below(2) ? m.words(rows) : nullptr;
  const uint64_t ring = ring_of(m);
  uint64_t *to = m.words(rows);
  out.push_back({"row_sums",
                 [&m, x, addend, rows, cols, ring, to](const tw_backend *k, bool device, void *stream) {
                   if (!device) return k->row_sums(x, rows, cols, addend, ring, to, stream);
                   return k->row_sums(m.on_device(x), rows, cols, m.on_device(addend), ring, m.on_device(to), stream);
                 },
                 8.0 * (double)(rows * cols), (double)(rows * cols)});
}

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

void add_corrected(arena &m, trials &out, size_t sequences, size_t rows, size_t cols) {
  const size_t all = sequences * rows, n = all * cols, own = rows * cols;
  const int party = (int)m.below(2);
  const auto fresh = [] { return std::make_shared<taken_list>(); };
  const auto add = [&](std::shared_ptr<taken_list> t) { return t->add(m, sequences, party, own, true); };
  auto t = fresh();
  tw_piece_args piece = {1,      n,      m.words(n), m.words(n), m.words(n), add(t),
                         add(t), add(t), add(t),     m.words(n), ring_of(m)};
  add_corrected(m, out, "piece_corrected", &tw_backend::piece_corrected, piece, t);
  t = fresh();
  tw_combine_args combine = {1, n, add(t), m.words(n), m.words(n), 1, ~0ull, 0, ring_of(m), flat(n)};
  add_corrected(m, out, "combine_corrected", &tw_backend::combine_corrected, combine, t);
  t = fresh();
  tw_extend_args extend = {1,      n,          m.words(n), m.words(n), add(t),
                           add(t), m.words(n), one_of(m),  ring_of(m), m.between(3, 62)};
  add_corrected(m, out, "extend_corrected", &tw_backend::extend_corrected, extend, t);
  t = fresh();
  tw_floor_args floor = {sequences, own,        m.words(n),      m.words(sequences * words_of(own)),
                         add(t),    add(t),     m.words(n),      words_of(own),
                         one_of(m), ring_of(m), m.between(0, 30)};
  add_corrected(m, out, "floor_corrected", &tw_backend::floor_corrected, floor, t);
  t = fresh();
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
  t = fresh();
  const bool same = cols == 1;  // a row's correction has an element for each of the gate's
  const uint64_t *y_carry = t->add(m, sequences, party, rows, same), *y_top = t->add(m, sequences, party, rows, same);
  tw_multiply_rows_args by_rows = {all,          cols,       m.words(n),       m.words(n),      m.words(all),
                                   m.words(all), add(t),     add(t),           y_carry,         y_top,
                                   add(t),       add(t),     add(t),           add(t),          m.words(n),
                                   one_of(m),    ring_of(m), m.between(3, 31), m.between(3, 31)};
  add_corrected(m, out, "multiply_rows_corrected", &tw_backend::multiply_rows_corrected, by_rows, t);
  t = fresh();
  tw_square_args square = {1,      n,      m.words(n), m.words(n), add(t),
                           add(t), add(t), m.words(n), one_of(m),  m.between(3, 62)};
  t->add(m, sequences, party, rows, false);  // goes to the sums of rows
  add_corrected(m, out, "square_corrected", &tw_backend::square_corrected, square, t);
  for (bool shared : {false, true}) {  // rows: planes
    const size_t words = words_of(cols), first = m.below(3), sequence_words = (rows + first) * words;
    const size_t x_n = shared ? cols : own, x = sequences * x_n;
    t = fresh();
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
}

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

// counts: literals of each product; several go to one out plane.
void add_bit_products(arena &m, trials &out, size_t sequences, size_t n, const std::vector<int> &counts) {
  const size_t words = words_of(n), operands = 1 + m.below(TW_OPERANDS), operand_planes = 9,
               outs = counts.size() / 3 + 1;
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

void add_reshape(arena &m, trials &out, size_t sequences, size_t planes, size_t n) {
  const size_t from_words = words_of(planes * n);
  tw_reshape_args a = {
      sequences, n, planes, from_words, m.words(sequences * from_words), m.words(sequences * planes * words_of(n))};
  out.push_back(TRIAL(reshape, a, 16.0 * (double)(sequences * from_words), (double)(sequences * planes * n)));
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
                   TW_TRY(k->operand(inner, cols, at(v), stream, &operand));
                   tw_status status =
                       k->product(operand, rows, cols, inner, at(x), at(plus), ring, (uint64_t *)at(to), stream);
                   if (device) cudaStreamSynchronize((cudaStream_t)stream);
                   k->operand_free(operand);
                   return status;
                 },
                 0, 0});
}

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

int check(bool small, const std::vector<std::string> &named, bool others) {
  arena m((size_t)(small ? 96 : 1536) << 20);
  trials list;
  cudaStream_t stream;
  int wrong = 0, ran = 0;
  must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  const auto left_out = [&](const trial &t) {
    const bool is_named = std::find(named.begin(), named.end(), t.name) != named.end();
    return !named.empty() && is_named == others;
  };
  const auto flush = [&] {
    list.erase(std::remove_if(list.begin(), list.end(), left_out), list.end());
    ran += (int)list.size();
    if (list.empty())
      m.clear();
    else
      wrong += run_all(m, list, stream);
  };
  for (size_t sequences : {1, 3})
    for (size_t n : small ? std::vector<size_t>{1, 65, 300}
                          : std::vector<size_t>{1, 2, 31, 63, 64, 65, 100, 127, 129, 640, 1000, 4097, 20000, 33000}) {
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
        add_reshape(m, list, sequences, planes, n);
        flush();
        add_parity(m, list, sequences, n, (int)planes, 1 + m.below(small ? 20 : 400));
        flush();
      }
      add_attention(m, list, sequences, (size_t)m.between(1, 4), (size_t)m.between(1, n < 40 ? (int)n : 40));
      flush();
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
      add_leaves(m, list, sequences, n, 24, {4, 4, 7, 4, 4}, 1, true);
      add_leaves(m, list, sequences, n, 54, {4, 4, 3, 2, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4}, 3, true);
      add_leaves(m, list, sequences, n, 17, {5, 8, 2}, 2, false);
      add_leaves(m, list, sequences, n, 17, {5, 4, 2}, 3, true, true);
      flush();
      if (n <= 1000) add_leaves(m, list, sequences, n, 40, {13, 11, 6}, 1, true);
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
      add_bit_products(m, list, sequences, n, {1, 2, 3, 4, 4, 3, 2, 1, 0, 2});
      add_bit_products(m, list, sequences, n, {7, 7, 5, 6});
      if (n <= 1000) add_bit_products(m, list, sequences, n, {8});
      std::vector<int> many;
      for (int i = 0; i < (small ? 40 : 600); i++) many.push_back(1 + i % 4);
      if (n <= 300) add_bit_products(m, list, sequences, n, many);
      flush();
    }
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
  add_product(m, list, 1100, 64, 96, 48, 1);  // more rows than the fused kernel takes: with workspace
  flush();
  printf("%d of %d cases differ\n", wrong, ran);
  return wrong || ran == 0 ? 1 : 0;
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
  add_sums(m, list, 128, 768), flush("128x768");
  add_sums(m, list, 1536, 128), flush("1536x128");
  for (int ring : {24, 48}) add_draw(m, list, 1, ring, 393216);
  flush("128x3072, 24 and 48 bits");
  add_draw_all(m, list, 1, 64), flush("64 of up to 9000");
  add_corrections(m, list, {half_of(m, 1, 0, 1, 16 * 5 + 128 + 1, 393216)}), flush("GeLU digits, 209 planes");
  add_corrections(m, list,
                  {half_of(m, 1, 0, 0, 24, 393216), half_of(m, 1, 0, 0, 24, 393216), half_of(m, 1, 0, 0, 24, 393216),
                   half_of(m, 1, 0, 0, 24, 393216)});
  flush("GeLU piece, 4 of 24 bits");
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
