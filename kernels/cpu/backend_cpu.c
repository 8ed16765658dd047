// The CPU backend: host memory, one thread, every call complete on return.
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/digit.h"
#include "kernels/gemm.h"
#include "kernels/pack.h"

static tw_status copy(void *to, const void *from, size_t bytes, void *stream) {
  (void)stream;
  memcpy(to, from, bytes);
  return TW_OK;
}

static tw_status fill(void *to, int byte, size_t bytes, void *stream) {
  (void)stream;
  memset(to, byte, bytes);
  return TW_OK;
}

static tw_status draw(const tw_seed *seed, const uint64_t *slot, uint32_t use, int ring, size_t n, uint64_t *out,
                      void *stream) {
  (void)stream;
  if (ring)
    tw_prg_ring(seed, use, *slot, ring, 0, n, out);
  else
    tw_prg_words(seed, use, *slot, 0, n, out);
  return TW_OK;
}

static void correction_ring(const tw_correction_args *a) {
  size_t own_first = a->first == 0 ? a->count : 0;
  tw_unpack(a->packed, a->count, a->width, a->out + a->first);
  tw_prg_ring(a->seed, a->use, *a->slot, a->width, own_first, a->n - a->count, a->out + own_first);
}

static void correction_bits(const tw_correction_args *a) {
  size_t words = tw_words(a->n), first = tw_words(a->first), mine = tw_words(a->count),
         own_first = first == 0 ? mine : 0;
  for (size_t plane = 0; plane < (size_t)a->width; plane++) {
    uint64_t *out = a->out + plane * words;
    memcpy(out + first, a->packed + 8 * plane * mine, 8 * mine);
    if (words > mine) tw_prg_words(a->seed, a->use, *a->slot, plane * words + own_first, words - mine, out + own_first);
  }
}

static tw_status correction(const tw_correction_args *a, void *stream) {
  (void)stream;
  if (a->bits)
    correction_bits(a);
  else
    correction_ring(a);
  return TW_OK;
}

static tw_status corrections(const tw_correction_args *args, int count, void *stream) {
  for (int i = 0; i < count; i++) TW_TRY(correction(&args[i], stream));
  return TW_OK;
}

static tw_status gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b, uint64_t *c,
                      int ring_bits, int accumulate, void *stream) {
  (void)stream;
  for (size_t i = 0; i < count; i++)
    tw_gemm(m, n, k, a + i * m * k, k, b + i * k * n, n, c + i * m * n, n, ring_bits, accumulate);
  uint64_t ring = tw_ring_mask(ring_bits);
  for (size_t j = 0; j < count * m * n; j++) c[j] &= ring;
  return TW_OK;
}

// The values themselves serve as the operand.
static tw_status operand(size_t k, size_t n, const uint64_t *v, void *stream, void **out) {
  (void)k, (void)n, (void)stream;
  *out = (void *)v;
  return TW_OK;
}

static void operand_free(void *unused) { (void)unused; }

static tw_status product(const void *v, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                         int ring_bits, uint64_t *out, void *stream) {
  if (addend && addend != out) memcpy(out, addend, 8 * m * n);
  return gemm(1, m, n, k, x, v, out, ring_bits, addend != NULL, stream);
}

#define TW_CPU_ENTRY(op) .op = tw_cpu_##op,
const tw_backend tw_cpu_backend = {.name = "cpu",
                                   .alloc = tw_secret_alloc,
                                   .release = tw_secret_free,
                                   .upload = copy,
                                   .download = copy,
                                   .copy = copy,
                                   .fill = fill,
                                   .row_sums = tw_cpu_row_sums,
                                   .draw = draw,
                                   .correction = correction,
                                   .corrections = corrections,
                                   .give = tw_cpu_give,
                                   .gemm = gemm,
                                   .operand_is_values = true,
                                   .operand = operand,
                                   .operand_free = operand_free,
                                   .product = product,
                                   TW_RING_OPS(TW_CPU_ENTRY) TW_BIT_OPS(TW_CPU_ENTRY) TW_DEAL_OPS(TW_CPU_ENTRY)
                                       TW_DEAL_BIT_OPS(TW_CPU_ENTRY)};
