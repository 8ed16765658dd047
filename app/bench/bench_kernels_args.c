// Arguments of the kernels behind each gate of a program, as a party sets them up for a batch (jobs/gate_*.c), in
// random memory.
#include <string.h>

#include "app/bench/bench_gate.h"

// Not every backend's build calls all of them.
#define CALL_OF(op)                                                                                         \
  __attribute__((unused)) static tw_status call_##op(const tw_backend *k, const void *args, void *stream) { \
    return k->op(args, stream);                                                                             \
  }
TW_RING_OPS(CALL_OF)
TW_BIT_OPS(CALL_OF)
#undef CALL_OF
#define CALL_TAKING(op)                                                                                 \
  __attribute__((unused)) static tw_status call_##op##_corrected(const tw_backend *k, const void *args, \
                                                                 void *stream) {                        \
    const tw_corrected *t = args;                                                                       \
    return k->op##_corrected(t->args, t->taken, t->count, stream);                                      \
  }
TW_CORRECTED_OPS(CALL_TAKING)
#undef CALL_TAKING

#define TIME_ROWS(g, op, a) time_rows(g, #op, (a).rows, (a).cols, call_##op, &(a))
#define TIME_TAKING(g, op, a, t) ((t).args = &(a), time_rows(g, #op, (a).rows, (a).cols, call_##op##_corrected, &(t)))

static void time_planes(const tw_gate_bench *g, const char *kernel, size_t planes, size_t n, double work,
                        tw_kernel_call *call, const void *args) {
  char size[TW_BENCH_TEXT];
  snprintf(size, sizeof size, "%zu planes of %zu", g->b->batch * planes, n);
  time_it(g, kernel, size, work, 0, call, args);
}

// ---- local gates ----

static void time_shift(const tw_gate_bench *g) {
  tw_shift_args a = {.rows = 1,
                     .cols = batch_n(g, result(g)),
                     .x = read_in(g, 0),
                     .out = write_out(g),
                     .half = 1ull << (arg(g, 0) - 1),
                     .ring = tw_mask(in(g, 0)->ring),
                     .bits = (int)arg(g, 0)};
  TIME_ROWS(g, shift, a);
}

static void time_view(const tw_gate_bench *g) {
  size_t n = batch_n(g, result(g));
  g->b->bytes += 8 * (double)n;
  tw_view_args a = {.cols = arg(g, 3),
                    .x = tw_bench_room(g->b, batch_n(g, in(g, 0))),
                    .out = write_out(g),
                    .offset = arg(g, 8),
                    .sequence_stride = in(g, 0)->n};
  for (int i = 0; i < 4; i++) {
    a.dim[i] = arg(g, i);
    a.stride[i] = arg(g, 4 + i);
  }
  a.rows = n / a.cols;
  TIME_ROWS(g, view, a);
}

static void time_concat(const tw_gate_bench *g) {
  tw_concat_args a = {.rows = g->b->batch * arg(g, 0),
                      .cols = arg(g, 1) + arg(g, 2),
                      .x = read_in(g, 0),
                      .y = read_in(g, 1),
                      .out = write_out(g),
                      .cx = arg(g, 1)};
  TIME_ROWS(g, concat, a);
}

static void time_combine(const tw_gate_bench *g) {
  tw_combine_args a = {.rows = g->b->batch * arg(g, 2),
                       .cols = arg(g, 3),
                       .x = read_in(g, 0),
                       .y = read_in(g, 1),
                       .out = write_out(g),
                       .p = arg(g, 0),
                       .q = arg(g, 1),
                       .ring = ring_of(g),
                       .pair = {arg(g, 2), in(g, 1)->n, arg(g, 4), arg(g, 5)}};
  TIME_ROWS(g, combine, a);
}

