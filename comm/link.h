// The one door to the other party. What carries a link is said here and nowhere else: MPI between the two ranks of one
// job, TLS between two sites, or a stream of bytes that the caller has opened and protected.
#ifndef TW_LINK_H
#define TW_LINK_H

#include "comm/channel.h"
#include "comm/tls_hello.h"

// Both return at once: how many of the bytes went or came, 0: none just now, negative: the stream has ended.
typedef struct {
  ptrdiff_t (*send)(void *state, const void *data, size_t bytes);
  ptrdiff_t (*receive)(void *state, void *data, size_t bytes);
  void *state;
  tw_status (*failure)(void *state);  // after one of them was negative: why; may be NULL
} tw_stream;

// How two sites meet.
typedef struct {
  tw_tls_identity who;  // borrowed until the channel is closed
  tw_lines lines;
  bool answers;  // this end answers; the other one speaks first
  // The next connected descriptor, not blocking, which the link closes: of 2 * lines.streams, in this order for the end
  // that speaks first.
  tw_status (*next)(void *state, uint64_t until_ns, int *fd);
  void *state;
  double wait_seconds;   // for the first connection
  bool detour;           // what leads there may take it too early, and end it: it is then asked for again
  uint64_t rekey_bytes;  // 0: as usual (comm/tls.h)
} tw_meeting;

typedef enum {
  TW_LINK_MPI,     // the two ranks of MPI_COMM_WORLD, or of a pair (comm/mpi_pair.h)
  TW_LINK_STREAM,  // the caller says which party it is; GPUs need MPI
  TW_LINK_TLS      // the same
} tw_link_carrier;

typedef struct {
  tw_link_carrier carrier;
  tw_stream stream;           // TW_LINK_STREAM: the caller's, who closes it
  const tw_meeting *meeting;  // TW_LINK_TLS
  double silence_seconds;     // without progress, then TW_ERR_PEER
  uint64_t deadline_ns;       // of tw_clock_ns, after which no exchange is waited for; 0: none
} tw_link_spec;

// party: 0 or 1, or -1: the one that the carrier gives this process. TW_ERR_USAGE where the carrier gives another, or
// does not connect two parties; TW_ERR_PEER where the other one does not come, TW_ERR_IDENTITY where it is not the one
// that it should be. Close with tw_channel_destroy.
tw_status tw_link_open(const tw_link_spec *spec, int party, tw_channel **out);

// A link as it might be.
typedef struct {
  double latency_seconds;   // one way
  double bytes_per_second;  // each way, both at once; 0: without limit
} tw_link_profile;

// Both parties, with the same profile: a channel over `inner` whose messages arrive no earlier than over a link of that
// latency and bandwidth. The inner channel is borrowed and must outlive this one; use one of them at a time.
tw_status tw_link_emulate(tw_channel *inner, const tw_link_profile *profile, tw_channel **out);

#endif
