#include "kernels/costs.h"

#include <stdio.h>

#include "kernels/digit.h"
#include "kernels/pack.h"

static tw_kernel_cost of_rows(size_t rows, size_t cols, double words) {
  tw_kernel_cost c = {.bytes = 8 * words, .work = (double)rows * (double)cols};
  if (rows == 1)
    snprintf(c.size, sizeof c.size, "%zu", cols);
  else
    snprintf(c.size, sizeof c.size, "%zu x %zu", rows, cols);
  return c;
}

static tw_kernel_cost of_planes(size_t planes, size_t n, double elements, double words) {
  tw_kernel_cost c = {.bytes = 8 * words, .work = elements};
  snprintf(c.size, sizeof c.size, "%zu planes of %zu", planes, n);
  return c;
}

// Elements of the second operand.
static double paired(size_t rows, tw_pairing p) {
  return (double)(rows / p.rows_per_sequence) * (double)p.sequence_stride;
}

// ---- elementwise gates; n: elements of the result

#define ROWS(op, words)                                  \
  tw_kernel_cost tw_cost_##op(const tw_##op##_args *a) { \
    double n = (double)a->rows * (double)a->cols;        \
    return of_rows(a->rows, a->cols, words);             \
  }
ROWS(mask, 3 * n)
ROWS(shift, 2 * n)
ROWS(view, 2 * n)
ROWS(concat, 2 * n)
ROWS(combine, 2 * n + (a->y ? paired(a->rows, a->pair) : 0))
ROWS(share, 3 * n)
ROWS(extend, 3 * n)
ROWS(multiply, 3 * n + 2 * paired(a->rows, a->pair))
ROWS(multiply_rows, 3 * n + 2 * (double)a->rows)
ROWS(square, 3 * n)
ROWS(zero, 2 * n)
ROWS(pairs, n + (double)(a->rows / a->pairs) * (double)(a->group * a->cols))
ROWS(offset, 4 * n)
ROWS(piece, 3 * n)
ROWS(floor, 2 * n + (double)(a->rows * tw_words(a->cols)))
ROWS(gather, (a->addend ? 3 : 2) * n + (double)a->cols)
ROWS(turn, 2 * n + 2 * (double)(a->tokens * a->half))
ROWS(last_row, 2 * n)
ROWS(to_planes, n + (double)(a->rows / a->planes * a->n))
ROWS(to_numbers, n + (1 + (a->y != NULL)) * (double)(a->rows * a->planes * a->words))
ROWS(turn_line, n + (double)a->rows + (double)(a->rows / a->n * a->onehot_words))
ROWS(turn_place, 2 * n + (double)a->rows)
ROWS(opponents, n + (double)(a->rows / (a->group - 1) * a->x_words))
ROWS(members, n + (double)(a->rows * a->x_words))
ROWS(fold, n + (double)(a->rows / a->planes * (a->digits ? 1 : a->planes) * a->x_words))
ROWS(choose_row, n + (double)(a->rows * a->members) * (2 * (double)a->cols + 1 + (double)a->factors / 64))
ROWS(spread_words, n + (double)(a->rows / a->places * a->span))
ROWS(join_words, ((a->addend ? 2 : 1) + (double)a->places) * n)

tw_kernel_cost tw_cost_select(const tw_select_args *a) {
  size_t sequences = a->rows / a->planes;
  double n = (double)a->rows * (double)a->cols, x = (double)(sequences * a->x_sequence_stride);
  return of_planes(a->rows, a->cols, n, n + 2 * x + (double)(a->rows * tw_words(a->cols)));
}

tw_kernel_cost tw_cost_choose(const tw_choose_args *a) {
  double n = (double)a->rows * (double)a->cols, sets = (double)((1 << a->factors) - 1);
  return of_planes(a->rows, a->cols, n,
                   (3 + 2 * sets) * n + (double)(a->rows * (size_t)a->factors * tw_words(a->cols)));
}

tw_kernel_cost tw_cost_constants(const tw_constants_args *a) {
  double out = (double)a->rows * (double)a->cols, n = (double)a->planes * out,
         bits = (double)(a->rows * a->planes * tw_words(a->cols));
  return of_planes(a->rows * a->planes, a->cols, n, n + out + bits + (double)a->planes);
}

tw_kernel_cost tw_cost_sum_planes(const tw_sum_planes_args *a) {
  double out = (double)a->rows * (double)a->cols;
  return of_rows(a->rows * a->planes, a->cols, (double)a->planes * (out + 1) + out);
}

