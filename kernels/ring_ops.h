// Elementwise gates, one formula each, compiled for the CPU (kernels/cpu/ring_ops.c) and for CUDA
// (kernels/cuda/gates/ring_ops.cu) from this file: the twins cannot differ. Arguments are plain data with pointers into
// one backend's memory. A formula returns element (row, col) of `out`, [rows][cols]; the twins store it, so that a GPU
// reads for many elements before it writes the first. X: public values, r: the party's mask shares, `one`: all ones on
// party 1, else 0. Long because one list names every formula, and both twins are made of it.
#ifndef TW_RING_OPS_H
#define TW_RING_OPS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define TW_ELEMENT __host__ __device__ static inline
#else
#define TW_ELEMENT static inline
#endif

// In front of a loop inside of a formula: kernels that hold many formulas make its code once, for one turn.
#ifndef TW_LOOP
#define TW_LOOP
#endif

TW_ELEMENT uint64_t tw_ring_mask(int bits) { return bits >= 64 ? ~0ull : (1ull << bits) - 1; }

// Places in arrays: row stride + col, quotient and rest. On a GPU all are below 2^32, its launches see to that: 64-bit
// products and divisions would cost more than all else that a gate does with an element.
TW_ELEMENT size_t tw_at(size_t row, size_t stride, size_t col) {
#ifdef __CUDA_ARCH__
  return (uint32_t)row * (uint32_t)stride + (uint32_t)col;
#else
  return row * stride + col;
#endif
}
TW_ELEMENT size_t tw_over(size_t place, size_t by) {
#ifdef __CUDA_ARCH__
  return (uint32_t)place / (uint32_t)by;
#else
  return place / by;
#endif
}
TW_ELEMENT size_t tw_rest(size_t place, size_t by) {
#ifdef __CUDA_ARCH__
  return (uint32_t)place % (uint32_t)by;
#else
  return place % by;
#endif
}

TW_ELEMENT uint64_t tw_plane_bit(const uint64_t *plane, size_t j) { return plane[j / 64] >> (j % 64) & 1; }

// Where the bit is 1: all ones, else 0; -x, else x. A product with a bit costs more.
TW_ELEMENT uint64_t tw_all_ones(uint64_t bit) { return 0 - bit; }
TW_ELEMENT uint64_t tw_negate_if(uint64_t bit, uint64_t x) { return (x ^ tw_all_ones(bit)) + bit; }

// Extension of X^ mod 2^k (docs/design/protocols.md, section 3): x = u - r + 2^k g rho, u = X^ + 2^(k-2) mod 2^k -
// 2^(k-2). g as a mask: all ones or 0.
typedef struct {
  uint64_t u, g;
} tw_ext;
TW_ELEMENT tw_ext tw_ext_public(uint64_t wire, int k) {
  uint64_t offset = 1ull << (k - 2), u = (wire + offset) & tw_ring_mask(k);
  tw_ext e = {u - offset, (u >> (k - 1)) - 1};
  return e;
}

// Of rows of `queries` tokens from token `first` on, by columns of `keys` tokens from token 0 on: tokens below the
// sequence's length live, and for causal attention a query's keys end at its own token. `ahead` tokens that always live
// stand before the sequence's.
typedef struct {
  const int *lengths;  // [sequences]; NULL: all keys live
  int queries, keys, first, causal, ahead;
} tw_liveness;
TW_ELEMENT int tw_live_tokens(tw_liveness l, size_t sequence) {
  return l.lengths ? l.lengths[sequence] + l.ahead : l.keys;
}
TW_ELEMENT int tw_live_keys(tw_liveness l, size_t sequence, size_t row) {
  int live = tw_live_tokens(l, sequence), token = l.first + (int)tw_rest(row, (size_t)l.queries);
  return l.causal && token + 1 < live ? token + 1 : live;
}
TW_ELEMENT int tw_live_queries(tw_liveness l, size_t sequence) {
  int live = tw_live_tokens(l, sequence) - l.first;
  return live < 0 ? 0 : live < l.queries ? live : l.queries;
}

// How a second operand's elements go with those of [rows][cols]: sequences of rows_per_sequence rows each.
typedef struct {
  size_t rows_per_sequence, sequence_stride, row_stride, col_stride;
} tw_pairing;
TW_ELEMENT size_t tw_pair_index(tw_pairing p, size_t row, size_t col) {
  size_t of_row = tw_at(tw_rest(row, p.rows_per_sequence), p.row_stride, tw_at(col, p.col_stride, 0));
  return tw_at(tw_over(row, p.rows_per_sequence), p.sequence_stride, of_row);
}

