// The channels there are. Who opens a link to the other party does not choose one by name: comm/link.h does.
#ifndef TW_CHANNELS_H
#define TW_CHANNELS_H

#include "comm/link.h"

// The channel between the two ranks of MPI_COMM_WORLD, or of a pair that was found (comm/mpi_pair.h). MPI must be
// initialised; TW_ERR_USAGE for another number of ranks.
// Large exchanges are split so that no count exceeds INT_MAX. A peer that dies or stalls for timeout_seconds
// gives TW_ERR_PEER (never an endless wait); the caller's answer to it is MPI_Abort.
tw_status tw_channel_mpi(double timeout_seconds, tw_channel **out);

// Over a caller's stream. Every message is preceded by its length, 8 bytes, little-endian; nothing else is sent.
// TW_ERR_USAGE for another party than 0 and 1, or no timeout.
tw_status tw_channel_stream(const tw_stream *stream, int party, double timeout_seconds, tw_channel **out);

// Between two sites (comm/tls.h): as tw_channel_stream, over a pair of connections a stream, one a direction. One
// stream is used by the caller's thread alone. Of several, the others have a thread each and carry parts of large
// messages.
tw_status tw_channel_tls(const tw_meeting *meeting, int party, double timeout_seconds, uint64_t deadline_ns,
                         tw_channel **out);

// Large messages in as many parts as there are channels: parts[0] is used by the caller's thread, each other by one of
// its own. interrupt: makes what they wait for fail. Takes the channels over, also when it fails.
tw_status tw_channel_striped(tw_channel *parts[], int count, void (*interrupt)(void *state), void *state,
                             tw_channel **out);

// A connected pair inside one process, for tests and `check`: each end is driven by its own thread.
// An end that closes gives the other TW_ERR_PEER at once (after what it had sent has been taken).
tw_status tw_channel_loopback(double timeout_seconds, tw_channel *out[2]);

// Each message carries the time at which it was sent. The receiver lets it arrive when a link would: messages of one
// direction follow one another at the bandwidth, each then takes the latency. The parties' clocks are compared once, at
// the start (both call it), so between two hosts their drift shows in long runs. The inner channel is borrowed and must
// outlive this one; use one of them at a time.
tw_status tw_channel_link(tw_channel *inner, const tw_link_profile *profile, tw_channel **out);

#endif
