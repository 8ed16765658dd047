// A slower link than there is: a channel over another one, whose messages arrive no earlier than over a link of the
// given latency and bandwidth. For planning and for tests.
#ifndef TW_CHANNEL_LINK_H
#define TW_CHANNEL_LINK_H

#include "comm/channel.h"

typedef struct {
  double latency_seconds;   // one way
  double bytes_per_second;  // each way, both at once; 0: without limit
} tw_link_profile;

// Each message carries the time at which it was sent. The receiver lets it arrive when a link would: messages of one
// direction follow one another at the bandwidth, each then takes the latency. The parties' clocks are compared once, at
// the start (both call it), so between two hosts their drift shows in long runs. The inner channel is borrowed and must
// outlive this one; use one of them at a time.
tw_status tw_channel_link(tw_channel *inner, const tw_link_profile *profile, tw_channel **out);

#endif
