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
#include "comm/detours.h"
#include "comm/places.h"

enum { MOST_GIVEN = 32 };
static const uint64_t attempt_ns = 10000000000u;  // for one address: behind it may be a wall that says nothing
static const uint64_t proxy_ns = 90000000000u;    // for a proxy, which dials in turn
static const uint64_t pause_ns = 500000000;       // before all addresses are tried again

struct tw_sockets {
  const char *option;     // that named the place
  tw_socket_place place;  // to be dialled
  tw_socket_place proxy;  // host "": none
  char *command;          // or NULL
  bool dials, connected, detour;
  int listeners[TW_MOST_LISTENERS], count;
  int given[MOST_GIVEN], given_count, used;  // inherited; `used` of them are the callers'
};

// ---- inherited descriptors

static tw_status no_descriptor(const char *option, const char *where, const char *why) {
  return tw_fail(TW_ERR_USAGE, "%s %s: %s; fd:3 is descriptor 3, and fd:3,4 are two", option, where, why);
}

// Connected, or, for `may_listen`, listening.
static tw_status take_descriptor(tw_sockets *s, const char *where, int fd, bool may_listen) {
  int type = 0, listens = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
    return no_descriptor(s->option, where, "a descriptor is not an inherited socket of a stream");
  if (fd <= STDERR_FILENO)  // once closed, its number is the next file's, and that gets what is printed
    return no_descriptor(s->option, where, "0, 1 and 2 are for what is typed and printed");
  size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) listens = 0;
  if (listens && !may_listen)
    return no_descriptor(s->option, where, "a descriptor listens, and is needed alone, by --listen");
  for (int i = 0; i < s->given_count; i++)
    if (s->given[i] == fd) return no_descriptor(s->option, where, "a descriptor is named twice");
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return no_descriptor(s->option, where, strerror(errno));
  if (listens)
    s->listeners[s->count++] = fd;
  else
    s->given[s->given_count++] = fd;
  return TW_OK;
}

static tw_status take_descriptors(tw_sockets *s, const char *where, bool listen) {
  for (const char *at = where + 3;; at++) {
    char *end;
    long fd = strtol(at, &end, 10);
    if (*at < '0' || *at > '9' || fd > 1 << 20 || (*end && *end != ','))
      return no_descriptor(s->option, where, "is no list of descriptors");
    if (s->given_count == MOST_GIVEN) return no_descriptor(s->option, where, "too many descriptors");
    TW_TRY(take_descriptor(s, where, (int)fd, listen && at == where + 3 && !*end));
    at = end;
    if (!*at) return TW_OK;
  }
}

// ---- opening

static bool inherited(const char *where) { return where && strncmp(where, "fd:", 3) == 0; }

static tw_status check_ways(const tw_route *w) {
  const char *where = w->listen ? w->listen : w->connect;
  if (!!w->listen + !!w->connect + !!w->relay != 1)
    return tw_fail(TW_ERR_USAGE, "one of --listen, --connect and --relay is needed, and no more");
  if (w->proxy && w->command) return tw_fail(TW_ERR_USAGE, "either --proxy or --proxy-command");
  if ((w->proxy || w->command) && (w->listen || inherited(where)))
    return tw_fail(TW_ERR_USAGE, "%s: is a way to HOST:PORT of --connect or --relay",
                   w->proxy ? "--proxy" : "--proxy-command");
  return TW_OK;
}

static const char *option_of(const tw_route *w) {
  return w->option ? w->option : w->listen ? "--listen" : w->connect ? "--connect" : "--relay";
}

tw_status tw_route_check(const tw_route *w) {
  tw_socket_place place;
  TW_TRY(check_ways(w));
  if (w->proxy) TW_TRY(tw_proxy_parse(w->proxy, &place));
  const char *where = w->listen ? w->listen : w->connect ? w->connect : w->relay;
  return inherited(w->relay ? NULL : where) ? TW_OK : tw_place_parse(option_of(w), where, !w->listen, &place);
}

static tw_status open_dialling(tw_sockets *s, const tw_route *w) {
  s->dials = true;
  s->detour = w->relay || w->command;
  TW_TRY(tw_place_parse(s->option, w->relay ? w->relay : w->connect, true, &s->place));
  if (w->proxy) TW_TRY(tw_proxy_parse(w->proxy, &s->proxy));
  if (!w->command) return TW_OK;
  s->command = strdup(w->command);
  return s->command ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for a command");
}

static tw_status open_as(tw_sockets *s, const tw_route *w) {
  const char *where = w->listen ? w->listen : w->connect;
  s->option = option_of(w);
  if (inherited(where)) return take_descriptors(s, where, w->listen != NULL);
  if (!w->listen) return open_dialling(s, w);
  TW_TRY(tw_place_parse(s->option, w->listen, false, &s->place));
  return tw_place_listen(s->option, &s->place, s->listeners, &s->count);
}

