// How long a party waits.
#ifndef TW_TIME_LIMITS_H
#define TW_TIME_LIMITS_H

#include <stdint.h>

#include "base/status.h"

// Seconds. silence: in which nothing comes from the other party. whole: from the start of this party to its end,
// whatever it does; 0: no limit. Past either a party ends with TW_ERR_PEER.
typedef struct {
  double silence, whole;
} tw_limits;

// Starts to watch the whole. *deadline: of tw_clock_ns; 0: none.
tw_status tw_time_limits_watch(const tw_limits *limits, uint64_t *deadline);

#endif
