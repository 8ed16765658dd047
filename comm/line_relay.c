#define _GNU_SOURCE
#include "comm/line_relay.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/line_pair.h"
#include "comm/refusals.h"

enum {
  STOP_RECORD = 128,  // a signalfd's record, so one request a read
  MOST_POLLED = 1 + 2 * TW_MOST_LISTENERS + 2 + 2 * TW_LINE_RELAY_MOST,
  ACCEPTS = 16,  // at a port, before the joined ones have their turn
  TICK = 200     // milliseconds, while something has a limit
};
static const uint64_t pause_ns = 100000000;  // when the system has no descriptor or memory for one more connection

// A port, and the connection that waits there.
typedef struct {
  int listeners[TW_MOST_LISTENERS], count;
  int waiting;  // -1: none
  uint64_t since_ns;
  struct sockaddr_storage from;   // of the waiting connection
  struct sockaddr_storage owner;  // of the run under way
} side;

typedef struct {
  uint64_t begun_ns, moved_ns, bytes;
  int pairs;  // joined in all
} run;

struct tw_line_relay {
  tw_line_relay_options o;
  side sides[2];
  tw_line_pair *pairs[TW_LINE_RELAY_MOST];
  int count, stops;
  run run;             // while count > 0
  uint64_t paused_ns;  // until then nobody is taken
  tw_refusals refusals;
};

__attribute__((format(printf, 2, 3))) static void note(const tw_line_relay *r, const char *format, ...) {
  char text[512];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  r->o.note(r->o.state, text);
}

static void note_refusal(tw_line_relay *r, int party, const struct sockaddr *from, const char *why) {
  char address[TW_ADDRESS_TEXT], text[sizeof r->refusals.last];
  tw_address_text(from, address);
  snprintf(text, sizeof text, "%s at the port of party %d: %s", address, party, why);
  tw_refusals_add(&r->refusals, text);
}

// ---- the two ports

tw_status tw_line_relay_create(const tw_line_relay_options *o, tw_line_relay **out) {
  tw_line_relay *r;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *r, (void **)&r));
  r->o = *o;
  r->refusals = (tw_refusals){.note = o->note, .state = o->state};
  r->sides[0].waiting = r->sides[1].waiting = -1;
  tw_status status = TW_OK;
  for (int i = 0; i < 2 && status == TW_OK; i++)
    status = tw_place_listen(o->option[i], &o->place[i], r->sides[i].listeners, &r->sides[i].count);
  if (status == TW_OK)
    *out = r;
  else
    tw_line_relay_destroy(r);
  return status;
}

static void stop_listening(tw_line_relay *r) {
  for (int i = 0; i < 2; i++) {
    side *s = &r->sides[i];
    while (s->count) close(s->listeners[--s->count]);
    if (s->waiting >= 0) close(s->waiting);
    s->waiting = -1;
  }
}

void tw_line_relay_destroy(tw_line_relay *r) {
  if (!r) return;
  stop_listening(r);
  while (r->count) tw_line_pair_destroy(r->pairs[--r->count]);
  tw_free(r);
}

int tw_line_relay_port(const tw_line_relay *r, int party) { return tw_socket_port(r->sides[party].listeners[0]); }

// ---- a run

static void begin_run(tw_line_relay *r) {
  char address[2][TW_ADDRESS_TEXT];
  r->run = (run){.begun_ns = tw_clock_ns()};
  for (int i = 0; i < 2; i++) {
    r->sides[i].owner = r->sides[i].from;
    tw_address_text((struct sockaddr *)&r->sides[i].from, address[i]);
  }
  note(r, "a run begins: party 0 from %s, party 1 from %s", address[0], address[1]);
}

static void end_run(tw_line_relay *r, const char *why) {
  while (r->count) tw_line_pair_destroy(r->pairs[--r->count]);
  note(r, "the run has ended%s: %d connections, %" PRIu64 " bytes, %.1f s", why, r->run.pairs, r->run.bytes,
       1e-9 * (double)(tw_clock_ns() - r->run.begun_ns));
}

static void join(tw_line_relay *r) {
  int fds[2] = {r->sides[0].waiting, r->sides[1].waiting};
  if (fds[0] < 0 || fds[1] < 0) return;
  r->sides[0].waiting = r->sides[1].waiting = -1;
  if (tw_line_pair_create(fds, &r->pairs[r->count]) != TW_OK) {
    note(r, "two connections are given up: %s", tw_error_message());
    return;
  }
  if (r->count == 0) begin_run(r);
  r->count++;
  r->run.pairs++;
  r->run.moved_ns = tw_clock_ns();
}

// Whether a limit of the run under way is passed; why it ends.
static const char *passed_limit(const tw_line_relay *r, uint64_t now) {
  if (1e-9 * (double)(now - r->run.moved_ns) >= r->o.silence_seconds) return " by --silence-limit";
  if (r->o.whole_seconds > 0 && 1e-9 * (double)(now - r->run.begun_ns) >= r->o.whole_seconds) return " by --time-limit";
  if (r->o.most_bytes && r->run.bytes >= r->o.most_bytes) return " by --byte-limit";
  return NULL;
}

static void look_at_run(tw_line_relay *r) {
  uint64_t now = tw_clock_ns();
  if (r->count == 0) return;
  for (int i = 0; i < r->count;) {
    if (!tw_line_pair_over(r->pairs[i], now)) {
      i++;
      continue;
    }
    tw_line_pair_destroy(r->pairs[i]);
    r->pairs[i] = r->pairs[--r->count];
  }
  const char *why = r->count ? passed_limit(r, now) : "";
  if (why) end_run(r, why);
}