// ---- openings: share + mask share, ring or bits ----
typedef struct {
  size_t rows, cols;
  const uint64_t *share, *mask;
  uint64_t *out;
  uint64_t ring;
  int bits;
} tw_mask_args;
TW_ELEMENT uint64_t tw_mask_at(const tw_mask_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  return a->bits ? a->share[j] ^ a->mask[j] : (a->share[j] + a->mask[j]) & a->ring;
}

// ---- ((x - half) mod 2^k) >> bits ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x;
  uint64_t *out;
  uint64_t half, ring;
  int bits;
} tw_shift_args;
TW_ELEMENT uint64_t tw_shift_at(const tw_shift_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  return ((a->x[j] - a->half) & a->ring) >> a->bits;
}

// ---- strided copies: rows = sequences * dim[0] dim[1] dim[2], cols = dim[3] ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x;
  uint64_t *out;
  size_t dim[4], stride[4], offset, sequence_stride;
} tw_view_args;
TW_ELEMENT uint64_t tw_view_at(const tw_view_args *a, size_t row, size_t col) {
  size_t i2 = tw_rest(row, a->dim[2]), line = tw_over(row, a->dim[2]), i1 = tw_rest(line, a->dim[1]),
         block = tw_over(line, a->dim[1]), i0 = tw_rest(block, a->dim[0]), sequence = tw_over(block, a->dim[0]);
  size_t inside = tw_at(i2, a->stride[2], tw_at(col, a->stride[3], a->offset));
  return a->x[tw_at(sequence, a->sequence_stride, tw_at(i0, a->stride[0], tw_at(i1, a->stride[1], inside)))];
}

// ---- [rows][cx] beside [rows][cy] ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x, *y;
  uint64_t *out;
  size_t cx;
} tw_concat_args;
TW_ELEMENT uint64_t tw_concat_at(const tw_concat_args *a, size_t row, size_t col) {
  size_t cy = a->cols - a->cx;
  return col < a->cx ? a->x[tw_at(row, a->cx, col)] : a->y[tw_at(row, cy, col - a->cx)];
}

// ---- p x + q y + c ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x, *y;  // y may be NULL
  uint64_t *out;
  uint64_t p, q, c, ring;
  tw_pairing pair;
} tw_combine_args;
TW_ELEMENT uint64_t tw_combine_at(const tw_combine_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  uint64_t second = a->y ? a->q * a->y[tw_pair_index(a->pair, row, col)] : 0;
  return (a->p * a->x[j] + second + a->c) & a->ring;
}

// ---- share of a wire: b X^ - r_b ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *r;
  uint64_t *out;
  uint64_t one, ring;
  tw_pairing pair;
} tw_share_args;
TW_ELEMENT uint64_t tw_share_at(const tw_share_args *a, size_t row, size_t col) {
  size_t j = tw_pair_index(a->pair, row, col);
  return ((a->X[j] & a->one) - a->r[j]) & a->ring;
}

// ---- extension k -> K ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *r, *carry, *top;  // carry NULL: the caller adds it
  uint64_t *out;
  uint64_t one, ring;
  int k;
} tw_extend_args;
TW_ELEMENT uint64_t tw_extend_at(const tw_extend_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  tw_ext e = tw_ext_public(a->X[j], a->k);
  uint64_t carry = a->carry ? a->carry[j] : 0;
  return ((e.u & a->one) - a->r[j] + ((carry + (e.g & a->top[j])) << a->k)) & a->ring;
}

// ---- x y; with carry, top and tq the first operand is extended from ring k ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *r, *Y, *q, *carry, *top, *rq, *tq;
  uint64_t *out;
  uint64_t one, ring;
  int k;
  tw_pairing pair;
} tw_multiply_args;
TW_ELEMENT uint64_t tw_multiply_at(const tw_multiply_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col), i = tw_pair_index(a->pair, row, col);
  uint64_t Y = a->Y[i], q = a->q[i];
  if (a->carry) {
    tw_ext e = tw_ext_public(a->X[j], a->k);
    uint64_t r = a->r[j] - (a->carry[j] << a->k);  // share of canonical r in the larger ring
    uint64_t wrap = e.g & (a->top[j] * Y - a->tq[j]);
    return (((e.u & a->one) - r) * Y - e.u * q + a->rq[j] + (wrap << a->k)) & a->ring;
  } else {
    return (((a->X[j] & a->one) - a->r[j]) * Y - a->X[j] * q + a->rq[j]) & a->ring;
  }
}

