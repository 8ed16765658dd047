# Started by a launcher whose MPI is not twain's, each process sees one rank: twain says who started it, and what to do.
source "$SOURCE_DIR/tests/cli/cli.bash"

alone() { # CODE TEXT VARIABLE=VALUE...: started without mpirun, in such an environment
  local code=$1 text=$2
  shift 2
  expect "$code" "$text" env "$@" "$TWAIN" run nothing
  expect "$code" "$text" env "$@" "$TWAIN" bench model
}

alone 2 'run needs exactly two ranks, not 1|bench model needs exactly two ranks, not 1' A=1
alone 2 'MPICH.*PMI_SIZE=2.*another MPI.*mpi(run|exec).* -np 2 twain' PMI_SIZE=2 PMI_RANK=0
alone 2 'PMI_SIZE=2.*another MPI' PMI_SIZE=2 PMI_RANK=1 SLURM_NTASKS=2 SLURM_PROCID=1
alone 2 'MVAPICH.*another MPI' MV2_COMM_WORLD_SIZE=2 MV2_COMM_WORLD_RANK=1
alone 2 'PMIx.*PMIX_RANK=1.*another MPI' PMIX_RANK=1
alone 2 'PALS.*another MPI' PALS_NRANKS=4 PALS_RANKID=0
alone 2 'Slurm job of 2 tasks.*srun --mpi=list.*batch script.* -np 2 twain' SLURM_NTASKS=2 SLURM_NPROCS=2 SLURM_PROCID=0 SLURM_JOB_ID=7
# not another launcher's fault: an allocation's numbers alone, one task, and mpirun -np 1 inside a larger allocation
alone 2 'needs exactly two ranks, not 1' SLURM_NTASKS=2 SLURM_JOB_ID=7
alone 2 'needs exactly two ranks, not 1' SLURM_NTASKS=1 SLURM_PROCID=0 PMI_SIZE=1 PMI_RANK=0
alone 2 'needs exactly two ranks, not 1' PMI_SIZE=two PMIX_RANK=
expect 2 'needs exactly two ranks, not 1' env SLURM_NTASKS=2 SLURM_PROCID=0 mpirun -np 1 "$TWAIN" run nothing
# two parties of its own launcher are what they are, whatever else is in the environment
expect 3 'nothing.plan.json: no such file' mpirun -np 2 -x PMI_SIZE=2 -x SLURM_NTASKS=4 -x SLURM_PROCID=0 "$TWAIN" run nothing
