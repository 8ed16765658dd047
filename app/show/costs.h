// Costs of steps as a table, planned or measured.
#ifndef TW_APP_COSTS_H
#define TW_APP_COSTS_H

#include "io/result.h"
#include "jobs/plan/plan.h"

typedef struct {
  const tw_cost_row *rows;  // by layer and gate
  int count;
  uint64_t correction_bytes, sent_bytes, rounds;
  bool timed;      // the rows have seconds that were measured
  bool estimated;  // the rows have seconds that a plan foretells, of the whole online phase
} tw_costs;

// Costs of one inference by plan: a party's corrections are those of the party that has more. Rows: free with tw_free.
tw_status tw_costs_of_plan(const tw_plan *plan, tw_costs *out);
tw_costs tw_costs_of_result(const tw_result_share *result);

// What a line stands for: a gate in all layers, a layer with all its gates (-1: input and output), or a gate in a
// layer.
typedef enum { TW_BY_STEP, TW_BY_LAYER, TW_BY_LAYER_AND_GATE } tw_costs_by;

// Gates without any cost are left out.
void tw_costs_print(const tw_costs *costs, tw_costs_by by);

#endif
