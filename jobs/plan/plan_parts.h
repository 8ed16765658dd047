// Steps of making a plan that reading one from a file shares.
#ifndef TW_PLAN_PARTS_H
#define TW_PLAN_PARTS_H

#include "io/client.h"
#include "jobs/plan/plan.h"

// The functions whose tables a plan holds, in this order, two tables each; returns how many. A spec of two lines alone
// has none.
enum { TW_PLAN_FUNCTIONS = 8 };
typedef struct {
  const tw_spec *spec;              // or
  const tw_segment_spec *segments;  // by key
  bool by_key;
} tw_plan_function;
int tw_plan_functions(const tw_plan *plan, tw_plan_function functions[TW_PLAN_FUNCTIONS]);
// All of a plan's tables: two of each of these functions, then those of positions that turn (jobs/models/decoder.h).
// What table `i` is: its name, how many integers it has, and of how many bits.
typedef struct {
  char name[40];
  int ring;
  size_t n;
} tw_plan_entry;
int tw_plan_table_count(const tw_plan *plan);
tw_plan_entry tw_plan_table(const tw_plan *plan, int i);

// Everything but bounds, rings and tables, checked; arrays allocated.
tw_status tw_plan_shape(tw_plan *plan, const tw_model_config *config, const tw_plan_request *request);
// Rings from bounds, then the program; the tables are there already.
tw_status tw_plan_complete(tw_plan *plan);
// The program, where rings are there already as well.
tw_status tw_plan_build(tw_plan *plan);
// The same plan by other choices, to be looked at and freed before `like` is: its program's tables are those of `like`.
// Free it after a failure, too.
tw_status tw_plan_variant(const tw_plan *like, const tw_plan_request *request, tw_plan *out);

#endif
