// What the two files of `twain bench kernels` share: one kernel's arguments in random memory of a backend, timed.
#ifndef TW_BENCH_KERNELS_H
#define TW_BENCH_KERNELS_H

#include "app/bench/bench.h"
#include "jobs/plan/plan.h"
#include "kernels/backend.h"

enum { TW_BENCH_PIECES = 64, TW_BENCH_TEXT = 128 };

typedef struct {
  const tw_backend *backend;
  size_t batch;  // sequences
  bool on_device;
  void *stream;
  tw_status status;  // the first failure; later calls do nothing
  // of the kernel being prepared
  struct {
    void *memory;
    size_t bytes;
  } pieces[TW_BENCH_PIECES];
  int piece_count;
  double bytes;  // that it must move
  void *state;   // of what measures
} tw_kernel_bench;

// Random memory of n words; in and out count it as read or written once, room does not.
uint64_t *tw_bench_room(tw_kernel_bench *b, size_t n);
uint64_t *tw_bench_in(tw_kernel_bench *b, size_t n);
uint64_t *tw_bench_out(tw_kernel_bench *b, size_t n);
// A list of the program in backend memory.
const int64_t *tw_bench_list(tw_kernel_bench *b, const int64_t *list, size_t count);

typedef struct {
  const char *kernel, *part;  // part of the layer
  char size[TW_BENCH_TEXT];
  double work;  // elements, or multiply-adds of products
  int ring;     // products: ring bits; else 0
} tw_kernel_case;
typedef tw_status tw_kernel_call(const tw_backend *k, const void *args, void *stream);

// Times call(args) and notes a row; then what was allocated for it is released.
void tw_bench_time(tw_kernel_bench *b, const tw_kernel_case *c, tw_kernel_call *call, const void *args);

// The kernels that this gate runs on each inference, at its sizes. False: none.
bool tw_bench_gate(tw_kernel_bench *b, const tw_program *p, const tw_op *op);
// Whether it takes its corrections itself.
bool tw_bench_takes(const tw_op *op);
// Corrections of a gate that does not: halves read and drawn.
void tw_bench_corrections(tw_kernel_bench *b, const tw_program *p, const tw_op *op);

#endif
