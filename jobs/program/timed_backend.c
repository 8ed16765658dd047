#include "jobs/program/timed_backend.h"

// A table's functions have no state of their own.
static _Thread_local const tw_timing *current;

tw_status tw_timing_of(const tw_timing *t, const tw_timed_call *call, void *stream) {
  return t->wanted(t->state, call->kernel, &call->cost) ? t->time(t->state, call, stream) : TW_OK;
}

static tw_status timed(const char *kernel, tw_kernel_cost cost, tw_status (*run)(const void *, void *),
                       const void *args, void *stream) {
  tw_timed_call call = {kernel, cost, run, args};
  TW_TRY(tw_timing_of(current, &call, stream));
  return run(args, stream);
}

// ---- elementwise gates

#define TIMED_OP(op)                                                                                    \
  static tw_status run_##op(const void *args, void *stream) { return current->real->op(args, stream); } \
  static tw_status timed_##op(const tw_##op##_args *args, void *stream) {                               \
    return timed(#op, tw_cost_##op(args), run_##op, args, stream);                                      \
  }
TW_RING_OPS(TIMED_OP)
TIMED_OP(lookup)
TIMED_OP(reshape)
TIMED_OP(kill)
TIMED_OP(thresholds)
TIMED_OP(key_window)
TIMED_OP(key_segments)
TIMED_OP(draw)

typedef struct {
  const void *args;
  const tw_correction_args *taken;
  int count;
} corrected_args;

#define TIMED_CORRECTED(op)                                                                                       \
  static tw_status run_##op##_corrected(const void *args, void *stream) {                                         \
    const corrected_args *a = args;                                                                               \
    return current->real->op##_corrected(a->args, a->taken, a->count, stream);                                    \
  }                                                                                                               \
  static tw_status timed_##op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                          void *stream) {                                                         \
    corrected_args a = {args, taken, count};                                                                      \
    return timed(#op, tw_cost_corrected(tw_cost_##op(args), taken, count), run_##op##_corrected, &a, stream);     \
  }
TW_CORRECTED_OPS(TIMED_CORRECTED)

// The addend of a weight product: its first operand is a correction.
static tw_status timed_addend(const tw_combine_args *args, const tw_correction_args *taken, int count, void *stream) {
  corrected_args a = {args, taken, count};
  tw_kernel_cost cost = tw_cost_combine(args);
  cost.bytes -= 8 * cost.work;
  return timed("addend", tw_cost_corrected(cost, taken, count), run_combine_corrected, &a, stream);
}

// ---- lists: costs are counted from those in host memory

static const int64_t *in_host(const int64_t *list) { return current->host_pool + (list - current->pool); }

#define TIMED_LIST_OP(op, member)                                                                       \
  static tw_status run_##op(const void *args, void *stream) { return current->real->op(args, stream); } \
  static tw_status timed_##op(const tw_##op##_args *args, void *stream) {                               \
    tw_##op##_args readable = *args;                                                                    \
    readable.member = in_host(args->member);                                                            \
    return timed(#op, tw_cost_##op(&readable), run_##op, args, stream);                                 \
  }
TIMED_LIST_OP(leaves, leaves)
TIMED_LIST_OP(products, list)
TIMED_LIST_OP(parity, list)

// ---- sums and corrections

typedef struct {
  const uint64_t *x, *addend;
  size_t rows, cols;
  uint64_t ring, *out;
} sums_args;

static tw_status run_row_sums(const void *args, void *stream) {
  const sums_args *a = args;
  return current->real->row_sums(a->x, a->rows, a->cols, a->addend, a->ring, a->out, stream);
}

static tw_status timed_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                                uint64_t *out, void *stream) {
  sums_args a = {x, addend, rows, cols, ring, out};
  return timed("row_sums", tw_cost_row_sums(rows, cols, addend), run_row_sums, &a, stream);
}

static tw_status run_corrections(const void *args, void *stream) {
  const corrected_args *a = args;
  return current->real->corrections(a->taken, a->count, stream);
}

