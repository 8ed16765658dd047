// Trials of elementwise gates; included by cuda_kernels.cu alone.
#ifndef TW_TEST_CUDA_RING_TRIALS_H
#define TW_TEST_CUDA_RING_TRIALS_H

#include "tests/device/cuda_trials.h"

namespace {

// ---- elementwise gates: rows = sequences * rows of a sequence ----

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
  tw_offset_args offset = {
      all, cols, m.words(n), m.words(n), m.words(n), m.words(n), m.next(), tw_ring_mask(m.between(1, 20)), ring_of(m)};
  out.push_back(TRIAL(offset, offset, 4 * size, n));
  tw_piece_args piece = {all, cols, m.words(n), m.words(n), m.words(n), m.words(n), m.words(n), m.words(n), ring_of(m)};
  out.push_back(TRIAL(piece, piece, 6 * size, n));
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

// By public places: rows from a sequence's last live one on, elements of blocks, turns of pairs.
void add_places(arena &m, trials &out, size_t sequences, size_t heads, size_t seq) {
  const size_t keys = seq + m.below(9), rows = heads * seq, cols = (size_t)m.between(1, 300);
  const size_t behind = m.below(4), last_cols = cols * (behind + 1);
  tw_last_row_args last = {sequences,
                           last_cols,
                           seq + behind,
                           cols,
                           m.words(sequences * (seq + behind) * cols),
                           m.words(sequences * last_cols),
                           liveness(m, sequences, (int)seq, (int)keys)};
  out.push_back(TRIAL(last_row, last, 16.0 * (double)(sequences * last_cols), (double)(sequences * last_cols)));
  std::vector<int64_t> places;
  for (size_t i = 0; i < cols; i++) places.push_back(m.between(-1, (int)keys - 1));
  tw_gather_args gather = {sequences * rows,
                           cols,
                           keys,
                           m.words(sequences * rows * keys),
                           m.below(2) ? m.words(sequences * rows * cols) : nullptr,
                           m.list(places),
                           m.words(sequences * rows * cols),
                           ring_of(m)};
  out.push_back(TRIAL(gather, gather, 24.0 * (double)(sequences * rows * cols), (double)(sequences * rows * cols)));
  const size_t half = (size_t)m.between(1, 40), turned = sequences * seq * heads * 2 * half;
  tw_turn_args turn = {sequences * seq,     heads * 2 * half, seq,       half, m.words(turned), m.words(seq * half),
                       m.words(seq * half), m.words(turned),  ring_of(m)};
  out.push_back(TRIAL(turn, turn, 16.0 * (double)turned, (double)turned));
  tw_turn_args later = turn;  // from the last live token on
  later.live = liveness(m, sequences, (int)seq, (int)keys);
  later.live.first = 0;
  later.last = 1;
  later.cosine = m.words((keys + seq) * half);
  later.sine = m.words((keys + seq) * half);
  out.push_back(TRIAL(turn, later, 16.0 * (double)turned, (double)turned));
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
                       liveness(m, sequences, (int)seq, (int)keys),
                       (int)(m.below(2) * 20)};
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

// Numbers of `bits` bits and one-hots of the upper `width` of them.
void add_words(arena &m, trials &out, size_t sequences, size_t n) {
  const int bits = m.between(2, 9), width = m.between(1, bits - 1);
  const size_t words = words_of(n), planes = (size_t)bits, entries = (size_t)1 << width, all = sequences * n;
  tw_to_planes_args to_planes = {
      sequences * planes, words, m.words(all), m.words(sequences * planes * words), planes, n};
  out.push_back(TRIAL(to_planes, to_planes, 8.0 * (double)all, (double)all));
  tw_to_numbers_args to_numbers = {sequences,
                                   n,
                                   m.words(sequences * planes * words),
                                   m.below(2) ? m.words(sequences * planes * words) : nullptr,
                                   m.words(all),
                                   planes,
                                   words};
  out.push_back(TRIAL(to_numbers, to_numbers, 8.0 * (double)all, (double)all));
  std::vector<uint64_t> numbers;
  for (size_t j = 0; j < all; j++) numbers.push_back(m.below((size_t)1 << bits));
  const size_t lines = (size_t)m.between(1, (int)entries), columns = (size_t)1 << m.below(5);
  tw_turn_line_args turn_line = {all,
                                 lines,
                                 m.list(numbers),
                                 m.words(sequences * entries * words),
                                 m.words(all * lines),
                                 n,
                                 words,
                                 entries * words,
                                 m.below(2),
                                 ring_of(m),
                                 bits - width};
  out.push_back(TRIAL(turn_line, turn_line, 8.0 * (double)(all * lines), (double)(all * lines)));
  tw_turn_place_args turn_place = {all,       columns, m.words(all), m.words(all * columns), m.words(all * columns),
                                   ring_of(m)};
  out.push_back(TRIAL(turn_place, turn_place, 16.0 * (double)(all * columns), (double)(all * columns)));
}

// One of some rows, by bits; and rows of a product with blocks of a table.
void add_rows(arena &m, trials &out, size_t sequences, size_t cols) {
  const size_t members = (size_t)m.between(1, 30), lines = (size_t)m.between(1, 3), all = members * lines,
               rows = sequences * lines;
  tw_choose_row_args choose = {};
  choose.rows = rows;
  choose.cols = cols;
  choose.members = members;
  choose.lines = lines;
  choose.factors = m.between(1, 4);
  choose.flip = m.between(0, 15);
  choose.ring = ring_of(m);
  for (int f = 0; f < choose.factors; f++) {
    choose.sequence_words[f] = (size_t)m.between(1, 3) * words_of(all);
    choose.bits[f] = m.words(sequences * choose.sequence_words[f]);
  }
  choose.X = m.words(sequences * all * cols);
  choose.m = m.words((sequences * all) << choose.factors);
  choose.mr = m.words((sequences * all * cols) << choose.factors);
  choose.out = m.words(rows * cols);
  out.push_back(TRIAL(choose_row, choose, 16.0 * (double)(rows * members * cols), (double)(rows * members * cols)));
  const size_t places = (size_t)1 << m.below(3), span = (size_t)m.between(1, 40), blocks = (size_t)m.between(1, 5),
               width = (size_t)m.between(1, 70), each = sequences * blocks * lines;
  const size_t table = (blocks * span + places - 1) / places;
  tw_spread_words_args spread = {
      each * places, table,     m.words(each * span), m.words(each * places * table), places, lines, blocks,
      span,          m.below(2)};
  out.push_back(TRIAL(spread_words, spread, 8.0 * (double)(each * places * table), (double)(each * places * table)));
  tw_join_words_args join = {each,
                             width,
                             m.words(each * places * places * width),
                             m.below(2) ? m.words(each * width) : nullptr,
                             m.words(each * width),
                             places,
                             ring_of(m)};
  out.push_back(TRIAL(join_words, join, 8.0 * (double)(each * places * width), (double)(each * width)));
}

// Bits of groups' members in a tournament.
void add_members(arena &m, trials &out, size_t sequences, size_t rows, size_t groups) {
  const size_t group = (size_t)m.between(2, 40), lines = rows * groups, pairs = group * (group - 1) / 2,
               planes = (size_t)m.between(1, 6), words = words_of(group * lines), all = 8 * words * sequences;
  tw_opponents_args opponents = {sequences * (group - 1),
                                 words,
                                 group,
                                 lines,
                                 words_of(pairs * lines),
                                 m.words(sequences * words_of(pairs * lines)),
                                 m.words(sequences * (group - 1) * words),
                                 m.below(2) ? ~0ull : 0};
  out.push_back(TRIAL(opponents, opponents, (double)(all * group), (double)(64 * all)));
  const size_t count = group * (groups - 1) + 1 + m.below(group), from = words_of(rows * count);
  tw_members_args members = {sequences * planes,
                             words,
                             group,
                             groups,
                             rows,
                             count,
                             from,
                             m.words(sequences * planes * from),
                             m.words(sequences * planes * words)};
  out.push_back(TRIAL(members, members, (double)(2 * all * planes), (double)(64 * all)));
  const size_t first = m.below(3), x_planes = first + planes + m.below(2);
  tw_fold_args fold = {sequences * planes,
                       words_of(lines),
                       group,
                       lines,
                       planes,
                       first,
                       words,
                       x_planes,
                       m.words(sequences * x_planes * words),
                       m.words(sequences * planes * words_of(lines)),
                       (int)m.below(2)};
  out.push_back(TRIAL(fold, fold, (double)(all * planes), (double)(64 * all)));
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

}  // namespace

#endif
