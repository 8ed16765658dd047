#include "comm/shared_window.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/watchdog.h"
#include "comm/mpi_pair.h"

struct tw_shared_window {
  MPI_Comm host;
  MPI_Win window;
  size_t bytes;
  void *part[2];
};

static tw_status failed(const char *call) {
  return tw_fail(TW_ERR_PEER, "%s failed: no shared memory between the parties; use --transport host-relay or nccl",
                 call);
}

// MPI puts parts anywhere; the window has a page to spare, so that each begins on one, at the same place for both
// parties.
static void *on_page(void *part, size_t page) { return (char *)part + (page - (uintptr_t)part % page) % page; }

static tw_status find_parts(tw_shared_window *w, size_t page) {
  for (int party = 0; party < 2; party++) {
    MPI_Aint bytes;
    int unit;
    if (MPI_Win_shared_query(w->window, party, &bytes, &unit, &w->part[party]) != MPI_SUCCESS)
      return failed("MPI_Win_shared_query");
    w->part[party] = on_page(w->part[party], page);
  }
  return TW_OK;
}

static tw_status allocate(tw_shared_window *w, int party, size_t page) {
  void *own;
  MPI_Info info;
  MPI_Info_create(&info);
  MPI_Info_set(info, "alloc_shared_noncontig", "true");  // each part near its owner
  int rc = MPI_Win_allocate_shared((MPI_Aint)(w->bytes + page), 1, info, w->host, &own, &w->window);
  MPI_Info_free(&info);
  if (rc != MPI_SUCCESS) return failed("MPI_Win_allocate_shared");
  TW_TRY(find_parts(w, page));
  memset(w->part[party], 0, w->bytes);  // first touched, and so placed, by its owner
  return TW_OK;
}

static tw_status create(tw_channel *channel, size_t bytes, tw_shared_window **out) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  int parties = 0;
  *out = NULL;
  tw_shared_window *w = calloc(1, sizeof *w);
  if (!w) return tw_fail(TW_ERR_MEMORY, "out of memory for a window");
  w->bytes = (bytes + page - 1) / page * page;
  w->window = MPI_WIN_NULL;
  tw_mpi_pair pair;
  tw_status paired = tw_mpi_pair_find(1, &pair);
  if (paired != TW_OK) {
    free(w);
    return paired;
  }
  if (MPI_Comm_split_type(pair.comm, MPI_COMM_TYPE_SHARED, channel->party, MPI_INFO_NULL, &w->host) != MPI_SUCCESS) {
    free(w);
    return failed("MPI_Comm_split_type");
  }
  MPI_Comm_size(w->host, &parties);
  tw_status status = parties == 2 ? allocate(w, channel->party, page) : TW_OK;
  if (status == TW_OK && parties == 2) {
    uint8_t here = 1, there;  // zeroed on both sides before anybody writes
    status = tw_channel_exchange(channel, &here, &there, 1);
  }
  if (status != TW_OK || parties != 2)
    tw_shared_window_destroy(w, status != TW_OK);
  else
    *out = w;
  return status;
}

// MPI waits for the other party here, and knows no limit.
tw_status tw_shared_window_create(tw_channel *channel, size_t bytes, tw_shared_window **out) {
  tw_watchdog_guard(2 * channel->timeout_seconds,
                    "the other party does not open its window of shared memory; look at its log");
  tw_status status = create(channel, bytes, out);
  tw_watchdog_release();
  return status;
}

void *tw_shared_window_part(const tw_shared_window *w, int party) { return w->part[party]; }
size_t tw_shared_window_bytes(const tw_shared_window *w) { return w->bytes; }

void tw_shared_window_destroy(tw_shared_window *w, int abandon) {
  if (!w) return;
  if (!abandon) {
    if (w->window != MPI_WIN_NULL) MPI_Win_free(&w->window);
    MPI_Comm_free(&w->host);
  }
  free(w);
}
