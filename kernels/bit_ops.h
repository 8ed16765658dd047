// Gates on bit planes (kernels/digit.h says how bits lie in words), for both backends. Lists are in backend memory.
#ifndef TW_BIT_OPS_H
#define TW_BIT_OPS_H

#include "kernels/key_ops.h"
#include "kernels/ring_ops.h"

enum { TW_OPERANDS = 6 };

// Leaves of comparisons: per leaf three words (offset, first bit of the digit, width | kind << 8 | first one-hot plane
// << 16); kinds lt, eq, sign. Planes of one sequence: `words` each.
typedef enum { TW_LEAF_LT, TW_LEAF_EQ, TW_LEAF_SIGN } tw_leaf_kind;
typedef struct {
  size_t sequences, n, words;
  const uint64_t *X, *onehot;  // [sequences][n]; [sequences][onehot_words]
  const int64_t *leaves;
  uint64_t *out;  // [sequences][count][words]
  size_t onehot_words;
  int count, ring, party;
} tw_leaves_args;

// Table lookup with sub-tables (kernels/digit.h), two tables; party 1 negates.
typedef struct {
  size_t sequences, n, words;
  const uint64_t *X, *onehot;  // one-hot planes of the digit: [sequences][onehot_words], first plane of the digit
  const uint64_t *table[2];
  uint64_t *out[2];
  size_t onehot_words;
  uint64_t offset, ring_out;
  int ring, low_bit, width, sub_bits, party;
} tw_lookup_args;

// Products of opened masked bits; list: per product out plane, count, per literal (operand, plane, negate), then
// 2^count planes of `dealt` (-1: none). The outline says where products begin in the list: numbers [first[p], first[p +
// 1]) of `starts` are those of out plane p; first[planes + 1] and starts[products] lie one behind the other.
typedef struct {
  size_t sequences, words, list_count;
  int operands, party, products;
  const uint64_t *value[TW_OPERANDS], *mask[TW_OPERANDS];
  size_t operand_words[TW_OPERANDS];  // of one sequence
  const uint64_t *dealt;
  size_t dealt_words, out_words;
  const int64_t *list, *outline;
  uint64_t *out;  // [sequences][planes][words]; out_words: planes * words
} tw_products_args;
void tw_products_outline(const int64_t *list, int products, int planes, int64_t *outline);

// XORs: list: per term (out plane, operand, plane), then one constant a plane (added where `mine`).
typedef struct {
  size_t sequences, words, terms;
  int operands, planes, mine;
  const uint64_t *value[TW_OPERANDS];
  size_t operand_words[TW_OPERANDS];
  const int64_t *list;
  uint64_t *out;
} tw_parity_args;

// Planes of `from` bits, from_words of them all, as `planes` planes of n: the bits keep their flat order, planes * n of
// them.
typedef struct {
  size_t sequences, n, planes, from_words;
  const uint64_t *x;
  uint64_t *out;
  size_t from;
} tw_reshape_args;

// `count` bits, 64 at most, of a sequence's planes x from flat place `at` on.
TW_ELEMENT uint64_t tw_reshaped_word(const tw_reshape_args *a, const uint64_t *x, size_t at, size_t count) {
  const size_t words = (a->from + 63) / 64;
  uint64_t word = 0;
  for (size_t have = 0, taken; have < count; have += taken, at += taken) {
    const size_t plane = at / a->from, place = at % a->from, left = a->from - place, in_word = 64 - place % 64;
    taken = left < in_word ? left : in_word;
    if (taken > count - have) taken = count - have;
    uint64_t bits = x[plane * words + place / 64] >> (place % 64);
    if (taken < 64) bits &= (1ull << taken) - 1;
    word |= bits << have;
  }
  return word;
}

// Comparison bits [pair][row][group] whose second member is a dead key: `mine` sets them, else they are cleared.
typedef struct {
  size_t sequences, rows, group, groups, first, words;
  const int64_t *earlier;  // sizes of the first group and of the others, of every earlier level
  int levels, mine;
  const uint64_t *x;
  uint64_t *out;
  tw_liveness live;
} tw_kill_args;

// Live members of a row at this level of a tournament in groups whose first takes the remainder.
TW_ELEMENT int tw_live_members(const tw_kill_args *a, size_t sequence, size_t row) {
  int live = tw_live_keys(a->live, sequence, row);
  TW_LOOP for (int i = 0; i < a->levels; i++) {
    int first = (int)a->earlier[2 * i], group = (int)a->earlier[2 * i + 1];
    live = live <= 0 ? 0 : live <= first ? 1 : 1 + (live - first + group - 1) / group;
  }
  return live;
}

// [x >= t] for thresholds t of a wire X, by keys of point functions (kernels/dpf.h) of its mask's bits below the top
// one, r': x - t >= 0 where msb(X - t) ^ msb(r) ^ [r' <= (X - t)'] = 1. One key an element, with leaf words.
typedef struct {
  size_t sequences, n, words;
  const uint64_t *X;                      // [sequences][n]
  const int64_t *thresholds;              // [count]
  const uint64_t *root;                   // [sequences][n][halves]
  const uint64_t *seed, *control, *leaf;  // [sequences] of tw_dpf_words' arrays
  const uint64_t *top;                    // shares of msb(r): [sequences][words]
  const uint64_t *slots;                  // [sequences]
  uint64_t *out;                          // [sequences][count][words]
  uint32_t use;                           // of the root seeds
  int count, ring, party;                 // ring: 2 to TW_KEY_MOST_RING
} tw_thresholds_args;
enum { TW_KEY_MOST_RING = 61 };
// Bits of the mask that a leaf word stands for, levels above it, and 64-bit words of a leaf word (halves).
TW_ELEMENT int tw_key_leaf_bits(int ring) { return ring < 8 ? ring - 1 : 7; }
TW_ELEMENT int tw_key_levels(int ring) { return ring < 8 ? 0 : ring - 8; }
TW_ELEMENT int tw_key_halves(int ring) { return ring < 8 ? 1 : 2; }

#define TW_BIT_OPS(X) \
  X(leaves) X(lookup) X(products) X(parity) X(reshape) X(kill) X(thresholds) X(key_window) X(key_segments)

#endif
