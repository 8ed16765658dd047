"""Commands of two parties on this machine: as root, on few cores, without ssh. For other scripts."""
import os
import subprocess
import sys

MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
       "OMPI_MCA_plm": "isolated", "PMIX_MCA_gds": "hash"}


def call(*command):
    """Its standard output; one that fails ends the script."""
    done = subprocess.run(command, env=os.environ | MPI, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout
