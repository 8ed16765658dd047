// The guard counts values of declared wires that are out of bound, among shares; the client alone learns the count
// (docs/security.md, "The guard"). Declared wires are those whose bounds a plan assumes or measures; all other bounds
// follow from them. A wire of ring k is tested on 3 bits of it: with a = r >> j and c = X^ >> j, 3 bits each, c - a is
// floor(x / 2^j) or one more (the borrow is left out), so that -1, 0, 1 are let pass: no |x| < 2^j is counted, every
// 2^(j+1) <= |x| < 6 2^j is, and between the two x is with probability |x| / 2^j - 1. What wraps all the way round is
// missed.
#ifndef TW_GUARD_H
#define TW_GUARD_H

#include "jobs/program/build.h"
#include "jobs/program/limits.h"

enum {
  TW_GUARD_BITS = 3,   // a declared wire's ring beyond the bits of its bound
  TW_GUARD_RING = 32,  // of the count
};

// Live |x| < 2^bits, in units of the wire's integers; bits 0: whatever its ring holds. name: of the bound.
void tw_declare(tw_builder *b, int wire, const char *name, int bits, tw_layout layout, size_t parts, tw_tokens tokens);
// Bits of the bound of such a wire where it is said by its ring.
int tw_declared_bits(const tw_builder *b, int wire);
// The same, of the bound that its ring says; what a guard counts is a plane of an opened tensor (tw_key_guard).
void tw_declare_read(tw_builder *b, int wire, const char *name, int bitwire, int plane, tw_layout layout, size_t parts,
                     tw_tokens tokens);
// The same, low <= x < high, for the emulator alone: the caller has bits that tell (tw_guard_planes).
void tw_declare_range(tw_builder *b, int wire, const char *name, int64_t low, int64_t high, tw_layout layout,
                      size_t parts, tw_tokens tokens);
// The guard's bit of every element, opened under a mask of its own: 1 ^ [c - a in {-1, 0, 1}], the three bits from
// `low` up.
int tw_guard_bit(tw_builder *b, int wire, int low);
// Counts the set bits of `count` planes from plane0 of an opened tensor with one element a token.
void tw_guard_planes(tw_builder *b, int bitwire, int plane0, int count, tw_tokens tokens);
// Opens the count, if there is a guard: the program's second output.
void tw_guard_finish(tw_builder *b);

#endif
