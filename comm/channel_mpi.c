#define _GNU_SOURCE
#include <mpi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/channels.h"
#include "comm/mpi_pair.h"

enum { CHUNK_BYTES = 64 << 20, TAG_LIMIT = 32767 };  // every MPI allows tags up to 32767

// The requests of one exchange: receives of all chunks, then sends of all chunks. Kept and used again.
typedef struct flight {
  struct flight *next;
  size_t chunks, capacity;
  size_t bytes;
  bool active;
  tw_status status;  // found while polling, for whoever waits
  char message[256];
  uint64_t moved;         // when something last did
  MPI_Request *requests;  // 2 * chunks
  MPI_Status *statuses;
  int *finished;
} flight;

typedef struct {
  tw_channel channel;
  MPI_Comm comm;
  flight *flights;
  bool broken;
} link_state;

// 2 parties may share few cores, and the other party may need ours to get anything done; but an answer that is due in
// microseconds is not worth a trip through the scheduler. Far into a wait even yielding is too busy.
static void idle(uint64_t idle_ns) {
  if (idle_ns < 50000) return;
  if (idle_ns < 250000000) {
    sched_yield();
    return;
  }
  struct timespec nap = {0, 50000};
  nanosleep(&nap, NULL);
}

static tw_status mpi_failure(const tw_channel *c, int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return tw_fail(TW_ERR_PEER, "party %d: %s party %d: %s; look at the log of party %d", c->party, what, 1 - c->party,
                 text, 1 - c->party);
}

static size_t chunk_bytes(const flight *f, size_t chunk) {
  return chunk + 1 < f->chunks ? CHUNK_BYTES : f->bytes - chunk * CHUNK_BYTES;
}

// How many chunks follow this one, as far as a tag can say it: tells at the first chunk that the messages differ.
static int chunk_tag(const flight *f, size_t chunk) {
  size_t rest = f->chunks - 1 - chunk;
  return rest < TAG_LIMIT ? (int)rest : TAG_LIMIT;
}

static void flight_free(flight *f) {
  tw_free(f->requests);
  tw_free(f->statuses);
  tw_free(f->finished);
  tw_free(f);
}

static tw_status flight_create(size_t chunks, flight **out) {
  flight *f = NULL;
  TW_TRY(tw_alloc(sizeof *f, (void **)&f));
  tw_status status = tw_alloc(2 * chunks * sizeof(MPI_Request), (void **)&f->requests);
  if (status == TW_OK) status = tw_alloc(2 * chunks * sizeof *f->statuses, (void **)&f->statuses);
  if (status == TW_OK) status = tw_alloc(2 * chunks * sizeof *f->finished, (void **)&f->finished);
  if (status != TW_OK) {
    flight_free(f);
    return status;
  }
  f->capacity = chunks;
  *out = f;
  return TW_OK;
}

static tw_status flight_for(link_state *s, size_t bytes, flight **out) {
  size_t chunks = bytes ? (bytes - 1) / CHUNK_BYTES + 1 : 1;
  flight *f = s->flights;
  while (f && (f->active || f->capacity < chunks)) f = f->next;
  if (!f) {
    TW_TRY(flight_create(chunks, &f));
    f->next = s->flights;
    s->flights = f;
  }
  f->chunks = chunks;
  f->bytes = bytes;
  f->active = true;
  f->status = TW_OK;
  f->moved = tw_clock_ns();
  for (size_t r = 0; r < 2 * chunks; r++) f->requests[r] = MPI_REQUEST_NULL;
  *out = f;
  return TW_OK;
}

// Try to get the buffers of a failed exchange back from MPI; false when it still holds them (a peer that died in the
// middle of a transfer).
static bool settle(flight *f) {
  for (size_t r = 0; r < f->chunks; r++)
    if (f->requests[r] != MPI_REQUEST_NULL) MPI_Cancel(&f->requests[r]);
  uint64_t begin = tw_clock_ns(), spent = 0;
  while (spent < 100000000) {
    bool all = true;
    for (size_t r = 0; r < 2 * f->chunks; r++) {
      int done = 1;
      if (f->requests[r] != MPI_REQUEST_NULL) MPI_Test(&f->requests[r], &done, MPI_STATUS_IGNORE);
      all = all && done;
    }
    if (all) {
      f->active = false;
      return true;
    }
    idle(spent);
    spent = tw_clock_ns() - begin;
  }
  return false;
}

