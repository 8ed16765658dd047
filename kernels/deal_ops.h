// What the dealer computes from both parties' masks, for both backends: corrections' values, and their halves as the
// parties' key slots hold them. One formula an element, as in kernels/ring_ops.h; r0 and r1 are the parties' mask
// shares of a wire, r their sum mod 2^k, its carry (r0 + r1) >> k and its top bit.
#ifndef TW_DEAL_OPS_H
#define TW_DEAL_OPS_H

#include "kernels/bit_ops.h"
#include "kernels/prg.h"

typedef struct {
  uint64_t r, carry, top;
} tw_mask_parts;
TW_ELEMENT tw_mask_parts tw_mask_split(uint64_t r0, uint64_t r1, int k) {
  uint64_t m = tw_ring_mask(k), r = (r0 + r1) & m;
  tw_mask_parts parts = {r, k < 64 ? ((r0 & m) + (r1 & m)) >> k : 0, r >> (k - 1)};
  return parts;
}

// ---- extension of a wire: its mask's carry and top bit ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r0, *r1;
  uint64_t *carry, *top;
  int k;
} tw_deal_extend_args;
TW_ELEMENT void tw_deal_extend_at(const tw_deal_extend_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col;
  tw_mask_parts r = tw_mask_split(a->r0[j], a->r1[j], a->k);
  a->carry[j] = r.carry;
  a->top[j] = r.top;
}

// ---- faithful truncation: r >> shift, and the mask of the opened borrow ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r0, *r1, *m0, *m1;  // m: a plane of bits; rows = 1
  uint64_t *high, *m;
  int k, shift;
} tw_deal_floor_args;
TW_ELEMENT void tw_deal_floor_at(const tw_deal_floor_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col;
  a->high[j] = ((a->r0[j] + a->r1[j]) & tw_ring_mask(a->k)) >> a->shift;
  a->m[j] = tw_plane_bit(a->m0, j) ^ tw_plane_bit(a->m1, j);
}

// ---- products r q; with carry, top and tq the first operand is extended from ring k ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r0, *r1, *q0, *q1;
  uint64_t *carry, *top, *rq, *tq;
  int k;
  tw_pairing pair;
} tw_deal_multiply_args;
TW_ELEMENT void tw_deal_multiply_at(const tw_deal_multiply_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col, i = tw_pair_index(a->pair, row, col);
  uint64_t q = a->q0[i] + a->q1[i];
  if (a->carry) {
    tw_mask_parts r = tw_mask_split(a->r0[j], a->r1[j], a->k);
    a->carry[j] = r.carry;
    a->top[j] = r.top;
    a->rq[j] = r.r * q;
    a->tq[j] = r.top * q;
  } else {
    a->rq[j] = (a->r0[j] + a->r1[j]) * q;
  }
}

// ---- the same with one q a row, extended too (from l) ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r0, *r1, *q0, *q1;
  uint64_t *x_carry, *x_top, *y_carry, *y_top, *rq, *tq, *rs, *ts;
  int k, l;
} tw_deal_multiply_rows_args;
TW_ELEMENT void tw_deal_multiply_rows_at(const tw_deal_multiply_rows_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col;
  tw_mask_parts r = tw_mask_split(a->r0[j], a->r1[j], a->k), q = tw_mask_split(a->q0[row], a->q1[row], a->l);
  a->x_carry[j] = r.carry;
  a->x_top[j] = r.top;
  a->rq[j] = r.r * q.r;
  a->tq[j] = r.top * q.r;
  a->rs[j] = r.r * q.top;
  a->ts[j] = r.top & q.top;
  if (col == 0) {
    a->y_carry[row] = q.carry;
    a->y_top[row] = q.top;
  }
}

// ---- squares of a sum of squares; row sums of `square` by the caller ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r0, *r1;
  uint64_t *carry, *top, *tr, *square;
  int k;
} tw_deal_square_args;
TW_ELEMENT void tw_deal_square_at(const tw_deal_square_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col;
  tw_mask_parts r = tw_mask_split(a->r0[j], a->r1[j], a->k);
  a->carry[j] = r.carry;
  a->top[j] = r.top;
  a->tr[j] = r.top * r.r;
  a->square[j] = r.r * r.r;
}

