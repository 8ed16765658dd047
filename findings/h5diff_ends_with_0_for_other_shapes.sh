#!/usr/bin/env bash
# h5diff ends with 0 for two files whose datasets have other shapes or other types of number, and with 1 without a word
# for a missing one
#
# One would expect: as with diff and cmp, exit code 0 means that the files hold the same, and 1 comes with a line that
# says what differs.
# What happens (HDF5 1.10.8 of Debian 12): datasets of other length, other rank, integers against reals, signed against
# unsigned, one empty and one not: "Some objects are not comparable", and exit code 0. A dataset that is missing in one
# file, or one attribute more: exit code 1, and no output at all. Equal NaNs count as equal; floats of 32 bits compare
# with floats of 64 bits.
# Why it matters: h5diff is what an HDF5 user puts into a test script to compare a result with a reference. A result
# that was cut to half its rows passes. Test the output for "not comparable" too (-v changes nothing), or compare in
# a program.
# Uses the machine's own h5diff.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need h5diff
h5diff --version
venv v h5py==3.16.0 numpy==2.4.6
python v <<'P'
import h5py, numpy as np
x = np.arange(6, dtype="f4")
holes = np.where(x == 2, np.nan, x).astype("f4")
sets = {"plain": {"x": x, "y": x}, "half": {"x": x[:3], "y": x}, "square": {"x": x.reshape(2, 3), "y": x},
        "integers": {"x": x.astype("i4"), "y": x}, "unsigned": {"x": x.astype("u4"), "y": x},
        "empty": {"x": x[:0], "y": x}, "double": {"x": x.astype("f8"), "y": x}, "other": {"x": -x, "y": x},
        "nan": {"x": holes, "y": x}, "nan2": {"x": holes, "y": x}, "missing": {"y": x}}
sets["note"] = sets["plain"]
for name, values in sets.items():
    with h5py.File(name + ".h5", "w") as f:
        for key, value in values.items():
            f[key] = value
        if name == "note":
            f["x"].attrs["unit"] = 1
P
compared() { # compared FILE FILE: exit code, and what is said
  local code=0 said
  h5diff "$1.h5" "$2.h5" >out 2>&1 || code=$?
  said="differences found"
  ! grep -q 'not comparable' out || said="not comparable"
  [ -s out ] || said=nothing
  echo "$code, $said"
}
same "other numbers" "$(compared plain other)" "1, differences found"
same "half the rows" "$(compared plain half)" "0, not comparable"
same "2 x 3 against 6" "$(compared plain square)" "0, not comparable"
same "integers against reals" "$(compared plain integers)" "0, not comparable"
same "integers with and without sign" "$(compared integers unsigned)" "0, not comparable"
same "empty against 6" "$(compared plain empty)" "0, not comparable"
same "32 against 64 bits" "$(compared plain double)" "0, nothing"
same "NaN in the same place" "$(compared nan nan2)" "0, nothing"
same "a dataset is missing" "$(compared plain missing)" "1, nothing"
same "an attribute more" "$(compared plain note)" "1, nothing"
verdict
