// A spec against another way to compute its function, on shares: both parties and the emulator.
#ifndef SPEC_CHECK_H
#define SPEC_CHECK_H

#include "jobs/models/spec.h"
#include "tests/common/trial.h"

enum { SPEC_TABLES = 4 };  // of a spec and the one beyond

typedef struct {
  const tw_spec *spec;
  double (*exact)(double);      // from libm
  int ring, out_ring;           // of the argument and of the result
  double dense_from, dense_to;  // every `step`-th argument
  int step;
  double bound;  // 20000 random arguments in (-bound, bound), or [dense_from, bound) for one-sided domains
  bool one_sided;
} spec_case;

// Walks the spec over the arguments of *c; the caller ends the trial and frees the tables.
void spec_apply(trial *t, const spec_case *c, tw_table tables[SPEC_TABLES]);
// The same, and asserts the largest error: at most most_units of the output's scale, or with
// most_units = 0 at most most_relative.
void spec_check(spec_case c, double most_units, double most_relative);

#endif
