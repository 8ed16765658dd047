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

static tw_status draw(const tw_draw_args *a, void *stream) {
  (void)stream;
  for (size_t s = 0; s < a->sequences; s++) {
    uint64_t *out = a->out + s * a->n;
    if (a->ring)
      tw_prg_ring(&a->seeds[s], a->use, a->slots[s], a->ring, 0, a->n, out);
    else
      tw_prg_words(&a->seeds[s], a->use, a->slots[s], 0, a->n, out);
  }
  return TW_OK;
}

static tw_status draw_all(const tw_draw_args *a, int count, void *stream) {
  for (int i = 0; i < count; i++) TW_TRY(draw(&a[i], stream));
  return TW_OK;
}

static void correction_ring(const tw_correction_args *a, size_t s) {
  size_t own_first = a->first == 0 ? a->count : 0;
  uint64_t *out = a->out + s * a->n;
  tw_unpack(a->packed + s * a->packed_stride, a->count, a->width, out + a->first);
  tw_prg_ring(&a->seeds[s], a->use, a->slots[s], a->width, own_first, a->n - a->count, out + own_first);
}

static void correction_bits(const tw_correction_args *a, size_t s) {
  size_t words = tw_words(a->n), first = tw_words(a->first), mine = tw_words(a->count),
         own_first = first == 0 ? mine : 0;
  for (size_t plane = 0; plane < (size_t)a->width; plane++) {
    uint64_t *out = a->out + (s * (size_t)a->width + plane) * words;
    memcpy(out + first, a->packed + s * a->packed_stride + 8 * plane * mine, 8 * mine);
    if (words > mine)
      tw_prg_words(&a->seeds[s], a->use, a->slots[s], plane * words + own_first, words - mine, out + own_first);
  }
}

static tw_status corrections(const tw_correction_args *args, int count, void *stream) {
  (void)stream;
  for (int i = 0; i < count; i++)
    for (size_t s = 0; s < args[i].sequences; s++)
      if (args[i].bits)
        correction_bits(&args[i], s);
      else
        correction_ring(&args[i], s);
  return TW_OK;
}

#define TW_CPU_CORRECTED_OP(op)                                                                           \
  static tw_status op##_corrected(const tw_##op##_args *args, const tw_correction_args *taken, int count, \
                                  void *stream) {                                                         \
    TW_TRY(corrections(taken, count, stream));                                                            \
    return tw_cpu_##op(args, stream);                                                                     \
  }
TW_CORRECTED_OPS(TW_CPU_CORRECTED_OP)

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
static tw_status operand(size_t k, size_t n, int ring_bits, const uint64_t *v, void *stream, void **out) {
  (void)k, (void)n, (void)ring_bits, (void)stream;
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
#define TW_CPU_CORRECTED_ENTRY(op) .op##_corrected = op##_corrected,
const tw_backend tw_cpu_backend = {.name = "cpu",
                                   .alloc = tw_secret_alloc,
                                   .release = tw_secret_free,
                                   .upload = copy,
                                   .download = copy,
                                   .copy = copy,
                                   .fill = fill,
                                   .row_sums = tw_cpu_row_sums,
                                   .draw = draw,
                                   .draw_all = draw_all,
                                   .corrections = corrections,
                                   .give = tw_cpu_give,
                                   .gemm = gemm,
                                   .operand_is_values = true,
                                   .operand = operand,
                                   .operand_free = operand_free,
                                   .product = product,
                                   TW_RING_OPS(TW_CPU_ENTRY) TW_BIT_OPS(TW_CPU_ENTRY) TW_DEAL_OPS(TW_CPU_ENTRY)
                                       TW_DEAL_BIT_OPS(TW_CPU_ENTRY) TW_CORRECTED_OPS(TW_CPU_CORRECTED_ENTRY)};
