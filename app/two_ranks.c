#include "app/two_ranks.h"

#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "app/launcher.h"
#include "app/show/print.h"
#include "base/clock.h"
#include "comm/link.h"
#include "comm/mpi_pair.h"

// After a failure: does the other rank know that it has failed, too? Outside the channel, which may be broken.
static bool both_failed(const tw_mpi_pair *pair, double patience) {
  enum { TAG = 77 };
  const int other = 1 - pair->party;
  char mine = 1, theirs = 0;
  MPI_Request requests[2];
  MPI_Comm_set_errhandler(pair->comm, MPI_ERRORS_RETURN);
  if (MPI_Irecv(&theirs, 1, MPI_CHAR, other, TAG, pair->comm, &requests[0]) != MPI_SUCCESS) return false;
  if (MPI_Isend(&mine, 1, MPI_CHAR, other, TAG, pair->comm, &requests[1]) != MPI_SUCCESS) return false;
  int done = 0;
  for (double end = tw_seconds() + patience; !done && tw_seconds() < end; sched_yield())
    if (MPI_Testall(2, requests, &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return false;
  return done;
}

static tw_status run_pair(const tw_call *call, const tw_limits *limits, uint64_t deadline,
                          tw_status (*body)(const tw_call *, tw_channel *)) {
  tw_channel *channel = NULL;
  tw_mpi_pair pair;
  tw_link_spec spec = {.carrier = TW_LINK_MPI, .silence_seconds = limits->silence, .deadline_ns = deadline};
  TW_TRY(tw_mpi_pair_find(1, &pair));
  tw_status status = tw_link_open(&spec, pair.party, &channel);
  if (status == TW_OK) status = body(call, channel);
  // the other one may learn of it by silence alone; of several pairs the others go on meanwhile
  const double patience = pair.count > 1 ? limits->silence + 5 : 2;
  if (status != TW_OK && !both_failed(&pair, patience)) {
    tw_say_error();
    // of several pairs the others may go on, if the launcher lets them
    if (pair.count == 1) MPI_Abort(MPI_COMM_WORLD, (int)status);
    _exit((int)status);
  }
  tw_channel_destroy(channel);
  return status;
}

static volatile int left_with;

static void leave(int number) {
  (void)number;
  _exit(left_with);
}

// Of several pairs one that has failed in order waits here until the others have done its work. Those are done at once,
// and wait for a lost one no longer than this.
static void finalize_pairs(tw_status status) {
  const unsigned patience = 10;
  const struct sigaction action = {.sa_handler = leave};
  left_with = (int)status;
  if (status != TW_OK) tw_say_error();
  fflush(stdout);
  sigaction(SIGALRM, &action, NULL);
  if (status == TW_OK || status == TW_STOPPED) alarm(patience);
  MPI_Finalize();
  alarm(0);
}

tw_status tw_two_ranks(const tw_call *call, const tw_limits *limits, int most_pairs,
                       tw_status (*body)(const tw_call *call, tw_channel *channel)) {
  const char *name = call->command->name;
  int ranks = 0;
  int level;  // the relay of a GPU's messages calls MPI from a thread of its own
  uint64_t deadline;
  TW_TRY(tw_time_limits_watch(limits, &deadline));
  tw_launcher_look();
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS)
    return tw_fail(TW_ERR_PEER, "MPI cannot start; try mpirun -np 2 twain %s", name);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  tw_mpi_pair pair = {.count = 0};
  bool pairs = ranks > 1 && ranks % 2 == 0 && ranks <= 2 * most_pairs;
  tw_status status = pairs ? tw_mpi_pair_find(most_pairs, &pair) : tw_launcher_refuse(name, ranks);
  if (ranks > 1) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    tw_say_as(pairs ? pair.party : rank);
  }
  if (pair.count > 1) tw_say_as_process(pair.index);
  if (status == TW_OK) status = run_pair(call, limits, deadline, body);
  if (pair.count > 1) {
    finalize_pairs(status);
    return status;
  }
  if (status != TW_OK) {
    tw_say_error();  // now: the launcher ends all ranks as soon as one has left
    alarm(10);       // a failed rank does not wait for ever for the other to finalize: the signal ends it
  }
  MPI_Finalize();
  alarm(0);
  return status;
}
