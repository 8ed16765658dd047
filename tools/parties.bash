# For scripts that start both parties on this machine: as root, on few cores, without ssh. Of Open MPI; others ignore it.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_plm=isolated PMIX_MCA_gds=hash
