#include "comm/line_pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

enum { BUFFER = 128 << 10 };
// For the other end's last words: why it gave up stands in what it has sent before it closed.
static const uint64_t last_words_ns = 2000000000;

typedef struct {
  int from, to;
  size_t begin, end;       // in the buffer: has come and not left
  bool heard_all, passed;  // `from` has ended; `to` has been told
  bool lost;               // `to` takes nothing any more: what comes is thrown away, so that `from` can end
  uint8_t *buffer;
} way;

struct tw_line_pair {
  way ways[2];
  int fds[2];
  uint64_t lost_ns;  // when an end was lost; 0: never
};

tw_status tw_line_pair_create(const int fds[2], tw_line_pair **out) {
  tw_line_pair *p = NULL;
  uint8_t *buffers = NULL;
  *out = NULL;
  tw_status status = tw_alloc(sizeof *p, (void **)&p);
  if (status == TW_OK) status = tw_alloc((size_t)2 * BUFFER, (void **)&buffers);
  if (status != TW_OK) {
    tw_free(p);
    for (int i = 0; i < 2; i++) close(fds[i]);
    return status;
  }
  for (int i = 0; i < 2; i++) {
    p->fds[i] = fds[i];
    p->ways[i] = (way){.from = fds[i], .to = fds[1 - i], .buffer = buffers + (size_t)i * BUFFER};
  }
  *out = p;
  return TW_OK;
}

void tw_line_pair_destroy(tw_line_pair *p) {
  if (!p) return;
  for (int i = 0; i < 2; i++) close(p->fds[i]);
  tw_free(p->ways[0].buffer);
  tw_free(p);
}

void tw_line_pair_wants(const tw_line_pair *p, struct pollfd out[2]) {
  for (int i = 0; i < 2; i++) {
    const way *in = &p->ways[i], *back = &p->ways[1 - i];
    short events = 0;
    if (in->begin == in->end && !in->heard_all) events |= POLLIN;
    if (back->begin < back->end) events |= POLLOUT;
    out[i] = (struct pollfd){.fd = events ? p->fds[i] : -1, .events = events};
  }
}

static bool later(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

static void lose(tw_line_pair *p) {
  if (!p->lost_ns) p->lost_ns = tw_clock_ns();
}

static void take(tw_line_pair *p, way *w) {
  ssize_t n = recv(w->from, w->buffer, BUFFER, MSG_DONTWAIT);
  if (n < 0 && later()) return;
  if (n < 0) lose(p);
  w->heard_all = n <= 0;
  w->begin = 0;
  w->end = n > 0 && !w->lost ? (size_t)n : 0;
}

static uint64_t give(tw_line_pair *p, way *w) {
  uint64_t gone = 0;
  while (w->begin < w->end) {
    ssize_t n = send(w->to, w->buffer + w->begin, w->end - w->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && later()) break;
    if (n < 0) {
      lose(p);
      w->lost = true;
      w->begin = w->end = 0;
      break;
    }
    w->begin += (size_t)n;
    gone += (uint64_t)n;
  }
  if (w->heard_all && w->begin == w->end && !w->passed) {
    shutdown(w->to, SHUT_WR);
    w->passed = true;
  }
  return gone;
}

uint64_t tw_line_pair_move(tw_line_pair *p) {
  uint64_t gone = 0;
  for (int i = 0; i < 2; i++) {
    way *w = &p->ways[i];
    if (w->begin == w->end && !w->heard_all) take(p, w);
    gone += give(p, w);
  }
  return gone;
}

bool tw_line_pair_over(const tw_line_pair *p, uint64_t now_ns) {
  if (p->ways[0].passed && p->ways[1].passed) return true;
  return p->lost_ns && now_ns - p->lost_ns >= last_words_ns;
}

bool tw_line_pair_fails(const tw_line_pair *p) { return p->lost_ns != 0; }
