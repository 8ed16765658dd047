// One party of two MPI ranks, through twain's library: what `mpirun -np 2 twain run NAME --ledger LEDGER` does.
//
//   mpicc party_mpi.c $(pkg-config --cflags --libs twain) -o party_mpi && mpirun -np 2 ./party_mpi NAME LEDGER
#include <mpi.h>
#include <stdio.h>
#include <twain.h>

int main(int argc, char **argv) {
  int level;
  twain_link *link = NULL;
  twain_run_options options = TWAIN_RUN_OPTIONS;
  if (argc != 3) {
    fprintf(stderr, "usage: mpirun -np 2 party_mpi NAME LEDGER\n");
    return TWAIN_ERR_USAGE;
  }
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
  options.ledger = argv[2];
  options.device = "auto";
  options.replace = 1;
  twain_status status = twain_begin(TWAIN_ABI);
  if (status == TWAIN_OK) status = twain_link_mpi(60, &link);
  if (status == TWAIN_OK) status = twain_run(argv[1], link, &options);
  if (status != TWAIN_OK) {
    fprintf(stderr, "%s\n", twain_message());
    MPI_Abort(MPI_COMM_WORLD, (int)status);
  }
  twain_link_close(link);
  MPI_Finalize();
  return 0;
}
