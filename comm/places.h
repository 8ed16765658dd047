// Addresses and ports as people type them, the sockets that listen there, and lists of addresses that may come.
#ifndef TW_PLACES_H
#define TW_PLACES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"

enum { TW_MOST_HOST = 256, TW_MOST_LISTENERS = 16, TW_MOST_NETS = 64, TW_ADDRESS_TEXT = 64 };

typedef struct {
  char host[TW_MOST_HOST], port[8];  // host "": none was said
} tw_socket_place;

// "HOST:PORT"; an IPv6 address stands in brackets. dials false: also "PORT" alone, and port 0, one that is free.
// option: for messages, as is in all functions here. TW_ERR_USAGE for anything else.
tw_status tw_place_parse(const char *option, const char *where, bool dials, tw_socket_place *out);

// Listens at all addresses of the place, not blocking; without a host at all of this machine. Port 0 becomes the same
// number at all of them. *count of fds[TW_MOST_LISTENERS] are the caller's to close. TW_ERR_USAGE for a host that has
// no address, TW_ERR_IO where the system refuses.
tw_status tw_place_listen(const char *option, const tw_socket_place *place, int *fds, int *count);
// The number of the port that fd is bound to; 0: it is no TCP socket.
int tw_socket_port(int fd);

// Who may come: networks.
typedef struct {
  struct {
    int family, bits;
    uint8_t address[16];
  } net[TW_MOST_NETS];
  int count;
  bool any;
} tw_nets;

// "192.0.2.7,198.51.100.0/24,2001:db8::/32", or "any". Numbers alone: what a name means may change. TW_ERR_USAGE.
tw_status tw_nets_parse(const char *option, const char *text, tw_nets *out);
bool tw_nets_hold(const tw_nets *nets, const struct sockaddr *address);
// The same host, at whatever port.
bool tw_same_host(const struct sockaddr *a, const struct sockaddr *b);
// "192.0.2.7", "2001:db8::1"; for messages.
void tw_address_text(const struct sockaddr *address, char text[TW_ADDRESS_TEXT]);

#endif