tw_status tw_sockets_open(const tw_route *ways, tw_sockets **out) {
  tw_sockets *s;
  *out = NULL;
  TW_TRY(check_ways(ways));
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  tw_status status = open_as(s, ways);
  if (status == TW_OK)
    *out = s;
  else
    tw_sockets_close(s);
  return status;
}

int tw_sockets_port(const tw_sockets *s) { return s->count ? tw_socket_port(s->listeners[0]) : 0; }
bool tw_sockets_detour(const tw_sockets *s) { return s->detour; }

// ---- listening

static int milliseconds_to(uint64_t until_ns) {
  uint64_t now = tw_clock_ns();
  if (now >= until_ns) return 0;
  uint64_t left = (until_ns - now) / 1000000 + 1;
  return left < 1000000 ? (int)left : 1000000;
}

static tw_status answer(tw_sockets *s, uint64_t until_ns, int *fd) {
  struct pollfd fds[TW_MOST_LISTENERS];
  uint64_t begin_ns = tw_clock_ns();
  for (;;) {
    for (int i = 0; i < s->count; i++) {
      *fd = accept4(s->listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (*fd >= 0) return TW_OK;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        return tw_fail(TW_ERR_IO, "cannot take a connection on port %d: %s", tw_sockets_port(s), strerror(errno));
      fds[i] = (struct pollfd){.fd = s->listeners[i], .events = POLLIN};
    }
    if (tw_clock_ns() >= until_ns)
      return tw_fail(TW_ERR_PEER, "nobody has connected to port %d in time (waited for %.1f s)", tw_sockets_port(s),
                     1e-9 * (double)(tw_clock_ns() - begin_ns));
    poll(fds, (nfds_t)s->count, milliseconds_to(until_ns));
  }
}

// ---- dialling

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

// *absent: nobody is there yet.
static tw_status dial_place(const char *option, const tw_socket_place *p, uint64_t until_ns, int *fd, bool *absent) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
  struct addrinfo *list = NULL;
  int rc = getaddrinfo(p->host, p->port, &hints, &list), error = 0;
  if (rc == 0) error = dial_all(list, until_ns, fd);
  if (list) freeaddrinfo(list);
  *absent = rc == 0 || rc == EAI_AGAIN;
  if (rc == 0 && !error) return TW_OK;
  if (!*absent) return tw_fail(TW_ERR_USAGE, "%s %s:%s: %s", option, p->host, p->port, gai_strerror(rc));
  return tw_fail(TW_ERR_PEER, "no connection to %s, port %s: %s", p->host, p->port,
                 rc ? gai_strerror(rc) : strerror(error));
}

static tw_status dial_once(tw_sockets *s, uint64_t until_ns, int *fd, bool *absent) {
  *absent = false;
  if (s->command) return tw_command_start(s->command, &s->place, fd);
  if (!*s->proxy.host) return dial_place(s->option, &s->place, until_ns, fd, absent);
  TW_TRY(dial_place("--proxy", &s->proxy, until_ns, fd, absent));
  uint64_t limit = tw_clock_ns() + proxy_ns;
  tw_status status = tw_proxy_ask(*fd, &s->proxy, &s->place, limit < until_ns ? limit : until_ns, absent);
  if (status == TW_OK) return TW_OK;
  close(*fd);
  *fd = -1;
  return status;
}

// Nobody was there: for how long.
static tw_status tried(tw_status status, uint64_t begin_ns) {
  char message[1024];
  snprintf(message, sizeof message, "%s", tw_error_message());
  return tw_fail(status, "%s (tried for %.1f s)", message, 1e-9 * (double)(tw_clock_ns() - begin_ns));
}

static tw_status dial(tw_sockets *s, uint64_t until_ns, int *fd) {
  uint64_t begin_ns = tw_clock_ns();
  for (;;) {
    bool absent;
    tw_status status = dial_once(s, until_ns, fd, &absent);
    if (status == TW_OK || !absent) return status;
    if ((s->connected && !s->detour) || tw_clock_ns() + pause_ns >= until_ns) return tried(status, begin_ns);
    nanosleep(&(struct timespec){0, (long)pause_ns}, NULL);
  }
}

static tw_status next_given(tw_sockets *s, int *fd) {
  if (s->used == s->given_count)
    return tw_fail(TW_ERR_USAGE, "%s names %d descriptors, and two are needed for each of --streams", s->option,
                   s->given_count);
  *fd = s->given[s->used++];
  return TW_OK;
}

tw_status tw_sockets_next(tw_sockets *s, uint64_t until_ns, int *fd) {
  int on = 1;
  *fd = -1;
  if (s->given_count)
    TW_TRY(next_given(s, fd));
  else
    TW_TRY(s->dials ? dial(s, until_ns, fd) : answer(s, until_ns, fd));
  setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);  // a wall on the way forgets what is silent
  s->connected = true;
  return TW_OK;
}

void tw_sockets_close(tw_sockets *s) {
  if (!s) return;
  for (int i = 0; i < s->count; i++) close(s->listeners[i]);
  while (s->used < s->given_count) close(s->given[s->used++]);
  free(s->command);
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
