// Ways to a host that cannot be dialled: an HTTP proxy, which joins two connections when it is asked to (CONNECT,
// RFC 9110, section 9.3.6), and a command whose standard input and output are the connection, as ssh's ProxyCommand is.
#ifndef TW_DETOURS_H
#define TW_DETOURS_H

#include "comm/places.h"

// "http://HOST:PORT", with or without a slash behind it. TW_ERR_USAGE for anything else: twain has no names and
// passwords for proxies, and speaks no TLS with them.
tw_status tw_proxy_parse(const char *url, tw_socket_place *out);
// fd: connected to the proxy, not blocking. Asks for a connection to the place; behind the answer to that fd is it.
// TW_ERR_PEER with the proxy's own words where it refuses, or does not answer by `until_ns` (tw_clock_ns). *absent: it
// finds nobody there, which may change.
tw_status tw_proxy_ask(int fd, const tw_socket_place *proxy, const tw_socket_place *to, uint64_t until_ns,
                       bool *absent);

// Starts `command` by the shell, %h and %p replaced by the place's host and port, %% by one %. *fd: what it reads and
// writes; it ends when that is closed. TW_ERR_USAGE for another %, TW_ERR_IO where it cannot be started.
tw_status tw_command_start(const char *command, const tw_socket_place *to, int *fd);

#endif
