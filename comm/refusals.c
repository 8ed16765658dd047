#include "comm/refusals.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

static bool quiet_for_a_second(const tw_refusals *r) { return !r->said_ns || tw_clock_ns() - r->said_ns >= 1000000000; }

static void say(tw_refusals *r, const char *text) {
  r->note(r->state, text);
  r->said_ns = tw_clock_ns();
  r->unsaid = 0;
}

void tw_refusals_say(tw_refusals *r, bool at_once) {
  char text[sizeof r->last + 64];
  if (!r->unsaid || (!at_once && !quiet_for_a_second(r))) return;
  snprintf(text, sizeof text, "refused %" PRIu64 " more, the last one %s", r->unsaid, r->last);
  say(r, text);
}

void tw_refusals_add(tw_refusals *r, const char *who) {
  char text[sizeof r->last + 64];
  tw_refusals_say(r, false);
  if (quiet_for_a_second(r)) {
    snprintf(text, sizeof text, "refused %.*s", (int)sizeof r->last, who);
    say(r, text);
    return;
  }
  r->unsaid++;
  snprintf(r->last, sizeof r->last, "%s", who);
}
