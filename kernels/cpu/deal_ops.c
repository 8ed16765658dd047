// The CPU twin of the dealer's operations.
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

#define TW_CPU_DEAL_OP(op)                                                  \
  tw_status tw_cpu_##op(const tw_##op##_args *args, void *stream) {         \
    (void)stream;                                                           \
    const tw_##op##_args a = *args;                                         \
    for (size_t row = 0; row < a.rows; row++)                               \
      for (size_t col = 0; col < a.cols; col++) tw_##op##_at(&a, row, col); \
    return TW_OK;                                                           \
  }
TW_DEAL_OPS(TW_CPU_DEAL_OP)

tw_status tw_cpu_deal_digits(const tw_deal_digits_args *a, void *stream) {
  (void)stream;
  size_t first = 0, planes = a->sign_bit != 0;
  int low = a->low;
  for (int i = 0; i < a->count; i++) planes += (size_t)1 << a->widths[i];
  memset(a->planes, 0, 8 * planes * a->words);
  for (int i = 0; i < a->count; i++) {
    int width = (int)a->widths[i];
    for (size_t j = 0; j < a->n; j++) {
      uint64_t digit = ((a->r0[j] + a->r1[j]) & tw_ring_mask(a->ring)) >> low & tw_ring_mask(width);
      a->planes[(first + digit) * a->words + j / 64] |= 1ull << (j % 64);
    }
    first += (size_t)1 << width;
    low += width;
  }
  for (size_t j = 0; a->sign_bit && j < a->n; j++)
    a->planes[first * a->words + j / 64] |= ((a->r0[j] + a->r1[j]) >> (a->ring - 1) & 1) << (j % 64);
  return TW_OK;
}

tw_status tw_cpu_deal_sign(const tw_deal_sign_args *a, void *stream) {
  (void)stream;
  size_t words0 = tw_words(a->half), words1 = tw_words(a->n) - words0;
  memset(a->out, 0, 8 * tw_words(a->n));
  for (size_t j = 0; j < a->n; j++) {
    uint64_t digit = ((a->r0[j] + a->r1[j]) & tw_ring_mask(a->ring)) >> a->low & tw_ring_mask(a->width);
    uint64_t plus = j < a->half ? tw_plane_bit(a->slot0 + digit * words0, j)
                                : 1 ^ tw_plane_bit(a->slot1 + digit * words1, j - a->half);
    a->out[j / 64] |= plus << (j % 64);
  }
  return TW_OK;
}

static void subset(const tw_deal_subsets_args *a, const int64_t *literals, int count, int set, uint64_t *out) {
  memset(out, 0xff, 8 * a->words);
  for (int i = 0; i < count; i++) {
    if (!(set >> i & 1)) continue;
    const uint64_t *mask = a->mask[literals[3 * i]] + (size_t)literals[3 * i + 1] * a->words;
    for (size_t w = 0; w < a->words; w++) out[w] &= mask[w];
  }
}

tw_status tw_cpu_deal_subsets(const tw_deal_subsets_args *a, void *stream) {
  (void)stream;
  const int64_t *at = a->list;
  for (int p = 0; p < a->products; p++) {
    int count = (int)at[1];
    const int64_t *literals = at + 2, *planes = literals + 3 * count;
    for (int set = 1; set < 1 << count; set++)
      if (planes[set] >= 0) subset(a, literals, count, set, a->out + (size_t)planes[set] * a->words);
    at = planes + ((size_t)1 << count);
  }
  return TW_OK;
}

// ---- halves of corrections ----

enum { AT_ONCE = 2048 };  // elements; so many packed ones end at a whole word

static void give_ring(const tw_give_args *a, uint64_t *pad) {
  for (size_t at = 0; at < a->count; at += AT_ONCE) {
    size_t n = a->count - at < AT_ONCE ? a->count - at : AT_ONCE;
    if (a->plain)
      memset(pad, 0, 8 * n);
    else
      tw_prg_ring(a->seed, a->use, *a->slot, a->width, a->first + at, n, pad);
    for (size_t j = 0; j < n; j++) pad[j] = a->values[a->first + at + j] - pad[j];
    tw_pack(pad, n, a->width, a->packed + at / 8 * (size_t)a->width);
  }
}

static void give_bits(const tw_give_args *a, uint64_t *pad) {
  size_t words = tw_words(a->n), first = tw_words(a->first), mine = tw_words(a->count);
  uint64_t *packed = (uint64_t *)(void *)a->packed;
  for (size_t plane = 0; plane < (size_t)a->width; plane++, packed += mine)
    for (size_t at = 0; at < mine; at += AT_ONCE) {
      size_t from = plane * words + first + at, n = mine - at < AT_ONCE ? mine - at : AT_ONCE;
      tw_prg_words(a->seed, a->use, *a->slot, from, n, pad);
      for (size_t w = 0; w < n; w++) packed[at + w] = a->values[from + w] ^ pad[w];
    }
}

tw_status tw_cpu_give(const tw_give_args *args, int count, void *stream) {
  (void)stream;
  uint64_t pad[AT_ONCE];
  for (int i = 0; i < count; i++) {
    const tw_give_args *a = &args[i];
    if (a->bytes == 0) continue;
    memset(a->packed + a->bytes - (a->bytes < 64 ? a->bytes : 64), 0, a->bytes < 64 ? a->bytes : 64);
    if (a->bits)
      give_bits(a, pad);
    else
      give_ring(a, pad);
  }
  tw_wipe(pad, sizeof pad);
  return TW_OK;
}
