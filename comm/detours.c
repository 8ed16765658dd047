#define _GNU_SOURCE
#include "comm/detours.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "comm/sockets.h"

enum { MOST_ANSWER = 16384, MOST_COMMAND = 4096 };

// ---- an HTTP proxy

tw_status tw_proxy_parse(const char *url, tw_socket_place *out) {
  static const char scheme[] = "http://";
  char where[TW_MOST_HOST + 16];
  size_t length = strlen(url);
  if (length && url[length - 1] == '/') length--;
  if (strncmp(url, scheme, sizeof scheme - 1) != 0 || length >= sizeof where || memchr(url, '@', length) ||
      memchr(url + sizeof scheme - 1, '/', length - (sizeof scheme - 1)))
    return tw_fail(TW_ERR_USAGE,
                   "--proxy '%s': is not http://HOST:PORT; a proxy that asks for a name or a password, or for TLS, can "
                   "be reached by --proxy-command and a program that knows it",
                   url);
  snprintf(where, sizeof where, "%.*s", (int)(length - (sizeof scheme - 1)), url + sizeof scheme - 1);
  return tw_place_parse("--proxy", where, true, out);
}

static tw_status send_all(int fd, const char *text, size_t bytes, uint64_t until_ns) {
  while (bytes) {
    ssize_t n = send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      return tw_fail(TW_ERR_PEER, "the proxy has closed the connection: %s", strerror(errno));
    if (n < 0 && !tw_socket_ready(fd, POLLOUT, until_ns))
      return tw_fail(TW_ERR_PEER, "the proxy takes nothing: silence");
    if (n > 0) text += n, bytes -= (size_t)n;
  }
  return TW_OK;
}

// Whether what came so far can be the beginning of an answer.
static bool like_http(const char *text, size_t length) {
  static const char begin[] = "HTTP/1.";
  size_t n = length < sizeof begin - 1 ? length : sizeof begin - 1;
  return memcmp(text, begin, n) == 0 && (length < 9 || text[8] == ' ');
}

// The head of the answer, to the blank line and no byte further: what stands behind it is the other party's.
static tw_status read_head(int fd, uint64_t until_ns, char *head, size_t room) {
  for (size_t length = 0; length + 1 < room;) {
    ssize_t n = recv(fd, head + length, room - 1 - length, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0) return tw_fail(TW_ERR_PEER, "the proxy has closed the connection without an answer");
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      return tw_fail(TW_ERR_PEER, "the proxy has cut the connection: %s", strerror(errno));
    if (n < 0) {
      if (!tw_socket_ready(fd, POLLIN, until_ns)) return tw_fail(TW_ERR_PEER, "the proxy says nothing: silence");
      continue;
    }
    size_t came = length + (size_t)n;
    head[came] = '\0';
    const char *end = memmem(head, came, "\r\n\r\n", 4);
    size_t take = end ? (size_t)(end + 4 - head) - length : (size_t)n;
    if (recv(fd, head + length, take, MSG_DONTWAIT) != (ssize_t)take)
      return tw_fail(TW_ERR_PEER, "the proxy has cut the connection");
    length += take;
    head[length] = '\0';
    if (!like_http(head, length)) return tw_fail(TW_ERR_PEER, "what answers there is no HTTP proxy");
    if (end) return TW_OK;
  }
  return tw_fail(TW_ERR_PEER, "what answers there is no HTTP proxy: its answer does not end");
}

static tw_status judge(const char *head, const tw_socket_place *to, bool *absent) {
  char line[160];
  int code = atoi(head + 9);
  snprintf(line, sizeof line, "%.*s", (int)strcspn(head, "\r\n"), head);
  tw_text_make_plain(line);
  *absent = code == 502 || code == 503 || code == 504;
  if (code >= 200 && code < 300) return TW_OK;
  if (code == 407)
    return tw_fail(TW_ERR_PEER,
                   "the proxy asks for a name and a password (%s), and twain has none: have it let this host through, "
                   "or use --proxy-command and a program that knows them",
                   line);
  if (code == 403 || code == 405)
    return tw_fail(TW_ERR_PEER,
                   "the proxy does not allow connections to %s, port %s (%s); many allow port 443 only: have the other "
                   "party listen there, or ask for a rule",
                   to->host, to->port, line);
  if (*absent) return tw_fail(TW_ERR_PEER, "the proxy finds nobody at %s, port %s (%s)", to->host, to->port, line);
  return tw_fail(TW_ERR_PEER, "the proxy refuses (%s)", line);
}

tw_status tw_proxy_ask(int fd, const tw_socket_place *proxy, const tw_socket_place *to, uint64_t until_ns,
                       bool *absent) {
  char request[3 * TW_MOST_HOST], head[MOST_ANSWER], place[TW_MOST_HOST + 16];
  bool six = strchr(to->host, ':') != NULL;
  *absent = false;
  snprintf(place, sizeof place, "%s%s%s:%s", six ? "[" : "", to->host, six ? "]" : "", to->port);
  int length = snprintf(request, sizeof request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", place, place);
  tw_status status = send_all(fd, request, (size_t)length, until_ns);
  if (status == TW_OK) status = read_head(fd, until_ns, head, sizeof head);
  if (status == TW_OK) status = judge(head, to, absent);
  return status == TW_OK ? TW_OK : tw_fail_in(status, "--proxy %s:%s", proxy->host, proxy->port);
}

// ---- a command

static tw_status bad_command(const char *command) {
  return tw_fail(TW_ERR_USAGE,
                 "--proxy-command '%s': behind %% stands h (the host), p (the port) or %%, and all of it has "
                 "less than %d bytes",
                 command, MOST_COMMAND);
}

static tw_status fill_in(const char *command, const tw_socket_place *to, char *out, size_t room) {
  size_t used = (size_t)snprintf(out, room, "exec ");
  for (const char *at = command; *at; at++) {
    char one[2] = {*at, '\0'};
    const char *text = one;
    if (*at == '%' && *++at != '%') text = *at == 'h' ? to->host : *at == 'p' ? to->port : NULL;
    if (!text || used + strlen(text) >= room) return bad_command(command);
    used += (size_t)snprintf(out + used, room - used, "%s", text);
  }
  return TW_OK;
}

// The child has the usual signals, whatever this process holds back, and no descriptor but its three.
static int spawn(char *command, int end) {
  extern char **environ;
  char shell[] = "/bin/sh", option[] = "-c";
  char *const arguments[] = {shell, option, command, NULL};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  sigset_t none, usual;
  pid_t child;
  sigemptyset(&none);
  sigfillset(&usual);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&how);
  posix_spawn_file_actions_adddup2(&files, end, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, end, STDOUT_FILENO);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setsigdefault(&how, &usual);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int error = posix_spawn(&child, shell, &files, &how, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&how);
  return error;
}

tw_status tw_command_start(const char *command, const tw_socket_place *to, int *fd) {
  char text[MOST_COMMAND];
  int ends[2];
  *fd = -1;
  TW_TRY(fill_in(command, to, text, sizeof text));
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return tw_fail(TW_ERR_IO, "--proxy-command: no sockets: %s", strerror(errno));
  int error = spawn(text, ends[1]);
  close(ends[1]);
  if (error || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    close(ends[0]);
    return tw_fail(TW_ERR_IO, "--proxy-command: cannot start the shell: %s", strerror(error ? error : errno));
  }
  *fd = ends[0];
  return TW_OK;
}