static tw_status timed_corrections(const tw_correction_args *args, int count, void *stream) {
  corrected_args a = {NULL, args, count};
  return timed("corrections", tw_cost_corrections(args, count), run_corrections, &a, stream);
}

// ---- products of matrices

typedef struct {
  size_t count, m, n, k;
  const uint64_t *a, *b, *addend;
  const void *operand;
  uint64_t *out;
  int ring, accumulate;
} product_args;

static tw_status run_gemm(const void *args, void *stream) {
  const product_args *p = args;
  return current->real->gemm(p->count, p->m, p->n, p->k, p->a, p->b, p->out, p->ring, p->accumulate, stream);
}

static tw_status run_product(const void *args, void *stream) {
  const product_args *p = args;
  return current->real->product(p->operand, p->m, p->n, p->k, p->a, p->addend, p->ring, p->out, stream);
}

// Repetitions add to a copy of what is there.
static tw_status time_on_copy(const char *kernel, tw_kernel_cost cost, tw_status (*run)(const void *, void *),
                              const product_args *p, void *stream) {
  const tw_backend *k = current->real;
  size_t bytes = 8 * p->count * p->m * p->n;
  product_args again = *p;
  void *copy;
  if (!current->wanted(current->state, kernel, &cost)) return TW_OK;
  TW_TRY(k->alloc(bytes, &copy));
  again.out = copy;
  if (p->addend == p->out) again.addend = copy;
  tw_status status = k->copy(copy, p->out, bytes, stream);
  if (status == TW_OK) status = current->time(current->state, &(tw_timed_call){kernel, cost, run, &again}, stream);
  k->release(copy, bytes);
  return status;
}

static tw_status timed_gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b,
                            uint64_t *c, int ring, int accumulate, void *stream) {
  product_args p = {count, m, n, k, a, b, NULL, NULL, c, ring, accumulate};
  TW_TRY(time_on_copy("gemm", tw_cost_gemm(count, m, n, k, ring, accumulate != 0), run_gemm, &p, stream));
  return run_gemm(&p, stream);
}

static tw_status timed_product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x,
                               const uint64_t *addend, int ring, uint64_t *out, void *stream) {
  product_args p = {1, m, n, k, x, NULL, addend, operand, out, ring, 0};
  // a prepared operand holds whole bytes of its ring
  int entry = current->real->operand_is_values ? 8 : (ring + 7) / 8;
  TW_TRY(time_on_copy("product", tw_cost_product(m, n, k, ring, addend, entry), run_product, &p, stream));
  return run_product(&p, stream);
}

typedef struct {
  const void *operand;
  int m, ring;
  size_t n, k;
  const tw_product_row *row;
} rows_args;

static tw_status run_product_rows(const void *args, void *stream) {
  const rows_args *p = args;
  return current->real->product_rows(p->operand, p->m, p->n, p->k, p->row, p->ring, stream);
}

static tw_status timed_product_rows(const void *operand, int m, size_t n, size_t k, const tw_product_row *row, int ring,
                                    void *stream) {
  rows_args p = {operand, m, ring, n, k, row};
  tw_kernel_cost cost = tw_cost_product((size_t)m, n, k, ring, row->addend, (ring + 7) / 8);
  return timed("product", cost, run_product_rows, &p, stream);
}

tw_backend tw_timed_backend(const tw_timing *t) {
  tw_backend k = *t->real;
  current = t;
#define TIMED_ENTRY(op) k.op = timed_##op;
#define TIMED_CORRECTED_ENTRY(op) k.op##_corrected = timed_##op##_corrected;
  TW_RING_OPS(TIMED_ENTRY)
  TW_BIT_OPS(TIMED_ENTRY)
  TW_CORRECTED_OPS(TIMED_CORRECTED_ENTRY)
  k.combine_corrected = timed_addend;
  k.row_sums = timed_row_sums;
  k.draw = timed_draw;
  k.corrections = timed_corrections;
  k.gemm = timed_gemm;
  k.product = timed_product;
  if (k.product_rows) k.product_rows = timed_product_rows;
  return k;
}
