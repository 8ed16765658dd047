// Keys of point functions with real seeds: both parties' shares against the point function itself, everywhere on small
// domains; blocks against libsodium; runs of nodes against single ones; instruction sets against each other.
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "kernels/dpf.h"
#include "kernels/isa.h"
#include "kernels/node_blocks.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"

enum { MOST = 1 << 10 };

static uint64_t random_word(void) {
  uint64_t word;
  randombytes_buf(&word, sizeof word);
  return word;
}

static void each_isa(void (*test)(void)) {
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++) {
    tw_isa_limit((tw_isa)isa);
    if ((int)tw_isa_active() == isa) test();
  }
  tw_isa_limit(TW_ISA_AVX512);
}

// ---- blocks

static void store(uint8_t *out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
}

// libsodium's block for the node that is number j there.
static void expected_block(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t j, uint8_t out[64]) {
  uint8_t key[32], nonce[12] = {0};
  for (int i = 0; i < 4; i++) store(key + 4 * i, seed[i][j], 4);
  store(key + 16, name->slot, 8);
  store(key + 24, name->use, 4);
  store(key + 28, name->level, 4);
  store(nonce + 4, name->element + (uint64_t)name->step * j, 8);
  crypto_stream_chacha20_ietf(out, 64, nonce, key);
}

static void blocks(void) {
  for (int round = 0; round < 200; round++) {
    uint32_t seed[4][TW_NODES], block[TW_NODE_BLOCK_WORDS][TW_NODES];
    tw_node_name name = {random_word(), (uint32_t)random_word(), (uint32_t)random_word(), random_word(), round & 1};
    if (round % 3 == 0) name.element = 0xfffffff0 - randombytes_uniform(64);  // a carry within the lanes
    size_t count = 1 + randombytes_uniform(TW_NODES), wrong = 0;
    randombytes_buf(seed, sizeof seed);
    tw_node_blocks_best(&name, (const uint32_t(*)[TW_NODES])seed, count, block);
    for (size_t j = 0; j < count; j++) {
      uint8_t want[64], got[4];
      expected_block(&name, (const uint32_t(*)[TW_NODES])seed, j, want);
      for (int i = 0; i < TW_NODE_BLOCK_WORDS; i++) {
        store(got, block[i][j], 4);
        wrong += memcmp(got, want + 4 * i, 4) != 0;
      }
    }
    CU_ASSERT_EQUAL(wrong, 0);
  }
}

static void blocks_of_each(void) { each_isa(blocks); }

// ---- n keys, their parties, and what they hide

typedef struct {
  tw_dpf_keys party[2];
  uint64_t *alpha, *beta, *root[2], *sign;
} keys;

static void open_keys(keys *k, tw_dpf_shape shape, size_t n) {
  size_t levels = (size_t)tw_dpf_levels(&shape), values = tw_dpf_value_words(&shape) * n;
  tw_dpf_name name = {random_word(), (uint32_t)random_word(), random_word()};
  CU_ASSERT_FATAL(tw_dpf_shape_valid(&shape));
  tw_dpf_words w = {calloc(2 * n * levels + 1, 8), calloc(n * levels + 1, 8), calloc(2 * n, 8), calloc(values + 1, 8)};
  *k = (keys){.alpha = calloc(n, 8), .beta = calloc(values + 1, 8), .sign = calloc((n + 63) / 64, 8)};
  for (size_t j = 0; j < n; j++) k->alpha[j] = n == (size_t)1 << shape.bits ? j : random_word() & tw_mask(shape.bits);
  for (size_t j = 0; j < values; j++) k->beta[j] = random_word() & tw_mask(shape.ring_bits);
  for (int b = 0; b < 2; b++) {
    k->root[b] = malloc(16 * n);
    randombytes_buf(k->root[b], 16 * n);
    for (size_t j = 0; j < n && shape.leaves && shape.bits < 7; j++) k->root[b][j] &= tw_mask(1 << shape.bits);
  }
  tw_dpf_deal(&shape, &name, (const uint64_t *const[2]){k->root[0], k->root[1]}, k->alpha, k->beta, n, &w, k->sign);
  for (int b = 0; b < 2; b++)
    k->party[b] = (tw_dpf_keys){.shape = shape, .name = name, .party = b, .n = n, .root = k->root[b], .words = w};
}

