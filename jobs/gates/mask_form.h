// What the builder knows of a wire's mask as a sum of drawn masks with integer factors. A shift of the wire, and what
// looks at the low bits of its public value, dither only where those bits of each party's mask are uniform
// (docs/design/protocols.md, section 2). They are when some factor is odd, whatever the others are. 2x + 2y, x + x, and
// the sum of a row that holds an element twice have none.
//
// Only factors mod 2 are followed, of the newest source: sources are drawn independently of each other and numbered in
// the order in which the builder made them. A truncated mask counts as its source, whose high bits it holds.
#ifndef TW_MASK_FORM_H
#define TW_MASK_FORM_H

#include "jobs/program/build.h"

tw_mask_form tw_form_of_opening(int tensor);
tw_mask_form tw_form_of_weight(int index);
// Of factor x; factor is not 0.
tw_mask_form tw_form_times(tw_mask_form x, int64_t factor);
// Of p x + q y, p and q not both 0. repeats: y's elements serve several of x's.
tw_mask_form tw_form_sum(int64_t p, tw_mask_form x, int64_t q, tw_mask_form y, bool repeats);
// Of x's elements and y's in one tensor.
tw_mask_form tw_form_joined(tw_mask_form x, tw_mask_form y);
// Of elements of x in other places, some perhaps more than once.
tw_mask_form tw_form_view(tw_mask_form x, tw_view_map map);
// Of sums of x's elements; no element is in two of them.
tw_mask_form tw_form_totals(tw_mask_form x);
// Of differences of two elements of x.
tw_mask_form tw_form_differences(tw_mask_form x);

// False, and the builder fails, when the low bits of the wire's mask are not known to be uniform. what: is done to it.
bool tw_form_dithers(tw_builder *b, int wire, const char *what);

#endif
