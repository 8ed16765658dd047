#include "app/two_ranks.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "app/launcher.h"
#include "app/show/print.h"
#include "base/clock.h"
#include "comm/link.h"

// After a failure: does the other rank know that it has failed, too? Outside the channel, which may be broken.
static bool both_failed(int rank) {
  enum { TAG = 77 };
  const double patience = 2;
  char mine = 1, theirs = 0;
  MPI_Request requests[2];
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (MPI_Irecv(&theirs, 1, MPI_CHAR, 1 - rank, TAG, MPI_COMM_WORLD, &requests[0]) != MPI_SUCCESS) return false;
  if (MPI_Isend(&mine, 1, MPI_CHAR, 1 - rank, TAG, MPI_COMM_WORLD, &requests[1]) != MPI_SUCCESS) return false;
  int done = 0;
  for (double end = tw_seconds() + patience; !done && tw_seconds() < end; sched_yield())
    if (MPI_Testall(2, requests, &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return false;
  return done;
}

static tw_status run_two(const tw_call *call, int rank, const tw_limits *limits, uint64_t deadline,
                         tw_status (*body)(const tw_call *, tw_channel *)) {
  tw_channel *channel = NULL;
  tw_link_spec spec = {.carrier = TW_LINK_MPI, .silence_seconds = limits->silence, .deadline_ns = deadline};
  tw_status status = tw_link_open(&spec, rank, &channel);
  if (status == TW_OK) status = body(call, channel);
  if (status != TW_OK && !both_failed(rank)) {
    tw_say_error();
    MPI_Abort(MPI_COMM_WORLD, (int)status);
    _exit((int)status);
  }
  tw_channel_destroy(channel);
  return status;
}

tw_status tw_two_ranks(const tw_call *call, const tw_limits *limits,
                       tw_status (*body)(const tw_call *call, tw_channel *channel)) {
  const char *name = call->command->name;
  int ranks = 0, rank = 0;
  int level;  // the relay of a GPU's messages calls MPI from a thread of its own
  uint64_t deadline;
  TW_TRY(tw_time_limits_watch(limits, &deadline));
  tw_launcher_look();
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS)
    return tw_fail(TW_ERR_PEER, "MPI cannot start; try mpirun -np 2 twain %s", name);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (ranks > 1) tw_say_as(rank);
  tw_status status = ranks == 2 ? run_two(call, rank, limits, deadline, body) : tw_launcher_refuse(name, ranks);
  if (status != TW_OK) {
    tw_say_error();  // now: the launcher ends all ranks as soon as one has left
    alarm(10);       // a failed rank does not wait for ever for the other to finalize: the signal ends it
  }
  MPI_Finalize();
  alarm(0);
  return status;
}
