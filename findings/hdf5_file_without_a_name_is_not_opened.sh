#!/usr/bin/env bash
# HDF5: what is in memory or has lost its name is an HDF5 file, and is not opened
#
# One would expect: a path that opens, as /proc/self/fd/N does for every open file, serves HDF5 as it serves all others; at
# the least H5Fis_hdf5, which opens it and reads its first bytes, says what H5Fopen will do.
# What happens: for a file of memfd_create, or one that was unlinked, H5Fis_hdf5 says yes. H5Fopen and H5Fcreate then end
# with "can't retrieve real path for file", by the default driver and by the one that reads it all into memory. The stdio
# driver opens it. While the file has a name, all of them do, by the same path.
# Why it matters: such files are how a program reads what nobody else is to change, or leaves nothing on a disk. A check by
# H5Fis_hdf5 passes, and the file is then called damaged. Python's tempfile.TemporaryFile makes one, too.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v h5py==3.16.0 numpy==2.4.6
python v <<'P'
import h5py, os
from verdict import end, same
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version)
with h5py.File("x.h5", "w") as f: f["d"] = [0, 1, 2]
content = open("x.h5", "rb").read()
def filled(fd):
    os.write(fd, content)
    return fd
files = {"with its name": os.open("x.h5", os.O_RDWR),
         "in memory": filled(os.memfd_create("m")),
         "unlinked": filled(os.open("y.h5", os.O_RDWR | os.O_CREAT))}
os.unlink("y.h5")
def outcome(path, driver):
    try:
        with h5py.File(path, "r", driver=driver) as f: return f["d"][:].tolist()
    except OSError as error: return "no real path" if "can't retrieve real path for file" in str(error) else str(error)
for name, fd in files.items():
    path = f"/proc/self/fd/{fd}"
    found = [h5py.is_hdf5(path), *(outcome(path, driver) for driver in (None, "core", "stdio"))]
    seen = [0, 1, 2] if name == "with its name" else "no real path"
    same(f"{name}: is HDF5; opened by the default driver, core, stdio", found, [True, seen, seen, [0, 1, 2]])
end()
P
