#define _GNU_SOURCE
#include "comm/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

enum { MOST_ADDRESSES = 16, MOST_HOST = 256 };
static const uint64_t attempt_ns = 10000000000u;  // for one address: behind it may be a wall that says nothing
static const uint64_t pause_ns = 500000000;       // before all addresses are tried again

struct tw_sockets {
  char host[MOST_HOST], port[8];
  bool dials, connected;
  struct pollfd fds[MOST_ADDRESSES];  // that listen
  int count;
};

// ---- names

static tw_status no_place(const char *where, bool dials) {
  return tw_fail(TW_ERR_USAGE, "'%s': is not %s; an IPv6 address stands in brackets: [::1]:4433", where,
                 dials ? "HOST:PORT" : "PORT or ADDR:PORT");
}

static bool is_port(const char *text, bool zero) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  long port = strtol(text, &end, 10);
  return *end == '\0' && port >= (zero ? 0 : 1) && port <= 65535 && end - text <= 5;
}

// "[ADDR]:PORT", "HOST:PORT" or "PORT".
static tw_status split(const char *where, bool dials, tw_sockets *s) {
  const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
  const char *host = where;
  size_t length = colon ? (size_t)(colon - where) : 0;
  if (!is_port(port, !dials) || (dials && length == 0) || (colon && length == 0)) return no_place(where, dials);
  if (length && host[0] == '[') {
    if (length < 3 || host[length - 1] != ']') return no_place(where, dials);
    host++;
    length -= 2;
  } else if (memchr(host, ':', length)) {
    return no_place(where, dials);
  }
  if (length >= sizeof s->host) return no_place(where, dials);
  snprintf(s->host, sizeof s->host, "%.*s", (int)length, host);
  snprintf(s->port, sizeof s->port, "%s", port);
  return TW_OK;
}

static tw_status make(const char *where, bool dials, tw_sockets **out) {
  tw_sockets *s;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->dials = dials;
  tw_status status = split(where, dials, s);
  if (status == TW_OK)
    *out = s;
  else
    tw_free(s);
  return status;
}

static int look_up(const tw_sockets *s, struct addrinfo **list) {
  struct addrinfo hints = {
      .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (s->dials ? 0 : AI_PASSIVE)};
  return getaddrinfo(*s->host ? s->host : NULL, s->port, &hints, list);
}

// ---- listening

static int port_of(int fd) {
  struct sockaddr_storage a = {0};
  socklen_t size = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &size) != 0) return 0;
  if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
  return a.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&a)->sin_port) : 0;
}

