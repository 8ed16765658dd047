// A two-ended, message-preserving channel between the two parties. Nonblocking: start, then wait. comm/link.h opens
// one. There are two parties, 0 and 1: the other one is 1 - party, here and wherever a message names it.
#ifndef TW_CHANNEL_H
#define TW_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

typedef struct tw_channel tw_channel;

// One exchange in flight: both ends send `bytes` and receive `bytes`.
typedef struct {
  const void *send;
  void *recv;
  size_t bytes;
  void *handle;     // transport's own; NULL as long as (and again when) the transport may not touch send and recv
  uint64_t number;  // transport's own
  // One of several under way together, the same at both ends: k > 0 goes whole by the channel's k-th stream, counted
  // around. 0: as the channel likes, split among its streams where it is large.
  int stream;
} tw_exchange;

// One thread at a time per end. Several exchanges may be in flight; they match in order of start and may be waited
// for in any order. `bytes` may be 0: a message without content, i.e. a barrier.
// After a failure the end is broken and good for close only. When the two ends name different sizes, wait returns
// TW_ERR_PEER on both, and recv holds as much of the other's message as both fit, so that a header may say why.
struct tw_channel {
  int party;               // 0 or 1
  const char *name;        // "mpi", "loopback", "tls"
  bool mpi;                // MPI carries it, and may be used beside it
  double timeout_seconds;  // without progress; then TW_ERR_PEER
  uint64_t deadline_ns;    // of tw_clock_ns, after which no exchange is waited for, moving or not; 0: none
  tw_status (*start)(tw_channel *, tw_exchange *);
  tw_status (*wait)(tw_channel *, tw_exchange *);  // completes both directions
  bool (*arrived)(tw_channel *, tw_exchange *);    // wait would return at once (also with a failure)
  tw_status (*poll)(tw_channel *);                 // moves exchanges in flight on; may be NULL: they move by themselves
  // Before close, after a failure: tells the other end why, as far as it goes without waiting. May be NULL.
  void (*tell)(tw_channel *, tw_status, const char *message);
  void (*close)(tw_channel *);  // never waits for the other party
  void *state;
};

// TW_ERR_PEER once the deadline has passed.
static inline tw_status tw_channel_in_time(const tw_channel *c) {
  if (!c->deadline_ns || tw_clock_ns() < c->deadline_ns) return TW_OK;
  return tw_fail(TW_ERR_PEER,
                 "party %d: the time limit of the whole run (--time-limit) has passed; party %d, the network or this "
                 "party is slower than that",
                 c->party, 1 - c->party);
}

// How long to wait for what comes without further word: the timeout, or what is left to the deadline.
static inline double tw_channel_patience(const tw_channel *c) {
  double left = c->timeout_seconds;
  if (c->deadline_ns) {
    uint64_t now = tw_clock_ns();
    double rest = now < c->deadline_ns ? 1e-9 * (double)(c->deadline_ns - now) : 0;
    if (rest < left) left = rest;
  }
  return left;
}

static inline tw_status tw_channel_exchange(tw_channel *c, const void *send, void *recv, size_t bytes) {
  tw_exchange x = {.send = send, .recv = recv, .bytes = bytes};
  TW_TRY(c->start(c, &x));
  return c->wait(c, &x);
}
// Says nothing where the channel has no way, or all is well.
static inline void tw_channel_tell(tw_channel *c, tw_status status, const char *message) {
  if (c && c->tell && status != TW_OK) c->tell(c, status, message);
}
static inline void tw_channel_destroy(tw_channel *c) {
  if (c) c->close(c);
}

#endif
