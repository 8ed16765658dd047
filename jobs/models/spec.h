// Specs of scalar functions: data for the one gate that evaluates them all (protocols, section 7).
#ifndef TW_SPEC_H
#define TW_SPEC_H

#include "io/activations.h"
#include "io/model.h"
#include "jobs/program/build.h"

typedef enum {
  TW_EVERYWHERE,    // the window covers every argument that occurs
  TW_ZERO_OUTSIDE,  // 0 outside the window, right on the whole ring
  TW_SIDES,         // a linear form on each side
  TW_POSITIVE_PART  // no window and no table: x from 0 on, 0 below; exact
} tw_region;

typedef struct {
  double constant;
  int slope;
} tw_side;  // constant + slope x, slope -1, 0 or 1

typedef struct tw_spec {
  const char *name;
  double (*f)(double);
  tw_region region;
  double lo;        // window [lo, lo + 2^width D), D = 2^(low_bits - argument scale)
  int width;        // bits of the index digit
  int low_bits;     // bits of the argument below it
  int sub_bits;     // sub-tables: pieces 2^sub_bits times finer
  int slope_scale;  // scale of B; A has slope_scale + argument scale
  int ring;         // ring of A + B x
  int argument_scale, out_scale;
  tw_side left, right;
  const struct tw_spec *beyond;  // TW_ZERO_OUTSIDE: its value, at the same scale, in the place of 0; or NULL
} tw_spec;

// Those of io/activations.h, which are right on the whole ring; and what softmax and the norms need.
#define TW_DECLARE_SPEC(name) extern const tw_spec tw_spec_##name;
TW_ACTIVATIONS(TW_DECLARE_SPEC)
#undef TW_DECLARE_SPEC
extern const tw_spec tw_spec_exp, tw_spec_rsqrt;
// silu in pieces twice as wide, for a gate: its error of 3 units of 2^-12 is lost among those of products.
extern const tw_spec tw_spec_silu_gate;
// 1 / max(x, 1/4) for row sums up to `largest`, at most TW_MOST_TOKENS. Those of more than 512 tokens have two tables,
// a fine one for small sums and one beyond.
tw_spec tw_spec_reciprocal(double largest);
const tw_spec *tw_spec_by_name(const char *name);  // NULL when unknown
bool tw_spec_has_tables(const tw_spec *spec);

// Fit the two tables (A and B) of a spec: entry g covers the arguments that can be looked up there. Integers mod
// 2^ring. Done once, by `plan`: libm differs between hosts.
tw_status tw_spec_fit(const tw_spec *spec, tw_table out[2]);
void tw_tables_free(tw_table *tables, int count);
// The number of the program's table of this name; -1, and the builder fails, where there is none.
int tw_table_named(tw_builder *b, const char *name);

// f(x): WIRE at out_scale for TW_EVERYWHERE and where a spec stands beyond (out_ring is not looked at), else SHARE mod
// 2^out_ring at out_scale. The program's tables must hold the spec's, if it has any, named NAME.A and NAME.B.
int tw_apply_spec(tw_builder *b, int x, const tw_spec *spec, int out_ring);

#endif
