// Finished batches that both parties have, of those that each has.
#ifndef TW_COMMON_PARTS_H
#define TW_COMMON_PARTS_H

#include "comm/channel.h"
#include "io/parts.h"
#include "jobs/parties/warnings.h"

// Puts aside what the other party lacks (tw_parts_keep), and tells of it. parts: of this party, read. most: batches
// that may be on one party alone, since a process that died has left them so; -1: any number. TW_ERR_MISMATCH on both
// parties where there are more, and nothing is put aside.
tw_status tw_parts_keep_common(tw_channel *channel, tw_parts *parts, int most, const tw_listener *listener);

#endif
