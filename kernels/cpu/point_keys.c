// The CPU twin of what is done with keys of point functions: loops over sequences around kernels/dpf.h.
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/digit.h"
#include "kernels/dpf.h"
#include "kernels/pack.h"

static tw_dpf_shape shape_of(int ring) { return (tw_dpf_shape){.bits = ring - 1, .leaves = true}; }

static tw_dpf_keys keys_of(const tw_thresholds_args *a, size_t sequence) {
  size_t n = a->n, levels = (size_t)tw_key_levels(a->ring), halves = (size_t)tw_key_halves(a->ring);
  tw_dpf_words words = {.seed = (uint64_t *)a->seed + sequence * 2 * levels * n,
                        .control = (uint64_t *)a->control + sequence * levels * n,
                        .leaf = (uint64_t *)a->leaf + sequence * halves * n};
  return (tw_dpf_keys){.shape = shape_of(a->ring),
                       .name = {a->slots[sequence], a->use, 0},
                       .party = a->party,
                       .n = n,
                       .root = a->root + sequence * halves * n,
                       .words = words};
}

// rest: room for n numbers.
static void sequence_thresholds(const tw_thresholds_args *a, size_t sequence, uint64_t *rest, uint64_t *out) {
  tw_dpf_keys keys = keys_of(a, sequence);
  const uint64_t *X = a->X + sequence * a->n, *top = a->top + sequence * a->words;
  for (int i = 0; i < a->count; i++, out += a->words) {
    for (size_t j = 0; j < a->n; j++) rest[j] = (X[j] - (uint64_t)a->thresholds[i]) & tw_mask(a->ring) >> 1;
    tw_dpf_below(&keys, rest, true, out);
    for (size_t w = 0; w < a->words; w++) out[w] ^= top[w];
    for (size_t j = 0; j < a->n && a->party == 0; j++)
      out[j / 64] ^= ((X[j] - (uint64_t)a->thresholds[i]) >> (a->ring - 1) & 1) << j % 64;
  }
}

tw_status tw_cpu_thresholds(const tw_thresholds_args *a, void *stream) {
  (void)stream;
  void *rest;
  TW_TRY(tw_alloc(8 * a->n, &rest));
  for (size_t s = 0; s < a->sequences; s++) sequence_thresholds(a, s, rest, a->out + s * (size_t)a->count * a->words);
  tw_free(rest);
  return TW_OK;
}

tw_status tw_cpu_deal_keys(const tw_deal_keys_args *a, void *stream) {
  (void)stream;
  void *memory;
  TW_TRY(tw_secret_alloc(8 * a->n, &memory));
  uint64_t *alpha = memory, ring = tw_mask(a->ring);
  memset(a->top, 0, 8 * a->words);
  for (size_t j = 0; j < a->n; j++) {
    uint64_t r = (a->r0[j] + a->r1[j]) & ring;
    a->top[j / 64] |= (r >> (a->ring - 1)) << j % 64;
    alpha[j] = r & ring >> 1;
  }
  tw_dpf_shape shape = shape_of(a->ring);
  tw_dpf_words words = {.seed = a->seed, .control = a->control, .leaf = a->leaf};
  tw_dpf_deal(&shape, &(tw_dpf_name){*a->slot, a->use, 0}, a->root, alpha, NULL, a->n, &words, NULL);
  tw_secret_free(memory, 8 * a->n);
  return TW_OK;
}
