// One run's costs, times and surroundings, from a party's result.
#ifndef TW_RUN_REPORT_H
#define TW_RUN_REPORT_H

#include <jansson.h>

#include "app/show/costs.h"
#include "jobs/plan/plan.h"

// Both parties' counters side by side, or one's (other NULL).
void tw_run_report_counters(const tw_result_share *result, const tw_result_share *other);
void tw_run_report_print(const tw_result_share *result, bool verbose);
// NAME.plan.json, if it is there and still this run's; free with tw_plan_free.
bool tw_run_report_plan(const char *name, const tw_result_share *result, tw_plan *out);
// The run's record (app/show/record.h). name, plan: of the run, or NULL where they are not known. Of what a result
// file does not hold, the fields are null.
json_t *tw_run_report_record(const char *command, const char *name, const tw_result_share *result, const tw_plan *plan);

#endif