tw_kernel_cost tw_cost_pool(const tw_pool_args *a) {
  double out = (double)a->rows * (double)a->cols;
  return of_rows(a->rows * a->x_rows, a->cols, (double)a->x_rows * out + out);
}

tw_kernel_cost tw_cost_row_sums(size_t rows, size_t cols, bool addend) {
  return of_rows(rows, cols, (double)rows * (double)(cols + 1 + addend));
}

// ---- bits

// Planes of its operands that a kernel reads, each counted once.
enum { MOST_PLANES = 1 << 12 };
typedef struct {
  uint64_t seen[TW_OPERANDS][MOST_PLANES / 64];
  size_t count;
} planes_read;

static void note_plane(planes_read *r, int64_t operand, int64_t plane) {
  uint64_t *word = &r->seen[operand][plane % MOST_PLANES / 64], bit = 1ull << plane % 64;
  r->count += !(*word & bit);
  *word |= bit;
}

tw_kernel_cost tw_cost_leaves(const tw_leaves_args *a) {
  planes_read r = {0};
  for (int i = 0; i < a->count; i++) {
    int64_t what = a->leaves[3 * i + 2], first = what >> 16;
    int64_t count = (what >> 8 & 0xff) == TW_LEAF_SIGN ? 1 : (int64_t)1 << (what & 0xff);
    for (int64_t plane = first; plane < first + count; plane++) note_plane(&r, 0, plane);
  }
  size_t planes = a->sequences * (size_t)a->count;
  return of_planes(planes, a->n, (double)planes * (double)a->n,
                   3 * (double)a->count + (double)a->sequences * (double)a->n +
                       (double)(a->sequences * r.count + planes) * (double)a->words);
}

tw_kernel_cost tw_cost_lookup(const tw_lookup_args *a) {
  tw_kernel_cost c = {.work = (double)a->sequences * (double)a->n};
  c.bytes =
      8 * (3 * c.work + (double)(a->sequences * a->words << a->width) + (double)(2ull << (a->width + a->sub_bits)));
  snprintf(c.size, sizeof c.size, "%zu, %d + %d bits", a->sequences * a->n, a->width, a->sub_bits);
  return c;
}

tw_kernel_cost tw_cost_products(const tw_products_args *a) {
  planes_read r = {0};
  const int64_t *at = a->list;
  for (int i = 0; i < a->products; i++) {
    int64_t count = at[1];
    at += 2;
    for (int64_t j = 0; j < count; j++, at += 3) note_plane(&r, at[0], at[1]);
    at += (size_t)1 << count;
  }
  size_t planes = a->sequences * (size_t)a->products, n = 64 * a->words;
  double list = (double)(a->list_count + a->out_words / a->words + 1 + (size_t)a->products);
  return of_planes(
      planes, n, (double)planes * (double)n,
      list + (double)a->sequences * (double)(2 * r.count * a->words + a->out_words + (a->dealt ? a->dealt_words : 0)));
}

tw_kernel_cost tw_cost_parity(const tw_parity_args *a) {
  planes_read r = {0};
  for (size_t i = 0; i < a->terms; i++) note_plane(&r, a->list[3 * i + 1], a->list[3 * i + 2]);
  size_t planes = a->sequences * a->terms, n = 64 * a->words;
  return of_planes(planes, n, (double)planes * (double)n,
                   (double)(3 * a->terms + (size_t)a->planes) +
                       (double)(a->sequences * a->words) * (double)(r.count + (size_t)a->planes));
}

tw_kernel_cost tw_cost_reshape(const tw_reshape_args *a) {
  size_t planes = a->sequences * a->planes;
  return of_planes(planes, a->n, (double)planes * (double)a->n,
                   (double)a->sequences * (double)(a->from_words + a->planes * tw_words(a->n)));
}

tw_kernel_cost tw_cost_kill(const tw_kill_args *a) {
  size_t bits = a->group * (a->group - 1) / 2 * a->rows * a->groups;
  return of_rows(a->sequences, bits, (double)(2 * a->sequences * a->words) + a->levels);
}

// Words that a walk reads beside X, its root, leaf word and top bit: three a level.
tw_kernel_cost tw_cost_thresholds(const tw_thresholds_args *a) {
  size_t planes = a->sequences * (size_t)a->count;
  double walks = (double)planes * (double)a->n, n = (double)a->sequences * (double)a->n;
  return of_planes(
      planes, a->n, walks,
      n * (1 + 2 * tw_key_halves(a->ring) + 3 * tw_key_levels(a->ring)) + (double)((planes + a->sequences) * a->words));
}

