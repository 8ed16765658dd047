#define _GNU_SOURCE
#include "comm/places.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- places

static tw_status no_place(const char *option, const char *where, bool dials) {
  return tw_fail(TW_ERR_USAGE, "%s '%s': is not %s; an IPv6 address stands in brackets: [::1]:4433", option, where,
                 dials ? "HOST:PORT" : "PORT or ADDR:PORT");
}

static bool is_port(const char *text, bool zero) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  long port = strtol(text, &end, 10);
  return *end == '\0' && port >= (zero ? 0 : 1) && port <= 65535 && end - text <= 5;
}

static bool is_host(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (text[i] <= ' ' || text[i] > '~') return false;
  return length < TW_MOST_HOST;
}

tw_status tw_place_parse(const char *option, const char *where, bool dials, tw_socket_place *out) {
  const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where, *host = where;
  size_t length = colon ? (size_t)(colon - where) : 0;
  if (!is_port(port, !dials) || ((dials || colon) && length == 0)) return no_place(option, where, dials);
  if (length && host[0] == '[') {
    if (length < 3 || host[length - 1] != ']') return no_place(option, where, dials);
    host++;
    length -= 2;
  } else if (memchr(host, ':', length)) {
    return no_place(option, where, dials);
  }
  if (!is_host(host, length)) return no_place(option, where, dials);
  snprintf(out->host, sizeof out->host, "%.*s", (int)length, host);
  snprintf(out->port, sizeof out->port, "%s", port);
  return TW_OK;
}

// ---- listening

int tw_socket_port(int fd) {
  struct sockaddr_storage a = {0};
  socklen_t size = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &size) != 0) return 0;
  if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)(void *)&a)->sin6_port);
  return a.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)(void *)&a)->sin_port) : 0;
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

static void set_port(struct addrinfo *a, int port) {
  if (a->ai_family == AF_INET6) ((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_port = htons((uint16_t)port);
  if (a->ai_family == AF_INET) ((struct sockaddr_in *)(void *)a->ai_addr)->sin_port = htons((uint16_t)port);
}

tw_status tw_place_listen(const char *option, const tw_socket_place *place, int *fds, int *count) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
  struct addrinfo *list = NULL;
  const char *colon = *place->host ? ":" : "";
  int error = 0, rc = getaddrinfo(*place->host ? place->host : NULL, place->port, &hints, &list);
  *count = 0;
  for (struct addrinfo *a = list; rc == 0 && a && *count < TW_MOST_LISTENERS; a = a->ai_next) {
    if (*count) set_port(a, tw_socket_port(fds[0]));
    int fd = listen_on(a);
    if (fd >= 0)
      fds[(*count)++] = fd;
    else if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
      error = errno;
  }
  if (list) freeaddrinfo(list);
  if (*count && !error) return TW_OK;
  while (*count) close(fds[--*count]);
  if (rc != 0) return tw_fail(TW_ERR_USAGE, "%s %s%s%s: %s", option, place->host, colon, place->port, gai_strerror(rc));
  return tw_fail(TW_ERR_IO, "%s %s%s%s: %s; name a free port and an address of this host", option, place->host, colon,
                 place->port, error ? strerror(error) : "this host has no such address");
}

// ---- lists of addresses

// Bytes of the address, NULL for another family than IPv4 and IPv6. An IPv4 address in IPv6's form is an IPv4 address.
static const uint8_t *bytes_of(const struct sockaddr *a, int *family) {
  *family = a->sa_family;
  if (a->sa_family == AF_INET) return (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
  if (a->sa_family != AF_INET6) return NULL;
  const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(six)) return six->s6_addr;
  *family = AF_INET;
  return six->s6_addr + 12;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, int bits) {
  int whole = bits / 8, rest = bits % 8;
  if (memcmp(a, b, (size_t)whole) != 0) return false;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

// Bits past the prefix must be zero: 192.0.2.7/24 is as likely a typing error for /32.
static bool parse_net(const char *text, size_t length, tw_nets *out) {
  char word[TW_ADDRESS_TEXT], *end;
  uint8_t rest[16];
  if (length == 0 || length >= sizeof word || out->count == TW_MOST_NETS) return false;
  snprintf(word, sizeof word, "%.*s", (int)length, text);
  char *slash = strchr(word, '/');
  if (slash) *slash = '\0';
  int n = out->count, family = strchr(word, ':') ? AF_INET6 : AF_INET, bytes = family == AF_INET6 ? 16 : 4;
  out->net[n].family = family;
  out->net[n].bits = 8 * bytes;
  if (inet_pton(family, word, out->net[n].address) != 1) return false;
  if (slash) {
    long bits = strtol(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end || bits > 8 * bytes) return false;
    out->net[n].bits = (int)bits;
  }
  memcpy(rest, out->net[n].address, sizeof rest);
  for (int i = 0; i < out->net[n].bits; i++) rest[i / 8] = (uint8_t)(rest[i / 8] & ~(0x80 >> i % 8));
  for (int i = 0; i < bytes; i++)
    if (rest[i]) return false;
  out->count++;
  return true;
}

tw_status tw_nets_parse(const char *option, const char *text, tw_nets *out) {
  *out = (tw_nets){.any = strcmp(text, "any") == 0};
  if (out->any) return TW_OK;
  for (const char *at = text;; at++) {
    size_t length = strcspn(at, ",");
    if (!parse_net(at, length, out))
      return tw_fail(TW_ERR_USAGE,
                     "%s '%.*s': is no address or network such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32 (bits "
                     "behind the prefix are 0; at most %d, with commas between them), and not the word any",
                     option, (int)length, at, TW_MOST_NETS);
    at += length;
    if (!*at) return TW_OK;
  }
}

bool tw_nets_hold(const tw_nets *nets, const struct sockaddr *address) {
  int family;
  const uint8_t *bytes = bytes_of(address, &family);
  if (nets->any) return true;
  for (int i = 0; bytes && i < nets->count; i++)
    if (nets->net[i].family == family && same_bits(nets->net[i].address, bytes, nets->net[i].bits)) return true;
  return false;
}

bool tw_same_host(const struct sockaddr *a, const struct sockaddr *b) {
  int one, other;
  const uint8_t *x = bytes_of(a, &one), *y = bytes_of(b, &other);
  return x && y && one == other && memcmp(x, y, one == AF_INET ? 4 : 16) == 0;
}

void tw_address_text(const struct sockaddr *address, char text[TW_ADDRESS_TEXT]) {
  int family;
  const uint8_t *bytes = bytes_of(address, &family);
  if (!bytes || !inet_ntop(family, bytes, text, TW_ADDRESS_TEXT)) snprintf(text, TW_ADDRESS_TEXT, "unknown");
}
