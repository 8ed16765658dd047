// What stands behind tw_compared (jobs/program/build.h): digits of a wire's mask, each dealt as a one-hot vector of
// bits (docs/design/protocols.md, sections 5 to 7). For gates and their tests; others compare by tw_compared.
#ifndef TW_GATES_DIGIT_H
#define TW_GATES_DIGIT_H

#include "jobs/program/build.h"

enum { TW_MAX_DIGITS = 20 };
typedef struct {
  int op;              // that deals them
  int tensor, wire;    // ONEHOT; what is compared
  int count, low_bit;  // digits cover bits low_bit.. of the mask, least significant first
  int width[TW_MAX_DIGITS];
  bool sign_bit;  // the mask's top bit is dealt as well
  int looked_up;  // the digit by which tables are read; -1: none
} tw_digits;

tw_digits tw_deal_digits(tw_builder *b, int wire, int low_bit, const int *widths, int count, bool sign_bit,
                         int looked_up);
// Widths of 4 and a remainder; returns their count.
int tw_split_digits(int bits, int *widths);

tw_compared tw_compared_by(const tw_digits *d);
// False once the builder has failed.
bool tw_digits_of(const tw_builder *b, tw_compared compared, tw_digits *out);

typedef struct {
  uint64_t offset;
  int digit;
  tw_leaf_kind kind;
} tw_leaf;
// Plane i: [c < a] or [c == a] of the digit of (X - offset) and the mask's, or for SIGN: msb(mask) ^ msb(X - offset)
// ^ 1.
int tw_leaves(tw_builder *b, const tw_digits *d, const tw_leaf *leaf, int count);

#endif
