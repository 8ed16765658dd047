// Lines about connections that were refused: one a second, however many knock, and none goes uncounted.
#ifndef TW_REFUSALS_H
#define TW_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  void (*note)(void *state, const char *text);
  void *state;
  uint64_t unsaid, said_ns;
  char last[400];  // of those that are not said yet
} tw_refusals;

// who: address and reason. Says it, or counts it where a line of the last second stands.
void tw_refusals_add(tw_refusals *r, const char *who);
// To be called now and then: says how many were counted, once a second is over; or at once, at the end.
void tw_refusals_say(tw_refusals *r, bool at_once);

#endif
