// What a line between two sites takes on this machine: plain TCP over the loopback, the cipher alone, and both
// together. One process is both ends, a thread each.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/bench/bench.h"
#include "app/bench/limits.h"
#include "app/bench/sites.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/memory.h"
#include "comm/link.h"
#include "comm/sockets.h"
#include "jobs/parties/machine.h"

typedef tw_bench_settings settings;

enum { MESSAGE = 4 << 20, MESSAGES = 16, BYTES = MESSAGE * MESSAGES, MOST_REPEATS = 1000, ROWS = 5 };
static const double patience_s = 60;

typedef struct {
  const char *what, *transport, *direction;
  int streams;
  double seconds[MOST_REPEATS], limit;  // limit: of the least time; 0: none
} row;

typedef struct {
  const settings *s;
  tw_machine machine;
  tw_bench_sites sites;
  tw_tls_identity who[2];
  uint8_t *data[2], *got[2];  // [MESSAGE], of each end
  row rows[ROWS];
  int count;
} bench;

// ---- the ends

// Connections over the loopback, ready on both sides; not blocking.
static tw_status connect_pair(int fds[2]) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof a;
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  fds[0] = -1;
  fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener >= 0 && bind(listener, (struct sockaddr *)&a, size) == 0 && listen(listener, 1) == 0 &&
      getsockname(listener, (struct sockaddr *)&a, &size) == 0 && connect(fds[1], (struct sockaddr *)&a, size) == 0)
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  close(listener);
  if (fds[0] < 0 || fcntl(fds[1], F_SETFL, O_NONBLOCK) != 0)
    return tw_fail(TW_ERR_IO, "no connection over the loopback");
  for (int i = 0; i < 2; i++) setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return TW_OK;
}

typedef struct {
  bench *b;
  row *row;
  int party, fds[2 * TW_MOST_STREAMS], used;
  tw_status (*act)(void *end);
  tw_status status;
  char message[256];
} end;

static void *begin(void *argument) {
  end *e = argument;
  e->status = e->act(e);
  if (e->status != TW_OK) snprintf(e->message, sizeof e->message, "%.255s", tw_error_message());
  return NULL;
}

// Party 0 in this thread, party 1 in another.
static tw_status run_ends(bench *b, row *r, tw_status (*act)(void *)) {
  end ends[2] = {{.b = b, .row = r, .party = 0, .act = act}, {.b = b, .row = r, .party = 1, .act = act}};
  pthread_t thread;
  for (int k = 0; k < 2 * r->streams; k++) {
    int fds[2];
    TW_TRY(connect_pair(fds));
    for (int party = 0; party < 2; party++) ends[party].fds[k] = fds[party];
  }
  if (pthread_create(&thread, NULL, begin, &ends[1]) != 0) return tw_fail(TW_ERR_MEMORY, "no thread");
  begin(&ends[0]);
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++)
    if (ends[i].status != TW_OK) return tw_fail(ends[i].status, "%s", ends[i].message);
  return TW_OK;
}

static uint64_t in_time(void) { return tw_clock_ns() + (uint64_t)(1e9 * patience_s); }

// ---- one way: party 1 sends, party 0 takes the time until it has all

static tw_status push(int fd, const uint8_t *data, size_t bytes) {
  while (bytes) {
    ssize_t n = send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && !tw_socket_ready(fd, POLLOUT, in_time())) return tw_fail(TW_ERR_PEER, "the loopback takes nothing");
    if (n <= 0) continue;
    data += n;
    bytes -= (size_t)n;
  }
  return TW_OK;
}

static tw_status pull(int fd, uint8_t *data, size_t bytes) {
  while (bytes) {
    ssize_t n = recv(fd, data, bytes, MSG_DONTWAIT);
    if (n == 0) return tw_fail(TW_ERR_PEER, "the loopback has ended");
    if (n < 0 && !tw_socket_ready(fd, POLLIN, in_time())) return tw_fail(TW_ERR_PEER, "the loopback gives nothing");
    if (n <= 0) continue;
    data += n;
    bytes -= (size_t)n;
  }
  return TW_OK;
}