static void time_scaled(const tw_gate_bench *g) {
  tw_combine_args a = {.rows = 1,
                       .cols = batch_n(g, result(g)),
                       .x = read_in(g, 0),
                       .out = write_out(g),
                       .p = arg(g, 0),
                       .ring = ring_of(g)};
  TIME_ROWS(g, combine, a);
}

static void time_share(const tw_gate_bench *g) {
  size_t n = batch_n(g, in(g, 0));
  tw_share_args a = {.rows = 1,
                     .cols = n,
                     .X = read_n(g, n),
                     .r = read_n(g, n),
                     .out = write_out(g),
                     .one = ~0ull,
                     .ring = ring_of(g),
                     .pair = {1, n, 0, 1}};
  TIME_ROWS(g, share, a);
}

typedef struct {
  const uint64_t *x, *addend;
  size_t rows, cols;
  uint64_t ring, *out;
} sums_args;
static tw_status call_sums(const tw_backend *k, const void *args, void *stream) {
  const sums_args *a = args;
  return k->row_sums(a->x, a->rows, a->cols, a->addend, a->ring, a->out, stream);
}
static void time_sums(const tw_gate_bench *g, bool addend) {
  size_t rows = batch_n(g, result(g)), n = batch_n(g, in(g, 0));
  sums_args a = {.x = read_n(g, n),
                 .addend = addend ? read_n(g, rows) : NULL,
                 .rows = rows,
                 .cols = n / rows,
                 .ring = ring_of(g),
                 .out = write_out(g)};
  time_rows(g, "row_sums", a.rows, a.cols, call_sums, &a);
}
static void time_row_sum(const tw_gate_bench *g) { time_sums(g, false); }

// All tokens live.
static tw_liveness live(const tw_gate_bench *g, int at) {
  return (tw_liveness){NULL, (int)arg(g, at), (int)arg(g, at + 1), (int)arg(g, at + 2), (int)arg(g, at + 3)};
}

static void time_pool(const tw_gate_bench *g) {
  tw_pool_args a = {.rows = g->b->batch,
                    .cols = result(g)->n,
                    .x_rows = in(g, 0)->n / result(g)->n,
                    .x = read_in(g, 0),
                    .out = write_out(g),
                    .ring = ring_of(g),
                    .live = live(g, 0)};
  time_rows(g, "pool", a.rows * a.x_rows, a.cols, call_pool, &a);
}

static void time_zero(const tw_gate_bench *g) {
  tw_zero_args a = {.rows = g->b->batch * arg(g, 0),
                    .cols = in(g, 0)->n / arg(g, 0),
                    .rows_per_sequence = arg(g, 0),
                    .x = read_in(g, 0),
                    .out = write_out(g),
                    .live = live(g, 1)};
  TIME_ROWS(g, zero, a);
}

static void time_pairs(const tw_gate_bench *g) {
  size_t group = arg(g, 3), pairs = group * (group - 1) / 2;
  g->b->bytes += 8 * (double)(g->b->batch * arg(g, 0) * group * arg(g, 4));
  tw_pairs_args a = {.rows = g->b->batch * pairs * arg(g, 0),
                     .cols = arg(g, 4),
                     .x_rows = arg(g, 0),
                     .x_cols = arg(g, 1),
                     .first = arg(g, 2),
                     .group = group,
                     .pairs = pairs,
                     .x = tw_bench_room(g->b, batch_n(g, in(g, 0))),
                     .out = write_out(g),
                     .ring = ring_of(g)};
  TIME_ROWS(g, pairs, a);
}

static void time_sum_planes(const tw_gate_bench *g) {
  tw_sum_planes_args a = {.rows = g->b->batch,
                          .cols = result(g)->n,
                          .planes = arg(g, 0),
                          .x = read_in(g, 0),
                          .shifts = list_of(g),
                          .out = write_out(g),
                          .ring = ring_of(g)};
  time_rows(g, "sum_planes", a.rows * a.planes, a.cols, call_sum_planes, &a);
}

// ---- gates with corrections ----

