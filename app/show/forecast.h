// What a run will need, as `plan`, `status` and `run` say it (jobs/parties/forecast.h).
#ifndef TW_APP_FORECAST_H
#define TW_APP_FORECAST_H

#include <jansson.h>
#include <stdbool.h>

#include "jobs/parties/forecast.h"

// On cores, and, where this twain is built with CUDA, on a GPU a party.
typedef struct {
  tw_run_forecast cores;
  tw_engine_room gpu;
} tw_forecast_view;

tw_status tw_forecast_view_make(const tw_plan *plan, const tw_place *place, int batch, int rows, tw_forecast_view *out);
// Of 1, 8 and 32 sequences, all at once.
enum { TW_FORECASTS = 3 };
tw_status tw_forecast_views_make(const tw_plan *plan, const tw_place *place, tw_forecast_view views[TW_FORECASTS]);
// A column for each, behind a blank line. guess: words for a place that nobody has said; NULL: it was said.
#define TW_GUESS_OF_PLAN "a guess; --device, --link-latency and --link-rate say another place"
void tw_forecast_print(const tw_forecast_view *views, int count, const tw_place *place, const char *guess);
json_t *tw_forecast_records(const tw_forecast_view *views, int count, const tw_place *place);
// One line on stderr, at a run's start.
void tw_forecast_say(const tw_run_forecast *forecast, const tw_place *place);

#endif