// ---- who comes

static const char *objection(const tw_line_relay *r, int party, const struct sockaddr *from) {
  const side *s = &r->sides[party];
  if (!tw_nets_hold(&r->o.allow[party], from)) return "its address is not allowed";
  if (r->count && !tw_same_host(from, (const struct sockaddr *)&s->owner)) return "a run of other hosts is under way";
  if (r->count >= r->o.connections) return "the run has as many connections as are allowed";
  if (s->waiting >= 0) return "another connection was first";
  return NULL;
}

static void welcome(tw_line_relay *r, int party, int fd, const struct sockaddr_storage *from) {
  int on = 1;
  side *s = &r->sides[party];
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  s->waiting = fd;
  s->since_ns = tw_clock_ns();
  s->from = *from;
  join(r);
}

// False: nobody more is there just now.
static bool take_one(tw_line_relay *r, int party, int listener) {
  struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof from;
  int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      r->paused_ns = tw_clock_ns() + pause_ns;
    return errno == ECONNABORTED || errno == EINTR;
  }
  const char *why = objection(r, party, (struct sockaddr *)&from);
  if (!why) {
    welcome(r, party, fd, &from);
    return true;
  }
  note_refusal(r, party, (struct sockaddr *)&from, why);
  close(fd);
  return true;
}

static void drop_waiting(tw_line_relay *r, int party, const char *why) {
  side *s = &r->sides[party];
  char address[TW_ADDRESS_TEXT];
  tw_address_text((struct sockaddr *)&s->from, address);
  if (why) note(r, "%s at the port of party %d: %s", address, party, why);
  close(s->waiting);
  s->waiting = -1;
}

static void look_at_waiting(tw_line_relay *r) {
  for (int i = 0; i < 2; i++) {
    const side *s = &r->sides[i];
    if (s->waiting < 0 || 1e-9 * (double)(tw_clock_ns() - s->since_ns) < r->o.complete_seconds) continue;
    drop_waiting(r, i, "nobody came to the other port in time");
  }
}

// ---- the loop

typedef struct {
  struct pollfd fds[MOST_POLLED];
  int listeners, waiting, pairs, count;  // where each begins
} watched;

static void add(watched *w, int fd, short events) { w->fds[w->count++] = (struct pollfd){.fd = fd, .events = events}; }

static void watch(const tw_line_relay *r, int stop_fd, watched *w) {
  bool paused = tw_clock_ns() < r->paused_ns;
  w->count = 0;
  add(w, stop_fd, POLLIN);
  w->listeners = w->count;
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < r->sides[i].count; k++) add(w, paused ? -1 : r->sides[i].listeners[k], POLLIN);
  w->waiting = w->count;
  for (int i = 0; i < 2; i++) add(w, r->sides[i].waiting, POLLRDHUP);
  w->pairs = w->count;
  for (int i = 0; i < r->count; i++) {
    tw_line_pair_wants(r->pairs[i], &w->fds[w->count]);
    w->count += 2;
  }
}

static int patience(const tw_line_relay *r) {
  bool limited = r->count || r->sides[0].waiting >= 0 || r->sides[1].waiting >= 0 || r->refusals.unsaid ||
                 tw_clock_ns() < r->paused_ns;
  return limited ? TICK : -1;
}

static void move_pairs(tw_line_relay *r, const watched *w) {
  for (int i = 0; i < r->count; i++) {
    if (!w->fds[w->pairs + 2 * i].revents && !w->fds[w->pairs + 2 * i + 1].revents) continue;
    uint64_t bytes = tw_line_pair_move(r->pairs[i]);
    r->run.bytes += bytes;
    if (bytes) r->run.moved_ns = tw_clock_ns();
  }
}

// What was watched is gone as soon as anybody is taken, so the joined ones come first.
static void serve(tw_line_relay *r, const watched *w) {
  move_pairs(r, w);
  for (int i = 0; i < 2; i++)
    if (w->fds[w->waiting + i].revents) drop_waiting(r, i, NULL);
  for (int i = 0, at = w->listeners; i < 2; i++)
    for (int k = 0; k < r->sides[i].count; k++, at++)
      for (int n = 0; n < ACCEPTS && w->fds[at].revents && take_one(r, i, w->fds[at].fd); n++) continue;
  look_at_waiting(r);
  look_at_run(r);
}

static void hear_stop(tw_line_relay *r, int stop_fd) {
  char record[STOP_RECORD];
  if (read(stop_fd, record, sizeof record) <= 0) return;
  r->stops++;
  stop_listening(r);
  if (r->stops == 1 && r->count) note(r, "stops when the run that is under way has ended; a second signal ends it");
  if (r->stops > 1 && r->count) end_run(r, " by a signal");
}

tw_status tw_line_relay_work(tw_line_relay *r, int stop_fd) {
  watched w;
  while (!r->stops || r->count) {
    watch(r, stop_fd, &w);
    if (poll(w.fds, (nfds_t)w.count, patience(r)) < 0 && errno != EINTR)
      return tw_fail(TW_ERR_IO, "cannot wait for connections: %s", strerror(errno));
    if (w.fds[0].revents) {
      hear_stop(r, stop_fd);
      continue;
    }
    serve(r, &w);
    tw_refusals_say(&r->refusals, false);
  }
  tw_refusals_say(&r->refusals, true);
  return TW_OK;
}