static void time_extend(const tw_gate_bench *g) {
  size_t n = batch_n(g, in(g, 0));
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_extend_args a = {.rows = 1,
                      .cols = n,
                      .X = read_n(g, n),
                      .r = read_n(g, n),
                      .carry = t.taken[0].out,
                      .top = t.taken[1].out,
                      .out = write_out(g),
                      .one = ~0ull,
                      .ring = ring_of(g),
                      .k = in(g, 0)->ring};
  TIME_TAKING(g, extend, a, t);
}

static void time_extended_row_sum(const tw_gate_bench *g) {
  size_t n = batch_n(g, in(g, 0));
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_extend_args a = {.rows = 1,
                      .cols = n,
                      .X = read_n(g, n),
                      .r = read_n(g, n),
                      .top = t.taken[0].out,
                      .out = tw_bench_out(g->b, n),
                      .one = ~0ull,
                      .ring = ring_of(g),
                      .k = in(g, 0)->ring};
  TIME_TAKING(g, extend, a, t);
  time_sums(g, true);
}

static void time_multiply(const tw_gate_bench *g) {
  size_t n = in(g, 0)->n, m = in(g, 1)->n;
  bool extended = in(g, 0)->ring < result(g)->ring;
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_multiply_args a = {.rows = g->b->batch,
                        .cols = n,
                        .X = read_all(g, n),
                        .r = read_all(g, n),
                        .Y = read_all(g, m),
                        .q = read_all(g, m),
                        .rq = t.taken[extended ? 2 : 0].out,
                        .out = write_out(g),
                        .one = ~0ull,
                        .ring = ring_of(g),
                        .k = in(g, 0)->ring,
                        .pair = {1, m, 0, 1}};
  if (extended) {
    a.carry = t.taken[0].out;
    a.top = t.taken[1].out;
    a.tq = t.taken[3].out;
  }
  if ((tw_repeat)arg(g, 0) == TW_PER_ROW) {
    a.rows = g->b->batch * m, a.cols = n / m;
    a.pair = (tw_pairing){m, m, 1, 0};
  } else if ((tw_repeat)arg(g, 0) == TW_PER_COLUMN) {
    a.rows = g->b->batch * (n / m), a.cols = m;
    a.pair = (tw_pairing){n / m, m, 0, 1};
  }
  TIME_TAKING(g, multiply, a, t);
}

static void time_multiply_rows(const tw_gate_bench *g) {
  size_t n = batch_n(g, in(g, 0)), rows = batch_n(g, in(g, 1));
  int k = in(g, 0)->ring, l = in(g, 1)->ring;
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_multiply_rows_args a = {.rows = rows,
                             .cols = n / rows,
                             .X = read_n(g, n),
                             .r = read_n(g, n),
                             .Y = read_n(g, rows),
                             .q = read_n(g, rows),
                             .x_carry = t.taken[0].out,
                             .x_top = t.taken[1].out,
                             .y_carry = t.taken[2].out,
                             .y_top = t.taken[3].out,
                             .rq = t.taken[4].out,
                             .tq = t.taken[5].out,
                             .rs = t.taken[6].out,
                             .ts = k + l < result(g)->ring ? t.taken[7].out : NULL,
                             .out = write_out(g),
                             .one = ~0ull,
                             .ring = ring_of(g),
                             .k = k,
                             .l = l};
  TIME_TAKING(g, multiply_rows, a, t);
}

static void time_squares(const tw_gate_bench *g) {
  size_t n = batch_n(g, in(g, 0));
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_square_args a = {.rows = 1,
                      .cols = n,
                      .X = read_n(g, n),
                      .r = read_n(g, n),
                      .carry = t.taken[0].out,
                      .top = t.taken[1].out,
                      .tr = t.taken[2].out,
                      .out = tw_bench_out(g->b, n),
                      .one = ~0ull,
                      .k = in(g, 0)->ring};
  TIME_TAKING(g, square, a, t);
  time_sums(g, true);
}

