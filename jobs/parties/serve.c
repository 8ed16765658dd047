#define _GNU_SOURCE
#include "jobs/parties/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/refusals.h"
#include "comm/tls.h"
#include "jobs/parties/serve_client.h"

enum {
  STOP_RECORD = 128,  // a signalfd's record
  TICK = 200,         // milliseconds, when it stops
  LOOK = 1000,        // else
  MOST_CONNECTIONS = 256
};

// A connection and its thread.
typedef struct {
  pthread_t thread;
  tw_serve *serve;
  int fd, line;  // line: the same connection, to end it from outside
  char from[TW_ADDRESS_TEXT];
  bool used, done;  // done: to be joined; under the lock
} guest;

struct tw_serve {
  tw_serve_options o;
  tw_peer *peers;  // [2 * pairs]: party 0 and 1 of pair 0, ...
  tw_tls_context *context;
  tw_model_masks masks;
  tw_live_maker maker;
  tw_live_runs *runs;
  int listeners[TW_MOST_LISTENERS], count, stops;
  guest *guests;
  pthread_mutex_t lock;
  tw_refusals refusals;  // under the lock
};

__attribute__((format(printf, 2, 3))) static void note(const tw_serve *s, const char *format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  s->o.note(s->o.state, text);
}

// ---- whom it knows

static tw_status know_pairs(tw_serve *s) {
  const tw_site_pairs *pairs = s->o.pairs;
  TW_TRY(tw_alloc(sizeof *s->peers * 2 * (size_t)pairs->count, (void **)&s->peers));
  for (int i = 0; i < 2 * pairs->count; i++) {
    s->peers[i].file = pairs->file;
    s->peers[i].role = i % 2 ? TW_SITE_PARTY_1 : TW_SITE_PARTY_0;
    memcpy(s->peers[i].pin, pairs->pair[i / 2].pin[i % 2], TW_PIN_BYTES);
  }
  tw_tls_identity who = {.own = s->o.own, .peer = s->peers, .peers = 2 * pairs->count, .secret = true};
  return tw_tls_context_create(&who, true, 0, &s->context);
}

tw_status tw_serve_create(const tw_serve_options *o, tw_serve **out) {
  tw_serve *s;
  *out = NULL;
  if (o->connections < 2 || o->connections > MOST_CONNECTIONS)
    return tw_fail(TW_ERR_USAGE, "2 to %d connections at once are possible", MOST_CONNECTIONS);
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->o = *o;
  s->refusals = (tw_refusals){.note = o->note, .state = o->state};
  pthread_mutex_init(&s->lock, NULL);
  tw_status status = tw_alloc(sizeof *s->guests * (size_t)o->connections, (void **)&s->guests);
  if (status == TW_OK) status = know_pairs(s);
  if (status == TW_OK) status = tw_place_listen(o->option, &o->place, s->listeners, &s->count);
  if (status == TW_OK) status = tw_model_masks_draw(o->dealer, &o->plan->program, &tw_cpu_backend, NULL, &s->masks);
  s->maker = (tw_live_maker){.plan = o->plan, .masks = &s->masks};
  if (status == TW_OK && (o->room || o->device == TW_DEVICE_CUDA))
    status = tw_slot_store_create(o->plan, o->dealer, &s->masks, o->device, o->room, &s->maker.store);
  if (status == TW_OK) status = tw_live_runs_create(&s->maker, o->pairs, &s->runs);
  if (status == TW_OK)
    *out = s;
  else
    tw_serve_destroy(s);
  return status;
}

static void stop_listening(tw_serve *s) {
  while (s->count) close(s->listeners[--s->count]);
}

void tw_serve_destroy(tw_serve *s) {
  if (!s) return;
  stop_listening(s);
  tw_live_runs_destroy(s->runs);
  tw_slot_store_destroy(s->maker.store);
  tw_model_masks_free(&s->masks);
  tw_tls_context_destroy(s->context);
  pthread_mutex_destroy(&s->lock);
  tw_free(s->peers);
  tw_free(s->guests);
  tw_free(s);
}

int tw_serve_port(const tw_serve *s) { return s->count ? tw_socket_port(s->listeners[0]) : 0; }
int tw_serve_room(const tw_serve *s) { return s->maker.store ? tw_slot_store_room(s->maker.store) : 0; }

// ---- connections

