// Which two ranks of an MPI job talk to each other. Of 2 P ranks the first P are party 0's processes, the others party
// 1's, and rank i and rank P + i are a pair; with two ranks a party is its rank.
#ifndef TW_MPI_PAIR_H
#define TW_MPI_PAIR_H

#include <mpi.h>

#include "base/status.h"

typedef struct {
  MPI_Comm comm;     // of the two, where a party is its rank
  int party;         // of this process
  int index, count;  // its pair among so many
} tw_mpi_pair;

// After MPI_Init, by all ranks of a job. most: pairs that there may be; TW_ERR_USAGE for another number of ranks.
// The same pair every time.
tw_status tw_mpi_pair_find(int most, tw_mpi_pair *out);
// All ranks of the job: waits until all have come here, or for so many seconds. Of one pair nothing.
void tw_mpi_pairs_meet(double patience_seconds);

#endif