// ---- bit masks m as ring elements, and (r0 given) m r and m top: rows = planes, cols = bits of a plane ----
typedef struct {
  size_t rows, cols;
  const uint64_t *m0, *m1, *r0, *r1;  // m: first plane
  uint64_t *m, *mr, *mt;
  size_t plane_words, r_plane_stride;  // the latter 0 when all planes share r
  int k;
} tw_deal_select_args;
TW_ELEMENT void tw_deal_select_at(const tw_deal_select_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col, i = row * a->r_plane_stride + col, plane = row * a->plane_words;
  uint64_t m = tw_plane_bit(a->m0 + plane, col) ^ tw_plane_bit(a->m1 + plane, col);
  a->m[j] = m;
  if (!a->r0) return;
  tw_mask_parts r = tw_mask_split(a->r0[i], a->r1[i], a->k);
  a->mr[j] = m * r.r;
  a->mt[j] = m & r.top;
}

// ---- products m_T of bit masks and m_T r: rows = (2^factors - 1) * planes, the subsets T in order; plane p's masks
// are planes p * factors on ----
typedef struct {
  size_t rows, cols;
  const uint64_t *m0, *m1, *r0, *r1;
  uint64_t *m, *mr;
  size_t planes, plane_words, r_plane_stride;
  int factors;
} tw_deal_choose_args;
TW_ELEMENT void tw_deal_choose_at(const tw_deal_choose_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col, set = row / a->planes + 1, plane = row % a->planes;
  size_t i = plane * a->r_plane_stride + col, first = plane * (size_t)a->factors;
  uint64_t m = 1;
  for (size_t f = 0; f < (size_t)a->factors; f++) {
    size_t at = (first + f) * a->plane_words;
    m &= (tw_plane_bit(a->m0 + at, col) ^ tw_plane_bit(a->m1 + at, col)) | (~set >> f & 1);
  }
  a->m[j] = m;
  a->mr[j] = m * (a->r0[i] + a->r1[i]);
}

// ---- for one of some rows, each under a sign s of `plus` (NULL: 1): s h and s h r, h = [the masks of j's factors are
// the pattern]; rows = 2^factors * count, the patterns in order; cols: elements of a row ----
typedef struct {
  size_t rows, cols;
  const uint64_t *m0[TW_MOST_FACTORS], *m1[TW_MOST_FACTORS];  // planes
  const uint64_t *r0, *r1, *plus;                             // [count][cols]; a plane
  uint64_t *m, *mr;
  size_t count;
  int factors;
} tw_deal_choose_row_args;
TW_ELEMENT void tw_deal_choose_row_at(const tw_deal_choose_row_args *a, size_t row, size_t col) {
  size_t pattern = row / a->count, j = row % a->count, i = j * a->cols + col;
  uint64_t m = a->plus ? 2 * tw_plane_bit(a->plus, j) - 1 : 1;
  for (int f = 0; f < a->factors; f++)
    m *= (tw_plane_bit(a->m0[f], j) ^ tw_plane_bit(a->m1[f], j)) == (pattern >> f & 1);
  if (col == 0) a->m[row] = m;
  a->mr[row * a->cols + col] = m * (a->r0[i] + a->r1[i]);
}

// ---- the linear piece V - B rho under the sign s of `plus`, rho = r & low: s, s rho, s (b rho - v); rows = 1 ----
typedef struct {
  size_t rows, cols;
  const uint64_t *v0, *v1, *b0, *b1, *r0, *r1, *plus;
  uint64_t low;
  uint64_t *sign, *sign_rho, *rest;
} tw_deal_piece_args;
TW_ELEMENT void tw_deal_piece_at(const tw_deal_piece_args *p, size_t row, size_t col) {
  size_t j = row * p->cols + col;
  uint64_t sign = 2 * tw_plane_bit(p->plus, j) - 1;
  uint64_t v = p->v0[j] + p->v1[j], b = p->b0[j] + p->b1[j], rho = (p->r0[j] + p->r1[j]) & p->low;
  p->sign[j] = sign;
  p->sign_rho[j] = sign * rho;
  p->rest[j] = sign * (b * rho - v);
}

// ---- one-hots of the low bits of numbers r under the signs of `plus`; cols is a power of two ----
typedef struct {
  size_t rows, cols;
  const uint64_t *r, *plus;  // [rows], a plane
  uint64_t *out;
} tw_deal_places_args;
TW_ELEMENT void tw_deal_places_at(const tw_deal_places_args *a, size_t row, size_t col) {
  uint64_t here = (a->r[row] & (a->cols - 1)) == col;
  a->out[row * a->cols + col] = here * (2 * tw_plane_bit(a->plus, row) - 1);
}