static void note_refusal(tw_serve *s, const char *from, const char *why) {
  char text[sizeof s->refusals.last];
  snprintf(text, sizeof text, "%s: %s", from, why);
  pthread_mutex_lock(&s->lock);
  tw_refusals_add(&s->refusals, text);
  pthread_mutex_unlock(&s->lock);
}

static void say_refusals(tw_serve *s, bool at_once) {
  pthread_mutex_lock(&s->lock);
  tw_refusals_say(&s->refusals, at_once);
  pthread_mutex_unlock(&s->lock);
}

static void refuse(tw_serve *s, int fd, const char *from, const char *why) {
  close(fd);
  note_refusal(s, from, why);
}

static void *serve_guest(void *state) {
  guest *g = state;
  tw_serve *s = g->serve;
  tw_serve_house house = {.plan = s->o.plan,
                          .model_id = &s->o.dealer->model_id,
                          .pairs = s->o.pairs,
                          .runs = s->runs,
                          .silence_seconds = s->o.silence_seconds};
  char text[700] = "";
  if (tw_serve_client(&house, s->context, g->fd, text, sizeof text))
    note(s, "%s: %s", g->from, text);
  else
    note_refusal(s, g->from, text);
  pthread_mutex_lock(&s->lock);
  g->done = true;
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

static bool is_done(tw_serve *s, const guest *g) {
  pthread_mutex_lock(&s->lock);
  bool done = g->done;
  pthread_mutex_unlock(&s->lock);
  return done;
}

// Returns how many connections are left.
static int join_done(tw_serve *s) {
  int left = 0;
  for (int i = 0; i < s->o.connections; i++) {
    guest *g = &s->guests[i];
    if (!g->used) continue;
    if (is_done(s, g)) {
      pthread_join(g->thread, NULL);
      close(g->line);
      g->used = false;
    } else {
      left++;
    }
  }
  return left;
}

static void welcome(tw_serve *s, int fd, const struct sockaddr *from) {
  int on = 1, i = 0;
  char text[TW_ADDRESS_TEXT];
  tw_address_text(from, text);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  join_done(s);
  while (i < s->o.connections && s->guests[i].used) i++;
  if (i == s->o.connections) {
    refuse(s, fd, text, "as many connections as --connections allows are there");
    return;
  }
  guest *g = &s->guests[i];
  *g = (guest){.serve = s, .fd = fd, .line = fcntl(fd, F_DUPFD_CLOEXEC, 0), .used = true};
  memcpy(g->from, text, sizeof g->from);
  if (pthread_create(&g->thread, NULL, serve_guest, g) == 0) return;
  g->used = false;
  close(g->line);
  refuse(s, fd, text, "no thread can be started");
}

static void take_all(tw_serve *s, int listener) {
  for (int n = 0; n < 16; n++) {
    struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof from;
    int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) welcome(s, fd, (struct sockaddr *)&from);
    if (fd >= 0) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) usleep(100000);
    return;
  }
}

// Those that have a run say its end to the party themselves, in time; what waits for a party's words is cut.
static void end_all(tw_serve *s) {
  usleep(500000);
  for (int i = 0; i < s->o.connections; i++)
    if (s->guests[i].used) shutdown(s->guests[i].line, SHUT_RDWR);
}

static void hear_stop(tw_serve *s, int stop_fd) {
  char record[STOP_RECORD];
  if (read(stop_fd, record, sizeof record) <= 0) return;
  s->stops++;
  stop_listening(s);
  tw_live_runs_stop(s->runs, s->stops > 1);
  if (s->stops > 1) end_all(s);
  int left = tw_live_runs_count(s->runs);
  if (s->stops == 1 && left)
    note(s, "stops when %d runs that are under way have ended; a second signal ends them", left);
}

tw_status tw_serve_work(tw_serve *s, int stop_fd) {
  struct pollfd fds[1 + TW_MOST_LISTENERS];
  while (!s->stops || join_done(s)) {
    int n = 0;
    fds[n++] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
    for (int i = 0; i < s->count; i++) fds[n++] = (struct pollfd){.fd = s->listeners[i], .events = POLLIN};
    if (poll(fds, (nfds_t)n, s->stops ? TICK : LOOK) < 0 && errno != EINTR)
      return tw_fail(TW_ERR_IO, "cannot wait for connections: %s", strerror(errno));
    if (fds[0].revents) {
      hear_stop(s, stop_fd);
      continue;
    }
    for (int i = 1; i < n; i++)
      if (fds[i].revents) take_all(s, fds[i].fd);
    say_refusals(s, false);
  }
  say_refusals(s, true);
  return TW_OK;
}
