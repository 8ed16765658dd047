// Many messages of two ends of a channel, three in flight at a time, waited for in any order.
#ifndef TW_TEST_MANY_MESSAGES_H
#define TW_TEST_MANY_MESSAGES_H

#include "comm/channel.h"

enum { MANY_SIZES = 8 };

// Each end in a thread of its own, `rounds` rounds. The messages have these sizes (less than `most`) and random ones
// below 9000. Asserts that all arrive, and that each end gets what the other one sent.
void many_messages(tw_channel *const ends[2], int rounds, size_t most, const size_t sizes[MANY_SIZES]);

#endif
