#include "tests/common/spec_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/pack.h"
#include "tests/common/suite.h"

void spec_apply(trial *t, const spec_case *c, tw_table tables[SPEC_TABLES]) {
  enum { RANDOM = 20000 };
  int scale = c->spec->argument_scale;
  int64_t from = (int64_t)ceil(ldexp(c->dense_from, scale)), to = (int64_t)floor(ldexp(c->dense_to, scale));
  int64_t most = (int64_t)ldexp(c->bound, scale) - 1;
  size_t dense = (size_t)((to - from) / c->step + 1);
  int x = trial_start(t, c->ring, dense + RANDOM, 1);
  t->program.tables = tables;
  t->program.table_count = !tw_spec_has_tables(c->spec) ? 0 : c->spec->beyond ? 4 : 2;
  memset(tables, 0, SPEC_TABLES * sizeof *tables);
  for (size_t j = 0; j < dense; j++) t->input[j] = (uint64_t)(from + (int64_t)j * c->step) & tw_mask(c->ring);
  trial_fill(t, dense, RANDOM, c->one_sided ? from : -most, most);
  if (tw_spec_has_tables(c->spec)) CU_ASSERT_EQUAL_FATAL(tw_spec_fit(c->spec, tables), TW_OK);
  if (c->spec->beyond) CU_ASSERT_EQUAL_FATAL(tw_spec_fit(c->spec->beyond, tables + 2), TW_OK);
  int y = tw_apply_spec(&t->b, tw_open(&t->b, tw_rescale(&t->b, x, scale)), c->spec, c->out_ring);
  trial_run(t, tw_look(&t->b, y).kind == TW_WIRE ? y : tw_open(&t->b, y));
  CU_ASSERT_EQUAL(t->w.out_of_bound, 0);
}

// Largest error in units of the output's scale, and the largest relative one.
void spec_check(spec_case c, double most_units, double most_relative) {
  tw_table tables[SPEC_TABLES];
  trial t;
  spec_apply(&t, &c, tables);
  double units = 0, relative = 0, at = 0;
  bool finite = true;
  for (size_t j = 0; j < t.n; j++) {
    double x = ldexp((double)trial_x(&t, 0, j), -c.spec->argument_scale), exact = c.exact(x);
    double error = fabs(walk_real(&t.w, j) - exact);
    finite &= isfinite(error);
    if (error / fabs(exact) > relative) relative = error / fabs(exact);
    if (ldexp(error, c.spec->out_scale) <= units) continue;
    units = ldexp(error, c.spec->out_scale);
    at = x;
  }
  bool passed = finite && (most_units > 0 ? units <= most_units : relative <= most_relative);
  printf("\n    %s: %.2f units of its output (at %g), relative error %.3g", c.spec->name, units, at, relative);
  CU_ASSERT(passed);
  trial_end(&t);
  tw_tables_free(tables, SPEC_TABLES);
}
