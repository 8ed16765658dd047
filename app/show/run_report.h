// One run's costs, times and surroundings, from a party's result.
#ifndef TW_RUN_REPORT_H
#define TW_RUN_REPORT_H

#include <jansson.h>

#include "app/show/costs.h"

// Both parties' counters side by side, or one's (other NULL).
void tw_run_report_counters(const tw_result_share *result, const tw_result_share *other);
void tw_run_report_print(const tw_result_share *result, bool verbose);
json_t *tw_run_report_json(const tw_result_share *result);

#endif