static tw_status plain_one_way(void *argument) {
  end *e = argument;
  bench *b = e->b;
  tw_status status = TW_OK;
  for (int64_t i = 0; i < b->s->repeat && status == TW_OK; i++) {
    uint8_t word = 0;
    if (e->party) {
      status = pull(e->fds[1], &word, 1);
      for (int m = 0; m < MESSAGES && status == TW_OK; m++) status = push(e->fds[0], b->data[1], MESSAGE);
      continue;
    }
    double start = tw_seconds();
    status = push(e->fds[1], &word, 1);
    for (int m = 0; m < MESSAGES && status == TW_OK; m++) status = pull(e->fds[0], b->got[0], MESSAGE);
    e->row->seconds[i] = tw_seconds() - start;
  }
  for (int k = 0; k < 2; k++) close(e->fds[k]);
  return status;
}

// As plain_one_way. Nobody answers on the connection but with a word that asks for the next bytes.
static tw_status tls_one_way(void *argument) {
  end *e = argument;
  bench *b = e->b;
  tw_tls_context *c;
  tw_tls *lines[2] = {NULL, NULL};
  TW_TRY(tw_tls_context_create(&b->who[e->party], e->party == 0, 0, &c));
  tw_status status = TW_OK;
  for (int k = 0; k < 2 && status == TW_OK; k++) status = tw_tls_open(c, e->fds[k], in_time(), &lines[k], NULL);
  for (int64_t i = 0; i < b->s->repeat && status == TW_OK; i++) {
    uint8_t word = 0;
    if (e->party) {
      status = tw_tls_get(lines[1], &word, 1, in_time());
      for (int m = 0; m < MESSAGES && status == TW_OK; m++)
        status = tw_tls_put(lines[0], b->data[1], MESSAGE, in_time());
      continue;
    }
    double start = tw_seconds();
    status = tw_tls_put(lines[1], &word, 1, in_time());
    for (int m = 0; m < MESSAGES && status == TW_OK; m++) status = tw_tls_get(lines[0], b->got[0], MESSAGE, in_time());
    e->row->seconds[i] = tw_seconds() - start;
  }
  tw_tls_close(lines, 2);
  tw_tls_context_destroy(c);
  return status;
}

// ---- both ways, as in a run

static tw_status next_pair(void *state, uint64_t until_ns, int *fd) {
  end *e = state;
  (void)until_ns;
  *fd = e->fds[e->used++];
  return TW_OK;
}

static tw_status tls_both_ways(void *argument) {
  end *e = argument;
  bench *b = e->b;
  tw_channel *channel;
  tw_meeting meeting = {.who = b->who[e->party],
                        .lines = {0, 1, (uint32_t)e->row->streams},
                        .answers = e->party == 0,
                        .next = next_pair,
                        .state = e,
                        .wait_seconds = patience_s};
  tw_link_spec spec = {.carrier = TW_LINK_TLS, .meeting = &meeting, .silence_seconds = patience_s};
  TW_TRY(tw_link_open(&spec, e->party, &channel));
  tw_status status = TW_OK;
  for (int64_t i = 0; i < b->s->repeat && status == TW_OK; i++) {
    uint8_t here = 0, there;
    status = tw_channel_exchange(channel, &here, &there, 1);
    double start = tw_seconds();
    for (int m = 0; m < MESSAGES && status == TW_OK; m++)
      status = tw_channel_exchange(channel, b->data[e->party], b->got[e->party], MESSAGE);
    if (e->party == 0) e->row->seconds[i] = tw_seconds() - start;
  }
  tw_channel_destroy(channel);
  return status;
}

// ---- all of it

static double least(const bench *b, int i) { return tw_spread_of(b->rows[i].seconds, (int)b->s->repeat).least; }

static bool right(const bench *b, int party) { return memcmp(b->got[party], b->data[1 - party], MESSAGE) == 0; }

static tw_status measure(bench *b) {
  row *r = b->rows;
  r[0] = (row){.what = "plain TCP", .transport = "tcp", .direction = "one way", .streams = 1};
  r[1] = (row){.what = "AES-128-GCM", .transport = "none", .direction = "one way", .streams = 1};
  r[2] = (row){.what = "TLS", .transport = "tls", .direction = "one way", .streams = 1};
  r[3] = (row){.what = "TLS", .transport = "tls", .direction = "both ways", .streams = 1};
  r[4] = (row){.what = "TLS", .transport = "tls", .direction = "both ways", .streams = (int)b->s->site.streams};
  TW_TRY(run_ends(b, &r[0], plain_one_way));
  TW_TRY(tw_bench_cipher(b->data[0], b->got[0], MESSAGE, BYTES, r[1].seconds, (int)b->s->repeat));
  r[2].limit = least(b, 0) + least(b, 1);
  TW_TRY(run_ends(b, &r[2], tls_one_way));
  if (!right(b, 0)) return tw_fail(TW_ERR_CHECK, "other bytes came than were sent");
  b->count = r[4].streams > 1 ? 5 : 4;
  for (int i = 3; i < b->count; i++) {
    memset(b->got[0], 0, MESSAGE);
    memset(b->got[1], 0, MESSAGE);
    TW_TRY(run_ends(b, &r[i], tls_both_ways));
    if (!right(b, 0) || !right(b, 1)) return tw_fail(TW_ERR_CHECK, "other bytes came than were sent");
  }
  return TW_OK;
}