// ---- x y with both extended (k, l), y one element a row: with x~ = u - a and y~ = w - c, x~ y~ = u w - u c - w a + a
// c ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *r, *Y, *q;
  const uint64_t *x_carry, *x_top, *y_carry, *y_top, *rq, *tq, *rs, *ts;  // ts may be NULL
  uint64_t *out;
  uint64_t one, ring;
  int k, l;
} tw_multiply_rows_args;
TW_ELEMENT uint64_t tw_multiply_rows_at(const tw_multiply_rows_args *p, size_t row, size_t col) {
  size_t j = tw_at(row, p->cols, col);
  tw_ext w = tw_ext_public(p->Y[row], p->l), u = tw_ext_public(p->X[j], p->k);
  uint64_t c = p->q[row] - ((p->y_carry[row] + (w.g & p->y_top[row])) << p->l);
  uint64_t a = p->r[j] - ((p->x_carry[j] + (u.g & p->x_top[j])) << p->k);
  uint64_t ac = p->rq[j] - ((u.g & p->tq[j]) << p->k) - ((w.g & p->rs[j]) << p->l);
  if (p->ts) ac += (u.g & w.g & p->ts[j]) << (p->k + p->l);
  return (((u.u & p->one) - a) * w.u - u.u * c + ac) & p->ring;
}

// ---- one element's part of a sum of squares: x~^2 = u^2 - 2 u a + a^2, a^2 = r^2 - 2^(k+1) g rho r + 2^(2k) g rho,
// without r^2. Summed over a row by the caller (tw_row_sums) ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *r, *carry, *top, *tr;
  uint64_t *out;
  uint64_t one;
  int k;
} tw_square_args;
TW_ELEMENT uint64_t tw_square_at(const tw_square_args *p, size_t row, size_t col) {
  size_t j = tw_at(row, p->cols, col);
  tw_ext e = tw_ext_public(p->X[j], p->k);
  uint64_t a = p->r[j] - ((p->carry[j] + (e.g & p->top[j])) << p->k);
  uint64_t square = ((e.u & p->one) - 2 * a) * e.u - ((e.g & p->tr[j]) << (p->k + 1));
  if (2 * p->k < 64) square += (e.g & p->top[j]) << (2 * p->k);
  return square;
}

// ---- bit times wire: d = v ^ m, d x = v x + (1 - 2v) [m x]. rows = sequences * planes, cols = bits of a plane ----
typedef struct {
  size_t rows, cols;
  const uint64_t *bits, *X, *r, *carry, *top, *m, *mr, *mt;  // carry, top, mt: NULL when x is not extended
  uint64_t *out;
  size_t planes, first_plane, plane_words, sequence_words;  // of the opened bits
  size_t x_sequence_stride, x_plane_stride;                 // 0 when all planes share x
  uint64_t one, ring;
  int k;
} tw_select_args;
TW_ELEMENT uint64_t tw_select_at(const tw_select_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col), sequence = tw_over(row, a->planes), plane = tw_rest(row, a->planes);
  size_t i = tw_at(sequence, a->x_sequence_stride, tw_at(plane, a->x_plane_stride, col));
  const uint64_t *bits = a->bits + tw_at(sequence, a->sequence_words, tw_at(a->first_plane + plane, a->plane_words, 0));
  uint64_t v = tw_plane_bit(bits, col), share, product;
  if (a->carry) {
    tw_ext e = tw_ext_public(a->X[i], a->k);
    share = (e.u & a->one) - a->r[i] + ((a->carry[i] + (e.g & a->top[i])) << a->k);
    product = e.u * a->m[j] - a->mr[j] + ((e.g & a->mt[j]) << a->k);
  } else {
    share = (a->X[i] & a->one) - a->r[i];
    product = a->X[i] * a->m[j] - a->mr[j];
  }
  return ((share & tw_all_ones(v)) + tw_negate_if(v, product)) & a->ring;
}

