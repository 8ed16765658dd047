// Where the connections to the other party come from: TCP over IPv4 or IPv6, awaited or dialled. Whoever is at the
// other end is not known here: comm/tls.h finds out.
#ifndef TW_SOCKETS_H
#define TW_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tw_sockets tw_sockets;

// where: "[ADDR:]PORT", an IPv6 address in brackets; without ADDR all addresses of this host, with a name of several
// all of these. Port 0: one that is free, see tw_sockets_port. TW_ERR_USAGE for what is none; TW_ERR_IO where the
// system refuses it. Close with tw_sockets_close, also after the last connection, so that nobody else queues.
tw_status tw_sockets_listen(const char *where, tw_sockets **out);
// where: "HOST:PORT". HOST is looked up when it is dialled.
tw_status tw_sockets_dial(const char *where, tw_sockets **out);
int tw_sockets_port(const tw_sockets *s);  // of the first address that is listened on; 0: it dials

// The next connection, without delay of small packets, not blocking; the caller closes it. Dialling goes through all
// addresses of the host. Until the first connection is there it begins again when nobody listens yet; later that is
// TW_ERR_PEER at once. TW_ERR_PEER too when `until_ns` (tw_clock_ns) passes; TW_ERR_USAGE for a host that has no
// address.
tw_status tw_sockets_next(tw_sockets *s, uint64_t until_ns, int *fd);
void tw_sockets_close(tw_sockets *s);

// Waits until fd can be read (events POLLIN), written (POLLOUT) or has failed. False: `until_ns` has passed.
bool tw_socket_ready(int fd, short events, uint64_t until_ns);
// Closes fd, so that what was sent last is not lost behind what was not read: waits for the other end until `until_ns`.
void tw_socket_hang_up(int fd, uint64_t until_ns);

#endif