static json_t *record_of(const bench *b, const row *x) {
  json_t *r = tw_record_create("bench line");
  tw_record_machine(r, &b->machine);
  tw_record_text(r, "device", "cpu");
  tw_record_text(r, "transport", x->transport);
  tw_record_text(r, "direction", x->direction);
  tw_record_integer(r, "streams", x->streams);
  tw_record_integer(r, "line_bytes", BYTES);
  tw_record_integer(r, "repeats", b->s->repeat);
  tw_record_times(r, "time", x->seconds, (int)b->s->repeat);
  if (x->limit > 0) tw_record_ns(r, "limit_ns", x->limit);
  if (x->limit > 0) tw_record_text(r, "limited_by", "TCP and cipher");
  return r;
}

static tw_status print(const bench *b, tw_format format) {
  json_t *list = json_array();
  tw_grid grid = {0};
  for (int i = 0; i < b->count; i++) json_array_append_new(list, record_of(b, &b->rows[i]));
  if (format != TW_AS_TABLE) return tw_records_print(list, format);
  json_decref(list);
  tw_grid_row(&grid, "messages of 4 MiB\tdirection\tstreams\tGB/s each way: best\tmedian\tof limit");
  tw_grid_rule(&grid);
  for (int i = 0; i < b->count; i++) {
    const row *r = &b->rows[i];
    tw_spread t = tw_spread_of(r->seconds, (int)b->s->repeat);
    char limit[32] = "";
    if (r->limit > 0) snprintf(limit, sizeof limit, "%.0f %%", 100 * r->limit / t.least);
    tw_grid_row(&grid, "%s\t%s\t%d\t%.2f\t%.2f\t%s", r->what, r->direction, r->streams, 1e-9 * BYTES / t.least,
                1e-9 * BYTES / t.median, limit);
  }
  tw_grid_print(&grid);
  puts(
      "over the loopback, a thread an end and one more for each further stream; the limit: first plain TCP, then the\n"
      "cipher on one core");
  return TW_OK;
}

static tw_status prepare(bench *b) {
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_alloc(MESSAGE, (void **)&b->data[party]));
    TW_TRY(tw_alloc(MESSAGE, (void **)&b->got[party]));
    randombytes_buf(b->data[party], MESSAGE);
  }
  TW_TRY(tw_bench_sites_make(&b->sites, 2));
  for (int party = 0; party < 2; party++)
    b->who[party] = (tw_tls_identity){.own = &b->sites.site[party], .peer = &b->sites.file[1 - party]};
  TW_TRY(tw_machine_look(NULL, NULL, 2, &b->machine));
  tw_machine_warn(&tw_speaker, &b->machine);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  bench *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  b->s = s;
  tw_status status = prepare(b);
  if (status == TW_OK) status = measure(b);
  if (status == TW_OK) status = print(b, format);
  tw_bench_sites_forget(&b->sites);
  for (int party = 0; party < 2; party++) {
    tw_free(b->data[party]);
    tw_free(b->got[party]);
  }
  free(b);
  return status;
}

static const tw_option options[] = {
    {.common = &tw_option_streams,
     .field = offsetof(settings, site.streams),
     .fallback = "4",
     .help = "of the last row: connections each way, with a thread each"},
    {.common = &tw_bench_repeat,
     .field = offsetof(settings, repeat),
     .fallback = "9",
     .help = "times; the best counts"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_line = {
    .name = "bench line",
    .arguments = "",
    .summary = "what TLS between two sites takes on this machine, over the loopback",
    .about =
        "Plain TCP, the cipher alone, and TLS, of which one connection can be no faster than both one after the other; "
        "then exchanges both ways, as a run has them. One process is both ends. All bytes are compared.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .run = run};
