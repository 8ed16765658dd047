#!/usr/bin/env bash
# h5repack with a filter stops at the first data set of no rows, and leaves a sound file that holds what came before it
#
# One would expect: a data set of shape 0 x 5 has nothing to compress, and is copied as it is, as an HDF5 null data set, a scalar
# and a small one are.
# What happens (HDF5 1.10.8 of Debian 12): -f GZIP=6 ends with 1 and "Error occurred while repacking", naming no data set.
# The new file stays: it opens, and holds the data sets whose names sort before the empty one. Without a filter, or with
# the empty one extensible (chunked), all are copied.
# Why it matters: a table of "no hits today" is such a data set. A script that repacks a folder of results, and looks at
# whether the new files open, loses the rest of that file when it deletes the old one. Look at the exit code, and
# compare the lists of names.
# Uses the machine's own h5repack and h5ls.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need h5repack h5ls h5dump
version=$(h5dump --version | sed 's/.*Version //')
case $version in 1.10.*) ;; *) absent "h5repack is of $version, not of 1.10" ;; esac
venv v h5py==3.16.0 numpy==2.4.6
echo "h5repack $version"
python v <<'P'
import h5py, numpy as np
def write(name, **middle):
    with h5py.File(name, "w") as f:
        f["a"] = np.arange(5000.0)
        f.create_dataset("m", **middle)
        f["z"] = np.arange(5000.0)
write("none.h5", shape=(0, 5), dtype="f4")
write("extensible.h5", shape=(0, 5), maxshape=(None, 5), dtype="f4")
write("null.h5", data=h5py.Empty("f4"))
write("three.h5", data=np.zeros(3, "f4"))
P
repack() { # repack FILE OPTION...: exit code, and the names in the new file
  local code=0
  rm -f new.h5
  h5repack "${@:2}" "$1" new.h5 >said 2>&1 || code=$?
  echo "$code: $(h5ls new.h5 | awk '{ printf "%s ", $1 }')"
}
for file in extensible null three; do same "m is $file" "$(repack $file.h5 -f GZIP=6)" "0: a m z "; done
same "m has no rows" "$(repack none.h5 -f GZIP=6)" "1: a "
same "  it says" "$(cat said)" "Error occurred while repacking"
same "  without a filter" "$(repack none.h5)" "0: a m z "
verdict