static tw_status abandon(link_state *s, tw_exchange *x, tw_status status) {
  s->broken = true;
  if (settle(x->handle)) x->handle = NULL;
  return status;
}

static tw_status mpi_start(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  x->handle = NULL;
  if (s->broken)
    return tw_fail(TW_ERR_PEER, "party %d: no further exchange: an earlier one with party %d failed", c->party,
                   1 - c->party);
  flight *f;
  TW_TRY(flight_for(s, x->bytes, &f));
  x->handle = f;
  int rc = MPI_SUCCESS;
  for (size_t i = 0; i < f->chunks && rc == MPI_SUCCESS; i++)
    rc = MPI_Irecv((char *)x->recv + i * CHUNK_BYTES, (int)chunk_bytes(f, i), MPI_BYTE, 1 - c->party, MPI_ANY_TAG,
                   s->comm, &f->requests[i]);
  for (size_t i = 0; i < f->chunks && rc == MPI_SUCCESS; i++)
    rc = MPI_Isend((const char *)x->send + i * CHUNK_BYTES, (int)chunk_bytes(f, i), MPI_BYTE, 1 - c->party,
                   chunk_tag(f, i), s->comm, &f->requests[f->chunks + i]);
  if (rc == MPI_SUCCESS) return TW_OK;
  return abandon(s, x, mpi_failure(c, rc, "cannot start an exchange with"));
}

static tw_status differing_sizes(const tw_channel *c, size_t bytes) {
  return tw_fail(TW_ERR_PEER,
                 "party %d: expected a message of %zu bytes, party %d sent one of another size; "
                 "both parties must run the same plan and the same version of twain",
                 c->party, bytes, 1 - c->party);
}

static tw_status transport_error(const tw_channel *c, int code, size_t bytes) {
  int class = MPI_SUCCESS;
  MPI_Error_class(code, &class);
  return class == MPI_ERR_TRUNCATE ? differing_sizes(c, bytes) : mpi_failure(c, code, "the exchange failed with");
}

// Look at the requests that MPI reports as complete: transport errors, and chunks that are not what was expected.
static tw_status examine(const tw_channel *c, const flight *f, int rc, int count) {
  // Open MPI returns the error of the first failed request where the standard has MPI_ERR_IN_STATUS.
  if (rc != MPI_SUCCESS && rc != MPI_ERR_IN_STATUS) return transport_error(c, rc, f->bytes);
  for (int k = 0; k < count; k++) {
    const MPI_Status *status = &f->statuses[k];
    size_t request = (size_t)f->finished[k];
    if (rc == MPI_ERR_IN_STATUS && status->MPI_ERROR != MPI_SUCCESS && status->MPI_ERROR != MPI_ERR_PENDING)
      return transport_error(c, status->MPI_ERROR, f->bytes);
    if (request >= f->chunks) continue;  // a send
    int got = 0;
    MPI_Get_count(status, MPI_BYTE, &got);
    if ((size_t)got != chunk_bytes(f, request) || status->MPI_TAG != chunk_tag(f, request))
      return differing_sizes(c, f->bytes);
  }
  return TW_OK;
}

static size_t arrived(const flight *f) {
  size_t bytes = 0;
  for (size_t i = 0; i < f->chunks; i++)
    if (f->requests[i] == MPI_REQUEST_NULL) bytes += chunk_bytes(f, i);
  return bytes;
}

// What MPI has done since, and has it done all of it?
static tw_status advance(const tw_channel *c, flight *f, bool *done) {
  int count = 0;
  int rc = MPI_Testsome((int)(2 * f->chunks), f->requests, &count, f->finished, f->statuses);
  *done = count == MPI_UNDEFINED && rc == MPI_SUCCESS;
  if (*done) return TW_OK;
  if (count > 0) f->moved = tw_clock_ns();
  return examine(c, f, rc, count);
}

// A failure is kept for whoever waits.
static bool look_at(const tw_channel *c, flight *f) {
  bool done = true;
  if (f->status != TW_OK) return true;
  f->status = advance(c, f, &done);
  if (f->status != TW_OK) snprintf(f->message, sizeof f->message, "%s", tw_error_message());
  return done || f->status != TW_OK;
}