static void time_select(const tw_gate_bench *g) {
  const tw_tensor *bits = in(g, 0), *x = in(g, 1);
  size_t planes = arg(g, 1), all = planes * bits->n;
  bool extended = x->ring < result(g)->ring;
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_select_args a = {.rows = g->b->batch * planes,
                      .cols = bits->n,
                      .bits = read_planes(g, 0, planes),
                      .X = read_all(g, x->n),
                      .r = read_all(g, x->n),
                      .m = t.taken[extended ? 2 : 0].out,
                      .mr = t.taken[extended ? 3 : 1].out,
                      .out = write_out(g),
                      .planes = planes,
                      .first_plane = arg(g, 0),
                      .plane_words = tw_words(bits->n),
                      .sequence_words = words_of(bits),
                      .x_sequence_stride = x->n,
                      .x_plane_stride = arg(g, 2) ? 0 : bits->n,
                      .one = ~0ull,
                      .ring = ring_of(g),
                      .k = x->ring};
  if (extended) {
    a.carry = t.taken[0].out;
    a.top = t.taken[1].out;
    a.mt = t.taken[4].out;
  }
  t.args = &a;
  time_planes(g, "select", planes, a.cols, (double)(g->b->batch * all), call_select_corrected, &t);
}

static void time_constants(const tw_gate_bench *g) {
  size_t n = in(g, 0)->n, planes = arg(g, 1);
  tw_constants_args a = {.rows = g->b->batch,
                         .cols = n,
                         .bits = read_planes(g, 0, planes),
                         .m = read_all(g, planes * n),
                         .constants = list_of(g),
                         .out = write_out(g),
                         .planes = planes,
                         .first_plane = arg(g, 0),
                         .plane_words = tw_words(n),
                         .sequence_words = words_of(in(g, 0)),
                         .mine = 1,
                         .ring = ring_of(g)};
  time_planes(g, "constants", planes, n, (double)(g->b->batch * planes * n), call_constants, &a);
}

static void time_piece(const tw_gate_bench *g) {
  size_t n = batch_n(g, result(g));
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_piece_args a = {.rows = 1,
                     .cols = n,
                     .A = read_n(g, n),
                     .B = read_n(g, n),
                     .X = read_n(g, n),
                     .sign = t.taken[0].out,
                     .sign_rb = t.taken[1].out,
                     .sign_r = t.taken[2].out,
                     .rest = t.taken[3].out,
                     .out = write_out(g),
                     .ring = ring_of(g)};
  TIME_TAKING(g, piece, a, t);
}

static void time_floor(const tw_gate_bench *g) {
  size_t n = in(g, 0)->n;
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_floor_args a = {.rows = g->b->batch,
                     .cols = n,
                     .X = read_all(g, n),
                     .bits = read_planes(g, 1, 1),
                     .high = t.taken[0].out,
                     .m = t.taken[1].out,
                     .out = write_out(g),
                     .sequence_words = words_of(in(g, 1)),
                     .one = ~0ull,
                     .ring = ring_of(g),
                     .shift = (int)arg(g, 0)};
  TIME_TAKING(g, floor, a, t);
}

// ---- bits ----

// Which planes of its operands a kernel reads.
enum { MOST_PLANES = 1 << 12 };
typedef struct {
  bool used[TW_OPERANDS][MOST_PLANES];
  size_t count[TW_OPERANDS];
} planes_read;
static void note_plane(planes_read *r, int64_t operand, int64_t plane) {
  bool *used = &r->used[operand][plane % MOST_PLANES];
  r->count[operand] += !*used;
  *used = true;
}

