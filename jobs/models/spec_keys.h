// Scalar functions by keys of point functions (docs/design/pfss.md): windows by leaf bits, 1/x and 1/sqrt(x) by segment
// tables.
#ifndef TW_SPEC_KEYS_H
#define TW_SPEC_KEYS_H

#include "jobs/models/spec.h"

// A function's two tables: "gelu.key.base", "gelu.key.slope".
enum { TW_KEY_TABLE_NAME = 32 };
void tw_key_table_name(const char *function, int i, char name[TW_KEY_TABLE_NAME]);

// ---- windows

// A spec that is 0 or a constant on the left, and on the right a constant or x.
bool tw_spec_by_key(const tw_spec *spec);
// Fitted like tw_spec_fit, over all 2^width pieces. One that is 0 outside begins at its first argument, a piece later
// than by digits. Integers mod 2^64.
tw_status tw_spec_fit_by_key(const tw_spec *spec, tw_table out[2]);

// A bound of x that the same key tests for the guard: |x| < 2^bits, as in tw_guard_bit but by all bits of x's ring.
// What the spec needs and the guard's bit are opened together: bitwire, plane.
typedef struct {
  int bits;
  int bitwire, plane;
} tw_key_guard;

// f(x) of a WIRE: SHARE for tw_open_at, worth `ring` bits at out_scale: it has as many bits more as its scale is
// larger. Two rounds with the opening. guard: NULL, or what is tested beside.
int tw_apply_spec_by_key(tw_builder *b, int x, const tw_spec *spec, int ring, tw_key_guard *guard);
// Opened, and cut with a dither to `scale`.
int tw_open_at(tw_builder *b, int share, int scale);

// ---- segment tables

typedef struct {
  const char *name;
  bool root;      // sqrt(factor / x), else factor / x, of x as an integer
  double factor;  //
  int scale;      // of the result
  int fine;       // bits more while it is opened
  tw_segments segments;
} tw_segment_spec;

// sqrt(width / v) at `scale` for sums of squares v from 2^lowest to 2^(highest + 1), at scale 2 TW_SCALE. scale + fine
// is 24: there is one table of all.
tw_segment_spec tw_segments_root(size_t width, int lowest, int highest, int scale);
// 1 / x for row sums from 3/4 to `largest`, at TW_SCALE; scale 18 and more.
tw_segment_spec tw_segments_reciprocal(double largest);
tw_status tw_segments_fit(const tw_segment_spec *spec, tw_table out[2]);
// Of a WIRE: WIRE at scale + fine, in a ring that holds `ring` bits at `scale` or has 64. One round. outside: NULL, or
// the opened bit, whether x is beyond the table.
int tw_apply_segments(tw_builder *b, int x, const tw_segment_spec *spec, int ring, int *outside);

#endif
