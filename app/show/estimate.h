// What `twain plan` tells about the time of an inference, and between which forms it chose.
#ifndef TW_APP_ESTIMATE_H
#define TW_APP_ESTIMATE_H

#include <jansson.h>

#include "jobs/plan/choices.h"

// place: of which rates and over which link. whole: of the plan itself. found: NULL where nothing but rounds, keys and
// bytes was compared.
typedef struct {
  const tw_place *place;
  uint64_t key_budget;
  tw_estimate whole;
  const tw_found *found;
} tw_estimate_view;

// The least time of all messages.
double tw_estimate_least(const tw_estimate *whole);
void tw_estimate_print(const tw_estimate_view *view);
void tw_estimate_record(json_t *record, const tw_estimate_view *view);

#endif