static void close_keys(keys *k) {
  tw_dpf_words w = k->party[0].words;
  void *all[] = {w.seed, w.control, w.leaf, w.value, k->alpha, k->beta, k->root[0], k->root[1], k->sign};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static uint64_t bit(const uint64_t *plane, size_t j) { return plane[j / 64] >> (j % 64) & 1; }

// Every c at every element, each element in an order of its own.
static void check_below(const keys *k) {
  static uint64_t c[MOST], share[2][MOST / 64];
  const tw_dpf_keys *p = k->party;
  size_t n = p->n, domain = (size_t)1 << p->shape.bits, wrong = 0, ones[2] = {0};
  for (size_t round = 0; round < 2 * domain; round++) {
    for (size_t j = 0; j < n; j++) c[j] = (round / 2 + 37 * j) & (domain - 1);
    memset(share, 0xff, sizeof share);
    bool at = round & 1;
    for (int b = 0; b < 2; b++) tw_dpf_below(&p[b], c, at, share[b]);
    for (size_t j = 0; j < n; j++) {
      wrong += (bit(share[0], j) ^ bit(share[1], j)) != (k->alpha[j] < c[j] + at);
      for (int b = 0; b < 2; b++) ones[b] += bit(share[b], j);
    }
    for (int b = 0; b < 2; b++) wrong += n % 64 != 0 && share[b][n / 64] >> n % 64 != 0;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  size_t all = 2 * domain * n;
  for (int b = 0; b < 2 && all > 8192; b++) CU_ASSERT(ones[b] > all / 5 && ones[b] < all * 4 / 5);  // no constants
}

// Every leaf word; the sum of a table over all leaves is the entry at alpha, with the dealer's sign.
static void check_leaves(const keys *k) {
  static uint64_t at[MOST], out[2][2 * MOST], sum[2][MOST], table[MOST];
  const tw_dpf_keys *p = k->party;
  size_t n = p->n, words = p->shape.bits > 7 ? (size_t)1 << (p->shape.bits - 7) : 1, wrong = 0;
  size_t in_word = p->shape.bits > 7 ? 128 : (size_t)1 << p->shape.bits;
  randombytes_buf(table, sizeof table);
  memset(sum, 0, sizeof sum);
  for (size_t w = 0; w < words; w++) {
    for (size_t j = 0; j < n; j++) at[j] = (w + j) % words;
    for (int b = 0; b < 2; b++) tw_dpf_leaf(&p[b], at, out[b]);
    for (size_t j = 0; j < n; j++)
      for (size_t i = 0; i < in_word; i++) {
        uint64_t y[2], c = in_word * at[j] + i;
        for (int b = 0; b < 2; b++) {
          y[b] = out[b][i / 64 * n + j] >> i % 64 & 1;
          sum[b][j] += y[b] ? table[c] : 0;
        }
        wrong += (y[0] ^ y[1]) != (c == k->alpha[j]);
      }
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (size_t j = 0; j < n; j++)
    wrong += sum[0][j] - sum[1][j] != (bit(k->sign, j) ? table[k->alpha[j]] : 0 - table[k->alpha[j]]);
  CU_ASSERT_EQUAL(wrong, 0);
}

// Every node of every level that carries values.
static void check_values(const keys *k) {
  static uint64_t at[MOST], out[2][2 * MOST];
  const tw_dpf_keys *p = k->party;
  const tw_dpf_shape *s = &p->shape;
  const uint64_t *beta = k->beta;
  size_t n = p->n, wrong = 0;
  for (int level = 0; level <= s->bits; level++) {
    if (!(s->value_levels >> level & 1)) continue;
    for (size_t node = 0; node >> level == 0; node++) {
      for (size_t j = 0; j < n; j++) at[j] = (node + j) & tw_mask(level);
      for (int b = 0; b < 2; b++) tw_dpf_value(&p[b], level, at, out[b]);
      for (size_t j = 0; j < n; j++)
        for (int v = 0; v < s->values; v++) {
          uint64_t got = out[0][(size_t)v * n + j] + out[1][(size_t)v * n + j];
          bool on = k->alpha[j] >> (s->bits - level) == at[j];
          wrong += (got & tw_mask(s->ring_bits)) != (on ? beta[(size_t)v * n + j] : 0);
          wrong += (out[0][(size_t)v * n + j] | out[1][(size_t)v * n + j]) > tw_mask(s->ring_bits);
        }
    }
    beta += (size_t)s->values * n;
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

// ---- every alpha and every point

static void whole_leaf_keys(void) {
  for (int bits = 1; bits <= 10; bits++) {
    keys k;
    open_keys(&k, (tw_dpf_shape){.bits = bits, .leaves = true}, (size_t)1 << bits);
    check_below(&k);
    check_leaves(&k);
    close_keys(&k);
  }
}
static void leaf_keys(void) { each_isa(whole_leaf_keys); }

// Fewer keys than a word has bits, and one more.
static void ragged(void) {
  static const size_t counts[] = {1, 63, 65, 130};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    keys k;
    open_keys(&k, (tw_dpf_shape){.bits = 9, .leaves = true, .value_levels = 1, .values = 1, .ring_bits = 17},
              counts[i]);
    check_below(&k);
    check_leaves(&k);
    check_values(&k);
    close_keys(&k);
  }
}
static void ragged_counts(void) { each_isa(ragged); }

// Thresholds, leaf words and values of several levels, all of the same keys.
static void whole_valued_keys(void) {
  for (int round = 0; round < 60; round++) {
    int bits = 1 + round % 9;
    bool leaves = bits > 7 && round & 1;
    uint64_t levels = random_word() & tw_mask(leaves ? bits - TW_DPF_LEAF_BITS : bits + 1);
    if (levels == 0) levels = 1;
    keys k;
    open_keys(&k,
              (tw_dpf_shape){.bits = bits,
                             .leaves = leaves,
                             .value_levels = levels,
                             .values = 1 + round / 9 % 2,
                             .ring_bits = round % 5 ? 1 + (int)randombytes_uniform(64) : 64},
              (size_t)1 << bits);
    check_values(&k);
    check_below(&k);
    if (leaves) check_leaves(&k);
    close_keys(&k);
  }
}
static void valued_keys(void) { each_isa(whole_valued_keys); }

// Domains as programs have them: alpha, what is beside it, both ends, and anywhere.
static void wide_keys(void) {
  enum { N = 200 };
  static uint64_t c[N], share[2][(N + 63) / 64];
  static const int widths[] = {13, 20, 38, 53, TW_DPF_MOST_BITS};
  for (size_t i = 0; i < 2 * (sizeof widths / sizeof *widths); i++) {
    tw_dpf_shape shape = {.bits = widths[i / 2], .leaves = i % 2};
    if (!shape.leaves) shape.value_levels = (uint64_t)1 << shape.bits, shape.values = 1, shape.ring_bits = 60;
    size_t wrong = 0;
    keys k;
    open_keys(&k, shape, N);
    for (int round = 0; round < 40; round++) {
      uint64_t top = tw_mask(shape.bits);
      for (size_t j = 0; j < N; j++) {
        const uint64_t edges[] = {k.alpha[j], k.alpha[j] + 1, k.alpha[j] - 1, 0, top, random_word(), k.alpha[j] ^ 128};
        c[j] = edges[(j + (size_t)round) % (sizeof edges / sizeof *edges)] & top;
      }
      bool at = random_word() & 1;
      for (int b = 0; b < 2; b++) tw_dpf_below(&k.party[b], c, at, share[b]);
      for (size_t j = 0; j < N; j++) wrong += (bit(share[0], j) ^ bit(share[1], j)) != (k.alpha[j] < c[j] + at);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    close_keys(&k);
  }
}

// ---- runs

enum { RUNS = 6, PLACES = RUNS * TW_DPF_MOST_RUN };

// Runs that meet, the deepest first or last, anywhere in the tree, past its end as well. Returns how many nodes.
static size_t random_runs(const tw_dpf_shape *s, tw_dpf_run *runs, int count) {
  int top = __builtin_ctzll(s->value_levels);
  uint64_t unit = (uint64_t)1 << (s->bits - top), at = (random_word() & tw_mask(top)) * unit;
  bool deepest_last = random_word() & 1;
  size_t nodes = 0;
  for (int i = 0; i < count; i++) {
    int level = top + (deepest_last ? i : count - 1 - i);
    uint64_t node = (uint64_t)1 << (s->bits - level);
    runs[i] = (tw_dpf_run){level, at / node, 1 + randombytes_uniform(40)};
    if (!deepest_last && runs[i].count % 2) runs[i].count++;  // ends where a node one level up begins
    if (runs[i].count > (size_t)1 << level) runs[i].count = (size_t)1 << level;
    at += runs[i].count * node;
    nodes += runs[i].count;
  }
  return nodes;
}

static void check_runs(const keys *k, const tw_dpf_run *runs, int count, size_t stride) {
  static uint64_t share[2][2 * PLACES], at[64], out[2 * 64];
  const tw_dpf_keys *p = k->party;
  size_t j = randombytes_uniform((uint32_t)p->n), wrong = 0, place = 0, blocks[2];
  for (int b = 0; b < 2; b++) blocks[b] = tw_dpf_runs(&p[b], j, runs, count, stride, share[b]);
  CU_ASSERT_EQUAL(blocks[0], blocks[1]);
  CU_ASSERT(blocks[0] >= stride && blocks[0] < 3 * stride + 4 * (size_t)p->shape.bits);
  for (int i = 0; i < count; i++)
    for (size_t t = 0; t < runs[i].count; t++, place++) {
      for (size_t e = 0; e < p->n; e++) at[e] = (runs[i].first + t) & tw_mask(runs[i].level);
      for (int b = 0; b < 2; b++) {
        tw_dpf_value(&p[b], runs[i].level, at, out);
        for (int v = 0; v < p->shape.values; v++)
          wrong += share[b][(size_t)v * stride + place] != out[(size_t)v * p->n + j];
      }
    }
  CU_ASSERT_EQUAL(wrong, 0);
}

static void whole_runs(void) {
  for (int round = 0; round < 60; round++) {
    int count = 1 + (int)randombytes_uniform(RUNS), top = (int)randombytes_uniform(20);
    tw_dpf_shape s = {.bits = top + count - 1 + (int)randombytes_uniform(10),
                      .value_levels = tw_mask(count) << top,
                      .values = 1 + round % 2,
                      .ring_bits = 1 + (int)randombytes_uniform(64)};
    if (s.bits < 1) s.bits = 1;
    tw_dpf_run runs[RUNS];
    keys k;
    open_keys(&k, s, 5);
    check_runs(&k, runs, count, random_runs(&s, runs, count));
    close_keys(&k);
  }
}
static void runs_of_nodes(void) { each_isa(whole_runs); }

// ---- names, instruction sets, refusals

// One bit of a name, or another instruction set.
static void words_follow_names(void) {
  enum { N = 70, BITS = 12 };
  tw_dpf_shape shape = {.bits = BITS, .leaves = true};
  static uint64_t first[2 * N * BITS], second[2 * N * BITS], control[N * BITS], leaf[2 * N], alpha[N], root[2][2 * N];
  randombytes_buf(alpha, sizeof alpha);
  randombytes_buf(root, sizeof root);
  for (size_t j = 0; j < N; j++) alpha[j] &= tw_mask(BITS);
  const uint64_t *roots[2] = {root[0], root[1]};
  tw_dpf_name name = {random_word(), 5, random_word()};
  size_t bytes = sizeof(uint64_t) * 2 * N * (size_t)tw_dpf_levels(&shape);
  tw_dpf_deal(&shape, &name, roots, alpha, NULL, N, &(tw_dpf_words){first, control, leaf, NULL}, NULL);
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX512; isa++) {
    tw_isa_limit((tw_isa)isa);
    tw_dpf_deal(&shape, &name, roots, alpha, NULL, N, &(tw_dpf_words){second, control, leaf, NULL}, NULL);
    CU_ASSERT_EQUAL(memcmp(first, second, bytes), 0);
  }
  tw_isa_limit(TW_ISA_AVX512);
  const tw_dpf_name others[] = {{name.slot ^ 1, 5, name.first},
                                {name.slot, 4, name.first},
                                {name.slot, 5, name.first + 1},
                                {name.slot ^ (uint64_t)1 << 40, 5, name.first},
                                {name.slot, 5, name.first + (1ull << 33)}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    size_t same = 0;
    tw_dpf_deal(&shape, &others[i], roots, alpha, NULL, N, &(tw_dpf_words){second, control, leaf, NULL}, NULL);
    for (size_t j = 0; j < bytes / 8; j++) same += first[j] == second[j];
    CU_ASSERT_EQUAL(same, 0);
  }
}

static void shapes(void) {
  static const struct {
    tw_dpf_shape shape;
    bool valid;
  } cases[] = {{{.bits = 7, .leaves = true}, true},
               {{.bits = 6, .leaves = true}, true},
               {{.bits = 6, .leaves = true, .value_levels = 1, .values = 1, .ring_bits = 8}, false},
               {{.bits = 0, .leaves = true}, false},
               {{.bits = TW_DPF_MOST_BITS, .leaves = true}, true},
               {{.bits = TW_DPF_MOST_BITS + 1, .leaves = true}, false},
               {{.bits = 0, .value_levels = 1, .values = 1, .ring_bits = 8}, false},
               {{.bits = 5}, false},  // nothing to read
               {{.bits = 5, .value_levels = 1 << 5, .values = 1, .ring_bits = 8}, true},
               {{.bits = 5, .value_levels = 1 << 6, .values = 1, .ring_bits = 8}, false},
               {{.bits = 5, .value_levels = 1 << 5, .values = 3, .ring_bits = 8}, false},
               {{.bits = 5, .value_levels = 1 << 5, .values = 1, .ring_bits = 65}, false},
               {{.bits = 5, .value_levels = 1 << 5}, false},
               {{.bits = 9, .leaves = true, .value_levels = 1 << 1, .values = 2, .ring_bits = 64}, true},
               {{.bits = 9, .leaves = true, .value_levels = 1 << 2, .values = 2, .ring_bits = 64}, false},
               {{.bits = 9, .leaves = true, .values = 1, .ring_bits = 9}, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CU_ASSERT_EQUAL(tw_dpf_shape_valid(&cases[i].shape), cases[i].valid);
}

// A seed that is a leaf word is never expanded: the process ends at once.
static void leaf_seeds_stay(void) {
  keys k;
  uint64_t at[1] = {1}, out[1];
  open_keys(&k, (tw_dpf_shape){.bits = 9, .leaves = true, .value_levels = 1 << 1, .values = 1, .ring_bits = 8}, 1);
  k.party[0].shape.value_levels = 1 << 2;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    tw_no_core_dumps();
    tw_dpf_value(&k.party[0], 2, at, out);
    _exit(0);
  }
  int status = 0;
  CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
  CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  close_keys(&k);
}

SUITE_MAIN("keys of point functions", {"blocks are libsodium's", blocks_of_each}, {"shapes", shapes},
           {"thresholds and leaf words, everywhere", leaf_keys}, {"ragged counts", ragged_counts},
           {"values, thresholds and leaf words of one key", valued_keys}, {"wide domains", wide_keys},
           {"runs of nodes", runs_of_nodes}, {"words follow names", words_follow_names},
           {"leaf seeds are never expanded", leaf_seeds_stay})
