// The command line's words for where a plan will run: the link, the device and the way of the keys
// (jobs/plan/estimate.h).
#ifndef TW_APP_WHERE_H
#define TW_APP_WHERE_H

#include "app/options.h"
#include "jobs/plan/estimate.h"

typedef struct {
  tw_link_profile link;  // 0: not said
  double dealer_rate;
  const char *device;
  int64_t key_budget;
} tw_where_words;

extern const tw_option tw_option_dealer_link_rate, tw_option_plan_device, tw_option_key_budget;

// said: whether the words say anything of a place. If not, the place is one host's, with a link to speak of. rates: the
// place's, kept by the caller. *guess: the device is unknown.
typedef struct {
  tw_place place;
  tw_rates rates;
  bool said, guess;
} tw_where;
tw_status tw_where_find(const tw_where_words *words, tw_where *out);
// A place to guess for where nobody says one: one core of the usual device (NULL) or `device`, and the usual link.
tw_status tw_where_guess(const char *device, tw_where *out);
// The same, or the place of `where`, which must stay, if it was said.
tw_status tw_where_or_guess(const tw_where *where, tw_where *out);

#endif