// ---- product of bits times wire: d_j = v_j ^ m_j, j < factors;
// prod d_j x = prod v_j [x] + sum over subsets T of prod_(j not in T) v_j prod_(j in T) (1 - 2 v_j) (X^ [m_T] - [m_T
// r]), m_T the product of T's masks. rows = sequences * planes; plane p's bits are the opened planes p * factors on
// ----
enum { TW_MOST_FACTORS = 7 };
typedef struct {
  size_t rows, cols;
  const uint64_t *bits, *X, *r, *m, *mr;  // m, mr: [sequences][2^factors - 1][planes][cols]
  uint64_t *out;
  size_t planes, plane_words, sequence_words;  // of the opened bits
  size_t x_sequence_stride, x_plane_stride;
  uint64_t one, ring;
  int factors;
} tw_choose_args;
TW_ELEMENT uint64_t tw_choose_at(const tw_choose_args *a, size_t row, size_t col) {
  size_t sequence = tw_over(row, a->planes), plane = tw_rest(row, a->planes), f = (size_t)a->factors;
  size_t i = tw_at(sequence, a->x_sequence_stride, tw_at(plane, a->x_plane_stride, col));
  const uint64_t *bits = a->bits + tw_at(sequence, a->sequence_words, tw_at(tw_at(plane, f, 0), a->plane_words, 0));
  uint64_t v = 0, x = a->X[i];
  TW_LOOP for (size_t j = 0; j < f; j++) v |= tw_plane_bit(bits + tw_at(j, a->plane_words, 0), col) << j;
  size_t sets = ((size_t)1 << f) - 1, at = tw_at(tw_at(sequence, sets, 0), a->planes, plane);
  uint64_t all = sets, sum = ((x & a->one) - a->r[i]) & tw_all_ones(v == all);
  TW_LOOP for (size_t set = 1; set <= sets; set++, at += a->planes) {
    uint64_t m = a->m[tw_at(at, a->cols, col)], mr = a->mr[tw_at(at, a->cols, col)], odd = 0;
    TW_LOOP for (size_t j = 0; j < f; j++) odd ^= v >> j & set >> j & 1;
    sum += tw_negate_if(odd, x * m - mr) & tw_all_ones((v | set) == all);
  }
  return sum & a->ring;
}

// ---- one of `members` rows of each line, X^ = s x + r under the member's sign s: the row of that member whose factors
// d_j = v_j ^ m_j ^ flip_j are all 1. That is where the mask bits are what the public ones ask for, so the sum over
// members of X^ [s h] - [s h r], h = [m = that pattern], is the row: one of the 2^factors h is read. rows = sequences *
// lines; m: [sequences][2^factors][members][lines], mr: the same by cols; X: [sequences][members][lines][cols] ----
typedef struct {
  size_t rows, cols;
  const uint64_t *bits[TW_MOST_FACTORS];   // factors' planes of [members][lines], of the first sequence
  size_t sequence_words[TW_MOST_FACTORS];  // from a sequence's plane to the next one's
  const uint64_t *X, *m, *mr;
  uint64_t *out;
  size_t members, lines;
  uint64_t ring;
  int factors, flip;  // flip: a bit a factor
} tw_choose_row_args;
TW_ELEMENT uint64_t tw_choose_row_at(const tw_choose_row_args *a, size_t row, size_t col) {
  size_t sequence = tw_over(row, a->lines), line = tw_rest(row, a->lines), all = tw_at(a->members, a->lines, 0);
  uint64_t sum = 0;
  for (size_t member = 0; member < a->members; member++) {
    size_t j = tw_at(member, a->lines, line), pattern = 0;
    for (int f = 0; f < a->factors; f++) {
      const uint64_t *plane = a->bits[f] + tw_at(sequence, a->sequence_words[f], 0);
      pattern |= (size_t)(tw_plane_bit(plane, j) ^ 1 ^ ((uint64_t)a->flip >> f & 1)) << f;
    }
    size_t at = tw_at((sequence << a->factors) + pattern, all, j), x = tw_at(sequence, all, j);
    sum += a->X[tw_at(x, a->cols, col)] * a->m[at] - a->mr[tw_at(at, a->cols, col)];
  }
  return sum & a->ring;
}

// ---- sum over planes of constant d: rows = sequences, cols = bits of a plane; m may be NULL (true bits) ----
typedef struct {
  size_t rows, cols;
  const uint64_t *bits, *m;
  const int64_t *constants;
  uint64_t *out;
  size_t planes, first_plane, plane_words, sequence_words;
  uint64_t mine, ring;  // mine: 1 where the public part is added
} tw_constants_args;
TW_ELEMENT uint64_t tw_constants_term(const tw_constants_args *a, size_t row, size_t col, size_t p) {
  const uint64_t *bits = a->bits + tw_at(row, a->sequence_words, tw_at(a->first_plane + p, a->plane_words, 0));
  uint64_t v = tw_plane_bit(bits, col);
  uint64_t d = a->mine * v + (a->m ? tw_negate_if(v, a->m[tw_at(tw_at(row, a->planes, p), a->cols, col)]) : 0);
  return (uint64_t)a->constants[p] * d;
}
TW_ELEMENT uint64_t tw_constants_at(const tw_constants_args *a, size_t row, size_t col) {
  uint64_t sum = 0;
  TW_LOOP for (size_t p = 0; p < a->planes; p++) sum += tw_constants_term(a, row, col, p);
  return sum & a->ring;
}

