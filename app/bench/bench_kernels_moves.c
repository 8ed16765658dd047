// Arguments of matrix products, openings and corrections, as jobs/gates/linear.c, jobs/gates/open.c and the session set
// them up.
#include "app/bench/bench_gate.h"
#include "kernels/device.h"
#include "kernels/device_opens.h"

// ---- products of matrices ----

typedef struct {
  size_t count, m, n, k;
  const uint64_t *x, *y;
  const void *operand;
  uint64_t *out;
  int ring;
} product_args;

static tw_status call_gemm(const tw_backend *k, const void *args, void *stream) {
  const product_args *a = args;
  return k->gemm(a->count, a->m, a->n, a->k, a->x, a->y, a->out, a->ring, 1, stream);
}
static tw_status call_product(const tw_backend *k, const void *args, void *stream) {
  const product_args *a = args;
  return k->product(a->operand, a->m, a->n, a->k, a->x, a->out, a->ring, a->out, stream);
}

static void time_product(const tw_gate_bench *g, const char *kernel, tw_kernel_call *call, const product_args *a) {
  char size[TW_BENCH_TEXT], times[32] = "";
  if (a->count > 1) snprintf(times, sizeof times, "%zu of ", a->count);
  snprintf(size, sizeof size, "%s%zu x %zu x %zu, %d bits", times, a->m, a->n, a->k, a->ring);
  time_it(g, kernel, size, (double)a->count * (double)a->m * (double)a->n * (double)a->k, a->ring, call, a);
}

void tw_bench_matmul(const tw_gate_bench *g) {
  product_args a = {
      .count = g->b->batch * arg(g, 0), .m = arg(g, 1), .n = arg(g, 2), .k = arg(g, 3), .ring = result(g)->ring};
  a.x = read_in(g, 0);
  a.y = read_in(g, 1);
  a.out = read_all(g, result(g)->n);
  g->b->bytes += 8 * (double)batch_n(g, result(g));  // written back
  time_product(g, "gemm", call_gemm, &a);
}

// [r p]_b less what preparation left, which the product is added to.
static tw_status call_addend(const tw_backend *k, const void *args, void *stream) {
  const tw_corrected *t = args;
  return k->combine_corrected(t->args, t->taken, t->count, stream);
}
static void time_addend(const tw_gate_bench *g) {
  size_t n = batch_n(g, result(g));
  tw_corrected t;
  tw_bench_corrected(g, &t);
  tw_combine_args a = {.rows = 1,
                       .cols = n,
                       .x = t.taken[0].out,
                       .y = read_n(g, n),
                       .out = write_out(g),
                       .p = 1,
                       .q = ~0ull,
                       .ring = ring_of(g),
                       .pair = {1, n, 0, 1}};
  t.args = &a;
  time_rows(g, "addend", 1, n, call_addend, &t);
}

void tw_bench_linear(const tw_gate_bench *g) {
  time_addend(g);
  tw_kernel_bench *b = g->b;
  product_args a = {.count = 1, .n = arg(g, 2), .k = arg(g, 1), .ring = result(g)->ring};
  size_t room = a.n * a.k;
  const uint64_t *values = tw_bench_room(b, room);
  void *operand = NULL;
  a.m = batch_n(g, in(g, 0)) / a.k;
  a.x = read_in(g, 0);
  a.out = read_n(g, a.m * a.n);
  // a prepared operand holds whole bytes of its ring
  b->bytes += 8 * (double)(a.m * a.n) + (double)room * (b->backend->operand_is_values ? 8 : (a.ring + 7) / 8);
  if (b->status == TW_OK) b->status = b->backend->operand(a.k, a.n, values, b->stream, &operand);
  a.operand = operand;
  time_product(g, "product", call_product, &a);
  if (operand) b->backend->operand_free(operand);
}

// ---- openings: mask stream, share + mask, and the message ----

static tw_status call_draw(const tw_backend *k, const void *args, void *stream) { return k->draw(args, stream); }
static void time_draw(const tw_gate_bench *g) {
  const tw_tensor *t = result(g);
  tw_draw_args a = {.sequences = g->b->batch,
                    .seeds = (const tw_seed *)(const void *)tw_bench_room(g->b, 4 * g->b->batch),
                    .slots = tw_bench_room(g->b, g->b->batch),
                    .use = g->op->mask_use,
                    .ring = t->kind == TW_WIRE ? t->ring : 0,
                    .n = words_of(t),
                    .out = write_out(g)};
  char size[TW_BENCH_TEXT];
  size_t words = a.sequences * a.n;
  snprintf(size, sizeof size, a.ring ? "%zu of %d bits" : "%zu words", words, a.ring);
  time_it(g, "draw", size, (double)words, 0, call_draw, &a);
}

static tw_status call_mask(const tw_backend *k, const void *args, void *stream) { return k->mask(args, stream); }
static void time_mask(const tw_gate_bench *g) {
  const tw_tensor *t = result(g);
  size_t words = g->b->batch * words_of(t);
  tw_mask_args a = {.rows = 1,
                    .cols = words,
                    .share = read_n(g, words),
                    .mask = read_n(g, words),
                    .out = write_out(g),
                    .ring = tw_mask(t->kind == TW_WIRE ? t->ring : 64),
                    .bits = t->kind != TW_WIRE};
  time_rows(g, "mask", a.rows, a.cols, call_mask, &a);
}

