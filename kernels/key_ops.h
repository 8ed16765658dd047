// What is read from keys of point functions (kernels/dpf.h) beside thresholds (bit_ops.h), and how these keys are
// dealt, for both backends. docs/design/pfss.md has the formulas. A key hides alpha, bits from `low` up of a wire's
// mask r mod 2^ring; X is the wire's public value. Lists are in backend memory.
#ifndef TW_KEY_OPS_H
#define TW_KEY_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/ring_ops.h"

// A key with leaf words: bits of alpha that a leaf word stands for, levels above it, and 64-bit words of a leaf word.
TW_ELEMENT int tw_leaf_key_bits(int bits) { return bits < 7 ? bits : 7; }
TW_ELEMENT int tw_leaf_key_levels(int bits) { return bits < 7 ? 0 : bits - 7; }
TW_ELEMENT int tw_leaf_key_halves(int bits) { return bits < 7 ? 1 : 2; }

// Words of keys with leaf words as a gate takes them, [sequences] of tw_dpf_words' arrays, and their roots.
typedef struct {
  const uint64_t *root;  // [sequences][n][halves]
  const uint64_t *seed, *control, *leaf;
  const uint64_t *slots;  // [sequences]
  uint32_t use;           // of the root seeds
} tw_leaf_keys;

// An arc of the circle on which alpha lies: alpha in [a + from, a + to), a = (X - offset mod 2^ring) >> low rounded
// down to a multiple of 2^round. to - from is from 1 to 2^bits - 1. negate: outside it.
enum { TW_ARC_OFFSET, TW_ARC_ROUND, TW_ARC_FROM, TW_ARC_TO, TW_ARC_NEGATE, TW_ARC_WORDS };
TW_ELEMENT uint64_t tw_arc_end(const int64_t *arc, int end, uint64_t X, int ring, int low) {
  uint64_t a = ((X - (uint64_t)arc[TW_ARC_OFFSET]) & tw_ring_mask(ring)) >> low;
  a &= ~tw_ring_mask((int)arc[TW_ARC_ROUND]);
  return (a + (uint64_t)arc[end]) & tw_ring_mask(ring - low);
}

// Windowed lookup: piece j of u = x - lo is ceil((u - t) / 2^low), t = (X - lo) mod 2^low; alpha = ((X - lo) >> low) -
// j. Pieces 0 .. count - 1 have entries j 2^sub_bits + top bits of t in two tables. out[i]: shares of sgn T_i, 0
// outside (party 1 negates). bits: XOR shares of arcs. count is at most TW_WINDOW_MOST and less than half of 2^(ring -
// low).
enum { TW_WINDOW_MOST = 512 };
typedef struct {
  size_t sequences, n, words;
  const uint64_t *X;  // [sequences][n]
  tw_leaf_keys keys;
  const uint64_t *table[2];
  const int64_t *arcs;    // [arc_count][TW_ARC_WORDS]
  uint64_t *out[2];       // [sequences][n]
  uint64_t *bits;         // [sequences][arc_count][words]
  uint64_t lo, ring_out;  // ring_out: a mask
  int ring, low, count, sub_bits, arc_count, party;
} tw_key_window_args;

// Segment table: x, unsigned, is looked up in runs of steps. Run i has steps of 2^m from a border on; borders are the
// smallest numbers at or above the nominal ones that are X mod 2^m, so steps are nodes of the key, at level ring - m. A
// step is (hi - 2^m, hi], x = hi - rho with rho = r mod 2^m. Its nodes carry (1, rho'), rho' the TW_SEGMENT_FINE top
// bits of rho. T = base + slope (rho' - delta), entries and delta by hi: tw_segment_at. Below and past the runs T is
// the first base. list: m, nominal border and first entry of every run, m rising by one from run to run; m and border
// of the end.
enum { TW_SEGMENT_FINE = 7, TW_SEGMENT_SUB = 2, TW_SEGMENT_MOST_RUNS = 44, TW_SEGMENT_WORDS = 3 };
enum { TW_SEGMENT_STEP, TW_SEGMENT_BORDER, TW_SEGMENT_ENTRY };
typedef struct {
  size_t sequences, n, words;
  const uint64_t *X;               // [sequences][n]
  const uint64_t *root;            // [sequences][root_stride], [n][2] of it
  const uint64_t *seed, *control;  // [sequences] of tw_dpf_words' arrays, levels ring - first m
  const uint64_t *value;           // [sequences][runs][2][n], last run first
  const uint64_t *slots;           // [sequences]
  const uint64_t *base, *slope;    // tables
  const int64_t *list;             // [runs + 1][TW_SEGMENT_WORDS]
  uint64_t *out;                   // [sequences][n]
  uint64_t *outside;               // NULL, or XOR shares: x is in no run: [sequences][words]
  size_t root_stride;
  uint32_t use;                                 // of the root seeds
  int ring, ring_out, first_step, runs, party;  // ring_out: bits
} tw_key_segments_args;

// Where run i begins (or with i = runs the last one ends), for this X.
TW_ELEMENT uint64_t tw_segment_border(const int64_t *list, int i, uint64_t X) {
  const int64_t *run = list + TW_SEGMENT_WORDS * i;
  uint64_t nominal = (uint64_t)run[TW_SEGMENT_BORDER];
  return nominal + ((X - nominal) & tw_ring_mask((int)run[TW_SEGMENT_STEP]));
}

typedef struct {
  size_t entry;
  uint64_t delta;
} tw_segment_place;
TW_ELEMENT tw_segment_place tw_segment_at(const int64_t *run, uint64_t hi) {
  int m = (int)run[TW_SEGMENT_STEP], sub = m < TW_SEGMENT_SUB ? m : TW_SEGMENT_SUB,
      fine = m < TW_SEGMENT_FINE ? m : TW_SEGMENT_FINE;
  uint64_t behind = hi - (uint64_t)run[TW_SEGMENT_BORDER], g = behind >> (m - sub);
  tw_segment_place place = {(size_t)run[TW_SEGMENT_ENTRY] + (size_t)g, (behind >> (m - fine)) - (g << (fine - sub))};
  return place;
}
TW_ELEMENT uint64_t tw_segment_rest(uint64_t r, int m) {  // rho'
  int fine = m < TW_SEGMENT_FINE ? m : TW_SEGMENT_FINE;
  return (r & tw_ring_mask(m)) >> (m - fine);
}

// ---- dealt, of one sequence ----

typedef struct {
  size_t n;
  const uint64_t *r0, *r1, *root[2];  // root[b]: [n][halves]
  const uint64_t *slot;               // backend memory
  uint64_t *seed, *control, *leaf;    // tw_dpf_words
  uint64_t *sign;                     // a plane: 1 where party 0's share of [alpha = alpha] is 1
  uint32_t use;
  int ring, low;
} tw_deal_window_args;

typedef struct {
  size_t n;
  const uint64_t *r0, *r1, *root[2];  // root[b]: [n][2]
  const uint64_t *slot;               // backend memory
  uint64_t *seed, *control, *value;   // tw_dpf_words
  const int64_t *list;
  uint32_t use;
  int ring, ring_out, first_step, runs;
} tw_deal_segments_args;

#endif