// Words that an element reads beside X, and two of results: its root, levels and leaf word.
tw_kernel_cost tw_cost_key_window(const tw_key_window_args *a) {
  int bits = a->ring - a->low;
  double n = (double)a->sequences * (double)a->n;
  tw_kernel_cost c = of_rows(a->sequences, a->n,
                             n * (3 + 2 * tw_leaf_key_halves(bits) + 3 * tw_leaf_key_levels(bits)) +
                                 (double)(a->sequences * (size_t)a->arc_count * a->words));
  c.work = n * a->count;
  return c;
}

tw_kernel_cost tw_cost_key_segments(const tw_key_segments_args *a) {
  double n = (double)a->sequences * (double)a->n;
  return of_rows(a->sequences, a->n, n * (4 + 3 * (a->ring - a->first_step) + 2 * a->runs));
}

// ---- streams and corrections

tw_kernel_cost tw_cost_draw(const tw_draw_args *a) {
  double words = (double)(a->sequences * a->n);
  tw_kernel_cost c = {.bytes = 8 * words, .work = words};
  if (a->ring)
    snprintf(c.size, sizeof c.size, "%zu of %d bits", a->sequences * a->n, a->ring);
  else
    snprintf(c.size, sizeof c.size, "%zu words", a->sequences * a->n);
  return c;
}

// Packed halves end at words.
static double packed_bytes(const tw_correction_args *taken, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) {
    const tw_correction_args *c = &taken[i];
    size_t words = c->bits ? (size_t)c->width * tw_words(c->count) : (tw_packed_bytes(c->count, c->width) + 7) / 8;
    sum += 8 * (double)(c->sequences * words);
  }
  return sum;
}

tw_kernel_cost tw_cost_corrections(const tw_correction_args *args, int count) {
  tw_kernel_cost c = {.bytes = packed_bytes(args, count)};
  for (int i = 0; i < count; i++) {
    const tw_correction_args *a = &args[i];
    c.bytes += 8 * (double)a->sequences * (double)(a->bits ? (size_t)a->width * tw_words(a->n) : a->n);
    c.work += (double)(a->sequences * a->n) * (a->bits ? a->width : 1);
  }
  snprintf(c.size, sizeof c.size, "%d of %zu, %d %s", count, args->sequences * args->n, args->width,
           args->bits ? "planes" : "bits");
  return c;
}

tw_kernel_cost tw_cost_corrected(tw_kernel_cost own, const tw_correction_args *taken, int count) {
  own.bytes += packed_bytes(taken, count);
  return own;
}

// ---- products of matrices

static tw_kernel_cost of_product(size_t count, size_t m, size_t n, size_t k, int ring) {
  tw_kernel_cost c = {.work = (double)count * (double)m * (double)n * (double)k, .ring = ring};
  char times[32] = "";
  if (count > 1) snprintf(times, sizeof times, "%zu of ", count);
  snprintf(c.size, sizeof c.size, "%s%zu x %zu x %zu, %d bits", times, m, n, k, ring);
  return c;
}

tw_kernel_cost tw_cost_gemm(size_t count, size_t m, size_t n, size_t k, int ring, bool accumulate) {
  tw_kernel_cost c = of_product(count, m, n, k, ring);
  c.bytes = 8 * (double)count * (double)(m * k + k * n + (1 + accumulate) * m * n);
  return c;
}

tw_kernel_cost tw_cost_product(size_t m, size_t n, size_t k, int ring, bool addend, int entry_bytes) {
  tw_kernel_cost c = of_product(1, m, n, k, ring);
  c.bytes = 8 * (double)(m * k + (1 + addend) * m * n) + (double)entry_bytes * (double)(k * n);
  return c;
}

// ---- openings

tw_kernel_cost tw_cost_message(size_t sequences, size_t n, int width, bool bits, int arrays, int messages) {
  size_t words = sequences * (bits ? (size_t)width * tw_words(n) : n),
         message = bits ? words : sequences * ((n * (size_t)width + 63) / 64);
  tw_kernel_cost c = {.bytes = 8 * ((double)arrays * (double)words + (double)messages * (double)message),
                      .work = (double)words};
  snprintf(c.size, sizeof c.size, bits ? "%zu, %d planes" : "%zu of %d bits", sequences * n, width);
  return c;
}
