// A plan whose forms are chosen (choices.h): of those that the model's own bounds allow, within a budget of keys.
#ifndef TW_CHOOSE_H
#define TW_CHOOSE_H

#include "jobs/plan/choices.h"

// What a plan is chosen by. made: forms that are said. key_budget: most bytes of keys of the whole plan for a party and
// inference; 0: any number.
typedef struct {
  tw_made made;
  const tw_place *place;
  uint64_t key_budget;
} tw_choose_by;

// Chooses and makes the plan; request->choices become its own. bounds: NULL for the defaults. Choices are priced with
// the defaults and, on one host, for one layer, so the plan's own bytes are what is compared with the budget; and a way
// to read functions that these bounds do not fit is left out, where it is not said. found: NULL, or what the choice was
// between. TW_ERR_RANGE where no choice is within the budget, or where the bounds fit no ring.
tw_status tw_plan_choose(const tw_model_config *config, tw_plan_request *request, const tw_choose_by *by,
                         const tw_model_bounds *bounds, tw_found *found, tw_plan *out);

#endif
