// The CPU twin of the gates on bit planes: loops over sequences around the bit-sliced kernels of kernels/digit.h.
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/digit.h"

typedef struct {
  uint64_t offset;
  int low_bit, width;
  tw_leaf_kind kind;
  size_t first_plane;
} leaf;

static leaf leaf_at(const int64_t *list, int i) {
  const int64_t *l = list + 3 * i;
  return (leaf){(uint64_t)l[0], (int)l[1], (int)(l[2] & 0xff), (tw_leaf_kind)(l[2] >> 8 & 0xff), (size_t)(l[2] >> 16)};
}

// Share of msb(r), a one-hot plane of its own; party 0 adds the public msb(X - offset) ^ 1.
static void sign_leaf(const tw_leaves_args *a, leaf l, const uint64_t *X, const uint64_t *top, uint64_t *out) {
  if (a->party == 0) {
    tw_digit_planes(X, a->n, l.offset, a->ring, a->ring - 1, 1, out);
    for (size_t w = 0; w < a->words; w++) out[w] = ~out[w] ^ top[w];
  } else {
    memcpy(out, top, 8 * a->words);
  }
}

// Neighbouring leaves of one digit share its public bit planes, which are made in the caller's scratch.
static void sequence_leaves(const tw_leaves_args *a, const uint64_t *X, const uint64_t *onehot, uint64_t *digit,
                            uint64_t *out) {
  leaf before = {0};
  for (int i = 0; i < a->count; i++, out += a->words) {
    leaf l = leaf_at(a->leaves, i);
    const uint64_t *planes = onehot + l.first_plane * a->words;
    if (l.kind == TW_LEAF_SIGN) {
      sign_leaf(a, l, X, planes, out);
      before.width = 0;
      continue;
    }
    if (before.width != l.width || before.offset != l.offset || before.low_bit != l.low_bit)
      tw_digit_planes(X, a->n, l.offset, a->ring, l.low_bit, l.width, digit);
    before = l;
    tw_digit_leaf(planes, a->words, l.width, digit, l.kind == TW_LEAF_LT ? out : NULL,
                  l.kind == TW_LEAF_EQ ? out : NULL);
  }
}

tw_status tw_cpu_leaves(const tw_leaves_args *a, void *stream) {
  (void)stream;
  void *digit;
  TW_TRY(tw_alloc(8 * a->words * TW_DIGIT_MAX_BITS, &digit));
  for (size_t s = 0; s < a->sequences; s++)
    sequence_leaves(a, a->X + s * a->n, a->onehot + s * a->onehot_words, digit,
                    a->out + s * (size_t)a->count * a->words);
  tw_free(digit);
  return TW_OK;
}

tw_status tw_cpu_lookup(const tw_lookup_args *a, void *stream) {
  (void)stream;
  void *memory;
  TW_TRY(tw_alloc(8 * a->n, &memory));
  uint64_t *fine = memory, index_mask = tw_ring_mask(a->width + a->sub_bits);
  for (size_t s = 0; s < a->sequences; s++) {
    const uint64_t *X = a->X + s * a->n;
    for (size_t j = 0; j < a->n; j++)
      fine[j] = ((X[j] - a->offset) & tw_ring_mask(a->ring)) >> (a->low_bit - a->sub_bits) & index_mask;
    uint64_t *out[2] = {a->out[0] + s * a->n, a->out[1] + s * a->n};
    tw_digit_lookup(a->onehot + s * a->onehot_words, a->words, a->width, a->sub_bits, fine, a->n, a->table, 2, out);
    for (int i = 0; i < 2; i++)
      for (size_t j = 0; j < a->n; j++) out[i][j] = (a->party ? 0 - out[i][j] : out[i][j]) & a->ring_out;
  }
  tw_free(memory);
  return TW_OK;
}

