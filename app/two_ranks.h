// A command that runs as two MPI ranks: start, a channel between them, and an end on which neither waits for the other
// for ever.
#ifndef TW_TWO_RANKS_H
#define TW_TWO_RANKS_H

#include "app/options.h"
#include "app/time_limits.h"
#include "comm/channel.h"

// Calls body on both ranks, or on those of several pairs at once (comm/mpi_pair.h), at most so many; another number of
// ranks is TW_ERR_USAGE on each. A rank that fails alone aborts the job; of several pairs it leaves alone.
tw_status tw_two_ranks(const tw_call *call, const tw_limits *limits, int most_pairs,
                       tw_status (*body)(const tw_call *call, tw_channel *channel));

#endif