static void time_leaves(const tw_gate_bench *g) {
  const tw_tensor *x = in(g, 1);
  tw_leaves_args a = {.sequences = g->b->batch,
                      .n = x->n,
                      .words = tw_words(x->n),
                      .X = read_all(g, x->n),
                      .leaves = list_of(g),
                      .out = write_out(g),
                      .onehot_words = words_of(in(g, 0)),
                      .count = (int)arg(g, 0),
                      .ring = x->ring,
                      .party = 1};
  planes_read read = {0};
  for (int i = 0; i < a.count; i++) {
    int64_t what = g->p->pool[g->op->list + 3 * (size_t)i + 2], first = what >> 16;
    int64_t count = (what >> 8 & 0xff) == TW_LEAF_SIGN ? 1 : (int64_t)1 << (what & 0xff);
    for (int64_t plane = first; plane < first + count; plane++) note_plane(&read, 0, plane);
  }
  a.onehot = read_planes(g, 0, read.count[0]);
  time_planes(g, "leaves", (size_t)a.count, a.n, (double)(a.sequences * a.n) * a.count, call_leaves, &a);
}

static void time_lookup(const tw_gate_bench *g) {
  size_t n = in(g, 1)->n, words = tw_words(n);
  int width = (int)arg(g, 1), sub_bits = (int)arg(g, 2);
  uint64_t *onehot = read_planes(g, 0, (size_t)1 << width);
  tw_lookup_args a = {.sequences = g->b->batch,
                      .n = n,
                      .words = words,
                      .X = read_all(g, n),
                      .onehot = onehot ? onehot + arg(g, 0) * words : NULL,
                      .onehot_words = words_of(in(g, 0)),
                      .offset = arg(g, 3),
                      .ring_out = ring_of(g),
                      .ring = in(g, 1)->ring,
                      .low_bit = (int)arg(g, 4),
                      .width = width,
                      .sub_bits = sub_bits,
                      .party = 1};
  for (int i = 0; i < 2; i++) {
    a.table[i] = read_n(g, (size_t)1 << (width + sub_bits));
    a.out[i] = tw_bench_out(g->b, g->b->batch * n);
  }
  char size[TW_BENCH_TEXT];
  snprintf(size, sizeof size, "%zu, %d + %d bits", a.sequences * n, width, sub_bits);
  time_it(g, "lookup", size, (double)(a.sequences * n), 0, call_lookup, &a);
}

// Planes of literals: kernels/bit_ops.h says how the list lies.
static void note_literals(const tw_gate_bench *g, planes_read *r) {
  const int64_t *at = g->p->pool + g->op->list;
  for (size_t i = 0; i < arg(g, 0); i++) {
    int64_t count = at[1];
    at += 2;
    for (int64_t j = 0; j < count; j++, at += 3) note_plane(r, at[0], at[1]);
    at += (size_t)1 << count;
  }
}

// Behind the list of products: where each begins.
static const int64_t *outline_of(const tw_gate_bench *g) {
  size_t count = (size_t)result(g)->planes + 1 + arg(g, 0);
  return tw_bench_list(g->b, g->p->pool + g->op->list + g->op->list_count, count);
}

static void time_products(const tw_gate_bench *g) {
  size_t n = result(g)->n, words = tw_words(n);
  size_t dealt = g->op->correction_count ? (size_t)g->p->corrections[g->op->correction].width * words : 0;
  tw_products_args a = {.sequences = g->b->batch,
                        .words = words,
                        .list_count = g->op->list_count,
                        .operands = g->op->in_count,
                        .party = 0,
                        .products = (int)arg(g, 0),
                        .dealt = dealt ? read_all(g, dealt) : NULL,
                        .dealt_words = dealt,
                        .out_words = words_of(result(g)),
                        .list = list_of(g),
                        .outline = outline_of(g),
                        .out = write_out(g)};
  planes_read read = {0};
  note_literals(g, &read);
  for (int i = 0; i < a.operands; i++) {
    a.value[i] = read_planes(g, i, read.count[i]);
    a.mask[i] = read_planes(g, i, read.count[i]);
    a.operand_words[i] = words_of(in(g, i));
  }
  time_planes(g, "products", (size_t)a.products, n, (double)(a.sequences * n) * a.products, call_products, &a);
}

