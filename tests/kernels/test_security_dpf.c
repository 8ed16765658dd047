// What one party sees of a key, with an ideal function in place of ChaCha20 (docs/security.md, theorem T1c): the honest
// party's blocks on alpha's path run through all values, and whatever alpha and the values are, the key's words must be
// uniform. Seeds have one bit or two here. Blocks are told apart by party and level, not by seed: with seeds of one bit
// chance collisions would look like leaks.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dpf.h"
#include "kernels/node_blocks.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"

enum { MOST_LEVELS = 3 };

// Of the ideal function. Mutants are functions that no key may be made with.
typedef enum { SOUND, CONTROL_FROM_SEED, VALUES_WITHOUT_PADS, ONE_BLOCK_FOR_TWO } kind;

static struct {
  kind how;
  int honest, seed_bits, value_bits, values;
  uint64_t key;  // picks the other party's blocks
  int calls;     // the dealer expands party 0's nodes of a level, then party 1's
} ideal;

static uint64_t mixed(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

static int block_bits(void) { return 2 * ideal.seed_bits + 2 + ideal.value_bits * ideal.values; }

static uint32_t cut(uint64_t *bits, int width) {
  uint32_t field = (uint32_t)(*bits & tw_mask(width));
  *bits >>= width;
  return field;
}

// In the place of the kernels' own. The honest party's block of level i is part i of the element's number.
void tw_node_blocks_best(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                         uint32_t (*block)[TW_NODES]) {
  int party = ideal.calls++ & 1;
  uint32_t level = ideal.how == ONE_BLOCK_FOR_TWO && name->level == 1 ? 0 : name->level;
  memset(block, 0, sizeof(uint32_t) * TW_NODE_BLOCK_WORDS * TW_NODES);
  for (size_t j = 0; j < count; j++) {
    uint64_t bits = party == ideal.honest ? (name->element + j) >> (int)level * block_bits()
                                          : mixed(ideal.key ^ mixed((uint64_t)level << 32 | seed[0][j]));
    block[0][j] = cut(&bits, ideal.seed_bits);
    block[4][j] = cut(&bits, ideal.seed_bits);
    block[8][j] = cut(&bits, 2);
    if (ideal.how == CONTROL_FROM_SEED) block[8][j] = (block[0][j] & 1) | (block[4][j] & 1) << 1;
    for (int v = 0; v < ideal.values; v++) block[10 + 2 * v][j] = cut(&bits, ideal.value_bits);
    if (party == ideal.honest && ideal.how == VALUES_WITHOUT_PADS) block[10][j] = block[12][j] = 0;
  }
}

typedef struct {
  tw_dpf_shape shape;
  int seed_bits;
  const uint64_t *alphas;
  size_t alpha_count;
} view_case;

// A key's words as a number; every word's own width, nothing else in it.
static uint64_t view_of(const tw_dpf_shape *s, const tw_dpf_words *w, size_t n, size_t j, bool *clean) {
  size_t levels = (size_t)tw_dpf_levels(s);
  uint64_t view = 0;
  for (size_t i = 0; i < levels; i++) {
    *clean &= w->seed[2 * i * n + j] <= tw_mask(ideal.seed_bits) && w->seed[(2 * i + 1) * n + j] == 0;
    view = (view << ideal.seed_bits | w->seed[2 * i * n + j]) << 2 | w->control[i * n + j];
  }
  for (size_t v = 0; v < tw_dpf_value_words(s); v++) view = view << s->ring_bits | w->value[v * n + j];
  if (!s->leaves) return view;
  *clean &= w->leaf[j] <= tw_mask(ideal.seed_bits) && w->leaf[n + j] == 0;
  return view << ideal.seed_bits | w->leaf[j];
}

// Every view that there is, equally often.
static bool uniform(const tw_dpf_shape *s, const tw_dpf_words *w, size_t n, int bits) {
  size_t views = (size_t)1 << bits;
  uint32_t *seen = calloc(views, sizeof *seen);
  bool even = true;
  for (size_t j = 0; j < n; j++) seen[view_of(s, w, n, j, &even)]++;
  for (size_t i = 0; i < views; i++) even &= seen[i] == n / views;
  free(seen);
  return even;
}

static bool all_views_uniform(const view_case *c, kind how) {
  const tw_dpf_shape *s = &c->shape;
  int levels = tw_dpf_levels(s), valued = (int)tw_dpf_value_words(s);
  ideal.how = how;
  ideal.seed_bits = c->seed_bits;
  ideal.value_bits = s->ring_bits;
  ideal.values = s->values;
  size_t n = (size_t)1 << block_bits() * (s->value_levels >> levels & 1 ? levels + 1 : levels);
  int bits = levels * (c->seed_bits + 2) + valued * s->ring_bits + (s->leaves ? c->seed_bits : 0);
  uint64_t *memory = calloc(n, 8 * (9 + 3 * MOST_LEVELS + 2 * (size_t)(MOST_LEVELS + 1) * TW_DPF_MOST_VALUES));
  uint64_t *root[2] = {memory, memory + 2 * n}, *alpha = memory + 4 * n, *seed = alpha + n,
           *control = seed + 2 * MOST_LEVELS * n, *leaf = control + MOST_LEVELS * n, *value = leaf + 2 * n,
           *beta = value + (MOST_LEVELS + 1) * TW_DPF_MOST_VALUES * n;
  tw_dpf_words words = {seed, control, leaf, value};
  bool all = true;
  for (size_t i = 0; i < 2 * 2 * c->alpha_count; i++) {
    ideal.honest = (int)(i & 1);
    ideal.key = randombytes_random();
    ideal.calls = 0;
    for (size_t j = 0; j < n; j++) alpha[j] = c->alphas[i / 4];
    for (size_t v = 0; v < (size_t)valued; v++) {
      uint64_t one = randombytes_random() & tw_mask(s->ring_bits);
      for (size_t j = 0; j < n; j++) beta[v * n + j] = one;
    }
    for (int b = 0; b < 2; b++)  // the honest root's value is of no account: its block is drawn
      for (size_t j = 0; j < n; j++) root[b][2 * j] = ideal.key >> (8 + b) & tw_mask(c->seed_bits);
    tw_dpf_deal(s, &(tw_dpf_name){1, 2, 0}, (const uint64_t *const[2]){root[0], root[1]}, alpha, beta, n, &words, NULL);
    all &= uniform(s, &words, n, bits);
  }
  free(memory);
  return all;
}

// One level and a leaf word of two bits that may differ.
static const uint64_t leaf_alphas[] = {0, 1, 128, 129};
static const view_case leaf_case = {{.bits = 8, .leaves = true}, 2, leaf_alphas, 4};
// Two levels and a leaf word, values at the first.
static const uint64_t both_alphas[] = {0, 1, 129, 256, 257, 385};
static const view_case both_case = {
    {.bits = 9, .leaves = true, .value_levels = 1, .values = 1, .ring_bits = 2}, 2, both_alphas, 6};
// Two levels, values at all three or at two of them.
static const uint64_t node_alphas[] = {0, 1, 2, 3};
static const view_case value_case = {{.bits = 2, .value_levels = 6, .values = 1, .ring_bits = 2}, 1, node_alphas, 4};
static const view_case two_values_case = {
    {.bits = 2, .value_levels = 7, .values = 2, .ring_bits = 1}, 1, node_alphas, 4};

static void leaf_view(void) { CU_ASSERT(all_views_uniform(&leaf_case, SOUND)); }
static void both_view(void) { CU_ASSERT(all_views_uniform(&both_case, SOUND)); }
static void value_view(void) {
  CU_ASSERT(all_views_uniform(&value_case, SOUND));
  CU_ASSERT(all_views_uniform(&two_values_case, SOUND));
}

static void mutants(void) {
  CU_ASSERT_FALSE(all_views_uniform(&leaf_case, CONTROL_FROM_SEED));
  CU_ASSERT_FALSE(all_views_uniform(&value_case, CONTROL_FROM_SEED));
  CU_ASSERT_FALSE(all_views_uniform(&value_case, VALUES_WITHOUT_PADS));
  CU_ASSERT_FALSE(all_views_uniform(&both_case, VALUES_WITHOUT_PADS));
  CU_ASSERT_FALSE(all_views_uniform(&value_case, ONE_BLOCK_FOR_TWO));
  CU_ASSERT_FALSE(all_views_uniform(&both_case, ONE_BLOCK_FOR_TWO));
}

SUITE_MAIN("view of a key", {"a leaf word", leaf_view}, {"levels, values and a leaf word", both_view},
           {"values of several levels", value_view}, {"blocks that may not be", mutants})
