#include "comm/mpi_pair.h"

#include <mpi.h>
#include <time.h>

#include "base/clock.h"

static tw_mpi_pair found = {.count = 0};

static tw_status make(int rank, int pairs) {
  MPI_Group world, group;
  const int both[] = {rank % pairs, rank % pairs + pairs};
  found = (tw_mpi_pair){.party = rank / pairs, .index = rank % pairs, .count = 0};
  int rc = MPI_Comm_group(MPI_COMM_WORLD, &world);
  if (rc == MPI_SUCCESS) rc = MPI_Group_incl(world, 2, both, &group);
  // by the two alone: no other pair is waited for
  if (rc == MPI_SUCCESS) rc = MPI_Comm_create_group(MPI_COMM_WORLD, group, found.index, &found.comm);
  if (rc != MPI_SUCCESS) return tw_fail(TW_ERR_PEER, "MPI cannot join ranks %d and %d to a pair", both[0], both[1]);
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  found.count = pairs;
  return TW_OK;
}

tw_status tw_mpi_pair_find(int most, tw_mpi_pair *out) {
  int initialised = 0, ranks = 0, rank = 0;
  MPI_Initialized(&initialised);
  if (!initialised) return tw_fail(TW_ERR_INTERNAL, "the MPI channel needs MPI_Init first");
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (ranks < 2 || ranks % 2 || (ranks > 2 * most && !found.count))
    return most > 1
               ? tw_fail(TW_ERR_USAGE, "%d MPI ranks: start two for each pair, e.g. mpirun -np 2 twain run NAME", ranks)
               : tw_fail(TW_ERR_USAGE, "%d MPI ranks: start exactly two, e.g. mpirun -np 2 twain run NAME", ranks);
  if (!found.count && ranks == 2) found = (tw_mpi_pair){MPI_COMM_WORLD, rank, 0, 1};
  if (!found.count) TW_TRY(make(rank, ranks / 2));
  *out = found;
  return TW_OK;
}

void tw_mpi_pairs_meet(double patience_seconds) {
  const struct timespec moment = {0, 2000000};
  static MPI_Request all;  // of one that nobody ends
  int done = 0;
  if (found.count < 2) return;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (MPI_Ibarrier(MPI_COMM_WORLD, &all) != MPI_SUCCESS) return;
  for (double end = tw_seconds() + patience_seconds; !done && tw_seconds() < end;) {
    if (MPI_Test(&all, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return;
    if (!done) nanosleep(&moment, NULL);
  }
}