static int listen_on(const struct addrinfo *a) {
  int on = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // the port of a run that has just ended
  // each address has a socket of its own, also where all are asked for
  if (a->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 64) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// Port 0 gets a number at the first address, which the others take, too.
static void set_port(struct addrinfo *a, int port) {
  if (a->ai_family == AF_INET6) ((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_port = htons((uint16_t)port);
  if (a->ai_family == AF_INET) ((struct sockaddr_in *)(void *)a->ai_addr)->sin_port = htons((uint16_t)port);
}

tw_status tw_sockets_listen(const char *where, tw_sockets **out) {
  struct addrinfo *list = NULL;
  int error = 0;
  TW_TRY(make(where, false, out));
  tw_sockets *s = *out;
  int rc = look_up(s, &list);
  for (struct addrinfo *a = list; rc == 0 && a && s->count < MOST_ADDRESSES; a = a->ai_next) {
    if (s->count) set_port(a, tw_sockets_port(s));
    int fd = listen_on(a);
    if (fd >= 0)
      s->fds[s->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    else if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
      error = errno;
  }
  if (list) freeaddrinfo(list);
  if (s->count && !error) return TW_OK;
  tw_sockets_close(s);
  *out = NULL;
  if (rc != 0) return tw_fail(TW_ERR_USAGE, "--listen %s: %s", where, gai_strerror(rc));
  return tw_fail(TW_ERR_IO, "--listen %s: %s; name a free port and an address of this host", where,
                 error ? strerror(error) : "this host has no such address");
}

int tw_sockets_port(const tw_sockets *s) { return s->count ? port_of(s->fds[0].fd) : 0; }

static int milliseconds_to(uint64_t until_ns) {
  uint64_t now = tw_clock_ns();
  if (now >= until_ns) return 0;
  uint64_t left = (until_ns - now) / 1000000 + 1;
  return left < 1000000 ? (int)left : 1000000;
}

static tw_status answer(tw_sockets *s, uint64_t until_ns, int *fd) {
  for (;;) {
    for (int i = 0; i < s->count; i++) {
      *fd = accept4(s->fds[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (*fd >= 0) return TW_OK;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        return tw_fail(TW_ERR_IO, "cannot take a connection on port %d: %s", tw_sockets_port(s), strerror(errno));
    }
    if (tw_clock_ns() >= until_ns)
      return tw_fail(TW_ERR_PEER, "nobody has connected to port %d in time", tw_sockets_port(s));
    poll(s->fds, (nfds_t)s->count, milliseconds_to(until_ns));
  }
}

// ---- dialling

tw_status tw_sockets_dial(const char *where, tw_sockets **out) { return make(where, true, out); }

bool tw_socket_ready(int fd, short events, uint64_t until_ns) {
  for (;;) {
    struct pollfd p = {.fd = fd, .events = events};
    int left = milliseconds_to(until_ns);
    if (poll(&p, 1, left) > 0) return true;
    if (left == 0) return false;
  }
}

// 0, or the error.
static int dial_one(const struct addrinfo *a, uint64_t until_ns, int *fd) {
  int error = 0;
  socklen_t size = sizeof error;
  *fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
  if (*fd < 0) return errno;
  if (connect(*fd, a->ai_addr, a->ai_addrlen) != 0) error = errno;
  if (error == EINPROGRESS || error == EINTR) {
    error = ETIMEDOUT;
    if (tw_socket_ready(*fd, POLLOUT, until_ns) && getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      error = errno;
  }
  if (error) {
    close(*fd);
    *fd = -1;
  }
  return error;
}

// Each address of the host in turn, in the order that the system prefers. The last error says why there is none.
static int dial_all(const struct addrinfo *list, uint64_t until_ns, int *fd) {
  int error = EADDRNOTAVAIL;
  for (const struct addrinfo *a = list; a && error; a = a->ai_next) {
    uint64_t now = tw_clock_ns(), end = now + attempt_ns < until_ns ? now + attempt_ns : until_ns;
    if (now >= until_ns) break;
    error = dial_one(a, end, fd);
  }
  return error;
}

static tw_status dial(tw_sockets *s, uint64_t until_ns, int *fd) {
  for (;;) {
    struct addrinfo *list = NULL;
    int rc = look_up(s, &list), error = 0;
    if (rc == 0) error = dial_all(list, until_ns, fd);
    if (list) freeaddrinfo(list);
    if (rc == 0 && !error) return TW_OK;
    if (rc != 0 && rc != EAI_AGAIN)
      return tw_fail(TW_ERR_USAGE, "--connect %s:%s: %s", s->host, s->port, gai_strerror(rc));
    uint64_t now = tw_clock_ns();
    if (s->connected || now + pause_ns >= until_ns)
      return tw_fail(TW_ERR_PEER, "no connection to %s, port %s: %s", s->host, s->port,
                     rc ? gai_strerror(rc) : strerror(error));
    nanosleep(&(struct timespec){0, (long)pause_ns}, NULL);
  }
}

tw_status tw_sockets_next(tw_sockets *s, uint64_t until_ns, int *fd) {
  int on = 1;
  *fd = -1;
  TW_TRY(s->dials ? dial(s, until_ns, fd) : answer(s, until_ns, fd));
  setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);  // a wall on the way forgets what is silent
  s->connected = true;
  return TW_OK;
}

void tw_sockets_close(tw_sockets *s) {
  if (!s) return;
  for (int i = 0; i < s->count; i++) close(s->fds[i].fd);
  tw_free(s);
}

// A connection that is closed over bytes that were not read is reset, and the other end may lose what it has not read.
void tw_socket_hang_up(int fd, uint64_t until_ns) {
  char rest[4096];
  shutdown(fd, SHUT_WR);
  for (;;) {
    ssize_t n = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) break;
    if (n < 0 && !tw_socket_ready(fd, POLLIN, until_ns)) break;
    if (tw_clock_ns() >= until_ns) break;
  }
  close(fd);
}
