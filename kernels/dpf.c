// Keys of distributed point functions: their shape, nodes and their children, and what the dealer makes.
#include "kernels/dpf.h"

#include <sodium.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/dpf_nodes.h"
#include "kernels/pack.h"

int tw_dpf_levels(const tw_dpf_shape *shape) { return shape->bits - (shape->leaves ? tw_dpf_leaf_bits(shape) : 0); }

int tw_dpf_halves(const tw_dpf_shape *shape) { return shape->leaves && shape->bits < TW_DPF_LEAF_BITS ? 1 : 2; }

size_t tw_dpf_value_words(const tw_dpf_shape *shape) {
  return (size_t)(__builtin_popcountll(shape->value_levels) * shape->values);
}

bool tw_dpf_shape_valid(const tw_dpf_shape *s) {
  int levels = tw_dpf_levels(s);
  if (s->bits < 1 || s->bits > TW_DPF_MOST_BITS) return false;
  if (s->value_levels == 0) return s->leaves && s->values == 0 && s->ring_bits == 0;
  if (s->values < 1 || s->values > TW_DPF_MOST_VALUES || s->ring_bits < 1 || s->ring_bits > 64) return false;
  return s->value_levels >> (s->leaves ? levels : levels + 1) == 0;
}

// ---- nodes

void tw_nodes_expand(const tw_dpf_shape *shape, const tw_node_name *name, const tw_nodes *nodes, size_t count,
                     tw_blocks block) {
  int levels = tw_dpf_levels(shape);
  if ((int)name->level > levels || (shape->leaves && (int)name->level == levels)) sodium_misuse();
  tw_node_blocks_best(name, nodes->seed, count, block);
}

tw_level_word tw_dpf_level_word(const tw_dpf_words *words, size_t n, int level, size_t first, size_t stride) {
  const uint64_t *seed = words->seed + 2 * n * (size_t)level + first;
  return (tw_level_word){seed, seed + n, words->control + n * (size_t)level + first, stride};
}

void tw_nodes_root(const uint64_t *root, int halves, size_t stride, size_t count, int party, tw_nodes *nodes) {
  for (size_t j = 0; j < count; j++)
    for (int half = 0; half < 2; half++) {
      uint64_t word = half < halves ? root[(size_t)halves * stride * j + (size_t)half] : 0;
      nodes->seed[2 * half][j] = (uint32_t)word;
      nodes->seed[2 * half + 1][j] = (uint32_t)(word >> 32);
    }
  nodes->control = party ? ~(uint64_t)0 : 0;
}

// All ones where a bit is 1.
static void spread(uint64_t bits, size_t count, uint32_t *mask) {
  for (size_t j = 0; j < count; j++) mask[j] = 0 - (uint32_t)(bits >> j & 1);
}

static uint64_t gathered(const uint32_t *bits, size_t count) {
  uint64_t plane = 0;
  for (size_t j = 0; j < count; j++) plane |= (uint64_t)(bits[j] & 1) << j;
  return plane;
}

typedef struct {
  uint32_t on[TW_NODES], turn[TW_NODES];  // all ones or zeros: control bits; right turns
  uint32_t corrected[4][TW_NODES], left[TW_NODES], right[TW_NODES];
} step_room;

// What the word adds to seeds, and the children's control bits.
static void correct(const tw_blocks block, size_t count, tw_level_word word, step_room *r) {
  for (size_t j = 0; j < count; j++) {
    uint64_t low = word.low[word.stride * j], high = word.high[word.stride * j];
    uint32_t bits = block[TW_BLOCK_CONTROL][j] ^ (r->on[j] & (uint32_t)word.control[word.stride * j]);
    r->corrected[0][j] = r->on[j] & (uint32_t)low;
    r->corrected[1][j] = r->on[j] & (uint32_t)(low >> 32);
    r->corrected[2][j] = r->on[j] & (uint32_t)high;
    r->corrected[3][j] = r->on[j] & (uint32_t)(high >> 32);
    r->left[j] = bits;
    r->right[j] = bits >> 1;
  }
}

uint64_t tw_nodes_step(uint64_t control, const tw_blocks block, size_t count, tw_level_word word, uint64_t right,
                       tw_nodes *children) {
  step_room r;
  spread(control, count, r.on);
  spread(right, count, r.turn);
  correct(block, count, word, &r);
  for (int i = 0; i < 4; i++)
    for (size_t j = 0; j < count; j++)
      children->seed[i][j] = block[i][j] ^ (r.turn[j] & (block[i][j] ^ block[4 + i][j])) ^ r.corrected[i][j];
  uint64_t left = gathered(r.left, count);
  children->control = left ^ (right & (left ^ gathered(r.right, count)));
  tw_wipe(&r, sizeof r);
  return left;
}

// ---- the dealer's part

typedef struct {
  tw_nodes nodes[2], next[2];
  tw_blocks block[2];
} dealing;

