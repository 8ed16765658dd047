#!/usr/bin/env bash
# HDF5: an attribute that H5Aopen_by_name opens can be read, and cannot be written
#
# One would expect: H5Aopen_by_name(file, "set", "attribute") saves opening the data set first, and what it gives is as
# good as H5Aopen's; so does H5Acreate_by_name, whose attribute can be written.
# What happens: reading it works, writing ends with "can't locate open attribute?", in a file that is open for writing,
# for groups and data sets, few and many attributes, every format of the file. Opened by H5Aopen on the object itself,
# by name with "." from the object, or by its index, the same attribute is written.
# Why it matters: a checksum that is known after the data is written into an attribute that was made before them. Code
# that made it by name, and opens it by name for the second write, fails only there; there is no word of this in the
# manual. Readers never meet it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v h5py==3.16.0 numpy==2.4.6
python v <<'P'
import h5py, numpy as np
from verdict import end, error_of, same
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version)
ways = {
    "H5Aopen_by_name from the file": lambda f: h5py.h5a.open(f.id, b"a", obj_name=b"o"),
    "H5Aopen_by_idx from the file": lambda f: h5py.h5a.open(f.id, index=0, obj_name=b"o"),
    "H5Aopen_by_name of '.' from the object": lambda f: h5py.h5a.open(f["o"].id, b"a", obj_name=b"."),
    "H5Aopen on the object": lambda f: h5py.h5a.open(f["o"].id, b"a"),
}
def outcome(way, version, group, attributes):
    """(read before, written or the kind of error, value afterwards)"""
    with h5py.File("x.h5", "w", libver=version) as f:
        o = f.create_group("o") if group else f.create_dataset("o", (3,), "f4")
        h5py.h5a.create(f.id, b"a", h5py.h5t.STD_I64LE, h5py.h5s.create(h5py.h5s.SCALAR), obj_name=b"o").write(np.array(3, "i8"))
        for i in range(attributes - 1): o.attrs[f"b{i}"] = np.int64(0)
    with h5py.File("x.h5", "r+") as f:
        attribute, value = way(f), np.zeros((), "i8")
        attribute.read(value)
        text = ""
        try: attribute.write(np.array(7, "i8"))
        except OSError as error: text = "cannot locate" if "can't locate open attribute?" in str(error) else str(error)
        del attribute
    with h5py.File("x.h5") as f: return int(value), text or "written", int(f["o"].attrs["a"])
for name, way in ways.items():
    cases = {outcome(way, version, group, n) for version in ("earliest", "latest") for group in (False, True) for n in (1, 20)}
    by_name = name.endswith("name from the file")
    same(f"{name}: read, written, value afterwards", cases, {(3, "cannot locate", 3) if by_name else (3, "written", 7)})
end()
P