// ---- sum over planes, shifted: x [rows][planes][cols] ----
typedef struct {
  size_t rows, cols, planes;
  const uint64_t *x;
  const int64_t *shifts;
  uint64_t *out;
  uint64_t ring;
} tw_sum_planes_args;
TW_ELEMENT uint64_t tw_sum_planes_term(const tw_sum_planes_args *a, size_t row, size_t col, size_t p) {
  return a->x[tw_at(tw_at(row, a->planes, p), a->cols, col)] << a->shifts[p];
}
TW_ELEMENT uint64_t tw_sum_planes_at(const tw_sum_planes_args *a, size_t row, size_t col) {
  uint64_t sum = 0;
  TW_LOOP for (size_t p = 0; p < a->planes; p++) sum += tw_sum_planes_term(a, row, col, p);
  return sum & a->ring;
}

// ---- columns of dead keys become 0: rows = sequences * rows_per_sequence ----
typedef struct {
  size_t rows, cols, rows_per_sequence;
  const uint64_t *x;
  uint64_t *out;
  tw_liveness live;
} tw_zero_args;
TW_ELEMENT uint64_t tw_zero_at(const tw_zero_args *a, size_t row, size_t col) {
  int live = tw_live_keys(a->live, tw_over(row, a->rows_per_sequence), tw_rest(row, a->rows_per_sequence));
  size_t j = tw_at(row, a->cols, col);
  return (int64_t)col < live ? a->x[j] : 0;
}

// ---- sum over live rows: x [sequences][x_rows][cols]; rows = sequences; mean_bits > 0: times round(2^mean_bits / live
// rows) ----
typedef struct {
  size_t rows, cols, x_rows;
  const uint64_t *x;
  uint64_t *out;
  uint64_t ring;
  tw_liveness live;
  int mean_bits;
} tw_pool_args;
TW_ELEMENT uint64_t tw_pool_at(const tw_pool_args *a, size_t row, size_t col) {
  size_t live = (size_t)tw_live_queries(a->live, row);
  uint64_t sum = 0;
  for (size_t i = 0; i < live; i++) sum += a->x[tw_at(tw_at(row, a->x_rows, i), a->cols, col)];
  if (a->mean_bits && live) sum *= (((uint64_t)1 << a->mean_bits) + live / 2) / live;
  return sum & a->ring;
}

// ---- differences of pairs in groups: rows = sequences * pairs * x_rows, cols = groups ----
typedef struct {
  size_t rows, cols, x_rows, x_cols, first, group, pairs;
  const uint64_t *x;
  uint64_t *out;
  uint64_t ring;
} tw_pairs_args;
TW_ELEMENT uint64_t tw_pairs_at(const tw_pairs_args *a, size_t row, size_t col) {
  size_t r = tw_rest(row, a->x_rows), set = tw_over(row, a->x_rows), pair = tw_rest(set, a->pairs),
         sequence = tw_over(set, a->pairs), i = 0;
  TW_LOOP while (pair >= a->group - 1 - i) pair -= a->group - 1 - i++;
  const uint64_t *x = a->x + tw_at(tw_at(sequence, a->x_rows, r), a->x_cols, tw_at(col, a->group, a->first));
  return (x[i] - x[i + 1 + pair]) & a->ring;
}

// ---- base + c slope for the public part c of an offset inside a piece: c = (X^ - lo) & low ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *base, *slope;
  uint64_t *out;
  uint64_t lo, low, ring;
} tw_offset_args;
TW_ELEMENT uint64_t tw_offset_at(const tw_offset_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  return (a->base[j] + ((a->X[j] - a->lo) & a->low) * a->slope[j]) & a->ring;
}