static void deal_values(const tw_dpf_shape *s, const dealing *d, size_t n, const uint64_t *beta, size_t first,
                        size_t count, uint64_t *value) {
  for (int v = 0; v < s->values; v++)
    for (size_t j = 0; j < count; j++) {
      size_t at = (size_t)v * n + first + j;
      uint64_t word = beta[at] - tw_block_value(d->block[0], v, j) + tw_block_value(d->block[1], v, j);
      uint64_t negative = (d->nodes[0].control >> j & 1) - 1;  // all ones where party 1 adds the word
      value[at] = ((word ^ negative) - negative) & tw_mask(s->ring_bits);
    }
}

// The words of one level: what makes both parties' children equal away from the path.
static void deal_level(const dealing *d, int level, uint64_t right, size_t n, size_t first, size_t count,
                       const tw_dpf_words *words) {
  uint64_t *seed = words->seed + 2 * n * (size_t)level + first, *control = words->control + n * (size_t)level + first;
  for (size_t j = 0; j < count; j++) {
    uint32_t turn = right >> j & 1, lost[4];
    for (int i = 0; i < 4; i++) {
      int word = turn ? i : 4 + i;
      lost[i] = d->block[0][word][j] ^ d->block[1][word][j];
    }
    seed[j] = lost[0] | (uint64_t)lost[1] << 32;
    seed[n + j] = lost[2] | (uint64_t)lost[3] << 32;
    control[j] = ((d->block[0][TW_BLOCK_CONTROL][j] ^ d->block[1][TW_BLOCK_CONTROL][j]) & 3) ^ (turn ? 2 : 1);
  }
}

static uint64_t seed_half(const tw_nodes *nodes, int half, size_t j) {
  return nodes->seed[2 * half][j] | (uint64_t)nodes->seed[2 * half + 1][j] << 32;
}

// Leaf words; returns party 0's bit at alpha.
static uint64_t deal_leaves(const tw_dpf_shape *s, const dealing *d, const uint64_t *alpha, size_t n, size_t first,
                            size_t count, uint64_t *leaf) {
  uint64_t sign = 0;
  for (size_t j = 0; j < count; j++) {
    int bit = (int)(alpha[j] & tw_mask(tw_dpf_leaf_bits(s)));
    for (int half = 0; half < tw_dpf_halves(s); half++) {
      uint64_t point = bit / 64 == half ? (uint64_t)1 << bit % 64 : 0, own = seed_half(&d->nodes[0], half, j);
      uint64_t word = own ^ seed_half(&d->nodes[1], half, j) ^ point;
      leaf[(size_t)half * n + first + j] = word;
      if (d->nodes[0].control >> j & 1) own ^= word;
      if (own & point) sign |= (uint64_t)1 << j;
    }
  }
  return sign;
}

// Bit `level` from the top of n numbers of `bits` bits.
static uint64_t turns(const uint64_t *c, size_t count, int bits, int level) {
  uint64_t plane = 0;
  for (size_t j = 0; j < count; j++) plane |= (c[j] >> (bits - 1 - level) & 1) << j;
  return plane;
}

static uint64_t deal_chunk(const tw_dpf_shape *s, const tw_dpf_name *name, dealing *d, const uint64_t *alpha,
                           const uint64_t *beta, size_t n, size_t first, size_t count, const tw_dpf_words *words) {
  int levels = tw_dpf_levels(s);
  size_t value_words = 0;
  for (int level = 0; level <= levels; level++) {
    bool valued = s->value_levels >> level & 1;
    if (level == levels && !valued) break;
    tw_node_name node = {name->slot, name->use, (uint32_t)level, name->first + first, 1};
    for (int b = 0; b < 2; b++) tw_nodes_expand(s, &node, &d->nodes[b], count, d->block[b]);
    if (valued) {
      deal_values(s, d, n, beta + value_words * n, first, count, words->value + value_words * n);
      value_words += (size_t)s->values;
    }
    if (level == levels) break;
    uint64_t right = turns(alpha + first, count, s->bits, level);
    deal_level(d, level, right, n, first, count, words);
    for (int b = 0; b < 2; b++)
      tw_nodes_step(d->nodes[b].control, d->block[b], count, tw_dpf_level_word(words, n, level, first, 1), right,
                    &d->next[b]);
    memcpy(d->nodes, d->next, sizeof d->nodes);
  }
  return s->leaves ? deal_leaves(s, d, alpha + first, n, first, count, words->leaf) : 0;
}

void tw_dpf_deal(const tw_dpf_shape *shape, const tw_dpf_name *name, const uint64_t *const root[2],
                 const uint64_t *alpha, const uint64_t *beta, size_t n, const tw_dpf_words *words, uint64_t *sign) {
  dealing d;
  int halves = tw_dpf_halves(shape);
  for (size_t first = 0; first < n; first += TW_NODES) {
    size_t count = n - first < TW_NODES ? n - first : TW_NODES;
    for (int b = 0; b < 2; b++) tw_nodes_root(root[b] + (size_t)halves * first, halves, 1, count, b, &d.nodes[b]);
    uint64_t plane = deal_chunk(shape, name, &d, alpha, beta, n, first, count, words);
    if (sign) sign[first / TW_NODES] = plane;
  }
  tw_wipe(&d, sizeof d);
}