static bool mpi_arrived(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  return !x->handle || s->broken || look_at(c, x->handle);
}

// Between other work: MPI moves messages only while somebody calls it.
static tw_status mpi_poll(tw_channel *c) {
  link_state *s = c->state;
  for (flight *f = s->flights; f && !s->broken; f = f->next)
    if (f->active) look_at(c, f);
  return TW_OK;
}

static tw_status mpi_wait(tw_channel *c, tw_exchange *x) {
  link_state *s = c->state;
  flight *f = x->handle;
  if (!f)
    return tw_fail(TW_ERR_INTERNAL, "party %d: waiting for an exchange with party %d that was not started", c->party,
                   1 - c->party);
  if (s->broken)
    return abandon(s, x,
                   tw_fail(TW_ERR_PEER, "party %d: exchange given up: an earlier one with party %d failed", c->party,
                           1 - c->party));
  if (f->status != TW_OK) return abandon(s, x, tw_fail(f->status, "%s", f->message));
  f->moved = tw_clock_ns();
  for (;;) {
    bool done = false;
    tw_status status = tw_channel_in_time(c);
    if (status == TW_OK) status = advance(c, f, &done);
    if (status != TW_OK) return abandon(s, x, status);
    if (done) break;
    uint64_t idle_ns = tw_clock_ns() - f->moved;
    if ((double)idle_ns * 1e-9 > c->timeout_seconds)
      return abandon(s, x,
                     tw_fail(TW_ERR_PEER,
                             "party %d: nothing moved for %g s in an exchange with party %d: %zu of %zu bytes "
                             "received; look at the log of party %d, or raise --silence-limit if it is only slow",
                             c->party, c->timeout_seconds, 1 - c->party, arrived(f), x->bytes, 1 - c->party));
    idle(idle_ns);
  }
  f->active = false;
  x->handle = NULL;
  return TW_OK;
}

static void mpi_close(tw_channel *c) {
  link_state *s = c->state;
  bool settled = true;
  for (flight *f = s->flights, *next; f; f = next) {
    next = f->next;
    if (f->active && !settle(f)) settled = false;
    flight_free(f);
  }
  // Freeing a communicator is collective: with a peer in doubt it is left to MPI_Abort.
  if (settled && !s->broken) MPI_Comm_free(&s->comm);
  tw_free(s);
}

// A communicator of our own, so that no other traffic can match ours; MPI_Comm_dup could wait for ever.
static tw_status duplicate(const tw_channel *c, MPI_Comm pair, MPI_Comm *out) {
  MPI_Request request;
  int rc = MPI_Comm_idup(pair, out, &request);
  uint64_t begin = tw_clock_ns();
  for (int done = 0; rc == MPI_SUCCESS;) {
    rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (rc != MPI_SUCCESS || done) break;
    uint64_t spent = tw_clock_ns() - begin;
    if ((double)spent * 1e-9 > c->timeout_seconds)
      return tw_fail(
          TW_ERR_PEER,
          "party %d: party %d has not opened its channel for %g s; look at its log, or raise --silence-limit", c->party,
          1 - c->party, c->timeout_seconds);
    idle(spent);
  }
  if (rc != MPI_SUCCESS) return mpi_failure(c, rc, "cannot open a channel to");
  MPI_Comm_set_errhandler(*out, MPI_ERRORS_RETURN);
  return TW_OK;
}

tw_status tw_channel_mpi(double timeout_seconds, tw_channel **out) {
  *out = NULL;
  if (!(timeout_seconds > 0))
    return tw_fail(TW_ERR_USAGE, "a timeout of %g s: give a number of seconds above 0", timeout_seconds);
  tw_mpi_pair pair;
  TW_TRY(tw_mpi_pair_find(1, &pair));

  link_state *s = NULL;
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->channel = (tw_channel){.party = pair.party,
                            .name = "mpi",
                            .mpi = true,
                            .timeout_seconds = timeout_seconds,
                            .start = mpi_start,
                            .wait = mpi_wait,
                            .arrived = mpi_arrived,
                            .poll = mpi_poll,
                            .close = mpi_close,
                            .state = s};
  tw_status status = duplicate(&s->channel, pair.comm, &s->comm);
  if (status != TW_OK) return status;  // s stays: MPI may still write the communicator there
  *out = &s->channel;
  return TW_OK;
}