// ---- V - B rho with the looked-up sign undone: V^ [s] - B^ [s rho] + [s (r_B rho - r_V)] ----
typedef struct {
  size_t rows, cols;
  const uint64_t *V, *B, *sign, *sign_rho, *rest;
  uint64_t *out;
  uint64_t ring;
} tw_piece_args;
TW_ELEMENT uint64_t tw_piece_at(const tw_piece_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  return (a->V[j] * a->sign[j] - a->B[j] * a->sign_rho[j] + a->rest[j]) & a->ring;
}

// ---- (X^ >> f) - [r >> f] - [borrow]: rows = sequences ----
typedef struct {
  size_t rows, cols;
  const uint64_t *X, *bits, *high, *m;
  uint64_t *out;
  size_t sequence_words;
  uint64_t one, ring;
  int shift;
} tw_floor_args;
TW_ELEMENT uint64_t tw_floor_at(const tw_floor_args *a, size_t row, size_t col) {
  size_t j = tw_at(row, a->cols, col);
  uint64_t v = tw_plane_bit(a->bits + tw_at(row, a->sequence_words, 0), col),
           borrow = (v & a->one) + tw_negate_if(v, a->m[j]);
  return ((a->X[j] >> a->shift & a->one) - a->high[j] - borrow) & a->ring;
}

// ---- elements by their places in a block: rows = sequences * blocks, cols = places; of place -1: 0; plus addend (may
// be NULL) ----
typedef struct {
  size_t rows, cols, x_cols;
  const uint64_t *x, *addend;
  const int64_t *places;  // [cols], below x_cols
  uint64_t *out;
  uint64_t ring;
} tw_gather_args;
TW_ELEMENT uint64_t tw_gather_at(const tw_gather_args *a, size_t row, size_t col) {
  int64_t place = a->places[col];
  uint64_t x = place < 0 ? 0 : a->x[tw_at(row, a->x_cols, (size_t)place)];
  return (x + (a->addend ? a->addend[tw_at(row, a->cols, col)] : 0)) & a->ring;
}

// ---- pairs (i, i + half) of blocks of 2 half columns, turned by the token's angles: rows = sequences * tokens, from
// token 0 on; or, of `last`, from a sequence's last live token on ----
typedef struct {
  size_t rows, cols, tokens, half;
  const uint64_t *x, *cosine, *sine;  // angles of all tokens: [any][half]
  uint64_t *out;
  uint64_t ring;
  tw_liveness live;
  int last;
} tw_turn_args;
TW_ELEMENT uint64_t tw_turn_at(const tw_turn_args *a, size_t row, size_t col) {
  size_t inside = tw_rest(col, 2 * a->half), pair = tw_rest(inside, a->half), j = tw_at(row, a->cols, col);
  size_t token = tw_rest(row, a->tokens);
  if (a->last) token += (size_t)(tw_live_tokens(a->live, tw_over(row, a->tokens)) - 1 - a->live.first);
  size_t angle = tw_at(token, a->half, pair);
  uint64_t c = a->cosine[angle], s = a->sine[angle];
  return (inside < a->half ? a->x[j] * c - a->x[j + a->half] * s : a->x[j] * c + a->x[j - a->half] * s) & a->ring;
}

// ---- rows from a sequence's last live token's on, side by side: x [sequences][x_rows][width]; rows = sequences, cols
// = width times rows that are wanted ----
typedef struct {
  size_t rows, cols, x_rows, width;
  const uint64_t *x;
  uint64_t *out;
  tw_liveness live;
} tw_last_row_args;
TW_ELEMENT uint64_t tw_last_row_at(const tw_last_row_args *a, size_t row, size_t col) {
  size_t live = (size_t)tw_live_queries(a->live, row);
  return a->x[tw_at(tw_at(row, a->x_rows, live ? live - 1 : 0), a->width, col)];
}

// ---- numbers below 2^planes as bit planes: rows = sequences * planes, cols = words of a plane ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x;  // [sequences][n]
  uint64_t *out;
  size_t planes, n;
} tw_to_planes_args;
TW_ELEMENT uint64_t tw_to_planes_at(const tw_to_planes_args *a, size_t row, size_t col) {
  size_t plane = tw_rest(row, a->planes), first = 64 * col, count = a->n - first < 64 ? a->n - first : 64;
  const uint64_t *x = a->x + tw_at(tw_over(row, a->planes), a->n, first);
  uint64_t word = 0;
  for (size_t j = 0; j < count; j++) word |= (x[j] >> plane & 1) << j;
  return word;
}

