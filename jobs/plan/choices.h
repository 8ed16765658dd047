// What a plan chooses among the forms (forms.h), when nobody says.
#ifndef TW_CHOICES_H
#define TW_CHOICES_H

#include "jobs/plan/estimate.h"
#include "jobs/plan/forms.h"

// The forms that are chosen already, by their place in tw_forms.
typedef struct {
  bool form[TW_FORMS];
  bool lookup;                      // where the next word's lookup stands, which belongs to TW_FORM_ARGMAX
  bool without[TW_ALL_BY_KEY + 1];  // what functions may not be read from, where that is not made
} tw_made;

// A whole of choices, and what an inference by it costs.
typedef struct {
  tw_choices choices;
  tw_estimate estimate;
  bool there;
} tw_candidate;

typedef struct {
  tw_candidate best, runner_up;
  tw_candidate other[TW_FORMS];  // the best that differs in this form alone
} tw_found;

// The choices by which this model takes least at `place`, with at most `key_budget` bytes of keys a party (0: any
// number), as they are priced: with default bounds, and place->by_one_layer those of one layer. Where none that was
// found takes so few, what takes fewest. request->choices: those that are made already are kept, where `made` says so.
// found: NULL, or what the choice was between.
tw_status tw_choices_find(const tw_model_config *config, const tw_plan_request *request, const tw_made *made,
                          const tw_place *place, uint64_t key_budget, tw_choices *out, tw_found *found);

#endif