// ---- noise from 64 uniform bits u = u0 ^ u1, which neither party knows: a function of U = (u + 1/2) / 2^64, in pieces
// of lines. Pieces get finer towards both ends of (0, 1): 2^TW_NOISE_BITS for each power of two that the distance z to
// an end has. rows = 1 ----
enum { TW_NOISE_BITS = 6, TW_NOISE_ENTRIES = 2 << (6 + TW_NOISE_BITS), TW_NOISE_OFFSET = 24 };
typedef struct {
  size_t rows, cols;
  const uint64_t *u0, *u1, *base, *slope;  // tables: [end][leading zeros of z][piece]
  uint64_t *out;
  uint64_t ring;
} tw_deal_noise_args;
TW_ELEMENT int tw_leading_zeros(uint64_t x) {  // x is not 0
#ifdef __CUDA_ARCH__
  return __clzll((long long)x);
#else
  return __builtin_clzll(x);
#endif
}
TW_ELEMENT void tw_deal_noise_at(const tw_deal_noise_args *a, size_t row, size_t col) {
  size_t j = row * a->cols + col;
  uint64_t u = a->u0[j] ^ a->u1[j], upper = u >> 63, z = upper ? ~u : u;
  int zeros = z ? tw_leading_zeros(z) : 0;  // z is below 2^63: 0 zeros have 0 alone
  z = z << zeros << 1;
  size_t at = ((size_t)upper << 6 | (size_t)zeros) << TW_NOISE_BITS | (size_t)(z >> (64 - TW_NOISE_BITS));
  int64_t offset = (int64_t)(z << TW_NOISE_BITS >> (64 - TW_NOISE_OFFSET));
  a->out[j] = (a->base[at] + (uint64_t)((int64_t)a->slope[at] * offset >> TW_NOISE_OFFSET)) & a->ring;
}

// clang-format off
#define TW_DEAL_OPS(X) \
  X(deal_extend) X(deal_floor) X(deal_multiply) X(deal_multiply_rows) X(deal_square) \
  X(deal_select) X(deal_choose) X(deal_choose_row) X(deal_piece) X(deal_places) X(deal_noise)
// clang-format on

// One-hot planes of r's digits (widths from the first's low bit upwards), and r's top bit as one more plane when
// `sign_bit`.
typedef struct {
  size_t n, words;
  const uint64_t *r0, *r1;
  const int64_t *widths;
  int count, ring, low, sign_bit;
  uint64_t *planes;  // every word is written
} tw_deal_digits_args;

// The sign that a looked-up entry leaves with: bit 1 where party 0's share of the digit's one-hot entry is 1 and party
// 1's 0, hence +1. Read from the halves of that one-hot in both key slots: party 0 holds its share of the first `half`
// elements there, party 1 its share of the others.
typedef struct {
  size_t n, half;
  const uint64_t *r0, *r1, *slot0, *slot1;  // slots: from the digit's first plane on
  int ring, low, width;
  uint64_t *out;  // a plane
} tw_deal_sign_args;

// Products of masks for tw_products_args' list and outline: every subset with a plane of its own.
typedef struct {
  size_t words, list_count;
  int products;
  const uint64_t *mask[TW_OPERANDS];  // both parties' together
  const int64_t *list, *starts;
  uint64_t *out;
} tw_deal_subsets_args;

// Keys of point functions for tw_thresholds_args, of one sequence: their words, and msb(r).
typedef struct {
  size_t n, words;
  const uint64_t *r0, *r1, *root[2];  // root[b]: [n][halves]
  const uint64_t *slot;               // backend memory
  uint64_t *seed, *control, *leaf;    // tw_dpf_words
  uint64_t *top;                      // a plane
  uint32_t use;
  int ring;
} tw_deal_keys_args;

#define TW_DEAL_BIT_OPS(X) X(deal_digits) X(deal_sign) X(deal_subsets) X(deal_keys) X(deal_window) X(deal_segments)

// One party's part of a correction, for its key slot: values less the other party's pad, packed (kernels/pack.h), or
// planes XOR pad; `plain`: the values themselves.
typedef struct {
  const tw_seed *seed;     // the other party's; backend memory
  const uint64_t *slot;    // backend memory
  const uint64_t *values;  // of the whole correction
  uint8_t *packed;         // 8-byte aligned
  size_t bytes;            // of it, a multiple of 8; zeros behind the data
  size_t n, first, count;  // elements; those of the part
  uint32_t use;
  int bits;   // 1: planes of bits, else ring elements
  int width;  // ring bits, or planes
  int plain;  // ring elements only: no pad
} tw_give_args;
enum { TW_GIVE_MOST = 16 };  // in one call

#endif
