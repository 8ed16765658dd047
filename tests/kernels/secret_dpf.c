// Constant time: what a party reads from its keys, under valgrind with its root seeds and the keys' words marked as
// uninitialised. Any branch and any address that depends on them is reported; what was read must still carry marks.
// On every instruction set that valgrind knows.
#include <sodium.h>
#include <string.h>

#include "kernels/dpf.h"
#include "kernels/pack.h"
#include "tests/common/secrecy.h"

enum { N = 70, BITS = 11, LEVELS = BITS - TW_DPF_LEAF_BITS, RING = 50 };

static const tw_dpf_shape shape = {.bits = BITS, .leaves = true, .value_levels = 5, .values = 2, .ring_bits = RING};

typedef struct {
  uint64_t alpha[N], beta[4 * N], root[2][2 * N], sign[2];
  uint64_t seed[2 * LEVELS * N], control[LEVELS * N], leaf[2 * N], value[4 * N];
} material;

typedef struct {
  uint64_t below[2], leaf[2 * N], value[2 * N], runs[2 * 8];
} shares;

// Wholly undefined is too much to ask: of a ring element the bits above its ring are known.
static void publish(uint64_t *words, size_t n, int bits) {
  for (size_t i = 0; i < n; i++) {
    uint64_t unknown = 0;
    VALGRIND_GET_VBITS(&words[i], &unknown, sizeof unknown);
    if ((unknown & tw_mask(bits)) != tw_mask(bits)) secrecy_lost_marks++;
  }
  VALGRIND_MAKE_MEM_DEFINED(words, n * sizeof *words);
}

static volatile int sink;
static const tw_dpf_run runs[2] = {{0, 0, 1}, {2, 4, 4}};

// What a careless reader would do.
typedef enum { CAREFUL, BRANCHES, ADDRESSES } reader;

static void read_all(const tw_dpf_keys *k, const uint64_t *c, const uint64_t *at, reader how, shares *out) {
  static const int table[2] = {3, 5};
  tw_dpf_below(k, c, false, out->below);
  if (how == BRANCHES && out->below[0] & 1) sink++;
  if (how == ADDRESSES) sink += table[out->below[0] & 1];
  tw_dpf_leaf(k, at, out->leaf);
  tw_dpf_value(k, 2, at, out->value);
  tw_dpf_runs(k, 3, runs, 2, 8, out->runs);
  publish(&out->below[0], 1, 64);
  publish(&out->below[1], 1, N - 64);
  publish(out->leaf, 2 * N, 64);
  publish(out->value, 2 * N, RING);
  for (int v = 0; v < 2; v++) publish(out->runs + 8 * v, 5, RING);
}

static bool right(const material *m, const uint64_t *c, const uint64_t *at, const shares *s) {
  bool all = true;
  for (size_t j = 0; j < N; j++) {
    uint64_t below = (s[0].below[j / 64] ^ s[1].below[j / 64]) >> j % 64 & 1;
    uint64_t leaf[2] = {s[0].leaf[j] ^ s[1].leaf[j], s[0].leaf[N + j] ^ s[1].leaf[N + j]};
    bool on = m->alpha[j] >> TW_DPF_LEAF_BITS == at[j];
    size_t bit = m->alpha[j] % 128;
    all &= below == (m->alpha[j] < c[j]);
    for (size_t half = 0; half < 2; half++) all &= leaf[half] == (on && bit / 64 == half ? (uint64_t)1 << bit % 64 : 0);
  }
  return all;
}

static bool run(reader how) {
  static material m;
  static shares s[2];
  static uint64_t c[N], at[N];
  tw_dpf_name name = {7, 8, 9};
  randombytes_buf(&m, sizeof m);
  for (size_t j = 0; j < N; j++) {
    m.alpha[j] &= tw_mask(BITS);
    c[j] = 1 + randombytes_uniform((1 << BITS) - 1);  // below 0 there is nothing: a public answer
    at[j] = j % 3 ? randombytes_uniform(1 << LEVELS) : m.alpha[j] >> TW_DPF_LEAF_BITS;
  }
  tw_dpf_words words = {m.seed, m.control, m.leaf, m.value};
  tw_dpf_deal(&shape, &name, (const uint64_t *const[2]){m.root[0], m.root[1]}, m.alpha, m.beta, N, &words, m.sign);
  material known = m;
  VALGRIND_MAKE_MEM_UNDEFINED(m.root, sizeof m.root);
  VALGRIND_MAKE_MEM_UNDEFINED(m.seed, sizeof m.seed + sizeof m.control + sizeof m.leaf + sizeof m.value);
  for (int b = 0; b < 2; b++) {
    tw_dpf_keys k = {.shape = shape, .name = name, .party = b, .n = N, .root = m.root[b], .words = words};
    read_all(&k, c, at, how, &s[b]);
  }
  return right(&known, c, at, s);
}

static int careful(void) { return run(CAREFUL) ? 0 : secrecy_failed("thresholds, leaf words, values, runs"); }
static bool branching(void) { return run(BRANCHES); }
static bool indexing(void) { return run(ADDRESSES); }

int main(void) { return secrecy_run(&(secrecy_test){careful, "what was read is secret", branching, indexing}); }
