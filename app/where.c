#include "app/where.h"

#define DEFAULT_DEVICE "epyc"
static const tw_link_profile usual_link = {10e-6, 10e9};

const tw_option tw_option_dealer_link_rate = {
    .name = "dealer-link-rate",
    .kind = TW_OPTION_RATE,
    .value = "RATE",
    .help =
        "bandwidth at which a live dealer's keys come to each party, in the units of --link-rate (not given: keys are "
        "there)",
    .low = 125,
    .high = 125e12};
const tw_option tw_option_plan_device = {
    .name = "device",
    .kind = TW_OPTION_TEXT,
    .value = "NAME",
    .words = "epyc h200",
    .help =
        "of what a party computes on: epyc (one core), h200, or a file of `twain bench calibrate`; any other name is "
        "guessed at (not given: " DEFAULT_DEVICE ", where another option speaks of a place)"};
const tw_option tw_option_key_budget = {.name = "key-budget",
                                        .kind = TW_OPTION_INTEGER,
                                        .value = "BYTES",
                                        .fallback = "0",
                                        .help = "most bytes of keys for a party and inference (0: any number)",
                                        .low = 0,
                                        .high = 1e15};

tw_status tw_where_find(const tw_where_words *words, tw_where *out) {
  *out = (tw_where){.place = tw_place_one_host};
  out->said =
      words->device || words->dealer_rate > 0 || words->link.latency_seconds > 0 || words->link.bytes_per_second > 0;
  if (out->said) {
    TW_TRY(tw_rates_find(words->device ? words->device : DEFAULT_DEVICE, &out->rates, &out->guess));
    out->place = (tw_place){.rates = &out->rates, .dealer_rate = words->dealer_rate};
  }
  out->place.link = words->link;
  if (out->place.link.latency_seconds <= 0) out->place.link.latency_seconds = usual_link.latency_seconds;
  if (out->place.link.bytes_per_second <= 0) out->place.link.bytes_per_second = usual_link.bytes_per_second;
  return TW_OK;
}

tw_status tw_where_guess(const char *device, tw_where *out) {
  *out = (tw_where){.said = false};
  TW_TRY(tw_rates_find(device ? device : DEFAULT_DEVICE, &out->rates, &out->guess));
  out->place = (tw_place){.rates = &out->rates, .link = usual_link};
  return TW_OK;
}

tw_status tw_where_or_guess(const tw_where *where, tw_where *out) {
  TW_TRY(tw_where_guess(NULL, out));
  if (where->said) out->place = where->place;
  return TW_OK;
}