static void time_parity(const tw_gate_bench *g) {
  size_t n = result(g)->n;
  tw_parity_args a = {.sequences = g->b->batch,
                      .words = tw_words(n),
                      .terms = arg(g, 0),
                      .operands = g->op->in_count,
                      .planes = result(g)->planes,
                      .mine = 1,
                      .list = list_of(g),
                      .out = write_out(g)};
  planes_read read = {0};
  const int64_t *terms = g->p->pool + g->op->list;
  for (size_t i = 0; i < a.terms; i++) note_plane(&read, terms[3 * i + 1], terms[3 * i + 2]);
  for (int i = 0; i < a.operands; i++) {
    a.value[i] = read_planes(g, i, read.count[i]);
    a.operand_words[i] = words_of(in(g, i));
  }
  time_planes(g, "parity", a.terms, n, (double)(a.terms * a.sequences * n), call_parity, &a);
}

static void time_reshape(const tw_gate_bench *g) {
  const tw_tensor *y = result(g);
  tw_reshape_args a = {.sequences = g->b->batch,
                       .n = y->n,
                       .planes = (size_t)y->planes,
                       .from_words = words_of(in(g, 0)),
                       .x = read_in(g, 0),
                       .out = write_out(g)};
  time_planes(g, "reshape", a.planes, a.n, (double)(a.sequences * a.planes * a.n), call_reshape, &a);
}

static void time_kill(const tw_gate_bench *g) {
  tw_kill_args a = {.sequences = g->b->batch,
                    .rows = arg(g, 0),
                    .first = arg(g, 1),
                    .group = arg(g, 2),
                    .groups = arg(g, 3),
                    .words = words_of(result(g)),
                    .earlier = list_of(g),
                    .levels = (int)g->op->list_count,
                    .mine = 1,
                    .x = read_in(g, 0),
                    .out = write_out(g),
                    .live = live(g, 4)};
  time_rows(g, "kill", a.sequences, result(g)->n, call_kill, &a);
}

static const struct {
  const char *gate;
  void (*time)(const tw_gate_bench *g);
} gates[] = {{"truncate", time_shift},
             {"view", time_view},
             {"concat", time_concat},
             {"combine", time_combine},
             {"scaled", time_scaled},
             {"as share", time_share},
             {"row_sum", time_row_sum},
             {"pool_live", time_pool},
             {"zero_dead", time_zero},
             {"pair_differences", time_pairs},
             {"sum_planes", time_sum_planes},
             {"extend", time_extend},
             {"extended row sum", time_extended_row_sum},
             {"multiply", time_multiply},
             {"multiply rows", time_multiply_rows},
             {"sum of squares", time_squares},
             {"select", time_select},
             {"bit constants", time_constants},
             {"piece", time_piece},
             {"floor", time_floor},
             {"leaves", time_leaves},
             {"lookup", time_lookup},
             {"and", time_products},
             {"xor", time_parity},
             {"reshape", time_reshape},
             {"dead pairs", time_kill},
             {"matmul", tw_bench_matmul},
             {"linear", tw_bench_linear},
             {"open", tw_bench_open}};

bool tw_bench_gate(tw_kernel_bench *b, const tw_program *p, const tw_op *op) {
  for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
    if (strcmp(gates[i].gate, op->gate->name) == 0) {
      gates[i].time(&(tw_gate_bench){b, p, op});
      return true;
    }
  return false;
}

bool tw_bench_takes(const tw_op *op) {
  static const char *const names[] = {"linear",        "extend",         "extended row sum", "floor", "multiply",
                                      "multiply rows", "sum of squares", "select",           "piece"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], op->gate->name) == 0) return true;
  return false;
}