// ---- and back, of x XOR y where there is a y: rows = sequences, cols = n ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x, *y;
  uint64_t *out;
  size_t planes, words;
} tw_to_numbers_args;
TW_ELEMENT uint64_t tw_to_numbers_at(const tw_to_numbers_args *a, size_t row, size_t col) {
  uint64_t number = 0;
  for (size_t plane = 0; plane < a->planes; plane++) {
    size_t at = tw_at(tw_at(row, a->planes, plane), a->words, col / 64);
    number |= ((a->x[at] ^ (a->y ? a->y[at] : 0)) >> (col % 64) & 1) << plane;
  }
  return number;
}

// ---- entry i of a one-hot that is turned by a public number c: bit i XOR c; -1 for 1 where `negative`. rows =
// sequences * n, element j's bits are bit j of the planes; c = number >> low ----
typedef struct {
  size_t rows, cols;
  const uint64_t *number, *onehot;  // [rows], [sequences][onehot_words]
  uint64_t *out;
  size_t n, words, onehot_words;
  uint64_t negative, ring;
  int low;
} tw_turn_line_args;
TW_ELEMENT uint64_t tw_turn_line_at(const tw_turn_line_args *a, size_t row, size_t col) {
  size_t plane = col ^ (size_t)(a->number[row] >> a->low), j = tw_rest(row, a->n);
  const uint64_t *onehot = a->onehot + tw_at(tw_over(row, a->n), a->onehot_words, 0);
  return tw_negate_if(a->negative, onehot[tw_at(plane, a->words, j / 64)] >> (j % 64) & 1) & a->ring;
}

// ---- element i XOR c of each row, c the number's low bits; cols is a power of two ----
typedef struct {
  size_t rows, cols;
  const uint64_t *number, *x;  // [rows], [rows][cols]
  uint64_t *out;
  uint64_t ring;
} tw_turn_place_args;
TW_ELEMENT uint64_t tw_turn_place_at(const tw_turn_place_args *a, size_t row, size_t col) {
  return a->x[tw_at(row, a->cols, col ^ (size_t)(a->number[row] & (a->cols - 1)))] & a->ring;
}

// ---- rows of `span` elements for the words of a block of a table of [cols][places] words: [row][place][cols], 0 for
// other blocks' words. The rows are [sequences][blocks][lines]; block i has the words from first + i span on. So rows
// of a product with the whole table are products with the blocks ----
typedef struct {
  size_t rows, cols;  // rows = sequences * blocks * lines * places
  const uint64_t *x;
  uint64_t *out;
  size_t places, lines, blocks, span, first;
} tw_spread_words_args;
TW_ELEMENT uint64_t tw_spread_words_at(const tw_spread_words_args *a, size_t row, size_t col) {
  size_t line = tw_over(row, a->places), word = tw_at(col, a->places, tw_rest(row, a->places)),
         begin = tw_at(tw_rest(tw_over(line, a->lines), a->blocks), a->span, a->first);
  return word >= begin && word - begin < a->span ? a->x[tw_at(line, a->span, word - begin)] : 0;
}

// ---- what such a product has at each row's own place: the sum over places p of x [row][p][p][cols], + addend (may be
// NULL, or out itself) ----
typedef struct {
  size_t rows, cols;
  const uint64_t *x, *addend;
  uint64_t *out;
  size_t places;
  uint64_t ring;
} tw_join_words_args;
TW_ELEMENT uint64_t tw_join_words_at(const tw_join_words_args *a, size_t row, size_t col) {
  uint64_t sum = a->addend ? a->addend[tw_at(row, a->cols, col)] : 0;
  for (size_t p = 0; p < a->places; p++)
    sum += a->x[tw_at(tw_at(tw_at(row, a->places, p), a->places, p), a->cols, col)];
  return sum & a->ring;
}

// ---- bits of groups' members, for a tournament (jobs/gates/argmax.c): an element is a word of a plane. lines: rows
// times groups. Members lie [member][line]; what is behind the last bit is 0 ----
TW_ELEMENT uint64_t tw_low_bits(size_t count) { return count >= 64 ? ~0ull : (1ull << count) - 1; }
// 64 bits of an array of `words` from bit `at` on.
TW_ELEMENT uint64_t tw_bits_from(const uint64_t *x, size_t words, size_t at) {
  size_t word = at / 64, shift = at % 64;
  uint64_t bits = x[word] >> shift;
  return shift && word + 1 < words ? bits | x[word + 1] << (64 - shift) : bits;
}