#ifdef TWAIN_CUDA
typedef struct {
  tw_device_message message;
  uint64_t *words, *theirs, *digest;
} device_open;
static tw_status call_device_pack(const tw_backend *k, const void *args, void *stream) {
  const device_open *a = args;
  (void)k;
  return tw_device_pack(&a->message, NULL, a->words, stream);
}
static tw_status call_device_unpack(const tw_backend *k, const void *args, void *stream) {
  const device_open *a = args;
  (void)k;
  return tw_device_unpack(&a->message, a->words, a->theirs, a->digest, stream);
}
static void time_device_open(const tw_gate_bench *g, bool unpack) {
  const tw_tensor *t = result(g);
  bool bits = t->kind != TW_WIRE;
  size_t batch = g->b->batch, words = batch * words_of(t),
         message = bits ? words : batch * ((t->n * (size_t)t->ring + 63) / 64);
  tw_device_open open = {.share = unpack ? NULL : read_n(g, words),
                         .mask = unpack ? NULL : read_n(g, words),
                         .n = t->n,
                         .words = words_of(t),
                         .sequences = (uint32_t)batch,
                         .width = (uint16_t)(bits ? t->planes : t->ring),
                         .bits = bits};
  device_open a = {.words = tw_bench_room(g->b, message + 1),
                   .theirs = tw_bench_room(g->b, message + 1),
                   .digest = tw_bench_room(g->b, batch)};
  g->b->bytes += (unpack ? 16 : 8) * (double)message;
  open.out = unpack ? tw_bench_out(g->b, words) : NULL;
  tw_device_open_place(&open, NULL);
  tw_device_message_add(&a.message, &open);
  char size[TW_BENCH_TEXT];
  snprintf(size, sizeof size, bits ? "%zu, %d planes" : "%zu of %d bits", batch * t->n, open.width);
  time_it(g, unpack ? "unpack" : "pack", size, (double)words, 0, unpack ? call_device_unpack : call_device_pack, &a);
}
#endif

typedef struct {
  uint64_t *elements;
  uint8_t *packed;
  size_t n;
  int ring;
} pack_args;
static tw_status call_pack(const tw_backend *k, const void *args, void *stream) {
  const pack_args *a = args;
  (void)k, (void)stream;
  tw_pack(a->elements, a->n, a->ring, a->packed);
  return TW_OK;
}
static tw_status call_unpack(const tw_backend *k, const void *args, void *stream) {
  const pack_args *a = args;
  (void)k, (void)stream;
  tw_unpack_add(a->packed, a->n, a->ring, a->elements);
  return TW_OK;
}
static void time_host_open(const tw_gate_bench *g, bool unpack) {
  const tw_tensor *t = result(g);
  if (t->kind != TW_WIRE) return;  // planes of bits are sent as they lie
  size_t bytes = tw_packed_bytes(t->n, t->ring);
  pack_args a = {
      .elements = read_n(g, t->n), .packed = (uint8_t *)tw_bench_room(g->b, bytes / 8 + 1), .n = t->n, .ring = t->ring};
  g->b->bytes += (double)bytes + (unpack ? 8 * (double)t->n : 0);
  char size[TW_BENCH_TEXT];
  snprintf(size, sizeof size, "%zu of %d bits", t->n, t->ring);
  time_it(g, unpack ? "unpack" : "pack", size, (double)t->n, 0, unpack ? call_unpack : call_pack, &a);
}

void tw_bench_open(const tw_gate_bench *g) {
  time_draw(g);
  time_mask(g);
  for (int unpack = 0; unpack < 2; unpack++) {
#ifdef TWAIN_CUDA
    if (g->b->on_device) {
      time_device_open(g, unpack);
      continue;
    }
#endif
    time_host_open(g, unpack);
  }
}

// ---- corrections ----

void tw_bench_corrected(const tw_gate_bench *g, tw_corrected *t) {
  tw_kernel_bench *b = g->b;
  *t = (tw_corrected){.count = g->op->correction_count};
  for (int i = 0; i < t->count; i++) {
    const tw_correction *c = &g->p->corrections[g->op->correction + i];
    size_t words = c->bits ? (size_t)c->width * tw_words(c->n) : c->n;
    t->taken[i] = (tw_correction_args){.sequences = b->batch,
                                       .seeds = (const tw_seed *)(const void *)tw_bench_room(b, 4 * b->batch),
                                       .slots = tw_bench_room(b, b->batch),
                                       .use = c->use,
                                       .bits = c->bits,
                                       .width = c->width,
                                       .n = c->n,
                                       .count = tw_first_half(c->n),
                                       .packed = (const uint8_t *)read_all(g, (size_t)c->bytes[0] / 8),
                                       .packed_stride = (size_t)c->bytes[0],
                                       .out = tw_bench_room(b, b->batch * words)};
  }
}

static tw_status call_corrections(const tw_backend *k, const void *args, void *stream) {
  const tw_corrected *t = args;
  return k->corrections(t->taken, t->count, stream);
}

void tw_bench_corrections(tw_kernel_bench *b, const tw_program *p, const tw_op *op) {
  tw_gate_bench g = {b, p, op};
  tw_corrected t;
  double elements = 0;
  tw_bench_corrected(&g, &t);
  for (int i = 0; i < t.count; i++) {
    const tw_correction *c = &p->corrections[op->correction + i];
    b->bytes += 8 * (double)(b->batch * (c->bits ? (size_t)c->width * tw_words(c->n) : c->n));  // written
    elements += (double)(b->batch * c->n) * (c->bits ? c->width : 1);
  }
  const tw_correction *first = &p->corrections[op->correction];
  char size[TW_BENCH_TEXT];
  snprintf(size, sizeof size, first->bits ? "%d of %zu, %d planes" : "%d of %zu, %d bits", t.count, b->batch * first->n,
           first->width);
  time_it(&g, "corrections", size, elements, 0, call_corrections, &t);
}
