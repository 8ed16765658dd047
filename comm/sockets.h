// Where the connections to the other party come from: TCP over IPv4 or IPv6, awaited or dialled, by a detour where
// there is no straight way, or opened before this process began. Whoever is at the other end is not known here:
// comm/tls.h finds out.
#ifndef TW_SOCKETS_H
#define TW_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tw_sockets tw_sockets;

// What people type: one of the first three.
typedef struct {
  const char *listen;   // "[ADDR:]PORT", or "fd:N", or "fd:N,N,..."
  const char *connect;  // "HOST:PORT", or "fd:N,N,..."
  const char *relay;    // "HOST:PORT" of a line relay (comm/line_relay.h)
  const char *proxy;    // with connect or relay, one of these or none: "http://HOST:PORT",
  const char *command;  // or a command (comm/detours.h)
  const char *option;   // what the place is called in messages; NULL: --listen, --connect or --relay
} tw_route;

// TW_ERR_USAGE for words that are none of these or do not go together. Opens nothing.
tw_status tw_route_check(const tw_route *ways);

// An IPv6 address stands in brackets. Without ADDR all addresses of this host are listened on, with a name of several
// all of these; port 0: one that is free, see tw_sockets_port. A host that is dialled is looked up when it is. fd: what
// this process has inherited: of `listen` one socket that listens, or connected ones, in the order in which they are to
// be used; of `connect` connected ones. They belong to this object from here on.
// TW_ERR_USAGE for words that are none of these or do not go together; TW_ERR_IO where the system refuses.
// Close with tw_sockets_close, also after the last connection, so that nobody else queues.
tw_status tw_sockets_open(const tw_route *ways, tw_sockets **out);
int tw_sockets_port(const tw_sockets *s);  // of the first address that is listened on; 0: none
// Something on the way takes a connection before the other party is there, and ends it when that does not come: a
// connection over which nothing has come is to be tried again.
bool tw_sockets_detour(const tw_sockets *s);

// The next connection, without delay of small packets, not blocking; the caller closes it. Dialling goes through all
// addresses of the host. Until the first connection is there it begins again when nobody listens yet; later that is
// TW_ERR_PEER at once. TW_ERR_PEER too when `until_ns` (tw_clock_ns) passes; TW_ERR_USAGE for a host that has no
// address, and where no inherited descriptor is left.
tw_status tw_sockets_next(tw_sockets *s, uint64_t until_ns, int *fd);
void tw_sockets_close(tw_sockets *s);

// Waits until fd can be read (events POLLIN), written (POLLOUT) or has failed. False: `until_ns` has passed.
bool tw_socket_ready(int fd, short events, uint64_t until_ns);
// Closes fd, so that what was sent last is not lost behind what was not read: waits for the other end until `until_ns`.
void tw_socket_hang_up(int fd, uint64_t until_ns);

#endif
