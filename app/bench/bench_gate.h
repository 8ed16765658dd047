// For the files that set up a gate's kernels: a gate of a program, and short names for the arrays of its tensors.
#ifndef TW_BENCH_GATE_H
#define TW_BENCH_GATE_H

#include <stdio.h>

#include "app/bench/bench_kernels.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

typedef struct {
  tw_kernel_bench *b;
  const tw_program *p;
  const tw_op *op;
} tw_gate_bench;

static inline const tw_tensor *in(const tw_gate_bench *g, int i) { return &g->p->tensors[g->op->in[i]]; }
static inline const tw_tensor *result(const tw_gate_bench *g) { return &g->p->tensors[g->op->out[0]]; }
static inline size_t words_of(const tw_tensor *t) {
  return t->kind == TW_WIRE || t->kind == TW_SHARE ? t->n : (size_t)t->planes * tw_words(t->n);
}
static inline uint64_t *read_n(const tw_gate_bench *g, size_t n) { return tw_bench_in(g->b, n); }
// The whole batch: elements and arrays of a tensor.
static inline size_t batch_n(const tw_gate_bench *g, const tw_tensor *t) { return g->b->batch * t->n; }
static inline uint64_t *read_all(const tw_gate_bench *g, size_t n) { return tw_bench_in(g->b, g->b->batch * n); }
static inline uint64_t *read_in(const tw_gate_bench *g, int i) { return read_all(g, words_of(in(g, i))); }
static inline uint64_t *write_out(const tw_gate_bench *g) {
  return tw_bench_out(g->b, g->b->batch * words_of(result(g)));
}
static inline uint64_t ring_of(const tw_gate_bench *g) { return tw_mask(result(g)->ring); }
static inline const int64_t *list_of(const tw_gate_bench *g) {
  return tw_bench_list(g->b, g->p->pool + g->op->list, g->op->list_count);
}
// Planes of bits of which the kernel reads some.
static inline uint64_t *read_planes(const tw_gate_bench *g, int i, size_t planes) {
  g->b->bytes += 8 * (double)(g->b->batch * planes * tw_words(in(g, i)->n));
  return tw_bench_room(g->b, g->b->batch * words_of(in(g, i)));
}
static inline size_t arg(const tw_gate_bench *g, int i) { return (size_t)g->op->arg[i]; }

static inline const char *part_of(const tw_program *p, const tw_op *op) { return p->steps[op->step].name; }

static inline void time_it(const tw_gate_bench *g, const char *kernel, const char *size, double work, int ring,
                           tw_kernel_call *call, const void *args) {
  tw_kernel_case c = {.kernel = kernel, .part = part_of(g->p, g->op), .work = work, .ring = ring};
  snprintf(c.size, sizeof c.size, "%s", size);
  tw_bench_time(g->b, &c, call, args);
}
static inline void time_rows(const tw_gate_bench *g, const char *kernel, size_t rows, size_t cols, tw_kernel_call *call,
                             const void *args) {
  char size[TW_BENCH_TEXT];
  if (rows == 1)
    snprintf(size, sizeof size, "%zu", cols);
  else
    snprintf(size, sizeof size, "%zu x %zu", rows, cols);
  time_it(g, kernel, size, (double)rows * (double)cols, 0, call, args);
}

// A gate that takes its corrections itself: what must move is their packed halves.
typedef struct {
  const void *args;  // of the gate
  tw_correction_args taken[TW_MAX_CORRECTIONS];
  int count;
} tw_corrected;
void tw_bench_corrected(const tw_gate_bench *g, tw_corrected *t);

// Products and openings; the others are in app/bench/bench_kernels_args.c.
void tw_bench_matmul(const tw_gate_bench *g);
void tw_bench_linear(const tw_gate_bench *g);
void tw_bench_open(const tw_gate_bench *g);

#endif