// Comparison bits x [pair][line], pairs (i, j) with i < j, 1 where i wins: plane p has what member i makes of its p-th
// opponent. flip: all ones of bits, 0 of their masks. rows = sequences * (group - 1), cols = words of group * lines
typedef struct {
  size_t rows, cols, group, lines, x_words;
  const uint64_t *x;
  uint64_t *out;
  uint64_t flip;
} tw_opponents_args;
TW_ELEMENT uint64_t tw_opponents_at(const tw_opponents_args *a, size_t row, size_t col) {
  size_t planes = a->group - 1, plane = tw_rest(row, planes), at = 64 * col, n = tw_at(a->group, a->lines, 0);
  const uint64_t *x = a->x + tw_at(tw_over(row, planes), a->x_words, 0);
  uint64_t out = 0;
  TW_LOOP for (size_t bit = 0, run; bit < 64 && at + bit < n; bit += run) {
    size_t i = tw_over(at + bit, a->lines), line = tw_rest(at + bit, a->lines), j = plane + (plane >= i),
           lower = i < j ? i : j, higher = i < j ? j : i,
           pair = tw_at(lower, 2 * a->group - lower - 1, 0) / 2 + higher - lower - 1;
    run = a->lines - line < 64 - bit ? a->lines - line : 64 - bit;
    uint64_t bits = tw_bits_from(x, a->x_words, tw_at(pair, a->lines, line)) ^ (i > j ? a->flip : 0);
    out |= (bits & tw_low_bits(run)) << bit;
  }
  return out;
}

// x [row][members of a row] as [member][row][group], planes by planes; past a row's last member that one again.
// rows = sequences * planes, cols = words of group * x_rows * groups
typedef struct {
  size_t rows, cols, group, groups, x_rows, members, x_words;  // x_words: of a plane
  const uint64_t *x;
  uint64_t *out;
} tw_members_args;
TW_ELEMENT uint64_t tw_members_at(const tw_members_args *a, size_t row, size_t col) {
  size_t lines = tw_at(a->x_rows, a->groups, 0), n = tw_at(a->group, lines, 0);
  const uint64_t *x = a->x + tw_at(row, a->x_words, 0);
  uint64_t out = 0;
  TW_LOOP for (size_t bit = 0, at = 64 * col; bit < 64 && at < n; bit++, at++) {
    size_t i = tw_over(at, lines), line = tw_rest(at, lines), in = tw_over(line, a->groups),
           member = tw_at(tw_rest(line, a->groups), a->group, i);
    if (member >= a->members) member = a->members - 1;
    out |= tw_plane_bit(x, tw_at(in, a->members, member)) << bit;
  }
  return out;
}

// XOR over a line's members: of plane `first` + p, or, where `digits`, of plane `first` over the members whose number
// has bit p. rows = sequences * out planes, cols = words of lines
typedef struct {
  size_t rows, cols, group, lines, planes, first, x_words, x_planes;  // planes: of out; x_words: of a plane
  const uint64_t *x;
  uint64_t *out;
  int digits;
} tw_fold_args;
TW_ELEMENT uint64_t tw_fold_at(const tw_fold_args *a, size_t row, size_t col) {
  size_t p = tw_rest(row, a->planes), sequence = tw_over(row, a->planes), left = a->lines - 64 * col,
         plane = tw_at(sequence, a->x_planes, a->first + (a->digits ? 0 : p));
  const uint64_t *x = a->x + tw_at(plane, a->x_words, 0);
  uint64_t out = 0;
  TW_LOOP for (size_t i = 0; i < a->group; i++) if (!a->digits || i >> p & 1) out ^=
      tw_bits_from(x, a->x_words, tw_at(i, a->lines, 64 * col));
  return out & tw_low_bits(left);
}

// Those whose corrections are read by nothing else, element j of one for element j of the gate: a backend may expand
// them on the way.
#define TW_CORRECTED_OPS(X) X(combine) X(extend) X(multiply) X(multiply_rows) X(square) X(select) X(piece) X(floor)

// Every formula of this file, for tables and twins.
// clang-format off
#define TW_RING_OPS(X) \
  X(mask) X(shift) X(view) X(concat) X(combine) X(share) X(extend) X(multiply) \
  X(multiply_rows) X(square) X(select) X(choose) X(constants) X(sum_planes) X(zero) X(pool) X(pairs) \
  X(offset) X(piece) X(floor) X(gather) X(turn) X(last_row) \
  X(to_planes) X(to_numbers) X(turn_line) X(turn_place) X(opponents) X(members) X(fold) \
  X(choose_row) X(spread_words) X(join_words)
// clang-format on

#endif
