// Keys of distributed point functions (Boyle, Gilboa, Ishai: Function Secret Sharing, eprint 2018/707, section 3.2) and
// what two parties read from them without a message. docs/design/pfss.md has the formulas.
//
// A key hides alpha, some top bits of a wire's mask. It is a binary tree; each party has a root seed of its own, and
// both have the same words. A party's node is a seed and a control bit. Both parties' nodes are equal away from alpha's
// path; on it the seeds are unrelated and the control bits differ. From a key a party reads shares of
//   [alpha < c]        for any number of public c (prefix parities: Storrier and others, Grotto, eprint 2023/108)
//   [alpha = c]        for neighbouring c, 128 of them a leaf word (early termination)
//   beta [c on path]   for nodes c of any level that carries ring values
// c may differ from element to element. Nothing here branches on, or addresses by, a seed, a bit or a value.
#ifndef TW_DPF_H
#define TW_DPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  TW_DPF_LEAF_BITS = 7,   // of alpha, that a leaf word of 128 bits stands for
  TW_DPF_MOST_BITS = 60,  // of alpha
  TW_DPF_MOST_VALUES = 2  // that a node may carry
};

typedef struct {
  int bits;     // of alpha, 1 .. TW_DPF_MOST_BITS
  bool leaves;  // paths end in leaf words, after bits - 7 levels; else after as many levels as there are bits.
                // Of fewer bits than 7 a leaf word, of 2^bits bits, is all there is
  uint64_t value_levels;  // bit i: nodes i levels below the root carry values; above leaf words only
  int values, ring_bits;  // how many values such a node carries, and their ring; both 0 without
} tw_dpf_shape;

// False: no key is like that.
bool tw_dpf_shape_valid(const tw_dpf_shape *shape);
int tw_dpf_levels(const tw_dpf_shape *shape);          // from the root to where paths end
int tw_dpf_halves(const tw_dpf_shape *shape);          // 64-bit words of a seed and of a leaf word: 2, or 1 of few bits
size_t tw_dpf_value_words(const tw_dpf_shape *shape);  // of one key: levels that carry values, times values

// The words of n keys. A plain array for each level and each half of a seed, so that neighbours lie side by side.
typedef struct {
  uint64_t *seed;     // [levels][2][n]
  uint64_t *control;  // [levels][n]: bit 0 left, bit 1 right
  uint64_t *leaf;     // [halves][n], where there are leaf words
  uint64_t *value;    // [level that carries values][values][n], in ring ring_bits
} tw_dpf_words;

// Which keys these are: every block has a name of its own (docs/security.md, role R1). use: of the root seeds, which
// names the key's tensor; an element is a place in that tensor, and `first` that of the first key here.
typedef struct {
  uint64_t slot;
  uint32_t use;
  uint64_t first;
} tw_dpf_name;

// Dealer. root[b]: party b's seeds, [n][halves]; alpha [n]; beta [level that carries values][values][n]. Fills the
// words, and unless it is NULL sign: bit planes, 1 where party 0's own share of [alpha = alpha] is 1 (leaf words only).
void tw_dpf_deal(const tw_dpf_shape *shape, const tw_dpf_name *name, const uint64_t *const root[2],
                 const uint64_t *alpha, const uint64_t *beta, size_t n, const tw_dpf_words *words, uint64_t *sign);

// One party's n keys.
typedef struct {
  tw_dpf_shape shape;
  tw_dpf_name name;
  int party;
  size_t n;
  const uint64_t *root;  // [n][halves]
  tw_dpf_words words;
} tw_dpf_keys;

// XOR shares of [alpha < c[j]], or with `at` of [alpha <= c[j]], c[j] < 2^bits, into a plane of n bits; the last word's
// other bits are 0.
void tw_dpf_below(const tw_dpf_keys *keys, const uint64_t *c, bool at, uint64_t *plane);
// XOR shares of [alpha = c], of the 128 numbers c from 128 at[j] on: bit i of half h is that of 64 h + i. out
// [halves][n].
void tw_dpf_leaf(const tw_dpf_keys *keys, const uint64_t *at, uint64_t *out);
// Shares of the values of node at[j], `level` levels below the root: of beta if alpha's path leads through it, else of
// 0. out [values][n].
void tw_dpf_value(const tw_dpf_keys *keys, int level, const uint64_t *at, uint64_t *out);

// Neighbouring nodes of one level that carries values, at most TW_DPF_MOST_RUN of them. Numbers go on past a level's
// end: node 2^level + i is node i.
typedef struct {
  int level;
  uint64_t first;
  size_t count;
} tw_dpf_run;
enum { TW_DPF_MOST_RUN = 126 };

// The values of key j's nodes in runs of rising or of falling levels, each of which begins at the number where the one
// before it ends. What lies above several runs is expanded once. Into out [values][stride], run behind run. Returns how
// many blocks that took. Where the runs are must be public.
size_t tw_dpf_runs(const tw_dpf_keys *keys, size_t j, const tw_dpf_run *runs, int run_count, size_t stride,
                   uint64_t *out);

#endif