// Pointers of one product's operands for one sequence; returns the list's next product.
static const int64_t *product_at(const tw_products_args *a, const int64_t *at, size_t sequence, tw_bit_product *p,
                                 const uint64_t **subset) {
  p->count = (int)at[1];
  const int64_t *literal = at + 2, *planes = literal + 3 * p->count;
  for (int i = 0; i < p->count; i++, literal += 3) {
    size_t offset = sequence * a->operand_words[literal[0]] + (size_t)literal[1] * a->words;
    p->value[i] = a->value[literal[0]] + offset;
    p->negate[i] = (uint8_t)literal[2];
    subset[1 << i] = a->mask[literal[0]] + offset;
  }
  subset[0] = NULL;
  for (int set = 1; set < 1 << p->count; set++)
    if (planes[set] >= 0) subset[set] = a->dealt + sequence * a->dealt_words + (size_t)planes[set] * a->words;
  p->subset = subset;
  return planes + ((size_t)1 << p->count);
}

tw_status tw_cpu_products(const tw_products_args *a, void *stream) {
  (void)stream;
  uint64_t one = a->party ? 0 : ~0ull;
  for (size_t s = 0; s < a->sequences; s++) {
    const uint64_t *subset[256];
    const int64_t *at = a->list, *end = a->list + a->list_count;
    memset(a->out + s * a->out_words, 0, 8 * a->out_words);
    while (at < end) {
      tw_bit_product p;
      uint64_t *out = a->out + s * a->out_words + (size_t)at[0] * a->words;
      at = product_at(a, at, s, &p, subset);
      tw_bits_product(&p, a->words, one, out);
    }
  }
  return TW_OK;
}

tw_status tw_cpu_parity(const tw_parity_args *a, void *stream) {
  (void)stream;
  for (size_t s = 0; s < a->sequences; s++) {
    uint64_t *out = a->out + s * (size_t)a->planes * a->words;
    for (int p = 0; p < a->planes; p++)
      memset(out + (size_t)p * a->words, a->mine && a->list[3 * a->terms + (size_t)p] ? 0xff : 0, 8 * a->words);
    for (size_t i = 0; i < a->terms; i++) {
      const int64_t *term = a->list + 3 * i;
      const uint64_t *from = a->value[term[1]] + s * a->operand_words[term[1]] + (size_t)term[2] * a->words;
      uint64_t *to = out + (size_t)term[0] * a->words;
      for (size_t w = 0; w < a->words; w++) to[w] ^= from[w];
    }
  }
  return TW_OK;
}

static void reshape_planes(const tw_reshape_args *a, size_t sequence) {
  const uint64_t *x = a->x + sequence * a->from_words;
  uint64_t *out = a->out + sequence * a->planes * tw_words(a->n);
  for (size_t p = 0; p < a->planes; p++)
    for (size_t j = 0; j < a->n; j += 64) *out++ = tw_reshaped_word(a, x, p * a->n + j, a->n - j < 64 ? a->n - j : 64);
}

tw_status tw_cpu_reshape(const tw_reshape_args *a, void *stream) {
  (void)stream;
  size_t words = tw_words(a->n);
  bool one_plane = a->from == a->planes * a->n;
  for (size_t s = 0; !one_plane && s < a->sequences; s++) reshape_planes(a, s);
  for (size_t s = 0; one_plane && s < a->sequences; s++)
    for (size_t p = 0; p < a->planes; p++)
      tw_bits_copy(a->x + s * a->from_words, p * a->n, a->n, a->out + (s * a->planes + p) * words);
  return TW_OK;
}

static void kill_row(const tw_kill_args *a, size_t sequence, size_t row, uint64_t *out) {
  int live = tw_live_members(a, sequence, row);
  size_t pair = 0;
  for (size_t i = 0; i < a->group; i++)
    for (size_t j = i + 1; j < a->group; j++, pair++)
      for (size_t g = 0; g < a->groups; g++) {
        if ((int)(a->first + g * a->group + j) < live) continue;
        size_t at = (pair * a->rows + row) * a->groups + g;
        uint64_t bit = 1ull << (at % 64);
        out[at / 64] = a->mine ? out[at / 64] | bit : out[at / 64] & ~bit;
      }
}

tw_status tw_cpu_kill(const tw_kill_args *a, void *stream) {
  (void)stream;
  for (size_t s = 0; s < a->sequences; s++) {
    uint64_t *out = a->out + s * a->words;
    memcpy(out, a->x + s * a->words, 8 * a->words);
    for (size_t row = 0; row < a->rows; row++) kill_row(a, s, row, out);
  }
  return TW_OK;
}
